"""A report as metrics in Prometheus' text format, for the textfile collector of node_exporter.

Source of the form: Prometheus' documentation, "Exposition formats", text format 0.0.4. There are as many series as
checks, and a few more: objects are not named, since a series for each pod is what a Prometheus is brought down with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from homelab.health.report import Report, Severity, Status

_PREFIX = "homelab_health_"

Sample = tuple[Mapping[str, str], float]


def as_prometheus(report: Report, exit_code: int) -> str:
    """Counts of root findings, checks, objects and reads that failed; the exit code; when the cluster was looked at."""
    roots = Counter(each.severity for each in report.roots)
    by_code = Counter(each.code for each in report.roots)
    ran = [each for each in report.runs if each.status in (Status.OK, Status.FINDINGS)]
    status = Counter(each.status for each in report.runs)
    found = [
        _metric(
            "exit_code",
            "What homelab health exits with: 0 ok, 1 warning, 2 critical, 3 could not check.",
            [({}, exit_code)],
        ),
        _metric(
            "findings",
            "What is wrong of itself, by severity; what follows from it is not counted.",
            [({"severity": str(each)}, roots[each]) for each in (Severity.WARNING, Severity.CRITICAL)],
        ),
        _metric(
            "check_findings",
            "What is wrong of itself, by check; one that did not run is absent.",
            [({"code": each.code}, by_code[each.code]) for each in ran],
        ),
        _metric(
            "checks", "Checks, by what became of them.", [({"status": str(each)}, status[each]) for each in Status]
        ),
        _metric(
            "suppressed_findings",
            "Findings that somebody knows of and does not want to be told.",
            [({}, len(report.suppressed))],
        ),
        _metric(
            "failed_reads",
            "Reads of the API that failed, and nodes and pods where they may not be read.",
            [({}, len(report.unread))],
        ),
        _metric(
            "objects",
            "Objects that were read, by kind.",
            [({"kind": kind}, count) for kind, count in sorted(report.counts.items())],
        ),
        _metric(
            "timestamp_seconds",
            "When the cluster was looked at, by its own clock.",
            [({}, round(report.now.timestamp(), 3))] if report.now else [],
        ),
    ]
    return "".join(found).rstrip("\n")


def _metric(name: str, help: str, samples: Iterable[Sample]) -> str:
    """A gauge with its samples; nothing at all when there are none."""
    name = f"{_PREFIX}{name}"
    lines = [f"{name}{_labels(labels)} {value}" for labels, value in samples]
    return "\n".join([f"# HELP {name} {help}", f"# TYPE {name} gauge", *lines, ""]) if lines else ""


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    escaped = {
        key: value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"') for key, value in labels.items()
    }
    return "{" + ",".join(f'{key}="{value}"' for key, value in escaped.items()) + "}"
