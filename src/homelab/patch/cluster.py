"""The cluster's side of patching, through the API of whichever server answers: nodes, cordons, evictions."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from homelab.api import Connection, Deadline, ReadFailed, connect
from homelab.k3s import config, node
from homelab.k3s.node import Node
from homelab.model import Home, Host
from homelab.patch import pods
from homelab.patch.order import MARK, ours
from homelab.patch.pods import Pod

_TIMEOUT = 10.0  # seconds for one answer of one server
_PATIENCE = 120.0  # while servers restart and etcd elects, there may be no answer for a while
_PAUSE = 1.0
MERGE = "application/merge-patch+json"
_JSON = "application/json"
# One of these has whatever is read: an object or a list, or what tells of the API itself.
_ALWAYS = ("metadata", "items", "resources")


class ClusterError(Exception):
    """The API does not answer, or refuses what patching needs: one line."""


@dataclass(frozen=True)
class Reply:
    """What the API answered: its status and the JSON object, with what a Status says as `said`."""

    status: int
    body: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        return self.status < 300

    @property
    def said(self) -> str:
        causes = (self.body.get("details") or {}).get("causes") or ()
        told = [str(self.body.get("message", ""))] + [str(each.get("message", "")) for each in causes]
        return " ".join(" ".join(each for each in told if each).split())[:300] or f"status {self.status}"


# Method, path, JSON body, content type -> reply. Raises ReadFailed when nobody answers.
Ask = Callable[[str, str, Mapping[str, Any] | None, str], Reply]


class Servers:
    """The API's servers, asked one after another, beginning with the one that answered last."""

    def __init__(self, connections: Iterable[Connection]) -> None:
        self._connections = list(connections)

    @classmethod
    def of(cls, home: Home, kubeconfig_path: str, context: str) -> Servers:
        """The kubeconfig's server, and with the same credentials each of the home's. Raise ClusterUnreachable."""
        first = connect(kubeconfig_path, context)
        # Not by the kubeconfig's port: that may be a load balancer's.
        urls = dict.fromkeys([first.url, *(config.url(host) for host in home.servers if not host.away)])
        return cls([first, *(connect(kubeconfig_path, context, url) for url in list(urls)[1:])])

    @property
    def urls(self) -> tuple[str, ...]:
        """Whom to ask, best first."""
        return tuple(each.url for each in self._connections)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None, kind: str) -> Reply:
        """The first answer that a server gives of its own; a 5xx is one only if all say so. Raise ReadFailed."""
        worst: Reply | None = None
        failed: ReadFailed | None = None
        for connection in list(self._connections):
            try:
                reply = _asked(connection, method, path, body, kind)
            except ReadFailed as error:
                failed = error
                continue
            if reply.status < 500:
                self._connections.remove(connection)
                self._connections.insert(0, connection)
                return reply
            worst = reply
        if worst is not None:
            return worst
        assert failed is not None
        raise failed

    def ready(self, url: str) -> bool:
        """Whether the server at a URL says that its own API is ready, etcd included."""
        for connection in self._connections:
            if connection.url == url:
                try:
                    return connection.get("/readyz", Deadline(_TIMEOUT)).status == 200
                except ReadFailed:
                    return False
        return False

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


def _unmark(name: str) -> str:
    return f"kubectl annotate node {name} {MARK}-"


def _asked(connection: Connection, method: str, path: str, body: Mapping[str, Any] | None, kind: str) -> Reply:
    deadline = Deadline(_TIMEOUT)
    answer = connection.get(path, deadline) if body is None else connection.send(method, path, body, deadline, kind)
    try:
        told = json.loads(answer.body)
    except ValueError:
        told = {"message": answer.body[:200].decode(errors="replace")}
    reply = Reply(answer.status, told if isinstance(told, dict) else {})
    if body is None and reply.ok and reply.body.keys().isdisjoint(_ALWAYS):
        raise ReadFailed(f"what answers at {connection.url} is no Kubernetes API")
    return reply


@dataclass
class Cluster:
    """The cluster, as a node's turn needs it. `ready` tells of a server whether its own API answers, `told` gets in
    words what is waited for."""

    ask: Ask
    ready: Callable[[Host], bool]
    told: Callable[[str], None] = lambda words: None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    patience: float = _PATIENCE
    _eviction: str = field(default="", init=False)

    @property
    def once(self) -> Cluster:
        """The same cluster, asked without waiting for servers that do not answer."""
        return replace(self, patience=0.0)

    def answer(self, method: str, path: str, body: Mapping[str, Any] | None = None, kind: str = _JSON) -> Reply:
        """A reply that is not a server's trouble, waited for. Raise ClusterError when there is none for too long."""
        end, told = self.clock() + self.patience, False
        while True:
            try:
                reply = self.ask(method, path, body, kind)
                if reply.status < 500:
                    return reply
                why = reply.said
            except ReadFailed as error:
                why = error.told
            if self.clock() >= end:
                waited = f" for {self.patience:.0f} s" if self.patience else ""
                raise ClusterError(f"the API of no server has answered{waited} ({why})")
            if not told:
                self.told(f"waiting for the API of any server: {why}")
                told = True
            self.sleep(_PAUSE)

    def _read(self, path: str) -> Mapping[str, Any]:
        reply = self.answer("GET", path)
        if not reply.ok:
            raise ClusterError(f"the API refuses to tell {path} ({reply.said}); see that this kubeconfig's user may")
        return reply.body

    def nodes(self) -> dict[str, Node]:
        """All nodes by name."""
        return {each.name: each for each in (node.parse(item) for item in self._read("/api/v1/nodes")["items"] or ())}

    def marked(self) -> dict[str, bool]:
        """The nodes that carry our mark, and whether each one's cordon is still ours (see `ours`)."""
        found = {each["metadata"]["name"]: ours(each) for each in self._read("/api/v1/nodes")["items"] or ()}
        return {name: mine for name, mine in found.items() if mine is not None}

    def cordon(self, name: str, when: datetime) -> bool:
        """Let no new pods onto a node, marked as ours; False when a person had cordoned it before, and nothing is done.

        One that carries our mark is ours, also when somebody has let pods onto it since.
        """
        path = f"/api/v1/nodes/{quote(name)}"
        while True:
            item = self._read(path)
            metadata, spec = item["metadata"], item.get("spec") or {}
            if spec.get("unschedulable"):
                return bool(ours(item))
            body = {
                # So that a person who cordons it at this very moment is not taken for us.
                "metadata": {
                    "resourceVersion": metadata["resourceVersion"],
                    "annotations": {MARK: f"{when:%Y-%m-%dT%H:%M:%SZ}"},
                },
                "spec": {"unschedulable": True},
            }
            reply = self.answer("PATCH", path, body, MERGE)
            if reply.ok:
                return True
            if reply.status != 409:
                raise ClusterError(f"{name} could not be cordoned: {reply.said}")

    def uncordon(self, name: str) -> None:
        """Let pods onto a node again, and take our mark off it."""
        body = {"metadata": {"annotations": {MARK: None}}, "spec": {"unschedulable": None}}
        reply = self.answer("PATCH", f"/api/v1/nodes/{quote(name)}", body, MERGE)
        if not reply.ok:
            raise ClusterError(
                f"{name} could not be uncordoned: {reply.said}; run: kubectl uncordon {name}; {_unmark(name)}"
            )

    def unmark(self, name: str) -> None:
        """Take our mark off a node and leave its cordon, which is a person's from now on."""
        body = {"metadata": {"annotations": {MARK: None}}}
        reply = self.answer("PATCH", f"/api/v1/nodes/{quote(name)}", body, MERGE)
        if not reply.ok:
            raise ClusterError(f"{name} could not be rid of its mark: {reply.said}; run: {_unmark(name)}")

    def renewed(self, name: str) -> datetime | None:
        """When a node's kubelet last renewed its lease, by the node's clock."""
        reply = self.answer("GET", f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{quote(name)}")
        at = (reply.body.get("spec") or {}).get("renewTime") if reply.ok else None
        return datetime.fromisoformat(str(at).replace("Z", "+00:00")) if at else None

    def pods(self) -> list[Pod]:
        """All pods."""
        return [pods.parse(item) for item in self._read("/api/v1/pods")["items"] or ()]

    def wanted(self) -> dict[str, int]:
        """How many pods each ReplicaSet, StatefulSet and ReplicationController keeps, by its uid."""
        paths = ("/apis/apps/v1/replicasets", "/apis/apps/v1/statefulsets", "/api/v1/replicationcontrollers")
        return {
            item["metadata"]["uid"]: int((item.get("spec") or {}).get("replicas", 1))
            for path in paths
            for item in self._read(path)["items"] or ()
        }

    def evict(self, pod: Pod) -> str:
        """Ask for a pod's eviction, which heeds its disruption budgets; "" when granted, else why not now."""
        path = f"/api/v1/namespaces/{quote(pod.namespace)}/pods/{quote(pod.name)}/eviction"
        body = {
            "apiVersion": self._eviction_version(),
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            # Not another pod of the same name, as a StatefulSet's next one.
            "deleteOptions": {"preconditions": {"uid": pod.uid}},
        }
        try:
            reply = self.ask("POST", path, body, _JSON)
        except ReadFailed as error:
            return error.told
        # Gone, or another one in its place: there is nothing left to evict.
        return "" if reply.ok or reply.status in (404, 409) else reply.said

    def _eviction_version(self) -> str:
        """policy/v1 from Kubernetes 1.22 on; the API says which."""
        if not self._eviction:
            found = [each for each in self._read("/api/v1")["resources"] if each.get("name") == "pods/eviction"]
            if not found:
                raise ClusterError("the API knows no evictions; see that the kubeconfig is that of a K3s cluster")
            self._eviction = f"{found[0].get('group') or 'policy'}/{found[0].get('version') or 'v1'}"
        return self._eviction


def cluster(servers: Servers, told: Callable[[str], None]) -> Cluster:
    """The cluster that servers are of; `told` gets in words what is waited for."""
    return Cluster(servers.ask, lambda host: servers.ready(config.url(host)), told)
