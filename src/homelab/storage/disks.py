"""Which disks the listed ones are, and whether one may be written to."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

from homelab.model.nas import Nas
from homelab.model.problems import Problem
from homelab.storage import consent, slots
from homelab.storage.seen import DiskSeen, Seen

# What wipefs calls a member of an array, and an encrypted disk.
RAID, LUKS = "linux_raid_member", "crypto_LUKS"
# Room for any filesystem's own structures, and less than any disk has.
LEAST = 1 << 29


@dataclass(frozen=True)
class Found:
    """Disks by the inventory's names; `absent` are listed and not there."""

    disks: Mapping[str, DiskSeen]
    absent: tuple[str, ...]
    problems: tuple[Problem, ...]


def find(host: str, nas: Nas, seen: Seen) -> Found:
    """Each disk that a pool uses, and what is wrong with how it is listed. An absent one is for its pool to tell of."""
    disks: dict[str, DiskSeen] = {}
    absent: list[str] = []
    problems: list[Problem] = []
    taken: dict[str, str] = {}
    used = [name for pool in nas.pools.values() for name in pool.members]
    for name in dict.fromkeys(used):
        place, id_ = f"{host}.disks.{name}", nas.disks[name].id
        names = [each for each in seen.listed.get(id_, ()) if each in seen.disks]
        if not names:
            absent.append(name)
        elif len(names) > 1:
            several = " and ".join(f"/dev/{each}" for each in names)
            problems.append(Problem(place, f"{id_} is {several}", "write its name under /dev/disk/by-id"))
        elif names[0] in taken:
            found = f"{id_} is /dev/{names[0]}, and so is {taken[names[0]]}"
            problems.append(Problem(place, found, "list each disk once"))
        else:
            taken[names[0]] = name
            disks[name] = seen.disks[names[0]]
    return Found(disks, tuple(absent), tuple(problems))


def foreign(disk: DiskSeen, pools: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What of a disk belongs to another pool, and which: by the UUIDs that it carries, whatever kind the pool is of."""
    for device in disk.devices:
        carried = [each.uuid for each in (device.md, device.btrfs, device.luks, device.zfs) if each]
        carried += [slots.pool_uuid(each.uuid) for each in device.signatures or () if slots.read(each.uuid)]
        owner = next((each for each in carried if each in pools), None)
        if owner:
            yield f"/dev/{device.name}", pools[owner]


def unfit(host: str, name: str, disk: DiskSeen, seen: Seen, own: Container[str] = ()) -> Iterator[Problem]:
    """Why a disk must not become part of a pool, whatever its owner consents to. `own` are holders that may be."""
    place = f"{host}.disks.{name}"
    what = f"/dev/{disk.name}"
    for device in disk.devices:
        at = f"/dev/{device.name}"
        if device.mounts:
            yield Problem(place, f"{at} is mounted at {', '.join(device.mounts)}", "unmount it, or list another disk")
        elif device.swap:
            yield Problem(place, f"{at} is swap in use", f"run `swapoff {at}`, or list another disk")
        elif users := [each for each in device.holders if each not in own]:
            used = ", ".join(users)
            remedy = "stop that (`mdadm --stop`, `vgchange -an`, `cryptsetup close`), or list another disk"
            yield Problem(place, f"{at} is in use by {used}", remedy)
    in_use = any(device.mounts or device.swap or device.holders for device in disk.devices)
    if not disk.exclusive and not in_use:
        yield Problem(place, f"{what} is in use by something", "stop what uses it (`lsof`), or list another disk")
    if disk.read_only:
        yield Problem(place, f"{what} is read-only", "unlock it, or list another disk")
    if not disk.serial:
        remedy = "give the machine's virtual disk a serial, or list another disk"
        yield Problem(place, f"{what} has no serial number to know it again by", remedy)
    twins = [other for other, serial in seen.serials.items() if serial == disk.serial and other != disk.physical.name]
    if disk.serial and twins:
        others = ", ".join(f"/dev/{twin}" for twin in twins)
        remedy = "connect it without its USB adapter, or list another disk"
        yield Problem(place, f"{what} has the serial {disk.serial}, and so has {others}", remedy)
    if disk.transport == "usb" or disk.removable:
        how = "connected by USB" if disk.transport == "usb" else "removable"
        remedy = "connect it to a SATA or NVMe port: mirrors over USB fall apart, and their ids change"
        yield Problem(place, f"{what} is {how}", remedy)
    if disk.size < LEAST:
        whole = disk.physical
        found = f"/dev/{whole.name} has {whole.size >> 20} MiB"
        found += f", encrypted {disk.size >> 20}" if whole is not disk else ""
        least = LEAST + whole.size - disk.size
        yield Problem(place, found, f"list a disk of {least >> 20} MiB or more")
    unread = [device.name for device in disk.devices if device.signatures is None or device.content == "unreadable"]
    if unread:
        found = f"{', '.join(unread)} cannot be read"
        yield Problem(place, found, f"look at `dmesg` and `smartctl -x {what}`, or list another disk")


def grown(host: str, name: str, disk: DiskSeen, seen: Seen, type_: str, uuid: str) -> Iterator[Problem]:
    """What has come to a disk since a run that was cut left there this one signature; that is not ours to lose.

    What the kernel made of that signature alone may have the disk.
    """
    place = f"{host}.disks.{name}"
    own = {each.name for each in seen.arrays if type_ == RAID and disk.name in each.members}
    if type_ == LUKS and disk.opened is not None and disk.luks is not None and disk.luks.slots:
        own |= set(disk.holders[:1])
    yield from unfit(host, name, disk, seen, own)
    if disk.partitions or {(each.type, each.uuid) for each in disk.signatures or ()} - {(type_, uuid)}:
        found = f"/dev/{disk.name} (serial {disk.serial}) holds {consent.seen(disk)}, and a run that was cut left there"
        remedy = "look at it; if nothing of it is needed, stop what uses it and clear the disk by hand (`wipefs --all`)"
        yield Problem(place, f"{found} {type_} {uuid} alone", remedy)


def clears(
    host: str, name: str, disk: DiskSeen, written: str | None, seen: Seen, used: frozenset[str]
) -> tuple[str | None, Problem | None]:
    """The consent under which a disk that is not blank may be cleared, or why it may not.

    `written` is the inventory's consent, `used` those that this control machine knows were used.
    """
    place = f"{host}.disks.{name}"
    word = consent.word(disk)
    what = f"/dev/{disk.name} (serial {disk.serial}) holds {consent.seen(disk)}"
    if written and (written in seen.consents or written in used):
        # Nor is one good whose clearing was cut: what has come to the disk since, nobody can tell from what was there.
        cut = consent.cut(written, seen.consents)
        how = f"the clearing under the consent {written} was cut" if cut else f"the consent {written} was used already"
        if word == written:
            remedy = "a consent is good for one time; clear the disk by hand (`wipefs --all`), or list another one"
            return None, Problem(place, f"{what}, and {how}", remedy)
        return None, Problem(place, f"{what}; {how}", f'to lose all that, write "consent": "{word}"')
    if written == word:
        return word, None
    if written:
        found = f"{what}, which is not what the consent {written} was for"
        return None, Problem(place, found, f'to lose all that, write "consent": "{word}"')
    remedy = f'list another disk, or, to lose all that, write "consent": "{word}" beside its id'
    return None, Problem(place, what, remedy)
