"""Units and what state they are in; what is so already costs no command."""

from __future__ import annotations

import shlex
from collections.abc import Generator

from pyinfra import host
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation

from homelab.files import ManagedFile
from homelab.operations import files
from homelab.probe import FileState, UnitState


@operation()
def unit_file(wanted: ManagedFile, current: FileState | None) -> Generator[StringCommand, None, None]:
    """Ensure a unit's file, and that systemd has read it."""
    if wanted.stands(current):
        host.noop(f"{wanted.path} is as it should be")
        return
    yield files.write(wanted)
    yield StringCommand("systemctl daemon-reload")


@operation()
def running(unit: str, current: UnitState, restart: bool = False) -> Generator[StringCommand, None, None]:
    """Ensure that a unit is enabled and active; `restart` when what it reads has changed."""
    quoted = shlex.quote(unit)
    commands = []
    # A unit of a package that is installed in this very run was not found before it.
    if current.enabled not in ("enabled", "static", "generated", "alias", "indirect"):
        commands.append(f"systemctl enable --quiet {quoted}")
    # It may have been started since the look, by its package, without what it should read.
    if restart:
        commands.append(f"systemctl restart {quoted}")
    elif current.active not in ("active", "activating", "reloading"):
        commands.append(f"systemctl start {quoted}")
    if not commands:
        host.noop(f"{unit} runs")
        return
    yield StringCommand(" && ".join(commands))
