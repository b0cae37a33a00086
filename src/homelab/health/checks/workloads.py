"""Deployments, StatefulSets, DaemonSets and ReplicaSets: as many pods as they want, and rollouts that end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from homelab.health.checks.pods import unready_since
from homelab.health.codes import CRITICAL, INFO, WARNING, finding
from homelab.health.objects import Object, Workload
from homelab.health.report import Evidence, Finding
from homelab.health.snapshot import Snapshot


def short_since(snapshot: Snapshot, workload: Workload) -> datetime | None:
    """Since when a workload has been short of pods: what it says, or since the first of those it has is not ready.
    Where all that it wants are, since the last one is: its controller has not counted that yet, or waits for
    `minReadySeconds`."""
    available = workload.conditions.get("Available")
    if available and available.status == "False" and available.since:
        return available.since
    pods = [pod for pod in snapshot.pods_of.get(workload.ref[:3], ()) if not pod.done]
    unready = [since for pod in pods if not pod.ready and (since := unready_since(pod))]
    if unready:
        return min(unready)
    ready = [since for pod in pods if pod.ready and (since := unready_since(pod))]
    return max(ready) if 0 < workload.desired <= len(ready) else workload.changed or workload.created


def rolling(workload: Workload) -> bool:
    """Whether a Deployment's rollout is on its way and has time left."""
    progress = workload.conditions.get("Progressing")
    # It stays True and of another reason only while pods are being replaced and the deadline has not passed.
    return progress is not None and progress.status == "True" and progress.reason != "NewReplicaSetAvailable"


def refused(snapshot: Snapshot, thing: Object) -> str:
    """What the API said lately when a pod was to be made for a workload or Job, "" where nothing tells of it."""
    for event in snapshot.events_about.get(thing.uid, ()):
        if (
            event.reason == "FailedCreate"
            and event.last
            and snapshot.now - event.last <= snapshot.thresholds.event_window
        ):
            return event.message
    return ""


def _why(snapshot: Snapshot, workload: Workload) -> str:
    said = refused(snapshot, workload)
    return f": {said}" if said else ""


def _waited(snapshot: Snapshot, since: datetime | None) -> bool:
    return since is None or snapshot.now - since > snapshot.thresholds.unavailable


def check_deployments(snapshot: Snapshot) -> Iterator[Finding]:
    """Every Deployment has its replicas, unless a rollout is on its way that still has time."""
    for each in snapshot.deployments:
        if each.available >= each.desired or each.deleting:
            continue
        if rolling(each):
            continue
        since = short_since(snapshot, each)
        if not _waited(snapshot, since):
            continue
        yield finding(
            "WORK001",
            each.ref,
            f"has {each.available} of {each.desired} replicas available",
            severity=WARNING if each.available else CRITICAL,
            since=since,
            evidence={"desired": each.desired, "available": each.available},
        )


def check_rollouts(snapshot: Snapshot) -> Iterator[Finding]:
    """No rollout has passed its deadline."""
    for each in snapshot.deployments:
        progress = each.conditions.get("Progressing")
        if progress and progress.status == "False" and each.desired and not each.deleting:
            said = f"does not get on with its rollout: {progress.why}"
            evidence: Evidence = {"updated": each.updated, "desired": each.desired, "reason": progress.reason}
            yield finding("WORK002", each.ref, said, since=progress.since, evidence=evidence)


def check_observed(snapshot: Snapshot) -> Iterator[Finding]:
    """The controllers have seen what was written."""
    for each in (*snapshot.deployments, *snapshot.statefulsets, *snapshot.daemonsets):
        since = each.changed or each.created
        if each.observed >= each.generation or each.deleting:
            continue
        if since is None or snapshot.now - since > snapshot.thresholds.observed:
            said = "was changed and no controller has looked at it since"
            yield finding("WORK003", each.ref, said, since=since, evidence={"generation": each.generation})


def check_statefulsets(snapshot: Snapshot) -> Iterator[Finding]:
    """Every StatefulSet has its replicas, and brings updates to an end."""
    for each in snapshot.statefulsets:
        if each.deleting:
            continue
        if each.available < each.desired:
            since = short_since(snapshot, each)
            if _waited(snapshot, since):
                yield finding(
                    "WORK004",
                    each.ref,
                    f"has {each.available} of {each.desired} replicas available{_why(snapshot, each)}",
                    severity=WARNING if each.available else CRITICAL,
                    since=since,
                    evidence={"desired": each.desired, "available": each.available},
                )
        elif since := _stuck_since(snapshot, each):
            said = f"does not get on with its update: {each.updated} of {each.desired} replicas have it"
            yield finding("WORK004", each.ref, said, severity=WARNING, since=since)


def _stuck_since(snapshot: Snapshot, workload: Workload) -> datetime | None:
    """Since when an update has not got on: it was written and no pod made for it for longer than a rollout may take;
    None where it does."""
    if workload.updated >= workload.desired - workload.partition or workload.on_delete:
        return None
    # Without managed fields nobody knows how long, and an old StatefulSet may not count updated ones.
    if workload.observed < workload.generation or workload.changed is None:
        return None
    made = [pod.created for pod in snapshot.pods_of.get(workload.ref[:3], ()) if pod.created]
    since = max((workload.changed, *made))
    return since if snapshot.now - since > snapshot.thresholds.rollout else None


def check_daemonsets(snapshot: Snapshot) -> Iterator[Finding]:
    """Every DaemonSet has a pod available on each node that it is for, and brings updates to an end."""
    for each in snapshot.daemonsets:
        if each.deleting:
            continue
        if each.available < each.desired:
            since = short_since(snapshot, each)
            if _waited(snapshot, since):
                yield finding(
                    "WORK005",
                    each.ref,
                    f"is available on {each.available} of {each.desired} nodes{_why(snapshot, each)}",
                    severity=CRITICAL if each.namespace == "kube-system" else WARNING,
                    since=since,
                    evidence={"desired": each.desired, "available": each.available},
                )
        elif since := _stuck_since(snapshot, each):
            said = f"does not get on with its update: {each.updated} of {each.desired} nodes have it"
            yield finding("WORK005", each.ref, said, severity=WARNING, since=since)
        elif each.misscheduled:
            # A taint that came later leaves its pods where they were: worth knowing, and harmless.
            said = f"still runs on {each.misscheduled} nodes that it is not for any more"
            yield finding("WORK005", each.ref, said, severity=INFO)


def check_creation(snapshot: Snapshot) -> Iterator[Finding]:
    """ReplicaSets may create their pods: quota, service account and Pod Security let them."""
    for each in snapshot.replicasets:
        failure = each.conditions.get("ReplicaFailure")
        if failure and failure.status == "True" and each.desired and not each.deleting:
            said = f"cannot create pods: {failure.why}"
            yield finding("WORK006", each.ref, said, owner=snapshot.workload(each), since=failure.since)
