"""Read-only snapshots of btrfs and ZFS volumes, and how many are kept; Samba shows them as Previous Versions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime

from homelab.files import ManagedFile
from homelab.model.nas import Nas, Snapshots
from homelab.nas.scripts import path, script, service, timer, unit
from homelab.probe import HostProbe, Questions

FORMAT = "@GMT-%Y.%m.%d-%H.%M.%S"
CONFIG = "/etc/homelab/snapshots"
SCRIPT = script("homelab-snapshot")
_NAME = re.compile(r"@GMT-(\d{4})\.(\d\d)\.(\d\d)-(\d\d)\.(\d\d)\.(\d\d)", re.ASCII)
_SERVICE = unit("homelab-snapshot@.service", service("Snapshot of the volume %i", f"{path('homelab-snapshot')} %i"))
_LISTED = "nas_snapshots"
# Only with this mark on itself a snapshot of ZFS is the toolkit's; the script on the host goes by it too.
MARK = "homelab:snapshot"
# The rules with the period of each, finest first: its timer, and how old the newest may get before that is an alert.
_PERIODS = (
    ("hourly", "OnCalendar=hourly", 4 * 3600),
    ("daily", "OnCalendar=daily", 50 * 3600),
    ("weekly", "OnCalendar=weekly", 16 * 86400),
    ("monthly", "OnCalendar=monthly", 64 * 86400),
)


def questions(nas: Nas) -> Questions:
    """Which snapshots there are, for the sentence that says how many would go."""
    if not nas.snapshots:
        return Questions()
    look = f"find {nas.mountpoint('*')}/.snapshots/* -mindepth 1 -maxdepth 1 -type d -name '@GMT-*'\n"
    for volume in nas.snapshots:
        pool = nas.volumes[volume].pool
        if nas.pools[pool].kind == "zfs":
            # Where the pool has given up, each question to ZFS would wait for ever.
            look += (
                f'[ "$(cat /proc/spl/kstat/zfs/{pool}/state)" = SUSPENDED ] || '
                f"timeout 60 zfs get -H -d 1 -t snapshot -o name,value,source {MARK} {pool}/{volume}\n"
            )
    return Questions(text=tuple(_config_path(volume) for volume in nas.snapshots), commands=((_LISTED, look),))


def files(nas: Nas) -> tuple[ManagedFile, ...]:
    """The script, its settings and the units."""
    if not nas.snapshots:
        return ()
    return (
        SCRIPT,
        _SERVICE,
        *(ManagedFile(_config_path(volume), _config(nas, volume)) for volume in nas.snapshots),
        *(
            unit(_timer(volume), timer(f"Snapshots of the volume {volume}", when, "Persistent=true", "AccuracySec=1s"))
            for volume, when, _ in _timed(nas)
        ),
    )


def timers(nas: Nas) -> tuple[str, ...]:
    return tuple(_timer(volume) for volume, _, _ in _timed(nas))


def watched(nas: Nas) -> Iterator[str]:
    """Lines for the watch: a volume, its pool, and how many seconds old its newest snapshot may be."""
    for volume, _, old in _timed(nas):
        yield f"snapshot {volume} {nas.volumes[volume].pool} {old}"


def told(nas: Nas, probe: HostProbe, now: datetime) -> dict[str, str]:
    """A sentence for each volume whose retention as it is now written deletes more than the one in force."""
    standing: dict[str, list[str]] = {}
    for line in probe.output.get(_LISTED, "").splitlines():
        # /srv/tank/.snapshots/media/@GMT-2026.11.23-12.00.00
        # tank/media@GMT-2026.11.23-12.00.00<TAB>yes<TAB>local
        if line.endswith("\tyes\tlocal"):
            dataset, at, name = line.partition("\t")[0].partition("@")
            standing.setdefault(dataset.rpartition("/")[2], []).append(at + name)
        elif len(parts := line.split("/")) == 6:
            standing.setdefault(parts[4], []).append(parts[5])
    said = {}
    for volume, keep in nas.snapshots.items():
        names = standing.get(volume, ())
        going = thinned(names, keep, now)
        before = thinned(names, _kept(probe.text.get(_config_path(volume), "")), now)
        new = sorted(set(going) - set(before))
        if new:
            said[volume] = f"{len(new)} of its {len(names)} snapshots go by the new retention, the oldest {new[0]}"
    return said


def thinned(names: Iterable[str], keep: Snapshots, now: datetime) -> list[str]:
    """Which snapshots a retention deletes, oldest first; the script on the host decides alike.

    Each rule keeps the newest snapshot of its newest periods that have one. No rule deletes what another keeps, and
    none deletes the newest, a name that is no time, or a time that is still to come.
    """
    if not _finest(keep):
        return []
    used = dict.fromkeys(("hourly", "daily", "weekly", "monthly"), 0)
    last: dict[str, object] = {}
    going: list[str] = []
    newest = True
    for name in sorted(names, reverse=True):
        when = _time(name)
        if when is None or when > now:
            continue
        day = when.date()
        # Weeks that begin on Mondays: 1970-01-01 was a Thursday.
        week = ((day - date(1970, 1, 1)).days + 3) // 7
        kept, newest = newest, False
        periods = {"hourly": (day, when.hour), "daily": day, "weekly": week, "monthly": (day.year, day.month)}
        for rule, period in periods.items():
            if used[rule] < getattr(keep, rule) and last.get(rule) != period:
                last[rule] = period
                used[rule] += 1
                kept = True
        if not kept:
            going.append(name)
    return going[::-1]


def _time(name: str) -> datetime | None:
    found = _NAME.fullmatch(name)
    if not found:
        return None
    year, month, day, hour, minute, second = map(int, found.groups())
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


def _timed(nas: Nas) -> Iterator[tuple[str, str, int]]:
    """Each volume with what its timer says and how old its newest snapshot may be."""
    for volume, keep in nas.snapshots.items():
        if finest := _finest(keep):
            yield volume, *finest[1:]


def _finest(keep: Snapshots) -> tuple[str, str, int] | None:
    return next((period for period in _PERIODS if getattr(keep, period[0])), None)


def _timer(volume: str) -> str:
    return f"homelab-snapshot@{volume}.timer"


def _config_path(volume: str) -> str:
    return f"{CONFIG}/{volume}"


def _config(nas: Nas, volume: str) -> str:
    keep = nas.snapshots[volume]
    return f"pool={nas.volumes[volume].pool}\n" + "".join(f"{each[0]}={getattr(keep, each[0])}\n" for each in _PERIODS)


def _kept(config: str) -> Snapshots:
    lines = dict(line.partition("=")[::2] for line in config.splitlines())
    return Snapshots.model_validate({each[0]: int(lines.get(each[0]) or 0) for each in _PERIODS})
