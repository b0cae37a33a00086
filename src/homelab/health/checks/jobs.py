"""Jobs: they are started when they are due, succeed, and come to an end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

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
    """No Job has failed for good; a retry is none, and neither is one whose CronJob succeeded since.

    No CronJob has let twice the longest pause of its schedule go by without success either, though it was started:
    Jobs that fail may be cleared away at once, or give way to the next one that comes due.
    """
    succeeded = _succeeded_later(snapshot)
    told = set()
    for job in snapshot.jobs:
        failed = job.conditions.get("Failed")
        if not failed or failed.status != "True" or job.deleting:
            continue
        later = succeeded.get(job.owner[:3]) if job.owner else None
        if later and job.created and later > job.created:
            continue
        said = f"failed: {failed.why}"
        yield finding("WORK007", job.ref, said, owner=job.owner, since=failed.since, evidence={"reason": failed.reason})
        if job.owner:
            told.add(job.owner[:3])
    begun = _begun(snapshot)
    for each in snapshot.cronjobs:
        if each.ref[:3] not in told and _fails(snapshot, each, (*begun, succeeded.get(each.ref[:3]))):
            said = "has been started and has not succeeded for more than twice its longest pause"
            yield finding("WORK007", each.ref, said, since=each.succeeded, remedy=_TRY)


# Its Jobs of before are gone, and their logs with them.
_TRY = "kubectl create job {name}-try --from=cronjob/{name} {-n}; kubectl logs -f job/{name}-try {-n}"


def _patience(snapshot: Snapshot, each: CronJob) -> timedelta | None:
    """For how long a CronJob may let nothing be heard; None where its schedule is none."""
    pause = cron.widest_pause(each.schedule)
    return max(2 * pause, snapshot.thresholds.cron_late) if pause else None


def _fails(snapshot: Snapshot, each: CronJob, times: tuple[datetime | None, ...]) -> bool:
    """Whether a CronJob is started and does not succeed. One that never has is left out, as older versions do not tell
    that it has."""
    patience, last = _patience(snapshot, each), each.last
    if patience is None or each.suspended or each.deleting or each.fleeting or not each.succeeded or not last:
        return False
    if (each.active and each.concurrency != "Replace") or last <= each.succeeded or snapshot.now - last > patience:
        return False
    since = max(time for time in (each.succeeded, each.changed, *times) if time)
    return snapshot.now - since > patience


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
        patience = _patience(snapshot, each)
        waits = each.active and each.concurrency == "Forbid"
        if patience is None or each.suspended or each.deleting or waits:
            continue
        since = max((time for time in (each.last, each.created, each.changed, *begun) if time), default=None)
        if since is None or snapshot.now - since <= patience:
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
