"""What hangs on a NAS: pods with volumes of it, hosts that have mounted it, clients that its NFS server knows. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from homelab.model import Host
from homelab.patch.hosts import Seen

Item = Mapping[str, Any]


def _names(nas: Host) -> frozenset[str]:
    """By what others may know it."""
    return frozenset(str(each) for each in (nas.name, nas.address, nas.ssh.get("ssh_hostname")) if each)


def _server(source: Item) -> str:
    """The NFS or SMB server of a volume's source, "" for any other kind. CSI: csi-driver-nfs and csi-driver-smb."""
    csi = source.get("csi") or {}
    attributes = csi.get("volumeAttributes") or {}
    told = (source.get("nfs") or {}).get("server") or attributes.get("server") or attributes.get("source") or ""
    return str(told).strip("/").partition("/")[0]


def using(nas: Host, items: tuple[Sequence[Item], Sequence[Item]]) -> list[str]:
    """The pods, as namespace/name, that have a volume of a NAS; `items` are all pods and all PersistentVolumes."""
    pods, volumes = items
    names = _names(nas)
    claims = {
        (ref.get("namespace"), ref.get("name"))
        for volume in volumes
        if _server(volume.get("spec") or {}) in names and (ref := (volume["spec"].get("claimRef") or {}))
    }
    found = []
    for pod in pods:
        metadata, spec = pod["metadata"], pod.get("spec") or {}
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            continue
        for volume in spec.get("volumes") or ():
            claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if _server(volume) in names or (claim and (metadata["namespace"], claim) in claims):
                found.append(f"{metadata['namespace']}/{metadata['name']}")
                break
    return sorted(found)


def mounts(nas: Host, seen: Mapping[str, Seen]) -> Iterator[str]:
    """In one line for each host, what it has mounted of a NAS."""
    names = _names(nas)
    for host, here in seen.items():
        targets = [
            target
            for source, target in here.remote
            if source.strip("/").partition("/")[0].partition(":")[0] in names and "/kubelet/" not in target
        ]
        if targets and host != nas.name:
            yield f"{nas.name}: {host} has mounted it at {', '.join(targets)}"


def lines(nas: Host, seen: Seen, items: tuple[Sequence[Item], Sequence[Item]]) -> list[str]:
    """What waits while a NAS is away, a line each; empty when nothing is known to."""
    found = []
    if pods := using(nas, items):
        found.append(f"{nas.name}: pods with volumes of it wait while it reboots: {', '.join(pods)}")
    if seen.clients:
        found.append(f"{nas.name}: NFS clients that wait while it reboots: {', '.join(seen.clients)}")
    return found
