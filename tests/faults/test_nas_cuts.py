"""A NAS whose power goes in the middle of a deploy, and pools that come back under other circumstances."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import pools, power
from tests.faults.test_consent import NAMES, POOL, forget
from tests.faults.test_nas import clear, deploy, disk, lab, start, until
from tests.sandbox.lab import Lab

__all__ = ["lab"]

pytestmark = pytest.mark.long

# What the deploy says when it begins with something; the power goes then.
MOMENTS = ("make the mdraid", f"mount {POOL} at", "Write smb.conf")


@pytest.fixture
def more(lab: Lab) -> Iterator[str]:
    """An inventory with an array more, on the spare disks, which are blank before and after."""
    extra = {POOL: {"kind": "mdraid", "level": "raid1", "disks": list(NAMES), "filesystem": "ext4"}}
    _blank(lab)
    yield lab.inventory("cut", hosts={"nas": {"pools": pools() | extra}})
    _blank(lab)
    done = deploy(lab)
    assert done.code == 0, done.reasons


def _blank(lab: Lab) -> None:
    forget(lab)
    for name in NAMES:
        lab.ssh("nas", f"mdadm --stop /dev/md/{POOL} 2>/dev/null; true")
        clear(lab, disk(lab, f"virtio-homelab-{name}"))


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_power_cut_in_a_deploy_is_mended_by_the_next_one(lab: Lab, more: str, moment: str, tmp_path: Path) -> None:
    log = tmp_path / "deploy.log"
    if moment == MOMENTS[-1]:
        lab.ssh("nas", "echo '# a hand was here' >>/etc/samba/smb.conf")
    cut_off(lab, more, moment, log)
    done = deploy(lab, inventory=more)
    assert done.code == 0, done.reasons
    assert lab.ssh("nas", f"findmnt -no FSTYPE /srv/{POOL}").strip() == "ext4"
    again = deploy(lab, inventory=more)
    assert (again.code, again.changes) == (0, {}), again.reasons


def cut_off(lab: Lab, inventory: str, moment: str, log: Path) -> None:
    """Begin a deploy of the NAS, pull the plug of that when the deploy says that it is at this operation, and boot."""
    running = lab.start_deploy(log, "nas", inventory)
    try:
        until(f"the deploy says {moment}", lambda: f"Starting operation: {moment}" in _said(log), 900)
        power("power-cut", "nas")
    finally:
        running.kill()
        running.wait()
    start(lab)


def _said(log: Path) -> str:
    return log.read_text(errors="replace").replace("deploys/base.py | ", "") if log.exists() else ""


def test_pools_are_adopted_in_another_order_and_under_another_hostname(lab: Lab) -> None:
    same = "findmnt -no UUID /srv/tank; findmnt -no UUID /srv/pics; stat -c '%n %i %W' /srv/tank/* /srv/pics/*"
    before = lab.ssh("nas", same)
    turned = {name: pool | {"disks": pool["disks"][::-1]} for name, pool in pools().items()}
    lab.ssh(
        "nas",
        "hostname elsewhere; rm -rf /var/lib/homelab/pools; : >/etc/mdadm/mdadm.conf;"
        " systemctl stop smbd nfs-server srv-tank.mount srv-pics.mount; mdadm --stop --scan --config=none",
        timeout=300,
    )
    done = deploy(lab, inventory=lab.inventory("reversed", hosts={"nas": {"pools": turned}}))
    assert done.code == 0, done.reasons
    assert lab.ssh("nas", same) == before
    made = [name for name in done.changes if "additive" in name or "destructive" in name]
    assert not [name for name in made if "make it, unless it is there" not in name], done.changes
    again = deploy(lab)
    assert again.code == 0, again.reasons
    last = deploy(lab)
    assert (last.code, last.changes) == (0, {}), last.reasons
