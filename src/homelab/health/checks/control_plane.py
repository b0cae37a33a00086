"""The API server, the versions of what talks to it, and what it keeps deleting."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from homelab.health.codes import CRITICAL, WARNING, finding
from homelab.health.report import Finding, Ref
from homelab.health.snapshot import Snapshot

_NAMESPACE_STUCK = (
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceDeletionGroupVersionParsingFailure",
    "NamespaceDeletionContentFailure",
    "NamespaceContentRemaining",
    "NamespaceFinalizersRemaining",
)


def api(snapshot: Snapshot) -> Ref:
    """The API server that was asked; Kubernetes has no object for it."""
    return Ref("API", "", urlsplit(snapshot.api.url).netloc.rpartition("@")[2] or snapshot.api.url)


def minor(version: str) -> int | None:
    """35 of v1.35.6+k3s1; None of what is no version."""
    found = re.match(r"v?1\.(\d{1,4})", version)
    return int(found[1]) if found else None


def check_ready(snapshot: Snapshot) -> Iterator[Finding]:
    """The API server answers /readyz with 200; else its failed parts are named."""
    if not snapshot.api.ready:
        # "etcd failed: reason withheld"
        parts = tuple(part.partition(" ")[0] for part in snapshot.api.unready)
        said = f"is not ready: {', '.join(parts)} failed" if parts else "is not ready"
        yield finding("CTRL001", api(snapshot), said, evidence={"failed": snapshot.api.unready})


def check_latency(snapshot: Snapshot) -> Iterator[Finding]:
    """A small read takes less than the threshold; the median of a few counts."""
    latency, limits = snapshot.api.latency, snapshot.thresholds
    if latency is None or latency <= limits.latency_warning:
        return
    yield finding(
        "CTRL002",
        api(snapshot),
        f"takes {latency.total_seconds():.1f} s for the smallest read",
        severity=CRITICAL if latency > limits.latency_critical else WARNING,
        evidence={"latency_seconds": round(latency.total_seconds(), 3)},
    )


def check_version_skew(snapshot: Snapshot) -> Iterator[Finding]:
    """Kubelets are at most three minors older than the API server and never newer, servers at most one minor apart.

    Source: Kubernetes' version skew policy (two minors for kubelets before 1.25). In K3s a server's kubelet is of the
    server's own version and talks to its own API server, so it tells that one's version.
    """
    asked = minor(snapshot.api.version)
    minors = {node.name: found for node in snapshot.nodes if (found := minor(node.version)) is not None}
    servers = {node.name: minors[node.name] for node in snapshot.nodes if node.control_plane and node.name in minors}
    newest, oldest = max(servers.values(), default=asked), min(servers.values(), default=asked)
    if newest is None or oldest is None:
        return
    for node in snapshot.nodes:
        if node.name not in minors:
            continue
        own = minors[node.name]
        evidence = {"kubelet": node.version, "api": snapshot.api.version}
        if node.control_plane:
            if newest - own > 1:
                said = f"runs {node.version}, {newest - own} minors behind another server"
                yield finding("CTRL003", node.ref, said, evidence=evidence)
        elif own > oldest:
            said = f"runs {node.version}, newer than the servers"
            yield finding("CTRL003", node.ref, said, evidence=evidence)
        elif newest - own > (3 if own >= 25 else 2):
            said = f"runs {node.version}, {newest - own} minors behind the servers"
            yield finding("CTRL003", node.ref, said, evidence=evidence)


def check_versions_mixed(snapshot: Snapshot) -> Iterator[Finding]:
    """All kubelets are of one version."""
    versions = sorted({node.version for node in snapshot.nodes if node.version})
    if len(versions) > 1:
        yield finding("CTRL004", api(snapshot), f"has nodes of several versions: {', '.join(versions)}")


def check_supported(snapshot: Snapshot) -> Iterator[Finding]:
    """The server's minor is among those that Kubernetes still mends."""
    limits, own = snapshot.thresholds, minor(snapshot.api.version)
    if own is not None and own <= limits.newest_minor - limits.supported_minors:
        said = f"runs {snapshot.api.version}; Kubernetes mends 1.{limits.newest_minor - limits.supported_minors + 1} on"
        yield finding("CTRL005", api(snapshot), said)


def check_clock(snapshot: Snapshot) -> Iterator[Finding]:
    """The API server's clock agrees with ours."""
    skew, limits = snapshot.api.skew, snapshot.thresholds
    if skew is None or abs(skew) <= limits.skew_warning:
        return
    way = "ahead of" if skew > timedelta() else "behind"
    yield finding(
        "CTRL006",
        api(snapshot),
        f"has a clock {abs(skew).total_seconds():.0f} s {way} this machine's",
        severity=CRITICAL if abs(skew) > limits.skew_critical else WARNING,
        evidence={"skew_seconds": round(skew.total_seconds(), 1)},
    )


def check_namespaces_go(snapshot: Snapshot) -> Iterator[Finding]:
    """A namespace that was deleted is gone after a while."""
    for each in snapshot.namespaces:
        if each.deleting is None or snapshot.now - each.deleting <= snapshot.thresholds.terminating:
            continue
        why = [
            condition.message
            for name in _NAMESPACE_STUCK
            if (condition := each.conditions.get(name)) and condition.status == "True" and condition.message
        ]
        said = f"was deleted and does not go: {'; '.join(why) or 'its finalizers remain'}"
        yield finding("CTRL007", each.ref, said, since=each.deleting, evidence={"finalizers": each.finalizers})


def check_api_services(snapshot: Snapshot) -> Iterator[Finding]:
    """Each server behind the API, the metrics server say, answers; without it parts of the API are missing."""
    for each in snapshot.api_services:
        available = each.conditions.get("Available")
        if each.service is None or available is None or available.status == "True":
            continue
        since = available.since or each.created
        if since and snapshot.now - since <= snapshot.thresholds.api_service:
            continue
        why = available.why
        service = f"{each.service.namespace}/{each.service.name}"
        said = f"is not available, as Service {service} does not answer: {why}"
        yield finding("CTRL008", each.ref, said, since=since, evidence={"service": service, "reason": available.reason})


def check_leaders(snapshot: Snapshot) -> Iterator[Finding]:
    """Some server's scheduler and some server's controllers hold their lease.

    In K3s they run inside the server, where no pod and no port tells of them. Where only one server can be, as with
    SQLite, they take no lease, and nothing is said.
    """
    at = snapshot.read_at("leases")
    for lease in snapshot.leases:
        if (lease.namespace, lease.name) not in LEADERS or lease.renewed is None:
            continue
        if at - lease.renewed > snapshot.thresholds.leader:
            what = LEADERS[lease.namespace, lease.name]
            evidence = {"holder": lease.holder}
            yield finding("CTRL009", lease.ref, f"is renewed by nobody: {what}", since=lease.renewed, evidence=evidence)


LEADERS = {
    ("kube-system", "kube-controller-manager"): "the controllers are down, nothing is made, replaced or cleared away",
    ("kube-system", "kube-scheduler"): "the scheduler is down, new pods get no node",
}


def check_servers(snapshot: Snapshot) -> Iterator[Finding]:
    """The control plane runs on more than one node."""
    servers = [node for node in snapshot.nodes if node.control_plane]
    if len(servers) == 1:
        only = "node" if len(snapshot.nodes) == 1 else "server"
        yield finding("CTRL010", servers[0].ref, f"is the only {only}: while it is down, the cluster is")
