"""Many files and timers at once: what stands costs nothing, and systemd reads units anew when it has to."""

from __future__ import annotations

from typing import Any

from homelab.files import ManagedFile
from homelab.operations import timers
from homelab.probe import FileState, HostProbe, UnitState

UNIT = ManagedFile("/etc/systemd/system/homelab-x.timer", "[Timer]\n")
PLAIN = ManagedFile("/etc/homelab/x", "x\n")
RUNS = UnitState(load="loaded", active="active", enabled="enabled")


def state(file: ManagedFile) -> FileState:
    return FileState("file", file.mode, file.owner, file.sha256)


def laid(*standing: ManagedFile, reload: bool = False) -> list[str]:
    probe = HostProbe(files={file.path: state(file) for file in standing})
    commands = timers.laid._inner(wanted=(UNIT, PLAIN), current=probe, reload=reload)
    return [command.get_raw_value().splitlines()[-1] for command in commands]


def test_only_what_is_missing_is_laid(host: Any) -> None:
    assert laid(UNIT, PLAIN) == []
    assert host.noops == ["2 files are as they should be"]
    (one,) = laid(UNIT)
    assert one.endswith(PLAIN.path)


def test_systemd_reads_a_new_unit_once_and_one_that_a_cut_run_laid(host: Any) -> None:
    *written, last = laid()
    assert (len(written), last) == (2, "systemctl daemon-reload")
    assert laid(UNIT, PLAIN, reload=True) == ["systemctl daemon-reload"]


def test_only_idle_timers_are_started(host: Any) -> None:
    probe = HostProbe(units={"a.timer": RUNS, "b.timer": UnitState(load="loaded", enabled="enabled")})
    (command,) = timers.running._inner(timers=("a.timer", "b.timer", "c.timer"), current=probe)
    assert command.get_raw_value() == "systemctl enable --now --quiet b.timer c.timer"
    assert list(timers.running._inner(timers=("a.timer",), current=probe)) == []
    assert host.noops == ["1 timers run"]
