"""One pool: whether its disks carry it already, can be joined to it, or neither, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from homelab.model.nas import Pool
from homelab.model.problems import Problem
from homelab.storage import btrfs, consent, disks, guard, mdraid, records
from homelab.storage.records import Record
from homelab.storage.seen import Array, BtrfsMember, Device, DiskSeen, Inner, MdMember, Seen
from homelab.storage.steps import Step

_CALLED = {"mdraid": "array", "btrfs": "btrfs"}


@dataclass
class Decided:
    """What becomes of a pool: its record, when it is or will be one, and what leads there."""

    record: Record | None = None
    steps: list[Step] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    # Whether its filesystem counts project quotas.
    projects: bool = True


@dataclass(frozen=True)
class Case:
    """A pool as it is listed, and its disks as they were seen, by the inventory's names."""

    host: str
    name: str
    pool: Pool
    ids: Mapping[str, str]
    consents: Mapping[str, str | None]
    disks: Mapping[str, DiskSeen]
    absent: tuple[str, ...]
    seen: Seen
    used: frozenset[str]

    @property
    def place(self) -> str:
        return f"{self.host}.pools.{self.name}"

    def carrier(self, disk: DiskSeen) -> Device | None:
        """What of a disk is a member of a pool of this kind: the disk, or its one partition that is."""
        found = [device for device in disk.devices if self.member(device)]
        return found[0] if len(found) == 1 else None

    def member(self, device: Device) -> MdMember | BtrfsMember | None:
        return device.md if self.pool.kind == "mdraid" else device.btrfs

    @property
    def members(self) -> dict[str, MdMember | BtrfsMember]:
        """The disks that are members, and what their superblocks say."""
        found = {}
        for name, disk in self.disks.items():
            device = self.carrier(disk)
            member = self.member(device) if device else None
            if member is not None:
                found[name] = member
        return found

    @property
    def array(self) -> Array | None:
        """The array that the kernel made of these disks."""
        held = {device.name for disk in self.disks.values() if (device := self.carrier(disk)) is not None}
        return next((each for each in self.seen.arrays if held & set(each.members)), None)

    @property
    def inner(self) -> Inner | None:
        """The filesystem on a mirror of md, as the running array or else a member has it."""
        told = [device.inner for disk in self.disks.values() if (device := self.carrier(disk)) is not None]
        from_member = next((each for each in told if each is not None and each.type), None)
        array = self.array
        if array is not None and array.runs and array.device.signatures is not None:
            if not array.device.signatures:
                return None
            first = array.device.signatures[0]
            if from_member is None or from_member.uuid != first.uuid:
                return Inner(first.type, first.uuid, projects=first.type == "xfs")
        return from_member


def decide(case: Case, record: Record | None, others: Mapping[str, Record], make_uuid: Callable[[], str]) -> Decided:
    """What becomes of a pool. `others` are the records of all other pools of this host."""
    decided = Decided()
    uuids = sorted({member.uuid for member in case.members.values()})
    foreign = {each.uuid: each.pool for each in others.values()}
    for name, disk in case.disks.items():
        for device in disk.devices:
            owner = next((each.uuid for each in (device.md, device.btrfs) if each and each.uuid in foreign), None)
            if owner:
                found = f"/dev/{device.name} belongs to the pool {foreign[owner]}"
                decided.problems.append(Problem(f"{case.host}.disks.{name}", found, "list another disk"))
    if decided.problems:
        return decided
    known = record.uuid if record is not None and record.state == "made" else case.pool.uuid
    if record is not None and record.uuid in uuids and record.state != "made":
        _finish(case, record, decided)
    elif not uuids or (known is None and not _named(case)):
        _make(case, record, uuids, decided, make_uuid)
    elif len(uuids) > 1:
        told = ", ".join(f"{name} of {member.uuid}" for name, member in case.members.items())
        found = f"its disks are of different {_CALLED[case.pool.kind]}s: {told}"
        decided.problems.append(Problem(case.place, found, "list the disks of one, or list others"))
    else:
        _adopt(case, record, uuids[0], decided)
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
    for name in case.absent:
        remedy = "look at `ls -l /dev/disk/by-id` there, and correct the id or plug it in"
        problems.append(Problem(f"{case.host}.disks.{name}", f"no disk is {case.ids[name]}", remedy))
    clearing, words, lost = "", [], []
    for name, disk in case.disks.items():
        unfit = list(disks.unfit(case.host, name, disk, case.seen))
        problems += unfit
        if unfit or (disk.is_blank and not disk.partitions):
            continue
        word, problem = disks.clears(case.host, name, disk, case.consents[name], case.seen, case.used)
        if problem is not None:
            problems.append(problem)
        if word is not None:
            clearing += guard.cleared(disk, word, case.seen.consents)
            words.append(word)
            lost.append(f"/dev/{disk.name} (serial {disk.serial}: {consent.seen(disk)})")
    if uuids and problems:
        problems += _how_to_adopt(case, uuids)
    if problems:
        return
    new = replace(_new(case, make_uuid), state="making") if record is None else _again(case, record)
    _sizes(case, decided)
    making = f"make the {case.pool.kind} {case.pool.level} {case.name} of {_told(case.disks)}"
    if lost:
        says, kind = f"clear {', '.join(lost)}, and {making}", "destructive"
    else:
        says, kind = making, "additive"
    how = mdraid.create if case.pool.kind == "mdraid" else btrfs.create
    command = how(new, case.ids, case.disks, clearing)
    decided.steps.append(_step(kind, case, says, command, tuple(words)))
    decided.record = replace(new, state="made")


def _step(kind: str, case: Case, says: str, command: str, words: tuple[str, ...] = ()) -> Step:
    assert kind in ("additive", "destructive", "config")
    return Step(kind, f"pool {case.name}", says, command, consents=words, timeout=1800)  # type: ignore[arg-type]


def _told(found: Mapping[str, DiskSeen]) -> str:
    return ", ".join(f"{name} (/dev/{disk.name}, serial {disk.serial})" for name, disk in found.items())


def _new(case: Case, make_uuid: Callable[[], str]) -> Record:
    uuid = make_uuid()
    filesystem = "btrfs" if case.pool.kind == "btrfs" else case.pool.filesystem or "ext4"
    inner = uuid if case.pool.kind == "btrfs" else make_uuid()
    serials = {name: disk.serial for name, disk in case.disks.items()}
    return Record(case.name, case.pool.kind, case.pool.level, uuid, filesystem, inner, serials)


def _again(case: Case, record: Record) -> Record:
    """A record of a pool that was begun and of which no disk knows yet: its UUIDs stay, the rest is as listed now."""
    new = _new(case, lambda: record.uuid)
    inner = record.uuid if new.kind == "btrfs" else record.filesystem_uuid
    return replace(new, filesystem_uuid=inner, state="making")


def _how_to_adopt(case: Case, uuids: list[str]) -> Iterator[Problem]:
    if len(uuids) != 1:
        return
    member = next(iter(case.members.values()))
    called = member.name if isinstance(member, MdMember) else member.label
    if set(case.members) == set(case.pool.disks):
        found = (
            f"its disks are the {_CALLED[case.pool.kind]} {called or 'without a name'}, which this pool does not name"
        )
    elif called.rpartition(":")[2] == case.name:
        found = f"{', '.join(case.members)} is a disk of the {_CALLED[case.pool.kind]} {called}, the others are not"
    else:
        return
    yield Problem(case.place, found, f'to take it over as it is, write "uuid": "{uuids[0]}" in the pool')


def _sizes(case: Case, decided: Decided) -> None:
    sizes = sorted((disk.size, name) for name, disk in case.disks.items())
    least, most = sizes[0], sizes[-1]
    if most[0] - least[0] > most[0] // 100:
        found = f"{most[1]} has {most[0] >> 20} MiB and {least[1]} {least[0] >> 20}"
        text = "a mirror holds as much as its smallest disk" if len(sizes) == 2 else "what is beyond may stay unused"
        decided.warnings.append(Problem(case.place, found, text))


def _finish(case: Case, record: Record, decided: Decided) -> None:
    """Go on with a pool whose making was cut: the disks bear the UUID of our own record, which no one else knows."""
    if (record.kind, record.level) != (case.pool.kind, case.pool.level):
        found = f"was begun as {record.kind} {record.level}"
        decided.problems.append(Problem(case.place, found, "list it as that until it is finished"))
        return
    members = {name: member for name, member in case.members.items() if member.uuid == record.uuid}
    for name in case.absent:
        found = f"no disk is {case.ids[name]}, and the making of {case.name} was cut"
        decided.problems.append(Problem(f"{case.host}.disks.{name}", found, "plug it in"))
    rest = {name: disk for name, disk in case.disks.items() if name not in members}
    inner = case.inner if record.kind == "mdraid" else None
    whole = not rest and not case.absent
    if record.kind == "mdraid":
        complete = whole and inner is not None and inner.uuid == record.filesystem_uuid
        if not complete and inner is not None and inner.uuid == record.filesystem_uuid:
            found = "its making was cut after its filesystem was made, and not all of its disks are its own any more"
            decided.problems.append(Problem(case.place, found, "list the disks that it was begun with"))
        strange = inner is not None and inner.uuid != record.filesystem_uuid
        if strange and record.state == "making":
            found = f"its making was cut, and there is now {inner.type if inner else ''} on it that it did not make"
            decided.problems.append(
                Problem(case.place, found, "look at it; `mdadm --stop` and clear the disks by hand")
            )
    else:
        numbers = [member.devices for member in members.values() if isinstance(member, BtrfsMember)]
        complete = whole and all(number == len(case.pool.disks) for number in numbers)
    clearing, words = "", []
    for name, disk in rest.items():
        decided.problems += disks.unfit(case.host, name, disk, case.seen)
        if disk.is_blank and not disk.partitions:
            continue
        word, problem = disks.clears(case.host, name, disk, case.consents[name], case.seen, case.used)
        if problem is not None:
            decided.problems.append(problem)
        if word is not None:
            clearing += guard.cleared(disk, word, case.seen.consents)
            words.append(word)
    if decided.problems:
        return
    made = replace(record, state="made")
    if complete:
        decided.record = made
        return
    says = f"finish {case.name}, whose making was cut"
    if record.kind == "btrfs":
        command = btrfs.create(record, case.ids, case.disks, clearing)
    elif whole:
        command = mdraid.finish(record, case.ids, case.disks)
    else:
        own = mdraid.free(record, case.disks, case.ids)
        command = mdraid.create(record, case.ids, case.disks, clearing, own)
    decided.steps.append(_step("destructive" if clearing else "additive", case, says, command, tuple(words)))
    decided.record = made


def _adopt(case: Case, record: Record | None, uuid: str, decided: Decided) -> None:
    """Take a pool as it is; what is listed otherwise than it is, is refused."""
    called, problems = _CALLED[case.pool.kind], decided.problems
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
        decided.steps.append(_step("config", case, says, btrfs.proven(case.disks)))
    decided.record = Record(
        case.name, "btrfs", case.pool.level, uuid, "btrfs", uuid, _serials(case, record), state="made"
    )


def _adopt_mdraid(case: Case, record: Record | None, uuid: str, decided: Decided) -> None:
    problems, array, inner = decided.problems, case.array, case.inner
    if inner is None or inner.type not in ("ext4", "xfs"):
        found = f"holds {inner.type}, not ext4 or xfs" if inner else "holds no filesystem"
        problems.append(Problem(case.place, found, "make one on it by hand, or list blank disks"))
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
        decided.steps.append(_step("config", case, f"start {case.name}{without}", command))
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
