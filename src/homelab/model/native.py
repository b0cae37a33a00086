"""Native K3s keys: which pass through, which the toolkit owns, which belong to the whole cluster.

An unknown key passes, so a new K3s flag needs no release of ours. But K3s itself only logs
"Unknown flag ... skipping" for a misspelt one, so what is one slip away from a known key is refused.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Literal

from homelab.model.strict import shown, words

Role = Literal["server", "agent"]

# Flags of `k3s agent`, which `k3s server` has too: pkg/cli/cmds/agent.go.
AGENT_KEYS = words(
    """
    airgap-extra-registry alsologtostderr bind-address container-runtime-endpoint data-dir debug
    default-runtime disable-apiserver-lb disable-default-registry-endpoint docker enable-pprof
    flannel-cni-conf flannel-conf flannel-iface image-credential-provider-bin-dir
    image-credential-provider-config image-service-endpoint kube-proxy-arg kubelet-arg lb-server-port
    log node-external-dns node-external-ip node-internal-dns node-ip node-label node-name node-taint
    nonroot-devices pause-image prefer-bundled-bin private-registry protect-kernel-defaults resolv-conf
    rootless selinux server snapshotter token token-file v vmodule vpn-auth vpn-auth-file with-node-id
    """
)
# Flags of `k3s server` alone: pkg/cli/cmds/server.go.
SERVER_ONLY_KEYS = words(
    """
    advertise-address advertise-port agent-token agent-token-file cluster-cidr cluster-dns cluster-domain
    cluster-init cluster-reset cluster-reset-restore-path datastore-cafile datastore-certfile
    datastore-endpoint datastore-keyfile default-local-storage-path disable disable-agent
    disable-apiserver disable-cloud-controller disable-controller-manager disable-etcd
    disable-helm-controller disable-kube-proxy disable-network-policy disable-scheduler
    egress-selector-mode embedded-registry etcd-arg etcd-disable-snapshots etcd-expose-metrics etcd-s3
    etcd-s3-access-key etcd-s3-bucket etcd-s3-bucket-lookup-type etcd-s3-config-secret etcd-s3-endpoint
    etcd-s3-endpoint-ca etcd-s3-folder etcd-s3-insecure etcd-s3-proxy etcd-s3-region etcd-s3-retention
    etcd-s3-secret-key etcd-s3-session-token etcd-s3-skip-ssl-verify etcd-s3-timeout
    etcd-snapshot-compress etcd-snapshot-dir etcd-snapshot-name etcd-snapshot-reconcile-interval
    etcd-snapshot-retention etcd-snapshot-schedule-cron flannel-backend flannel-external-ip
    flannel-ipv6-masq helm-controller-arg helm-job-image https-listen-port kine-tls kube-apiserver-arg
    kube-cloud-controller-manager-arg kube-controller-manager-arg kube-scheduler-arg secrets-encryption
    secrets-encryption-provider service-cidr service-node-port-range servicelb-namespace
    supervisor-metrics system-default-registry tls-san tls-san-security write-kubeconfig
    write-kubeconfig-group write-kubeconfig-mode
    """
)

_TOKEN = 'write k3s_token = "env:NAME", a reference'
_AGENT_TOKEN = 'write k3s_agent_token = "env:NAME", a reference'
_OWN_ORDER = "leave it out: the deploy asks which servers are alive and sets it"
_OWN_PLACE = "leave it out: the deploy keeps it at K3s's own place"
_OWN_ROLE = "leave it out: every server here runs etcd and the API, and they are counted for quorum"
_OWN_PORT = "leave it out: the firewall, the gates and the kubeconfig rely on K3s's own"

# Keys the toolkit writes itself, and where to say it instead.
OWNED: Mapping[str, str] = {
    "token": _TOKEN,
    "token-file": _TOKEN,
    "cluster-secret": _TOKEN,
    "agent-token": _AGENT_TOKEN,
    "agent-token-file": _AGENT_TOKEN,
    "server": _OWN_ORDER,
    "cluster-init": _OWN_ORDER,
    "cluster-reset": "leave it out: a reset is a deliberate act, never a setting",
    "cluster-reset-restore-path": "leave it out: a restore is a deliberate act, never a setting",
    "node-ip": 'write the host\'s "address"',
    "node-name": "leave it out: a node is named as its host",
    "with-node-id": "leave it out: a node is named as its host",
    "flannel-iface": 'write the host\'s "interface"',
    "node-label": 'write the host\'s "labels"',
    "node-taint": 'write the host\'s "taints"',
    "tls-san": 'write tls_san = ["k3s.home.arpa"] in group_data',
    "cluster-cidr": "write cluster_cidr in group_data",
    "service-cidr": "write service_cidr in group_data",
    "private-registry": "write registries in group_data",
    "data-dir": _OWN_PLACE,
    "config": _OWN_PLACE,
    "write-kubeconfig": "write kubeconfig in group_data: where it goes on the control machine",
    "write-kubeconfig-mode": "leave it out: it stays readable by root alone",
    "write-kubeconfig-group": "leave it out: it stays readable by root alone",
    "bind-address": _OWN_PORT,
    "https-listen-port": _OWN_PORT,
    "disable-agent": _OWN_ROLE,
    "disable-apiserver": _OWN_ROLE,
    "disable-controller-manager": _OWN_ROLE,
    "disable-etcd": _OWN_ROLE,
    "disable-scheduler": _OWN_ROLE,
    "datastore-cafile": _OWN_ROLE,
    "datastore-certfile": _OWN_ROLE,
    "datastore-endpoint": _OWN_ROLE,
    "datastore-keyfile": _OWN_ROLE,
}

# Keys whose value is itself a secret, and the key that K3s has for keeping it elsewhere.
SECRET: Mapping[str, str] = {
    "etcd-s3-access-key": "write etcd-s3-config-secret, the name of a Secret in kube-system",
    "etcd-s3-secret-key": "write etcd-s3-config-secret, the name of a Secret in kube-system",
    "etcd-s3-session-token": "write etcd-s3-config-secret, the name of a Secret in kube-system",
    "vpn-auth": "write vpn-auth-file, a file on the host",
}

# The ports of Services of type NodePort, unless service-node-port-range says otherwise.
NODE_PORTS = "30000-32767"
_PORTS = re.compile(r"([0-9]{1,5})(?:([-+])([0-9]{1,5}))?")

# A server that differs in one of these cannot join ("critical configuration value mismatch",
# k3s-io/k3s#12745) or makes the API answer differently depending on which server was asked.
CLUSTER_WIDE = words(
    """
    cluster-dns cluster-domain default-local-storage-path disable disable-cloud-controller
    disable-helm-controller disable-kube-proxy disable-network-policy egress-selector-mode
    embedded-registry flannel-backend flannel-external-ip flannel-ipv6-masq helm-controller-arg helm-job-image
    kube-apiserver-arg kube-cloud-controller-manager-arg kube-controller-manager-arg kube-scheduler-arg
    secrets-encryption secrets-encryption-provider service-node-port-range servicelb-namespace
    supervisor-metrics system-default-registry tls-san-security
    """
)

_KNOWN = AGENT_KEYS | SERVER_ONLY_KEYS


def one_slip(word: str, known: str) -> bool:
    """Whether one letter added, left out, changed or swapped turns the word into the known one."""
    if word == known or abs(len(word) - len(known)) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(word, known, strict=False)) if a != b), None)
    if start is None:
        return True
    if len(word) == len(known):
        changed = word[start + 1 :] == known[start + 1 :]
        swapped = word[start : start + 2] == known[start : start + 2][::-1] and word[start + 2 :] == known[start + 2 :]
        return changed or swapped
    shorter, longer = sorted((word[start:], known[start:]), key=len)
    return shorter == longer[1:]


def check_key(key: object, role: Role, of_one_host: bool) -> tuple[str, str] | None:
    """What is wrong with a native key, and what to write instead; None when it may pass."""
    if not isinstance(key, str):
        return f"{shown(key)} is not a string", "write K3s's own key"
    spelled = key.strip().lstrip("-").replace("_", "-").lower()
    if spelled != key:
        return "is not how K3s's config file spells it", f'write "{spelled}"'
    # "key+" appends to what other files say.
    name = key.removesuffix("+")
    if name in OWNED:
        return "is set by the toolkit", OWNED[name]
    if name in SECRET:
        return "would put a secret in clear here", SECRET[name]
    if role == "agent" and name in SERVER_ONLY_KEYS:
        return "is a server's key, which an agent ignores", "write it in server_config"
    if of_one_host and name in CLUSTER_WIDE:
        return "must be the same on all servers", "write it in server_config in group_data"
    if name not in _KNOWN:
        meant = sorted(known for known in _KNOWN if one_slip(name, known))
        if meant:
            return "is not a key K3s knows, and it skips unknown ones in silence", f'did you mean "{meant[0]}"?'
    return None


def check_value(value: object) -> tuple[str, str] | None:
    """What is wrong with a native key's value; it is never echoed, as it could be anything."""
    if isinstance(value, str | bool | int | float):
        return None
    if isinstance(value, list | tuple) and all(isinstance(one, str | int) for one in value):
        return None
    return f"is of type {type(value).__name__}", "write a string, a number, True, False or a list of strings"


def check(config: Mapping[object, object], role: Role, of_one_host: bool) -> Iterator[tuple[str, str, str]]:
    """Everything wrong with a server_config or agent_config: key, what was found, remedy."""
    for key, value in config.items():
        wrong = check_key(key, role, of_one_host) or check_value(value)
        if wrong:
            yield str(key), *wrong


def node_ports(config: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Each key of a server_config by which the ports of NodePorts are set, with what they are set to."""
    for key, value in config.items():
        name = key.removesuffix("+")
        for each in value if isinstance(value, list | tuple) else (value,):
            # kube-apiserver's own flag comes after K3s's and wins.
            flag, _, given = str(each).lstrip("-").partition("=")
            if name == "service-node-port-range":
                yield key, str(each)
            elif name == "kube-apiserver-arg" and flag == "service-node-port-range":
                yield key, given


def within_node_ports(ports: str) -> bool:
    """Whether ports as Kubernetes takes them, `30000-32767`, `30000+2767` or one alone, are all of NODE_PORTS.

    Source: k8s.io/apimachinery/pkg/util/net, ParsePortRange.
    """
    first, last = map(int, NODE_PORTS.split("-"))
    given = _PORTS.fullmatch(ports)
    if not given:
        return False
    low, number = int(given[1]), int(given[3] or 0)
    high = {"-": number, "+": low + number}.get(given[2], low)
    return first <= low <= high <= last
