"""Disruption budgets: a node with their pods can be drained."""

from __future__ import annotations

from collections.abc import Iterator

from homelab.counting import many
from homelab.health.codes import finding
from homelab.health.report import Finding
from homelab.health.shape import number
from homelab.health.snapshot import Snapshot


def check_budgets(snapshot: Snapshot) -> Iterator[Finding]:
    """Every disruption budget lets a pod go while all of its pods are well, or no drain of their nodes ever ends.

    Where pods are not well they are what to look at.
    """
    for each in snapshot.things("poddisruptionbudgets"):
        expected, healthy = number(each.at("status", "expectedPods")), number(each.at("status", "currentHealthy"))
        if each.deleting or snapshot.fresh(each) or not expected or healthy < expected:
            continue
        if number(each.at("status", "disruptionsAllowed"), 1) == 0:
            said = f"lets none of its {many(expected, 'pod')} go: a drain of the nodes they are on never ends"
            yield finding("WORK009", each.ref, said, evidence={"pods": expected})
