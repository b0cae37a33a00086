"""Pools on LUKS, on disks that are made for them: opened at boot, with a dead disk, replaced.

For one alone: `pytest tests/faults/test_encrypted.py -k btrfs`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from homelab.model import levels
from homelab.model.levels import Level
from tests.faults.conftest import power, sandbox
from tests.faults.shares import Clients, clients, let_go
from tests.faults.test_consent import POOL
from tests.faults.test_levels import (
    AT,
    DATA,
    FIRST,
    HASHES,
    MIB,
    VOLUME,
    Wide,
    added,
    away,
    by_id,
    equal,
    filled,
    listed,
    quiet,
)
from tests.faults.test_nas import deploy, lab, start, until
from tests.faults.test_replace import OF_A_DISK, replace, whole
from tests.sandbox.lab import Lab

__all__ = ["clients", "lab"]

pytestmark = pytest.mark.long

LEVELS = [each for each in levels.LEVELS if (each.kind, each.name) in (("mdraid", "raid5"), ("btrfs", "raid1"))]
# The sandbox's own SSH key, which is nowhere else, hashed.
KEY = {"encryption": {"key": "command:sh -c 'sha256sum .sandbox/ssh/id_ed25519 | cut -c 1-24'"}}
# What LUKS2 takes of a disk for itself, in MiB.
HEADER = 16
# What is on the pool, and must not be on a disk.
MARK = "homelab-test-that-nobody-else-may-read"


def encrypted(lab: Lab, wide: Wide, ids: dict[int, int] | None = None) -> str:
    return listed(lab, wide.level, wide.numbers, ids, **KEY)


def closed(lab: Lab) -> None:
    """Take what opens the pool off the host."""
    lab.ssh(
        "nas",
        f"{let_go(POOL, VOLUME)}; systemctl disable --now -q srv-{POOL}.mount 2>/dev/null; umount {AT} 2>/dev/null;"
        f" [ ! -e /dev/md/{POOL} ] || mdadm --stop /dev/md/{POOL};"
        " for each in /dev/mapper/luks-*; do [ ! -e $each ] || cryptsetup close $each; done;"
        f" sed -i '/luks.{POOL}.key/d' /etc/crypttab; rm -f /etc/homelab/luks/{POOL}.key;"
        " systemctl daemon-reload; true",
    )


@pytest.fixture(scope="module", params=LEVELS, ids=lambda each: f"{each.kind}-{each.name}")
def wide(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Wide]:
    """An encrypted pool of as few disks as its level takes, filled, and a blank disk beside it."""
    level: Level = request.param
    *numbers, spare = range(FIRST, FIRST + level.least + 1)
    made, everything = Wide(level, tuple(numbers), spare), (*numbers, spare)
    closed(lab)
    away(lab, everything)
    try:
        added(lab, everything, MIB + HEADER)
        done = deploy(lab, inventory=encrypted(lab, made))
        assert done.code == 0, done.reasons
        filled(lab)
        lab.ssh("nas", f"for i in $(seq 1000); do echo {MARK}; done >{DATA}/kept/marks; sync")
        yield made
    finally:
        start(lab)
        try:
            closed(lab)
            away(lab, everything)
        finally:
            done = deploy(lab)
            assert done.code == 0, done.reasons


def test_a_second_run_changes_nothing_and_no_disk_tells_what_is_on_it(lab: Lab, wide: Wide) -> None:
    again = deploy(lab, inventory=encrypted(lab, wide))
    assert (again.code, again.changes) == (0, {}), again.reasons
    for number in wide.numbers:
        device = f"/dev/disk/by-id/{by_id(number)}"
        assert lab.ssh("nas", f"cryptsetup isLuks --type luks2 {device} && echo luks").strip() == "luks"
        assert lab.ssh("nas", f"grep -caF {MARK} {device}; true", timeout=600).strip() == "0"
    assert lab.ssh("nas", f"grep -cF {MARK} {DATA}/kept/marks").strip() == "1000"


def test_it_is_opened_at_boot_after_a_power_cut(lab: Lab, wide: Wide, clients: Clients) -> None:
    power("power-cut", "nas")
    start(lab)
    until("the pool is mounted", lambda: lab.ssh("nas", f"mountpoint -q {AT} && echo yes", check=False), 900)
    assert "whole" in lab.ssh("nas", HASHES)
    clients.served(DATA)


def test_a_dead_disk_is_survived_and_replaced_by_an_encrypted_one(lab: Lab, wide: Wide, clients: Clients) -> None:
    dead, kind = wide.numbers[-1], wide.level.kind
    if kind == "mdraid":
        equal(lab)
        quiet(lab)
    power("power-cut", "nas")
    sandbox("detach-disk", "nas", dead)
    start(lab)
    if kind == "mdraid":
        until("it comes up degraded", lambda: lab.ssh("nas", f"mountpoint -q {AT} && echo yes", check=False), 900)
        assert "whole" in lab.ssh("nas", HASHES)
        clients.served(DATA)
    lab.ssh("nas", "systemctl start homelab-watch.service", timeout=600)
    lacks = f"lacks 1 of its {wide.level.least} disks" if kind == "mdraid" else f"{AT} is not mounted"
    assert lacks in lab.ssh("nas", "cat /var/lib/homelab/watch")

    done = replace(lab, dead, by_id(wide.spare), inventory=encrypted(lab, wide))
    assert done.code == 0, done.reasons
    assert "whole" in lab.ssh("nas", HASHES)
    whole(lab, POOL, wide.level, len(wide.numbers))
    device = f"/dev/disk/by-id/{by_id(wide.spare)}"
    assert lab.ssh("nas", f"cryptsetup isLuks --type luks2 {device} && echo luks").strip() == "luks"
    new = encrypted(lab, wide, {dead: wide.spare})
    done = deploy(lab, inventory=new)
    assert done.code == 0 and set(done.changes) <= OF_A_DISK, (done.reasons, done.changes)
    again = deploy(lab, inventory=new)
    assert (again.code, again.changes) == (0, {}), again.reasons
    power("power-cut", "nas")
    start(lab)
    until("the pool is mounted", lambda: lab.ssh("nas", f"mountpoint -q {AT} && echo yes", check=False), 900)
    assert "whole" in lab.ssh("nas", HASHES)
    clients.served(DATA)
