"""What ansible-runner tells as events, and why a task failed in one line."""

from __future__ import annotations

from typing import Any

import pytest

from homelab.ansible.events import Event, Tally, own_errors, parse, tally, why


def raw(event: str, host: str = "s1", **result: Any) -> dict[str, Any]:
    return {"event": event, "event_data": {"play": "Patch", "task": "Look", "host": host, "res": result}}


def test_the_events_of_hosts() -> None:
    assert parse(raw("runner_on_ok", changed=True, rc=0, stdout="hello\n")) == Event(
        "ok", "s1", "Patch", "Look", changed=True, rc=0, said="hello\n"
    )
    assert parse({"event": "playbook_on_play_start", "event_data": {"play": "Patch"}}) == Event("play", play="Patch")
    assert parse({"event": "playbook_on_stats", "event_data": {}}) is None
    assert parse({"event": "verbose"}) is None
    ignored = parse({"event": "runner_on_failed", "event_data": {"host": "s1", "ignore_errors": True, "res": None}})
    assert ignored is not None and ignored.ignored and ignored.error == "it did not say why"


def test_an_event_comes_through_a_line_as_it_is() -> None:
    event = Event("failed", "s1", "Patch", "Look", rc=2, said="a\nb", error='it said "no"')
    assert Event.of_line(event.as_line()) == event
    assert [Event.of_line(line) for line in ("", "nonsense", "[1]", '{"unknown": 1}', "{}")] == [None] * 5


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (
            {"msg": "non-zero return code", "stderr": "W: x\nE: Could not get lock\nE: Unable\n"},
            "E: Could not get lock / E: Unable",
        ),
        ({"msg": "Action failed: non-zero return code", "stdout": "one\ntwo\n", "stderr": ""}, "two"),
        (
            {"msg": "Task failed: Failed to connect to the host via ssh: ssh: connect to host x port 22: No route"},
            "connect to host x port 22: No route",
        ),
        (
            {
                "msg": "Task failed: Failed to connect to the host via ssh: @@@\n"
                "@ IDENTIFICATION HAS CHANGED! @\nIt fell.\n"
            },
            "It fell. (it has another host key than before)",
        ),
        ({"msg": "No package matching 'x' is available"}, "No package matching 'x' is available"),
        ({"censored": "the output has been hidden", "stdout": "secret"}, "what it said is not shown (no_log)"),
        ({}, "it did not say why"),
        ({"msg": ["odd"], "stdout": 3}, "it did not say why"),
    ],
)
def test_why_a_task_failed(result: dict[str, Any], said: str) -> None:
    assert why(result) == said


def test_what_ansible_says_itself_is_a_line_each_with_its_place() -> None:
    output = "PLAY\n[ERROR]: the role 'x' was not found in /a:/b\nOrigin: /p.yml:2:11\n\n1 - x\n[ERROR]: that is all\n"
    assert own_errors(output) == "the role 'x' was not found in /a:/b (/p.yml:2:11)\nthat is all"


def test_how_hosts_fared() -> None:
    events = [
        Event("play", play="a"),
        Event("ok", "s1", changed=True),
        Event("ok", "s1"),
        Event("failed", "s2", ignored=True),
        Event("unreachable", "a1"),
    ]
    fared = tally(events)
    assert fared == {"s1": Tally(ok=2, changed=1), "s2": Tally(ignored=1), "a1": Tally(unreachable=1)}
    assert [each.well for each in fared.values()] == [True, True, False]
