"""Tokens on their way to the nodes: full form for who joins, never in a command line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from homelab.k3s import paths
from homelab.k3s.plan import Step
from homelab.k3s.token import Token
from homelab.operations import token
from homelab.pyinfra_compat import Refusal
from tests.builders import host as make_host

CA = "ab" * 32
S1, S2, A1 = make_host("s1"), make_host("s2"), make_host("a1", "agent")
CLUSTER: Any = SimpleNamespace(server_token=Token("s3rver"), agent_token=Token("ag3nt"))


def laid(step: Step) -> dict[str, str]:
    """What would be in which file; the command lines are looked over for secrets on the way."""
    found = {}
    for command in token.tokens._inner(CLUSTER, step):
        text = command.get_raw_value() + command.get_masked_value()
        assert "s3rver" not in text and "ag3nt" not in text
        assert "chmod 0600" in text
        (path,) = (each for each in (paths.TOKEN, paths.AGENT_TOKEN) if f'"$new" {each}' in text)
        found[path] = command.connector_arguments["_stdin"]
    return found


@pytest.fixture(autouse=True)
def authority(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The CA in the token of the server that is joined through."""
    known: list[str | None] = [CA]
    monkeypatch.setattr(token, "read_token", lambda host, path: Token("s3rver", known[0]))
    return known


def test_the_first_server_starts_from_the_short_form(state: Any) -> None:
    assert laid(Step("initialise", S1)) == {paths.TOKEN: "s3rver\n", paths.AGENT_TOKEN: "ag3nt\n"}


def test_a_server_joins_with_the_full_form(state: Any) -> None:
    assert laid(Step("join", S2, via=S1)) == {
        paths.TOKEN: f"K10{CA}::server:s3rver\n",
        paths.AGENT_TOKEN: "ag3nt\n",
    }


def test_an_agent_gets_the_agents_token_alone(state: Any) -> None:
    assert laid(Step("join", A1, via=S1)) == {paths.TOKEN: f"K10{CA}::node:ag3nt\n"}


def test_nobody_joins_on_trust(state: Any, authority: list[str | None]) -> None:
    authority[0] = None
    with pytest.raises(Refusal, match="is not in the full form"):
        laid(Step("join", S2, via=S1))


def test_a_dry_run_reads_no_token(state: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    state.is_executing = False
    monkeypatch.setattr(token, "read_token", lambda host, path: pytest.fail("read"))
    assert set(laid(Step("join", S2, via=S1))) == {paths.TOKEN, paths.AGENT_TOKEN}
