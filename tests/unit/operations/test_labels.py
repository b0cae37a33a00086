"""Labels and taints are set through a server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from homelab.operations import labels
from tests.builders import host as make_host
from tests.builders import node

A1 = make_host("a1", "agent", labels={"disk": "a.b"})


def made(nodes: Any, *hosts: Any) -> list[str]:
    cluster: Any = SimpleNamespace(nodes=nodes)
    return [each.get_raw_value() for each in labels.labelled._inner(cluster, hosts)]


def test_a_node_in_line_costs_no_command(host: Any) -> None:
    known = node("a1", "agent", labels={"disk": "a.b"}, annotations={"homelab/labels": "disk"})
    assert made({"a1": known}, A1) == []
    assert host.noops


def test_a_node_out_of_line_is_labelled_by_the_servers_kubectl(host: Any) -> None:
    label, note = made({"a1": node("a1", "agent")}, A1)
    assert label.endswith("/k3s.yaml label node a1 --overwrite disk=a.b")
    assert note.endswith("/k3s.yaml annotate node a1 --overwrite homelab/labels=disk")


def test_a_node_that_has_not_registered_is_left_for_its_start(host: Any) -> None:
    assert made({}, A1) == [] == made(None, A1)
