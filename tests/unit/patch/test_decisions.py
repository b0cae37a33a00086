"""Order, quorum, who may be evicted, what hangs on a NAS, and what the gate holds against going on."""

from __future__ import annotations

from typing import Any

import pytest

from homelab.health import Report, Snapshot
from homelab.health.codes import finding
from homelab.health.report import FailedRead, Ref
from homelab.k3s.node import Node
from homelab.patch import gate, hangs, pods
from homelab.patch.hosts import Seen
from homelab.patch.order import MARK, Turn, order, ours, quorum, turn
from tests.unit.patch.world import EPOCH, home


def node(name: str, *, ready: bool = True, voter: bool | None = True, **annotations: str) -> Node:
    return Node(name, ready, "kubelet stopped", "v1.35.6+k3s1", voter=voter, etcd=True, annotations=annotations)


ALL = {name: node(name) for name in ("s1", "s2", "s3", "a1")}


def test_order_is_servers_agents_and_what_has_the_disks_last() -> None:
    described = home(nas=True, away=["s2"])
    assert [host.name for host in order(described)] == ["s1", "s3", "a1", "nas"]
    both = described.host("s1").model_copy(update={"nas": True})
    described = described.model_copy(update={"hosts": (both, *described.hosts[2:])})
    assert [host.name for host in order(described)] == ["s3", "a1", "s1"]


@pytest.mark.parametrize(
    ("seen", "left", "wanted"),
    [
        (Seen("x"), False, Turn.NOTHING),
        (Seen("x"), True, Turn.FINISH),
        (Seen("x", reboot=True), False, Turn.PATCH),
        (Seen("x", reboot=True), True, Turn.PATCH),
    ],
)
def test_what_is_to_be_done_on_a_host(seen: Seen, left: bool, wanted: Turn) -> None:
    assert turn(seen, left=left) is wanted


@pytest.mark.parametrize(
    ("mark", "added", "mine"),
    [
        (None, "2026-01-02T00:00:00Z", None),
        ("2026-01-02T00:00:00Z", "2026-01-02T00:00:01Z", True),
        ("2026-01-02T00:04:00Z", "2026-01-02T00:00:00Z", True),
        ("2026-01-02T00:00:00Z", "2026-01-20T00:00:00Z", False),  # by a person, weeks later
        ("2026-01-20T00:00:00Z", "2026-01-02T00:00:00Z", False),
        ("2026-01-02T00:00:00Z", None, True),  # the controller has not come to it yet
        ("then", "2026-01-02T00:00:00Z", False),
    ],
)
def test_a_cordon_is_ours_where_it_is_as_old_as_our_mark(
    mark: str | None, added: str | None, mine: bool | None
) -> None:
    taints = [{"key": "other", "effect": "NoSchedule"}]
    taints += [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": added}] if added else []
    metadata = {"name": "s1", "annotations": {MARK: mark} if mark else {}}
    assert ours({"metadata": metadata, "spec": {"unschedulable": True, "taints": taints}}) is mine
    # Let pods onto by hand, as we may have told to: only the mark is left to take off.
    assert ours({"metadata": metadata, "spec": {}}) is (True if mark else None)


@pytest.mark.parametrize(
    ("changed", "serving", "wrong"),
    [
        ({}, "s1 s2 s3", []),
        ({"s2": node("s2", ready=False)}, "s1 s3", ["s2 is not Ready (kubelet stopped)"]),
        ({"s2": node("s2", voter=False)}, "s1 s2 s3", ["s2 is no voter of etcd yet"]),
        ({"s2": node("s2", voter=None)}, "s1 s2 s3", []),  # a K3s that does not report membership
        ({}, "s1 s2", ["the API of s3 does not answer ready"]),
    ],
)
def test_a_server_is_spared_only_while_the_others_are_whole(changed: Any, serving: str, wrong: list[str]) -> None:
    described = home()
    assert quorum(described.host("s1"), described, ALL | changed, serving.split()) == wrong


def test_agents_and_a_single_server_have_no_quorum_to_keep() -> None:
    assert quorum(home().host("a1"), home(), {}, []) == []
    assert quorum(home(servers=1).host("s1"), home(servers=1), {}, []) == []


def test_a_member_of_etcd_that_the_inventory_lacks_is_counted() -> None:
    described, serving = home(), ["s1", "s2", "s3"]
    dead, alive = {"old": node("old", ready=False)}, {"new": node("new")}
    assert quorum(described.host("s1"), described, ALL | dead, serving) == [
        "2 of 4 servers would be left, and etcd takes 3 (not in the inventory: old)"
    ]
    assert quorum(described.host("s1"), described, ALL | alive, serving) == []
    alone = home(servers=1)
    assert quorum(alone.host("s1"), alone, {"s1": ALL["s1"]} | alive, ["s1"]) == [
        "1 of 2 servers would be left, and etcd takes 2 (not in the inventory: new)"
    ]


def test_a_server_that_is_no_node_any_more_is_no_member() -> None:
    three = {name: ALL[name] for name in ("s1", "s2")}
    assert quorum(home().host("s1"), home(), three, ["s1", "s2"]) == ["s3 is no node of the cluster"]


def pod(name: str, node: str = "s1", **more: Any) -> pods.Pod:
    fields: dict[str, Any] = {"owner": ("ReplicaSet", "web"), "ready": True, "deleting": False, "done": False}
    return pods.Pod("default", name, name, node, **fields | {"mirror": False} | more)


def test_what_a_drain_leaves_alone() -> None:
    found = [
        pod("web"),
        pod("other", "s2"),
        pod("log", owner=("DaemonSet", "log")),
        pod("static", owner=("Node", "s1"), mirror=True),
        pod("lonely", owner=("", "")),
        pod("finished", done=True),
    ]
    assert [each.name for each in pods.leaving(found, "s1")] == ["web"]
    assert [each.name for each in pods.staying(found, "s1")] == ["lonely"]


def test_of_a_workload_one_goes_at_a_time_and_never_the_last_that_is_ready() -> None:
    both = [pod("one"), pod("two")]
    first = pods.evictable(both, "s1", {"web": 2})
    assert [each.name for each in first.now] == ["one"] and first.waiting[both[1]] == "its turn comes"
    gone = [pod("two"), pod("new", "s2", ready=False)]
    then = pods.evictable(gone, "s1", {"web": 2})
    assert then.now == () and "would be without any" in then.waiting[gone[0]]
    assert [each.name for each in pods.evictable([gone[0], pod("new", "s2")], "s1", {"web": 2}).now] == ["two"]
    # One that is on its way out serves nobody for long.
    assert pods.evictable([gone[0], pod("new", "s2", deleting=True)], "s1", {"web": 2}).now == ()
    # One that is not ready is missed by nobody; an only one has nobody to wait for, as has a Job's.
    assert pods.evictable([pod("two", ready=False)], "s1", {"web": 2}).now
    assert pods.evictable([pod("only")], "s1", {"web": 1}).now
    assert len(pods.evictable([pod("j1", owner=("Job", "j")), pod("j2", owner=("Job", "j"))], "s1", {}).now) == 2


def test_a_pod_as_the_api_tells_it() -> None:
    item = {
        "metadata": {
            "namespace": "kube-system",
            "name": "etcd",
            "uid": "1",
            "annotations": {"kubernetes.io/config.mirror": "x"},
            "deletionTimestamp": "2026-01-01T00:00:00Z",
            "ownerReferences": [{"kind": "Owner", "uid": "2"}, {"kind": "Node", "uid": "3", "controller": True}],
        },
        "spec": {"nodeName": "s1"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    assert pods.parse(item) == pods.Pod(
        "kube-system", "etcd", "1", "s1", ("Node", "3"), ready=True, deleting=True, done=False, mirror=True
    )


def workloads(available: int, desired: int = 2) -> Snapshot:
    item = {
        "metadata": {"namespace": "media", "name": "web", "uid": "1"},
        "spec": {"replicas": desired},
        "status": {"availableReplicas": available},
    }
    return Snapshot.from_lists({"deployments": [item]}, now=EPOCH)


def test_the_gate_holds_against_it_what_is_critical_unread_or_fewer_than_before() -> None:
    ill = finding("NODE001", Ref("Node", "", "s2"), "is not Ready")
    pending = finding("POD002", Ref("Pod", "media", "web"), "cannot pull its image")
    report = Report(findings=(ill, pending), runs=(), unread=(FailedRead("pods", "cut"),))
    normal = gate.Normal.of(workloads(2))
    wrong = gate.against(report, workloads(1), normal)
    assert [line.partition(" is")[0].partition(" could")[0] for line in wrong][:2] == ["pods", "NODE001 Node s2"]
    assert wrong[2].startswith("POD002 Pod media/web cannot pull its image")
    assert wrong[3] == "Deployment media/web has 1 of 2 pods"
    assert [line[:7] for line in gate.critical(report, infrastructure=True)] == ["NODE001"]


@pytest.mark.parametrize(("before", "now", "desired"), [(1, 1, 2), (2, 2, 2), (2, 1, 1), (2, 0, 0)])
def test_a_workload_that_was_short_before_or_is_wanted_smaller_now_holds_nothing_up(
    before: int, now: int, desired: int
) -> None:
    normal = gate.Normal.of(workloads(before))
    assert gate.against(Report(findings=(), runs=()), workloads(now, desired), normal) == []


def test_what_hangs_on_a_nas() -> None:
    nas = home(nas=True).host("nas")

    def pod(name: str, *volumes: Any, phase: str = "Running") -> Any:
        metadata = {"namespace": "media", "name": name}
        return {"metadata": metadata, "spec": {"volumes": list(volumes)}, "status": {"phase": phase}}

    claim = {"persistentVolumeClaim": {"claimName": "films"}}
    volumes = [
        {
            "metadata": {"name": "pv"},
            "spec": {
                "csi": {"driver": "nfs.csi.k8s.io", "volumeAttributes": {"server": "192.0.2.31", "share": "/s"}},
                "claimRef": {"namespace": "media", "name": "films"},
            },
        },
        {"metadata": {"name": "local"}, "spec": {"hostPath": {"path": "/x"}}},
    ]
    listed = [
        pod("plain", {"name": "a", "nfs": {"server": "nas", "path": "/srv"}}),
        pod("claimed", {"name": "x"}, claim),
        pod("inline", {"name": "x", "csi": {"driver": "d", "volumeAttributes": {"server": "nas", "share": "/srv"}}}),
        pod("no-nfs", {"name": "x", "csi": {"driver": "d", "volumeAttributes": {"server": "nas"}}}),
        pod("done", claim, phase="Succeeded"),
        pod("other", {"name": "a", "nfs": {"server": "192.0.2.99"}}),
    ]
    claims = [{"metadata": {"namespace": "media", "name": "films"}, "spec": {"volumeName": "pv"}}]
    snapshot = Snapshot.from_lists(
        {"pods": listed, "persistentvolumes": volumes, "persistentvolumeclaims": claims}, now=EPOCH
    )
    assert hangs.using(nas, snapshot) == ["media/claimed", "media/inline", "media/plain"]
    seen = Seen("x", clients=("192.0.2.11",))
    assert hangs.lines(nas, seen, snapshot) == [
        "nas: pods with volumes of it wait while it reboots: media/claimed, media/inline, media/plain",
        "nas: NFS clients that wait while it reboots: 192.0.2.11",
    ]
    assert hangs.lines(nas, Seen("x"), None) == []
    mounted = Seen("y", remote=(("192.0.2.31:/srv", "/mnt/x"), ("nas:/y", "/var/lib/kubelet/pods/1/x"), ("b:/", "/b")))
    assert list(hangs.mounts(nas, {"a1": mounted, "nas": mounted})) == ["nas: a1 has mounted it at /mnt/x"]
    smb = Seen("z", remote=(("//nas/films", "/var/lib/kubelet/pods/1/x"),))
    assert list(hangs.mounts(nas, {"a1": smb})) == ["nas: a1 has mounted it at /var/lib/kubelet/pods/1/x"]
