"""Another disk in the place of one that dies or has died: why it may not be, and the steps that make it so.

Each step looks how things are by then, so the same command goes on wherever it was cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from pydantic_core import PydanticCustomError

from homelab.model.nas import Disk, Nas
from homelab.model.nas_rules import same_disk
from homelab.model.problems import Problem, did_you_mean
from homelab.model.storage import disk_id
from homelab.probe import HostProbe
from homelab.storage import (
    disks,
    guard,
    records,
    replace_btrfs,
    replace_luks,
    replace_mdraid,
    replace_snapraid,
    replace_zfs,
)
from homelab.storage.case import Case
from homelab.storage.named import named
from homelab.storage.records import Record
from homelab.storage.seen import DiskSeen, Seen
from homelab.storage.situation import Situation, Wish
from homelab.storage.steps import Step

USAGE = (
    "usage: HOMELAB_ENV=home pyinfra inventory deploys/day2/replace_disk.py --data disk=NAME --data with=NEW "
    "[--data consent=...] [--data without=...]; "
    "NAME is one of disks, NEW a name under /dev/disk/by-id, serial:... or the name of a disk in no pool"
)


@dataclass(frozen=True)
class Replacement:
    """What is to be done, why nothing can be, and what to tell in the end."""

    steps: tuple[Step, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    told: tuple[str, ...] = ()


def wish(nas: Nas, given: Mapping[str, str]) -> tuple[Wish | None, tuple[Problem, ...]]:
    """The arguments, proven against the inventory."""
    problems = []
    disk, with_, consent = given["disk"], given["with"], given.get("consent")
    pool = pool_of(nas, disk)
    if disk not in nas.disks:
        known = f"write one of {', '.join(nas.disks)}" if nas.disks else "list it first"
        problems.append(Problem("disk", f"no {disk!r} in disks", did_you_mean(disk, nas.disks, known)))
    elif pool is None:
        used = [name for each in nas.pools.values() for name in each.members]
        remedy = f"write one of {', '.join(used)}" if used else "there is nothing to replace"
        problems.append(Problem("disk", f"{disk} is in no pool", remedy))
    new, name = with_, ""
    if with_ in nas.disks:
        new, name = nas.disks[with_].id, with_
    else:
        try:
            new = disk_id(with_)
        except PydanticCustomError as error:
            found, _, remedy = error.message().partition("; ")
            problems.append(Problem("with", found, f"{remedy}; or the name of a disk in no pool"))
            new = ""
    for other, listed in nas.disks.items():
        if not new or not same_disk(listed, Disk(id=new)):
            continue
        owner = pool_of(nas, other)
        if owner is None:
            name = other
        else:
            at = f"in pool {owner}" if with_ == other else f"{other}, in pool {owner}"
            what = "is the disk itself" if other == disk else f"is {at}"
            problems.append(Problem("with", f"{with_} {what}", "write the new disk"))
    if consent is not None and not re.fullmatch(r"[0-9a-f]{16}", consent):
        problems.append(Problem("consent", f"{consent!r} is not a consent", "write the 16 letters of the refusal"))
    without = given.get("without")
    if without is not None and pool is not None and nas.pools[pool].kind != "snapraid":
        problems.append(Problem("without", f"{pool} is no pool of snapraid, and keeps all or nothing", "leave it out"))
    elif without is not None and not re.fullmatch(r"[0-9a-f]{8}", without):
        problems.append(Problem("without", f"{without!r} is not a word of it", "write the 8 letters of the refusal"))
    return (None if problems else Wish(disk, new, name, consent, without)), tuple(problems)


def pool_of(nas: Nas, disk: str) -> str | None:
    """The pool that a disk is listed in."""
    return next((name for name, pool in nas.pools.items() if disk in pool.members), None)


def plan(
    host: str, nas: Nas, seen: Seen, probe: HostProbe, wish: Wish, used: frozenset[str], *, environment: str
) -> Replacement:
    """What is to be done on a host for a wish that is proven against its inventory, `environment`."""
    return _Draft(host, nas, seen, probe, wish, used, environment).plan()


@dataclass
class _Draft:
    host: str
    nas: Nas
    seen: Seen
    probe: HostProbe
    wish: Wish
    used: frozenset[str]
    environment: str
    problems: list[Problem] = field(default_factory=list)

    def plan(self) -> Replacement:
        name = pool_of(self.nas, self.wish.disk)
        assert name is not None
        found = disks.find(self.host, self.nas, self.seen)
        case = self._case(name, found)
        record = self._record(case)
        if record is not None and case.pool.kind != "snapraid":
            record, unknown = named(case, record)
            self.problems += unknown
        self.problems += [each for each in found.problems if each.place.rpartition(".")[2] in case.pool.members]
        new = self._new()
        if record is None or new is None or self.problems:
            return Replacement(problems=tuple(self.problems))
        if case.pool.kind == "snapraid":
            return self._place(case, record, new)
        coming = None
        if record.luks:
            place = f"{self.host}: {self.wish.name or 'with'}"
            case, locked = replace_luks.in_clear(case, record, self.wish.disk)
            coming, strange = replace_luks.coming(case, record, new, place)
            self.problems += (*locked, *strange)
            if self.problems:
                return Replacement(problems=tuple(self.problems))
        situation = self._situation(case, record, coming.view if coming else new)
        self.problems += self._strangers(situation)
        if not self.problems:
            self.problems += self._grown(situation, coming)
        if not situation.joined and not self.problems:
            self._guard(situation, begun=coming is not None and coming.begun)
        kind = {"mdraid": replace_mdraid, "btrfs": replace_btrfs, "zfs": replace_zfs}[case.pool.kind]
        if not self.problems:
            self.problems += kind.problems(situation)
        if self.problems:
            return Replacement(problems=tuple(self.problems))
        serials = {**record.serials, self.wish.disk: new.serial}
        after = replace(record, serials={each: serials.get(each, "") for each in case.pool.disks})
        if coming is not None:
            after = replace(after, luks={**record.luks, self.wish.disk: coming.view.uuid})
        noted = after.file.stands(self.probe.files.get(after.file.path))
        # Of an encrypted disk what was consented to is lost when it is encrypted.
        inside = replace(situation, clearing="", words=()) if coming else situation
        others = self._others(name) if coming is not None else ()
        # A run that finds the record written has nothing more to do, so all else of the old disk is done by then.
        last = (*(replace_luks.after(situation, after, others) if coming else ()), _noted(case, after))
        steps = tuple(kind.steps(inside, last, finished=noted))
        if coming is not None and steps[0].kind != "noop":
            steps = (*replace_luks.before(situation, coming, others), *steps)
        return Replacement(steps, told=tuple(self._told(case, new)), problems=tuple(self.problems))

    def _place(self, case: Case, record: Record, new: DiskSeen) -> Replacement:
        """Another disk in a place of a pool of snapraid."""
        kind = replace_snapraid
        slot, gone = kind.place(case, record, self.wish.disk)
        situation = Situation(case, record, self.wish, None, new, joined=False)
        situation.joined = kind.joined(situation, slot)
        self.problems += self._foreign(case, new)
        self.problems += kind.problems(situation, slot, gone)
        if not self.problems and not situation.joined:
            self._guard(situation, begun=False)
        elif not self.problems and not kind.in_place(situation, slot):
            grown = disks.grown(self.host, "", new, self.seen, record.filesystem, record.slots[slot][0])
            self.problems += (replace(each, place=f"{self.host}: {self.wish.name or 'with'}") for each in grown)
        if self.problems:
            return Replacement(problems=tuple(self.problems))
        after = kind.after(situation, slot)
        laid = kind.laid(situation, slot, after, self.probe)
        noted = after.file.stands(self.probe.files.get(after.file.path))
        steps = tuple(kind.steps(situation, slot, after, self.nas, laid, noted=noted))
        if laid.problems:
            return Replacement(problems=tuple(laid.problems))
        warnings = (*kind.warnings(situation, slot, self.probe), *laid.warnings)
        return Replacement(steps, warnings=warnings, told=(*self._told(case, new), *kind.told(situation, slot)))

    def _case(self, name: str, found: disks.Found) -> Case:
        pool = self.nas.pools[name]
        return Case(
            self.host,
            name,
            pool,
            ids={disk: self.nas.disks[disk].id for disk in pool.members},
            consents={},
            disks={disk: found.disks[disk] for disk in pool.members if disk in found.disks},
            absent=tuple(disk for disk in pool.members if disk in found.absent),
            seen=self.seen,
            used=self.used,
            environment=self.environment,
        )

    def _others(self, name: str) -> tuple[Record, ...]:
        """What the host remembers of its other pools."""
        found = []
        for other, said in self.seen.records.items():
            try:
                record = records.read(other, said) if other != name else None
            except ValueError as error:
                self.problems.append(Problem(f"{self.host}: {records.FOLDER}/{other}", str(error), "correct it"))
                continue
            found += [record] if record is not None else []
        return tuple(found)

    def _record(self, case: Case) -> Record | None:
        name, place = case.name, case.place
        try:
            record = records.read(name, self.seen.records.get(name))
        except ValueError as error:
            self.problems.append(Problem(f"{self.host}: {records.FOLDER}/{name}", str(error), "correct it"))
            return None
        if record is None or record.state != "made":
            found = "is not made yet" if record else "has no record on this host"
            self.problems.append(Problem(place, found, f"run `{case.deploy('nas')}` first"))
            return None
        pool = self.nas.pools[name]
        if (record.kind, record.level) != (pool.kind, pool.level):
            found = f"is there as {record.kind} {record.level}, not {pool.kind} {pool.level}"
            self.problems.append(Problem(place, found, "list it as it is"))
            return None
        if bool(record.luks) != bool(pool.encryption):
            found = "is there encrypted" if record.luks else "is there without encryption"
            self.problems.append(Problem(f"{place}.encryption", found, "list it as it is"))
            return None
        return record

    def _new(self) -> DiskSeen | None:
        names = [name for name in self.seen.listed.get(self.wish.new, ()) if name in self.seen.disks]
        if len(names) == 1:
            return self.seen.disks[names[0]]
        found = f"{self.wish.new} is {' and '.join(f'/dev/{name}' for name in names)}" if names else ""
        remedy = (
            "write its name under /dev/disk/by-id" if names else "look at `ls -l /dev/disk/by-id` there, or plug it in"
        )
        self.problems.append(Problem(f"{self.host}: with", found or f"no disk is {self.wish.new}", remedy))
        return None

    def _situation(self, case: Case, record: Record, new: DiskSeen) -> Situation:
        leaving = case.disks.get(self.wish.disk)
        carrier = case.carrier(leaving) if leaving is not None else None
        member = case.member(carrier) if carrier is not None else None
        old = carrier.name if carrier is not None and member is not None and member.uuid == record.uuid else None
        # Of a whole disk ZFS makes a partition.
        device = case.carrier(new) if case.pool.kind == "zfs" else new
        coming = case.member(device) if device is not None else None
        return Situation(case, record, self.wish, old, new, coming is not None and coming.uuid == record.uuid)

    def _strangers(self, situation: Situation) -> Iterator[Problem]:
        case, record = situation.case, situation.record
        for name in situation.others:
            member = case.members.get(name)
            if member is None or member.uuid != record.uuid:
                found = f"is no member of {case.name} ({record.uuid})"
                yield Problem(f"{self.host}.disks.{name}", found, "list the disk that is, then replace")
        yield from self._foreign(case, situation.new.physical)
        gone = len(case.absent)
        survives = case.level.survives(len(case.pool.disks))
        if gone > survives:
            found = f"{' and '.join(case.absent)} are gone" if gone > 1 else f"{case.absent[0]} is gone"
            remedy = "plug it in; if it is dead, what was on the pool is in its backups only"
            yield Problem(
                case.place, f"{found}, and {case.pool.level} of {len(case.pool.disks)} survives {survives}", remedy
            )
        elif situation.old is not None and case.absent:
            # A disk that still works is the better source; the one that is gone is the greater danger.
            yield Problem(case.place, f"{' and '.join(case.absent)} is gone", "replace that first")

    def _foreign(self, case: Case, new: DiskSeen) -> Iterator[Problem]:
        """Why the new disk is none: it is one of this pool, or of another one."""
        if any(disk.physical.name == new.name for disk in case.disks.values()):
            yield Problem(
                f"{self.host}: with", f"{self.wish.new} is a disk of {case.name} already", "write the new disk"
            )
        foreign = {
            value: pool
            for pool, each in self.seen.records.items()
            for key, value in each.items()
            if pool != case.name and (key == "uuid" or key.startswith("luks."))
        }
        for at, owner in disks.foreign(new, foreign):
            yield Problem(f"{self.host}: with", f"{at} belongs to the pool {owner}", "write another disk")

    def _grown(self, situation: Situation, coming: replace_luks.Coming | None) -> Iterator[Problem]:
        """What has come to the new disk since a run that was cut had begun with it."""
        new, record = situation.new, situation.record
        found: list[Problem] = []
        if coming is not None and coming.begun:
            found += disks.grown(self.host, "", new.physical, self.seen, disks.LUKS, coming.view.uuid)
        array = situation.case.array
        in_array = array is not None and array.runs and new.name in array.members
        if situation.joined and record.kind == "mdraid" and not in_array:
            # What bears its mark and is not in it is added; btrfs and ZFS have begun by themselves with theirs.
            found += disks.grown(self.host, "", new, self.seen, disks.RAID, record.uuid)
        return (replace(each, place=f"{self.host}: {self.wish.name or 'with'}") for each in found)

    def _guard(self, situation: Situation, *, begun: bool) -> None:
        """The new disk is looked at as any other that is to become part of a pool; one that was `begun` is our own."""
        new, name = situation.new.physical, self.wish.name or "with"
        looked = () if begun else tuple(disks.unfit(self.host, name, new, self.seen))
        unfit = [replace(each, place=f"{self.host}: {name}") for each in looked]
        self.problems += unfit
        if unfit:
            return
        members = situation.case.members
        sizes = {name: getattr(each, "needs", 0) or getattr(each, "size", 0) for name, each in members.items()}
        # A btrfs writes what the leaving disk had; of one that is gone only btrfs itself still knows how much that was.
        needs = sizes.get(self.wish.disk, 0) if situation.record.kind == "btrfs" else 0
        needs = needs or min(sizes.values(), default=0)
        if situation.new.size < needs:
            found = f"{situation.says} has {situation.new.size >> 20} MiB, and {needs >> 20} are needed"
            self.problems.append(Problem(f"{self.host}: {name}", found, "take a larger one"))
        if begun or (new.is_blank and not new.partitions):
            return
        word, problem = disks.clears(self.host, name, new, self.wish.consent, self.seen, self.used)
        if problem is not None:
            remedy = re.sub(r'write "consent": "(\w+)"( beside its id)?', r"add `--data consent=\1`", problem.remedy)
            remedy = remedy.replace("list another", "take another")
            self.problems.append(replace(problem, place=f"{self.host}: {name}", remedy=remedy))
        if word is not None:
            situation.clearing = guard.cleared(new, word)
            situation.words = (word,)

    def _told(self, case: Case, new: DiskSeen) -> Iterator[str]:
        id_ = self.wish.new
        yield f"{case.name} is whole again. Write this in the inventory, under disks:"
        yield f'    "{self.wish.disk}": {{"id": "{id_}"}},'
        if self.wish.name:
            yield f"and take {self.wish.name} out of disks, as that is {self.wish.disk} now."
        yield (
            f"The old disk ({case.ids[self.wish.disk]}) is in no pool any more: take it out, and clear it before you "
            "give it away or use it again, as your data may still be on it."
        )


def _noted(case: Case, after: Record) -> Step:
    says = f"remember {case.name} with the serial of its new disk"
    return Step("config", f"pool {case.name}", says, file=after.file)
