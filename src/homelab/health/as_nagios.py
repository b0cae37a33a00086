"""A report as one line for Nagios, Icinga and what else takes their plugins, with performance data.

Source of the form: the Monitoring Plugins Development Guidelines, "Plugin Output for Nagios".
"""

from __future__ import annotations

from collections import Counter

from homelab.health.report import Report, Severity, Status
from homelab.health.text import summary

_STATES = {0: "OK", 1: "WARNING", 2: "CRITICAL", 3: "UNKNOWN"}


def as_nagios(report: Report, exit_code: int, fail_on: Severity = Severity.WARNING) -> str:
    """The state, the worst finding, the summary with its coverage; then counts of root findings and of checks.

    Of warnings any is one too many, unless they are forgiven below `fail_on`.
    """
    worst = [f"{each.object} {each.summary} [{each.code}]" for each in report.roots[:1]]
    unread = [f"could not read {each.name}: {each.why}" for each in report.unread[:1]]
    return _line(exit_code, "; ".join([*worst, *unread, summary(report)[1]])) + f" | {_perfdata(report, fail_on)}"


def stopped(why: str) -> str:
    """The line when nothing could be checked at all."""
    return _line(3, why)


def _line(exit_code: int, said: str) -> str:
    # What follows the first bar is performance data, and of more lines only the first is the state.
    plain = "".join(each if each.isprintable() else " " for each in said.replace("|", "/"))
    return f"HEALTH {_STATES[exit_code]} - {' '.join(plain.split())}"


def _perfdata(report: Report, fail_on: Severity) -> str:
    """'label'=value[UOM];[warn];[crit];[min];[max]: counts have no unit and no upper end, and labels need no quotes."""
    found = Counter(each.severity for each in report.roots)
    runs = Counter(each.status for each in report.runs)
    counts = {
        "critical": found[Severity.CRITICAL],
        "warning": found[Severity.WARNING],
        "suppressed": len(report.suppressed),
        "checks_run": runs[Status.OK] + runs[Status.FINDINGS],
        "checks_skipped": runs[Status.SKIPPED],
        "checks_failed": runs[Status.FAILED],
    }
    # The highest value that is still in order.
    limits = {"critical": ";0", "warning": "0;" if fail_on is Severity.WARNING else ";"}
    return " ".join(f"{label}={count};{limits.get(label, ';')};0" for label, count in counts.items())
