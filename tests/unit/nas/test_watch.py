"""The watch: what it finds, and that it says each thing once; timers, checks and SMART as the inventory has them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from homelab.nas import watch
from homelab.probe import HostProbe, UnitState
from tests.nas_host import SCRIPTS, NasHost, nas

RUNNING = UnitState(load="loaded", active="active", enabled="enabled")


@pytest.mark.parametrize("script", sorted(SCRIPTS.iterdir()), ids=lambda path: path.name)
def test_scripts_are_clean(script: Path) -> None:
    subprocess.run(["sh", "-n", script], check=True)
    assert script.name == "lib.sh" or script.read_text().startswith("#!/bin/sh\n")
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(
        ["shellcheck", "-x", "-P", "SCRIPTDIR", "-s", "sh", script], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


class Watched(NasHost):
    """A host whose alerts are lines in a file."""

    def __init__(self, root: Path):
        described = nas(
            pools={"vault": {"kind": "mdraid", "level": "raid1", "filesystem": "ext4", "disks": ["d1", "d2"]}},
            volumes={"docs": {"pool": "vault"}},
            backups={"off": {"volumes": ["docs"], "to": "sftp:me@far:/restic", "password": "env:X"}},
        )
        super().__init__(root, described)
        self.array(degraded="0")
        self.full(10)
        alert = self.path("/usr/local/lib/homelab/homelab-alert")
        alert.write_text('#!/bin/sh\n{ echo "$2: $3"; cat; } >>"$HOMELAB_ROOT/sent"\n')

    def array(self, **values: str) -> None:
        for name, value in {"array_state": "clean", "raid_disks": "2", "sync_action": "idle", **values}.items():
            self.write(f"/sys/block/md127/md/{name}", f"{value}\n")

    def full(self, percent: int) -> None:
        used, free = percent * 10, 1000 - percent * 10
        self.fake("df", f'echo "Filesystem 1024-blocks Used Available"; echo "/dev/md127 1000 {used} {free}"')

    def job(self, name: str, result: str = "ok", good: int = 9_999_999_999) -> None:
        self.write(f"/var/lib/homelab/status/{name}", f"time=1\nresult={result}\ngood={good}\nmessage=as it went\n")

    def look(self) -> list[str]:
        """What one look sends: its subject, then the body."""
        sent = self.path("/sent")
        sent.unlink(missing_ok=True)
        done = self.run("homelab-watch")
        assert done.returncode == 0, done.stderr
        return sent.read_text().splitlines() if sent.exists() else []

    def a_day_later(self) -> None:
        state = self.path("/var/lib/homelab/watch")
        lines = [line.split("\t") for line in state.read_text().splitlines()]
        state.write_text("".join("\t".join([*line[:3], str(int(line[3]) - 86400), line[4]]) + "\n" for line in lines))


@pytest.fixture
def host(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_sound_host_is_silent(host: Watched) -> None:
    assert host.look() == []
    assert host.status("watch-all")["critical"] == "0"


def test_trouble_is_said_once_then_daily_then_that_it_is_over(host: Watched) -> None:
    host.array(degraded="1", sync_action="recover")
    host.write("/sys/block/md127/md/dev-sda/state", "faulty\n")
    host.write("/sys/block/md127/md/dev-sdb/state", "in_sync\n")
    said = "array md127 lacks 1 of its 2 disks (now: recover); members: sda (faulty) sdb (in_sync)"
    assert host.look() == [f"urgent: {said}", "New:", f"  critical: {said}"]
    assert host.look() == []
    host.a_day_later()
    assert host.look()[:2] == [f"high: still: {said}", "Still so:"]
    assert host.look() == []
    host.array(degraded="0")
    assert host.look()[:2] == [f"default: over: {said}", "Over:"]
    assert host.look() == []


def test_what_gets_worse_is_news_beside_what_is_known(host: Watched) -> None:
    host.array(degraded="1")
    host.look()
    host.full(86)
    assert host.look() == [
        "high: pool vault is 86 % full",
        "New:",
        "  warning: pool vault is 86 % full",
        "Known already:",
        "  critical: array md127 lacks 1 of its 2 disks (now: idle); members:",
    ]


@pytest.mark.parametrize(
    "used, levels",
    [
        ([84, 85, 84, 83, 82], [None, "warning 85", "warning 85", "warning 85", None]),
        (
            [89, 90, 88, 87, 95, 94, 92],
            ["warning 85", "warning 90", "warning 90", "warning 85", "critical 95", "critical 95", "warning 90"],
        ),
    ],
)
def test_a_pool_that_fills_up_is_said_at_each_step_and_not_at_its_edge(
    host: Watched, used: list[int], levels: list[str | None]
) -> None:
    found = []
    for percent in used:
        host.full(percent)
        host.look()
        lines = [line.split("\t") for line in host.path("/var/lib/homelab/watch").read_text().splitlines()]
        found.append(next((f"{line[1]} {line[2]}" for line in lines if line[0] == "full-vault"), None))
    assert found == levels


def test_an_array_that_did_not_start_is_found(host: Watched) -> None:
    host.array(array_state="inactive")
    assert "is inactive, its data is not there" in host.look()[0]


def test_a_pool_that_is_away_keeps_what_was_known_of_it(host: Watched) -> None:
    host.full(96)
    host.look()
    host.path("/srv/vault/.mounted").unlink()
    said = host.look()
    assert "is not mounted" in said[0]
    assert "Over:" not in said
    (host.path("/srv/vault") / ".mounted").touch()
    assert "  over: pool vault: " in "\n".join(host.look())


@pytest.mark.parametrize("job", ["backup", "check", "restore"])
def test_a_job_that_failed_or_is_overdue_is_found(host: Watched, job: str) -> None:
    host.job(f"{job}-off", result="failed")
    (first, *_) = host.look()
    assert first.startswith("urgent: ") and first.endswith(": as it went")
    host.job(f"{job}-off")
    assert host.look()[0].startswith("default: over: ")
    host.job(f"{job}-off", good=1_000_000_000)
    assert "hours, the last time it said: as it went" in host.look()[0]


def test_after_a_start_what_is_overdue_gets_its_turn_first(host: Watched) -> None:
    host.write("/proc/uptime", "60.0 1.0\n")
    host.job("backup-off", good=1_000_000_000)
    assert host.look() == []


def test_a_failed_unit_is_said_with_its_last_words(host: Watched) -> None:
    host.write(
        "/units", "● homelab-other.service loaded failed failed x\nhomelab-watch.service loaded failed failed x\n"
    )
    assert host.look() == [
        "urgent: homelab-other.service failed",
        "New:",
        "  critical: homelab-other.service failed",
        "      the last words",
    ]
    host.write("/units", "homelab-other.service loaded activating start x\n")
    assert host.look() == []
    host.write("/units", "homelab-other.service loaded inactive dead x\n")
    assert host.look()[0] == "default: over: homelab-other.service failed"


def test_a_job_and_its_unit_are_one_trouble(host: Watched) -> None:
    host.job("check-off", result="failed")
    host.write("/units", "homelab-backup@off.service loaded failed failed x\n")
    assert host.run("unit-failed", "homelab-backup@off.service").returncode == 0
    sent = host.path("/sent").read_text()
    assert "homelab-backup@off" not in sent
    assert sent.count("critical") == 1


def test_without_word_sent_it_is_news_still(host: Watched) -> None:
    alert = host.path("/usr/local/lib/homelab/homelab-alert")
    sends = alert.read_text()
    alert.write_text("#!/bin/sh\nexit 1\n")
    host.array(degraded="1")
    assert host.run("homelab-watch").returncode == 1
    alert.write_text(sends)
    assert host.look()[1] == "New:"


def test_mdadm_makes_the_watch_look_at_once(host: Watched) -> None:
    host.array(degraded="1")
    assert host.run("mdadm-event", "Fail", "/dev/md127", "/dev/sda").returncode == 0
    assert "lacks 1 of its 2 disks" in host.path("/sent").read_text()
    host.path("/sent").unlink()
    host.run("mdadm-event", "RebuildFinished", "/dev/md127")
    assert not host.path("/sent").exists()


def test_smart_is_asked_of_disks_that_have_it(tmp_path: Path) -> None:
    host = NasHost(tmp_path, nas())
    host.fake("lsblk", 'echo "sdx B2"; echo "sdy C3"')
    host.fake(
        "smartctl", 'case "$*" in *"-d sat"*) echo "SMART support is: Available - device has SMART capability." ;; esac'
    )
    lines = host.run("smartd-conf").stdout.splitlines()
    event = f"{host.path('/usr/local/lib/homelab')}/smartd-event"
    assert lines == [
        "# ata-A_1: is not there",
        "/dev/sdx -d sat -a -n standby,q -s (S/../../6/02|L/../12/./02) -W 0,65,75 -m homelab -M daily "
        f"-M exec {event}",
    ]
    host.fake("smartctl", "exit 2")
    assert "# serial:B2: /dev/sdx has no SMART" in host.run("smartd-conf").stdout
    probe = HostProbe(output={"nas_smart": "# serial:B2: /dev/sdx has no SMART\nsame\n"})
    assert watch.without_smart(probe) == ("serial:B2: /dev/sdx has no SMART",)


def test_only_the_toolkits_own_timers_are_removed() -> None:
    described = nas(snapshots={"media": {"daily": 1}})
    listed = "homelab-snapshot@media.timer homelab-snapshot@gone.timer homelab-backup@off.timer homelab-x@y.timer"
    probe = HostProbe(output={"nas_units": listed.replace(" ", "\n")})
    stale = watch.stale(described, probe)
    assert stale == ("homelab-snapshot@gone.timer", "homelab-backup@off.timer")
    script = watch.remove(stale)
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)
    assert "/etc/homelab/backup/off.password" in script
    assert "media" not in script
    # The repository and the snapshots are nobody's rubbish.
    assert "/srv" not in script


def test_arrays_are_read_by_one_of_debians_two() -> None:
    described, off = nas(), {watch.MD_DEFAULTS: "AUTOCHECK=false\nAUTOSCAN=false\n"}
    debian = HostProbe(text={watch.MD_DEFAULTS: "AUTOCHECK=true\nAUTOSCAN=true\n"})
    assert not watch.one_check(described, debian)
    assert not watch.one_check(described, HostProbe(text=off, units={watch.MD_REMINDER: RUNNING}))
    assert watch.one_check(described, HostProbe(text=off))
    assert not watch.one_check(described, HostProbe())
    assert watch.one_check(described, HostProbe(packages=frozenset({"mdadm"})))
    assert watch.one_check(described, HostProbe(text={watch.MD_DEFAULTS: "# AUTOCHECK=true\n"}))
    assert {*watch.MD_TIMERS, "fstrim.timer"} <= set(watch.timers(described))
    assert "fstrim.timer" not in watch.timers(described, "lxc")
    subprocess.run(["sh", "-n"], input=watch.ONE_CHECK, text=True, check=True)


def test_the_monitor_of_arrays_starts_our_program() -> None:
    files = {file.path: file.content for file in watch.files(nas(), "nas", {})}
    dropin = files["/etc/systemd/system/mdmonitor.service.d/homelab.conf"]
    assert "ExecStart=\nExecStart=/sbin/mdadm --monitor --scan --program /usr/local/lib/homelab/mdadm-event\n" in dropin
    assert watch.monitors(nas())
    running = "/sbin/mdadm --monitor --scan --program /usr/local/lib/homelab/mdadm-event "
    assert watch.monitor_as_it_is(HostProbe(output={"nas_mdmonitor": running}))
    assert not watch.monitor_as_it_is(HostProbe(output={"nas_mdmonitor": "/sbin/mdadm --monitor --scan "}))


def test_each_file_is_asked_for_and_laid_once() -> None:
    described = nas(
        snapshots={"media": {"daily": 1}},
        backups={"off": {"volumes": ["media"], "to": "/srv/vault/restic", "password": "env:X"}},
    )
    paths = [file.path for file in watch.files(described, "nas", {"off": "correct horse"})]
    assert len(paths) == len(set(paths))
    asked = watch.questions(described)
    assert set(paths) <= set(asked.paths)
    assert set(watch.timers(described)) <= set(asked.units)
    for name, command in asked.commands:
        subprocess.run(["sh", "-n"], input=command, text=True, check=True)
        assert name.startswith("nas_")


def test_jobs_wait_for_pools_that_are_on_their_way() -> None:
    described = nas()
    waits = {each.path: each.content for each in watch.files(described, "nas", dict.fromkeys(described.backups, "x"))}
    after = "After=" + " ".join(f"srv-{pool}.mount" for pool in described.pools)
    jobs = [path for path in waits if path.endswith(".service.d/pools.conf")]
    assert "/etc/systemd/system/homelab-watch.service.d/pools.conf" in jobs
    assert all(waits[path] == f"[Unit]\n{after}\n" for path in jobs)
