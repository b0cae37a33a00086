"""What a health check may do at least: the read-only role that Kubernetes is told, derived from what is read.

Source: Kubernetes, "Using RBAC Authorization". Lists are all that is read, so neither `get` nor `watch` is in it, and
nothing of Secrets and ConfigMaps. What `--deep` writes is in a role of its own, for those who want it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from homelab.health import metrics
from homelab.health.codes import CODES
from homelab.health.kinds import BY_NAME, Kind
from homelab.health.manifests import RIGHTS
from homelab.health.selection import kinds_of
from homelab.health.snapshot import APIS, READYZ, VERSION

NAME = "homelab-health"
DEEP = f"{NAME}-deep"
# Everybody who is logged in may usually read these; a hardened cluster may have taken that away.
_PATHS = (APIS, READYZ, VERSION)


def rules(codes: Iterable[str] = tuple(CODES)) -> list[dict[str, list[str]]]:
    """The rules of the role for these codes' checks, by API group: what may be listed, and which paths may be read."""
    groups: dict[str, set[str]] = {}
    # Namespaces: a namespace that somebody names has to exist.
    for name in {*kinds_of(codes), "namespaces"}:
        for group, resource in _listed(BY_NAME[name]):
            groups.setdefault(group, set()).add(resource)
    lists = [
        {"apiGroups": [group], "resources": sorted(resources), "verbs": ["list"]}
        for group, resources in sorted(groups.items())
    ]
    return [*lists, {"nonResourceURLs": list(_PATHS), "verbs": ["get"]}]


def _listed(kind: Kind) -> Iterable[tuple[str, str]]:
    """API group and resource of each place where a kind may be listed; the core group is ""."""
    for each in kind.served:
        if each == "v1" or each.startswith("v1/"):
            yield "", each.partition("/")[2] or kind.name
        else:
            yield each.partition("/")[0], kind.name.partition(".")[0]


def deep_rules() -> list[dict[str, list[str]]]:
    """The rules of the role for `--deep`, by resource: what is made, and that a namespace is removed again; and the API
    server's own figures.

    They hold in all namespaces, since that of a run has a new name each time, and roles know names only whole.
    """
    verbs: dict[str, list[str]] = {}
    for verb, resource in RIGHTS:
        verbs.setdefault(resource, []).append(verb)
    made = [{"apiGroups": [""], "resources": [each], "verbs": sorted(verbs[each])} for each in sorted(verbs)]
    return [*made, {"nonResourceURLs": [metrics.PATH], "verbs": ["get"]}]


def objects(namespace: str, *, deep: bool = False) -> list[Mapping[str, Any]]:
    """The objects to apply: a service account in a namespace, the role, and that the account has it; with `deep` also
    the role for that."""
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": namespace}},
        *_role(NAME, rules(), account),
        *(_role(DEEP, deep_rules(), account) if deep else ()),
    ]


def _role(name: str, rules: list[dict[str, list[str]]], account: Mapping[str, str]) -> list[Mapping[str, Any]]:
    rbac = "rbac.authorization.k8s.io/v1"
    return [
        {"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules},
        {
            "apiVersion": rbac,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [dict(account)],
        },
    ]


def wrong_namespace(name: str) -> str:
    """Why this can be no namespace's name, and what to write; "" when it can. Source: RFC 1123's labels."""
    if re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name):
        return ""
    return "no name of a namespace; write up to 63 of a-z, 0-9 and -, as kube-system"


def as_manifest(namespace: str, *, deep: bool = False) -> str:
    """The objects as YAML documents for `kubectl apply -f -`."""
    return yaml.safe_dump_all(objects(namespace, deep=deep), sort_keys=False, explicit_start=True).rstrip("\n")
