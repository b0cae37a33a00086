"""smbd heeds smb.conf: by a reload when only shares changed, as a restart ends everybody's sessions."""

from __future__ import annotations

from collections.abc import Generator
from typing import Literal

from pyinfra import host
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation

from homelab.nas import smb
from homelab.operations import systemd
from homelab.probe import UnitState


@operation()
def served(action: Literal["restart", "reload"] | None, current: UnitState) -> Generator[StringCommand, None, None]:
    """Ensure that smbd is enabled, runs, and has read its configuration."""
    if action == "reload":
        yield StringCommand(smb.RELOAD)
        return
    yield from systemd.running._inner(smb.UNIT, current, restart=action == "restart")


@operation()
def disabled(units: tuple[str, ...]) -> Generator[StringCommand, None, None]:
    """Ensure that units neither run nor start at boot."""
    if not units:
        host.noop("they are off")
        return
    yield StringCommand(f"systemctl disable --quiet --now {' '.join(units)}")
