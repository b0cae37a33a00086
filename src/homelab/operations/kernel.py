"""The kernel's modules and settings."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Mapping

from pyinfra import host
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation

from homelab.files import ManagedFile
from homelab.host import kernel
from homelab.operations import files
from homelab.probe import FileState, HostProbe


@operation()
def modules(wanted: ManagedFile, names: tuple[str, ...], current: HostProbe) -> Generator[StringCommand, None, None]:
    """Ensure that modules are loaded, now and after a reboot; what this kernel does not have is left out."""
    absent = [name for name in names if name not in current.modules and name not in current.missing_modules]
    stands = wanted.stands(current.files.get(wanted.path))
    if stands and not absent:
        host.noop("the modules are loaded")
        return
    if not stands:
        yield files.write(wanted)
    if absent:
        yield StringCommand(f"modprobe -a {' '.join(shlex.quote(name) for name in absent)}")


@operation()
def sysctls(wanted: Mapping[str, str], current: HostProbe) -> Generator[StringCommand, None, None]:
    """Ensure kernel settings in one drop-in, and that the running kernel has them."""
    file = kernel.sysctl_file(wanted)
    stands = file.stands(current.files.get(file.path))
    if stands and not kernel.drift(wanted, current):
        host.noop("the settings are as they should be")
        return
    if not stands:
        yield files.write(file)
    yield StringCommand(f"sysctl -q -p {file.path}")


@operation()
def rules(wanted: ManagedFile, current: FileState | None) -> Generator[StringCommand, None, None]:
    """Ensure a file of udev rules, and that udev has read it; no device is triggered."""
    if wanted.stands(current):
        host.noop(f"{wanted.path} is as it should be")
        return
    yield files.write(wanted)
    yield StringCommand("udevadm control --reload")
