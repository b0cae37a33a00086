"""The scripts that restore a disk of snapraid, which a replacement brings up to date itself."""

from __future__ import annotations

from typing import Any

import pytest

from homelab.files import ManagedFile
from homelab.model.nas import Nas
from homelab.nas import scripts, snapraid
from homelab.operations import replacement
from homelab.probe import FileState, HostProbe
from homelab.storage import branches

LIB = "/usr/local/lib/homelab"


def described() -> Nas:
    """Two pools of snapraid and one of each other kind, and a disk in none."""
    two = {"level": "raid1", "disks": ["d7", "d8"]}
    pools: dict[str, Any] = {
        "media": {"kind": "snapraid", "disks": ["d1", "d2"], "parity": ["d3"]},
        "tape": {"kind": "snapraid", "disks": ["d4", "d5"], "parity": ["d6"], "sync": {"deleted": 7}},
        "tank": {"kind": "btrfs", **two},
        "vault": {"kind": "mdraid", "filesystem": "ext4", **two, "disks": ["d9", "d10"]},
        "safe": {"kind": "zfs", "level": "mirror", "disks": ["d11", "d12"]},
    }
    return Nas.model_validate({"disks": {f"d{n}": {"id": f"ata-A_{n}"} for n in range(1, 14)}, "pools": pools})


def jobs(disk: str) -> tuple[ManagedFile, ...]:
    return replacement._jobs(described(), disk)


@pytest.mark.parametrize(("disk", "pool", "other"), [("d2", "media", "tape"), ("d6", "tape", "media")])
def test_what_restores_a_disk_is_that_of_its_pool_alone(disk: str, pool: str, other: str) -> None:
    laid = {file.path: file for file in jobs(disk)}
    assert set(laid) == {
        f"{LIB}/lib.sh",
        f"{LIB}/homelab-mergerfs",
        f"{LIB}/homelab-snapraid",
        "/etc/systemd/system/homelab-sync@.service",
        f"/etc/systemd/system/homelab-sync@{pool}.timer",
        f"/etc/homelab/snapraid/{pool}.conf",
        f"/etc/homelab/snapraid/{pool}",
    }
    assert laid[f"{LIB}/lib.sh"] == scripts.script("lib.sh") and laid[f"{LIB}/homelab-mergerfs"] == branches.SCRIPT
    assert laid[f"/etc/homelab/snapraid/{pool}.conf"] == snapraid.conf(pool, described().pools[pool])
    assert ("deleted=7\n" in laid[f"/etc/homelab/snapraid/{pool}"].content) is (pool == "tape")
    assert not [path for path in laid if other in path]


@pytest.mark.parametrize("disk", ["d7", "d9", "d11", "d13"])
def test_a_disk_of_another_kind_of_pool_or_of_none_needs_no_scripts(disk: str) -> None:
    assert jobs(disk) == ()


def test_only_what_does_not_stand_is_written() -> None:
    wanted = jobs("d2")
    stand = {file.path: FileState("file", file.mode, file.owner, sha256=file.sha256) for file in wanted}
    assert list(replacement._laid(wanted, HostProbe(files=stand))) == []
    for file in wanted:
        older = FileState("file", file.mode, file.owner, sha256="0" * 64)
        for state in (older, FileState("file", "0600", file.owner, sha256=file.sha256), None):
            (step,) = replacement._laid(wanted, HostProbe(files={**stand, file.path: state}))
            assert (step.kind, step.file, step.command) == ("config", file, "systemctl daemon-reload\n")
            assert step.says == f"write {file.path}"
    assert [step.file for step in replacement._laid(wanted, HostProbe())] == list(wanted)
