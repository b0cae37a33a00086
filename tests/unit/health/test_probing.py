"""`homelab health --deep` over an API on the loopback: what is made, in what order, and that all of it goes again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from homelab.api import Connection
from homelab.health import Report, Snapshot, manifests, probe, probes, read_snapshot, run_checks
from homelab.health.checks import ALL_CHECKS, CHECKS
from homelab.health.codes import DEEP_CODES
from homelab.health.probed import Way
from homelab.health.report import Status
from homelab.health.selection import kinds_of
from homelab.health.snapshot import State
from tests import api_server
from tests.api_server import ApiServer
from tests.commands import HOMELAB
from tests.unit.health.cluster import NODES, K3s, stamp
from tests.unit.health.conftest import PATIENT
from tests.unit.health.test_cli import homelab
from tests.unit.health.test_deep import roots, with_dns

Json = dict[str, Any]
SPACES = "/api/v1/namespaces"
SUM = "0" * 64


@dataclass
class Kubelet:
    """What happens to pods that are made: they run where they are to, and find that all is well but what is `bad`.

    `waits` are the names of pods, or their begin, that do not get on, with the reason and message that they wait for;
    those for which there is none have no node yet.
    """

    bad: Callable[[str, str, str], bool] = lambda node, key, whom: False
    waits: dict[str, tuple[str, str]] = field(default_factory=dict)
    says: dict[str, str] = field(default_factory=dict)
    made: list[Json] = field(default_factory=list)

    def __call__(self, api: ApiServer, made: Json) -> None:
        self.made.append(made)
        if made["kind"] == "Service":
            made["spec"]["clusterIP"] = f"10.43.7.{len(self.made)}"
        if made["kind"] == "Pod":
            made["status"] = self.status(made)

    def status(self, made: Json) -> Json:
        name, spec = made["metadata"]["name"], made["spec"]
        only = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        spec["nodeName"] = node = only["nodeSelectorTerms"][0]["matchFields"][0]["values"][0]
        for begin, (reason, message) in self.waits.items():
            if name.startswith(begin):
                if not reason:
                    del spec["nodeName"]
                state: Json = {"waiting": {"reason": reason, "message": message}} if reason else {}
                return {"phase": "Pending", "containerStatuses": [{"state": state}]}
        if name.startswith("node-"):
            state = {"running": {"startedAt": stamp(datetime.now(UTC))}}
            return {"phase": "Running", "podIP": f"10.42.9.{name[5:]}", "containerStatuses": [{"state": state}]}
        words = spec["containers"][0]["command"][4:]
        said = f"write ok {SUM}" if name.endswith("-write") else "read ok" if "-read-" in name else ""
        if name.startswith("ask-"):
            asked = [words[at : at + 4] for at in range(0, len(words), 4)]
            said = "\n".join(
                f"{key} {'no timed out' if self.bad(node, key, whom) else 'ok'}" for key, _, whom, _ in asked
            )
        ended = {"terminated": {"exitCode": 0, "message": self.says.get(name, said)}}
        return {"phase": "Succeeded", "containerStatuses": [{"state": ended}]}


@pytest.fixture
def serve(serving: Callable[[ApiServer], ApiServer]) -> Callable[..., ApiServer]:
    def serve(kubelet: Kubelet | None = None, cluster: K3s | None = None, **options: Any) -> ApiServer:
        return serving(ApiServer((cluster or fresh()).lists, controller=kubelet or Kubelet(), **options))

    return serve


@pytest.fixture
def beef(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run's name, and so that of its namespace, homelab-health-beef."""
    monkeypatch.setattr("secrets.token_hex", lambda length: "beef")


def fresh(*dns: str) -> K3s:
    cluster = K3s(datetime.now(UTC))
    with_dns(cluster, *(dns or ("s1",)))
    return cluster


def try_out(timeout: float = 20, **options: Any) -> tuple[Snapshot, Report, list[str]]:
    told: list[str] = []
    read = read_snapshot(kinds=kinds_of(DEEP_CODES))
    snapshot = probe(read, timeout=timeout, poll=0.02, tell=told.append, **options)
    return snapshot, run_checks(snapshot, PATIENT), told


def ours(server: ApiServer) -> list[Json]:
    """What is there of any run."""
    return [each for each in server.at[SPACES] if manifests.RUN in each["metadata"].get("labels", {})]


def why(report: Report, code: str) -> tuple[Status, str]:
    return next((each.status, each.reason) for each in report.runs if each.code == code)


SHARED = "DEEP005"  # for which this cluster has no StorageClass


def test_a_sound_cluster_is_tried_out_and_left_as_it_was(serve: Callable[..., ApiServer]) -> None:
    kubelet = Kubelet()
    server = serve(kubelet)
    before = json.dumps(server.at)
    snapshot, report, told = try_out()
    assert (report.roots, report.exit_code, told) == ((), 0, [])
    assert json.dumps(server.at) == before
    ran = [each.code for each in report.runs if each.status is Status.OK and each.code.startswith("DEEP")]
    assert ran == ["DEEP001", "DEEP002", "DEEP003", "DEEP004"]
    assert why(report, SHARED) == (
        Status.SKIPPED,
        "probes of shared volumes: no StorageClass is known for volumes that several nodes use (NFS, SMB, CephFS)",
    )
    assert snapshot.probed is not None
    assert {(each.node, each.of) for each in snapshot.probed.asked if each.way is Way.POD} == {
        (one, other) for one in NODES for other in NODES
    }
    assert {each.of for each in snapshot.probed.asked if each.way is Way.DNS_POD} == {"10.42.0.7"}
    names = [each["metadata"]["name"] for each in kubelet.made if each["kind"] == "Pod"]
    assert sorted(names) == sorted(
        [*(f"{pod}-{number}" for pod in ("node", "ask") for number in range(4)), "volume-write", "volume-read-0"]
    )
    assert names.index("volume-read-0") > names.index("volume-write")


def test_all_that_is_made_bears_the_run_and_is_in_its_namespace(serve: Callable[..., ApiServer]) -> None:
    server = serve()
    try_out()
    made = [(path, body) for method, path, body in server.written if method == "POST" and "access" not in path]
    (path, space), *rest = made
    run = space["metadata"]["labels"][manifests.RUN]
    assert (path, space["metadata"]["name"]) == (SPACES, f"homelab-health-{run}")
    assert {body["metadata"]["labels"][manifests.RUN] for _, body in rest} == {run}
    assert {path.rpartition("/")[0] for path, _ in rest} == {f"{SPACES}/homelab-health-{run}"}
    deleted = [path for method, path, _ in server.written if method == "DELETE"]
    assert deleted == [f"{SPACES}/homelab-health-{run}"]


def test_pods_conform_to_the_restricted_standard(serve: Callable[..., ApiServer]) -> None:
    """Source: Kubernetes, "Pod Security Standards"."""
    kubelet = Kubelet()
    serve(kubelet)
    try_out()
    pods = [made for made in kubelet.made if made["kind"] == "Pod"]
    assert pods
    for made in pods:
        spec, (container,) = made["spec"], made["spec"]["containers"]
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & spec.keys()
        assert {key for each in spec["volumes"] for key in each} <= {"name", "emptyDir", "persistentVolumeClaim"}
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert not any("hostPort" in each for each in container.get("ports", ()))
        assert spec["automountServiceAccountToken"] is False
        assert container["imagePullPolicy"] == "IfNotPresent"


def test_what_is_made_is_as_kubernetes_own_types_have_it(serve: Callable[..., ApiServer]) -> None:
    """What they do not know an API server would drop without a word."""
    from kubernetes import client

    server = serve()
    try_out()
    api, types = client.ApiClient(), set()
    for method, path, body in server.written:
        kind = body["kind"]
        if method == "POST" and not path.startswith("/apis/"):
            sent = {**body, "metadata": {key: body["metadata"][key] for key in ("name", "labels")}}
            sent = {key: each for key, each in sent.items() if key != "status"}
            sent.get("spec", {}).pop("nodeName", None)
            sent.get("spec", {}).pop("clusterIP", None)
            assert api.sanitize_for_serialization(getattr(client, f"V1{kind}").from_dict(sent)) == sent
            types.add(kind)
    assert types == {"Namespace", "Pod", "Service", "PersistentVolumeClaim"}


def test_one_fault_is_one_root(serve: Callable[..., ApiServer]) -> None:
    """An agent's tunnel is down: neither it nor the others get through, to DNS neither."""

    def bad(node: str, key: str, whom: str) -> bool:
        a1 = sorted(NODES).index("a1")
        at = {f"pod:{a1}", f"service:{a1}"}
        return (key in at) != (node == "a1")

    server = serve(Kubelet(bad))
    _, report, _ = try_out()
    assert roots(report) == [("DEEP002", "Node a1")]
    assert {each.code for each in report.consequences(report.roots[0])} == {"DEEP001"}
    assert ours(server) == []


def test_nodes_that_take_no_pods_are_left_out_and_said(serve: Callable[..., ApiServer]) -> None:
    cluster = fresh()
    cluster.get("nodes", "s2")["spec"]["unschedulable"] = True
    cluster.get("nodes", "s3")["spec"]["taints"] = [{"key": "gpu", "effect": "NoSchedule"}]
    taints = [{"key": "CriticalAddonsOnly", "value": "true", "effect": "NoExecute"}]
    cluster.get("nodes", "s1")["spec"]["taints"] = taints
    serve(cluster=cluster)
    snapshot, report, _ = try_out()
    assert snapshot.probed is not None and snapshot.probed.nodes == ("a1", "s1")
    assert report.notes == (
        "node s2 was not tried out: it is cordoned",
        "node s3 was not tried out: it has the taint gpu",
    )


def test_a_node_that_is_full_is_left_out_and_said() -> None:
    """Where no pod more is taken the scheduler would drive out one of a lower priority."""
    cluster = fresh()
    cluster.get("nodes", "s2")["status"]["allocatable"]["pods"] = "3"
    for number in range(3):
        pod = cluster.lists["pods"][0]
        meta, status = {**pod["metadata"], "name": f"done-{number}"}, {**pod["status"], "phase": "Succeeded"}
        cluster.lists["pods"].append(
            {**pod, "metadata": meta, "spec": {**pod["spec"], "nodeName": "s3"}, "status": status}
        )
    there = sum(each["spec"].get("nodeName") == "s3" for each in cluster.lists["pods"]) - 3
    cluster.get("nodes", "s3")["status"]["allocatable"]["pods"] = str(there + 4)
    made, _, notes = probes.plan(Snapshot.from_lists(cluster.lists, now=cluster.now), "beef", "image", 60, DEEP_CODES)
    assert made.nodes == ("a1", "s1", "s3")
    (note,) = notes
    assert note.startswith("node s2 was not tried out: it takes 3 pods and has ")


def test_an_image_that_cannot_be_had_says_nothing_of_dns(serve: Callable[..., ApiServer]) -> None:
    server = serve(Kubelet(waits={"": ("ImagePullBackOff", "Back-off pulling image")}))
    _, report, _ = try_out(image="registry.lan/none:1")
    assert (report.roots, report.exit_code) == ((), 3)
    status, said = why(report, "DEEP001")
    assert status is Status.FAILED
    assert "the image registry.lan/none:1 cannot be had (ImagePullBackOff: Back-off" in said and "--deep-image" in said
    assert ours(server) == []


def test_a_node_whose_pods_do_not_start_is_said_and_the_others_are_judged(serve: Callable[..., ApiServer]) -> None:
    serve(Kubelet(waits={"node-0": ("ErrImageNeverPull", ""), "ask-0": ("ErrImageNeverPull", "")}))
    snapshot, report, _ = try_out()
    assert snapshot.probed is not None and snapshot.probed.nodes == ("s1", "s2", "s3")
    assert (report.roots, [each.name for each in report.unread]) == ((), ["probes on node a1"])
    assert report.exit_code == 3


def test_pods_that_never_start_end_with_the_deadline(serve: Callable[..., ApiServer]) -> None:
    server = serve(Kubelet(waits={"": ("", "")}))
    _, report, _ = try_out(timeout=1)
    assert (report.roots, report.exit_code) == ((), 3)
    assert why(report, "DEEP002")[1].endswith("its pod did not start within 1 s")
    assert ours(server) == []


def test_those_that_are_there_are_asked_when_one_does_not_start(serve: Callable[..., ApiServer]) -> None:
    serve(Kubelet(waits={"node-0": ("", ""), "ask-0": ("", "")}))
    snapshot, report, _ = try_out(timeout=2)
    assert snapshot.probed is not None and snapshot.probed.nodes == ("s1", "s2", "s3")
    assert report.roots == ()


@pytest.mark.parametrize(
    "message",
    [
        'pods "x" is forbidden: violates PodSecurity "restricted:latest": unrestricted capabilities',
        'pods "x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0',
        'admission webhook "validate.example" denied the request: no',
    ],
)
@pytest.mark.usefixtures("beef")
def test_pods_that_are_refused_are_could_not_check(serve: Callable[..., ApiServer], message: str) -> None:
    server = serve()
    server.faults[f"{SPACES}/homelab-health-beef/pods"] = lambda handler: (
        handler.command == "POST" and api_server.refuse(403, message)(handler)
    )
    _, report, _ = try_out()
    assert (report.roots, report.exit_code) == ((), 3)
    assert {why(report, f"DEEP00{number}")[0] for number in range(1, 5)} == {Status.FAILED}
    assert message[:20] in why(report, "DEEP001")[1]
    assert ours(server) == []


@pytest.mark.usefixtures("beef")
def test_the_service_account_of_a_new_namespace_is_waited_for(serve: Callable[..., ApiServer]) -> None:
    server = serve()
    said = 'pods "node-0" is forbidden: error looking up service account homelab-health-beef/default: serviceaccount'
    server.faults[f"POST {SPACES}/homelab-health-beef/pods"] = api_server.refuse(
        403, f'{said} "default" not found', times=2
    )
    assert try_out()[1].exit_code == 0


@pytest.mark.parametrize("said", ["error looking up service account beef/default: none", "serviceaccount is not mine"])
@pytest.mark.usefixtures("beef")
def test_no_other_refusal_is_taken_for_that_and_it_is_not_waited_for_without_end(
    serve: Callable[..., ApiServer], monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    server = serve()
    monkeypatch.setattr("homelab.health.probing._ACCOUNT", 0.1)
    server.faults[f"POST {SPACES}/homelab-health-beef/pods"] = api_server.refuse(403, said)
    _, report, _ = try_out(timeout=60, codes=["DEEP002"])
    assert report.exit_code == 3 and said in why(report, "DEEP002")[1]
    tries = [path for _, path, body in server.written if body["kind"] == "Pod" and body["metadata"]["name"] == "node-0"]
    assert (len(tries) > 1) is said.startswith("error")


@pytest.mark.parametrize(("verb", "resource"), manifests.RIGHTS)
def test_a_right_that_is_lacking_is_skipped_and_nothing_is_made(
    serve: Callable[..., ApiServer], verb: str, resource: str
) -> None:
    server = serve(denied=frozenset({(verb, resource)}))
    _, report, _ = try_out()
    assert (report.roots, report.exit_code) == ((), 0)
    assert why(report, "DEEP001") == (
        Status.SKIPPED,
        f"probes: we may not {verb} {resource}; see homelab health role --deep",
    )
    assert {path for method, path, _ in server.written} == {"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"}


@pytest.mark.parametrize("status", [403, 500])
def test_a_namespace_that_is_refused_is_said(
    serve: Callable[..., ApiServer], monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    server = serve()
    monkeypatch.setattr("homelab.health.probing._SETTLING", 0.1)
    server.faults[f"POST {SPACES}"] = api_server.refuse(status, "etcdserver: request timed out")
    _, report, told = try_out()
    assert (report.exit_code, told) == (3, [])
    assert why(report, "DEEP003") == (Status.FAILED, "probes: etcdserver: request timed out")
    assert [each.name for each in report.unread] == ["probes"], "told once"


def unsaid(say: api_server.Fault, *, times: int = 99) -> api_server.Fault:
    """The API makes what it is asked for, and says something else of it, so many times."""
    left = [times]

    def fault(handler: Any) -> bool:
        def answer(*_: object, **__: object) -> None:
            del handler.answer
            say(handler)

        if left[0]:
            left[0] -= 1
            handler.answer = answer
        return False

    return fault


@pytest.mark.parametrize("resource", ["", "pods", "services", "persistentvolumeclaims"])
@pytest.mark.parametrize(
    "say",
    [api_server.dropped(), pytest.param(api_server.refuse(500, "etcdserver: timed out"), marks=pytest.mark.broad)],
)
@pytest.mark.parametrize("times", [1, 99])
@pytest.mark.usefixtures("beef")
def test_what_was_made_though_no_answer_told_so_counts_and_is_removed(
    serve: Callable[..., ApiServer], resource: str, say: api_server.Fault, times: int
) -> None:
    server = serve()
    path = f"{SPACES}/homelab-health-beef/{resource}" if resource else SPACES
    server.faults[f"POST {path}"] = unsaid(say, times=times)
    _, report, told = try_out()
    assert (report.roots, report.exit_code, told, ours(server)) == ((), 0, [], [])
    names = [body["metadata"]["name"] for method, at, body in server.written if (method, at) == ("POST", path)]
    assert 1 < names.count(names[0]) <= 3, "a name of its own can be asked for again"


def test_a_namespace_that_is_made_though_the_api_failed_is_removed(
    serve: Callable[..., ApiServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there only after it was looked for."""
    server = serve()
    monkeypatch.setattr("homelab.health.probing._TRIES", 1)
    looks: list[str] = []

    def fails(handler: Any) -> bool:
        _, _, made = server.written[-1]

        def late(handler: Any) -> bool:
            looks.append(handler.query.get("labelSelector", ""))
            if len(looks) == 3:
                server.at[SPACES].append({**made, "metadata": {**made["metadata"], "uid": "4711"}})
            return False

        server.faults[f"GET {SPACES}"] = late
        return api_server.refuse(500, "etcdserver: request timed out")(handler)

    server.faults[f"POST {SPACES}"] = fails
    _, report, told = try_out()
    assert (report.exit_code, told, ours(server)) == (3, [], [])
    assert len(looks) > 3 and "etcdserver: request timed out" in why(report, "DEEP001")[1]


@pytest.mark.parametrize("at", ["review", "services", "pods", "persistentvolumeclaims"])
@pytest.mark.usefixtures("beef")
def test_one_request_that_hangs_does_not_take_the_time_of_the_others(
    serve: Callable[..., ApiServer], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    server = serve()
    monkeypatch.setattr("homelab.health.probing._PATIENCE", 0.5)
    monkeypatch.setattr("homelab.health.probing._PART", 1 / 30)
    reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    path = reviews if at == "review" else f"{SPACES}/homelab-health-beef/{at}"
    hang, silent = api_server.hang(), [True]
    server.faults[f"POST {path}"] = lambda handler: bool(silent) and silent.pop() and hang(handler)
    _, report, told = try_out(timeout=60)
    assert (silent, told, ours(server)) == ([], [], [])
    assert (report.roots, report.exit_code) == ((), 3)
    assert [bool(re.search("not within [0-2] s$", each.why)) for each in report.unread] == [True]
    judged = {each.code for each in report.runs if each.status is Status.OK and each.code.startswith("DEEP")}
    assert (
        judged
        == {
            "review": set(),
            "services": {"DEEP001", "DEEP002", "DEEP003", "DEEP004"},
            "pods": {"DEEP001", "DEEP002", "DEEP003", "DEEP004"},
            "persistentvolumeclaims": {"DEEP001", "DEEP002", "DEEP003"},
        }[at]
    )


def test_what_is_made_after_nobody_waits_for_it_any_more_is_removed(
    serve: Callable[..., ApiServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted while the namespace is being made: the API makes it nevertheless, a moment later."""
    server = serve()

    def interrupted(connection: Connection, method: str, path: str, body: Json, *more: Any) -> Any:
        if (method, path) != ("POST", SPACES):
            return send(connection, method, path, body, *more)
        server.faults[f"GET {SPACES}"] = lambda handler: (
            "labelSelector" in handler.query and late.append(body) and False
        )
        raise KeyboardInterrupt

    class Late(list[Json]):
        def append(self, body: Json) -> None:
            super().append(body)
            if len(self) == 3:
                body["metadata"]["uid"] = "4711"
                server.at[SPACES].append(body)

    late, send = Late(), Connection.send
    monkeypatch.setattr(Connection, "send", interrupted)
    with pytest.raises(KeyboardInterrupt):
        probe(read_snapshot(), timeout=20, poll=0.02)
    assert len(late) > 3 and ours(server) == []


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_whatever_ends_it_the_namespace_is_removed(
    serve: Callable[..., ApiServer], monkeypatch: pytest.MonkeyPatch, raised: type[BaseException]
) -> None:
    server = serve(Kubelet(waits={"": ("", "")}))
    there: list[bool] = []

    def end(*_: object, **__: object) -> bool:
        there.append(bool(ours(server)))
        raise raised

    monkeypatch.setattr("homelab.health.probes.Plan.done", end)
    told: list[str] = []
    with pytest.raises(raised):
        probe(read_snapshot(), timeout=20, poll=0.02, tell=told.append)
    assert (there, ours(server)) == ([True], [])
    assert ["interrupted" in line for line in told] == ([] if raised is RuntimeError else [True])


@pytest.mark.usefixtures("beef")
def test_what_is_left_behind_is_told_with_the_command(
    serve: Callable[..., ApiServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    monkeypatch.setattr("homelab.health.probing._CLEANING", 0.5)
    server.faults[f"DELETE {SPACES}/homelab-health-beef"] = api_server.refuse(500, "no leader")
    _, report, told = try_out()
    said = "namespace homelab-health-beef is left behind: no leader; kubectl delete namespace homelab-health-beef"
    assert told == [said] and said in report.notes
    assert report.roots == (), "what was found out holds nevertheless"


@pytest.mark.usefixtures("beef")
def test_who_is_in_more_of_a_hurry_is_told_what_may_be_left(
    serve: Callable[..., ApiServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    serve()

    def again(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("homelab.health.probing._Run._delete", again)
    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        probe(read_snapshot(), timeout=20, poll=0.02, tell=told.append)
    assert told == [
        "namespace homelab-health-beef may be left; the next --deep removes it, or:"
        " kubectl delete namespace homelab-health-beef"
    ]


def leftover(run: str, until: datetime | None, **more: Any) -> Json:
    made = manifests.namespace(run, until or datetime.now(UTC))
    made["metadata"] |= {"uid": f"old-{run}", **more}
    if until is None:
        del made["metadata"]["annotations"]
    return made


def test_only_what_dead_runs_have_left_is_removed(serve: Callable[..., ApiServer]) -> None:
    cluster, now = fresh(), datetime.now(UTC)
    foreign = leftover("cafe", now - timedelta(days=9))
    foreign["metadata"]["name"] = "media-4"
    cluster.lists["namespaces"] += [
        leftover("dead", now - timedelta(minutes=1)),
        leftover("a11e", now + timedelta(minutes=1)),
        leftover("0000", None),
        leftover("90e5", now - timedelta(minutes=9), deletionTimestamp=stamp(now)),
        foreign,
    ]
    server = serve(cluster=cluster)
    _, report, _ = try_out()
    left = {each["metadata"]["name"] for each in ours(server)}
    assert left == {"homelab-health-a11e", "homelab-health-0000", "homelab-health-90e5", "media-4"}
    assert "namespace homelab-health-dead, which a run before this one has left, was removed" in report.notes
    assert any("homelab-health-0000 has our label and no end" in note for note in report.notes)


def test_by_which_clock_a_run_is_dead(serve: Callable[..., ApiServer]) -> None:
    """By the cluster's: this machine's may be off."""
    cluster = fresh()
    cluster.lists["namespaces"].append(leftover("a11e", datetime.now(UTC) - timedelta(minutes=1)))
    server = serve(cluster=cluster, clock=api_server.ahead(-3600))
    try_out()
    assert [each["metadata"]["name"] for each in ours(server)] == ["homelab-health-a11e"]


def with_nfs(cluster: K3s, **more: Any) -> K3s:
    body = {"provisioner": "nfs.csi.k8s.io", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate", **more}
    cluster.add("storageclasses", "StorageClass", "storage.k8s.io/v1", "", "nas", **body)
    return cluster


def test_a_shared_volume_is_written_on_one_node_and_read_on_the_others(serve: Callable[..., ApiServer]) -> None:
    kubelet = Kubelet()
    serve(kubelet, with_nfs(fresh()))
    snapshot, report, _ = try_out(codes=[SHARED])
    assert snapshot.probed is not None and report.roots == ()
    assert [(each.step, each.node) for each in snapshot.probed.stored] == [
        ("write", "a1"),
        ("read", "s1"),
        ("read", "s2"),
        ("read", "s3"),
    ]
    assert {each["metadata"]["name"][:6] for each in kubelet.made} == {"homela", "shared"}, "nothing else was tried out"
    claim = next(each for each in kubelet.made if each["kind"] == "PersistentVolumeClaim")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"] and claim["spec"]["storageClassName"] == "nas"


@pytest.mark.parametrize(
    ("says", "root", "status"),
    [
        ({"shared-read-1": "read no it is not what was written"}, [("DEEP005", "Node s2")], Status.FINDINGS),
        ({"shared-write": "write no dd: I/O error"}, [("DEEP005", "StorageClass nas")], Status.FINDINGS),
        ({"shared-write": "write no dd: /data/homelab-health: Permission denied"}, [], Status.FAILED),
    ],
)
def test_what_becomes_of_a_shared_volume(
    serve: Callable[..., ApiServer], says: dict[str, str], root: list[tuple[str, str]], status: Status
) -> None:
    serve(Kubelet(says=says), with_nfs(fresh()))
    _, report, _ = try_out(codes=[SHARED])
    assert (roots(report), why(report, SHARED)[0]) == (root, status)


@pytest.mark.usefixtures("beef")
def test_a_volume_that_is_not_mounted_is_told_with_the_kubelets_words(serve: Callable[..., ApiServer]) -> None:
    cluster = with_nfs(fresh())
    for name, reason, message in (
        ("shared-write", "FailedMount", "mount failed: exit status 32: Connection timed out"),
        ("volume", "ProvisioningFailed", "failed to provision volume: no space left"),
    ):
        event = cluster.event("Pod", "homelab-health-beef", name, reason, message, seconds=1)
        event["type"] = "Warning"
    serve(Kubelet(waits={"shared": ("ContainerCreating", ""), "volume": ("", "")}), cluster)
    _, report, _ = try_out(timeout=1, codes=["DEEP004", SHARED])
    assert roots(report) == [("DEEP004", "StorageClass local-path"), ("DEEP005", "StorageClass nas")]
    assert report.roots[0].summary == "it makes no volume: failed to provision volume: no space left"
    assert report.roots[1].summary.endswith("on a1: mount failed: exit status 32: Connection timed out")


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        (lambda each: each.update(reclaimPolicy="Retain"), "DEEP004", "keeps volumes whose claim is gone"),
        (lambda each: each.update(provisioner="kubernetes.io/no-provisioner"), "DEEP004", "makes no volumes by itself"),
        (
            lambda each: each.update(parameters={"onDelete": "retain"}),
            "DEEP004",
            "volumes that are gone (onDelete: ret",
        ),
        (lambda each: each.update(provisioner=SUBDIR), "DEEP004", "are gone (archiveOnDelete is not false)"),
        (lambda each: each["metadata"].pop("annotations"), "DEEP004", "no StorageClass is the default"),
    ],
)
def test_volumes_that_are_not_tried_out(
    serve: Callable[..., ApiServer], change: Callable[[Json], None], code: str, told: str
) -> None:
    cluster = fresh()
    change(cluster.get("storageclasses", "local-path"))
    server = serve(cluster=cluster)
    _, report, _ = try_out(codes=[code])
    assert why(report, code)[0] is Status.SKIPPED and told in why(report, code)[1]
    assert server.written == [], "nothing is made for nothing"


SUBDIR = "cluster.local/nfs-subdir-external-provisioner"


@pytest.mark.parametrize(
    ("provisioner", "parameters", "fit"),
    [
        ("cluster.local/nas-nfs-client-provisioner", {"archiveOnDelete": "true"}, False),
        (SUBDIR, {"archiveOnDelete": "false"}, True),
        (SUBDIR, {"archiveOnDelete": "false", "onDelete": "retain"}, False),
        (SUBDIR, {"archiveOnDelete": "true", "onDelete": "delete"}, True),
        ("nfs.csi.k8s.io", {"onDelete": "archive"}, False),
        ("nfs.csi.k8s.io", {"onDelete": "delete"}, True),
    ],
)
def test_a_class_that_keeps_folders_is_not_tried_out(provisioner: str, parameters: dict[str, str], fit: bool) -> None:
    cluster = with_nfs(fresh(), provisioner=provisioner, parameters=parameters)
    snapshot = Snapshot.from_lists(cluster.lists, now=cluster.now)
    made, sources, _ = probes.plan(snapshot, "beef", "image", 60, [SHARED])
    assert (bool(made.disks), not sources) == (fit, fit)
    assert fit or "keeps the folders of volumes" in sources["probes of shared volumes"].why


def test_without_dns_it_is_skipped(serve: Callable[..., ApiServer]) -> None:
    cluster = fresh()
    cluster.lists["services"] = [each for each in cluster.lists["services"] if each["metadata"]["name"] != "kube-dns"]
    serve(cluster=cluster)
    _, report, _ = try_out(codes=["DEEP001"])
    assert why(report, "DEEP001") == (Status.SKIPPED, "probes of DNS: there is no Service kube-system/kube-dns")


def test_asked_for_dns_alone_a_broken_network_is_not_taken_for_it(serve: Callable[..., ApiServer]) -> None:
    """DNS is on s1, which the others do not reach."""
    s1 = sorted(NODES).index("s1")

    def bad(node: str, key: str, whom: str) -> bool:
        return node != "s1" and key in (f"pod:{s1}", f"service:{s1}", "dns-pod:0", "dns:0")

    serve(Kubelet(bad))
    _, report, _ = try_out(codes=["DEEP001"])
    assert [(each.code, each.summary) for each in report.roots] == [
        ("DEEP001", "does not answer pods on a1, s2, s3, which do not reach its node")
    ]
    assert report.roots[0].remedy == "homelab health --deep --only DEEP002"


@pytest.mark.usefixtures("beef")
def test_a_policy_that_new_namespaces_get_is_told_for_what_it_may_bar(serve: Callable[..., ApiServer]) -> None:
    cluster = fresh()
    cluster.add(
        "networkpolicies",
        "NetworkPolicy",
        "networking.k8s.io/v1",
        "homelab-health-beef",
        "same",
        spec={"podSelector": {}},
    )
    serve(Kubelet(lambda node, key, whom: key.startswith("dns")), cluster)
    _, report, _ = try_out()
    assert (report.roots, report.exit_code) == ((), 3)
    assert why(report, "DEEP001") == (
        Status.FAILED,
        "probes of DNS: what somebody puts into new namespaces may be in the way: NetworkPolicy same",
    )


@pytest.mark.parametrize("name", ["nodes", "storageclasses", "services"])
def test_what_could_not_be_read_is_not_tried_out(serve: Callable[..., ApiServer], name: str) -> None:
    server = serve()
    server.faults[server.path(name)] = api_server.refuse(500, "no")
    snapshot, report, _ = try_out()
    assert snapshot.source("probes of DNS").state is not State.READ or name == "storageclasses"
    assert report.exit_code == 3 and ours(server) == []


@pytest.mark.parametrize("fault", [api_server.refuse(500, "no leader", times=3), api_server.truncated(times=5)])
@pytest.mark.usefixtures("beef")
def test_an_api_that_is_away_for_a_moment_is_waited_for(
    serve: Callable[..., ApiServer], fault: api_server.Fault
) -> None:
    server = serve()
    server.faults[f"GET {SPACES}/homelab-health-beef/pods"] = fault
    _, report, _ = try_out()
    assert (report.roots, report.exit_code) == ((), 0)


@pytest.mark.usefixtures("beef")
def test_an_api_that_goes_away_is_said(serve: Callable[..., ApiServer]) -> None:
    server = serve()
    server.faults[f"{SPACES}/homelab-health-beef/pods"] = api_server.dropped()
    _, report, _ = try_out()
    assert report.exit_code == 3 and ours(server) == []
    assert {why(report, "DEEP002")[0]} == {Status.FAILED}


@pytest.mark.parametrize(
    ("served", "state"),
    [("discovery.k8s.io/v1", "replaced"), ("discovery.k8s.io/v1beta1", "replaced"), ("v1", "replaced"), ("", "there")],
)
def test_a_pod_of_dns_that_is_replaced_meanwhile(serve: Callable[..., ApiServer], served: str, state: str) -> None:
    cluster = fresh()
    options: dict[str, Any] = {}
    if served == "v1":
        options["served"] = {key: at for key, at in api_server.SERVED.items() if key != "endpointslices"}
        options["served"] |= {"endpoints": "v1"}
        cluster.lists["endpoints"] = [dns_endpoints("10.42.0.7")]
    elif served:
        options["served"] = {**api_server.SERVED, "endpointslices": served}

    def bad(node: str, key: str, whom: str) -> bool:
        if key.startswith("dns") and served == "v1":
            server.at["/api/v1/endpoints"][:] = [dns_endpoints("10.42.0.99")]
        elif key.startswith("dns") and served:
            for each in server.at[server.path("endpointslices")]:
                each["endpoints"] = [{**one, "addresses": ["10.42.0.99"]} for one in each["endpoints"]]
        return key.startswith("dns")

    server = serve(Kubelet(bad), cluster, **options)
    _, report, _ = try_out(codes=["DEEP001", "DEEP002"])
    assert bool([code for code, _ in roots(report) if code == "DEEP001"]) is (state == "there")
    unread = [each.name for each in report.unread if "at 10.42.0.7" in each.name]
    assert bool(unread) is (state == "replaced")


def dns_endpoints(address: str) -> Json:
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}]
    subset = {"addresses": [{"ip": address, "nodeName": "s1"}], "ports": ports}
    return {"metadata": {"name": "kube-dns", "namespace": "kube-system"}, "subsets": [subset]}


def test_dns_of_which_the_api_tells_nothing_more_is_not_judged(serve: Callable[..., ApiServer]) -> None:
    server = serve(Kubelet(lambda node, key, whom: key == "dns-pod:0"))
    server.faults["GET /apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices"] = api_server.refuse(500, "no")
    _, report, _ = try_out(codes=["DEEP001"])
    assert report.roots == () and report.exit_code == 3
    assert [each.why for each in report.unread] == ["whether DNS still has this address is not told: no"]


@pytest.mark.usefixtures("beef")
def test_a_look_that_is_not_answered_does_not_take_all_the_time(
    serve: Callable[..., ApiServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    monkeypatch.setattr("homelab.health.probing._PATIENCE", 0.5)
    hang, silent = api_server.hang(), [True, True]
    server.faults[f"GET {SPACES}/homelab-health-beef/pods"] = lambda handler: (
        bool(silent) and silent.pop() and hang(handler)
    )
    _, report, _ = try_out(timeout=60)
    assert (report.roots, report.exit_code, silent) == ((), 0, [])


def test_one_that_hangs_is_counted_from_when_it_was_seen_to_run(
    serve: Callable[..., ApiServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of its node may be off."""

    class Old(Kubelet):
        def status(self, made: Json) -> Json:
            if made["metadata"]["name"] != "volume-write":
                return super().status(made)
            began = stamp(datetime.now(UTC) - timedelta(hours=1))
            return {"phase": "Running", "containerStatuses": [{"state": {"running": {"startedAt": began}}}]}

    serve(Old())
    _, report, _ = try_out(timeout=3, codes=["DEEP004"])
    assert report.roots == () and why(report, "DEEP004")[1].endswith("did not come to an end within 3 s")
    monkeypatch.setattr("homelab.health.probes.HANGS", timedelta(seconds=0.2))
    assert roots(try_out(timeout=3, codes=["DEEP004"])[1]) == [("DEEP004", "StorageClass local-path")]


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command, which looks once a second how far its pods are, looks often."""
    monkeypatch.setitem(probe.__kwdefaults__, "poll", 0.02)


@pytest.mark.usefixtures("often")
def test_the_command_counts_what_it_tried_out(serve: Callable[..., ApiServer], tmp_path: Path) -> None:
    server = serve()
    done = homelab("--deep", "--deep-timeout", "30", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{len(ALL_CHECKS)} checks: " in done.stdout
    assert ours(server) == [] and any(method == "DELETE" for method, _, _ in server.written)
    assert f"{len(CHECKS)} checks: " in homelab(cwd=tmp_path).stdout


def test_without_it_nothing_is_written(serve: Callable[..., ApiServer], tmp_path: Path) -> None:
    server = serve()
    assert homelab("-v", cwd=tmp_path).returncode == 0
    assert server.written == []


def begun(server: ApiServer, cwd: Path, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """The command, once it has made all that it makes first."""
    # Whoever runs the tests in the background has them, and all that they start, ignore some signals.
    running = subprocess.Popen(
        ["env", "--default-signal=INT,HUP,TERM", HOMELAB, "health", "--deep", "--deep-timeout", "60"],
        cwd=cwd,
        env=os.environ,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    for _ in range(3000):
        if any(each["metadata"]["name"] == "volume-write" for each in server.at["/api/v1/pods"]):
            break
        threading.Event().wait(0.02)
    return running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_nothing_is_left(
    serve: Callable[..., ApiServer], tmp_path: Path, number: signal.Signals
) -> None:
    server = serve(Kubelet(waits={"": ("", "")}))
    running = begun(server, tmp_path)
    running.send_signal(number)
    out, said = running.communicate(timeout=60)
    assert (running.returncode, out, ours(server)) == (3, "", [])
    assert "interrupted; namespace homelab-health-" in said and "nothing was checked" in said


def test_a_terminal_that_is_closed_ends_it_once(serve: Callable[..., ApiServer], tmp_path: Path) -> None:
    """Its shell and the kernel both say so, and nobody is there to be told."""
    server = serve(Kubelet(waits={"": ("", "")}))
    again = threading.Event()

    def away(handler: Any) -> bool:
        return handler.command == "DELETE" and not again.is_set() and api_server.refuse(500, "no leader")(handler)

    reads, stderr = os.pipe()
    running = begun(server, tmp_path, stderr)
    for space in ours(server):
        server.faults[f"{SPACES}/{space['metadata']['name']}"] = away
    os.close(stderr)
    os.close(reads)
    running.send_signal(signal.SIGHUP)
    for _ in range(3000):
        if any(method == "DELETE" for method, _, _ in server.written):
            break
        threading.Event().wait(0.02)
    running.send_signal(signal.SIGHUP)
    running.send_signal(signal.SIGTERM)
    again.set()
    out, _ = running.communicate(timeout=60)
    assert (out, ours(server)) == ("", [])
    assert len([method for method, _, _ in server.written if method == "DELETE"]) > 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--deep", "-n", "media"), "--deep looks at the cluster as a whole"),
        (("--deep", "--watch", "5"), "leave --watch and --for out"),
        (("--deep", "--for", "60s"), "leave --watch and --for out"),
        (("--deep", "--deep-image", "a b"), '--deep-image: "a b" is no image'),
        (("--deep-image", "busybox"), "write --deep too"),
        (("--deep", "--deep-timeout", "1"), "--deep-timeout"),
        (("--only", "DEEP"), "add --deep"),
    ],
)
def test_what_does_not_go_with_it(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    done = homelab(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "") and told in " ".join(done.stderr.split())


@pytest.mark.usefixtures("often")
def test_the_settings_file_names_image_and_timeout(serve: Callable[..., ApiServer], tmp_path: Path) -> None:
    kubelet = Kubelet()
    serve(kubelet)
    (tmp_path / "mine.toml").write_text('[deep]\nimage = "registry.lan/busybox:1"\ntimeout = "45s"\n')
    done = homelab("--deep", "--settings", "mine.toml", "--only", "DEEP002", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listener = next(each for each in kubelet.made if each["kind"] == "Pod")["spec"]["containers"][0]
    assert (listener["image"], listener["command"][-1]) == ("registry.lan/busybox:1", "45")


# Without a pod


def figures(start: str, fast: int, slow: int) -> bytes:
    """Of the writes those that took 0.1 s and those that took 0.7 s; reads are slow, and so is the API itself."""
    lines = [f"process_start_time_seconds {start}"]
    for operation, bounds in (("create", (0, fast, fast, fast + slow)), ("get", (0, 0, 0, 9000))):
        for le, count in zip(("0.05", "0.1", "0.6", "+Inf"), bounds, strict=True):
            name = f'operation="{operation}",type="*core.Pod",le="{le}"'
            lines += [f"etcd_request_duration_seconds_bucket{{{name}}} {count}"]
            lines += [f"apiserver_request_duration_seconds_bucket{{{name}}} 9000"]
    return "\n".join(["# TYPE etcd_request_duration_seconds histogram", *lines]).encode()


def then(*answers: api_server.Fault) -> api_server.Fault:
    """One after the other."""
    left = list(answers)
    return lambda handler: left.pop(0)(handler)


def figures_of(*bodies: bytes) -> api_server.Fault:
    return then(*map(api_server.body, bodies))


@pytest.mark.parametrize(
    ("answers", "status", "said"),
    [
        (figures_of(figures("1.5e+09", 100, 50), figures("1.5e+09", 200, 50)), Status.OK, ""),
        (figures_of(figures("1.5e+09", 100, 50), figures("1.5e+09", 180, 60)), Status.FINDINGS, ""),
        (figures_of(figures("1.5e+09", 100, 50), figures("1.6e+09", 180, 60)), Status.SKIPPED, "had started anew"),
        (figures_of(figures("1.5e+09", 100, 50), figures("1.5e+09", 90, 60)), Status.SKIPPED, "had started anew"),
        (figures_of(figures("1.5e+09", 100, 50), figures("1.5e+09", 100, 50)), Status.SKIPPED, "nothing meanwhile"),
        (figures_of(b"process_start_time_seconds 1.5e+09"), Status.SKIPPED, "does not tell how long they take"),
        (figures_of(figures("soon", 1, 1)), Status.SKIPPED, "does not tell how long they take"),
        (figures_of(b"\xff\x00"), Status.SKIPPED, "does not tell how long they take"),
        (
            then(api_server.refuse(403, 'forbidden: User "x" cannot get path "/metrics"')),
            Status.SKIPPED,
            'forbidden: cannot get path "/metrics"',
        ),
        (then(api_server.refuse(500, "no")), Status.FAILED, "no"),
        (then(api_server.body(figures("1.5e+09", 1, 0)), api_server.refuse(500, "no")), Status.FAILED, "no"),
    ],
)
def test_the_writes_of_the_api_server(
    serve: Callable[..., ApiServer],
    monkeypatch: pytest.MonkeyPatch,
    answers: api_server.Fault,
    status: Status,
    said: str,
) -> None:
    monkeypatch.setattr("homelab.health.probing._WINDOW", 0.0)
    server = serve()
    server.faults["/metrics"] = answers
    _, report, _ = try_out(codes=["DEEP006"])
    run = why(report, "DEEP006")
    assert run[0] is status and said in run[1], run
    assert [(each.code, each.summary) for each in report.roots] == [
        ("DEEP006", "took more than 0.6 s for more than 5 % of the API server's writes")
    ] * (status is Status.FINDINGS)
    assert server.written == []


def test_where_pods_may_not_be_made_writes_are_timed_nevertheless(
    serve: Callable[..., ApiServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("homelab.health.probing._WINDOW", 0.0)
    server = serve(denied=frozenset({("create", "pods")}))
    server.faults["/metrics"] = figures_of(figures("1.5e+09", 100, 50), figures("1.5e+09", 180, 60))
    _, report, _ = try_out()
    assert roots(report) == [("DEEP006", "Datastore datastore")]
    assert why(report, "DEEP002")[0] is Status.SKIPPED


def test_writes_are_counted_for_a_while_and_no_longer_than_there_is_time(
    serve: Callable[..., ApiServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("homelab.health.probing.time.sleep", slept.append)
    for timeout in (100, 20):
        server = serve()
        server.faults["/metrics"] = figures_of(figures("1.5e+09", 1, 0), figures("1.5e+09", 2, 0))
        try_out(timeout=timeout, codes=["DEEP006"])
    assert 20 < slept[0] <= 30 and slept[1] <= 20


def test_only_one_file_writes_to_an_api() -> None:
    """Whatever else health does, it does not change a cluster."""
    folder = Path(manifests.__file__).parent
    writes = {path.name for path in folder.rglob("*.py") if ".send(" in path.read_text()}
    assert writes == {"probing.py"} and hasattr(Connection, "send")
