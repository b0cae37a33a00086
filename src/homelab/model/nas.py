"""What a NAS is made of: disks, pools on them, volumes in these, and who may use, snapshot and back them up."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from homelab.model.names import Tuple
from homelab.model.power import Ups
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
    SmtpUser,
    Url,
    UserName,
    pool_kind,
    pool_level,
)
from homelab.model.strict import Strict

PoolKind = Literal["mdraid", "btrfs", "snapraid", "zfs"]
PoolLevel = Literal[
    "", "single", "raid1", "raid1c3", "raid5", "raid6", "raid10", "mirror", "raidz1", "raidz2", "raidz3"
]


class Disk(Strict):
    """A disk, by its name under /dev/disk/by-id or as ``serial:...``; ``consent`` lets its content be lost, once."""

    id: DiskId
    consent: Consent | None = None


class Sync(Strict):
    """When the parity of a snapraid pool takes in what changed, and from how much on it stops and asks.

    Each limit stops it by itself: files, or per cent of all files, rounded up to whole ones; 0 stops at any.
    """

    at: Moment = "02:00"
    deleted: Annotated[int, Field(ge=0)] = 50
    deleted_percent: Annotated[int, Field(ge=0, le=100)] = 5
    updated: Annotated[int, Field(ge=0)] = 200
    updated_percent: Annotated[int, Field(ge=0, le=100)] = 10


class Encryption(Strict):
    """LUKS2 on every disk of a pool; ``key`` is what opens them."""

    key: Secret


class Pool(Strict):
    """Disks that keep one filesystem, mounted at ``/srv/<name>``; of snapraid, a filesystem each and one view of all.

    ``filesystem`` is that of an mdraid or snapraid pool; ``uuid``, of zfs its guid, adopts a pool that was made without
    this toolkit, or whose record is lost. ``parity`` and ``sync`` are snapraid's: the disks of the first level, the
    second and so on. ``encryption`` puts LUKS under mdraid and btrfs.
    """

    kind: Annotated[PoolKind, BeforeValidator(pool_kind)]
    level: Annotated[PoolLevel, BeforeValidator(pool_level), Field(validate_default=True)] = ""
    disks: Annotated[tuple[str, ...], Tuple]
    parity: Annotated[tuple[str, ...], Tuple] = ()
    filesystem: Literal["ext4", "xfs"] | None = None
    uuid: PoolUuid | None = None
    encryption: Encryption | None = None
    sync: Sync | None = None

    @property
    def members(self) -> tuple[str, ...]:
        """All of its disks: those that hold data, then those of parity."""
        return self.disks + self.parity


class Volume(Strict):
    """A directory of a pool, ``/srv/<pool>/<name>``: a subvolume where the pool is btrfs, a dataset where it is zfs.

    ``quota`` in bytes.
    """

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
    """An SMB3 share for these users, of NAS ``users``; ``purpose`` is a set of Samba options that belong together.

    ``recycle`` keeps what is deleted for ``recycle_days``.
    """

    users: Annotated[tuple[str, ...], Tuple]
    read_only: bool = False
    purpose: Literal["default", "timemachine", "multiprotocol", "private"] = "default"
    recycle: bool = False
    recycle_days: Annotated[int, Field(ge=1, le=3650)] = 30


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
    """Where word of trouble goes. ``mail`` is an address; ``smtp`` the ``host:port`` that takes it.

    With ``smtp_user`` and ``smtp_password`` it logs in, over TLS only; ``mail_from`` is who it comes from where the
    server minds, default the address it goes to. ``ntfy_token`` is an access token of the ntfy server.
    """

    mail: Mail | None = None
    mail_from: Mail | None = None
    smtp: Smtp | None = None
    smtp_user: SmtpUser | None = None
    smtp_password: Secret | None = None
    ntfy: Url | None = None
    ntfy_token: Secret | None = None
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
    ups: Ups | None = None

    def mountpoint(self, pool: str) -> str:
        """Where a pool is mounted."""
        return f"/srv/{pool}"

    def path(self, volume: str) -> str:
        """Where a volume is."""
        return f"{self.mountpoint(self.volumes[volume].pool)}/{volume}"
