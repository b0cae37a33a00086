"""Recycle bins of SMB shares: what was deleted over SMB stays for some days, then goes for good."""

from __future__ import annotations

from collections.abc import Iterator

from homelab.files import ManagedFile
from homelab.model.nas import Nas
from homelab.nas.scripts import path, script, service, timer, unit

CONFIG = "/etc/homelab/recycle"
TIMER = "homelab-recycle.timer"
_WHAT = "Empty recycle bins of what is old"
_UNITS = (
    unit("homelab-recycle.service", service(_WHAT, path("homelab-recycle"), heavy=True)),
    unit(TIMER, timer(_WHAT, "OnCalendar=daily", "RandomizedDelaySec=3h", "FixedRandomDelay=true", "Persistent=true")),
)


def files(nas: Nas) -> tuple[ManagedFile, ...]:
    """The script, its list of volumes with their days, and the units."""
    days = _days(nas)
    if not days:
        return ()
    lines = "".join(f"{nas.volumes[volume].pool} {volume} {count}\n" for volume, count in days.items())
    return (script("homelab-recycle"), ManagedFile(CONFIG, lines), *_UNITS)


def timers(nas: Nas) -> tuple[str, ...]:
    return (TIMER,) if _days(nas) else ()


def watched(nas: Nas) -> Iterator[str]:
    """The line for the watch."""
    if _days(nas):
        yield "recycle"


def _days(nas: Nas) -> dict[str, int]:
    return {share.volume: share.smb.recycle_days for share in nas.shares.values() if share.smb and share.smb.recycle}
