"""The one door: raw inventory in, frozen Home out, or every problem at once."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from homelab.model import native, ssh
from homelab.model.base import Base
from homelab.model.cluster import Cluster
from homelab.model.home import Home
from homelab.model.host import Host, Role
from homelab.model.networks import AnyNetwork, inside, overlap
from homelab.model.problems import InventoryError, Problem, did_you_mean
from homelab.model.raw import GROUPS, Given, RawHost, RawInventory, read
from homelab.model.registries import registries
from homelab.model.strict import refusals

HOST_KEYS = ("address", "interface", "away", "labels", "taints", "server_config", "agent_config")
# Shared keys and the field of Cluster or Base that each fills.
CLUSTER_KEYS = {
    "k3s_version": "version",
    "k3s_token": "token",
    "k3s_agent_token": "agent_token",
    "cluster_cidr": "cluster_cidr",
    "service_cidr": "service_cidr",
    "tls_san": "tls_san",
    "registries": "registries",
    "image_archives": "image_archives",
    "kubeconfig": "kubeconfig",
}
BASE_KEYS = (
    "timezone",
    "ntp_servers",
    "packages",
    "unattended_upgrades",
    "ssh_hardening",
    "firewall",
    "networks",
)
# A host may add to these: its own tuple's are merged over what its groups say.
MERGED_KEYS = ("labels", "taints", "server_config", "agent_config")
SHARED_KEYS = (*CLUSTER_KEYS, *BASE_KEYS, *MERGED_KEYS)
# The native dict of each role.
_CONFIGS: tuple[tuple[str, Role], ...] = (("server_config", "server"), ("agent_config", "agent"))
Shape = TypeVar("Shape", bound=BaseModel)
# Of a later step: known, so that a reader of its documentation is not sent looking for a typo.
LATER_KEYS = ("disks", "pools", "volumes", "shares", "snapshots", "backups", "ups", "alerts", "charts")
# What these hold may be secret, so it is never part of a problem's text.
_UNECHOED = ("k3s_token", "k3s_agent_token", "registries", "server_config", "agent_config")


def load(path: Path, cwd: Path | None = None) -> Home:
    """The home that an inventory file describes. Raise InventoryError with all its problems."""
    return validate(read(path, cwd))


def validate(raw: RawInventory) -> Home:
    """The home that a raw inventory describes. Raise InventoryError with all its problems."""
    problems = list(raw.problems)
    if not raw.hosts:
        problems.append(Problem(raw.place, "no hosts", f'write {GROUPS[0]} = [("s1", {{"address": ...}})]'))
    seats = [_Seat(raw_host) for raw_host in raw.hosts]
    for seat in seats:
        problems += _check_keys(seat)
        problems += seat.build()
    problems += _check_roles(raw, seats)
    problems += _check_unique(seats)
    cluster = None
    nodes = [seat for seat in seats if seat.role]
    if nodes:
        cluster, found = _cluster(nodes, raw)
        problems += found
    base, found = _base(seats)
    problems += found
    problems += _check_networks(seats, nodes, cluster, base)
    if problems:
        raise InventoryError(dict.fromkeys(problems))
    return Home(
        environment=raw.environment,
        hosts=tuple(seat.host for seat in seats if seat.host),
        cluster=cluster,
        base=base,
    )


class _Seat:
    """A raw host on its way to become a Host."""

    def __init__(self, raw: RawHost) -> None:
        self.raw = raw
        self.role: Role | None = None
        if "k3s_servers" in raw.groups:
            self.role = "server"
        elif "k3s_agents" in raw.groups:
            self.role = "agent"
        self.place = raw.places[0]
        # "@fake/s1" rehearses s1.
        self.name = raw.name.removeprefix("@fake/")
        self.host: Host | None = None

    def own(self, key: str) -> object:
        given = self.raw.own.get(key)
        return None if given is None else given.value

    def merged(self, key: str) -> object:
        """Own labels or taints over the groups' ones."""
        own, shared = self.raw.own.get(key), self.raw.shared.get(key)
        if own is None or shared is None:
            given = own or shared
            return None if given is None else given.value
        if isinstance(own.value, dict) and isinstance(shared.value, dict):
            return {**shared.value, **own.value}
        if isinstance(own.value, list | tuple) and isinstance(shared.value, list | tuple):
            return tuple(dict.fromkeys((*shared.value, *own.value)))
        return own.value

    def placed(self, key: str) -> str:
        given = self.raw.own.get(key) or self.raw.shared.get(key)
        return f"{self.place}.{key}" if given is None else given.place

    def build(self) -> Iterator[Problem]:
        """Make the Host, or say why not."""
        values: dict[str, object] = {"name": self.name, "inventory_name": self.raw.name, "role": self.role}
        values["nas"] = "nas" in self.raw.groups
        values["ssh"] = {
            key: given.value for key, given in (*self.raw.shared.items(), *self.raw.own.items()) if key in ssh.SSH_KEYS
        }
        for key in ("interface", "away", "server_config", "agent_config"):
            if key in self.raw.own:
                values[key] = self.own(key)
        for key in ("labels", "taints"):
            value = self.merged(key)
            if value is not None:
                values[key] = value
        address = self.own("address")
        if "address" not in self.raw.own:
            address = self.raw.data.get("ssh_hostname")
            if address is None:
                missing = 'write "address": its IP address in the LAN'
                yield Problem(f"{self.place}.address", "is missing", missing)
            elif isinstance(address, str) and not _is_address(address):
                yield Problem(
                    f"{self.place}.address",
                    f"is missing, and ssh_hostname {address!r} is a name",
                    'write "address": its IP address in the LAN',
                )
                address = None
        if address is not None:
            values["address"] = address
        host, found = _model(Host, values, self._where)
        for problem in found:
            # A missing address has been said above, with the reason.
            if address is not None or not problem.place.endswith(".address"):
                yield problem
        self.host = host

    def _where(self, location: tuple[str | int, ...]) -> str:
        key = str(location[0])
        if key == "name":
            return self.place
        place = f"{self.place}.address" if key == "address" else self.placed(key)
        return place + _below(location[1:])


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _below(location: Iterable[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)


def _model(
    shape: type[Shape], values: Mapping[str, object], where: Callable[[tuple[str | int, ...]], str]
) -> tuple[Shape | None, list[Problem]]:
    try:
        return shape.model_validate(values), []
    except ValidationError as error:
        return None, [Problem(where(at), found, remedy) for at, found, remedy in refusals(error)]


def _check_keys(seat: _Seat) -> Iterator[Problem]:
    """Keys that nobody reads, keys in the wrong place, and what is wrong with native and SSH keys."""
    known = (*HOST_KEYS, *SHARED_KEYS, *ssh.SSH_KEYS)
    fake = seat.raw.name.startswith("@fake")
    for key, given in (*seat.raw.own.items(), *seat.raw.shared.items()):
        mine = given.place.startswith(f"{seat.place}.") or key in seat.raw.own
        if key in ssh.FAKE_KEYS:
            if not fake:
                yield Problem(given.place, "is for pyinfra's @fake hosts", "leave it out")
        elif key in ssh.SSH_KEYS:
            continue
        elif key in LATER_KEYS:
            yield Problem(given.place, "not supported yet", "leave it out until the NAS step brings it")
        elif key.startswith("_"):
            yield from _check_argument(key, given)
        elif key not in known:
            remedy = did_you_mean(key, known, "inventory/README.md lists the keys; a helper's name starts with _")
            yield Problem(given.place, "unknown key", remedy)
        elif mine and given is seat.raw.own.get(key) and key not in HOST_KEYS:
            yield Problem(given.place, "is the same for all hosts", f"write {key} in group_data")
        elif given is seat.raw.shared.get(key) and key not in SHARED_KEYS:
            yield Problem(given.place, "is one host's own", "write it in that host's tuple")
    connection = {k: g for k, g in (*seat.raw.shared.items(), *seat.raw.own.items()) if k in ssh.SSH_KEYS}
    for key, found, remedy in ssh.check({k: g.value for k, g in connection.items()}):
        name, dot, rest = key.partition(".")
        yield Problem(connection[name].place + dot + rest, found, remedy)
    yield from _check_native(seat)
    if seat.raw.name.startswith("@") and not seat.raw.name.startswith("@fake/"):
        yield Problem(seat.place, "only SSH hosts and @fake ones are supported yet", 'write a plain name, "s1"')


def _check_argument(key: str, given: Given) -> Iterator[Problem]:
    if key.endswith("_password") and key in ssh.ARGUMENTS:
        yield Problem(given.place, "a secret in clear", "run pyinfra with --use-sudo-password")
    elif key in ssh.ARGUMENTS:
        yield Problem(given.place, "would change every operation", "leave it out: the deploys choose how to run")


def _check_native(seat: _Seat) -> Iterator[Problem]:
    """A host's own server_config or agent_config."""
    for key, role in _CONFIGS:
        given = seat.raw.own.get(key)
        if given is None:
            continue
        if seat.role != role:
            what = f"a K3s {seat.role}" if seat.role else "no K3s node"
            remedy = f"write {seat.role}_config" if seat.role else "leave it out"
            yield Problem(given.place, f"this host is {what}", remedy)
        elif isinstance(given.value, dict):
            checked = native.check(given.value, role, of_one_host=True)
            for name, found, remedy in checked:
                yield Problem(f"{given.place}.{name}", found, remedy)


def _check_roles(raw: RawInventory, seats: list[_Seat]) -> Iterator[Problem]:
    for seat in seats:
        if {"k3s_servers", "k3s_agents"} <= set(seat.raw.groups):
            yield Problem(
                seat.raw.places[1], f"is also {seat.raw.places[0]}", "write it in one: a server runs pods as well"
            )
    servers = [seat for seat in seats if seat.role == "server"]
    agents = [seat for seat in seats if seat.role == "agent"]
    if agents and not servers:
        yield Problem(
            f"{raw.place}: k3s_servers", "no server, but agents need one to join", 'write k3s_servers = [("s1", {...})]'
        )
    if servers and len(servers) % 2 == 0:
        count = len(servers)
        lost = (count - 1) // 2
        why = f"{count} servers survive the loss of {lost or 'none'}"
        less = (
            f"as {count - 1} do" if count > 2 else "so either one's loss stops the cluster, where 1 has one such host"
        )
        away = " (away ones count)" if any(seat.own("away") is True for seat in servers) else ""
        yield Problem(
            f"{raw.place}: k3s_servers",
            f"{why}, {less}{away}",
            f"write {count - 1} or {count + 1}, and the others as k3s_agents",
        )


def _check_unique(seats: list[_Seat]) -> Iterator[Problem]:
    names: dict[str, _Seat] = {}
    addresses: dict[object, _Seat] = {}
    for seat in seats:
        first = names.setdefault(seat.name, seat)
        if first is not seat:
            yield Problem(seat.place, f"is also the name of {first.place}", "give each host its own name")
        if seat.host is None:
            continue
        first = addresses.setdefault(seat.host.address, seat)
        if first is not seat:
            yield Problem(
                f"{seat.place}.address",
                f"{seat.host.address} is also the address of {first.place}",
                "give each host its own address",
            )


_MISSING = object()


def _agreed(seats: list[_Seat], keys: Iterable[str]) -> tuple[dict[str, Given], list[Problem]]:
    """The shared values that the seats agree on, and a problem naming both places where they do not."""
    agreed: dict[str, Given] = {}
    problems = []
    for key in keys:
        first = seats[0].raw.shared.get(key) if seats else None
        for seat in seats[1:]:
            other = seat.raw.shared.get(key)
            if (first.value if first else _MISSING) == (other.value if other else _MISSING):
                continue
            given, without = (other, seats[0]) if other else (first, seat)
            assert given is not None
            found = f"differs from {first.place}" if first and other else f"is not given for {without.name}"
            problems.append(Problem(given.place, f"{found}, but it is one for all", "write it once, in all.py"))
            break
        if first:
            agreed[key] = first
    return agreed, problems


def _cluster(nodes: list[_Seat], raw: RawInventory) -> tuple[Cluster | None, list[Problem]]:
    agreed, problems = _agreed(nodes, CLUSTER_KEYS)
    for key, role in _CONFIGS:
        of_role = [seat for seat in nodes if seat.role == role]
        found, differing = _agreed(of_role, (key,))
        problems += differing
        for given in found.values():
            agreed[key] = given
            if isinstance(given.value, dict):
                checked = native.check(given.value, role, of_one_host=False)
                problems += [Problem(f"{given.place}.{name}", what, remedy) for name, what, remedy in checked]
    values = {CLUSTER_KEYS.get(key, key): given.value for key, given in agreed.items()}
    keys = {field: key for key, field in CLUSTER_KEYS.items()}
    if "k3s_version" not in agreed:
        place = f"{raw.path.parent.name}/group_data/all.py: k3s_version"
        problems.append(Problem(place, "is missing", 'write k3s_version = "v1.34.9+k3s1", a release\'s whole tag'))
        values["version"] = "v1.0.0+k3s1"
    held = agreed.get("registries")
    if held and isinstance(held.value, dict):
        values["registries"], wrong = registries(held.value)
        problems += [Problem(f"{held.place}{at}", what, remedy) for at, what, remedy in wrong]

    def where(location: tuple[str | int, ...]) -> str:
        key = keys.get(str(location[0]), str(location[0]))
        return agreed[key].place + _below(location[1:])

    cluster, found_problems = _model(Cluster, values, where)
    problems += [_muted(problem, agreed) for problem in found_problems]
    return cluster, problems


def _base(seats: list[_Seat]) -> tuple[Base, list[Problem]]:
    agreed, problems = _agreed(seats, BASE_KEYS)
    values = {key: given.value for key, given in agreed.items()}
    base, found = _model(Base, values, lambda at: agreed[str(at[0])].place + _below(at[1:]))
    return base or Base(), problems + found


def _muted(problem: Problem, agreed: Mapping[str, Given]) -> Problem:
    """A problem without the value, where that may be a secret."""
    for key in _UNECHOED:
        if key in agreed and problem.place.startswith(agreed[key].place) and "wrong type" in problem.found:
            return Problem(problem.place, "is of the wrong type", problem.remedy)
    return problem


def _check_networks(seats: list[_Seat], nodes: list[_Seat], cluster: Cluster | None, base: Base) -> Iterator[Problem]:
    """Pod and service networks that would swallow each other, a host or a named network."""
    if cluster is None:
        return
    shared = nodes[0].raw.shared
    named: list[tuple[str, str, AnyNetwork]] = []
    for key in ("cluster_cidr", "service_cidr"):
        place = shared[key].place if key in shared else f"{nodes[0].place.partition(':')[0]}: {key}"
        named += [(key, place, one) for one in getattr(cluster, key)]
    for key, place, one in named:
        for other_key, _, other in named:
            if key < other_key and overlap(one, other):
                yield Problem(place, f"{one} overlaps {other_key} {other}", "give pods and services networks apart")
        for seat in seats:
            if seat.host and inside(seat.host.address, (one,)):
                yield Problem(
                    place, f"{one} holds {seat.name}'s address {seat.host.address}", "write a network no host is in"
                )
        for name, other in base.networks.items():
            if overlap(one, other):
                yield Problem(place, f"{one} overlaps networks.{name} {other}", "write a network nobody else uses")
