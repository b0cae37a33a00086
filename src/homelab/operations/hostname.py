"""A host's own name."""

from __future__ import annotations

import shlex
from collections.abc import Generator

from pyinfra import host
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation

from homelab.host import names
from homelab.probe import HostProbe


@operation()
def hostname(wanted: str, current: HostProbe) -> Generator[StringCommand, None, None]:
    """Ensure the hostname, now and after a reboot."""
    if current.hostname == wanted == current.text.get(names.HOSTNAME, "").strip():
        host.noop(f"it is called {wanted}")
        return
    yield StringCommand(f"printf '%s\\n' {shlex.quote(wanted)} >{names.HOSTNAME} && hostname -F {names.HOSTNAME}")
