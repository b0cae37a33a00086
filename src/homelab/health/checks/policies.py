"""NetworkPolicies: each is for some pod."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from homelab.health.codes import finding
from homelab.health.report import Finding
from homelab.health.shape import Json, mapping, objects, text
from homelab.health.snapshot import Snapshot


def check_policies(snapshot: Snapshot) -> Iterator[Finding]:
    """Every NetworkPolicy that selects pods by labels finds one; those of a Job are there only while it runs."""
    for each in snapshot.things("networkpolicies"):
        selector = mapping(each.at("spec", "podSelector"))
        if each.deleting or not selector:
            continue
        if not any(selects(selector, pod.labels) for pod in snapshot.pods_in.get(each.namespace, ())):
            yield finding("NET008", each.ref, "selects no pod that is there")


def selects(selector: Json, labels: Mapping[str, str]) -> bool:
    """Source: meta/v1 LabelSelector. What is written in no known way selects all, so that nothing is told of it."""
    if any(labels.get(key) != value for key, value in mapping(selector.get("matchLabels")).items()):
        return False
    for each in objects(selector.get("matchExpressions")):
        key, listed = text(each.get("key")), each.get("values")
        values = listed if isinstance(listed, list) else []
        holds = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not holds.get(text(each.get("operator")), True):
            return False
    return True
