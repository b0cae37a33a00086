"""`homelab plan` on hosts that somebody changed by hand: it names what they changed, and touches nothing."""

from __future__ import annotations

import pytest

from tests.faults.conftest import state
from tests.sandbox.lab import Lab

pytestmark = pytest.mark.long

EDITED, UNIT = "/etc/apt/apt.conf.d/90homelab", "/etc/systemd/system/k3s-agent.service"


def plan(lab: Lab, code: int) -> dict[str, list[str]]:
    """The operations that would change something, each with its hosts; `homelab plan` must exit with `code`."""
    done = lab.plan()
    assert done.code == code, done.said
    return done.changes


def test_what_a_hand_changed_is_named_and_stays_until_the_next_deploy(whole: Lab) -> None:
    assert plan(whole, 0) == {}
    try:
        whole.ssh("s2", f"echo '// by hand' >>{EDITED}")
        whole.ssh("a1", f"rm {UNIT}")
        before = state(whole)
        named = plan(whole, 2)
        assert [hosts for name, hosts in named.items() if EDITED in name] == [["s2"]], named
        assert [hosts for name, hosts in named.items() if UNIT in name] == [["a1"]], named
        assert {host for hosts in named.values() for host in hosts} == {"s2", "a1"}, named
        assert state(whole) == before, "a plan touches nothing"
    finally:
        done = whole.deploy("site")
    assert done.code == 0, done.reasons
    assert plan(whole, 0) == {}
