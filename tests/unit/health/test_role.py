"""The role that is told: just what is read, nothing that changes anything and no secrets."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from homelab.health import role
from homelab.health.kinds import BY_NAME
from homelab.health.snapshot import APIS, READYZ, VERSION
from tests import api_server
from tests.unit.health.test_cli import homelab
from tests.unit.health.test_reading import needed, read, serving


def allowed() -> set[str]:
    """The paths that the role lets be read."""
    found = set()
    for rule in role.rules():
        if "nonResourceURLs" in rule:
            found |= set(rule["nonResourceURLs"])
            continue
        assert rule["verbs"] == ["list"]
        (group,) = rule["apiGroups"]
        found |= {f"{group}/{resource}" for resource in rule["resources"]}
    return found


def test_it_lets_in_just_what_is_asked_for(tmp_path: Path) -> None:
    """Without discovery each kind is asked for in each version, until one is there: so none of them is."""
    with serving(served={}) as server:
        server.faults[APIS] = api_server.refuse(403, "no")
        read(server, tmp_path, kinds=[*needed(), "namespaces"])
        asked = set(server.asked)
    lists = set()
    for path in asked - {APIS, READYZ, VERSION}:
        *_, group, _, resource = path.split("/") if path.startswith("/apis/") else ("", *path.split("/")[2:])
        lists.add(f"{group if path.startswith('/apis/') else ''}/{resource}")
    assert {APIS, READYZ, VERSION} | lists == allowed()


def test_nothing_secret_and_nothing_that_writes() -> None:
    assert not [each for each in allowed() if "secret" in each or "configmap" in each or "*" in each]
    assert {verb for rule in role.rules() for verb in rule["verbs"]} == {"list", "get"}


def test_fewer_checks_need_less() -> None:
    resources = {each for rule in role.rules(["POD001"]) for each in rule.get("resources", [])}
    assert {"pods", "namespaces"} <= resources < {kind.partition(".")[0] for kind in BY_NAME} | {"endpoints"}


def test_the_account_is_bound_to_the_role_in_the_namespace_that_is_named(tmp_path: Path) -> None:
    done = homelab("role", "-n", "watch", cwd=tmp_path)
    account, made, binding = yaml.safe_load_all(done.stdout)
    assert (account["metadata"]["namespace"], made["rules"]) == ("watch", role.rules())
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": role.NAME, "namespace": "watch"}]
    assert binding["roleRef"]["name"] == made["metadata"]["name"]


@pytest.mark.parametrize("name", ["", "Watch", "a b", "-a", "a" * 64, "x\ny"])
def test_a_namespace_that_cannot_be_is_one_line(tmp_path: Path, name: str) -> None:
    done = homelab("role", "-n", name, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert "no name of a namespace" in done.stderr
