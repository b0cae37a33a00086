"""What brings in a zpool at boot: a unit that the pool's mount brings along, and what it goes by.

Debian's own units import what a cache names as soon as udev is through: a disk that is late is left out, and one that
had left the pool earlier does not know of that and looks just like one whose twin died. So no cache names our pools,
late disks are waited for, and it is noted which disks a pool runs on; what those do not include is not brought in
alone.
"""

from __future__ import annotations

from pathlib import Path

from homelab.files import ManagedFile
from homelab.model.nas import Nas

SCRIPT = "/usr/local/lib/homelab/homelab-zpool"

FILES = (
    ManagedFile(
        SCRIPT,
        (Path(__file__).parent / "scripts" / "homelab-zpool").read_text(encoding="utf-8"),
        mode="0755",
        check='sh -n "$new"',
    ),
    # The mount requires the unit: restarted, it would unmount a pool in use.
    ManagedFile(
        "/etc/systemd/system/homelab-zpool@.service",
        f"""\
# Written by the homelab toolkit.
[Unit]
Description=Zpool of pool %i, also without a disk that is missing
DefaultDependencies=no
RequiresMountsFor=/usr/local/lib/homelab /var/lib/homelab
After=systemd-udev-trigger.service systemd-remount-fs.service zfs-import-cache.service zfs-import-scan.service
Conflicts=shutdown.target
Before=shutdown.target
RefuseManualStop=yes

[Service]
Type=oneshot
ExecStart={SCRIPT} %i
TimeoutStartSec=300
""",
    ),
)


def wanted(nas: Nas) -> bool:
    """Whether a NAS has a pool of ZFS."""
    return any(pool.kind == "zfs" for pool in nas.pools.values())


def unit(pool: str) -> str:
    """The unit's name; a pool's name has nothing that systemd would escape."""
    return f"homelab-zpool@{pool}.service"
