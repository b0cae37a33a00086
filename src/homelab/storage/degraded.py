"""What starts an array at boot when a disk died while the power was off: a unit that the array's mount brings along."""

from __future__ import annotations

from pathlib import Path

from homelab.files import ManagedFile

_SCRIPT = "/usr/local/lib/homelab/homelab-array"

FILES = (
    ManagedFile(
        _SCRIPT,
        (Path(__file__).parent / "scripts" / "homelab-array").read_text(encoding="utf-8"),
        mode="0755",
        check='sh -n "$new"',
    ),
    # As early as systemd's own wait for the disks begins: the pool's mount has to be given its array within that.
    ManagedFile(
        "/etc/systemd/system/homelab-array@.service",
        f"""\
# Written by the homelab toolkit.
[Unit]
Description=Array of pool %i, also without a disk that is missing
DefaultDependencies=no
RequiresMountsFor=/usr/local/lib/homelab /var/lib/homelab
After=systemd-udev-trigger.service
Conflicts=shutdown.target
Before=shutdown.target

[Service]
Type=oneshot
ExecStart={_SCRIPT} %i
TimeoutStartSec=240
""",
    ),
)


def unit(pool: str) -> str:
    """The unit's name; a pool's name has nothing that systemd would escape."""
    return f"homelab-array@{pool}.service"
