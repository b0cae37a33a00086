"""What starts an array at boot when a disk died while the power was off: a unit that the array's mount brings along.

A disk that left an array earlier does not know of that and looks just like one whose twin died with the power, so it is
noted which disks an array runs on; what those do not include is not started alone.
"""

from __future__ import annotations

from pathlib import Path

from homelab.files import ManagedFile

SCRIPT = "/usr/local/lib/homelab/homelab-array"

FILES = (
    ManagedFile(
        SCRIPT,
        (Path(__file__).parent / "scripts" / "homelab-array").read_text(encoding="utf-8"),
        mode="0755",
        check='sh -n "$new"',
    ),
    # As early as systemd's own wait for the disks begins: the pool's mount has to be given its array within that. The
    # script looks for disks for up to 240 s. The mount requires the unit: restarted, it would unmount a pool in use.
    ManagedFile(
        "/etc/systemd/system/homelab-array@.service",
        f"""\
# Written by the homelab toolkit.
[Unit]
Description=Array of pool %i, also without a disk that is missing
DefaultDependencies=no
RequiresMountsFor=/usr/local/lib/homelab /var/lib/homelab
After=systemd-udev-trigger.service systemd-remount-fs.service
Conflicts=shutdown.target
Before=shutdown.target
RefuseManualStop=yes

[Service]
Type=oneshot
ExecStart={SCRIPT} %i
TimeoutStartSec=300
""",
    ),
    # Debian starts an array without a disk too, and asks nobody whether the other one is the newer. That array may be
    # the system's, so it is not held up where the script cannot be asked, nor until /var is mounted: before, the script
    # knows by mdadm.conf which are a pool's, and leaves those to the unit above.
    ManagedFile(
        "/etc/systemd/system/mdadm-last-resort@.service.d/homelab.conf",
        "# Written by the homelab toolkit.\n[Service]\n"
        f"ExecCondition=/bin/sh -c '[ ! -x {SCRIPT} ] || exec {SCRIPT} --may %i'\n",
    ),
)
# For each array the disks that held all of it when it last ran, by the UUIDs that it gave them.
NOTES = "/var/lib/homelab/arrays"


def unit(pool: str) -> str:
    """The unit's name; a pool's name has nothing that systemd would escape."""
    return f"homelab-array@{pool}.service"
