"""Admission webhooks: who is asked before something is written is there to be asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from homelab.health.checks.services import unserved, why_none
from homelab.health.codes import CRITICAL, INFO, WARNING, finding
from homelab.health.objects import Thing
from homelab.health.report import Finding
from homelab.health.shape import dig, objects, text
from homelab.health.snapshot import Snapshot

KINDS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")


@dataclass(frozen=True)
class _Trouble:
    refuses: bool
    service: str
    why: str


def check_webhooks(snapshot: Snapshot) -> Iterator[Finding]:
    """Every Service that the API server asks before it writes exists and has a ready endpoint.

    Source: admissionregistration.k8s.io/v1: where it cannot be asked, what is to be written is refused, unless
    `failurePolicy` is Ignore.
    """
    for each in (
        *snapshot.things("validatingwebhookconfigurations"),
        *snapshot.things("mutatingwebhookconfigurations"),
    ):
        troubles = () if each.deleting or snapshot.fresh(each) else tuple(_troubles(snapshot, each))
        if not troubles:
            continue
        worst = max(troubles, key=lambda trouble: trouble.refuses)
        then = "what it is for cannot be written" if worst.refuses else "what it is for is written unseen"
        yield finding(
            "CTRL011",
            each.ref,
            f"asks Service {worst.service}, which {worst.why}: {then}",
            severity=CRITICAL if worst.refuses else WARNING,
            evidence={"service": worst.service, "resource": each.kind.lower()},
        )


def _troubles(snapshot: Snapshot, configuration: Thing) -> Iterator[_Trouble]:
    for hook in objects(configuration.at("webhooks")):
        namespace = text(dig(hook, "clientConfig", "service", "namespace"))
        name = text(dig(hook, "clientConfig", "service", "name"))
        # One that is reached by a URL, or whose Service is in a namespace that was not looked at, is not known of.
        if not name or (snapshot.namespace and namespace != snapshot.namespace):
            continue
        service, refuses = snapshot.service_named.get((namespace, name)), hook.get("failurePolicy") != "Ignore"
        if service is None:
            yield _Trouble(refuses, f"{namespace}/{name}", "does not exist")
            continue
        # One that was scaled to nothing is meant to be so, and refuses all the same.
        severity = unserved(snapshot, service, referred=True)
        if severity is not None and (refuses or severity is not INFO):
            yield _Trouble(refuses, f"{namespace}/{name}", f"has no ready endpoint ({why_none(snapshot, service)})")
