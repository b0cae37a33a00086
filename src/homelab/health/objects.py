"""Kubernetes objects, slimmed to what checks read. Anything missing or of another shape is empty, 0 or None."""

from __future__ import annotations

from datetime import datetime

from homelab.health.report import Ref
from homelab.health.shape import Json, dig, record


@record
class Object:
    """What every object has. `owner` is its controller; `deleting` is when its deletion was due, grace included."""

    kind: str
    namespace: str
    name: str
    uid: str
    created: datetime | None
    deleting: datetime | None
    finalizers: tuple[str, ...]
    labels: dict[str, str]
    annotations: dict[str, str]
    owner: Ref | None
    generation: int

    @property
    def ref(self) -> Ref:
        return Ref(self.kind, self.namespace, self.name, self.uid)


@record
class Condition:
    """`since` is the time of the last change of status."""

    status: str
    reason: str
    message: str
    since: datetime | None

    @property
    def why(self) -> str:
        return self.message or self.reason or "no reason is given"


@record
class End:
    """How a container ended. `finished` is None where the runtime does not know."""

    reason: str
    exit_code: int
    signal: int
    finished: datetime | None
    message: str

    @property
    def failed(self) -> bool:
        # The kubelet gives 255 and Unknown to what it finds dead after a restart of the node: nobody's fault.
        return self.exit_code != 0 and not (self.exit_code == 255 and self.reason == "Unknown")


@record
class Container:
    """One container of a pod. `state` is waiting, running, terminated or "" when the kubelet has told nothing yet;
    `memory_limit` is its own or the pod's."""

    name: str
    image: str
    init: bool
    ready: bool
    restarts: int
    state: str
    reason: str
    message: str
    running_since: datetime | None
    end: End | None
    last: End | None
    memory_limit: str
    ports: tuple[tuple[str, int, str], ...]


@record
class Pod(Object):
    """`claims` are names of PersistentVolumeClaims in its namespace, `servers` those of NFS that it mounts from without
    one; `gated` means that scheduling is held back.

    `requests` are what it takes of a node by its spec: CPU in cores, memory in bytes.
    """

    node: str
    phase: str
    reason: str
    message: str
    started: datetime | None
    conditions: dict[str, Condition]
    containers: tuple[Container, ...]
    claims: tuple[str, ...]
    host_ports: tuple[int, ...]
    restart_policy: str
    gated: bool
    requests: tuple[float, float]
    servers: tuple[str, ...]

    @property
    def done(self) -> bool:
        return self.phase in ("Succeeded", "Failed")

    @property
    def ready(self) -> bool:
        ready = self.conditions.get("Ready")
        return ready is not None and ready.status == "True"


@record
class Taint:
    key: str
    value: str
    effect: str
    added: datetime | None


@record
class Node(Object):
    """`version` is the kubelet's, as v1.35.6+k3s1; `allocatable` is in Kubernetes' quantities, `disabled` what a
    K3s server was told not to bring along (`--disable`), `snapshots` the schedule by which it takes those of etcd, None
    where it takes none, and `quota` how many bytes etcd's database may have on it, 0 for any number."""

    unschedulable: bool
    taints: tuple[Taint, ...]
    conditions: dict[str, Condition]
    version: str
    addresses: tuple[tuple[str, str], ...]
    allocatable: dict[str, str]
    disabled: frozenset[str]
    snapshots: str | None
    quota: int

    @property
    def k3s(self) -> bool:
        return "+k3s" in self.version

    @property
    def control_plane(self) -> bool:
        return any(f"node-role.kubernetes.io/{role}" in self.labels for role in ("control-plane", "master"))

    @property
    def etcd(self) -> bool:
        return self.labels.get("node-role.kubernetes.io/etcd") == "true"


@record
class Lease(Object):
    """`duration` is in seconds; `acquired` is since when its holder has it."""

    holder: str
    acquired: datetime | None
    renewed: datetime | None
    duration: int


@record
class Workload(Object):
    """A Deployment, StatefulSet, DaemonSet or ReplicaSet. `changed` is when its spec was last written, where known,
    `template` are the labels that its pods get; a ReplicaSet's are not kept."""

    desired: int
    ready: int
    available: int
    updated: int
    misscheduled: int
    observed: int
    changed: datetime | None
    on_delete: bool
    partition: int
    selector: dict[str, str]
    template: dict[str, str]
    conditions: dict[str, Condition]


@record
class Job(Object):
    active: int
    succeeded: int
    failed: int
    suspended: bool
    started: datetime | None
    conditions: dict[str, Condition]


@record
class CronJob(Object):
    """`last` is when it came due last and was heeded, `succeeded` when a Job of it last ended well, `changed` when its
    spec was last written, where known; `active` counts its Jobs that are at it, and `concurrency` says what it does
    when it comes due while one is. `fleeting` Jobs are gone once they end, and their success may go unnoticed."""

    schedule: str
    suspended: bool
    concurrency: str
    active: int
    last: datetime | None
    succeeded: datetime | None
    fleeting: bool
    changed: datetime | None


@record
class Claim(Object):
    """A PersistentVolumeClaim. `class_name` is None where the default class is meant, `fixed` that nobody may write."""

    phase: str
    fixed: bool
    class_name: str | None
    volume: str
    conditions: dict[str, Condition]

    @property
    def selected_node(self) -> str:
        """The node that the scheduler chose for the first pod that uses it, "" as long as there is none."""
        return self.annotations.get("volume.kubernetes.io/selected-node", "")


@record
class Volume(Object):
    """A PersistentVolume. `places` are labels of which a node has to have one, empty when it can be reached from
    anywhere; `server` is NFS's."""

    phase: str
    reason: str
    message: str
    class_name: str
    claim: Ref | None
    places: tuple[tuple[str, str], ...]
    reclaim: str
    server: str


@record
class Usage:
    """How full a filesystem is, as the kubelet of a node tells: a claim's volume, or the node's own disk, where `claim`
    is None. Sizes in bytes; 0 where they are not told."""

    node: str
    claim: Ref | None
    size: int
    free: int
    inodes: int
    inodes_free: int

    @property
    def percent(self) -> float:
        """How much of it is in use, bytes or inodes, whichever is more."""
        return max(_used(self.size, self.free), _used(self.inodes, self.inodes_free))

    @property
    def noun(self) -> str:
        """What there is the least left of."""
        return "space" if _used(self.size, self.free) >= _used(self.inodes, self.inodes_free) else "inodes"


def _used(size: int, free: int) -> float:
    return 100 * (size - free) / size if size > 0 and 0 <= free <= size else 0.0


@record
class StorageClass(Object):
    """`waits` tells that a volume is made when a pod uses its claim, `reclaim` what becomes of it after the claim,
    `parameters` what its provisioner is told."""

    provisioner: str
    waits: bool
    reclaim: str
    parameters: dict[str, str]

    @property
    def default(self) -> bool:
        keys = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
        return any(self.annotations.get(key) == "true" for key in keys)


@record
class Endpoint:
    """One address behind a Service."""

    address: str
    node: str
    target: Ref | None
    ready: bool


@record
class EndpointSlice(Object):
    """Addresses behind a Service, from an EndpointSlice or, on old clusters, one subset of an Endpoints object."""

    service: str
    ports: tuple[tuple[str, int, str], ...]
    endpoints: tuple[Endpoint, ...]


@record
class Service(Object):
    """`ports` are name, port, target and protocol; the target is the number or name of a container's port. `selector`
    is empty where somebody else writes the endpoints; `addresses` are those that a load balancer gave, `ip` is the
    cluster's own, "" where there is none. `local` means that nodes without a pod of it take nothing from outside.
    `refused` is what whoever is to give an address wrote down instead."""

    type: str
    headless: bool
    selector: dict[str, str]
    ports: tuple[tuple[str, int, str, str], ...]
    addresses: tuple[str, ...]
    balancer: str
    ip: str
    local: bool
    refused: str


@record
class Backend:
    """Where an Ingress leads what matches. `port` is a number or name, "" where none is written; `path` is in words."""

    path: str
    namespace: str
    service: str
    port: str


@record
class Ingress(Object):
    """An Ingress or Traefik's IngressRoute. `class_name` is what its spec says, `annotated` what the annotation of old
    says; `addresses` are those that its controller wrote down."""

    class_name: str
    annotated: str
    backends: tuple[Backend, ...]
    addresses: tuple[str, ...]


@record
class HelmChart(Object):
    """A chart that K3s installs, with the name of the Job that does it."""

    job: str
    conditions: dict[str, Condition]


@record
class Event(Object):
    """`about` is the object that it tells of, `last` when it was seen last."""

    about: Ref
    type: str
    reason: str
    message: str
    count: int
    last: datetime | None
    source: str


@record
class Namespace(Object):
    phase: str
    conditions: dict[str, Condition]


@record
class ApiService(Object):
    """`service` is None for what the API server serves itself."""

    service: Ref | None
    conditions: dict[str, Condition]


@record
class Thing(Object):
    """An object of a kind that has no shape of its own here: its JSON without the metadata, to be read with `dig`."""

    data: Json

    def at(self, *path: str) -> object:
        return dig(self.data, *path)
