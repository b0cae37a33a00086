"""The cluster's API as the control machine reaches it: read, applied from the server's side, deleted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from homelab.charts.objects import MANAGER

if TYPE_CHECKING:
    from homelab.api import Connection

Object = dict[str, Any]
_TIMEOUT = 30
_TRIES = 5
# What the server writes beside what was applied.
_SERVERS = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink")


class ApiError(Exception):
    """The API does not answer, or refuses: one line. `status` is HTTP's, 0 without an answer."""

    def __init__(self, said: str, status: int = 0) -> None:
        super().__init__(said)
        self.status = status


@dataclass
class Api:
    """The API behind one context of a kubeconfig."""

    connection: Connection

    def get(self, path: str, query: str = "") -> Object | None:
        """The object at a path; None when there is none."""
        try:
            return _object(self._call("GET", path, query))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def items(self, path: str, query: str = "") -> list[Object]:
        """The objects of a list; none where the API has no such list."""
        return (self.get(path, query) or {}).get("items") or []

    def find(self, version: str, kind: str, namespace: str, name: str) -> str | None:
        """Where an object in a namespace is, of whatever kind; None when the API serves no such one."""
        root = f"/api/{version}" if version == "v1" else f"/apis/{version}"
        for each in (self.get(root) or {}).get("resources") or ():
            if each["kind"] == kind and "/" not in each["name"]:
                return f"{root}/namespaces/{namespace}/{each['name']}/{name}"
        return None

    def log(self, namespace: str, pod: str, lines: int) -> list[str]:
        """The last lines of a pod's log; none while it has none."""
        try:
            path = f"/api/v1/namespaces/{namespace}/pods/{quote(pod)}/log"
            return self._call("GET", path, f"tailLines={lines}").decode(errors="replace").splitlines()
        except ApiError:
            return []

    def differs(self, wanted: Object) -> bool:
        """Whether applying an object would change anything; the server is asked, and keeps nothing of it.

        A controller may write into it between the two answers, which would look like a difference: then both are asked
        for again. What is written at every try counts as a difference.
        """
        path = path_of(wanted)
        for _ in range(_TRIES):
            live = self.get(path)
            if live is None:
                return True
            if _kept(live) == _kept(self._apply(wanted, "&dryRun=All")):
                return False
            if live == self.get(path):
                return True
        return True

    def apply(self, wanted: Object) -> None:
        """Apply an object as `homelab`, also over what others have written into it."""
        self._apply(wanted, "")

    def create(self, path: str, made: Object) -> None:
        """Make an object in a list; one that is there already stays as it is."""
        try:
            self._call("POST", path, body=made)
        except ApiError as error:
            if error.status != 409:
                raise

    def annotate(self, path: str, notes: Mapping[str, str]) -> None:
        """Annotate an object as `homelab`; it may be gone already."""
        query = f"fieldManager={MANAGER}"
        try:
            self._call("PATCH", path, query, {"metadata": {"annotations": dict(notes)}}, "application/merge-patch+json")
        except ApiError as error:
            if error.status != 404:
                raise

    def delete(self, path: str) -> None:
        """Delete an object, and what it owns after it; it may be gone already."""
        try:
            self._call("DELETE", path, "propagationPolicy=Background")
        except ApiError as error:
            if error.status != 404:
                raise

    def _apply(self, wanted: Object, more: str) -> Object:
        query = f"fieldManager={MANAGER}&force=true{more}"
        # Every JSON is YAML; as text, since the client makes no YAML.
        body = json.dumps(wanted)
        return _object(self._call("PATCH", path_of(wanted), query, body, "application/apply-patch+yaml"))

    def _call(
        self, method: str, path: str, query: str = "", body: Object | str | None = None, kind: str = "application/json"
    ) -> bytes:
        # Imported here: it costs a quarter of a second, which a run without charts need not pay.
        from homelab.api import Deadline, ReadFailed

        deadline = Deadline(_TIMEOUT)
        try:
            if method == "GET":
                answer = self.connection.get(path, deadline, query)
            else:
                answer = self.connection.send(method, f"{path}?{query}" if query else path, body, deadline, kind)
        except ReadFailed as error:
            raise ApiError(error.told) from None
        if not 200 <= answer.status < 300:
            raise ApiError(f"{method} {path}: {_reason(answer.body, answer.status)}", answer.status)
        return answer.body


def connect(kubeconfig: Path, context: str) -> Api:
    """The API of a context. Raise ApiError when the kubeconfig has none, or cannot be read."""
    from homelab import api

    try:
        return Api(api.connect(str(kubeconfig), context))
    except api.ClusterUnreachable as error:
        raise ApiError(str(error)) from None


def path_of(wanted: Mapping[str, Any]) -> str:
    """Where an object is, by what it says of itself."""
    version, metadata = wanted["apiVersion"], wanted["metadata"]
    root = f"/api/{version}" if version == "v1" else f"/apis/{version}"
    within = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{root}{within}/{_plural(wanted['kind'])}/{metadata['name']}"


def _plural(kind: str) -> str:
    # As Kubernetes spells the kinds that are applied here: secrets, ingresses, storageclasses.
    return kind.lower() + ("es" if kind.endswith("s") else "s")


def _object(said: bytes) -> Object:
    try:
        held = json.loads(said)
    except ValueError:
        held = None
    if not isinstance(held, dict):
        raise ApiError("it answers with something else than an object; see what is at that address")
    return held


def _kept(held: Object) -> Object:
    metadata = {key: value for key, value in held["metadata"].items() if key not in _SERVERS}
    return {**held, "metadata": metadata}


def _reason(said: bytes, status: int) -> str:
    try:
        return " ".join(str(json.loads(said)["message"]).split())[:300]
    except (ValueError, KeyError, TypeError):
        return f"HTTP {status}"
