"""A pool that is there: taken as it is, started when it does not run, refused when it is listed otherwise."""

from __future__ import annotations

from homelab.model.problems import Problem
from homelab.storage import btrfs, consent, mdraid, records
from homelab.storage.case import CALLED, Case, Decided, step
from homelab.storage.records import Record
from homelab.storage.seen import BtrfsMember, DiskSeen, MdMember
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
    member = next(iter(members.values()))
    number = member.disks if isinstance(member, MdMember) else member.devices
    if isinstance(member, MdMember) and member.level != 1:
        found = f"is a raid{member.level}, not a {case.pool.level}"
        problems.append(
            Problem(case.place, found, "a level is never changed; list the disks of a mirror, or blank ones")
        )
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
    else:
        _adopt_mdraid(case, record, uuid, decided)
    if decided.record and not case.absent and record is None:
        decided.steps.insert(0, Step("noop", f"pool {case.name}", f"{case.name} is there, the {called} {uuid}"))


def _stranger(case: Case, name: str, disk: DiskSeen, uuid: str) -> Problem:
    place = f"{case.host}.disks.{name}"
    blank = disk.is_blank and not disk.partitions
    holds = "is blank" if blank else f"holds {consent.seen(disk) or 'something else'}"
    found = f"/dev/{disk.name} (serial {disk.serial}) {holds} and is no member of {case.name} ({uuid})"
    if case.pool.kind == "mdraid" and blank:
        add = f"to make it one, run `mdadm --manage /dev/md/{case.name} --add /dev/{disk.name}` there"
        return Problem(place, found, f"list the disk that is; {add}")
    return Problem(place, found, "list the disk that is")


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
    at = case.seen.mountpoints.get(case.name)
    mounted = case.seen.mounted(f"/srv/{case.name}") is not None
    if case.absent:
        found = f"{_gone(case, record)} is gone, and a btrfs without one of its disks is not mounted"
        devids = [member.devid for member in case.members.values() if isinstance(member, BtrfsMember)]
        lost = next((number for number in range(1, len(case.pool.disks) + 1) if number not in devids), 2)
        remedy = (
            f"plug it in; or, if it is dead, replace it by hand: `mount -o degraded /dev/disk/by-uuid/{uuid} /mnt; "
            f"btrfs replace start -B {lost} NEW /mnt; "
            "btrfs balance start -dconvert=raid1,soft -mconvert=raid1,soft /mnt`"
        )
        problems.append(Problem(case.place, found, remedy))
        return
    first = next(iter(case.disks.values()))
    chunks = next((device.chunks for device in first.devices if device.chunks), ())
    profiles = at.profiles if mounted and at is not None and at.profiles else btrfs.from_chunks(chunks)
    wrong = btrfs.wrong_profiles(profiles)
    if wrong:
        remedy = f"run `btrfs balance start -dconvert=raid1,soft -mconvert=raid1,soft /srv/{case.name}` (mounted) first"
        problems.append(Problem(case.place, f"not all of it is mirrored: it has {', '.join(wrong)}", remedy))
        return
    if at is not None and at.missing:
        decided.warnings.append(Problem(case.place, f"{at.missing} of its disks is missing", "replace it"))
    if not profiles:
        says = f"see that all of {case.name} is mirrored"
        decided.steps.append(step("config", case, says, btrfs.proven(case.disks)))
    decided.record = Record(
        case.name, "btrfs", case.pool.level, uuid, "btrfs", uuid, _serials(case, record), state="made"
    )


def _adopt_mdraid(case: Case, record: Record | None, uuid: str, decided: Decided) -> None:
    problems, array, inner = decided.problems, case.array, case.inner
    if inner is None or inner.type not in ("ext4", "xfs"):
        found = f"holds {inner.type}, not ext4 or xfs" if inner else "holds no filesystem, or none that is known"
        remedy = "look what is on it (`wipefs --no-act`, `lsblk -f`); only an array with ext4 or xfs is taken over"
        problems.append(Problem(case.place, found, remedy))
        return
    if case.pool.filesystem and inner.type != case.pool.filesystem:
        remedy = f'a filesystem is never changed; write "{inner.type}", or list blank disks'
        problems.append(Problem(case.place, f"holds {inner.type}, not {case.pool.filesystem}", remedy))
        return
    new = Record(
        case.name, "mdraid", case.pool.level, uuid, inner.type, inner.uuid, _serials(case, record), state="made"
    )
    decided.record, decided.projects = new, inner.projects
    degraded = bool(case.absent)
    if array is None or not array.runs:
        without = f" without {_gone(case, record)}" if degraded else ""
        command = mdraid.start(new, case.disks, degraded=degraded)
        decided.steps.append(step("config", case, f"start {case.name}{without}", command))
    if degraded:
        remedy = f"replace it: `mdadm --manage /dev/md/{case.name} --add NEW` there, and list the new disk's id"
        found = f"{_gone(case, record)} is gone, and its data are on {' and '.join(case.disks)} alone"
        decided.warnings.append(Problem(case.place, found, remedy))
    elif array is not None and array.runs:
        carried = {name: device.name for name, disk in case.disks.items() if (device := case.carrier(disk))}
        out = [name for name, device in carried.items() if device not in array.members]
        if out:
            again = " ".join(f"/dev/{carried[name]}" for name in out)
            remedy = f"look at `smartctl -x` of it; then `mdadm --manage /dev/md/{case.name} --re-add {again}`"
            found = f"{', '.join(out)} is not in the array any more"
            decided.warnings.append(Problem(case.place, found, remedy))
        elif array.action in ("resync", "recover"):
            found = "its disks are being made equal"
            decided.warnings.append(
                Problem(case.place, found, "a dead disk before the end (`cat /proc/mdstat`) can cost data")
            )
        elif array.degraded:
            found = f"{array.degraded} of its disks is not up to date"
            decided.warnings.append(Problem(case.place, found, "look at `cat /proc/mdstat` there"))
