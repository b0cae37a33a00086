"""The hosts' side of patching: `deploys/playbooks/patch.yml`, an act a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from homelab.ansible.events import Event
from homelab.ansible.runner import Ansible, AnsibleError, Outcome
from homelab.patch.hosts import LookFailed, Seen, parse
from homelab.patch.rolling import HostError

PLAYBOOK = Path("deploys") / "playbooks" / "patch.yml"
# Seconds. A disk or a server of a mount that does not answer holds a command for ever; so each act has its end. That of
# a look with lists is beyond its own waits for apt's locks, 5 min each for the update, the check and the simulation.
_LOOK, _LISTS, _UPGRADE, _REBOOT = 120, 1800, 3600, 60
_UNIT = "homelab-patch.service"


@dataclass(frozen=True)
class AnsibleHosts:
    """Hosts by Ansible; `playbook` is the path of `patch.yml`."""

    ansible: Ansible
    playbook: Path

    def look(self, names: Sequence[str], lists: str) -> Mapping[str, Seen | HostError]:
        try:
            done = self._act("look", names, _LOOK if lists == "none" else _LISTS, lists=lists)
        except HostError as error:
            return dict.fromkeys(names, error)
        return {name: _seen(done, name) for name in names}

    def upgrade(self, name: str) -> None:
        error = _error(self._act("upgrade", [name], _UPGRADE), name)
        if error is not None and error.unreachable:
            raise HostError(
                f"not known whether its packages are upgraded: {error}; there {_UNIT} goes on by itself if it was "
                f"begun: see journalctl -u {_UNIT} and /run/homelab/patch.log, and run this again when it has ended"
            )
        if error is not None:
            raise HostError(f"its packages are not upgraded: {error}")

    def reboot(self, name: str) -> None:
        error = _error(self._act("reboot", [name], _REBOOT), name)
        # A host that goes down at once takes the connection with it; whether it does is seen from its next boot.
        if error is not None and not error.unreachable:
            raise HostError(f"does not reboot: {error}")

    def _act(self, act: str, names: Sequence[str], within: int, lists: str = "none") -> _Done:
        variables = {"act": act, "lists": lists}
        try:
            # Not by a limit: that may be the name of a group, and none means all.
            done = self.ansible.only(names).run(self.playbook, variables=variables, within=within)
        except AnsibleError as error:
            raise HostError(str(error)) from None
        return _Done(done, within)


@dataclass(frozen=True)
class _Done:
    """An act's outcome, and in how many seconds it had to come to its end."""

    outcome: Outcome
    within: int


def _error(done: _Done, name: str) -> HostError | None:
    """Why an act did not come to its end on a host; None when it did."""
    event = done.outcome.of(name)
    if event is None and done.outcome.late:
        return HostError(f"it did not answer within {done.within // 60} min", unreachable=True)
    if event is None:
        return HostError(f"Ansible did nothing there: {_first(done.outcome)}")
    if event.kind not in ("failed", "unreachable"):
        return None
    return HostError(_worded(event), unreachable=event.kind == "unreachable")


def _seen(done: _Done, name: str) -> Seen | HostError:
    if error := _error(done, name):
        return error
    event = done.outcome.of(name)
    try:
        return parse(event.said if event else "")
    except LookFailed as failed:
        return HostError(str(failed))


def _first(done: Outcome) -> str:
    return " ".join((done.said.splitlines() or [f"exit {done.rc}"])[0].split())


def _worded(event: Event) -> str:
    """Why, with what to do about it where that is known."""
    said = event.error
    if "a password is required" in said or "Missing sudo password" in said:
        return f"{said}; sudo asks for a password there: add -K"
    if "another host key" in said:
        return f"{said}; if that machine was installed anew, take its old one out of known_hosts"
    if "Host key verification failed" in said:
        return f"{said}; log in once with ssh and compare the fingerprint"
    if "Permission denied (" in said:
        return f"{said}; see ssh_user and ssh_key, and that the key's passphrase is with an SSH agent"
    return said
