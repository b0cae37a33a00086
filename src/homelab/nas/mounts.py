"""What serves files starts after the pools are mounted, and also when one of them is missing."""

from __future__ import annotations

from collections.abc import Iterable

from homelab.files import ManagedFile
from homelab.model.nas import Nas


def units(nas: Nas, pools: Iterable[str]) -> list[str]:
    """The mount units of pools, and of the volumes where each is a filesystem of its own."""
    wanted = sorted(set(pools))
    volumes = [(each.pool, name) for name, each in nas.volumes.items() if nas.pools[each.pool].kind == "zfs"]
    return [
        *(f"srv-{pool}.mount" for pool in wanted),
        *(f"srv-{pool}-{name}.mount" for pool, name in sorted(volumes) if pool in wanted),
    ]


def dropin(unit: str, nas: Nas | None, pools: Iterable[str], service: str = "") -> ManagedFile:
    """A unit's drop-in: it waits for the pools' mounts, without depending on any; `service` is for its own section.

    Not Requires: one pool that is missing must not take the shares of the others down.
    """
    mounts = " ".join(units(nas, pools)) if nas else ""
    lines = ["# homelab: written from the inventory", "[Unit]"]
    if mounts:
        lines += [f"Wants={mounts}", f"After={mounts}"]
    if service:
        lines += ["", "[Service]", service]
    return ManagedFile(f"/etc/systemd/system/{unit}.d/homelab.conf", "\n".join(lines) + "\n")
