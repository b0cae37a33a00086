"""A Node from the API, and the gate that every start passes."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homelab.k3s import node
from homelab.k3s.node import Sight
from tests import builders
from tests.builders import VERSION

STARTED = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def item(*, voter: str | None = "True", ready: str = "True", **metadata: Any) -> dict[str, Any]:
    """A server's Node as K3s v1.35 serves it, shortened."""
    conditions = [
        {"type": "MemoryPressure", "status": "False", "reason": "KubeletHasSufficientMemory", "message": "fine"},
        {"type": "DiskPressure", "status": "False", "reason": "KubeletHasNoDiskPressure", "message": "fine"},
        {"type": "PIDPressure", "status": "False", "reason": "KubeletHasSufficientPID", "message": "fine"},
        {"type": "Ready", "status": ready, "reason": "KubeletReady", "message": "kubelet is posting ready status"},
    ]
    if voter is not None:
        said = {"reason": "MemberNotLearner", "message": "Node is a voting member of the etcd cluster"}
        conditions.insert(0, {"type": "EtcdIsVoter", "status": voter, **said})
    labels = {
        "kubernetes.io/hostname": "s1",
        "node-role.kubernetes.io/control-plane": "true",
        "node-role.kubernetes.io/etcd": "true",
    }
    return {
        "metadata": {
            "name": "s1",
            "labels": labels,
            "annotations": {"etcd.k3s.cattle.io/node-name": "s1-1a2b3c4d"},
            **metadata,
        },
        "spec": {
            "podCIDR": "10.42.0.0/24",
            "taints": [
                {"key": "gpu", "value": "yes", "effect": "NoSchedule"},
                {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": "2026-11-22T10:00:00Z"},
            ],
        },
        "status": {
            "addresses": [
                {"address": "192.168.1.11", "type": "InternalIP"},
                {"address": "fd00::11", "type": "InternalIP"},
                {"address": "s1", "type": "Hostname"},
            ],
            "conditions": conditions,
            "nodeInfo": {"kubeletVersion": VERSION, "osImage": "Debian GNU/Linux 12 (bookworm)"},
        },
    }


def test_a_server_is_read() -> None:
    found = node.parse(item())
    assert (found.name, found.ready, found.version, found.voter) == ("s1", True, VERSION, True)
    assert found.etcd
    assert found.addresses == ("192.168.1.11", "fd00::11")
    assert found.taints == {"gpu=yes:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"}
    assert found.annotations["etcd.k3s.cattle.io/node-name"] == "s1-1a2b3c4d"


@given(st.randoms(use_true_random=False))
def test_conditions_count_by_type_in_any_order(order: random.Random) -> None:
    shuffled = item(voter="False", ready="False")
    order.shuffle(shuffled["status"]["conditions"])
    assert node.parse(shuffled) == node.parse(item(voter="False", ready="False"))


@pytest.mark.parametrize(("status", "ready"), [("True", True), ("False", False), ("Unknown", False)])
def test_only_true_is_ready(status: str, ready: bool) -> None:
    assert node.parse(item(ready=status)).ready is ready


@pytest.mark.parametrize(("status", "voter"), [("True", True), ("False", False), ("Unknown", False), (None, None)])
def test_a_k3s_that_does_not_report_voters_is_told_from_one_that_denies(status: str | None, voter: bool | None) -> None:
    assert node.parse(item(voter=status)).voter is voter


@pytest.mark.parametrize("without", ["spec", "status"])
def test_a_node_that_has_just_registered_is_read(without: str) -> None:
    bare = item()
    bare[without] = None
    assert node.parse(bare).name == "s1"
    only = node.parse({"metadata": {"name": "s1"}})
    assert (only.ready, only.version, only.voter, only.etcd) == (False, "", None, False)
    assert only.reason == "the kubelet has not reported yet"


UP = Sight(
    unit="active",
    started=STARTED,
    serving=True,
    node=builders.node("s1"),
    renewed=STARTED + timedelta(seconds=5),
)


def seen(**values: Any) -> Sight:
    """A server that is up, but for these values of its Node."""
    assert UP.node is not None
    return replace(UP, node=replace(UP.node, **values))


def test_a_server_that_meets_everything_is_up() -> None:
    assert node.unmet(UP, version=VERSION, server=True) == []


@pytest.mark.parametrize(
    ("sight", "says"),
    [
        (Sight(), "its unit is inactive"),
        (replace(UP, unit="activating"), "its unit is activating"),
        (replace(UP, unit="failed"), "its unit is failed"),
        (replace(UP, queued=True), "systemd has yet to restart it"),
        (replace(UP, serving=False), "its API does not answer ready yet"),
        (replace(UP, serving=None), "its API does not answer ready yet"),
        (replace(UP, node=None), "it has not registered with the cluster"),
        (replace(UP, renewed=None), "its kubelet has not reported since the start"),
        (replace(UP, renewed=STARTED - timedelta(seconds=2)), "its kubelet has not reported since the start"),
        (seen(ready=False, reason="container runtime is down"), "it is not Ready (container runtime is down)"),
        (seen(version="v1.34.1+k3s1"), f"it runs v1.34.1+k3s1 instead of {VERSION}"),
        (seen(version=""), f"it runs no known version instead of {VERSION}"),
        (seen(voter=False), "its etcd member is not a voter yet"),
        (seen(voter=None, etcd=False), "it has no etcd member yet"),
    ],
)
def test_a_server_that_lacks_one_thing_is_not_up(sight: Sight, says: str) -> None:
    assert node.unmet(sight, version=VERSION, server=True) == [says]


def test_a_server_of_an_older_k3s_is_up_without_the_voter_condition() -> None:
    assert node.unmet(seen(voter=None), version=VERSION, server=True) == []


def test_an_agent_is_up_without_api_and_etcd() -> None:
    agent = replace(UP, serving=None, node=builders.node("a1", "agent"))
    assert node.unmet(agent, version=VERSION, server=False) == []


def test_a_lease_within_the_clocks_second_counts() -> None:
    assert node.unmet(replace(UP, renewed=STARTED - timedelta(seconds=1)), version=VERSION, server=True) == []


def test_everything_that_a_registered_node_lacks_is_told_together() -> None:
    missing = node.unmet(seen(ready=False, version="", voter=False), version=VERSION, server=True)
    assert len(missing) == 3
