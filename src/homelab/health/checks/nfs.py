"""NFS servers: they answer the nodes that mount from them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from homelab.health.checks.pods import starting
from homelab.health.codes import finding
from homelab.health.objects import Pod
from homelab.health.report import Finding, Ref
from homelab.health.snapshot import Snapshot

SERVER = "NFSServer"  # no kind of Kubernetes': volumes only name it
_SILENT = re.compile(
    r"mount\.nfs4?: .*?(timed out|No route to host|Connection refused|Host is down|Network is unreachable)", re.I | re.S
)


def servers(snapshot: Snapshot, pod: Pod) -> tuple[str, ...]:
    """The NFS servers that a pod's volumes are on, by its own spec and by its claims."""
    claims = (snapshot.claim_named.get((pod.namespace, name)) for name in pod.claims)
    volumes = (snapshot.volume_named.get(claim.volume) for claim in claims if claim)
    return tuple(sorted({*pod.servers, *(volume.server for volume in volumes if volume and volume.server)}))


def check_servers(snapshot: Snapshot) -> Iterator[Finding]:
    """No pod waits for a volume because mount.nfs got no answer from the server that it is on.

    A server that answers and refuses is another thing, as is a pod with volumes of several servers of which the message
    names none. A share that hangs under a pod that runs already shows nowhere in the API.
    """
    found: dict[str, list[tuple[Pod, datetime | None, str]]] = {}
    for pod, since in starting(snapshot):
        for server, why in _silent(snapshot, pod):
            found.setdefault(server, []).append((pod, since, why))
    for server, waiting in sorted(found.items()):
        yield finding(
            "STOR007",
            Ref(SERVER, "", server),
            f"does not answer nodes that mount from it: {min(why for _, _, why in waiting)}",
            since=min((since for _, since, _ in waiting if since), default=None),
            evidence={
                "nodes": tuple(sorted({pod.node for pod, _, _ in waiting})),
                "pods": tuple(sorted(f"{pod.namespace}/{pod.name}" for pod, _, _ in waiting)),
            },
        )


def _silent(snapshot: Snapshot, pod: Pod) -> Iterator[tuple[str, str]]:
    """The servers from which a pod's volumes are waited for, and what mount.nfs says."""
    named = servers(snapshot, pod)
    for event in snapshot.events_about.get(pod.uid, ()):
        silent = _SILENT.search(event.message) if event.reason == "FailedMount" else None
        if silent is None:
            continue
        told = [each for each in named if f"{each}:" in event.message] or (named if len(named) == 1 else ())
        for each in told:
            yield each, silent[1].lower()
        return
