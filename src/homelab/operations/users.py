"""People of a NAS: their accounts, and their passwords on the way to Samba, never in a command line."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path

from pydantic import SecretStr
from pyinfra import host
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation

from homelab.files import ManagedFile
from homelab.model import Host, Problem
from homelab.nas import users
from homelab.operations import files
from homelab.probe import FileState, HostProbe
from homelab.settings import SecretError, resolve_secret, unreadable


def passwords(mine: Host, base: Path | None = None) -> tuple[Mapping[str, SecretStr], list[Problem]]:
    """The passwords that a NAS's users have by the inventory's references, and what is wrong with them."""
    found, problems = {}, []
    for name, user in mine.storage.users.items() if mine.storage else ():
        if user.password is None:
            continue
        place = f"{mine.name}: users.{name}.password"
        try:
            text = resolve_secret(user.password, base=base or Path.cwd())
        except SecretError as error:
            problems.append(unreadable(place, user.password, error))
            continue
        if wrong := users.password_problem(text.get_secret_value()):
            problems.append(Problem(place, wrong, "write a shorter one there"))
        else:
            found[name] = text
    return found, problems


@operation()
def accounts(
    commands: tuple[str, ...], record: ManagedFile | None = None, current: FileState | None = None
) -> Generator[StringCommand, None, None]:
    """Ensure accounts and groups with their numbers; the `record` of what they are given is laid before they get it."""
    note = record is not None and bool(record.content or current) and not record.stands(current)
    if not commands and not note:
        host.noop("all accounts are there")
        return
    if note and record is not None:
        yield files.write(record)
    for command in commands:
        yield StringCommand(command)


@operation()
def samba(mine: Host, given: Mapping[str, SecretStr], probe: HostProbe) -> Generator[StringCommand, None, None]:
    """Ensure that Samba knows the users' passwords, and nobody whom the inventory no longer gives one."""
    new, back, gone = users.to_set(given, probe), users.to_enable(given, probe), users.to_disable(mine, probe)
    if not new and not back and not gone:
        host.noop("Samba has these passwords")
        return
    # Before they get it, so that a run cut in between still knows whom it let in.
    record = users.record(new, probe)
    if new and not record.stands(probe.files.get(users.RECORD)):
        yield files.write(record)
    for name in new:
        line = given[name].get_secret_value() + "\n"
        yield StringCommand(f"smbpasswd -s -a {name}", _stdin=line * 2)
    for name in back:
        yield StringCommand(f"smbpasswd -e {name}")
    for name in gone:
        yield StringCommand(f"smbpasswd -d {name}")
