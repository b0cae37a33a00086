"""`homelab play` and `homelab patch` as commands: what they refuse, and a playbook's run as a report."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from homelab import cli, play
from homelab.ansible import inventory as inventories
from homelab.ansible import runner
from homelab.ansible.events import Event
from homelab.model import Home, Host
from homelab.patch import command, report
from homelab.patch.hosts import Package
from homelab.patch.summary import Result, Summary

S1 = Host(name="s1", role="server", address="192.0.2.11")
S2 = Host(name="s2", role="server", address="192.0.2.12", away=True)
NAS = Host(name="nas", nas=True, role="agent", address="192.0.2.31")
HOME = Home(environment="home", hosts=(S1, S2, NAS))
EVENTS = (
    Event("play", play="Printers"),
    Event("ok", "s1", "Printers", "Install cups", changed=True),
    Event("ok", "nas", "Printers", "Install cups"),
    Event("failed", "s1", "Printers", "Start it", error="E: no such unit"),
    Event("skipped", "nas", "Printers", "Start it"),
    Event("failed", "nas", "Printers", "Try", error="nothing there", ignored=True),
)


def played(*events: Event, rc: int = 0, said: str = "") -> play.Played:
    return play.Played("home", "p.yml", ("s2",), events, rc, said)


@pytest.mark.parametrize(
    ("limit", "names"),
    [
        ((), ["s1", "s2", "nas"]),
        (("nas",), ["nas"]),
        (("nas,s1",), ["s1", "nas"]),
        (("k3s_servers",), ["s1", "s2"]),
        (("k3s_agents", "s1"), ["s1", "nas"]),
    ],
)
def test_a_limit_names_hosts_or_groups(limit: tuple[str, ...], names: list[str]) -> None:
    assert [host.name for host in play.chosen(HOME, limit)] == names


def test_every_unknown_name_of_a_limit_is_told() -> None:
    with pytest.raises(play.PlayError) as error:
        play.chosen(HOME, ["s1,x", "y", ""])
    assert str(error.value).splitlines() == [
        f"--limit {name}: no such host or group; there are s1, s2, nas" for name in ("x", "y", "with an empty name")
    ]


def test_a_run_is_told_task_by_task() -> None:
    assert list(play.lines(played(*EVENTS, rc=2))) == [
        "Printers",
        "  Install cups: changed s1; ok nas",
        "  Start it: failed s1; skipped nas",
        "    s1: E: no such unit",
        "  Try: ignored nas",
        "    nas: nothing there",
    ]
    data = play.as_data(played(*EVENTS, rc=2))
    assert (data["version"], data["exit_code"], data["away"]) == (1, 1, ["s2"])
    assert data["hosts"]["nas"] == {
        "ok": 1,
        "changed": 0,
        "skipped": 1,
        "failed": 0,
        "ignored": 1,
        "unreachable": 0,
        "well": True,
    }
    assert data["results"][0] == {
        "play": "Printers",
        "task": "Install cups",
        "host": "s1",
        "outcome": "changed",
        "error": "",
    }


def test_a_playbook_that_meant_nobody_has_not_done_its_work() -> None:
    assert played(*EVENTS).exit_code == 0
    nothing = played(Event("play", play="Printers"))
    assert nothing.exit_code == 1
    assert list(play.lines(nothing)) == ["nothing was done: no host of the inventory is meant by its `hosts:`"]
    assert list(play.lines(played(rc=4, said="no such module\nin line 3"))) == [
        "nothing was done: no such module",
        "nothing was done: in line 3",
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a home of two hosts is, one of them away, and Ansible is offered."""
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "home.py").write_text(
        'nas = [("nas", {"address": "192.0.2.31", "ssh_hostname": "127.0.0.1", "ssh_port": 1}),'
        ' ("old", {"address": "192.0.2.32", "away": True})]\n'
    )
    (tmp_path / "deploys").symlink_to(Path(__file__).parents[2] / "deploys")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOMELAB_ENV", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def homelab(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("play", "nowhere.yml"), "nowhere.yml: there is no such playbook"),
        (("play", "x.yml", "--limit", "s9"), "--limit s9: no such host or group; there are nas, old"),
        (("play", "x.yml", "--limit", "old"), "old: marked away: True; nothing is left to do"),
        (("patch", "-K"), "-K: nobody can type a password"),
        (("patch", "--within", "soon"), "Invalid value"),
        (("patch", "--within", "59s"), "59s is no time to wait for a boot; write from 1m to 24h"),
        (("patch", "--within", "25h"), "25h is no time to wait for a boot; write from 1m to 24h"),
    ],
)
def test_wrong_usage_is_one_line_and_1(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    done = homelab(*arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    assert said in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("arguments", [("patch",), ("play", "x.yml")])
def test_without_the_extra_it_says_how_to_get_it(
    folder: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "installed", lambda: False)
    done = homelab(*arguments)
    assert (done.exit_code, done.stdout, done.stderr.splitlines()[1:]) == (1, "", [runner.INSTALL])


def test_a_repository_without_the_playbook_is_one_line(folder: Path) -> None:
    (folder / "deploys").unlink()
    done = homelab("patch")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].endswith(
        "playbooks/patch.yml: is not there; take it from the toolkit's repository"
    )


def test_rehearsed_hosts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMELAB_ENV", "rehearsal")
    done = homelab("patch")
    assert done.exit_code == 1 and done.stderr.count("is rehearsed, there is no such machine") == 6


def test_a_host_that_is_down_stops_a_patch_before_it_begins(folder: Path) -> None:
    """Through Ansible itself, to a port where nobody is."""
    done = homelab("patch", "--format", "json")
    assert done.exit_code == 1
    data = json.loads(done.stdout)
    assert [(each["name"], each["outcome"]) for each in data["hosts"]] == [("nas", "untouched"), ("old", "away")]
    (line,) = data["stopped"]
    assert line.startswith("nas: cannot be reached: connect to host 127.0.0.1 port 1: Connection refused; mend it, or")
    assert "old: away: it is counted, but left alone" in done.stderr


def test_a_second_run_at_the_same_time_is_refused(folder: Path) -> None:
    (folder / "cache" / "homelab").mkdir(parents=True)
    with (folder / "cache" / "homelab" / "patch-home.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = homelab("patch")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == "home: is being patched from here already; wait for its end"


def test_a_playbook_of_ones_own_is_run_and_told(folder: Path) -> None:
    (folder / "own.yml").write_text(
        "- name: Own\n  hosts: nas\n  gather_facts: false\n  connection: local\n  tasks:\n"
        "    - {name: Greet, ansible.builtin.raw: echo hello, vars: {ansible_connection: local}}\n"
    )
    done = homelab("play", "own.yml")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["Own", "  Greet: changed nas"]
    assert "nas: Greet: changed" in done.stderr and "old: away, left alone" in done.stderr


@pytest.mark.broad
def test_a_limit_leaves_the_others_in_the_inventory_and_is_no_group_of_the_same_name(folder: Path) -> None:
    (folder / "inventory" / "home.py").write_text(
        'nas = [("nas", {"address": "192.0.2.31"}), ("attic", {"address": "192.0.2.32"})]\n'
    )
    (folder / "own.yml").write_text(
        "- name: Own\n  hosts: all\n  gather_facts: false\n  tasks:\n"
        "    - name: Say\n      ansible.builtin.raw: echo {{ hostvars.attic.ansible_host }} {{ groups.nas | length }}\n"
        "      failed_when: not said.stdout is search('attic 2')\n      register: said\n"
        "      vars: {ansible_connection: local}\n"
    )
    done = homelab("play", "own.yml", "--limit", "nas", "--format", "json")
    assert done.exit_code == 0, done.stdout + done.stderr
    assert list(json.loads(done.stdout)["hosts"]) == ["nas"]


@pytest.mark.parametrize(("limit", "passed"), [((), None), (("nas,s1",), None), (("nas",), inventories.PART)])
def test_a_limit_is_one_only_where_it_leaves_somebody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: tuple[str, ...], passed: str | None
) -> None:
    asked: list[Any] = []

    def run(self: runner.Ansible, playbook: Path, *, limit: str | None, told: Any) -> runner.Outcome:
        asked.append((limit, self.inventory["all"]))
        return runner.Outcome(0, "", EVENTS)

    monkeypatch.setattr(runner.Ansible, "run", run)
    play.run(tmp_path / "inventory", HOME, tmp_path / "x.yml", limit=limit)
    ((given, inventory),) = asked
    assert given == passed and list(inventory["hosts"]) == ["s1", "nas"]
    assert list(inventory["children"].get(inventories.PART, {}).get("hosts", ())) == ([] if passed is None else ["nas"])


SUMMARY = Summary(
    "home",
    (
        Result(S1, "patched", (Package("tool", "1", "2"),), ("held",), True, True, ("linux",), 61.4),
        Result(NAS, "stopped", (Package("new", "", "2"),), reboot=True),
        Result(S2, "away"),
    ),
    stopped=("nas: has not come back within 10 min: it does not answer",),
    notes=("nas: a1 has mounted it at /mnt",),
)


def test_a_summary_as_a_table_and_as_json(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "run", lambda *_, **__: SUMMARY)
    done = homelab("patch")
    assert done.exit_code == 1
    assert [line.rstrip() for line in done.stdout.splitlines()] == [
        "HOST  ROLE       OUTCOME  PACKAGES        REBOOT        TIME",
        "s1    server     patched  1, 1 kept back  done (linux)  61 s",
        "nas   agent+nas  stopped  1               required",
        "s2    server     away     -               -",
        "note: nas: a1 has mounted it at /mnt",
        "stopped: nas: has not come back within 10 min: it does not answer",
        "the rest is untouched; run it again to go on: HOMELAB_ENV=home homelab patch",
    ]
    data = json.loads(homelab("patch", "--format", "json").stdout)
    assert (data["version"], data["dry_run"], len(data["stopped"])) == (1, False, 1)
    assert data["hosts"][0] == {
        "name": "s1",
        "role": "server",
        "nas": False,
        "outcome": "patched",
        "packages": [{"name": "tool", "from": "1", "to": "2"}],
        "kept_back": ["held"],
        "reboot_required": True,
        "reboot_because": ["linux"],
        "rebooted": True,
        "seconds": 61.4,
        "notes": [],
    }
    assert data["hosts"][1]["packages"] == [{"name": "new", "from": None, "to": "2"}]


def test_a_dry_run_lists_each_package() -> None:
    dry = Summary("home", SUMMARY.results[:2], stopped=("s1: not well",), dry_run=True)
    assert list(report.lines(dry)) == [
        "s1:",
        "  tool 1 -> 2",
        "  held (kept back by apt)",
        "nas:",
        "  new 2 (new)",
        "would stop: s1: not well",
    ]
