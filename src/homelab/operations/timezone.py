"""The time zone that logs and timers are in."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Generator

from pyinfra import host
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation

from homelab.host import LOCALTIME, TIMEZONE
from homelab.probe import HostProbe

_ZONES = "/usr/share/zoneinfo"


@operation()
def timezone(wanted: str, current: HostProbe) -> Generator[StringCommand, None, None]:
    """Ensure the time zone, by the link that glibc and systemd read and, where there is one, the name beside it."""
    link = current.files.get(LOCALTIME)
    target = posixpath.normpath(posixpath.join("/etc", link.target)) if link and link.target else ""
    named = TIMEZONE not in current.files or current.text.get(TIMEZONE, "").strip() == wanted
    if target == f"{_ZONES}/{wanted}" and named:
        host.noop(f"the time zone is {wanted}")
        return
    zone = shlex.quote(f"{_ZONES}/{wanted}")
    yield StringCommand(
        f"[ -f {zone} ] || {{ echo {shlex.quote(f'{wanted}: this system knows no such time zone')} >&2; exit 1; }}\n"
        f"ln -sfn {zone} {LOCALTIME}.homelab-new && mv -fT {LOCALTIME}.homelab-new {LOCALTIME} || exit 1\n"
        f"[ ! -e {TIMEZONE} ] || printf '%s\\n' {shlex.quote(wanted)} >{TIMEZONE}"
    )
