"""Services: there is a ready pod behind each, at the port that it names; and what stands behind it when not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from homelab.health.checks.gateways import backends
from homelab.health.checks.pods import unready_since
from homelab.health.checks.workloads import rolling, short_since
from homelab.health.codes import CRITICAL, INFO, WARNING, finding
from homelab.health.objects import Pod, Service, Workload
from homelab.health.report import Finding, Ref, Severity
from homelab.health.snapshot import SYSTEM, Snapshot

DNS = Ref("Service", SYSTEM, "kube-dns")
# What kube-prometheus-stack's Services select, by their labels, and K3s runs in its own process.
_IN_K3S = (
    {"component": "etcd"},
    {"component": "kube-controller-manager"},
    {"component": "kube-scheduler"},
    {"k8s-app": "kube-proxy"},
)


def pods_behind(snapshot: Snapshot, service: Service) -> list[Pod]:
    """The pods that a Service selects, without those that are done."""
    if not service.selector:
        return []
    return [
        pod
        for pod in snapshot.pods_in.get(service.namespace, ())
        if service.selector.items() <= pod.labels.items() and pod.phase not in ("Succeeded", "Failed")
    ]


def workloads_behind(snapshot: Snapshot, service: Service) -> list[Workload]:
    """The workloads whose pods a Service selects, whether they have any or not."""
    if not service.selector:
        return []
    return [
        each
        for each in (*snapshot.deployments, *snapshot.statefulsets, *snapshot.daemonsets)
        if each.namespace == service.namespace and service.selector.items() <= each.template.items()
    ]


def ready_endpoints(snapshot: Snapshot, service: Service) -> int:
    """How many endpoints a Service has that get its traffic."""
    slices = snapshot.slices_of.get((service.namespace, service.name), ())
    return sum(each.ready for one in slices for each in one.endpoints)


def down_since(snapshot: Snapshot, service: Service) -> datetime | None:
    """Since when no pod behind a Service has been ready, or none there at all, as far as the API tells."""
    pods = pods_behind(snapshot, service)
    if pods:
        return max((since for pod in pods if (since := unready_since(pod))), default=None)
    shorts = (short_since(snapshot, each) for each in workloads_behind(snapshot, service) if each.desired)
    return max((since for since in shorts if since), default=None)


def excused(snapshot: Snapshot, service: Service, patience: timedelta) -> bool:
    """Whether a Service without a ready endpoint may still get one: it is new, or its pods or their rollout are."""
    times = (service.created, down_since(snapshot, service))
    limits = (snapshot.thresholds.unavailable, patience)
    if any(time and snapshot.now - time <= limit for time, limit in zip(times, limits, strict=True)):
        return True
    return not pods_behind(snapshot, service) and any(
        rolling(each) for each in workloads_behind(snapshot, service) if each.desired
    )


def why_none(snapshot: Snapshot, service: Service) -> str:
    """Why a Service has no ready endpoint, as a clause."""
    pods, workloads = pods_behind(snapshot, service), workloads_behind(snapshot, service)
    if pods:
        unready = [pod for pod in pods if not pod.ready]
        if not unready:
            return "its pods are ready, and no controller has taken notice"
        return f"pod {unready[0].name} is not ready" if len(pods) == 1 else f"none of its {len(pods)} pods is ready"
    idle = next((each for each in workloads if each.desired == 0), None)
    if idle:
        return f"{idle.kind} {idle.name} is scaled to nothing"
    if workloads:
        return f"{workloads[0].kind} {workloads[0].name} has no pods"
    if not service.selector:
        return "it selects no pods, and nobody has written any"
    if _in_k3s(snapshot, service):
        return "what it selects is no pod here, K3s runs it in its own process"
    return f"no pod has {_labels(service.selector)}{_nearest(snapshot, service)}"


def _in_k3s(snapshot: Snapshot, service: Service) -> bool:
    return service.namespace == SYSTEM and service.selector in _IN_K3S and any(node.k3s for node in snapshot.nodes)


def _labels(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _nearest(snapshot: Snapshot, service: Service) -> str:
    """The workload whose pods come nearest to what a Service selects, if one does: it shares most of the labels."""
    wanted, best, score = service.selector, "", 0
    for each in (*snapshot.deployments, *snapshot.statefulsets, *snapshot.daemonsets):
        if each.namespace != service.namespace:
            continue
        shared = len(wanted.items() & each.template.items()) * 2 + (wanted.keys() <= each.template.keys())
        if shared == score:
            best = ""  # two are as near
        elif shared > score:
            differs = {key: each.template.get(key, "") for key in wanted if each.template.get(key) != wanted[key]}
            best, score = f"; those of {each.kind} {each.name} have {_labels(differs)}", shared
    return best


def referred(snapshot: Snapshot) -> Mapping[tuple[str, str], str]:
    """The first Ingress, IngressRoute or HTTPRoute that leads to a Service, by the Service's namespace and name."""
    found: dict[tuple[str, str], str] = {}
    for each in snapshot.ingresses:
        for backend in each.backends:
            found.setdefault((backend.namespace, backend.service), str(each.ref))
    for route in snapshot.things("httproutes"):
        for place in backends(route):
            found.setdefault(place, str(route.ref))
    return found


def unserved(snapshot: Snapshot, service: Service, *, referred: bool) -> Severity | None:
    """How bad it is that a Service has no ready endpoint; None when it has one, needs none or may still get one.

    One whose workload is scaled to nothing was meant to have none. Operators make Services in advance for members that
    may never come, and others write endpoints themselves: those count when somebody is led there.
    """
    if service.type == "ExternalName" or service.deleting or ready_endpoints(snapshot, service):
        return None
    if excused(snapshot, service, snapshot.thresholds.unavailable):
        return None
    if not service.selector:
        return CRITICAL if referred else (None if service.headless else INFO)
    pods, workloads = pods_behind(snapshot, service), workloads_behind(snapshot, service)
    if not pods and not referred and _in_k3s(snapshot, service):
        return INFO
    idle = workloads and not any(each.desired for each in workloads)
    if not pods and (idle or (not workloads and service.owner and not referred)):
        return INFO
    return CRITICAL if referred else WARNING


def check_endpoints(snapshot: Snapshot) -> Iterator[Finding]:
    """Every Service has a ready endpoint; it is critical where an Ingress or a route leads to one that has none."""
    led = referred(snapshot)
    for each in snapshot.services:
        if each.ref[:3] == DNS[:3]:
            continue  # it has a check of its own
        ingress = led.get((each.namespace, each.name), "")
        severity = unserved(snapshot, each, referred=bool(ingress))
        if severity is not None:
            said = f"has no ready endpoint: {why_none(snapshot, each)}"
            ready = any(pod.ready for pod in pods_behind(snapshot, each))
            since = None if ready else down_since(snapshot, each)
            yield finding("NET002", each.ref, said, severity=severity, since=since, evidence={"led_to_by": ingress})


def check_ports(snapshot: Snapshot) -> Iterator[Finding]:
    """The port that a Service names is one of its pods'. A number may be one that no container declares: it is told
    as information, since only the pod knows whether it listens there."""
    led = referred(snapshot)
    for each in snapshot.services:
        if not each.selector or each.type == "ExternalName" or each.deleting or not ready_endpoints(snapshot, each):
            continue
        if snapshot.fresh(each):
            continue
        severity = CRITICAL if (each.namespace, each.name) in led else WARNING
        for name, port, target, protocol in each.ports:
            if not target.isdecimal():
                if not _has_port(snapshot, each, name):
                    said = f"sends port {port} to a port named {target}, which its pods do not have"
                    yield finding("NET003", each.ref, said, severity=severity, evidence={"target_port": target})
                    break
            elif _undeclared(snapshot, each, int(target), protocol):
                said = f"sends port {port} to {target}, which no container declares"
                yield finding("NET003", each.ref, said, severity=INFO, evidence={"target_port": target})
                break


def _has_port(snapshot: Snapshot, service: Service, name: str) -> bool:
    """Whether some ready endpoint has a Service's port: one whose name no container knows is left out."""
    return any(
        each.ready and any(name == known for known, _, _ in one.ports)
        for one in snapshot.slices_of.get((service.namespace, service.name), ())
        for each in one.endpoints
    )


def _undeclared(snapshot: Snapshot, service: Service, port: int, protocol: str) -> bool:
    for one in snapshot.slices_of.get((service.namespace, service.name), ()):
        for each in one.endpoints:
            pod = snapshot.pod_named.get((each.target.namespace, each.target.name)) if each.target else None
            if pod:
                declared = {known[1:] for container in pod.containers for known in container.ports}
                return bool(declared) and (port, protocol) not in declared
    return False
