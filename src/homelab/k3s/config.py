"""K3s's configuration files, rendered from the inventory.

`config.yaml` is a pure function of the inventory: a change in it means a restart. How a node joined and what it
registered with stand beside it in `config.yaml.d`, because they matter only then: K3s ignores `cluster-init` and
`server` once etcd data exists, and labels and taints after registration (facts/k3s.md 2.6, 2.11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from homelab.files import ManagedFile
from homelab.k3s import paths
from homelab.model import Home, Host
from homelab.yaml_compat import UNREADABLE

_HEAD = "# Written by homelab from the inventory; change it there, or the next deploy puts this back.\n"


def _yaml(values: Mapping[str, Any]) -> str:
    return _HEAD + yaml.safe_dump(dict(values), sort_keys=False, default_flow_style=False, allow_unicode=True)


def _cidrs(value: Any) -> str:
    networks = value if isinstance(value, tuple | list) else (value,)
    return ",".join(str(each) for each in networks)


def settings(home: Home, host: Host) -> dict[str, Any]:
    """A node's settings: what the toolkit owns, then the native keys, the host's own over the cluster's."""
    cluster = home.cluster
    assert cluster is not None
    values: dict[str, Any] = {
        "node-name": host.name,
        "node-ip": str(host.address),
        "token-file": paths.TOKEN,
    }
    if host.interface:
        values["flannel-iface"] = host.interface
    if host.role == "server":
        values["agent-token-file"] = paths.AGENT_TOKEN
        values["cluster-cidr"] = _cidrs(cluster.cluster_cidr)
        values["service-cidr"] = _cidrs(cluster.service_cidr)
        values["write-kubeconfig-mode"] = "0600"
        if cluster.tls_san:
            values["tls-san"] = list(cluster.tls_san)
        native = {**cluster.server_config, **host.server_config}
    else:
        native = {**cluster.agent_config, **host.agent_config}
    return values | {key: list(value) if isinstance(value, tuple) else value for key, value in native.items()}


def config(home: Home, host: Host) -> ManagedFile:
    """A node's config.yaml (0600)."""
    return ManagedFile(paths.CONFIG, _yaml(settings(home, host)), mode="0600")


def join(server: Host | None) -> ManagedFile:
    """How a node comes to its cluster: through a server that lives, or, without one, as the first of a new cluster."""
    values = {"server": url(server)} if server is not None else {"cluster-init": True}
    return ManagedFile(paths.JOIN, _yaml(values), mode="0600")


def url(server: Host) -> str:
    """The API's address at a server, at K3s's own port; an IPv6 address in brackets."""
    address = f"[{server.address}]" if server.address.version == 6 else str(server.address)
    return f"https://{address}:6443"


def joined_through(text: str) -> str | None:
    """The server that a join file names; None when it begins a cluster or cannot be read."""
    try:
        values = yaml.safe_load(text)
    except UNREADABLE:
        return None
    server = values.get("server") if isinstance(values, dict) else None
    return server if isinstance(server, str) else None


def registration(host: Host) -> ManagedFile:
    """The labels and taints that a node registers with; later changes go through the API."""
    values = {}
    if host.labels:
        values["node-label"] = [f"{key}={value}" for key, value in host.labels.items()]
    if host.taints:
        values["node-taint"] = [str(taint) for taint in host.taints]
    content = _yaml(values) if values else _HEAD + "{}\n"
    return ManagedFile(paths.REGISTRATION, content, mode="0600")


def registries(resolved: Mapping[str, Any]) -> ManagedFile:
    """registries.yaml with its secrets in it, hence 0600."""
    return ManagedFile(paths.REGISTRIES, _yaml(resolved), mode="0600")
