"""Room on nodes: memory and CPU in use, how many pods more they take, and what of a lost one the others could take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from homelab.health.codes import finding
from homelab.health.objects import Node, Pod
from homelab.health.report import Finding
from homelab.health.shape import quantity
from homelab.health.snapshot import Snapshot

_UNMOVED = ("DaemonSet", "Node")  # pods of these owners are each node's own
_BARRIERS = ("NoSchedule", "NoExecute")


def check_memory_use(snapshot: Snapshot) -> Iterator[Finding]:
    """No node's pods and system use nearly all the memory there is for pods."""
    yield from _use(snapshot, "NODE012", "memory", "memory")


def check_cpu_use(snapshot: Snapshot) -> Iterator[Finding]:
    """No node uses nearly all of its CPUs; one look cannot tell a peak from a load that stays."""
    yield from _use(snapshot, "NODE013", "cpu", "CPUs")


def _use(snapshot: Snapshot, code: str, resource: str, noun: str) -> Iterator[Finding]:
    for used in snapshot.things("nodes.metrics.k8s.io"):
        node = snapshot.node_named.get(used.name)
        there = quantity(node.allocatable.get(resource)) if node else 0.0
        if node is None or not there:
            continue
        percent = 100 * quantity(used.at("usage", resource)) / there
        if percent > snapshot.thresholds.node_use:
            said = f"uses more than {snapshot.thresholds.node_use} % of its {noun}"
            yield finding(code, node.ref, said, evidence={"percent": round(percent)})


def check_disks(snapshot: Snapshot) -> Iterator[Finding]:
    """No node's own disk, on which images, logs and volumes of local-path lie, is nearly full, in bytes or inodes.

    Asked of each kubelet by way of the API, which takes the right to get nodes/proxy; one that does not answer within
    seconds is left out.
    """
    for used in snapshot.usages:
        node = snapshot.node_named.get(used.node) if used.claim is None else None
        if node and used.percent > snapshot.thresholds.node_disk:
            said = f"has less than {100 - snapshot.thresholds.node_disk} % of its disk's {used.noun} left"
            yield finding("NODE016", node.ref, said, evidence={"percent": round(used.percent)})


def _live(snapshot: Snapshot, node: Node) -> list[Pod]:
    return [pod for pod in snapshot.pods_on.get(node.name, ()) if not pod.done]


def check_pod_count(snapshot: Snapshot) -> Iterator[Finding]:
    """No node has nearly as many pods as its kubelet takes, 110 by default."""
    for node in snapshot.nodes:
        most, pods = quantity(node.allocatable.get("pods")), len(_live(snapshot, node))
        if most and 100 * pods / most > snapshot.thresholds.node_pods:
            said = f"has more than {snapshot.thresholds.node_pods} % of the {most:.0f} pods that it takes"
            yield finding("NODE014", node.ref, said, evidence={"pods": pods})


def check_spare(snapshot: Snapshot) -> Iterator[Finding]:
    """What the pods of any one node request is free on the others together; volumes and labels may forbid more."""
    takers = [node for node in snapshot.nodes if _takes_pods(node)]
    if len(takers) < 2:
        return
    there = {node.name: _sizes(node) for node in takers}
    pods = {node.name: _live(snapshot, node) for node in takers}
    free = {name: _less(there[name], _sum(pods[name])) for name in there}
    for node in takers:
        moved = _sum(pod for pod in pods[node.name] if not (pod.owner and pod.owner.kind in _UNMOVED))
        others = [free[name] for name in free if name != node.name]
        short = [
            noun for place, noun in enumerate(("CPU", "memory")) if moved[place] > sum(one[place] for one in others)
        ]
        if short:
            said = f"cannot be lost: its pods request more {' and '.join(short)} than the other nodes have free"
            yield finding("NODE015", node.ref, said, evidence=_told(moved))


def _takes_pods(node: Node) -> bool:
    ready = node.conditions.get("Ready")
    closed = node.unschedulable or any(taint.effect in _BARRIERS for taint in node.taints)
    return ready is not None and ready.status == "True" and not closed


def _sizes(node: Node) -> tuple[float, float]:
    return (quantity(node.allocatable.get("cpu")), quantity(node.allocatable.get("memory")))


def _sum(pods: Iterable[Pod]) -> tuple[float, float]:
    cpu = memory = 0.0
    for pod in pods:
        cpu, memory = cpu + pod.requests[0], memory + pod.requests[1]
    return (cpu, memory)


def _less(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    return (one[0] - other[0], one[1] - other[1])


def _told(amounts: tuple[float, float]) -> Mapping[str, str]:
    return {"requested_cpu": f"{amounts[0]:.2f}", "requested_memory": f"{amounts[1] / 1024**2:.0f}Mi"}
