"""A host's name, and the names of the others in /etc/hosts."""

from __future__ import annotations

from homelab.files import ManagedFile
from homelab.model import Home

HOSTNAME = "/etc/hostname"
HOSTS = "/etc/hosts"
_BEGIN = "# BEGIN homelab: the hosts of the inventory; what is written between these lines is replaced"
_END = "# END homelab"


def hosts_file(home: Home, current: str) -> ManagedFile:
    """/etc/hosts with the inventory's hosts in a marked block; every other line stays as it is, in its order."""
    before: list[str] = []
    after: list[str] = []
    inside = False
    target = before
    for line in current.splitlines():
        if line.startswith("# BEGIN homelab"):
            inside, target = True, after
        elif inside and line.startswith(_END):
            inside = False
        elif not inside:
            target.append(line)
    if inside:
        # No end to the block: nobody knows what was in it, so nothing of it may go.
        before, after = current.splitlines(), []
    block = [_BEGIN, *(f"{host.address} {host.name}" for host in home.hosts), _END]
    return ManagedFile(HOSTS, "\n".join([*before, *block, *after]) + "\n")


def managed_by_cloud_init(current: str) -> bool:
    # From cloud-init's template: "Your system has configured 'manage_etc_hosts' as True."
    return "'manage_etc_hosts' as True" in current
