"""Places in a pool whose disks each have a filesystem: which disk holds what, as that filesystem's UUID itself tells.

A pool's UUID ends in six zeros. In the UUID of each of its filesystems the last four of these are two digits for what
it holds and two for its number; so a pool is known again without any record.
"""

from __future__ import annotations

from dataclasses import dataclass

from homelab.storage.seen import DiskSeen, Signature

FOLDER = "/srv/.disks"
SENTINEL = ".homelab-disk"
# On a disk of which not all is restored yet: nothing is joined with it.
REBUILDING = ".homelab-rebuilding"
# On a disk of parity that is to be written anew by the next sync.
NO_PARITY = ".homelab-parity"
# snapraid's list of what the parity protects, as each disk of data has it from the first sync on.
CONTENT = ".homelab-snapraid.content"
FILESYSTEMS = ("ext4", "xfs")
_ROLES = {"data": "da", "parity": "ec"}
_ZEROS = "000000"


@dataclass(frozen=True)
class Place:
    """What a filesystem's UUID tells: its pool's UUID, and its place there."""

    pool: str
    role: str
    number: int

    @property
    def slot(self) -> str:
        """The name of the place, for snapraid and for people: data1, parity1."""
        return f"{self.role}{self.number}"

    @property
    def uuid(self) -> str:
        return f"{self.pool[:-4]}{_ROLES[self.role]}{self.number:02x}"


def pool_uuid(uuid: str) -> str:
    """The UUID of a pool from that of one of its filesystems, or from a new one."""
    return uuid[:-6] + _ZEROS


def read(uuid: str) -> Place | None:
    """The place that a filesystem's UUID names; None when it cannot be of such a pool."""
    role = next((role for role, digits in _ROLES.items() if uuid[-4:-2] == digits), None)
    if len(uuid) != 36 or role is None or uuid[-6:-4] != "00" or uuid[-2:] == "00":
        return None
    try:
        return Place(pool_uuid(uuid), role, int(uuid[-2:], 16))
    except ValueError:
        return None


def filesystem(disk: DiskSeen) -> Signature | None:
    """The filesystem that is all there is on a disk."""
    found = disk.signatures or ()
    return found[0] if len(found) == 1 and found[0].type in FILESYSTEMS and not disk.partitions else None


def of(disk: DiskSeen) -> Place | None:
    """The place that a disk has by its filesystem."""
    found = filesystem(disk)
    return read(found.uuid) if found is not None else None


def label(pool: str, type_: str) -> str:
    """A filesystem's label: ext4's have at most 16 letters, as our names; XFS's have 12."""
    return pool[:12] if type_ == "xfs" else pool


def path(pool: str, slot: str) -> str:
    return f"{FOLDER}/{pool}/{slot}"


def unit(pool: str, slot: str) -> str:
    """The mount unit's name; neither name has anything in it that systemd would escape."""
    return f"srv-.disks-{pool}-{slot}.mount"


def sentinel(pool: str, slot: str, uuid: str) -> str:
    """The line that a filesystem carries about its place."""
    return f"{pool} {slot} {uuid}"
