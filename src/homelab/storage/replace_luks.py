"""Another disk under an encrypted pool: it is encrypted first, and the pool gets what it shows then.

The UUID of its LUKS header follows from the pool and its serial, so that a run that was cut knows it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import UUID, uuid5

from homelab.model.problems import Problem
from homelab.storage import crypttab, guard, luks, mappings
from homelab.storage.case import Case, step
from homelab.storage.records import Record
from homelab.storage.seen import DiskSeen, Opened
from homelab.storage.situation import Situation
from homelab.storage.steps import Step


def uuid_of(record: Record, disk: DiskSeen) -> str:
    """The UUID of the LUKS header that a disk gets, or got, when it became one of this pool."""
    return str(uuid5(UUID(record.uuid), disk.serial))


def in_clear(case: Case, record: Record, leaving: str) -> tuple[Case, list[Problem]]:
    """The case as its open disks show it; one that is locked is of no use, unless it is the one that is leaving."""
    views: dict[str, DiskSeen] = {}
    problems = []
    for name, disk in case.disks.items():
        ours = disk.luks is not None and disk.luks.uuid in record.luks.values()
        if ours and disk.opened is not None:
            views[name] = luks.view(disk, disk.opened.uuid, disk.opened)
        elif ours and name != leaving:
            found, remedy = "is locked", f"run `{case.deploy('nas')}` first, which opens it"
            problems.append(Problem(f"{case.host}.disks.{name}", found, remedy))
        else:
            views[name] = disk
    return replace(case, disks=views, luks=record.luks), problems


@dataclass(frozen=True)
class Coming:
    """The new disk as the pool will see it, and how far an earlier run of this command came with it.

    One that is `begun` carries the pool's LUKS header: `half` of it, whole and open with nothing in it, or `encrypted`
    and a disk of the pool by now.
    """

    view: Opened
    begun: bool = False
    half: bool = False
    encrypted: bool = False


def coming(case: Case, record: Record, new: DiskSeen, place: str) -> tuple[Coming | None, tuple[Problem, ...]]:
    """What a new disk is, by how far an earlier run came with it, or why nothing can be done with it."""
    uuid, what = uuid_of(record, new), f"/dev/{new.name} (serial {new.serial})"
    if new.luks is None or new.luks.uuid != uuid:
        return Coming(luks.blank(new, uuid)), ()
    if not new.luks.slots:
        return Coming(luks.blank(new, uuid), begun=True, half=True), ()
    opened = new.opened
    if opened is None:
        found = f"{what} was encrypted for {case.name}, and is locked"
        remedy = f"run `cryptsetup open --key-file {mappings.key_path(case.name)} {new.path} luks-{uuid}` there"
        return None, (Problem(place, found, f"{remedy}, and this again"),)
    member = case.member(opened)
    if member is not None and member.uuid == record.uuid:
        return Coming(luks.view(new, uuid, opened), begun=True, encrypted=True), ()
    if luks.is_noise(opened):
        return Coming(luks.blank(new, uuid), begun=True), ()
    found = f"{what} was encrypted for {case.name}, and is used or holds {luks.holds(opened)}"
    remedy = f"look at it; if it is nothing, `cryptsetup close {opened.path}` and clear the disk"
    return None, (Problem(place, found, remedy),)


def before(it: Situation, found: Coming, others: tuple[Record, ...]) -> Iterator[Step]:
    """What comes before the pool gets the disk: every boot is to open it, and then it is encrypted.

    `others` are the records of the host's other pools.
    """
    case, name = it.case, it.wish.disk
    with_both = replace(it.record, luks={**it.record.luks, f"new {name}": found.view.uuid})
    yield _opened_at_boot(case, (*others, with_both))
    if found.encrypted:
        return
    clears = f"clear {it.says}, and " if it.clearing else ""
    keyed = [each for each in it.others.values() if isinstance(each, Opened)]
    half = [name] if found.half else []
    command = mappings.joining(case.name, {name: it.wish.new}, {name: found.view}, half, it.clearing, keyed)
    yield step(it.kind, case, f"{clears}encrypt {it.says} with LUKS for {case.name}", command, it.words)


def after(it: Situation, record: Record, others: tuple[Record, ...]) -> Iterator[Step]:
    """What follows, before `record` is written: no boot waits for the old disk any more, and it is locked."""
    yield _opened_at_boot(it.case, (*others, record))
    for uuid in sorted(set(it.record.luks.values()) - set(record.luks.values())):
        name = f"luks-{uuid}"
        command = (
            f"{guard.head()}settle\n[ ! -e /dev/mapper/{name} ] || cryptsetup close {name} || "
            f"stop '/dev/mapper/{name} is in use by something'\n"
        )
        yield step("config", it.case, f"lock {it.wish.disk}, which is none of {it.case.name} any more", command)


def _opened_at_boot(case: Case, known: tuple[Record, ...]) -> Step:
    encrypted = tuple(sorted((each for each in known if each.luks), key=lambda each: each.pool))
    return step(
        "config", case, f"open the disks of {case.name} at boot, by {crypttab.PATH}", crypttab.written(encrypted)
    )
