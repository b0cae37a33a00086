"""What was read of a cluster at one moment: objects by kind, what became of each read, and what they are to each other.

`reading.py` fills it from an API, `from_lists` from plain JSON. Checks see this and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import TypeVar, cast

from homelab.health import objects, slim
from homelab.health.kinds import BY_NAME
from homelab.health.objects import Object, Thing
from homelab.health.probed import Probed
from homelab.health.report import Ref
from homelab.health.shape import Json, quantity, text
from homelab.health.thresholds import Thresholds

T = TypeVar("T", bound=Object)

# What is read besides lists of kinds; a check may need them like any kind.
APIS = "/apis"
READYZ = "/readyz"
VERSION = "/version"
LATENCY = "latency"
CLOCK = "clock"
INVENTORY = "inventory"
SERVING = "serving certificate"
CLIENT = "client certificate"
USAGE = "volumes of kubelets"
PROBES = (READYZ, VERSION, LATENCY, CLOCK, SERVING, CLIENT, USAGE)
# What follows from other reads, and a check may need like them.
SYSTEM = "kube-system"
ETCD = "etcd"
DATABASE = "size of etcd's database"
NODE_EVENTS = "events of nodes"
ALL_PODS = "pods of all namespaces"
DERIVED = (SYSTEM, ETCD, DATABASE, NODE_EVENTS, ALL_PODS)
# What is not read but tried out, on request only.
NETWORK_PROBES = "probes of the network"
SERVICE_PROBES = "probes of Services"
DNS_PROBES = "probes of DNS"
VOLUME_PROBES = "probes of volumes"
SHARED_PROBES = "probes of shared volumes"
WRITE_PROBES = "writes of the API server"
BY_PODS = (NETWORK_PROBES, SERVICE_PROBES, DNS_PROBES, VOLUME_PROBES, SHARED_PROBES)
DEEP = (*BY_PODS, WRITE_PROBES)
_UNASKED = {INVENTORY: "no inventory was named"} | dict.fromkeys(DEEP, "nothing was tried out")


class State(StrEnum):
    """What became of a read."""

    READ = "read"
    FORBIDDEN = "forbidden"
    NOT_SERVED = "not served"
    FAILED = "failed"


@dataclass(frozen=True)
class Source:
    """One thing that was to be read. `at` is the cluster's time when the answer came."""

    name: str
    state: State
    why: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class Api:
    """What the API server says of itself.

    `unready` are the parts of /readyz that failed, with what it says of them. `latency` is the median of a few
    small reads. `skew` is how far the server's clock is ahead of ours. `serving_end` and `client_end` are when the
    certificates end that it showed us and we showed it, `serving_life` and `client_life` how long they last in all.
    """

    url: str = ""
    context: str = ""
    version: str = ""
    ready: bool = True
    unready: tuple[str, ...] = ()
    latency: timedelta | None = None
    skew: timedelta | None = None
    serving_end: datetime | None = None
    client_end: datetime | None = None
    serving_life: timedelta | None = None
    client_life: timedelta | None = None


@dataclass(frozen=True)
class Expected:
    """The nodes that an inventory describes and that ought to be there, by name, with their role."""

    environment: str
    nodes: Mapping[str, str]
    away: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Snapshot:
    """A cluster at `now`, its own clock's time. Objects are in `lists` by their kind's plural name, sorted.

    A kind that was not read has an empty list: `sources` tells why, and `state` of a name that nobody asked for is
    not served. `namespace` is the only one that was read, "" for all. `usages` are sorted too. `probed` is what was
    tried out, None when nothing was to be, and `notes` what else there is to know of that.
    """

    now: datetime
    lists: Mapping[str, tuple[Object, ...]] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    api: Api = field(default_factory=Api)
    namespace: str = ""
    usages: tuple[objects.Usage, ...] = ()
    expected: Expected | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)
    probed: Probed | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def from_lists(
        cls,
        lists: Mapping[str, Iterable[Json]],
        *,
        now: datetime,
        sources: Mapping[str, Source] | None = None,
        api: Api | None = None,
        summaries: Mapping[str, Json] | None = None,
        expected: Expected | None = None,
    ) -> Snapshot:
        """A snapshot of plain JSON objects, all kinds given and all probes counting as read; `summaries` are those of
        kubelets by their node."""
        lists_ = {name: ordered(BY_NAME[name].slim(item) for item in items) for name, items in lists.items()}
        read = {name: Source(name, State.READ, at=now) for name in (*lists_, *PROBES)}
        found = usages(each for name, item in (summaries or {}).items() for each in slim.usages(name, item))
        return cls(now, lists_, {**read, **(sources or {})}, api or Api(), usages=found).expecting(expected)

    def expecting(self, expected: Expected | None, why: str = "no inventory was named") -> Snapshot:
        """The same, with the nodes that an inventory describes, or the reason why nobody knows them."""
        source = Source(INVENTORY, State.READ) if expected else Source(INVENTORY, State.NOT_SERVED, why)
        return replace(self, expected=expected, sources={**self.sources, INVENTORY: source})

    def source(self, name: str) -> Source:
        """What became of a read."""
        if derive := _DERIVED.get(name):
            return derive(self)
        return self.sources.get(name) or Source(name, State.NOT_SERVED, _UNASKED.get(name, "it was not asked for"))

    def was_read(self, name: str) -> bool:
        return self.source(name).state is State.READ

    def read_at(self, name: str) -> datetime:
        """The cluster's time when a kind was read; what renews itself every few seconds is compared with this."""
        return self.source(name).at or self.now

    def _list(self, name: str, kind: type[T]) -> tuple[T, ...]:
        return cast("tuple[T, ...]", self.lists.get(name, ()))

    def things(self, name: str) -> tuple[Thing, ...]:
        """The objects of a kind that has no record of its own."""
        return self._list(name, Thing)

    def fresh(self, thing: Object) -> bool:
        """Whether an object was made so lately that those who are to heed it may not have done so yet."""
        return thing.created is not None and self.now - thing.created <= self.thresholds.network

    @property
    def pods(self) -> tuple[objects.Pod, ...]:
        return self._list("pods", objects.Pod)

    @property
    def nodes(self) -> tuple[objects.Node, ...]:
        return self._list("nodes", objects.Node)

    @property
    def leases(self) -> tuple[objects.Lease, ...]:
        return self._list("leases", objects.Lease)

    @property
    def deployments(self) -> tuple[objects.Workload, ...]:
        return self._list("deployments", objects.Workload)

    @property
    def statefulsets(self) -> tuple[objects.Workload, ...]:
        return self._list("statefulsets", objects.Workload)

    @property
    def daemonsets(self) -> tuple[objects.Workload, ...]:
        return self._list("daemonsets", objects.Workload)

    @property
    def replicasets(self) -> tuple[objects.Workload, ...]:
        return self._list("replicasets", objects.Workload)

    @property
    def jobs(self) -> tuple[objects.Job, ...]:
        return self._list("jobs", objects.Job)

    @property
    def cronjobs(self) -> tuple[objects.CronJob, ...]:
        return self._list("cronjobs", objects.CronJob)

    @property
    def claims(self) -> tuple[objects.Claim, ...]:
        return self._list("persistentvolumeclaims", objects.Claim)

    @property
    def volumes(self) -> tuple[objects.Volume, ...]:
        return self._list("persistentvolumes", objects.Volume)

    @property
    def storage_classes(self) -> tuple[objects.StorageClass, ...]:
        return self._list("storageclasses", objects.StorageClass)

    @property
    def namespaces(self) -> tuple[objects.Namespace, ...]:
        return self._list("namespaces", objects.Namespace)

    @property
    def api_services(self) -> tuple[objects.ApiService, ...]:
        return self._list("apiservices", objects.ApiService)

    @property
    def endpoint_slices(self) -> tuple[objects.EndpointSlice, ...]:
        return self._list("endpointslices", objects.EndpointSlice)

    @property
    def services(self) -> tuple[objects.Service, ...]:
        return self._list("services", objects.Service)

    @property
    def ingresses(self) -> tuple[objects.Ingress, ...]:
        """Ingresses, and Traefik's IngressRoutes after them."""
        return (*self._list("ingresses", objects.Ingress), *self._list("ingressroutes", objects.Ingress))

    @property
    def helm_charts(self) -> tuple[objects.HelmChart, ...]:
        return self._list("helmcharts", objects.HelmChart)

    @property
    def events(self) -> tuple[objects.Event, ...]:
        return self._list("events", objects.Event)

    @cached_property
    def node_named(self) -> Mapping[str, objects.Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def pod_named(self) -> Mapping[tuple[str, str], objects.Pod]:
        """Pods by namespace and name."""
        return {(pod.namespace, pod.name): pod for pod in self.pods}

    @cached_property
    def claim_named(self) -> Mapping[tuple[str, str], objects.Claim]:
        """PersistentVolumeClaims by namespace and name."""
        return {(claim.namespace, claim.name): claim for claim in self.claims}

    @cached_property
    def volume_named(self) -> Mapping[str, objects.Volume]:
        return {volume.name: volume for volume in self.volumes}

    @cached_property
    def service_named(self) -> Mapping[tuple[str, str], objects.Service]:
        """Services by namespace and name."""
        return {(service.namespace, service.name): service for service in self.services}

    @cached_property
    def slices_of(self) -> Mapping[tuple[str, str], Sequence[objects.EndpointSlice]]:
        """EndpointSlices by namespace and name of their Service."""
        found: dict[tuple[str, str], list[objects.EndpointSlice]] = {}
        for each in self.endpoint_slices:
            found.setdefault((each.namespace, each.service), []).append(each)
        return found

    @cached_property
    def pods_in(self) -> Mapping[str, Sequence[objects.Pod]]:
        """Pods by namespace."""
        found: dict[str, list[objects.Pod]] = {}
        for pod in self.pods:
            found.setdefault(pod.namespace, []).append(pod)
        return found

    @cached_property
    def pods_of(self) -> Mapping[tuple[str, str, str], Sequence[objects.Pod]]:
        """Pods by kind, namespace and name of their owner, and of the workload at the top of their owners."""
        found: dict[tuple[str, str, str], list[objects.Pod]] = {}
        for pod in self.pods:
            for owner in {ref[:3] for ref in (pod.owner, self.workload(pod)) if ref}:
                found.setdefault(owner, []).append(pod)
        return found

    @cached_property
    def pods_on(self) -> Mapping[str, Sequence[objects.Pod]]:
        """Pods by node."""
        found: dict[str, list[objects.Pod]] = {}
        for pod in self.pods:
            if pod.node:
                found.setdefault(pod.node, []).append(pod)
        return found

    @cached_property
    def pods_using(self) -> Mapping[tuple[str, str], Sequence[objects.Pod]]:
        """Pods by namespace and name of the claims that they mount."""
        found: dict[tuple[str, str], list[objects.Pod]] = {}
        for pod in self.pods:
            for claim in pod.claims:
                found.setdefault((pod.namespace, claim), []).append(pod)
        return found

    @cached_property
    def events_about(self) -> Mapping[str, Sequence[objects.Event]]:
        """Warnings by the uid of their object, the newest first."""
        found: dict[str, list[objects.Event]] = {}
        for event in self.events:
            if event.about.uid:
                found.setdefault(event.about.uid, []).append(event)
        for each in found.values():
            each.sort(key=lambda event: (event.last is not None, event.last or self.now, event.name), reverse=True)
        return found

    @cached_property
    def _owners(self) -> Mapping[tuple[str, str, str], Ref]:
        lists = ("replicasets", "jobs")
        return {each.ref[:3]: each.owner for name in lists for each in self.lists.get(name, ()) if each.owner}

    def workload(self, thing: Object) -> Ref | None:
        """The workload at the top of an object's owners: a Deployment, not its ReplicaSet; None for a bare pod."""
        owner = thing.owner
        if owner is None or owner.kind == "Node":
            return None
        if above := self._owners.get(owner[:3]):
            return above
        # Also where ReplicaSets cannot be read: a Deployment's are named after it and the hash of the template.
        suffix = f"-{thing.labels.get('pod-template-hash', '')}"
        if owner.kind == "ReplicaSet" and len(suffix) > 1 and owner.name.endswith(suffix):
            return Ref("Deployment", owner.namespace, owner.name.removesuffix(suffix))
        return owner


def _system(snapshot: Snapshot) -> Source:
    """Whether what K3s brings along is among what was read."""
    if snapshot.namespace in ("", SYSTEM):
        return Source(SYSTEM, State.READ)
    return Source(SYSTEM, State.NOT_SERVED, f"{snapshot.namespace} alone is looked at")


def _etcd(snapshot: Snapshot) -> Source:
    """Whether the cluster keeps its state in etcd members of its own, by the role that K3s gives their nodes."""
    nodes = snapshot.source("nodes")
    if nodes.state is not State.READ or any(node.etcd for node in snapshot.nodes):
        return nodes
    return Source(ETCD, State.NOT_SERVED, "no node is a member of one: the datastore is SQLite or outside the cluster")


def _database(snapshot: Snapshot) -> Source:
    """Whether some snapshot tells how large the database is that it is a copy of."""
    if not snapshot.was_read("etcdsnapshotfiles") or any(map(copied, snapshot.things("etcdsnapshotfiles"))):
        return snapshot.source("etcdsnapshotfiles")
    return Source(DATABASE, State.NOT_SERVED, "no snapshot tells it: there is none, or all are compressed")


def copied(file: Thing) -> int:
    """How many bytes etcd's database had that an ETCDSnapshotFile is a copy of, 0 where it does not tell: K3s names one
    that it has compressed NAME.zip."""
    if file.at("status", "readyToUse") is not True or text(file.at("spec", "snapshotName")).endswith(".zip"):
        return 0
    return int(quantity(file.at("status", "size")))


def _node_events(snapshot: Snapshot) -> Source:
    """Warnings about nodes; what has no namespace has its events in `default`."""
    if snapshot.namespace in ("", "default"):
        return snapshot.source("events")
    return Source(NODE_EVENTS, State.NOT_SERVED, f"they are not in {snapshot.namespace}, which alone is looked at")


def _all_pods(snapshot: Snapshot) -> Source:
    if not snapshot.namespace:
        return snapshot.source("pods")
    return Source(ALL_PODS, State.NOT_SERVED, f"{snapshot.namespace} alone is looked at")


_DERIVED: Mapping[str, Callable[[Snapshot], Source]] = {
    SYSTEM: _system,
    ETCD: _etcd,
    DATABASE: _database,
    NODE_EVENTS: _node_events,
    ALL_PODS: _all_pods,
}


def usages(found: Iterable[objects.Usage]) -> tuple[objects.Usage, ...]:
    """By node, its own disk first, then by claim."""
    return tuple(sorted(found, key=lambda each: (each.node, each.claim or (), -each.percent)))


def ordered(items: Iterable[Object]) -> tuple[Object, ...]:
    """Objects by namespace and name: the order in which an API lists them means nothing."""
    return tuple(sorted(items, key=lambda each: (each.namespace, each.name, each.uid)))
