"""The objects that `--deep` makes in the cluster, all of them in a namespace of one run: JSON as Kubernetes takes it.

The pods conform to Kubernetes' Pod Security Standard "restricted". They tell what they find in their termination
message, which is part of their status: whoever may list pods reads it, and nobody needs a right to logs or to exec.
The image is to bring BusyBox: ash, dd, httpd, nslookup, sha256sum, timeout, wget.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from homelab.health.shape import Json

IMAGE = "docker.io/library/busybox:1.35"
# By these a run knows its own objects, and a later one what a dead run has left.
RUN = "homelab.health/run"
UNTIL = "homelab.health/until"
_PROBE = "homelab.health/probe"
_NOBODY = 65534  # a user that no image and no NFS server gives rights
PORT = 8080
_SIZE = "512Mi"  # the least that some filesystems take; probes write one MiB
# Taints that keep workloads from servers, and not from a node that is unwell. Source: K3s, "High Availability".
SERVER_TAINTS = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master", "CriticalAddonsOnly")

# What has to be allowed, in all namespaces, since ours has a new name each time.
RIGHTS = (
    ("create", "namespaces"),
    ("delete", "namespaces"),
    ("create", "pods"),
    ("create", "services"),
    ("create", "persistentvolumeclaims"),
)

# Ends by itself, so that a run that died leaves no pod at work.
_LISTEN = f"""\
echo "$1" > /tmp/index.html
timeout "$2" httpd -f -p {PORT} -h /tmp
exit 0
"""

# A packet may be lost and a rule some seconds late, so each question is put five times. Of a name's answer only the
# address counts: nslookup exits with an error when one of A and AAAA has none. wget has a timeout of its own, by which
# some builds of BusyBox 1.35 crash.
_ASK = """\
domain=$(sed -n 's/^search .*[ .]svc\\.\\([^ ]*\\).*/\\1/p' /etc/resolv.conf)
web() {
  page=$(timeout 6 wget -q -O - "http://$1/") || { [ $? -lt 128 ] || echo "no answer within 6 s"; return 1; }
  [ "$page" = "$2" ] || { echo "another one answers there"; return 1; }
}
dns() {
  heard=$(timeout 6 nslookup "kubernetes.default.svc.${domain:-cluster.local}" "$1" 2>&1)
  echo "$heard"
  echo "$heard" | sed -n 's/^Address[ 0-9]*:[[:blank:]]*\\([^ ]*\\).*/\\1/p' | grep -qxF "$2"
}
ask() {
  tries=1
  until said=$("$2" "$3" "$4" 2>&1); do
    if [ "$tries" = 5 ]; then
      said=$(echo "$said" | grep . | tail -n 1 | tr -cd ' -~' | cut -c 1-100)
      echo "$1 no $said" >> /dev/termination-log
      return
    fi
    tries=$((tries + 1))
    sleep 3
  done
  echo "$1 ok" >> /dev/termination-log
}
while [ $# -ge 4 ]; do
  ask "$1" "$2" "$3" "$4" &
  shift 4
done
wait
exit 0
"""

_WRITE = """\
dd if=/dev/urandom of=/tmp/data bs=64k count=16 2>/dev/null
sum=$(sha256sum /tmp/data)
if said=$(dd if=/tmp/data of=/data/homelab-health bs=64k conv=fsync 2>&1); then
  echo "write ok ${sum%% *}" >> /dev/termination-log
else
  echo "write no $(echo "$said" | grep . | head -n 1 | tr -cd ' -~' | cut -c 1-200)" >> /dev/termination-log
fi
exit 0
"""

_READ = """\
if ! said=$(sha256sum /data/homelab-health 2>&1); then
  echo "read no $(echo "$said" | grep . | head -n 1 | tr -cd ' -~' | cut -c 1-200)" >> /dev/termination-log
elif [ "${said%% *}" = "$1" ]; then
  echo "read ok" >> /dev/termination-log
else
  echo "read no it is not what was written" >> /dev/termination-log
fi
exit 0
"""


def name(run: str) -> str:
    """The name of a run's namespace."""
    return f"homelab-health-{run}"


def namespace(run: str, until: datetime) -> Json:
    """The namespace of a run; `until` is when it is dead, by the cluster's clock, should it still be there."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name(run),
            "labels": {RUN: run, "app.kubernetes.io/managed-by": "homelab"},
            "annotations": {UNTIL: f"{until:%Y-%m-%dT%H:%M:%SZ}"},
        },
    }


def listener(run: str, probe: str, node: str, image: str, seconds: int) -> Json:
    """A pod on a node that answers HTTP with its own probe's name and run, for so many seconds at most."""
    return _pod(run, probe, (node,), image, _LISTEN, (answer(run, probe), str(seconds)))


def answer(run: str, probe: str) -> str:
    """What a listener answers: nobody else who may have the address would."""
    return f"{run}/{probe}"


def service(run: str, probe: str) -> Json:
    """A Service in front of one listener, by the same name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": probe, "labels": {RUN: run}},
        "spec": {"selector": {_PROBE: probe}, "ports": [{"port": PORT, "targetPort": PORT}]},
    }


def asker(run: str, probe: str, node: str, image: str, questions: Iterable[tuple[str, str, str, str]]) -> Json:
    """A pod on a node that asks and ends. A question is a key for its line, `web` or `dns`, whom, and what is right."""
    return _pod(run, probe, (node,), image, _ASK, [word for question in questions for word in question])


def claim(run: str, probe: str, class_name: str, *, shared: bool) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": probe, "labels": {RUN: run}},
        "spec": {
            "storageClassName": class_name,
            "accessModes": ["ReadWriteMany" if shared else "ReadWriteOnce"],
            "resources": {"requests": {"storage": _SIZE}},
        },
    }


def writer(run: str, probe: str, nodes: tuple[str, ...], image: str, claim: str) -> Json:
    """A pod on one of these nodes that writes a MiB to a claim, fsyncs it and tells its SHA-256."""
    return _pod(run, probe, nodes, image, _WRITE, (), claim)


def reader(run: str, probe: str, node: str, image: str, claim: str, checksum: str) -> Json:
    """A pod on a node that tells whether what a claim holds has this SHA-256."""
    return _pod(run, probe, (node,), image, _READ, (checksum,), claim)


def _pod(
    run: str, probe: str, nodes: tuple[str, ...], image: str, script: str, words: Iterable[str], claim: str = ""
) -> Json:
    volumes: list[Json] = [{"name": "tmp", "emptyDir": {}}]
    mounts: list[Json] = [{"name": "tmp", "mountPath": "/tmp"}]
    security: dict[str, Any] = {
        "runAsNonRoot": True,
        "runAsUser": _NOBODY,
        "runAsGroup": _NOBODY,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if claim:
        volumes.append({"name": "data", "persistentVolumeClaim": {"claimName": claim}})
        mounts.append({"name": "data", "mountPath": "/data"})
        security["fsGroup"] = _NOBODY
    # A field takes one value; of several terms one has to fit.
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [each]}]} for each in nodes]
    only = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": probe, "labels": {RUN: run, _PROBE: probe}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            # By the scheduler, as a DaemonSet's pods: it knows of room, and kubelets refuse what it would not place.
            "affinity": {"nodeAffinity": only},
            "tolerations": [{"key": each, "operator": "Exists"} for each in SERVER_TAINTS],
            "securityContext": security,
            "containers": [
                {
                    "name": "probe",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", script, "probe", *words],
                    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "128Mi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": mounts,
                }
            ],
            "volumes": volumes,
        },
    }
