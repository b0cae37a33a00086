"""Whose turn it is: the order of hosts, what is to be done on each, and whether a server may go down. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from homelab.k3s.node import Node
from homelab.model import Home, Host
from homelab.patch.hosts import Seen

# On a node that we have cordoned, so that a later run knows its own from a person's.
MARK = "homelab.patch/cordoned"
# What the cluster puts on a cordoned node, with the time at which it did (Kubernetes' node lifecycle controller).
_TAINT = "node.kubernetes.io/unschedulable"
# How far the cluster's clock and ours may be apart, with the controller's own delay.
_APART = timedelta(minutes=5)


class Turn(StrEnum):
    """What is to be done on a host."""

    NOTHING = "nothing"
    FINISH = "finish"  # an earlier run has done all but to let pods onto it again
    PATCH = "patch"


def order(home: Home) -> tuple[Host, ...]:
    """The hosts in their order, without those that are away: servers, agents, and what has the disks last.

    Servers before agents as in an upgrade (Kubernetes' version skew policy); both go through them in the inventory's.
    """
    here = [host for host in home.hosts if not host.away]

    def rank(host: Host) -> int:
        return 2 if host.nas else {"server": 0, "agent": 1}.get(host.role or "", 2)

    return tuple(sorted(here, key=rank))


def turn(seen: Seen, *, left: bool) -> Turn:
    """What is to be done on a host; `left` is whether an earlier run has left its node cordoned."""
    if seen.pending:
        return Turn.PATCH
    return Turn.FINISH if left else Turn.NOTHING


def ours(item: Mapping[str, Any]) -> bool | None:
    """Whether a node, as the API tells it, is left to us: None where it does not carry our mark.

    False where somebody has uncordoned it, which leaves our mark, and later cordoned it for reasons of their own: the
    taint of that cordon has another time than the mark. One without that taint has only its mark to go by.
    """
    told = (item["metadata"].get("annotations") or {}).get(MARK)
    if told is None:
        return None
    spec = item.get("spec") or {}
    if not spec.get("unschedulable"):
        return True
    added = [each.get("timeAdded") for each in spec.get("taints") or () if each.get("key") == _TAINT]
    if not added or added[0] is None:
        return True
    try:
        return abs(datetime.fromisoformat(added[0]) - datetime.fromisoformat(told)) <= _APART
    except (ValueError, TypeError):
        return False


def quorum(host: Host, home: Home, nodes: Mapping[str, Node], serving: Iterable[str]) -> list[str]:
    """Why a server may not go down now; empty when it may. `serving` are the servers whose own API answers ready.

    Every other server that is not away has to be whole, and those have to be a majority of all members of etcd, counted
    with the ones that are away and those of which the inventory does not know. A single server has no majority to keep:
    while it is down the API is.
    """
    known = {each.name for each in home.hosts}
    strangers = [node for node in nodes.values() if node.etcd and node.name not in known]
    members = len(home.servers) + len(strangers)
    if host.role != "server" or members == 1:
        return []
    serving = set(serving)
    whole, wrong = sum(node.ready and node.voter is not False for node in strangers), []
    for other in home.servers:
        if other.name == host.name or other.away:
            continue
        node = nodes.get(other.name)
        if node is None:
            wrong.append(f"{other.name} is no node of the cluster")
        elif not node.ready:
            wrong.append(f"{other.name} is not Ready ({node.reason})")
        elif node.voter is False:
            wrong.append(f"{other.name} is no voter of etcd yet")
        elif other.name not in serving:
            wrong.append(f"the API of {other.name} does not answer ready")
        else:
            whole += 1
    if not wrong and whole < members // 2 + 1:
        counted = {
            "away": [other.name for other in home.servers if other.away],
            "not in the inventory": [node.name for node in strangers],
        }
        why = ", ".join(f"{what}: {', '.join(names)}" for what, names in counted.items() if names)
        wrong.append(f"{whole} of {members} servers would be left, and etcd takes {members // 2 + 1} ({why})")
    return wrong
