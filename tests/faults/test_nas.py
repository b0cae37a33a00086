"""What a NAS must survive: disks that are not what they seem, a power cut while writing, a disk that is gone."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Iterator
from pathlib import PurePath

import pytest

from homelab.nas.scripts import path
from tests.faults.conftest import pools, power
from tests.hosts import inventory
from tests.sandbox.lab import Deployed, Lab

# Disks of the sandbox that no pool has.
SPARE = ("virtio-homelab-d5", "virtio-homelab-d6")
EXTRA = {"extra": {"kind": "btrfs", "level": "raid1", "disks": ["d5", "d6"]}}

# What a disk may carry, how to put it there, and the word by which it must be named. Each begins on a blank disk; two
# disks are tried at a time, in this order.
SIGNATURES = {
    "ext4": ("mkfs.ext4 -q -F {disk}", "ext4"),
    # Of a disk of 2 GiB a piece in every 4 MiB is looked at.
    "data": ("head -c 8388608 /dev/urandom | dd of={disk} bs=1M seek=1001 conv=notrunc status=none", "data"),
    "xfs": ("mkfs.xfs -q {disk}", "xfs"),
    "btrfs": ("mkfs.btrfs -q {disk}", "btrfs"),
    "swap": ("mkswap -q {disk}", "swap"),
    "md": (
        "mdadm --create /dev/md/foreign --level=1 --raid-devices=2 --metadata=1.2 --homehost=other {disk} missing"
        " --run >/dev/null 2>&1; mdadm --stop /dev/md/foreign >/dev/null 2>&1",
        "linux_raid_member",
    ),
    "gpt": ("printf 'label: gpt\\n,\\n' | sfdisk -q {disk}", "gpt"),
    "backup-gpt": (
        "printf 'label: gpt\\n' | sfdisk -q {disk}; dd if=/dev/zero of={disk} bs=1M count=1 conv=notrunc status=none",
        "gpt",
    ),
    "dos": ("printf 'label: dos\\n,\\n' | sfdisk -q {disk}", "dos"),
    "vfat": ("mkfs.vfat {disk} >/dev/null", "vfat"),
    "ntfs": ("mkfs.ntfs -Q -F {disk} >/dev/null 2>&1", "ntfs"),
    "nilfs2": ("mkfs.nilfs2 -q {disk}", "nilfs2"),
    "luks": (
        "printf long-enough | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 {disk} -",
        "crypto_LUKS",
    ),
    "lvm": ("pvcreate -qq {disk}", "LVM2_member"),
    # Without ZFS's own tools: the magic number of an uberblock, in as many places as wipefs asks for.
    "zfs": (
        "for n in $(seq 0 15); do printf '\\014\\261\\272\\000\\000\\000\\000\\000' |"
        " dd of={disk} bs=1024 seek=$((128 + n)) conv=notrunc status=none; done",
        "zfs_member",
    ),
    "minix": ("mkfs.minix {disk} >/dev/null", "minix"),
}
PAIRS = list(zip(*[iter(SIGNATURES)] * 2, strict=True))


@pytest.fixture(scope="module")
def lab() -> Lab:
    """The sandbox's NAS, deployed."""
    home = inventory.home()
    assert home.environment == "sandbox", "faults are made on the sandbox only"
    if not any(host.nas for host in home.hosts):
        pytest.skip(f"the set {os.environ.get('SANDBOX')} has no NAS")
    lab = Lab(os.environ.get("SANDBOX") or "small", home.cluster.version if home.cluster else "")
    done = deploy(lab)
    assert done.code == 0, done.reasons
    return lab


def deploy(lab: Lab, inventory: str = "inventory", **env: str) -> Deployed:
    return lab.deploy("nas", "--limit", "nas", inventory=inventory, **env)


def disk(lab: Lab, name: str) -> str:
    # Of one that is not there, -f would give a path, at which a file would be written.
    return lab.ssh("nas", f"readlink -e /dev/disk/by-id/{name}").strip()


def clear(lab: Lab, device: str) -> None:
    """Make a spare disk blank again; the host's files of a pool that never was go too."""
    lab.ssh(
        "nas",
        f"mdadm --stop --scan --config=none >/dev/null 2>&1; wipefs -qa {device}?* 2>/dev/null; wipefs -qa {device};"
        f" blkdiscard -f -z {device} 2>/dev/null || dd if=/dev/zero of={device} bs=4M status=none; "
        f"blockdev --rereadpt {device}; udevadm settle; true",
        timeout=600,
    )


def written(lab: Lab, device: str) -> str:
    """How many sectors the kernel has written to a disk: the same before and after means that no bit changed."""
    return lab.ssh("nas", f"sync; cat /sys/block/{device.removeprefix('/dev/')}/stat").split()[6]


@pytest.fixture(scope="module")
def spares(lab: Lab) -> Iterator[tuple[str, ...]]:
    """Two disks of no pool, blank."""
    devices = tuple(disk(lab, name) for name in SPARE)
    for device in devices:
        clear(lab, device)
    yield devices


@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param(kinds, id="-and-".join(kinds), marks=pytest.mark.long if number else ())
        for number, kinds in enumerate(PAIRS)
    ],
)
def test_a_disk_that_carries_something_is_refused_and_stays_bit_for_bit(
    lab: Lab, spares: tuple[str, ...], kinds: tuple[str, str]
) -> None:
    try:
        for kind, device in zip(kinds, spares, strict=True):
            lab.ssh("nas", SIGNATURES[kind][0].format(disk=device) + "; udevadm settle", timeout=300)
        before = [written(lab, device) for device in spares]
        done = deploy(lab, inventory=lab.inventory("spare", hosts={"nas": {"pools": pools() | EXTRA}}))
        assert done.code == 1
        for kind, name in zip(kinds, ("d5", "d6"), strict=True):
            (line,) = [each for each in done.reasons if f"disks.{name}:" in each]
            assert SIGNATURES[kind][1] in line and f"serial homelab-{name}" in line
            assert re.search(r'"consent": "[0-9a-f]{16}"', line)
        assert [written(lab, device) for device in spares] == before
    finally:
        for device in spares:
            clear(lab, device)


def writing(lab: Lab, folder: str) -> None:
    """Have the NAS write file after file, each on its disks before its hash is written, and that before the next."""
    write = (
        f"cd {folder}/.cut; i=0; while :; do i=$((i + 1)); head -c 200000 /dev/urandom >f$i; sync f$i;"
        " sha256sum f$i >>sums; sync sums; sync .; done"
    )
    lab.ssh("nas", f"rm -rf {folder}/.cut; mkdir {folder}/.cut")
    lab.ssh("nas", f"nohup setsid sh -c {shlex.quote(write)} >/dev/null 2>&1 & true")


def count(lab: Lab, folder: str) -> int:
    return int(lab.ssh("nas", f"wc -l <{folder}/.cut/sums 2>/dev/null || echo 0", check=False) or 0)


def synced(lab: Lab, folder: str) -> int:
    """How many files were written, all of which are there and are themselves; they are taken away."""
    # The last line may be half written; the file of every whole one is there and is itself.
    check = "grep -E '^[0-9a-f]{64}  f[0-9]+$' sums | sha256sum -c --quiet && wc -l <sums"
    checked = lab.ssh("nas", f"cd {folder}/.cut && {check}", timeout=600)
    lab.ssh("nas", f"rm -rf {folder}/.cut")
    return int(checked.split()[-1])


def test_a_power_cut_while_writing_loses_nothing_that_was_synced(lab: Lab) -> None:
    folders = ("/srv/tank/media", "/srv/pics/album")
    for folder in folders:
        writing(lab, folder)
    until("files were written", lambda: all(count(lab, folder) > 5 for folder in folders))
    power("power-cut", "nas")
    start(lab)
    for folder in folders:
        assert synced(lab, folder) > 5
    done = deploy(lab)
    assert (done.code, done.changes) == (0, {}), done.reasons


def start(lab: Lab) -> None:
    """Switch the NAS on, and wait until all of it is up."""
    power("power-on", "nas")
    until("the NAS answers", lambda: lab.ssh("nas", "echo up", check=False), 1200)
    # With a disk less a mount waits for 90 s, and an emulated machine takes its time for the rest.
    lab.ssh("nas", "systemctl is-system-running --wait; true", timeout=1200)


def until(what: str, answered, deadline: float = 300) -> None:
    end = time.monotonic() + deadline
    while not answered():
        assert time.monotonic() < end, f"{what}: not within {deadline:.0f} s"
        time.sleep(2)


def test_a_lost_record_and_mdadm_conf_are_found_again_by_uuid(lab: Lab) -> None:
    uuids = "findmnt -no UUID /srv/tank; findmnt -no UUID /srv/pics"
    before = lab.ssh("nas", uuids)
    lab.ssh("nas", "rm -rf /var/lib/homelab/pools; : >/etc/mdadm/mdadm.conf")
    done = deploy(lab)
    assert done.code == 0, done.reasons
    assert lab.ssh("nas", uuids) == before
    assert not [name for name in done.changes if "additive" in name or "destructive" in name]
    again = deploy(lab)
    assert (again.code, again.changes) == (0, {})


def test_a_backup_restores_and_a_flipped_byte_is_found(lab: Lab) -> None:
    lab.ssh("nas", "for i in 1 2 3 4 5; do head -c 300000 /dev/urandom >/srv/tank/media/b$i; done; sync")
    lab.ssh("nas", "systemctl start homelab-backup@nightly.service", timeout=1800)
    status = lab.ssh("nas", "cat /var/lib/homelab/status/restore-nightly")
    assert "ok" in status.lower(), status
    repository = "/var/backups/homelab-restic"
    # What the backup just wrote is in the repository's index, so it is read.
    newest = "find . -type f -size +20k -printf '%T@ %p\\n' | sort -n | tail -n 1 | cut -d ' ' -f 2"
    pack = lab.ssh("nas", f"set -e; cp -a {repository} {repository}.kept; cd {repository}/data; {newest}").strip()
    at = f"{repository}/data/{pack}"
    try:
        old = int(lab.ssh("nas", f"od -An -tu1 -j 5000 -N 1 {at}"))
        flip = f"printf '\\{old ^ 1:03o}' | dd of={at} bs=1 seek=5000 conv=notrunc status=none"
        lab.ssh("nas", f"chmod u+w {at}; {flip}; ! cmp -s {at} {repository}.kept/data/{pack}")
        # The NAS's own check, at the part in which restic counts this pack.
        parts = int(lab.ssh("nas", "sed -n 's/^parts=//p' /etc/homelab/backup/nightly"))
        part = int(PurePath(pack).name[:2], 16) % parts + 1
        lab.ssh("nas", f"echo {part} >/var/lib/homelab/backup/nightly.part")
        said = lab.ssh("nas", f"{path('homelab-backup')} nightly check 2>&1 || true", timeout=900)
        assert f"the repository is damaged or could not be read (restic check of part {part} of {parts})" in said
        assert "failed" in lab.ssh("nas", "cat /var/lib/homelab/status/check-nightly")
    finally:
        lab.ssh("nas", f"rm -rf {repository}; mv {repository}.kept {repository}; rm -f /srv/tank/media/b?")
    lab.ssh("nas", f"{path('homelab-backup')} nightly check", timeout=900)
    assert "ok" in lab.ssh("nas", "cat /var/lib/homelab/status/check-nightly")
