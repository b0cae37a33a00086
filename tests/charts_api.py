"""A Kubernetes API that keeps what is applied to it: get, list by labels, create, server-side apply, delete, logs.

What it knows of server-side apply is what one manager that forces can see: what it applies is there afterwards, what
it left out since is gone, what others wrote stays. `dryRun=All` answers and keeps nothing.
"""

from __future__ import annotations

import base64
import copy
import gzip
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Json = dict[str, Any]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def _said(self) -> Json:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return json.loads(text) if text else {}

    def _handle(self) -> None:
        api, parts = self.server.api, urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        with api.lock:
            api.asked.append((self.command, self.path))
            kind = self.headers.get("Content-Type", "")
            status, answer = api.answer(self.command, parts.path, query, self._said(), kind)
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_DELETE = _handle


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    api: ChartsApi


@dataclass
class ChartsApi:
    """An API with these objects by path; `refused` paths answer with a status. `finalized` ones stay when deleted.

    `follows` is what the cluster does as soon as an object at a path was applied, `precedes` what it does just before
    a dry run of that; `uninstalls` is whether Helm's record of a release goes with its HelmChart.
    """

    objects: dict[str, Json] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    finalized: set[str] = field(default_factory=set)
    follows: dict[str, Callable[[], None]] = field(default_factory=dict)
    precedes: dict[str, Callable[[], None]] = field(default_factory=dict)
    uninstalls: bool = True

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.asked: list[tuple[str, str]] = []
        self.applied: dict[str, Json] = {}

    @property
    def written(self) -> list[str]:
        """Each request that changed something, in its order: `PATCH secrets/ntfy-homelab`."""
        return [
            f"{method} {'/'.join(path.partition('?')[0].rsplit('/', 2)[-2:])}"
            for method, path in self.asked
            if method != "GET" and "dryRun" not in path
        ]

    def answer(
        self, method: str, path: str, query: Mapping[str, str], said: Json, kind: str
    ) -> tuple[int, Json | bytes]:
        if path in self.refused:
            return self.refused[path], {"kind": "Status", "message": f"{path} is refused", "code": self.refused[path]}
        if path.endswith("/log"):
            return (200, self.logs[path].encode()) if path in self.logs else _none(path)
        if method == "POST":
            at = f"{path}/{said['metadata']['name']}"
            if at in self.objects:
                return 409, {"kind": "Status", "message": f"{at} exists", "code": 409}
            self.objects[at] = said
            return 201, said
        if method == "PATCH" and "merge-patch" in kind:
            if path not in self.objects:
                return _none(path)
            self.objects[path] = _merged(self.objects[path], said)
            return 200, self.objects[path]
        if method == "PATCH":
            return 200, self._apply(path, query, said)
        if method == "DELETE":
            if path not in self.objects:
                return _none(path)
            if path in self.finalized:
                self.objects[path]["metadata"]["deletionTimestamp"] = "2026-11-29T12:00:00Z"
            else:
                gone = self.objects.pop(path)
                if "/helmcharts/" in path and self.uninstalls:
                    self._forget(gone)
            return 200, {}
        if path in self.objects:
            return 200, self.objects[path]
        root, _, plural = path.rpartition("/")
        below = [
            each
            for at, each in self.objects.items()
            if (above := at.rpartition("/")[0]) == path or re.fullmatch(rf"{root}/namespaces/[^/]+/{plural}", above)
        ]
        if path.rpartition("/")[2].endswith("s") and not path.rpartition("/")[0].endswith("s"):
            return 200, {"kind": "List", "items": [each for each in below if _selected(each, query)]}
        return _none(path)

    def _apply(self, path: str, query: Mapping[str, str], said: Json) -> Json:
        if query.get("dryRun") == "All" and path in self.precedes:
            self.precedes[path]()
        live = copy.deepcopy(self.objects.get(path, {}))
        for section in ("spec", "data"):
            for key in (self.applied.get(path, {}).get(section) or {}).keys() - (said.get(section) or {}).keys():
                live[section].pop(key, None)
        made = _merged(live, said)
        made["metadata"]["resourceVersion"] = str(len(self.asked))
        made["metadata"]["managedFields"] = [{"manager": query["fieldManager"]}]
        if query.get("dryRun") != "All":
            self.objects[path] = made
            self.applied[path] = said
            if path in self.follows:
                self.follows[path]()
        return made

    def _forget(self, chart: Json) -> None:
        name, namespace = chart["metadata"]["name"], chart["spec"].get("targetNamespace")
        records = f"/api/v1/namespaces/{namespace}/secrets/sh.helm.release.v1.{name}."
        for path in [path for path in self.objects if path.startswith(records)]:
            del self.objects[path]

    def release(self, name: str, namespace: str, version: str, **more: Any) -> None:
        """Helm's record of a release, as its Secret has it."""
        revision, status = more.pop("revision", 1), more.pop("status", "deployed")
        held = {
            "name": name,
            "version": revision,
            "info": {"status": status, "description": more.pop("description", "")},
            "chart": {"metadata": {"version": version}},
            "config": more.pop("values", {}),
            "manifest": more.pop("manifest", ""),
        }
        assert not more, more
        packed = base64.b64encode(gzip.compress(json.dumps(held).encode()))
        labels = {"owner": "helm", "name": name, "status": status, "version": str(revision)}
        self.objects[f"/api/v1/namespaces/{namespace}/secrets/sh.helm.release.v1.{name}.v{revision}"] = {
            "metadata": {"name": f"sh.helm.release.v1.{name}.v{revision}", "labels": labels},
            "type": "helm.sh/release.v1",
            "data": {"release": base64.b64encode(packed).decode()},
        }

    def kubeconfig(self, file: Path, context: str) -> None:
        """A kubeconfig of this API."""
        held = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": context, "cluster": {"server": self.url}}],
            "users": [{"name": context, "user": {"token": "admin"}}],
            "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
            "current-context": context,
        }
        file.write_text(yaml.safe_dump(held), encoding="utf-8")
        file.chmod(0o600)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> ChartsApi:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def crd(plural: str, *fields: str) -> tuple[str, Json]:
    """Path and object of a definition whose spec knows these fields."""
    spec: Json = {"properties": {"spec": {"properties": {each: {} for each in fields}}}}
    versions = [{"name": "v1", "schema": {"openAPIV3Schema": spec}}]
    name = f"{plural}.helm.cattle.io"
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
    return path, {"metadata": {"name": name}, "spec": {"versions": versions}}


def _none(path: str) -> tuple[int, Json]:
    return 404, {"kind": "Status", "message": f"{path} not found", "code": 404}


def _selected(each: Json, query: Mapping[str, str]) -> bool:
    labels = each["metadata"].get("labels") or {}
    wanted = [pair.partition("=") for pair in (query.get("labelSelector") or "").split(",") if pair]
    return all(labels.get(key) == value if equals else key in labels for key, equals, value in wanted)


def _merged(under: Any, over: Any) -> Any:
    if isinstance(under, dict) and isinstance(over, dict):
        return {**under, **{key: _merged(under.get(key), value) for key, value in over.items()}}
    return copy.deepcopy(over)
