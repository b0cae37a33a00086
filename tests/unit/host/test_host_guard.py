"""The trial's scripts, run for real by sh in a folder of this test; systemd's commands only note their calls."""

import subprocess
from pathlib import Path

import pytest

from homelab.files import ManagedFile
from homelab.host import guard
from homelab.host.guard import Trial

STUB = '#!/bin/sh\necho "$(basename "$0") $*" >>"$CALLS"\n'


class Bench:
    def __init__(self, folder: Path):
        self.folder = folder
        self.path = folder / "etc" / "thing.conf"
        self.force = folder / "in-force"
        self.calls = folder / "calls"
        programs = folder / "bin"
        programs.mkdir()
        for name in ("systemctl", "systemd-run", "chown"):
            (programs / name).write_text(STUB, encoding="utf-8")
            (programs / name).chmod(0o755)
        self.environment = {"PATH": f"{programs}:/usr/bin:/bin", "CALLS": str(self.calls)}

    def trial(self, content: str = "new\n", check: str | None = None, apply: str | None = None) -> Trial:
        copy = f"cp {self.path} {self.force}"
        return Trial(
            "thing",
            ManagedFile(str(self.path), content, check=check),
            save=":",
            apply=apply or copy,
            restore=f"rm -f {self.force}; [ ! -e {self.path} ] || {copy}",
        )

    def run(self, script: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        for real in ("/var/lib/homelab", "/etc/tmpfiles.d"):
            script = script.replace(real, f"{self.folder}{real}")
        (self.folder / "etc").mkdir(exist_ok=True)
        (self.folder / "var" / "lib").mkdir(parents=True, exist_ok=True)
        return subprocess.run(
            ["sh", "-c", script], input=stdin, env=self.environment, capture_output=True, text=True, check=False
        )

    def start(self, trial: Trial) -> subprocess.CompletedProcess[str]:
        return self.run(guard.start(trial), trial.file.content)

    @property
    def at_boot(self) -> list[Path]:
        return list((self.folder / "etc" / "tmpfiles.d").glob("*"))

    def state(self) -> tuple[str | None, str | None]:
        """What the file says and what is in force."""
        return tuple(each.read_text() if each.exists() else None for each in (self.path, self.force))  # type: ignore[return-value]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_it_is_in_force_and_its_end_is_set_before_that(bench: Bench):
    done = bench.start(bench.trial(apply=f"cp {bench.path} {bench.force}; cat {bench.calls} >{bench.force}.then"))
    assert (done.returncode, done.stderr) == (0, "")
    assert bench.state() == ("new\n", "new\n")
    assert "--unit=homelab-revert-thing --on-active=60" in Path(f"{bench.force}.then").read_text()


def test_a_power_cut_in_its_minute_removes_the_file_at_boot(bench: Bench):
    bench.start(bench.trial())
    assert [file.read_text() for file in bench.at_boot] == [f"r! {bench.path}\n"]


def test_confirmed_it_stays(bench: Bench):
    trial = bench.trial()
    bench.start(trial)
    assert bench.run(guard.confirm(trial)).returncode == 0
    assert bench.at_boot == []
    bench.run(guard.revert(trial))
    assert bench.state() == ("new\n", "new\n")


@pytest.mark.parametrize("before", [None, "old\n"])
def test_unconfirmed_the_state_before_comes_back(bench: Bench, before: str | None):
    if before:
        old = bench.trial(before)
        bench.start(old)
        bench.run(guard.confirm(old))
    trial = bench.trial()
    bench.start(trial)
    bench.run(guard.revert(trial))
    assert bench.state() == (before, before)
    assert bench.at_boot == []


def test_too_late_a_confirmation_says_so(bench: Bench):
    trial = bench.trial()
    bench.start(trial)
    bench.run(guard.revert(trial))
    done = bench.run(guard.confirm(trial))
    assert (done.returncode, done.stderr) == (1, "the change was undone already\n")


def test_what_a_killed_run_left_on_trial_is_not_what_one_goes_back_to(bench: Bench):
    old, killed, last = bench.trial("old\n"), bench.trial("killed\n"), bench.trial("last\n")
    bench.start(old)
    bench.run(guard.confirm(old))
    bench.start(killed)
    bench.start(last)
    assert bench.state() == ("last\n", "last\n")
    bench.run(guard.revert(last))
    assert bench.state() == ("old\n", "old\n")


def test_content_that_its_check_refuses_never_gets_there(bench: Bench):
    done = bench.start(bench.trial("bad\n", check='grep -q good "$new"'))
    assert done.returncode != 0
    assert bench.state() == (None, None)
    assert "systemd-run" not in (bench.calls.read_text() if bench.calls.exists() else "")


def test_what_cannot_be_put_in_force_is_undone_at_once(bench: Bench):
    done = bench.start(bench.trial(apply="false; true"))
    assert done.returncode == 1
    assert bench.state() == (None, None)
    assert bench.at_boot == []


def test_undoing_does_not_wait_for_the_minute(bench: Bench):
    trial = bench.trial()
    bench.start(trial)
    bench.run(guard.undo(trial))
    assert bench.state() == (None, None)
    assert "systemctl stop homelab-revert-thing.timer" in bench.calls.read_text()


def test_the_content_is_in_no_argument():
    secret = ManagedFile("/etc/thing", "hidden\n")
    assert "hidden" not in guard.start(Trial("thing", secret, ":", ":", ":"))
