"""A NAS with shares, for tests: what matters is said, the rest is as in a sound home."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from homelab.model import Base, Home, Host
from homelab.model.nas import Nas

POOLS: dict[str, Any] = {
    "tank": {"kind": "btrfs", "level": "raid1", "disks": ["a", "b"]},
    "bulk": {"kind": "mdraid", "level": "raid1", "disks": ["c", "d"]},
}


def host(**parts: Any) -> Host:
    """A NAS of pools tank (btrfs) and bulk (mdraid), with these users, volumes and shares."""
    disks = {name: {"id": f"serial:DISK-{name}"} for name in "abcd"}
    storage = Nas.model_validate({"disks": disks, "pools": POOLS, **parts})
    return Host.model_validate({"name": "nas", "nas": True, "address": "192.168.1.31", "storage": storage})


def home(*hosts: Host) -> Home:
    """A home with these hosts, and two networks of its own."""
    networks = {"lan": ip_network("192.168.1.0/24"), "lan6": ip_network("fd00:1::/64")}
    return Home(environment="test", hosts=hosts, base=Base(networks=networks))
