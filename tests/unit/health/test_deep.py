"""What was tried out, and which one fault it tells of: who asked whom, what came of it, and what follows from what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homelab.health import Report, Severity, Snapshot, run_checks
from homelab.health.checks import ALL_CHECKS, CHECKS
from homelab.health.probed import Asked, Probed, Step, Stored, Way
from homelab.health.snapshot import DEEP, Api, Source, State
from homelab.health.text import lines
from tests.unit.health import faults
from tests.unit.health.cluster import NODES, NOW, VERSION, K3s

API = Api("https://192.0.2.11:6443", "home", VERSION, latency=timedelta(seconds=0.01), skew=timedelta())
DNS = "10.43.0.10"
Bad = Callable[[str, Way, str], bool]


def with_dns(cluster: K3s, *nodes: str) -> dict[str, str]:
    """Pods of DNS on these nodes, by their addresses: the Service's endpoints tell of each."""
    pods = cluster.pods("coredns")
    while len(pods) < len(nodes):
        copy = {**pods[0], "metadata": {**pods[0]["metadata"], "name": f"{pods[0]['metadata']['name']}{len(pods)}"}}
        cluster.lists["pods"].append(copy)
        pods = cluster.pods("coredns")
    addresses = {f"10.42.{number}.7": node for number, node in enumerate(nodes)}
    for each in cluster.lists["endpointslices"]:
        if each["metadata"]["labels"]["kubernetes.io/service-name"] == "kube-dns":
            each["ports"] = [
                {"name": f"dns{end}", "port": 53, "protocol": p} for end, p in (("", "UDP"), ("-tcp", "TCP"))
            ]
            each["endpoints"] = [
                {
                    "addresses": [address],
                    "nodeName": node,
                    "targetRef": {"kind": "Pod", "namespace": "kube-system", "name": one["metadata"]["name"]},
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                }
                for (address, node), one in zip(addresses.items(), pods, strict=True)
            ]
    return addresses


def probed(nodes: tuple[str, ...], dns: dict[str, str], bad: Bad) -> Probed:
    """What pods on these nodes find when some of it fails."""
    asked = [
        Asked(node, way, of, not bad(node, way, of), "timed out" if bad(node, way, of) else "")
        for node in nodes
        for way, whom in ((Way.POD, nodes), (Way.SERVICE, nodes), (Way.DNS_POD, tuple(dns)), (Way.DNS_SERVICE, (DNS,)))
        for of in whom
    ]
    return Probed(nodes, tuple(asked))


def look(
    bad: Bad = lambda *_: False,
    *,
    nodes: tuple[str, ...] = NODES,
    dns: tuple[str, ...] = ("s1",),
    stored: tuple[Stored, ...] = (),
    cluster: K3s | None = None,
) -> Report:
    cluster = cluster or K3s()
    addresses = with_dns(cluster, *dns) if dns else {}
    snapshot = Snapshot.from_lists(cluster.lists, now=cluster.now, api=API)
    found = replace(probed(nodes, addresses, bad), stored=stored)
    sources = {name: Source(name, State.READ) for name in DEEP}
    return run_checks(replace(snapshot, probed=found, sources={**snapshot.sources, **sources}))


def roots(report: Report) -> list[tuple[str, str]]:
    return [(each.code, str(each.object)) for each in report.roots]


def cut_off(name: str) -> Bad:
    """No packet of a pod passes between this node and another; what is asked on the same node is answered."""

    def bad(node: str, way: Way, of: str) -> bool:
        home = {"10.42.0.7": "s1", "10.42.1.7": "s2", DNS: "s1"}.get(of, of)
        return name in (node, home) and node != home

    return bad


def test_where_all_answer_there_is_nothing_to_tell() -> None:
    report = look()
    assert (report.roots, report.exit_code) == ((), 0)
    assert report.coverage == f"{len(ALL_CHECKS)} checks: {len(ALL_CHECKS) - 2} run, 2 skipped"


def test_what_was_not_tried_out_is_not_counted() -> None:
    report = run_checks(Snapshot.from_lists(K3s().lists, now=NOW, api=API))
    assert len(report.runs) == len(CHECKS)


@pytest.mark.parametrize("name", NODES)
def test_a_node_that_is_cut_off_is_the_one_culprit(name: str) -> None:
    report = look(cut_off(name))
    assert roots(report) == [("DEEP002", f"Node {name}")], list(lines(report))
    assert "those of all other nodes" in report.roots[0].summary and "timed out" in report.roots[0].summary
    (effect,) = report.consequences(report.roots[0])
    assert (effect.code, effect.object.name[:8]) == ("DEEP001", "coredns-"), "it lies on s1"
    assert report.exit_code == 2


def test_two_nodes_that_are_cut_off_are_two_culprits() -> None:
    one, other = cut_off("s2"), cut_off("s3")
    nodes = (*NODES, "a2")
    report = look(lambda *each: one(*each) or other(*each), nodes=nodes)
    assert roots(report) == [("DEEP002", "Node s2"), ("DEEP002", "Node s3")]


def test_of_two_nodes_the_agent_is_named_and_both_are_told() -> None:
    report = look(cut_off("a1"), nodes=("s1", "a1"))
    assert roots(report) == [("DEEP002", "Node a1")]
    assert report.roots[0].summary == "its pods and those of s1 do not reach each other: timed out"


def test_a_single_pair_is_told_as_one() -> None:
    report = look(lambda node, way, of: way is Way.POD and {node, of} == {"s2", "s3"})
    assert roots(report) == [("DEEP002", "Node s2")]
    assert "those of s3 do not" in report.roots[0].summary


def test_what_is_blocked_everywhere_is_no_single_nodes_fault() -> None:
    def between(node: str, way: Way, of: str) -> bool:
        home = {"10.42.0.7": "s1", DNS: "s1"}.get(of, of)
        return node != home

    report = look(between)
    assert roots(report) == [("DEEP002", "Network pods")]
    assert {each.code for each in report.consequences(report.roots[0])} == {"DEEP001"}


def test_a_node_whose_own_pods_do_not_reach_each_other() -> None:
    report = look(lambda node, way, of: way in (Way.POD, Way.SERVICE) and node == of == "s3")
    assert roots(report) == [("DEEP002", "Node s3")]
    assert report.roots[0].summary.startswith("its pods do not reach each other")


def test_the_only_pod_of_dns_that_does_not_answer_is_the_culprit() -> None:
    report = look(lambda node, way, of: way in (Way.DNS_POD, Way.DNS_SERVICE))
    ((code, ref),) = roots(report)
    assert code == "DEEP001" and ref.startswith("Pod kube-system/coredns-")
    assert report.roots[0].owner is not None and report.roots[0].owner.name == "coredns"


def test_of_two_pods_of_dns_the_one_that_does_not_answer_is_told() -> None:
    report = look(lambda node, way, of: of == "10.42.1.7", dns=("s1", "s2"))
    assert [(each.code, each.evidence["address"]) for each in report.roots] == [("DEEP001", "10.42.1.7")]


def test_all_pods_of_dns_are_one_fault() -> None:
    report = look(lambda node, way, of: way in (Way.DNS_POD, Way.DNS_SERVICE), dns=("s1", "s2"))
    assert len(report.roots) == 1 and len(report.consequences(report.roots[0])) == 1


def test_a_node_that_dns_does_not_answer_though_it_is_reached() -> None:
    report = look(lambda node, way, of: way is Way.DNS_POD and node == "s3", dns=("s1", "s2"))
    assert roots(report) == [("DEEP001", "Node s3")]
    assert "10.42.0.7, 10.42.1.7" in report.roots[0].summary


def test_a_pod_of_dns_that_is_down_is_told_besides_a_node_that_is_cut_off() -> None:
    cut = cut_off("a1")
    report = look(lambda node, way, of: cut(node, way, of) or way in (Way.DNS_POD, Way.DNS_SERVICE))
    assert [code for code, _ in roots(report)] == ["DEEP001", "DEEP002"]


def test_a_node_whose_services_lead_nowhere() -> None:
    report = look(lambda node, way, of: way in (Way.SERVICE, Way.DNS_SERVICE) and node == "s2")
    assert roots(report) == [("DEEP003", "Node s2")]
    assert [each.code for each in report.consequences(report.roots[0])] == ["DEEP001"]


def test_dns_that_no_node_reaches_is_no_matter_of_the_one_whose_services_lead_nowhere() -> None:
    report = look(lambda node, way, of: way is Way.DNS_SERVICE or (way is Way.SERVICE and node == "s2"))
    assert set(roots(report)) == {("DEEP003", "Node s2"), ("DEEP001", "Service kube-system/kube-dns")}
    alone = look(lambda node, way, of: way in (Way.SERVICE, Way.DNS_SERVICE), nodes=("s1",))
    assert roots(alone) == [("DEEP003", "Node s1")]


def test_services_that_lead_nowhere_at_all() -> None:
    report = look(lambda node, way, of: way in (Way.SERVICE, Way.DNS_SERVICE))
    assert roots(report) == [("DEEP003", "Network services")]
    assert [each.code for each in report.consequences(report.roots[0])] == ["DEEP001"]


def test_one_service_that_does_not_lead_where_it_should() -> None:
    report = look(lambda node, way, of: way is Way.SERVICE and (node, of) == ("s2", "a1"))
    assert roots(report) == [("DEEP003", "Node s2")]
    assert "do not lead to the pod on a1" in report.roots[0].summary


@pytest.mark.parametrize(
    ("nodes", "root"), [(("s2",), "Node s2"), (NODES, "Service kube-system/kube-dns")], ids=["one", "all"]
)
def test_dns_that_answers_but_not_by_its_service(nodes: tuple[str, ...], root: str) -> None:
    report = look(lambda node, way, of: way is Way.DNS_SERVICE and node in nodes)
    assert roots(report) == [("DEEP001", root)]


def test_dns_without_a_ready_pod_follows_from_that() -> None:
    cluster = K3s()
    faults.dns_not_ready(cluster)
    report = look(lambda node, way, of: way is Way.DNS_SERVICE, dns=(), cluster=cluster)
    assert "DEEP001" not in {code for code, _ in roots(report)}


def stored(step: Step, node: str = "s1", *, ok: bool = False, shared: bool = False, said: str = "no") -> Stored:
    return Stored("nfs" if shared else "local-path", shared, node, step, ok, "" if ok else said)


@pytest.mark.parametrize("step", Step)
def test_a_volume_that_does_not_keep_what_is_written(step: Step) -> None:
    before = (stored(Step.WRITE, ok=True),) if step is Step.READ else ()
    report = look(stored=(*before, stored(step)))
    assert roots(report) == [("DEEP004", "StorageClass local-path")]
    assert report.roots[0].summary.endswith(": no") and "local-path" in report.roots[0].remedy


def test_a_volume_that_no_other_node_reads_and_one_that_some_do_not() -> None:
    written = stored(Step.WRITE, shared=True, ok=True)
    bad = [stored(Step.READ, node, shared=True) for node in ("s2", "s3")]
    assert roots(look(stored=(written, *bad))) == [("DEEP005", "StorageClass nfs")]
    some = look(stored=(written, bad[0], stored(Step.MOUNT, "a1", shared=True), replace(bad[1], ok=True)))
    assert roots(some) == [("DEEP005", "Node a1"), ("DEEP005", "Node s2")]
    assert "StorageClass nfs" in some.roots[0].summary
    assert look(stored=(written, *(replace(each, ok=True) for each in bad))).roots == ()


def test_a_metrics_server_that_the_api_does_not_reach_follows_from_its_node() -> None:
    cluster = K3s()
    code, _, _ = faults.api_service_down(cluster)
    assert code == "CTRL008"
    node = cluster.pods("metrics-server")[0]["spec"]["nodeName"]
    report = look(cut_off(node), cluster=cluster)
    assert roots(report) == [("DEEP002", f"Node {node}")]


def test_it_may_be_suppressed_and_graded_like_any_other() -> None:
    cluster = K3s()
    with_dns(cluster, "s1")
    found = probed(NODES, {"10.42.0.7": "s1"}, cut_off("a1"))
    snapshot = replace(Snapshot.from_lists(cluster.lists, now=NOW, api=API), probed=found)
    snapshot = replace(snapshot, sources={**snapshot.sources, **{name: Source(name, State.READ) for name in DEEP}})
    report = run_checks(snapshot, severities={"DEEP002": Severity.WARNING, "DEEP001": Severity.WARNING})
    assert (roots(report), report.exit_code) == ([("DEEP002", "Node a1")], 1)


words = st.sampled_from(["s1", "s2", "s3", "a1", "gone", "10.42.0.7", "", "\x1b[2J"])
anything = st.builds(
    Probed,
    st.lists(words).map(tuple),
    st.lists(st.builds(Asked, words, st.sampled_from(Way), words, st.booleans(), words), max_size=30).map(tuple),
    st.lists(
        st.builds(Stored, words, st.booleans(), words, st.sampled_from(Step), st.booleans(), words), max_size=5
    ).map(tuple),
)


@given(anything)
def test_nothing_that_was_tried_out_raises_and_its_order_means_nothing(found: Probed) -> None:
    cluster = K3s()
    with_dns(cluster, "s1")
    snapshot: Any = Snapshot.from_lists(cluster.lists, now=NOW, api=API)
    sources = {**snapshot.sources, **{name: Source(name, State.READ) for name in DEEP}}
    report = run_checks(replace(snapshot, probed=found, sources=sources))
    assert "\n".join(line for _, line in lines(report, verbose=True)).replace("\n", "").isprintable()
    if any(not each.ok for each in found.asked if each.way is Way.POD):
        assert any(each.code == "DEEP002" for each in report.told)
