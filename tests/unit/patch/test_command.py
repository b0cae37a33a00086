"""`homelab patch` over an API on the loopback and its real health checks; the hosts alone are made up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from homelab import cli
from homelab.patch.by_ansible import AnsibleHosts
from homelab.patch.hosts import Package, Seen
from tests.api_server import ApiServer
from tests.unit.health import faults
from tests.unit.health.cluster import K3s
from tests.unit.health.conftest import kubeconfig

NODES = ("s1", "s2", "s3", "a1")
ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose hosts all have one package to upgrade."""
    (tmp_path / "inventory" / "group_data").mkdir(parents=True)
    (tmp_path / "inventory" / "home.py").write_text(
        'k3s_servers = [(f"s{n}", {"address": f"192.0.2.1{n}"}) for n in (1, 2, 3)]\n'
        'k3s_agents = [("a1", {"address": "192.0.2.21"})]\n'
    )
    (tmp_path / "inventory" / "group_data" / "all.py").write_text(
        f'k3s_version = "v1.35.6+k3s1"\nkubeconfig = "{tmp_path}/kubeconfig"\n'
    )
    (tmp_path / "deploys").symlink_to(ROOT / "deploys")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOMELAB_ENV", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def look(self: AnsibleHosts, names: Sequence[str], lists: str) -> dict[str, Seen]:
        assert lists == "private"
        return {name: Seen("boot", packages=(Package("tool", "1", "2"),)) for name in names}

    monkeypatch.setattr(AnsibleHosts, "look", look)
    return tmp_path


@pytest.fixture
def cluster() -> K3s:
    return K3s(datetime.now(UTC))


@pytest.fixture
def api(folder: Path, cluster: K3s) -> Iterator[ApiServer]:
    with ApiServer(cluster.lists) as server:
        kubeconfig(folder, server.url, name="homelab-home")
        yield server


def patch(*options: str) -> Any:
    return CliRunner().invoke(cli.app, ["patch", "--dry-run", *options])


def test_a_dry_run_on_a_cluster_that_is_well(api: ApiServer) -> None:
    done = patch("--format", "json")
    assert done.exit_code == 0, done.stderr
    data = json.loads(done.stdout)
    assert [(each["name"], each["outcome"]) for each in data["hosts"]] == [(name, "to patch") for name in NODES]
    assert data["stopped"] == [] and data["dry_run"] is True


@pytest.mark.parametrize("own", [False, True])
def test_what_is_critical_would_stop_it_unless_somebody_knows_of_it(folder: Path, cluster: K3s, own: bool) -> None:
    """By the settings that `homelab health` itself goes by."""
    faults.crash_loop(cluster)
    if own:
        settings = folder / "config" / "homelab" / "health.toml"
        settings.parent.mkdir(parents=True)
        settings.write_text('[[suppress]]\ncode = "POD001"\nreason = "waits for the disk"\n')
    with ApiServer(cluster.lists) as server:
        kubeconfig(folder, server.url, name="homelab-home")
        done = patch()
    assert done.exit_code == (0 if own else 1), done.stdout
    assert ("would stop: POD001" in done.stdout) is not own


def test_without_a_kubeconfig_it_says_who_writes_it(folder: Path) -> None:
    done = patch()
    (line,) = done.stderr.splitlines()[1:]
    assert (done.exit_code, done.stdout) == (1, "")
    assert line == f"{folder}/kubeconfig: has no context homelab-home; run deploys/k3s.py from here, which writes it"


def test_a_kubeconfig_that_is_none_is_a_line(folder: Path) -> None:
    (folder / "kubeconfig").write_text("{broken")
    assert patch().stderr.splitlines()[1:] == [f"{folder}/kubeconfig: is not YAML; mend it or move it away"]


def test_a_kubeconfig_of_another_cluster_is_not_used(folder: Path, api: ApiServer) -> None:
    kubeconfig(folder, api.url, name="homelab-other")
    done = patch()
    assert (done.exit_code, api.queries) == (1, [])
    assert "has no context homelab-home" in done.stderr


def test_a_dry_run_tells_which_hosts_are_likely_to_reboot(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether one does is seen once its kernel is there."""
    kernel = Package("linux-image-6.1.0-32-amd64", "", "6.1.129-1")
    seen = {"s1": Seen("boot", packages=(kernel,)), "s2": Seen("boot", packages=(Package("tool", "1", "2"),))}
    monkeypatch.setattr(AnsibleHosts, "look", lambda self, names, lists: {n: seen.get(n, Seen("boot")) for n in names})
    lines = [" ".join(line.split()) for line in patch().stdout.splitlines()]
    assert "s1 server to patch 1 likely (linux-image-6.1.0-32-amd64)" in lines
    assert "s2 server to patch 1 -" in lines
