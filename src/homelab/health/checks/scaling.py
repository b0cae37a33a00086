"""What sets how many pods there may be: autoscalers can work, and quotas have room."""

from __future__ import annotations

from collections.abc import Iterator

from homelab.health.codes import INFO, finding
from homelab.health.report import Finding
from homelab.health.shape import mapping, number, quantity, when
from homelab.health.slim import conditions
from homelab.health.snapshot import Snapshot


def check_autoscalers(snapshot: Snapshot) -> Iterator[Finding]:
    """Every autoscaler finds what it scales and its metrics, and is not at its most for long.

    Source: autoscaling/v2, conditions AbleToScale, ScalingActive and ScalingLimited. The last is True of one at its
    least as well, as most are for days, and keeps its time when that comes to its most, as it did when it scaled last.
    """
    limits = snapshot.thresholds
    for each in snapshot.things("horizontalpodautoscalers"):
        if each.deleting:
            continue
        told = conditions(each.at("status", "conditions"))
        for name in ("AbleToScale", "ScalingActive"):
            said = told.get(name)
            # One whose workload was scaled to nothing is off, as is meant.
            if said is None or said.status != "False" or said.reason == "ScalingDisabled":
                continue
            if said.since is None or snapshot.now - said.since > limits.unavailable:
                yield finding("WORK011", each.ref, f"cannot scale: {said.why}", since=said.since)
                break
        else:
            limited, most = told.get("ScalingLimited"), number(each.at("spec", "maxReplicas"))
            if limited is None or limited.status != "True" or limited.reason != "TooManyReplicas":
                continue
            since = max(
                (time for time in (limited.since, when(each.at("status", "lastScaleTime"))) if time), default=None
            )
            if since is None or snapshot.now - since > limits.autoscaler:
                said_ = f"wants more than the {most} replicas that it may have"
                yield finding("WORK011", each.ref, said_, severity=INFO, since=since)


_GROWS = ("pods", "cpu", "memory", "storage")


def check_quotas(snapshot: Snapshot) -> Iterator[Finding]:
    """No quota of a namespace is nearly used up in what grows: pods, CPU, memory and storage.

    One of nothing at all is meant so, and one of a number of Services or claims is cut to fit.
    """
    for each in snapshot.things("resourcequotas"):
        if each.deleting:
            continue
        used = mapping(each.at("status", "used"))
        for what, most in sorted(mapping(each.at("status", "hard")).items()):
            if not any(word in what for word in _GROWS):
                continue
            there, taken = quantity(most), quantity(used.get(what))
            if there and 100 * taken / there > snapshot.thresholds.quota:
                said = f"is used up for more than {snapshot.thresholds.quota} % in {what}"
                yield finding("WORK012", each.ref, said, evidence={"used": str(used.get(what)), "hard": str(most)})
                break
