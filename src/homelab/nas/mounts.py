"""What serves files starts after the pools are mounted, and also when one of them is missing."""

from __future__ import annotations

from collections.abc import Iterable

from homelab.files import ManagedFile


def dropin(unit: str, pools: Iterable[str], service: str = "") -> ManagedFile:
    """A unit's drop-in: it waits for the pools' mounts, without depending on any; `service` is for its own section.

    Not Requires: one pool that is missing must not take the shares of the others down.
    """
    mounts = " ".join(f"srv-{pool}.mount" for pool in sorted(set(pools)))
    lines = ["# homelab: written from the inventory", "[Unit]"]
    if mounts:
        lines += [f"Wants={mounts}", f"After={mounts}"]
    if service:
        lines += ["", "[Service]", service]
    return ManagedFile(f"/etc/systemd/system/{unit}.d/homelab.conf", "\n".join(lines) + "\n")
