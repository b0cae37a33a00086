"""From the inventory, the hosts as they are and the cluster as it is to the order in which nodes are started.

Pure: the same input gives the same plan, and nothing here knows how a step is carried out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from homelab.k3s import config, paths
from homelab.k3s.node import Node
from homelab.model import Cluster, Home, Host, Problem
from homelab.model.native import CLUSTER_WIDE
from homelab.probe import HostProbe
from homelab.yaml_compat import UNREADABLE

# What a cluster keeps from its first start (K3s documentation, "server" flags; facts/k3s.md 2.6). A changed
# flannel-backend or secrets-encryption needs more than a restart, so it waits for a verb of its own.
FIXED = (
    "cluster-cidr",
    "service-cidr",
    "cluster-dns",
    "cluster-domain",
    "flannel-backend",
    "secrets-encryption",
    "node-name",
    "node-ip",
)


# From this minor on the kubelet does not start on cgroup v1 unless told to (kubernetes/enhancements KEP-5573).
_CGROUP_V2_ONLY = 35


@dataclass(frozen=True)
class Step:
    """One node's turn. `via` is the server through which it joins; `forget` says that the cluster still has a Node of a
    machine that was wiped, which has to go first; `because` is for the person who reads the plan."""

    kind: Literal["revive", "initialise", "join", "restart"]
    host: Host
    via: Host | None = None
    forget: bool = False
    because: str = ""

    @property
    def joins(self) -> bool:
        """Whether the node comes new to its cluster, and so needs a token."""
        return self.kind in ("initialise", "join")


@dataclass(frozen=True)
class Plan:
    """Revive together, then one server after another, then the agents together. `first` answers for the cluster."""

    revive: tuple[Step, ...] = ()
    servers: tuple[Step, ...] = ()
    agents: tuple[Step, ...] = ()
    first: Host | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.revive + self.servers + self.agents

    def of(self, host: Host | None) -> Step | None:
        """A node's turn; None when it has none."""
        return next((step for step in self.steps if step.host == host), None)

    @property
    def joins(self) -> bool:
        """Whether some node needs a token."""
        return any(step.joins for step in self.steps)


def told(steps: tuple[Step, ...]) -> str:
    """Steps that are taken together, in one line: `a1, a2: through s1; a3: it is not running`."""
    reasons = dict.fromkeys(step.because for step in steps)
    groups = {why: [step.host.name for step in steps if step.because == why] for why in reasons}
    return "; ".join(f"{', '.join(names)}: {why}" for why, names in groups.items())


def member(probe: HostProbe) -> bool:
    """Whether a server holds its share of a cluster's data."""
    return probe.etcd_data or probe.sqlite_data


def joined(host: Host, probe: HostProbe) -> bool:
    """Whether a host belongs to a cluster already. An agent's password is what the cluster knows it by.

    Upstream's uninstall script leaves the password behind, so an agent needs its token and its server too.
    """
    if host.role == "server":
        return member(probe)
    return probe.node_password and {paths.TOKEN, paths.JOIN} <= probe.files.keys()


def begins(host: Host, probe: HostProbe) -> bool:
    """Whether a server was told to begin a cluster and has no data yet, and is at it: a slow disk, or a killed run.

    One that fails is at it too: systemd starts it again every few seconds.
    """
    text, unit = probe.text.get(paths.JOIN), probe.unit(paths.SERVER_UNIT)
    at_it = unit.running or unit.active == "activating"
    return at_it and not member(probe) and text is not None and config.joined_through(text) is None


def drift(probe: HostProbe, wanted: Mapping[str, str]) -> list[str]:
    """The paths in which the running K3s differs from what it should have been started with."""
    return sorted(
        path for path in {*probe.k3s_started, *wanted} if probe.k3s_started.get(path, "") != wanted.get(path, "")
    )


def restarts(step: Step, probe: HostProbe, wanted: Mapping[str, str]) -> bool:
    """Whether a node that runs has to start anew in its turn: a start that is still to join knows one server only."""
    if not probe.unit(paths.unit(step.host.role or "")).running:
        return False
    elsewhere = step.joins and probe.text.get(paths.JOIN) != config.join(step.via).content
    return elsewhere or bool(drift(probe, wanted))


def plan(
    home: Home,
    probes: Mapping[str, HostProbe],
    nodes: Mapping[str, Node] | None,
    wanted: Mapping[str, Mapping[str, str]],
) -> Plan:
    """The order of starts. `nodes` is None when no API answered; `wanted` gives SHA-256 by path by host name.

    Call it after `refusals` found nothing.
    """
    here = [host for host in home.servers + home.agents if host.name in probes]
    servers = [host for host in here if host.role == "server"]
    agents = [host for host in here if host.role == "agent"]
    members = [host for host in servers if member(probes[host.name])]
    known = nodes or {}

    def stale(host: Host) -> bool:
        return host.name in known and not joined(host, probes[host.name]) and not lives(host)

    def lives(host: Host) -> bool:
        """An agent that the cluster knows by its password, whatever file it lacks: with its Node its pods would go."""
        told = host.role == "agent" and known[host.name].ready and str(host.address) in known[host.name].addresses
        return told and running(host) and probes[host.name].node_password

    def running(host: Host) -> bool:
        return probes[host.name].unit(paths.unit(host.role or "")).running

    def serving(host: Host) -> bool:
        return running(host) and probes[host.name].unit(paths.SERVER_UNIT).active == "active"

    def changed(host: Host) -> str:
        return ", ".join(drift(probes[host.name], wanted[host.name]))

    def differs(host: Host) -> bool:
        return paths.CONFIG in drift(probes[host.name], wanted[host.name]) and _shared_differs(home, host, probes)

    # All members that are down start together: one alone of three would wait for the others for ever. So does one
    # that runs and cannot come up as it was started.
    revive = [Step("revive", host, because="it is not running") for host in members if not running(host)]
    revive += [
        Step("revive", host, because=f"it does not come up, and {what} changed")
        for host in members
        if running(host) and not serving(host) and (what := changed(host))
    ]
    first = min(members, key=lambda host: not serving(host), default=None)
    newcomers = [host for host in servers if host not in members]
    if first is None:
        newcomers.sort(key=lambda host: not begins(host, probes[host.name]))
    joins: list[Step] = []
    for host in newcomers:
        if first is None:
            joins.append(Step("initialise", host, because="no server has a cluster yet"))
            first = host
        else:
            joins.append(Step("join", host, via=first, forget=stale(host), because=f"through {first.name}"))
    restarts = [
        Step("restart", host, because=f"{what} changed")
        for host in members
        if serving(host) and (what := changed(host))
    ]
    # A server joins only where what all servers share is as it has it, so that takes effect first. All else waits: a
    # join may bring back the majority that a restart needs.
    early = [step for step in restarts if joins and differs(step.host)]
    serial = early + joins + [step for step in restarts if step not in early]
    rest: list[Step] = []
    for host in agents:
        if not joined(host, probes[host.name]):
            because = f"through {first.name}" if first else ""
            rest.append(Step("join", host, via=first, forget=stale(host), because=because))
        elif not running(host):
            rest.append(Step("revive", host, because="it is not running"))
        elif what := changed(host):
            rest.append(Step("restart", host, because=f"{what} changed"))
    return Plan(tuple(revive), tuple(serial), tuple(rest), first=first)


def _shared_differs(home: Home, host: Host, probes: Mapping[str, HostProbe]) -> bool:
    """Whether a server's changed config.yaml changes what all servers share; taken as so when it cannot be known."""
    before, after = _configured(probes[host.name]), config.settings(home, host)
    if before in ({}, after):  # laid already, and not what the process was started with
        return True
    return any(before.get(key) != after.get(key) for key in {*before, *after} if key.rstrip("+") in CLUSTER_WIDE)


def refusals(home: Home, probes: Mapping[str, HostProbe], nodes: Mapping[str, Node] | None) -> list[Problem]:
    """Every reason not to begin, all hosts together; empty when the plan may be carried out."""
    cluster = home.cluster
    if cluster is None:
        return []
    here = [host for host in home.servers + home.agents if host.name in probes]
    problems: list[Problem] = []
    for host in here:
        problems += _of_host(home, cluster, host, probes[host.name], nodes)
    problems += _of_cluster(home, here, probes, nodes)
    return problems


def _of_host(
    home: Home, cluster: Cluster, host: Host, probe: HostProbe, nodes: Mapping[str, Node] | None
) -> list[Problem]:
    problems = []
    role = host.role or ""
    other = "agent" if role == "server" else "server"
    foreign = probe.text.get(paths.unit_file(role))
    if foreign is not None and not foreign.startswith("# Written by homelab"):
        problems.append(
            Problem(
                host.name,
                f"its K3s was installed by something else ({paths.unit_file(role)})",
                "taking over such a cluster is not supported yet; leave this host out or remove that K3s",
            )
        )
        return problems
    if probe.unit(paths.unit(other)).load != "not-found" or (role == "agent" and member(probe)):
        problems.append(
            Problem(
                host.name,
                f"it is a K3s {other} and the inventory says {role}",
                f"changing a node's role is not supported yet; put it back, or run {paths.uninstall(other)} there",
            )
        )
    mine = joined(host, probe)
    # The binary may be gone, or a killed run have replaced it: what the cluster sees running counts as well.
    running = nodes[host.name].version if nodes and host.name in nodes else ""
    for version in dict.fromkeys((probe.k3s_version, running)):
        if mine and version and version != cluster.version:
            problems.append(
                Problem(
                    host.name,
                    f"it has K3s {version} and the inventory says {cluster.version}",
                    f'changing the version is not supported yet; write k3s_version = "{version}"',
                )
            )
    if role == "server" and paths.ESTABLISHED in probe.files and not member(probe):
        problems.append(
            Problem(
                host.name,
                f"it belonged to the cluster and its data in {paths.DATA} is gone",
                f"mount that disk; or, if it is lost, run {paths.uninstall(role)} there and deploy again to rejoin",
            )
        )
    lost = [path for path in (paths.TOKEN, paths.AGENT_TOKEN) if path not in probe.files or not probe.files[path].size]
    if role == "server" and member(probe) and lost:
        problems.append(
            Problem(
                host.name,
                f"it has its share of the cluster, and {' and '.join(lost)} is gone or empty",
                "put the cluster's token back there (0600) from the recovery kit or another server",
            )
        )
    if probe.cgroup == "v1" and int(cluster.version.split(".")[1]) >= _CGROUP_V2_ONLY:
        settings = config.settings(home, host)
        given = [settings.get(key, ()) for key in ("kubelet-arg", "kubelet-arg+")]
        if not any("fail-cgroupv1=false" in ([each] if isinstance(each, str) else each) for each in given):
            problems.append(
                Problem(
                    host.name,
                    f"it has cgroup v1, and K3s {cluster.version} does not start on it",
                    f'boot it with cgroup v2, or write {role}_config = {{"kubelet-arg": ["fail-cgroupv1=false"]}}',
                )
            )
    if probe.sqlite_data and not probe.etcd_data:
        problems.append(
            Problem(
                host.name,
                "its cluster is kept in SQLite",
                "moving it to etcd is not supported yet; leave this host out",
            )
        )
    if mine:
        problems += _changed_for_good(home, host, probe)
    port = probe.listening.get(6443)
    if role == "server" and port is not None and not probe.unit(paths.SERVER_UNIT).running:
        problems.append(
            Problem(host.name, f"port 6443 is taken by {port or 'another process'}", "stop that, K3s needs this port")
        )
    return problems


def _configured(probe: HostProbe) -> dict[str, Any]:
    """The config.yaml that a host has; empty when there is none or it cannot be read."""
    try:
        values = yaml.safe_load(probe.text.get(paths.CONFIG, ""))
    except UNREADABLE:
        return {}
    return values if isinstance(values, dict) else {}


def _changed_for_good(home: Home, host: Host, probe: HostProbe) -> list[Problem]:
    before, after = _configured(probe), config.settings(home, host)
    return [
        Problem(
            host.name,
            f"{key} would change from {before.get(key)!r} to {after.get(key)!r}",
            "a running cluster keeps it; put it back in the inventory",
        )
        for key in FIXED
        if before and before.get(key) != after.get(key)
    ]


def _of_cluster(
    home: Home, here: list[Host], probes: Mapping[str, HostProbe], nodes: Mapping[str, Node] | None
) -> list[Problem]:
    problems = []
    servers = [host for host in here if host.role == "server"]
    members = [host for host in servers if member(probes[host.name])]
    unseen = [host for host in home.servers if host.name not in probes]
    newcomers = [host for host in here if not joined(host, probes[host.name])]

    authorities = {probes[host.name].text.get(paths.SERVER_CA, "") for host in members} - {""}
    if len(authorities) > 1:
        problems.append(
            Problem(
                ", ".join(host.name for host in members),
                "they hold the data of different clusters",
                "find out which one is yours, and uninstall K3s from the others",
            )
        )
    if not servers:
        problems.append(
            Problem(
                ", ".join(host.name for host in here),
                "no server is among the selected hosts, and agents are proven through one",
                f"select one too: --limit {home.servers[0].name}",
            )
        )
    elif newcomers and not members:
        names = ", ".join(host.name for host in unseen)
        if unseen:
            problems.append(
                Problem(
                    names,
                    "away or not selected, and may hold the cluster that the others would have to join",
                    "deploy with at least one server that has it, or take the dead ones out of the inventory",
                )
            )
    beginning = [host for host in servers if begins(host, probes[host.name])]
    if len(beginning) + bool(members) > 1:
        problems.append(
            Problem(
                ", ".join(host.name for host in beginning),
                "it is beginning a cluster beside another one",
                f"run {paths.KILLALL} there and deploy again",
            )
        )
    if nodes is None:
        if members and len(members) <= len(unseen):
            problems.append(
                Problem(
                    ", ".join(host.name for host in unseen),
                    f"away or not selected, and {len(members)} of {len(members) + len(unseen)} servers whose API does "
                    "not answer cannot come up alone",
                    "bring one of them back, or select it",
                )
            )
        return problems
    mine = {host.name for host in home.servers + home.agents}
    for name in sorted(nodes.keys() - mine):
        problems.append(
            Problem(
                name,
                "the cluster has this node and the inventory lacks it",
                "removing nodes is not supported yet; add it to the inventory (with away: True if it is dead)",
            )
        )
    for host in newcomers:
        node = nodes.get(host.name)
        if node is not None and node.ready and str(host.address) not in node.addresses:
            problems.append(
                Problem(
                    host.name,
                    f"the cluster has a Ready node of this name at {', '.join(node.addresses)}, another machine",
                    "give this host a name of its own, or correct its address",
                )
            )
    problems += _quorum(probes, nodes)
    return problems


def _quorum(probes: Mapping[str, HostProbe], nodes: Mapping[str, Node]) -> list[Problem]:
    voters = [node for node in nodes.values() if node.etcd]

    def lives(node: Node) -> bool:
        probe = probes.get(node.name)
        return member(probe) if probe is not None else node.ready

    living = [node for node in voters if lives(node)]
    # A cluster that has just begun has no Node yet.
    if voters and len(living) * 2 <= len(voters):
        dead = ", ".join(node.name for node in voters if node not in living)
        return [
            Problem(
                dead,
                f"only {len(living)} of {len(voters)} etcd members are left, which is no quorum",
                "bring one of them back; restoring from a snapshot is not supported yet",
            )
        ]
    return []


def restart_refusals(
    home: Home, plan: Plan, nodes: Mapping[str, Node] | None, probes: Mapping[str, HostProbe]
) -> list[Problem]:
    """Restarts that would leave less than a majority of etcd members, one server being the exception: it has none."""
    if nodes is None:
        # Nobody could be asked who is a member, or lives: what is not here may be one, and may be dead.
        voters = {host.name for host in home.servers if host.name not in probes or member(probes[host.name])}
        down = voters - probes.keys()
    else:
        voters = {name for name, node in nodes.items() if node.etcd}
        # Members that are here run by now: those that did not are revived first.
        down = {name for name in voters if not (member(probes[name]) if name in probes else nodes[name].ready)}
    for step in plan.servers:
        if step.kind != "restart":
            voters, down = voters | {step.host.name}, down - {step.host.name}
        elif len(voters) > 1 and (len(voters - down) - 1) * 2 <= len(voters):
            missing = ", ".join(sorted(down)) or "one of two servers"
            return [
                Problem(
                    step.host.name,
                    f"restarting it for {step.because} would lose quorum: {missing} is missing",
                    "bring that one back first, with the settings as they were",
                )
            ]
    return []


def partial_refusals(home: Home, plan: Plan, probes: Mapping[str, HostProbe]) -> list[Problem]:
    """Turns of servers in a run that was not given all servers: another run could take the others' at the same time."""
    left_out = [host.name for host in home.servers if host.name not in probes and not host.away]
    if not left_out or not (plan.servers or plan.revive):
        return []
    turns = ", ".join(step.host.name for step in plan.revive + plan.servers)
    return [
        Problem(
            turns,
            f"a server would start while this run does not hold {', '.join(left_out)}",
            "servers take turns within one run; leave out --limit and --exclude",
        )
    ]


def partial_warnings(home: Home, plan: Plan, probes: Mapping[str, HostProbe]) -> list[Problem]:
    """Agents that join in a run that was not given all nodes: a new one is a stranger to the others' firewalls."""
    nodes = home.servers + home.agents
    left_out = [host.name for host in nodes if host.name not in probes and not host.away]
    joining = [step.host.name for step in plan.agents if step.kind == "join"]
    if not (home.base.firewall and left_out and joining):
        return []
    return [
        Problem(
            ", ".join(joining),
            f"joins while this run does not hold {', '.join(left_out)}, whose firewalls know no new node",
            "run deploys/base.py without --limit and --exclude; until then its pods do not reach theirs",
        )
    ]


def rejoin(home: Home, host: Host, text: str | None) -> Host | None:
    """The server that a joined node's join file should name, None for the file as it is.

    It matters when the node is wiped: a file that still began a cluster would begin a second one. It stays as long as
    it names another server of the inventory, so that a server that goes away changes nothing.
    """
    others = [server for server in home.servers if server != host]
    named = config.joined_through(text) if text else None
    if not others or any(named == config.url(server) for server in others):
        return None
    return next((server for server in others if not server.away), others[0])
