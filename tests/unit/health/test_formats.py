"""What programs read: JUnit's XML, Prometheus' metrics, and JSON as its schema says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homelab.health import Report, Severity, Snapshot, run_checks
from homelab.health.as_json import SCHEMA, as_data
from homelab.health.as_junit import as_junit
from homelab.health.as_prometheus import as_prometheus
from homelab.health.checks import CHECKS
from homelab.health.codes import TABLE
from homelab.health.report import CheckRun, FailedRead, Finding, Ref, Status
from homelab.health.selection import ROOMS
from homelab.health.snapshot import Api, Source, State
from homelab.health.suppression import Suppression
from tests.json_schema import wrong
from tests.unit.health import faults
from tests.unit.health.cluster import NOW, VERSION, K3s

SCHEMA_DATA = json.loads(SCHEMA.read_text())


def look(*given: Callable[[K3s], object], known: str = "", **sources: State) -> Report:
    cluster = K3s()
    for fault in given:
        fault(cluster)
    api = Api("https://192.0.2.11:6443", "home", VERSION, latency=timedelta(seconds=0.01), skew=timedelta())
    told = {name: Source(name, state, "why <not> & when") for name, state in sources.items()}
    lists = {name: items for name, items in cluster.lists.items() if name not in sources}
    snapshot = Snapshot.from_lists(lists, now=NOW, api=api, sources=told)
    return run_checks(snapshot, suppressions=[Suppression.parse(known, "--suppress")] if known else ())


BAD = Report(
    (Finding("NODE001", Severity.CRITICAL, Ref("Node", "", "a1"), "is <b>&\x1b[2J\x00\udc80\ufffe]]>\r\nnot ready"),),
    (
        CheckRun("NODE001", "nodes Ready", Status.FINDINGS),
        CheckRun("POD001", "x", Status.FAILED, "late\x07"),
        CheckRun("POD002", "x", Status.SKIPPED, "forbidden"),
    ),
    (FailedRead("pods", "la\x00te"),),
)
REPORTS = (
    look(),
    look(faults.dead_node),
    look(faults.dead_node, known="NODE001=known; until 2027-01-01"),
    look(faults.crash_loop, faults.forgotten_cordon, jobs=State.FAILED, leases=State.FORBIDDEN),
    look(nodes=State.FORBIDDEN).at_least(Severity.CRITICAL),
    look(faults.just_cordoned),
    BAD,
    Report((), (), (FailedRead("cluster", "there is none"),)),
)


# -- JUnit ------------------------------------------------------------------------------------------------------------


def xml(report: Report, **options: Any) -> ElementTree.Element:
    return ElementTree.fromstring(as_junit(report, **options).encode())


def case(root: ElementTree.Element, code: str) -> ElementTree.Element:
    return next(each for each in root.iter("testcase") if each.attrib["name"].startswith(f"{code} "))


def test_a_suite_for_each_room_and_a_case_for_each_check() -> None:
    root = xml(look())
    assert [each.attrib["name"] for each in root] == list(ROOMS[:-1]), "nothing was tried out"
    assert len(list(root.iter("testcase"))) == len(CHECKS)
    assert root.attrib == {"name": "homelab health", "tests": str(len(CHECKS)), "failures": "0", "errors": "0"}
    assert root[0].attrib["timestamp"] == "2026-11-25T12:00:00"
    assert case(root, "POD001").attrib == {
        "classname": "homelab.health.POD",
        "name": "POD001 containers do not crash again and again",
    }
    skipped = [each.attrib["name"][:7] for each in root.iter("testcase") if each.find("skipped") is not None]
    assert skipped == ["NODE008", "NODE009"]


def test_a_check_with_a_root_fails_and_one_with_consequences_says_of_what() -> None:
    root = xml(look(faults.dead_node))
    assert root.attrib["failures"] == "1"
    failure = case(root, "NODE001").find("failure")
    assert failure is not None and failure.attrib == {
        "type": "critical",
        "message": "Node a1 is not Ready: Kubelet stopped posting node status.",
    }
    assert failure.text is not None and "for 20 minutes, since 2026-11-25 11:40:00 UTC\n" in failure.text
    assert failure.text.endswith("> kubectl describe node a1; on it: journalctl -u 'k3s*' -e")
    effect = case(root, "WORK001")
    assert effect.find("failure") is None and "(follows from Node a1 [NODE001])" in effect.findtext("system-out", "")


def test_what_is_forgiven_or_known_does_not_fail() -> None:
    assert xml(look(faults.forgotten_cordon)).attrib["failures"] == "1"
    forgiven = xml(look(faults.forgotten_cordon), fail_on=Severity.CRITICAL)
    assert forgiven.attrib["failures"] == "0"
    assert case(forgiven, "NODE006").findtext("system-out", "").endswith("(warning)")
    known = xml(look(faults.crash_loop, known="POD001=new disk"))
    assert known.attrib["failures"] == "0"
    assert case(known, "POD001").findtext("system-out", "").endswith("(suppressed, new disk)")


def test_what_could_not_be_checked_is_an_error_and_what_may_not_be_is_skipped() -> None:
    report = look(jobs=State.FAILED, leases=State.FORBIDDEN)
    failed = sum(each.status is Status.FAILED for each in report.runs)
    root = xml(report)
    error, skipped = case(root, "WORK007").find("error"), case(root, "NODE005").find("skipped")
    assert error is not None and error.attrib == {"type": "could not run", "message": "jobs: why <not> & when"}
    assert skipped is not None and skipped.attrib == {"message": "leases: why <not> & when"}
    assert root[0].attrib["name"] == "READS" and int(root.attrib["errors"]) == 1 + failed > 1
    assert xml(look(nodes=State.FORBIDDEN)).attrib["errors"] == "1", "all of it is skipped, and yet it is no success"


@pytest.mark.parametrize("report", REPORTS, ids=range(len(REPORTS)))
def test_junit_adds_up(report: Report) -> None:
    root = xml(report)
    for suite in root:
        cases = list(suite.iter("testcase"))
        assert int(suite.attrib["tests"]) == len(cases) > 0
        for key, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.attrib[key]) == sum(each.find(tag) is not None for each in cases)
        for each in cases:
            assert sum(each.find(tag) is not None for tag in ("failure", "error", "skipped")) <= 1
    assert (root.attrib["failures"], root.attrib["errors"]) == ("0", "0") if report.exit_code == 0 else True
    assert report.exit_code == 0 or int(root.attrib["failures"]) + int(root.attrib["errors"]) > 0


@given(st.text())
def test_no_text_breaks_the_xml(said: str) -> None:
    report = replace(
        BAD, findings=(replace(BAD.findings[0], summary=said, remedy=said),), unread=(FailedRead(said, said),)
    )
    assert len(list(xml(report).iter("failure"))) == 1


# -- Prometheus -------------------------------------------------------------------------------------------------------

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"(?P<name>{NAME})(?:\{{(?P<labels>{LABEL}(?:,{LABEL})*)\}})? (?P<value>-?\d+(?:\.\d+)?)")


def metrics(text: str) -> dict[str, float]:
    """The samples of a text in the exposition format, by name and labels. Everything that it may not hold is an error:
    a metric without HELP and TYPE, told twice, or in two places; a sample told twice; a last line without an end."""
    assert text.endswith("\n")
    found: dict[str, float] = {}
    done: set[str] = set()
    lines = text.removesuffix("\n").split("\n")
    at = 0
    while at < len(lines):
        helped = re.fullmatch(rf"# HELP ({NAME}) [^\\]+", lines[at])
        assert helped, lines[at]
        name = helped[1]
        assert name not in done and lines[at + 1] == f"# TYPE {name} gauge"
        done.add(name)
        at += 2
        first = at
        while at < len(lines) and not lines[at].startswith("#"):
            sample = SAMPLE.fullmatch(lines[at])
            assert sample and sample["name"] == name, lines[at]
            key = lines[at].rpartition(" ")[0]
            assert key not in found
            found[key] = float(sample["value"])
            at += 1
        assert at > first, f"{name} has no sample"
    return found


@pytest.mark.parametrize("report", REPORTS, ids=range(len(REPORTS)))
def test_the_metrics_are_in_the_exposition_format(report: Report) -> None:
    found = metrics(as_prometheus(report, report.exit_code) + "\n")
    assert found["homelab_health_exit_code"] == report.exit_code
    assert len(found) < len(TABLE) + 60, "a series for each object is what a Prometheus dies of"
    assert sum(value for key, value in found.items() if key.startswith("homelab_health_check_findings")) == len(
        report.roots
    )


def test_the_metrics_tell_what_was_found_and_what_was_checked() -> None:
    found = metrics(as_prometheus(REPORTS[3], 2) + "\n")
    assert found['homelab_health_findings{severity="critical"}'] == 1
    assert found['homelab_health_findings{severity="warning"}'] == 1
    assert found['homelab_health_check_findings{code="POD001"}'] == 1
    assert found['homelab_health_check_findings{code="POD002"}'] == 0
    assert 'homelab_health_check_findings{code="WORK007"}' not in found, "it did not run, so it found not even nothing"
    failed = sum(each.status is Status.FAILED for each in REPORTS[3].runs)
    assert found['homelab_health_checks{status="failed"}'] == failed > 0
    assert found["homelab_health_failed_reads"] == 1
    assert found['homelab_health_objects{kind="nodes"}'] == 4
    assert found["homelab_health_timestamp_seconds"] == NOW.timestamp()
    assert metrics(as_prometheus(REPORTS[2], 0) + "\n")["homelab_health_suppressed_findings"] == 1


# -- JSON -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("report", REPORTS, ids=range(len(REPORTS)))
def test_json_is_as_its_schema_says(report: Report) -> None:
    assert wrong(as_data(report, report.exit_code), SCHEMA_DATA) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), 2),
        (("exit_code",), 4),
        (("time",), "2026-11-25 12:00"),
        (("findings", 0, "severity"), "fatal"),
        (("findings", 0, "code"), "NODE1"),
        (("findings", 0, "object", "kind"), None),
        (("findings", 0, "evidence"), {"x": None}),
        (("findings", 1, "caused_by"), "NODE001"),
        (("checks", 0, "objects"), -1),
        (("checks", 0, "status"), "done"),
        (("hidden",), True),
        (("objects", "pods"), "many"),
        (("more",), 1),
    ],
)
def test_the_schema_refuses_another_shape(path: tuple[Any, ...], value: object) -> None:
    data: Any = json.loads(json.dumps(as_data(look(faults.dead_node), 2)))
    assert wrong(data, SCHEMA_DATA) == []
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert len(wrong(data, SCHEMA_DATA)) == 1


def test_the_schema_misses_what_is_missing() -> None:
    data = as_data(look(faults.dead_node), 2)
    assert wrong({}, SCHEMA_DATA) == [f"$: {each!r} is a required property" for each in data]


@pytest.mark.parametrize("keyword", ["allOf", "oneOf", "prefixItems", "format", "minimun"])
def test_a_keyword_that_would_let_more_through_is_told(keyword: str) -> None:
    schema: dict[str, Any] = {"properties": {"a": {keyword: [{"properties": {"b": {}}}]}}}
    with pytest.raises(AssertionError, match=f"not known here: {keyword}$"):
        wrong({"a": {"c": 1}}, schema)
