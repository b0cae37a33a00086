"""What K3s brings along: DNS, Traefik, metrics-server and local-path-provisioner, and the charts that it installs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from homelab.health.checks.services import DNS, down_since, excused, ready_endpoints, why_none
from homelab.health.codes import CRITICAL, WARNING, finding
from homelab.health.objects import HelmChart, Job
from homelab.health.report import Evidence, Finding, Ref
from homelab.health.shape import text
from homelab.health.snapshot import SYSTEM, Snapshot

# The name to give to --disable, that of K3s' Addon object, and that of the Deployment.
_ADDONS = (
    ("coredns", "coredns", "coredns"),
    ("local-storage", "local-storage", "local-path-provisioner"),
    ("metrics-server", "metrics-server-deployment", "metrics-server"),
    ("traefik", "traefik", "traefik"),
)
_UNWANTED = "if it is not wanted, add {addon} to disable on the servers"
_INSTALL = f"kubectl delete job helm-install-{{name}} {{-n}}, which K3s makes again at once; {_UNWANTED}"
_SCALE = f"kubectl scale deployment {{name}} {{-n}} --replicas=1; {_UNWANTED}"
_DESCRIBE = "kubectl describe helmchart {name} {-n}"
_UNAPPLIED = ("ReadManifestFailed", "ParseManifestFailed", "ValidateManifestFailed", "ApplyManifestFailed")


def disabled(snapshot: Snapshot, name: str) -> bool:
    """Whether some server was told not to bring an add-on along, or not to install charts, of which Traefik is one."""
    return any(
        name in node.disabled or (name == "traefik" and "helm-controller" in node.disabled) for node in snapshot.nodes
    )


def _expected(snapshot: Snapshot, name: str, addon: str) -> bool:
    """Whether an add-on ought to be there: this is K3s, and it has the manifest and is not told to leave it out.

    Where Addon objects can be read they tell of each manifest that K3s applies; one that it was made to skip by a
    file (`traefik.yaml.skip`) has none.
    """
    if disabled(snapshot, name) or not any(node.k3s for node in snapshot.nodes):
        return False
    applied = {each.name for each in snapshot.things("addons") if each.namespace == SYSTEM}
    return not applied or addon in applied


def _began(snapshot: Snapshot) -> datetime | None:
    """When the cluster was first started, as far as its nodes tell."""
    return min((node.created for node in snapshot.nodes if node.created), default=None)


def _starting(snapshot: Snapshot) -> bool:
    began = _began(snapshot)
    return began is not None and snapshot.now - began <= snapshot.thresholds.addon


def check_dns(snapshot: Snapshot) -> Iterator[Finding]:
    """The cluster's DNS has a ready endpoint; without one hardly anything in the cluster finds anything."""
    service = snapshot.service_named.get((DNS.namespace, DNS.name))
    if service is None:
        if _expected(snapshot, "coredns", "coredns") and not _starting(snapshot):
            yield finding("ADDON001", DNS, "does not exist, so no pod can resolve a name")
        return
    if ready_endpoints(snapshot, service) or excused(snapshot, service, snapshot.thresholds.dns):
        return
    said = f"has no ready endpoint, so no pod can resolve a name: {why_none(snapshot, service)}"
    yield finding("ADDON001", service.ref, said, since=down_since(snapshot, service))


def check_there(snapshot: Snapshot) -> Iterator[Finding]:
    """What K3s brings along is there, unless a server is told to leave it out."""
    if _starting(snapshot):
        return
    workloads = {each.name: each for each in (*snapshot.daemonsets, *snapshot.deployments) if each.namespace == SYSTEM}
    for name, addon, workload in _ADDONS:
        if not _expected(snapshot, name, addon):
            continue
        found = workloads.get(workload)
        if found is None:
            ref = Ref("Deployment", SYSTEM, workload)
            # A manifest of K3s' own is applied again at each start, a chart installed again by a new Job only.
            remedy = _INSTALL if name == "traefik" else None
            said = "is gone, though K3s brings it along"
            yield finding("ADDON002", ref, said, evidence={"addon": name}, remedy=remedy)
        elif found.kind == "Deployment" and not found.desired:
            said = "is scaled to nothing, though K3s brings it along"
            yield finding("ADDON002", found.ref, said, severity=WARNING, evidence={"addon": name}, remedy=_SCALE)


def check_charts(snapshot: Snapshot) -> Iterator[Finding]:
    """The charts that K3s installs are installed; tries that failed before one succeeded mean nothing. One that K3s
    does not take at all, as of Helm 2, has no Job, one that it cannot make a Job of that of before."""
    jobs = {(each.namespace, each.name): each for each in snapshot.jobs}
    bad: dict[tuple[str, str], tuple[HelmChart, Job, str]] = {}
    for chart in snapshot.helm_charts:
        job, failed = jobs.get((chart.namespace, chart.job)), chart.conditions.get("Failed")
        made = chart.conditions.get("JobCreated")
        unmade = not job or (made is not None and made.status == "False")
        if unmade and failed and failed.status == "True" and not chart.deleting:
            severity = CRITICAL if chart.namespace == SYSTEM else WARNING
            said = f"is not installed: {failed.why}"
            yield finding("ADDON003", chart.ref, said, severity=severity, since=failed.since, remedy=_DESCRIBE)
        elif job and not chart.deleting and (why := _unfinished(snapshot, job)):
            bad[chart.namespace, chart.name] = chart, job, why
    for (namespace, name), (chart, job, why) in bad.items():
        # What needs the definitions of another chart fails with it.
        if (namespace, f"{name}-crd") in bad:
            continue
        yield finding(
            "ADDON003",
            chart.ref,
            f"is not installed: {why}",
            severity=CRITICAL if namespace == SYSTEM else WARNING,
            since=job.started or job.created,
            evidence={"job": job.name},
        )


def check_manifests(snapshot: Snapshot) -> Iterator[Finding]:
    """Every manifest in K3s' own folder is applied, those that somebody put there too.

    K3s tries every 15 seconds and warns of each failure, of many only every five minutes; one or two are no fault, as
    what a manifest needs may come with another.
    """
    limits = snapshot.thresholds
    for each in snapshot.things("addons"):
        for event in snapshot.events_about.get(each.uid, ()):
            late = event.last is None or snapshot.now - event.last > limits.addon
            if event.reason not in _UNAPPLIED or late or event.count < limits.event_times:
                continue
            source = text(each.at("spec", "source")) or "its manifest"
            evidence: Evidence = {"source": source, "times": event.count}
            yield finding("ADDON004", each.ref, f"is not applied: {event.message or event.reason}", evidence=evidence)
            break


def manifest(workload: str) -> str:
    """The name of K3s' Addon that brings a Deployment, "" where none does."""
    return next((addon for _, addon, name in _ADDONS if name == workload), "")


def _unfinished(snapshot: Snapshot, job: Job) -> str:
    """What keeps a chart's Job from having succeeded, "" when it has or may still."""
    failed = job.conditions.get("Failed")
    if failed and failed.status == "True":
        return f"Job {job.name} failed: {failed.why}"
    complete = job.conditions.get("Complete")
    if (complete and complete.status == "True") or job.succeeded or job.suspended or job.deleting:
        return ""
    began = job.started or job.created
    if began is None or snapshot.now - began <= snapshot.thresholds.addon:
        return ""
    return f"Job {job.name} does not come to an end"
