"""What the disks of a host are, as it was seen; nothing here decides."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, order=True)
class Signature:
    """What `wipefs` recognises on a device: at which byte, what, and whose."""

    offset: int
    type: str
    uuid: str = ""
    label: str = ""


@dataclass(frozen=True)
class MdMember:
    """What a member of an array says of it in its superblock, version 1 of which is all that is read.

    `needs` is how many bytes a device must have to be a member, `device` the UUID that the array gave this one.
    """

    uuid: str
    name: str
    level: int
    disks: int
    events: int
    needs: int = 0
    version: str = "1.2"
    device: str = ""


@dataclass(frozen=True)
class BtrfsMember:
    """What a device of a btrfs says of it in its superblock; `size` is how much of the device it uses, in bytes."""

    uuid: str
    label: str
    devices: int
    devid: int
    size: int = 0


@dataclass(frozen=True)
class ZfsMember:
    """What a device of a zpool says of it in its newest label.

    `uuid` is the pool's guid and `device` this one's own. `leaves` are all devices of its group, guid and path each,
    and `devices` how many places the group has: more leaves are there while one replaces another. `alone` is whether
    the pool has no other group. `size` is how many bytes a disk must have to take a place.
    """

    uuid: str
    label: str
    level: str
    devices: int
    device: str
    leaves: tuple[tuple[str, str], ...] = ()
    txg: int = 0
    exported: bool = False
    destroyed: bool = False
    hostid: int = 0
    hostname: str = ""
    comment: str = ""
    size: int = 0
    alone: bool = True

    @property
    def mark(self) -> str:
        """The UUID that the toolkit gave the pool when it made it, the very 32 digits that a comment has room for."""
        return str(UUID(self.comment)) if re.fullmatch("[0-9a-f]{32}", self.comment) else ""


# What every kind of pool writes on its disks.
Member = MdMember | BtrfsMember | ZfsMember


@dataclass(frozen=True)
class Luks:
    """What a LUKS header says. `slots` is whether anything opens it: one whose making was cut may have none."""

    uuid: str
    version: int = 2
    label: str = ""
    slots: bool = True


@dataclass(frozen=True)
class Inner:
    """The filesystem on an array; `projects` says whether it counts project quotas, None where nobody knows."""

    type: str = ""
    uuid: str = ""
    projects: bool | None = False


@dataclass(frozen=True)
class Device:
    """A partition, an array or, with more known of it, a disk.

    `signatures` is None when nobody looked or they could not be read. `content` is the hash of the sampled content of a
    device without signatures: "zero" when it reads zero, "" when nobody looked. `print` is the hash of what wipefs
    printed, for the guard to compare with. `chunks` are a btrfs's profiles, where it is not mounted. `begun` is the
    name of a zpool whose making was cut before anything could be in it.
    """

    name: str
    size: int = 0
    signatures: tuple[Signature, ...] | None = None
    content: str = ""
    print: str = ""
    holders: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    swap: bool = False
    md: MdMember | None = None
    btrfs: BtrfsMember | None = None
    luks: Luks | None = None
    inner: Inner | None = None
    chunks: tuple[str, ...] = ()
    zfs: ZfsMember | None = None
    begun: str = ""

    @property
    def path(self) -> str:
        return f"/dev/{self.name}"

    @property
    def is_blank(self) -> bool:
        """No signature, and all that was sampled reads zero."""
        return self.signatures == () and self.content == "zero"


@dataclass(frozen=True)
class Mapped(Device):
    """What lies in the clear on a LUKS that is open, `mapper/<name>`; `uuid` is that of the header it was opened by."""

    uuid: str = ""
    exclusive: bool = True


@dataclass(frozen=True)
class DiskSeen(Device):
    """A whole disk. `sequence` is the kernel's number for this very plugging-in; `opened` is a LUKS on it, in clear."""

    serial: str = ""
    model: str = ""
    transport: str = ""
    links: tuple[str, ...] = ()
    removable: bool = False
    read_only: bool = False
    sequence: str = ""
    exclusive: bool = True
    partitions: tuple[Device, ...] = ()
    opened: Mapped | None = None

    @property
    def devices(self) -> tuple[Device, ...]:
        """Itself and its partitions."""
        return (self, *self.partitions)

    @property
    def physical(self) -> DiskSeen:
        """The disk that can be taken in a hand."""
        return self


@dataclass(frozen=True)
class Opened(DiskSeen):
    """An encrypted disk as a pool on it sees it: in clear. `disk` is the one it lies on, `uuid` its LUKS header's.

    One that is `fresh` is made in this run, so that only then it is known to be blank.
    """

    disk: DiskSeen | None = None
    uuid: str = ""
    fresh: bool = False

    @property
    def physical(self) -> DiskSeen:
        return self.disk or self


@dataclass(frozen=True)
class Array:
    """An md array as the kernel has it; `device` is what is on it, `states` how the kernel has each member."""

    device: Device
    level: str
    state: str
    disks: int
    members: tuple[str, ...]
    degraded: int = 0
    action: str = ""
    states: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.device.name

    @property
    def runs(self) -> bool:
        return self.state not in ("", "clear", "inactive")

    @property
    def working(self) -> frozenset[str]:
        """The members that hold all they should."""
        return frozenset(name for name, state in self.states.items() if "in_sync" in state)


@dataclass(frozen=True)
class Zpool:
    """A zpool as the kernel has it: `states` are those of its devices by their guids, `busy` while one is written."""

    guid: str
    name: str
    health: str = "ONLINE"
    states: Mapping[str, str] = field(default_factory=dict)
    busy: bool = False

    @property
    def working(self) -> frozenset[str]:
        """The devices that hold all they should, or will soon."""
        return frozenset(guid for guid, state in self.states.items() if state == "ONLINE")


@dataclass(frozen=True)
class Dataset:
    """A dataset of ZFS; `quota` is its refquota in bytes, None without one."""

    type: str = "filesystem"
    mountpoint: str = "legacy"
    quota: int | None = None


@dataclass(frozen=True)
class ZfsHost:
    """What the module of ZFS could be built from where a host has none, and its number for ZFS, 0 without one.

    `contrib` is whether apt's sources have that component, `lists` whether it knows any package at all, `headers`
    whether those of the running kernel are there or to be had.
    """

    contrib: bool = False
    lists: bool = False
    headers: bool = False
    hostid: int = 0


@dataclass(frozen=True)
class Mount:
    """A mounted filesystem; `root` is the part of it that is mounted."""

    target: str
    source: str
    filesystem: str
    options: frozenset[str] = frozenset()
    root: str = "/"

    @property
    def takes_writes(self) -> bool:
        """False of one that was mounted to be read only, or has become so by itself after an error.

        `emergency_ro` and `shutdown` are ext4's words for the latter (Linux 6.15).
        """
        return not self.options & {"ro", "emergency_ro", "shutdown"}


@dataclass(frozen=True)
class Mountpoint:
    """The directory a pool is mounted on: what `kind` of thing, and while nothing is mounted whether it is immutable.

    `names` is what stands in its root. `profiles`, `missing` and `dropped` are those of a mounted btrfs: how many disks
    it was mounted without, and how many have fallen out since.
    """

    kind: str = ""
    immutable: bool = False
    empty: bool = True
    sentinel: str = ""
    profiles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing: int = 0
    dropped: int = 0
    names: tuple[str, ...] = ()
    total: int = 0
    used: int = 0


@dataclass(frozen=True)
class VolumeSeen:
    """A volume's root; `project` is its project id, or that of its qgroup, and `quota` its limit in bytes."""

    kind: str
    owner: str = ""
    group: str = ""
    mode: str = ""
    subvolume: bool = False
    project: int = 0
    quota: int | None = None


@dataclass(frozen=True)
class Seen:
    """One look at a host's storage. `listed` has the kernel names that each listed id leads to."""

    disks: Mapping[str, DiskSeen] = field(default_factory=dict)
    listed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    arrays: tuple[Array, ...] = ()
    mounts: tuple[Mount, ...] = ()
    mountpoints: Mapping[str, Mountpoint] = field(default_factory=dict)
    volumes: Mapping[str, VolumeSeen] = field(default_factory=dict)
    records: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    projects: Mapping[str, int] = field(default_factory=dict)
    consents: Mapping[str, str] = field(default_factory=dict)
    waits: Mapping[str, str] = field(default_factory=dict)
    serials: Mapping[str, str] = field(default_factory=dict)
    tools: frozenset[str] = frozenset()
    # By UUID of a LUKS header, a hash of it on its disk and of it in its backup.
    headers: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    # By UUID of an array those of the disks that held all of it when it last ran, both as mdadm writes them; of a zpool
    # by guids.
    kept: Mapping[str, frozenset[str]] = field(default_factory=dict)
    # By guid.
    zpools: Mapping[str, Zpool] = field(default_factory=dict)
    datasets: Mapping[str, Dataset] = field(default_factory=dict)
    zfs: ZfsHost = ZfsHost()

    def mounted(self, target: str) -> Mount | None:
        """The last thing mounted there, which is what one sees."""
        return next((mount for mount in reversed(self.mounts) if mount.target == target), None)
