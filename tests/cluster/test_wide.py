"""`homelab health` and what reaches beyond one namespace: admission, volumes, default classes, drains, deletions,
disks, the NAS; and a CronJob that takes its time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
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


def until_roots(wanted: set[Root], lab: Lab, home, *arguments: str) -> int:
    """Look until just these roots are told of, and give the exit code then."""
    last: list[Any] = []

    def told() -> bool:
        last[:] = health(lab, home, *arguments)
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
        # In this order: to a volume that is not on its way out its protection is given back.
        core.delete_persistent_volume(f"{NAME}-lost")
        core.patch_persistent_volume(f"{NAME}-lost", {"metadata": {"finalizers": None}})
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


def thresholds(folder: Path, **limits: str | int) -> tuple[str, str]:
    """The flag for a settings file with these thresholds."""
    path = folder / "health.toml"
    lines = [f"{name} = {value!r}" for name, value in limits.items()]
    path.write_text("\n".join(["[thresholds]", *lines, ""]), encoding="utf-8")
    return "--settings", str(path)


def test_each_kubelet_tells_how_full_its_disk_is(
    api: client.ApiClient, lab: Lab, home, fresh: dict[str, Any], tmp_path: Path
) -> None:
    """No disk is empty, so that a limit of next to nothing is passed on each node."""
    nodes = {each.metadata.name for each in client.CoreV1Api(api).list_node().items}
    code, report = health(lab, home, "--only", "NODE016,STOR008", *thresholds(tmp_path, node_disk=1))
    assert {each["code"]: each["status"] for each in report["checks"]} == {"NODE016": "findings", "STOR008": "ok"}
    assert (code, found(report)) == (1, {("NODE016", "Node", name) for name in nodes})
    assert all(1 < each["evidence"]["percent"] <= 100 for each in roots(report))


def test_a_cronjob_that_is_not_started_is_told_of(
    space: str, api: client.ApiClient, lab: Lab, home, tmp_path: Path
) -> None:
    """Its namespace may have no Jobs: each minute its controller tries, and says so."""
    core, batch = client.CoreV1Api(api), client.BatchV1Api(api)
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
    core.create_namespaced_resource_quota(space, quota)
    template = {"spec": {"template": {"spec": pod(command="true", restartPolicy="Never")}}}
    each_minute = {"schedule": "* * * * *", "jobTemplate": template}
    batch.create_namespaced_cron_job(space, {"metadata": {"name": "minutely"}, "spec": each_minute})
    limits = thresholds(tmp_path, cron_late="1m", event_times=1)
    assert until_roots({("WORK013", "CronJob", "minutely")}, lab, home, *limits) == 1
    report = health(lab, home, "-n", space, *limits)[1]
    (late,) = roots(report)
    assert "exceeded quota: none" in late["summary"]
    warned = {each["object"]["name"] for each in report["information"] if each["code"] == "CTRL012"}
    assert "minutely" in warned


def certificates() -> dict[str, Any]:
    """What cert-manager adds to the API, as far as health reads it."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    names = {"kind": "Certificate", "plural": "certificates", "singular": "certificate"}
    spec = {"group": "cert-manager.io", "scope": "Namespaced", "names": names, "versions": [version]}
    return {"metadata": {"name": "certificates.cert-manager.io"}, "spec": spec}


def test_a_certificate_that_nobody_renewed_is_told_of(space: str, api: client.ApiClient, lab: Lab, home) -> None:
    """There is no cert-manager: what it would have written is written here."""
    kinds, objects = client.ApiextensionsV1Api(api), client.CustomObjectsApi(api)
    there = {each.metadata.name for each in kinds.list_custom_resource_definition().items}
    if "certificates.cert-manager.io" in there:
        pytest.skip("cert-manager is installed here")
    kinds.create_custom_resource_definition(certificates())
    try:
        ready = {"type": "Ready", "status": "False", "reason": "Expired", "message": "it has expired"}
        status = {"conditions": [ready], "notAfter": "2021-01-01T00:00:00Z", "renewalTime": "2020-12-01T00:00:00Z"}
        made = {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "over"}}

        def written() -> bool:
            try:
                objects.create_namespaced_custom_object(
                    "cert-manager.io", "v1", space, "certificates", {**made, "spec": {}, "status": status}
                )
            except client.ApiException as error:
                assert error.status == 404, error
                return False
            return True

        until("the kind is served", written)
        assert until_roots({("CERT004", "Certificate", "over")}, lab, home) == 2
    finally:
        kinds.delete_custom_resource_definition("certificates.cert-manager.io")


def mount_nfs(lab: Lab, home, server: str) -> str:
    """What mount.nfs says on a node of a server that has none; "" where it is not there, or may not try."""
    said = lab.ssh(
        home.servers[0].name, f"timeout 100 mount -t nfs -o retry=0 {server}:/nothing /mnt 2>&1", check=False
    )
    return next((word for word in ("refused", "timed out", "No route") if "mount.nfs" in said and word in said), "")


@pytest.mark.long
def test_pods_that_wait_for_one_nfs_server_are_one_fault(
    space: str, api: client.ApiClient, lab: Lab, home, tmp_path: Path
) -> None:
    """A node of the cluster is no NFS server. Two workloads wait for it, by a volume of their own and by a claim."""
    core = client.CoreV1Api(api)
    server = next(each.address for each in core.list_node().items[0].status.addresses if each.type == "InternalIP")
    if not mount_nfs(lab, home, server):
        pytest.skip("the nodes cannot mount NFS: no mount.nfs, or a system container that may not")
    nfs = {"server": server, "path": "/nothing"}
    mounted: dict[str, Any] = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    core.create_persistent_volume({"metadata": {"name": f"{NAME}-nas"}, "spec": nas(space, nfs)})
    try:
        core.create_namespaced_persistent_volume_claim(space, claim("nas"))
        create(api, space, workload("Deployment", pod(volumes=[{"name": "data", "nfs": nfs}], **mounted)))
        claimed = {"name": "data", "persistentVolumeClaim": {"claimName": "nas"}}
        create(api, space, workload("StatefulSet", pod(volumes=[claimed], **mounted)))
        limits = thresholds(tmp_path, pod_start="30s", unavailable="30s")
        assert until_roots({("STOR007", "NFSServer", server)}, lab, home, *limits) == 2
    finally:
        core.delete_persistent_volume(f"{NAME}-nas")


def nas(space: str, nfs: dict[str, str]) -> dict[str, Any]:
    """The spec of a volume on it."""
    spec: dict[str, Any] = volume(space, "nas")["spec"]
    del spec["hostPath"]
    return spec | {"nfs": nfs}


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
