"""deploys/k3s.py on hosts that do not exist: who starts when, and what a dry run leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.deploys.rehearsal import pyinfra

# Operation names in their order with the hosts each would change, and what was said beside.
Rehearsed = tuple[list[tuple[str, list[str]]], str]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact cache with nothing in it."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def plan(cache: Path) -> Rehearsed:
    done = pyinfra("--dry", "--json", "inventory", "deploys/k3s.py", XDG_CACHE_HOME=str(cache))
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)["plan"]
    return [(each["name"], sorted(each["hosts_with_change"])) for each in listed], done.stderr


def test_servers_start_one_after_another_and_then_the_agents_together(
    plan: Rehearsed,
) -> None:
    assert [each for each in plan[0] if each[0].startswith("Start K3s on")] == [
        ("Start K3s on s1: no server has a cluster yet", ["@fake/s1"]),
        ("Start K3s on s2: through s1", ["@fake/s2"]),
        ("Start K3s on s3: through s1", ["@fake/s3"]),
        ("Start K3s on a1, a2: through s1", ["@fake/a1", "@fake/a2"]),
    ]


def test_every_start_is_waited_for_before_the_next(plan: Rehearsed) -> None:
    turns = [name.split(":")[0] for name, _ in plan[0] if name.startswith(("Start K3s on", "Wait for"))]
    assert turns == [
        *("Start K3s on s1", "Wait for every server after the turn of s1"),
        *("Start K3s on s2", "Wait for every server after the turn of s2"),
        *("Start K3s on s3", "Wait for every server after the turn of s3"),
        *("Start K3s on a1, a2", "Wait for the agents"),
    ]


def test_one_server_alone_begins_the_cluster_and_merges_it(plan: Rehearsed) -> None:
    assert [hosts for name, hosts in plan[0] if name.startswith("Merge the kubeconfig")] == [["@fake/s1"]]


def test_a_machine_that_is_no_node_is_left_alone(plan: Rehearsed) -> None:
    assert not [name for name, hosts in plan[0] if "@fake/nas" in hosts]


def test_a_dry_run_says_once_what_it_would_fetch_and_fetches_nothing(plan: Rehearsed, cache: Path) -> None:
    assert plan[1].count("would be fetched from") == 1
    assert list(cache.iterdir()) == []


def test_a_file_is_named_at_the_hosts_that_get_it(plan: Rehearsed) -> None:
    """Servers and agents write their own at one place of the deploy, which is one operation to pyinfra."""
    written = {name: hosts for name, hosts in plan[0] if "uninstall" in name}
    assert written == {
        "Write /usr/local/bin/k3s-uninstall.sh": ["@fake/s1", "@fake/s2", "@fake/s3"],
        "Write /usr/local/bin/k3s-agent-uninstall.sh": ["@fake/a1", "@fake/a2"],
    }
