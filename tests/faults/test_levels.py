"""Pools that the sandbox does not have, each on disks made for it: filled, cut off, with a dead disk, replaced.

For one alone: `pytest tests/faults/test_levels.py -k btrfs-raid10`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from homelab.model import levels
from homelab.model.levels import Level
from tests.faults.conftest import power, sandbox, storage
from tests.faults.shares import OWNER, Clients, clients, let_go, shared
from tests.faults.test_consent import POOL, forget
from tests.faults.test_nas import deploy, lab, start, until
from tests.faults.test_replace import OF_A_DISK, replace, whole
from tests.sandbox.lab import Lab

__all__ = ["clients", "lab"]

pytestmark = pytest.mark.long

# Mirrors have tests of their own, on the sandbox's pools, that of md with ext4 on it.
WIDE = [each for each in levels.LEVELS if each.kind in ("mdraid", "btrfs") and each.name != "raid1"]
ON_XFS = levels.level("mdraid", "raid1")
# The table of the sandbox's hosts has d1 to d6.
FIRST = 7
# Small ones are equal soon, and hold what is written here many times.
MIB = 512
AT = f"/srv/{POOL}"
VOLUME, QUOTA = "things", 200
DATA = f"{AT}/{VOLUME}"
HASHES = f"cd {DATA}/kept && sha256sum -c --quiet sums && echo whole"


@dataclass(frozen=True)
class Wide:
    """The pool as it was deployed: its level, its disks' numbers, and the one that is in no pool."""

    level: Level
    numbers: tuple[int, ...]
    spare: int


def listed(lab: Lab, level: Level, numbers: tuple[int, ...], ids: dict[int, int] | None = None, **more: object) -> str:
    """The sandbox's inventory and one more pool of these disks, with `more` of it, and a volume of a limited size that
    is shared; `ids` are those with another disk in their place."""
    disks: dict[str, Any] = {name: {"id": each.id} for name, each in storage().disks.items()}
    disks |= {f"d{number}": {"id": by_id((ids or {}).get(number, number))} for number in numbers}
    wide = {"kind": level.kind, "level": level.name, "disks": [f"d{each}" for each in numbers], **more}
    if level.kind == "mdraid":
        wide["filesystem"] = "xfs" if level == ON_XFS else "ext4"
    return lab.inventory("wide", hosts={"nas": {"disks": disks, **shared(POOL, wide, VOLUME, quota=f"{QUOTA}M")}})


def by_id(number: int) -> str:
    return f"virtio-homelab-d{number}"


def away(lab: Lab, numbers: tuple[int, ...]) -> None:
    """Take the array and its disks off the host; of an array that is in use no disk is pulled."""
    lab.ssh("nas", let_go(POOL, VOLUME))
    forget(lab)
    # One that did not start may have no name.
    inactive = "sed -n 's,^\\(md[^ ]*\\) : inactive .*,/dev/\\1,p' /proc/mdstat"
    lab.ssh(
        "nas",
        f"[ ! -e /dev/md/{POOL} ] || mdadm --stop /dev/md/{POOL}; for one in $({inactive}); do mdadm --stop $one; done",
    )
    for number in numbers:
        sandbox("remove-disk", "nas", number)


def added(lab: Lab, numbers: tuple[int, ...], mib: int = MIB) -> None:
    """New disks on the host, blank ones."""
    for number in numbers:
        sandbox("add-disk", "nas", number, mib)
    there = " && ".join(f"[ -e /dev/disk/by-id/{by_id(number)} ]" for number in numbers)
    until("the new disks are there", lambda: lab.ssh("nas", f"{there} && echo there", check=False), 120)


def filled(lab: Lab, at: str = DATA) -> None:
    """Files in a volume whose hashes are kept."""
    lab.ssh(
        "nas",
        f"mkdir {at}/kept; cd {at}/kept; for i in $(seq 8); do head -c 5000000 /dev/urandom >f$i; done;"
        " sha256sum f? >sums; sync",
    )


def named(level: Level) -> str:
    return f"{level.kind}-{level.name}{'-xfs' if level == ON_XFS else ''}"


@pytest.fixture(scope="module", params=[*WIDE, ON_XFS], ids=named)
def wide(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Wide]:
    """A pool of two disks, or of as many as its level takes, with files whose hashes are kept; and a blank disk."""
    level = request.param
    *numbers, spare = range(FIRST, FIRST + max(level.least, 2) + 1)
    everything = (*numbers, spare)
    away(lab, everything)
    try:
        added(lab, everything)
        done = deploy(lab, inventory=listed(lab, level, tuple(numbers)))
        assert done.code == 0, done.reasons
        assert [name for name in done.changes if f"make the {level.kind} {level.name} {POOL}" in name], done.changes
        filled(lab)
        yield Wide(level, tuple(numbers), spare)
    finally:
        start(lab)
        try:
            away(lab, everything)
        finally:
            done = deploy(lab)
            assert done.code == 0, done.reasons


def equal(lab: Lab) -> None:
    """Wait until a dead disk costs an array nothing: one that was just made is still being built."""
    actions = f"cat /sys/block/$(readlink -f /dev/md/{POOL} | cut -d/ -f3)/md/sync_action"
    until("its disks are equal", lambda: lab.ssh("nas", actions).strip() == "idle", 900)


def quiet(lab: Lab) -> None:
    """Let nothing write to an array with parity: one that is written to, and loses a disk with its power, refuses to
    start, and no tool forces it."""
    # Made read-only it has told its disks that it is clean; `mdadm --wait-clean` leaves it a moment to do so.
    lab.ssh("nas", f"systemctl stop smbd nfs-server srv-{POOL}.mount && mdadm --readonly /dev/md/{POOL}")


def mounted(lab: Lab) -> bool:
    return bool(lab.ssh("nas", f"mountpoint -q {AT} && echo yes", check=False))


def test_its_volume_has_its_limit(lab: Lab, wide: Wide) -> None:
    much = f"{DATA}/much"
    # Root is above the limits of ext4 and XFS.
    write = f"setpriv --reuid={OWNER} --regid={OWNER} --init-groups dd if=/dev/zero of={much} bs=1M"
    told = lab.ssh(
        "nas", f"{write} count={QUOTA + 50} conv=fsync 2>&1; stat -c %s {much}; rm {much}; sync", timeout=900
    )
    assert re.search("quota exceeded|No space left", told) and 0 < int(told.split()[-1]) < QUOTA << 20, told


def test_a_second_run_changes_nothing_and_a_power_cut_costs_nothing(lab: Lab, wide: Wide, clients: Clients) -> None:
    again = deploy(lab, inventory=listed(lab, wide.level, wide.numbers))
    assert (again.code, again.changes) == (0, {}), again.reasons
    if wide.level.kind == "mdraid":
        made = lab.ssh("nas", f"mdadm --detail --export /dev/md/{POOL}").splitlines()
        assert {f"MD_LEVEL={wide.level.name}", f"MD_DEVICES={len(wide.numbers)}"} <= set(made)
    power("power-cut", "nas")
    start(lab)
    until("the pool is mounted", lambda: mounted(lab))
    assert "whole" in lab.ssh("nas", HASHES)
    clients.served(DATA)
    if wide.level.kind == "mdraid":
        equal(lab)
    whole(lab, POOL, wide.level, len(wide.numbers))


def test_a_dead_disk_of_many_is_survived_and_replaced(lab: Lab, wide: Wide, clients: Clients) -> None:
    dead, disks, array = wide.numbers[-1], len(wide.numbers), wide.level.kind == "mdraid"
    if array:
        equal(lab)
    if wide.level.parity:
        quiet(lab)
    power("power-cut", "nas")
    sandbox("detach-disk", "nas", dead)
    start(lab)
    if array:
        until("it comes up degraded", lambda: mounted(lab), 600)
        assert "whole" in lab.ssh("nas", HASHES)
        clients.served(DATA)
    else:
        assert not mounted(lab)
    lab.ssh("nas", "systemctl start homelab-watch.service", timeout=600)
    lacks = f"lacks 1 of its {disks} disks" if array else f"{AT} is not mounted"
    assert lacks in lab.ssh("nas", "cat /var/lib/homelab/watch")

    done = replace(lab, dead, by_id(wide.spare), inventory=listed(lab, wide.level, wide.numbers))
    if not wide.level.survives(disks):
        assert done.code == 1
        (line,) = done.reasons
        assert f"d{dead} is gone, and {wide.level.name} of {disks} survives 0; plug it in" in line
        sandbox("attach-disk", "nas", dead)
        lab.ssh("nas", f"udevadm settle; systemctl start srv-{POOL}.mount", timeout=300)
        assert "whole" in lab.ssh("nas", HASHES)
        clients.served(DATA)
        return
    assert done.code == 0, done.reasons
    assert "whole" in lab.ssh("nas", HASHES)
    clients.served(DATA)
    whole(lab, POOL, wide.level, disks)
    new = listed(lab, wide.level, wide.numbers, {dead: wide.spare})
    done = deploy(lab, inventory=new)
    assert done.code == 0 and set(done.changes) <= OF_A_DISK, (done.reasons, done.changes)
    again = deploy(lab, inventory=new)
    assert (again.code, again.changes) == (0, {}), again.reasons


@pytest.mark.parametrize("level", [each for each in WIDE if each.least > 1], ids=named)
def test_too_few_disks_are_refused_before_the_host_is_touched(lab: Lab, level: Level) -> None:
    record = "ls /var/lib/homelab/pools"
    before = lab.ssh("nas", record)
    least = level.least
    for count in (least - 1, *((least + 1,) if level.pairs else ())):
        done = deploy(lab, inventory=listed(lab, level, tuple(range(FIRST, FIRST + count))))
        assert done.code == 1 and f"{count} disks cannot be {level.kind} {level.name}" in done.said, done.said
    assert lab.ssh("nas", record) == before
