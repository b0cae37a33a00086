"""The base deploy's operations: what stands costs no command, what does not costs the ones it needs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from paramiko import AuthenticationException
from pyinfra.api.command import FunctionCommand, StringCommand
from pyinfra.api.exceptions import ConnectError

from homelab.files import ManagedFile
from homelab.host import LOCALTIME, TIMEZONE, boot, kernel, names
from homelab.host.guard import Trial
from homelab.operations import boot as boot_operations
from homelab.operations import shell, systemd, trial
from homelab.operations.hostname import hostname
from homelab.operations.kernel import modules, sysctls
from homelab.operations.packages import installed
from homelab.operations.timezone import timezone
from homelab.probe import FileState, UnitState
from tests.probes import machine

FILE = ManagedFile("/etc/thing", "wanted\n")
STANDS = FileState("file", "0644", "root:root", FILE.sha256)
RUNNING = UnitState(load="loaded", active="active", sub="running", enabled="enabled", pid=1)


def commands(operation: Any, *arguments: Any, **named: Any) -> list[str]:
    return texts(operation._inner(*arguments, **named))


def texts(yielded: Iterable[Any]) -> list[str]:
    return [each.get_raw_value() if isinstance(each, StringCommand) else repr(each) for each in yielded]


def test_installed_packages_cost_nothing(host) -> None:
    assert commands(installed, ()) == []


def test_packages_are_one_command_that_waits_for_locks_and_removes_nothing(host) -> None:
    (script,) = commands(installed, ("vim=2:9.0", "jq"))
    assert "apt install -y --no-install-recommends --no-remove vim=2:9.0 jq" in script
    assert "DPkg::Lock::Timeout=300" in script
    assert subprocess.run(["sh", "-n", "-c", script], check=False).returncode == 0


def test_the_hostname_is_set_when_kernel_or_file_say_otherwise(host) -> None:
    named = machine(hostname="s1", text={names.HOSTNAME: "s1\n"})
    assert commands(hostname, "s1", named) == []
    assert len(commands(hostname, "s1", replace(named, hostname="debian"))) == 1
    assert len(commands(hostname, "s1", replace(named, text={names.HOSTNAME: "debian\n"}))) == 1


@pytest.mark.parametrize("target", ["/usr/share/zoneinfo/Europe/Berlin", "../usr/share/zoneinfo/Europe/Berlin"])
def test_a_time_zone_stands_by_either_spelling_of_its_link(host, target: str) -> None:
    link = {LOCALTIME: FileState("link", "0777", "root:root", target=target)}
    assert commands(timezone, "Europe/Berlin", machine(files=link)) == []
    assert len(commands(timezone, "Europe/Paris", machine(files=link))) == 1
    both = machine(files={**link, TIMEZONE: STANDS}, text={TIMEZONE: "Etc/UTC\n"})
    assert len(commands(timezone, "Europe/Berlin", both)) == 1


def test_only_modules_that_are_not_loaded_are_loaded(host) -> None:
    file = ManagedFile(kernel.MODULES, "overlay\nbr_netfilter\n")
    files = {kernel.MODULES: replace(STANDS, sha256=file.sha256)}
    both = ("overlay", "br_netfilter")
    probe = machine(files=files, modules=frozenset({"overlay"}), missing_modules=frozenset())
    assert commands(modules, file, both, probe) == ["modprobe -a br_netfilter"]
    assert commands(modules, file, both, replace(probe, modules=frozenset(both))) == []
    assert commands(modules, file, both, replace(probe, missing_modules=frozenset({"br_netfilter"}))) == []


def test_settings_are_written_once_and_put_in_force_when_the_kernel_has_others(host) -> None:
    wanted = {"net.ipv4.ip_forward": "1"}
    file = {kernel.SYSCTLS: replace(STANDS, sha256=kernel.sysctl_file(wanted).sha256)}
    assert commands(sysctls, wanted, machine(files=file, sysctls={"net.ipv4.ip_forward": "1"})) == []
    apply = f"sysctl -q -p {kernel.SYSCTLS}"
    assert commands(sysctls, wanted, machine(files=file, sysctls={"net.ipv4.ip_forward": "0"})) == [apply]
    assert commands(sysctls, wanted, machine(files={}))[1:] == [apply]


def test_a_unit_s_file_is_read_by_systemd_when_it_changes(host) -> None:
    assert commands(systemd.unit_file, FILE, STANDS) == []
    assert commands(systemd.unit_file, FILE, None)[1:] == ["systemctl daemon-reload"]


@pytest.mark.parametrize(
    ("current", "restart", "expected"),
    [
        (RUNNING, False, []),
        (RUNNING, True, ["systemctl restart thing"]),
        (replace(RUNNING, enabled="disabled"), False, ["systemctl enable --quiet thing"]),
        (replace(RUNNING, enabled="static"), False, []),
        (UnitState(), True, ["systemctl enable --quiet thing && systemctl restart thing"]),
        (replace(RUNNING, active="failed"), False, ["systemctl start thing"]),
    ],
)
def test_a_unit_gets_only_what_it_lacks(host, current: UnitState, restart: bool, expected: list[str]) -> None:
    assert commands(systemd.running, "thing", current, restart) == expected


def test_done_is_done(host) -> None:
    assert commands(shell.unless, True, "true") == []
    assert commands(shell.unless, False, "true") == ["true"]


# Trials
#


TRIAL = Trial("thing", FILE, save=":", apply=":", restore=":")


def test_what_is_in_force_is_not_tried_again(host) -> None:
    assert commands(trial.tried, TRIAL, True) == []


def test_a_trial_is_confirmed_by_a_connection_of_its_own(host) -> None:
    start, confirm = trial.tried._inner(TRIAL, False)
    assert start.connector_arguments["_stdin"] == "wanted\n"
    assert "wanted" not in start.get_raw_value()
    assert isinstance(confirm, FunctionCommand)
    assert confirm.function is trial.confirmed


class Connection:
    """A new connection that answers, or that cannot be made."""

    made = 0

    def __init__(self, error: Exception | None = None, answer: tuple[bool, str] = (True, "")):
        self.error, self.answer = error, answer

    def __call__(self, host: object) -> Connection:
        self.made += 1
        if self.error:
            raise self.error
        return self

    def run(self, script: str) -> tuple[bool, str]:
        assert "pending" in script
        return self.answer

    def close(self) -> None:
        pass


def refused_login() -> ConnectError:
    error = ConnectError("Authentication error (username=vagrant)")
    error.__context__ = AuthenticationException("Authentication failed.")
    return error


def confirmed(monkeypatch, host, connection: Connection) -> bool:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(trial, "NewConnection", connection)
    monkeypatch.setattr(trial, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(trial, "gevent", SimpleNamespace(sleep=lambda seconds: None))
    return trial.confirmed(None, host, TRIAL)


def test_a_new_connection_keeps_the_change(monkeypatch, host) -> None:
    assert confirmed(monkeypatch, host, Connection())
    assert host.asked == []


@pytest.mark.parametrize(
    ("connection", "times"),
    [
        (Connection(ConnectError("Could not connect (timed out)")), 5),
        (Connection(refused_login()), 1),
        (Connection(answer=(False, "the change was undone already")), 1),
    ],
)
def test_without_one_the_change_is_undone_through_the_old(
    monkeypatch, caplog, host, connection: Connection, times: int
) -> None:
    host.answers = {"sh /var/lib/homelab/trial/thing.revert": ""}
    assert not confirmed(monkeypatch, host, connection)
    assert len(host.asked) == 1
    assert connection.made == times


def test_an_old_connection_that_is_gone_is_no_error_of_its_own(monkeypatch, host) -> None:
    def gone(*_: object, **__: object) -> None:
        raise OSError("Socket is closed")

    host.run_shell_command = gone
    assert not confirmed(monkeypatch, host, Connection(refused_login()))


# Kernel arguments
#


def test_a_sound_kernel_is_not_rebooted(host) -> None:
    assert commands(boot_operations.arguments, None) == []


def test_the_line_is_replaced_with_a_copy_kept_before_the_reboot(host) -> None:
    replaced, reboot = boot_operations.arguments._inner(boot.Arguments("quiet cgroup_memory=1", written=False))
    script = replaced.get_raw_value()
    assert script.index(f"cp {boot.CMDLINE} {boot.CMDLINE}.homelab-before") < script.index("printf")
    assert "'quiet cgroup_memory=1'" in script
    assert reboot.function is boot_operations.rebooted


def test_a_line_that_is_written_already_only_takes_the_reboot(host) -> None:
    (reboot,) = boot_operations.arguments._inner(boot.Arguments("quiet cgroup_memory=1", written=True))
    assert reboot.function is boot_operations.rebooted


def test_a_host_on_its_way_down_is_not_taken_for_one_that_is_back(monkeypatch, host) -> None:
    boots, locked = iter(["old", "", "old", "new"]), list[object]()
    monkeypatch.setattr(boot_operations, "_says", lambda host, command: next(boots))
    monkeypatch.setattr(boot_operations, "reconnect", lambda host: None)
    monkeypatch.setattr(boot_operations.gevent, "sleep", lambda seconds: None)
    monkeypatch.setattr(boot_operations.survey, "hold", locked.append)
    host.answers = {"systemctl reboot": "", "prove it": ""}
    assert boot_operations.rebooted(None, host, "prove it")
    assert list(boots) == []
    assert locked == [host]
