"""Is the cluster well, and if not, why.

    from homelab.health import read_snapshot, run_checks

    report = run_checks(read_snapshot(context="homelab-home"))
    for finding in report.roots:
        print(finding.severity, finding.object, finding.summary, finding.remedy, sep=" | ")
    raise SystemExit(report.exit_code)

`read_snapshot` reads a cluster once (ClusterUnreachable when there is none to talk to), `run_checks` judges what was
read and asks nothing more. `probe`, between the two, also tries out what reading does not tell: it makes pods.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from homelab.health.report import CheckRun, Finding, Ref, Report, Severity, Status
from homelab.health.run import run_checks
from homelab.health.snapshot import Expected, Snapshot
from homelab.health.thresholds import Thresholds

if TYPE_CHECKING:
    from homelab.api import ClusterUnreachable
    from homelab.health.probing import probe
    from homelab.health.reading import read_snapshot

__all__ = [
    "CheckRun",
    "ClusterUnreachable",
    "Expected",
    "Finding",
    "Ref",
    "Report",
    "Severity",
    "Snapshot",
    "Status",
    "Thresholds",
    "probe",
    "read_snapshot",
    "run_checks",
]


def __getattr__(name: str) -> object:
    # The Kubernetes client takes most of the time of a start; whoever judges a snapshot need not load it.
    if name == "read_snapshot":
        from homelab.health.reading import read_snapshot

        return read_snapshot
    if name == "probe":
        from homelab.health.probing import probe

        return probe
    if name == "ClusterUnreachable":
        from homelab.api import ClusterUnreachable

        return ClusterUnreachable
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
