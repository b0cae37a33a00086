"""Mirrors of btrfs: how they are made, and which profiles they may have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from homelab.storage import guard
from homelab.storage.records import Record
from homelab.storage.seen import DiskSeen

# What each kind of chunk may be, and nothing beside it: writes to a degraded mirror leave `single` behind.
ALLOWED = {"data": ("raid1",), "metadata": ("raid1", "raid1c3"), "system": ("raid1", "raid1c3")}


def create(record: Record, ids: Mapping[str, str], disks: Mapping[str, DiskSeen], clearing: str) -> str:
    """Make a mirror of disks that are blank, cleared by `clearing`, or half made by a run that was cut."""
    own = [disk for disk in disks.values() if _is_own(record, disk)]
    metadata = "raid1c3" if len(disks) > 2 else "raid1"
    paths = " ".join(disk.path for disk in disks.values())
    return (
        guard.head(record)
        + "".join(
            guard.same(ids[name], disk)
            + f"idle {disk.name}\nonly {disk.name} {record.uuid} || stop '/dev/{disk.name} holds something else'\n"
            for name, disk in disks.items()
            if disk in own
        )
        + "".join(guard.untouched(ids[name], disk) for name, disk in disks.items() if disk not in own)
        + "note making\n"
        + clearing
        + "".join(f"clear {disk.name}\n" for disk in own)
        + "".join(f"idle {disk.name}; blank {disk.name}\n" for disk in disks.values())
        + f"mkfs.btrfs -q -d raid1 -m {metadata} -L {record.pool} -U {record.uuid} {paths} </dev/null || "
        + f"stop 'no filesystem could be made for {record.pool}'\n"
        + "settle\n"
        + "".join(
            f"only {disk.name} {record.uuid} || stop '/dev/{disk.name} is not part of it'\n" for disk in disks.values()
        )
        + "note made\n"
    )


def _is_own(record: Record, disk: DiskSeen) -> bool:
    return disk.btrfs is not None and disk.btrfs.uuid == record.uuid


def wrong_profiles(profiles: Mapping[str, Iterable[str]]) -> list[str]:
    """Kinds of chunks with another profile than one that mirrors, "data single"."""
    found = []
    for kind, names in profiles.items():
        allowed = ALLOWED.get(kind, ())
        found += [f"{kind} {name}" for name in names if name not in allowed and kind != "globalreserve"]
        if len(set(names)) > 1 and not any(name not in allowed for name in names):
            found.append(f"{kind} {' and '.join(names)}")
    return found


def from_chunks(chunks: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Profiles by kind from `DATA|RAID1`; without a profile's name it is single."""
    found: dict[str, list[str]] = {}
    for chunk in chunks:
        kinds, _, profile = chunk.lower().rpartition("|")
        if not kinds:
            kinds, profile = profile, "single"
        elif profile in ALLOWED:  # mixed: DATA|METADATA
            kinds, profile = chunk.lower(), "single"
        for kind in kinds.split("|"):
            found.setdefault(kind, []).append(profile)
    return {kind: tuple(names) for kind, names in found.items()}


def proven(disks: Mapping[str, DiskSeen]) -> str:
    """Stop unless all that an unmounted filesystem holds is mirrored; for a host that had no btrfs to tell it with."""
    path = next(iter(disks.values()))
    device = next((each for each in path.devices if each.btrfs), path)
    return (
        guard.head()
        + f'btrfs device scan >/dev/null\nfound="$(chunks {device.name})"\n'
        + '[ -n "$found" ] || stop "what its profiles are cannot be read"\n'
        + 'odd="$(printf "%s\\n" "$found" | grep -vE "^(DATA[|]RAID1|(METADATA|SYSTEM)[|]RAID1(C3)?)$" || :)"\n'
        + '[ -z "$odd" ] || stop "not all of it is mirrored: $(printf "%s " $odd)"\n'
    )
