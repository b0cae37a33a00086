"""Certificates: how long the API's, our own, the nodes' and cert-manager's still last."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from homelab.health.checks.control_plane import api
from homelab.health.codes import CRITICAL, WARNING, finding
from homelab.health.objects import Event
from homelab.health.report import Finding, Ref
from homelab.health.shape import when
from homelab.health.slim import conditions
from homelab.health.snapshot import Snapshot

_LEAF, _AUTHORITY = "CertificateExpirationWarning", "CACertificateExpirationWarning"
_ROTATE = "on a server: k3s certificate rotate-ca, after reading in K3s' manual what that takes"
_SHORT = timedelta(days=30)  # what lasts no longer is renewed as it goes


def check_serving(snapshot: Snapshot) -> Iterator[Finding]:
    """The certificate that the API server, or who speaks TLS for it, shows lasts for a while.

    Of one that lasts for months, as those of Let's Encrypt, the last quarter counts: it is renewed before. One of weeks
    or less is renewed as it goes, and counts once it has ended.
    """
    yield from _ends(snapshot, "CERT001", api(snapshot), "shows", snapshot.api.serving_end, snapshot.api.serving_life)


def check_client(snapshot: Snapshot) -> Iterator[Finding]:
    """The certificate that lets us in lasts for a while. One of weeks or less, which a plugin fetches whenever it is
    asked (Teleport's), counts once it has ended."""
    ref = Ref("Kubeconfig", "", snapshot.api.context)
    yield from _ends(snapshot, "CERT002", ref, "holds", snapshot.api.client_end, snapshot.api.client_life)


def _ends(
    snapshot: Snapshot, code: str, ref: Ref, verb: str, end: datetime | None, life: timedelta | None
) -> Iterator[Finding]:
    limits = snapshot.thresholds
    warning = limits.certificate_warning
    if life is not None:
        warning = min(warning, life / 4) if life > _SHORT else timedelta()
    if end is None or end - snapshot.now > warning:
        return
    yield finding(
        code,
        ref,
        f"{verb} a certificate that {'ends' if end > snapshot.now else 'ended'} on {end:%Y-%m-%d %H:%M} UTC",
        severity=CRITICAL if end - snapshot.now <= limits.certificate_critical else WARNING,
        evidence={"end": end.isoformat()},
    )


def check_node_certificates(snapshot: Snapshot) -> Iterator[Finding]:
    """No node tells of certificates that end: K3s renews them only when it starts.

    Source: K3s records an event on the node every 30 minutes, from 120 days before the end of a certificate (90 in
    older ones) and 365 before that of an authority.
    """
    told: dict[str, dict[str, Event]] = {}
    for event in snapshot.events:
        recent = event.last is not None and snapshot.now - event.last <= snapshot.thresholds.certificate_told
        if event.about.kind == "Node" and event.reason in (_LEAF, _AUTHORITY) and recent:
            newest = told.setdefault(event.about.name, {})
            if event.reason not in newest or _later(event, newest[event.reason]):
                newest[event.reason] = event
    for name, reasons in sorted(told.items()):
        messages = {reason: each.message for reason, each in sorted(reasons.items())}
        # K3s' own word for what is too late.
        over = any(" expired at " in message for message in messages.values())
        what = " and ".join(_WHAT[reason] for reason in sorted(messages, reverse=True))
        node = snapshot.node_named.get(name)
        yield finding(
            "CERT003",
            node.ref if node else Ref("Node", "", name),
            f"has {what} {'past their end' if over else 'near their end'}, which K3s does not renew while it runs",
            severity=CRITICAL if over else WARNING,
            evidence={"message": " ".join(messages.values())},
            remedy=None if _LEAF in messages else _ROTATE,
        )


def check_issued(snapshot: Snapshot) -> Iterator[Finding]:
    """Every certificate that cert-manager looks after, those of Ingresses for one, is issued, renewed when it is due
    for that, and has not ended.

    Certificates that somebody else puts into a Secret are not seen: Secrets are never read. Source: cert-manager.io/v1,
    whose `renewalTime` is when a renewal is begun, weeks before the end of a certificate of months.
    """
    limits = snapshot.thresholds
    for each in snapshot.things("certificates"):
        told = conditions(each.at("status", "conditions"))
        ready, issuing = told.get("Ready"), told.get("Issuing")
        end, due = when(each.at("status", "notAfter")), when(each.at("status", "renewalTime"))
        since = max((time for time in (ready.since if ready else None, each.created) if time), default=None)
        why = f": {issuing.why}" if issuing and issuing.status != "True" else ""
        if each.deleting or ready is None:
            continue
        if end and end <= snapshot.now:
            said = f"ended on {end:%Y-%m-%d %H:%M} UTC{why}"
            yield finding("CERT004", each.ref, said, since=end, evidence={"end": end.isoformat()})
        elif ready.status != "True":
            if since is None or snapshot.now - since > limits.certificate_issue:
                said = f"is not issued: {ready.why}"
                yield finding("CERT004", each.ref, said, severity=WARNING, since=since)
        elif due and snapshot.now - due > limits.certificate_renewal:
            said = f"is due for renewal and not renewed{why}"
            yield finding("CERT004", each.ref, said, severity=WARNING, since=due)


_WHAT = {_LEAF: "certificates", _AUTHORITY: "certificate authorities"}


def _later(one: Event, other: Event) -> bool:
    return (one.last, one.name) > (other.last, other.name)
