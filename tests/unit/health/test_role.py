"""The role that is told: just what is read, nothing that changes anything and no secrets."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from homelab.health import ClusterUnreachable, role, run_checks
from homelab.health.kinds import BY_NAME
from homelab.health.manifests import RIGHTS
from homelab.health.snapshot import APIS, READYZ, VERSION
from tests import api_server
from tests.sweeps import sweep
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


def test_what_is_tried_out_takes_a_role_of_its_own(tmp_path: Path) -> None:
    """What the plain role lets be done stays what it was; the other one lets be made just what `--deep` makes."""
    account, plain, binding, made, bound = yaml.safe_load_all(homelab("role", "--deep", cwd=tmp_path).stdout)
    assert [account, plain, binding] == list(yaml.safe_load_all(homelab("role", cwd=tmp_path).stdout))
    *rules, figures = made["rules"]
    verbs = {(verb, each) for rule in rules for each in rule["resources"] for verb in rule["verbs"]}
    assert verbs == set(RIGHTS) and all(rule["apiGroups"] == [""] for rule in rules)
    assert figures == {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}
    assert {verb for verb, _ in verbs} == {"create", "delete"}
    assert [each for verb, each in verbs if verb == "delete"] == ["namespaces"]
    assert bound["roleRef"]["name"] == made["metadata"]["name"] != plain["metadata"]["name"]
    assert bound["subjects"] == binding["subjects"]


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


# Each right, taken away alone
#


def rights() -> list[tuple[str, str]]:
    """Group and resource of every list that the role allows, and "" with every path."""
    return [
        (group, resource)
        for rule in role.rules()
        for group in rule.get("apiGroups", [""])
        for resource in rule.get("resources", rule.get("nonResourceURLs", []))
    ]


def _served(group: str, resource: str) -> dict[str, str]:
    """What a cluster serves that has this resource in this group, and in no other."""
    served = dict(api_server.SERVED)
    for name, kind in BY_NAME.items():
        for each in kind.served:
            core = each == "v1" or each.startswith("v1/")
            plural = (each.partition("/")[2] if core else "") or name.partition(".")[0]
            if (plural, "" if core else each.partition("/")[0]) == (resource, group):
                served.pop(name, None)
                served[plural if core else name] = "v1" if core else each
    return served


def _allowed_by(right: tuple[str, str] | None, server: api_server.ApiServer) -> None:
    """Answer as an API server does to an account with this role, less one right."""
    left = {each for each in rights() if each != right}
    for path in (*server.at, APIS, READYZ, VERSION):
        # /apis/<group>/<version>/<resource>, /api/v1/<resource>
        parts = path.split("/")
        group = parts[2] if path.startswith("/apis/") else ""
        asked = (group, parts[-1]) if path in server.at else ("", path)
        if asked not in left:
            server.faults[path] = api_server.refuse(403, "forbidden by RBAC")


def _seen(right: tuple[str, str] | None, served: dict[str, str], folder: Path, namespace: str = "") -> object:
    with serving(served=served) as server:
        _allowed_by(right, server)
        try:
            snapshot = read(server, folder, namespace=namespace)
        except ClusterUnreachable as error:
            return str(error)
        runs = run_checks(snapshot).runs
    return {each.code: (each.status, each.reason) for each in runs}, {
        name: (source.state, source.why) for name, source in snapshot.sources.items()
    }


_WHOLE: dict[object, object] = {}


def _seen_with_all(served: dict[str, str], folder: Path, namespace: str = "") -> object:
    key = (frozenset(served.items()), namespace)
    if key not in _WHOLE:
        _WHOLE[key] = _seen(None, served, folder, namespace)
    return _WHOLE[key]


@pytest.mark.parametrize("right", sweep(rights()), ids=lambda right: "/".join(filter(None, right)))
def test_without_any_one_of_its_rights_less_is_seen(tmp_path: Path, right: tuple[str, str]) -> None:
    served = _served(*right)
    # Of a namespace that is named it has to be known whether there is one.
    namespace = "nowhere" if right == ("", "namespaces") else ""
    assert _seen(right, served, tmp_path, namespace) != _seen_with_all(served, tmp_path, namespace)


def test_without_a_right_that_it_has_not_the_same_is_seen(tmp_path: Path) -> None:
    served = dict(api_server.SERVED)
    assert _seen(("", "secrets"), served, tmp_path) == _seen_with_all(served, tmp_path)
