"""`homelab plan` on hosts that somebody changed by hand: it names what they changed, and touches nothing."""

from __future__ import annotations

from tests.faults.conftest import state
from tests.sandbox.lab import Lab

EDITED, NAMED = "/etc/apt/apt.conf.d/90homelab", "Install security upgrades unattended, without a reboot"
UNIT, CONFIG = "/etc/systemd/system/k3s-agent.service", "/etc/rancher/k3s/config.yaml"


def plan(lab: Lab, code: int) -> dict[str, list[str]]:
    """The operations that would change something, each with its hosts; `homelab plan` must exit with `code`."""
    done = lab.plan()
    assert done.code == code, done.said
    return done.changes


def test_what_a_hand_changed_is_named_and_stays_until_the_next_deploy(whole: Lab) -> None:
    assert plan(whole, 0) == {}
    started = whole.starts(["s3", "a1"])
    try:
        whole.ssh("s2", f"echo '// by hand' >>{EDITED}")
        whole.ssh("s3", f"echo 'node-label: [by=hand]' >>{CONFIG}")
        whole.ssh("a1", f"rm {UNIT}")
        before = state(whole)
        named = plan(whole, 2)
        assert {name: hosts for name, hosts in named.items() if hosts != ["a1"]} == {
            NAMED: ["s2"],
            f"Write {CONFIG}": ["s3"],
        }
        assert named.get(f"Write {UNIT}") == ["a1"], named
        assert state(whole) == before, "a plan touches nothing"
    finally:
        done = whole.deploy("site")
    assert done.code == 0, done.reasons
    assert whole.starts(["s3", "a1"]) == started, "what runs is as described, and is not restarted"
    assert plan(whole, 0) == {}
