"""What must hold between a NAS's disks, pools, volumes, users, snapshots and alerts; shares and backups beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from homelab.model import nas_backups, nas_shares
from homelab.model.nas import Disk
from homelab.model.nas_written import Written
from homelab.model.networks import AnyAddress, AnyNetwork
from homelab.model.problems import Problem
from homelab.model.strict import shown, words

# Pools are mounted at /srv/<name>; Debian's packages keep what they serve in these.
_SERVED = words("ftp git http nfs nfs4 rsync svn tftp www cvs")
# Accounts of Debian's base-passwd and of what the toolkit installs; a uid of 1000 or more cannot be theirs.
_SYSTEM_USERS = words(
    """
    root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc gnats nobody _apt sshd
    messagebus systemd-network systemd-resolve systemd-timesync systemd-coredump polkitd statd _rpc avahi _chrony uuidd
    """
)
_SMALLEST_QUOTA = 2**20


@dataclass(frozen=True)
class Around:
    """The home around a NAS: hosts and networks by name, None where what was written of them is wrong."""

    hosts: Mapping[str, AnyAddress | None]
    networks: Mapping[str, AnyNetwork | None]


def check(written: Written, around: Around) -> Iterator[Problem]:
    """Everything that does not fit together on one NAS."""
    yield from _check_disks(written)
    yield from _check_pools(written)
    yield from _check_volumes(written)
    yield from _check_users(written)
    yield from nas_shares.check(written, around.hosts, around.networks)
    yield from _check_snapshots(written)
    yield from nas_backups.check(written, around.hosts.get(written.host))
    yield from _check_alerts(written)


def same_disk(one: Disk, other: Disk) -> bool:
    """Whether two ids are certainly of one disk; /dev/disk/by-id ends in the serial after the bus and the model."""
    if one.id == other.id:
        return True
    for by_serial, by_id in ((one.id, other.id), (other.id, one.id)):
        serial = by_serial.removeprefix("serial:")
        if serial != by_serial and serial in (by_id.partition("-")[2], by_id.rpartition("_")[2]):
            return True
    return False


def _check_disks(written: Written) -> Iterator[Problem]:
    seen: dict[str, Disk] = {}
    for name, disk in written.nas.disks.items():
        for other, before in seen.items():
            if same_disk(disk, before):
                found = f"{disk.id} is also disk {other}"
                yield Problem(written.place("disks", name, "id"), found, "write each disk once")
                break
        seen[name] = disk


def _check_pools(written: Written) -> Iterator[Problem]:
    nas = written.nas
    first: dict[str, str] = {}
    adopted: dict[str, str] = {}
    for name, pool in nas.pools.items():
        place = written.place("pools", name)
        if name in _SERVED:
            found = f"would hide /srv/{name}, where packages keep what they serve"
            yield Problem(place, found, "give the pool another name")
        if len(pool.disks) < 2:
            found = f"{len(pool.disks)} disk{'' if len(pool.disks) == 1 else 's'} cannot be a {pool.level}"
            yield Problem(f"{place}.disks", found, "write two disks or more")
        for index, disk in enumerate(pool.disks):
            at = f"{place}.disks[{index}]"
            yield from written.unknown("disks", disk, "pools", name, "disks", index)
            if disk in first:
                where = "this pool already" if first[disk] == name else f"pool {first[disk]}"
                yield Problem(at, f"{shown(disk)} is in {where}", "give each disk to one pool, once")
            first.setdefault(disk, name)
            if pool.uuid and disk in nas.disks and nas.disks[disk].consent:
                found = f"pool {name} is adopted by its uuid, so nothing on {disk} is to be lost"
                yield Problem(written.place("disks", disk, "consent"), found, "leave it out")
        if pool.kind == "btrfs" and pool.filesystem:
            yield Problem(f"{place}.filesystem", "btrfs is the filesystem itself", "leave it out")
        if pool.uuid:
            if pool.uuid in adopted:
                found = f"is also the uuid of pool {adopted[pool.uuid]}"
                yield Problem(f"{place}.uuid", found, "write each pool's own, as lsblk -o UUID shows it")
            adopted.setdefault(pool.uuid, name)


def _check_volumes(written: Written) -> Iterator[Problem]:
    for name, volume in written.nas.volumes.items():
        yield from written.unknown("pools", volume.pool, "volumes", name, "pool")
        if volume.owner != "root":
            yield from written.unknown("users", volume.owner, "volumes", name, "owner")
        if volume.quota is not None and volume.quota < _SMALLEST_QUOTA:
            found = f"{volume.quota} bytes hold next to nothing"
            yield Problem(written.place("volumes", name, "quota"), found, 'write one, "500G"')


def _check_users(written: Written) -> Iterator[Problem]:
    first: dict[int, str] = {}
    for name, user in written.nas.users.items():
        if name in _SYSTEM_USERS:
            found = "is an account of the system itself"
            yield Problem(written.place("users", name), found, "give the person another name")
        if user.uid in first:
            found = f"{user.uid} is also {first[user.uid]}'s, and files belong to numbers"
            yield Problem(written.place("users", name, "uid"), found, "give each user their own")
        first.setdefault(user.uid, name)


def _check_snapshots(written: Written) -> Iterator[Problem]:
    nas = written.nas
    for name, kept in nas.snapshots.items():
        place = written.place("snapshots", name)
        yield from written.unknown("volumes", name, "snapshots", name)
        volume = nas.volumes.get(name)
        pool = nas.pools.get(volume.pool) if volume else None
        if volume and pool and pool.kind == "mdraid":
            found = f"pool {volume.pool} is mdraid: its filesystem has none"
            yield Problem(place, found, "use btrfs for that pool, or leave it out")
        if not (kept.hourly or kept.daily or kept.weekly or kept.monthly):
            yield Problem(place, "keeps none", 'write how many, {"hourly": 24, "daily": 7}')


def _check_alerts(written: Written) -> Iterator[Problem]:
    alerts = written.nas.alerts
    if alerts.mail and not alerts.smtp:
        found = "no server is named that takes the mail"
        yield Problem(written.place("alerts", "mail"), found, 'write "smtp": "mail.example.org:25" as well')
    if alerts.smtp and not alerts.mail:
        found = "nobody is named whom the mail is for"
        yield Problem(written.place("alerts", "smtp"), found, 'write "mail": "anna@example.org" as well')
