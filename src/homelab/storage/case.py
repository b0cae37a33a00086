"""A pool as it is listed and as its disks are, and what is decided of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from homelab.model import levels
from homelab.model.levels import Level
from homelab.model.nas import Pool
from homelab.model.problems import Problem
from homelab.storage.records import Record
from homelab.storage.seen import Array, Device, DiskSeen, Inner, Member, Seen, ZfsMember
from homelab.storage.steps import Step

CALLED = {"mdraid": "array", "btrfs": "btrfs", "snapraid": "snapraid", "zfs": "zpool"}


@dataclass
class Decided:
    """What becomes of a pool: its record, when it is or will be one, and what leads there."""

    record: Record | None = None
    # What comes before the steps of any pool.
    first: list[Step] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    # Whether its filesystem counts project quotas; None where nobody can tell before it is started.
    projects: bool | None = True


@dataclass(frozen=True)
class Case:
    """A pool as it is listed, and its disks as they were seen, by the inventory's names."""

    host: str
    name: str
    pool: Pool
    ids: Mapping[str, str]
    consents: Mapping[str, str | None]
    disks: Mapping[str, DiskSeen]
    absent: tuple[str, ...]
    seen: Seen
    used: frozenset[str]
    # Which inventory lists it: a command that somebody is told to run has to mean the same one.
    environment: str
    # Of an encrypted pool, whose disks are seen in the clear: the UUID of each one's LUKS header.
    luks: Mapping[str, str] = field(default_factory=dict)

    @property
    def level(self) -> Level:
        return levels.level(self.pool.kind, self.pool.level)

    @property
    def place(self) -> str:
        return f"{self.host}.pools.{self.name}"

    def deploy(self, name: str) -> str:
        """The command that runs one of the deploys: nas, day2/replace_disk."""
        return f"HOMELAB_ENV={self.environment} pyinfra inventory deploys/{name}.py"

    def carrier(self, disk: DiskSeen) -> Device | None:
        """What of a disk is a member of a pool of this kind: the disk, or its one partition that is."""
        found = [device for device in disk.devices if self.member(device)]
        return found[0] if len(found) == 1 else None

    def member(self, device: Device) -> Member | None:
        if self.pool.kind == "zfs":
            return None if device.zfs is None or device.zfs.destroyed else device.zfs
        return device.md if self.pool.kind == "mdraid" else device.btrfs

    @property
    def members(self) -> dict[str, Member]:
        """The disks that are members, and what their superblocks say."""
        carried = self._carried()
        newest: dict[str, ZfsMember] = {}
        for each in carried.values():
            if isinstance(each, ZfsMember) and each.txg >= newest.get(each.uuid, each).txg:
                newest[each.uuid] = each
        # A disk that was taken out of a zpool keeps its labels; which are in it, the newest one of them all tells.
        return {
            name: each
            for name, each in carried.items()
            if not isinstance(each, ZfsMember) or each.device in dict(newest[each.uuid].leaves)
        }

    @property
    def newest(self) -> ZfsMember | None:
        """Of a zpool the label that was written last."""
        labels = [each for each in self.members.values() if isinstance(each, ZfsMember)]
        return max(labels, key=lambda each: each.txg, default=None)

    def _carried(self) -> dict[str, Member]:
        found = {}
        for name, disk in self.disks.items():
            device = self.carrier(disk)
            member = self.member(device) if device else None
            if member is not None:
                found[name] = member
        return found

    @property
    def array(self) -> Array | None:
        """The array that the kernel made of these disks."""
        held = {device.name for disk in self.disks.values() if (device := self.carrier(disk)) is not None}
        return next((each for each in self.seen.arrays if held & set(each.members)), None)

    @property
    def inner(self) -> Inner | None:
        """The filesystem on an array, as it has it itself while it runs.

        Of one that does not, only a member of a mirror tells: it holds the filesystem whole. On a member of any other
        level the beginning of the filesystem may stand too, and so may the parity of several that are gone.
        """
        array = self.array
        if array is not None and array.runs:
            return array.device.inner if array.device.inner is not None and array.device.inner.type else None
        carriers = [device for disk in self.disks.values() if (device := self.carrier(disk)) is not None]
        told = [device.inner for device in carriers if device.md is not None and device.md.level == 1]
        return next((each for each in told if each is not None and each.type), None)


def unmirrored(case: Case) -> Problem:
    """What the owner of a pool has to know that keeps one copy of everything."""
    found = f"nothing is mirrored: the loss of {'any one disk' if len(case.pool.disks) > 1 else 'its disk'} loses all"
    return Problem(case.place, found, 'back it up; with two disks or more "raid1" keeps each file twice')


def step(kind: str, case: Case, says: str, command: str, words: tuple[str, ...] = ()) -> Step:
    assert kind in ("additive", "destructive", "config")
    return Step(kind, f"pool {case.name}", says, command, consents=words, timeout=1800)  # type: ignore[arg-type]
