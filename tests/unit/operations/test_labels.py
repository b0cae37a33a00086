"""Labels and taints are set through a server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from homelab.k3s.plan import Plan, Step
from homelab.operations import labels
from tests.builders import host as make_host
from tests.builders import node

A1 = make_host("a1", "agent", labels={"disk": "a.b"})


def made(nodes: Any, *hosts: Any, plan: Plan | None = None) -> list[str]:
    cluster: Any = SimpleNamespace(nodes=nodes, plan=plan or Plan())
    return [each.get_raw_value() for each in labels.labelled._inner(cluster, hosts)]


def test_a_node_in_line_costs_no_command(host: Any) -> None:
    known = node("a1", "agent", labels={"disk": "a.b"}, annotations={"homelab/labels": "disk"})
    assert made({"a1": known}, A1) == []
    assert host.noops


def test_a_node_out_of_line_is_labelled_by_the_servers_kubectl(host: Any) -> None:
    label, note = made({"a1": node("a1", "agent")}, A1)
    assert label.endswith("/k3s.yaml label node a1 --overwrite disk=a.b")
    assert note.endswith("/k3s.yaml annotate node a1 --overwrite homelab/labels=disk")


def test_a_node_that_has_not_registered_is_left_for_its_start(host: Any, state: Any) -> None:
    assert made({}, A1) == [] == made(None, A1)


BARE = make_host("a2", "agent")
JOINS, REVIVED = Plan(agents=(Step("join", A1),)), Plan(revive=(Step("revive", BARE),))
IN_LINE = node("a1", "agent", labels={"disk": "a.b"}, annotations={"homelab/labels": "disk"})


@pytest.mark.parametrize(
    ("nodes", "plan", "changes"),
    [
        ({"a1": IN_LINE}, Plan(), False),
        ({}, JOINS, True),
        ({"a1": IN_LINE}, JOINS, True),
        (None, REVIVED, True),
        ({}, Plan(agents=(Step("join", BARE),)), False),
    ],
    ids=["in line", "joins", "is forgotten and joins anew", "does not answer", "joins with nothing of its own"],
)
def test_a_plan_tells_what_it_cannot_ask_yet_as_what_comes_after(
    nodes: Any, plan: Plan, changes: bool, host: Any, state: Any
) -> None:
    state.is_executing = False
    mine = plan.steps[0].host if plan.steps else A1
    assert bool(made(nodes, mine, plan=plan)) is changes
    assert ("_if" in host.current_op_global_arguments) is changes
    state.is_executing = True
    assert made(nodes, mine, plan=plan) == []
