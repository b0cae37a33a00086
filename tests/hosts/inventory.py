"""Hosts and expectations of these tests, both from the inventory that HOMELAB_ENV names."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from homelab.model import Home, Host, InventoryError, Problem, choose, load

ROOT = Path(__file__).resolve().parent.parent.parent


@cache
def home() -> Home:
    """The inventory under test. HOMELAB_ENV has to name it, so that no test reaches a home by accident.

    Raise InventoryError where it names none, or one that is wrong.
    """
    if not os.environ.get("HOMELAB_ENV"):
        remedy = "write HOMELAB_ENV=sandbox, or the inventory you mean"
        raise InventoryError([Problem("HOMELAB_ENV", "is not set", remedy)])
    return load(choose(ROOT / "inventory", os.environ))


def hosts(*kinds: str) -> list[str]:
    """testinfra's addresses of the hosts of these kinds (server, agent, nas; none for all) that are not away."""
    return [f"ssh://{host.name}?sudo=true" for host in home().hosts if not host.away and _is(host, kinds)]


def _is(host: Host, kinds: tuple[str, ...]) -> bool:
    return not kinds or host.role in kinds or ("nas" in kinds and host.nas)


def ssh_config(folder: Path) -> str:
    """An ssh_config with one entry a host, as the inventory says how to reach it; connections are shared in a folder.

    OpenSSH it is, because testinfra's paramiko backend only warns of a host key that it does not know.
    """
    names = {
        "ssh_hostname": "HostName",
        "ssh_user": "User",
        "ssh_port": "Port",
        "ssh_key": "IdentityFile",
        "ssh_known_hosts_file": "UserKnownHostsFile",
        "ssh_strict_host_key_checking": "StrictHostKeyChecking",
    }
    lines = []
    shared = [
        "  BatchMode yes",
        "  ConnectTimeout 30",
        "  ControlMaster auto",
        f"  ControlPath {folder}/%C",
        "  ControlPersist 60",
    ]
    for host in home().hosts:
        given = {"ssh_hostname": str(host.address), "ssh_strict_host_key_checking": "yes", **host.ssh}
        lines += [f"Host {host.name}", *shared]
        lines += [f"  {names[key]} {value}" for key, value in given.items() if key in names]
    return "\n".join(lines) + "\n"
