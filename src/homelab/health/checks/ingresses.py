"""Ingresses and Traefik's IngressRoutes: somebody serves them, and they lead to Services and ports that are there."""

from __future__ import annotations

from collections.abc import Iterator

from homelab.health.checks.services import unserved
from homelab.health.codes import CRITICAL, INFO, WARNING, finding
from homelab.health.objects import Backend, Ingress, Service
from homelab.health.report import Finding
from homelab.health.snapshot import Snapshot

_DEFAULT = "ingressclass.kubernetes.io/is-default-class"
_TRAEFIK = "traefik"


def check_class(snapshot: Snapshot) -> Iterator[Finding]:
    """Every Ingress is of a class that exists.

    One that names none is served all the same by K3s' Traefik, and by whoever wrote an address into it; so is one of
    old that names its controller by an annotation.
    """
    classes = {each.name: each.annotations.get(_DEFAULT) == "true" for each in snapshot.things("ingressclasses")}
    traefik = any(each.name == _TRAEFIK for each in (*snapshot.deployments, *snapshot.daemonsets))
    for each in snapshot.ingresses:
        if each.kind != "Ingress" or each.deleting or snapshot.fresh(each):
            continue
        if each.class_name:
            if each.class_name not in classes:
                there = ", ".join(sorted(classes)) or "there is none at all"
                said = f"is of class {each.class_name}, which does not exist ({there})"
                yield finding("NET004", each.ref, said, severity=CRITICAL)
        elif each.addresses or (traefik and each.annotated in ("", _TRAEFIK)):
            continue
        elif each.annotated:
            if each.annotated not in classes:
                said = f"is for {each.annotated} by its annotation, and nobody has taken it"
                yield finding("NET004", each.ref, said, severity=WARNING)
        elif not any(classes.values()):
            yield finding("NET004", each.ref, "is of no class, no class is the default, and nobody has taken it")


def check_backends(snapshot: Snapshot) -> Iterator[Finding]:
    """Every Service that an Ingress or IngressRoute names exists, has the port, and a pod behind it."""
    for each in snapshot.ingresses:
        if each.deleting or snapshot.fresh(each):
            continue
        troubles = [
            trouble
            for backend in each.backends
            if not snapshot.namespace or backend.namespace == snapshot.namespace
            if (trouble := _trouble(snapshot, each, backend))
        ]
        if not troubles:
            continue
        # What is written wrong comes before what is down.
        worst = min(rank for rank, _ in troubles)
        said = "; ".join(dict.fromkeys(clause for rank, clause in troubles if rank == worst))
        yield finding("NET005", each.ref, said, evidence={"resource": each.kind.lower()})


def _trouble(snapshot: Snapshot, ingress: Ingress, backend: Backend) -> tuple[int, str] | None:
    service = snapshot.service_named.get((backend.namespace, backend.service))
    leads = f"leads {backend.path} to"
    if service is None:
        return 0, f"{leads} Service {backend.service}, which does not exist"
    if service.type == "ExternalName":
        return None
    if backend.port and not _has(service, backend.port, lax=ingress.kind != "Ingress"):
        there = ", ".join(f"{port} ({name})" if name else str(port) for name, port, _, _ in service.ports)
        return 0, f"{leads} port {backend.port} of Service {backend.service}, which has {there or 'none'}"
    if not snapshot.was_read("endpointslices") or not snapshot.was_read("pods"):
        return None
    if unserved(snapshot, service, referred=True) in (None, INFO):
        return None
    return 1, f"{leads} Service {backend.service}, which has no ready endpoint"


def _has(service: Service, wanted: str, *, lax: bool) -> bool:
    """Whether a Service has a port: a number is a port's number and a name its name, never one for the other."""
    if lax:
        return any(wanted in (name, str(port)) for name, port, _, _ in service.ports)
    return any(wanted == (str(port) if wanted.isdecimal() else name) for name, port, _, _ in service.ports)
