"""A pod's volume on the NAS: the export of a class of nas-storage, mounted with the class's own options.

The driver's image cannot be had everywhere, so the volume is a plain NFS one in the folder that the driver would make.
Only an agent with a kernel of its own can mount NFS here, so this is for SANDBOX=full or nfs.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from kubernetes import client

from homelab.charts import objects
from homelab.model import Home, load
from tests.charts_engine import CHARTS, rendered
from tests.cluster.conftest import until
from tests.cluster.nas_share import shared
from tests.cluster.test_pods import IMAGE
from tests.sandbox.lab import Lab

pytestmark = pytest.mark.long

NODE, UID = "a2", 10001
# A number that grows by one each second, on the disk before it counts.
COUNT = """
cd /data
while :; do
  n=$(( $(cat count 2>/dev/null || echo 0) + 1 ))
  echo "$n" | dd of=count.new conv=fsync 2>/dev/null && mv count.new count
  sleep 1
done
"""


@dataclass(frozen=True)
class Class:
    """What a StorageClass tells the driver."""

    server: str
    share: str
    options: tuple[str, ...]


@pytest.fixture(scope="module")
def storage(home: Home, lab: Lab) -> Iterator[Class]:
    """The NAS deployed with a share for the nodes alone, and the class that Helm makes of it."""
    nodes = [each.name for each in home.servers + home.agents]
    if NODE not in nodes or not home.nas:
        pytest.skip("only SANDBOX=full and nfs have a NAS and an agent with NFS in its kernel")
    with shared(home, lab, "nas-volume") as folder:
        known = load(Path(folder) / "sandbox.py", Path(folder).parent)
        wanted = {each.name: each for each in objects.releases(known, CHARTS)}
        (made,) = rendered("nas-storage", dict(wanted["nas-storage"].values), namespace="kube-system")
        yield Class(made["parameters"]["server"], made["parameters"]["share"], tuple(made["mountOptions"]))


@pytest.fixture(scope="module")
def claim(storage: Class, api: client.ApiClient, namespace: str, lab: Lab) -> Iterator[str]:
    """A bound claim whose folder was made as the driver makes it, from a node; its path on the NAS."""
    folder = f"{namespace}-data"
    lab.ssh(NODE, "command -v mount.nfs4 >/dev/null || apt-get install -y -q nfs-common", timeout=900)
    mounted = f"mount -t nfs4 -o {','.join(storage.options)} {storage.server}:{storage.share} /mnt"
    lab.ssh(NODE, f"unshare -m sh -ec '{mounted}; mkdir -m 0755 /mnt/{folder}; chown {UID}:{UID} /mnt/{folder}'")
    core = client.CoreV1Api(api)
    size = {"storage": "1Gi"}
    volume = {
        "metadata": {"name": folder},
        "spec": {
            "capacity": size,
            "accessModes": ["ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "mountOptions": list(storage.options),
            "nfs": {"server": storage.server, "path": f"{storage.share}/{folder}"},
            "claimRef": {"namespace": namespace, "name": "data"},
        },
    }
    core.create_persistent_volume(volume)
    wanted = {"accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeName": folder}
    body = {"metadata": {"name": "data"}, "spec": {**wanted, "resources": {"requests": size}}}
    core.create_namespaced_persistent_volume_claim(namespace, body)
    yield f"{storage.share}/{folder}"
    core.delete_namespaced_persistent_volume_claim("data", namespace)
    core.delete_persistent_volume(folder)


@pytest.fixture(scope="module")
def writer(claim: str, api: client.ApiClient, namespace: str) -> Iterator[str]:
    """A pod on the agent that counts on the volume, without root; its name."""
    core = client.CoreV1Api(api)
    container = {
        "name": "writer",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", COUNT],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    spec = {
        "nodeName": NODE,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsUser": UID, "runAsGroup": UID, "runAsNonRoot": True},
        "containers": [container],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    }
    core.create_namespaced_pod(namespace, {"metadata": {"name": "writer"}, "spec": spec})

    def running() -> bool:
        return bool(core.read_namespaced_pod("writer", namespace).status.phase == "Running")

    def told() -> str:
        listed = core.list_namespaced_event(namespace).items
        return "\n".join(f"{each.reason}: {each.message}" for each in listed)

    until("the writer runs", running, 600, told)
    yield "writer"
    core.delete_namespaced_pod("writer", namespace)


def counted(lab: Lab, nas: str, claim: str) -> int:
    """What the NAS has on its disk; 0 while it does not answer, or has nothing yet."""
    with suppress(subprocess.TimeoutExpired, ValueError):
        return int(lab.ssh(nas, f"cat {claim}/count", check=False, timeout=60))
    return 0


def test_a_pod_writes_and_the_nas_has_it(writer: str, claim: str, home: Home, lab: Lab) -> None:
    nas = home.nas[0].name
    until("the NAS has what the pod wrote", lambda: counted(lab, nas, claim) > 2)
    assert lab.ssh(nas, f"stat -c %u {claim}/count").strip() == str(UID), "nobody is squashed: pods have their users"


def test_it_is_mounted_with_the_classs_options(writer: str, claim: str, lab: Lab) -> None:
    (line,) = [each for each in lab.ssh(NODE, "cat /proc/mounts").splitlines() if f"{claim} " in each]
    _, _, kind, options, *_ = line.split()
    assert kind == "nfs4" and {"vers=4.2", "hard", "noatime"} <= set(options.split(","))


def test_a_host_that_is_no_node_is_refused(storage: Class, home: Home, lab: Lab) -> None:
    mount = f"mount -t nfs4 -o vers=4.2,timeo=50,retrans=1 {storage.server}:{storage.share} /mnt"
    said = lab.ssh(home.nas[0].name, f"unshare -m sh -c '{mount} 2>&1 && echo mounted'", check=False, timeout=300)
    assert "mounted" not in said and ("denied" in said or "not permitted" in said or "No such file" in said), said


def test_the_nas_reboots_and_the_pod_goes_on(
    writer: str, claim: str, api: client.ApiClient, namespace: str, home: Home, lab: Lab
) -> None:
    nas, boot = home.nas[0].name, "cat /proc/sys/kernel/random/boot_id"
    before, count = lab.ssh(nas, boot), counted(lab, nas, claim)
    with suppress(subprocess.TimeoutExpired):
        lab.ssh(nas, "systemctl reboot", check=False, timeout=60)

    def booted() -> bool:
        with suppress(subprocess.TimeoutExpired):
            return lab.ssh(nas, boot, check=False, timeout=60) not in ("", before)
        return False

    until("the NAS is back", booted, 1200)
    until("the pod goes on", lambda: counted(lab, nas, claim) > count + 2, 900)
    (status,) = client.CoreV1Api(api).read_namespaced_pod(writer, namespace).status.container_statuses
    assert status.restart_count == 0
