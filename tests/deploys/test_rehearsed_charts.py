"""deploys/charts.py on a cluster that does not exist: the plan in its order, and who carries it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.deploys.rehearsal import REPOSITORY, pyinfra
from tests.unit.charts.homes import NTFY


@pytest.fixture(scope="module")
def plan() -> dict[str, set[str]]:
    """Operation names in their order, with the hosts each would change."""
    done = pyinfra("--dry", "--json", "inventory", "deploys/charts.py")
    assert done.returncode == 0, done.stderr
    return {each["name"]: set(each["hosts_with_change"]) for each in json.loads(done.stdout)["plan"]}


def test_a_dependency_comes_before_its_chart_and_the_wait_after_all(plan: dict[str, set[str]]) -> None:
    steps = [name.partition(":")[0].rpartition("/")[2] for name in plan]
    assert steps == [
        "Apply csi-driver-nfs",
        "Apply nas-storage",
        "Apply health-reader",
        "Wait for the releases",
        "rehearsal-kubeconfig.health-reader",
    ]


def test_the_first_server_carries_it_alone(plan: dict[str, set[str]]) -> None:
    assert set().union(*plan.values()) == {"@fake/s1"}
    assert plan["Wait for the releases"] == set()


def test_the_whole_site_ends_with_it() -> None:
    done = pyinfra("--dry", "--json", "inventory", "deploys/site.py")
    assert done.returncode == 0, done.stderr
    names = [each["name"].rpartition("py | ")[2] for each in json.loads(done.stdout)["plan"]]
    merged, applied = (
        next(number for number, name in enumerate(names) if name.startswith(begins))
        for begins in ("Merge the kubeconfig ", "Apply ")
    )
    assert merged < applied
    assert names[-1].startswith("Hand out the kubeconfig ")


def test_before_there_is_a_cluster_nothing_is_applied() -> None:
    done = pyinfra("-y", "inventory", "deploys/charts.py")
    assert done.returncode == 1
    assert "has no context homelab-rehearsal; run deploys/k3s.py first" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_secret_that_cannot_be_read_stops_it_before_anything(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "inventory", tmp_path / "inventory")
    (tmp_path / "charts").symlink_to(REPOSITORY / "charts")
    shared = tmp_path / "inventory" / "group_data" / "rehearsal.py"
    shared.write_text(shared.read_text() + f"charts = [{NTFY!r}]\n")
    done = pyinfra("--dry", str(tmp_path / "inventory"), "deploys/charts.py")
    assert done.returncode == 1
    told = "charts: ntfy.secrets.users: env:NTFY_USERS: the variable is not set; export NTFY_USERS"
    assert told in done.stderr and "Traceback" not in done.stderr
