"""A Kubernetes Node as the API tells it, and whether a server or agent counts as up: the one gate that all use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True)
class Node:
    """What the toolkit reads of a Node. `voter` is None where that K3s does not report etcd membership; `cordoned` is
    that it takes no new pods, whoever said so; `boot` the kernel's id of the boot in which the kubelet last started."""

    name: str
    ready: bool
    reason: str
    version: str
    boot: str = ""
    voter: bool | None = None
    etcd: bool = False
    cordoned: bool = False
    addresses: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: frozenset[str] = frozenset()
    annotations: Mapping[str, str] = field(default_factory=dict)


def parse(item: Mapping[str, Any]) -> Node:
    """A Node from the API's JSON; conditions are found by type, never by position."""
    metadata, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    labels = metadata.get("labels") or {}
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    ready = conditions.get("Ready") or {}
    voter = conditions.get("EtcdIsVoter")
    said = ready.get("message") or ready.get("reason") or "the kubelet has not reported yet"
    return Node(
        name=metadata["name"],
        ready=ready.get("status") == "True",
        reason=said,
        version=(status.get("nodeInfo") or {}).get("kubeletVersion", ""),
        boot=(status.get("nodeInfo") or {}).get("bootID", ""),
        voter=None if voter is None else voter.get("status") == "True",
        etcd=labels.get("node-role.kubernetes.io/etcd") == "true",
        cordoned=bool(spec.get("unschedulable")),
        addresses=tuple(each["address"] for each in status.get("addresses") or () if each["type"] == "InternalIP"),
        labels=labels,
        taints=frozenset(_taint(each) for each in spec.get("taints") or ()),
        annotations=metadata.get("annotations") or {},
    )


def _taint(item: Mapping[str, str]) -> str:
    value = item.get("value")
    return f"{item['key']}={value}:{item['effect']}" if value else f"{item['key']}:{item['effect']}"


@dataclass(frozen=True)
class Sight:
    """One look at a starting node: its unit and whether systemd has a job for it, the API's word on it, and when its
    kubelet last renewed its lease.

    `serving` is whether the server's own API answers /readyz. That API reads through the local etcd member, which
    answers linearizable reads only as a voter, so it proves membership on releases without the EtcdIsVoter condition.
    """

    unit: str = "inactive"
    queued: bool = False
    started: datetime | None = None
    serving: bool | None = None
    node: Node | None = None
    renewed: datetime | None = None

    @property
    def dead(self) -> bool:
        """Whether systemd has given up: a unit that fails is restarted for ever, so rest without a job is the end."""
        return self.unit in ("inactive", "failed") and not self.queued


def unmet(sight: Sight, *, version: str, server: bool) -> list[str]:
    """What still keeps this node from counting as up, in the order it is reached; empty when it is up."""
    if sight.unit != "active":
        return [f"its unit is {sight.unit}"]
    if sight.queued:  # a restart that was only asked for: what is up is what goes down
        return ["systemd has yet to restart it"]
    if server and not sight.serving:
        return ["its API does not answer ready yet"]
    node = sight.node
    if node is None:
        return ["it has not registered with the cluster"]
    missing = []
    # Ready is the kubelet's last word, which outlives it by some 40 s; only a lease renewed by this process counts.
    # Lease and unit times are both the node's own clock, whole seconds in the unit's.
    if sight.started and (sight.renewed is None or sight.renewed < sight.started - timedelta(seconds=1)):
        missing.append("its kubelet has not reported since the start")
    if not node.ready:
        missing.append(f"it is not Ready ({node.reason})")
    if node.version != version:
        missing.append(f"it runs {node.version or 'no known version'} instead of {version}")
    if server and node.voter is False:
        missing.append("its etcd member is not a voter yet")
    if server and node.voter is None and not node.etcd:
        missing.append("it has no etcd member yet")
    return missing
