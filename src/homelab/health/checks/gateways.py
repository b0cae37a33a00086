"""The Gateway API: Gateways are set up, and routes taken by theirs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from homelab.health.codes import finding
from homelab.health.objects import Condition, Thing
from homelab.health.report import Finding
from homelab.health.shape import Json, dig, mapping, number, objects, text
from homelab.health.slim import conditions
from homelab.health.snapshot import Snapshot

_KIND = "Gateway"
# What a route is to mend itself, whatever its Gateway is like.
NOWHERE = "leads to what is not there"


def _untrue(
    snapshot: Snapshot, each: Thing, told: dict[str, Condition], names: tuple[str, ...], patience: timedelta
) -> tuple[str, str, datetime | None] | None:
    """The first of these conditions that is told and has not been true for a while, with why, and since when.

    Source: gateway.networking.k8s.io/v1: before a controller looks, the conditions' time is that of 1970.
    """
    for name in names:
        said = told.get(name)
        if said is None or said.status == "True":
            continue
        since = max((time for time in (said.since, each.created) if time), default=None)
        if since is None or snapshot.now - since > patience:
            return name, said.why, since
    return None


def check_gateways(snapshot: Snapshot) -> Iterator[Finding]:
    """Every Gateway is accepted by the controller of its class, and set up, each of its listeners too.

    Source: gateway.networking.k8s.io/v1: one with some good listener may be accepted and programmed all the same.
    """
    for each in snapshot.things("gateways"):
        if each.deleting or snapshot.fresh(each):
            continue
        told = conditions(each.at("status", "conditions"))
        untrue = _untrue(snapshot, each, told, ("Accepted", "Programmed"), snapshot.thresholds.network)
        if untrue:
            name, why, since = untrue
            done = "accepted" if name == "Accepted" else "set up"
            yield finding("NET006", each.ref, f"is not {done}: {why}", since=since)
        elif "Accepted" not in told:
            said = f"no controller has looked at it; its class is {text(each.at('spec', 'gatewayClassName')) or 'none'}"
            yield finding("NET006", each.ref, said)
        elif stuck := next(_listeners(snapshot, each), None):
            name, why, since = stuck
            yield finding("NET006", each.ref, f"has a listener {name} that is not set up: {why}", since=since)


def _listeners(snapshot: Snapshot, gateway: Thing) -> Iterator[tuple[str, str, datetime | None]]:
    """The listeners that are not served, with why, and since when. A certificate that cert-manager is to issue for one
    has its time."""
    for each in objects(gateway.at("status", "listeners")):
        told, names = conditions(each.get("conditions")), ("Accepted", "ResolvedRefs", "Programmed")
        if untrue := _untrue(snapshot, gateway, told, names, snapshot.thresholds.certificate_issue):
            yield text(each.get("name")), *untrue[1:]


def unresolved(gateway: Thing) -> Iterator[Json]:
    """The references to certificates of the listeners that do not get what they refer to."""
    told = {
        text(each.get("name")): conditions(each.get("conditions"))
        for each in objects(gateway.at("status", "listeners"))
    }
    for each in objects(gateway.at("spec", "listeners")):
        said = told.get(text(each.get("name")), {}).get("ResolvedRefs")
        if said and said.status == "False":
            yield from objects(dig(each, "tls", "certificateRefs"))


def check_routes(snapshot: Snapshot) -> Iterator[Finding]:
    """Every HTTPRoute is accepted by each of its Gateways, and what it leads to is there.

    What a controller said of a parent that the route does not name any more counts no more.
    """
    for each in snapshot.things("httproutes"):
        if each.deleting or snapshot.fresh(each):
            continue
        answers = {
            _parent(each, mapping(answer.get("parentRef"))): conditions(answer.get("conditions"))
            for answer in objects(each.at("status", "parents"))
        }
        for wanted in objects(each.at("spec", "parentRefs")):
            kind, name = text(wanted.get("kind")) or _KIND, text(wanted.get("name"))
            answer = answers.get(_parent(each, wanted))
            if answer is None:
                yield finding("NET007", each.ref, f"no controller has looked at it for its {kind} {name}")
                break
            untrue = _untrue(snapshot, each, answer, ("Accepted", "ResolvedRefs"), snapshot.thresholds.network)
            if untrue:
                said = f"is not accepted by its {kind} {name}" if untrue[0] == "Accepted" else NOWHERE
                yield finding("NET007", each.ref, f"{said}: {untrue[1]}", since=untrue[2])
                break


def _parent(route: Thing, ref: Json) -> tuple[str, str, str, str, int]:
    """What tells one parent of a route from another."""
    namespace, kind = text(ref.get("namespace")) or route.namespace, text(ref.get("kind")) or _KIND
    return kind, namespace, text(ref.get("name")), text(ref.get("sectionName")), number(ref.get("port"))


def gateways(route: Thing) -> Iterator[tuple[str, str]]:
    """Namespace and name of the Gateways that a route names."""
    for parent in objects(route.at("spec", "parentRefs")):
        if text(parent.get("kind")) in ("", _KIND):
            yield text(parent.get("namespace")) or route.namespace, text(parent.get("name"))
