"""A healthy K3s cluster as its API tells it: three servers with embedded etcd, an agent, K3s's own add-ons, two apps.

Shapes, names, labels and conditions are those of K3s v1.35 with its packaged components.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import uuid
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

Json = dict[str, Any]
NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
SERVERS = ("s1", "s2", "s3")
NODES = (*SERVERS, "a1")
VERSION = "v1.35.6+k3s1"


def uid(*parts: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, "/".join(parts)))


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:10]


class K3s:
    """The cluster's lists by plural name. `now` is the moment at which it is looked at; it is nine days old."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now
        # What is made within one second may well be the same.
        lists, summaries = pickle.loads(_made(now.replace(microsecond=0)))
        self.lists: dict[str, list[Json]] = lists
        # What the kubelets tell, by node.
        self.summaries: dict[str, Json] = summaries

    def _make(self) -> None:
        # What it has none of is served all the same.
        none = (
            "validatingwebhookconfigurations",
            "mutatingwebhookconfigurations",
            "poddisruptionbudgets",
            "horizontalpodautoscalers",
            "resourcequotas",
            "networkpolicies",
            "certificates",
            "gateways",
            "httproutes",
        )
        self.lists = {plural: [] for plural in none}
        self.summaries = {name: summary() for name in NODES}
        self._namespaces()
        self._nodes()
        self._storage()
        self._addons()
        self._apps()
        self._cluster_wide()

    # -- access ---------------------------------------------------------------------------------------------------

    def get(self, plural: str, name: str) -> Json:
        """The first object of that kind whose name begins so."""
        return next(each for each in self.lists[plural] if each["metadata"]["name"].startswith(name))

    def pods(self, app: str) -> list[Json]:
        return [each for each in self.lists["pods"] if each["metadata"]["name"].startswith(app)]

    def ago(self, **units: float) -> str:
        return stamp(self.now - timedelta(**units))

    def add(self, plural: str, kind: str, version: str, namespace: str, name: str, **body: Any) -> Json:
        meta: Json = {
            "name": name,
            "uid": uid(kind, namespace, name),
            "resourceVersion": "1234",
            "creationTimestamp": self.ago(days=9),
            "managedFields": [
                {"manager": "k3s", "operation": "Update", "apiVersion": version, "time": self.ago(days=9)},
                {
                    "manager": "k3s",
                    "operation": "Update",
                    "apiVersion": version,
                    "time": self.ago(hours=1),
                    "subresource": "status",
                },
            ],
        }
        if namespace:
            meta["namespace"] = namespace
        meta |= body.pop("metadata", {})
        item = {"metadata": meta, **body}
        self.lists.setdefault(plural, []).append(item)
        return item

    # -- parts ----------------------------------------------------------------------------------------------------

    def _namespaces(self) -> None:
        for name in ("default", "kube-system", "kube-public", "kube-node-lease", "media"):
            self.add(
                "namespaces",
                "Namespace",
                "v1",
                "",
                name,
                metadata={"labels": {"kubernetes.io/metadata.name": name}},
                spec={"finalizers": ["kubernetes"]},
                status={"phase": "Active"},
            )

    def _nodes(self) -> None:
        for number, name in enumerate(NODES, start=11):
            labels = {
                "beta.kubernetes.io/arch": "amd64",
                "beta.kubernetes.io/instance-type": "k3s",
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "node.kubernetes.io/instance-type": "k3s",
            }
            conditions = [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory", self.ago(days=9)),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure", self.ago(days=9)),
                condition("PIDPressure", "False", "KubeletHasSufficientPID", self.ago(days=9)),
                condition("Ready", "True", "KubeletReady", self.ago(days=9), "kubelet is posting ready status"),
            ]
            arguments = ["server", "--write-kubeconfig-mode", "0600"] if name in SERVERS else ["agent"]
            if name in SERVERS:
                labels |= {
                    "node-role.kubernetes.io/control-plane": "true",
                    "node-role.kubernetes.io/etcd": "true",
                }
                conditions.insert(
                    0,
                    condition(
                        "EtcdIsVoter",
                        "True",
                        "MemberNotLearner",
                        self.ago(days=9),
                        "Node is a voting member of the etcd cluster",
                    ),
                )
            self.add(
                "nodes",
                "Node",
                "v1",
                "",
                name,
                metadata={
                    "labels": labels,
                    "annotations": {
                        "flannel.alpha.coreos.com/backend-type": "vxlan",
                        "k3s.io/hostname": name,
                        "k3s.io/internal-ip": f"192.0.2.{number}",
                        "k3s.io/node-args": json.dumps(arguments),
                    },
                    "finalizers": ["wrangler.cattle.io/node"],
                },
                spec={"podCIDR": f"10.42.{number - 11}.0/24", "providerID": f"k3s://{name}"},
                status={
                    "addresses": [
                        {"type": "InternalIP", "address": f"192.0.2.{number}"},
                        {"type": "Hostname", "address": name},
                    ],
                    "allocatable": {
                        "cpu": "4",
                        "memory": "7972000Ki",
                        "pods": "110",
                        "ephemeral-storage": "93432312384",
                    },
                    "capacity": {"cpu": "4", "memory": "7972000Ki", "pods": "110", "ephemeral-storage": "96043612Ki"},
                    "conditions": conditions,
                    "nodeInfo": {
                        "architecture": "amd64",
                        "containerRuntimeVersion": "containerd://2.1.5-k3s1",
                        "kernelVersion": "6.12.48+deb13-amd64",
                        "kubeletVersion": VERSION,
                        "osImage": "Debian GNU/Linux 13 (trixie)",
                    },
                },
            )
            self.add(
                "leases",
                "Lease",
                "coordination.k8s.io/v1",
                "kube-node-lease",
                name,
                metadata={
                    "ownerReferences": [
                        {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid("Node", "", name)}
                    ]
                },
                spec={
                    "holderIdentity": name,
                    "leaseDurationSeconds": 40,
                    "renewTime": micro(self.now - timedelta(seconds=number % 10)),
                },
            )
        for name in ("kube-controller-manager", "kube-scheduler", "k3s-cloud-controller-manager"):
            self.add(
                "leases",
                "Lease",
                "coordination.k8s.io/v1",
                "kube-system",
                name,
                spec={
                    "holderIdentity": "s1_3f2c",
                    "leaseDurationSeconds": 15,
                    "renewTime": micro(self.now - timedelta(seconds=1)),
                    "acquireTime": micro(self.now - timedelta(days=9)),
                    "leaseTransitions": 2,
                },
            )

    def _storage(self) -> None:
        self.add(
            "storageclasses",
            "StorageClass",
            "storage.k8s.io/v1",
            "",
            "local-path",
            metadata={"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            provisioner="rancher.io/local-path",
            reclaimPolicy="Delete",
            volumeBindingMode="WaitForFirstConsumer",
        )
        self.claim("media", "library", node="a1")
        # Made and used by nothing yet: it rightly waits.
        self.claim("media", "later")

    def mounted(self, node: str, namespace: str, claim: str, **told: int) -> None:
        """A claim's volume as the kubelet of a node with a pod of it tells."""
        volume = {"name": "data", "pvcRef": {"name": claim, "namespace": namespace}, **told}
        pod = {"podRef": {"name": f"{claim}-0", "namespace": namespace}, "volume": [volume, {"name": "token"}]}
        self.summaries[node]["pods"].append(pod)

    def claim(self, namespace: str, name: str, *, node: str = "", class_name: str | None = "local-path") -> Json:
        annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{}" * 200}
        spec: Json = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}}
        status: Json = {"phase": "Pending"}
        if class_name is not None:
            spec["storageClassName"] = class_name
        if node:
            volume = f"pvc-{uid('PersistentVolumeClaim', namespace, name)}"
            annotations |= {
                "pv.kubernetes.io/bind-completed": "yes",
                "volume.kubernetes.io/selected-node": node,
                "volume.kubernetes.io/storage-provisioner": "rancher.io/local-path",
            }
            spec["volumeName"] = volume
            status = {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "5Gi"}}
            # A folder on the node's disk has that disk's figures.
            self.mounted(node, namespace, name, **self.summaries[node]["node"]["fs"])
            self.add(
                "persistentvolumes",
                "PersistentVolume",
                "v1",
                "",
                volume,
                metadata={
                    "annotations": {"pv.kubernetes.io/provisioned-by": "rancher.io/local-path"},
                    "finalizers": ["kubernetes.io/pv-protection"],
                },
                spec={
                    "capacity": {"storage": "5Gi"},
                    "claimRef": {"kind": "PersistentVolumeClaim", "namespace": namespace, "name": name},
                    "local": {"path": f"/var/lib/rancher/k3s/storage/{volume}_{namespace}_{name}"},
                    "nodeAffinity": {
                        "required": {
                            "nodeSelectorTerms": [
                                {
                                    "matchExpressions": [
                                        {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
                                    ]
                                }
                            ]
                        }
                    },
                    "persistentVolumeReclaimPolicy": "Delete",
                    "storageClassName": "local-path",
                    "volumeMode": "Filesystem",
                },
                status={"phase": "Bound", "lastPhaseTransitionTime": self.ago(days=9)},
            )
        return self.add(
            "persistentvolumeclaims",
            "PersistentVolumeClaim",
            "v1",
            namespace,
            name,
            metadata={"annotations": annotations, "finalizers": ["kubernetes.io/pvc-protection"]},
            spec=spec,
            status=status,
        )

    def _addons(self) -> None:
        self.deployment("kube-system", "coredns", nodes=("s1",), image="rancher/mirrored-coredns-coredns:1.13.1")
        self.deployment("kube-system", "local-path-provisioner", nodes=("s1",), image="rancher/local-path-provisioner")
        self.deployment("kube-system", "metrics-server", nodes=("s2",), image="rancher/mirrored-metrics-server:v0.8.0")
        self.deployment("kube-system", "traefik", nodes=("s3",), image="rancher/mirrored-library-traefik:3.5.1")
        svclb = self.daemonset(
            "kube-system",
            "svclb-traefik-1a2b3c4d",
            labels={
                "svccontroller.k3s.cattle.io/svcname": "traefik",
                "svccontroller.k3s.cattle.io/svcnamespace": "kube-system",
            },
            containers=("lb-tcp-80", "lb-tcp-443"),
        )
        for pod in self.pods("svclb"):
            for container in pod["spec"]["containers"]:
                port = int(container["name"].rpartition("-")[2])
                container["ports"] = [{"containerPort": port, "hostPort": port, "protocol": "TCP"}]
        svclb["spec"]["template"] = {"metadata": {"labels": svclb["metadata"]["labels"]}}
        for name in ("helm-install-traefik-crd", "helm-install-traefik"):
            self.job("kube-system", name, retries=1 if name == "helm-install-traefik" else 0)
            self.add(
                "helmcharts",
                "HelmChart",
                "helm.cattle.io/v1",
                "kube-system",
                name.removeprefix("helm-install-"),
                spec={"chart": f"https://%{{KUBERNETES_API}}%/static/charts/{name}.tgz"},
                status={"jobName": name},
            )
        self.service("kube-system", "kube-dns", "coredns", [("dns", 53, "UDP"), ("dns-tcp", 53, "TCP")])
        self.service("kube-system", "metrics-server", "metrics-server", [("https", 443, "TCP")])
        traefik = self.service("kube-system", "traefik", "traefik", [("web", 80, "TCP"), ("websecure", 443, "TCP")])
        traefik["spec"]["type"] = "LoadBalancer"
        traefik["status"] = {"loadBalancer": {"ingress": [{"ip": f"192.0.2.{11 + each}"} for each in range(4)]}}
        self.service("default", "kubernetes", "", [("https", 443, "TCP")], addresses=("192.0.2.11", "192.0.2.12"))
        for name in ("coredns", "local-storage", "metrics-server-deployment", "traefik", "rolebindings", "ccm"):
            self.add("addons", "Addon", "k3s.cattle.io/v1", "kube-system", name, spec={"checksum": _hash(name)})

    def _apps(self) -> None:
        self.deployment("default", "web", nodes=("s1", "s2", "a1"), image="nginx:1.29")
        self.service("default", "web", "web", [("http", 80, "TCP")])
        self.deployment("media", "library", nodes=("a1",), image="photos:2", claims=("library",))
        self.statefulset("media", "database", nodes=("s2", "s3"), image="postgres:18")
        # What a day leaves behind and is no trouble: a nightly job that failed once and has succeeded since, a retry.
        self.cronjob("media", "backup")
        self.job("media", "backup-29400000", cronjob="backup", hours=36, failed=True)
        self.job("media", "backup-29401440", cronjob="backup", hours=12, retries=2)
        self.add(
            "ingresses",
            "Ingress",
            "networking.k8s.io/v1",
            "default",
            "web",
            spec={
                "ingressClassName": "traefik",
                "rules": [
                    {
                        "host": "web.example.net",
                        "http": {
                            "paths": [
                                {
                                    "path": "/",
                                    "pathType": "Prefix",
                                    "backend": {"service": {"name": "web", "port": {"number": 80}}},
                                }
                            ]
                        },
                    }
                ],
            },
            status={"loadBalancer": {"ingress": [{"ip": "192.0.2.11"}]}},
        )
        self.add(
            "ingressroutes",
            "IngressRoute",
            "traefik.io/v1alpha1",
            "kube-system",
            "traefik-dashboard",
            spec={
                "entryPoints": ["traefik"],
                "routes": [
                    {
                        "kind": "Rule",
                        "match": "PathPrefix(`/dashboard`)",
                        "services": [{"kind": "TraefikService", "name": "api@internal"}],
                    }
                ],
            },
        )
        self.event(
            "Pod", "kube-system", self.pods("coredns")[0]["metadata"]["name"], "Unhealthy", "probe failed", days=1
        )

    def _cluster_wide(self) -> None:
        self.add(
            "ingressclasses",
            "IngressClass",
            "networking.k8s.io/v1",
            "",
            "traefik",
            metadata={"annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
            spec={"controller": "traefik.io/ingress-controller"},
        )
        for name, service in (("v1.apps", None), ("v1.batch", None), ("v1beta1.metrics.k8s.io", "metrics-server")):
            self.add(
                "apiservices",
                "APIService",
                "apiregistration.k8s.io/v1",
                "",
                name,
                spec={"service": {"namespace": "kube-system", "name": service, "port": 443} if service else None},
                status={
                    "conditions": [
                        condition("Available", "True", "Passed" if service else "Local", self.ago(days=9), "all checks")
                    ]
                },
            )
        snapshot = "etcd-snapshot-s1-1764028800"
        for place, kept in (
            ("local", {"location": f"file:///var/lib/rancher/k3s/server/db/snapshots/{snapshot}"}),
            ("s3", {"location": f"s3://kept/home/{snapshot}", "s3": {"bucket": "kept", "prefix": "home"}}),
        ):
            self.add(
                "etcdsnapshotfiles",
                "ETCDSnapshotFile",
                "k3s.cattle.io/v1",
                "",
                f"{place}-{snapshot}-0f2c4e",
                metadata={"labels": {"etcd.k3s.cattle.io/snapshot-storage-node": "s1" if place == "local" else "s3"}},
                spec={"snapshotName": snapshot, "nodeName": "s1", **kept},
                status={"creationTime": self.ago(hours=12), "readyToUse": True, "size": "12Mi"},
            )
        for name in NODES:
            usage = {"cpu": "212m", "memory": "2100000Ki"}
            self.add("nodes.metrics.k8s.io", "NodeMetrics", "metrics.k8s.io/v1beta1", "", name, usage=usage)

    # -- workloads ------------------------------------------------------------------------------------------------

    def deployment(
        self,
        namespace: str,
        name: str,
        *,
        nodes: tuple[str, ...],
        image: str,
        claims: tuple[str, ...] = (),
        containers: tuple[str, ...] = (),
    ) -> Json:
        count, template = len(nodes), _hash(name)
        labels = {"app.kubernetes.io/name": name}
        made = self.add(
            "deployments",
            "Deployment",
            "apps/v1",
            namespace,
            name,
            metadata={"generation": 1, "labels": labels, "annotations": {"deployment.kubernetes.io/revision": "1"}},
            spec={
                "replicas": count,
                "selector": {"matchLabels": labels},
                "progressDeadlineSeconds": 600,
                "strategy": {"type": "RollingUpdate"},
            },
            status={
                "observedGeneration": 1,
                "replicas": count,
                "updatedReplicas": count,
                "readyReplicas": count,
                "availableReplicas": count,
                "conditions": [
                    condition("Available", "True", "MinimumReplicasAvailable", self.ago(days=9)),
                    condition("Progressing", "True", "NewReplicaSetAvailable", self.ago(days=9)),
                ],
            },
        )
        replicaset = f"{name}-{template}"
        for each, wanted in ((replicaset, count), (f"{name}-{_hash(name + 'old')}", 0)):
            self.add(
                "replicasets",
                "ReplicaSet",
                "apps/v1",
                namespace,
                each,
                metadata={"generation": 1, "labels": labels, "ownerReferences": [owner("Deployment", namespace, name)]},
                spec={"replicas": wanted, "selector": {"matchLabels": labels}},
                status={
                    "observedGeneration": 1,
                    "replicas": wanted,
                    **({"readyReplicas": wanted, "availableReplicas": wanted} if wanted else {}),
                },
            )
        for index, node in enumerate(nodes):
            self.pod(
                namespace,
                f"{replicaset}-{_hash(name + str(index))[:5]}",
                node=node,
                image=image,
                labels={**labels, "pod-template-hash": template},
                owner_=("ReplicaSet", replicaset),
                claims=claims,
                containers=containers or (name,),
            )
        return made

    def statefulset(self, namespace: str, name: str, *, nodes: tuple[str, ...], image: str) -> Json:
        count, labels = len(nodes), {"app.kubernetes.io/name": name}
        for index, node in enumerate(nodes):
            self.claim(namespace, f"data-{name}-{index}", node=node)
            self.pod(
                namespace,
                f"{name}-{index}",
                node=node,
                image=image,
                labels={**labels, "apps.kubernetes.io/pod-index": str(index)},
                owner_=("StatefulSet", name),
                claims=(f"data-{name}-{index}",),
                containers=(name,),
            )
        return self.add(
            "statefulsets",
            "StatefulSet",
            "apps/v1",
            namespace,
            name,
            metadata={"generation": 1},
            spec={"replicas": count, "selector": {"matchLabels": labels}, "updateStrategy": {"type": "RollingUpdate"}},
            status={
                "observedGeneration": 1,
                "replicas": count,
                "readyReplicas": count,
                "availableReplicas": count,
                "currentReplicas": count,
                "updatedReplicas": count,
                "currentRevision": f"{name}-1",
                "updateRevision": f"{name}-1",
            },
        )

    def daemonset(
        self, namespace: str, name: str, *, labels: dict[str, str] | None = None, containers: tuple[str, ...]
    ) -> Json:
        count = len(NODES)
        for node in NODES:
            self.pod(
                namespace,
                f"{name}-{_hash(name + node)[:5]}",
                node=node,
                image="rancher/klipper-lb:v0.4.13",
                labels={"app": name, "controller-revision-hash": _hash(name), **(labels or {})},
                owner_=("DaemonSet", name),
                containers=containers,
            )
        return self.add(
            "daemonsets",
            "DaemonSet",
            "apps/v1",
            namespace,
            name,
            metadata={"generation": 1, "labels": labels or {}},
            spec={"selector": {"matchLabels": {"app": name}}, "updateStrategy": {"type": "RollingUpdate"}},
            status={
                "observedGeneration": 1,
                "currentNumberScheduled": count,
                "desiredNumberScheduled": count,
                "numberAvailable": count,
                "numberReady": count,
                "numberMisscheduled": 0,
                "updatedNumberScheduled": count,
            },
        )

    def cronjob(self, namespace: str, name: str) -> Json:
        return self.add(
            "cronjobs",
            "CronJob",
            "batch/v1",
            namespace,
            name,
            spec={"schedule": "0 0 * * *", "suspend": False, "concurrencyPolicy": "Forbid"},
            status={"lastScheduleTime": self.ago(hours=12), "lastSuccessfulTime": self.ago(hours=11.9)},
        )

    def job(
        self,
        namespace: str,
        name: str,
        *,
        cronjob: str = "",
        hours: float = 216,
        retries: int = 0,
        failed: bool = False,
    ) -> Json:
        """A Job that is done, with the pods of its failed tries."""
        done, finished = ("Failed" if failed else "Complete"), self.ago(hours=hours - 0.1)
        conditions = [condition(done, "True", "BackoffLimitExceeded" if failed else "CompletionsReached", finished)]
        status: Json = {"startTime": self.ago(hours=hours), "conditions": conditions, "ready": 0}
        status |= {"failed": max(retries, 1)} if failed else {"succeeded": 1, "completionTime": finished}
        if retries:
            status["failed"] = retries
        for index in range(retries + 1):
            ended_well = index == retries and not failed
            self.pod(
                namespace,
                f"{name}-{_hash(name + str(index))[:5]}",
                node="s1",
                image="rancher/klipper-helm:v0.9.8" if name.startswith("helm") else "restic:0.18",
                labels={"batch.kubernetes.io/job-name": name},
                owner_=("Job", name),
                containers=("helm",) if name.startswith("helm") else ("backup",),
                done=(0 if ended_well else 1, finished),
            )
        metadata: Json = {"generation": 1, "creationTimestamp": self.ago(hours=hours)}
        if cronjob:
            metadata["ownerReferences"] = [owner("CronJob", namespace, cronjob)]
        spec = {"completions": 1, "parallelism": 1, "backoffLimit": 6}
        return self.add("jobs", "Job", "batch/v1", namespace, name, metadata=metadata, spec=spec, status=status)

    def pod(
        self,
        namespace: str,
        name: str,
        *,
        node: str,
        image: str,
        labels: dict[str, str],
        owner_: tuple[str, str],
        containers: tuple[str, ...],
        claims: tuple[str, ...] = (),
        done: tuple[int, str] | None = None,
    ) -> Json:
        started = self.ago(days=8)
        state: Json = {"running": {"startedAt": started}}
        ready, phase = "True", "Running"
        if done:
            code, at = done
            reason = "Error" if code else "Completed"
            state = {"terminated": {"exitCode": code, "reason": reason, "startedAt": started, "finishedAt": at}}
            ready, phase = "False", "Failed" if code else "Succeeded"
        why = "" if ready == "True" else ("PodFailed" if done and done[0] else "PodCompleted")
        conditions = [
            condition(each, ready if each in ("Ready", "ContainersReady") else "True", why, started)
            for each in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
        ]
        volumes: list[Json] = [
            {"name": f"volume-{index}", "persistentVolumeClaim": {"claimName": claim}}
            for index, claim in enumerate(claims)
        ]
        token = {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}
        volumes.append({"name": "kube-api-access-x2x1p", "projected": {"defaultMode": 420, "sources": [token]}})
        return self.add(
            "pods",
            "Pod",
            "v1",
            namespace,
            name,
            metadata={
                "labels": labels,
                "generateName": name.rpartition("-")[0] + "-",
                "ownerReferences": [owner(owner_[0], namespace, owner_[1])],
            },
            spec={
                "containers": [
                    {
                        "name": each,
                        "image": image,
                        "imagePullPolicy": "IfNotPresent",
                        "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
                        "resources": {"limits": {"memory": "170Mi"}, "requests": {"cpu": "100m", "memory": "70Mi"}},
                        "volumeMounts": [{"mountPath": "/var/run/secrets", "name": "kube-api-access-x2x1p"}],
                    }
                    for each in containers
                ],
                "nodeName": node,
                "restartPolicy": "OnFailure" if owner_[0] == "Job" else "Always",
                "terminationGracePeriodSeconds": 30,
                "tolerations": [
                    {
                        "effect": "NoExecute",
                        "key": f"node.kubernetes.io/{each}",
                        "operator": "Exists",
                        "tolerationSeconds": 300,
                    }
                    for each in ("not-ready", "unreachable")
                ],
                "volumes": volumes,
            },
            status={
                "phase": phase,
                "podIP": "10.42.0.7",
                "hostIP": "192.0.2.11",
                "qosClass": "Burstable",
                "startTime": started,
                "conditions": conditions,
                "containerStatuses": [
                    {
                        "name": each,
                        "image": image,
                        "imageID": "sha256:0",
                        "containerID": "containerd://0",
                        "ready": ready == "True",
                        "started": ready == "True",
                        "restartCount": 1,
                        # The node was started again once: the kubelet found the container dead.
                        "lastState": {
                            "terminated": {"exitCode": 255, "reason": "Unknown", "finishedAt": self.ago(days=8)}
                        },
                        "state": state,
                    }
                    for each in containers
                ],
            },
        )

    def service(
        self,
        namespace: str,
        name: str,
        app: str,
        ports: list[tuple[str, int, str]],
        addresses: tuple[str, ...] = ("10.42.0.7",),
    ) -> Json:
        spec: Json = {
            "type": "ClusterIP",
            "clusterIP": "10.43.0.10",
            "ports": [
                {"name": each, "port": port, "protocol": protocol, "targetPort": "http" if app else 6443}
                for each, port, protocol in ports
            ],
        }
        if app:
            spec["selector"] = {"app.kubernetes.io/name": app}
        self.add(
            "endpointslices",
            "EndpointSlice",
            "discovery.k8s.io/v1",
            namespace,
            f"{name}-{_hash(name)[:5]}",
            metadata={"labels": {"kubernetes.io/service-name": name}},
            addressType="IPv4",
            endpoints=[
                {"addresses": [each], "conditions": {"ready": True, "serving": True, "terminating": False}}
                for each in addresses
            ],
            ports=[{"name": each, "port": 8080, "protocol": protocol} for each, _, protocol in ports],
        )
        return self.add("services", "Service", "v1", namespace, name, spec=spec, status={"loadBalancer": {}})

    def event(self, kind: str, namespace: str, name: str, reason: str, message: str, **age: float) -> Json:
        return self.add(
            "events",
            "Event",
            "v1",
            namespace,
            f"{name}.{_hash(reason + message)}",
            involvedObject={"kind": kind, "namespace": namespace, "name": name, "uid": uid(kind, namespace, name)},
            type="Warning",
            reason=reason,
            message=message,
            count=3,
            firstTimestamp=self.ago(**age),
            lastTimestamp=self.ago(**age),
            eventTime=None,
            source={"component": "kubelet"},
        )


@lru_cache(maxsize=4)
def _made(now: datetime) -> bytes:
    """A cluster's lists and summaries, for everyone to have their own: to make them takes longer than to judge them."""
    cluster = K3s.__new__(K3s)
    cluster.now = now
    cluster._make()
    return pickle.dumps((cluster.lists, cluster.summaries))


def filesystem(size: float, free: float, *, inodes: int = 6_000_000, inodes_free: int = 5_000_000) -> dict[str, int]:
    """A filesystem's figures in Kubernetes' Summary API; sizes in GiB."""
    sizes = {"capacityBytes": int(size * 2**30), "availableBytes": int(free * 2**30)}
    return {**sizes, "usedBytes": int((size - free) * 2**30), "inodes": inodes, "inodesFree": inodes_free}


def summary(free: float = 60) -> Json:
    return {"node": {"nodeName": "", "fs": filesystem(91.6, free)}, "pods": []}


def stamp(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def micro(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def condition(kind: str, status: str, reason: str, since: str, message: str = "") -> Json:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since}


def owner(kind: str, namespace: str, name: str) -> Json:
    version = {"Job": "batch/v1", "CronJob": "batch/v1", "Node": "v1"}.get(kind, "apps/v1")
    return {
        "apiVersion": version,
        "kind": kind,
        "name": name,
        "uid": uid(kind, namespace, name),
        "controller": True,
        "blockOwnerDeletion": True,
    }
