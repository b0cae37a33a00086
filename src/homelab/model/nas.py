"""What a NAS is made of: disks, pools on them, volumes in these, and who may use, snapshot and back them up."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from homelab.model.names import Tuple
from homelab.model.secret import Secret
from homelab.model.storage import (
    Bytes,
    Consent,
    DiskId,
    GroupName,
    Mail,
    Moment,
    Name,
    NfsClient,
    OctalMode,
    PoolUuid,
    Repository,
    Smtp,
    Url,
    UserName,
    pool_kind,
    pool_level,
)
from homelab.model.strict import Strict

PoolKind = Literal["mdraid", "btrfs"]


class Disk(Strict):
    """A disk, by its name under /dev/disk/by-id or as ``serial:...``; ``consent`` lets its content be lost, once."""

    id: DiskId
    consent: Consent | None = None


class Pool(Strict):
    """Disks that keep one filesystem, mounted at ``/srv/<name>``.

    ``filesystem`` is that of an mdraid pool; ``uuid`` adopts a pool that was made without this toolkit.
    """

    kind: Annotated[PoolKind, BeforeValidator(pool_kind)]
    level: Annotated[Literal["raid1"], BeforeValidator(pool_level)]
    disks: Annotated[tuple[str, ...], Tuple]
    filesystem: Literal["ext4", "xfs"] | None = None
    uuid: PoolUuid | None = None


class Volume(Strict):
    """A directory of a pool, ``/srv/<pool>/<name>``: a subvolume where the pool is btrfs. ``quota`` in bytes."""

    pool: str
    owner: UserName = "root"
    group: GroupName | None = None
    mode: OctalMode = "0770"
    quota: Bytes | None = None


class User(Strict):
    """A person with files on the NAS; the same ``uid`` everywhere keeps NFS and SMB in agreement."""

    uid: Annotated[int, Field(ge=1000, le=59999)]
    password: Secret | None = None


class Nfs(Strict):
    """An NFSv4 export. Clients are names of hosts, of ``networks``, addresses or networks."""

    clients: Annotated[tuple[NfsClient, ...], Tuple]
    read_only: bool = False
    squash: Literal["root", "all", "none"] = "root"


class Smb(Strict):
    """An SMB3 share for these users, of NAS ``users``; ``purpose`` is a set of Samba options that belong together."""

    users: Annotated[tuple[str, ...], Tuple]
    read_only: bool = False
    purpose: Literal["default", "timemachine", "multiprotocol", "private"] = "default"
    recycle: bool = False


class Share(Strict):
    """A volume as others see it."""

    volume: str
    nfs: Nfs | None = None
    smb: Smb | None = None


class Snapshots(Strict):
    """How many snapshots of a volume are kept, taken at the end of each period."""

    hourly: Annotated[int, Field(ge=0, le=168)] = 0
    daily: Annotated[int, Field(ge=0, le=366)] = 0
    weekly: Annotated[int, Field(ge=0, le=104)] = 0
    monthly: Annotated[int, Field(ge=0, le=120)] = 0


class Keep(Strict):
    """How many of a backup's snapshots restic keeps."""

    daily: Annotated[int, Field(ge=0, le=366)] = 7
    weekly: Annotated[int, Field(ge=0, le=104)] = 5
    monthly: Annotated[int, Field(ge=0, le=120)] = 12


class Backup(Strict):
    """A restic repository and what goes into it. ``append_only``: it forbids deletion, so nothing is pruned.

    ``check_parts``: each check reads one of so many parts of the data; ``sample``: how many files a restore test takes.
    """

    volumes: Annotated[tuple[str, ...], Tuple]
    to: Repository
    password: Secret
    at: Moment = "03:00"
    keep: Keep = Keep()
    append_only: bool = False
    check_parts: Annotated[int, Field(ge=1, le=256)] = 14
    sample: Annotated[int, Field(ge=1, le=1000)] = 20


class Alerts(Strict):
    """Where word of trouble goes. ``mail`` is an address; ``smtp`` the ``host:port`` that takes it."""

    mail: Mail | None = None
    smtp: Smtp | None = None
    ntfy: Url | None = None
    webhook: Url | None = None


class Nas(Strict):
    """All a NAS keeps. Names are the keys; what refers to another is checked before it gets here."""

    disks: dict[Name, Disk] = Field(default_factory=dict)
    pools: dict[Name, Pool] = Field(default_factory=dict)
    volumes: dict[Name, Volume] = Field(default_factory=dict)
    users: dict[UserName, User] = Field(default_factory=dict)
    shares: dict[Name, Share] = Field(default_factory=dict)
    snapshots: dict[str, Snapshots] = Field(default_factory=dict)
    backups: dict[Name, Backup] = Field(default_factory=dict)
    alerts: Alerts = Alerts()

    def mountpoint(self, pool: str) -> str:
        """Where a pool is mounted."""
        return f"/srv/{pool}"

    def path(self, volume: str) -> str:
        """Where a volume is."""
        return f"{self.mountpoint(self.volumes[volume].pool)}/{volume}"
