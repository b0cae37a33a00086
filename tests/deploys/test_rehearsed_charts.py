"""deploys/charts.py on a cluster that does not exist: the plan in its order, and who carries it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from homelab.charts import objects
from homelab.model import load
from homelab.operations.api import path_of
from tests.charts_api import ChartsApi, crd
from tests.deploys.rehearsal import REPOSITORY, planned_site, pyinfra
from tests.unit.charts.homes import CHARTS, NTFY, READER


@pytest.fixture(scope="module")
def plan() -> dict[str, set[str]]:
    """The operations of a whole site's plan that are the charts', in their order, with the hosts each would change.

    There is no cluster yet: what is applied to it comes only after K3s has made it.
    """
    listed = [each for each in planned_site() if "charts.py | " in each["name"]]
    assert not any(each["hosts_with_change"] for each in listed)
    return {each["name"].rpartition(" | ")[2]: set(each["hosts_with_conditional_change"]) for each in listed}


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
    names = [each["name"].rpartition("py | ")[2] for each in planned_site()]
    merged, applied = (
        next(number for number, name in enumerate(names) if name.startswith(begins))
        for begins in ("Merge the kubeconfig ", "Apply ")
    )
    assert merged < applied
    assert names[-1].startswith("Hand out the kubeconfig ")


@pytest.mark.parametrize("option", ["--dry", "-y"])
def test_before_there_is_a_cluster_nothing_is_applied_or_planned(option: str) -> None:
    done = pyinfra(option, "inventory", "deploys/charts.py")
    assert done.returncode == 1
    assert "refused" in done.stderr, "before anything is touched"
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


# On an API that keeps what is applied to it; of Helm's job only the record is played
#


class Rehearsed:
    """A copy of the rehearsal's inventory whose cluster is an API in this process."""

    def __init__(self, api: ChartsApi, folder: Path) -> None:
        self.api, self.folder = api, folder
        shutil.copytree(REPOSITORY / "inventory", folder / "inventory")
        (folder / "charts").symlink_to(CHARTS)
        self.kubeconfig = folder / "kube" / "config"
        self.kubeconfig.parent.mkdir()
        api.kubeconfig(self.kubeconfig, "homelab-rehearsal")
        self.shared = folder / "inventory" / "group_data" / "rehearsal.py"
        self.before = self.shared.read_text()

    def lists(self, *charts: dict[str, object]) -> None:
        more = f"kubeconfig = {str(self.kubeconfig)!r}\ncharts = {list(charts)!r}\n"
        self.shared.write_text(self.before + more)

    def helm_installs(self) -> None:
        """What K3s's job would do: each release is deployed as its HelmChart has it, once that is there."""
        for each in objects.releases(load(self.folder / "inventory" / "rehearsal.py", self.folder), CHARTS):
            install = partial(self.api.release, each.name, each.namespace, each.version, values=each.values)
            path = path_of(each.manifest)
            if path in self.api.objects or each.packaged:
                install()
            self.api.follows[path] = install

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        done = pyinfra(*options, str(self.folder / "inventory"), "deploys/charts.py", NTFY_USERS="anna:hunter2:admin")
        assert "Traceback" not in done.stderr and "hunter2" not in done.stdout + done.stderr
        return done

    def changes(self) -> list[str]:
        done = self.run("--dry", "--json")
        assert done.returncode == 0, done.stderr
        return [each["name"].partition(":")[0] for each in json.loads(done.stdout)["plan"] if each["hosts_with_change"]]


@pytest.fixture
def rehearsed(tmp_path: Path) -> Iterator[Rehearsed]:
    fields = ("chart", "chartContent", "targetNamespace", "valuesContent", "repo", "version")
    known = dict([crd("helmcharts", *fields), crd("helmchartconfigs", "valuesContent")])
    with ChartsApi(known) as api:
        yield Rehearsed(api, tmp_path)


def test_a_run_applies_waits_and_hands_out_and_the_next_changes_nothing(rehearsed: Rehearsed) -> None:
    rehearsed.lists(NTFY, READER)
    rehearsed.helm_installs()
    token = {"data": {"token": base64.b64encode(b"the.token").decode()}, "metadata": {"name": "health-reader-token"}}
    rehearsed.api.objects["/api/v1/namespaces/kube-system/secrets/health-reader-token"] = token
    handed = rehearsed.kubeconfig.with_name("config.health-reader")
    planned = ["Apply ntfy", "Apply health-reader", f"Hand out the kubeconfig {handed}"]
    assert rehearsed.changes() == planned
    assert rehearsed.api.written == [] and not handed.exists()

    done = rehearsed.run("-y")
    assert done.returncode == 0, done.stderr
    assert "2 releases up: ntfy 0.1.0+" in done.stderr
    assert handed.stat().st_mode & 0o777 == 0o600
    assert rehearsed.api.written[-3:] == [
        "PATCH helmcharts/ntfy",
        "POST v1/namespaces",
        "PATCH helmcharts/health-reader",
    ]

    rehearsed.api.asked.clear()
    assert rehearsed.run("-y").returncode == 0
    assert rehearsed.changes() == [] and rehearsed.api.written == []


def test_a_changed_value_and_a_release_that_is_no_longer_listed_are_the_plan(rehearsed: Rehearsed) -> None:
    rehearsed.lists(NTFY, {"name": "traefik", "values": {"replicas": 2}})
    rehearsed.helm_installs()
    assert rehearsed.run("-y").returncode == 0
    rehearsed.lists({**NTFY, "values": {"hostname": "other.home.arpa"}})
    rehearsed.helm_installs()
    assert rehearsed.changes() == ["Uninstall traefik, which is no longer listed", "Apply ntfy"]
    assert rehearsed.run("-y").returncode == 0
    rehearsed.lists()
    done = rehearsed.run("-y")
    assert done.returncode == 0, done.stderr
    assert "ntfy: stays: namespace ntfy" in done.stderr
    left = [path for path in rehearsed.api.objects if "/helmchart" in path and "definitions" not in path]
    assert left == []


def test_what_the_api_refuses_ends_the_run_in_a_line(rehearsed: Rehearsed) -> None:
    rehearsed.lists(READER)
    rehearsed.api.refused["/apis/helm.cattle.io/v1/namespaces/kube-system/helmcharts/health-reader"] = 403
    done = rehearsed.run("-y")
    assert done.returncode == 1
    assert "helmcharts/health-reader is refused; see homelab health" in done.stderr
