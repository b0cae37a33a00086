"""One function a kind: an object of the API's JSON, of any shape, in; its record out. None of them ever raises."""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypedDict

from homelab.health.objects import (
    ApiService,
    Backend,
    Claim,
    Condition,
    Container,
    CronJob,
    End,
    Endpoint,
    EndpointSlice,
    Event,
    HelmChart,
    Ingress,
    Job,
    Lease,
    Namespace,
    Node,
    Pod,
    Service,
    StorageClass,
    Taint,
    Thing,
    Usage,
    Volume,
    Workload,
)
from homelab.health.report import Ref
from homelab.health.shape import NONE, SUPPRESS, Json, dig, flag, mapping, number, objects, quantity, text, texts, when

# Longer annotations are data that some controller keeps (the last applied configuration), longer messages are dumps.
_ANNOTATION = 256
_MESSAGE = 600
_QUOTA = re.compile(r"(?:--etcd-arg=)?(?:--)?quota-backend-bytes=(-?\d{1,18})")

_Head = tuple[
    str,
    str,
    str,
    str,
    datetime | None,
    datetime | None,
    tuple[str, ...],
    dict[str, str],
    dict[str, str],
    Ref | None,
    int,
]


def _head(kind: str, item: Json) -> _Head:
    meta = mapping(item.get("metadata"))
    namespace = text(meta.get("namespace"))
    notes = meta.get("annotations")
    finalizers = meta.get("finalizers")
    owners = meta.get("ownerReferences")
    return (
        kind,
        namespace,
        text(meta.get("name")),
        text(meta.get("uid")),
        when(meta.get("creationTimestamp")),
        when(meta.get("deletionTimestamp")) if "deletionTimestamp" in meta else None,
        tuple(each for each in finalizers if isinstance(each, str)) if isinstance(finalizers, list) else (),
        texts(meta.get("labels")),
        _notes(texts(notes)) if notes else NONE,
        _owner(namespace, owners) if owners else None,
        number(meta.get("generation")),
    )


def _notes(notes: dict[str, str]) -> dict[str, str]:
    return {key: note for key, note in notes.items() if len(note) <= _ANNOTATION or key == SUPPRESS}


def _owner(namespace: str, value: object) -> Ref | None:
    owners = objects(value)
    for each in owners:
        if each.get("controller") is True:
            return _owner_ref(namespace, each)
    return _owner_ref(namespace, owners[0]) if owners else None


def _owner_ref(namespace: str, item: Json) -> Ref:
    kind = text(item.get("kind"))
    # An owner is of the same namespace or of none; of those that own things, only nodes are of none.
    return Ref(kind, "" if kind == "Node" else namespace, text(item.get("name")), text(item.get("uid")))


def conditions(value: object) -> dict[str, Condition]:
    """The conditions of a status, by type: their order means nothing."""
    found = {}
    for each in objects(value):
        kind = each.get("type")
        if isinstance(kind, str):
            found[kind] = _condition(
                text(each.get("status")),
                text(each.get("reason")),
                text(each.get("message"))[:_MESSAGE],
                text(each.get("lastTransitionTime")),
            )
    return found


# Most of a pod's say the same: they are made once.
@lru_cache(4096)
def _condition(status: str, reason: str, message: str, since: str) -> Condition:
    return Condition(status, reason, message, when(since))


class _MetaJson(TypedDict, total=False):
    namespace: Any
    name: Any
    uid: Any
    creationTimestamp: Any
    deletionTimestamp: Any
    finalizers: Any
    labels: Any
    annotations: Any
    ownerReferences: Any
    generation: Any


class _ContainerJson(TypedDict, total=False):
    name: Any
    image: Any
    ports: Any
    resources: Any
    restartPolicy: Any


class _PodSpecJson(TypedDict, total=False):
    nodeName: Any
    restartPolicy: Any
    schedulingGates: Any
    initContainers: list[_ContainerJson]
    containers: list[_ContainerJson]
    volumes: Any
    resources: Any
    overhead: Any


class _PodStatusJson(TypedDict, total=False):
    phase: Any
    reason: Any
    message: Any
    startTime: Any
    conditions: Any
    initContainerStatuses: Any
    containerStatuses: Any


class PodJson(TypedDict, total=False):
    """All that `pod` looks at; what else a pod has, which is most, is not even parsed."""

    metadata: _MetaJson
    spec: _PodSpecJson
    status: _PodStatusJson


def pod(item: Json) -> Pod:
    spec, status = mapping(item.get("spec")), mapping(item.get("status"))
    containers, volumes = objects(spec.get("containers")), objects(spec.get("volumes"))
    return Pod(
        *_head("Pod", item),
        text(spec.get("nodeName")),
        text(status.get("phase")),
        text(status.get("reason")),
        text(status.get("message"))[:_MESSAGE],
        when(status.get("startTime")),
        conditions(status.get("conditions")),
        _containers(spec, containers, status),
        _claims(item, volumes),
        _host_ports(containers),
        text(spec.get("restartPolicy")) or "Always",
        bool(spec.get("schedulingGates")),
        _requests(spec, containers),
        _servers(volumes),
    )


def _requests(spec: Json, containers: list[Json]) -> tuple[float, float]:
    """What a pod takes of its node: what the pod itself says (since 1.34), else what its containers do together, or
    for a moment the largest init container with those before it that go on running; and the runtime's overhead.

    Source: Kubernetes' documentation of sidecar containers and of pod-level resources.
    """
    cpu, memory = _asked(containers)
    if "initContainers" in spec:
        peak_cpu = peak_memory = kept_cpu = kept_memory = 0.0
        for each in objects(spec["initContainers"]):
            own_cpu, own_memory = _asked([each])
            peak_cpu, peak_memory = max(peak_cpu, kept_cpu + own_cpu), max(peak_memory, kept_memory + own_memory)
            if each.get("restartPolicy") == "Always":
                kept_cpu, kept_memory = kept_cpu + own_cpu, kept_memory + own_memory
        cpu, memory = max(cpu + kept_cpu, peak_cpu), max(memory + kept_memory, peak_memory)
    if "resources" in spec and (told := mapping(dig(spec, "resources", "requests"))):
        cpu = quantity(told["cpu"]) if "cpu" in told else cpu
        memory = quantity(told["memory"]) if "memory" in told else memory
    if "overhead" in spec:
        cpu += quantity(dig(spec, "overhead", "cpu"))
        memory += quantity(dig(spec, "overhead", "memory"))
    return (cpu, memory)


def _asked(containers: list[Json]) -> tuple[float, float]:
    """The CPU and memory that some containers request; the API server writes a limit that stands alone as one too."""
    cpu = memory = 0.0
    for each in containers:
        told = mapping(mapping(each.get("resources")).get("requests"))
        if told:
            cpu += quantity(told.get("cpu"))
            memory += quantity(told.get("memory"))
    return (cpu, memory)


def _claims(item: Json, volumes: list[Json]) -> tuple[str, ...]:
    names = []
    for each in volumes:
        if "persistentVolumeClaim" in each:
            names.append(text(dig(each, "persistentVolumeClaim", "claimName")))
        elif "ephemeral" in each:
            # Kubernetes names the claim of a generic ephemeral volume after pod and volume.
            names.append(f"{text(dig(item, 'metadata', 'name'))}-{text(each.get('name'))}")
    return tuple(names)


def _servers(volumes: list[Json]) -> tuple[str, ...]:
    found = [_nfs_server(each) for each in volumes if "nfs" in each or "csi" in each]
    return tuple(each for each in found if each) if found else ()


def _host_ports(containers: list[Json]) -> tuple[int, ...]:
    ports = [port for each in containers if "ports" in each for port in objects(each["ports"])]
    return tuple([number(port["hostPort"]) for port in ports if port.get("hostPort")])


def _containers(spec: Json, containers: list[Json], status: Json) -> tuple[Container, ...]:
    found: list[Container] = []
    shared = text(dig(spec, "resources", "limits", "memory")) if "resources" in spec else ""
    for init, wanted, told in (
        (True, objects(spec.get("initContainers")), "initContainerStatuses"),
        (False, containers, "containerStatuses"),
    ):
        if not wanted:
            continue
        states = {text(each.get("name")): each for each in objects(status.get(told))}
        for each in wanted:
            name = text(each.get("name"))
            found.append(_container(name, init, each, states.get(name, NONE), shared))
    return tuple(found)


def _container(name: str, init: bool, spec: Json, status: Json, shared: str) -> Container:
    state, reason, message, since, end = "", "", "", None, None
    told = mapping(status.get("state"))
    if "running" in told:
        state, since = "running", when(dig(told, "running", "startedAt"))
    elif "waiting" in told:
        waiting = mapping(told["waiting"])
        state, reason, message = "waiting", text(waiting.get("reason")), text(waiting.get("message"))[:_MESSAGE]
    elif "terminated" in told:
        state, end = "terminated", _end(told["terminated"])
    last = mapping(status.get("lastState"))
    return Container(
        name,
        text(spec.get("image")) or text(status.get("image")),
        init,
        flag(status.get("ready")),
        number(status.get("restartCount")),
        state,
        reason,
        message,
        since,
        end,
        _end(last["terminated"]) if "terminated" in last else None,
        (text(dig(spec, "resources", "limits", "memory")) if "resources" in spec else "") or shared,
        _container_ports(spec["ports"]) if "ports" in spec else (),
    )


def _container_ports(value: object) -> tuple[tuple[str, int, str], ...]:
    return tuple(
        [
            (text(port.get("name")), number(port.get("containerPort")), text(port.get("protocol")) or "TCP")
            for port in objects(value)
        ]
    )


def _end(value: object) -> End:
    told = mapping(value)
    return End(
        text(told.get("reason")),
        number(told.get("exitCode")),
        number(told.get("signal")),
        when(told.get("finishedAt")),
        text(told.get("message"))[:_MESSAGE],
    )


def node(item: Json) -> Node:
    spec, status = mapping(item.get("spec")), mapping(item.get("status"))
    arguments = _arguments(dig(item, "metadata", "annotations", "k3s.io/node-args"))
    return Node(
        *_head("Node", item),
        flag(spec.get("unschedulable")),
        tuple(
            Taint(text(each.get("key")), text(each.get("value")), text(each.get("effect")), when(each.get("timeAdded")))
            for each in objects(spec.get("taints"))
        ),
        conditions(status.get("conditions")),
        text(dig(status, "nodeInfo", "kubeletVersion")),
        tuple((text(each.get("type")), text(each.get("address"))) for each in objects(status.get("addresses"))),
        texts(status.get("allocatable")),
        _disabled(arguments),
        _snapshots(arguments),
        _quota(arguments),
    )


def _arguments(value: object) -> list[tuple[str, str]]:
    """K3s' own arguments, as it writes them on its node, each with what is behind it."""
    try:
        told = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        return []
    if not isinstance(told, list):
        return []
    # K3s parts --key=value in two by itself.
    words = [word for each in told if isinstance(each, str) for word in each.split("=", 1)]
    return list(pairwise([*words, ""]))


def _switched(arguments: list[tuple[str, str]], name: str) -> bool:
    """A switch on the command line has nothing behind it, one of the file of settings a value."""
    return any(key == name and value != "false" for key, value in arguments)


def _disabled(arguments: list[tuple[str, str]]) -> frozenset[str]:
    """What K3s is told not to bring along: `--disable a,b --disable=c`, and "helm-controller" where it is without
    that."""
    names = [value for key, value in arguments if key in ("--disable", "--no-deploy")]
    if _switched(arguments, "--disable-helm-controller"):
        names.append("helm-controller")
    return frozenset(name.strip() for each in names for name in each.split(",") if name.strip())


def _snapshots(arguments: list[tuple[str, str]]) -> str | None:
    """By which plan K3s is told to take snapshots of etcd, its own where it is told none; None where it takes none."""
    if _switched(arguments, "--etcd-disable-snapshots"):
        return None
    told = [value for key, value in arguments if key == "--etcd-snapshot-schedule-cron"]
    return told[-1] if told else "0 */12 * * *"


def _quota(arguments: list[tuple[str, str]]) -> int:
    """How many bytes etcd's database may have, 0 for any number. Source: etcd, `--quota-backend-bytes`: 2 GiB where it
    is not given or 0, and no limit where it is negative."""
    words = [word for pair in arguments for word in ("=".join(pair), pair[1])]
    told = [found[1] for word in words if (found := _QUOTA.fullmatch(word))]
    return max(int(told[-1]), 0) if told and int(told[-1]) else 2 * 1024**3


def lease(item: Json) -> Lease:
    spec = mapping(item.get("spec"))
    return Lease(
        *_head("Lease", item),
        text(spec.get("holderIdentity")),
        when(spec.get("acquireTime")),
        when(spec.get("renewTime")),
        number(spec.get("leaseDurationSeconds")),
    )


def deployment(item: Json) -> Workload:
    return _workload("Deployment", item)


def statefulset(item: Json) -> Workload:
    return _workload("StatefulSet", item)


def replicaset(item: Json) -> Workload:
    return _workload("ReplicaSet", item)


def _workload(kind: str, item: Json) -> Workload:
    spec, status = mapping(item.get("spec")), mapping(item.get("status"))
    update = mapping(spec.get("updateStrategy"))
    return Workload(
        *_head(kind, item),
        number(spec.get("replicas"), 1),
        number(status.get("readyReplicas")),
        # Before 1.22 a StatefulSet told ready ones only.
        number(status.get("availableReplicas", status.get("readyReplicas") if kind == "StatefulSet" else 0)),
        number(status.get("updatedReplicas")),
        0,
        number(status.get("observedGeneration")),
        _changed(item),
        update.get("type") == "OnDelete",
        number(dig(update, "rollingUpdate", "partition")),
        texts(dig(spec, "selector", "matchLabels")),
        NONE if kind == "ReplicaSet" else _template(spec),
        conditions(status.get("conditions")),
    )


def _template(spec: Json) -> dict[str, str]:
    return texts(dig(spec, "template", "metadata", "labels")) or texts(dig(spec, "selector", "matchLabels"))


def daemonset(item: Json) -> Workload:
    spec, status = mapping(item.get("spec")), mapping(item.get("status"))
    return Workload(
        *_head("DaemonSet", item),
        number(status.get("desiredNumberScheduled")),
        number(status.get("numberReady")),
        number(status.get("numberAvailable")),
        number(status.get("updatedNumberScheduled")),
        number(status.get("numberMisscheduled")),
        number(status.get("observedGeneration")),
        _changed(item),
        dig(spec, "updateStrategy", "type") == "OnDelete",
        0,
        texts(dig(spec, "selector", "matchLabels")),
        _template(spec),
        conditions(status.get("conditions")),
    )


def _changed(item: Json) -> datetime | None:
    """When somebody last wrote other than the status; field managers keep the time."""
    times = [
        time
        for each in objects(dig(item, "metadata", "managedFields"))
        if each.get("subresource") != "status" and (time := when(each.get("time")))
    ]
    return max(times, default=None)


def job(item: Json) -> Job:
    spec, status = mapping(item.get("spec")), mapping(item.get("status"))
    return Job(
        *_head("Job", item),
        number(status.get("active")),
        number(status.get("succeeded")),
        number(status.get("failed")),
        flag(spec.get("suspend")),
        when(status.get("startTime")),
        conditions(status.get("conditions")),
    )


def cronjob(item: Json) -> CronJob:
    spec, status = mapping(item.get("spec")), mapping(item.get("status"))
    return CronJob(
        *_head("CronJob", item),
        text(spec.get("schedule")),
        flag(spec.get("suspend")),
        text(spec.get("concurrencyPolicy")) or "Allow",
        len(objects(status.get("active"))),
        when(status.get("lastScheduleTime")),
        when(status.get("lastSuccessfulTime")),
        dig(spec, "jobTemplate", "spec", "ttlSecondsAfterFinished") == 0,
        _changed(item),
    )


def claim(item: Json) -> Claim:
    spec, status = mapping(item.get("spec")), mapping(item.get("status"))
    class_name = spec.get("storageClassName")
    return Claim(
        *_head("PersistentVolumeClaim", item),
        text(status.get("phase")),
        spec.get("accessModes") == ["ReadOnlyMany"],
        class_name if isinstance(class_name, str) else None,
        text(spec.get("volumeName")),
        conditions(status.get("conditions")),
    )


def _labels(term: Json) -> list[tuple[str, str]]:
    """The labels of which a term of a node selector wants one: hostnames, or else by the first key that it names any
    of, that of a storage driver say; none when it does not go by them."""
    found = [
        (text(each.get("key")), values)
        for each in objects(term.get("matchExpressions"))
        if each.get("operator") == "In" and isinstance(values := each.get("values"), list)
    ]
    found.sort(key=lambda wanted: wanted[0] != "kubernetes.io/hostname")
    return [(key, value) for key, values in found[:1] for value in values if isinstance(value, str)]


def volume(item: Json) -> Volume:
    spec, status = mapping(item.get("spec")), mapping(item.get("status"))
    claimed = mapping(spec.get("claimRef"))
    terms = [_labels(term) for term in objects(dig(spec, "nodeAffinity", "required", "nodeSelectorTerms"))]
    return Volume(
        *_head("PersistentVolume", item),
        text(status.get("phase")),
        text(status.get("reason")),
        text(status.get("message"))[:_MESSAGE],
        text(spec.get("storageClassName")),
        Ref("PersistentVolumeClaim", text(claimed.get("namespace")), text(claimed.get("name"))) if claimed else None,
        # One term is enough to be reached by: where one names no label, it may be from anywhere.
        tuple(label for labels in terms for label in labels) if all(terms) else (),
        text(spec.get("persistentVolumeReclaimPolicy")),
        _nfs_server(spec),
    )


def _nfs_server(source: Json) -> str:
    """The NFS server of a volume: Kubernetes' own, or one of a CSI driver, which tell it as csi-driver-nfs does."""
    if "nfs" in source:
        return text(dig(source, "nfs", "server"))
    told = mapping(dig(source, "csi", "volumeAttributes"))
    return text(told.get("server")) if "share" in told else ""


def usages(node: str, item: Json) -> list[Usage]:
    """What a kubelet tells of its node's disk and of its claims' volumes. Source: Kubernetes' Summary API, v1alpha1."""
    found = [_usage(node, None, mapping(dig(item, "node", "fs")))]
    for pod in objects(item.get("pods")):
        for each in objects(pod.get("volume")):
            if claimed := mapping(each.get("pvcRef")):
                claim = Ref("PersistentVolumeClaim", text(claimed.get("namespace")), text(claimed.get("name")))
                found.append(_usage(node, claim, each))
    return found


def _usage(node: str, claim: Ref | None, told: Json) -> Usage:
    return Usage(
        node, claim, *_amounts(told, "capacityBytes", "availableBytes"), *_amounts(told, "inodes", "inodesFree")
    )


def _amounts(told: Json, all_: str, free: str) -> tuple[int, int]:
    """How much there is, and how much of it is free; of a block device only the first is told, and says nothing."""
    return (number(told.get(all_)), number(told[free])) if free in told else (0, 0)


def storage_class(item: Json) -> StorageClass:
    return StorageClass(
        *_head("StorageClass", item),
        text(item.get("provisioner")),
        item.get("volumeBindingMode") == "WaitForFirstConsumer",
        text(item.get("reclaimPolicy")) or "Delete",
        texts(item.get("parameters")),
    )


def endpoint_slice(item: Json) -> EndpointSlice:
    head = _head("EndpointSlice", item)
    if "endpoints" not in item and "addressType" not in item:
        subsets = objects(item.get("subsets"))
        ports = [port for each in subsets for port in objects(each.get("ports"))]
        found = [
            _endpoint(text(address.get("ip")), address, ready)
            for each in subsets
            for ready, key in ((True, "addresses"), (False, "notReadyAddresses"))
            for address in objects(each.get(key))
        ]
        return EndpointSlice(*head, head[2], _ports(ports), tuple(found))
    found = []
    for each in objects(item.get("endpoints")):
        told, addresses = mapping(each.get("conditions")), each.get("addresses")
        # Absent means ready: so the API documents it.
        ready = told.get("ready") is not False
        for address in addresses if isinstance(addresses, list) else ():
            found.append(_endpoint(text(address), each, ready))
    service = texts(dig(item, "metadata", "labels")).get("kubernetes.io/service-name", "")
    return EndpointSlice(*head, service, _ports(objects(item.get("ports"))), tuple(found))


def _endpoint(address: str, item: Json, ready: bool) -> Endpoint:
    target = mapping(item.get("targetRef"))
    ref = Ref(*(text(target.get(key)) for key in ("kind", "namespace", "name", "uid"))) if target else None
    return Endpoint(address, text(item.get("nodeName")), ref, ready)


def _ports(value: list[Json]) -> tuple[tuple[str, int, str], ...]:
    return tuple(
        (text(each.get("name")), number(each.get("port")), text(each.get("protocol")) or "TCP") for each in value
    )


def service(item: Json) -> Service:
    spec = mapping(item.get("spec"))
    return Service(
        *_head("Service", item),
        text(spec.get("type")) or "ClusterIP",
        spec.get("clusterIP") == "None",
        texts(spec.get("selector")),
        tuple(
            (
                text(each.get("name")),
                number(each.get("port")),
                _port(each.get("targetPort")) or str(number(each.get("port"))),
                text(each.get("protocol")) or "TCP",
            )
            for each in objects(spec.get("ports"))
        ),
        _balanced(item),
        text(spec.get("loadBalancerClass")),
        _address(spec.get("clusterIP")),
        spec.get("externalTrafficPolicy") == "Local",
        _untrue(conditions(dig(item, "status", "conditions"))),
    )


def _untrue(told: dict[str, Condition]) -> str:
    """Why the first condition that is not true is not, "" where there is none."""
    return next((each.why for _, each in sorted(told.items()) if each.status == "False"), "")


def _address(value: object) -> str:
    """A Service's own address; a headless one has "None" for it."""
    return "" if value == "None" else text(value)


def _port(value: object) -> str:
    """A port's number or name."""
    return text(value) or str(number(value) or "")


def _balanced(item: Json) -> tuple[str, ...]:
    """The addresses that a load balancer gave."""
    given = objects(dig(item, "status", "loadBalancer", "ingress"))
    return tuple(address for each in given if (address := text(each.get("ip")) or text(each.get("hostname"))))


def ingress(item: Json) -> Ingress:
    spec, head = mapping(item.get("spec")), _head("Ingress", item)
    backends = [("any path", spec.get("defaultBackend", spec.get("backend")))]
    for rule in objects(spec.get("rules")):
        for each in objects(dig(rule, "http", "paths")):
            backends.append((text(rule.get("host")) + (text(each.get("path")) or "/"), each.get("backend")))
    found = (_backend(path, head[1], mapping(each)) for path, each in backends)
    return Ingress(
        *head,
        text(spec.get("ingressClassName")),
        text(dig(item, "metadata", "annotations", "kubernetes.io/ingress.class")),
        tuple(each for each in found if each),
        _balanced(item),
    )


def _backend(path: str, namespace: str, value: Json) -> Backend | None:
    """The Service of a backend, as networking.k8s.io/v1 or v1beta1 has it; a resource of another kind is none."""
    service, port = mapping(value.get("service")), mapping(dig(value, "service", "port"))
    name = text(service.get("name")) or text(value.get("serviceName"))
    if not name:
        return None
    return Backend(path, namespace, name, _port(port.get("name") or port.get("number") or value.get("servicePort")))


def ingress_route(item: Json) -> Ingress:
    head = _head("IngressRoute", item)
    found = [
        Backend(
            text(route.get("match"))[:_ANNOTATION],
            text(each.get("namespace")) or head[1],
            text(each.get("name")),
            _port(each.get("port")),
        )
        for route in objects(dig(item, "spec", "routes"))
        for each in objects(route.get("services"))
        # Others are Traefik's own, as is what has an @ in its name.
        if each.get("kind", "Service") == "Service" and text(each.get("name")) and "@" not in text(each.get("name"))
    ]
    return Ingress(*head, "", "", tuple(found), ())


def helm_chart(item: Json) -> HelmChart:
    status = mapping(item.get("status"))
    return HelmChart(*_head("HelmChart", item), text(status.get("jobName")), conditions(status.get("conditions")))


def event(item: Json) -> Event:
    about = mapping(item.get("involvedObject"))
    series = mapping(item.get("series"))
    # A recorder fills one of two sets of fields; the newer one leaves firstTimestamp and lastTimestamp null.
    seen = (series.get("lastObservedTime"), item.get("lastTimestamp"), item.get("eventTime"))
    return Event(
        *_head("Event", item),
        Ref(text(about.get("kind")), text(about.get("namespace")), text(about.get("name")), text(about.get("uid"))),
        text(item.get("type")),
        text(item.get("reason")),
        text(item.get("message"))[:_MESSAGE],
        number(series.get("count")) or number(item.get("count")) or 1,
        next((time for value in seen if (time := when(value))), None),
        text(dig(item, "source", "component")) or text(item.get("reportingComponent")),
    )


def namespace(item: Json) -> Namespace:
    status = mapping(item.get("status"))
    return Namespace(*_head("Namespace", item), text(status.get("phase")), conditions(status.get("conditions")))


def api_service(item: Json) -> ApiService:
    service = mapping(dig(item, "spec", "service"))
    return ApiService(
        *_head("APIService", item),
        Ref("Service", text(service.get("namespace")), text(service.get("name"))) if service else None,
        conditions(dig(item, "status", "conditions")),
    )


def thing(kind: str, item: Json) -> Thing:
    """An object as it is, without its metadata's noise."""
    data = {key: value for key, value in item.items() if key not in ("metadata", "kind", "apiVersion")}
    return Thing(*_head(kind, item), data)
