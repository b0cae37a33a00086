"""deploys/nas.py on a NAS that does not exist: the plan from blank disks to shares, in its order."""

from __future__ import annotations

import json

import pytest

from tests.deploys.rehearsal import pyinfra


@pytest.fixture(scope="module")
def plan() -> dict[str, set[str]]:
    """Operation names in their order, with the hosts each would change."""
    done = pyinfra("--dry", "--json", "inventory", "deploys/nas.py")
    assert done.returncode == 0, done.stderr
    return {
        each["name"].rpartition("py | ")[2]: set(each["hosts_with_change"]) for each in json.loads(done.stdout)["plan"]
    }


def test_only_the_nas_is_touched(plan: dict[str, set[str]]) -> None:
    assert set().union(*plan.values()) == {"@fake/nas"}


def test_pools_are_told_with_their_disks_and_the_class_of_each_step(plan: dict[str, set[str]]) -> None:
    names = list(plan)
    assert "make the mdraid raid1 tank of d1 (/dev/sda, serial D1), d2 (/dev/sdb, serial D2) (additive)" in names
    assert "make the btrfs raid1 pics of d3 (/dev/sdc, serial D3), d4 (/dev/sdd, serial D4) (additive)" in names
    assert not [name for name in names if "destructive" in name]


def test_nothing_is_served_before_there_is_something_to_serve(plan: dict[str, set[str]]) -> None:
    names = list(plan)
    order = [
        "Close the firewall",
        "Install the NAS's packages",
        "mount tank at /srv/tank, now and at every boot (config)",
        "Make the users' accounts",
        "/srv/pics/album: make it (additive)",
        "Start the NFS server",
        "Export the shares",
        "Start the UPS's driver usbhid-ups",
        "Watch the UPS",
        "Start the NAS's timers",
    ]
    assert [name for name in names if name in order] == order


def test_disks_and_arrays_are_tuned_before_the_pools_are_made(plan: dict[str, set[str]]) -> None:
    names = list(plan)
    first = next(name for name in names if name.startswith("make the "))
    for name in ("Tune the pools' disks at boot", "Give rebuilds their share at boot"):
        assert plan[name] == {"@fake/nas"}
        assert names.index(name) < names.index(first)
    assert plan["Tune the running kernel for the pools"] == set(), "nothing is there yet that could be otherwise"


def test_it_runs_to_its_end() -> None:
    done = pyinfra("-y", "inventory", "deploys/nas.py")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
