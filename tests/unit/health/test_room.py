"""Room on nodes: quantities, what a pod takes, both sides of each limit, and the loss of a node."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homelab.health import Severity, Snapshot, run_checks, slim
from homelab.health.report import Report, Status
from homelab.health.shape import quantity
from homelab.health.snapshot import Source, State
from tests.unit.health.cluster import NOW, K3s, stamp
from tests.unit.health.faults import busy_and_full, set_condition


def look(cluster: K3s, **sources: Source) -> Report:
    return run_checks(Snapshot.from_lists(cluster.lists, now=NOW, sources=sources))


def told(report: Report, code: str) -> set[str]:
    return {each.object.name for each in report.findings if each.code == code}


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("250m", 0.25),
        ("2", 2),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1e3", 1000),
        ("42288397n", 0.042288397),
        ("7u", 7e-6),
        ("64k", 64000),
        ("2Mi", 2 * 1024**2),
        ("1.5Gi", 1.5 * 1024**3),
        ("8Ei", 8 * 1024**6),
        ("3E", 3e18),
        ("-1", -1),
        ("", 0),
        ("Mi", 0),
        ("1 Gi", 0),
        ("1K", 0),
        ("٣", 0),
        (4, 0),
        (None, 0),
    ],
)
def test_quantities(text: object, amount: float) -> None:
    assert quantity(text) == pytest.approx(amount)


@given(st.text() | st.from_regex(r"[0-9.eEmKi+-]{1,40}", fullmatch=True))
def test_no_text_is_an_odd_quantity(text: str) -> None:
    assert abs(quantity(text)) < float("inf")


def container(cpu: str, memory: str, **more: Any) -> dict[str, Any]:
    return {"name": "x", "resources": {"requests": {"cpu": cpu, "memory": memory}}, **more}


MI = 1024.0**2


@pytest.mark.parametrize(
    ("spec", "requests"),
    [
        ({"containers": [container("100m", "70Mi"), container("1", "30Mi")]}, (1.1, 100 * MI)),
        ({"containers": [{"name": "x"}]}, (0, 0)),
        # An init container is there before the others, and counts for its largest need.
        ({"containers": [container("1", "10Mi")], "initContainers": [container("2", "5Mi")]}, (2, 10 * MI)),
        # A sidecar stays beside them, and beside the init containers after it.
        (
            {
                "containers": [container("1", "10Mi")],
                "initContainers": [container("500m", "8Mi", restartPolicy="Always"), container("2", "5Mi")],
            },
            (2.5, 18 * MI),
        ),
        ({"containers": [container("1", "1Mi")], "resources": {"requests": {"cpu": "3"}}}, (3, MI)),
        ({"containers": [container("1", "1Mi")], "overhead": {"cpu": "250m", "memory": "1Mi"}}, (1.25, 2 * MI)),
    ],
)
def test_what_a_pod_takes(spec: dict[str, Any], requests: tuple[float, float]) -> None:
    assert slim.pod({"spec": spec}).requests == pytest.approx(requests)


@pytest.mark.parametrize(
    ("code", "resource", "there", "at", "above"),
    [
        ("NODE012", "memory", "1000Mi", "900Mi", "901Mi"),
        ("NODE013", "cpu", "4", "3600m", "3601m"),
    ],
)
def test_both_sides_of_use(code: str, resource: str, there: str, at: str, above: str) -> None:
    for used, names in ((at, set()), (above, {"s2"})):
        cluster = K3s()
        for each in (*cluster.lists["nodes"], *cluster.lists["nodes.metrics.k8s.io"]):
            each.setdefault("usage", {})[resource] = "0"
        cluster.get("nodes", "s2")["status"]["allocatable"][resource] = there
        cluster.get("nodes.metrics.k8s.io", "s2")["usage"][resource] = used
        assert told(look(cluster), code) == names, used


def test_both_sides_of_the_number_of_pods() -> None:
    """Those that are done do not count: the kubelet has let go of them."""
    cluster = K3s()
    count = sum(
        pod["spec"]["nodeName"] == "s1" and pod["status"]["phase"] == "Running" for pod in cluster.lists["pods"]
    )
    assert any(
        pod["spec"]["nodeName"] == "s1" and pod["status"]["phase"] == "Succeeded" for pod in cluster.lists["pods"]
    )
    for most, names in ((count * 10 / 9, set()), (count * 10 / 9 - 0.1, {"s1"})):
        cluster.get("nodes", "s1")["status"]["allocatable"]["pods"] = str(most)
        assert told(look(cluster), "NODE014") == names, most


def test_both_sides_of_flapping() -> None:
    limit = timedelta(minutes=15)
    for age, names in ((limit, {"a1"}), (limit + timedelta(seconds=1), set())):
        cluster = K3s()
        set_condition(cluster.get("nodes", "a1"), "Ready", "True", "KubeletReady", stamp(NOW - age))
        report = look(cluster)
        assert (told(report, "NODE011"), report.roots) == (names, ())


def test_a_node_that_has_just_joined_does_not_flap() -> None:
    cluster = K3s()
    set_condition(cluster.get("nodes", "a1"), "Ready", "True", "KubeletReady", cluster.ago(minutes=2))
    cluster.get("nodes", "a1")["metadata"]["creationTimestamp"] = cluster.ago(minutes=3)
    assert told(look(cluster), "NODE011") == set()


def test_a_node_that_the_others_cannot_stand_in_for() -> None:
    cluster = K3s()
    busy_and_full(cluster)
    report = look(cluster)
    (lost,) = [each for each in report.information if each.code == "NODE015"]
    assert lost.object.name == "a1" and "more memory than the other nodes have free" in lost.summary
    assert told(report, "NODE013") == {"s1", "s2", "s3", "a1"}
    assert (report.roots, report.exit_code) == ((), 0)


def test_what_stays_on_its_node_needs_no_room_elsewhere() -> None:
    cluster = K3s()
    for pod in cluster.pods("svclb"):
        pod["spec"]["containers"][0]["resources"]["requests"]["memory"] = "7000Mi"
    assert told(look(cluster), "NODE015") == set()


def test_nodes_that_take_no_pods_lend_no_room() -> None:
    cluster = K3s()
    for name, change in (
        ("s1", {"taints": [{"key": "control-plane", "effect": "NoSchedule"}]}),
        ("s2", {"unschedulable": True}),
    ):
        cluster.get("nodes", name)["spec"] |= change
    for pod in cluster.pods("library"):
        pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "3800m"
    assert told(look(cluster), "NODE015") == {"a1", "s3"}, "and these two have not enough for each other"


def test_a_single_node_is_not_measured_against_others() -> None:
    cluster = K3s()
    cluster.lists["nodes"] = [cluster.get("nodes", "s1")]
    assert told(look(cluster), "NODE015") == set()


def test_pods_of_one_namespace_say_nothing_of_room() -> None:
    snapshot = replace(Snapshot.from_lists(K3s().lists, now=NOW), namespace="media")
    runs = {each.code: each for each in run_checks(snapshot).runs}
    for code in ("NODE014", "NODE015"):
        assert (runs[code].status, runs[code].reason) == (
            Status.SKIPPED,
            "pods of all namespaces: media alone is looked at",
        )


def test_without_a_metrics_server_nothing_is_said_of_use() -> None:
    name = "nodes.metrics.k8s.io"
    report = look(K3s(), **{name: Source(name, State.NOT_SERVED, "this cluster has no such API")})
    runs = {each.code: each.status for each in report.runs}
    assert (runs["NODE012"], runs["NODE013"], report.exit_code) == (Status.SKIPPED, Status.SKIPPED, 0)
    assert Severity.WARNING not in {each.severity for each in report.findings}
