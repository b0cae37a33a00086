"""The Gateway API: Gateways are set up, and routes taken by theirs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from homelab.health.codes import INFO, WARNING, finding
from homelab.health.objects import Condition, Service, Thing
from homelab.health.report import Finding, Ref
from homelab.health.shape import Json, dig, mapping, number, objects, text
from homelab.health.slim import conditions
from homelab.health.snapshot import Snapshot

_KIND = "Gateway"
_NOWHERE = "leads to what is not there"
_MISLED = "leads to what it cannot be led to"
_PARTLY = "is not accepted whole"
_GONE = f"is for {_KIND}"
# What a route is to mend itself, whatever its Gateway is like.
OWN = (_NOWHERE, _MISLED, _PARTLY, _GONE)
# What comes of what stands behind a Gateway: that it has no address, or that its proxy is not up.
NOT_SET_UP = "is not set up"
_OF_GATEWAY = ("Accepted", "Programmed", "ResolvedRefs")
# Of these True is the bad one.
_NEGATIVE = ("Conflicted", "PartiallyInvalid")
# For a Gateway's own condition: its listeners tell why.
_OF_LISTENERS = ("ListenersNotValid", "ListenersNotReady", "ListenersNotResolved")
# Of a listener that lacks what it refers to: no certificate mends it.
_NO_CERTIFICATE = ("InvalidRouteKinds", "RefNotPermitted")
_AT_ONCE = timedelta.min
# The labels with the name, and the namespace where it is another, of the Gateway that a Service was made for.
# Source: GEP-1762; Envoy Gateway's own.
_MADE_FOR = (
    ("gateway.networking.k8s.io/gateway-name", ""),
    ("gateway.envoyproxy.io/owning-gateway-name", "gateway.envoyproxy.io/owning-gateway-namespace"),
)


def _untrue(
    snapshot: Snapshot, each: Thing, told: dict[str, Condition], names: tuple[str, ...], patience: timedelta
) -> tuple[str, Condition, datetime | None] | None:
    """The first of these conditions that is told and has not been as it ought to be for a while, and since when.

    Source: gateway.networking.k8s.io/v1: before a controller looks, the conditions' time is that of 1970.
    """
    for name in names:
        said = told.get(name)
        if said is None or (said.status == "True") is not (name in _NEGATIVE):
            continue
        since = max((time for time in (said.since, each.created) if time), default=None)
        if since is None or snapshot.now - since > patience:
            return name, said, since
    return None


def check_gateways(snapshot: Snapshot) -> Iterator[Finding]:
    """Every Gateway is accepted by the controller of its class, and set up, each of its listeners too.

    Source: gateway.networking.k8s.io/v1: one with some good listener may be accepted and programmed all the same. Other
    controllers, Traefik for one, accept none that has a bad one: then too it is the listener that is told of.
    """
    thresholds = snapshot.thresholds
    for each in snapshot.things("gateways"):
        if each.deleting or snapshot.fresh(each):
            continue
        told = conditions(each.at("status", "conditions"))
        bad = next(_listeners(snapshot, each, _AT_ONCE, _AT_ONCE), None) is not None
        names = _own(told) if bad else _OF_GATEWAY
        untrue = _untrue(snapshot, each, told, names, thresholds.network)
        if "Accepted" not in told or (untrue and untrue[0] == "Accepted" and _unwritten(untrue[1])):
            said = f"no controller has looked at it; its class is {text(each.at('spec', 'gatewayClassName')) or 'none'}"
            yield finding("NET006", each.ref, said, since=untrue[2] if untrue else None)
        elif untrue and untrue[0] != "ResolvedRefs":
            name, condition, since = untrue
            done = "is not accepted" if name == "Accepted" else NOT_SET_UP
            yield finding("NET006", each.ref, f"{done}: {condition.why}", since=since)
        elif stuck := list(_listeners(snapshot, each, thresholds.network, thresholds.certificate_issue)):
            yield max(stuck, key=lambda found: found.severity)
        elif untrue:
            said = f"does not get all that it refers to: {untrue[1].why}"
            yield finding("NET006", each.ref, said, severity=WARNING, since=untrue[2])


def _own(told: dict[str, Condition]) -> tuple[str, ...]:
    """The conditions that tell more of a Gateway with a bad listener than that it has one.

    One that is not accepted for it is not set up either, for which NGINX Gateway Fabric gives a reason of its own.
    """
    of_listeners = [name for name in _OF_GATEWAY if name in told and told[name].reason in _OF_LISTENERS]
    if "Accepted" in of_listeners and told["Accepted"].status == "False":
        of_listeners.append("Programmed")
    return tuple(name for name in _OF_GATEWAY if name not in of_listeners)


def _unwritten(accepted: Condition) -> bool:
    """Whether it is the condition that a Gateway has from its definition, until a controller writes its own."""
    return accepted.status == "Unknown" and accepted.reason == "Pending"


def _listeners(
    snapshot: Snapshot, gateway: Thing, patience: timedelta, for_certificates: timedelta
) -> Iterator[Finding]:
    """The listeners that have not been served for a while, or lack some of what they refer to. A certificate that
    cert-manager is to issue for one has its own time."""
    for each in objects(gateway.at("status", "listeners")):
        told, names = conditions(each.get("conditions")), ("Conflicted", "Accepted", "ResolvedRefs", "Programmed")
        untrue = _untrue(snapshot, gateway, told, names, for_certificates if _lacks_certificate(told) else patience)
        if untrue is None:
            continue
        name, condition, since = untrue
        served = name == "ResolvedRefs" and "Programmed" in told and told["Programmed"].status == "True"
        how = "lacks some of what it refers to" if served else NOT_SET_UP
        said = f"has a listener {text(each.get('name'))} that {how}: {condition.why}"
        yield finding("NET006", gateway.ref, said, severity=WARNING if served else None, since=since)


def _lacks_certificate(told: dict[str, Condition]) -> bool:
    """Whether a listener does not get what it refers to, which a certificate may be."""
    said = told.get("ResolvedRefs")
    return said is not None and said.status == "False" and said.reason not in _NO_CERTIFICATE


def unresolved(gateway: Thing) -> Iterator[Json]:
    """The references to certificates of the listeners that may lack one of these."""
    told = {
        text(each.get("name")): conditions(each.get("conditions"))
        for each in objects(gateway.at("status", "listeners"))
    }
    for each in objects(gateway.at("spec", "listeners")):
        if _lacks_certificate(told.get(text(each.get("name")), {})):
            yield from objects(dig(each, "tls", "certificateRefs"))


def fronts(snapshot: Snapshot, gateway: Ref) -> Iterator[Service]:
    """The Services that a controller has made for a Gateway, by their owner or their labels."""
    for each in snapshot.services:
        made = [
            (each.labels.get(namespace, "") if namespace else each.namespace, each.labels[name])
            for name, namespace in _MADE_FOR
            if name in each.labels
        ]
        if (each.owner and each.owner[:3] == gateway[:3]) or gateway[1:3] in made:
            yield each


def check_routes(snapshot: Snapshot) -> Iterator[Finding]:
    """Every HTTPRoute is accepted by each of its Gateways, wholly, and what it leads to is there.

    What a controller said of a parent that the route does not name any more counts no more, nor what it said of a
    Gateway that is gone. Of controllers that tell of none of their routes nobody knows: that is information.
    """
    answers = {each.ref[:3]: _answers(each) for each in snapshot.things("httproutes")}
    telling = {parent[1:3] for told in answers.values() for parent in told if parent[0] == _KIND}
    there = {(each.namespace, each.name): each for each in snapshot.things("gateways")}
    for each in snapshot.things("httproutes"):
        if each.deleting or snapshot.fresh(each):
            continue
        for wanted in objects(each.at("spec", "parentRefs")):
            parent = _parent(each, wanted)
            kind, namespace, name = parent[:3]
            gateway = there.get((namespace, name)) if kind == _KIND else None
            seen = snapshot.was_read("gateways") and snapshot.namespace in ("", namespace)
            if kind == _KIND and seen and gateway is None:
                yield finding("NET007", each.ref, f"{_GONE} {namespace}/{name}, which does not exist")
                break
            answer = answers[each.ref[:3]].get(parent)
            if answer is None:
                if gateway and (namespace, name) not in telling and _takes_routes(gateway):
                    said = f"no controller tells whether it has taken it for its {kind} {name}"
                    yield finding("NET007", each.ref, said, severity=INFO)
                    break
                yield finding("NET007", each.ref, f"no controller has looked at it for its {kind} {name}")
                break
            limits = snapshot.thresholds
            # Traefik accepts no route of a Gateway that waits for a certificate.
            waits = gateway is not None and next(unresolved(gateway), None) is not None
            patience = limits.certificate_issue if waits else limits.network
            untrue = _untrue(snapshot, each, answer, ("Accepted",), patience) or _untrue(
                snapshot, each, answer, ("ResolvedRefs", "PartiallyInvalid"), limits.network
            )
            if untrue:
                which, condition, since = untrue
                said = {
                    "Accepted": f"is not accepted by its {kind} {name}",
                    "ResolvedRefs": _NOWHERE if condition.reason == "BackendNotFound" else _MISLED,
                    "PartiallyInvalid": f"{_PARTLY} by its {kind} {name}",
                }[which]
                severity = WARNING if which == "PartiallyInvalid" else None
                yield finding("NET007", each.ref, f"{said}: {condition.why}", severity=severity, since=since)
                break


_Parent = tuple[str, str, str, str, int]


def _answers(route: Thing) -> dict[_Parent, dict[str, Condition]]:
    """What was said of each parent of a route. Of several controllers the one counts that spoke last, as it took the
    Gateway over; policies that tell of themselves in the same place give no answer."""
    found: dict[_Parent, dict[str, Condition]] = {}
    for each in objects(route.at("status", "parents")):
        told, parent = conditions(each.get("conditions")), _parent(route, mapping(each.get("parentRef")))
        if "Accepted" not in told and "ResolvedRefs" not in told:
            continue
        if parent not in found or _spoken(told) > _spoken(found[parent]):
            found[parent] = told
    return found


def _spoken(told: dict[str, Condition]) -> list[datetime]:
    """When a controller spoke last, to be compared with others."""
    times = [told[name].since for name in ("Accepted", "ResolvedRefs") if name in told]
    return sorted((time for time in times if time), reverse=True)[:1]


def _takes_routes(gateway: Thing) -> bool:
    """Whether a Gateway is at work, and counts routes or tells of no listener at all: some controllers (Cloudflare's by
    pl4nty, NetBird's) write nothing into the routes that they take."""
    accepted = conditions(gateway.at("status", "conditions")).get("Accepted")
    told = objects(gateway.at("status", "listeners"))
    counted = not told or any(number(listener.get("attachedRoutes")) for listener in told)
    return accepted is not None and accepted.status == "True" and counted


def _parent(route: Thing, ref: Json) -> _Parent:
    """What tells one parent of a route from another."""
    namespace, kind = text(ref.get("namespace")) or route.namespace, text(ref.get("kind")) or _KIND
    return kind, namespace, text(ref.get("name")), text(ref.get("sectionName")), number(ref.get("port"))


def gateways(route: Thing) -> Iterator[tuple[str, str]]:
    """Namespace and name of the Gateways that a route names."""
    for parent in objects(route.at("spec", "parentRefs")):
        if text(parent.get("kind")) in ("", _KIND):
            yield text(parent.get("namespace")) or route.namespace, text(parent.get("name"))


def backends(route: Thing) -> Iterator[tuple[str, str]]:
    """Namespace and name of the Services that a route leads to, but for those with no weight."""
    for rule in objects(route.at("spec", "rules")):
        for each in objects(rule.get("backendRefs")):
            if (text(each.get("kind")) or "Service") == "Service" and number(each.get("weight"), 1):
                yield text(each.get("namespace")) or route.namespace, text(each.get("name"))
