"""Which checks run, and that a report tells of those alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from homelab.health import Report, Severity, Snapshot, run_checks
from homelab.health.checks import CHECKS
from homelab.health.codes import CODES, DEEP_CODES, needed
from homelab.health.report import FailedRead
from homelab.health.selection import WrongSelection, choose, codes_of, kinds_of
from homelab.health.snapshot import READYZ, Api, Source, State
from homelab.health.text import lines, summary
from tests.unit.health import faults
from tests.unit.health.cluster import NOW, VERSION, K3s

READ = set(CODES) - DEEP_CODES
POD = {code for code in CODES if code.startswith("POD")}


def look(cluster: K3s, codes: frozenset[str], sources: dict[str, Source] | None = None, drop: str = "") -> Report:
    lists = {name: items for name, items in cluster.lists.items() if name != drop}
    api = Api("https://192.0.2.11:6443", "home", VERSION, latency=timedelta(seconds=0.01), skew=timedelta())
    snapshot = Snapshot.from_lists(lists, now=NOW, api=api, sources=sources)
    return run_checks(snapshot, checks=[(code, check) for code, check in CHECKS if code in codes])


def test_codes_and_rooms_in_any_case_and_separated_by_commas() -> None:
    assert choose() == READ
    assert choose(deep=True) == set(CODES)
    assert choose(only=["pod001, NODE001", "Work003"]) == {"POD001", "NODE001", "WORK003"}
    assert choose(only=["pod"]) == POD
    assert choose(skip=["POD", "node001"]) == READ - POD - {"NODE001"}
    assert choose(only=["POD"], skip=["POD001"]) == POD - {"POD001"}


def test_what_is_off_runs_only_by_its_very_name() -> None:
    assert choose(off=["POD008"]) == READ - {"POD008"}
    assert choose(only=["POD"], off=["POD008"]) == POD - {"POD008"}
    assert choose(only=["pod008"], off=["POD008"]) == {"POD008"}


def test_all_that_is_wrong_with_a_selection_is_told_at_once() -> None:
    with pytest.raises(WrongSelection) as told:
        choose(only=["POD001,PODS"], skip=["NODE0001", ""])
    assert str(told.value).splitlines() == [
        "--only PODS: there is no such code or room; did you mean POD?",
        "--skip NODE0001: there is no such code or room; did you mean NODE001?",
        '--skip "": there is no such code or room; see homelab health codes',
    ]
    with pytest.raises(WrongSelection, match="no check is left"):
        choose(only=["POD001"], skip=["POD"])
    with pytest.raises(ValueError, match="there is no such code"):
        codes_of("POD01")


def test_what_has_to_be_tried_out_is_chosen_only_on_request() -> None:
    with pytest.raises(WrongSelection, match="--only DEEP002: it is found by trying it out in the cluster; add --deep"):
        choose(only=["POD", "DEEP002"])
    assert choose(only=["DEEP"], deep=True) == DEEP_CODES
    assert choose(skip=["DEEP"]) == READ == choose(skip=["DEEP"], deep=True)


def test_only_what_the_chosen_checks_read_is_wanted() -> None:
    assert kinds_of(["NODE005"]) == {"nodes", "leases"}
    assert kinds_of(["CTRL001"]) == frozenset()
    assert kinds_of(CODES) == needed()


def test_what_was_not_chosen_neither_counts_nor_fails() -> None:
    cluster = K3s()
    faults.crash_loop(cluster)
    report = look(cluster, choose(only=["ETCD"]), drop="pods")
    assert (report.roots, report.unread, report.exit_code) == ((), (), 0)
    assert report.coverage == f"{len(report.runs)} checks: {len(report.runs)} run"
    assert "pods" not in summary(report)[1], "nobody counted them"


def test_what_was_chosen_still_fails_when_it_cannot_be_read() -> None:
    gone = {"pods": Source("pods", State.FAILED, "late"), READYZ: Source(READYZ, State.FAILED, "late")}
    assert look(K3s(), choose(only=["POD"]), gone, drop="pods").unread == (FailedRead("pods", "late"),)
    assert look(K3s(), choose(only=["POD"]), drop="pods").exit_code == 3
    assert [each.name for each in look(K3s(), choose(only=["CTRL001"]), gone).unread] == [READYZ]


def test_less_severe_roots_are_not_shown_and_do_not_count() -> None:
    cluster = K3s()
    faults.forgotten_cordon(cluster)
    report = look(cluster, choose())
    assert (report.exit_code, [each.code for each in report.roots]) == (1, ["NODE006"])
    shown = report.at_least(Severity.CRITICAL)
    assert (shown.exit_code, shown.roots, shown.information, shown.hidden) == (0, (), (), 1)
    assert summary(shown)[1].startswith("nothing found; 1 less severe not shown; 4 nodes, 21 pods; ")
    assert shown.coverage == report.coverage


def test_a_consequence_is_shown_with_its_cause_whatever_its_own_severity() -> None:
    cluster = K3s()
    faults.dead_node(cluster)
    report = look(cluster, choose())
    shown = report.at_least(Severity.CRITICAL)
    assert {each.severity for each in shown.told} == {Severity.CRITICAL, Severity.WARNING}
    assert shown.consequences(shown.roots[0]) == report.consequences(report.roots[0])


def test_other_severities_than_the_tables() -> None:
    cluster = K3s()
    faults.forgotten_cordon(cluster)
    api = Api("https://192.0.2.11:6443", "home", "v1.30.1+k3s1", latency=timedelta(seconds=0.01), skew=timedelta())
    snapshot = Snapshot.from_lists(cluster.lists, now=NOW, api=api)
    wished = {"NODE006": Severity.INFO, "CTRL005": Severity.CRITICAL, "CTRL004": Severity.INFO}
    report = run_checks(snapshot, severities=wished)
    assert [(each.code, each.severity) for each in report.roots] == [("CTRL005", Severity.CRITICAL)]
    assert {each.code for each in report.information} >= {"NODE006"}


def test_information_of_a_check_is_not_raised_with_its_findings() -> None:
    cluster = K3s()
    faults.just_cordoned(cluster)
    report = look(cluster, choose())
    api = Api("https://192.0.2.11:6443", "home", VERSION, latency=timedelta(seconds=0.01), skew=timedelta())
    snapshot = Snapshot.from_lists(cluster.lists, now=NOW, api=api)
    assert run_checks(snapshot, severities={"NODE006": Severity.CRITICAL}).findings == report.findings


def test_information_is_shown_on_request() -> None:
    cluster = K3s()
    faults.just_cordoned(cluster)
    report = replace(look(cluster, choose()), notes=("a note\nof two lines",))
    said = [line for _, line in lines(report, information=True)]
    assert "info      Node a1  [NODE006]" in said and "info      a note of two lines" in said
    assert not any(line.startswith("info") for _, line in lines(report))
