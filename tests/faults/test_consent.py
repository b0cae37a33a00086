"""Leave to lose what is on a disk, on a real host: for one disk, for what was seen on it, and once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.faults.conftest import pools, storage
from tests.faults.test_nas import clear, deploy, disk, lab, written
from tests.sandbox.lab import Lab

__all__ = ["lab"]

pytestmark = pytest.mark.long

NAMES = ("d5", "d6")
POOL = "extra"


def listed(lab: Lab, consents: dict[str, str]) -> str:
    """The sandbox's inventory with one more pool on the spare disks, and these consents beside them."""
    disks = {
        name: {"id": disk.id} | ({"consent": consents[name]} if name in consents else {})
        for name, disk in storage().disks.items()
    }
    extra = {POOL: {"kind": "btrfs", "level": "raid1", "disks": list(NAMES)}}
    return lab.inventory("consent", hosts={"nas": {"disks": disks, "pools": pools() | extra}})


def refused(lab: Lab, consents: dict[str, str]) -> str:
    """Deploy, see that it is refused for d5 and that nothing was written there, and give the word that it names."""
    device = disk(lab, "virtio-homelab-d5")
    before = written(lab, device)
    done = deploy(lab, inventory=listed(lab, consents))
    assert done.code == 1
    (line,) = [each for each in done.reasons if "disks.d5" in each]
    assert written(lab, device) == before
    found = re.search(r'"consent": "([0-9a-f]{16})"', line)
    assert found, line
    return found[1]


@pytest.fixture
def spares(lab: Lab) -> Iterator[str]:
    """Both spare disks blank, before and after; the path of the first."""
    devices = [disk(lab, f"virtio-homelab-{name}") for name in NAMES]
    forget(lab)
    for device in devices:
        clear(lab, device)
    yield devices[0]
    forget(lab)
    for device in devices:
        clear(lab, device)


def forget(lab: Lab) -> None:
    """Take the pool off the host as if it had never been."""
    lab.ssh(
        "nas",
        f"systemctl disable --now -q srv-{POOL}.mount 2>/dev/null; umount /srv/{POOL} 2>/dev/null;"
        f" chattr -i /srv/{POOL} 2>/dev/null; rmdir /srv/{POOL} 2>/dev/null;"
        f" rm -rf /etc/systemd/system/srv-{POOL}.mount /var/lib/homelab/pools/{POOL}; systemctl daemon-reload; true",
    )


def test_consent_is_for_one_disk_for_what_was_seen_and_once(lab: Lab, spares: str) -> None:
    make = f"mkfs.ext4 -q -F -U {{}} {spares}; udevadm settle"
    # New ones each time: this machine keeps what was used in earlier runs.
    first, second = uuid4(), uuid4()
    lab.ssh("nas", make.format(first), timeout=300)
    word = refused(lab, {})
    # The same kind of filesystem with another UUID is another thing to lose.
    lab.ssh("nas", f"wipefs -qa {spares}; " + make.format(second), timeout=300)
    other = refused(lab, {"d5": word})
    assert other != word
    # What lets go of one disk lets go of no other.
    assert refused(lab, {"d6": other}) == other
    done = deploy(lab, inventory=listed(lab, {"d5": other}))
    assert done.code == 0, done.reasons
    assert [name for name in done.changes if "destructive" in name], done.changes
    assert lab.ssh("nas", f"findmnt -no FSTYPE /srv/{POOL}").strip() == "btrfs"
    again = deploy(lab, inventory=listed(lab, {"d5": other}))
    assert (again.code, again.changes) == (0, {}), again.reasons
    # Used once, it is worth nothing, though the disk carries the very same again.
    forget(lab)
    for name in NAMES:
        clear(lab, disk(lab, f"virtio-homelab-{name}"))
    lab.ssh("nas", make.format(second), timeout=300)
    device, before = spares, written(lab, spares)
    done = deploy(lab, inventory=listed(lab, {"d5": other}))
    assert done.code == 1
    (line,) = [each for each in done.reasons if "disks.d5" in each]
    assert "was used already" in line
    assert written(lab, device) == before
