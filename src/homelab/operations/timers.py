"""Many files and timers at once; what stands and runs already costs no command."""

from __future__ import annotations

import shlex
from collections.abc import Generator

from pyinfra import host
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation

from homelab.files import ManagedFile
from homelab.operations import files
from homelab.probe import HostProbe

_UNITS = "/etc/systemd/system/"


@operation()
def laid(wanted: tuple[ManagedFile, ...], current: HostProbe, reload: bool) -> Generator[StringCommand, None, None]:
    """Ensure files; systemd reads units anew, once, when one of them is new or `reload` says that it has yet to."""
    missing = [each for each in wanted if not each.stands(current.files.get(each.path))]
    if not missing and not reload:
        host.noop(f"{len(wanted)} files are as they should be")
        return
    for each in missing:
        yield files.write(each)
    if reload or any(each.path.startswith(_UNITS) for each in missing):
        yield StringCommand("systemctl daemon-reload")


@operation()
def running(timers: tuple[str, ...], current: HostProbe) -> Generator[StringCommand, None, None]:
    """Ensure that timers are enabled and wait for their time; a reload alone gives a changed one its new time."""
    idle = [name for name in timers if current.unit(name).enabled != "enabled" or current.unit(name).active != "active"]
    if not idle:
        host.noop(f"{len(timers)} timers run")
        return
    yield StringCommand(f"systemctl enable --now --quiet {' '.join(shlex.quote(name) for name in idle)}")
