"""Each part of a look at a disk has a mark, so that what is new there cannot be forgotten where it matters most."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from homelab.storage.seen import DiskSeen
from tests import marks
from tests.looks import Look
from tests.marks import MARKS, Mark

# Parts that tell which disk it is, and of what it holds nothing that its other parts do not.
NAMES = {
    "name": "the kernel's name",
    "model": "for people to know it by",
    "links": "its names under /dev/disk/by-id",
    "sequence": "which plugging-in it is, for the guard to compare",
}


def marked(mark: Mark) -> tuple[DiskSeen, DiskSeen]:
    """A blank disk without and with a mark."""
    look = Look().disk("sda")
    before = look.seen.disks["sda"]
    assert marks.put(mark, look, "sda")
    return before, look.seen.disks["sda"]


def test_every_part_of_a_look_has_a_mark() -> None:
    """A part that is new needs one here: what makes it another than on a blank disk, or why nothing does."""
    told = set()
    for before, after in map(marked, MARKS):
        # A zpool is in the partitions that ZFS makes of a disk.
        pairs = [(before, after), *((replace(before, size=part.size), part) for part in after.partitions)]
        told |= {
            each.name
            for old, new in pairs
            for each in fields(new)
            if getattr(old, each.name) != getattr(new, each.name)
        }
    assert told - set(NAMES) == {each.name for each in fields(DiskSeen)} - set(NAMES)


@pytest.mark.parametrize("mark", MARKS, ids=lambda each: each.name)
def test_a_mark_is_seen(mark: Mark) -> None:
    before, after = marked(mark)
    # That another disk has the same serial or id is not seen of this one.
    assert (before != after) == (mark.name not in ("twin", "id of two"))
