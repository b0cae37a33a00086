"""How the disks of a pool share what is written: every level there is, and what each takes and survives.

md: md(4), mdadm(8), linux/raid/md_p.h. btrfs: mkfs.btrfs(8), its table of profiles and "Status" of btrfs-progs, where
its raid5 and raid6 are unstable. ZFS: zpoolconcepts(7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Level:
    """One level of one kind of pool.

    `least` is the fewest disks it takes, in `pairs` if only an even number will do. `losses` is how many may die
    whichever they are; None: all but one. Each byte is on `copies` disks (0: on all), and `parity` disks' worth holds
    no data. `number` is how md's superblock writes it, of ZFS its parity. Of btrfs `data` and `metadata` are the
    profiles it may have, each alone; the first for which there are disks is made.
    """

    kind: str
    name: str
    least: int
    losses: int | None
    copies: int = 1
    parity: int = 0
    pairs: bool = False
    number: int = 0
    data: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()

    def survives(self, disks: int) -> int:
        """How many of so many disks may die, whichever they are."""
        return disks - 1 if self.losses is None else self.losses

    def usable(self, sizes: Sequence[int]) -> int:
        """About how much fits on disks of these sizes, in their unit."""
        if self.kind in ("mdraid", "zfs"):
            return min(sizes) * (len(sizes) - self.parity) // (self.copies or len(sizes))
        # No disk holds two copies of one byte, so what is beyond the others stays unused.
        usable = sum(sizes) // self.copies
        while (fits := sum(min(size, usable) for size in sizes) // self.copies) < usable:
            usable = fits
        return usable

    def makes(self, disks: int) -> tuple[str, str]:
        """The profiles, of data and of metadata, that a btrfs of so many disks is made with."""
        fitting = (profile for profile in self.metadata if disks >= _FEWEST[profile])
        return self.data[0], next(fitting)


# What each profile takes to be made, for metadata: more of them are kept, where there are disks to keep them.
_FEWEST = {"raid1c3": 3, "raid10": 4, "raid1": 2, "dup": 1, "single": 1}

LEVELS = (
    Level("mdraid", "raid1", least=2, losses=None, copies=0, number=1),
    Level("mdraid", "raid5", least=3, losses=1, parity=1, number=5),
    Level("mdraid", "raid6", least=4, losses=2, parity=2, number=6),
    Level("mdraid", "raid10", least=4, losses=1, copies=2, pairs=True, number=10),
    Level("btrfs", "single", least=1, losses=0, data=("single",), metadata=("raid1", "dup", "raid1c3", "single")),
    Level("btrfs", "raid1", least=2, losses=1, copies=2, data=("raid1",), metadata=("raid1c3", "raid1")),
    Level("btrfs", "raid1c3", least=3, losses=2, copies=3, data=("raid1c3",), metadata=("raid1c3",)),
    Level("btrfs", "raid10", least=4, losses=1, copies=2, data=("raid10",), metadata=("raid1c3", "raid10", "raid1")),
    Level("zfs", "mirror", least=2, losses=None, copies=0),
    Level("zfs", "raidz1", least=3, losses=1, parity=1, number=1),
    Level("zfs", "raidz2", least=4, losses=2, parity=2, number=2),
    Level("zfs", "raidz3", least=5, losses=3, parity=3, number=3),
)
# Levels that somebody may ask for, and why not.
REFUSED = {
    ("btrfs", "raid5"): " is unstable upstream, refused",
    ("btrfs", "raid6"): " is unstable upstream, refused",
    ("btrfs", "raid1c4"): ": not supported yet",
    ("btrfs", "dup"): " keeps both copies on one disk, and loses them with it",
    ("btrfs", "raid0"): " loses everything with any one disk",
    ("mdraid", "raid0"): " loses everything with any one disk",
    ("mdraid", "linear"): " loses everything with any one disk",
    ("mdraid", "raid4"): ": not supported yet",
    # Of the three that are as near to it none is to be proposed by chance.
    ("zfs", "raidz"): " is raidz1 by its short name",
    ("zfs", "stripe"): " loses everything with any one disk",
    ("zfs", "draid"): ": not supported yet",
}


def names(kind: str) -> tuple[str, ...]:
    """The levels of a kind of pool."""
    return tuple(level.name for level in LEVELS if level.kind == kind)


def offered(kind: str) -> str:
    """What to write instead of a level that is none: ``write "raid1", "raid5" or "raid6"``."""
    *others, last = (f'"{name}"' for name in names(kind))
    return f"write {', '.join(others)} or {last}"


def level(kind: str, name: str) -> Level:
    """A level by its kind and name; raise KeyError when there is none."""
    return _BY_NAME[kind, name]


def numbered(number: int) -> str:
    """What md calls the level of a superblock: `raid5`."""
    return "linear" if number == -1 else f"raid{number}"


_BY_NAME = {(each.kind, each.name): each for each in LEVELS}
