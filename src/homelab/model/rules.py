"""What must hold between hosts: quorum, names, addresses, networks."""

from collections.abc import Iterable, Iterator

from pydantic_core import PydanticCustomError

from homelab.model import chart_rules, nas_rules, native, storage_classes
from homelab.model.base import Base
from homelab.model.cluster import Cluster
from homelab.model.networks import AnyNetwork, overlap
from homelab.model.networks import network as read_network
from homelab.model.problems import Problem
from homelab.model.raw import RawInventory
from homelab.model.seat import Seat


def check_roles(raw: RawInventory, seats: list[Seat]) -> Iterator[Problem]:
    """One role a host, an odd number of servers, and servers where there are agents."""
    for seat in seats:
        if {"k3s_servers", "k3s_agents"} <= set(seat.raw.groups):
            found = f"is also {seat.raw.places[0]}"
            yield Problem(seat.raw.places[1], found, "write it in one: a server runs pods as well")
    servers = [seat for seat in seats if seat.role == "server"]
    place = f"{raw.place}: k3s_servers"
    if not servers and any(seat.role == "agent" for seat in seats):
        yield Problem(place, "no server, but agents need one to join", 'write k3s_servers = [("s1", {...})]')
    count = len(servers)
    if count and count % 2 == 0:
        # etcd needs more than half of its members: of 2 both, of 4 three.
        if count == 2:
            found = "2 servers are worse than 1: the loss of either stops the cluster"
        else:
            found = f"{count} servers survive the loss of {count // 2 - 1}, as {count - 1} do, with one more to lose"
        if any(seat.away for seat in servers):
            found += " (away ones count)"
        yield Problem(place, found, f"write {count - 1} or {count + 1}, further machines as k3s_agents")


def check_unique(seats: list[Seat]) -> Iterator[Problem]:
    """No two hosts of one name, of one address, or reached at one."""
    names: dict[str, Seat] = {}
    addresses: dict[object, Seat] = {}
    reached: dict[object, Seat] = {}
    for seat in seats:
        first = names.setdefault(seat.name, seat)
        if first is not seat:
            yield Problem(seat.place, f"is also the name of {first.place}", "give each host its own name")
        if seat.host is None:
            continue
        address = seat.host.address
        first = addresses.setdefault(address, seat)
        if first is not seat:
            found = f"{address} is also the address of {first.place}"
            yield Problem(f"{seat.place}.address", found, "give each host its own address")
        ssh = seat.host.ssh
        at = str(ssh.get("ssh_hostname") or seat.name)
        first = reached.setdefault((at, str(ssh.get("ssh_port") or 22)), seat)
        if first is not seat and first.name != seat.name:
            yield Problem(f"{seat.place}.ssh_hostname", f"{at} is {first.place} as well", "give each host its own")


def check_storage(seats: list[Seat]) -> Iterator[Problem]:
    """What every NAS is said to keep fits together, and with the home around it."""
    hosts = {seat.name: seat.host.address if seat.host else None for seat in seats}
    networks: dict[str, AnyNetwork | None] = {}
    for seat in seats:
        given = seat.raw.shared.get("networks")
        for name, value in given.value.items() if given and isinstance(given.value, dict) else ():
            # Wrong ones are known by name, so that nobody is sent looking for a typo of it elsewhere.
            try:
                networks[str(name)] = read_network(value)
            except PydanticCustomError:
                networks[str(name)] = None
    around = nas_rules.Around(hosts, networks)
    for seat in seats:
        if seat.written:
            yield from nas_rules.check(seat.written, around)


def check_power(seats: list[Seat]) -> Iterator[Problem]:
    """A host follows one UPS, and what has one of its own follows none."""
    powered = [seat for seat in seats if seat.written and seat.written.nas.ups]
    first: dict[str, Seat] = {}
    for seat in powered:
        assert seat.written and seat.written.nas.ups
        nodes = seat.written.nas.ups.nodes
        if nodes is None and len(powered) > 1:
            found = f"{len(powered)} NAS have a UPS, and nothing says which hosts are at this one"
            yield Problem(seat.written.place("ups"), found, 'write "nodes": the hosts that are, or []')
        for index, name in enumerate(nodes or ()):
            place = seat.written.place("ups", "nodes", index)
            other = first.setdefault(name, seat)
            if other is not seat:
                yield Problem(place, f"{name!r} is at {other.name}'s UPS", "write each host at one UPS")
            elif any(name == each.name for each in powered if each is not seat):
                yield Problem(place, f"{name!r} has a UPS of its own", "leave it out")


def check_networks(seats: list[Seat], cluster: Cluster, base: Base, told: Iterable[Problem]) -> Iterator[Problem]:
    """Pod and service networks that K3s can use and that swallow nothing else; `told` is what is wrong with them as
    they are written."""
    nodes = [seat for seat in seats if seat.role]
    shared = nodes[0].raw.shared
    where = {
        key: shared[key].place if key in shared else f"{nodes[0].place.partition(':')[0]}: {key}"
        for key in ("cluster_cidr", "service_cidr")
    }
    # The default stands in for one that is no network, and nobody wrote that.
    if any(each.place.startswith(place) for each in told for place in where.values()):
        return
    yield from _check_sizes(cluster, where, len(nodes))
    families = [one.version for one in cluster.cluster_cidr]
    if families != [one.version for one in cluster.service_cidr]:
        yield Problem(
            where["service_cidr"],
            "has other IP families than cluster_cidr",
            "write both alike: IPv4, IPv6, or the two in one order",
        )
    elif len(families) > 1:
        # K3s then wants two addresses of each node, and the inventory has one.
        yield Problem(
            where["cluster_cidr"], "dual-stack is not supported yet", "write one network, and one service_cidr"
        )
    for pods in cluster.cluster_cidr:
        for services in cluster.service_cidr:
            if overlap(pods, services):
                found = f"{pods} overlaps service_cidr {services}"
                yield Problem(where["cluster_cidr"], found, "give pods and services networks apart")
    for key, networks in (("cluster_cidr", cluster.cluster_cidr), ("service_cidr", cluster.service_cidr)):
        for network in networks:
            yield from _check_apart(where[key], network, seats, base)
    for seat in nodes:
        if seat.host and seat.host.address.version not in families:
            found = f"{seat.host.address} is IPv{seat.host.address.version}, but the pods' network is not"
            yield Problem(f"{seat.place}.address", found, "write an address of the family of cluster_cidr")


def check_node_ports(seats: list[Seat], cluster: Cluster, base: Base) -> Iterator[Problem]:
    """NodePorts that strangers would reach: the firewall closes K3s's own range to them, and no other."""
    given = next((seat.raw.shared["server_config"] for seat in seats if "server_config" in seat.raw.shared), None)
    for key, ports in native.node_ports(cluster.server_config):
        if given and base.firewall and not native.within_node_ports(ports):
            yield Problem(
                f"{given.place}.{key}",
                f"the firewall closes {native.NODE_PORTS} to strangers, and other NodePorts would be open to them",
                "write a part of that range, or leave it out; or write firewall = False and close them yourself",
            )


def check_charts(seats: list[Seat], cluster: Cluster, raw: RawInventory) -> Iterator[Problem]:
    """Releases of charts that are there, with values that these take, and storage that the NAS can give."""
    nodes = [seat for seat in seats if seat.role and seat.host]
    given = nodes[0].raw.shared.get("charts") if nodes else None
    if given is None:
        return
    keepers = [(seat.host.address, seat.written.nas) for seat in seats if seat.host and seat.written]
    around = chart_rules.Around(
        raw.path.parent.parent / "charts",
        storage_classes.exports(keepers),
        {seat.name: seat.host.address for seat in nodes if seat.host},
    )
    yield from chart_rules.check(chart_rules.right(given.value), given.place, cluster, around)


def _check_apart(place: str, network: AnyNetwork, seats: list[Seat], base: Base) -> Iterator[Problem]:
    for seat in seats:
        if seat.host and seat.host.address in network:
            found = f"{network} holds {seat.name}'s address {seat.host.address}"
            yield Problem(place, found, "write a network no host is in")
    for name, other in base.networks.items():
        if overlap(network, other):
            yield Problem(place, f"{network} overlaps networks.{name} {other}", "write a network nobody else uses")


def _check_sizes(cluster: Cluster, where: dict[str, str], nodes: int) -> Iterator[Problem]:
    for network in cluster.cluster_cidr:
        # Kubernetes gives each node a /24 (IPv6: /64) of it; K3s leaves these defaults.
        share = 24 if network.version == 4 else 64
        if network.prefixlen > share or 2 ** (share - network.prefixlen) < nodes:
            found = f"{network} has no /{share} for each of {nodes} nodes"
            yield Problem(where["cluster_cidr"], found, f"write one of at most /{share - (nodes - 1).bit_length()}")
    for network in cluster.service_cidr:
        # kube-apiserver: "specified --service-cluster-ip-range is too large": at most 20 bits of addresses.
        if network.max_prefixlen - network.prefixlen > 20:
            found = f"{network} is larger than Kubernetes takes"
            yield Problem(where["service_cidr"], found, f"write at least /{network.max_prefixlen - 20}")
