"""Labels and taints of registered nodes: ours follow the inventory, others' stay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homelab.k3s import labels
from homelab.k3s.node import Node
from homelab.model import Host
from tests.builders import host, node

OTHERS = {"kubernetes.io/hostname": "a1", "theirs": "x"}


def mine(**values: Any) -> Host:
    return host("a1", "agent", **values)


def carried_out(known: Node, commands: list[list[str]]) -> Node:
    """The Node after kubectl was run with these arguments."""
    found, taints, notes = dict(known.labels), set(known.taints), dict(known.annotations)
    for verb, kind, name, overwrite, *arguments in commands:
        assert (kind, name, overwrite) == ("node", "a1", "--overwrite")
        for argument in arguments:
            if verb == "taint":
                identity = argument.removesuffix("-")
                key, _, effect = identity.rpartition(":")
                taints = {
                    each
                    for each in taints
                    if (each.rpartition(":")[0].partition("=")[0], each.rpartition(":")[2])
                    != (key.partition("=")[0], effect)
                }
                if not argument.endswith("-"):
                    taints.add(argument.replace("=:", ":"))
                continue
            held = found if verb == "label" else notes
            key, equals, value = argument.partition("=")
            if equals:
                held[key] = value
            else:
                del held[key.removesuffix("-")]
    return replace(known, labels=found, taints=frozenset(taints), annotations=notes)


def test_a_node_without_wishes_is_left_alone() -> None:
    assert labels.changes(mine(), node("a1", "agent", labels=OTHERS, taints=frozenset({"theirs:NoSchedule"}))) == []


def test_a_registered_node_gets_the_inventorys_labels_and_taints() -> None:
    wish = mine(labels={"disk": "ssd"}, taints=("gpu=yes:NoSchedule",))
    assert labels.changes(wish, node("a1", "agent", labels=OTHERS)) == [
        ["label", "node", "a1", "--overwrite", "disk=ssd"],
        ["taint", "node", "a1", "--overwrite", "gpu=yes:NoSchedule"],
        ["annotate", "node", "a1", "--overwrite", "homelab/labels=disk", "homelab/taints=gpu:NoSchedule"],
    ]


@pytest.mark.parametrize("taint", ["gpu=yes:NoSchedule", "gpu:NoSchedule", "gpu=:NoExecute"])
def test_the_second_time_there_is_nothing_to_do(taint: str) -> None:
    wish = mine(labels={"disk": "ssd", "empty": ""}, taints=(taint,))
    done = carried_out(node("a1", "agent", labels=OTHERS), labels.changes(wish, node("a1", "agent", labels=OTHERS)))
    assert labels.changes(wish, done) == []


def test_what_left_the_inventory_is_taken_back_and_nothing_else() -> None:
    known = node("a1", "agent", labels=OTHERS, taints=frozenset({"theirs:NoSchedule"}))
    before = mine(labels={"disk": "ssd"}, taints=("gpu=yes:NoSchedule",))
    done = carried_out(known, labels.changes(before, known))
    assert carried_out(done, labels.changes(mine(), done)) == known


def test_what_somebody_took_away_by_hand_is_not_taken_away_twice() -> None:
    known = node("a1", "agent", annotations={"homelab/labels": "disk", "homelab/taints": "gpu:NoSchedule"})
    assert labels.changes(mine(), known) == [
        ["annotate", "node", "a1", "--overwrite", "homelab/labels-", "homelab/taints-"]
    ]


WORDS = st.sampled_from(["disk", "gpu", "example.org/zone", "room"])
VALUES = st.sampled_from(["", "ssd", "yes", "a.b"])
EFFECTS = st.sampled_from(["NoSchedule", "PreferNoSchedule", "NoExecute"])
TAINTS = st.dictionaries(st.tuples(WORDS, EFFECTS), VALUES, max_size=3).map(
    lambda found: tuple(
        f"{key}={value}:{effect}" if value else f"{key}:{effect}" for (key, effect), value in found.items()
    )
)
WISHES = st.builds(mine, labels=st.dictionaries(WORDS, VALUES), taints=TAINTS)


@given(st.lists(WISHES, min_size=1, max_size=3))
def test_any_change_of_mind_ends_as_the_inventory_says(wishes: list[Host]) -> None:
    known = start = node("a1", "agent", labels=OTHERS, taints=frozenset({"theirs:NoSchedule"}))
    for wish in wishes:
        known = carried_out(known, labels.changes(wish, known))
        assert labels.changes(wish, known) == []
    last = wishes[-1]
    assert known.labels == OTHERS | dict(last.labels)
    assert known.taints == start.taints | {str(taint).replace("=:", ":") for taint in last.taints}
