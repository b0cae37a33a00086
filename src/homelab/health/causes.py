"""What follows from what: one fault shows in many objects, and only the first of them is to be told."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from homelab.health.checks import addons, admission, balancers, deep, etcd, gateways, nfs
from homelab.health.checks.services import DNS, pods_behind, workloads_behind
from homelab.health.objects import Pod, Service, Thing
from homelab.health.probed import Way
from homelab.health.report import Finding, Ref, Severity, ordered
from homelab.health.shape import objects as shapes
from homelab.health.shape import text
from homelab.health.snapshot import Snapshot

Place = tuple[str, str, str]
# As Go's resolver, glibc's and Python's callers say it; of pulled images it is the node's own resolver that is told of.
_UNRESOLVED = re.compile(
    r"lookup \S+(?: on \S+)?: |name resolution|could not resolve host|getaddrinfo|Name or service not known", re.I
)
_PODS = (1, 2, 3, 4, 5, 6, 10, 7, 9)
_NOT_READY_TAINTS = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")


def _node(name: str) -> Place:
    return ("Node", "", name)


def _same(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The object itself."""
    yield effect.object[:3]


def _pods(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The pods of a workload."""
    for pod in snapshot.pods_of.get(effect.object[:3], ()):
        yield pod.ref[:3]


def _nodes(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The node that a pod is on, or the nodes that a workload's pods are on which are not ready or on their way out."""
    kind, namespace, name = effect.object[:3]
    if kind == "Pod":
        pod = _pod(snapshot, namespace, name)
        if pod is not None and pod.node:
            yield _node(pod.node)
        return
    for pod in snapshot.pods_of.get(effect.object[:3], ()):
        if pod.node and (pod.deleting or not pod.ready):
            yield _node(pod.node)


def _nodes_refused(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """All nodes, where the scheduler says that some are unfit because they are not ready; the nodes that are tainted
    so, where it names no taint, as it does from Kubernetes 1.35 on and in patches of 1.34."""
    named = any(taint in effect.summary for taint in _NOT_READY_TAINTS)
    if not named and "untolerated taint(s)" not in effect.summary:
        return
    for node in snapshot.nodes:
        if named or any(taint.key in _NOT_READY_TAINTS for taint in node.taints):
            yield _node(node.name)


def _nodes_full(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """All nodes, where the scheduler says that some have pods enough."""
    if "Too many pods" in effect.summary:
        for node in snapshot.nodes:
            yield _node(node.name)


def _claims(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The claims that a pod mounts."""
    pod = _pod(snapshot, effect.object.namespace, effect.object.name)
    for name in pod.claims if pod else ():
        yield ("PersistentVolumeClaim", effect.object.namespace, name)


def _servers(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The NFS servers that a pod mounts from."""
    pod = _pod(snapshot, effect.object.namespace, effect.object.name)
    for name in nfs.servers(snapshot, pod) if pod else ():
        yield (nfs.SERVER, "", name)


def _only_node(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The node that alone tells of it."""
    nodes = effect.evidence.get("nodes")
    if isinstance(nodes, tuple) and len(nodes) == 1:
        yield _node(nodes[0])


def _nodes_of_claims(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The nodes of the pods that use a claim, or the claims of a pod: they hold its volume."""
    kind, namespace, name = effect.object[:3]
    pod = _pod(snapshot, namespace, name) if kind == "Pod" else None
    for claim in pod.claims if pod else (name,):
        for user in snapshot.pods_using.get((namespace, claim), ()):
            if user.node:
                yield _node(user.node)


def _full(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The claims that a pod mounts, where it ended for lack of space."""
    if "no space left" in effect.summary.lower():
        yield from _claims(snapshot, effect)


def _users(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The pods that use a claim."""
    for user in snapshot.pods_using.get((effect.object.namespace, effect.object.name), ()):
        yield user.ref[:3]


def _inside(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """What is being deleted in a namespace."""
    for each in (*snapshot.pods, *snapshot.claims):
        if each.deleting and each.namespace == effect.object.name:
            yield each.ref[:3]


def _replicasets(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The ReplicaSets of a Deployment."""
    for each in snapshot.replicasets:
        if each.owner and each.owner[:3] == effect.object[:3]:
            yield each.ref[:3]


def _service(effect: Finding) -> tuple[str, str]:
    """Namespace and name of the Service that a finding is about, be it by way of what is to be asked there."""
    if effect.object.kind in ("APIService", *admission.KINDS):
        namespace, _, name = str(effect.evidence.get("service", "")).partition("/")
        return namespace, name
    return effect.object[1:3] if effect.object.kind == "Service" else ("", "")


def _services(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The Service behind an APIService or a webhook."""
    yield ("Service", *_service(effect))


def _behind(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """What stands behind a Service."""
    service = snapshot.service_named.get(_service(effect))
    if service:
        yield from _below(snapshot, service)


def _fronts(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The Services that were made for a Gateway that is not set up, and what stands behind them."""
    if not effect.summary.startswith(gateways.NOT_SET_UP):
        return
    for service in gateways.fronts(snapshot, effect.object):
        yield service.ref[:3]
        yield from _below(snapshot, service)


def _below(snapshot: Snapshot, service: Service) -> Iterator[Place]:
    """The pods of a Service, the nodes of those not ready, their workloads and ReplicaSets."""
    pods, workloads = pods_behind(snapshot, service), {each.ref[:3] for each in workloads_behind(snapshot, service)}
    for pod in pods:
        yield pod.ref[:3]
        if pod.node and (pod.deleting or not pod.ready):
            yield _node(pod.node)
    yield from sorted(workloads)
    for each in snapshot.replicasets:
        if each.owner and each.owner[:3] in workloads:
            yield each.ref[:3]


def _balancers(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """What gives a Service its address: ServiceLB's DaemonSet and its pods, but for those that find its port taken."""
    service = snapshot.service_named.get(effect.object[1:3])
    for daemonset in balancers.daemonsets(snapshot, service) if service else ():
        pods = snapshot.pods_of.get(daemonset.ref[:3], ())
        free = [pod for pod in pods if not balancers.port_taken(pod)]
        for pod in free:
            yield pod.ref[:3]
            if pod.node and (pod.deleting or not pod.ready):
                yield _node(pod.node)
        if len(free) == len(pods):
            yield daemonset.ref[:3]


def _balanced(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The Service for which a pod of ServiceLB finds its port taken."""
    pod = _pod(snapshot, effect.object.namespace, effect.object.name)
    if pod and balancers.port_taken(pod):
        yield ("Service", *balancers.service(pod))


def _backends(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The Services that an Ingress or IngressRoute names, where what is written in it is right."""
    if "has no ready endpoint" not in effect.summary:
        return
    for each in snapshot.ingresses:
        if each.ref[:3] == effect.object[:3]:
            for backend in each.backends:
                yield ("Service", backend.namespace, backend.service)


def _dns(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The cluster's DNS, where it is said that a name was not resolved."""
    if _UNRESOLVED.search(effect.summary):
        yield DNS[:3]


def _manifests(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The manifest that brings what is missing."""
    yield ("Addon", effect.object.namespace, addons.manifest(effect.object.name))


def _coredns(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    yield ("Deployment", DNS.namespace, "coredns")


def _charts(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The charts that a Job installs, or that brings an add-on."""
    for each in snapshot.helm_charts:
        if effect.object[1:3] in ((each.namespace, each.job), (each.namespace, each.name)):
            yield each.ref[:3]


def _jobs_pods(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The pods of a chart's Job."""
    job = str(effect.evidence.get("job", ""))
    for pod in snapshot.pods_of.get(("Job", effect.object.namespace, job), ()):
        yield pod.ref[:3]


def _api(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The API server, by its kind alone."""
    yield ("API", "", "")


def _members(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The members of etcd, and etcd itself."""
    yield etcd.CLUSTER[:3]
    for node in snapshot.nodes:
        if node.etcd:
            yield _node(node.name)


def _down(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The members that etcd misses."""
    names = effect.evidence.get("down")
    for name in names if isinstance(names, tuple) else ():
        yield _node(name)


def _missing_servers(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The servers that an inventory describes."""
    for name, role in snapshot.expected.nodes.items() if snapshot.expected else ():
        if role == "server":
            yield _node(name)


def _asked(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The server whose API was asked, by its address."""
    host = urlsplit(snapshot.api.url).hostname
    for node in snapshot.nodes:
        if host in [address for _, address in node.addresses]:
            yield _node(node.name)


def _holder(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The node that holds a lease; what elects a leader is called after its node."""
    yield _node(str(effect.evidence.get("holder", "")).rpartition("_")[0])


def _controllers(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    yield ("Lease", "kube-system", "kube-controller-manager")


def _scheduler(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    yield ("Lease", "kube-system", "kube-scheduler")


def _addon(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The Deployment of an add-on, which bears its Service's name."""
    yield ("Deployment", *_service(effect))


def _undiscovered(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """All APIServices, where not all that may be in a namespace could be found out, and nothing is known to be in it
    that somebody holds."""
    if "discovery" in effect.summary.lower() and "finalizers remaining" not in effect.summary:
        for each in snapshot.api_services:
            yield each.ref[:3]


def _metrics(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """What serves the metrics that an autoscaler goes by, where it says that it has none of these."""
    for group in ("", "custom.", "external."):
        if f"{group[:-1] or 'resource'} metric" in effect.summary:
            for each in snapshot.api_services:
                if each.name.partition(".")[2] == f"{group}metrics.k8s.io":
                    yield each.ref[:3]


def _scaled(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """What an autoscaler scales: the workload, its ReplicaSets and pods, and the nodes of those that are not ready."""
    for each in snapshot.things("horizontalpodautoscalers"):
        if each.ref[:3] != effect.object[:3]:
            continue
        workload = (text(each.at("spec", "scaleTargetRef", "kind")), each.namespace, _target(each))
        for pod in snapshot.pods_of.get(workload, ()):
            yield pod.ref[:3]
            if pod.node and (pod.deleting or not pod.ready):
                yield _node(pod.node)
        yield workload
        for replicas in snapshot.replicasets:
            if replicas.owner and replicas.owner[:3] == workload:
                yield replicas.ref[:3]


def _target(autoscaler: Thing) -> str:
    return text(autoscaler.at("spec", "scaleTargetRef", "name"))


def _quotas(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The quota that a pod would exceed. Source: Kubernetes' admission of quotas: "exceeded quota: NAME, ..."."""
    if found := re.search(r"exceeded quota: ([^,\s]+)", effect.summary):
        yield ("ResourceQuota", effect.object.namespace, found[1])


def _lies_on(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The node that a claim's volume lies on."""
    yield _node(str(effect.evidence.get("node", "")))


def _gateways(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The Gateways that a route names, where it is not the route that is to be mended."""
    if effect.summary.startswith(gateways.OWN):
        return
    for route in snapshot.things("httproutes"):
        if route.ref[:3] == effect.object[:3]:
            for namespace, name in gateways.gateways(route):
                yield ("Gateway", namespace, name)


def _issued(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """cert-manager's certificates of a Gateway's listeners that miss what they refer to. By a Gateway that is not
    served for another reason cert-manager may not get a certificate either."""
    wanted = {
        (text(ref.get("namespace")) or each.namespace, text(ref.get("name")))
        for each in snapshot.things("gateways")
        if each.ref[:3] == effect.object[:3]
        for ref in gateways.unresolved(each)
    }
    for each in snapshot.things("certificates"):
        if (each.namespace, text(each.at("spec", "secretName"))) in wanted:
            yield each.ref[:3]


def _webhooks(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The webhook that could not be asked whether a pod may be created, by its name."""
    if "failed calling webhook" in effect.summary:
        for each in (
            *snapshot.things("validatingwebhookconfigurations"),
            *snapshot.things("mutatingwebhookconfigurations"),
        ):
            names = [text(hook.get("name")) for hook in shapes(each.at("webhooks"))]
            if any(f'"{name}"' in effect.summary for name in names):
                yield each.ref[:3]


def _policies(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The admission policy that could not be evaluated when a pod was to be created."""
    if found := admission.policy(effect.summary):
        yield found[0][:3]


def _network(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The nodes that are known not to be reached, or the network as a whole, where that is why DNS is not."""
    names = effect.evidence.get("network")
    for name in names if isinstance(names, tuple) else ():
        yield deep.NETWORK[:3] if name == deep.NETWORK.name else _node(name)


def _proxies(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The node whose Services lead nowhere, or all of them, where DNS is not reached by its Service. What fails on all
    nodes is no matter of one, unless it is the only one that asked."""
    yield effect.object[:3]
    if "by its Service" in effect.summary or effect.object[:3] == DNS[:3]:
        yield deep.SERVICES[:3]
    asked = {each.node for each in snapshot.probed.asked if each.way is Way.DNS_SERVICE} if snapshot.probed else set()
    if effect.object[:3] == DNS[:3] and len(asked) == 1:
        yield _node(*asked)


def _hosts(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """The nodes of all pods behind a Service that is to answer the API, ready or not, and the network as a whole."""
    service = snapshot.service_named.get(_service(effect))
    for pod in pods_behind(snapshot, service) if service else ():
        yield _node(pod.node)
    yield deep.NETWORK[:3]


def _resolvers(snapshot: Snapshot, effect: Finding) -> Iterator[Place]:
    """DNS, each of its pods, and the node of a pod that could not resolve a name."""
    if _UNRESOLVED.search(effect.summary):
        yield DNS[:3]
        service = snapshot.service_named.get(DNS[1:3])
        for pod in pods_behind(snapshot, service) if service else ():
            yield pod.ref[:3]
        yield from _nodes(snapshot, effect)


def _pod(snapshot: Snapshot, namespace: str, name: str) -> Pod | None:
    return snapshot.pod_named.get((namespace, name))


@dataclass(frozen=True)
class Rule:
    """A finding of code `cause` explains findings of the codes `effects` (a room's name stands for all of its codes)
    when its object is among those that `via` gives for them."""

    cause: str
    effects: tuple[str, ...]
    via: Callable[[Snapshot, Finding], Iterator[Place]]


# Services without a ready endpoint, and what of the API such a Service is to answer.
_ENDPOINTS = ("ADDON001", "CTRL008", "CTRL011", "NET002")

# What fails for want of a name's address, and tells so.
_RESOLVING = ("POD001", "POD006", "POD007", "POD009", "WORK007")

# What is short of pods, or does not get on with them, when nobody makes them.
_REPLICAS = ("WORK001", "WORK002", "WORK003", "WORK004", "WORK005", "WORK006")

# What tells why the API refused to make a pod, or a Job.
_MAKING = ("WORK004", "WORK005", "WORK006", "WORK008", "WORK013")

# In this order: what lies deeper first.
RULES: tuple[Rule, ...] = (
    Rule("CTRL006", ("NODE005", "NODE007", "CTRL009"), _api),
    Rule("NODE001", ("NODE",), _same),
    Rule("NODE001", ("ETCD001",), _down),
    *(Rule(f"NODE{number:03}", ("CTRL009",), _holder) for number in (1, 5, 7)),
    Rule("CTRL009", ("NODE007",), _controllers),
    Rule("NODE008", ("ETCD003",), _missing_servers),
    Rule("ETCD002", ("ETCD001",), _down),
    Rule("ETCD002", ("ETCD003",), _members),
    Rule("NODE002", ("ETCD005", "NODE012", "NODE016"), _same),
    Rule("ETCD005", ("ETCD004",), _members),
    Rule("CERT003", ("CERT001",), _asked),
    Rule("NODE001", ("POD", *_REPLICAS, "WORK007", "WORK008"), _nodes),
    Rule("NODE001", ("POD004",), _nodes_refused),
    Rule("NODE001", ("POD005", "STOR002"), _nodes_of_claims),
    Rule("NODE005", ("NODE007",), _same),
    Rule("NODE002", ("POD007",), _nodes),
    Rule("NODE003", ("POD005", "POD006"), _nodes),
    *(Rule(f"NODE{number:03}", ("STOR007",), _only_node) for number in (1, 3)),
    Rule("STOR007", ("POD005", "POD006", "POD010"), _servers),
    Rule("STOR001", ("POD004", "POD005"), _claims),
    Rule("STOR002", ("POD004", "POD005"), _claims),
    Rule("STOR003", ("POD004", "POD005"), _claims),
    Rule("NODE008", ("STOR006",), _lies_on),
    Rule("STOR006", ("POD004", "POD005"), _claims),
    Rule("NODE014", ("POD004",), _nodes_full),
    Rule("STOR008", ("POD001", "POD009", "WORK007"), _full),
    Rule("CTRL009", ("POD004",), _scheduler),
    Rule("POD001", ("POD008", "POD009"), _same),
    Rule("NET001", ("POD004",), _balanced),
    *(Rule(f"NODE{number:03}", ("DEEP002",), _same) for number in (3, 5)),
    Rule("DEEP002", ("DEEP001",), _network),
    Rule("DEEP003", ("DEEP001",), _proxies),
    *(Rule(code, ("DEEP001",), _same) for code in ("ADDON001", "POD001", "POD006", "POD010")),
    Rule("DEEP002", ("CTRL008", "CTRL011"), _hosts),
    Rule("ADDON001", _RESOLVING, _dns),
    Rule("DEEP001", _RESOLVING, _resolvers),
    Rule("DEEP004", ("DEEP005",), _same),
    *(Rule(f"POD{number:03}", (*_REPLICAS, "WORK007", "WORK008"), _pods) for number in _PODS),
    Rule("POD010", ("STOR002",), _users),
    Rule("POD010", ("CTRL007",), _inside),
    Rule("STOR002", ("CTRL007",), _inside),
    Rule("CTRL011", _MAKING, _webhooks),
    Rule("CTRL013", _MAKING, _policies),
    Rule("WORK012", _MAKING, _quotas),
    Rule("WORK006", ("WORK001", "WORK002"), _replicasets),
    Rule("WORK002", ("WORK001",), _same),
    Rule("NODE001", _ENDPOINTS, _behind),
    *(Rule(f"POD{number:03}", _ENDPOINTS, _behind) for number in _PODS),
    *(Rule(f"WORK{number:03}", _ENDPOINTS, _behind) for number in (6, 2, 1, 4, 5)),
    Rule("NODE001", ("NET001",), _balancers),
    *(Rule(f"POD{number:03}", ("NET001",), _balancers) for number in _PODS),
    Rule("WORK005", ("NET001",), _balancers),
    Rule("NET002", ("NET001",), _same),
    Rule("NET002", ("NET005",), _backends),
    Rule("ADDON004", ("ADDON002",), _manifests),
    Rule("ADDON002", ("ADDON001",), _coredns),
    *(Rule(f"POD{number:03}", ("ADDON003",), _jobs_pods) for number in _PODS),
    Rule("ADDON003", ("ADDON002", "WORK007", "WORK008"), _charts),
    Rule("ADDON002", ("CTRL008", "NET002"), _addon),
    Rule("NET002", ("CTRL008", "CTRL011"), _services),
    Rule("NODE001", ("WORK011",), _scaled),
    *(Rule(f"POD{number:03}", ("WORK011",), _scaled) for number in _PODS),
    *(Rule(f"WORK{number:03}", ("WORK011",), _scaled) for number in (6, 2, 1, 4)),
    Rule("CTRL008", ("WORK011",), _metrics),
    Rule("CERT004", ("NET006",), _issued),
    Rule("NODE001", ("NET006",), _fronts),
    *(Rule(f"POD{number:03}", ("NET006",), _fronts) for number in _PODS),
    *(Rule(f"WORK{number:03}", ("NET006",), _fronts) for number in (6, 2, 1, 5)),
    *(Rule(f"NET{number:03}", ("NET006",), _fronts) for number in (2, 1)),
    Rule("NET006", ("NET007",), _gateways),
    Rule("CTRL009", (*_REPLICAS, "WORK013"), _controllers),
    Rule("CTRL008", ("CTRL007",), _undiscovered),
)


def fold(findings: Iterable[Finding], snapshot: Snapshot) -> tuple[Finding, ...]:
    """The findings in order, each that follows from another with `caused_by` set to the first of all its causes.

    Findings of one code in one workload's pods are one fault: all but the first follow from that. A root is as severe
    as the worst that follows from it. Information neither causes nor follows.
    """
    found = ordered(findings)
    told = [each for each in found if each.severity > Severity.INFO]
    parents = _parents(told, snapshot)
    roots: dict[int, int] = {}
    for index in range(len(told)):
        root, seen = index, {index}
        while (above := parents.get(root)) is not None and above not in seen:
            seen.add(above)
            root = above
        if root != index:
            roots[index] = root
    worst = {index: told[index].severity for index in range(len(told))}
    for index, root in roots.items():
        if not told[index].suppressed:
            worst[root] = max(worst[root], told[index].severity)
    folded = [
        replace(each, caused_by=told[roots[index]].key)
        if index in roots
        else (replace(each, severity=worst[index]) if worst[index] is not each.severity else each)
        for index, each in enumerate(told)
    ]
    return ordered([*folded, *(each for each in found if each.severity is Severity.INFO)])


def _parents(told: Sequence[Finding], snapshot: Snapshot) -> Mapping[int, int]:
    """For each finding that follows from another, by their places in the list, which."""
    at: dict[tuple[str, Place], int] = {}
    for index, each in enumerate(told):
        place = ("API", "", "") if each.object.kind == "API" else each.object[:3]
        at.setdefault((each.code, place), index)
    causes = {code for code, _ in at}
    rules = [rule for rule in RULES if rule.cause in causes]
    parents: dict[int, int] = {}
    siblings: dict[tuple[str, Ref, bool], int] = {}
    for index, each in enumerate(told):
        cause = _cause(each, index, rules, at, snapshot)
        if cause is None and each.owner is not None:
            # One that nobody wants to be told of must not stand for another that is to be told.
            known = each.suppressed is not None
            first = siblings.setdefault((each.code, each.owner._replace(uid=""), known), index)
            cause = first if first != index else None
        if cause is not None and not _loops(index, cause, parents):
            parents[index] = cause
    return parents


def _cause(
    effect: Finding, index: int, rules: Iterable[Rule], at: Mapping[tuple[str, Place], int], snapshot: Snapshot
) -> int | None:
    for rule in rules:
        if effect.code == rule.cause or not effect.code.startswith(rule.effects):
            continue
        for place in rule.via(snapshot, effect):
            cause = at.get((rule.cause, place))
            if cause is not None and cause != index:
                return cause
    return None


def _loops(index: int, cause: int | None, parents: Mapping[int, int]) -> bool:
    while cause is not None:
        if cause == index:
            return True
        cause = parents.get(cause)
    return False
