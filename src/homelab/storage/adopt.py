"""A pool that is there: taken as it is, started when it does not run, refused when it is listed otherwise."""

from __future__ import annotations

from collections.abc import Iterator

from homelab.model import levels
from homelab.model.problems import Problem
from homelab.storage import btrfs, consent, mdraid, records, zfs
from homelab.storage.case import CALLED, Case, Decided, step, unmirrored
from homelab.storage.records import Record
from homelab.storage.seen import DiskSeen, Inner, MdMember, ZfsMember, Zpool
from homelab.storage.steps import Step


def adopt(case: Case, record: Record | None, uuid: str, decided: Decided) -> None:
    """Take a pool as it is; what is listed otherwise than it is, is refused."""
    called, problems = CALLED[case.pool.kind], decided.problems
    wanted = record.uuid if record is not None else case.pool.uuid
    if wanted and wanted != uuid:
        whose = f"{records.FOLDER}/{case.name} says {wanted}" if record else f"the inventory says {wanted}"
        problems.append(Problem(case.place, f"its disks carry the UUID {uuid}, and {whose}", "list the right disks"))
        return
    if record is not None and case.pool.uuid and case.pool.uuid != uuid:
        found = f"its disks carry the UUID {uuid}, and the inventory says {case.pool.uuid}"
        problems.append(Problem(case.place, found, f'write "uuid": "{uuid}", or leave it out'))
        return
    members = case.members
    member = case.newest or next(iter(members.values()))
    number = member.disks if isinstance(member, MdMember) else member.devices
    if isinstance(member, MdMember) and member.level != case.level.number:
        problems.append(_level(case, levels.numbered(member.level)))
        return
    if isinstance(member, ZfsMember) and (other := _other_zpool(case, member)) is not None:
        problems.append(other)
        return
    if number != len(case.pool.disks):
        found = f"has {number} disks, and {len(case.pool.disks)} are listed"
        problems.append(Problem(case.place, found, "list its disks; a pool neither shrinks nor grows by listing"))
        return
    for name, disk in case.disks.items():
        if name not in members:
            problems.append(_stranger(case, name, disk, uuid))
    if case.absent and record is None and case.pool.uuid is None:
        found = f"no disk is {', '.join(case.ids[name] for name in case.absent)}"
        problems.append(Problem(case.place, found, f'plug it in; to go on without, write "uuid": "{uuid}" in the pool'))
    if problems:
        return
    if case.pool.kind == "btrfs":
        _adopt_btrfs(case, record, uuid, decided)
    elif isinstance(member, ZfsMember):
        _adopt_zfs(case, record, member, decided)
    else:
        _adopt_mdraid(case, record, uuid, decided)
    if case.level.survives(len(case.pool.disks)) == 0:
        decided.warnings.append(unmirrored(case))
    if decided.record and not case.absent and record is None:
        decided.steps.insert(0, Step("noop", f"pool {case.name}", f"{case.name} is there, the {called} {uuid}"))


def _level(case: Case, is_: str) -> Problem:
    known = is_ in levels.names(case.pool.kind)
    remedy = f'a level is never changed; {f"""write "{is_}", or """ if known else ""}list other disks'
    return Problem(case.place, f"is a {is_}, not a {case.pool.level}", remedy)


def _stranger(case: Case, name: str, disk: DiskSeen, uuid: str) -> Problem:
    place = f"{case.host}.disks.{name}"
    blank = disk.is_blank and not disk.partitions
    holds = "is blank" if blank else f"holds {consent.seen(disk) or 'something else'}"
    found = f"/dev/{disk.name} (serial {disk.serial}) {holds} and is no member of {case.name} ({uuid})"
    remedy = (
        f"list the disk that is; where it is dead, list it all the same, and {_replaced_by(case, name, case.ids[name])}"
    )
    return Problem(place, found, remedy)


def _serials(case: Case, record: Record | None) -> dict[str, str]:
    old = record.serials if record is not None else {}
    return {name: case.disks[name].serial if name in case.disks else old.get(name, "") for name in case.pool.disks}


def _gone(case: Case, record: Record | None) -> str:
    """The disks that are not there, with the serials that were noted of them."""
    told = []
    for name in case.absent:
        serial = record.serials.get(name, "") if record else ""
        told.append(f"{name} ({f'serial {serial}' if serial else case.ids[name]})")
    return " and ".join(told)


def _adopt_btrfs(case: Case, record: Record | None, uuid: str, decided: Decided) -> None:
    problems = decided.problems
    at, number = case.seen.mountpoints.get(case.name), len(case.pool.disks)
    mounted = case.seen.mounted(f"/srv/{case.name}") is not None
    lacks = at.missing + at.dropped if mounted and at is not None else 0
    if case.absent and mounted and at is not None and not lacks:
        problems += [_taken(case, record, name) for name in case.absent]
        return
    if case.absent:
        problems.append(_died(case, record) if lacks else _lost(case, record))
        return
    first = next(iter(case.disks.values()))
    chunks = next((device.chunks for device in first.devices if device.chunks), ())
    profiles = at.profiles if mounted and at is not None and at.profiles else btrfs.from_chunks(chunks)
    wrong = btrfs.wrong_profiles(case.level, profiles)
    if wrong:
        data = profiles.get("data", ())
        if len(data) == 1 and data[0] in levels.names("btrfs") and data[0] not in ("single", *case.level.data):
            problems.append(_level(case, data[0]))
            return
        remedy = f"run `{btrfs.convert(case.level, number, f'/srv/{case.name}')}` (mounted) first"
        found = f"not all of it is {case.pool.level}: it has {', '.join(wrong)}"
        problems.append(Problem(case.place, found, remedy))
        return
    if lacks:
        found = f"{lacks} of its disks fell out while it was mounted, and is not used though it is there again"
        remedy = f"unmount /srv/{case.name} and mount it, or reboot; then `btrfs scrub start /srv/{case.name}` mends it"
        decided.warnings.append(Problem(case.place, found, remedy))
    if not profiles:
        says = f"see that all of {case.name} is {case.pool.level}"
        decided.steps.append(step("config", case, says, btrfs.proven(case.level, case.disks)))
    decided.record = Record(
        case.name, "btrfs", case.pool.level, uuid, "btrfs", uuid, _serials(case, record), luks=case.luks
    )


def _lost(case: Case, record: Record | None) -> Problem:
    """Why a btrfs with fewer disks than it has stays down, and what is to be done."""
    if len(case.absent) > case.level.survives(len(case.pool.disks)):
        found = f"{_gone(case, record)} is gone, more than a {case.pool.level} survives"
        return Problem(case.place, found, "plug it in; if it is dead, what was on the pool is in its backups only")
    found = f"{_gone(case, record)} is gone, and a btrfs without one of its disks is not mounted"
    return Problem(case.place, found, f"plug it in; or, if it is dead, {_replaced_by(case, case.absent[0])}")


def _died(case: Case, record: Record | None) -> Problem:
    """What is to be done with a btrfs that goes on without a disk until it is mounted the next time."""
    found = f"{_gone(case, record)} is gone since it was mounted, and what is written now is on the others alone"
    remedy = (
        f"{_replaced_by(case, case.absent[0])} while it is mounted; plugged in again it is used from the next boot on"
    )
    return Problem(case.place, found, remedy)


def _replaced_by(case: Case, disk: str, new: str = "NEW") -> str:
    return f"run `{case.deploy('day2/replace_disk')} --data disk={disk} --data with={new}`"


def _taken(case: Case, record: Record | None, name: str) -> Problem:
    """A disk that is listed and none of a pool that lacks none: another has its place, or its id is wrong."""
    serial = record.serials.get(name, "") if record else ""
    own = case.disks[name].serial if name in case.disks else ""
    if serial and (serial == own or case.ids[name].endswith(serial)):
        # The power went between the last step of a replacement and its record.
        found = (
            f"{case.ids[name]} is no disk of {case.name}, which lacks none, and what is in its place is not noted yet"
        )
        return Problem(f"{case.host}.disks.{name}", found, "run the same replace_disk.py again")
    now = f"in its place is the disk with the serial {serial}" if serial else "another disk is in its place"
    found = f"{case.ids[name]} is no disk of {case.name}, which lacks none: {now}"
    return Problem(f"{case.host}.disks.{name}", found, 'write that disk\'s name under /dev/disk/by-id as its "id"')


def _adopt_mdraid(case: Case, record: Record | None, uuid: str, decided: Decided) -> None:
    problems, array, inner = decided.problems, case.array, case.inner
    runs = array is not None and array.runs
    survives = case.level.survives(len(case.pool.disks))
    if array is not None and array.runs and not array.degraded:
        carried = {name: device.name for name, disk in case.disks.items() if (device := case.carrier(disk))}
        out = [*case.absent, *(name for name, device in carried.items() if device not in array.members)]
        problems += [_taken(case, record, name) for name in out]
        if out:
            return
    if len(case.absent) > survives and not runs:
        found = f"{_gone(case, record)} is gone, and a {case.pool.level} of {len(case.pool.disks)} survives {survives}"
        remedy = "plug it in; if it is dead, what was on the pool is in its backups only"
        problems.append(Problem(case.place, found, remedy))
        return
    if case.absent and not runs and (stale := mdraid.stale(case, uuid)) is not None:
        problems.append(stale)
        return
    if inner is None and not runs and case.level.number != 1:
        inner = _unseen(case, record, uuid, decided)
        if inner is None:
            return
    if inner is None or inner.type not in ("ext4", "xfs"):
        found = f"holds {inner.type}, not ext4 or xfs" if inner else "holds no filesystem, or none that is known"
        remedy = "look what is on it (`wipefs --no-act`, `lsblk -f`); only an array with ext4 or xfs is taken over"
        problems.append(Problem(case.place, found, remedy))
        return
    if record is not None and inner.uuid != record.filesystem_uuid:
        # What it held is gone or hidden; taken as it is, empty folders would be served in the place of its volumes.
        path = f"{records.FOLDER}/{case.name}"
        found = f"holds the {inner.type} {inner.uuid or 'without a UUID'}, and {path} says {record.filesystem_uuid}"
        problems.append(
            Problem(case.place, found, f"look at it; if that is to be the pool by now, remove {path} there")
        )
        return
    if case.pool.filesystem and inner.type != case.pool.filesystem:
        remedy = f'a filesystem is never changed; write "{inner.type}", or list blank disks'
        problems.append(Problem(case.place, f"holds {inner.type}, not {case.pool.filesystem}", remedy))
        return
    new = Record(
        case.name, "mdraid", case.pool.level, uuid, inner.type, inner.uuid, _serials(case, record), luks=case.luks
    )
    decided.record, decided.projects = new, inner.projects
    if not runs:
        decided.steps.append(_started(case, record, new))
    decided.warnings += _trouble(case, record)


def _unseen(case: Case, record: Record | None, uuid: str, decided: Decided) -> Inner | None:
    """The filesystem that the record names on an array that does not run; it is proven once it does.

    Without a record nobody knows, so the array is started and no more: the next run sees what is on it.
    """
    if record is not None and record.filesystem in ("ext4", "xfs"):
        return Inner(record.filesystem, record.filesystem_uuid, None)
    nothing = Record(case.name, "mdraid", case.pool.level, uuid, "", "", _serials(case, record))
    decided.steps.append(_started(case, record, nothing))
    found = f"the array {uuid} does not run, and what is on a {case.pool.level} shows only then"
    decided.warnings.append(Problem(case.place, found, "it is started; run the same command again to mount it"))
    return None


def _started(case: Case, record: Record | None, new: Record) -> Step:
    without = f" without {_gone(case, record)}" if case.absent else ""
    command = mdraid.start(new, case.disks, degraded=bool(case.absent))
    return step("config", case, f"start {case.name}{without}", command)


def _absent(case: Case, record: Record | None) -> Problem:
    """What the loss of disks means for the others, where the pool works without them."""
    left = case.level.survives(len(case.pool.disks)) - len(case.absent)
    alone = f"its data are on {' and '.join(case.disks)} alone" if left <= 0 else f"of the others {left} more may die"
    remedy = f"plug it in; or, if it is dead, {_replaced_by(case, case.absent[0])}"
    return Problem(case.place, f"{_gone(case, record)} is gone, and {alone}", remedy)


def _trouble(case: Case, record: Record | None) -> Iterator[Problem]:
    """What its owner has to know of an array that works, and for how long yet."""
    array = case.array
    if case.absent:
        yield _absent(case, record)
        return
    if array is None or not array.runs:
        return
    carried = {name: device.name for name, disk in case.disks.items() if (device := case.carrier(disk))}
    out = [name for name, device in carried.items() if device not in array.members]
    if out:
        ages = {name: member.events for name, member in case.members.items() if isinstance(member, MdMember)}
        runs = max((ages.get(name, 0) for name in carried if name not in out), default=0)
        newer = [name for name in out if ages.get(name, 0) >= runs]
        if newer:
            found = f"{', '.join(newer)} is not in the array, and is not older than what runs there"
            remedy = "do not re-add it, which would overwrite it: compare both (`mdadm --examine`), copy what is newer"
            yield Problem(case.place, found, remedy)
            return
        again = " ".join(f"/dev/{carried[name]}" for name in out)
        remedy = f"look at `smartctl -x` of it; then `mdadm --manage /dev/md/{case.name} --re-add {again}`"
        yield Problem(case.place, f"{', '.join(out)} is not in the array any more", remedy)
    elif array.action in ("resync", "recover"):
        remedy = "a dead disk or a power cut before the end (`cat /proc/mdstat`) can cost data"
        yield Problem(case.place, "its disks are being made equal", remedy)
    elif array.degraded:
        found = f"{array.degraded} of its disks is not up to date"
        yield Problem(case.place, found, "look at `cat /proc/mdstat` there")


def _other_zpool(case: Case, member: ZfsMember) -> Problem | None:
    """Why a zpool cannot be the one that is listed."""
    if not member.alone:
        remedy = "list other disks: only a pool of one mirror or one raidz is taken over"
        return Problem(case.place, "its disks are one group of several in their zpool", remedy)
    if member.level != case.pool.level:
        return _level(case, member.level)
    if member.label != case.name:
        remedy = f"list it under that name; or rename it by hand: `zpool import -N {member.uuid} {case.name}`"
        return Problem(case.place, f"its disks are the zpool {member.label}, and a pool's zpool bears its name", remedy)
    return None


def _adopt_zfs(case: Case, record: Record | None, newest: ZfsMember, decided: Decided) -> None:
    problems, runs = decided.problems, case.seen.zpools.get(newest.uuid)
    survives = case.level.survives(len(case.pool.disks))
    if len(case.absent) > survives and runs is None:
        found = f"{_gone(case, record)} is gone, and a {case.pool.level} of {len(case.pool.disks)} survives {survives}"
        remedy = "plug it in; if it is dead, what was on the pool is in its backups only"
        problems.append(Problem(case.place, found, remedy))
    elif runs is None and (away := _elsewhere(case, newest) or zfs.stale(case, newest)) is not None:
        problems.append(away)
    elif runs is not None and runs.health in ("SUSPENDED", "FAULTED", "UNAVAIL"):
        found = "has given up after errors of its disks, and lets nobody read or write"
        remedy = f"look at `zpool status {case.name}` and the cables; then `zpool clear {case.name}`, or reboot"
        problems.append(Problem(case.place, found, remedy))
    elif runs is not None and set(runs.states.values()) == {"ONLINE"}:
        problems += [_taken(case, record, name) for name in case.absent]
    if problems:
        return
    inner = record.filesystem_uuid if record is not None else newest.mark or newest.uuid
    serials = _serials(case, record)
    decided.record = Record(case.name, "zfs", case.pool.level, newest.uuid, "zfs", inner, serials)
    if runs is None:
        without = f" without {_gone(case, record)}" if case.absent else ""
        command = zfs.start(decided.record, case.disks)
        decided.steps.append(step("config", case, f"import {case.name}{without}", command))
    decided.warnings += _trouble_of(case, record, runs)


def _elsewhere(case: Case, newest: ZfsMember) -> Problem | None:
    """A zpool that another system may still use; ZFS asks for force, and only its owner knows."""
    own = case.seen.zfs.hostid
    if newest.exported or newest.hostid in (0, own):
        return None
    found = (
        f"was in use on {newest.hostname or 'another host'} (hostid {newest.hostid:08x}), and was not exported there"
    )
    remedy = f"if no other machine has these disks, run `zpool import -f -N -o cachefile=none {newest.uuid}` here"
    return Problem(case.place, found, f"{remedy}, and this command again")


def _trouble_of(case: Case, record: Record | None, runs: Zpool | None) -> Iterator[Problem]:
    """What its owner has to know of a zpool that works, and for how long yet."""
    if case.absent:
        yield _absent(case, record)
        return
    if runs is None:
        return
    members = {name: each.device for name, each in case.members.items() if isinstance(each, ZfsMember)}
    out = {name: runs.states.get(device, "no part of it") for name, device in members.items()}
    out = {name: state for name, state in out.items() if state != "ONLINE"}
    if out:
        told = ", ".join(f"{name} is {state}" for name, state in out.items())
        again = " ".join(members[name] for name in out)
        remedy = f"look at `zpool status {case.name}` and `smartctl -x`; then `zpool online {case.name} {again}`"
        yield Problem(case.place, told, remedy)
    elif runs.busy:
        remedy = f"a dead disk before the end (`zpool status {case.name}`) can cost data"
        yield Problem(case.place, "one of its disks is being written", remedy)
