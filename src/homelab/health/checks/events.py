"""Warnings that come again and again, whatever they are about."""

from __future__ import annotations

from collections.abc import Iterator

from homelab.health.codes import finding
from homelab.health.objects import Event
from homelab.health.report import Finding
from homelab.health.snapshot import Snapshot

_MOST = 10  # objects; more would be a list of events
# What has no namespace has its events in `default`, which need not be the context's own.
_ANYWHERE = "kubectl get events -A --field-selector type=Warning,involvedObject.name={name}"


def check_warnings(snapshot: Snapshot) -> Iterator[Finding]:
    """No object is warned of again and again; of the ten with the most warnings of late, what each is warned of most.

    What matters has a check of its own, so this is information: where to look when something is odd and nothing else
    tells of it. The warnings of a pod outlive it by an hour, and are of no use then.
    """
    limits = snapshot.thresholds
    pods = snapshot.pod_named if snapshot.was_read("pods") else None
    found: dict[tuple[str, str, str], Event] = {}
    for event in snapshot.events:
        if not event.last or snapshot.now - event.last > limits.event_window or event.count < limits.event_times:
            continue
        if pods is not None and event.about.kind == "Pod" and event.about[1:3] not in pods:
            continue
        before = found.get(event.about[:3])
        if before is None or _weight(event) > _weight(before):
            found[event.about[:3]] = event
    for event in sorted(found.values(), key=lambda event: (-event.count, event.about))[:_MOST]:
        pod = snapshot.pod_named.get(event.about[1:3]) if event.about.kind == "Pod" else None
        said = f"is warned of again and again ({event.reason}): {event.message or 'no message is given'}"
        yield finding(
            "CTRL012",
            event.about,
            said,
            owner=snapshot.workload(pod) if pod else None,
            since=event.last,
            evidence={"times": event.count, "reason": event.reason},
            remedy=None if event.about.namespace else _ANYWHERE,
        )


def _weight(event: Event) -> tuple[int, str, str]:
    return (event.count, event.reason, event.message)
