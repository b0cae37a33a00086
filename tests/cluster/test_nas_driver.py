"""Volumes of nas-storage as its driver makes them, and `homelab health --deep` over what several nodes share.

For SANDBOX=nfs, whose agents both mount NFS; the server has no kernel of its own and takes no pods meanwhile. Chart and
images of the driver cannot be had everywhere: they are those of the artifact cache, under `charts/`, where the images
are one archive beside the chart's.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from homelab.model import Home, chart_folder
from homelab.settings import Settings
from tests.charts_engine import CHARTS
from tests.cluster.conftest import until
from tests.cluster.nas_share import CLASS, PATH, shared
from tests.cluster.test_deep import deep, nothing_left, told
from tests.cluster.test_health import roots
from tests.cluster.test_pods import IMAGE
from tests.sandbox.lab import ROOT, SANDBOX, Deployed, Lab

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.environ.get("SANDBOX") != "nfs", reason="takes two agents that mount NFS: SANDBOX=nfs"),
]

WRITER, READER = "a2", "a3"
# As the chart's own is, but for what becomes of a volume's folder: --deep leaves alone what keeps it.
DELETING = "nas-deleting"
CONTROLLER, DEFAULT = "csi-nfs-controller", "--default-ondelete-policy="
_TAINT = "homelab-sandbox=no-nfs:NoSchedule"


@pytest.fixture(scope="module")
def images() -> Path:
    """The archive of the driver's images."""
    chart = chart_folder.read(CHARTS / "nas-storage").dependency
    assert chart is not None
    folder = Settings.read().artifacts / "charts"
    archive, packed = (folder / f"{chart.name}-{chart.version}{end}" for end in ("-images.tar", ".tgz"))
    if missing := [path.name for path in (archive, packed) if not path.is_file()]:
        pytest.skip(f"not in the artifact cache, under charts/: {', '.join(missing)}")
    return archive


def imported(lab: Lab, host: str, images: Path) -> None:
    """The images, in a node's containerd."""
    ssh = ["ssh", "-F", str(SANDBOX / "ssh_config"), "-o", "BatchMode=yes", host]
    with images.open("rb") as file:
        subprocess.run([*ssh, "sudo k3s ctr -n k8s.io images import -"], cwd=ROOT, stdin=file, check=True, timeout=1800)


@pytest.fixture(scope="module")
def folder(home: Home, lab: Lab, images: Path) -> Iterator[str]:
    """The inventory with the class, on a NAS with its share and nodes with the driver's images."""
    nodes = [each.name for each in home.servers + home.agents]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda host: imported(lab, host, images), nodes))
    server = home.servers[0].name
    with shared(home, lab, "nas-driver") as listed:
        lab.ssh(server, f"k3s kubectl taint node {server} --overwrite {_TAINT}")
        yield listed
        lab.ssh(server, f"k3s kubectl taint node {server} {_TAINT}-")


@pytest.fixture(scope="module")
def deployed(folder: str, lab: Lab) -> Iterator[Deployed]:
    """The charts deploy of the class; both releases are uninstalled afterwards."""
    yield lab.deploy("charts", inventory=folder)
    with (Path(folder) / "group_data" / "sandbox.py").open("a", encoding="utf-8") as file:
        file.write("charts = []\n")
    done = lab.deploy("charts", inventory=folder)
    assert done.code == 0, done.said


@pytest.fixture(scope="module")
def core(api: client.ApiClient, deployed: Deployed) -> client.CoreV1Api:
    assert deployed.code == 0, deployed.said
    return client.CoreV1Api(api)


def test_driver_and_class_are_deployed_once(deployed: Deployed, folder: str, lab: Lab) -> None:
    assert deployed.code == 0, deployed.said
    again = lab.deploy("charts", inventory=folder)
    assert (again.code, again.changes) == (0, {}), again.said


@contextmanager
def running(core: client.CoreV1Api, namespace: str, name: str, node: str, script: str) -> Iterator[None]:
    """A pod with the claim, from when its script says that it is done."""
    container: dict[str, Any] = {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-ec", f"{script}; touch /tmp/done; sleep 3600"],
        "readinessProbe": {"exec": {"command": ["test", "-e", "/tmp/done"]}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    spec = {
        "nodeName": node,
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    }
    core.create_namespaced_pod(namespace, {"metadata": {"name": name}, "spec": spec})

    def ready() -> bool:
        status = core.read_namespaced_pod(name, namespace).status
        return any(each.ready for each in status.container_statuses or ())

    def events() -> str:
        return "\n".join(
            f"{each.reason}: {each.message}"
            for each in core.list_namespaced_event(namespace).items
            if each.type != "Normal"
        )

    until(f"{name} is done", ready, 600, events)
    yield
    core.delete_namespaced_pod(name, namespace)


def test_a_claim_is_a_folder_that_both_nodes_share_and_that_outlives_it(
    core: client.CoreV1Api, namespace: str, home: Home, lab: Lab
) -> None:
    body = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": CLASS,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    core.create_namespaced_persistent_volume_claim(namespace, body)
    on_nas = f"{PATH}/{namespace}_data"
    with running(core, namespace, "writer", WRITER, "echo kept | dd of=/data/file conv=fsync"):
        assert lab.ssh(home.nas[0].name, f"cat {on_nas}/file") == "kept\n"
        (line,) = [each for each in lab.ssh(WRITER, "cat /proc/mounts").splitlines() if f"{on_nas} " in each]
        _, _, kind, options, *_ = line.split()
        assert kind == "nfs4" and {"vers=4.2", "hard", "noatime"} <= set(options.split(","))
        with running(core, namespace, "reader", READER, "grep -x kept /data/file && echo back >/data/answer"):
            assert lab.ssh(home.nas[0].name, f"cat {on_nas}/answer") == "back\n"
    more = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    core.patch_namespaced_persistent_volume_claim("data", namespace, more)

    def grown() -> bool:
        volume = core.read_namespaced_persistent_volume_claim("data", namespace).spec.volume_name
        return bool(core.read_persistent_volume(volume).spec.capacity["storage"] == "2Gi")

    until("its volume has grown", grown, 300)
    volume = core.read_namespaced_persistent_volume_claim("data", namespace).spec.volume_name
    core.delete_namespaced_persistent_volume_claim("data", namespace)

    def gone() -> bool:
        return volume not in {each.metadata.name for each in core.list_persistent_volume().items}

    until("its volume is gone", gone, 300)
    assert lab.ssh(home.nas[0].name, f"cat {on_nas}/file") == "kept\n"


# -- health --deep ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deleting(core: client.CoreV1Api) -> Iterator[str]:
    """A class of which no folder stays, beside the chart's, and a driver as others set it up: it writes `delete` down
    with no volume and goes by its own default then, which the chart has for keeping them and nothing else."""
    apps, storage = client.AppsV1Api(core.api_client), client.StorageV1Api(core.api_client)
    found = apps.read_namespaced_deployment(CONTROLLER, "kube-system")
    (driver,) = [each for each in found.spec.template.spec.containers if each.name == "nfs"]
    driver.args = [f"{DEFAULT}delete" if each.startswith(DEFAULT) else each for each in driver.args]
    assert f"{DEFAULT}delete" in driver.args
    # What makes the folders mounts the share too, and is not to be where the NAS refuses that.
    found.spec.template.spec.node_selector = {"kubernetes.io/hostname": WRITER}
    apps.replace_namespaced_deployment(CONTROLLER, "kube-system", found)

    def rolled_out() -> bool:
        found = apps.read_namespaced_deployment(CONTROLLER, "kube-system")
        status, wanted = found.status, found.spec.replicas
        return (status.observed_generation, status.updated_replicas, status.available_replicas) == (
            found.metadata.generation,
            wanted,
            wanted,
        )

    until("the driver runs with another default", rolled_out)
    made = storage.read_storage_class(CLASS)
    made.metadata = client.V1ObjectMeta(name=DELETING)
    made.parameters["onDelete"] = "delete"
    storage.create_storage_class(made)
    yield DELETING
    storage.delete_storage_class(DELETING)


def test_a_class_that_keeps_folders_is_left_alone(core: client.CoreV1Api, lab: Lab, home: Home) -> None:
    code, report = deep(lab, home, "--only", "DEEP005")
    (check,) = [each for each in report["checks"] if each["code"] == "DEEP005"]
    assert (check["status"], report["findings"], code) == ("skipped", [], 0), told(report)
    assert f"StorageClass {CLASS} keeps the folders of volumes that are gone" in check["reason"]
    nothing_left(core)


def test_what_one_node_writes_the_other_reads(core: client.CoreV1Api, deleting: str, lab: Lab, home: Home) -> None:
    code, report = deep(lab, home, "--only", "DEEP005")
    status = {each["code"]: each["status"] for each in report["checks"] if each["code"] == "DEEP005"}
    assert (status, report["findings"], code) == ({"DEEP005": "ok"}, [], 0), told(report)
    nothing_left(core)
    assert "homelab-health" not in lab.ssh(home.nas[0].name, f"ls {PATH}")


def test_where_the_nas_refuses_a_node_the_class_is_the_one_root(
    core: client.CoreV1Api, deleting: str, lab: Lab, home: Home
) -> None:
    """Of two nodes alone: had a third mounted it, it were the node."""
    nas = home.nas[0].name
    (refused,) = [each for each in home.agents if each.name == READER]
    lab.ssh(nas, f"exportfs -u {refused.address}:{PATH} && exportfs -f")
    try:
        code, report = deep(lab, home, "--only", "DEEP005")
        (root,) = roots(report)
        assert (root["code"], root["object"]["name"], code) == ("DEEP005", DELETING, 2), told(report)
        assert f"a volume of it cannot be mounted on {READER}: " in root["summary"], told(report)
    finally:
        lab.ssh(nas, "exportfs -ra && exportfs -f")
    nothing_left(core)
    code, report = deep(lab, home, "--only", "DEEP005")
    assert (report["findings"], code) == ([], 0), told(report)
