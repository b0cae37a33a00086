"""A home that lives in a test: hosts with packages and boots, nodes, pods that are evicted and come back elsewhere.

Time passes only when somebody sleeps. What a drain meets of the API is as Kubernetes answers: 429 with the budget's
reason, 404 of a pod that is gone, 409 of another resource version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from homelab.health import Report, Snapshot
from homelab.health.codes import finding
from homelab.health.report import Ref
from homelab.model import Cluster as Described
from homelab.model import Home, Host
from homelab.patch.cluster import Cluster, Reply
from homelab.patch.hosts import Package, Seen
from homelab.patch.order import MARK
from homelab.patch.pace import Pace
from homelab.patch.rolling import HostError, Rolling
from homelab.patch.summary import Summary

VERSION = "v1.35.6+k3s1"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def home(*, servers: int = 3, agents: int = 1, nas: bool = False, away: Sequence[str] = ()) -> Home:
    """A home of servers s1.., agents a1.. and a NAS."""
    hosts = [Host(name=f"s{n}", role="server", address=f"192.0.2.1{n}") for n in range(1, servers + 1)]
    hosts += [Host(name=f"a{n}", role="agent", address=f"192.0.2.2{n}") for n in range(1, agents + 1)]
    if nas:
        hosts.insert(0, Host(name="nas", nas=True, address="192.0.2.31"))
    hosts = [host.model_copy(update={"away": host.name in away}) for host in hosts]
    return Home(environment="home", hosts=tuple(hosts), cluster=Described(version=VERSION) if servers else None)


@dataclass
class Machine:
    """A host. `fails` is what an act on it says instead of doing it; `boots` after how many sleeps it is back, None
    never."""

    seen: Seen
    fails: dict[str, str] = field(default_factory=dict)
    boots: int | None = 2
    down: bool = False
    after: Seen | None = None


@dataclass
class World:
    """`log` has what was done, in its order; `least` the fewest ready pods that each workload had at any time."""

    home: Home
    machines: dict[str, Machine] = field(default_factory=dict)
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: list[dict[str, Any]] = field(default_factory=list)
    wanted: dict[str, int] = field(default_factory=dict)
    budgets: dict[str, int] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    least: dict[str, int] = field(default_factory=dict)
    critical: list[Any] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    now: float = 0.0
    stops_at: str = ""
    own: str = ""

    def __post_init__(self) -> None:
        self._numbers = count(1)
        self._coming: dict[str, int] = {}
        self.asked_to_stop = False
        for host in self.home.hosts:
            boot = Seen(boot=f"{host.name}-1", kernel="6.1", reboot=True, because=("linux-image",), unit="active")
            self.machines[host.name] = Machine(
                replace(boot, packages=(Package("tool", "1", "2"),), mounts=frozenset({"/"}), started=EPOCH)
            )
            if host.role:
                self.nodes[host.name] = {
                    "metadata": {"name": host.name, "resourceVersion": "1", "annotations": {}, "labels": {}},
                    "spec": {},
                    "ready": not host.away,
                }
                if host.role == "server":
                    self.nodes[host.name]["metadata"]["labels"]["node-role.kubernetes.io/etcd"] = "true"

    # What it holds
    #

    def workload(self, name: str, *nodes: str, kind: str = "ReplicaSet", budget: int = 0) -> None:
        """Pods of one workload, one on each node that is named."""
        self.wanted[name] = len(nodes)
        if budget:
            self.budgets[name] = budget
        for node in nodes:
            self._pod(name, node, kind, ready=True)

    def _pod(self, owner: str, node: str, kind: str, *, ready: bool) -> None:
        name = f"{owner}-{next(self._numbers)}"
        references = [{"kind": kind, "uid": owner, "controller": True}] if kind else []
        self.pods.append(
            {
                "metadata": {"namespace": "default", "name": name, "uid": name, "ownerReferences": references},
                "spec": {"nodeName": node},
                "status": {
                    "phase": "Running",
                    "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
                },
                "age": 0,
            }
        )

    def on(self, node: str) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.pods if pod["spec"]["nodeName"] == node]

    def ready_of(self, owner: str) -> int:
        return sum(
            pod["status"]["conditions"][0]["status"] == "True" and "deletionTimestamp" not in pod["metadata"]
            for pod in self.pods
            if any(each["uid"] == owner for each in pod["metadata"]["ownerReferences"])
        )

    def cordoned(self, name: str, when: datetime) -> None:
        """A node takes no pods, as its controller has it from then on."""
        taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
        taint["timeAdded"] = f"{when:%Y-%m-%dT%H:%M:%SZ}"
        self.nodes[name]["spec"] = {"unschedulable": True, "taints": [taint]}

    def open(self) -> list[str]:
        """The nodes that take pods."""
        return [name for name, node in self.nodes.items() if node["ready"] and not node["spec"].get("unschedulable")]

    # Time
    #

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for name, left in list(self._coming.items()):
            self._coming[name] = left - 1
            if left <= 1:
                del self._coming[name]
                self._boot(name)
        self._settle()
        self.note()

    def note(self) -> None:
        for owner in self.wanted:
            self.least[owner] = min(self.least.get(owner, 99), self.ready_of(owner))

    def _settle(self) -> None:
        """Pods that were told to go are gone, missing ones are made, and those that are on a node get ready."""
        for pod in list(self.pods):
            if "deletionTimestamp" in pod["metadata"]:
                self.pods.remove(pod)
            elif pod["spec"]["nodeName"] and self.nodes[pod["spec"]["nodeName"]]["ready"]:
                pod["age"] += 1
                if pod["age"] >= 2:
                    pod["status"]["conditions"][0]["status"] = "True"
        for owner, wanted in self.wanted.items():
            have = [p for p in self.pods if any(r["uid"] == owner for r in p["metadata"]["ownerReferences"])]
            for pod in have:
                if not pod["spec"]["nodeName"] and self.open():
                    pod["spec"]["nodeName"] = self.open()[-1]
            for _ in range(wanted - len(have)):
                self._pod(owner, (self.open() or [""])[-1], "ReplicaSet", ready=False)

    def _boot(self, name: str) -> None:
        machine = self.machines[name]
        machine.down = False
        number = int(machine.seen.boot.rpartition("-")[2]) + 1
        booted = replace(machine.seen, boot=f"{name}-{number}", reboot=False, because=(), kernel="6.2")
        machine.seen = machine.after or replace(booted, started=EPOCH + timedelta(seconds=self.now))
        if name in self.nodes:
            self.nodes[name]["ready"] = True

    # The hosts
    #

    def look(self, names: Sequence[str], lists: str) -> Mapping[str, Seen | HostError]:
        if lists != "none":
            self.log.append(f"look {lists}")
        found: dict[str, Seen | HostError] = {}
        for name in names:
            machine = self.machines[name]
            error = machine.fails.get("look", "connect to host port 22: No route to host" if machine.down else "")
            found[name] = HostError(error, unreachable=True) if error else machine.seen
        return found

    def upgrade(self, name: str) -> None:
        self._act("upgrade", name)
        self.machines[name].seen = replace(self.machines[name].seen, packages=())

    def reboot(self, name: str) -> None:
        self._act("reboot", name)
        machine = self.machines[name]
        assert name not in self.nodes or self.on(name) == [] or self.lone, f"pods were left on {name}: {self.on(name)}"
        machine.down = True
        if name in self.nodes:
            self.nodes[name]["ready"] = False
        if machine.boots is not None:
            self._coming[name] = machine.boots

    lone = False

    def _act(self, act: str, name: str) -> None:
        self.log.append(f"{act} {name}")
        if self.stops_at == f"{act} {name}":
            self.asked_to_stop = True
        if error := self.machines[name].fails.get(act):
            raise HostError(error)

    # The API
    #

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None, kind: str) -> Reply:
        match method, path.strip("/").split("/"):
            case "GET", ["api", "v1", "nodes"]:
                return self._list([self._node(name) for name in self.nodes])
            case "GET", ["api", "v1", "nodes", name]:
                return Reply(200, self._node(name))
            case "PATCH", ["api", "v1", "nodes", name]:
                return self._patch(name, body or {})
            case "GET", ["api", "v1", "pods"]:
                return self._list(self.pods)
            case "GET", ["api", "v1"]:
                return Reply(200, {"resources": [{"name": "pods/eviction", "group": "policy", "version": "v1"}]})
            case "GET", ["apis", "apps", "v1", "replicasets"]:
                items = [{"metadata": {"uid": uid}, "spec": {"replicas": n}} for uid, n in self.wanted.items()]
                return self._list(items)
            case "GET", [*_, "statefulsets" | "replicationcontrollers"]:
                return self._list([])
            case "GET", [*_, "leases", name]:
                at = EPOCH + timedelta(seconds=self.now)
                alive = self.nodes[name]["ready"]
                return Reply(200, {"spec": {"renewTime": f"{at:%Y-%m-%dT%H:%M:%S.%fZ}" if alive else None}})
            case "POST", ["api", "v1", "namespaces", _, "pods", name, "eviction"]:
                return self._evict(name, body or {})
        raise AssertionError(f"nobody answers {method} {path}")

    @staticmethod
    def _list(items: list[dict[str, Any]]) -> Reply:
        return Reply(200, {"items": deepcopy(items) or None})

    def _node(self, name: str) -> dict[str, Any]:
        node = self.nodes[name]
        conditions = [{"type": "Ready", "status": "True" if node["ready"] else "Unknown", "message": "posts status"}]
        if node["metadata"]["labels"]:
            conditions.append({"type": "EtcdIsVoter", "status": "True"})
        status = {
            "conditions": conditions,
            "nodeInfo": {"kubeletVersion": node.get("version", VERSION), "bootID": node.get("boot", "")},
        }
        return deepcopy({"metadata": node["metadata"], "spec": node["spec"], "status": status})

    def _patch(self, name: str, body: Mapping[str, Any]) -> Reply:
        node = self.nodes[name]
        metadata = node["metadata"]
        if body["metadata"].get("resourceVersion", metadata["resourceVersion"]) != metadata["resourceVersion"]:
            return Reply(409, {"message": "the object has been modified"})
        for key, value in body["metadata"].get("annotations", {}).items():
            metadata["annotations"].pop(key, None)
            if value is not None:
                metadata["annotations"][key] = value
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
        if "spec" not in body:
            self.log.append(f"unmark {name}")
        elif body["spec"]["unschedulable"]:
            self.cordoned(name, datetime.now(UTC))
            self.log.append(f"cordon {name}")
        else:
            node["spec"] = {}
            self.log.append(f"uncordon {name}")
        return Reply(200, self._node(name))

    def _evict(self, name: str, body: Mapping[str, Any]) -> Reply:
        found = [pod for pod in self.pods if pod["metadata"]["name"] == name]
        if not found:
            return Reply(404, {"message": "not found"})
        assert body["deleteOptions"]["preconditions"]["uid"] == name
        owner = found[0]["metadata"]["ownerReferences"][0]["uid"]
        ready = self.ready_of(owner)
        if owner in self.budgets and ready - 1 < self.budgets[owner]:
            message = (
                f"The disruption budget {owner} needs {self.budgets[owner]} healthy pods and has {ready} currently"
            )
            said = "Cannot evict pod as it would violate the pod's disruption budget."
            return Reply(429, {"message": said, "details": {"causes": [{"message": message}]}})
        found[0]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        self.log.append(f"evict {name}")
        self.note()
        return Reply(201, {})

    # A run
    #

    def health(self) -> tuple[Report, Snapshot]:
        findings = [
            finding("NODE001", Ref("Node", "", name), "is not Ready")
            for name, node in self.nodes.items()
            if not node["ready"]
        ]
        deployments = [
            {
                "metadata": {"namespace": "default", "name": owner, "uid": owner},
                "spec": {"replicas": wanted},
                "status": {"availableReplicas": self.ready_of(owner), "readyReplicas": self.ready_of(owner)},
            }
            for owner, wanted in self.wanted.items()
        ]
        report = Report(findings=(*findings, *self.critical), runs=())
        return report, Snapshot.from_lists({"deployments": deployments, "pods": self.pods}, now=EPOCH)

    def ready(self, host: Host) -> bool:
        return bool(self.nodes[host.name]["ready"])

    def rolling(self) -> Rolling:
        cluster = None
        if self.home.cluster is not None:
            cluster = Cluster(self.ask, self.ready, clock=lambda: self.now, sleep=self.sleep)
        pace = Pace(
            told=lambda host, words: self.told.append(f"{host}: {words}"),
            within=120,
            stop=lambda: self.asked_to_stop,
            clock=lambda: self.now,
            sleep=self.sleep,
        )
        return Rolling(self.home, self, cluster, self.health, pace, own=self.own)

    def run(self) -> Summary:
        return self.rolling().run()

    def acts(self) -> list[str]:
        """What was done, without evictions."""
        return [line for line in self.log if not line.startswith("evict")]

    def marked(self) -> list[str]:
        return [name for name, node in self.nodes.items() if MARK in node["metadata"]["annotations"]]
