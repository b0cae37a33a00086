"""Starting a node and looking at it: commands out, captured answers in."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from homelab.k3s import paths
from homelab.operations import node
from homelab.probe import UnitState
from homelab.pyinfra_compat import Refusal
from tests.builders import VERSION
from tests.builders import host as make_host

SERVER, AGENT = make_host("s1"), make_host("a1", "agent")
RUNS = UnitState("loaded", "active", "running", "enabled", 812)

NODE = {
    "metadata": {"name": "s1", "labels": {"node-role.kubernetes.io/etcd": "true"}},
    "status": {
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "EtcdIsVoter", "status": "True"}],
        "nodeInfo": {"kubeletVersion": VERSION},
    },
}
LEASE = {"spec": {"holderIdentity": "s1", "leaseDurationSeconds": 40, "renewTime": "2026-11-22T10:00:07.123456Z"}}
UNIT = "ActiveState=active\nExecMainStartTimestamp=Sun 2026-11-22 10:00:00 UTC\n"
UP = f"{UNIT}readyz=ok\nnode={json.dumps(NODE)}\nlease={json.dumps(LEASE)}\n"


def commands(current: UnitState, restart: bool, role: str = "server") -> list[str]:
    return [each.get_raw_value() for each in node.started._inner(role, current, restart)]


# Starting
#


def test_what_runs_is_left_alone(host: Any) -> None:
    assert commands(RUNS, restart=False) == []
    assert host.noops == ["k3s runs"]


@pytest.mark.parametrize(
    ("current", "restart", "verb"),
    [
        (UnitState(), False, "start"),
        (replace(RUNS, pid=0, active="inactive"), False, "start"),
        (replace(RUNS, pid=0, active="failed"), False, "restart"),
        (replace(RUNS, enabled="disabled"), False, "start"),
        (RUNS, True, "restart"),
    ],
)
def test_a_start_never_blocks(host: Any, current: UnitState, restart: bool, verb: str) -> None:
    (command,) = commands(current, restart)
    assert command.endswith(f"systemctl {verb} --no-block k3s")
    assert "systemctl daemon-reload && systemctl enable --quiet k3s" in command


def test_an_agents_unit_is_its_own(host: Any) -> None:
    (command,) = commands(UnitState(), restart=False, role="agent")
    assert command.endswith("systemctl start --no-block k3s-agent")


# Looking
#


def test_a_server_is_seen_in_one_command(fake: Any) -> None:
    theirs = fake("s1", {"systemctl show k3s ": UP})
    sight = node.look(SERVER, theirs, theirs)
    assert len(theirs.asked) == 1
    assert "TZ=UTC systemctl show" in theirs.asked[0] and "--timestamp" not in theirs.asked[0], "Ubuntu 22.04 has none"
    assert (sight.unit, sight.serving) == ("active", True)
    assert sight.started == datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
    assert sight.renewed == datetime(2026, 11, 22, 10, 0, 7, 123456, tzinfo=UTC)
    assert sight.node is not None and sight.node.ready and sight.node.voter


def test_an_agent_is_seen_through_a_server(fake: Any) -> None:
    theirs = fake("a1", {"systemctl show k3s-agent ": UNIT})
    via = fake("s1", {"/api/v1/nodes/a1": f"node={json.dumps(NODE)}\nlease={json.dumps(LEASE)}\n"})
    sight = node.look(AGENT, theirs, via)
    assert sight.unit == "active" and sight.node is not None
    assert "kubectl" not in theirs.asked[0]
    assert "/readyz" not in via.asked[0]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "ActiveState=activating\nExecMainStartTimestamp=\nreadyz=\nnode=\nlease=\n",
        "ActiveState=active\nreadyz=[+]ping ok\nnode={broken\nlease=Error from server\n",
        "ActiveState=active\nnode={}\nlease={}\n",
        "ActiveState=active\nlease=null\nnode=null\n",
    ],
)
def test_a_node_that_does_not_answer_yet_is_not_up(fake: Any, answer: str) -> None:
    theirs = fake("s1", {"systemctl show": answer})
    sight = node.look(SERVER, theirs, theirs)
    assert sight.node is None and not sight.serving


def test_the_gate_lets_pass_what_is_up(fake: Any) -> None:
    theirs = fake("s1", {"systemctl show": UP})
    node.wait(SERVER, theirs, theirs, VERSION, deadline=0)
    assert len(theirs.asked) == 1


def test_at_the_deadline_the_reason_the_last_words_and_the_cause_are_one_line(fake: Any) -> None:
    said = (
        'time="2026-11-22T10:00:02Z" level=fatal msg="bootstrap data already found and encrypted with different token"'
    )
    theirs = fake("s1", {"systemctl show": "ActiveState=activating\nJob=\n", "journalctl -u k3s ": said})
    with pytest.raises(Refusal) as told:
        node.wait(SERVER, theirs, theirs, VERSION, deadline=-1)
    assert told.value.message == (
        "s1: is not up after -1 s: its unit is activating; its last words: bootstrap data already found and encrypted "
        "with different token; that is: this node's token is not the cluster's; put the old token back"
    )


def test_a_unit_that_systemd_has_given_up_on_is_not_waited_for(fake: Any) -> None:
    theirs = fake("s1", {"systemctl show": "ActiveState=failed\n", "journalctl": "not starting: no data"})
    with pytest.raises(Refusal, match="s1: K3s did not start"):
        node.wait(SERVER, theirs, theirs, VERSION, deadline=600)


def test_a_start_that_is_still_queued_is_waited_for(fake: Any) -> None:
    theirs = fake("s1", {"systemctl show": "ActiveState=inactive\nJob=712\n", "journalctl": ""})
    with pytest.raises(Refusal, match="is not up after"):
        node.wait(SERVER, theirs, theirs, VERSION, deadline=-1)


def test_a_dry_run_waits_for_nothing(host: Any, state: Any) -> None:
    state.is_executing = False
    assert list(node.up._inner(SERVER, host, VERSION)) == []
    assert host.asked == []


def test_the_gate_asks_while_executing_and_changes_nothing(host: Any, state: Any) -> None:
    host.answers = {"systemctl show": UP}
    assert list(node.up._inner(SERVER, host, VERSION, deadline=0)) == []
    # pyinfra's current host is a proxy of it: still the same host, asked once.
    assert len(host.asked) == 1


# The cluster's nodes
#


def test_the_clusters_nodes_are_read(fake: Any) -> None:
    listed = {"kind": "NodeList", "items": [NODE]}
    found = node.nodes(fake("s1", {"get --raw /api/v1/nodes": json.dumps(listed)}))
    assert found is not None and list(found) == ["s1"]


@pytest.mark.parametrize("answer", [None, "", "Error from server", "null"])
def test_an_api_that_does_not_answer_is_none(fake: Any, answer: str | None) -> None:
    assert node.nodes(fake("s1", {"kubectl": answer})) is None


def test_nothing_is_forgotten_that_need_not_be(host: Any) -> None:
    assert list(node.forgotten._inner(SERVER, needed=False)) == []
    assert host.noops


def test_the_node_of_a_wiped_machine_is_forgotten_with_a_deadline(host: Any) -> None:
    (command,) = node.forgotten._inner(SERVER, needed=True)
    kubectl = f"{paths.BINARY} kubectl --kubeconfig {paths.KUBECONFIG}"
    delete, _, otherwise = command.get_raw_value().partition(" || ")
    assert delete == f"{kubectl} delete node s1 --ignore-not-found --wait --timeout=120s"
    # It is let go only where nothing but the handler of names holds it.
    held, _, free = otherwise.partition(" && ")
    assert held.endswith("""get node s1 -o jsonpath='{.metadata.finalizers}')" = '["wrangler.cattle.io/node"]' ]""")
    assert f"""{kubectl} patch node s1 --type=merge -p '{{"metadata":{{"finalizers":null}}}}'""" in free
