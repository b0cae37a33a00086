"""What hangs on a NAS: pods with volumes of it, hosts that have mounted it, clients that its NFS server knows. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from homelab.health import Snapshot
from homelab.health.checks import nfs
from homelab.model import Host
from homelab.patch.hosts import Seen


def _names(nas: Host) -> frozenset[str]:
    """By what others may know it."""
    return frozenset(str(each) for each in (nas.name, nas.address, nas.ssh.get("ssh_hostname")) if each)


def using(nas: Host, snapshot: Snapshot) -> list[str]:
    """The pods, as namespace/name, that have a volume over NFS of a NAS."""
    names = _names(nas)
    return [
        f"{pod.namespace}/{pod.name}"
        for pod in snapshot.pods
        if not pod.done and not names.isdisjoint(nfs.servers(snapshot, pod))
    ]


def mounts(nas: Host, seen: Mapping[str, Seen]) -> Iterator[str]:
    """In one line for each host, what it has mounted of a NAS: pods' volumes too where they are SMB's, of which the
    cluster's snapshot does not tell."""
    names = _names(nas)
    for host, here in seen.items():
        targets = [
            target
            for source, target in here.remote
            if source.strip("/").partition("/")[0].partition(":")[0] in names
            and ("/kubelet/" not in target or source.startswith("//"))
        ]
        if targets and host != nas.name:
            yield f"{nas.name}: {host} has mounted it at {', '.join(targets)}"


def lines(nas: Host, seen: Seen, snapshot: Snapshot | None) -> list[str]:
    """What waits while a NAS is away, a line each; empty when nothing is known to. No cluster has no snapshot."""
    found = []
    if snapshot is not None and (pods := using(nas, snapshot)):
        found.append(f"{nas.name}: pods with volumes of it wait while it reboots: {', '.join(pods)}")
    if seen.clients:
        found.append(f"{nas.name}: NFS clients that wait while it reboots: {', '.join(seen.clients)}")
    return found
