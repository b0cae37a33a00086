"""The table of codes: what health can find, how bad it is, how to confirm or mend it, and what must be read for it.

Help, README and reports come from it. Numbers are never used again for something else. Every code has one check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from homelab.health.kinds import BY_NAME
from homelab.health.report import Evidence, Finding, Ref, Severity
from homelab.health.snapshot import (
    ALL_PODS,
    CLIENT,
    CLOCK,
    DATABASE,
    DEEP,
    DNS_PROBES,
    ETCD,
    INVENTORY,
    LATENCY,
    NETWORK_PROBES,
    NODE_EVENTS,
    READYZ,
    SERVICE_PROBES,
    SERVING,
    SHARED_PROBES,
    SYSTEM,
    USAGE,
    VERSION,
    VOLUME_PROBES,
    WRITE_PROBES,
)

INFO, WARNING, CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL


@dataclass(frozen=True)
class Code:
    """One row. `severity` is the worst that its findings have; a check may give less, until a threshold is passed.

    `needs` are the kinds and probes without which the check says nothing; `uses` are read too, but only make it
    wiser. In `remedy`, {name}, {namespace} and {node} are replaced; {-n} is `-n NAMESPACE` for what has one.
    """

    code: str
    severity: Severity
    title: str
    remedy: str
    needs: tuple[str, ...]
    uses: tuple[str, ...] = ()


# What tells why a Service has no endpoints.
_BEHIND_SERVICES = ("pods", "deployments", "statefulsets", "daemonsets", "replicasets")
_DESCRIBE_POD = "kubectl describe pod {name} {-n}"

TABLE: tuple[Code, ...] = (
    Code("CTRL001", CRITICAL, "API server ready", "kubectl get --raw '/readyz?verbose'", (READYZ,)),
    Code("CTRL002", CRITICAL, "API answers fast", "see load and disks of the servers: top, iostat -x 2", (LATENCY,)),
    Code(
        "CTRL003",
        CRITICAL,
        "versions within Kubernetes' skew policy",
        "upgrade servers first, one minor at a time, then agents",
        (VERSION, "nodes"),
    ),
    Code("CTRL004", INFO, "one version on all nodes", "upgrade the rest", ("nodes",)),
    Code("CTRL005", INFO, "Kubernetes minor supported upstream", "plan an upgrade", (VERSION,)),
    Code("CTRL006", CRITICAL, "clock of the API server", "see on that server and here: timedatectl", (CLOCK,)),
    Code(
        "CTRL007",
        WARNING,
        "namespaces go when they are deleted",
        "kubectl get namespace {name} -o jsonpath='{{.status.conditions}}'",
        ("namespaces",),
    ),
    Code(
        "CTRL008",
        WARNING,
        "servers behind the API answer",
        "kubectl describe apiservice {name}",
        ("apiservices",),
        ("services", "pods", "deployments"),
    ),
    Code(
        "CTRL009",
        CRITICAL,
        "scheduler and controllers at work",
        "on the servers: journalctl -u k3s -e | grep -iE 'lease|leader'",
        ("leases",),
        ("nodes",),
    ),
    Code("CTRL010", INFO, "more than one server", "join two more servers with embedded etcd", ("nodes",)),
    Code(
        "CTRL011",
        CRITICAL,
        "admission webhooks answer",
        "kubectl get {resource} {name} -o yaml; delete it if what it belongs to is gone",
        (
            "validatingwebhookconfigurations",
            "mutatingwebhookconfigurations",
            "services",
            "endpointslices",
            "pods",
        ),
        _BEHIND_SERVICES[1:],
    ),
    Code(
        "CTRL012",
        INFO,
        "no warnings again and again",
        "kubectl get events {-n} --field-selector type=Warning,involvedObject.name={name}",
        ("events",),
        ("pods", "replicasets"),
    ),
    Code(
        "CTRL013",
        CRITICAL,
        "admission policies can be evaluated",
        "kubectl get {resource} {name} -o yaml; mend it, or delete its {resource}bindings until it is mended",
        ("replicasets",),
        ("statefulsets", "daemonsets", "jobs", "events"),
    ),
    Code(
        "CERT001",
        CRITICAL,
        "the API's certificate lasts",
        "on that server: systemctl restart k3s, which renews it",
        (SERVING,),
    ),
    Code(
        "CERT002",
        CRITICAL,
        "our own certificate lasts",
        "on a server: systemctl restart k3s, which renews it; then fetch /etc/rancher/k3s/k3s.yaml again",
        (CLIENT,),
    ),
    Code(
        "CERT003",
        CRITICAL,
        "certificates of nodes last",
        "on {name}: restart k3s (k3s-agent on an agent), which renews them",
        ("events", NODE_EVENTS),
        ("nodes",),
    ),
    Code(
        "CERT004",
        CRITICAL,
        "certificates of cert-manager are issued and last",
        "kubectl describe certificate {name} {-n}; kubectl get certificaterequests,orders,challenges {-n}",
        ("certificates",),
    ),
    Code(
        "ETCD001",
        CRITICAL,
        "etcd can lose a member",
        "kubectl get nodes -l node-role.kubernetes.io/etcd=true; mend the ones that are not Ready",
        ("nodes", ETCD),
    ),
    Code(
        "ETCD002", WARNING, "members of etcd vote", "on {name}: journalctl -u k3s -e | grep -i learner", ("nodes", ETCD)
    ),
    Code("ETCD003", WARNING, "an odd number of members", "join one more server", ("nodes", ETCD)),
    Code(
        "ETCD004",
        CRITICAL,
        "etcd has a recent snapshot",
        "on a server: k3s etcd-snapshot ls; k3s etcd-snapshot save",
        ("etcdsnapshotfiles", ETCD),
        ("nodes",),
    ),
    Code(
        "ETCD005",
        WARNING,
        "snapshots of etcd succeed",
        "on {node}: journalctl -u k3s -e | grep -i snapshot; k3s etcd-snapshot save",
        ("etcdsnapshotfiles", ETCD),
        ("nodes",),
    ),
    Code(
        "ETCD006",
        INFO,
        "snapshots of etcd also elsewhere",
        "copy them, with the server token, off the servers, or have K3s write them to S3 (etcd-s3)",
        ("etcdsnapshotfiles", ETCD),
        ("nodes",),
    ),
    Code(
        "ETCD007",
        CRITICAL,
        "etcd's database has room",
        "see what there is most of: kubectl get --raw /metrics | grep ^apiserver_storage_objects | sort -gk 2 | tail;"
        " delete what is not needed, then restart k3s on one server after another, which defragments it",
        ("etcdsnapshotfiles", "nodes", ETCD, DATABASE),
    ),
    Code(
        "NODE001", CRITICAL, "nodes Ready", "kubectl describe node {name}; on it: journalctl -u 'k3s*' -e", ("nodes",)
    ),
    Code("NODE002", WARNING, "no pressure on nodes", "kubectl describe node {name}", ("nodes",)),
    Code("NODE003", CRITICAL, "network of nodes", "on {name}: journalctl -u 'k3s*' -e | grep -i flannel", ("nodes",)),
    Code("NODE004", WARNING, "no other trouble told of nodes", "kubectl describe node {name}", ("nodes",)),
    Code(
        "NODE005",
        CRITICAL,
        "kubelets renew their leases",
        "on {name}: systemctl status 'k3s*'; journalctl -u 'k3s*' -e",
        ("nodes", "leases"),
    ),
    Code("NODE006", WARNING, "nodes take pods", "kubectl uncordon {name}", ("nodes",)),
    Code(
        "NODE007", CRITICAL, "clocks of nodes", "on {name}: timedatectl; chronyc tracking", ("nodes", "leases", CLOCK)
    ),
    Code(
        "NODE008",
        CRITICAL,
        "nodes of the inventory present",
        "start {name}, or write away: True for it in the inventory",
        ("nodes", INVENTORY),
    ),
    Code(
        "NODE009",
        INFO,
        "no nodes besides the inventory's",
        "add {name} to the inventory, or kubectl delete node {name}",
        ("nodes", INVENTORY),
    ),
    Code("NODE010", WARNING, "nodes go when they are deleted", "kubectl get node {name} -o yaml", ("nodes",)),
    Code(
        "NODE011",
        INFO,
        "nodes stay Ready",
        "on {name}: journalctl -u 'k3s*' -e; kubectl describe node {name}",
        ("nodes",),
    ),
    Code(
        "NODE012",
        WARNING,
        "memory of nodes suffices",
        "kubectl top pods -A --sort-by=memory; kubectl describe node {name}",
        ("nodes.metrics.k8s.io", "nodes"),
    ),
    Code(
        "NODE013",
        INFO,
        "CPUs of nodes suffice",
        "kubectl top pods -A --sort-by=cpu; kubectl describe node {name}",
        ("nodes.metrics.k8s.io", "nodes"),
    ),
    Code(
        "NODE014",
        WARNING,
        "nodes have room for more pods",
        "move pods elsewhere, or raise max-pods of the kubelet on {name}",
        ("nodes", "pods", ALL_PODS),
    ),
    Code(
        "NODE015",
        INFO,
        "the others bear the loss of a node",
        "request less, add memory or CPU to the others, or one more node",
        ("nodes", "pods", ALL_PODS),
    ),
    Code(
        "NODE016",
        WARNING,
        "disks of nodes have room",
        "on {name}: df -h; du -xh -d 3 /var/lib/rancher | sort -h | tail; k3s crictl rmi --prune",
        (USAGE, "nodes"),
    ),
    Code(
        "POD001",
        CRITICAL,
        "containers do not crash again and again",
        "kubectl logs {name} {-n} -c {container} --previous",
        ("pods",),
    ),
    Code("POD002", CRITICAL, "images are pulled", _DESCRIBE_POD, ("pods",), ("events",)),
    Code("POD003", CRITICAL, "containers can be made and started", _DESCRIBE_POD, ("pods",), ("events",)),
    Code(
        "POD004",
        CRITICAL,
        "pods find a node",
        _DESCRIBE_POD,
        ("pods",),
        ("persistentvolumeclaims", "storageclasses"),
    ),
    Code("POD005", CRITICAL, "pods get going on their node", _DESCRIBE_POD, ("pods",), ("events",)),
    Code("POD006", CRITICAL, "running pods are ready", _DESCRIBE_POD, ("pods",), ("events",)),
    Code(
        "POD007",
        WARNING,
        "no failed pods",
        "kubectl delete pod {name} {-n}  # once the reason is known",
        ("pods",),
        ("replicasets",),
    ),
    Code(
        "POD008",
        WARNING,
        "memory limits suffice",
        "raise the memory limit of {container}, or see what takes it",
        ("pods",),
    ),
    Code(
        "POD009",
        WARNING,
        "containers are not restarted for errors",
        "kubectl logs {name} {-n} -c {container} --previous",
        ("pods",),
    ),
    Code("POD010", WARNING, "pods go when they are deleted", "kubectl get pod {name} {-n} -o yaml", ("pods",)),
    Code(
        "WORK001",
        CRITICAL,
        "Deployments have their replicas",
        "kubectl describe deployment {name} {-n}",
        ("deployments",),
        ("pods", "replicasets"),
    ),
    Code(
        "WORK002",
        CRITICAL,
        "rollouts come to an end",
        "kubectl rollout status deployment {name} {-n}; back with: kubectl rollout undo deployment {name} {-n}",
        ("deployments",),
        ("pods", "replicasets"),
    ),
    Code(
        "WORK003",
        WARNING,
        "controllers heed what is written",
        "on a server: journalctl -u k3s -e | grep -i controller",
        ("deployments", "statefulsets", "daemonsets"),
    ),
    Code(
        "WORK004",
        CRITICAL,
        "StatefulSets have their replicas",
        "kubectl describe statefulset {name} {-n}",
        ("statefulsets",),
        ("pods", "events"),
    ),
    Code(
        "WORK005",
        CRITICAL,
        "DaemonSets run where they should",
        "kubectl describe daemonset {name} {-n}",
        ("daemonsets",),
        ("pods", "nodes", "events"),
    ),
    Code("WORK006", CRITICAL, "pods can be created", "kubectl describe replicaset {name} {-n}", ("replicasets",)),
    Code(
        "WORK007",
        WARNING,
        "Jobs succeed",
        "kubectl describe job {name} {-n}; kubectl logs job/{name} {-n}",
        ("jobs",),
        ("cronjobs", "leases", "nodes"),
    ),
    Code(
        "WORK008",
        WARNING,
        "Jobs come to an end",
        "kubectl describe job {name} {-n}; kubectl logs job/{name} {-n}",
        ("jobs",),
        ("events",),
    ),
    Code(
        "WORK009",
        WARNING,
        "disruption budgets let nodes be drained",
        "kubectl get pdb {name} {-n} -o yaml; run more replicas, or let it allow one to be away",
        ("poddisruptionbudgets",),
        ("pods",),
    ),
    Code(
        "WORK010",
        INFO,
        "CronJobs run at their times",
        'kubectl patch cronjob {name} {-n} -p \'{{"spec":{{"suspend":false}}}}\'',
        ("cronjobs",),
    ),
    Code(
        "WORK011",
        WARNING,
        "autoscalers can scale",
        "kubectl describe hpa {name} {-n}",
        ("horizontalpodautoscalers",),
    ),
    Code(
        "WORK012",
        WARNING,
        "quotas have room",
        "kubectl describe resourcequota {name} {-n}; raise it, or run less there",
        ("resourcequotas",),
    ),
    Code(
        "WORK013",
        WARNING,
        "CronJobs are started when they are due",
        "kubectl describe cronjob {name} {-n}",
        ("cronjobs",),
        ("events", "leases", "nodes"),
    ),
    Code(
        "STOR001",
        WARNING,
        "claims get their volume",
        "kubectl describe pvc {name} {-n}",
        ("persistentvolumeclaims", "storageclasses"),
        ("pods", "events"),
    ),
    Code(
        "STOR002",
        WARNING,
        "claims and volumes go when they are deleted",
        "kubectl describe {resource} {name} {-n}",
        ("persistentvolumeclaims", "persistentvolumes"),
        ("pods",),
    ),
    Code(
        "STOR003",
        CRITICAL,
        "claims keep their volume, and volumes do not fail",
        "kubectl describe {resource} {name} {-n}",
        ("persistentvolumeclaims", "persistentvolumes"),
        ("events", "nodes"),
    ),
    Code(
        "STOR004",
        WARNING,
        "one default StorageClass",
        "kubectl annotate storageclass NAME storageclass.kubernetes.io/is-default-class- --overwrite, for all but one",
        ("storageclasses",),
    ),
    Code(
        "STOR005",
        INFO,
        "volumes go with their claim",
        "kubectl describe pv {name}; kubectl delete pv {name}  # once its data are not needed any more",
        ("persistentvolumes",),
    ),
    Code(
        "STOR006",
        CRITICAL,
        "volumes are on nodes that are there",
        "bring node {node} back; if it is gone for good, so are the data: restore them into a new claim",
        ("persistentvolumes", "nodes"),
    ),
    Code(
        "STOR007",
        CRITICAL,
        "NFS servers answer",
        "see that {name} is on and lets the nodes in at port 2049; on it: systemctl status nfs-server",
        ("pods", "events"),
        ("persistentvolumeclaims", "persistentvolumes"),
    ),
    Code(
        "STOR008",
        CRITICAL,
        "volumes have room",
        "see what fills it, or ask for more: kubectl edit pvc {name} {-n}, where its class lets volumes grow",
        (USAGE,),
        ("nodes", "persistentvolumeclaims", "persistentvolumes"),
    ),
    Code(
        "NET001",
        CRITICAL,
        "LoadBalancer Services have an address",
        "kubectl describe service {name} {-n}; kubectl get pods -A -o wide | grep svclb-{name}",
        ("services",),
        ("endpointslices", "nodes", "events", *_BEHIND_SERVICES),
    ),
    Code(
        "NET002",
        CRITICAL,
        "Services have ready endpoints",
        "kubectl get endpointslices,pods {-n} -o wide; kubectl describe service {name} {-n}",
        ("services", "endpointslices", "pods"),
        ("ingresses", "ingressroutes", "httproutes", *_BEHIND_SERVICES[1:], "nodes"),
    ),
    Code(
        "NET003",
        CRITICAL,
        "ports of Services are ports of their pods",
        "kubectl describe service {name} {-n}; its targetPort against the ports of its pods' containers",
        ("services", "endpointslices"),
        ("ingresses", "ingressroutes", "httproutes", "pods"),
    ),
    Code(
        "NET004",
        CRITICAL,
        "Ingresses have a class that is served",
        "kubectl get ingressclasses; kubectl describe ingress {name} {-n}",
        ("ingresses", "ingressclasses"),
        ("deployments", "daemonsets"),
    ),
    Code(
        "NET005",
        CRITICAL,
        "Ingresses lead to Services that are there",
        "kubectl get services {-n}; kubectl describe {resource} {name} {-n}",
        ("ingresses", "services"),
        ("ingressroutes", "endpointslices", *_BEHIND_SERVICES),
    ),
    Code(
        "NET006",
        CRITICAL,
        "Gateways are set up",
        "kubectl get gatewayclasses; kubectl describe gateway {name} {-n}",
        ("gateways",),
        ("services", *_BEHIND_SERVICES),
    ),
    Code(
        "NET007",
        CRITICAL,
        "routes are taken by their Gateway",
        "kubectl describe httproute {name} {-n}",
        ("httproutes",),
        ("gateways",),
    ),
    Code(
        "NET008",
        INFO,
        "NetworkPolicies are for some pod",
        "kubectl describe networkpolicy {name} {-n}",
        ("networkpolicies", "pods"),
    ),
    Code(
        "ADDON001",
        CRITICAL,
        "the cluster's DNS answers",
        "kubectl get pods -n kube-system -l k8s-app=kube-dns; kubectl logs -n kube-system -l k8s-app=kube-dns",
        ("services", "endpointslices", SYSTEM),
        ("nodes", "addons", *_BEHIND_SERVICES),
    ),
    Code(
        "ADDON002",
        CRITICAL,
        "what K3s brings along is there",
        "on a server: systemctl restart k3s, which applies it again; if it is not wanted, add {addon} to disable there",
        ("deployments", "nodes", SYSTEM),
        ("daemonsets", "addons"),
    ),
    Code(
        "ADDON003",
        CRITICAL,
        "charts that K3s installs are installed",
        "kubectl logs job/{job} {-n}; kubectl describe helmchart {name} {-n}",
        ("helmcharts", "jobs"),
        ("pods",),
    ),
    Code(
        "ADDON004",
        WARNING,
        "manifests that K3s finds are applied",
        "kubectl describe addon {name} {-n}; mend {source} on the servers",
        ("addons", "events", SYSTEM),
    ),
    Code(
        "DEEP001",
        CRITICAL,
        "DNS answers every node, each of its pods by itself",
        "kubectl logs -n kube-system -l k8s-app=kube-dns; kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide",
        ("nodes", "services", "endpointslices", DNS_PROBES),
        ("pods", "replicasets"),
    ),
    Code(
        "DEEP002",
        CRITICAL,
        "pods reach each other, on every node and between nodes",
        "on {name}: journalctl -u 'k3s*' -e | grep -i flannel; see that firewalls let 8472/udp (VXLAN) or 51820/udp"
        " (WireGuard) through between nodes",
        ("nodes", NETWORK_PROBES),
    ),
    Code(
        "DEEP003",
        CRITICAL,
        "Services lead to their pods from every node",
        "on {name}: journalctl -u 'k3s*' -e | grep -i proxy; iptables-save | grep -c KUBE-SVC",
        ("nodes", SERVICE_PROBES),
    ),
    Code(
        "DEEP004",
        CRITICAL,
        "volumes of the default StorageClass keep what is written",
        "kubectl describe storageclass {name}; kubectl get pods -A -o wide | grep -iE 'provision|csi'",
        ("storageclasses", "nodes", VOLUME_PROBES),
    ),
    Code(
        "DEEP005",
        CRITICAL,
        "what one node writes to a shared volume others read",
        "see the server of the volumes, and on the nodes: mount | grep -E 'nfs|cifs|ceph'; dmesg | tail",
        ("storageclasses", "nodes", SHARED_PROBES),
    ),
    Code(
        "DEEP006",
        CRITICAL,
        "the API server writes to its datastore fast",
        "see load and disks of the servers: top, iostat -x 2; etcd wants an SSD that nothing else writes much to",
        (WRITE_PROBES,),
    ),
)

CODES: Mapping[str, Code] = {row.code: row for row in TABLE}
# What is found only by trying it out, for which something is made in the cluster.
DEEP_CODES = frozenset(row.code for row in TABLE if set(row.needs) & set(DEEP))


def needed() -> frozenset[str]:
    """The kinds that some check reads."""
    return frozenset(name for row in TABLE for name in (*row.needs, *row.uses) if name in BY_NAME)


def finding(
    code: str,
    ref: Ref,
    summary: str,
    *,
    severity: Severity | None = None,
    owner: Ref | None = None,
    since: datetime | None = None,
    evidence: Evidence | None = None,
    remedy: str | None = None,
) -> Finding:
    """A finding with what the table says of its code, and the remedy of that or of a fitter one.

    `evidence` may also fill the remedy's own {words}.
    """
    row = CODES[code]
    evidence = evidence or {}
    words = {key: str(value) for key, value in evidence.items()}
    words |= {"name": ref.name, "namespace": ref.namespace, "-n": f"-n {ref.namespace}" if ref.namespace else ""}
    return Finding(
        code,
        row.severity if severity is None else severity,
        ref,
        summary,
        owner,
        evidence,
        since,
        " ".join((remedy or row.remedy).format_map(words).split()),
    )


def as_markdown() -> str:
    """The table for a README."""
    head = "| code | at worst | what holds when all is well | reads |\n|---|---|---|---|\n"
    return head + "".join(
        f"| {row.code} | {row.severity} | {row.title} | {', '.join((*row.needs, *row.uses))} |\n" for row in TABLE
    )
