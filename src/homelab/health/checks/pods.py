"""Pods: placed, started, running, ready, and gone when they are deleted.

A pod has one trouble at a time: a check leaves out what an earlier stage explains.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from homelab.health.checks.storage import due
from homelab.health.codes import CODES, CRITICAL, INFO, WARNING, finding
from homelab.health.objects import Container, End, Pod
from homelab.health.report import Finding
from homelab.health.snapshot import Snapshot

_IMAGE = {
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
}
_START = {
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "PreCreateHookError",
    "PreStartHookError",
    "PostStartHookError",
}
_BACK_OFF = "CrashLoopBackOff"
_CALM = ("", "ContainerCreating", "PodInitializing", _BACK_OFF)
# A node that shuts down in order ends its pods like this, and others take their place.
_SHUTDOWN = {"Terminated", "NodeShutdown", "Shutdown"}
# What a kubelet says when it does not take a pod, beside a resource that there is too little of: "OutOfcpu".
_REJECTED = ("UnexpectedAdmissionError", "NodeAffinity", "NodePorts", "TopologyAffinityError", "OutOf")
# What to do about a crash of its own kind: a container that could not be started has no log.
_REMEDIES = {"OOMKilled": "POD008", "StartError": "POD003"}
_SIGNALS = {9: "SIGKILL", 15: "SIGTERM", 11: "SIGSEGV", 6: "SIGABRT"}


def unready_since(pod: Pod) -> datetime | None:
    """Since when a pod has not been ready, as far as the API tells."""
    for name in ("Ready", "ContainersReady", "PodScheduled"):
        condition = pod.conditions.get(name)
        if condition and condition.since:
            return condition.since
    return pod.started or pod.created


def unplaced(snapshot: Snapshot, pod: Pod) -> bool:
    """Whether a pod has looked for a node for longer than it may."""
    scheduled = pod.conditions.get("PodScheduled")
    if pod.node or pod.gated or (scheduled and (scheduled.status == "True" or scheduled.reason == "SchedulingGated")):
        return False
    since = _unplaced_since(pod)
    return since is None or snapshot.now - since > snapshot.thresholds.unschedulable_warning


def _unplaced_since(pod: Pod) -> datetime | None:
    scheduled = pod.conditions.get("PodScheduled")
    return (scheduled.since if scheduled else None) or pod.created


def _live(snapshot: Snapshot) -> Iterator[Pod]:
    """Pods that ought to run or to begin: not done, not failed, not being deleted."""
    return (pod for pod in snapshot.pods if pod.deleting is None and pod.phase not in ("Succeeded", "Failed"))


def _of_job(pod: Pod) -> bool:
    return pod.owner is not None and pod.owner.kind == "Job"


def crashing(snapshot: Snapshot, container: Container) -> bool:
    """Whether a container is in a crash loop; between two crashes it looks like one that runs."""
    if container.state == "waiting":
        return container.reason == _BACK_OFF
    window, last = snapshot.thresholds.crash_window, container.last
    if container.restarts < snapshot.thresholds.crash_restarts or last is None or not last.finished:
        return False
    # A container that had ended well, or with the node, says nothing unless it is in back-off.
    if not last.failed or snapshot.now - last.finished > window:
        return False
    began = container.running_since
    return container.state == "terminated" or (began is not None and snapshot.now - began <= window)


def _stage(snapshot: Snapshot, pod: Pod) -> str:
    """The first thing that keeps a pod's containers from running: crash, image or start; "" for none."""
    for container in pod.containers:
        if kept := _kept(snapshot, pod, container):
            return kept
    return "crash" if any(crashing(snapshot, container) for container in pod.containers) else ""


def _kept(snapshot: Snapshot, pod: Pod, container: Container) -> str:
    """What keeps a container from being started: image or start; "" for neither. A reason that is not known here, as
    each version brings some, counts after a while."""
    if container.state != "waiting" or container.reason in _CALM:
        return ""
    if container.reason in _IMAGE:
        return "image"
    since = unready_since(pod)
    young = since is not None and snapshot.now - since <= snapshot.thresholds.pod_start
    return "" if young and container.reason not in _START else "start"


def _newest_event(snapshot: Snapshot, pod: Pod, *reasons: str) -> str:
    """What the newest warning about a pod says, of some reasons or of any."""
    for event in snapshot.events_about.get(pod.uid, ()):
        if not reasons or event.reason in reasons:
            return event.message
    return ""


def _clean(message: str) -> str:
    """A runtime's message without gRPC's wrapping and what the finding says anyway."""
    said = re.sub(r"rpc error: code = \w+ desc = ", "", " ".join(message.split()))
    told = r'Error: |ErrImagePull: |Back-off pulling image "[^"]*": |[Ff]ailed to pull (?:and unpack )?image "[^"]*": '
    return re.sub(f"^(?:{told})+", "", said)


def _ended(end: End | None, container: Container) -> str:
    """How a container ended, in words."""
    if end is None:
        return "the reason is not known"
    if end.reason == "OOMKilled":
        limit = f", its limit is {container.memory_limit}" if container.memory_limit else ""
        return f"it was killed for lack of memory (OOMKilled{limit})"
    signal = end.signal or (end.exit_code - 128 if 128 < end.exit_code < 160 else 0)
    said = f"exit code {end.exit_code}"
    if signal:
        said += f" ({_SIGNALS.get(signal, f'signal {signal}')})"
    if end.reason not in ("", "Error", "Completed"):
        said += f", {end.reason}"
    if end.message.strip():
        said += f": {_clean(end.message.strip().splitlines()[-1])}"
    return said


def check_crash_loop(snapshot: Snapshot) -> Iterator[Finding]:
    """No container crashes each time it is started."""
    for pod in _live(snapshot):
        loops = [each for each in pod.containers if crashing(snapshot, each)]
        if not loops or _stage(snapshot, pod) != "crash":
            continue
        container = loops[0]
        end = container.last or container.end
        names = ", ".join(each.name for each in loops)
        evidence: dict[str, str | int] = {"container": container.name, "restarts": container.restarts}
        if end:
            evidence |= {"exit_code": end.exit_code, "reason": end.reason}
            if end.finished:
                evidence["last_crash"] = end.finished.isoformat()
        said = f"crashes again and again in container {names}: {_ended(end, container)}"
        # A Job tries again until it has had enough, and then tells.
        severity = WARNING if _of_job(pod) else CRITICAL
        fitter = _REMEDIES.get(end.reason) if end else None
        yield finding(
            "POD001",
            pod.ref,
            said,
            severity=severity,
            owner=snapshot.workload(pod),
            evidence=evidence,
            remedy=CODES[fitter].remedy if fitter else None,
        )


def _waiting(snapshot: Snapshot, stage: str) -> Iterator[tuple[Pod, Container]]:
    for pod in _live(snapshot):
        if _stage(snapshot, pod) == stage:
            yield pod, next(each for each in pod.containers if _kept(snapshot, pod, each) == stage)


def _image(container: Container) -> str:
    """The image that cannot be pulled: the container's, or where another is named that of a volume (since 1.31).

    The kubelet adds the tag that is meant where there is none, containerd the registry too.
    """
    named = re.search(r'(?:Back-off pulling|pull and unpack) image "([^"]+)"', container.message)
    own = (container.image, f"{container.image}:latest")
    return container.image if named is None or named[1].endswith(own) else named[1]


def check_image(snapshot: Snapshot) -> Iterator[Finding]:
    """Every image can be pulled. It is a warning at first, since a registry may be away for a moment."""
    for pod, container in _waiting(snapshot, "image"):
        # ImagePullBackOff alone does not say why; the event does.
        why = container.message
        if container.reason == "ImagePullBackOff" and why.startswith("Back-off pulling image") and "Err" not in why:
            failed = _newest_event(snapshot, pod, "Failed")
            why = failed if failed.startswith("Failed to pull") else why
        image = _image(container)
        yield _kept_waiting(snapshot, "POD002", pod, container, f"cannot pull image {image}", why, image)


def check_start(snapshot: Snapshot) -> Iterator[Finding]:
    """Every container can be made and started: what it refers to exists, and its command does."""
    for pod, container in _waiting(snapshot, "start"):
        said = f"cannot start container {container.name}"
        yield _kept_waiting(snapshot, "POD003", pod, container, said, container.message, container.image)


def _kept_waiting(
    snapshot: Snapshot, code: str, pod: Pod, container: Container, said: str, why: str, image: str
) -> Finding:
    since = unready_since(pod)
    long = since is None or snapshot.now - since > snapshot.thresholds.pod_start
    return finding(
        code,
        pod.ref,
        f"{said}: {_clean(why) or container.reason}",
        severity=CRITICAL if long else WARNING,
        owner=snapshot.workload(pod),
        since=since,
        evidence={"container": container.name, "image": image, "reason": container.reason},
    )


def check_scheduled(snapshot: Snapshot) -> Iterator[Finding]:
    """Every pod finds a node within a minute; the scheduler's own words say why not.

    One that waits for a claim waits as long as that may take, and it is the claim that is told of.
    """
    limits = snapshot.thresholds
    for pod in _live(snapshot):
        if not unplaced(snapshot, pod):
            continue
        scheduled, since = pod.conditions.get("PodScheduled"), _unplaced_since(pod)
        waited = snapshot.now - since if since else limits.unschedulable_critical * 2
        claims = (snapshot.claim_named.get((pod.namespace, name)) for name in pod.claims)
        if any(claim and due(snapshot, claim) for claim in claims):
            continue
        why = scheduled.message if scheduled else "no scheduler has looked at it"
        yield finding(
            "POD004",
            pod.ref,
            f"finds no node: {why or 'no reason is given'}",
            severity=CRITICAL if waited > limits.unschedulable_critical else WARNING,
            owner=snapshot.workload(pod),
            since=since,
        )


def starting(snapshot: Snapshot) -> Iterator[tuple[Pod, datetime | None]]:
    """Pods that have a node and for too long no container there, and since when they have the node."""
    for pod in _live(snapshot):
        if pod.phase != "Pending" or not pod.node or _stage(snapshot, pod):
            continue
        if any(each.state == "running" for each in pod.containers):
            continue
        scheduled = pod.conditions.get("PodScheduled")
        since = (scheduled.since if scheduled else None) or pod.started or pod.created
        if since and snapshot.now - since <= snapshot.thresholds.pod_start:
            continue
        yield pod, since


def check_creating(snapshot: Snapshot) -> Iterator[Finding]:
    """A pod that has a node gets its volumes, its network and its first container there."""
    for pod, since in starting(snapshot):
        why = _clean(_newest_event(snapshot, pod)) or "the node's kubelet does not say why"
        said = f"does not start on node {pod.node}: {why}"
        yield finding("POD005", pod.ref, said, owner=snapshot.workload(pod), since=since, evidence={"node": pod.node})


def check_pod_ready(snapshot: Snapshot) -> Iterator[Finding]:
    """Every pod that runs is ready within a few minutes; init containers have as long as a rollout before that."""
    for pod in _live(snapshot):
        if begun := _initializing(snapshot, pod):
            yield finding(
                "POD006",
                pod.ref,
                f"waits for its init container {begun.name} to end or, if it is a sidecar, to start up",
                severity=WARNING,
                owner=snapshot.workload(pod),
                since=begun.running_since,
                evidence={"containers": (begun.name,), "node": pod.node},
            )
            continue
        ready = pod.conditions.get("Ready")
        if pod.phase != "Running" or ready is None or ready.status == "True" or ready.reason == "PodCompleted":
            continue
        # A Job's pod is done when it is done; a container that ended well need not be ready.
        ended = any(each.state == "terminated" and each.end and not each.end.failed for each in pod.containers)
        if _of_job(pod) or (ended and pod.restart_policy != "Always") or _stage(snapshot, pod):
            continue
        if ready.since and snapshot.now - ready.since <= snapshot.thresholds.pod_start:
            continue
        # An init container that runs while the pod does is a sidecar.
        there = (each for each in pod.containers if not each.init or each.state == "running")
        unready = [each.name for each in there if not each.ready]
        probe = _clean(_newest_event(snapshot, pod, "Unhealthy"))
        said = f"runs but is not ready: {probe or ready.message or ready.reason or 'no reason is given'}"
        yield finding(
            "POD006",
            pod.ref,
            said,
            owner=snapshot.workload(pod),
            since=ready.since,
            evidence={"containers": tuple(unready), "node": pod.node},
        )


def _initializing(snapshot: Snapshot, pod: Pod) -> Container | None:
    """The init container that has kept a pod from going on for too long; a Job's may take their time."""
    if pod.phase != "Pending" or _of_job(pod) or _stage(snapshot, pod):
        return None
    done = pod.conditions.get("Initialized")
    if done is None or done.status == "True":
        return None
    # Sidecars go on running, so that the last one is what is waited for.
    last = next((each for each in reversed(pod.containers) if each.init and each.state == "running"), None)
    if last is None or last.running_since is None:
        return None
    return last if snapshot.now - last.running_since > snapshot.thresholds.rollout else None


def check_failed(snapshot: Snapshot) -> Iterator[Finding]:
    """No pod failed lately or was evicted. A Job's pods may fail; the Job tells whether it did.

    One that its kubelet does not take stays behind, as those that ask for a device (a GPU) after a reboot, before its
    plugin is there; it is information once one made later is ready in its place, or its ReplicaSet has all that it
    wants.
    """
    newest = _newest_ready(snapshot)
    # Until the device is there pods come and go many a second, and times of creation are whole seconds.
    whole = {each.ref[:3] for each in snapshot.replicasets if each.ready >= each.desired}
    for pod in snapshot.pods:
        if pod.phase != "Failed" or pod.deleting or _of_job(pod):
            continue
        ends = [each.end for each in pod.containers if each.end]
        since = max((end.finished for end in ends if end.finished), default=None) or unready_since(pod)
        old = since is not None and snapshot.now - since > snapshot.thresholds.failed_window
        owner = pod.owner[:3] if pod.owner else None
        later = newest.get(owner) if owner else None
        replaced = owner in whole or bool(later and pod.created and later > pod.created)
        over = pod.reason in _SHUTDOWN or (pod.reason.startswith(_REJECTED) and replaced)
        bad = next((each for each in pod.containers if each.end and each.end.failed), None)
        why = pod.message or (_ended(bad.end, bad) if bad else "no reason is given")
        said = "was evicted" if pod.reason == "Evicted" else f"failed{f' ({pod.reason})' if pod.reason else ''}"
        yield finding(
            "POD007",
            pod.ref,
            f"{said}: {_clean(why)}",
            severity=INFO if old or over else WARNING,
            owner=snapshot.workload(pod),
            since=since,
            evidence={"reason": pod.reason, "node": pod.node},
        )


def _newest_ready(snapshot: Snapshot) -> dict[tuple[str, str, str], datetime]:
    """When the newest pod that is ready was made, by owner."""
    found: dict[tuple[str, str, str], datetime] = {}
    for pod in snapshot.pods:
        if pod.ready and pod.owner and pod.created:
            key = pod.owner[:3]
            found[key] = max(found.get(key, pod.created), pod.created)
    return found


def check_memory(snapshot: Snapshot) -> Iterator[Finding]:
    """No container was killed for lack of memory lately."""
    for pod in snapshot.pods:
        if pod.deleting or _of_job(pod) or pod.phase not in ("Running", "Pending"):
            continue
        for container in pod.containers:
            end = container.end if container.end and container.end.reason == "OOMKilled" else container.last
            if end is None or end.reason != "OOMKilled" or end.finished is None:
                continue
            if snapshot.now - end.finished > snapshot.thresholds.oom_window:
                continue
            limit = container.memory_limit
            yield finding(
                "POD008",
                pod.ref,
                f"had container {container.name} killed for lack of memory"
                f" ({f'its limit is {limit}' if limit else 'it has no limit: the node ran out'})",
                owner=snapshot.workload(pod),
                since=end.finished,
                evidence={"container": container.name, "memory_limit": limit, "restarts": container.restarts},
            )
            break


def check_restarts(snapshot: Snapshot) -> Iterator[Finding]:
    """No container was restarted for an error within the hour; how often in its life says little."""
    limits = snapshot.thresholds
    for pod in _live(snapshot):
        for container in pod.containers:
            end = container.last
            if end is None or not end.failed or end.reason == "OOMKilled" or end.finished is None:
                continue
            if container.restarts < limits.crash_restarts or snapshot.now - end.finished > limits.restart_window:
                continue
            if crashing(snapshot, container):
                continue
            yield finding(
                "POD009",
                pod.ref,
                f"had to restart container {container.name}: {_ended(end, container)}",
                owner=snapshot.workload(pod),
                since=end.finished,
                evidence={"container": container.name, "restarts": container.restarts, "exit_code": end.exit_code},
            )
            break


def check_pods_go(snapshot: Snapshot) -> Iterator[Finding]:
    """A pod that was deleted is gone after its grace period and a while."""
    for pod in snapshot.pods:
        if pod.deleting is None or snapshot.now - pod.deleting <= snapshot.thresholds.terminating:
            continue
        held = f"finalizers hold it: {', '.join(pod.finalizers)}" if pod.finalizers else "its node does not let it go"
        yield finding(
            "POD010",
            pod.ref,
            f"was deleted and does not go; {held}",
            owner=snapshot.workload(pod),
            since=pod.deleting,
            evidence={"finalizers": pod.finalizers, "node": pod.node},
        )
