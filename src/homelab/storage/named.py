"""The disks of a pool that is there, by the names that the inventory has for them now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from homelab.model.problems import Problem
from homelab.storage.case import Case
from homelab.storage.records import Record
from homelab.storage.seen import DiskSeen


def named(case: Case, record: Record) -> tuple[Record, tuple[Problem, ...]]:
    """A pool's record with the names that its disks are listed by now, and the absent ones that nobody can tell apart.

    What no listed disk is, is left out. Of an encrypted pool that may be how an absent disk is opened once it is back,
    so nothing may come of the record while there is a problem.
    """
    names = _Names(case, record)
    names.find()
    now = names.found
    result = replace(
        record,
        serials={now[old]: serial for old, serial in record.serials.items() if old in now},
        luks={now[old]: uuid for old, uuid in record.luks.items() if old in now},
    )
    return result, tuple(names.problems())


@dataclass
class _Names:
    """Listed names by those in the record, `found` as far as they are known."""

    case: Case
    record: Record
    found: dict[str, str] = field(default_factory=dict)

    @property
    def free(self) -> list[str]:
        """Names in the record of which it is not known what they are called now."""
        return [old for old in dict.fromkeys((*self.record.serials, *self.record.luks)) if old not in self.found]

    @property
    def away(self) -> list[str]:
        """Absent disks of which it is not known what they were called."""
        taken = self.found.values()
        return [name for name in self.case.pool.disks if name in self.case.absent and name not in taken]

    def find(self) -> None:
        """By what a disk itself tells, then by its id, its name, or as the last one; never two by one."""
        self.match(self.case.disks, self.is_this)
        self.match(self.away, self.is_id)
        self.match(self.away, lambda name, old: name == old)
        last = len(self.away) == len(self.free) == 1
        self.match(self.away, lambda name, old: last)
        self.match(self.case.disks, lambda name, old: name == old)

    def match(self, names: Iterable[str], is_one: Callable[[str, str], bool]) -> None:
        for name in names:
            olds = [old for old in self.free if is_one(name, old)]
            if len(olds) == 1 and name not in self.found.values():
                self.found[olds[0]] = name

    def is_this(self, name: str, old: str) -> bool:
        own = {self.record.serials.get(old), self.record.luks.get(old)} - {None, ""}
        return bool(own & _marks(self.case.disks[name]))

    def is_id(self, name: str, old: str) -> bool:
        serial = self.record.serials.get(old, "")
        return serial != "" and self.case.ids[name].endswith(serial)

    def problems(self) -> Iterator[Problem]:
        lost = [old for old in self.free if old in self.record.luks]
        if not lost:
            return
        for name in self.away:
            found = f"no disk is {self.case.ids[name]}, and which of {' and '.join(lost)} it was is not known"
            yield Problem(f"{self.case.host}.disks.{name}", found, "give it its former name until it is plugged in")


def _marks(disk: DiskSeen) -> set[str]:
    """The serial of a disk and the UUIDs of the LUKS headers that it has, or had when it was opened."""
    opened = [disk.opened.uuid] if disk.opened is not None else []
    return {disk.physical.serial, *opened, *(each.luks.uuid for each in disk.physical.devices if each.luks)}
