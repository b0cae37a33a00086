"""A disk that leaves a pool and one that comes, as they were asked for and as they were seen."""

from __future__ import annotations

from dataclasses import dataclass

from homelab.storage import guard
from homelab.storage.case import Case
from homelab.storage.records import Record
from homelab.storage.seen import DiskSeen


@dataclass(frozen=True)
class Wish:
    """What was asked for: `disk` by the inventory's name; `new` is an id, and `name` its name where it is listed.

    `without` is the word for files that may be lost: those that snapraid cannot restore.
    """

    disk: str
    new: str
    name: str = ""
    consent: str | None = None
    without: str | None = None


@dataclass
class Situation:
    """A pool, the disk that leaves it and the one that comes, as they were seen.

    `old` is the device that is still a member, None where there is none; `joined` whether the new disk is a member.
    """

    case: Case
    record: Record
    wish: Wish
    old: str | None
    new: DiskSeen
    joined: bool
    clearing: str = ""
    words: tuple[str, ...] = ()

    @property
    def others(self) -> dict[str, DiskSeen]:
        """The disks that stay."""
        return {name: disk for name, disk in self.case.disks.items() if name != self.wish.disk}

    @property
    def guarded(self) -> str:
        """Shell: the new disk is the one that was seen, as it was seen, and is blank after what was consented to."""
        name = self.new.name
        return guard.untouched(self.wish.new, self.new) + self.clearing + f"idle {name}; blank {name}\n"

    @property
    def kind(self) -> str:
        return "destructive" if self.clearing else "additive"

    @property
    def says(self) -> str:
        """The new disk in words."""
        return f"/dev/{self.new.physical.name} (serial {self.new.serial})"

    def deadline(self) -> int:
        """Seconds in which the slowest disk has been written whole, and an hour."""
        return 3600 + self.new.size // 5_000_000
