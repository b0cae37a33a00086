"""Pools of ZFS, on disks that are made for them: filled, cut off, in another order, with a dead disk, replaced.

The NAS needs the module of its kernel. Where it has none, HOMELAB_ZFS names a folder of this machine with `module/`,
the built *.ko of that very kernel, and `debs/`, the packages zfsutils-linux, zfs-zed and what these need.
For one level alone: `pytest tests/faults/test_zfs.py -k raidz1`.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from homelab.model import levels
from homelab.model.levels import Level
from tests.faults.conftest import pools, power, sandbox, storage
from tests.faults.test_consent import POOL, forget
from tests.faults.test_levels import AT, FIRST, added, by_id
from tests.faults.test_nas import deploy, lab, start, until
from tests.faults.test_nas_cuts import _said as said
from tests.faults.test_replace import OF_A_DISK, replace
from tests.sandbox.hosts import ROOT
from tests.sandbox.lab import SANDBOX, Lab

__all__ = ["lab"]

pytestmark = pytest.mark.long

LEVELS = [each for each in levels.LEVELS if each.kind == "zfs"]
VOLUME = "things"
DATA = f"{AT}/{VOLUME}"
HASHES = f"cd {DATA}/kept && sha256sum -c --quiet sums && echo whole"
# What the kernel must have and what a deploy needs, or would ask apt for.
READY = "modprobe -n zfs && dpkg-query -W zfsutils-linux zfs-zed >/dev/null && echo ready"


@dataclass(frozen=True)
class Pool:
    """The pool as it was deployed: its level, its disks' numbers, and the one that is in no pool."""

    level: Level
    numbers: tuple[int, ...]
    spare: int


def listed(lab: Lab, pool: Pool, ids: dict[int, int] | None = None, case: str = "zfs", **more: Any) -> str:
    """The sandbox's inventory and one more pool, with a volume of a limited size that is shared.

    `ids` are those with another disk in their place.
    """
    described = storage()
    disks: dict[str, Any] = {name: {"id": each.id} for name, each in described.disks.items()}
    disks |= {f"d{number}": {"id": by_id((ids or {}).get(number, number))} for number in pool.numbers}
    wide = {"kind": "zfs", "level": pool.level.name, "disks": [f"d{each}" for each in pool.numbers], **more}
    volumes = {name: each.model_dump(exclude_none=True) for name, each in described.volumes.items()}
    shares = {name: each.model_dump(exclude_none=True) for name, each in described.shares.items()}
    volumes[VOLUME] = {"pool": POOL, "owner": "anna", "quota": "200M"}
    shares[VOLUME] = {"volume": VOLUME, "nfs": {"clients": ["sandbox"]}, "smb": {"users": ["anna"]}}
    own = {"disks": disks, "pools": pools() | {POOL: wide}, "volumes": volumes, "shares": shares}
    return lab.inventory(case, hosts={"nas": own})


def away(lab: Lab, numbers: tuple[int, ...]) -> None:
    """Take the pool and its disks off the host; of a pool that is in use no disk is pulled."""
    lab.ssh(
        "nas",
        f"exportfs -u -a; systemctl stop smbd nfs-server srv-{POOL}-{VOLUME}.mount srv-{POOL}.mount 2>/dev/null;"
        f" guid=$(sed -n s/^uuid=//p /var/lib/homelab/pools/{POOL} 2>/dev/null); rm -f /var/lib/homelab/arrays/$guid;"
        f" command -v zpool >/dev/null && ! zpool list {POOL} >/dev/null 2>&1 || zpool export {POOL};"
        f" systemctl disable -q srv-{POOL}-{VOLUME}.mount 2>/dev/null;"
        f" rm -f /etc/systemd/system/srv-{POOL}-{VOLUME}.mount /etc/exports.d/homelab-{VOLUME}.exports;"
        f" sed -i '/ {POOL}\\//d' /var/lib/homelab/volumes; true",
        timeout=300,
    )
    forget(lab)
    for number in numbers:
        sandbox("remove-disk", "nas", number)


@pytest.fixture(scope="module")
def ready(lab: Lab) -> None:
    """The NAS has ZFS, its own or what HOMELAB_ZFS has of it."""
    if "ready" in lab.ssh("nas", READY, check=False):
        return
    kernel, folder = lab.ssh("nas", "uname -r").strip(), os.environ.get("HOMELAB_ZFS")
    if not folder:
        pytest.skip(f"the NAS has no module of ZFS for its {kernel}, and HOMELAB_ZFS names no folder with one")
    module = Path(folder) / "module"
    built = subprocess.run(
        ["/usr/sbin/modinfo", "-F", "vermagic", module / "zfs.ko"], capture_output=True, text=True, check=False
    )
    if built.stdout.split()[:1] != [kernel]:
        pytest.skip(f"{module} has no module of ZFS for the NAS's {kernel}: {built.stdout or built.stderr}")
    lab.ssh("nas", "rm -rf /var/tmp/zfs; mkdir -m 0777 /var/tmp/zfs")
    files = [*module.glob("*.ko"), *(Path(folder) / "debs").glob("*.deb")]
    copy = ["scp", "-q", "-F", str(SANDBOX / "ssh_config"), *map(str, files), "nas:/var/tmp/zfs/"]
    subprocess.run(copy, cwd=ROOT, check=True, timeout=900)
    lab.ssh(
        "nas",
        "cd /var/tmp/zfs; to=/lib/modules/$(uname -r)/updates/dkms; mkdir -p $to; mv ./*.ko $to; depmod;"
        " DEBIAN_FRONTEND=noninteractive dpkg -i ./*.deb; rm -rf /var/tmp/zfs",
        timeout=1800,
    )
    assert "ready" in lab.ssh("nas", READY)


def test_without_the_module_one_line_tells_why_and_no_disk_is_touched(lab: Lab) -> None:
    if "zfs" in lab.ssh("nas", "modprobe -n zfs && echo zfs", check=False):
        pytest.skip("the NAS has the module of ZFS")
    numbers = (FIRST, FIRST + 1)
    try:
        added(lab, numbers)
        before = lab.ssh("nas", f"cat /sys/block/*/stat | wc -l; ls /var/lib/homelab/pools; sha256sum {device(FIRST)}")
        done = deploy(lab, inventory=listed(lab, Pool(LEVELS[0], numbers, 0), case="zfs-none"))
        assert done.code == 1
        (line,) = [each for each in done.reasons if "ZFS" in each]
        assert f"nas.pools.{POOL}" in line and "has no module of ZFS" in line
        after = lab.ssh("nas", f"cat /sys/block/*/stat | wc -l; ls /var/lib/homelab/pools; sha256sum {device(FIRST)}")
        assert after == before
    finally:
        for number in numbers:
            sandbox("remove-disk", "nas", number)


def device(number: int) -> str:
    return f"/dev/disk/by-id/{by_id(number)}"


@pytest.fixture(scope="module", params=LEVELS, ids=lambda each: each.name)
def pool(lab: Lab, ready: None, request: pytest.FixtureRequest) -> Iterator[Pool]:
    """A pool of as few disks as its level takes, with files whose hashes are kept, and a blank disk beside it."""
    level: Level = request.param
    *numbers, spare = range(FIRST, FIRST + level.least + 1)
    made, everything = Pool(level, tuple(numbers), spare), (*numbers, spare)
    away(lab, everything)
    try:
        added(lab, everything)
        done = deploy(lab, inventory=listed(lab, made))
        assert done.code == 0, done.reasons
        assert [name for name in done.changes if f"make the zfs {level.name} {POOL}" in name], done.changes
        lab.ssh(
            "nas",
            f"mkdir {DATA}/kept; cd {DATA}/kept; for i in $(seq 8); do head -c 5000000 /dev/urandom >f$i; done;"
            " sha256sum f? >sums; sync",
        )
        yield made
    finally:
        start(lab)
        try:
            away(lab, everything)
        finally:
            done = deploy(lab)
            assert done.code == 0, done.reasons


def served(lab: Lab) -> None:
    """The share is what it should be: by NFS from the host itself, and as Samba has it."""
    address = "10.17.77.31"
    lab.ssh(
        "nas",
        f"mkdir -p /mnt/zfs; mount -t nfs4 -o vers=4.2,soft,timeo=600 {address}:{DATA} /mnt/zfs;"
        " cd /mnt/zfs/kept && sha256sum -c --quiet sums; cd /; umount /mnt/zfs",
        timeout=600,
    )
    assert f"path = {DATA}" in lab.ssh("nas", "testparm -s 2>/dev/null")


def mounted(lab: Lab) -> None:
    here = f"mountpoint -q {AT} && mountpoint -q {DATA} && echo yes"
    until("the pool is mounted", lambda: lab.ssh("nas", here, check=False), 900)


def whole(lab: Lab, pool: Pool) -> None:
    """None of its disks is missing, and each is where and what it should be."""
    assert lab.ssh("nas", f"zpool list -Hpo health {POOL}").strip() == "ONLINE"
    said_ = lab.ssh("nas", f"zpool status -P {POOL}")
    disks = re.findall(r"^\s+(/dev/\S+)\s+ONLINE\s", said_, re.M)
    assert len(disks) == len(pool.numbers) and all("/by-id/" in each for each in disks), said_


def test_a_second_run_changes_nothing_and_its_shares_are_served(lab: Lab, pool: Pool) -> None:
    again = deploy(lab, inventory=listed(lab, pool))
    assert (again.code, again.changes) == (0, {}), again.reasons
    whole(lab, pool)
    served(lab)
    full = lab.ssh("nas", f"head -c 250M /dev/zero | tr '\\0' x >{DATA}/much; stat -c %s {DATA}/much; rm {DATA}/much")
    assert int(full.split()[-1]) < 200 << 20
    # Beneath, where the dataset is not mounted, nobody writes.
    beneath = f"unshare -m sh -c 'mount --bind {AT} /mnt; touch /mnt/{VOLUME}/x 2>/dev/null && echo written'; true"
    assert lab.ssh("nas", beneath).strip() == ""
    bare = f"unshare -m sh -c 'mount --bind /srv /mnt; touch /mnt/{POOL}/x 2>/dev/null && echo written'; true"
    assert lab.ssh("nas", bare).strip() == ""


def test_a_power_cut_while_writing_loses_nothing_that_was_synced(lab: Lab, pool: Pool) -> None:
    write = (
        f"rm -rf {DATA}/cut; mkdir {DATA}/cut; cd {DATA}/cut; i=0; while :; do i=$((i + 1));"
        " head -c 200000 /dev/urandom >f$i; sync f$i; sha256sum f$i >>sums; sync sums; sync .; done"
    )
    lab.ssh("nas", f"systemd-run --quiet --unit=zfs-cut sh -c '{write}'")
    count = f"grep -c . {DATA}/cut/sums 2>/dev/null"
    until("it has written some", lambda: int(lab.ssh("nas", count, check=False) or 0) > 20, 600)
    power("power-cut", "nas")
    start(lab)
    mounted(lab)
    assert "whole" in lab.ssh("nas", HASHES)
    # The last line may be cut, of what was not synced yet.
    check = f"cd {DATA}/cut && grep -cE '^[0-9a-f]{{64}}  f[0-9]+$' sums && sha256sum -c --quiet --ignore-missing sums"
    assert int(lab.ssh("nas", check).split()[0]) > 20
    whole(lab, pool)
    again = deploy(lab, inventory=listed(lab, pool))
    assert (again.code, again.changes) == (0, {}), again.reasons
    served(lab)


def test_it_is_adopted_in_another_order_under_another_hostname_and_exported(lab: Lab, pool: Pool) -> None:
    same = f"zpool get -Hpo value guid {POOL}; cat {AT}/.homelab-pool; stat -c '%n %i' {DATA}/kept/*"
    before = lab.ssh("nas", same)
    lab.ssh(
        "nas",
        f"hostname elsewhere; systemctl stop smbd nfs-server srv-{POOL}-{VOLUME}.mount srv-{POOL}.mount;"
        f" zpool export {POOL}; rm -f /var/lib/homelab/pools/{POOL}",
        timeout=300,
    )
    turned = Pool(pool.level, pool.numbers[::-1], pool.spare)
    done = deploy(lab, inventory=listed(lab, turned, case="zfs-turned"))
    assert done.code == 0, done.reasons
    assert lab.ssh("nas", same) == before
    made = [name for name in done.changes if "additive" in name or "destructive" in name]
    assert not [name for name in made if "make it, unless it is there" not in name], done.changes
    assert deploy(lab, inventory=listed(lab, pool)).code == 0
    last = deploy(lab, inventory=listed(lab, pool))
    assert (last.code, last.changes) == (0, {}), last.reasons


def test_a_dead_disk_is_survived_told_of_and_replaced(lab: Lab, pool: Pool) -> None:
    dead = pool.numbers[-1]
    power("power-cut", "nas")
    sandbox("detach-disk", "nas", dead)
    start(lab)
    mounted(lab)
    assert "whole" in lab.ssh("nas", HASHES)
    assert lab.ssh("nas", f"zpool list -Hpo health {POOL}").strip() == "DEGRADED"
    lab.ssh("nas", "systemctl start homelab-watch.service", timeout=600)
    assert POOL in lab.ssh("nas", "cat /var/lib/homelab/watch")

    done = replace(lab, dead, by_id(pool.spare), inventory=listed(lab, pool))
    assert done.code == 0, done.reasons
    assert "whole" in lab.ssh("nas", HASHES)
    whole(lab, pool)
    assert "with 0 errors" in lab.ssh("nas", f"zpool status {POOL}")
    old = deploy(lab, inventory=listed(lab, pool))
    assert old.code == 1
    (line,) = [each for each in old.reasons if f"disks.d{dead}" in each]
    assert "lacks none" in line and f"homelab-d{pool.spare}" in line
    new = listed(lab, pool, {dead: pool.spare})
    done = deploy(lab, inventory=new)
    assert done.code == 0 and set(done.changes) <= OF_A_DISK, (done.reasons, done.changes)
    again = deploy(lab, inventory=new)
    assert (again.code, again.changes) == (0, {}), again.reasons
    power("power-cut", "nas")
    start(lab)
    mounted(lab)
    assert "whole" in lab.ssh("nas", HASHES)


def test_a_disk_that_had_left_its_mirror_is_not_served_alone(lab: Lab, ready: None) -> None:
    """The older half of a mirror would be taken for what is left of it, if the newer one is late at a boot."""
    older, newer = FIRST, FIRST + 1
    made = Pool(LEVELS[0], (older, newer), 0)
    away(lab, made.numbers)
    try:
        added(lab, made.numbers)
        done = deploy(lab, inventory=listed(lab, made))
        assert done.code == 0, done.reasons
        kept = f"grep -c . /var/lib/homelab/arrays/$(zpool get -Hpo value guid {POOL})"
        both = lab.ssh("nas", kept)
        power("power-cut", "nas")
        sandbox("detach-disk", "nas", older)
        start(lab)
        mounted(lab)
        assert lab.ssh("nas", kept) < both
        lab.ssh("nas", f"echo new >{DATA}/newer; sync")
        power("power-cut", "nas")
        sandbox("attach-disk", "nas", older)
        sandbox("detach-disk", "nas", newer)
        start(lab)
        says = f"journalctl -b -u homelab-zpool@{POOL} -o cat"
        left = "left the pool before it last ran"
        until("it is told why it stays down", lambda: left in lab.ssh("nas", says, check=False), 600)
        assert "no" in lab.ssh("nas", f"mountpoint -q {AT} || echo no")
        assert lab.ssh("nas", f"zpool list -H {POOL} 2>/dev/null; true").strip() == ""
        done = deploy(lab, inventory=listed(lab, made))
        assert done.code == 1
        (line,) = [each for each in done.reasons if f"pools.{POOL}" in each]
        assert f"d{older} left it before it last ran, and what is newer is on d{newer}; plug that in" in line
        power("power-cut", "nas")
        sandbox("attach-disk", "nas", newer)
        start(lab)
        mounted(lab)
        assert lab.ssh("nas", f"cat {DATA}/newer").strip() == "new"
        equal = f"zpool list -Hpo health {POOL} | grep -x ONLINE && ! zpool status {POOL} | grep 'resilver in progress'"
        until("both halves are equal", lambda: "ONLINE" in lab.ssh("nas", equal, check=False), 600)
    finally:
        start(lab)
        away(lab, made.numbers)
        done = deploy(lab)
        assert done.code == 0, done.reasons


@pytest.mark.parametrize("moment", [f"make the zfs mirror {POOL}", f"mount {POOL} at", f"{DATA}: make it"])
def test_a_power_cut_in_a_deploy_is_mended_by_the_next_one(lab: Lab, ready: None, moment: str, tmp_path: Path) -> None:
    made = Pool(LEVELS[0], (FIRST, FIRST + 1), 0)
    away(lab, made.numbers)
    try:
        added(lab, made.numbers)
        more, log = listed(lab, made), tmp_path / "deploy.log"
        running = lab.start_deploy(log, "nas", more)
        try:
            until(f"the deploy says {moment}", lambda: f"Starting operation: {moment}" in said(log), 900)
            power("power-cut", "nas")
        finally:
            running.kill()
            running.wait()
        start(lab)
        done = deploy(lab, inventory=more)
        assert done.code == 0, done.reasons
        mounted(lab)
        whole(lab, made)
        again = deploy(lab, inventory=more)
        assert (again.code, again.changes) == (0, {}), again.reasons
    finally:
        start(lab)
        away(lab, made.numbers)
        done = deploy(lab)
        assert done.code == 0, done.reasons


@pytest.mark.parametrize("level", LEVELS, ids=lambda each: each.name)
def test_too_few_disks_are_refused_before_the_host_is_touched(lab: Lab, level: Level) -> None:
    count = level.least - 1
    few = Pool(level, tuple(range(FIRST, FIRST + count)), 0)
    done = deploy(lab, inventory=listed(lab, few, case="zfs-few"))
    assert done.code == 1 and f"cannot be zfs {level.name}" in done.said, done.said
