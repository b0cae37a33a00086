"""What every deploy begins with: the lock, one read-only look at all selected hosts, and the refusals in one report."""

from __future__ import annotations

import atexit
import getpass
import os
import platform
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import gevent
from gevent.lock import RLock
from paramiko import SSHException
from pyinfra import host as current_host
from pyinfra import logger, state
from pyinfra.api.command import StringCommand
from pyinfra.api.host import Host as PyinfraHost
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.connectors.util import make_unix_command_for_host

from homelab import host as host_room
from homelab import k3s as k3s_room
from homelab import nas as nas_room
from homelab import probe
from homelab import storage as storage_room
from homelab.model import Home, Host
from homelab.nas import ups
from homelab.probe import HostProbe, Questions
from homelab.pyinfra_compat import Refusal, home, is_dry


@dataclass
class Survey:
    """The validated inventory and each selected host as it was when the run began; shared by all deploys of a run."""

    home: Home
    probes: Mapping[str, HostProbe]
    visited: set[tuple[str, str]] = field(default_factory=set)
    plans: dict[str, Any] = field(default_factory=dict)

    @property
    def me(self) -> Host:
        """The host for which pyinfra reads the deploy file just now."""
        return next(known for known in self.home.hosts if known.inventory_name == current_host.name)

    @property
    def probe(self) -> HostProbe:
        """What is known of that host."""
        return self.probes[self.me.name]

    def first(self, deploy: str) -> bool:
        """True the first time a deploy asks for this host: `site.py` and `k3s.py` both contain `base.py`."""
        visit = (deploy, self.me.name)
        if visit in self.visited:
            return False
        self.visited.add(visit)
        return True

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """The value that `make` gives, made once a run: a plan covers all hosts, a deploy file is read once a host."""
        with _alone:
            if name not in self.plans:
                self.plans[name] = make()
            return self.plans[name]


_alone = RLock()
_survey: tuple[object, Survey | Refusal] | None = None


def survey() -> Survey:
    """This run's survey; raise Refusal with every problem of every host at once, before anything is touched."""
    global _survey
    with _alone:
        if _survey is None or _survey[0] is not state.inventory:
            try:
                _survey = (state.inventory, _look())
            except Refusal as refusal:
                _survey = (state.inventory, refusal)
        if isinstance(_survey[1], Refusal):
            raise _survey[1]
        return _survey[1]


def questions(known: Home, host: Host) -> Questions:
    """All that any deploy asks of a host, so that one command answers it."""
    return (
        host_room.questions(known, host)
        | k3s_room.questions(known, host)
        | storage_room.questions(known, host)
        | nas_room.questions(known, host)
    )


def _look() -> Survey:
    known = home()
    by_name = {each.inventory_name: each for each in known.hosts}
    hosts = [(by_name[each.name], each) for each in state.inventory.get_active_hosts()]
    if not is_dry():
        _lock(hosts)
    problems: dict[str, str] = {}
    probes: dict[str, HostProbe] = {}

    def look(mine: Host, theirs: PyinfraHost) -> None:
        command = StringCommand(probe.script(questions(known, mine)))
        asked = datetime.now(UTC)
        try:
            ok, output = theirs.run_shell_command(command, _sudo=True, _timeout=120)
            if not ok:
                raise probe.ProbeError(_why(output.stderr_lines) or "the probe failed")
            probes[mine.name] = probe.parse(output.stdout_lines, datetime.now(UTC), asked)
        except (probe.ProbeError, OSError, EOFError, SSHException) as error:
            why = str(error) or "no answer in time"
            problems[mine.name] = f"{mine.name}: {why}; log in there by hand and look why"

    # Not in pyinfra's pool: it is full of the deploy file's readers, who wait for this survey.
    gevent.joinall([gevent.spawn(look, mine, theirs) for mine, theirs in hosts], raise_error=True)
    if problems:
        raise Refusal([problems[each.name] for each in known.hosts if each.name in problems])
    wrong = list(host_room.refusals(known, probes))
    for mine, _ in hosts:
        wrong += ups.problems(known, mine, probes[mine.name])
    refusals = [str(problem) for problem in wrong]
    if refusals:
        raise Refusal(refusals)
    return Survey(known, probes)


def _why(stderr: list[str]) -> str:
    said = " ".join(stderr[-3:]).strip()
    if _PASSWORD in said or "terminal is required" in said:
        return (
            "its user may not use sudo without a password; add a line `USER ALL=(ALL) NOPASSWD: ALL` with visudo, "
            "or run pyinfra from a terminal, where it can ask for it"
        )
    if "not in the sudoers" in said or "may not run sudo" in said or "not allowed to execute" in said:
        return "its user may not use sudo; add it to the group sudo, with NOPASSWD in /etc/sudoers.d"
    if "sudo: not found" in said or "sudo: command not found" in said:
        return "sudo is not installed; install it and allow this user to use it"
    return said


# One deploy at a time
#

# The lock is a process on the host that waits for the end of its input: when this process dies, however it dies, the
# connection closes, the process ends and the lock is free. Nothing has to be cleaned up.
# Not in /run/lock, where everybody may write: there a local user could keep root from opening it.
_HOLD = r"""
umask 077; mkdir -p -m 0700 /run/homelab; exec 9>>/run/homelab/lock
if flock -n 9; then
  printf '%s; here it is process %s\n' "$1" "$$" >/run/homelab/holder; echo held; exec cat >/dev/null
fi
echo "taken $(cat /run/homelab/holder 2>/dev/null)"
"""
_PASSWORD = "password is required"
_held: list[Any] = []


@atexit.register
def _release() -> None:
    # Left to the interpreter's end, paramiko's files would close when gevent can no longer wait for a lock.
    _held.clear()


def _hold(theirs: PyinfraHost, holder: str) -> tuple[Any, Any, str, str]:
    """Ask for the lock; give the channel's ends (the lock lives as long as they do), the answer and the errors."""
    script = shlex.quote(f"set -- {shlex.quote(holder)}\n{_HOLD}")
    command = make_unix_command_for_host(theirs.state, theirs, StringCommand(f"sh -c {script}"), _sudo=True)
    stdin, stdout, stderr = theirs.connector.client.exec_command(command.get_raw_value())  # type: ignore[attr-defined]
    answer = stdout.readline().strip()
    return stdin, stdout, answer, "" if answer else stderr.read().decode(errors="replace")


def hold(theirs: PyinfraHost) -> None:
    """Take the lock of a host again, after its reboot has freed it; raise Refusal when somebody was faster."""
    _lock([(home().host(theirs.name), theirs)])


def _lock(hosts: list[tuple[Host, PyinfraHost]]) -> None:
    who = f"{getpass.getuser()}@{platform.node()}, process {os.getpid()}"
    holder = f"{who}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    # One after another in inventory order, so that of two runs started together one gets them all.
    for mine, theirs in hosts:
        if not isinstance(theirs.connector, SSHConnector):
            continue
        stdin, stdout, answer, error = _hold(theirs, holder)
        if _PASSWORD in error and sys.stdin.isatty():
            theirs.run_shell_command(StringCommand("true"), _sudo=True)  # asks for the password and remembers it
            stdin, stdout, answer, error = _hold(theirs, holder)
        if answer == "held":
            _held.append((stdin, stdout))
        # The refusal's traceback would keep them until gevent is gone, see _release.
        del stdin, stdout
        if answer.startswith(f"taken {holder};"):
            remedy = "give each host its own ssh_hostname, or list it once"
            raise Refusal([f"{mine.name}: is the same machine as another host of this run; {remedy}"])
        if answer.startswith("taken"):
            # sshd learns only after hours of a control machine that lost its network, and the lock is held till then.
            remedy = "wait until it has ended; or, if that machine is gone, end that process"
            raise Refusal([f"{mine.name}: another deploy is running ({answer[6:]}); {remedy}"])
        if answer != "held":
            raise Refusal([f"{mine.name}: {_why(error.splitlines()) or 'the lock could not be taken'}"])
    logger.debug("lock held on %s", ", ".join(mine.name for mine, _ in hosts))
