"""`homelab health` on a real cluster: nothing on a fresh one, and one root finding for each thing that is broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from tests.cluster.conftest import health_of, until
from tests.cluster.test_pods import IMAGE
from tests.sandbox.lab import Lab

# A health's threshold for what starts slowly is five minutes, and a busy host adds its own.
DEADLINE = 900
ABSENT = "registry.invalid/nobody/nothing:1"


@dataclass(frozen=True)
class Fault:
    """Objects by their kind, and the one finding they must lead to: its code, its object's kind and name or prefix."""

    objects: tuple[dict[str, Any], ...]
    code: str
    kind: str
    name: str


def pod(*, image: str = IMAGE, command: str = "sleep 100000", **more: Any) -> dict[str, Any]:
    container = {"name": "main", "image": image, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", command]}
    for key in ("resources", "readinessProbe", "livenessProbe", "ports", "env", "envFrom", "volumeMounts"):
        if key in more:
            container[key] = more.pop(key)
    return {"terminationGracePeriodSeconds": 1, "containers": [container], **more}


def workload(kind: str, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "broken"}}, "spec": spec}
    body = {"selector": {"matchLabels": {"app": "broken"}}, "template": template, **more}
    if kind == "StatefulSet":
        body["serviceName"] = "broken"
    return {"kind": kind, "metadata": {"name": "broken"}, "spec": body}


def job(spec: dict[str, Any], name: str = "broken") -> dict[str, Any]:
    template = {"spec": {**spec, "restartPolicy": "Never"}}
    return {"kind": "Job", "metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": template}}


def claim(**spec: Any) -> dict[str, Any]:
    body = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}, **spec}
    return {"kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": body}


def service(name: str = "broken", port: int | str = 8080, **spec: Any) -> dict[str, Any]:
    body = {"selector": {"app": "broken"}, "ports": [{"port": 8080, "targetPort": port}], **spec}
    return {"kind": "Service", "metadata": {"name": name}, "spec": body}


def ingress(**spec: Any) -> dict[str, Any]:
    leads = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "broken", "port": {"number": 8080}}}}
    return {
        "kind": "Ingress",
        "metadata": {"name": "broken"},
        "spec": {"rules": [{"host": "broken.example", "http": {"paths": [leads]}}], **spec},
    }


_SECRET = {"secretKeyRef": {"name": "missing", "key": "password"}}
_PORTS = [{"name": "web", "containerPort": 8080}]
_ON_CLAIM: dict[str, Any] = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}
_QUOTA = {"kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
_ONE = {"kind": "ResourceQuota", "metadata": {"name": "one"}, "spec": {"hard": {"pods": "1"}}}
_PROBE = {"exec": {"command": ["false"]}, "periodSeconds": 2}
_MEMORY = {"limits": {"memory": "12Mi"}, "requests": {"memory": "1Mi"}}

FAULTS = {
    "image": Fault((workload("Deployment", pod(image=ABSENT)),), "POD002", "Pod", "broken-"),
    "image-name": Fault((workload("Deployment", pod(image="Not A Name")),), "POD002", "Pod", "broken-"),
    "crash": Fault((workload("Deployment", pod(command="echo no luck; exit 3")),), "POD001", "Pod", "broken-"),
    "crash-daemonset": Fault((workload("DaemonSet", pod(command="exit 4")),), "POD001", "Pod", "broken-"),
    "crash-init": Fault(
        (
            workload(
                "Deployment",
                pod() | {"initContainers": [pod(command="exit 5")["containers"][0] | {"name": "first"}]},
            ),
        ),
        "POD001",
        "Pod",
        "broken-",
    ),
    "statefulset": Fault((workload("StatefulSet", pod(image=ABSENT)),), "POD002", "Pod", "broken-0"),
    "configmap": Fault(
        (workload("Deployment", pod(envFrom=[{"configMapRef": {"name": "missing"}}])),), "POD003", "Pod", "broken-"
    ),
    "secret-volume": Fault(
        (
            workload(
                "Deployment",
                pod(
                    volumes=[{"name": "x", "secret": {"secretName": "missing"}}],
                    volumeMounts=[{"name": "x", "mountPath": "/x"}],
                ),
            ),
        ),
        "POD005",
        "Pod",
        "broken-",
    ),
    "unschedulable": Fault(
        (workload("Deployment", pod(nodeSelector={"nobody": "has-this"})),), "POD004", "Pod", "broken-"
    ),
    "too-large": Fault(
        (workload("Deployment", pod(resources={"requests": {"memory": "900Gi"}})),), "POD004", "Pod", "broken-"
    ),
    "not-ready": Fault((workload("Deployment", pod(readinessProbe=_PROBE)),), "POD006", "Pod", "broken-"),
    "storage-class": Fault(
        (claim(storageClassName="nobody-made-it"), workload("Deployment", pod(**_ON_CLAIM))),
        "STOR001",
        "PersistentVolumeClaim",
        "data",
    ),
    "quota": Fault((_QUOTA, workload("Deployment", pod())), "WORK006", "ReplicaSet", "broken-"),
    "quota-used-up": Fault((_ONE, workload("Deployment", pod())), "WORK012", "ResourceQuota", "one"),
    "job": Fault((job(pod(command="echo no luck; exit 1")),), "WORK007", "Job", "broken"),
    "command": Fault(
        (workload("Deployment", {"containers": [{"name": "main", "image": IMAGE, "command": ["/nowhere"]}]}),),
        "POD001",
        "Pod",
        "broken-",
    ),
    "secret-env": Fault(
        (workload("Deployment", pod(env=[{"name": "PASSWORD", "valueFrom": _SECRET}])),), "POD003", "Pod", "broken-"
    ),
    "liveness": Fault((workload("Deployment", pod(livenessProbe=_PROBE)),), "POD001", "Pod", "broken-"),
    "failed-pod": Fault(
        ({"kind": "Pod", "metadata": {"name": "broken"}, "spec": pod(command="exit 6", restartPolicy="Never")},),
        "POD007",
        "Pod",
        "broken",
    ),
    "claim-of-a-statefulset": Fault(
        (workload("StatefulSet", pod(), volumeClaimTemplates=[claim(storageClassName="nobody-made-it")]),),
        "STOR001",
        "PersistentVolumeClaim",
        "data-broken-0",
    ),
    "port": Fault((workload("Deployment", pod(ports=_PORTS)), service(port="wbe")), "NET003", "Service", "broken"),
    "ingress-class": Fault(
        (workload("Deployment", pod(ports=_PORTS)), service(), ingress(ingressClassName="nobody-made-it")),
        "NET004",
        "Ingress",
        "broken",
    ),
    "balancer": Fault(
        (
            workload("Deployment", pod(ports=_PORTS)),
            service("first", type="LoadBalancer"),
            service("second", type="LoadBalancer"),
        ),
        "NET001",
        "Service",
        "second",
    ),
    "endpoints": Fault(
        (workload("Deployment", pod(ports=_PORTS)), service(selector={"app": "broke"})), "NET002", "Service", "broken"
    ),
    "memory": Fault(
        (workload("Deployment", pod(command="tail /dev/zero", resources=_MEMORY)),), "POD001", "Pod", "broken-"
    ),
}

# What others take for broken, and is not.
QUIET: tuple[dict[str, Any], ...] = (
    job(pod(command="true"), "finished"),
    {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "waits-for-a-pod"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    },
    workload("Deployment", pod(), replicas=0),
)

CREATE = {
    "Deployment": ("AppsV1Api", "create_namespaced_deployment"),
    "DaemonSet": ("AppsV1Api", "create_namespaced_daemon_set"),
    "StatefulSet": ("AppsV1Api", "create_namespaced_stateful_set"),
    "Ingress": ("NetworkingV1Api", "create_namespaced_ingress"),
    "Job": ("BatchV1Api", "create_namespaced_job"),
    "Pod": ("CoreV1Api", "create_namespaced_pod"),
    "Service": ("CoreV1Api", "create_namespaced_service"),
    "PersistentVolumeClaim": ("CoreV1Api", "create_namespaced_persistent_volume_claim"),
    "ResourceQuota": ("CoreV1Api", "create_namespaced_resource_quota"),
}


def health(lab: Lab, home, *arguments: str) -> tuple[int, dict[str, Any]]:
    """The command as a person runs it, with its exit code and its report as data."""
    done = health_of(lab, home.cluster.kubeconfig, "--format", "json", *arguments)
    assert done.stdout, f"exit {done.returncode}: {done.stderr}"
    return done.returncode, json.loads(done.stdout)


def shown(report: dict[str, Any]) -> str:
    """What was found and what could not be looked at, a line each."""
    found = [f"{each['severity']} {each['code']} {each['object']}: {each['summary']}" for each in report["findings"]]
    return "\n".join([*found, *(f"{each}" for each in report["checks"] if each["status"] in ("skipped", "failed"))])


def roots(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in report["findings"] if each["caused_by"] is None]


def create(api: client.ApiClient, namespace: str, made: dict[str, Any]) -> None:
    group, verb = CREATE[made["kind"]]
    getattr(getattr(client, group)(api), verb)(namespace, made)


@pytest.fixture(scope="module")
def fresh(api: client.ApiClient, lab: Lab, home) -> dict[str, Any]:
    """The report on a fresh cluster; skips where the add-ons' images cannot be had, as it is not healthy then."""
    core = client.CoreV1Api(api)

    def missing() -> set[str]:
        pods = core.list_namespaced_pod("kube-system").items
        each = [status for pod in pods for status in pod.status.container_statuses or ()]
        pulling = ("ErrImagePull", "ImagePullBackOff")
        return {one.image for one in each if one.state.waiting and one.state.waiting.reason in pulling}

    answer: list[Any] = []

    def settled() -> bool:
        answer[:] = health(lab, home)
        return answer[0] == 0 or bool(missing())

    until("a fresh cluster is healthy", settled, DEADLINE, lambda: shown(answer[1]))
    if answer[0] != 0:
        pytest.skip(f"images of K3s's add-ons cannot be had here: {', '.join(sorted(missing()))}")
    report: dict[str, Any] = answer[1]
    return report


def has_every_node(core: client.CoreV1Api, namespace: str, name: str) -> None:
    """Wait until a Service has the ports of all nodes: of two that want them at once each may get some."""
    nodes = len(core.list_node().items)

    def everywhere() -> bool:
        status = core.read_namespaced_service(name, namespace).status
        return len(status.load_balancer.ingress or ()) == nodes

    until(f"Service {name} has the port of each node", everywhere, DEADLINE)


@pytest.fixture(scope="module")
def broken(api: client.ApiClient, lab: Lab, home, fresh) -> Iterator[dict[str, str]]:
    """Each fault in a namespace of its own, all at once, after the cluster was found healthy; all gone in the end."""
    core = client.CoreV1Api(api)
    made = {}
    for name in ("quiet", *FAULTS):
        made[name] = core.create_namespace({"metadata": {"generateName": f"fault-{name}-"}}).metadata.name
    for each in QUIET:
        create(api, made["quiet"], each)
    for name, fault in FAULTS.items():
        for each in fault.objects:
            create(api, made[name], each)
            if each["kind"] == "Service" and each["spec"].get("type") == "LoadBalancer" and each != fault.objects[-1]:
                has_every_node(core, made[name], each["metadata"]["name"])
    yield made
    for namespace in made.values():
        core.delete_namespace(namespace)

    def gone() -> bool:
        return not {each.metadata.name for each in core.list_namespace().items} & set(made.values())

    until("the broken things are gone", gone, DEADLINE)
    last: list[Any] = []

    def well() -> bool:
        last[:] = health(lab, home)
        return last[0] == 0

    until("after repair there is nothing to tell", well, DEADLINE, lambda: shown(last[1]))


def test_a_fresh_cluster_has_nothing_to_tell(fresh: dict[str, Any]) -> None:
    assert fresh["findings"] == []
    assert not [each for each in fresh["checks"] if each["status"] == "failed"]


# What only counts after five minutes.
SLOW = ("secret-volume", "not-ready", "endpoints")


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=pytest.mark.long if each in SLOW else ()) for each in FAULTS]
)
def test_a_fault_is_one_root_finding_that_names_it(name: str, broken: dict[str, str], lab: Lab, home) -> None:
    fault, namespace = FAULTS[name], broken[name]
    seen: list[Any] = []

    def here(report: dict[str, Any]) -> list[dict[str, Any]]:
        # A slow host may have trouble of its own, which belongs to the cluster and to no namespace.
        return [each for each in roots(report) if each["object"]["namespace"] == namespace]

    def told() -> bool:
        seen[:] = health(lab, home, "-n", namespace)
        return bool(here(seen[1]))

    until(f"{name} is told of", told, DEADLINE, lambda: shown(seen[1]))
    code, report = seen
    (root,) = here(report)
    assert (root["code"], root["object"]["kind"]) == (fault.code, fault.kind), root["summary"]
    assert root["object"]["name"].startswith(fault.name)
    assert root["remedy"]
    worst = {each["severity"] for each in roots(report)}
    assert code == (2 if "critical" in worst else 1)


def test_what_only_looks_broken_is_not_told_of(broken: dict[str, str], lab: Lab, home, api: client.ApiClient) -> None:
    jobs = client.BatchV1Api(api)
    namespace = broken["quiet"]
    until("the job is done", lambda: jobs.read_namespaced_job("finished", namespace).status.succeeded, DEADLINE)
    findings = health(lab, home, "-n", namespace)[1]["findings"]
    assert [each for each in findings if each["object"]["namespace"] == namespace] == []


def test_a_dead_kubeconfig_is_one_line_and_3(lab: Lab, home, tmp_path: Path) -> None:
    text = Path(home.cluster.kubeconfig).read_text(encoding="utf-8")
    other = tmp_path / "config"
    other.write_text(text.replace(":6443", ":6444"), encoding="utf-8")
    done = health_of(lab, other)
    assert done.returncode == 3
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
