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


@dataclass(frozen=True)
class AnsibleHosts:
    """Hosts by Ansible; `playbook` is the path of `patch.yml`."""

    ansible: Ansible
    playbook: Path

    def look(self, names: Sequence[str], lists: str) -> Mapping[str, Seen | HostError]:
        try:
            done = self._act("look", names, lists=lists)
        except HostError as error:
            return dict.fromkeys(names, error)
        return {name: _seen(done, name) for name in names}

    def upgrade(self, name: str) -> None:
        error = _error(self._act("upgrade", [name]), name)
        if error is not None:
            raise HostError(f"its packages are not upgraded: {error}")

    def reboot(self, name: str) -> None:
        error = _error(self._act("reboot", [name]), name)
        # A host that goes down at once takes the connection with it; whether it does is seen from its next boot.
        if error is not None and not error.unreachable:
            raise HostError(f"does not reboot: {error}")

    def _act(self, act: str, names: Sequence[str], lists: str = "none") -> Outcome:
        try:
            # A limit even where it is all of them: none must never come to mean all.
            return self.ansible.run(self.playbook, variables={"act": act, "lists": lists}, limit=",".join(names))
        except AnsibleError as error:
            raise HostError(str(error)) from None


def _error(done: Outcome, name: str) -> HostError | None:
    """Why an act did not come to its end on a host; None when it did."""
    event = done.of(name)
    if event is None:
        return HostError(f"Ansible did nothing there: {_first(done)}")
    if event.kind not in ("failed", "unreachable"):
        return None
    return HostError(_worded(event), unreachable=event.kind == "unreachable")


def _seen(done: Outcome, name: str) -> Seen | HostError:
    if error := _error(done, name):
        return error
    event = done.of(name)
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
