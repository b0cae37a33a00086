"""From a snapshot to a report: each check that can run, and what follows from what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from homelab.health.causes import fold
from homelab.health.checks import ALL_CHECKS, CHECKS, Check
from homelab.health.codes import CODES
from homelab.health.report import CLUSTER_READS, CheckRun, FailedRead, Finding, Report, Severity, Status
from homelab.health.snapshot import PROBES, Snapshot, Source, State
from homelab.health.suppression import Suppression, suppress
from homelab.health.thresholds import Thresholds


def run_checks(
    snapshot: Snapshot,
    thresholds: Thresholds | None = None,
    *,
    checks: Iterable[tuple[str, Check]] | None = None,
    severities: Mapping[str, Severity] | None = None,
    suppressions: Iterable[Suppression] = (),
    notes: Iterable[str] = (),
) -> Report:
    """What is wrong with the cluster of a snapshot, the consequences folded under their causes.

    `checks` are those to run, by default all, those of what was tried out if anything was; what follows from what
    another would have found is told by itself. `severities` are other ones than the table's, by code. `suppressions`
    are added to those that annotations of the objects hold. `notes` come first among the report's own.

    A check that lacks what it needs is in the report's `runs` with the reason. Nothing is raised, whatever was read.
    """
    if thresholds is not None:
        snapshot = replace(snapshot, thresholds=thresholds)
    findings: list[Finding] = []
    runs: list[CheckRun] = []
    if checks is None:
        checks = CHECKS if snapshot.probed is None else ALL_CHECKS
    for code, check in checks:
        run, found = _run(code, check, snapshot)
        runs.append(run)
        findings += found
    findings, said = suppress(_as_wished(findings, severities or {}), snapshot, suppressions)
    return Report(
        findings=fold(findings, snapshot),
        runs=tuple(runs),
        unread=tuple(_unread(snapshot, {name for run in runs for name in _reads(run.code)})),
        now=snapshot.now,
        server=snapshot.api.url,
        context=snapshot.api.context,
        counts={name: len(items) for name, items in sorted(snapshot.lists.items())},
        notes=(*notes, *snapshot.notes, *said),
    )


def _as_wished(findings: Iterable[Finding], severities: Mapping[str, Severity]) -> Iterable[Finding]:
    """The findings, those of some codes with another severity. What a check itself holds for information stays that,
    unless its code is never more than that."""
    for each in findings:
        wished = severities.get(each.code)
        keeps = each.severity is Severity.INFO and CODES[each.code].severity is not Severity.INFO
        yield each if wished is None or keeps else replace(each, severity=wished)


def _reads(code: str) -> tuple[str, ...]:
    return (*CODES[code].needs, *CODES[code].uses)


def _run(code: str, check: Check, snapshot: Snapshot) -> tuple[CheckRun, list[Finding]]:
    row = CODES[code]
    missing = [source for name in row.needs if (source := snapshot.source(name)).state is not State.READ]
    failed = next((source for source in missing if source.state is State.FAILED), None)
    if failed:
        return CheckRun(code, row.title, Status.FAILED, _why(failed)), []
    if missing:
        forbidden = next((source for source in missing if source.state is State.FORBIDDEN), None)
        why = _why(forbidden or missing[0])
        return CheckRun(code, row.title, Status.SKIPPED, why, forbidden=forbidden is not None), []
    found = list(check(snapshot))
    looked = sum(len(snapshot.lists.get(name, ())) for name in row.needs[:1])
    return CheckRun(code, row.title, Status.FINDINGS if found else Status.OK, objects=looked), found


def _why(source: Source) -> str:
    return f"{source.name}: {source.why or source.state}"


def _unread(snapshot: Snapshot, wanted: Iterable[str]) -> Iterable[FailedRead]:
    """Every read that failed, and nodes and pods also when we may not read them; what no check wanted is left out."""
    unwanted = {*PROBES, *CLUSTER_READS} - set(wanted)
    for name, source in sorted(snapshot.sources.items()):
        if name in unwanted or name != source.name:
            continue  # the latter is told under the name that it shares with others
        if source.state is State.FAILED or (name in CLUSTER_READS and source.state is not State.READ):
            yield FailedRead(name, source.why or str(source.state))
    for name in CLUSTER_READS:
        if name not in snapshot.sources and name not in unwanted:
            yield FailedRead(name, "it was not asked for")
