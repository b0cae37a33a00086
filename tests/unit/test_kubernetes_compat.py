"""All reliance on how the Kubernetes client is laid out: it fails here when that moves, not in somebody's house."""

from __future__ import annotations

import base64
import inspect
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

from homelab import kubernetes_compat
from homelab.api import connect
from tests.unit.health.conftest import kubeconfig


def loaded(statement: str) -> set[str]:
    """The top packages that a process of its own has after a statement."""
    said = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_what_a_look_at_a_cluster_can_do_without_is_not_loaded() -> None:
    dear = {"pydantic", "requests", "requests_oauthlib", "oauthlib", "websocket", "dateutil", "kubernetes"}
    assert loaded("import homelab.health.reading") & dear == set()
    assert loaded("import kubernetes") >= dear, "what is told apart above is what the client loads"


@pytest.mark.broad
def test_whoever_imports_the_client_has_it_whole_before_and_after() -> None:
    whole = "client.CoreV1Api, kubernetes.watch.Watch, kubernetes.config.load_kube_config, kubernetes.client.rest"
    after = f"import homelab.api, kubernetes; from kubernetes import client; {whole}"
    before = f"import kubernetes; from kubernetes import client; import homelab.api as api; {whole}"
    same = "assert api._official.Configuration is client.Configuration"
    assert "kubernetes" in loaded(after) and "kubernetes" in loaded(f"{before}; {same}")


def test_a_client_that_is_laid_out_otherwise_is_loaded_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    import kubernetes

    def moved(name: str, folder: Path) -> ModuleType:
        return kubernetes_compat_shell(name, folder / "elsewhere")

    kubernetes_compat_shell = kubernetes_compat._shell
    monkeypatch.setattr(kubernetes_compat, "_shell", moved)
    for name in [each for each in sys.modules if each.partition(".")[0] == "kubernetes"]:
        monkeypatch.delitem(sys.modules, name)
    assert kubernetes_compat.load().Configuration is sys.modules["kubernetes"].client.Configuration
    assert sys.modules["kubernetes"] is not kubernetes


def test_the_transports_request_is_what_we_take_it_for() -> None:
    """The order of its parameters has changed before; so has what a response is."""
    official = kubernetes_compat.load()
    known = inspect.signature(official.RESTClientObject.request).parameters
    assert list(known)[1:4] == ["method", "url", "headers"] and "_request_timeout" in known
    configuration = official.Configuration()
    configuration.api_key["authorization"] = "Bearer secret"
    assert configuration.auth_settings()["BearerToken"] == {
        "type": "api_key",
        "in": "header",
        "key": "authorization",
        "value": "Bearer secret",
    }


@contextmanager
def issuer(token: str) -> Iterator[str]:
    """One who gives out tokens by OpenID Connect, on the loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.say({"token_endpoint": f"http://127.0.0.1:{server.server_port}/token"})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.say({"id_token": token, "refresh_token": "next", "access_token": "a", "token_type": "Bearer"})

        def say(self, data: dict[str, str]) -> None:
            body = json.dumps(data).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: the tests' output is theirs."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_a_token_of_openid_is_refreshed_by_what_is_loaded_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 1700000000}).encode()).decode().rstrip("=")
    with issuer("fresh.token.here") as url:
        config = {"client-id": "homelab", "client-secret": "s", "refresh-token": "r", "idp-issuer-url": url}
        user = {"auth-provider": {"name": "oidc", "config": {**config, "id-token": f"e30.{claims}.secret"}}}
        connection = connect(kubeconfig(tmp_path, "https://127.0.0.1:1", user=user))
    assert connection._bearer() == {"authorization": "Bearer fresh.token.here"}
    connection.close()
