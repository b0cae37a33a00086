"""A disk of a pool dies: the pool comes up or stays down as its kind says, and another disk makes it whole again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from homelab.model import levels
from homelab.model.levels import Level
from homelab.storage import superblocks
from tests.faults.conftest import power, sandbox, storage
from tests.faults.test_nas import clear, disk, lab, start, until
from tests.sandbox.hosts import ROOT
from tests.sandbox.lab import Deployed, Lab, environment

__all__ = ["lab"]

pytestmark = pytest.mark.long

SPARE = "virtio-homelab-d5"
# Of the sandbox's own pools: the kind, the disk that dies, a folder, and whether it comes up without that disk.
POOLS = {
    "tank": ("mdraid", 2, "/srv/tank/media", True),
    "pics": ("btrfs", 4, "/srv/pics/album", False),
}
# What names each disk of a pool; no pool is touched by it.
OF_A_DISK = {
    "Tune the pools' disks at boot",
    "Tune the running kernel for the pools",
    "Lay the NAS's scripts and timers",
    "Watch the disks by SMART",
}


def replace(lab: Lab, number: int, with_: str, *more: str, inventory: str = "inventory") -> Deployed:
    data = ("--data", f"disk=d{number}", "--data", f"with={with_}", *more)
    return lab.deploy("day2/replace_disk", "--limit", "nas", *data, inventory=inventory)


def with_new(lab: Lab, number: int, id_: str) -> str:
    """The inventory with the line that the command tells to write."""
    disks: dict[str, Any] = {name: {"id": each.id} for name, each in storage().disks.items() if each.id != id_}
    disks[f"d{number}"] = {"id": id_}
    return lab.inventory("replaced", hosts={"nas": {"disks": disks}})


@pytest.fixture
def spare(lab: Lab) -> str:
    clear(lab, disk(lab, SPARE))
    return SPARE


@pytest.fixture
def put_back(lab: Lab) -> Iterator[None]:
    """Whatever happened, the sandbox's own disks are in its pools again, as its inventory has them."""
    yield
    for pool, (kind, number, _, _) in POOLS.items():
        original = f"virtio-homelab-d{number}"
        if "no" in lab.ssh("nas", f"test -e /dev/disk/by-id/{original} || echo no"):
            sandbox("attach-disk", "nas", number)
            back = {"mdraid": f"mdadm /dev/md/{pool} --re-add /dev/disk/by-id/{original}", "btrfs": "true"}[kind]
            lab.ssh("nas", f"udevadm settle; {back}; systemctl start srv-{pool}.mount", check=False)
        record = lab.ssh("nas", f"grep ^disk.d{number}= /var/lib/homelab/pools/{pool}; true")
        if "homelab-d5" in record:
            lab.ssh("nas", "udevadm settle; true")
            clear(lab, disk(lab, original))
            done = replace(lab, number, original, inventory=with_new(lab, number, SPARE))
            assert done.code == 0, done.reasons
    clear(lab, disk(lab, SPARE))


@pytest.mark.parametrize("pool", ["tank", "pics"])
def test_a_dead_disk_is_survived_and_replaced(lab: Lab, spare: str, put_back: None, pool: str) -> None:
    _, number, folder, comes_up = POOLS[pool]
    hashes = f"cd {folder}/.kept && sha256sum -c --quiet sums && echo whole"
    lab.ssh(
        "nas",
        f"rm -rf {folder}/.kept; mkdir {folder}/.kept; cd {folder}/.kept;"
        " for i in 1 2 3 4; do head -c 5000000 /dev/urandom >f$i; done; sha256sum f? >sums; sync",
    )
    power("power-cut", "nas")
    sandbox("detach-disk", "nas", number)
    start(lab)
    at = f"/srv/{pool}"
    if comes_up:
        until(f"{pool} comes up degraded", lambda: lab.ssh("nas", f"mountpoint -q {at} && echo yes", check=False), 600)
        assert "whole" in lab.ssh("nas", hashes)
    else:
        assert "no" in lab.ssh("nas", f"mountpoint -q {at} || echo no")
        lab.ssh("nas", f"! touch {at}/written 2>/dev/null")
    lab.ssh("nas", "systemctl start homelab-watch.service", timeout=600)
    told = lab.ssh("nas", "cat /var/lib/homelab/watch")
    assert ("lacks 1 of its 2 disks" if comes_up else f"{at} is not mounted") in told

    done = replace(lab, number, spare)
    assert done.code == 0, done.reasons
    assert f'"d{number}": {{"id": "{spare}"}}' in done.said
    assert "whole" in lab.ssh("nas", hashes)
    whole(lab, pool, *described(pool))

    old = lab.deploy("nas", "--limit", "nas")
    assert old.code == 1
    (line,) = [each for each in old.reasons if f"disks.d{number}" in each]
    assert "lacks none" in line and "homelab-d5" in line
    new = lab.deploy("nas", "--limit", "nas", inventory=with_new(lab, number, spare))
    assert new.code == 0 and set(new.changes) <= OF_A_DISK, (new.reasons, new.changes)
    again = lab.deploy("nas", "--limit", "nas", inventory=with_new(lab, number, spare))
    assert (again.code, again.changes) == (0, {}), again.reasons
    lab.ssh("nas", f"rm -rf {folder}/.kept")


def test_a_disk_of_a_btrfs_that_dies_while_it_is_mounted_is_replaced(lab: Lab, spare: str, put_back: None) -> None:
    _, number, folder, _ = POOLS["pics"]
    before = "rm -rf .kept; mkdir .kept; cd .kept; head -c 5000000 /dev/urandom >f1; sha256sum f1 >sums; sync"
    lab.ssh("nas", f"cd {folder}; {before}")
    sandbox("detach-disk", "nas", number)
    lab.ssh("nas", f"cd {folder}/.kept; head -c 5000000 /dev/urandom >f2; sha256sum f2 >>sums; sync")
    lab.ssh("nas", "systemctl start homelab-watch.service", timeout=600)
    assert "pool pics lacks a disk" in lab.ssh("nas", "cat /var/lib/homelab/watch")
    told = lab.deploy("nas", "--limit", "nas")
    assert told.code == 1
    (line,) = told.reasons
    assert "d4 (serial homelab-d4) is gone since it was mounted" in line
    done = replace(lab, number, spare)
    assert done.code == 0, done.reasons
    assert not [name for name in done.changes if "mount pics" in name]
    lab.ssh("nas", f"cd {folder}/.kept && sha256sum -c --quiet sums")
    whole(lab, "pics", *described("pics"))
    lab.ssh("nas", f"rm -rf {folder}/.kept")


def test_a_disk_that_had_left_its_mirror_is_not_served_alone(lab: Lab, put_back: None) -> None:
    """The older half of a mirror would be taken for what is left of it, if the newer one is late at a boot."""
    older, newer, folder = 2, 1, "/srv/tank/media"
    kept = f"cat /var/lib/homelab/arrays/{superblocks.mdadm_uuid(_uuid(lab))}"
    assert len(lab.ssh("nas", kept).split()) == 2
    sandbox("detach-disk", "nas", older)
    until("it is noted which half is left", lambda: len(lab.ssh("nas", kept).split()) == 1)
    lab.ssh("nas", f"echo new >{folder}/.newer; sync")
    power("power-cut", "nas")
    sandbox("attach-disk", "nas", older)
    sandbox("detach-disk", "nas", newer)
    try:
        start(lab)
        says = "journalctl -b -u homelab-array@tank -o cat"
        left = "left the array before it last ran"
        until("it is told why it stays down", lambda: left in lab.ssh("nas", says, check=False), 600)
        assert "no" in lab.ssh("nas", "mountpoint -q /srv/tank || echo no")
        done = lab.deploy("nas", "--limit", "nas")
        assert done.code == 1
        (line,) = [each for each in done.reasons if "pools.tank" in each]
        assert "d2 left it before it last ran, and what is newer is on d1; plug that in" in line
        # Started by somebody all the same, without a write, and held so that it cannot be stopped.
        lab.ssh("nas", "mdadm --stop --scan --config=none; udevadm settle; true")
        old = f"--uuid={superblocks.mdadm_uuid(_uuid(lab))} /dev/disk/by-id/virtio-homelab-d{older}"
        told = lab.ssh(
            "nas",
            f"mdadm --assemble --readonly --run /dev/md/tank {old}; udevadm settle; sleep 600 </dev/md/tank & held=$!;"
            " systemctl start srv-tank.mount || echo failed; mountpoint -q /srv/tank || echo down; kill $held",
            timeout=300,
        )
        assert told.split()[-2:] == ["failed", "down"]
        assert "runs with old data and is in use" in lab.ssh("nas", says)
    finally:
        power("power-cut", "nas")
        sandbox("attach-disk", "nas", newer)
        start(lab)
    until("the newer half is served", lambda: lab.ssh("nas", "mountpoint -q /srv/tank && echo yes", check=False))
    assert lab.ssh("nas", f"cat {folder}/.newer; rm {folder}/.newer").strip() == "new"
    lab.ssh("nas", f"mdadm /dev/md/tank --re-add /dev/disk/by-id/virtio-homelab-d{older} || true")
    until("both halves are equal", lambda: lab.ssh("nas", "cat /sys/block/md*/md/degraded").strip() == "0", 600)
    until("both are noted", lambda: len(lab.ssh("nas", kept).split()) == 2)


def _uuid(lab: Lab) -> str:
    return lab.ssh("nas", "sed -n s/^uuid=//p /var/lib/homelab/pools/tank").strip()


def described(pool: str) -> tuple[Level, int]:
    """The level of one of the sandbox's pools, and of how many disks it is."""
    known = storage().pools[pool]
    return levels.level(known.kind, known.level), len(known.disks)


def whole(lab: Lab, pool: str, level: Level, disks: int) -> None:
    """None of so many disks is missing, and all is kept as the level says."""
    if level.kind == "mdraid":
        md = lab.ssh("nas", f"findmnt -no SOURCE /srv/{pool} | xargs readlink -f").strip().removeprefix("/dev/")
        assert lab.ssh("nas", f"cat /sys/block/{md}/md/degraded").strip() == "0"
        return
    data, metadata = level.makes(disks)
    assert "MISSING" not in lab.ssh("nas", f"btrfs filesystem show /srv/{pool}").upper()
    # Its own way of writing a profile: RAID1, but single.
    told = lab.ssh("nas", f"btrfs filesystem df /srv/{pool}").lower().splitlines()
    kept = [line.split(":")[0] for line in told]
    assert sorted(each for each in kept if not each.startswith("global")) == [
        f"data, {data}",
        f"metadata, {metadata}",
        f"system, {metadata}",
    ]


def test_a_new_disk_that_holds_something_is_refused_and_stays_as_it_is(lab: Lab, spare: str) -> None:
    device = disk(lab, spare)
    try:
        lab.ssh("nas", f"mkfs.ext4 -q -F {device}; udevadm settle")
        before = lab.ssh("nas", f"sha256sum {device}", timeout=600)
        done = replace(lab, POOLS["tank"][1], spare)
        assert done.code == 1
        (line,) = [each for each in done.reasons if "holds ext4" in each]
        assert "--data consent=" in line
        assert lab.ssh("nas", f"sha256sum {device}", timeout=600) == before
    finally:
        clear(lab, device)


def test_a_replacement_that_was_cut_goes_on(lab: Lab, spare: str, put_back: None, tmp_path: Path) -> None:
    number = POOLS["tank"][1]
    # So slow that it is cut in the middle.
    lab.ssh("nas", "echo 2000 >/proc/sys/dev/raid/speed_limit_max")
    command = [str(ROOT / ".venv" / "bin" / "pyinfra"), "-y", "--limit", "nas", "--data", f"disk=d{number}"]
    command += ["--data", f"with={spare}", "inventory", "deploys/day2/replace_disk.py"]
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(
            command, cwd=ROOT, env=environment(lab.size), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        recovers = "cat /sys/block/md*/md/sync_action | grep -q recover && echo recovers"
        until("the new disk is being built", lambda: "recovers" in lab.ssh("nas", recovers, check=False), 900)
        running.kill()
        running.wait()
    power("power-cut", "nas")
    start(lab)
    done = replace(lab, number, spare)
    assert done.code == 0, done.reasons
    whole(lab, "tank", *described("tank"))
