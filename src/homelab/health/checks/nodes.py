"""Nodes: ready, with room, on time, and the ones that ought to be there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from homelab.health.codes import CRITICAL, INFO, WARNING, finding
from homelab.health.objects import Lease, Node
from homelab.health.report import Finding, Ref
from homelab.health.snapshot import Snapshot

_PRESSURE = {
    "MemoryPressure": "is short of memory and evicts pods",
    "DiskPressure": "is short of disk space and evicts pods",
    "PIDPressure": "is short of process ids and evicts pods",
}
_NETWORK = "NetworkUnavailable"
_OWN = {"Ready", _NETWORK, *_PRESSURE, "EtcdIsVoter"}
_CORDON = "node.kubernetes.io/unschedulable"
_LEASES = "kube-node-lease"


def _is_ready(node: Node) -> bool:
    ready = node.conditions.get("Ready")
    return ready is not None and ready.status == "True"


def not_ready(snapshot: Snapshot, node: Node) -> bool:
    """Whether a node counts as not Ready: at once when its kubelet fell silent, else after a while."""
    if _is_ready(node):
        return False
    ready = node.conditions.get("Ready")
    since = ready.since if ready else node.created
    silent = ready is not None and ready.status == "Unknown"
    return silent or since is None or snapshot.now - since > snapshot.thresholds.node_not_ready


def check_ready(snapshot: Snapshot) -> Iterator[Finding]:
    """Every node is Ready. Unknown, a kubelet that fell silent, counts at once; False after a while."""
    for node in snapshot.nodes:
        if not not_ready(snapshot, node):
            continue
        ready = node.conditions.get("Ready")
        since = ready.since if ready else node.created
        why = (ready.message or ready.reason) if ready else "its kubelet has never reported"
        said = f"is not Ready: {why or 'no reason is given'}"
        evidence = {"status": ready.status if ready else "", "reason": ready.reason if ready else ""}
        yield finding("NODE001", node.ref, said, since=since, evidence=evidence)


def check_pressure(snapshot: Snapshot) -> Iterator[Finding]:
    """No node is short of memory, disk or process ids."""
    for node in snapshot.nodes:
        for name, said in _PRESSURE.items():
            condition = node.conditions.get(name)
            if condition and condition.status == "True":
                evidence = {"condition": name, "message": condition.message}
                yield finding("NODE002", node.ref, said, since=condition.since, evidence=evidence)


def check_network(snapshot: Snapshot) -> Iterator[Finding]:
    """Every node's pod network is set up."""
    for node in snapshot.nodes:
        condition = node.conditions.get(_NETWORK)
        if condition and condition.status == "True":
            said = f"has no pod network: {condition.why}"
            yield finding("NODE003", node.ref, said, since=condition.since)


def check_conditions(snapshot: Snapshot) -> Iterator[Finding]:
    """No condition that somebody else keeps, the node problem detector say, is True; theirs tell of trouble then."""
    for node in snapshot.nodes:
        for name, condition in sorted(node.conditions.items()):
            if name in _OWN or name.endswith(("Ready", "Healthy")) or condition.status != "True":
                continue
            said = f"reports {name}: {condition.why}"
            yield finding("NODE004", node.ref, said, since=condition.since, evidence={"condition": name})


def _leases(snapshot: Snapshot) -> Iterator[tuple[Node, Lease, timedelta]]:
    """Every node with its lease and the time since that was renewed; negative when it is of the future."""
    at = snapshot.read_at("leases")
    leases = {each.name: each for each in snapshot.leases if each.namespace == _LEASES}
    for node in snapshot.nodes:
        lease = leases.get(node.name)
        if lease and lease.renewed:
            yield node, lease, at - lease.renewed


def check_lease(snapshot: Snapshot) -> Iterator[Finding]:
    """Every kubelet renews its lease, which stops long before the node counts as not Ready."""
    limits = snapshot.thresholds
    for node, lease, old in _leases(snapshot):
        # Dead that long it would not count as Ready any more; then it is the clock.
        if old <= limits.lease_warning or (_is_ready(node) and old > limits.lease_clock):
            continue
        yield finding(
            "NODE005",
            node.ref,
            "has stopped renewing its lease: its kubelet is down or cut off, or its clock is behind",
            severity=CRITICAL if old > limits.lease_critical else WARNING,
            since=lease.renewed,
        )


def check_cordoned(snapshot: Snapshot) -> Iterator[Finding]:
    """No node has been cordoned for long; for a while it is maintenance."""
    for node in snapshot.nodes:
        if not node.unschedulable:
            continue
        since = next((taint.added for taint in node.taints if taint.key == _CORDON), None)
        long = since is not None and snapshot.now - since > snapshot.thresholds.cordoned
        said = "is cordoned and takes no new pods"
        yield finding("NODE006", node.ref, said, severity=WARNING if long else INFO, since=since)


def check_clock(snapshot: Snapshot) -> Iterator[Finding]:
    """Every node's clock agrees with the API server's: leases carry the node's own time."""
    limits = snapshot.thresholds
    for node, lease, old in _leases(snapshot):
        if -old > limits.skew_warning:
            yield finding(
                "NODE007",
                node.ref,
                f"has a clock {-old.total_seconds():.0f} s ahead of the API server's",
                severity=CRITICAL if -old > limits.skew_critical else WARNING,
                evidence={"skew_seconds": round(-old.total_seconds(), 1)},
            )
        elif _is_ready(node) and old > limits.lease_clock:
            yield finding(
                "NODE007",
                node.ref,
                "counts as Ready, but by its lease it was last there long ago: its clock is behind, or the control"
                " plane does not look after nodes",
                since=lease.renewed,
                evidence={"lease_age_seconds": round(old.total_seconds(), 1)},
            )


def check_expected(snapshot: Snapshot) -> Iterator[Finding]:
    """Every node that the inventory describes is in the cluster."""
    expected = snapshot.expected
    if expected is None:
        return
    there = {node.name for node in snapshot.nodes}
    for name, role in sorted(expected.nodes.items()):
        if name not in there:
            said = f"is a K3s {role} of the inventory {expected.environment} and not in the cluster"
            yield finding("NODE008", Ref("Node", "", name), said)


def check_unexpected(snapshot: Snapshot) -> Iterator[Finding]:
    """No node is in the cluster that the inventory does not know."""
    expected = snapshot.expected
    if expected is None:
        return
    for node in snapshot.nodes:
        if node.name not in expected.nodes and node.name not in expected.away:
            yield finding("NODE009", node.ref, f"is not in the inventory {expected.environment}")


def check_nodes_go(snapshot: Snapshot) -> Iterator[Finding]:
    """A node that was deleted is gone after a while."""
    for node in snapshot.nodes:
        if node.deleting and snapshot.now - node.deleting > snapshot.thresholds.terminating:
            said = f"was deleted and does not go: {', '.join(node.finalizers) or 'no finalizer'} holds it"
            yield finding("NODE010", node.ref, said, since=node.deleting, evidence={"finalizers": node.finalizers})


def check_flapping(snapshot: Snapshot) -> Iterator[Finding]:
    """No node has been not Ready a short while ago, aside from its first start."""
    limit = snapshot.thresholds.node_flapping
    for node in snapshot.nodes:
        ready = node.conditions.get("Ready")
        if ready is None or ready.status != "True" or ready.since is None or snapshot.now - ready.since > limit:
            continue
        if node.created and ready.since - node.created > limit:
            yield finding("NODE011", node.ref, "was not Ready a short while ago", since=ready.since)
