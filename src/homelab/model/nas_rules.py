"""What must hold between a NAS's disks, pools, volumes, users, snapshots and alerts; shares and backups beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from homelab.counting import many
from homelab.model import levels, nas_backups, nas_shares, nas_snapraid
from homelab.model.nas import Disk, Pool
from homelab.model.nas_written import Written
from homelab.model.networks import AnyAddress, AnyNetwork
from homelab.model.problems import Problem, did_you_mean
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
_COUNTED = {1: "one disk", 2: "two disks", 3: "three disks", 4: "four disks", 5: "five disks"}
# What LUKS was seen to work under; not under the many filesystems of a snapraid pool.
_ENCRYPTED = ("mdraid", "btrfs")
_WITH_SNAPSHOTS = ("btrfs", "zfs")
# What zpool refuses as a pool's name, zpool-create(8): its own words, and what looks like a disk's name of Solaris.
_TAKEN_BY_ZFS = re.compile(r"(mirror|raidz|draid|spare).*|log|c\d.*")


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
    yield from _check_ups(written, around)


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
        yield from nas_snapraid.check(written, name, pool)
        if pool.kind != "snapraid":
            yield from _check_count(f"{place}.disks", pool)
        places = [("disks", index) for index in range(len(pool.disks))]
        places += [("parity", index) for index in range(len(pool.parity))]
        for (key, index), disk in zip(places, pool.members, strict=True):
            at = f"{place}.{key}[{index}]"
            yield from written.unknown("disks", disk, "pools", name, key, index)
            if disk in first:
                where = "this pool already" if first[disk] == name else f"pool {first[disk]}"
                yield Problem(at, f"{shown(disk)} is in {where}", "give each disk to one pool, once")
            first.setdefault(disk, name)
            if pool.uuid and disk in nas.disks and nas.disks[disk].consent:
                found = f"pool {name} is adopted by its uuid, so nothing on {disk} is to be lost"
                yield Problem(written.place("disks", disk, "consent"), found, "leave it out")
        if pool.encryption and pool.kind not in _ENCRYPTED:
            yield Problem(f"{place}.encryption", f"under {pool.kind}: not supported yet", "leave it out")
        if pool.kind in ("btrfs", "zfs") and pool.filesystem:
            yield Problem(f"{place}.filesystem", f"{pool.kind} is the filesystem itself", "leave it out")
        if pool.kind == "zfs" and _TAKEN_BY_ZFS.fullmatch(name):
            yield Problem(place, "no pool of ZFS may be called so", "give the pool another name")
        if pool.uuid and pool.uuid.isdecimal() != (pool.kind == "zfs"):
            is_ = "a number, its guid (`zpool get guid`)" if pool.kind == "zfs" else "five groups of letters and digits"
            yield Problem(f"{place}.uuid", f"{pool.uuid} is not one of a {pool.kind}, which is {is_}", "correct it")
        elif pool.uuid:
            if pool.uuid in adopted:
                found = f"is also the uuid of pool {adopted[pool.uuid]}"
                yield Problem(f"{place}.uuid", found, "write each pool's own, as lsblk -o UUID shows it")
            adopted.setdefault(pool.uuid, name)


def _check_count(place: str, pool: Pool) -> Iterator[Problem]:
    level, count = levels.level(pool.kind, pool.level), len(pool.disks)
    found = f"{many(count, 'disk')} cannot be {pool.kind} {pool.level}"
    if count < level.least:
        yield Problem(place, found, f"write {_COUNTED[level.least]} or more")
    elif level.pairs and count % 2:
        yield Problem(place, f"{found}, which keeps all in pairs", f"write {count - 1} disks or {count + 1}")


def _check_volumes(written: Written) -> Iterator[Problem]:
    for name, volume in written.nas.volumes.items():
        yield from written.unknown("pools", volume.pool, "volumes", name, "pool")
        if volume.owner != "root":
            yield from written.unknown("users", volume.owner, "volumes", name, "owner")
        if volume.quota is not None and volume.quota < _SMALLEST_QUOTA:
            found = f"{volume.quota} bytes hold next to nothing"
            yield Problem(written.place("volumes", name, "quota"), found, 'write one, "500G"')
    yield from nas_snapraid.check_volumes(written)


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
        if volume and pool and pool.kind not in _WITH_SNAPSHOTS:
            found = f"pool {volume.pool} is {pool.kind}: its filesystem has none"
            yield Problem(place, found, f"use {' or '.join(_WITH_SNAPSHOTS)} for that pool, or leave it out")
        if not (kept.hourly or kept.daily or kept.weekly or kept.monthly):
            yield Problem(place, "keeps none", 'write how many, {"hourly": 24, "daily": 7}')


def _check_alerts(written: Written) -> Iterator[Problem]:
    alerts = written.nas.alerts
    if alerts.mail and not alerts.smtp:
        found = "no server is named that takes the mail"
        yield Problem(written.place("alerts", "mail"), found, 'write "smtp": "mail.example.org:587" as well')
    if not alerts.mail:
        for key in ("smtp", "mail_from"):
            if getattr(alerts, key):
                found = "nobody is named whom the mail is for"
                yield Problem(written.place("alerts", key), found, 'write "mail": "anna@example.org" as well')
    if alerts.smtp_user and not alerts.smtp_password:
        found = "there is no password to log in with"
        remedy = 'write "smtp_password": "env:SMTP_PASSWORD" as well, or another reference'
        yield Problem(written.place("alerts", "smtp_user"), found, remedy)
    if alerts.smtp_password and not alerts.smtp_user:
        found = "nobody is named who logs in with it"
        yield Problem(written.place("alerts", "smtp_password"), found, 'write "smtp_user": "nas@example.org" as well')
    if alerts.smtp_user and not alerts.smtp:
        found = "no server is named to log in at"
        yield Problem(written.place("alerts", "smtp_user"), found, 'write "smtp": "mail.example.org:587" as well')
    if alerts.ntfy_token and not alerts.ntfy:
        found = "no ntfy is named that it is for"
        yield Problem(written.place("alerts", "ntfy_token"), found, 'write "ntfy": "https://ntfy.sh/my-nas" as well')


def _check_ups(written: Written, around: Around) -> Iterator[Problem]:
    ups = written.nas.ups
    if ups is None:
        return
    for index, name in enumerate(ups.nodes or ()):
        place = written.place("ups", "nodes", index)
        if name == written.host:
            yield Problem(place, f"{shown(name)} has the UPS itself", "leave it out: it goes down last anyway")
        elif name not in around.hosts:
            known = sorted(around.hosts)
            have = f"write one of {', '.join(known)}"
            yield Problem(place, f"{shown(name)} is no host of this inventory", did_you_mean(name, known, have))
        elif name in (ups.nodes or ())[:index]:
            yield Problem(place, f"{shown(name)} stands there twice", "write each host once")
    if ups.driver == "dummy-ups" and ("/" in ups.port or not ups.port.endswith(".dev")):
        found = "dummy-ups plays what a file in /etc/nut says"
        yield Problem(written.place("ups", "port"), found, 'write its name, "homelab.dev"')
