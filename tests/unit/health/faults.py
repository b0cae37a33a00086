"""One fault at a time in a healthy cluster, as the API shows it in all the objects that it touches.

Each takes the cluster and tells what must be found: code, culprit and severity of the one root finding.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

from homelab.health.report import Severity
from tests.unit.health.cluster import SERVERS, Json, K3s, condition, filesystem, micro, owner, stamp, summary

CRITICAL, WARNING = Severity.CRITICAL, Severity.WARNING
Expected = tuple[str, str, Severity]
Fault = Callable[[K3s], Expected]


def set_condition(item: Json, kind: str, status: str, reason: str, since: str, message: str = "") -> None:
    conditions = item.setdefault("status", {}).setdefault("conditions", [])
    conditions[:] = [each for each in conditions if each["type"] != kind]
    conditions.append(condition(kind, status, reason, since, message))


def unready(pod: Json, since: str, message: str = "containers with unready status") -> None:
    for kind in ("Ready", "ContainersReady"):
        set_condition(pod, kind, "False", "ContainersNotReady", since, message)
    for status in pod["status"].get("containerStatuses", ()):
        status["ready"] = False


def waiting(pod: Json, reason: str, message: str, since: str) -> None:
    unready(pod, since)
    pod["status"]["phase"] = "Pending"
    for status in pod["status"]["containerStatuses"]:
        status |= {"state": {"waiting": {"reason": reason, "message": message}}, "lastState": {}, "restartCount": 0}


def short(cluster: K3s, kind: str, name: str, available: int, since: str) -> Json:
    """A workload as its controller tells that it is short of pods."""
    item = cluster.get(kind, name)
    status = item["status"]
    if kind == "daemonsets":
        status |= {"numberReady": available, "numberAvailable": available}
        status["numberUnavailable"] = status["desiredNumberScheduled"] - available
        return item
    status |= {"readyReplicas": available, "availableReplicas": available}
    if not available:
        del status["readyReplicas"], status["availableReplicas"]
        if kind == "deployments":
            set_condition(item, "Available", "False", "MinimumReplicasUnavailable", since)
    return item


def endpoints(cluster: K3s, service: str, *, ready: bool) -> None:
    """A Service's endpoints as their controller tells that none is ready, or that there are no pods at all."""
    for each in cluster.lists["endpointslices"]:
        if each["metadata"]["labels"]["kubernetes.io/service-name"] == service:
            for endpoint in each["endpoints"]:
                endpoint["conditions"] = {"ready": ready, "serving": ready, "terminating": False}


def no_endpoints(cluster: K3s, service: str) -> None:
    for each in cluster.lists["endpointslices"]:
        if each["metadata"]["labels"]["kubernetes.io/service-name"] == service:
            each |= {"endpoints": None, "ports": None}


def one_pod(cluster: K3s, name: str) -> Json:
    return cluster.pods(name)[0]


# -- nodes ------------------------------------------------------------------------------------------------------------


# From 1.35 on, and patches of 1.34, the scheduler names no taint any more (kubernetes#134740).
_TAINTS = "taint(s)"


def dead_node(cluster: K3s) -> Expected:
    """An agent lost power 20 minutes ago: its pods are Terminating, replacements wait for volumes and rooms."""
    since = cluster.ago(minutes=20)
    node = cluster.get("nodes", "a1")
    for kind in ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure"):
        set_condition(node, kind, "Unknown", "NodeStatusUnknown", since, "Kubelet stopped posting node status.")
    node["spec"]["taints"] = [
        {"key": "node.kubernetes.io/unreachable", "effect": effect, "timeAdded": since}
        for effect in ("NoSchedule", "NoExecute")
    ]
    cluster.get("leases", "a1")["spec"]["renewTime"] = micro(cluster.now - timedelta(minutes=21))
    for pod in list(cluster.lists["pods"]):
        if pod["spec"]["nodeName"] != "a1" or pod["status"]["phase"] != "Running":
            continue
        unready(pod, since)
        if pod["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet":
            pod["metadata"]["deletionTimestamp"] = cluster.ago(minutes=14)
            unschedulable(
                cluster,
                pod,
                f"0/4 nodes are available: 1 node(s) had untolerated {_TAINTS},"
                " 3 node(s) didn't match PersistentVolume's node affinity.",
                minutes=15,
            )
    short(cluster, "deployments", "library", 0, since)
    short(cluster, "deployments", "web", 2, since)
    short(cluster, "daemonsets", "svclb", 3, since)
    return "NODE001", "a1", CRITICAL


def dead_node_as_older_schedulers_tell(cluster: K3s) -> Expected:
    expected = dead_node(cluster)
    for pod in cluster.lists["pods"]:
        for told in pod["status"]["conditions"]:
            told["message"] = told["message"].replace(_TAINTS, "taint {node.kubernetes.io/unreachable: }")
    return expected


def unschedulable(cluster: K3s, like: Json, message: str, minutes: float) -> Json:
    """A pod like another one that no node wants."""
    since = cluster.ago(minutes=minutes)
    meta = like["metadata"]
    pod = cluster.add(
        "pods",
        "Pod",
        "v1",
        meta["namespace"],
        meta["name"] + "x",
        metadata={"labels": meta["labels"], "ownerReferences": meta["ownerReferences"], "creationTimestamp": since},
        spec={key: value for key, value in like["spec"].items() if key != "nodeName"},
        status={
            "phase": "Pending",
            "conditions": [condition("PodScheduled", "False", "Unschedulable", since, message)],
        },
    )
    return pod


def node_not_ready(cluster: K3s) -> Expected:
    node = cluster.get("nodes", "s2")
    set_condition(node, "Ready", "False", "KubeletNotReady", cluster.ago(minutes=5), "container runtime is down")
    return "NODE001", "s2", CRITICAL


def node_never_reported(cluster: K3s) -> Expected:
    node = cluster.get("nodes", "a1")
    node["status"]["conditions"] = []
    return "NODE001", "a1", CRITICAL


def disk_pressure(cluster: K3s) -> Expected:
    """A full disk: the kubelet evicts, and the evicted pods stay behind."""
    node = cluster.get("nodes", "s2")
    since = cluster.ago(minutes=30)
    set_condition(node, "DiskPressure", "True", "KubeletHasDiskPressure", since, "kubelet has disk pressure")
    node["spec"]["taints"] = [{"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule", "timeAdded": since}]
    for pod in [each for each in cluster.pods("web") if each["spec"]["nodeName"] == "s2"]:
        pod["status"] |= {
            "phase": "Failed",
            "reason": "Evicted",
            "message": "The node was low on resource: ephemeral-storage.",
            "containerStatuses": [],
        }
        unready(pod, cluster.ago(minutes=29))
    return "NODE002", "s2", WARNING


def no_network(cluster: K3s) -> Expected:
    node = cluster.get("nodes", "s3")
    set_condition(node, "NetworkUnavailable", "True", "NoRouteCreated", cluster.ago(minutes=9), "no flannel")
    return "NODE003", "s3", CRITICAL


def read_only_filesystem(cluster: K3s) -> Expected:
    node = cluster.get("nodes", "s1")
    set_condition(node, "ReadonlyFilesystem", "True", "FilesystemIsReadOnly", cluster.ago(hours=1), "EXT4-fs error")
    return "NODE004", "s1", WARNING


def silent_kubelet(cluster: K3s) -> Expected:
    """The power went 45 seconds ago: nothing but the lease tells yet."""
    cluster.get("leases", "a1")["spec"]["renewTime"] = micro(cluster.now - timedelta(seconds=45))
    return "NODE005", "a1", CRITICAL


def late_lease(cluster: K3s) -> Expected:
    cluster.get("leases", "a1")["spec"]["renewTime"] = micro(cluster.now - timedelta(seconds=30))
    return "NODE005", "a1", WARNING


def forgotten_cordon(cluster: K3s) -> Expected:
    node = cluster.get("nodes", "a1")
    node["spec"] |= {
        "unschedulable": True,
        "taints": [
            {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": cluster.ago(days=3)}
        ],
    }
    return "NODE006", "a1", WARNING


def clock_ahead(cluster: K3s) -> Expected:
    cluster.get("leases", "a1")["spec"]["renewTime"] = micro(cluster.now + timedelta(seconds=90))
    return "NODE007", "a1", CRITICAL


def clock_behind(cluster: K3s) -> Expected:
    cluster.get("leases", "a1")["spec"]["renewTime"] = micro(cluster.now - timedelta(hours=2))
    return "NODE007", "a1", CRITICAL


def node_does_not_go(cluster: K3s) -> Expected:
    cluster.get("nodes", "a1")["metadata"]["deletionTimestamp"] = cluster.ago(hours=1)
    return "NODE010", "a1", WARNING


def kubelet_too_old(cluster: K3s) -> Expected:
    cluster.get("nodes", "a1")["status"]["nodeInfo"]["kubeletVersion"] = "v1.31.9+k3s1"
    return "CTRL003", "a1", CRITICAL


def agent_newer_than_servers(cluster: K3s) -> Expected:
    cluster.get("nodes", "a1")["status"]["nodeInfo"]["kubeletVersion"] = "v1.36.0+k3s1"
    return "CTRL003", "a1", CRITICAL


def memory_used_up(cluster: K3s) -> Expected:
    cluster.get("nodes.metrics.k8s.io", "s3")["usage"]["memory"] = "7500000Ki"
    return "NODE012", "s3", WARNING


def memory_pressure(cluster: K3s) -> Expected:
    memory_used_up(cluster)
    set_condition(
        cluster.get("nodes", "s3"), "MemoryPressure", "True", "KubeletHasInsufficientMemory", cluster.ago(hours=1)
    )
    return "NODE002", "s3", WARNING


def pods_enough(cluster: K3s) -> Expected:
    """And one more that finds no place."""
    there = [each for each in cluster.lists["pods"] if each["spec"]["nodeName"] == "s1"]
    running = sum(each["status"]["phase"] == "Running" for each in there)
    cluster.get("nodes", "s1")["status"]["allocatable"]["pods"] = str(running)
    message = "0/4 nodes are available: 1 Too many pods, 3 node(s) didn't match Pod's node affinity/selector."
    unschedulable(cluster, one_pod(cluster, "web"), message, minutes=9)
    return "NODE014", "s1", CRITICAL


def namespace_does_not_go(cluster: K3s) -> Expected:
    namespace = cluster.get("namespaces", "media")
    namespace["metadata"]["deletionTimestamp"] = cluster.ago(hours=1)
    namespace["status"]["phase"] = "Terminating"
    remaining = "Some content in the namespace has finalizers remaining: example.net/hold in 1 resource instances"
    set_condition(
        namespace, "NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain", cluster.ago(hours=1), remaining
    )
    return "CTRL007", "media", WARNING


# -- control plane, certificates, etcd --------------------------------------------------------------------------------


def api_service_down(cluster: K3s) -> Expected:
    """The pod is ready and the API server does not get through to it."""
    unavailable(cluster, "failing or missing response from https://10.42.1.3:10250: dial tcp: i/o timeout", minutes=9)
    return "CTRL008", "v1beta1.metrics.k8s.io", WARNING


def unavailable(cluster: K3s, message: str, minutes: float) -> None:
    service = cluster.get("apiservices", "v1beta1.metrics.k8s.io")
    set_condition(service, "Available", "False", "FailedDiscoveryCheck", cluster.ago(minutes=minutes), message)
    cluster.lists["nodes.metrics.k8s.io"] = []


def metrics_server_crashes(cluster: K3s) -> Expected:
    """And with it goes what it serves, and a namespace that was deleted meanwhile stays."""
    since = cluster.ago(minutes=12)
    pod = one_pod(cluster, "metrics-server")
    unready(pod, since)
    pod["status"]["containerStatuses"][0] |= {
        "restartCount": 7,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": cluster.ago(minutes=1)}},
    }
    short(cluster, "deployments", "metrics-server", 0, since)
    unavailable(cluster, 'endpoints for service/metrics-server in "kube-system" have no addresses', minutes=12)
    namespace = cluster.get("namespaces", "media")
    namespace["metadata"]["deletionTimestamp"] = cluster.ago(minutes=10)
    said = "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs"
    set_condition(namespace, "NamespaceDeletionDiscoveryFailure", "True", "DiscoveryFailed", since, said)
    return "POD001", "metrics-server-", CRITICAL


def scheduler_down(cluster: K3s) -> Expected:
    cluster.get("leases", "kube-scheduler")["spec"]["renewTime"] = micro(cluster.now - timedelta(minutes=8))
    pod = unschedulable(cluster, one_pod(cluster, "web"), "", minutes=7)
    pod["status"]["conditions"] = []
    short(cluster, "deployments", "web", 2, cluster.ago(minutes=7))
    return "CTRL009", "kube-scheduler", CRITICAL


def controllers_down(cluster: K3s) -> Expected:
    """A pod was deleted and none takes its place; a node died and counts as Ready still."""
    cluster.get("leases", "kube-controller-manager")["spec"]["renewTime"] = micro(cluster.now - timedelta(minutes=20))
    controller_asleep(cluster)
    lost_replicas(cluster)
    cluster.get("leases", "a1")["spec"]["renewTime"] = micro(cluster.now - timedelta(minutes=9))
    return "CTRL009", "kube-controller-manager", CRITICAL


def leader_with_a_clock_behind(cluster: K3s) -> Expected:
    """What it leads looks as if nobody did."""
    for name in ("s1", "kube-scheduler", "kube-controller-manager"):
        cluster.get("leases", name)["spec"]["renewTime"] = micro(cluster.now - timedelta(minutes=5))
    return "NODE007", "s1", CRITICAL


def node_certificates(cluster: K3s, name: str, reason: str, message: str, **age: float) -> Json:
    event = cluster.event("Node", "default", name, reason, message, **age)
    # As the kubelet's events, by the node's name for its uid.
    event["involvedObject"] = {"kind": "Node", "name": name, "uid": name}
    return event


def node_certificates_end(cluster: K3s) -> Expected:
    why = (
        "Node certificates require attention - restart k3s on this node: client-kubelet.crt will expire within 120 days"
    )
    node_certificates(cluster, "s2", "CertificateExpirationWarning", why, minutes=12)
    return "CERT003", "s2", WARNING


def node_certificates_ended(cluster: K3s) -> Expected:
    """On one server both the authority and what it has signed."""
    why = "client-kubelet.crt: certificate CN=system:node:s2 (ClientAuth) expired at 2026-11-24T08:00:00Z"
    node_certificates(cluster, "s2", "CertificateExpirationWarning", why, minutes=12)
    why = "server-ca.crt: certificate CN=k3s-server-ca (CertSign) will expire within 365 days at 2027-06-01T08:00:00Z"
    node_certificates(cluster, "s2", "CACertificateExpirationWarning", why, minutes=12)
    return "CERT003", "s2", CRITICAL


def authority_ends(cluster: K3s) -> Expected:
    why = "server-ca.crt: certificate CN=k3s-server-ca (CertSign) will expire within 365 days at 2027-06-01T08:00:00Z"
    node_certificates(cluster, "s1", "CACertificateExpirationWarning", why, minutes=25)
    return "CERT003", "s1", WARNING


def etcd_server_down(cluster: K3s) -> Expected:
    """A dead server's condition still says that it votes."""
    since = cluster.ago(minutes=6)
    set_condition(cluster.get("nodes", "s2"), "Ready", "Unknown", "NodeStatusUnknown", since, "stopped posting")
    cluster.get("leases", "s2")["spec"]["renewTime"] = micro(cluster.now - timedelta(minutes=7))
    return "NODE001", "s2", CRITICAL


def learner_for_ever(cluster: K3s) -> Expected:
    node = cluster.get("nodes", "s3")
    set_condition(
        node, "EtcdIsVoter", "False", "MemberIsLearner", cluster.ago(minutes=20), "Node has not been promoted"
    )
    return "ETCD002", "s3", WARNING


def member_ill(cluster: K3s) -> Expected:
    """Its kubelet is well and its etcd is not: the leader asks each member every 15 seconds."""
    said = "failed to check etcd member status: context deadline exceeded"
    set_condition(cluster.get("nodes", "s3"), "EtcdIsVoter", "False", "Unhealthy", cluster.ago(minutes=4), said)
    return "ETCD002", "s3", WARNING


def no_member_any_more(cluster: K3s) -> Expected:
    said = "Node is not a member of the etcd cluster"
    set_condition(cluster.get("nodes", "s3"), "EtcdIsVoter", "False", "NotAMember", cluster.ago(minutes=20), said)
    return "ETCD002", "s3", WARNING


def no_member(cluster: K3s, name: str) -> None:
    """A server without etcd."""
    node = cluster.get("nodes", name)
    del node["metadata"]["labels"]["node-role.kubernetes.io/etcd"]
    node["status"]["conditions"] = [each for each in node["status"]["conditions"] if each["type"] != "EtcdIsVoter"]


def two_members(cluster: K3s) -> Expected:
    no_member(cluster, "s3")
    return "ETCD003", "etcd", WARNING


def snapshots_stopped(cluster: K3s) -> Expected:
    for file in cluster.lists["etcdsnapshotfiles"]:
        file["status"]["creationTime"] = cluster.ago(hours=40)
    return "ETCD004", "etcd", CRITICAL


def told(cluster: K3s, *arguments: str) -> None:
    """What all servers are told, as K3s writes it down."""
    for name in SERVERS:
        annotations = cluster.get("nodes", name)["metadata"]["annotations"]
        annotations["k3s.io/node-args"] = json.dumps(["server", *arguments])


def snapshots_turned_off(cluster: K3s) -> Expected:
    """Whoever did so may take them in another way, which K3s knows nothing of."""
    told(cluster, "--etcd-disable-snapshots")
    cluster.lists["etcdsnapshotfiles"] = []
    return "ETCD004", "etcd", WARNING


def weekly_snapshots_stopped(cluster: K3s) -> Expected:
    told(cluster, "--etcd-snapshot-schedule-cron", "0 3 * * 0")
    for file in cluster.lists["etcdsnapshotfiles"]:
        file["status"]["creationTime"] = cluster.ago(days=22)
    return "ETCD004", "etcd", CRITICAL


def one_snapshot_missed(cluster: K3s) -> Expected:
    for file in cluster.lists["etcdsnapshotfiles"]:
        file["status"]["creationTime"] = cluster.ago(hours=20)
    return "ETCD004", "etcd", WARNING


def database_nearly_full(cluster: K3s) -> Expected:
    """Each snapshot is a copy of it; one that was taken before somebody cleaned up does not count."""
    for file in cluster.lists["etcdsnapshotfiles"]:
        file["status"]["size"] = "1800Mi"
    failed_snapshot(cluster, 0, "", hours=24)["status"] |= {"readyToUse": True, "size": "2040Mi"}
    return "ETCD007", "etcd", WARNING


def database_nearly_at_a_quota_of_its_own(cluster: K3s) -> Expected:
    told(cluster, "--etcd-arg", "heartbeat-interval=500", "--etcd-arg", "quota-backend-bytes=4294967296")
    for file in cluster.lists["etcdsnapshotfiles"]:
        file["status"]["size"] = "4187593113"
    return "ETCD007", "etcd", CRITICAL


def no_snapshot_ever(cluster: K3s) -> Expected:
    cluster.lists["etcdsnapshotfiles"] = []
    return "ETCD004", "etcd", CRITICAL


def failed_snapshot(cluster: K3s, number: int, message: str, **age: float) -> Json:
    """One that was not taken, which is nowhere then, or not sent to S3."""
    like = cluster.lists["etcdsnapshotfiles"][number]
    return cluster.add(
        "etcdsnapshotfiles",
        "ETCDSnapshotFile",
        "k3s.cattle.io/v1",
        "",
        f"{like['metadata']['name']}-failed",
        spec={**like["spec"], "location": like["spec"]["location"] if "s3" in like["spec"] else ""},
        status={
            "creationTime": cluster.ago(**age),
            "readyToUse": False,
            "error": {"time": cluster.ago(**age), "message": message},
        },
    )


def snapshot_failed(cluster: K3s) -> Expected:
    failed_snapshot(cluster, 0, "etcdserver: no space left on device", hours=1)
    return "ETCD005", "s1", WARNING


def snapshot_kept_failing(cluster: K3s) -> Expected:
    """No room for two days: one fault, although none is recent either."""
    snapshots_stopped(cluster)
    failed_snapshot(cluster, 0, "no space left on device", hours=1)
    return "ETCD005", "s1", CRITICAL


def snapshot_not_in_s3(cluster: K3s) -> Expected:
    failed_snapshot(cluster, 1, "Access Denied.", hours=1)
    return "ETCD005", "etcd", WARNING


def s3_not_reached(cluster: K3s) -> Expected:
    """Then K3s does not tell which server it was, but by the snapshot's name."""
    spec = failed_snapshot(cluster, 1, "failed to initialize S3 client: bucket kept does not exist", hours=1)["spec"]
    spec |= {"location": "", "nodeName": "s3"}
    return "ETCD005", "etcd", WARNING


def full_disk_of_a_server(cluster: K3s) -> Expected:
    set_condition(cluster.get("nodes", "s1"), "DiskPressure", "True", "KubeletHasDiskPressure", cluster.ago(hours=2))
    failed_snapshot(cluster, 0, "no space left on device", hours=1)
    return "NODE002", "s1", WARNING


# -- pods and workloads -----------------------------------------------------------------------------------------------


def bad_image(cluster: K3s) -> Expected:
    """A rollout to an image that does not exist: the new ReplicaSet's pods wait, the deadline has passed."""
    since = cluster.ago(minutes=20)
    for pod in cluster.pods("web")[:2]:
        waiting(pod, "ImagePullBackOff", 'Back-off pulling image "nginx:nope"', since)
        pod["spec"]["containers"][0]["image"] = "nginx:nope"
    why = 'Failed to pull image "nginx:nope": rpc error: code = NotFound desc = nginx:nope: not found'
    cluster.event("Pod", "default", one_pod(cluster, "web")["metadata"]["name"], "Failed", why, minutes=2)
    deployment = short(cluster, "deployments", "web", 1, since)
    message = 'ReplicaSet "web-1" has timed out progressing.'
    set_condition(deployment, "Progressing", "False", "ProgressDeadlineExceeded", cluster.ago(minutes=10), message)
    return "POD002", "web-", CRITICAL


def fresh_bad_image(cluster: K3s) -> Expected:
    waiting(one_pod(cluster, "library"), "ErrImagePull", "no such host", cluster.ago(minutes=1))
    return "POD002", "library-", WARNING


def crash_loop(cluster: K3s) -> Expected:
    return crashing(cluster, "library", "cannot open /data")


def crashing(cluster: K3s, name: str, message: str) -> Expected:
    """A Deployment of one pod, which crashes with a message."""
    pod = one_pod(cluster, name)
    since = cluster.ago(minutes=12)
    unready(pod, since)
    ended = {"exitCode": 1, "reason": "Error", "finishedAt": cluster.ago(minutes=1), "message": message}
    pod["status"]["containerStatuses"][0] |= {
        "restartCount": 7,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}},
        "lastState": {"terminated": ended},
    }
    short(cluster, "deployments", name, 0, since)
    return "POD001", f"{name}-", CRITICAL


def crash_loop_between_crashes(cluster: K3s) -> Expected:
    crash_loop(cluster)
    one_pod(cluster, "library")["status"]["containerStatuses"][0]["state"] = {
        "running": {"startedAt": cluster.ago(seconds=20)}
    }
    return "POD001", "library-", CRITICAL


def crashing_backup(cluster: K3s) -> Expected:
    """A Job of a CronJob that has failed for good, its last pod still in the loop."""
    cluster.job("media", "backup-29402880", cronjob="backup", hours=1, failed=True)
    pod = cluster.pods("backup-29402880")[0]
    pod["status"] |= {"phase": "Running"}
    pod["status"]["containerStatuses"][0] |= {
        "restartCount": 6,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": cluster.ago(minutes=2)}},
    }
    return "POD001", "backup-29402880", WARNING


def out_of_memory_loop(cluster: K3s) -> Expected:
    crash_loop(cluster)
    last = one_pod(cluster, "library")["status"]["containerStatuses"][0]["lastState"]["terminated"]
    last |= {"exitCode": 137, "reason": "OOMKilled"}
    return "POD001", "library-", CRITICAL


def init_container_crashes(cluster: K3s) -> Expected:
    pod = one_pod(cluster, "library")
    waiting(pod, "PodInitializing", "", cluster.ago(minutes=30))
    pod["spec"]["initContainers"] = [{"name": "migrate", "image": "photos:2"}]
    pod["status"]["initContainerStatuses"] = [
        {
            "name": "migrate",
            "restartCount": 9,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 2, "reason": "Error", "finishedAt": cluster.ago(minutes=3)}},
        }
    ]
    short(cluster, "deployments", "library", 0, cluster.ago(minutes=30))
    return "POD001", "library-", CRITICAL


def initializing(cluster: K3s, pod: Json, **ago: float) -> None:
    """A pod whose one init container runs since."""
    since = cluster.ago(**ago)
    waiting(pod, "PodInitializing", "", since)
    set_condition(
        pod, "Initialized", "False", "ContainersNotInitialized", since, "with incomplete status: [wait-for-db]"
    )
    pod["spec"]["initContainers"] = [{"name": "wait-for-db", "image": "busybox:1.35"}]
    pod["status"]["initContainerStatuses"] = [
        {"name": "wait-for-db", "ready": False, "started": True, "state": {"running": {"startedAt": since}}}
    ]


def init_container_that_does_not_end(cluster: K3s) -> Expected:
    initializing(cluster, cluster.pods("database-1")[0], minutes=30)
    short(cluster, "statefulsets", "database", 1, cluster.ago(minutes=30))
    return "POD006", "database-1", WARNING


def out_of_memory_once(cluster: K3s) -> Expected:
    status = one_pod(cluster, "library")["status"]["containerStatuses"][0]
    ended = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": cluster.ago(hours=3)}
    status |= {"restartCount": 2, "lastState": {"terminated": ended}}
    return "POD008", "library-", WARNING


def restarts(cluster: K3s) -> Expected:
    status = one_pod(cluster, "library")["status"]["containerStatuses"][0]
    ended = {"exitCode": 139, "reason": "Error", "finishedAt": cluster.ago(minutes=40)}
    running = {"running": {"startedAt": cluster.ago(minutes=39)}}
    status |= {"restartCount": 5, "lastState": {"terminated": ended}, "state": running}
    return "POD009", "library-", WARNING


def missing_config_map(cluster: K3s) -> Expected:
    since = cluster.ago(minutes=8)
    for pod in cluster.pods("web"):
        waiting(pod, "CreateContainerConfigError", 'configmap "web" not found', since)
    short(cluster, "deployments", "web", 0, since)
    endpoints(cluster, "web", ready=False)
    return "POD003", "web-", CRITICAL


def odd_reason(cluster: K3s, **ago: float) -> None:
    """One of two containers runs, the other waits for a reason that only a later Kubernetes knows (RROUnsupported)."""
    pod = one_pod(cluster, "library")
    since = cluster.ago(**ago)
    unready(pod, since)
    pod["status"]["phase"] = "Pending"
    pod["spec"]["containers"].append({"name": "reader", "image": "photos:2"})
    why = "runtime does not support recursive read-only mounts"
    state = {"waiting": {"reason": "RROUnsupported", "message": why}}
    pod["status"]["containerStatuses"].append({"name": "reader", "ready": False, "restartCount": 0, "state": state})
    short(cluster, "deployments", "library", 0, since)


def container_that_waits_for_an_odd_reason(cluster: K3s) -> Expected:
    odd_reason(cluster, minutes=9)
    return "POD003", "library-", CRITICAL


def too_large(cluster: K3s) -> Expected:
    """A rollout to more memory than any node has: one more pod that nobody takes."""
    unschedulable(cluster, one_pod(cluster, "web"), "0/4 nodes are available: 4 Insufficient memory.", minutes=15)
    deployment = cluster.get("deployments", "web")
    deployment["status"]["replicas"] = 4
    message = 'ReplicaSet "web-2" has timed out progressing.'
    set_condition(deployment, "Progressing", "False", "ProgressDeadlineExceeded", cluster.ago(minutes=5), message)
    return "POD004", "web-", CRITICAL


def just_unschedulable(cluster: K3s) -> Expected:
    unschedulable(cluster, one_pod(cluster, "web"), "0/4 nodes are available: 4 Insufficient cpu.", minutes=2)
    return "POD004", "web-", WARNING


def missing_claim(cluster: K3s) -> Expected:
    message = '0/4 nodes are available: persistentvolumeclaim "data" not found.'
    pod = unschedulable(cluster, one_pod(cluster, "library"), message, minutes=15)
    pod["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    short(cluster, "deployments", "library", 0, cluster.ago(minutes=15))
    return "POD004", "library-", CRITICAL


def stuck_mount(cluster: K3s) -> Expected:
    """The NAS is off: the pod has a node and waits for its volume there."""
    since = cluster.ago(minutes=25)
    pod = one_pod(cluster, "library")
    waiting(pod, "ContainerCreating", "", since)
    set_condition(pod, "PodScheduled", "True", "", since)
    why = 'MountVolume.SetUp failed for volume "photos" : mount failed: mount.nfs: Connection timed out for 192.0.2.20'
    cluster.event("Pod", "media", pod["metadata"]["name"], "FailedMount", why, minutes=1)
    short(cluster, "deployments", "library", 0, since)
    return "POD005", "library-", CRITICAL


NFS = (
    'MountVolume.SetUp failed for volume "photos" : mount failed: exit status 32\nMounting command: mount\n'
    "Mounting arguments: -t nfs 192.0.2.20:/tank/photos /var/lib/kubelet/pods/0/volumes/kubernetes.io~nfs/photos\n"
    "Output: mount.nfs: "
)


def on_nfs(cluster: K3s, claim: str, server: str) -> None:
    """The volume of a claim, as csi-driver-nfs makes one."""
    name = cluster.get("persistentvolumeclaims", claim)["spec"]["volumeName"]
    spec = cluster.get("persistentvolumes", name)["spec"]
    del spec["local"], spec["nodeAffinity"]
    spec["csi"] = {"driver": "nfs.csi.k8s.io", "volumeAttributes": {"server": server, "share": "/tank/photos"}}


def waits_for_nfs(cluster: K3s, pod: Json, why: str) -> None:
    since = cluster.ago(minutes=25)
    waiting(pod, "ContainerCreating", "", since)
    set_condition(pod, "PodScheduled", "True", "", since)
    cluster.event("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"], "FailedMount", NFS + why, minutes=1)


def nas_gone(cluster: K3s) -> Expected:
    """One workload mounts by a claim, another by itself; what runs with a mount that hangs is not ready."""
    since = cluster.ago(minutes=25)
    on_nfs(cluster, "library", "192.0.2.20")
    waits_for_nfs(cluster, one_pod(cluster, "library"), "Connection timed out")
    short(cluster, "deployments", "library", 0, since)
    for pod in cluster.pods("web-"):
        pod["spec"]["volumes"].append({"name": "site", "nfs": {"server": "192.0.2.20", "path": "/tank/site"}})
    first, second, _ = cluster.pods("web-")
    waits_for_nfs(cluster, first, "No route to host")
    unready(second, since)
    short(cluster, "deployments", "web", 1, since)
    return "STOR007", "192.0.2.20", CRITICAL


def nas_gone_for_one_node(cluster: K3s) -> Expected:
    on_nfs(cluster, "library", "192.0.2.20")
    waits_for_nfs(cluster, one_pod(cluster, "library"), "Connection timed out")
    short(cluster, "deployments", "library", 0, cluster.ago(minutes=25))
    set_condition(cluster.get("nodes", "a1"), "NetworkUnavailable", "True", "NoRouteCreated", cluster.ago(minutes=30))
    return "NODE003", "a1", CRITICAL


def share_refused(cluster: K3s) -> Expected:
    """The server is there and lets nobody in: the pod's message says it best."""
    on_nfs(cluster, "library", "192.0.2.20")
    waits_for_nfs(cluster, one_pod(cluster, "library"), "access denied by server while mounting 192.0.2.20:/tank")
    short(cluster, "deployments", "library", 0, cluster.ago(minutes=25))
    return "POD005", "library-", CRITICAL


def volume_full(cluster: K3s) -> Expected:
    """The database's pod crashes for it; two nodes have it mounted."""
    on_nfs(cluster, "library", "192.0.2.20")
    cluster.mounted("s1", "media", "library", **filesystem(50, 3))
    cluster.mounted("s2", "media", "library", **filesystem(50, 1))
    crash_loop(cluster)
    last = one_pod(cluster, "library")["status"]["containerStatuses"][0]["lastState"]["terminated"]
    last["message"] = "could not extend file: No space left on device"
    return "STOR008", "library", CRITICAL


def volume_without_inodes(cluster: K3s) -> Expected:
    cluster.mounted("s1", "media", "later", **filesystem(50, 30, inodes=1000, inodes_free=140))
    return "STOR008", "later", WARNING


def shared_filesystem_full(cluster: K3s) -> Expected:
    """Two folders of one filesystem of the NAS."""
    cluster.claim("default", "site", node="a1")
    for namespace, name in (("default", "site"), ("media", "library")):
        on_nfs(cluster, name, "192.0.2.20")
        cluster.mounted("a1", namespace, name, **filesystem(500, 60))
    return "STOR008", "site", WARNING


def data_disk_full(cluster: K3s) -> Expected:
    """Local-path's volumes lie on one of their own, at /var/lib/rancher; the kubelet's is another."""
    for name in ("album", "music"):
        cluster.claim("media", name, node="s2")
    for pod in cluster.summaries["s2"]["pods"]:
        for volume in pod["volume"]:
            if "pvcRef" in volume:
                volume |= filesystem(900, 40)
    return "STOR008", "album", WARNING


def one_of_two_disks_full(cluster: K3s) -> Expected:
    """Local-path's volumes lie on two of one size; the other one is not as full."""
    for name, free in (("album", 100), ("music", 9)):
        cluster.claim("media", name, node="s2")
        cluster.mounted("s2", "media", name, **filesystem(900, free))
    return "STOR008", "music", CRITICAL


def disk_full(cluster: K3s) -> Expected:
    """The volume of local-path on it is as full as the disk itself."""
    cluster.summaries["a1"] = summary(free=9)
    cluster.mounted("a1", "media", "library", **filesystem(91.6, 9))
    return "NODE016", "a1", WARNING


def failing_probe(cluster: K3s) -> Expected:
    since = cluster.ago(minutes=15)
    pod = one_pod(cluster, "library")
    unready(pod, since)
    why = "Readiness probe failed: HTTP probe failed with statuscode: 503"
    cluster.event("Pod", "media", pod["metadata"]["name"], "Unhealthy", why, seconds=20)
    short(cluster, "deployments", "library", 0, since)
    return "POD006", "library-", CRITICAL


def evicted_long_over(cluster: K3s) -> Expected:
    """The pressure has gone, the evicted pods of one workload are still there."""
    for pod in cluster.pods("web")[:2]:
        pod["status"] |= {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
        pod["status"]["containerStatuses"] = []
        unready(pod, cluster.ago(hours=2))
    return "POD007", "web-", WARNING


def rejected(cluster: K3s, like: Json) -> Json:
    """A pod like another one, which the kubelet did not take."""
    pod = unschedulable(cluster, like, "", minutes=60)
    pod["spec"]["nodeName"] = like["spec"]["nodeName"]
    pod["status"] = {
        "phase": "Failed",
        "reason": "UnexpectedAdmissionError",
        "message": "Pod was rejected: Allocate failed due to no healthy devices present; cannot allocate unhealthy"
        " devices nvidia.com/gpu, which is unexpected",
        "startTime": cluster.ago(hours=1),
    }
    return pod


def rejected_each_time(cluster: K3s) -> Expected:
    """The plugin of the GPU does not come up: no pod gets its device."""
    pod = one_pod(cluster, "library")
    rejected(cluster, pod)
    cluster.lists["pods"].remove(pod)
    short(cluster, "deployments", "library", 0, cluster.ago(minutes=59))
    short(cluster, "replicasets", pod["metadata"]["ownerReferences"][0]["name"], 0, cluster.ago(minutes=59))
    return "POD007", "library", CRITICAL


def rejected_beside_another(cluster: K3s) -> Expected:
    """The other replica is ready as it was before; none has taken this one's place."""
    pod = cluster.pods("web")[0]
    rejected(cluster, pod)
    cluster.lists["pods"].remove(pod)
    short(cluster, "deployments", "web", 1, cluster.ago(minutes=59))
    short(cluster, "replicasets", pod["metadata"]["ownerReferences"][0]["name"], 1, cluster.ago(minutes=59))
    return "POD007", "web", WARNING


def pod_does_not_go(cluster: K3s) -> Expected:
    meta = one_pod(cluster, "library")["metadata"]
    meta |= {"deletionTimestamp": cluster.ago(minutes=20), "finalizers": ["example.net/hold"]}
    return "POD010", "library-", WARNING


def lost_replicas(cluster: K3s) -> Expected:
    """Replicas are missing and nothing else tells why: the controller does not make them."""
    short(cluster, "deployments", "metrics-server", 0, cluster.ago(minutes=15))
    cluster.lists["pods"].remove(one_pod(cluster, "metrics-server"))
    no_endpoints(cluster, "metrics-server")
    return "WORK001", "metrics-server", CRITICAL


def controller_asleep(cluster: K3s) -> Expected:
    meta = cluster.get("deployments", "web")["metadata"]
    meta["generation"] = 2
    meta["managedFields"][0]["time"] = cluster.ago(minutes=20)
    return "WORK003", "web", WARNING


def database_member_down(cluster: K3s) -> Expected:
    unready(cluster.pods("database-1")[0], cluster.ago(minutes=20))
    short(cluster, "statefulsets", "database", 1, cluster.ago(minutes=20))
    return "POD006", "database-1", CRITICAL


def statefulset_without_pod(cluster: K3s) -> Expected:
    cluster.lists["pods"].remove(cluster.pods("database-1")[0])
    short(cluster, "statefulsets", "database", 1, cluster.ago(minutes=20))
    return "WORK004", "database", WARNING


def statefulset_update_stuck(cluster: K3s) -> Expected:
    item = cluster.get("statefulsets", "database")
    item["status"] |= {"updatedReplicas": 0, "updateRevision": "database-2"}
    item["metadata"]["managedFields"][0]["time"] = cluster.ago(hours=1)
    return "WORK004", "database", WARNING


def daemonset_update_stuck(cluster: K3s) -> Expected:
    """Nobody makes the pods of the new revision, and those of the old one run on."""
    item = cluster.get("daemonsets", "svclb")
    item["status"]["updatedNumberScheduled"] = 1
    item["metadata"]["managedFields"][0]["time"] = cluster.ago(hours=1)
    return "WORK005", "svclb", WARNING


_DENIED = "is forbidden: ValidatingAdmissionPolicy 'tags' with binding 'tags' denied request: an image needs a tag"


def statefulset_whose_pod_is_refused(cluster: K3s) -> Expected:
    expected = statefulset_without_pod(cluster)
    said = f'create Pod database-1 in StatefulSet database failed error: pods "database-1" {_DENIED}'
    cluster.event("StatefulSet", "media", "database", "FailedCreate", said, minutes=4)
    return expected


_UNJUDGED = (
    "ValidatingAdmissionPolicy 'tags' with binding 'tags' denied request: expression 'object.metadata.labels['no-such']"
    " == 'x'' resulted in error: no such key: no-such"
)


def refuse_pods(cluster: K3s, why: str) -> None:
    """Two ReplicaSets, a StatefulSet, a DaemonSet and a Job get none."""
    for name in ("web", "library"):
        since = cluster.ago(minutes=30)
        replicaset = next(
            each for each in cluster.lists["replicasets"] if each["metadata"]["name"].startswith(f"{name}-")
        )
        message = why.format(pod=f"{name}-1")
        set_condition(replicaset, "ReplicaFailure", "True", "FailedCreate", since, message)
        deployment = short(cluster, "deployments", name, len(cluster.pods(name)) - 1, since)
        cluster.lists["pods"].remove(one_pod(cluster, name))
        set_condition(deployment, "Progressing", "False", "ProgressDeadlineExceeded", since, "timed out")
    statefulset_without_pod(cluster)
    said = why.format(pod="database-1")
    cluster.event(
        "StatefulSet", "media", "database", "FailedCreate", f"create Pod database-1 failed: {said}", minutes=4
    )
    daemonset_without_pod(cluster)
    name = cluster.get("daemonsets", "svclb")["metadata"]["name"]
    said = f"Error creating: {why.format(pod='svclb-1')}"
    cluster.event("DaemonSet", "kube-system", name, "FailedCreate", said, minutes=4)
    job = cluster.job("media", "reindex", hours=20)
    job["status"] = {"startTime": cluster.ago(hours=20)}
    said = f"Error creating: {why.format(pod='reindex-1')}"
    cluster.event("Job", "media", "reindex", "FailedCreate", said, minutes=4)


def policy_whose_expression_fails(cluster: K3s) -> Expected:
    """As Kubernetes 1.36 tells it."""
    refuse_pods(cluster, f'pods "{{pod}}" is forbidden: {_UNJUDGED}')
    return "CTRL013", "tags", CRITICAL


def policy_without_its_parameters(cluster: K3s) -> Expected:
    said = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
    refuse_pods(cluster, f"policy 'mounts' with binding 'mounts' denied request: {said}")
    return "CTRL013", "mounts", CRITICAL


def statefulset_whose_pod_a_webhook_holds_up(cluster: K3s) -> Expected:
    statefulset_without_pod(cluster)
    webhook_of_nobody(cluster)
    said = (
        "create Pod database-1 in StatefulSet database failed error: Internal error occurred: failed calling webhook"
        ' "policy.example.net": no endpoints available for service "gone"'
    )
    cluster.event("StatefulSet", "media", "database", "FailedCreate", said, minutes=4)
    return "CTRL011", "policy", CRITICAL


def daemonset_without_pod(cluster: K3s) -> Expected:
    cluster.lists["pods"].remove(cluster.pods("svclb")[0])
    short(cluster, "daemonsets", "svclb", 3, cluster.ago(minutes=20))
    return "WORK005", "svclb-traefik-1a2b3c4d", CRITICAL


def quota_full(cluster: K3s) -> Expected:
    """A quota lets no pod of the new ReplicaSet be made."""
    since = cluster.ago(minutes=30)
    replicaset = next(each for each in cluster.lists["replicasets"] if each["metadata"]["name"].startswith("web-"))
    message = 'pods "web-1" is forbidden: exceeded quota: home, requested: pods=1, used: pods=3, limited: pods=3'
    set_condition(replicaset, "ReplicaFailure", "True", "FailedCreate", since, message)
    deployment = short(cluster, "deployments", "web", 2, since)
    cluster.lists["pods"].remove(one_pod(cluster, "web"))
    set_condition(deployment, "ReplicaFailure", "True", "FailedCreate", since, message)
    set_condition(deployment, "Progressing", "False", "ProgressDeadlineExceeded", cluster.ago(minutes=20), "timed out")
    return "WORK006", "web-", CRITICAL


def job_failed(cluster: K3s) -> Expected:
    cluster.job("media", "backup-29402880", cronjob="backup", hours=1, failed=True)
    return "WORK007", "backup-29402880", WARNING


def jobs_failed_each_night(cluster: K3s) -> Expected:
    """Two nights of one CronJob are one fault."""
    for number, hours in ((29402880, 30), (29404320, 6)):
        cluster.job("media", f"backup-{number}", cronjob="backup", hours=hours, failed=True)
    cluster.lists["jobs"].remove(cluster.get("jobs", "backup-29401440"))
    cluster.lists["jobs"].remove(cluster.get("jobs", "backup-29400000"))
    return "WORK007", "backup-29402880", WARNING


def job_for_ever(cluster: K3s) -> Expected:
    job = cluster.job("media", "reindex", hours=20)
    job["status"] = {"active": 1, "startTime": cluster.ago(hours=20)}
    return "WORK008", "reindex", WARNING


def job_whose_pods_are_refused(cluster: K3s) -> Expected:
    """It tries for ever, and its CronJob, which forbids a second one, waits for it."""
    job = cluster.job("media", "backup-29402880", cronjob="backup", hours=12)
    cluster.lists["pods"].remove(cluster.pods("backup-29402880")[0])
    job["status"] = {"startTime": cluster.ago(hours=12), "ready": 0, "terminating": 0}
    said = f'Error creating: pods "backup-29402880-x2x1p" {_DENIED}'
    cluster.event("Job", "media", "backup-29402880", "FailedCreate", said, minutes=4)
    cluster.get("cronjobs", "backup")["status"]["active"] = [{"kind": "Job", "name": "backup-29402880"}]
    return "WORK008", "backup-29402880", WARNING


def unsuccessful(cluster: K3s, name: str, **status: object) -> Json:
    """A CronJob of each night that has not succeeded for three days."""
    item = cluster.cronjob("media", name)
    item["spec"]["failedJobsHistoryLimit"] = 0
    item["status"] = {"lastScheduleTime": cluster.ago(hours=12), "lastSuccessfulTime": cluster.ago(days=3), **status}
    return item


def cronjob_that_fails_without_a_trace(cluster: K3s) -> Expected:
    unsuccessful(cluster, "dump")
    return "WORK007", "dump", WARNING


def cronjob_whose_jobs_give_way(cluster: K3s) -> Expected:
    """Each hangs until the next one comes due and takes its place."""
    unsuccessful(cluster, "dump", active=[{"kind": "Job", "name": "dump-1"}])["spec"]["concurrencyPolicy"] = "Replace"
    return "WORK007", "dump", WARNING


def cronjob_not_started(cluster: K3s) -> Expected:
    """Each night since the day before yesterday its Job is refused."""
    cluster.lists["jobs"] = [each for each in cluster.lists["jobs"] if "backup" not in each["metadata"]["name"]]
    cluster.get("cronjobs", "backup")["status"] = {"lastScheduleTime": cluster.ago(hours=60)}
    why = 'Error creating job: jobs.batch "backup-29402880" is forbidden: no quota specified'
    cluster.event("CronJob", "media", "backup", "FailedCreate", why, minutes=4)
    return "WORK013", "backup", WARNING


def cronjob_never_started(cluster: K3s) -> Expected:
    """It was made two hours ago to run each five minutes."""
    item = cluster.cronjob("media", "sync")
    item["metadata"] |= {"creationTimestamp": cluster.ago(hours=2), "managedFields": []}
    item["spec"]["schedule"] = "*/5 * * * *"
    item["status"] = {}
    return "WORK013", "sync", WARNING


# -- storage ----------------------------------------------------------------------------------------------------------


def missing_class(cluster: K3s) -> Expected:
    """A claim of a class that does not exist, and the pod that waits for it."""
    since = cluster.ago(minutes=30)
    claim = cluster.claim("media", "photos", class_name="fast")
    claim["metadata"]["creationTimestamp"] = since
    message = "0/4 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    pod = unschedulable(cluster, one_pod(cluster, "library"), message, minutes=30)
    pod["spec"]["volumes"] = [{"name": "photos", "persistentVolumeClaim": {"claimName": "photos"}}]
    short(cluster, "deployments", "library", 0, since)
    return "STOR001", "photos", CRITICAL


def missing_class_unused(cluster: K3s) -> Expected:
    cluster.claim("media", "photos", class_name="fast")
    return "STOR001", "photos", WARNING


def no_default_class(cluster: K3s) -> Expected:
    cluster.get("storageclasses", "local-path")["metadata"]["annotations"] = {}
    cluster.claim("media", "photos", class_name=None)
    return "STOR001", "photos", WARNING


def provisioner_fails(cluster: K3s) -> Expected:
    claim = cluster.claim("media", "photos")
    claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] = "a1"
    why = "failed to provision volume with StorageClass: create process timeout after 120 seconds"
    cluster.event("PersistentVolumeClaim", "media", "photos", "ProvisioningFailed", why, minutes=3)
    return "STOR001", "photos", WARNING


def namespace_held_by_a_pod(cluster: K3s) -> Expected:
    """One finalizer holds a pod, the pod its claim, both their namespace."""
    pod_does_not_go(cluster)
    cluster.get("persistentvolumeclaims", "library")["metadata"]["deletionTimestamp"] = cluster.ago(minutes=20)
    namespace_does_not_go(cluster)
    return "POD010", "library-", WARNING


def volume_held_by_a_dead_node(cluster: K3s) -> Expected:
    """The replacement of a pod on a dead node waits for a volume that is still attached there."""
    expected = dead_node(cluster)
    pod = cluster.add(
        "pods",
        "Pod",
        "v1",
        "media",
        "library-again",
        metadata={"creationTimestamp": cluster.ago(minutes=14)},
        spec={**one_pod(cluster, "library")["spec"], "nodeName": "s2"},
        status={"phase": "Pending", "conditions": [condition("PodScheduled", "True", "", cluster.ago(minutes=14))]},
    )
    why = 'Multi-Attach error for volume "pvc-1": Volume is already used by pod(s) library-1'
    cluster.event("Pod", "media", pod["metadata"]["name"], "FailedAttachVolume", why, minutes=2)
    return expected


def claim_does_not_go(cluster: K3s) -> Expected:
    cluster.get("persistentvolumeclaims", "library")["metadata"]["deletionTimestamp"] = cluster.ago(hours=2)
    return "STOR002", "library", WARNING


# -- the way in -------------------------------------------------------------------------------------------------------


def balancer(cluster: K3s, name: str, port: int, *, since: str, old: bool = False) -> list[Json]:
    """Another LoadBalancer Service, and the pods that ServiceLB makes for it, which wait as the scheduler says."""
    service = cluster.service("media", name, "library", [("http", port, "TCP")])
    service["spec"]["type"] = "LoadBalancer"
    service["metadata"]["creationTimestamp"] = since
    labels = {"svccontroller.k3s.cattle.io/svcname": name}
    if not old:
        labels["svccontroller.k3s.cattle.io/svcnamespace"] = "media"
    svclb = "svclb-" + name
    made = cluster.daemonset("media" if old else "kube-system", svclb, labels=labels, containers=(f"lb-tcp-{port}",))
    made["spec"]["template"] = {"metadata": {"labels": {"app": svclb, **labels}}}
    if old:
        made["metadata"]["labels"] = {"svccontroller.k3s.cattle.io/nodeselector": "false"}
    made["status"] |= {"numberReady": 0, "numberAvailable": 0}
    message = "0/4 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."
    for pod in cluster.pods(svclb):
        del pod["spec"]["nodeName"]
        pod["spec"]["containers"][0]["ports"] = [{"containerPort": port, "hostPort": port, "protocol": "TCP"}]
        pod["status"] = {"phase": "Pending", "conditions": []}
        set_condition(pod, "PodScheduled", "False", "Unschedulable", since, message)
    return cluster.pods(svclb)


def balancer_port_taken(cluster: K3s) -> Expected:
    balancer(cluster, "photos", 443, since=cluster.ago(minutes=20))
    return "NET001", "photos", CRITICAL


def balancer_port_taken_on_old_k3s(cluster: K3s) -> Expected:
    balancer(cluster, "photos", 80, since=cluster.ago(minutes=3), old=True)
    return "NET001", "photos", CRITICAL


def balancer_port_taken_lately(cluster: K3s) -> Expected:
    """The pods that wait for the port are told of after a minute, so the Service that wants it is, too."""
    for pod in balancer(cluster, "photos", 443, since=cluster.ago(seconds=90)):
        pod["metadata"]["creationTimestamp"] = cluster.ago(seconds=90)
    return "NET001", "photos", CRITICAL


def balancer_image(cluster: K3s) -> Expected:
    """The image of ServiceLB cannot be pulled, so no Service gets an address."""
    for pod in cluster.pods("svclb"):
        waiting(pod, "ImagePullBackOff", "no such host", cluster.ago(minutes=20))
    short(cluster, "daemonsets", "svclb", 0, cluster.ago(minutes=20))
    cluster.get("services", "traefik")["status"] = {"loadBalancer": {}}
    return "POD002", "svclb-", CRITICAL


def balanced_and_down(cluster: K3s) -> Expected:
    balanced_locally(cluster)
    endpoints(cluster, "photos", ready=False)
    unready(one_pod(cluster, "library"), cluster.ago(minutes=40))
    short(cluster, "deployments", "library", 0, cluster.ago(minutes=40))
    return "POD006", "library", CRITICAL


def balanced_locally(cluster: K3s) -> None:
    """With externalTrafficPolicy Local ServiceLB gives no address of a node without a ready pod: none at all."""
    service = cluster.service("media", "photos", "library", [("http", 8443, "TCP")])
    service["spec"] |= {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}
    labels = {
        f"svccontroller.k3s.cattle.io/{key}": value for key, value in (("svcname", "photos"), ("svcnamespace", "media"))
    }
    cluster.daemonset("kube-system", "svclb-photos", labels=labels, containers=("lb-tcp-8443",))


def no_balancer(cluster: K3s) -> Expected:
    """ServiceLB is left out, and MetalLB was never installed."""
    left_out(cluster, "servicelb")
    for kind in ("daemonsets", "pods"):
        cluster.lists[kind] = [each for each in cluster.lists[kind] if "svclb" not in each["metadata"]["name"]]
    cluster.get("services", "traefik")["status"] = {"loadBalancer": {}}
    return "NET001", "traefik", CRITICAL


def left_out(cluster: K3s, names: str) -> None:
    """By the list of one server, as K3s writes its arguments down."""
    arguments = ["server", "--disable", names, "--cluster-init", "true"]
    cluster.get("nodes", "s1")["metadata"]["annotations"]["k3s.io/node-args"] = json.dumps(arguments)


def class_of_no_balancer(cluster: K3s) -> Expected:
    service = cluster.service("media", "photos", "library", [("http", 8443, "TCP")])
    service["spec"] |= {"type": "LoadBalancer", "loadBalancerClass": "io.cilium/l2-announcer"}
    return "NET001", "photos", CRITICAL


def selector_mistyped(cluster: K3s) -> Expected:
    """An Ingress leads to a Service that selects nobody."""
    cluster.get("services", "web")["spec"]["selector"] = {"app.kubernetes.io/name": "wbe"}
    no_endpoints(cluster, "web")
    return "NET002", "web", CRITICAL


def selector_of_nobody(cluster: K3s) -> Expected:
    cluster.service("media", "photos", "photo", [("http", 80, "TCP")])
    no_endpoints(cluster, "photos")
    return "NET002", "photos", WARNING


def endpoints_missed(cluster: K3s) -> Expected:
    """All is well with the pods, and no controller tells of them."""
    no_endpoints(cluster, "web")
    return "NET002", "web", CRITICAL


def nobody_writes_endpoints(cluster: K3s) -> Expected:
    """An Ingress leads to a Service without selector, whose endpoints somebody forgot to write."""
    del cluster.get("services", "web")["spec"]["selector"]
    cluster.lists["endpointslices"].remove(cluster.get("endpointslices", "web"))
    return "NET002", "web", CRITICAL


def route_to_nobody(cluster: K3s) -> Expected:
    """As an Ingress, so an IngressRoute."""
    route(cluster, "photos", {"name": "photos", "port": 80})
    selector_of_nobody(cluster)
    return "NET002", "photos", CRITICAL


def route(cluster: K3s, name: str, service: Json) -> None:
    rule = {"kind": "Rule", "match": f"Host(`{name}.example.net`)", "services": [service]}
    cluster.add("ingressroutes", "IngressRoute", "traefik.io/v1alpha1", "media", name, spec={"routes": [rule]})


def unnamed_target_port(cluster: K3s) -> Expected:
    """Pods have no port of that name, so the endpoints come without it."""
    cluster.get("services", "web")["spec"]["ports"][0]["targetPort"] = "htpp"
    cluster.get("endpointslices", "web")["ports"] = []
    return "NET003", "web", CRITICAL


def missing_ingress_class(cluster: K3s) -> Expected:
    cluster.get("ingresses", "web")["spec"]["ingressClassName"] = "nginx"
    return "NET004", "web", CRITICAL


def ingress_of_no_class(cluster: K3s) -> Expected:
    """Without Traefik somebody must be named."""
    ingress = unclassed(cluster)
    ingress["status"] = {"loadBalancer": {}}
    left_out(cluster, "traefik")
    remove_deployment(cluster, "traefik")
    scale_service_away(cluster, "traefik")
    cluster.lists["ingressclasses"] = []
    return "NET004", "web", CRITICAL


def scale_service_away(cluster: K3s, name: str) -> None:
    cluster.lists["services"].remove(cluster.get("services", name))
    cluster.lists["endpointslices"].remove(cluster.get("endpointslices", name))


def unclassed(cluster: K3s) -> Json:
    ingress = cluster.get("ingresses", "web")
    del ingress["spec"]["ingressClassName"]
    return ingress


def ingress_annotated_for_nobody(cluster: K3s) -> Expected:
    ingress = unclassed(cluster)
    ingress["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "nginx"}
    ingress["status"] = {"loadBalancer": {}}
    return "NET004", "web", WARNING


def missing_backend(cluster: K3s) -> Expected:
    backend(cluster)["name"] = "wbe"
    return "NET005", "web", CRITICAL


def backend(cluster: K3s) -> Json:
    rule = cluster.get("ingresses", "web")["spec"]["rules"][0]
    found: Json = rule["http"]["paths"][0]["backend"]["service"]
    return found


def wrong_backend_port(cluster: K3s) -> Expected:
    backend(cluster)["port"] = {"number": 8080}
    return "NET005", "web", CRITICAL


def name_of_an_unnamed_port(cluster: K3s) -> Expected:
    del cluster.get("services", "web")["spec"]["ports"][0]["name"]
    cluster.get("endpointslices", "web")["ports"][0]["name"] = ""
    backend(cluster)["port"] = {"name": "http"}
    return "NET005", "web", CRITICAL


def missing_backend_of_old(cluster: K3s) -> Expected:
    """As networking.k8s.io/v1beta1 has it."""
    path = cluster.get("ingresses", "web")["spec"]["rules"][0]["http"]["paths"][0]
    path["backend"] = {"serviceName": "web", "servicePort": "https"}
    return "NET005", "web", CRITICAL


def missing_route(cluster: K3s) -> Expected:
    route(cluster, "photos", {"name": "photos", "port": 80})
    return "NET005", "photos", CRITICAL


# -- what K3s brings along --------------------------------------------------------------------------------------------


def dns_crashes(cluster: K3s) -> Expected:
    endpoints(cluster, "kube-dns", ready=False)
    return crashing(cluster, "coredns", "plugin/forward: no nameservers found")


def dns_not_ready(cluster: K3s) -> Expected:
    """For a minute and a half: too short for a pod of any other kind."""
    unready(one_pod(cluster, "coredns"), cluster.ago(seconds=90))
    endpoints(cluster, "kube-dns", ready=False)
    return "ADDON001", "kube-dns", CRITICAL


def dns_missed(cluster: K3s) -> Expected:
    """What cannot resolve names crashes, and says why."""
    crashing(cluster, "library", "dial tcp: lookup database on 10.43.0.10:53: read: connection refused")
    return dns_not_ready(cluster)


def dns_deleted(cluster: K3s) -> Expected:
    remove_deployment(cluster, "coredns")
    no_endpoints(cluster, "kube-dns")
    return "ADDON002", "coredns", CRITICAL


def dns_scaled_to_nothing(cluster: K3s) -> Expected:
    scale_to_nothing(cluster, "coredns")
    no_endpoints(cluster, "kube-dns")
    return "ADDON002", "coredns", CRITICAL


def dns_service_deleted(cluster: K3s) -> Expected:
    cluster.lists["services"].remove(cluster.get("services", "kube-dns"))
    return "ADDON001", "kube-dns", CRITICAL


def remove_deployment(cluster: K3s, name: str) -> None:
    for kind in ("deployments", "replicasets", "pods"):
        cluster.lists[kind] = [each for each in cluster.lists[kind] if not each["metadata"]["name"].startswith(name)]


def scale_to_nothing(cluster: K3s, name: str) -> None:
    deployment = cluster.get("deployments", name)
    deployment["spec"]["replicas"] = 0
    deployment["status"] = {"observedGeneration": 1}
    cluster.lists["pods"].remove(one_pod(cluster, name))


def provisioner_deleted(cluster: K3s) -> Expected:
    remove_deployment(cluster, "local-path-provisioner")
    return "ADDON002", "local-path-provisioner", CRITICAL


def traefik_deleted(cluster: K3s) -> Expected:
    remove_deployment(cluster, "traefik")
    no_endpoints(cluster, "traefik")
    return "ADDON002", "traefik", CRITICAL


def metrics_scaled_to_nothing(cluster: K3s) -> Expected:
    scale_to_nothing(cluster, "metrics-server")
    no_endpoints(cluster, "metrics-server")
    return "ADDON002", "metrics-server", WARNING


def chart_failed(cluster: K3s) -> Expected:
    """Traefik's chart cannot be installed: its Job has given up, so nothing of it is there."""
    job = next(each for each in cluster.lists["jobs"] if each["metadata"]["name"] == "helm-install-traefik")
    job["status"] = {"failed": 6, "startTime": cluster.ago(hours=2)}
    set_condition(job, "Failed", "True", "BackoffLimitExceeded", cluster.ago(hours=1), "it has reached its limit")
    remove_deployment(cluster, "traefik")
    scale_service_away(cluster, "traefik")
    return "ADDON003", "traefik", CRITICAL


def chart_not_taken(cluster: K3s) -> Expected:
    """Of Helm 2: K3s makes no Job for it, and says so in the chart itself."""
    told = [
        {"type": "JobCreated", "status": "False"},
        {
            "type": "Failed",
            "status": "True",
            "reason": "Unsupported version",
            "message": "Only Helm v3 charts are supported",
        },
    ]
    chart = cluster.add("helmcharts", "HelmChart", "helm.cattle.io/v1", "media", "old", spec={"helmVersion": "v2"})
    chart["status"] = {"conditions": told}
    return "ADDON003", "old", WARNING


def chart_of_which_no_job_is_made(cluster: K3s) -> Expected:
    """It was changed for the worse, and the Job of before is done."""
    why = 'Failed to generate Job: secrets "values" not found'
    cluster.get("helmcharts", "traefik")["status"]["conditions"] = [
        {"type": "JobCreated", "status": "False"},
        {"type": "Failed", "status": "True", "reason": "Job create failed", "message": why},
    ]
    return "ADDON003", "traefik", CRITICAL


def unapplied(cluster: K3s, name: str, *, count: int, **age: float) -> None:
    """An Addon as K3s tells that it could not apply it."""
    source = f"/var/lib/rancher/k3s/server/manifests/{name}.yaml"
    if all(each["metadata"]["name"] != name for each in cluster.lists["addons"]):
        cluster.add("addons", "Addon", "k3s.cattle.io/v1", "kube-system", name)
    cluster.get("addons", name)["spec"] = {"source": source, "checksum": ""}
    why = f'Applying manifest at "{source}" failed: resource mapping not found'
    cluster.event("Addon", "kube-system", name, "ApplyManifestFailed", why, **age)["count"] = count


def manifest_of_ones_own_not_applied(cluster: K3s) -> Expected:
    unapplied(cluster, "photos", count=29, minutes=4)
    return "ADDON004", "photos", WARNING


def add_on_not_applied(cluster: K3s) -> Expected:
    unapplied(cluster, "local-storage", count=29, minutes=4)
    remove_deployment(cluster, "local-path-provisioner")
    return "ADDON004", "local-storage", CRITICAL


def chart_crashes(cluster: K3s) -> Expected:
    """The definitions fail, and so does what needs them."""
    for name in ("helm-install-traefik", "helm-install-traefik-crd"):
        job = next(each for each in cluster.lists["jobs"] if each["metadata"]["name"] == name)
        job["status"] = {"active": 1, "startTime": cluster.ago(minutes=20)}
    pod = cluster.pods("helm-install-traefik-crd")[0]
    pod["status"]["phase"] = "Running"
    pod["status"]["containerStatuses"][0] |= {
        "restartCount": 6,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": cluster.ago(minutes=2)}},
    }
    return "POD001", "helm-install-traefik-crd", CRITICAL


# -- what stands between ----------------------------------------------------------------------------------------------


def webhook(cluster: K3s, service: str, policy: str = "Fail", kind: str = "Validating") -> Json:
    """An admission webhook at a Service of the namespace default."""
    return cluster.add(
        f"{kind.lower()}webhookconfigurations",
        f"{kind}WebhookConfiguration",
        "admissionregistration.k8s.io/v1",
        "",
        "policy",
        webhooks=[
            {
                "name": "policy.example.net",
                "failurePolicy": policy,
                "clientConfig": {"service": {"namespace": "default", "name": service, "port": 443}},
            }
        ],
    )


def webhook_of_nobody(cluster: K3s) -> Expected:
    """Its operator was deleted, and left it behind."""
    webhook(cluster, "gone")
    return "CTRL011", "policy", CRITICAL


def webhook_that_may_be_missed(cluster: K3s) -> Expected:
    webhook(cluster, "gone", "Ignore", "Mutating")
    return "CTRL011", "policy", WARNING


def budget(cluster: K3s, allowed: int, healthy: int = 1) -> Json:
    status = {"currentHealthy": healthy, "desiredHealthy": 1, "expectedPods": 1, "disruptionsAllowed": allowed}
    return cluster.add("poddisruptionbudgets", "PodDisruptionBudget", "policy/v1", "media", "web", status=status)


def budget_that_lets_none_go(cluster: K3s) -> Expected:
    budget(cluster, 0)
    return "WORK009", "web", WARNING


def operated(cluster: K3s, kind: str, owned: str, name: str, labels: dict[str, str]) -> None:
    """A pod that an operator makes for an object of its own."""
    cluster.pod("media", name, node="a1", image="", labels=labels, owner_=(kind, owned), containers=("main",))


def budget_of(cluster: K3s, name: str, labels: dict[str, str]) -> Json:
    made = budget(cluster, 0)
    made["metadata"]["name"] = name
    made["spec"] = {"minAvailable": 1, "selector": {"matchLabels": labels}}
    return made


def database(cluster: K3s, instances: int) -> None:
    """CloudNativePG's, with its budget of the primary."""
    labels = {"cnpg.io/cluster": "photos", "cnpg.io/instanceRole": "primary"}
    for number in range(1, instances + 1):
        role = labels if number == 1 else labels | {"cnpg.io/instanceRole": "replica"}
        operated(cluster, "Cluster", "photos", f"photos-{number}", role)
    owners = cluster.pods("photos-1")[0]["metadata"]["ownerReferences"]
    budget_of(cluster, "photos-primary", labels)["metadata"]["ownerReferences"] = owners


def budget_of_the_only_instance(cluster: K3s) -> Expected:
    """There is none that could become the primary; another cluster's cannot."""
    database(cluster, 1)
    operated(cluster, "Cluster", "notes", "notes-1", {"cnpg.io/cluster": "notes"})
    return "WORK009", "photos-primary", WARNING


def autoscaler(cluster: K3s, condition: str, status: str, reason: str, message: str, since: str) -> Json:
    told = {"type": condition, "status": status, "reason": reason, "message": message, "lastTransitionTime": since}
    return cluster.add(
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        "autoscaling/v2",
        "media",
        "web",
        spec={"maxReplicas": 4, "scaleTargetRef": {"kind": "Deployment", "name": "web"}},
        status={"currentReplicas": 4, "conditions": [told]},
    )


def autoscaler_of_nobody(cluster: K3s) -> Expected:
    said = 'the HPA controller was unable to get the target\'s current scale: deployments.apps "wbe" not found'
    autoscaler(cluster, "AbleToScale", "False", "FailedGetScale", said, cluster.ago(minutes=10))
    return "WORK011", "web", WARNING


def autoscaler_without_metrics(cluster: K3s) -> Expected:
    """What it goes by comes from a server that does not answer, which is to be told."""
    expected = api_service_down(cluster)
    said = "failed to get cpu utilization: unable to fetch metrics from resource metrics API"
    autoscaler(cluster, "ScalingActive", "False", "FailedGetResourceMetric", said, cluster.ago(minutes=10))
    return expected


def autoscaler_of_what_crashes(cluster: K3s) -> Expected:
    """Pods that are not ready have no metrics, which is not the metrics' fault."""
    expected = crash_loop(cluster)
    said = "failed to get cpu utilization: no metrics returned from resource metrics API"
    made = autoscaler(cluster, "ScalingActive", "False", "FailedGetResourceMetric", said, cluster.ago(minutes=10))
    made["spec"]["scaleTargetRef"]["name"] = "library"
    return expected


def webhook_scaled_to_nothing(cluster: K3s) -> Expected:
    """Nobody is at home by intention, and all that is to be written is refused."""
    webhook(cluster, "policy")
    cluster.service("default", "policy", "policy", [("https", 443, "TCP")])
    no_endpoints(cluster, "policy")
    cluster.deployment("default", "policy", nodes=(), image="policy:1")
    return "CTRL011", "policy", CRITICAL


def volume_that_cannot_be_deleted(cluster: K3s) -> Expected:
    """Of K3s' local-path: its claim was deleted after its node had been taken out of the cluster."""
    volume = cluster.lists["persistentvolumes"][0]
    volume_on_a_node_that_is_gone(cluster)
    volume["status"]["phase"] = "Released"
    return "STOR003", volume["metadata"]["name"], WARNING


def balancer_on_some_nodes(cluster: K3s) -> Expected:
    """It has an address, and on one node the port is another's."""
    _, *others = balancer(cluster, "photos", 443, since=cluster.ago(minutes=3))
    for pod in others:
        pod["spec"]["nodeName"] = "s1"
        pod["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    cluster.get("services", "photos")["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.11"}]}}
    return "NET001", "photos", WARNING


def quota(cluster: K3s, hard: str, used: str) -> Json:
    status = {"hard": {"pods": hard, "requests.memory": "0"}, "used": {"pods": used, "requests.memory": "0"}}
    return cluster.add("resourcequotas", "ResourceQuota", "v1", "media", "few", status=status)


def quota_nearly_used_up(cluster: K3s) -> Expected:
    quota(cluster, "20", "19")
    return "WORK012", "few", WARNING


def volume_on_a_node_that_is_gone(cluster: K3s) -> Expected:
    """It was taken out of the cluster, and nobody thought of what lies on its disk."""
    volume = cluster.lists["persistentvolumes"][0]
    term = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]
    term["matchExpressions"][0]["values"] = ["a9"]
    return "STOR006", volume["spec"]["claimRef"]["name"], CRITICAL


def on_the_node_of_a_driver(cluster: K3s, node: str) -> Json:
    """A volume of TopoLVM."""
    for each in cluster.lists["nodes"]:
        each["metadata"]["labels"]["topology.topolvm.io/node"] = each["metadata"]["name"]
    volume = cluster.lists["persistentvolumes"][0]
    term = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]
    term["matchExpressions"] = [{"key": "topology.topolvm.io/node", "operator": "In", "values": [node]}]
    return volume


def volume_on_a_node_of_a_driver_that_is_gone(cluster: K3s) -> Expected:
    volume = on_the_node_of_a_driver(cluster, "a9")
    return "STOR006", volume["spec"]["claimRef"]["name"], CRITICAL


def gateway(cluster: K3s, status: str, reason: str, since: str) -> Json:
    told = [{"type": "Accepted", "status": status, "reason": reason, "message": "", "lastTransitionTime": since}]
    return cluster.add(
        "gateways",
        "Gateway",
        "gateway.networking.k8s.io/v1",
        "media",
        "way-in",
        spec={"gatewayClassName": "traefik"},
        status={"conditions": told},
    )


def http_route(cluster: K3s, condition: str, status: str, since: str) -> Json:
    told = [{"type": condition, "status": status, "reason": "BackendNotFound", "lastTransitionTime": since}]
    return cluster.add(
        "httproutes",
        "HTTPRoute",
        "gateway.networking.k8s.io/v1",
        "media",
        "photos",
        spec={"parentRefs": [{"name": "way-in"}]},
        status={"parents": [{"parentRef": {"name": "way-in"}, "conditions": told}]},
    )


def gateway_that_nobody_sets_up(cluster: K3s) -> Expected:
    """Its status is the one that its definition (standard channel, v1.6.1) gives it. Its route waits for it."""
    waits, said = "1970-01-01T00:00:00Z", "Waiting for controller"
    told = [condition(each, "Unknown", "Pending", waits, said) for each in ("Accepted", "Programmed")]
    gateway(cluster, "Unknown", "Pending", waits)["status"]["conditions"] = told
    http_route(cluster, "Accepted", "False", cluster.ago(hours=1))["status"] = {}
    return "NET006", "way-in", CRITICAL


def listener(cluster: K3s, since: str) -> None:
    """One listener's certificate is missing, which leaves its Gateway accepted and set up where others are well."""
    gateway(cluster, "True", "Accepted", cluster.ago(hours=1))["status"]["listeners"] = [
        {
            "name": name,
            "attachedRoutes": 1,
            "supportedKinds": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}],
            "conditions": [
                condition("Accepted", "True", "Accepted", since),
                condition("ResolvedRefs", ready, "ResolvedRefs" if ready == "True" else "InvalidCertificateRef", since),
                condition("Programmed", ready, "Programmed" if ready == "True" else "Invalid", since),
            ],
        }
        for name, ready in (("http", "True"), ("https", "False"))
    ]


def listener_without_its_certificate(cluster: K3s) -> Expected:
    listener(cluster, cluster.ago(hours=1))
    return "NET006", "way-in", CRITICAL


def traefik_listener(cluster: K3s, since: str) -> None:
    """The same as Traefik's provider for the Gateway API tells it: no Gateway is accepted of which a listener is bad,
    and of that no more is told than what is bad."""
    listener(cluster, since)
    made = cluster.get("gateways", "way-in")
    made["spec"]["listeners"] = [
        {"name": "http", "port": 8000, "protocol": "HTTP"},
        {
            "name": "https",
            "port": 8443,
            "protocol": "HTTPS",
            "tls": {"mode": "Terminate", "certificateRefs": [{"kind": "Secret", "name": "photos-tls"}]},
        },
    ]
    refused = condition("Accepted", "False", "ListenersNotValid", since, "All Listeners must be valid")
    made["status"]["conditions"] = [refused]
    why = "Cannot load CertificateRef media/photos-tls: secret media/photos-tls does not exist"
    made["status"]["listeners"][1]["conditions"] = [
        condition("ResolvedRefs", "False", "InvalidCertificateRef", since, why),
        condition("Programmed", "False", "Invalid", since, "Invalid CertificateRefs"),
    ]


def traefik_listener_without_its_certificate(cluster: K3s) -> Expected:
    traefik_listener(cluster, cluster.ago(hours=1))
    return "NET006", "way-in", CRITICAL


def traefik_listener_whose_certificate_is_not_issued(cluster: K3s) -> Expected:
    """Nor is a route accepted for that."""
    traefik_listener(cluster, cluster.ago(hours=1))
    http_route(cluster, "Accepted", "False", cluster.ago(hours=1))
    certificate(cluster, "False", cluster.ago(hours=1), days=None)
    return "CERT004", "photos-tls", CRITICAL


def gateway_of_nginx_with_no_valid_listener(cluster: K3s) -> Expected:
    """NGINX Gateway Fabric says of one that is not accepted for its listeners that it is not set up either."""
    since, why = cluster.ago(hours=1), "The Gateway has no valid listeners"
    traefik_listener(cluster, since)
    told = [("Accepted", "ListenersNotValid"), ("Programmed", "Invalid")]
    cluster.get("gateways", "way-in")["status"]["conditions"] = [
        condition(name, "False", reason, since, why) for name, reason in told
    ]
    return "NET006", "way-in", CRITICAL


def listeners_in_conflict(cluster: K3s) -> Expected:
    """Two of one port and host, as Envoy Gateway's tests have it, and Traefik, which tells of the conflict alone."""
    since, why = cluster.ago(minutes=4), "All listeners for a given port must use a unique hostname"
    made = gateway(cluster, "True", "ListenersNotValid", since)
    conflict = condition("Conflicted", "True", "HostnameConflict", since, why)
    made["status"]["listeners"] = [
        {"name": "http-1", "conditions": [conflict]},
        {"name": "http-2", "conditions": [conflict, condition("Programmed", "False", "Invalid", since, "see others")]},
    ]
    return "NET006", "way-in", CRITICAL


def listener_that_lacks_one_certificate(cluster: K3s) -> Expected:
    """Of two, and is served with the other; Envoy Gateway's word for it."""
    since = cluster.ago(hours=1)
    listener(cluster, since)
    cluster.get("gateways", "way-in")["status"]["listeners"][1]["conditions"] = [
        condition("Accepted", "True", "Accepted", since),
        condition("ResolvedRefs", "False", "PartiallyInvalidCertificateRef", since, "Some secrets are invalid"),
        condition("Programmed", "True", "Programmed", since),
    ]
    return "NET006", "way-in", WARNING


def gateway_with_a_client_certificate_that_is_not_there(cluster: K3s) -> Expected:
    """The one that it shows to backends: the Gateway is at work all the same."""
    since = cluster.ago(hours=1)
    made = gateway(cluster, "True", "Accepted", since)
    made["status"]["conditions"].append(condition("ResolvedRefs", "False", "InvalidClientCertificateRef", since))
    return "NET006", "way-in", WARNING


def unprogrammed(cluster: K3s, reason: str, message: str) -> None:
    made = gateway(cluster, "True", "Accepted", cluster.ago(hours=1))
    made["status"]["conditions"].append(condition("Programmed", "False", reason, cluster.ago(hours=1), message))


def gateway_without_an_address(cluster: K3s) -> Expected:
    """Envoy Gateway makes a Service for it, in its own namespace, to which no load balancer gives one."""
    unprogrammed(cluster, "AddressNotAssigned", "No addresses have been assigned to the Gateway")
    service = cluster.service("default", "envoy-media-way-in-1a2b3c4d", "web", [("http", 8443, "TCP")])
    service["spec"] |= {"type": "LoadBalancer", "loadBalancerClass": "io.cilium/l2-announcer"}
    owning = "gateway.envoyproxy.io/owning-gateway"
    service["metadata"]["labels"] = {f"{owning}-name": "way-in", f"{owning}-namespace": "media"}
    return "NET001", "envoy-media-way-in", CRITICAL


def gateway_whose_proxy_crashes(cluster: K3s) -> Expected:
    """Istio's are owned by their Gateway."""
    unprogrammed(cluster, "NoResources", "no replicas are available")
    service = cluster.service("media", "way-in-istio", "library", [("http", 80, "TCP")])
    service["metadata"]["ownerReferences"] = [
        {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "name": "way-in", "uid": "1"}
    ]
    endpoints(cluster, "way-in-istio", ready=False)
    return crash_loop(cluster)


def certificate(cluster: K3s, ready: str, since: str, *, days: float | None, renewal: float = 30) -> Json:
    """cert-manager's, with so many days left; it is renewed when there are as many as `renewal` left."""
    status: Json = {"conditions": [condition("Ready", ready, "DoesNotExist", since, "Secret does not exist")]}
    if days is not None:
        end = cluster.now + timedelta(days=days)
        status |= {"notAfter": stamp(end), "renewalTime": stamp(end - timedelta(days=renewal))}
    spec = {"secretName": "photos-tls", "dnsNames": ["photos.example.net"]}
    version = "cert-manager.io/v1"
    return cluster.add("certificates", "Certificate", version, "media", "photos-tls", spec=spec, status=status)


def certificate_not_issued(cluster: K3s) -> Expected:
    certificate(cluster, "False", cluster.ago(hours=2), days=None)
    return "CERT004", "photos-tls", WARNING


def certificate_of_a_listener_not_issued(cluster: K3s) -> Expected:
    listener(cluster, cluster.ago(hours=1))
    tls = {"mode": "Terminate", "certificateRefs": [{"kind": "Secret", "name": "photos-tls"}]}
    cluster.get("gateways", "way-in")["spec"]["listeners"] = [{"name": "http"}, {"name": "https", "tls": tls}]
    certificate(cluster, "False", cluster.ago(hours=1), days=None)
    return "CERT004", "photos-tls", CRITICAL


def certificate_not_renewed(cluster: K3s) -> Expected:
    made = certificate(cluster, "True", cluster.ago(days=60), days=25)
    why = condition("Issuing", "False", "Failed", cluster.ago(hours=1), "The challenge has failed: no such host")
    made["status"]["conditions"].append(why)
    return "CERT004", "photos-tls", WARNING


def certificate_ended(cluster: K3s) -> Expected:
    certificate(cluster, "False", cluster.ago(hours=3), days=-0.125)
    return "CERT004", "photos-tls", CRITICAL


def route_with_a_parent_that_is_not_there(cluster: K3s) -> Expected:
    gateway(cluster, "True", "Accepted", cluster.ago(hours=1))
    http_route(cluster, "Accepted", "True", cluster.ago(hours=1))["spec"]["parentRefs"].append({"name": "way-inn"})
    return "NET007", "photos", CRITICAL


def route_of_a_gateway_that_is_gone(cluster: K3s) -> Expected:
    """Traefik leaves what it said of it as it was."""
    http_route(cluster, "Accepted", "True", cluster.ago(hours=1))
    return "NET007", "photos", CRITICAL


def route_refused_by_who_took_the_gateway_over(cluster: K3s) -> Expected:
    """What the controller before said stays, and a policy tells of itself beside them (Kuadrant)."""
    gateway(cluster, "True", "Accepted", cluster.ago(hours=1))
    route = http_route(cluster, "Accepted", "False", cluster.ago(hours=1))
    (refused,) = route["status"]["parents"]
    before = {**refused, "conditions": [condition("Accepted", "True", "Accepted", cluster.ago(days=9))]}
    affected = condition("kuadrant.io/AuthPolicyAffected", "True", "Accepted", cluster.ago(minutes=9))
    policy = {**refused, "controllerName": "kuadrant.io/policy-controller", "conditions": [affected]}
    route["status"]["parents"] = [refused, before, policy]
    return "NET007", "photos", CRITICAL


def route_taken_in_part(cluster: K3s) -> Expected:
    gateway(cluster, "True", "Accepted", cluster.ago(hours=1))
    route = http_route(cluster, "Accepted", "True", cluster.ago(hours=1))
    why = "Dropped Rule(s) 1: Path must be absolute"
    dropped = condition("PartiallyInvalid", "True", "UnsupportedValue", cluster.ago(hours=1), why)
    route["status"]["parents"][0]["conditions"].append(dropped)
    return "NET007", "photos", WARNING


def route_to_a_service_of_nobody(cluster: K3s) -> Expected:
    gateway(cluster, "True", "Accepted", cluster.ago(hours=1))
    route = http_route(cluster, "Accepted", "True", cluster.ago(hours=1))
    led = {"group": "", "kind": "Service", "name": "photos", "port": 80, "weight": 1}
    route["spec"]["rules"] = [{"backendRefs": [led, {"name": "web", "namespace": "default", "weight": 0}]}]
    selector_of_nobody(cluster)
    return "NET002", "photos", CRITICAL


def route_to_nowhere(cluster: K3s) -> Expected:
    gateway(cluster, "True", "Accepted", cluster.ago(hours=1))
    http_route(cluster, "ResolvedRefs", "False", cluster.ago(hours=1))
    return "NET007", "photos", CRITICAL


def claim_without_its_volume(cluster: K3s) -> Expected:
    claim = cluster.lists["persistentvolumeclaims"][0]
    claim["status"]["phase"] = "Lost"
    return "STOR003", claim["metadata"]["name"], CRITICAL


def volume_failed(cluster: K3s) -> Expected:
    volume = cluster.lists["persistentvolumes"][0]
    volume["status"] |= {"phase": "Failed", "message": "helper pod did not end"}
    return "STOR003", volume["metadata"]["name"], CRITICAL


def two_defaults(cluster: K3s) -> Expected:
    """Another provisioner was made the default, and K3s has done the same for its own when it started again."""
    for name in ("a-second", "longhorn"):
        cluster.add(
            "storageclasses",
            "StorageClass",
            "storage.k8s.io/v1",
            "",
            name,
            metadata={"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            provisioner="driver.longhorn.io",
        )
    return "STOR004", "a-second", WARNING


FAULTS: tuple[Fault, ...] = (
    dead_node,
    dead_node_as_older_schedulers_tell,
    node_not_ready,
    node_never_reported,
    disk_pressure,
    no_network,
    read_only_filesystem,
    silent_kubelet,
    late_lease,
    forgotten_cordon,
    clock_ahead,
    clock_behind,
    node_does_not_go,
    kubelet_too_old,
    agent_newer_than_servers,
    memory_used_up,
    memory_pressure,
    pods_enough,
    namespace_does_not_go,
    api_service_down,
    metrics_server_crashes,
    scheduler_down,
    controllers_down,
    leader_with_a_clock_behind,
    node_certificates_end,
    node_certificates_ended,
    authority_ends,
    etcd_server_down,
    learner_for_ever,
    member_ill,
    no_member_any_more,
    two_members,
    snapshots_stopped,
    snapshots_turned_off,
    weekly_snapshots_stopped,
    database_nearly_full,
    database_nearly_at_a_quota_of_its_own,
    one_snapshot_missed,
    no_snapshot_ever,
    snapshot_failed,
    snapshot_kept_failing,
    snapshot_not_in_s3,
    s3_not_reached,
    full_disk_of_a_server,
    bad_image,
    fresh_bad_image,
    crash_loop,
    crash_loop_between_crashes,
    crashing_backup,
    out_of_memory_loop,
    init_container_crashes,
    init_container_that_does_not_end,
    out_of_memory_once,
    restarts,
    missing_config_map,
    container_that_waits_for_an_odd_reason,
    too_large,
    just_unschedulable,
    missing_claim,
    stuck_mount,
    failing_probe,
    evicted_long_over,
    rejected_each_time,
    rejected_beside_another,
    pod_does_not_go,
    lost_replicas,
    controller_asleep,
    database_member_down,
    statefulset_without_pod,
    statefulset_update_stuck,
    daemonset_update_stuck,
    statefulset_whose_pod_is_refused,
    statefulset_whose_pod_a_webhook_holds_up,
    policy_whose_expression_fails,
    policy_without_its_parameters,
    daemonset_without_pod,
    quota_full,
    job_failed,
    jobs_failed_each_night,
    job_for_ever,
    job_whose_pods_are_refused,
    cronjob_that_fails_without_a_trace,
    cronjob_whose_jobs_give_way,
    cronjob_not_started,
    cronjob_never_started,
    nas_gone,
    volume_full,
    volume_without_inodes,
    shared_filesystem_full,
    data_disk_full,
    one_of_two_disks_full,
    disk_full,
    nas_gone_for_one_node,
    share_refused,
    missing_class,
    missing_class_unused,
    no_default_class,
    provisioner_fails,
    claim_does_not_go,
    namespace_held_by_a_pod,
    volume_held_by_a_dead_node,
    dns_crashes,
    dns_not_ready,
    dns_missed,
    dns_deleted,
    dns_scaled_to_nothing,
    dns_service_deleted,
    provisioner_deleted,
    traefik_deleted,
    metrics_scaled_to_nothing,
    chart_failed,
    chart_not_taken,
    chart_of_which_no_job_is_made,
    manifest_of_ones_own_not_applied,
    add_on_not_applied,
    chart_crashes,
    balancer_port_taken,
    balancer_port_taken_on_old_k3s,
    balancer_port_taken_lately,
    balancer_image,
    balanced_and_down,
    no_balancer,
    class_of_no_balancer,
    selector_mistyped,
    selector_of_nobody,
    endpoints_missed,
    nobody_writes_endpoints,
    route_to_nobody,
    unnamed_target_port,
    missing_ingress_class,
    ingress_of_no_class,
    ingress_annotated_for_nobody,
    missing_backend,
    wrong_backend_port,
    name_of_an_unnamed_port,
    missing_backend_of_old,
    missing_route,
    webhook_of_nobody,
    webhook_that_may_be_missed,
    budget_that_lets_none_go,
    budget_of_the_only_instance,
    autoscaler_of_nobody,
    autoscaler_without_metrics,
    quota_nearly_used_up,
    volume_on_a_node_that_is_gone,
    volume_on_a_node_of_a_driver_that_is_gone,
    certificate_not_issued,
    certificate_of_a_listener_not_issued,
    certificate_not_renewed,
    certificate_ended,
    gateway_that_nobody_sets_up,
    listener_without_its_certificate,
    route_with_a_parent_that_is_not_there,
    route_to_nowhere,
    traefik_listener_without_its_certificate,
    traefik_listener_whose_certificate_is_not_issued,
    gateway_of_nginx_with_no_valid_listener,
    listeners_in_conflict,
    listener_that_lacks_one_certificate,
    gateway_with_a_client_certificate_that_is_not_there,
    gateway_without_an_address,
    gateway_whose_proxy_crashes,
    route_of_a_gateway_that_is_gone,
    route_refused_by_who_took_the_gateway_over,
    route_taken_in_part,
    route_to_a_service_of_nobody,
    autoscaler_of_what_crashes,
    volume_that_cannot_be_deleted,
    balancer_on_some_nodes,
    webhook_scaled_to_nothing,
    claim_without_its_volume,
    volume_failed,
    two_defaults,
)


# -- what looks like a fault and is none ------------------------------------------------------------------------------


def just_cordoned(cluster: K3s) -> None:
    """Maintenance."""
    added = cluster.ago(hours=2)
    taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": added}
    cluster.get("nodes", "a1")["spec"] |= {"unschedulable": True, "taints": [taint]}


def rollout_on_its_way(cluster: K3s) -> None:
    deployment = short(cluster, "deployments", "web", 2, cluster.ago(minutes=1))
    set_condition(deployment, "Progressing", "True", "ReplicaSetUpdated", cluster.ago(minutes=1))
    pod = one_pod(cluster, "web")
    waiting(pod, "ContainerCreating", "", cluster.ago(minutes=1))
    set_condition(pod, "PodScheduled", "True", "", cluster.ago(minutes=1))


def restarted_a_moment_ago(cluster: K3s) -> None:
    """A pod was deleted by hand; the next one is not ready yet."""
    unready(one_pod(cluster, "library"), cluster.ago(seconds=40))
    short(cluster, "deployments", "library", 0, cluster.ago(seconds=40))


def whole_node_rebooted(cluster: K3s) -> None:
    """After a reboot the kubelet finds each container dead, many times over the months."""
    for pod in cluster.lists["pods"]:
        if pod["spec"]["nodeName"] == "s1" and pod["status"]["phase"] == "Running":
            for status in pod["status"]["containerStatuses"]:
                status |= {
                    "restartCount": 12,
                    "state": {"running": {"startedAt": cluster.ago(minutes=4)}},
                    "lastState": {
                        "terminated": {"exitCode": 255, "reason": "Unknown", "finishedAt": cluster.ago(minutes=4)}
                    },
                }


def ordered_shutdown(cluster: K3s) -> None:
    """A node that was shut down in order leaves its pods behind as failed."""
    for pod in cluster.pods("web")[:1]:
        pod["status"] |= {"phase": "Failed", "reason": "Terminated", "message": "Pod was terminated in response to"}
        unready(pod, cluster.ago(hours=1))


def container_that_waits_for_a_moment(cluster: K3s) -> None:
    odd_reason(cluster, minutes=2)


def rejected_after_a_reboot(cluster: K3s) -> None:
    """The GPU's plugin came up after the pods of old; another one got its device since (k3s-io/k3s#11530)."""
    pod = one_pod(cluster, "library")
    rejected(cluster, pod)
    pod["metadata"]["creationTimestamp"] = cluster.ago(minutes=59)
    cluster.lists["replicasets"].clear()


def rejected_until_the_device_was_there(cluster: K3s) -> None:
    """One after another, the last in the second in which the one was made that got it."""
    pod = one_pod(cluster, "library")
    pod["metadata"]["creationTimestamp"] = rejected(cluster, pod)["metadata"]["creationTimestamp"]


def rejected_by_a_node_that_starts(cluster: K3s) -> None:
    """Before it knows its own labels, and its pods of before the reboot count still; others took their place."""
    for reason, name in (("NodeAffinity", "web"), ("OutOfcpu", "library")):
        pod = rejected(cluster, one_pod(cluster, name))
        pod["status"] |= {"reason": reason, "message": f"Pod was rejected: {reason}"}


def ready_this_moment(cluster: K3s) -> None:
    """Their controllers have not counted it yet, or wait for minReadySeconds."""
    for kind, name in (("statefulsets", "database"), ("daemonsets", "svclb"), ("deployments", "web")):
        short(cluster, kind, name, 1, cluster.ago(days=9))
        set_condition(one_pod(cluster, name), "Ready", "True", "", cluster.ago(seconds=2))


def updates_on_their_way(cluster: K3s) -> None:
    """One pod after the other, the last one made four minutes ago."""
    statefulset_update_stuck(cluster)
    daemonset_update_stuck(cluster)
    for name in ("database-1", "svclb"):
        cluster.pods(name)[0]["metadata"]["creationTimestamp"] = cluster.ago(minutes=4)


def restarted_beside_an_old_eviction(cluster: K3s) -> None:
    first, second, _ = cluster.pods("web")
    old = unschedulable(cluster, first, "", minutes=4320)
    old["status"] |= {"phase": "Failed", "reason": "Evicted", "message": "low on memory", "conditions": []}
    old["status"]["startTime"] = cluster.ago(days=3)
    short(cluster, "deployments", "web", 2, "")
    unready(second, cluster.ago(seconds=40))


def init_containers_at_work(cluster: K3s) -> None:
    """One fetches a model, and a Job's restores something large."""
    initializing(cluster, one_pod(cluster, "library"), minutes=9)
    rolling = cluster.get("deployments", "library")
    set_condition(rolling, "Progressing", "True", "ReplicaSetUpdated", cluster.ago(minutes=9))
    short(cluster, "deployments", "library", 0, cluster.ago(minutes=9))
    running_job(cluster)
    initializing(cluster, cluster.pods("reindex")[0], hours=2)


def gated_pod(cluster: K3s) -> None:
    pod = unschedulable(cluster, one_pod(cluster, "web"), "Scheduling is blocked", minutes=60)
    pod["spec"]["schedulingGates"] = [{"name": "example.net/later"}]


def scaled_to_nothing(cluster: K3s) -> None:
    scale_to_nothing(cluster, "library")


def running_job(cluster: K3s) -> None:
    job = cluster.job("media", "reindex", hours=2)
    job["status"] = {"active": 1, "startTime": cluster.ago(hours=2)}


def old_evictions(cluster: K3s) -> None:
    pod = one_pod(cluster, "web")
    pod["status"] |= {"phase": "Failed", "reason": "Evicted", "message": "low on memory", "containerStatuses": []}
    unready(pod, cluster.ago(days=3))


def upgrade_of_servers(cluster: K3s) -> None:
    """In the middle of a rolling upgrade: one server is a minor ahead."""
    cluster.get("nodes", "s1")["status"]["nodeInfo"]["kubeletVersion"] = "v1.36.1+k3s1"


def deleted_a_moment_ago(cluster: K3s) -> None:
    one_pod(cluster, "library")["metadata"]["deletionTimestamp"] = stamp(cluster.now + timedelta(seconds=20))


def busy_and_full(cluster: K3s) -> None:
    """All CPUs at work for a moment, and more requested than a lost node leaves: good to know, and no fault."""
    for each in cluster.lists["nodes.metrics.k8s.io"]:
        each["usage"]["cpu"] = "3990123456n"
    for pod in cluster.pods("library"):
        pod["spec"]["containers"][0]["resources"]["requests"]["memory"] = "7000Mi"
    for name in ("s1", "s2", "s3"):
        cluster.get("nodes", name)["status"]["allocatable"]["memory"] = "2Gi"
        cluster.get("nodes.metrics.k8s.io", name)["usage"]["memory"] = "1Gi"


def just_back(cluster: K3s) -> None:
    """A node that was started again."""
    set_condition(cluster.get("nodes", "a1"), "Ready", "True", "KubeletReady", cluster.ago(minutes=5))


def cronjobs_at_work(cluster: K3s) -> None:
    """Suspended, waiting for its last Job, on workdays only, let go on a moment ago, once a year, and odd."""

    def made(name: str, schedule: str, days: float, **spec: object) -> Json:
        item = cluster.cronjob("media", name)
        item["metadata"]["managedFields"] = []
        item["spec"] |= {"schedule": schedule, **spec}
        item["status"] = {"lastScheduleTime": cluster.ago(days=days)}
        return item

    made("off", "0 3 * * *", 8, suspend=True)
    made("busy", "*/10 * * * *", 1)["status"]["active"] = [{"kind": "Job", "name": "busy-1"}]
    made("workdays", "0 3 * * MON-FRI", 5)
    written = {"manager": "kubectl", "operation": "Update", "time": cluster.ago(minutes=5)}
    made("let-go-on", "0 3 * * *", 8)["metadata"]["managedFields"] = [written]
    made("yearly", "@yearly", 9)
    made("odd", "every now and then", 9)


def cronjobs_of_which_nobody_knows_a_failure(cluster: K3s) -> None:
    """At it for long, too quick to be seen, suspended, succeeded a while ago, and of a version that does not tell."""
    unsuccessful(cluster, "at-it", active=[{"kind": "Job", "name": "at-it-1"}])
    unsuccessful(cluster, "quick")["spec"]["jobTemplate"] = {"spec": {"ttlSecondsAfterFinished": 0}}
    unsuccessful(cluster, "off")["spec"]["suspend"] = True
    unsuccessful(cluster, "once", lastSuccessfulTime=cluster.ago(hours=40))
    del unsuccessful(cluster, "of-old")["status"]["lastSuccessfulTime"]


def cluster_was_off(cluster: K3s) -> None:
    """For four days; its controllers have been at work again for ten minutes."""
    for name in ("kube-controller-manager", "kube-scheduler"):
        cluster.get("leases", name)["spec"]["acquireTime"] = micro(cluster.now - timedelta(minutes=10))
    cluster.get("cronjobs", "backup")["status"] = {"lastScheduleTime": cluster.ago(days=4)}


def one_server_was_off(cluster: K3s) -> None:
    """The same on SQLite, where only the node tells since when it is up."""
    sqlite(cluster)
    for node in cluster.lists["nodes"]:
        set_condition(node, "Ready", "True", "KubeletReady", cluster.ago(minutes=10))
    cluster.get("cronjobs", "backup")["status"] = {"lastScheduleTime": cluster.ago(days=4)}


def volumes_with_room(cluster: K3s) -> None:
    """Just enough room, one that nobody may write, figures that make no sense, and a node that tells nothing."""
    cluster.mounted("s1", "media", "later", **filesystem(100, 15))
    image = cluster.claim("media", "image", node="s1")
    image["spec"]["accessModes"] = ["ReadOnlyMany"]
    cluster.mounted("s1", "media", "image", **filesystem(1, 0))
    cluster.mounted("s2", "media", "odd", **filesystem(10, 11))
    cluster.mounted("s2", "media", "empty", capacityBytes=0, availableBytes=0)
    cluster.mounted("s2", "media", "block", capacityBytes=5 * 2**30)
    cluster.summaries["s3"] = {}
    cluster.summaries["s2"]["node"]["fs"] = filesystem(100, 10)


def volume_of_a_driver(cluster: K3s) -> None:
    on_the_node_of_a_driver(cluster, "a1")


def claim_within_its_time(cluster: K3s) -> None:
    """Its pod waits for the same as the claim itself, which has its two minutes: none of them tells of it yet."""
    claim = cluster.claim("media", "photos", class_name="fast")
    claim["metadata"]["creationTimestamp"] = cluster.ago(seconds=100)
    message = "0/4 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    pod = unschedulable(cluster, one_pod(cluster, "library"), message, minutes=1.5)
    pod["spec"]["volumes"] = [{"name": "photos", "persistentVolumeClaim": {"claimName": "photos"}}]


def dns_restarted(cluster: K3s) -> None:
    unready(one_pod(cluster, "coredns"), cluster.ago(seconds=50))
    endpoints(cluster, "kube-dns", ready=False)


def traefik_left_out(cluster: K3s) -> None:
    left_out(cluster, "servicelb,traefik")
    remove_deployment(cluster, "traefik")
    scale_service_away(cluster, "traefik")


def traefik_without_helm(cluster: K3s) -> None:
    """Without its Helm controller K3s installs no chart, though it has the manifest (k3s-io/k3s#8228)."""
    remove_deployment(cluster, "traefik")
    scale_service_away(cluster, "traefik")
    cluster.lists["jobs"] = [each for each in cluster.lists["jobs"] if "helm" not in each["metadata"]["name"]]
    for chart in cluster.lists["helmcharts"]:
        chart["status"] = {}
    for name in ("s1", "s2", "s3"):
        arguments = json.dumps(["server", "--disable-helm-controller", "true"])
        cluster.get("nodes", name)["metadata"]["annotations"]["k3s.io/node-args"] = arguments


def traefik_skipped(cluster: K3s) -> None:
    """By a file beside the manifest: K3s does not apply it, and has no Addon for it."""
    cluster.lists["addons"].remove(cluster.get("addons", "traefik"))
    remove_deployment(cluster, "traefik")
    scale_service_away(cluster, "traefik")


def traefik_on_each_node(cluster: K3s) -> None:
    """By the chart's own values."""
    remove_deployment(cluster, "traefik")
    labels = {"app.kubernetes.io/name": "traefik"}
    made = cluster.daemonset("kube-system", "traefik", labels=labels, containers=("traefik",))
    made["spec"]["template"] = {"metadata": {"labels": labels}}


def manifests_applied_in_the_end(cluster: K3s) -> None:
    """At the second try, and once it had been mended."""
    unapplied(cluster, "coredns", count=1, minutes=2)
    unapplied(cluster, "photos", count=40, minutes=12)


def first_start(cluster: K3s) -> None:
    """Nine minutes old: charts are being installed."""
    for node in cluster.lists["nodes"]:
        node["metadata"]["creationTimestamp"] = cluster.ago(minutes=9)
    for name in ("traefik", "metrics-server"):
        remove_deployment(cluster, name)
        no_endpoints(cluster, name)
    for service in cluster.lists["services"]:
        service["metadata"]["creationTimestamp"] = cluster.ago(minutes=4)
    for name in ("helm-install-traefik", "helm-install-traefik-crd"):
        job = next(each for each in cluster.lists["jobs"] if each["metadata"]["name"] == name)
        job["status"] = {"active": 1, "startTime": cluster.ago(minutes=9)}


def not_k3s(cluster: K3s) -> None:
    for node in cluster.lists["nodes"]:
        node["status"]["nodeInfo"]["kubeletVersion"] = "v1.35.6"
    for name in ("traefik", "local-path-provisioner"):
        remove_deployment(cluster, name)
    scale_service_away(cluster, "traefik")
    cluster.lists["addons"] = []


def cluster_just_made(cluster: K3s) -> None:
    """The metrics server is not up yet, no snapshot is due, the third server is still a learner."""
    for node in cluster.lists["nodes"]:
        node["metadata"]["creationTimestamp"] = cluster.ago(minutes=4)
    unavailable(cluster, "endpoints for service/metrics-server have no addresses", minutes=4)
    cluster.lists["etcdsnapshotfiles"] = []
    learner = cluster.get("nodes", "s3")
    set_condition(learner, "EtcdIsVoter", "False", "MemberIsLearner", cluster.ago(minutes=2))


def sqlite(cluster: K3s) -> None:
    """One server on SQLite: no role, no snapshots, and nothing takes a lease that cannot have a rival."""
    for name in ("s1", "s2", "s3"):
        no_member(cluster, name)
    cluster.lists["etcdsnapshotfiles"] = []
    cluster.lists["leases"] = [
        each for each in cluster.lists["leases"] if each["metadata"]["namespace"] != "kube-system"
    ]


def old_k3s(cluster: K3s) -> None:
    """1.21: members by their role alone, snapshots not told of."""
    for node in cluster.lists["nodes"]:
        node["status"]["conditions"] = [each for each in node["status"]["conditions"] if each["type"] != "EtcdIsVoter"]
        node["status"]["nodeInfo"]["kubeletVersion"] = "v1.21.2+k3s1"
    del cluster.lists["etcdsnapshotfiles"]


def four_members(cluster: K3s) -> None:
    """One more than needed bears no more, and is no fault."""
    cluster.get("nodes", "a1")["metadata"]["labels"]["node-role.kubernetes.io/etcd"] = "true"


def member_being_replaced(cluster: K3s) -> None:
    no_member(cluster, "s3")
    cluster.get("nodes", "s2")["metadata"]["creationTimestamp"] = cluster.ago(minutes=30)


def restarted_k3s(cluster: K3s) -> None:
    """That renewed the certificates; what the node had told before is listed for an hour."""
    node_certificates(cluster, "s2", "CertificateExpirationWarning", "will expire within 120 days", minutes=50)


def snapshot_failed_once(cluster: K3s) -> None:
    """And again on a server that has been taken away since."""
    failed_snapshot(cluster, 0, "etcdserver: too many requests", hours=30)
    spec = failed_snapshot(cluster, 1, "failed to initialize S3 client: timeout", hours=29)["spec"]
    spec |= {"location": "", "nodeName": "s3"}
    failed_snapshot(cluster, 0, "no space left on device", hours=1)["spec"]["nodeName"] = "s9"


def first_of_weekly_snapshots(cluster: K3s) -> None:
    """There are too few to tell the plan by; and it stays like that where two are kept."""
    told(cluster, "--etcd-snapshot-schedule-cron=0 3 * * 0", "--etcd-snapshot-retention", "2")
    for file in cluster.lists["etcdsnapshotfiles"]:
        file["status"]["creationTime"] = cluster.ago(days=6)


def large_database_with_room(cluster: K3s) -> None:
    """By a quota of its own, or by none; what was larger on a server that is gone, or was cleaned up, is past."""
    told(cluster, "--etcd-arg=quota-backend-bytes=8589934592")
    annotations = cluster.get("nodes", "s2")["metadata"]["annotations"]
    annotations["k3s.io/node-args"] = json.dumps(["server", "--etcd-arg", "quota-backend-bytes=-1"])
    for file in cluster.lists["etcdsnapshotfiles"]:
        file["status"]["size"] = "3Gi"
    for number, (name, hours) in enumerate((("s9", 1), ("s2", 1), ("s1", 13))):
        file = failed_snapshot(cluster, 0, "", hours=hours)
        file["metadata"]["name"] += f"-{number}"
        file["spec"]["nodeName"] = name
        file["status"] = {"creationTime": cluster.ago(hours=hours), "readyToUse": True, "size": "8000Mi"}


def snapshots_taken_otherwise(cluster: K3s) -> None:
    """On demand, by a timer of somebody's own."""
    told(cluster, "--etcd-disable-snapshots", "true")


def snapshots_once_a_week(cluster: K3s) -> None:
    """By plan."""
    cluster.lists["etcdsnapshotfiles"][1]["status"]["creationTime"] = cluster.ago(days=5)
    for number, days in enumerate((5, 12, 19)):
        file = failed_snapshot(cluster, 0, "", days=days)
        file["metadata"]["name"] = f"local-{number}"
        file["status"] = {"creationTime": cluster.ago(days=days), "readyToUse": True}
    del cluster.lists["etcdsnapshotfiles"][0]


def services_that_need_no_endpoints(cluster: K3s) -> None:
    """What leads elsewhere, what others write endpoints for, what an operator made in advance, what rests."""
    elsewhere = cluster.service("media", "elsewhere", "", [])
    elsewhere["spec"] = {"type": "ExternalName", "externalName": "nas.example.net"}
    bare = cluster.service("media", "bare", "", [("http", 80, "TCP")])
    bare["spec"]["clusterIP"] = "None"
    cluster.service("media", "by-hand", "", [("http", 80, "TCP")])
    members = cluster.service("media", "replicas", "replica", [("db", 5432, "TCP")])
    members["metadata"]["ownerReferences"] = [owner("Cluster", "media", "database")]
    cluster.service("media", "resting", "library", [("http", 80, "TCP")])
    scale_to_nothing(cluster, "library")
    for name in ("elsewhere", "bare", "by-hand", "replicas", "resting"):
        no_endpoints(cluster, name)
    route(cluster, "elsewhere", {"name": "elsewhere", "port": 443})
    route(cluster, "resting", {"name": "resting", "port": "http"})


def services_of_kube_prometheus_stack(cluster: K3s) -> None:
    """Its chart makes them to scrape pods that K3s has none of: they are in K3s' own process."""
    for part in ("kube-scheduler", "kube-controller-manager", "etcd", "kube-proxy"):
        name = f"kube-prometheus-stack-{part}"
        spec = cluster.service("kube-system", name, "", [("http-metrics", 10259, "TCP")], addresses=())["spec"]
        spec |= {"clusterIP": "None", "selector": {"k8s-app" if part == "kube-proxy" else "component": part}}


def service_within_its_time(cluster: K3s) -> None:
    """Made four minutes ago; and one whose pods were started again as long ago."""
    cluster.service("media", "photos", "photo", [("http", 80, "TCP")])["metadata"]["creationTimestamp"] = cluster.ago(
        minutes=4
    )
    no_endpoints(cluster, "photos")
    for pod in cluster.pods("web"):
        unready(pod, cluster.ago(minutes=4))
    endpoints(cluster, "web", ready=False)


def balancer_within_its_time(cluster: K3s) -> None:
    for pod in balancer(cluster, "photos", 443, since=cluster.ago(seconds=50)):
        pod["metadata"]["creationTimestamp"] = cluster.ago(seconds=50)


def balanced_and_scaled_to_nothing(cluster: K3s) -> None:
    balanced_locally(cluster)
    no_endpoints(cluster, "photos")
    scale_to_nothing(cluster, "library")


def balanced_and_restarted(cluster: K3s) -> None:
    """The same while its only pod is being replaced."""
    balanced_locally(cluster)
    endpoints(cluster, "photos", ready=False)
    unready(one_pod(cluster, "library"), cluster.ago(seconds=40))


def headless_database(cluster: K3s) -> None:
    cluster.service("media", "database", "database", [("db", 5432, "TCP")])["spec"]["clusterIP"] = "None"


def ingress_without_class(cluster: K3s) -> None:
    """K3s' Traefik takes it, also where no class is the default, as K3s of old has none at all."""
    unclassed(cluster)["status"] = {"loadBalancer": {}}
    cluster.lists["ingressclasses"] = []


def ingress_just_made(cluster: K3s) -> None:
    missing_backend(cluster)
    cluster.get("ingresses", "web")["metadata"]["creationTimestamp"] = cluster.ago(seconds=100)


def webhooks_that_are_answered(cluster: K3s) -> None:
    """By a Service with a pod behind it, by a URL, and one that was made a moment ago."""
    web = webhook(cluster, "web")
    web["webhooks"][0]["clientConfig"]["service"]["namespace"] = cluster.get("services", "web")["metadata"]["namespace"]
    webhook(cluster, "x", kind="Mutating")["webhooks"] = [{"clientConfig": {"url": "https://policy.example.net"}}]
    webhook(cluster, "gone")["metadata"]["creationTimestamp"] = cluster.ago(seconds=30)


def budgets_at_work(cluster: K3s) -> None:
    """One that lets a pod go, one whose pod is not well, and one of nothing."""
    budget(cluster, 1)
    budget(cluster, 0, healthy=0)
    budget(cluster, 0)["status"] = {}


def budgets_of_operators(cluster: K3s) -> None:
    """Longhorn's of a node with volumes, which it takes away when the node is drained and others have them, and
    CloudNativePG's of a primary, which another instance becomes before the node is drained."""
    for node in ("a1", "s1"):
        labels = {"longhorn.io/component": "instance-manager", "longhorn.io/node": node}
        operated(cluster, "InstanceManager", f"instance-manager-{node}", f"instance-manager-{node}", labels)
        budget_of(cluster, f"instance-manager-{node}", labels)
    database(cluster, 2)


def budget_of_an_operator_over_all_its_pods(cluster: K3s) -> None:
    """As of Kafka with Strimzi's Drain Cleaner, which moves a pod when its node is drained."""
    labels = {"strimzi.io/cluster": "events"}
    for number in range(3):
        operated(cluster, "StrimziPodSet", "events", f"events-{number}", labels)
    made = budget_of(cluster, "events", labels)
    made["spec"]["minAvailable"] = 3
    made["status"] |= {"currentHealthy": 3, "desiredHealthy": 3, "expectedPods": 3}
    made["metadata"]["ownerReferences"] = cluster.pods("events-0")[0]["metadata"]["ownerReferences"]


def limits_at_work(cluster: K3s) -> None:
    """An autoscaler that is off, one that cannot scale since a moment ago, and quotas with room and of nothing."""
    autoscaler(cluster, "ScalingActive", "False", "ScalingDisabled", "", cluster.ago(hours=3))
    autoscaler(cluster, "AbleToScale", "False", "FailedGetScale", "", cluster.ago(minutes=2))
    quota(cluster, "20", "12")
    quota(cluster, "0", "0")
    quota(cluster, "20", "2")["status"] = {
        "hard": {"services.loadbalancers": "1"},
        "used": {"services.loadbalancers": "1"},
    }


def gateways_at_work(cluster: K3s) -> None:
    gateway(cluster, "True", "Accepted", cluster.ago(hours=1))
    http_route(cluster, "ResolvedRefs", "True", cluster.ago(hours=1))
    gateway(cluster, "Unknown", "Pending", cluster.ago(seconds=40))["metadata"]["name"] = "new"
    listener(cluster, cluster.ago(minutes=9))


def listener_of_traefik_being_set_up(cluster: K3s) -> None:
    """The Certificate is being issued, and no route is accepted until then."""
    traefik_listener(cluster, cluster.ago(minutes=9))
    http_route(cluster, "Accepted", "False", cluster.ago(minutes=9))


def routes_that_nobody_tells_of(cluster: K3s) -> None:
    """Cloudflare's controller (pl4nty) counts them in its Gateway, NetBird's not even there."""
    since = cluster.ago(hours=1)
    for name, listeners in (
        ("cloudflare", [{"name": "https", "attachedRoutes": 1, "conditions": []}]),
        ("netbird", []),
    ):
        made = gateway(cluster, "True", "Accepted", since)
        made["metadata"]["name"] = name
        made["status"]["listeners"] = listeners
        route = http_route(cluster, "Accepted", "True", since)
        route["metadata"]["name"] = f"to-{name}"
        route["spec"]["parentRefs"] = [{"name": name}]
        route["status"] = {"parents": []}


def route_of_a_gateway_that_was_taken_over(cluster: K3s) -> None:
    gateway(cluster, "True", "Accepted", cluster.ago(hours=1))
    route = http_route(cluster, "Accepted", "True", cluster.ago(hours=1))
    (now,) = route["status"]["parents"]
    before = {**now, "conditions": [condition("Accepted", "False", "NoMatchingParent", cluster.ago(days=9))]}
    route["status"]["parents"] = [now, before]


def certificates_at_work(cluster: K3s) -> None:
    """One that lasts, one that is being renewed, one that was asked for a moment ago, and one of a day."""
    certificate(cluster, "True", cluster.ago(days=9), days=60)
    certificate(cluster, "True", cluster.ago(days=9), days=29.5)["metadata"]["name"] = "renewed"
    new = certificate(cluster, "False", cluster.ago(minutes=3), days=None)
    new["metadata"] |= {"name": "new", "creationTimestamp": cluster.ago(minutes=3)}
    certificate(cluster, "True", cluster.ago(hours=20), days=0.2, renewal=0.33)["metadata"]["name"] = "of-a-day"
    certificate(cluster, "True", cluster.ago(days=9), days=None)["status"] = {}


QUIET: tuple[Callable[[K3s], None], ...] = (
    just_cordoned,
    rollout_on_its_way,
    restarted_a_moment_ago,
    whole_node_rebooted,
    ordered_shutdown,
    init_containers_at_work,
    rejected_after_a_reboot,
    rejected_by_a_node_that_starts,
    ready_this_moment,
    container_that_waits_for_a_moment,
    updates_on_their_way,
    restarted_beside_an_old_eviction,
    rejected_until_the_device_was_there,
    gated_pod,
    scaled_to_nothing,
    running_job,
    old_evictions,
    upgrade_of_servers,
    deleted_a_moment_ago,
    claim_within_its_time,
    volumes_with_room,
    volume_of_a_driver,
    cronjobs_at_work,
    cronjobs_of_which_nobody_knows_a_failure,
    cluster_was_off,
    one_server_was_off,
    busy_and_full,
    just_back,
    dns_restarted,
    traefik_left_out,
    traefik_without_helm,
    traefik_skipped,
    traefik_on_each_node,
    first_start,
    manifests_applied_in_the_end,
    not_k3s,
    cluster_just_made,
    sqlite,
    old_k3s,
    four_members,
    member_being_replaced,
    restarted_k3s,
    snapshot_failed_once,
    snapshots_once_a_week,
    first_of_weekly_snapshots,
    large_database_with_room,
    snapshots_taken_otherwise,
    services_that_need_no_endpoints,
    services_of_kube_prometheus_stack,
    service_within_its_time,
    balancer_within_its_time,
    balanced_and_scaled_to_nothing,
    balanced_and_restarted,
    headless_database,
    ingress_without_class,
    ingress_just_made,
    webhooks_that_are_answered,
    budgets_at_work,
    budgets_of_operators,
    budget_of_an_operator_over_all_its_pods,
    limits_at_work,
    gateways_at_work,
    listener_of_traefik_being_set_up,
    routes_that_nobody_tells_of,
    route_of_a_gateway_that_was_taken_over,
    certificates_at_work,
)
