"""The cluster's side over HTTP: what is sent, and which server is asked when one does not answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from homelab.api import ReadFailed, connect
from homelab.patch.cluster import Cluster, ClusterError, Reply, Servers
from homelab.patch.order import MARK
from homelab.patch.pods import Pod
from tests.unit.patch.world import home

POD = Pod(
    "default", "web-0", "uid-1", "s1", ("StatefulSet", "web"), ready=True, deleting=False, done=False, mirror=False
)


@dataclass
class Api:
    """A server that answers what it is told to, by method and path, and keeps what it was asked."""

    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str, str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Api:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                api.asked.append((self.command, self.path, self.headers.get("Content-Type", ""), body))
                status, told = api.answers.get(f"{self.command} {self.path}", (404, {"message": "not found"}))
                content = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = answer

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as running:
        yield running


def kubeconfig(folder: Path, url: str) -> str:
    path = folder / "kubeconfig"
    path.write_text(
        json.dumps(
            {
                "current-context": "x",
                "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
                "clusters": [{"name": "x", "cluster": {"server": url}}],
                "users": [{"name": "x", "user": {"token": "t"}}],
            }
        )
    )
    return str(path)


def servers(folder: Path, *urls: str) -> Servers:
    path = kubeconfig(folder, urls[0])
    return Servers([connect(path, "x", url) for url in urls])


def cluster(ask: Any, **more: Any) -> Cluster:
    return Cluster(ask, lambda host: True, sleep=lambda seconds: None, **more)


def node(unschedulable: bool = False, **annotations: str) -> dict[str, Any]:
    metadata = {"name": "s1", "resourceVersion": "7", "annotations": annotations}
    return {"metadata": metadata, "spec": {"unschedulable": True} if unschedulable else {}}


def test_servers_are_asked_at_k3ss_port_whatever_a_load_balancers_is(tmp_path: Path) -> None:
    balanced = "https://k3s.home.arpa:8443"
    found = Servers.of(home(away=["s3"]), kubeconfig(tmp_path, balanced), "x")
    assert found.urls == (balanced, "https://192.0.2.11:6443", "https://192.0.2.12:6443")
    found.close()


def test_a_cordon_is_marked_and_holds_to_what_was_read(tmp_path: Path, api: Api) -> None:
    path = "/api/v1/nodes/s1"
    api.answers = {f"GET {path}": (200, node()), f"PATCH {path}": (200, {})}
    assert cluster(servers(tmp_path, api.url).ask).cordon("s1", datetime(2026, 1, 2, tzinfo=UTC)) is True
    assert api.asked[-1] == (
        "PATCH",
        path,
        "application/merge-patch+json",
        {
            "metadata": {"resourceVersion": "7", "annotations": {MARK: "2026-01-02T00:00:00Z"}},
            "spec": {"unschedulable": True},
        },
    )


@pytest.mark.parametrize(("found", "mine"), [(node(True), False), (node(True, **{MARK: "2026-01-02T00:00:00Z"}), True)])
def test_a_node_that_is_cordoned_already_is_left_as_it_is(found: dict[str, Any], mine: bool) -> None:
    asked = []

    def ask(method: str, path: str, body: Any, kind: str) -> Reply:
        asked.append(method)
        return Reply(200, found)

    assert cluster(ask).cordon("s1", datetime.now(UTC)) is mine
    assert asked == ["GET"]


def test_a_person_who_cordons_at_the_same_moment_is_not_taken_for_us() -> None:
    replies = [Reply(200, node()), Reply(409, {"message": "modified"}), Reply(200, node(True))]
    assert cluster(lambda *_: replies.pop(0)).cordon("s1", datetime.now(UTC)) is False


def test_an_uncordon_takes_the_mark_away(tmp_path: Path, api: Api) -> None:
    api.answers = {"PATCH /api/v1/nodes/s1": (200, {})}
    cluster(servers(tmp_path, api.url).ask).uncordon("s1")
    assert api.asked[-1][3] == {"metadata": {"annotations": {MARK: None}}, "spec": {"unschedulable": None}}
    api.answers = {"PATCH /api/v1/nodes/s1": (403, {"message": "may not"})}
    with pytest.raises(ClusterError, match=f"may not; run: kubectl uncordon s1; kubectl annotate node s1 {MARK}-"):
        cluster(servers(tmp_path, api.url).ask).uncordon("s1")


@pytest.mark.parametrize(
    ("version", "status", "told", "said"),
    [
        ("v1", 201, {}, ""),
        ("v1beta1", 201, {}, ""),
        ("v1", 404, {"message": "gone"}, ""),
        ("v1", 409, {"message": "the UID differs"}, ""),
        (
            "v1",
            429,
            {"message": "Cannot evict pod.", "details": {"causes": [{"message": "The budget needs 2"}]}},
            "Cannot evict pod. The budget needs 2",
        ),
        ("v1", 500, {"message": "more than one PodDisruptionBudget"}, "more than one PodDisruptionBudget"),
    ],
)
def test_evictions(tmp_path: Path, api: Api, version: str, status: int, told: Any, said: str) -> None:
    path = "/api/v1/namespaces/default/pods/web-0/eviction"
    resource = {"name": "pods/eviction", "group": "policy", "version": version}
    api.answers = {"GET /api/v1": (200, {"resources": [resource]}), f"POST {path}": (status, told)}
    assert cluster(servers(tmp_path, api.url).ask).evict(POD) == said
    method, asked, kind, body = api.asked[-1]
    assert (method, asked, kind) == ("POST", path, "application/json")
    assert body["apiVersion"] == f"policy/{version}" and body["deleteOptions"]["preconditions"] == {"uid": "uid-1"}


def test_a_server_that_is_down_or_in_trouble_is_passed_over_and_then_asked_last(tmp_path: Path, api: Api) -> None:
    with Api({"GET /api/v1/nodes": (503, {"message": "no leader"})}) as ill:
        api.answers = {"GET /api/v1/nodes": (200, {"items": None})}
        asked = servers(tmp_path, "http://127.0.0.1:1", ill.url, api.url)
        assert cluster(asked.ask).nodes() == {}
        assert asked.urls == (api.url, "http://127.0.0.1:1", ill.url)
        assert len(ill.asked) == 1
        cluster(asked.ask).nodes()
        assert len(ill.asked) == 1


def test_an_election_is_waited_for_and_a_lasting_silence_is_one_line() -> None:
    replies: list[Reply | ReadFailed] = [Reply(503, {"message": "no leader"}), ReadFailed("refused")]

    def ask(*_: Any) -> Reply:
        told = replies.pop(0) if replies else Reply(200, {"items": []})
        if isinstance(told, ReadFailed):
            raise told
        return told

    told: list[str] = []
    assert cluster(ask, told=told.append).nodes() == {}
    assert told == ["waiting for the API of any server: no leader"]

    def silent(*_: Any) -> Reply:
        raise ReadFailed("connection refused")

    now = iter(range(1000))
    with pytest.raises(ClusterError, match=r"the API of no server has answered for 5 s \(connection refused\)"):
        cluster(silent, patience=5, clock=lambda: float(next(now))).nodes()
    with pytest.raises(ClusterError, match=r"^the API of no server has answered \(connection refused\)$"):
        cluster(silent).once.nodes()


@pytest.mark.parametrize("answer", ["<html>log in</html>", {}, []])
def test_what_is_no_api_is_told_as_that(tmp_path: Path, api: Api, answer: Any) -> None:
    api.answers = {"GET /api/v1/nodes": (200, answer)}
    with pytest.raises(ClusterError, match=f"what answers at {api.url} is no Kubernetes API"):
        cluster(servers(tmp_path, api.url).ask).once.nodes()


def test_a_right_that_is_missing_is_named() -> None:
    with pytest.raises(ClusterError, match=r"refuses to tell /api/v1/nodes \(nodes is forbidden\)"):
        cluster(lambda *_: Reply(403, {"message": "nodes is forbidden"})).nodes()


def test_ready_asks_that_server_itself(tmp_path: Path, api: Api) -> None:
    asked = servers(tmp_path, api.url, "http://127.0.0.1:1")
    api.answers = {"GET /readyz": (200, "ok")}
    assert asked.ready(api.url) and not asked.ready("http://127.0.0.1:1") and not asked.ready("http://nowhere")
    api.answers = {"GET /readyz": (500, "etcd failed")}
    assert not asked.ready(api.url)


def test_a_lease_that_nobody_keeps(tmp_path: Path, api: Api) -> None:
    assert cluster(servers(tmp_path, api.url).ask).renewed("s1") is None
    path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/s1"
    lease = {"metadata": {"name": "s1"}, "spec": {"renewTime": "2026-01-02T03:04:05.678901Z"}}
    api.answers = {f"GET {path}": (200, lease)}
    at = cluster(servers(tmp_path, api.url).ask).renewed("s1")
    assert at == datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
