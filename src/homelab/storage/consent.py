"""Leave to lose what is on a disk: bound to this disk and to what was seen on it, and good for one time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from homelab.storage.seen import DiskSeen

# Lines `<consent> began <what was seen>` and `<consent> done`.
USED = "/var/lib/homelab/consents"

Mark = tuple[str, int, str, str]


def marks(disk: DiskSeen) -> tuple[Mark, ...]:
    """All signatures of a disk and its partitions: on which of them, at which byte, what, and whose."""
    return tuple(
        (device.name.removeprefix(disk.name), each.offset, each.type, each.uuid)
        for device in disk.devices
        for each in device.signatures or ()
    )


def contents(disk: DiskSeen) -> tuple[tuple[str, str], ...]:
    """Hashes of what is on it without a signature."""
    return tuple(
        (device.name.removeprefix(disk.name), device.content)
        for device in disk.devices
        if device.content not in ("", "zero")
    )


def word(disk: DiskSeen) -> str:
    """The 16 letters that let go of exactly this."""
    parts = [part.name.removeprefix(disk.name) for part in disk.partitions]
    told = json.dumps([disk.serial, sorted(marks(disk)), sorted(contents(disk)), sorted(parts)])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def began(disk: DiskSeen) -> str:
    """What the host notes when it begins to clear a disk."""
    return json.dumps({"serial": disk.serial, "marks": sorted(marks(disk))})


def cut(consent: str, used: Mapping[str, str]) -> bool:
    """Whether the clearing under this consent began and did not come to its end."""
    return used.get(consent, "").startswith("began")


def seen(disk: DiskSeen) -> str:
    """What is on a disk, in words."""
    found = []
    for device in disk.devices:
        where = f" on {device.name}" if device is not disk else ""
        for each in device.signatures or ():
            called = "".join((f" {each.label}" if each.label else "", f" {each.uuid}" if each.uuid else ""))
            found.append(f"{each.type}{called} at byte {each.offset}{where}")
        if device.content not in ("", "zero"):
            found.append(f"data without a signature{where}")
    if len(found) > 6:
        found = [*found[:5], f"{len(found) - 5} more"]
    unsigned = [part.name for part in disk.partitions if not part.signatures and part.content == "zero"]
    if unsigned:
        found.append(f"the partition{'s' if len(unsigned) > 1 else ''} {', '.join(unsigned)}")
    return ", ".join(found)
