"""A report as JUnit's XML, for what shows test results: a suite for each room, a case for each check.

Source of the form: the schema that Jenkins' xUnit plugin publishes, junit-10.xsd. Times are left out: a check takes
none worth telling, and reading the cluster is no check's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from homelab.health.report import CheckRun, FailedRead, Finding, Report, Severity, Status
from homelab.health.text import lasting, plain

_NAME = "homelab health"
_READS = "READS"  # the suite of what could not be read, which no check tells of when a right is missing


def as_junit(report: Report, fail_on: Severity = Severity.WARNING) -> str:
    """A case fails when a root finding of its check is at least as severe as `fail_on`; one that could not run is an
    error, as is each read that failed. What is less severe, suppressed or follows from another finding is its output.
    """
    suites: dict[str, list[Element]] = {}
    for read in report.unread:
        suites.setdefault(_READS, []).append(_unread(read))
    for run in report.runs:
        room = run.code.rstrip("0123456789")
        suites.setdefault(room, []).append(_case(room, run, report, fail_on))
    root = Element("testsuites", {"name": _NAME})
    for name, cases in suites.items():
        suite = SubElement(root, "testsuite", {"name": name, **_counts(cases)})
        if report.now:
            suite.set("timestamp", f"{report.now:%Y-%m-%dT%H:%M:%S}")
        suite.extend(cases)
    for key, value in _counts(root.iter("testcase")).items():
        if key != "skipped":  # which the whole has no attribute for
            root.set(key, value)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode")


def _counts(cases: Iterable[Element]) -> dict[str, str]:
    cases = list(cases)
    found = {"tests": len(cases)}
    for key, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        found[key] = sum(each.find(tag) is not None for each in cases)
    return {key: str(count) for key, count in found.items()}


def _case(room: str, run: CheckRun, report: Report, fail_on: Severity) -> Element:
    case = Element("testcase", {"classname": f"homelab.health.{room}", "name": plain(f"{run.code} {run.title}")})
    if run.status is Status.SKIPPED:
        SubElement(case, "skipped", {"message": plain(run.reason)})
    elif run.status is Status.FAILED:
        SubElement(case, "error", {"type": "could not run", "message": plain(run.reason)})
    own = [each for each in report.findings if each.code == run.code]
    told = frozenset(each.key for each in report.roots)
    wrong: list[Finding] = []
    aside: list[Finding] = []
    for each in own:
        (wrong if each.key in told and each.severity >= fail_on else aside).append(each)
    if wrong:
        worst = max(each.severity for each in wrong)
        failure = SubElement(case, "failure", {"type": str(worst), "message": _said(wrong[0], len(wrong) - 1)})
        failure.text = "\n".join(line for each in wrong for line in _lines(each, report))
    if aside:
        SubElement(case, "system-out").text = "\n".join(_aside(each) for each in aside)
    return case


def _said(first: Finding, more: int) -> str:
    return plain(f"{first.object} {first.summary}") + (f" (and {more} more)" if more else "")


def _lines(each: Finding, report: Report) -> Iterator[str]:
    yield plain(f"{each.severity}: {each.object} {each.summary}")
    if each.since and report.now:
        yield f"for {lasting(report.now - each.since)}, since {each.since:%Y-%m-%d %H:%M:%S} UTC"
    for one in report.consequences(each):
        yield plain(f"drags along {one.object}: {one.summary} [{one.code}]")
    if each.remedy:
        yield plain(f"> {each.remedy}")


def _aside(each: Finding) -> str:
    if each.suppressed:
        why = f"suppressed, {each.suppressed.reason}"
    elif each.caused_by:
        why = f"follows from {each.caused_by.object} [{each.caused_by.code}]"
    else:
        why = str(each.severity)
    return plain(f"{each.object} {each.summary} ({why})")


def _unread(read: FailedRead) -> Element:
    case = Element("testcase", {"classname": f"homelab.health.{_READS}", "name": plain(f"{read.name} can be read")})
    SubElement(case, "error", {"type": "could not read", "message": plain(read.why)})
    return case
