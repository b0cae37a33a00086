"""A Kubernetes API on the loopback, exact to the byte: lists, pages, refusals, and the ways in which answers fail.

It knows what a client of lists sees: discovery, `limit` and `continue`, `fieldSelector=type=...` on events,
`labelSelector` of one label, Status objects for errors, gzip for large answers when asked for, a Date header, TLS with
client certificates or tokens. What is made is listed from then on; what would act on it, `controller` has to do.
"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
# As the API server: smaller answers are not worth it.
_COMPRESSED_FROM = 128 * 1024

# Where each kind's lists are; what a K3s of today serves.
SERVED = {
    "pods": "v1",
    "events": "v1",
    "services": "v1",
    "nodes": "v1",
    "namespaces": "v1",
    "persistentvolumeclaims": "v1",
    "persistentvolumes": "v1",
    "resourcequotas": "v1",
    "replicasets": "apps/v1",
    "deployments": "apps/v1",
    "statefulsets": "apps/v1",
    "daemonsets": "apps/v1",
    "jobs": "batch/v1",
    "cronjobs": "batch/v1",
    "endpointslices": "discovery.k8s.io/v1",
    "leases": "coordination.k8s.io/v1",
    "ingresses": "networking.k8s.io/v1",
    "ingressclasses": "networking.k8s.io/v1",
    "networkpolicies": "networking.k8s.io/v1",
    "storageclasses": "storage.k8s.io/v1",
    "poddisruptionbudgets": "policy/v1",
    "horizontalpodautoscalers": "autoscaling/v2",
    "apiservices": "apiregistration.k8s.io/v1",
    "validatingwebhookconfigurations": "admissionregistration.k8s.io/v1",
    "mutatingwebhookconfigurations": "admissionregistration.k8s.io/v1",
    "etcdsnapshotfiles": "k3s.cattle.io/v1",
    "addons": "k3s.cattle.io/v1",
    "helmcharts": "helm.cattle.io/v1",
    "ingressroutes": "traefik.io/v1alpha1",
    "certificates": "cert-manager.io/v1",
    "gateways": "gateway.networking.k8s.io/v1",
    "httproutes": "gateway.networking.k8s.io/v1",
    "nodes.metrics.k8s.io": "metrics.k8s.io/v1beta1",
}

Fault = Callable[["Handler"], bool]


def refuse(status: int, message: str = "", *, times: int | None = None, **headers: str) -> Fault:
    """Answer with a Status; only so many times when told, then as usual."""
    left = [times]

    def fault(handler: Handler) -> bool:
        if left[0] is not None:
            if left[0] == 0:
                return False
            left[0] -= 1
        handler.status(status, message, {key.replace("_", "-"): value for key, value in headers.items()})
        return True

    return fault


def body(content: bytes, status: int = 200) -> Fault:
    """Answer with these bytes."""

    def fault(handler: Handler) -> bool:
        handler.answer(status, content)
        return True

    return fault


def truncated(times: int | None = None) -> Fault:
    """Promise more than is sent, and hang up."""
    left = [times]

    def fault(handler: Handler) -> bool:
        if left[0] is not None:
            if left[0] == 0:
                return False
            left[0] -= 1
        handler.head(200, {"Content-Length": "100000"})
        handler.wfile.write(b'{"items": [')
        handler.hang_up()
        return True

    return fault


def truncated_chunk() -> Fault:
    """Hang up between two chunks, with the last one, which is empty, not sent."""

    def fault(handler: Handler) -> bool:
        handler.head(200, {"Transfer-Encoding": "chunked"})
        handler.chunk(b'{"items": []}')
        handler.hang_up()
        return True

    return fault


def truncated_gzip() -> Fault:
    """A compressed answer that is whole by its length and cut in its content."""

    def fault(handler: Handler) -> bool:
        content = gzip.compress(b'{"items": [' + b"{}," * 5000 + b"{}]}")[:-12]
        handler.head(200, {"Content-Encoding": "gzip", "Content-Length": str(len(content))})
        handler.wfile.write(content)
        return True

    return fault


def dropped() -> Fault:
    """Hang up without a word."""

    def fault(handler: Handler) -> bool:
        handler.hang_up()
        return True

    return fault


def drip(every: float = 0.05, *, header: bool = False) -> Fault:
    """A byte now and then, for ever: of the body, or of the header already."""

    def fault(handler: Handler) -> bool:
        if header:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        else:
            handler.head(200, {"Content-Length": "1000000"})
        try:
            while not handler.server.stopping.wait(every):
                handler.wfile.write(b"x" if header else b" ")
        except OSError:
            pass
        handler.close_connection = True
        return True

    return fault


def hang() -> Fault:
    """Take the question and never answer."""

    def fault(handler: Handler) -> bool:
        handler.server.stopping.wait(60)
        handler.close_connection = True
        return True

    return fault


def expired(times: int | None = None) -> Fault:
    """Every page after the first has expired, so many times."""
    inner = refuse(410, "The provided continue parameter is too old", times=times)

    def fault(handler: Handler) -> bool:
        return "continue" in handler.query and inner(handler)

    return fault


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A header and its body are sent one after the other, and no client is to wait 40 ms for the second.
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(self.server.api.clock().replace(microsecond=0), usegmt=True)

    def do_GET(self) -> None:
        api, parts = self.server.api, urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        with api.lock:
            api.asked[parts.path] += 1
            api.queries.append(self.path)
        if self.faulty(parts.path):
            return
        if api.token and self.headers.get("Authorization") != f"Bearer {api.token}":
            self.status(401, "Unauthorized")
        elif parts.path == "/version":
            self.json({"major": "1", "minor": "35", "gitVersion": api.version})
        elif parts.path == "/readyz":
            lines = [*(f"[+]{part} ok" for part in ("ping", "log", "informer-sync")), *api.unready]
            verdict = "readyz check failed" if api.unready else "readyz check passed"
            self.answer(500 if api.unready else 200, "\n".join([*lines, verdict, ""]).encode(), "text/plain")
        elif parts.path == "/apis":
            self.json(api.discovery())
        else:
            self.list(parts.path)

    def faulty(self, path: str) -> bool:
        """Whether something goes wrong there, of any method or of this one: "POST /api/v1/namespaces"."""
        faults = self.server.api.faults
        return any(at in (path, f"{self.command} {path}") and fault(self) for at, fault in list(faults.items()))

    def do_POST(self) -> None:
        api, path = self.server.api, urlsplit(self.path).path
        made: Json = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        with api.lock:
            api.written.append((self.command, path, made))
        if self.faulty(path):
            return
        if path.endswith("/selfsubjectaccessreviews"):
            asked = made["spec"]["resourceAttributes"]
            allowed = (asked["verb"], asked["resource"]) not in api.denied
            self.answer(201, json.dumps({**made, "status": {"allowed": allowed}}).encode())
            return
        scope, _, rest = path.partition("/namespaces/")
        namespace, _, resource = rest.partition("/")
        made["metadata"] |= {"uid": f"{path}/{made['metadata']['name']}"} | ({"namespace": namespace} if rest else {})
        items = api.at[f"{scope}/{resource}" if rest else scope]
        with api.lock:
            there = {(each["metadata"].get("namespace"), each["metadata"]["name"]) for each in items}
            if (made["metadata"].get("namespace"), made["metadata"]["name"]) in there:
                self.status(409, "already exists")
                return
            api.controller(api, made)
            items.append(made)
        self.answer(201, json.dumps(made).encode())

    def do_DELETE(self) -> None:
        """Of a namespace, with all that is in it."""
        api, path = self.server.api, urlsplit(self.path).path
        options = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        with api.lock:
            api.written.append((self.command, path, options))
        if self.faulty(path):
            return
        name = path.removeprefix("/api/v1/namespaces/")
        with api.lock:
            uids = [
                each["metadata"]["uid"] for each in api.at["/api/v1/namespaces"] if each["metadata"]["name"] == name
            ]
            if uids and uids != [options["preconditions"]["uid"]]:
                self.status(409, "the UID in the precondition does not match")
                return
            for items in api.at.values():
                items[:] = [each for each in items if each["metadata"].get("namespace") != name]
            spaces = api.at["/api/v1/namespaces"]
            spaces[:] = [each for each in spaces if each["metadata"]["name"] != name]
        if uids:
            self.json({"kind": "Status", "status": "Success"})
        else:
            self.status(404, "not found")

    def list(self, path: str) -> None:
        api = self.server.api
        scope, _, rest = path.partition("/namespaces/")
        namespace = ""
        if rest.count("/") == 1:
            namespace, _, resource = rest.partition("/")
            path = f"{scope}/{resource}"
        items = api.at.get(path)
        if items is None:
            self.status(404, "the server could not find the requested resource")
            return
        if namespace:
            items = [each for each in items if each["metadata"].get("namespace") == namespace]
        if selected := self.query.get("fieldSelector"):
            key, _, value = selected.partition("=")
            items = [each for each in items if str(each.get(key, "")) == value]
        if selected := self.query.get("labelSelector"):
            key, wanted, value = selected.partition("=")
            labels = [each["metadata"].get("labels", {}) for each in items]
            items = [
                each
                for each, own in zip(items, labels, strict=True)
                if key in own and (not wanted or own[key] == value)
            ]
        begin, limit = int(self.query.get("continue", "0")), int(self.query.get("limit", "0")) or len(items)
        meta: Json = {"resourceVersion": "4711"}
        if begin + limit < len(items):
            meta |= {"continue": str(begin + limit), "remainingItemCount": len(items) - begin - limit}
        # Go writes an empty slice of some kinds as null.
        page = items[begin : begin + limit] or (None if api.null_lists else [])
        self.json({"kind": "List", "apiVersion": "v1", "metadata": meta, "items": page})

    def json(self, data: object) -> None:
        self.answer(200, json.dumps(data).encode())

    def status(self, code: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
        self.answer(code, json.dumps(said).encode(), headers=headers)

    def answer(
        self, code: int, content: bytes, kind: str = "application/json", headers: Mapping[str, str] | None = None
    ) -> None:
        told = {"Content-Type": kind, **(headers or {})}
        if len(content) > _COMPRESSED_FROM and "gzip" in self.headers.get("Accept-Encoding", ""):
            content = gzip.compress(content, 1)
            told["Content-Encoding"] = "gzip"
        if self.server.api.chunked:
            # As Go sends what it has not measured.
            self.head(code, {**told, "Transfer-Encoding": "chunked"})
            for begin in range(0, len(content), 4096):
                self.chunk(content[begin : begin + 4096])
            self.chunk(b"")
        else:
            self.head(code, {**told, "Content-Length": str(len(content))})
            self.wfile.write(content)

    def chunk(self, piece: bytes) -> None:
        self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")

    def head(self, code: int, headers: Mapping[str, str]) -> None:
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()

    def send_response(self, code: int, message: str | None = None) -> None:
        self.send_response_only(code, message)
        if self.server.api.dated:
            self.send_header("Date", self.date_time_string())

    def hang_up(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    api: ApiServer
    stopping: threading.Event

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # clients of these tests hang up in the middle


@dataclass
class ApiServer:
    """The API of a cluster with these objects, by the plural names of their kinds.

    `faults` say by path what goes wrong. `asked` counts requests by path, `queries` keeps them in order. `clock` is
    the server's. With `tls` it is reached over https with that server context. `written` keeps what was to be changed,
    as method, path and body; `denied` are the verbs and resources that nobody is let do, `controller` is called with
    each object before it is there.
    """

    objects: Mapping[str, Iterable[Json]]
    faults: dict[str, Fault] = field(default_factory=dict)
    served: Mapping[str, str] = field(default_factory=lambda: SERVED)
    version: str = "v1.35.6+k3s1"
    unready: tuple[str, ...] = ()
    token: str = ""
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    dated: bool = True
    null_lists: bool = False
    chunked: bool = False
    tls: ssl.SSLContext | None = None
    denied: frozenset[tuple[str, str]] = frozenset()
    controller: Callable[[ApiServer, Json], None] = lambda api, made: None

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.queries: list[str] = []
        self.written: list[tuple[str, str, Json]] = []
        self.at: dict[str, list[Json]] = {}
        for name, version in self.served.items():
            resource = name.partition(".")[0]
            path = f"/api/v1/{resource}" if version == "v1" else f"/apis/{version}/{resource}"
            self.at[path] = list(self.objects.get(name, ()))

    def path(self, name: str) -> str:
        """Where the list of a kind is."""
        version = self.served[name]
        return f"/api/v1/{name}" if version == "v1" else f"/apis/{version}/{name.partition('.')[0]}"

    def discovery(self) -> Json:
        groups: dict[str, list[str]] = {}
        for version in sorted(set(self.served.values()) - {"v1"}):
            groups.setdefault(version.partition("/")[0], []).append(version)
        return {
            "kind": "APIGroupList",
            "groups": [
                {
                    "name": name,
                    "versions": [{"groupVersion": each, "version": each.partition("/")[2]} for each in versions],
                }
                for name, versions in groups.items()
            ],
        }

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> ApiServer:
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.api, self._server.stopping = self, threading.Event()
        if self.tls:
            self._server.socket = self.tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def ahead(seconds: float) -> Callable[[], datetime]:
    """A clock that is off by so much."""
    return lambda: datetime.now(UTC) + timedelta(seconds=seconds)


if __name__ == "__main__":
    # For a look by hand: serve a cluster of plain JSON lists (`{"pods": [...]}`) until it is stopped.
    import sys
    from pathlib import Path

    with ApiServer(json.loads(Path(sys.argv[1]).read_text())) as running:
        print(running.url, flush=True)  # noqa: T201
        while True:
            time.sleep(60)
