"""Jobs: they succeed, and come to an end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from homelab.health.codes import finding
from homelab.health.objects import Job
from homelab.health.report import Finding
from homelab.health.shape import flag
from homelab.health.snapshot import Snapshot


def _done(job: Job) -> bool:
    return any(
        (condition := job.conditions.get(name)) and condition.status == "True" for name in ("Complete", "Failed")
    )


def _succeeded_later(snapshot: Snapshot) -> dict[tuple[str, str, str], datetime]:
    """When the newest Job that succeeded was made, by CronJob."""
    found: dict[tuple[str, str, str], datetime] = {}
    for job in snapshot.jobs:
        complete = job.conditions.get("Complete")
        if job.owner and job.created and complete and complete.status == "True":
            key = job.owner[:3]
            found[key] = max(found.get(key, job.created), job.created)
    return found


def check_failed(snapshot: Snapshot) -> Iterator[Finding]:
    """No Job has failed for good; a retry is none, and neither is one whose CronJob succeeded since."""
    succeeded = _succeeded_later(snapshot)
    for job in snapshot.jobs:
        failed = job.conditions.get("Failed")
        if not failed or failed.status != "True" or job.deleting:
            continue
        later = succeeded.get(job.owner[:3]) if job.owner else None
        if later and job.created and later > job.created:
            continue
        said = f"failed: {failed.why}"
        yield finding("WORK007", job.ref, said, owner=job.owner, since=failed.since, evidence={"reason": failed.reason})


def check_suspended(snapshot: Snapshot) -> Iterator[Finding]:
    """No CronJob is suspended."""
    for each in snapshot.things("cronjobs"):
        if not each.deleting and flag(each.at("spec", "suspend")):
            yield finding("WORK010", each.ref, "is suspended: it does not run at its times")


def check_long(snapshot: Snapshot) -> Iterator[Finding]:
    """No Job has been at it for many hours."""
    for job in snapshot.jobs:
        if not job.active or job.suspended or job.deleting or job.started is None or _done(job):
            continue
        if snapshot.now - job.started > snapshot.thresholds.job_active:
            said = "is still at it after many hours"
            yield finding("WORK008", job.ref, said, owner=job.owner, since=job.started)
