"""Pools of snapraid: a filesystem on each disk, some for data and some for parity, known again by their UUIDs."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from homelab.counting import many
from homelab.model.nas import Pool
from homelab.model.problems import Problem
from homelab.storage import consent, guard, records, slots
from homelab.storage.case import Case, Decided, step
from homelab.storage.clearing import absent, clearing
from homelab.storage.records import Record
from homelab.storage.seen import DiskSeen
from homelab.storage.slots import Place
from homelab.storage.steps import Step

PACKAGES = ("mergerfs", "snapraid")
# What the host keeps about a pool's parity.
NOTES = "/var/lib/homelab/snapraid"
MAKE = r"""
# NAME UUID MKFS...: a filesystem on a disk that was seen to be blank a moment ago.
make() {
  disk="$1" wanted="$2"; shift 2
  idle "$disk"; blank "$disk"
  "$@" "/dev/$disk" </dev/null || stop "no filesystem could be made on /dev/$disk"
  settle
  only "$disk" "$wanted" || stop "/dev/$disk holds no filesystem after it was made"
}
"""


def decide(case: Case, record: Record | None, make_uuid: Callable[[], str]) -> Decided:
    """What becomes of a pool of snapraid; a disk of another pool has been refused before."""
    decided = Decided()
    if record is not None and (cut := _rebuilding(case, record)) is not None:
        decided.problems.append(cut)
        return decided
    places = {name: place for name, disk in case.disks.items() if (place := slots.of(disk)) is not None}
    known = _known(case, record, places)
    ours = {name: place for name, place in places.items() if place.pool == known}
    if record is not None and record.state != "made":
        _finish(case, record, ours, decided)
    elif not ours and record is not None:
        remedy = f"plug in its disks; or, if its data are gone for good, remove {records.FOLDER}/{case.name} there"
        serials = ", ".join(record.serials.values())
        found = f"was made with the UUID {record.uuid} on the serials {serials}, and no disk that is listed has it"
        decided.problems.append(Problem(case.place, found, remedy))
    elif not ours and case.pool.uuid:
        found = f"no disk that is listed for it has the UUID {case.pool.uuid}"
        decided.problems.append(Problem(case.place, found, "correct the UUID; to make a new pool, leave it out"))
    elif ours:
        _adopt(case, record, ours, decided)
    else:
        pool = slots.pool_uuid(make_uuid())
        _make(case, _new(case, pool), {}, places, decided)
    return decided


def _rebuilding(case: Case, record: Record) -> Problem | None:
    """Nothing is joined or noted before what a dead disk held is on the new one; or the dead one is back."""
    slot, _, serial = record.rebuilding.partition(" ")
    uuid, name = record.slots.get(slot, ("", "NAME"))
    ours = {name: place for name, disk in case.disks.items() if (place := slots.of(disk)) is not None}
    there = {place.slot: each for each, place in ours.items() if place.pool == slots.pool_uuid(record.uuid)}
    called = there.get(slot) or vacant(case, record, there).get(slot, name)
    old = record.serials.get(name)
    back = any(disk.serial == old and name in ours and ours[name].uuid == uuid for name, disk in case.disks.items())
    if not slot:
        return None
    if back:
        return both(case, record) if serial in case.seen.serials.values() else None
    found = f"the disk with the serial {serial} is to become {slot} in the place of {called}, and not all is on it"
    words = f"--limit {case.host} --data disk={called} --data with={shlex.quote(f'serial:{serial}')}"
    remedy = f"run `{case.deploy('day2/replace_disk')} {words}`, which goes on"
    if called in case.disks and case.disks[called].serial == serial:
        remedy = f"list {called} with its former id, that of the serial {record.serials.get(name)}, and {remedy}"
    return Problem(case.place, found, remedy)


def both(case: Case, record: Record) -> Problem:
    """A dead disk is back beside the one that is being restored in its place."""
    slot, _, serial = record.rebuilding.partition(" ")
    old = record.serials.get(record.slots[slot][1], "")
    found = f"the disk with the serial {serial}, which is to become {slot}, and the former one ({old}) are both here"
    remedy = f"switch off, and take {old} out to go on with replace_disk.py, or {serial} to have it as it was"
    return Problem(case.place, found, remedy)


def _known(case: Case, record: Record | None, places: Mapping[str, Place]) -> str:
    """The UUID of the pool that these disks are, or are to be; "" when they are none."""
    if record is not None:
        return slots.pool_uuid(record.uuid)
    if case.pool.uuid:
        return slots.pool_uuid(case.pool.uuid)
    pools = {place.pool for place in places.values()}
    named = all(
        (found := slots.filesystem(disk)) is not None and found.label == slots.label(case.name, found.type)
        for disk in case.disks.values()
    )
    whole = set(places) == set(case.pool.members) and len(pools) == 1
    return pools.pop() if whole and named else ""


def _roles(pool: Pool) -> Iterator[tuple[str, str, int]]:
    """Each disk with what it is listed for, and its number in that list."""
    for role, listed in (("data", pool.disks), ("parity", pool.parity)):
        for number, name in enumerate(listed, 1):
            yield name, role, number


def _new(case: Case, pool: str) -> Record:
    wanted = {name: Place(pool, role, number) for name, role, number in _roles(case.pool)}
    return Record(
        case.name,
        "snapraid",
        case.pool.level,
        pool,
        case.pool.filesystem or "ext4",
        pool,
        {name: disk.serial for name, disk in case.disks.items()},
        state="making",
        slots={place.slot: (place.uuid, name) for name, place in wanted.items()},
    )


def _make(
    case: Case, record: Record, own: Mapping[str, DiskSeen], places: Mapping[str, Place], decided: Decided
) -> None:
    """Make a filesystem on each of its disks, which are blank, let go of, or `own`: made by a run that was cut."""
    problems = decided.problems
    cleared = clearing(case, case.disks, own)
    problems += [*absent(case), *cleared.problems]
    pools = {place.pool for place in places.values()}
    if problems and set(places) == set(case.disks) and len(pools) == 1:
        found = f"its disks are those of a snapraid with the UUID {pools.copy().pop()}, which this pool does not name"
        remedy = f'to take it over as it is, write "uuid": "{pools.pop()}" in the pool'
        problems.append(Problem(case.place, found, remedy))
    problems += _too_small(case)
    if problems:
        return
    told = ", ".join(
        f"{name} (/dev/{case.disks[name].name}, serial {case.disks[name].serial}) as {slot}"
        for slot, (_, name) in record.slots.items()
    )
    making = f"make the snapraid {case.name} of {told}, each with {record.filesystem}"
    lost = ", ".join(cleared.lost)
    says, kind = (f"clear {lost}, and {making}", "destructive") if lost else (making, "additive")
    decided.steps.append(step(kind, case, says, _create(record, case, own, cleared.script), cleared.consents))
    decided.record = replace(record, state="made")
    decided.warnings.append(_protects_less(case))


def _too_small(case: Case) -> Iterator[Problem]:
    """A disk of parity that is smaller than one of data would be full before that one is."""
    sizes = {name: disk.size for name, disk in case.disks.items()}
    data = [name for name in case.pool.disks if name in sizes]
    largest = max(data, key=lambda name: sizes[name], default="")
    for name in case.pool.parity:
        if largest and name in sizes and sizes[name] < sizes[largest]:
            found = f"has {sizes[name] >> 20} MiB, and {largest} has {sizes[largest] >> 20}"
            remedy = "list the largest disks as parity"
            yield Problem(f"{case.place}.parity", f"{name} {found}", remedy)


def _protects_less(case: Case) -> Problem:
    found = "snapraid restores what was there at its last sync: no change since, no owner, mode or attribute of a file"
    return Problem(case.place, found, "keep what changes daily on another kind of pool, and a backup of all of it")


def _create(record: Record, case: Case, own: Mapping[str, DiskSeen], clearing: str) -> str:
    found = case.disks
    return (
        guard.head(record)
        + MAKE.lstrip()
        + "".join(
            guard.same(case.ids[name], disk)
            + f"idle {disk.name}\nonly {disk.name} {_uuid_of(record, name)} || "
            + f"stop '/dev/{disk.name} holds something else'\n"
            for name, disk in own.items()
        )
        + "".join(guard.untouched(case.ids[name], disk) for name, disk in found.items() if name not in own)
        + "note making\n"
        + clearing
        # mkfs.ext4 writes the UUID last, and mkfs.xfs has a mark for what it began: what else bears ours is whole, and
        # may have been used since.
        + "".join(f"if half {disk.name}; then clear {disk.name}; fi\n" for disk in own.values())
        + "".join(f"idle {disk.name}; blank {disk.name}\n" for name, disk in found.items() if name not in own)
        + "".join(
            (f"only {found[name].name} {uuid} || " if name in own else "")
            + f"make {found[name].name} {uuid} {mkfs(record, slot, uuid)}\n"
            for slot, (uuid, name) in record.slots.items()
        )
        + "note made\n"
    )


def mkfs(record: Record, slot: str, uuid: str) -> str:
    label = slots.label(record.pool, record.filesystem)
    if record.filesystem == "xfs":
        return f"mkfs.xfs -q -m uuid={uuid} -L {label}"
    # One file that fills the disk needs few inodes and no reserve: it has to have room for more than the data have.
    room = "-m 0 -T largefile4" if slot.startswith("parity") else "-m 1"
    return f"mkfs.ext4 -q {room} -U {uuid} -L {label}"


def _uuid_of(record: Record, name: str) -> str:
    return next(uuid for uuid, each in record.slots.values() if each == name)


def _finish(case: Case, record: Record, ours: Mapping[str, Place], decided: Decided) -> None:
    """Go on with a pool whose making was cut: its disks are blank, or bear the very UUIDs of our own record."""
    if not ours:
        # No disk knows of it yet: its UUID stays, the rest is as listed now.
        places = {name: place for name, disk in case.disks.items() if (place := slots.of(disk)) is not None}
        _make(case, _new(case, slots.pool_uuid(record.uuid)), {}, places, decided)
        return
    new = _new(case, record.uuid)
    listed = (new.kind, new.filesystem, new.slots)
    if listed != (record.kind, record.filesystem, record.slots):
        told = ", ".join(f"{name} as {slot}" for slot, (_, name) in record.slots.items())
        found = f"was begun as {record.kind} with {record.filesystem} on {told}"
        decided.problems.append(Problem(case.place, found, "list it as that until it is finished"))
        return
    others = [name for name, disk in case.disks.items() if disk.serial not in record.serials.values()]
    others += [name for name, place in ours.items() if place.uuid != _uuid_of(record, name)]
    if others:
        begun = ", ".join(record.serials.values())
        found = f"its making was cut on the serials {begun}, and {', '.join(dict.fromkeys(others))} is not as begun"
        decided.problems.append(Problem(case.place, found, "list the disks that it was begun with, as then"))
        return
    if set(ours) == set(case.pool.members) and record.filesystem != "xfs":
        # The last of them was made: nothing is left to do but to write that down. An XFS bears its UUID before all
        # else, so whether its making came to its end is looked at there.
        decided.record = replace(record, state="made")
        return
    _make(case, replace(record, state="making"), {name: case.disks[name] for name in ours}, {}, decided)
    decided.steps = [
        replace(each, says=f"finish {case.name}, whose making was cut: {each.says}") for each in decided.steps
    ]


def _adopt(case: Case, record: Record | None, ours: Mapping[str, Place], decided: Decided) -> None:
    """Take a pool as it is; what is listed otherwise than it is, is refused."""
    problems = decided.problems
    pool = next(iter(ours.values())).pool
    if record is not None and case.pool.uuid and slots.pool_uuid(case.pool.uuid) != pool:
        found = f"its disks carry the UUID {pool}, and the inventory says {case.pool.uuid}"
        problems.append(Problem(case.place, found, f'write "uuid": "{pool}", or leave it out'))
        return
    problems += misplaced(case, record, ours, pool)
    if problems:
        return
    there = {ours[name].slot: name for name in case.pool.members if name in ours}
    if record is None:
        found_slots = {slot: (ours[name].uuid, name) for slot, name in there.items()}
    else:
        meant = vacant(case, record, there)
        found_slots = {slot: (uuid, there.get(slot) or meant[slot]) for slot, (uuid, _) in record.slots.items()}
    types = {each.type for name in ours if (each := slots.filesystem(case.disks[name])) is not None}
    type_ = record.filesystem if record is not None else sorted(types)[0]
    if types != {type_}:
        found = f"its disks carry {' and '.join(sorted(types))}, and were made with one and the same"
        problems.append(Problem(case.place, found, "look at them (`lsblk -f`): one is not what it was"))
        return
    if case.pool.filesystem and type_ != case.pool.filesystem:
        remedy = f'a filesystem is never changed; write "{type_}"'
        problems.append(Problem(case.place, f"holds {type_}, not {case.pool.filesystem}", remedy))
        return
    problems += _former(case, record, ours)
    old = record.serials if record is not None else {}
    serials = {name: case.disks[name].serial if name in case.disks else old.get(name, "") for name in case.pool.members}
    former = record.former if record is not None else {}
    new = Record(
        case.name, "snapraid", case.pool.level, pool, type_, pool, serials, slots=_sorted(found_slots), former=former
    )
    for slot in sorted(set(new.slots) - set(there)):
        _missing(case, new, slot, decided)
    if problems:
        return
    decided.record = new
    decided.steps.append(Step("noop", f"pool {case.name}", f"{case.name} is there, the snapraid {pool}"))
    was = {slot: old.get(name, "") for slot, (_, name) in (record.slots if record is not None else {}).items()}
    others = [
        name for name in case.pool.parity if name in ours and was.get(ours[name].slot, "") not in ("", serials[name])
    ]
    if others:
        # By its UUID it is the same, so that snapraid would take an older one, or a copy, for what it is not.
        says = f"have the next sync write the parity anew, as {', '.join(others)} is another disk than before"
        command = f"mkdir -p {NOTES}/{case.name}; chmod 0700 {NOTES}/{case.name}; : >{NOTES}/{case.name}/parity\n"
        decided.steps.append(step("config", case, says, command))


def _former(case: Case, record: Record | None, ours: Mapping[str, Place]) -> Iterator[Problem]:
    """Disks that another one has taken the place of: what came to the pool since is not on them."""
    for name, place in ours.items():
        serial = case.disks[name].serial
        if record is None or serial not in record.former.get(place.slot, ()):
            continue
        now = record.serials.get(record.slots[place.slot][1], "")
        found = f"the disk with the serial {serial} was replaced as {place.slot} of {case.name} by {now}, and is older"
        remedy = (
            f"take it out, and list {now}; if that is lost and this is all there is, remove {serial} from the line "
            f"former.{place.slot} in {records.FOLDER}/{case.name}"
        )
        yield Problem(f"{case.host}.disks.{name}", found, remedy)


def _sorted(found: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    order = sorted(found, key=lambda slot: (slot.rstrip("0123456789"), int(slot.lstrip("abcdefghijklmnopqrstuvwxyz"))))
    return {slot: found[slot] for slot in order}


def vacant(case: Case, record: Record, there: Mapping[str, str]) -> dict[str, str]:
    """To each place without its disk the listed disk that is meant for it: the recorded one, else the next."""
    free = [slot for slot in record.slots if slot not in there]
    names = [name for name in case.pool.members if name not in there.values()]
    found = {slot: record.slots[slot][1] for slot in free if record.slots[slot][1] in names}
    rest = [name for name in names if name not in found.values()]
    for slot in free:
        if slot not in found and rest:
            found[slot] = rest.pop(0)
    return found


def misplaced(case: Case, record: Record | None, ours: Mapping[str, Place], pool: str) -> Iterator[Problem]:
    """Every way in which the listed disks are not those of the pool, each in its place."""
    held: dict[str, str] = {}
    for name, role, _ in _roles(case.pool):
        place, where = ours.get(name), f"{case.host}.disks.{name}"
        if place is None:
            if name in case.disks:
                yield _stranger(case, name, case.disks[name], pool)
            elif record is None:
                found = f"no disk is {case.ids[name]}, and what is written of {case.name} is lost"
                remedy = (
                    f"plug it in: without all of its disks it is not known which is which; or write "
                    f"{records.FOLDER}/{case.name} by hand, as src/homelab/storage/README.md tells"
                )
                yield Problem(where, found, remedy)
            continue
        if place.role != role:
            found = f"is {place.slot} of {case.name}, and listed for {role}"
            yield Problem(where, found, f"list it in {'parity' if place.role == 'parity' else 'disks'}")
        if record is not None and (noted := record.slots.get(place.slot, ("",))[0]) != place.uuid:
            whose = f"{records.FOLDER}/{case.name} says {noted or 'nothing'} of that place"
            found = f"/dev/{case.disks[name].name} is {place.slot} of {case.name} by its UUID {place.uuid}, and {whose}"
            yield Problem(where, found, "list the right disk")
        if place.slot in held:
            found = f"is {place.slot} of {case.name}, and so is {held[place.slot]}"
            yield Problem(where, found, "list the newer one of them")
        held.setdefault(place.slot, name)
    for role, listed in (("data", case.pool.disks), ("parity", case.pool.parity)):
        if record is not None:
            count = sum(slot.startswith(role) for slot in record.slots)
        else:
            # Its last one may be missing from the list, and nobody could tell; one from the middle is missed.
            count = max((place.number for place in ours.values() if place.role == role), default=len(listed))
        if count != len(listed):
            found = (
                f"has {many(count, 'disk')} of {role}, and {len(listed)} {'is' if len(listed) == 1 else 'are'} listed"
            )
            remedy = "list all of them; to add a disk or to take one out is not supported yet"
            yield Problem(case.place, found, remedy)


def _stranger(case: Case, name: str, disk: DiskSeen, pool: str) -> Problem:
    blank = disk.is_blank and not disk.partitions
    holds = "is blank" if blank else f"holds {consent.seen(disk) or 'something else'}"
    found = f"/dev/{disk.name} (serial {disk.serial}) {holds} and is no disk of {case.name} ({pool})"
    return Problem(f"{case.host}.disks.{name}", found, "list the disk that is")


def _missing(case: Case, record: Record, slot: str, decided: Decided) -> None:
    """A disk of data that is gone keeps the pool down, one of parity does not."""
    name = record.slots[slot][1]
    serial = record.serials.get(name, "")
    mount = case.seen.mounted(slots.path(case.name, slot))
    if mount is not None and serial and case.seen.serials.get(mount.source.removeprefix("/dev/")) == serial:
        found = f"{case.ids[name]} is no disk of {case.name}, and its {slot} is the disk with the serial {serial}"
        remedy = 'write that disk\'s name under /dev/disk/by-id as its "id"'
        decided.problems.append(Problem(f"{case.host}.disks.{name}", found, remedy))
        return
    replaced = (
        f"replace it (`{case.deploy('day2/replace_disk')} --limit {case.host} --data disk={name} --data with=NEW`)"
    )
    gone = f"{name} ({slot}, {f'serial {serial}' if serial else case.ids[name]}) is gone"
    if slot.startswith("parity"):
        found = f"{gone}, so what changes is not protected"
        decided.warnings.append(Problem(case.place, found, f"plug it in, or {replaced}"))
        return
    found = (
        f"{gone}, and without it the pool stays down: its files would seem to be deleted, and what is changed on the "
        "other disks meanwhile is what it could not be restored from"
    )
    remedy = (
        f"plug it in, or {replaced}; what the others hold is to be read in {slots.FOLDER}/{case.name}, change nothing "
        "there"
    )
    decided.problems.append(Problem(case.place, found, remedy))
