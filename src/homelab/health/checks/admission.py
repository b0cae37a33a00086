"""Admission: who is asked before something is written is there to be asked, and a policy can be judged by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from homelab.health.checks.services import unserved, why_none
from homelab.health.checks.workloads import refused
from homelab.health.codes import CRITICAL, INFO, WARNING, finding
from homelab.health.objects import Thing
from homelab.health.report import Finding, Ref
from homelab.health.shape import dig, objects, text
from homelab.health.snapshot import Snapshot

KINDS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
# One that says no by its rules is at work. Source: Kubernetes 1.36, apiserver's pkg/admission/plugin/policy: of the two
# kinds MutatingAdmissionPolicy is called no more than policy, and the binding is named where it gets so far.
_POLICY = re.compile(
    r"\b(ValidatingAdmissionPolicy|policy) '([^']+)'(?: with binding '[^']+')? denied request:"
    r" (failed to configure (?:policy|binding): .+|.+ resulted in error: .+)"
)


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


def policy(said: str) -> tuple[Ref, str] | None:
    """The policy for which the API refused something as it could not be evaluated, and why; None when it was not so."""
    if found := _POLICY.search(said):
        kind = "MutatingAdmissionPolicy" if found[1] == "policy" else found[1]
        return Ref(kind, "", found[2]), found[3]
    return None


def check_policies(snapshot: Snapshot) -> Iterator[Finding]:
    """No admission policy refuses pods because it cannot be evaluated: its expression ends in an error, or its
    parameters are missing. It is told by what could not be made; what a policy refuses by its rules is that one's own
    fault."""
    told: dict[Ref, tuple[str, datetime | None]] = {}
    for said, since in _refusals(snapshot):
        if found := policy(said):
            ref, why = found
            first = told.get(ref, (why, since))
            told[ref] = (first[0], min((each for each in (first[1], since) if each), default=None))
    for ref, (why, since) in sorted(told.items()):
        said = f"cannot be evaluated, so what it is for is refused: {why}"
        yield finding("CTRL013", ref, said, since=since, evidence={"resource": ref.kind.lower()})


def _refusals(snapshot: Snapshot) -> Iterator[tuple[str, datetime | None]]:
    """What the API said to who lacks pods, and since when."""
    for each in snapshot.replicasets:
        failure = each.conditions.get("ReplicaFailure")
        if failure and failure.status == "True" and each.desired and not each.deleting:
            yield failure.message, failure.since
    for workload in (*snapshot.statefulsets, *snapshot.daemonsets):
        if workload.available < workload.desired:
            yield refused(snapshot, workload), None
    for job in snapshot.jobs:
        if not job.active and not any(each.status == "True" for each in job.conditions.values()):
            yield refused(snapshot, job), None
