"""One pool: whether its disks carry it already, can be joined to it, or neither, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from homelab.model.problems import Problem
from homelab.storage import btrfs, disks, mdraid, records, snapraid, zfs
from homelab.storage.adopt import adopt
from homelab.storage.case import CALLED, Case, Decided, step, unmirrored
from homelab.storage.clearing import absent, clearing
from homelab.storage.records import Record
from homelab.storage.seen import BtrfsMember, DiskSeen, MdMember

# Kinds that are the filesystem themselves.
_WHOLE = ("btrfs", "zfs")
# How far the sizes of disks may differ for zpool to make a mirror or raidz of them by itself (ZPOOL_FUZZ).
_FUZZ = 16 << 20


def decide(case: Case, record: Record | None, others: Mapping[str, Record], make_uuid: Callable[[], str]) -> Decided:
    """What becomes of a pool. `others` are the records of all other pools of this host."""
    decided = Decided()
    record = zfs.born(case, record)
    uuids = sorted({member.uuid for member in case.members.values()})
    foreign = {uuid: each.pool for each in others.values() for uuid in (each.uuid, *each.luks.values())}
    for name, disk in case.disks.items():
        for at, owner in disks.foreign(disk, foreign):
            found = f"{at} belongs to the pool {owner}"
            decided.problems.append(Problem(f"{case.host}.disks.{name}", found, "list another disk"))
    if decided.problems:
        return decided
    if record is not None and record.state == "made" and record.kind != case.pool.kind:
        remedy = f'a kind is never changed; write "{record.kind}", or give a new pool on other disks a name of its own'
        decided.problems.append(Problem(case.place, f"is there as {record.kind}, not {case.pool.kind}", remedy))
        return decided
    if case.pool.kind == "snapraid":
        return snapraid.decide(case, record, make_uuid)
    known = record.uuid if record is not None and record.state == "made" else case.pool.uuid
    if record is not None and record.uuid in uuids and record.state != "made":
        _finish(case, record, decided)
    elif not uuids or (known is None and not _named(case)):
        _make(case, record, uuids, decided, make_uuid)
    elif len(uuids) > 1:
        told = ", ".join(f"{name} of {member.uuid}" for name, member in case.members.items())
        found = f"its disks are of different {CALLED[case.pool.kind]}s: {told}"
        decided.problems.append(Problem(case.place, found, "list the disks of one, or list others"))
    else:
        adopt(case, record, uuids[0], decided)
    return decided


def _named(case: Case) -> bool:
    """Whether all its disks are members of one and the same that bears the pool's name."""
    members = case.members
    if set(members) != set(case.pool.disks) or len({member.uuid for member in members.values()}) != 1:
        return False
    member = next(iter(members.values()))
    called = member.name.rpartition(":")[2] if isinstance(member, MdMember) else member.label
    return called == case.name


def _make(case: Case, record: Record | None, uuids: list[str], decided: Decided, make_uuid: Callable[[], str]) -> None:
    """Make a pool, if every one of its disks is blank, or was let go of."""
    problems = decided.problems
    if record is not None and record.state == "made":
        remedy = f"plug in its disks; or, if its data are gone for good, remove {records.FOLDER}/{case.name} there"
        serials = ", ".join(record.serials.values())
        found = f"was made with the UUID {record.uuid} on the serials {serials}, and no disk that is listed has it"
        problems.append(Problem(case.place, found, remedy))
        return
    if case.pool.uuid and case.pool.uuid not in uuids:
        found = f"no disk that is listed for it has the UUID {case.pool.uuid}"
        problems.append(Problem(case.place, found, "correct the UUID; to make a new pool, leave it out"))
        return
    own = zfs.begun(case, record)
    cleared = clearing(case, case.disks, own)
    problems += [*absent(case), *cleared.problems, *_uneven(case)]
    if uuids and problems:
        problems += _how_toadopt(case, uuids)
    if problems:
        return
    new = replace(_new(case, make_uuid), state="making") if record is None else _again(case, record)
    _sizes(case, decided)
    if case.level.survives(len(case.disks)) == 0:
        decided.warnings.append(unmirrored(case))
    making = f"make the {case.pool.kind} {case.pool.level} {case.name} of {_told(case.disks)}"
    if cleared.lost:
        says, kind = f"clear {', '.join(cleared.lost)}, and {making}", "destructive"
    else:
        says, kind = making, "additive"
    if case.pool.kind == "zfs":
        command = zfs.create(new, case.ids, case.disks, cleared.script, own)
    else:
        how = mdraid.create if case.pool.kind == "mdraid" else btrfs.create
        command = how(new, case.ids, case.disks, cleared.script)
    decided.steps.append(step(kind, case, says, command, cleared.consents))
    decided.record = replace(new, state="made")


def _told(found: Mapping[str, DiskSeen]) -> str:
    return ", ".join(f"{name} (/dev/{disk.physical.name}, serial {disk.serial})" for name, disk in found.items())


def _new(case: Case, make_uuid: Callable[[], str]) -> Record:
    uuid = make_uuid()
    whole = case.pool.kind in _WHOLE
    filesystem = case.pool.kind if whole else case.pool.filesystem or "ext4"
    inner = uuid if whole else make_uuid()
    serials = {name: disk.serial for name, disk in case.disks.items()}
    return Record(case.name, case.pool.kind, case.pool.level, uuid, filesystem, inner, serials, luks=case.luks)


def _again(case: Case, record: Record) -> Record:
    """A record of a pool that was begun and of which no disk knows yet: its UUIDs stay, the rest is as listed now."""
    new = _new(case, lambda: record.uuid)
    inner = record.uuid if new.kind in _WHOLE else record.filesystem_uuid
    return replace(new, filesystem_uuid=inner, state="making")


def _how_toadopt(case: Case, uuids: list[str]) -> Iterator[Problem]:
    if len(uuids) != 1:
        return
    member = next(iter(case.members.values()))
    called = member.name if isinstance(member, MdMember) else member.label
    if set(case.members) == set(case.pool.disks):
        found = (
            f"its disks are the {CALLED[case.pool.kind]} {called or 'without a name'}, which this pool does not name"
        )
    elif called.rpartition(":")[2] == case.name:
        found = f"{', '.join(case.members)} is a disk of the {CALLED[case.pool.kind]} {called}, the others are not"
    else:
        return
    yield Problem(case.place, found, f'to take it over as it is, write "uuid": "{uuids[0]}" in the pool')


def _uneven(case: Case) -> Iterator[Problem]:
    """Disks of which mdadm makes no array: where sizes differ by more than one per cent it asks, and nobody answers.

    mdadm 4.2 to 4.6, Create.c; it counts without the part that it takes for itself, a thousandth and less. And those of
    which zpool makes none.
    """
    sizes = sorted((disk.size, name) for name, disk in case.disks.items())
    if case.pool.kind not in ("mdraid", "zfs") or not sizes:
        return
    (least, small), (most, large) = sizes[0], sizes[-1]
    if most - least <= (_FUZZ if case.pool.kind == "zfs" else most // 102):
        return
    makes = "zpool makes no pool" if case.pool.kind == "zfs" else "mdadm makes no array"
    found = f"{large} has {most >> 20} MiB and {small} {least >> 20}, and {makes} of such by itself"
    remedy = 'list disks of one size, or use btrfs, which takes any; or make it by hand, and write its "uuid"'
    yield Problem(case.place, found, remedy)


def _sizes(case: Case, decided: Decided) -> None:
    sizes = sorted((disk.size, name) for name, disk in case.disks.items())
    least, most = sizes[0], sizes[-1]
    if most[0] - least[0] > most[0] // 100:
        found = f"{most[1]} has {most[0] >> 20} MiB and {least[1]} {least[0] >> 20}"
        text = f"the pool holds about {case.level.usable([size for size, _ in sizes]) >> 20} MiB"
        decided.warnings.append(Problem(case.place, found, text))


def _finish(case: Case, record: Record, decided: Decided) -> None:
    """Go on with a pool whose making was cut: the disks bear the UUID of our own record, which no one else knows."""
    if (record.kind, record.level) != (case.pool.kind, case.pool.level):
        found = f"was begun as {record.kind} {record.level}"
        decided.problems.append(Problem(case.place, found, "list it as that until it is finished"))
        return
    others = [
        name for name, disk in case.disks.items() if disk.serial not in (record.serials or {"": disk.serial}).values()
    ]
    if others:
        # It may have been used since, by hand: only with the disks that it was begun on is nothing lost.
        begun = ", ".join(record.serials.values())
        found = f"its making was cut on the serials {begun}, and {', '.join(others)} is none of these"
        decided.problems.append(Problem(case.place, found, "list the disks that it was begun with"))
        return
    members = {name: member for name, member in case.members.items() if member.uuid == record.uuid}
    for name in case.absent:
        found = f"no disk is {case.ids[name]}, and the making of {case.name} was cut"
        decided.problems.append(Problem(f"{case.host}.disks.{name}", found, "plug it in"))
    rest = {name: disk for name, disk in case.disks.items() if name not in members}
    whole = not rest and not case.absent
    if record.kind == "mdraid":
        inner = case.inner
        formatted = inner is not None and inner.uuid == record.filesystem_uuid
        # mkfs.xfs writes the UUID first and all else after it, so whether it came to its end is looked at there.
        complete = whole and formatted and (record.filesystem, record.state) != ("xfs", "formatting")
        # Once it was being formatted all of its disks had joined, and what is on them by now nobody knows.
        if not whole and (formatted or record.state == "formatting"):
            found = "its making was cut after its filesystem was made, and not all of its disks are its own any more"
            decided.problems.append(Problem(case.place, found, "list the disks that it was begun with"))
        if not complete:
            # What the array itself holds is let go of; what anything else does, is not ours to take apart.
            for name in members:
                decided.problems += disks.grown(case.host, name, case.disks[name], case.seen, disks.RAID, record.uuid)
            decided.problems += _on_array(case, record, joined=whole)
    else:
        numbers = [member.devices for member in members.values() if isinstance(member, BtrfsMember)]
        complete = whole and all(number == len(case.pool.disks) for number in numbers)
        if not complete:
            # mkfs.btrfs marks its disks last of all: one that is marked was whole, and may have been used since.
            found = "its making was cut after its filesystem was made, and not all of its disks are its own any more"
            remedy = "list the disks that it was begun with; or, if nothing is on it, clear them (`wipefs --all`)"
            decided.problems.append(Problem(case.place, found, remedy))
    cleared = clearing(case, rest)
    decided.problems += cleared.problems
    if decided.problems:
        return
    made = replace(record, state="made")
    if complete:
        decided.record = made
        return
    says = f"finish {case.name}, whose making was cut"
    if whole:
        command = mdraid.finish(record, case.ids, case.disks)
    else:
        own = mdraid.free(record, case.disks, case.ids)
        command = mdraid.create(record, case.ids, case.disks, cleared.script, own)
    decided.steps.append(step("destructive" if cleared.script else "additive", case, says, command, cleared.consents))
    decided.record = made


def _on_array(case: Case, record: Record, *, joined: bool) -> Iterator[Problem]:
    """What is on an array whose making was cut that this did not put there, as far as it is seen, or what uses it.

    Until all its disks had `joined` and were being formatted, it holds what its disks did.
    """
    array, inner = case.array, case.inner
    strange = [inner.type] if inner is not None and inner.uuid != record.filesystem_uuid else []
    if array is not None and array.runs:
        device = array.device
        strange += [each.type for each in device.signatures or () if each.uuid != record.filesystem_uuid]
        if device.begun:
            strange.append(f"the zpool {device.begun}")
        # On disks that were encrypted it shows noise from its first moment.
        elif joined and record.state == "making" and not record.luks and device.content not in ("", "zero"):
            strange.append("data without a signature")
        users = [*device.mounts, *device.holders, *(["swap"] if device.swap else [])]
        if users:
            found = f"its making was cut, and {device.path} is in use by {', '.join(users)}"
            yield Problem(case.place, found, "stop what uses it, or unmount it")
    if strange:
        found = f"its making was cut, and there is now {', '.join(dict.fromkeys(strange))} on it that it did not make"
        yield Problem(case.place, found, "look at it; `mdadm --stop` and clear the disks by hand")
