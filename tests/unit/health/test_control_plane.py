"""Control plane, certificates and etcd: both sides of each limit, and what a cluster without them is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from homelab.health import Expected, Report, Severity, Snapshot, run_checks, slim
from homelab.health.checks import CHECKS
from homelab.health.report import Status
from homelab.health.snapshot import Api, Source, State
from homelab.health.thresholds import Thresholds
from tests.unit.health.cluster import NOW, VERSION, K3s, micro, stamp
from tests.unit.health.faults import (
    failed_snapshot,
    member_ill,
    namespace_does_not_go,
    no_member_any_more,
    node_certificates,
    set_condition,
    sqlite,
    two_members,
    unavailable,
)

API = Api("https://192.0.2.11:6443", "home", VERSION, latency=timedelta(seconds=0.01), skew=timedelta())
INFO, WARNING, CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL


def look(cluster: K3s, **api: Any) -> Report:
    return run_checks(Snapshot.from_lists(cluster.lists, now=cluster.now, api=replace(API, **api)))


def found(report: Report, code: str) -> Severity | None:
    (severity,) = {each.severity for each in report.findings if each.code == code} or {None}
    return severity


def snapshots(cluster: K3s, age: timedelta) -> None:
    for file in cluster.lists["etcdsnapshotfiles"]:
        file["status"]["creationTime"] = stamp(cluster.now - age)


def learner(cluster: K3s, age: timedelta) -> None:
    set_condition(cluster.get("nodes", "s3"), "EtcdIsVoter", "False", "MemberIsLearner", stamp(cluster.now - age))


def pair(cluster: K3s, age: timedelta) -> None:
    two_members(cluster)
    cluster.get("nodes", "s2")["metadata"]["creationTimestamp"] = stamp(cluster.now - age)


def leader(cluster: K3s, age: timedelta) -> None:
    cluster.get("leases", "kube-scheduler")["spec"]["renewTime"] = micro(cluster.now - age)


def told(cluster: K3s, age: timedelta) -> None:
    node_certificates(cluster, "s2", "CertificateExpirationWarning", "soon", seconds=age.total_seconds())


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("code", "act", "limit", "before", "after"),
    [
        ("ETCD002", learner, timedelta(minutes=10), None, WARNING),
        ("ETCD003", pair, timedelta(hours=1), None, WARNING),
        ("ETCD004", snapshots, timedelta(hours=18), None, WARNING),
        ("ETCD004", snapshots, timedelta(hours=36), WARNING, CRITICAL),
        ("CTRL009", leader, timedelta(seconds=60), None, CRITICAL),
        ("CERT003", told, timedelta(minutes=35), WARNING, None),
        (
            "CTRL008",
            lambda cluster, age: unavailable(cluster, "no answer", age.total_seconds() / 60),
            timedelta(minutes=5),
            None,
            WARNING,
        ),
    ],
)
def test_both_sides_of_each_limit(
    code: str,
    act: Callable[[K3s, timedelta], None],
    limit: timedelta,
    before: Severity | None,
    after: Severity | None,
) -> None:
    for age, severity in ((limit, before), (limit + SECOND, after)):
        cluster = K3s()
        act(cluster, age)
        assert found(look(cluster), code) is severity, age


@pytest.mark.parametrize(("code", "field"), [("CERT001", "serving_end"), ("CERT002", "client_end")])
def test_certificates_that_end(code: str, field: str) -> None:
    for left, severity in (
        (timedelta(days=30) + SECOND, None),
        (timedelta(days=30), WARNING),
        (timedelta(days=7) + SECOND, WARNING),
        (timedelta(days=7), CRITICAL),
        (-SECOND, CRITICAL),
    ):
        report = look(K3s(), **{field: NOW + left})
        assert found(report, code) is severity, left
        assert len(report.roots) == (severity is not None)
    assert "ended on 2026-11-25 11:59" in report.roots[0].summary


@pytest.mark.parametrize(
    ("life", "limit"), [(365, timedelta(days=30)), (90, timedelta(days=22.5)), (30, timedelta()), (0.5, timedelta())]
)
def test_certificates_that_do_not_last_long_anyway(life: float, limit: timedelta) -> None:
    for left, some in ((limit + SECOND, False), (limit, True)):
        report = look(K3s(), client_end=NOW + left, client_life=timedelta(days=life))
        assert (found(report, "CERT002") is not None) == some, left


def test_who_wants_to_know_earlier_is_told_of_certificates_of_months_too() -> None:
    limits = Thresholds(certificate_warning=timedelta(days=120))
    asked = replace(API, serving_end=NOW + timedelta(days=20), serving_life=timedelta(days=90))
    report = run_checks(Snapshot.from_lists(K3s().lists, now=NOW, api=asked), limits)
    assert found(report, "CERT001") is WARNING


def test_the_certificate_of_a_server_that_tells_of_its_own_is_one_fault() -> None:
    cluster = K3s()
    told(cluster, SECOND)
    cluster.get("nodes", "s2")["status"]["addresses"][0]["address"] = "192.0.2.12"
    report = look(cluster, url="https://192.0.2.12:6443", serving_end=NOW + timedelta(days=20))
    assert [(each.code, each.object.name) for each in report.roots] == [("CERT003", "s2")]
    assert [each.code for each in report.consequences(report.roots[0])] == ["CERT001"]


@pytest.mark.parametrize("told", [False, True])
def test_two_of_three_servers_down_are_a_quorum_lost(told: bool) -> None:
    """K3s tells of a member that does not answer since 1.28.6 and 1.29.1, where it can."""
    cluster = K3s()
    for name in ("s2", "s3"):
        node = cluster.get("nodes", name)
        set_condition(node, "Ready", "Unknown", "NodeStatusUnknown", cluster.ago(minutes=6))
        if told:
            set_condition(node, "EtcdIsVoter", "False", "Unhealthy", cluster.ago(minutes=6), "connection refused")
    report = look(cluster)
    assert {(each.code, each.object.name) for each in report.roots} == {("NODE001", "s2"), ("NODE001", "s3")}
    (etcd,) = [each for each in report.findings if each.code == "ETCD001"]
    assert (etcd.severity, etcd.evidence["down"]) == (CRITICAL, ("s2", "s3"))
    assert etcd.summary == "has 1 of 3 voting members, fewer than its quorum" and etcd.caused_by


def test_a_member_that_never_counted_is_no_cause_of_a_quorum_lost() -> None:
    """Nor where nobody asks for what the nodes are like that are missed."""
    cluster = K3s()
    no_member_any_more(cluster)
    for name in ("s1", "s2"):
        set_condition(cluster.get("nodes", name), "Ready", "Unknown", "NodeStatusUnknown", cluster.ago(minutes=6))
    snapshot = Snapshot.from_lists(cluster.lists, now=NOW, api=API)
    report = run_checks(snapshot, checks=[each for each in CHECKS if each[0] in ("ETCD001", "ETCD002")])
    assert [(each.code, each.severity) for each in report.roots] == [("ETCD001", CRITICAL), ("ETCD002", WARNING)]


@pytest.mark.parametrize(
    ("members", "down", "severity"), [(1, 0, None), (1, 1, CRITICAL), (3, 1, WARNING), (4, 0, None), (4, 1, WARNING)]
)
def test_what_etcd_can_lose(members: int, down: int, severity: Severity | None) -> None:
    """Four bear no more than three do: three of them are just their quorum."""
    cluster = K3s()
    names = ("s1", "s2", "s3", "a1")
    for name in names:
        labels = cluster.get("nodes", name)["metadata"]["labels"]
        labels.pop("node-role.kubernetes.io/etcd", None)
        if name in names[:members]:
            labels["node-role.kubernetes.io/etcd"] = "true"
    for name in names[:down]:
        set_condition(cluster.get("nodes", name), "Ready", "Unknown", "NodeStatusUnknown", cluster.ago(minutes=6))
    assert found(look(cluster), "ETCD001") is severity


def test_a_server_that_is_missing_explains_an_even_number() -> None:
    cluster = K3s()
    two_members(cluster)
    servers = dict.fromkeys(("s1", "s2", "s4"), "server")
    expected = Expected("home", servers, frozenset({"s3", "a1"}))
    report = run_checks(Snapshot.from_lists(cluster.lists, now=NOW, api=API, expected=expected))
    assert [(each.code, each.object.name) for each in report.roots] == [("NODE008", "s4")]
    assert [each.code for each in report.consequences(report.roots[0])] == ["ETCD003"]


def test_without_etcd_its_checks_are_skipped_with_the_reason() -> None:
    cluster = K3s()
    sqlite(cluster)
    runs = [each for each in look(cluster).runs if each.code.startswith("ETCD")]
    assert {each.status for each in runs} == {Status.SKIPPED}
    assert {each.reason for each in runs} == {
        "etcd: no node is a member of one: the datastore is SQLite or outside the cluster"
    }


def test_a_cluster_that_does_not_list_snapshots_is_not_told_that_it_has_none() -> None:
    cluster = K3s()
    del cluster.lists["etcdsnapshotfiles"]
    skipped = {each.code for each in look(cluster).runs if each.status is Status.SKIPPED}
    assert skipped >= {"ETCD004", "ETCD005", "ETCD006", "ETCD007"} and not skipped & {"ETCD001", "ETCD002", "ETCD003"}


def database(cluster: K3s, size: int) -> K3s:
    for file in cluster.lists["etcdsnapshotfiles"]:
        file["status"]["size"] = str(size)
    return cluster


@pytest.mark.parametrize(
    ("percent", "before", "after"), [(80, None, WARNING), (95, WARNING, CRITICAL)], ids=["warning", "critical"]
)
def test_room_in_the_database(percent: int, before: Severity | None, after: Severity | None) -> None:
    for size, severity in (
        (2 * 1024**3 * percent // 100, before),
        (2 * 1024**3 * percent // 100 + 1, after),
    ):
        assert found(look(database(K3s(), size)), "ETCD007") is severity, size


@pytest.mark.parametrize("name", ["etcd-snapshot-s1-1764028800.zip", ""])
def test_snapshots_that_are_no_copies_do_not_vouch_for_the_database(name: str) -> None:
    cluster = database(K3s(), 2 * 1024**3)
    if name:
        for file in cluster.lists["etcdsnapshotfiles"]:
            file["spec"]["snapshotName"] = name
    else:
        cluster.lists["etcdsnapshotfiles"] = []
    (run,) = [each for each in look(cluster).runs if each.code == "ETCD007"]
    told = "size of etcd's database: no snapshot tells it: there is none, or all are compressed"
    assert (run.status, run.reason) == (Status.SKIPPED, told)


@pytest.mark.parametrize(
    ("told", "quota"),
    [
        ([], 2 * 1024**3),
        (["--etcd-arg", "quota-backend-bytes=0"], 2 * 1024**3),
        (["--etcd-arg=quota-backend-bytes=4"], 4),
        (["--etcd-arg", "quota-backend-bytes=4", "--etcd-arg", "--quota-backend-bytes=5"], 5),
        (["--etcd-arg", "quota-backend-bytes=much"], 2 * 1024**3),
        (["--etcd-arg", "quota-backend-bytes=-1"], 0),
    ],
)
def test_the_quota_of_etcd_as_k3s_is_told_it(told: list[str], quota: int) -> None:
    item = K3s().get("nodes", "s1")
    item["metadata"]["annotations"]["k3s.io/node-args"] = json.dumps(["server", *told])
    assert slim.node(item).quota == quota


def test_a_namespace_that_a_finalizer_holds_is_told_beside_a_server_that_does_not_answer() -> None:
    """Kubernetes 1.36 goes on with what it can find, and says both."""
    cluster = K3s()
    unavailable(cluster, "no answer", minutes=9)
    namespace_does_not_go(cluster)
    namespace = cluster.get("namespaces", "media")
    said = "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs"
    set_condition(namespace, "NamespaceDeletionDiscoveryFailure", "True", "DiscoveryFailed", cluster.ago(hours=1), said)
    assert {each.code for each in look(cluster).roots} == {"CTRL007", "CTRL008"}


def test_what_is_not_in_the_one_namespace_is_not_vouched_for() -> None:
    snapshot = replace(Snapshot.from_lists(K3s().lists, now=NOW, api=API), namespace="media")
    runs = {each.code: each for each in run_checks(snapshot).runs}
    assert runs["CERT003"].status is Status.SKIPPED
    assert runs["CERT003"].reason == "events of nodes: they are not in media, which alone is looked at"


def test_nodes_that_may_not_be_read_are_the_reason_for_etcd_too() -> None:
    sources = {"nodes": Source("nodes", State.FORBIDDEN, "we may not read it")}
    report = run_checks(Snapshot.from_lists({}, now=NOW, sources=sources))
    run = next(each for each in report.runs if each.code == "ETCD001")
    assert (run.reason, run.forbidden) == ("nodes: we may not read it", True)


def test_snapshots_on_the_servers_alone_are_information() -> None:
    cluster = K3s()
    del cluster.lists["etcdsnapshotfiles"][1]
    report = look(cluster)
    assert [each.code for each in report.information] == ["ETCD006"]
    assert (report.roots, report.exit_code) == ((), 0)


def test_a_member_that_is_ill_is_missed_by_the_others() -> None:
    cluster = K3s()
    member_ill(cluster)
    report = look(cluster)
    (etcd,) = report.consequences(report.roots[0])
    assert (etcd.code, etcd.severity, etcd.evidence["down"]) == ("ETCD001", WARNING, ("s3",))
    assert "does not answer as it should" in report.roots[0].summary and "learner" not in report.roots[0].remedy


def test_a_snapshot_that_is_being_taken_is_no_failure() -> None:
    for minutes, severity in ((9, None), (11, WARNING)):
        cluster = K3s()
        failed_snapshot(cluster, 0, "", minutes=minutes)
        assert found(look(cluster), "ETCD005") is severity


@pytest.mark.parametrize(("nodes", "said"), [(("s1",), "is the only node"), (("s1", "a1"), "is the only server")])
def test_a_single_server_is_information(nodes: tuple[str, ...], said: str) -> None:
    cluster = K3s()
    cluster.lists["nodes"] = [cluster.get("nodes", name) for name in nodes]
    (each,) = [each for each in look(cluster).information if each.code == "CTRL010"]
    assert each.object.name == "s1" and each.summary.startswith(said)
