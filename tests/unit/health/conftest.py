"""What the tests that read an API have in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from homelab.health import as_json, as_yaml
from homelab.health.thresholds import Thresholds
from tests.api_server import ApiServer
from tests.json_schema import wrong

# The machine that runs the tests may be as slow as it is.
PATIENT = Thresholds(latency_warning=timedelta(hours=1), latency_critical=timedelta(hours=2))


@pytest.fixture(autouse=True, scope="session")
def schema() -> Iterator[None]:
    """Every report that a test makes JSON or YAML of in this process is as the schema says."""
    known = json.loads(as_json.SCHEMA.read_text())
    real = as_json.as_data

    def as_data(*arguments: Any) -> dict[str, object]:
        data = real(*arguments)
        assert wrong(data, known) == []
        return data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(as_json, "as_data", as_data)
        patch.setattr(as_yaml, "as_data", as_data)
        yield


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No kubeconfig, proxy, pod or inventory of whoever runs the tests; streams are buffered, as users have them."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HOMELAB_ENV", "HOMELAB_REQUIRE", "HOMELAB_K3S_VERSION"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def kubeconfig(folder: Path, server: str, *, name: str = "home", cluster: Any = None, user: Any = None) -> str:
    path = folder / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": name, "user": user or {"token": "secret-token"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    path.write_text(yaml.safe_dump(content))
    return str(path)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[[ApiServer], ApiServer]]:
    """Starts an API server, with ~/.kube/config pointing at it, until the test's end."""
    with ExitStack() as running:

        def start(server: ApiServer) -> ApiServer:
            running.enter_context(server)
            (tmp_path / ".kube").mkdir(exist_ok=True)
            (tmp_path / ".kube" / "config").write_text(Path(kubeconfig(tmp_path, server.url)).read_text())
            return server

        yield start
