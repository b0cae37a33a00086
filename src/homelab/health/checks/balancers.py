"""Services of type LoadBalancer: each has an address, which K3s' ServiceLB or another load balancer gives."""

from __future__ import annotations

from collections.abc import Iterator

from homelab.counting import many
from homelab.health.checks.pods import unplaced, unready_since
from homelab.health.checks.services import ready_endpoints, unserved
from homelab.health.codes import INFO, WARNING, finding
from homelab.health.objects import Object, Pod, Service, Workload
from homelab.health.report import Finding
from homelab.health.snapshot import SYSTEM, Snapshot

_NAME, _NAMESPACE = "svccontroller.k3s.cattle.io/svcname", "svccontroller.k3s.cattle.io/svcnamespace"


def service(pod: Pod) -> tuple[str, str]:
    """Namespace and name of the Service that a pod of ServiceLB is for; no name for any other pod.

    Before Kubernetes 1.23 those pods were in the namespace of their Service.
    """
    return pod.labels.get(_NAMESPACE, pod.namespace), pod.labels.get(_NAME, "")


def daemonsets(snapshot: Snapshot, wanted: Service) -> list[Workload]:
    """ServiceLB's DaemonSets for a Service."""
    return [each for each in snapshot.daemonsets if _for(each, {**each.labels, **each.template}, wanted)]


def _for(thing: Object, labels: dict[str, str], wanted: Service) -> bool:
    return (labels.get(_NAMESPACE, thing.namespace), labels.get(_NAME)) == (wanted.namespace, wanted.name)


def port_taken(pod: Pod) -> bool:
    """Whether a pod of ServiceLB waits for a port of a node that is another's."""
    scheduled = pod.conditions.get("PodScheduled")
    return bool(not pod.node and pod.host_ports and service(pod)[1] and scheduled and "free ports" in scheduled.message)


def check_address(snapshot: Snapshot) -> Iterator[Finding]:
    """Every Service that wants an address of a load balancer has one, a few minutes after it was made.

    Waiting does not help one whose port is another's: it is told of as soon as the pods that wait for it are, also
    where it is so on some nodes only. With externalTrafficPolicy Local ServiceLB gives none while no pod behind a
    Service is ready: then that is told, where it is to be.
    """
    limit = snapshot.thresholds.network
    for each in snapshot.services:
        if each.type != "LoadBalancer" or each.deleting:
            continue
        made = daemonsets(snapshot, each)
        pods = [pod for daemonset in made for pod in snapshot.pods_of.get(daemonset.ref[:3], ())]
        taken = [pod for pod in pods if port_taken(pod) and unplaced(snapshot, pod)]
        evidence = {"ports": tuple(str(port) for _, port, _, _ in each.ports)}
        lately = [unready_since(pod) for pod in pods if not pod.ready]
        young = any(since and snapshot.now - since <= limit for since in (each.created, *lately))
        if not each.addresses and pods and not lately and each.local and _unneeded(snapshot, each):
            continue
        if not each.addresses and ((taken and len(taken) == len(pods)) or not young):
            said = f"has no address: {_why(snapshot, each, made, pods)}"
            yield finding("NET001", each.ref, said, evidence=evidence)
        elif taken:
            said = f"is not there on {len(taken)} of {many(len(pods), 'node')}: {_holder(snapshot, taken[0])}"
            yield finding("NET001", each.ref, said, severity=WARNING, evidence=evidence)


def _unneeded(snapshot: Snapshot, wanted: Service) -> bool:
    """Whether a Service has no ready endpoint and that is no fault: it is scaled to nothing, or may still get one."""
    return not ready_endpoints(snapshot, wanted) and unserved(snapshot, wanted, referred=False) in (None, INFO)


def _why(snapshot: Snapshot, wanted: Service, made: list[Workload], pods: list[Pod]) -> str:
    if wanted.balancer:
        return f"nothing gives one for its class {wanted.balancer}{_refused(snapshot, wanted)}"
    if pods and all(port_taken(pod) for pod in pods):
        return _holder(snapshot, pods[0])
    if any(each.desired == 0 for each in made):
        return f"DaemonSet {made[0].name} is for no node; see the label svccontroller.k3s.cattle.io/enablelb"
    if made:
        unready = [pod for pod in pods if not pod.ready and not port_taken(pod)]
        return f"pod {unready[0].name} is not ready" if unready else f"DaemonSet {made[0].name} gave none"
    if any("servicelb" in node.disabled for node in snapshot.nodes):
        return f"ServiceLB is disabled, and no other load balancer gave one{_refused(snapshot, wanted)}"
    if snapshot.was_read(SYSTEM) and any(node.k3s for node in snapshot.nodes):
        return "ServiceLB has made no DaemonSet for it"
    return f"no load balancer gave one{_refused(snapshot, wanted)}"


def _refused(snapshot: Snapshot, wanted: Service) -> str:
    """What the load balancer says of it: Cilium and Tailscale in a condition of the Service, MetalLB in an event."""
    window = snapshot.thresholds.event_window
    events = [
        each.message
        for each in snapshot.events_about.get(wanted.uid, ())
        if each.reason == "AllocationFailed" and each.last and snapshot.now - each.last <= window
    ]
    said = next(iter(events), "") or wanted.refused
    return f": {said}" if said else ""


def _holder(snapshot: Snapshot, taken: Pod) -> str:
    """Who has the ports that a pod waits for."""
    for pod in snapshot.pods:
        shared = sorted(set(pod.host_ports) & set(taken.host_ports))
        if not shared or not pod.node or pod.phase in ("Succeeded", "Failed") or service(pod) == service(taken):
            continue
        namespace, name = service(pod)
        holder = f"Service {namespace}/{name}" if name else str(snapshot.workload(pod) or pod.ref)
        return f"port {shared[0]} of the nodes is taken by {holder}"
    return f"a port of {', '.join(map(str, taken.host_ports))} is taken on every node"
