"""`homelab health` and what reaches beyond one namespace: admission, volumes, default classes, drains, deletions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client

from tests.cluster.conftest import until
from tests.cluster.test_health import DEADLINE, create, fresh, health, pod, roots, shown, workload
from tests.sandbox.lab import Lab

__all__ = ["fresh"]

NAME = "homelab-fault"
Root = tuple[str, str, str]


def found(report: dict[str, Any]) -> set[Root]:
    return {(each["code"], each["object"]["kind"], each["object"]["name"]) for each in roots(report)}


def until_roots(wanted: set[Root], lab: Lab, home) -> int:
    """Look until just these roots are told of, and give the exit code then."""
    last: list[Any] = []

    def told() -> bool:
        last[:] = health(lab, home)
        return found(last[1]) == wanted

    until(f"health tells of {sorted(wanted) or 'nothing'}", told, DEADLINE, lambda: shown(last[1]))
    code: int = last[0]
    return code


def volume(space: str, claim: str, **spec: Any) -> dict[str, Any]:
    """One that is bound to a claim before anybody asks."""
    return {
        "metadata": {"name": f"{NAME}-{claim}"},
        "spec": {
            "capacity": {"storage": "1Mi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/nonexistent"},
            "claimRef": {"namespace": space, "name": claim},
            "persistentVolumeReclaimPolicy": "Retain",
            **spec,
        },
    }


def claim(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    return {"metadata": {"name": name}, "spec": spec | {"storageClassName": "", "volumeName": f"{NAME}-{name}"}}


def on(node: str) -> dict[str, Any]:
    """That a volume lies on a node."""
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    return {"required": {"nodeSelectorTerms": [term]}}


def webhook(space: str) -> dict[str, Any]:
    """It is asked about this one namespace only, and by nobody."""
    return {
        "metadata": {"name": NAME},
        "webhooks": [
            {
                "name": "nobody.homelab.example",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "clientConfig": {"service": {"namespace": space, "name": "nobody"}},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space}},
                "rules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["DELETE"]}
                ],
            }
        ],
    }


@pytest.fixture
def space(api: client.ApiClient, lab: Lab, home, fresh) -> Iterator[str]:
    """A namespace on a cluster with nothing to tell; afterwards it is gone, and there is nothing to tell again."""
    core = client.CoreV1Api(api)
    until_roots(set(), lab, home)
    made = core.create_namespace({"metadata": {"generateName": "fault-wide-"}}).metadata.name
    yield made
    core.delete_namespace(made)

    def gone() -> bool:
        return made not in {each.metadata.name for each in core.list_namespace().items}

    until("the namespace is gone", gone, DEADLINE)
    assert until_roots(set(), lab, home) == 0


def test_what_reaches_beyond_a_namespace_is_a_root_each(space: str, api: client.ApiClient, lab: Lab, home) -> None:
    core, classes = client.CoreV1Api(api), client.StorageV1Api(api)
    admission, budgets = client.AdmissionregistrationV1Api(api), client.PolicyV1Api(api)
    core.create_persistent_volume(volume(space, "lost"))
    core.create_persistent_volume(volume(space, "far", nodeAffinity=on("nobodys-node")))
    for name in ("lost", "far"):
        core.create_namespaced_persistent_volume_claim(space, claim(name))
    create(api, space, workload("Deployment", pod()))
    budget = {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "broken"}}}
    budgets.create_namespaced_pod_disruption_budget(space, {"metadata": {"name": "none-may-go"}, "spec": budget})
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    try:
        classes.create_storage_class(
            {"metadata": {"name": NAME, "annotations": default}, "provisioner": "homelab.example/nobody"}
        )
        admission.create_validating_webhook_configuration(webhook(space))

        def phases() -> list[str]:
            return [core.read_namespaced_persistent_volume_claim(name, space).status.phase for name in ("lost", "far")]

        until("the claims are bound", lambda: phases() == ["Bound", "Bound"], DEADLINE)
        core.patch_persistent_volume(f"{NAME}-lost", {"metadata": {"finalizers": None}})
        core.delete_persistent_volume(f"{NAME}-lost")
        until("one has lost its volume", lambda: phases() == ["Lost", "Bound"], DEADLINE)
        wanted = {
            ("STOR003", "PersistentVolumeClaim", "lost"),
            ("STOR006", "PersistentVolumeClaim", "far"),
            ("STOR004", "StorageClass", NAME),
            ("CTRL011", "ValidatingWebhookConfiguration", NAME),
            ("WORK009", "PodDisruptionBudget", "none-may-go"),
        }
        assert until_roots(wanted, lab, home) == 2
    finally:
        core.delete_persistent_volume(f"{NAME}-far")
        admission.delete_validating_webhook_configuration(NAME)
        classes.delete_storage_class(NAME)


@pytest.mark.long
def test_a_pod_that_a_finalizer_holds_is_told_of(space: str, api: client.ApiClient, lab: Lab, home) -> None:
    core = client.CoreV1Api(api)
    held = {"metadata": {"name": "held", "finalizers": ["homelab.example/nobody"]}, "spec": pod()}
    core.create_namespaced_pod(space, held)
    try:
        core.delete_namespaced_pod("held", space)
        assert until_roots({("POD010", "Pod", "held")}, lab, home) == 1
    finally:
        core.patch_namespaced_pod("held", space, {"metadata": {"finalizers": None}})
