"""A pool on encrypted disks: what lies under it, and the pool's own kind then sees its disks in the clear.

Every disk of such a pool carries LUKS2, whole and without partitions, and what an md or a btrfs is made of is what the
open ones show. A disk is known by the UUID of its LUKS header, which stands in the pool's record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from homelab.model.problems import Problem
from homelab.probe import HostProbe
from homelab.storage import consent, disks, mappings, mounts
from homelab.storage.case import Case, Decided, step
from homelab.storage.clearing import clearing
from homelab.storage.records import Record
from homelab.storage.seen import BtrfsMember, Device, DiskSeen, Inner, Luks, Mapped, MdMember, Opened
from homelab.storage.steps import Step

# What LUKS2 takes for itself at the beginning of a disk.
_HEADER = 16 << 20

Inside = Callable[[Case, Record | None, Mapping[str, Record], Callable[[], str]], Decided]


def concerns(case: Case, record: Record | None) -> bool:
    """Whether a pool is listed as encrypted, or is it."""
    return case.pool.encryption is not None or bool(record and record.luks)


def decide(
    case: Case,
    record: Record | None,
    others: Mapping[str, Record],
    make_uuid: Callable[[], str],
    inside: Inside,
    probe: HostProbe,
    key: str | None,
) -> tuple[Decided, Case]:
    """What becomes of an encrypted pool, and the case of what is inside, which `inside` decides on.

    `key` is the SHA-256 of the key that the inventory names, None where it could not be read.
    """
    differs = _listed_otherwise(case, record)
    if differs is not None:
        return Decided(problems=[differs]), case
    under = _Under(case, record, others, make_uuid, probe)
    under.look()
    if under.problems:
        return Decided(problems=under.problems), case
    inner = replace(case, disks=under.views, luks=under.uuids())
    if record is not None and record.state != "made" and under.locked:
        # What is in them decides how to go on, and shows only once they are open.
        decided = Decided(steps=list(under.steps(record)))
    else:
        decided = inside(inner, record, others, make_uuid)
        if not decided.problems and decided.record is not None:
            decided.steps[:0] = under.steps(decided.record)
    decided.first += _key(case, under.ours, probe, key, decided)
    return decided, inner


def _listed_otherwise(case: Case, record: Record | None) -> Problem | None:
    encrypted = case.pool.encryption is not None
    if record is not None and record.luks and not encrypted:
        remedy = 'write its "encryption" again: a pool is never decrypted in place'
        return Problem(case.place, "is encrypted, and is listed without encryption", remedy)
    plain = record is not None and not record.luks and record.state == "made"
    whole = set(case.members) == set(case.pool.disks) and len({each.uuid for each in case.members.values()}) == 1
    if encrypted and (plain or whole):
        remedy = "leave it out; to encrypt, make a new pool on other disks and copy what this one holds"
        return Problem(f"{case.place}.encryption", "the pool is there without encryption", remedy)
    return None


@dataclass
class _Under:
    """What lies under a pool: disks that are open, locked or to be made; `views` is what the pool sees of them."""

    case: Case
    record: Record | None
    others: Mapping[str, Record]
    make_uuid: Callable[[], str]
    probe: HostProbe
    problems: list[Problem] = field(default_factory=list)
    views: dict[str, DiskSeen] = field(default_factory=dict)
    # Disks that the pool's key opens or should, and the UUIDs of their headers.
    ours: dict[str, tuple[DiskSeen, str]] = field(default_factory=dict)
    locked: dict[str, Opened] = field(default_factory=dict)
    # Those that are encrypted in this run, and which of them a cut run left half made.
    fresh: dict[str, Opened] = field(default_factory=dict)
    half: list[str] = field(default_factory=list)
    clearing: str = ""
    words: tuple[str, ...] = ()
    lost: list[str] = field(default_factory=list)

    @property
    def is_made(self) -> bool:
        return self.record is not None and self.record.state == "made"

    @property
    def known(self) -> Mapping[str, str]:
        return self.record.luks if self.record is not None else {}

    def uuids(self) -> dict[str, str]:
        """The UUIDs of all disks' headers by their names; an absent one's as the record has it."""
        seen = {name: view.uuid for name, view in self.views.items() if isinstance(view, Opened)}
        found = {name: seen.get(name) or self.known.get(name, "") for name in self.case.pool.disks}
        return {name: uuid for name, uuid in found.items() if uuid}

    def look(self) -> None:
        for name, disk in self.case.disks.items():
            self.sort(name, disk)
        if self.record is None and self.ours and self.fresh and not self.problems:
            found = f"{', '.join(self.ours)} is open and carries a pool, and {', '.join(self.fresh)} is no disk of it"
            self.problems.append(Problem(self.case.place, found, "list the disks of one pool"))

    def sort(self, name: str, disk: DiskSeen) -> None:
        """Find out what one disk is to the pool, or why it is nothing to it."""
        place, what = f"{self.case.host}.disks.{name}", f"/dev/{disk.name} (serial {disk.serial})"
        header, opened = disk.luks, disk.opened
        others = {uuid: each.pool for each in self.others.values() for uuid in (each.uuid, *each.luks.values())}
        if foreign := next(disks.foreign(disk, others), None):
            found = f"{what} belongs to the pool {foreign[1]}"
            self.problems.append(Problem(place, found, "list another disk"))
        elif header is not None and header.version == 2 and self.is_own(header.uuid, opened):
            self.own(name, disk, header)
        elif self.is_made:
            self.problems.append(self.stranger(place, what, disk))
        elif header is not None and header.label == _label(self.case) and opened is None:
            found = f"{what} is locked: it carries the LUKS {header.uuid} of a pool {self.case.name}"
            remedy = f"run `cryptsetup open {disk.path} luks-{header.uuid}` there with its key, and this command again"
            self.problems.append(Problem(place, found, remedy))
        else:
            self.new(name, disk)

    def is_own(self, uuid: str, opened: Mapped | None) -> bool:
        if opened is not None and opened.uuid != uuid:
            return False
        if uuid in self.known.values() or opened is None:
            return uuid in self.known.values()
        # Where nobody wrote down that it is ours, what is inside tells: on a new system, or after a disk was replaced.
        member = self.case.member(opened)
        return member is not None and (self.record is None or (self.is_made and member.uuid == self.record.uuid))

    def carries(self, device: Device) -> bool:
        return self.case.member(device) is not None

    def own(self, name: str, disk: DiskSeen, header: Luks) -> None:
        """A disk of this pool: open, locked, or left half made."""
        # Without a record no run was cut: what is inside told that it is ours, and nothing is written to it.
        if self.record is not None and not self.is_made:
            grown = tuple(disks.grown(self.case.host, name, disk, self.case.seen, disks.LUKS, header.uuid))
            self.problems += grown
            if grown:
                return
        if not header.slots and self.is_made:
            place, what = f"{self.case.host}.disks.{name}", f"/dev/{disk.name} (serial {disk.serial})"
            self.problems.append(self.headless(place, what, disk, header.uuid))
        elif not header.slots:
            # Without a slot nothing ever opened it, so that nothing can be on it.
            self.half.append(name)
            self.blank(name, disk, header.uuid)
        elif disk.opened is None:
            self.ours[name] = (disk, header.uuid)
            self.views[name] = self.locked[name] = self.assumed(name, disk, header.uuid)
        else:
            self.ours[name] = (disk, header.uuid)
            self.inside(name, disk, disk.opened)

    def inside(self, name: str, disk: DiskSeen, opened: Mapped) -> None:
        """A disk that is open: what it carries is the pool's to judge, and noise is what a cut making left."""
        seen = view(disk, opened.uuid, opened)
        if self.is_made or self.carries(opened):
            self.views[name] = seen
        elif is_noise(opened):
            self.views[name] = self.fresh[name] = replace(seen, content="zero", fresh=True)
        else:
            found = f"its making was cut, and {opened.path} on /dev/{disk.name} is used or holds {holds(opened)}"
            remedy = f"look at it; if it is nothing, `cryptsetup close {opened.path}` and clear the disk by hand"
            self.problems.append(Problem(f"{self.case.host}.disks.{name}", found, remedy))

    def stranger(self, place: str, what: str, disk: DiskSeen) -> Problem:
        """A disk in the place of one of ours; one of ours whose header is gone is known by its serial."""
        assert self.record is not None
        uuid = next((self.known.get(each) for each, its in self.record.serials.items() if its == disk.serial), None)
        if uuid or (disk.opened is not None and disk.opened.uuid in self.known.values()):
            return self.headless(place, what, disk, uuid or disk.opened.uuid if disk.opened else str(uuid))
        holds = (
            "is blank" if disk.is_blank and not disk.partitions else f"holds {consent.seen(disk) or 'something else'}"
        )
        return Problem(place, f"{what} {holds} and is no disk of {self.case.name}", "list the disk that is")

    def headless(self, place: str, what: str, disk: DiskSeen, uuid: str) -> Problem:
        """Without its header nothing opens a disk; with a copy of it, all is there again."""
        now = consent.seen(disk) if disk.luks is None or disk.luks.uuid != uuid else "one that nothing opens"
        found = f"{what} had the LUKS header {uuid} and has {now or 'none'}"
        found += "; it is open, and only until it is closed" if disk.opened else ""
        copy = mappings.header_path(uuid)
        remedy = f"run `cryptsetup luksHeaderRestore {disk.path} --header-backup-file {copy}` there, and this again"
        return Problem(place, found, remedy)

    def new(self, name: str, disk: DiskSeen) -> None:
        """A disk that is to be encrypted, if it is blank, or was let go of."""
        found = clearing(self.case, [name])
        self.problems += found.problems
        if found.problems:
            return
        self.clearing += found.script
        self.words += found.consents
        self.lost += found.lost
        self.blank(name, disk, self.known.get(name) or self.make_uuid())

    def blank(self, name: str, disk: DiskSeen, uuid: str) -> None:
        self.views[name] = self.fresh[name] = blank(disk, uuid)

    def assumed(self, name: str, disk: DiskSeen, uuid: str) -> Opened:
        """A locked disk as the record says that it is inside; what opens it sees whether that is so."""
        record, number = self.record, len(self.case.pool.disks)
        assert record is not None
        number = len(record.serials) or number
        device = Device(f"mapper/luks-{uuid}", disk.size - _HEADER, signatures=())
        if record.kind == "btrfs":
            place = list(record.serials).index(name) + 1 if name in record.serials else 1
            member = BtrfsMember(record.uuid, record.pool, number, place)
            return view(disk, uuid, replace(device, btrfs=member))
        # A record that a hand has changed may say anything; no array has the level that this becomes.
        said = record.level.removeprefix("raid")
        level = int(said) if said.isdecimal() else -99
        inner = Inner(record.filesystem, record.filesystem_uuid, self.projects(record))
        return view(disk, uuid, replace(device, md=MdMember(record.uuid, record.pool, level, number, 0), inner=inner))

    def projects(self, record: Record) -> bool:
        """Whether its filesystem counts project quotas, which nobody sees now: as its mount unit has it."""
        without = mounts.unit_file(record, mounts.options(record, projects=False))
        return not without.stands(self.probe.files.get(without.path))

    def steps(self, record: Record) -> Iterator[Step]:
        """What makes and opens the disks, before anything is done with what is inside."""
        case, ids = self.case, self.case.ids
        if self.locked:
            says = f"open {', '.join(self.locked)} of {case.name} by its key"
            yield step("config", case, says, mappings.opened(self.record or record, ids, self.locked))
        elif self.fresh:
            new = ", ".join(
                f"{name} (/dev/{view.disk.name}, serial {view.serial})"
                for name, view in self.fresh.items()
                if view.disk is not None
            )
            clears = f"clear {', '.join(self.lost)}, and " if self.lost else ""
            says = f"{clears}encrypt {new} with LUKS for {case.name}"
            command = mappings.made(record, ids, self.fresh, self.half, self.clearing)
            yield step("destructive" if self.lost else "additive", case, says, command, self.words)
        stale = {name: (disk, uuid) for name, (disk, uuid) in self.ours.items() if not self.is_kept(uuid)}
        if stale:
            says = f"keep a copy of the LUKS header of {', '.join(stale)} in {mappings.HEADERS}"
            yield step("config", case, says, mappings.kept(case.name, ids, stale))

    def is_kept(self, uuid: str) -> bool:
        there, copy = self.case.seen.headers.get(uuid, ("", "none"))
        return there == copy


def is_noise(opened: Mapped) -> bool:
    """Whether nothing was ever put on an open LUKS, so that all that it shows is what was there before, decrypted."""
    used = opened.mounts or opened.holders or opened.swap or not opened.exclusive
    return opened.signatures == () and not opened.begun and not used


def holds(opened: Mapped) -> str:
    """What was put on an open LUKS, in words."""
    return ", ".join(f"{each.type} {each.uuid}".strip() for each in opened.signatures or ()) or "something"


def _label(case: Case) -> str:
    return f"homelab-{case.name}"


def blank(disk: DiskSeen, uuid: str) -> Opened:
    """What a disk will be to its pool once it is encrypted."""
    device = Device(f"mapper/luks-{uuid}", disk.size - _HEADER, signatures=(), content="zero")
    return replace(view(disk, uuid, device), fresh=True)


def view(disk: DiskSeen, uuid: str, device: Device) -> Opened:
    """An encrypted disk as a pool on it sees it: what `device` says, and the disk that it lies on."""
    inside: dict[str, Any] = {each.name: getattr(device, each.name) for each in fields(Device)}
    exclusive = device.exclusive if isinstance(device, Mapped) else True
    return Opened(
        **inside,
        serial=disk.serial,
        model=disk.model,
        sequence=disk.sequence,
        exclusive=exclusive,
        disk=disk,
        uuid=uuid,
    )


def _key(
    case: Case, ours: Mapping[str, tuple[DiskSeen, str]], probe: HostProbe, key: str | None, decided: Decided
) -> Iterator[Step]:
    """The key's file on the host, replaced only by what opens every disk."""
    path = mappings.key_path(case.name)
    state, former = probe.files.get(path), probe.files.get(mappings.former_key_path(case.name))
    if key is None or decided.problems:
        return
    stands = state is not None and (state.sha256, state.mode, state.owner) == (key, "0600", "root:root")
    if stands and former is None:
        return
    changed = state is not None and state.sha256 != key
    if (changed or former is not None) and case.absent and ours:
        found = f"is another than before, and {', '.join(case.absent)} is not there to get it"
        remedy = f"write the former key until it is; the host has it in {path}"
        decided.problems.append(Problem(f"{case.place}.encryption.key", found, remedy))
        return
    told = f", once it opens {', '.join(ours)}" if ours else ""
    says = f"keep the key of {case.name} in {path}{told}"
    if (changed or former is not None) and ours:
        says = f"change the key of {case.name} on {', '.join(ours)}, and in {path}"
    command = mappings.keyed(case.name, case.ids, ours)
    yield replace(step("config", case, says, command), key=case.name)
