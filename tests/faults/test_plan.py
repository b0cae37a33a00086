"""`homelab plan` on hosts that somebody changed by hand: it names what they changed, and touches nothing."""

from __future__ import annotations

import yaml

from homelab.k3s import paths
from tests.faults.conftest import state
from tests.sandbox.lab import KUBECONFIG, Lab

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


def test_a_kubeconfig_whose_authority_is_not_the_clusters_is_named(whole: Lab) -> None:
    """Through it the API cannot be asked: what charts would apply only comes after the merge."""
    before = KUBECONFIG.read_text()
    stale = yaml.safe_load(before)
    other = whole.ssh("s1", f"base64 -w0 {paths.DATA}/server/tls/client-ca.crt").strip()
    for each in stale["clusters"]:
        each["cluster"]["certificate-authority-data"] = other
    KUBECONFIG.write_text(yaml.safe_dump(stale))
    try:
        named = {name.partition(" /")[0]: hosts for name, hosts in plan(whole, 2).items() if hosts}
        assert named == {"Merge the kubeconfig": ["s1"]}
        assert yaml.safe_load(KUBECONFIG.read_text()) == stale, "a plan touches nothing"
    finally:
        done = whole.deploy("k3s")
    assert done.code == 0, done.reasons
    assert yaml.safe_load(KUBECONFIG.read_text()) == yaml.safe_load(before)
    assert plan(whole, 0) == {}
