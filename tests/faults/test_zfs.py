"""Pools of ZFS, on disks that are made for them: filled, served, cut off, saved, in another order, with a dead disk.

The NAS needs the module of its kernel. Where it has none, HOMELAB_ZFS names a folder of this machine with `module/`,
the built *.ko of that very kernel, and `debs/`, the packages zfsutils-linux, zfs-zed and what these need.
For one level alone: `pytest tests/faults/test_zfs.py -k "[raidz1]"`.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from homelab.model import levels
from homelab.model.levels import Level
from tests.faults.conftest import power, sandbox, storage
from tests.faults.shares import Clients, clients, let_go, shared, words
from tests.faults.test_consent import POOL, forget
from tests.faults.test_levels import AT, DATA, FIRST, QUOTA, VOLUME, added, by_id, filled
from tests.faults.test_nas import count, deploy, disk, lab, start, synced, until, writing, written
from tests.faults.test_nas_cuts import cut_off
from tests.faults.test_replace import OF_A_DISK, replace
from tests.sandbox.hosts import ROOT
from tests.sandbox.lab import SANDBOX, Lab

__all__ = ["clients", "lab"]

pytestmark = pytest.mark.long

LEVELS = [each for each in levels.LEVELS if each.kind == "zfs"]
# The sandbox's own backup takes the volume along.
BACKUP = "nightly"
# What the kernel must have and what a deploy needs, or would ask apt for.
READY = (
    "modprobe -n zfs && dpkg-query -W -f '${db:Status-Status} ' zfsutils-linux zfs-zed |"
    " grep -qx 'installed installed ' && echo ready"
)
# The built module as a package, as that of the tools asks for one.
MODULE = """\
set -e
cd /var/tmp/zfs
to=made/usr/lib/modules/$(uname -r)/updates/dkms
mkdir -p made/DEBIAN "$to"
mv ./*.ko "$to"
cat >made/DEBIAN/control <<END
Package: zfs-modules-built
Version: $(modinfo -F version "$to/zfs.ko")
Architecture: $(dpkg --print-architecture)
Provides: zfs-modules
Maintainer: nobody <nobody@localhost>
Description: OpenZFS as it was built elsewhere for the kernel $(uname -r)
END
dpkg-deb -b made ./built.deb
export DEBIAN_FRONTEND=noninteractive
dpkg -i ./built.deb
depmod
dpkg -i ./*.deb
rm -rf /var/tmp/zfs
"""


@dataclass(frozen=True)
class Pool:
    """The pool as it was deployed: its level, its disks' numbers, and the one that is in no pool."""

    level: Level
    numbers: tuple[int, ...]
    spare: int


def listed(lab: Lab, pool: Pool, ids: dict[int, int] | None = None, case: str = "zfs") -> str:
    """The sandbox's inventory and one more pool, with a volume of a limited size that is shared and saved.

    `ids` are those with another disk in their place.
    """
    nas = storage()
    disks: dict[str, Any] = {name: {"id": each.id} for name, each in nas.disks.items()}
    disks |= {f"d{number}": {"id": by_id((ids or {}).get(number, number))} for number in pool.numbers}
    more = {"kind": "zfs", "level": pool.level.name, "disks": [f"d{each}" for each in pool.numbers]}
    saved = nas.backups[BACKUP]
    backup = {"password": str(saved.password), "volumes": (*saved.volumes, VOLUME)}
    own: dict[str, object] = {
        "disks": disks,
        **shared(POOL, more, VOLUME, quota=f"{QUOTA}M"),
        "snapshots": words(nas.snapshots) | {VOLUME: {"hourly": 24}},
        "backups": {BACKUP: words(nas.backups)[BACKUP] | backup},
    }
    return lab.inventory(case, hosts={"nas": own})


def away(lab: Lab, numbers: tuple[int, ...]) -> None:
    """Take the pool and its disks off the host; of a pool that is in use no disk is pulled."""
    told = lab.ssh(
        "nas",
        f"systemctl stop homelab-backup@{BACKUP}.service homelab-snapshot@{VOLUME}.timer"
        f" homelab-snapshot@{VOLUME}.service 2>/dev/null;"
        f" {let_go(POOL, VOLUME)}; systemctl stop srv-{POOL}-{VOLUME}.mount srv-{POOL}.mount 2>/dev/null;"
        f" guid=$(sed -n s/^uuid=//p /var/lib/homelab/pools/{POOL} 2>/dev/null);"
        f" ! command -v zpool >/dev/null || ! zpool list {POOL} >/dev/null 2>&1 || zpool export {POOL} || echo used;"
        f" rm -f /var/lib/homelab/arrays/${{guid:-none}} /var/lib/homelab/members-{POOL};"
        f" systemctl disable -q srv-{POOL}-{VOLUME}.mount 2>/dev/null;"
        f" rm -f /etc/systemd/system/srv-{POOL}-{VOLUME}.mount",
        timeout=600,
    )
    assert "used" not in told
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
    lab.ssh("nas", MODULE, timeout=1800)
    assert "ready" in lab.ssh("nas", READY)


def test_without_the_module_one_line_tells_why_and_no_disk_is_touched(lab: Lab) -> None:
    if "zfs" in lab.ssh("nas", "modprobe -n zfs && echo zfs", check=False):
        pytest.skip("the NAS has the module of ZFS")
    numbers, records = (FIRST, FIRST + 1), "ls /var/lib/homelab/pools"
    try:
        added(lab, numbers)
        devices = [disk(lab, by_id(number)) for number in numbers]
        before = [lab.ssh("nas", records), *(written(lab, device) for device in devices)]
        done = deploy(lab, inventory=listed(lab, Pool(LEVELS[0], numbers, 0), case="zfs-none"))
        assert done.code == 1
        (line,) = [each for each in done.reasons if "ZFS" in each]
        assert f"nas.pools.{POOL}" in line and "has no module of ZFS" in line
        assert [lab.ssh("nas", records), *(written(lab, device) for device in devices)] == before
    finally:
        for number in numbers:
            sandbox("remove-disk", "nas", number)


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
        filled(lab, DATA)
        yield made
    finally:
        start(lab)
        try:
            away(lab, everything)
        finally:
            done = deploy(lab)
            assert done.code == 0, done.reasons


def mounted(lab: Lab) -> None:
    here = f"mountpoint -q {AT} && mountpoint -q {DATA} && echo yes"
    until("the pool is mounted", lambda: lab.ssh("nas", here, check=False), 900)


def kept(lab: Lab) -> None:
    """The files that were laid at the beginning are what they were."""
    hashes = f"cd {DATA}/kept && sha256sum -c --quiet sums && wc -l <sums"
    assert lab.ssh("nas", hashes, timeout=600).strip() == "8"


def health(lab: Lab) -> str:
    return lab.ssh("nas", f"zpool list -Hpo health {POOL}", timeout=300).strip()


def equal(lab: Lab) -> None:
    """Wait until what came back holds all of it again."""
    resilvers = f"zpool status {POOL} | grep -q 'resilver in progress' || zpool list -Hpo health {POOL}"
    until("its disks are equal", lambda: lab.ssh("nas", resilvers, check=False).strip() in ("ONLINE", "DEGRADED"), 900)


def whole(lab: Lab, pool: Pool) -> None:
    """None of its disks is missing, and each is where and what it should be."""
    assert health(lab) == "ONLINE"
    status = lab.ssh("nas", f"zpool status -P {POOL}", timeout=300)
    disks = re.findall(r"^\s+(/dev/\S+)\s+ONLINE\s", status, re.M)
    assert len(disks) == len(pool.numbers) and all("/by-id/" in each for each in disks), status
    assert "errors: No known data errors" in status


def changes_nothing(lab: Lab, case: str) -> None:
    again = deploy(lab, inventory=case)
    assert (again.code, again.changes) == (0, {}), again.reasons


def watched(lab: Lab) -> str:
    """What a look of the watch finds."""
    lab.ssh("nas", "systemctl start homelab-watch.service", timeout=600)
    return lab.ssh("nas", "cat /var/lib/homelab/watch")


def test_a_second_run_changes_nothing_and_its_volume_has_its_limit(lab: Lab, pool: Pool) -> None:
    changes_nothing(lab, listed(lab, pool))
    whole(lab, pool)
    kept(lab)
    much = f"{DATA}/much"
    # Nothing that compresses.
    fill = f"dd if=/dev/urandom of={much} bs=1M count={QUOTA + 100} conv=fsync 2>&1; stat -c %s {much}; rm {much}"
    told = lab.ssh("nas", fill, timeout=900)
    assert "quota exceeded" in told and 0 < int(told.split()[-1]) < QUOTA << 20, told
    # Beneath, where the dataset is not mounted, nobody writes.
    for bare, folder in ((AT, VOLUME), ("/srv", POOL)):
        look = f"mount --bind {bare} /mnt && ! touch /mnt/{folder}/x 2>/dev/null && ls -A /mnt/{folder} && echo bare"
        assert lab.ssh("nas", f"unshare -m sh -c '{look}'").split() == ["bare"]


def test_a_power_cut_while_writing_loses_nothing_that_was_synced(lab: Lab, pool: Pool) -> None:
    writing(lab, DATA)
    until("it has written some", lambda: count(lab, DATA) > 20, 600)
    power("power-cut", "nas")
    start(lab)
    mounted(lab)
    assert synced(lab, DATA) > 20
    kept(lab)
    whole(lab, pool)
    changes_nothing(lab, listed(lab, pool))
    assert f"pool {POOL}" not in watched(lab)


def test_after_a_boot_its_share_is_served_over_nfs_and_smb(lab: Lab, pool: Pool, clients: Clients) -> None:
    rebooted(lab)
    mounted(lab)
    clients.served(DATA)


def test_its_snapshots_are_previous_versions(lab: Lab, pool: Pool, clients: Clients, tmp_path: Path) -> None:
    new, got = tmp_path / "new", tmp_path / "got"
    try:
        new.write_text("before\n")
        clients.smb(VOLUME, f"put {new} letter")
        lab.ssh("nas", f"systemctl start homelab-snapshot@{VOLUME}.service", timeout=600)
        new.write_text("after\n")
        clients.smb(VOLUME, f"put {new} letter")
        versions = re.findall(r"^(@GMT-\S+)\s*$", clients.smb(VOLUME, "allinfo letter"), re.M)
        assert versions
        # The newest that has the file is the one just taken.
        clients.smb(VOLUME, f"get {max(versions)}\\\\letter {got}")
        assert got.read_text() == "before\n"
        taken = f"zfs get -H -d 1 -t snapshot -o name,value,source homelab:snapshot {POOL}/{VOLUME}"
        assert f"{POOL}/{VOLUME}{max(versions)}\tyes\tlocal" in lab.ssh("nas", taken).splitlines()
        assert lab.ssh("nas", f"cat {DATA}/letter").strip() == "after"
    finally:
        lab.ssh("nas", f"rm -f {DATA}/letter")


def test_a_backup_is_taken_from_a_snapshot_and_comes_back_equal(lab: Lab, pool: Pool) -> None:
    # The test of what can be restored is due again.
    lab.ssh("nas", f"rm -f /var/lib/homelab/status/restore-{BACKUP}")
    lab.ssh("nas", f"systemctl start homelab-backup@{BACKUP}.service", timeout=1800)
    for job in ("backup", "restore"):
        assert "result=ok" in lab.ssh("nas", f"cat /var/lib/homelab/status/{job}-{BACKUP}").splitlines()
    assert f"{POOL}/{VOLUME}@homelab-backup-{BACKUP}" in lab.ssh("nas", f"zpool history {POOL} | grep ' snapshot '")
    assert f"@homelab-backup-{BACKUP}" not in lab.ssh("nas", f"zfs list -H -t snapshot -o name -r {POOL}; mount")
    repository, back = storage().backups[BACKUP].to, "/var/tmp/zfs-back"
    restic = f"restic -q --no-cache -r {repository} --password-file /etc/homelab/backup/{BACKUP}.password"
    lab.ssh(
        "nas",
        f"rm -rf {back}; {restic} restore latest --tag volume-{VOLUME} --target {back} &&"
        f" cd {back}{DATA}/kept && sha256sum -c --quiet sums && diff -r {back}{DATA} {DATA}; code=$?;"
        f" rm -rf {back}; exit $code",
        timeout=1800,
    )


def test_it_is_adopted_in_another_order_under_another_hostname_and_exported(lab: Lab, pool: Pool) -> None:
    same = f"zpool get -Hpo value guid {POOL}; cat {AT}/.homelab-pool; stat -c '%n %i' {DATA}/kept/*"
    before = lab.ssh("nas", same)
    lab.ssh(
        "nas",
        f"hostname elsewhere; systemctl stop smbd nfs-server srv-{POOL}-{VOLUME}.mount srv-{POOL}.mount;"
        f" zpool export {POOL} && rm /var/lib/homelab/pools/{POOL}",
        timeout=600,
    )
    turned = Pool(pool.level, pool.numbers[::-1], pool.spare)
    done = deploy(lab, inventory=listed(lab, turned, case="zfs-turned"))
    assert done.code == 0, done.reasons
    assert lab.ssh("nas", same) == before
    made = [name for name in done.changes if "additive" in name or "destructive" in name]
    assert not [name for name in made if "make it, unless it is there" not in name], done.changes
    kept(lab)
    assert deploy(lab, inventory=listed(lab, pool)).code == 0
    changes_nothing(lab, listed(lab, pool))


def test_dead_disks_are_survived_told_of_and_replaced(lab: Lab, pool: Pool) -> None:
    """The first ones, so that the kernel calls the others otherwise than before."""
    dead, *more = pool.numbers[: pool.level.survives(len(pool.numbers))]
    power("power-cut", "nas")
    for number in (dead, *more):
        sandbox("detach-disk", "nas", number)
    start(lab)
    mounted(lab)
    kept(lab)
    assert health(lab) == "DEGRADED"
    assert f"pool {POOL} is DEGRADED" in watched(lab)
    lab.ssh("nas", f"echo new >{DATA}/newer; sync {DATA}/newer")
    if more:
        power("power-cut", "nas")
        for number in more:
            sandbox("attach-disk", "nas", number)
        start(lab)
        mounted(lab)
        equal(lab)

    done = replace(lab, dead, by_id(pool.spare), inventory=listed(lab, pool))
    assert done.code == 0, done.reasons
    kept(lab)
    whole(lab, pool)
    assert "with 0 errors" in lab.ssh("nas", f"zpool status {POOL}")
    old = deploy(lab, inventory=listed(lab, pool))
    assert old.code == 1
    (line,) = [each for each in old.reasons if f"disks.d{dead}" in each]
    assert "lacks none" in line and f"homelab-d{pool.spare}" in line
    new = listed(lab, pool, {dead: pool.spare})
    done = deploy(lab, inventory=new)
    assert done.code == 0 and set(done.changes) <= OF_A_DISK, (done.reasons, done.changes)
    changes_nothing(lab, new)
    if more:
        # What they missed while they were away ZFS may count as errors of theirs.
        lab.ssh("nas", f"zpool clear {POOL}", timeout=300)
    assert f"pool {POOL}" not in watched(lab)
    rebooted(lab)
    mounted(lab)
    kept(lab)
    assert lab.ssh("nas", f"cat {DATA}/newer").strip() == "new"
    whole(lab, pool)


def rebooted(lab: Lab) -> None:
    """The NAS goes down in order, and is up again."""
    boot = "cat /proc/sys/kernel/random/boot_id"
    before = lab.ssh("nas", boot)
    with suppress(subprocess.TimeoutExpired):
        lab.ssh("nas", "systemctl reboot", check=False, timeout=60)

    def booted() -> bool:
        with suppress(subprocess.TimeoutExpired):
            return lab.ssh("nas", boot, check=False, timeout=60) not in ("", before)
        return False

    until("the NAS is back", booted, 1800)
    lab.ssh("nas", "systemctl is-system-running --wait; true", timeout=1200)


def test_a_disk_that_had_left_its_mirror_is_not_served_alone(lab: Lab, ready: None) -> None:
    """The older half of a mirror would be taken for what is left of it, if the newer one is late at a boot."""
    older, newer = FIRST, FIRST + 1
    made = Pool(LEVELS[0], (older, newer), 0)
    away(lab, made.numbers)
    try:
        added(lab, made.numbers)
        done = deploy(lab, inventory=listed(lab, made))
        assert done.code == 0, done.reasons
        noted = f"cat /var/lib/homelab/arrays/$(zpool get -Hpo value guid {POOL})"
        both = set(lab.ssh("nas", noted).split())
        # While it runs: that is known of what ZFS and the watch have seen, and not of the next boot.
        sandbox("detach-disk", "nas", older)
        lab.ssh("nas", f"echo new >{DATA}/newer; sync", timeout=600)
        until("it is noted which half is left", lambda: set(lab.ssh("nas", noted).split()) < both, 900)
        assert f"pool {POOL} is DEGRADED" in watched(lab)
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
        equal(lab)
        whole(lab, made)
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
        more = listed(lab, made)
        cut_off(lab, more, moment, tmp_path / "deploy.log")
        done = deploy(lab, inventory=more)
        assert done.code == 0, done.reasons
        mounted(lab)
        whole(lab, made)
        changes_nothing(lab, more)
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
