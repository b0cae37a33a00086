"""A report as one JSON document. Within a version, keys and codes are only ever added."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from homelab.health.codes import CODES
from homelab.health.report import Finding, Ref, Report, Severity, Suppressed

VERSION = 1
SCHEMA = Path(__file__).with_name("report.schema.json")


def as_json(report: Report, exit_code: int) -> str:
    """The whole report, information and consequences included."""
    return json.dumps(as_data(report, exit_code), indent=2)


def as_data(report: Report, exit_code: int) -> dict[str, object]:
    """The report as plain data: times in ISO 8601, `since` by the cluster's clock."""
    told = frozenset(map(id, report.told))
    return {
        "version": VERSION,
        "time": _time(report.now),
        "server": report.server,
        "context": report.context,
        "exit_code": exit_code,
        "coverage": report.coverage,
        "objects": dict(report.counts),
        "findings": [_finding(each) for each in report.told],
        "information": [_finding(each) for each in report.information],
        # Also what follows from them, so that nothing which was found is missing.
        "suppressed": [
            _finding(each) for each in report.findings if each.severity > Severity.INFO and id(each) not in told
        ],
        "notes": list(report.notes),
        "hidden": report.hidden,
        "unread": [{"name": each.name, "why": each.why} for each in report.unread],
        "checks": [
            {
                "code": each.code,
                "title": each.title,
                "status": str(each.status),
                "reason": each.reason,
                "objects": each.objects,
            }
            for each in report.runs
        ],
    }


def _finding(each: Finding) -> dict[str, object]:
    cause = each.caused_by
    return {
        "code": each.code,
        "severity": str(each.severity),
        "title": CODES[each.code].title,
        "object": _ref(each.object),
        "owner": _ref(each.owner) if each.owner else None,
        "summary": each.summary,
        "evidence": {key: list(value) if isinstance(value, tuple) else value for key, value in each.evidence.items()},
        "since": _time(each.since),
        "remedy": each.remedy,
        "caused_by": {"code": cause.code, "object": _ref(cause.object)} if cause else None,
        "suppressed": _suppressed(each.suppressed) if each.suppressed else None,
    }


def _suppressed(by: Suppressed) -> dict[str, str | None]:
    return {"reason": by.reason, "until": by.until.isoformat() if by.until else None, "place": by.place}


def _ref(ref: Ref) -> dict[str, str]:
    return ref._asdict()


def _time(value: datetime | None) -> str | None:
    return value.isoformat() if value else None
