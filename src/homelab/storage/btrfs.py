"""A btrfs: how it is made, and which profiles it may have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from homelab.model import levels
from homelab.model.levels import Level
from homelab.storage import guard
from homelab.storage.records import Record
from homelab.storage.seen import DiskSeen

# Shell, for what looks at a btrfs that is mounted.
LIVES = r"""
# DEVICE of a btrfs in sysfs: whether the kernel still has it. All else says so of one that fell out while mounted: its
# `missing` is 0, and once it is plugged in again btrfs shows it by its new name, though nothing uses it.
lives() {
  [ -e "$1" ] || return 1
  case "${1##*/}" in dm-*) for under in "$1"/slaves/*; do [ ! -e "$under" ] || return 0; done; return 1 ;; esac
}
"""

# Kinds of chunks.
_KINDS = ("data", "metadata", "system")


def allowed(level: Level, kind: str) -> tuple[str, ...]:
    """What that kind of chunk may be at this level, and nothing beside it: a degraded mount leaves `single` behind."""
    return {"data": level.data, "metadata": level.metadata, "system": level.metadata}.get(kind, ())


def convert(level: Level, disks: int, at: str) -> str:
    """The command that puts right what has another profile; chunks of system follow those of metadata."""
    data, metadata = level.makes(disks)
    return f"btrfs balance start -dconvert={data},soft -mconvert={metadata},soft {at}"


def create(record: Record, ids: Mapping[str, str], disks: Mapping[str, DiskSeen], clearing: str) -> str:
    """Make a btrfs of disks that are blank, or cleared by `clearing`."""
    data, metadata = levels.level("btrfs", record.level).makes(len(disks))
    paths = " ".join(disk.path for disk in disks.values())
    return (
        guard.head(record)
        + "".join(guard.untouched(ids[name], disk) for name, disk in disks.items())
        + "note making\n"
        + clearing
        + "".join(f"idle {disk.name}; blank {disk.name}\n" for disk in disks.values())
        + f"mkfs.btrfs -q -d {data} -m {metadata} -L {record.pool} -U {record.uuid} {paths} </dev/null || "
        + f"stop 'no filesystem could be made for {record.pool}'\n"
        + "settle\n"
        + "".join(
            f"only {disk.name} {record.uuid} || stop '/dev/{disk.name} is not part of it'\n" for disk in disks.values()
        )
        + "note made\n"
    )


def wrong_profiles(level: Level, profiles: Mapping[str, Iterable[str]]) -> list[str]:
    """Kinds of chunks with another profile than this level has, "data single", or with several."""
    found = []
    for kind, names in profiles.items():
        may = allowed(level, kind)
        found += [f"{kind} {name}" for name in names if name not in may and kind != "globalreserve"]
        if len(set(names)) > 1 and not any(name not in may for name in names):
            found.append(f"{kind} {' and '.join(names)}")
    return found


def from_chunks(chunks: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Profiles by kind from `DATA|RAID1`; without a profile's name it is single."""
    found: dict[str, list[str]] = {}
    for chunk in chunks:
        kinds, _, profile = chunk.lower().rpartition("|")
        if not kinds:
            kinds, profile = profile, "single"
        elif profile in _KINDS:  # mixed: DATA|METADATA
            kinds, profile = chunk.lower(), "single"
        for kind in kinds.split("|"):
            found.setdefault(kind, []).append(profile)
    return {kind: tuple(names) for kind, names in found.items()}


def proven(level: Level, disks: Mapping[str, DiskSeen]) -> str:
    """Stop unless all that an unmounted filesystem holds is of this level, where nobody could tell before."""
    path = next(iter(disks.values()))
    device = next((each for each in path.devices if each.btrfs), path)
    data, metadata = (f"({'|'.join(_printed(each) for each in names)})" for names in (level.data, level.metadata))
    return (
        guard.head()
        + f'btrfs device scan >/dev/null\nfound="$(chunks {device.name})"\n'
        + '[ -n "$found" ] || stop "what its profiles are cannot be read"\n'
        + f'odd="$(printf "%s\\n" "$found" | grep -vE "^(DATA{data}|(METADATA|SYSTEM){metadata})$" || :)"\n'
        + f'[ -z "$odd" ] || stop "not all of it is {level.name}: $(printf %s "$odd" | tr "\\n" " ")"\n'
    )


def _printed(profile: str) -> str:
    # Of a chunk that is single only its kind is printed.
    return "" if profile == "single" else f"[|]{profile.upper()}"
