"""What is known is not told, counted nevertheless, and stands for its consequences."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homelab.health import Report, Severity, Snapshot, run_checks
from homelab.health.as_json import as_json
from homelab.health.report import Ref
from homelab.health.shape import SUPPRESS
from homelab.health.snapshot import Api
from homelab.health.suppression import Pattern, Suppression
from homelab.health.text import lines, summary
from tests.sweeps import sweep
from tests.unit.health import faults
from tests.unit.health.cluster import NOW, VERSION, K3s


def seen(cluster: K3s) -> Snapshot:
    api = Api("https://192.0.2.11:6443", "home", VERSION, latency=timedelta(seconds=0.01), skew=timedelta())
    return Snapshot.from_lists(cluster.lists, now=NOW, api=api, summaries=cluster.summaries)


def look(cluster: K3s, *suppressions: str) -> Report:
    given = [Suppression.parse(each, "--suppress") for each in suppressions]
    return run_checks(seen(cluster), suppressions=given)


def broken(*given: Callable[[K3s], object]) -> K3s:
    cluster = K3s()
    for fault in given:
        fault(cluster)
    return cluster


@pytest.mark.parametrize(
    "given",
    [
        "NODE001=it is at the workshop",
        "node:Node/a1=it is at the workshop",
        "NODE001:node/*/a?=it is at the workshop; until 2026-11-25",
        "POD001,NODE001:Node/a1=it is at the workshop ;until 2027-01-01",
    ],
)
def test_a_suppressed_root_keeps_its_consequences(given: str) -> None:
    report = look(broken(faults.dead_node), given)
    assert (report.roots, report.told, report.worst, report.exit_code) == ((), (), None, 0)
    assert [(each.code, each.object.name) for each in report.suppressed] == [("NODE001", "a1")]
    assert len(report.findings) == len(look(broken(faults.dead_node)).findings), "nothing is lost"
    assert summary(report)[1].startswith("healthy; 1 suppressed; 4 nodes, ")


@pytest.mark.parametrize(
    "given",
    [
        "NODE001:Node/a2=another",
        "NODE001:Pod/a1=another kind",
        "NODE001:Node/media/a1=a node is of no namespace",
        "NODE002=another code",
        "NODE001=over; until 2026-11-24",
    ],
)
def test_what_does_not_match_or_is_over_changes_nothing(given: str) -> None:
    report = look(broken(faults.dead_node), given)
    assert (report.findings, report.exit_code) == (look(broken(faults.dead_node)).findings, 2)
    assert len(report.notes) == 1, "which is worth knowing"


def test_what_is_over_is_told_as_information() -> None:
    report = look(broken(faults.dead_node), "NODE001=at the workshop; until 2026-11-24")
    note = "--suppress: suppresses NODE001 no longer, it was until 2026-11-24: at the workshop"
    assert report.notes == (note,)
    assert ("cyan", f"info      {note}") in list(lines(report, verbose=True))


def test_what_matches_nothing_is_told_as_information() -> None:
    report = look(broken(faults.dead_node), "POD001,NODE002:Depolyment/media/*=a slip")
    assert report.notes == ("--suppress: suppresses nothing now: NODE002, POD001 of depolyment/media/*: a slip",)


def test_a_workload_stands_for_its_pods() -> None:
    cluster = broken(faults.crash_loop)
    report = look(cluster, "POD001:Deployment/media/library=known")
    assert (report.exit_code, [each.object.kind for each in report.suppressed]) == (0, ["Pod"])


def test_a_known_pod_does_not_stand_for_another_of_its_workload() -> None:
    cluster = broken(faults.lost_replicas)
    for pod in cluster.pods("web"):
        faults.waiting(pod, "ImagePullBackOff", "Back-off pulling image", cluster.ago(hours=1))
    pods = sorted(pod["metadata"]["name"] for pod in cluster.pods("web"))
    assert len(pods) > 1
    report = look(cluster, f"POD002:Pod/default/{pods[0]}=known")
    assert pods[1] in {each.object.name for each in report.told if each.code == "POD002"}
    assert pods[0] not in {each.object.name for each in report.told}
    assert report.exit_code == 2


def test_a_known_consequence_does_not_make_its_cause_worse() -> None:
    assert [each.severity for each in look(broken(faults.missing_class)).roots] == [Severity.CRITICAL]
    report = look(broken(faults.missing_class), "POD=known", "WORK=known")
    assert [(each.code, each.severity) for each in report.roots] == [("STOR001", Severity.WARNING)]
    dead = look(broken(faults.dead_node), "POD=known", "WORK=known", "STOR=known")
    assert [each.code for each in dead.roots] == ["NODE001"]
    assert {each.code[:4] for each in dead.consequences(dead.roots[0])} == {"NODE"}
    assert len(dead.suppressed) > 3


@pytest.mark.parametrize("where", ["pods", "deployments"])
def test_an_object_or_its_workload_says_so_itself(where: str) -> None:
    cluster = broken(faults.crash_loop)
    note = "WORK: something else\n POD001, WORK003: waits for the new disk" + "; that is no end" * 30
    cluster.get(where, "library")["metadata"]["annotations"] = {SUPPRESS: f"{note}; until 2027-01-01"}
    report = look(cluster)
    assert report.roots == () and report.notes == ()
    (known,) = report.suppressed
    assert known.suppressed and known.suppressed.until == date(2027, 1, 1)
    assert known.suppressed.reason.startswith("waits for the new disk; that is no end")
    assert known.suppressed.place.startswith("annotation of ") and " media/library" in known.suppressed.place


@pytest.mark.parametrize(
    ("note", "why"),
    [
        ("POD001", "it has no reason; write CODE: REASON"),
        ("", "it has no reason; write CODE: REASON"),
        ("POD001:  ", "it has no reason; write why this is no fault"),
        ("PODD001: known", '"PODD001": there is no such code or room; did you mean POD001?'),
        ("POD001: known; until soon", '"soon" is no day; write it as 2027-01-31'),
        ("POD001: known; until 2027-02-30", '"2027-02-30" is no day; write it as 2027-01-31'),
    ],
)
def test_an_annotation_that_nobody_understands_suppresses_nothing_and_is_told(note: str, why: str) -> None:
    cluster = broken(faults.crash_loop)
    cluster.get("deployments", "library")["metadata"]["annotations"] = {SUPPRESS: note}
    report = look(cluster)
    assert [each.code for each in report.roots] == ["POD001"]
    assert report.notes == (f"Deployment media/library: annotation {SUPPRESS}: {why}",)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("POD001", "it has no reason; write CODE=REASON"),
        ("POD001=", "it has no reason; write why"),
        ("POD0001=x", '"POD0001": there is no such code or room; did you mean POD001'),
        ("=x", '"": there is no such code or room'),
        ("POD001:media=x", '"media" is no object; write Kind/namespace/name'),
        ("POD001:/media/=x", '"/media/" is no object'),
        ("POD001:a/b/c/d=x", '"a/b/c/d" is no object'),
        ("POD001=x; until 1.2.2027", '"1.2.2027" is no day'),
    ],
)
def test_what_is_wrong_with_a_suppression_is_said(text: str, why: str) -> None:
    with pytest.raises(ValueError) as told:
        Suppression.parse(text)
    assert str(told.value).startswith(why)


@pytest.mark.parametrize(
    ("pattern", "ref", "matches"),
    [
        ("pod/media/web-*", Ref("Pod", "media", "web-1"), True),
        ("Pod/media/web-*", Ref("Pod", "media", "webb"), False),
        ("*/media/*", Ref("Job", "media", "x"), True),
        ("*/media/*", Ref("Job", "media2", "x"), False),
        ("Deployment/web", Ref("Deployment", "default", "web"), True),
        ("Node/s[12]", Ref("Node", "", "s3"), False),
        ("Node//s3", Ref("Node", "", "s3"), True),
        ("Pod//web", Ref("Pod", "default", "web"), False),
    ],
)
def test_patterns(pattern: str, ref: Ref, matches: bool) -> None:
    assert Pattern.parse(pattern).matches(ref) is matches


def test_it_is_listed_on_request_and_marked_in_json() -> None:
    report = look(broken(faults.crash_loop), "POD001=waits\x1b[2J for a disk; until 2027-01-01")
    said = "\n".join(line for _, line in lines(report, verbose=True))
    assert "suppressed Pod media/library" in said and "\x1b" not in said
    assert "known until 2027-01-01: waits [2J for a disk  (--suppress)" in said
    assert "suppressed Pod" not in "\n".join(line for _, line in lines(report))
    data = json.loads(as_json(report, 0))
    known, effect = data["suppressed"]
    assert (data["findings"], known["suppressed"]["until"]) == ([], "2027-01-01")
    assert effect["suppressed"] is None and effect["caused_by"]["object"] == known["object"]


@given(st.text(max_size=40) | st.from_regex(r"POD001: [a-z;]{0,9}; until [0-9-]{0,11}", fullmatch=True))
def test_no_annotation_raises(note: str) -> None:
    cluster = broken(faults.crash_loop)
    cluster.get("deployments", "library")["metadata"]["annotations"] = {SUPPRESS: note}
    report = look(cluster)
    assert report.suppressed or report.roots


@pytest.mark.parametrize("fault", sweep(faults.FAULTS), ids=lambda fault: fault.__name__)
def test_a_known_fault_of_any_kind_is_quiet_and_nothing_else_becomes_the_root(fault: faults.Fault) -> None:
    cluster = K3s()
    fault(cluster)
    (root,) = look(cluster).roots
    known = root.owner or root.object
    report = look(cluster, f"{root.code}:{known.kind}/{known.namespace or '*'}/{known.name}=known")
    assert (report.roots, report.exit_code) == ((), 0)
    assert root.key in {each.key for each in report.suppressed}
    shuffled = random.Random(4711)
    for items in cluster.lists.values():
        shuffled.shuffle(items)
    assert look(cluster, f"{root.code}:{known.kind}/{known.namespace or '*'}/{known.name}=known") == report


@pytest.mark.parametrize("fault", sweep(faults.FAULTS), ids=lambda fault: fault.__name__)
def test_a_root_of_another_severity_is_never_less_than_what_follows_from_it(fault: faults.Fault) -> None:
    snapshot = seen(broken(fault))
    (root,) = run_checks(snapshot).roots
    for severity in Severity:
        report = run_checks(snapshot, severities={root.code: severity})
        assert root.code not in {each.code for each in report.roots} or severity > Severity.INFO
        for each in report.roots:
            assert each.severity is max([one.severity for one in (each, *report.consequences(each))])
