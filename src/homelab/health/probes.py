"""What `--deep` tries out: what is to be made and when, and what the pods that ran come to. It asks no API."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from homelab.health import manifests
from homelab.health.checks.services import DNS
from homelab.health.codes import CODES
from homelab.health.objects import Endpoint, EndpointSlice, Node, StorageClass
from homelab.health.probed import Asked, Probed, Step, Stored, Way
from homelab.health.shape import Json, dig, mapping, objects, quantity, text
from homelab.health.snapshot import (
    BY_PODS,
    DEEP,
    DNS_PROBES,
    NETWORK_PROBES,
    SERVICE_PROBES,
    SHARED_PROBES,
    VOLUME_PROBES,
    Snapshot,
    Source,
    State,
)

# Provisioners of volumes that several nodes may use at once; a StorageClass itself does not tell.
_SHARED = re.compile(r"nfs|smb|cifs|cephfs", re.IGNORECASE)
_SUBDIR = re.compile(r"nfs-subdir|nfs-client", re.IGNORECASE)
_NONE_MADE = "kubernetes.io/no-provisioner"
# What a kubelet says of a container that will not start by waiting: the first try has failed already.
_STUCK = (
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
)
_IMAGE = ("ErrImagePull", *_STUCK[:3])
_ROOM = 4  # pods of ours on one node: one that answers, one that asks, one for each volume
# A MiB that is not written or read by then is stuck, however slow the disk.
HANGS = timedelta(seconds=30)
_UNMOUNTED = ("FailedMount", "FailedAttachVolume", "FailedMapVolume")
# What a kubelet tells of a pod whose volumes are all mounted.
_MOUNTED = ("Pulling", "Pulled", "Created", "Started")
# Refusals that are about whom we write as and how, not about the volume.
_OURS = re.compile(r"permission denied|operation not permitted", re.IGNORECASE)
_MODES = re.compile(r"access ?mode", re.IGNORECASE)
_KEY = re.compile(rf"({'|'.join(Way)}):(\d{{1,6}})")
_ALL = "probes"
_BETWEEN = (Way.POD, Way.SERVICE)
_DNS = (Way.DNS_POD, Way.DNS_SERVICE)
_POD, _SERVICE, _CLAIM = "Pod/", "Service/", "PersistentVolumeClaim/"


@dataclass(frozen=True)
class Disk:
    """A StorageClass to try out, by the name of its claim. `nodes` are those that read what one of them wrote."""

    claim: str
    source: str
    class_name: str
    shared: bool
    nodes: tuple[str, ...]

    @property
    def writer(self) -> str:
        return f"{self.claim}-write"

    def written(self, world: World) -> Pod | None:
        """The pod that wrote, once it has."""
        pod = world.pods.get(self.writer)
        return pod if pod and pod.told.get(Step.WRITE, (False, ""))[0] else None


@dataclass(frozen=True)
class Pod:
    """A pod of ours, or one that could not be made, with why it does not get on where that is known.

    `told` is what it tells, by key, once it has ended; `asked` are the keys of what it was to ask. `since` is when it
    was first seen to run, by the cluster's clock: that of its node may be another.
    """

    name: str
    node: str = ""
    address: str = ""
    begun: bool = False
    ended: bool = False
    since: datetime | None = None
    reason: str = ""
    why: str = ""
    told: Mapping[str, tuple[bool, str]] = field(default_factory=dict)
    asked: tuple[str, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether waiting for it to begin is over."""
        return self.begun or self.ended or self.reason in _STUCK


@dataclass(frozen=True)
class Event:
    """What was told of an object of ours, by the object's name: a warning, or that something came about."""

    about: str
    reason: str
    message: str


@dataclass(frozen=True)
class World:
    """Our namespace at one moment: pods and the addresses of Services by name, and by kind and name ("Pod/ask-0") why
    the API would not have something.

    `at` is that moment by the cluster's clock. `gone` are those addresses of DNS that cannot be counted on to be its
    any more at the end, with why, and `policies` the NetworkPolicies that somebody put into our namespace.
    """

    pods: Mapping[str, Pod] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    at: datetime | None = None
    gone: Mapping[str, str] = field(default_factory=dict)
    policies: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        """Whether a pod was made, or could not be."""
        return name in self.pods or _POD + name in self.refused


@dataclass(frozen=True)
class Plan:
    """What one run tries out.

    `nodes` take part. `dns` are the addresses of the DNS pods, `dns_service` that of their Service ("" for none), and
    `answer` the address that the API's own name has. `network` tells whether pods and Services are asked too: what DNS
    does not answer may be theirs. `wanted` are the sources that checks are to judge.
    """

    run: str
    image: str
    seconds: int
    nodes: tuple[str, ...]
    network: bool = True
    dns: tuple[str, ...] = ()
    dns_service: str = ""
    answer: str = ""
    disks: tuple[Disk, ...] = ()
    wanted: frozenset[str] = frozenset(BY_PODS)

    @property
    def asking(self) -> bool:
        return self.network or bool(self.dns or self.dns_service)

    @property
    def empty(self) -> bool:
        return not self.asking and not self.disks

    def first(self) -> Iterator[Json]:
        """What is made at the start."""
        for disk in self.disks:
            yield manifests.claim(self.run, disk.claim, disk.class_name, shared=disk.shared)
        for number, node in enumerate(self.nodes):
            if self.network:
                yield manifests.service(self.run, _listener(number))
                yield manifests.listener(self.run, _listener(number), node, self.image, self.seconds)

    def next(self, world: World, *, hurry: bool) -> Iterator[Json]:
        """What is to be made now: pods that ask, once those to be asked are there or, in a `hurry`, without those that
        are not; pods that write; and pods that read, once there is something to read."""
        due = self.asking and (hurry or self._listening(world)) and not any(map(world.has, self._askers))
        questions = list(self._questions(world)) if due else []
        for name, node in zip(self._askers, self.nodes, strict=True) if questions else ():
            yield manifests.asker(self.run, name, node, self.image, questions)
        for disk in self.disks:
            if not world.has(disk.writer) and _CLAIM + disk.claim not in world.refused:
                # One that is shared is written on one node, so that others are left to read it.
                nodes = disk.nodes[:1] if disk.shared else disk.nodes
                yield manifests.writer(self.run, disk.writer, nodes, self.image, disk.claim)
            if writer := disk.written(world):
                for name, node in _readers(disk, writer):
                    if not world.has(name):
                        said = writer.told[Step.WRITE][1]
                        yield manifests.reader(self.run, name, node, self.image, disk.claim, said)

    @property
    def _askers(self) -> list[str]:
        return [_asker(number) for number in range(len(self.nodes))]

    def _listening(self, world: World) -> bool:
        """Whether no pod that is to be asked is still on its way."""
        names = [_listener(number) for number in range(len(self.nodes))] if self.network else []
        return all(_POD + name in world.refused or (name in world.pods and world.pods[name].settled) for name in names)

    def _questions(self, world: World) -> Iterator[tuple[str, str, str, str]]:
        for number in range(len(self.nodes)):
            name = _listener(number)
            pod, right = world.pods.get(name), manifests.answer(self.run, name)
            if not self.network or pod is None or not pod.begun or pod.ended or not pod.address:
                continue
            yield f"{Way.POD}:{number}", "web", _site(pod.address), right
            if address := world.services.get(name):
                yield f"{Way.SERVICE}:{number}", "web", _site(address), right
        for number, address in enumerate(self.dns):
            yield f"{Way.DNS_POD}:{number}", "dns", address, self.answer
        if self.dns_service:
            yield f"{Way.DNS_SERVICE}:0", "dns", self.dns_service, self.answer

    def done(self, world: World) -> bool:
        """Whether there is nothing left to wait for."""
        waited = []
        # Nobody asks where there is nobody to be asked.
        if self.asking and (list(self._questions(world)) or not self._listening(world)):
            waited += self._askers
        for disk in self.disks:
            if _CLAIM + disk.claim not in world.refused:
                waited.append(disk.writer)
            if writer := disk.written(world):
                waited += [name for name, _ in _readers(disk, writer)]
        return all(_POD + name in world.refused or _over(world.pods.get(name)) for name in waited)


def _over(pod: Pod | None) -> bool:
    return pod is not None and (pod.ended or pod.reason in _STUCK)


def _listener(number: int) -> str:
    return f"node-{number}"


def _asker(number: int) -> str:
    return f"ask-{number}"


def _readers(disk: Disk, writer: Pod) -> list[tuple[str, str]]:
    """The pods that read a volume, by name and node: on all other nodes, or by another pod of the writer's node."""
    if not disk.shared:
        return [(f"{disk.claim}-read-0", writer.node)]
    others = [node for node in disk.nodes if node != writer.node]
    return [(f"{disk.claim}-read-{number}", node) for number, node in enumerate(others)]


def _site(address: str) -> str:
    return f"[{address}]:{manifests.PORT}" if ":" in address else f"{address}:{manifests.PORT}"


# -- what to try out --------------------------------------------------------------------------------------------------


def plan(
    snapshot: Snapshot, run: str, image: str, seconds: int, codes: Iterable[str]
) -> tuple[Plan, dict[str, Source], list[str]]:
    """What to try out for these codes, what cannot be and why, and a note on each node that is left out."""
    wanted = frozenset(name for code in codes for name in CODES[code].needs if name in BY_PODS)
    left_out = {node.name: why for node in snapshot.nodes if (why := _unfit(snapshot, node))}
    nodes = tuple(node.name for node in snapshot.nodes if node.name not in left_out)
    notes = [f"node {name} was not tried out: {why}" for name, why in left_out.items()]
    made = Plan(run, image, seconds, nodes, network=False, wanted=wanted)
    if not snapshot.was_read("nodes"):
        unread = snapshot.source("nodes")
        said = f"nodes: {unread.why or unread.state}"
        return made, {name: Source(name, unread.state, said) for name in wanted}, []
    if not nodes:
        none = "no node is Ready and takes pods"
        return made, {name: Source(name, State.FAILED, none) for name in wanted}, notes
    sources: dict[str, Source] = {}
    made = replace(made, network=bool(wanted & {NETWORK_PROBES, SERVICE_PROBES}))
    if DNS_PROBES in wanted:
        made = _with_dns(made, snapshot, sources)
    if VOLUME_PROBES in wanted:
        made = _with_disk(made, snapshot, sources, VOLUME_PROBES, _default(snapshot))
    if SHARED_PROBES in wanted:
        made = _with_disk(made, snapshot, sources, SHARED_PROBES, _shared(snapshot, nodes))
    return made, sources, notes


def _unfit(snapshot: Snapshot, node: Node) -> str:
    """Why a node is not tried out, "" when it is.

    Taints that only keep workloads from servers are tolerated, since a server's network counts for all; any other
    says that pods like ours are not wanted there. On one that is full ours would drive out pods of a lower priority.
    """
    ready = node.conditions.get("Ready")
    if node.deleting:
        return "it is being deleted"
    if ready is None or ready.status != "True":
        return "it is not Ready"
    if node.unschedulable:
        return "it is cordoned"
    if node.labels.get("kubernetes.io/os", "linux") != "linux":
        return "it does not run Linux"
    foreign = [each.key for each in node.taints if each.effect != "PreferNoSchedule"]
    foreign = [key for key in foreign if key not in manifests.SERVER_TAINTS]
    if foreign:
        return f"it has the taint {foreign[0]}"
    most = quantity(node.allocatable.get("pods"))
    there = sum(not pod.done for pod in snapshot.pods_on.get(node.name, ()))
    return f"it takes {most:g} pods and has {there}" if most and there + _ROOM > most else ""


def resolvers(slices: Iterable[EndpointSlice]) -> tuple[Endpoint, ...]:
    """The ready pods of the cluster's DNS, of those that take questions at the port that all resolvers ask."""
    return tuple(
        each
        for one in slices
        if (one.namespace, one.service) == DNS[1:3] and any(port[1:] == (53, "UDP") for port in one.ports)
        for each in one.endpoints
        if each.ready and each.address
    )


def _with_dns(made: Plan, snapshot: Snapshot, sources: dict[str, Source]) -> Plan:
    for name in ("services", "endpointslices"):
        if not snapshot.was_read(name):
            return made  # of which the check says so itself
    service = snapshot.service_named.get((DNS.namespace, DNS.name))
    known = snapshot.service_named.get(("default", "kubernetes"))
    if service is None or not service.ip:
        why = f"there is no Service {DNS.namespace}/{DNS.name}"
        sources[DNS_PROBES] = Source(DNS_PROBES, State.NOT_SERVED, why)
        return made
    if known is None or not known.ip:
        why = "there is no Service default/kubernetes, whose name is what is asked for"
        sources[DNS_PROBES] = Source(DNS_PROBES, State.NOT_SERVED, why)
        return made
    addresses = tuple(dict.fromkeys(each.address for each in resolvers(snapshot.endpoint_slices)))
    return replace(made, network=True, dns=addresses, dns_service=service.ip, answer=known.ip)


Choice = tuple[StorageClass | None, str]


def _with_disk(made: Plan, snapshot: Snapshot, sources: dict[str, Source], source: str, choice: Choice) -> Plan:
    found, why = choice
    if not snapshot.was_read("storageclasses"):
        return made
    if found is None:
        sources[source] = Source(source, State.NOT_SERVED, why)
        return made
    shared = source == SHARED_PROBES
    disk = Disk("shared" if shared else "volume", source, found.name, shared, made.nodes)
    return replace(made, disks=(*made.disks, disk))


def _default(snapshot: Snapshot) -> Choice:
    """The StorageClass that claims get which name none; the newest, should there be several."""
    classes = [each for each in snapshot.storage_classes if each.default and not each.deleting]
    classes.sort(key=lambda each: (each.created is not None, each.created or snapshot.now, each.name))
    if not classes:
        return None, "no StorageClass is the default"
    return _fit(classes[-1])


def _shared(snapshot: Snapshot, nodes: tuple[str, ...]) -> Choice:
    classes = [each for each in snapshot.storage_classes if _SHARED.search(each.provisioner) and not each.deleting]
    if not classes:
        return None, "no StorageClass is known for volumes that several nodes use (NFS, SMB, CephFS)"
    if len(nodes) < 2:
        return None, "one node alone takes pods, so nothing can be read on another"
    fit = [each for each in classes if _fit(each)[0]]
    return _fit((fit or classes)[0])


def _fit(found: StorageClass) -> Choice:
    if found.provisioner == _NONE_MADE:
        return None, f"StorageClass {found.name} makes no volumes by itself"
    if found.reclaim != "Delete":
        return None, f"StorageClass {found.name} keeps volumes whose claim is gone, so one would be left behind"
    if why := _keeps(found):
        return None, f"StorageClass {found.name} keeps the folders of volumes that are gone ({why})"
    return found, ""


def _keeps(found: StorageClass) -> str:
    """The parameter by which a folder stays on the server though its volume was deleted, "" for none.

    Source: the parameters that csi-driver-nfs and nfs-subdir-external-provisioner document; the latter keeps folders,
    as `archived-…`, unless it is told otherwise.
    """
    then = found.parameters.get("onDelete", "").lower()
    if then in ("retain", "archive"):
        return f"onDelete: {then}"
    archives = found.parameters.get("archiveOnDelete", "").lower() != "false"
    if _SUBDIR.search(found.provisioner) and then != "delete" and archives:
        return "archiveOnDelete is not false"
    return ""


# -- what was seen ----------------------------------------------------------------------------------------------------


def pod(item: Json) -> Pod:
    """One of our pods as the API tells of it, whatever its shape."""
    status = mapping(item.get("status"))
    name = text(dig(item, "metadata", "name"))
    told = next(iter(objects(status.get("containerStatuses"))), {})
    state, container = mapping(told.get("state")), next(iter(objects(dig(item, "spec", "containers"))), {})
    ended = mapping(state.get("terminated"))
    running = mapping(state.get("running"))
    waiting = mapping(state.get("waiting"))
    phase = text(status.get("phase"))
    scheduled = next((each for each in objects(status.get("conditions")) if each.get("type") == "PodScheduled"), {})
    reason, why = text(waiting.get("reason")), text(waiting.get("message"))
    if not waiting and scheduled.get("status") == "False":
        reason, why = text(scheduled.get("reason")), text(scheduled.get("message"))
    elif phase == "Failed":
        reason = text(status.get("reason")) or text(ended.get("reason")) or phase
        why = text(status.get("message")) or f"exit code {ended.get('exitCode', 'unknown')}"
    return Pod(
        name,
        text(dig(item, "spec", "nodeName")),
        text(status.get("podIP")),
        begun=bool(running or ended),
        ended=bool(ended) or phase in ("Succeeded", "Failed"),
        reason=reason,
        why=why,
        told=_lines(text(ended.get("message"))),
        asked=_keys(container),
    )


def _lines(message: str) -> dict[str, tuple[bool, str]]:
    """What a pod tells: lines of a key, whether it went well, and words. The kubelet cuts after 4096 bytes."""
    found = {}
    for line in message.splitlines():
        key, _, rest = line.partition(" ")
        verdict, _, words = rest.partition(" ")
        if verdict in ("ok", "no"):
            found[key] = (verdict == "ok", words.strip())
    return found


def _keys(container: Json) -> tuple[str, ...]:
    """The keys of what a pod was to ask, from its own arguments: four words for each question, after the script's."""
    words = container.get("command")
    given = words[4::4] if isinstance(words, list) else []
    return tuple(each for each in given if isinstance(each, str) and _KEY.fullmatch(each))


def event(item: Json) -> Event:
    return Event(text(dig(item, "involvedObject", "name")), text(item.get("reason")), text(item.get("message")))


# -- what it comes to -------------------------------------------------------------------------------------------------


def outcome(plan: Plan, world: World, events: Iterable[Event]) -> tuple[Probed, dict[str, Source]]:
    """What was found out, and of what was not, why: by source, and by source and node where others know more."""
    told = list(events)
    found = Probed()
    sources: dict[str, Source] = {}
    if plan.asking:
        found = _asked(plan, world, sources)
    for disk in plan.disks:
        stored, why = _stored(plan, disk, world, told)
        found = replace(found, stored=(*found.stored, *stored))
        read = [each for each in stored if each.step is Step.READ or not each.ok]
        if read:
            sources[disk.source] = Source(disk.source, State.READ)
        for node, said in why.items():
            name = f"{disk.source} on {node}" if read and node else disk.source
            sources[name] = Source(name, State.FAILED, said)
    return found, sources


def told_once(sources: Mapping[str, Source]) -> dict[str, Source]:
    """The sources, those that came to nothing for one reason under one name, so that it is told once."""
    found = dict(sources)
    reasons = [(each.state, each.why) for name, each in sources.items() if name in DEEP]
    for name, each in sources.items():
        if name in DEEP and each.state is not State.READ and reasons.count((each.state, each.why)) > 1:
            found[name] = found[_ALL] = replace(each, name=_ALL)
    return found


def _asked(plan: Plan, world: World, sources: dict[str, Source]) -> Probed:
    asked: list[Asked] = []
    why: dict[str, str] = {}
    for number, node in enumerate(plan.nodes):
        pod = world.pods.get(_asker(number))
        answered = [(key, pod.told[key]) for key in pod.asked if key in pod.told] if pod else []
        if not answered:
            names = (_asker(number), _listener(number))
            refused = next((world.refused[_POD + name] for name in names if _POD + name in world.refused), "")
            why[node] = refused or _unasked(plan, pod or world.pods.get(_listener(number)))
        for key, (ok, said) in answered:
            way, _, at = key.partition(":")
            asked.append(Asked(node, Way(way), _whom(plan, Way(way), int(at)), ok, said))
    unheard = _unheard(plan, world, asked, why) if plan.network else {}
    # Whom nobody could have heard was not silent.
    asked = [each for each in asked if each.ok or each.way not in _BETWEEN or each.of not in unheard]
    asked = _still_there(asked, world, sources)
    if not plan.wanted & {NETWORK_PROBES, SERVICE_PROBES} and all(each.ok for each in asked if each.way in _DNS):
        unheard = {}  # they were there to tell why DNS does not answer
    wanted = [NETWORK_PROBES, SERVICE_PROBES] if plan.network else []
    wanted += [DNS_PROBES] if plan.dns or plan.dns_service else []
    wanted = [each for each in wanted if each in plan.wanted]
    ways = {
        NETWORK_PROBES: (Way.POD,),
        SERVICE_PROBES: (Way.SERVICE,),
        DNS_PROBES: _DNS,
    }
    reasons = list((why or unheard).values())
    general = max(reasons, key=reasons.count, default="")
    refused = next(iter(world.refused.values()), "")
    walled = _walled(asked)
    hindered = _WALLED if walled else _barred(world)
    if not hindered and SERVICE_PROBES in plan.wanted and NETWORK_PROBES not in plan.wanted:
        sources |= _unreached(asked)
    for name in wanted:
        answers = [each for each in asked if each.way in ways[name]]
        # That DNS answers nevertheless is known; why it does not is not.
        if (walled and name != DNS_PROBES) or (hindered and not all(each.ok for each in answers)):
            asked = [each for each in asked if each.way not in ways[name]]
            sources[name] = Source(name, State.FAILED, hindered)
        elif answers:
            sources[name] = Source(name, State.READ)
        else:
            sources[name] = Source(name, State.FAILED, general or refused or "no pod could be asked")
    if SERVICE_PROBES in wanted and sources[SERVICE_PROBES].state is State.READ:
        for number, node in enumerate(plan.nodes):
            if lacking := world.refused.get(_SERVICE + _listener(number)):
                name = f"{SERVICE_PROBES} for node {node}"
                sources[name] = Source(name, State.FAILED, lacking)
    if len(why) < len(plan.nodes):
        for node, said in (why if walled or not asked else unheard | why).items():
            name = f"probes on node {node}"
            sources[name] = Source(name, State.FAILED, said)
    nodes = tuple(node for node in plan.nodes if node not in why)
    return Probed(nodes, tuple(asked))


_WALLED = "not even pods on one node reach each other: a policy that holds in new namespaces, or the network plugin"


def _walled(asked: Iterable[Asked]) -> bool:
    """Whether no pod reaches any, its own node's included: so does a policy look that the whole cluster has, which
    tells nothing of its network."""
    between = [each for each in asked if each.way in _BETWEEN]
    own = any(each.way is Way.POD and each.node == each.of for each in between)
    return own and not any(each.ok for each in between)


def _barred(world: World) -> str:
    """What may keep an answer from our pods that others get, "" when nothing is known to."""
    if not world.policies:
        return ""
    return f"what somebody puts into new namespaces may be in the way: NetworkPolicy {', '.join(world.policies)}"


def _unreached(asked: Iterable[Asked]) -> dict[str, Source]:
    """That Services were not judged where not even their pods are reached, when nobody judges that."""
    pairs = sorted(f"{each.node} to {each.of}" for each in asked if each.way is Way.POD and not each.ok)
    name = f"{SERVICE_PROBES} where pods are not reached"
    why = f"{', '.join(pairs)}; --only DEEP002 tells more"
    return {name: Source(name, State.FAILED, why)} if pairs else {}


def _unheard(plan: Plan, world: World, asked: list[Asked], silent: Iterable[str]) -> dict[str, str]:
    """Why a node's pod was not there to be asked, or not to the end, by node, but for those that were `silent`."""
    keys = {key for number in range(len(plan.nodes)) for key in _asked_of(world, number)}
    failed = {each.of for each in asked if each.way in _BETWEEN and not each.ok}
    found = {}
    for number, node in enumerate(plan.nodes):
        name = _listener(number)
        pod, put = world.pods.get(name), f"{Way.POD}:{number}" in keys
        if node in failed if put else node not in silent:
            if pod and pod.ended:
                found[node] = f"its pod that was to answer ended ({pod.reason or 'nobody says why'})"
            elif put and pod is None:
                found[node] = "its pod that was to answer is gone"
            elif not put:
                late = "its pod that was to answer started too late" if pod and pod.begun else _unasked(plan, pod)
                found[node] = world.refused.get(_POD + name, late)
    return found


def _still_there(asked: list[Asked], world: World, sources: dict[str, Source]) -> list[Asked]:
    """What was asked without what did not answer since a pod of DNS was replaced meanwhile, which is told."""
    lost = [
        each
        for each in asked
        if not each.ok and (each.of in world.gone if each.way is Way.DNS_POD else each.way is Way.DNS_SERVICE)
    ]
    if not lost or not world.gone:
        return asked
    for address, why in world.gone.items():
        name = f"{DNS_PROBES} at {address}"
        sources[name] = Source(name, State.FAILED, why)
    return [each for each in asked if each not in lost]


def _asked_of(world: World, number: int) -> tuple[str, ...]:
    pod = world.pods.get(_asker(number))
    return pod.asked if pod else ()


def _whom(plan: Plan, way: Way, number: int) -> str:
    if way in (Way.POD, Way.SERVICE):
        return plan.nodes[number]
    return plan.dns[number] if way is Way.DNS_POD else plan.dns_service


def _unasked(plan: Plan, pod: Pod | None) -> str:
    """Why there is no answer from a pod, in a line."""
    if pod is None:
        return f"its pod was not made within {plan.seconds} s"
    if pod.reason in _IMAGE:
        said = f": {pod.why}" if pod.why else ""
        return f"the image {plan.image} cannot be had ({pod.reason}{said}); --deep-image names another"
    if pod.ended:
        return f"its pod told nothing ({pod.reason or 'it ended'}{': ' if pod.why else ''}{pod.why})"
    if pod.reason:
        return f"its pod did not start: {pod.reason}{': ' if pod.why else ''}{pod.why}"
    if pod.begun:
        return f"its pod did not come to an end within {plan.seconds} s"
    return f"its pod did not start within {plan.seconds} s"


def _stored(plan: Plan, disk: Disk, world: World, events: list[Event]) -> tuple[list[Stored], dict[str, str]]:
    """The steps of a volume, and why there are no more, by the node where it stuck ("" for any)."""
    refused = world.refused.get(_CLAIM + disk.claim) or world.refused.get(_POD + disk.writer)
    if refused:
        return [], {"": refused}
    writer = world.pods.get(disk.writer)
    step, why = _step(plan, disk, world, writer, Step.WRITE, events)
    if step is None:
        return [], {"": why}
    if not step.ok or writer is None:
        return [step], {}
    found, unknown = [step], {}
    for name, node in _readers(disk, writer):
        pod = world.pods.get(name)
        each, why = _step(plan, disk, world, pod, Step.READ, events)
        if each is None:
            unknown[node] = world.refused.get(_POD + name, why)
        else:
            found.append(replace(each, node=node))
    return found, unknown


def _step(
    plan: Plan, disk: Disk, world: World, pod: Pod | None, step: Step, events: list[Event]
) -> tuple[Stored | None, str]:
    """How one pod got on with a volume, or why nobody knows. What the cluster does not tell is no fault of it."""

    def stuck(at: Step, said: str) -> tuple[Stored, str]:
        return Stored(disk.class_name, disk.shared, node, at, False, " ".join(said.split())[:300]), ""

    node = pod.node if pod else ""
    if pod and step in pod.told:
        ok, said = pod.told[step]
        if not ok and _OURS.search(said):
            return None, f"user 65534 of the probe may not {step} there: {said}"
        return Stored(disk.class_name, disk.shared, node, step, ok, "" if ok else said), ""
    if pod is None or pod.ended:
        return None, _unasked(plan, pod)
    if pod.begun:
        if pod.since and world.at and world.at - pod.since >= HANGS:
            return stuck(step, "it hangs")
        return None, _unasked(plan, pod)
    came = {each.reason for each in events if each.about == pod.name}
    # An image is pulled when all is mounted.
    if pod.reason in _IMAGE or came.intersection(_MOUNTED):
        return None, _unasked(plan, pod)
    # What failed at first and went well later is told still. A pod gets its node when its claim has a volume.
    made = bool(pod.node) or any(each.about == disk.claim and each.reason == "ProvisioningSucceeded" for each in events)
    for each in events:
        if each.about == disk.claim and each.reason == "ProvisioningFailed" and step is Step.WRITE and not made:
            if disk.shared and _MODES.search(each.message):
                return None, f"StorageClass {disk.class_name} makes no volumes that several nodes use: {each.message}"
            return stuck(Step.CLAIM, each.message)
        if each.about == pod.name and each.reason in _UNMOUNTED:
            if each.reason == "FailedAttachVolume" and "SuccessfulAttachVolume" in came:
                continue
            return stuck(Step.MOUNT, each.message)
    return None, _unasked(plan, pod)
