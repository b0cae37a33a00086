"""Disruption budgets: a node with their pods can be drained."""

from __future__ import annotations

from collections.abc import Iterator

from homelab.counting import many
from homelab.health.checks.policies import selects
from homelab.health.codes import INFO, finding
from homelab.health.objects import Thing
from homelab.health.report import Finding, Ref
from homelab.health.shape import mapping, number
from homelab.health.snapshot import Snapshot

# Kubernetes' own owners of pods; they let a budget be, whatever comes of it.
_OWN = ("ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController", "Node")


def check_budgets(snapshot: Snapshot) -> Iterator[Finding]:
    """Every disruption budget lets a pod go while all of its pods are well, or no drain of their nodes ever ends.

    Where pods are not well they are what to look at. Pods that an operator makes itself are information, where it has
    others to go on with: Longhorn takes its budgets away when a node is drained and its volumes are safe elsewhere,
    CloudNativePG moves its primary first, and has nothing to move that to in a cluster of one instance.
    """
    for each in snapshot.things("poddisruptionbudgets"):
        expected, healthy = number(each.at("status", "expectedPods")), number(each.at("status", "currentHealthy"))
        if each.deleting or snapshot.fresh(each) or not expected or healthy < expected:
            continue
        if number(each.at("status", "disruptionsAllowed"), 1) == 0:
            evidence = {"pods": expected}
            if operated := _operated(snapshot, each):
                said = f"lets none of its {many(expected, 'pod')} go, unless the operator of {operated} sees to it"
                yield finding("WORK009", each.ref, said, severity=INFO, evidence=evidence)
                continue
            said = f"lets none of its {many(expected, 'pod')} go: a drain of the nodes they are on never ends"
            yield finding("WORK009", each.ref, said, evidence=evidence)


def _operated(snapshot: Snapshot, budget: Thing) -> Ref | None:
    """The first owner of a budget's pods, where all of them are an operator's, which has more of the kind to go on
    with: in the budget or beside it, of the same owner where the budget is made for that one."""
    selector = mapping(budget.at("spec", "selector"))
    inside: list[Ref | None] = []
    others: list[Ref | None] = []
    for pod in snapshot.pods_in.get(budget.namespace, ()):
        (inside if selects(selector, pod.labels) else others).append(pod.owner)
    operated = [owner for owner in inside if owner and owner.kind not in _OWN]
    if not operated or len(operated) < len(inside):
        return None
    first, *more = operated
    alike = [owner for owner in (*more, *others) if owner and owner.kind == first.kind]
    return first if (first in alike if budget.owner == first else alike) else None
