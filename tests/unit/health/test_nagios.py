"""The line for Nagios, and the same report as YAML."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from homelab.health.as_json import as_json
from homelab.health.as_nagios import as_nagios, stopped
from homelab.health.as_yaml import as_yaml
from homelab.health.report import CheckRun, FailedRead, Finding, Ref, Report, Severity, Status

RUNS = (
    CheckRun("NODE001", "nodes Ready", Status.FINDINGS),
    CheckRun("NODE002", "no pressure on nodes", Status.OK),
    CheckRun("NODE008", "nodes of the inventory present", Status.SKIPPED, "no inventory"),
    CheckRun("POD001", "containers do not crash again and again", Status.FAILED, "late"),
)
PERFDATA = "suppressed=0;;;0 checks_run=2;;;0 checks_skipped=1;;;0 checks_failed=1;;;0"
COVERAGE = "4 checks: 2 run, 1 skipped, 1 could not run"


def report(*severities: Severity, unread: tuple[FailedRead, ...] = ()) -> Report:
    found = tuple(Finding("NODE001", each, Ref("Node", "", "a1"), "is | not\nready\x1b[2J") for each in severities)
    return Report(findings=found, runs=RUNS, unread=unread, counts={"nodes": 1, "pods": 2})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            report(),
            f"HEALTH OK - healthy; 1 node, 2 pods; {COVERAGE} | critical=0;;0;0 warning=0;0;;0 {PERFDATA}",
        ),
        (
            report(Severity.WARNING),
            "HEALTH WARNING - Node a1 is / not ready [2J [NODE001]; 1 warning; 1 node, 2 pods; "
            f"{COVERAGE} | critical=0;;0;0 warning=1;0;;0 {PERFDATA}",
        ),
        (
            report(Severity.CRITICAL),
            "HEALTH CRITICAL - Node a1 is / not ready [2J [NODE001]; 1 critical finding; 1 node, 2 pods; "
            f"{COVERAGE} | critical=1;;0;0 warning=0;0;;0 {PERFDATA}",
        ),
        (
            report(unread=(FailedRead("pods", "cut\noff"),)),
            "HEALTH UNKNOWN - could not read pods: cut off; nothing found, but not all could be read; 1 node; "
            f"{COVERAGE} | critical=0;;0;0 warning=0;0;;0 {PERFDATA}",
        ),
    ],
)
def test_each_state_is_one_line_with_counts(given: Report, said: str) -> None:
    assert as_nagios(given, given.exit_code) == said


def test_what_stops_it_is_unknown_in_one_line() -> None:
    assert stopped("no API|\nat all") == "HEALTH UNKNOWN - no API/ at all"


def test_yaml_says_what_json_says() -> None:
    given = report(Severity.CRITICAL, Severity.INFO, unread=(FailedRead("pods", "cut"),))
    assert yaml.safe_load(as_yaml(given, 2)) == json.loads(as_json(given, 2))


# The plugin guidelines: 'label'=value[UOM];[warn];[crit];[min];[max], quotes only if the label needs them.
LABEL = r"(?P<label>[^\s='|]+|'[^=|]*')"
NUMBER = r"-?\d+(?:\.\d+)?"
RANGE = rf"(?:@?(?:(?:{NUMBER}|~)?:)?(?:{NUMBER})?)"
FIELD = re.compile(
    rf"{LABEL}=(?P<value>{NUMBER})(?:us|ms|s|%|B|KB|MB|TB|c)?(?:;{RANGE}(?:;{RANGE}(?:;(?:{NUMBER})?){{0,2}})?)?"
)


@pytest.mark.parametrize("fail_on", [Severity.WARNING, Severity.CRITICAL])
def test_the_performance_data_is_as_the_guidelines_have_it(fail_on: Severity) -> None:
    given = report(Severity.CRITICAL, Severity.WARNING)
    line = as_nagios(given, 2, fail_on)
    said, bar, data = line.partition(" | ")
    assert bar and "|" not in said and "\n" not in line
    fields = [FIELD.fullmatch(each) for each in data.split(" ")]
    assert all(fields), data
    labels = [each["label"][:19] for each in fields if each]
    assert len(labels) == len(set(labels)), "the first nineteen characters tell them apart"
    assert ("warning=1;0;;0" in data) is (fail_on is Severity.WARNING)
