"""Jobs: they are started when they are due, succeed, and come to an end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from homelab.health import cron
from homelab.health.checks.workloads import refused
from homelab.health.codes import finding
from homelab.health.objects import CronJob, Job
from homelab.health.report import Finding
from homelab.health.snapshot import SYSTEM, Snapshot

_CONTROLLERS = "kube-controller-manager"


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
    for each in snapshot.cronjobs:
        if not each.deleting and each.suspended:
            yield finding("WORK010", each.ref, "is suspended: it does not run at its times")


def check_due(snapshot: Snapshot) -> Iterator[Finding]:
    """No CronJob has let twice the longest pause of its schedule go by without a start.

    Nobody here knows the time zone that a schedule is read in where it names none, so it is pauses that count, not
    hours. Time is counted from its last start, since it was made or written, and since the controllers were started
    last: a cluster that was off has missed nothing. One that waits for its last Job to end, as it is told to, does not
    count.
    """
    begun = _begun(snapshot)
    for each in snapshot.cronjobs:
        pause = cron.widest_pause(each.schedule)
        if pause is None or each.suspended or each.deleting or (each.skips and each.active):
            continue
        since = max((time for time in (each.last, each.created, each.changed, *begun) if time), default=None)
        if since is None or snapshot.now - since <= max(2 * pause, snapshot.thresholds.cron_late):
            continue
        yield finding("WORK013", each.ref, _unstarted(snapshot, each), since=each.last or each.created)


def _begun(snapshot: Snapshot) -> tuple[datetime | None, ...]:
    """When the controllers were started last: a cluster that was off for days comes back with some that just began."""
    leases = [each for each in snapshot.leases if each.name == _CONTROLLERS and each.namespace == SYSTEM]
    if leases:
        return tuple(each.acquired for each in leases)
    # One server on SQLite takes no lease, but its controllers are in it.
    readiness = [each.conditions.get("Ready") for each in snapshot.nodes if each.control_plane]
    return tuple(ready.since for ready in readiness if ready)


def _unstarted(snapshot: Snapshot, each: CronJob) -> str:
    """That a CronJob has not been started, and what its controller says of it."""
    events = snapshot.events_about.get(each.uid, ())
    said = f"has come due more than once ({each.schedule}) and was not started"
    return f"{said}: {events[0].message or events[0].reason}" if events else said


def check_long(snapshot: Snapshot) -> Iterator[Finding]:
    """No Job has been at it for many hours, or tries in vain to make its pods, as it does for ever."""
    for job in snapshot.jobs:
        began = job.started or job.created
        if job.suspended or job.deleting or began is None or _done(job):
            continue
        if job.active and job.started and snapshot.now - began > snapshot.thresholds.job_active:
            said = "is still at it after many hours"
            yield finding("WORK008", job.ref, said, owner=job.owner, since=began)
        elif (
            not job.active
            and snapshot.now - began > snapshot.thresholds.unavailable
            and (why := refused(snapshot, job))
        ):
            yield finding("WORK008", job.ref, f"cannot make its pods: {why}", owner=job.owner, since=began)
