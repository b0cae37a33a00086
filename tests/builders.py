"""Homes, hosts and Nodes for tests: what matters is said, the rest is as in a sound home."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from homelab.k3s import config, paths, unit
from homelab.k3s.node import Node
from homelab.model import Cluster, Home, Host
from homelab.probe import FileState, HostProbe, UnitState

VERSION = "v1.35.6+k3s1"
BINARY_SUM = "b" * 64


def host(name: str, role: str | None = "server", **values: Any) -> Host:
    """A host; s1 is 192.168.1.11, s2 .12, a1 .21 unless an address is given."""
    tens = {"s": 10, "a": 20, "n": 30}[name[0]]
    last = tens + int(name[1:] or 0) if name[1:].isdigit() else tens
    return Host.model_validate({"name": name, "role": role, "address": f"192.168.1.{last}", **values})


def home(servers: Iterable[str | Host] = ("s1",), agents: Iterable[str | Host] = (), **cluster: Any) -> Home:
    """A home of these K3s nodes, in this order."""
    hosts = [each if isinstance(each, Host) else host(each) for each in servers]
    hosts += [each if isinstance(each, Host) else host(each, "agent") for each in agents]
    return Home(environment="test", hosts=tuple(hosts), cluster=Cluster(version=VERSION, **cluster))


def wanted(known: Home) -> dict[str, dict[str, str]]:
    """SHA-256 by path by host: what each node's K3s should have been started with."""
    return {
        each.name: {
            paths.BINARY: BINARY_SUM,
            paths.CONFIG: config.config(known, each).sha256,
            paths.unit_file(each.role or ""): unit.unit(each.role or "").sha256,
        }
        for each in known.servers + known.agents
    }


def fresh(**values: Any) -> HostProbe:
    """A host that has never had K3s."""
    return HostProbe(machine="x86_64", **values)


def node_up(
    known: Home,
    name: str,
    *,
    via: str | None = None,
    active: str = "active",
    pid: int = 100,
    files: Mapping[str, str] | None = None,
    sums: Mapping[str, str] | None = None,
    **values: Any,
) -> HostProbe:
    """A node of a converged cluster; `files` replaces the text of files, `sums` what it was started with."""
    mine = known.host(name)
    role = mine.role or ""
    text = {
        paths.CONFIG: config.config(known, mine).content,
        paths.JOIN: config.join(known.host(via) if via else None).content,
        paths.unit_file(role): unit.unit(role).content,
        **({paths.SERVER_CA: "the cluster's"} if role == "server" else {}),
        **(files or {}),
    }
    laid = [*text, paths.TOKEN, paths.BINARY]
    laid += [paths.AGENT_TOKEN, paths.SERVER_TOKEN, paths.ESTABLISHED] if role == "server" else []
    state = UnitState(load="loaded", active=active, sub="running", enabled="enabled", pid=pid)
    return HostProbe(
        **{
            "machine": "x86_64",
            "k3s_version": VERSION,
            "etcd_data": role == "server",
            "node_password": True,
            "text": text,
            "files": {path: FileState("file", "0600", "root:root", "0" * 64, size=9) for path in laid},
            "units": {paths.unit(role): state},
            "k3s_started": wanted(known)[name] if sums is None else sums,
            **values,
        }
    )


def node(name: str, role: str = "server", *, ready: bool = True, **values: Any) -> Node:
    """A Node as the API tells it of a host of `home`."""
    known = host(name, role)
    return Node(
        **{
            "name": name,
            "ready": ready,
            "reason": "kubelet is posting ready status",
            "version": VERSION,
            "voter": True if role == "server" else None,
            "etcd": role == "server",
            "addresses": (str(known.address),),
            **values,
        }
    )


def nodes(known: Home, **ready: bool) -> dict[str, Node]:
    """A Node for every node of the home; `s2=False` for one that is not Ready."""
    return {
        each.name: node(each.name, each.role or "", ready=ready.get(each.name, True))
        for each in known.servers + known.agents
    }
