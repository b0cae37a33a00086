"""What was tried out: whether the cluster's DNS answers everywhere, pods and Services are reached, volumes keep data.

A network between nodes is a matter of two, and a fault of one node shows with each of the others. The culprits are as
few nodes as explain every pair that fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from homelab.counting import many
from homelab.health.checks.services import DNS
from homelab.health.codes import CRITICAL, WARNING, finding
from homelab.health.objects import Endpoint
from homelab.health.probed import Asked, Probed, Step, Stored, Way
from homelab.health.report import Evidence, Finding, Ref
from homelab.health.snapshot import Snapshot

# Kubernetes has no object for any of them.
NETWORK = Ref("Network", "", "pods")
SERVICES = Ref("Network", "", "services")
DATASTORE = Ref("Datastore", "", "datastore")
_NOTHING = "no answer"
_SEVERAL = 3  # writes: one or two may be slow by chance

Pairs = Mapping[tuple[str, str], str]


def _failed(snapshot: Snapshot, way: Way) -> dict[tuple[str, str], str]:
    """What failed of one kind: who asked and whom, with what was said."""
    probed = snapshot.probed or Probed()
    return {(each.node, each.of): each.said or _NOTHING for each in probed.asked if each.way is way and not each.ok}


def _asked(snapshot: Snapshot, way: Way) -> list[Asked]:
    return [each for each in (snapshot.probed or Probed()).asked if each.way is way]


def _culprits(snapshot: Snapshot, pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """The fewest nodes that all pairs have one of, the worst first, each with those that it does not get on with.

    Of two nodes alone nobody can tell which it is: an agent is named rather than a server.
    """
    left = {frozenset(pair) for pair in pairs}
    found: dict[str, set[str]] = {}
    while left:
        partners: dict[str, set[str]] = {}
        for pair in left:
            for node in pair:
                partners.setdefault(node, set()).update(pair - {node} or pair)
        culprit = min(partners, key=lambda node: (-len(partners[node]), _server(snapshot, node), node))
        found[culprit] = partners[culprit]
        left = {pair for pair in left if culprit not in pair}
    return found


def _server(snapshot: Snapshot, name: str) -> bool:
    node = snapshot.node_named.get(name)
    return node is not None and node.control_plane


def _everywhere(snapshot: Snapshot, culprits: Mapping[str, object]) -> bool:
    """Whether so many nodes would be to blame that it is rather what they share."""
    return len(culprits) > 1 and 2 * len(culprits) > len({each.node for each in _asked(snapshot, Way.POD)})


def _names(nodes: Iterable[str]) -> str:
    return ", ".join(sorted(nodes))


def _node(name: str) -> Ref:
    return Ref("Node", "", name)


def check_network(snapshot: Snapshot) -> Iterator[Finding]:
    """A pod of each node that takes pods gets an answer from a pod of each other such node, and of its own, at that
    pod's address. When a node is not reached, its own tunnel, firewall or route is the usual cause."""
    failed = _failed(snapshot, Way.POD)
    culprits = _culprits(snapshot, failed)
    if _everywhere(snapshot, culprits):
        said = f"pods of most nodes do not reach those of others: {next(iter(failed.values()))}"
        remedy = "see that the nodes' firewalls let each other's 8472/udp (VXLAN) or 51820/udp (WireGuard) through"
        pairs = tuple(f"{one} to {other}" for one, other in sorted(failed))
        yield finding("DEEP002", NETWORK, said, evidence={"pairs": pairs}, remedy=remedy)
        return
    nodes = {each.node for each in _asked(snapshot, Way.POD)}
    for node, partners in culprits.items():
        others = nodes - {node}
        if partners == {node}:
            whom = "its pods do not reach each other"
        elif len(others) > 1 and partners >= others:
            whom = "its pods and those of all other nodes do not reach each other"
        else:
            whom = f"its pods and those of {_names(partners - {node})} do not reach each other"
        said = next(words for pair, words in failed.items() if node in pair)
        yield finding("DEEP002", _node(node), f"{whom}: {said}", evidence={"nodes": tuple(sorted(partners))})


def check_services(snapshot: Snapshot) -> Iterator[Finding]:
    """From each node that takes pods, a Service leads to its pod on each such node, where that pod itself is reached.
    When one node's Services lead nowhere, its kube-proxy is the usual cause."""
    reached = {(each.node, each.of) for each in _asked(snapshot, Way.POD) if each.ok}
    failed = {pair: said for pair, said in _failed(snapshot, Way.SERVICE).items() if pair in reached}
    # Who asked is another place than who was to answer, on the same node too.
    askers: dict[str, list[str]] = {}
    for node, of in failed:
        askers.setdefault(node, []).append(of)
    asked = {each.node for each in _asked(snapshot, Way.SERVICE)}
    if len(askers) > 1 and 2 * len(askers) > len(asked):
        said = f"lead nowhere on {many(len(askers), 'node')}: {next(iter(failed.values()))}"
        yield finding("DEEP003", SERVICES, said, evidence={"nodes": tuple(sorted(askers))}, remedy=_ON_SERVERS)
        return
    for node, targets in sorted(askers.items()):
        whom = "lead nowhere" if len(targets) > 1 else f"do not lead to the pod on {targets[0]}"
        said = f"its Services {whom}, though the pods themselves are reached: {failed[node, targets[0]]}"
        yield finding("DEEP003", _node(node), said, evidence={"nodes": tuple(sorted(targets))})


_ON_SERVERS = "on a server: journalctl -u k3s -e | grep -iE 'proxy|endpointslice'"


def check_dns(snapshot: Snapshot) -> Iterator[Finding]:
    """Every pod of the cluster's DNS, asked by its own address from each node that takes pods, tells the address of
    the API's own name, and so does DNS by the address of its Service, which is the one that all pods use."""
    failed = _failed(snapshot, Way.DNS_POD)
    behind = {
        each.address: each for one in snapshot.slices_of.get((DNS.namespace, DNS.name), ()) for each in one.endpoints
    }
    network = _failed(snapshot, Way.POD)
    culprits = _culprits(snapshot, network)
    blamed = (NETWORK.name,) if _everywhere(snapshot, culprits) else tuple(culprits)
    left = {(node, of): said for (node, of), said in failed.items() if not _explained(node, behind.get(of), network)}
    askers: dict[str, set[str]] = {}
    for each in _asked(snapshot, Way.DNS_POD):
        if not _explained(each.node, behind.get(each.of), network):
            askers.setdefault(each.of, set()).add(each.node)
    silent = {of for of, nodes in askers.items() if all((node, of) in left for node in nodes)}
    heard = {pair: said for pair, said in failed.items() if pair[1] not in silent}
    yield from _over_the_network(snapshot, heard, behind, network, blamed)
    for of in sorted(silent):
        ref, owner = _pod(snapshot, of, behind.get(of))
        said = next(words for (_, address), words in left.items() if address == of)
        yield finding("DEEP001", ref, f"does not answer as DNS should: {said}", owner=owner, evidence={"address": of})
    rest = {pair: said for pair, said in left.items() if pair[1] not in silent}
    for node in sorted({node for node, _ in rest}):
        addresses = sorted(of for asker, of in rest if asker == node)
        said = f"its pods get no answer from DNS at {', '.join(addresses)}: {rest[node, addresses[0]]}"
        yield finding("DEEP001", _node(node), said, remedy=_ON_NODE)
    yield from _by_service(snapshot, failed)


_ON_NODE = "on {name}: journalctl -u 'k3s*' -e; iptables-save | grep -c kube-dns"


def _by_service(snapshot: Snapshot, failed: Pairs) -> Iterator[Finding]:
    """What fails by the Service's address alone. Where a pod of DNS does not answer, a Service that leads to it
    sometimes or always is no wonder."""
    nodes = {each.node: each for each in _asked(snapshot, Way.DNS_SERVICE)}
    deaf = sorted(node for node, each in nodes.items() if not each.ok and node not in {asker for asker, _ in failed})
    if not deaf:
        return
    said = nodes[deaf[0]].said or _NOTHING
    if len(deaf) == len(nodes):
        alone = ", though each of its pods does" if _asked(snapshot, Way.DNS_POD) else ""
        words = f"does not answer at {nodes[deaf[0]].of} as DNS should{alone}: {said}"
        yield finding("DEEP001", DNS, words)
        return
    for node in deaf:
        words = f"its pods get no answer from DNS by its Service, though each of its pods answers: {said}"
        yield finding("DEEP001", _node(node), words, remedy=_ON_NODE)


def _explained(node: str, endpoint: Endpoint | None, network: Pairs) -> bool:
    """Whether a node does not reach pods of the node that DNS runs on either."""
    return endpoint is not None and ((node, endpoint.node) in network or (endpoint.node, node) in network)


def _over_the_network(
    snapshot: Snapshot, failed: Pairs, behind: Mapping[str, Endpoint], network: Pairs, blamed: tuple[str, ...]
) -> Iterator[Finding]:
    """What fails because nodes do not reach each other: it follows from that."""
    nodes: dict[str, set[str]] = {}
    for node, of in failed:
        if _explained(node, behind.get(of), network):
            nodes.setdefault(of, set()).add(node)
    for of, deaf in sorted(nodes.items()):
        ref, owner = _pod(snapshot, of, behind.get(of))
        # Only those culprits which one of these pairs has.
        places = {*deaf, behind[of].node, NETWORK.name}
        known = tuple(each for each in blamed if each in places)
        said = f"does not answer pods on {_names(deaf)}, which do not reach its node"
        evidence: Evidence = {"address": of, "network": known}
        yield finding("DEEP001", ref, said, owner=owner, evidence=evidence, remedy=_OF_THE_NETWORK)


_OF_THE_NETWORK = "homelab health --deep --only DEEP002"


def _pod(snapshot: Snapshot, address: str, endpoint: Endpoint | None) -> tuple[Ref, Ref | None]:
    """The pod that has an address, and its workload; the Service itself where nobody tells."""
    target = endpoint.target if endpoint else None
    if target is None or target.kind != "Pod":
        return DNS, None
    pod = snapshot.pod_named.get((target.namespace, target.name))
    return (pod.ref, snapshot.workload(pod)) if pod else (target, None)


_WHAT = {
    Step.CLAIM: "it makes no volume",
    Step.MOUNT: "a volume of it cannot be mounted on {node}",
    Step.WRITE: "a volume of it cannot be written on {node}",
    Step.READ: "what was written to a volume of it and fsynced is not read on {node}",
}


def _bad(snapshot: Snapshot, *, shared: bool) -> tuple[list[Stored], list[Stored]]:
    """What went wrong with a volume, and all that was tried of reading it."""
    stored = [each for each in (snapshot.probed or Probed()).stored if each.shared is shared]
    return [each for each in stored if not each.ok], [each for each in stored if each.step is not Step.WRITE]


def _said(each: Stored) -> str:
    return f"{_WHAT[each.step].format(node=each.node or 'any node')}: {each.said or 'no reason is given'}"


def check_volume(snapshot: Snapshot) -> Iterator[Finding]:
    """A claim of the default StorageClass gets a volume that takes a MiB and an fsync, and gives it back to another pod
    after the first has ended."""
    for each in _bad(snapshot, shared=False)[0][:1]:
        yield finding("DEEP004", Ref("StorageClass", "", each.class_name), _said(each))


def check_shared(snapshot: Snapshot) -> Iterator[Finding]:
    """What a pod on one node writes to a volume of NFS, SMB or CephFS and fsyncs is read by a pod on each other node
    that takes pods."""
    bad, read = _bad(snapshot, shared=True)
    if not bad:
        return
    if len(bad) == len(read) or any(each.step in (Step.CLAIM, Step.WRITE) for each in bad):
        yield finding("DEEP005", Ref("StorageClass", "", bad[0].class_name), _said(bad[0]))
        return
    for each in bad:
        said = f"{_said(each)}, while other nodes do" if each.step is Step.READ else _said(each)
        words = said.replace("of it", f"of StorageClass {each.class_name}")
        yield finding("DEEP005", _node(each.node), words, evidence={"storage_class": each.class_name})


def check_writes(snapshot: Snapshot) -> Iterator[Finding]:
    """While things are tried out, for half a minute at least, the API server that is asked writes nearly everything to
    its datastore in little time. It counts its writes by how long they took, since it started: judged is by how much
    that grows. What takes longer than a threshold is known to the next bound only by which it counts, 0.6 s for 0.5."""
    written = snapshot.probed.written if snapshot.probed else None
    if written is None:
        return
    limits = snapshot.thresholds
    for severity, limit in (
        (CRITICAL, limits.datastore_write_critical),
        (WARNING, limits.datastore_write_warning),
    ):
        bound = min((each for each in written.within if each >= limit.total_seconds()), default=None)
        slow = written.count - written.within[bound] if bound is not None else 0
        if slow >= _SEVERAL and 100 * slow > limits.datastore_slow * written.count:
            yield finding(
                "DEEP006",
                DATASTORE,
                f"took more than {bound:g} s for more than {limits.datastore_slow} % of the API server's writes",
                severity=severity,
                evidence={"writes": written.count, "slow": slow},
            )
            return
