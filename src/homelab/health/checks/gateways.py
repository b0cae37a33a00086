"""The Gateway API: Gateways are set up, and routes taken by theirs."""

from __future__ import annotations

from collections.abc import Iterator

from homelab.health.codes import finding
from homelab.health.objects import Condition, Thing
from homelab.health.report import Finding
from homelab.health.shape import dig, objects, text
from homelab.health.slim import conditions
from homelab.health.snapshot import Snapshot


def _fresh(snapshot: Snapshot, each: Thing) -> bool:
    return each.created is not None and snapshot.now - each.created <= snapshot.thresholds.network


def _untrue(snapshot: Snapshot, told: dict[str, Condition], names: tuple[str, ...]) -> tuple[str, Condition] | None:
    """The first of these conditions that is told and has not been true for a while."""
    for name in names:
        said = told.get(name)
        if said is None or said.status == "True":
            continue
        if said.since is None or snapshot.now - said.since > snapshot.thresholds.network:
            return name, said
    return None


def _why(said: Condition) -> str:
    return said.message or said.reason or "no reason is given"


def check_gateways(snapshot: Snapshot) -> Iterator[Finding]:
    """Every Gateway is accepted by the controller of its class, and programmed.

    Source: gateway.networking.k8s.io/v1: a Gateway that no controller has looked at has the condition Unknown.
    """
    for each in snapshot.things("gateways"):
        if each.deleting or _fresh(snapshot, each):
            continue
        told = conditions(each.at("status", "conditions"))
        untrue = _untrue(snapshot, told, ("Accepted", "Programmed"))
        if untrue:
            done = "accepted" if untrue[0] == "Accepted" else "set up"
            yield finding("NET006", each.ref, f"is not {done}: {_why(untrue[1])}", since=untrue[1].since)
        elif "Accepted" not in told:
            said = f"no controller has looked at it; its class is {text(each.at('spec', 'gatewayClassName')) or 'none'}"
            yield finding("NET006", each.ref, said)


def check_routes(snapshot: Snapshot) -> Iterator[Finding]:
    """Every HTTPRoute is accepted by each of its Gateways, and what it leads to is there."""
    for each in snapshot.things("httproutes"):
        if each.deleting or _fresh(snapshot, each):
            continue
        parents = objects(each.at("status", "parents"))
        for parent in parents:
            untrue = _untrue(snapshot, conditions(parent.get("conditions")), ("Accepted", "ResolvedRefs"))
            if untrue:
                name = text(dig(parent, "parentRef", "name"))
                does = f"is not accepted by Gateway {name}" if untrue[0] == "Accepted" else "leads to what is not there"
                yield finding("NET007", each.ref, f"{does}: {_why(untrue[1])}", since=untrue[1].since)
                break
        else:
            wanted = objects(each.at("spec", "parentRefs"))
            if not parents and wanted:
                name = text(wanted[0].get("name"))
                yield finding("NET007", each.ref, f"no Gateway has taken it; it names {name}")


def gateways(route: Thing) -> Iterator[tuple[str, str]]:
    """Namespace and name of the Gateways that a route names."""
    for parent in objects(route.at("spec", "parentRefs")):
        if text(parent.get("kind")) in ("", "Gateway"):
            yield text(parent.get("namespace")) or route.namespace, text(parent.get("name"))
