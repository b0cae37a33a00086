"""The NFS server: what is in force of its exports, and units that only older versions need."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation

from homelab.files import ManagedFile
from homelab.nas import nfs
from homelab.operations import files


@operation()
def exports(
    changed: tuple[ManagedFile, ...], stale: tuple[str, ...], applied: bool
) -> Generator[StringCommand, None, None]:
    """Ensure that the exports' files, and no others of ours, are there and in force. Nobody's mount is interrupted."""
    if not changed and not stale and applied:
        host.noop("the exports are in force")
        return
    for wanted in changed:
        yield files.write(wanted)
    for path in stale:
        yield StringCommand(f"rm -f -- {path}")
    yield StringCommand(nfs.APPLY)


@operation()
def masked(units: tuple[str, ...]) -> Generator[StringCommand, None, None]:
    """Ensure that units neither run nor can be started by another."""
    if not units:
        host.noop("they are masked")
        return
    yield StringCommand(f"systemctl mask --quiet --now {' '.join(units)}")
