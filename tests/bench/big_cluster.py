"""The API of a cluster with as many pods as wanted, on the loopback: `python -m tests.bench.big_cluster PODS`.

It prints its URL and serves until it is ended. The pods are those of a healthy K3s as tests know it, many times, each
with as much in it as real ones have (about 7 KB). kubectl finds here what it asks for first, and gets its tables.
"""

from __future__ import annotations

import json
import sys
import threading
from datetime import UTC, datetime
from typing import Any

from tests.api_server import SERVED, ApiServer, Fault, Handler
from tests.unit.health.cluster import NODES, K3s, micro

Json = dict[str, Any]
_REPLICAS = 5
# What a real pod has beside what checks read: about 4 KB of environment and of whom changed which field.
_ENVIRONMENT = [{"name": f"SETTING_{n}", "value": f"a value as long as such a value is, number {n}"} for n in range(34)]
_FIELDS = {"f:metadata": {"f:labels": {f"f:label-{n}": {} for n in range(40)}}, "f:spec": {"f:containers": {}}}


def lists(pods: int) -> dict[str, list[Json]]:
    """A healthy cluster's lists with exactly so many pods, in Deployments of five."""
    cluster = K3s(datetime.now(UTC))
    missing = pods - len(cluster.lists["pods"])
    for number in range(-(-missing // _REPLICAS)):
        count = min(_REPLICAS, missing - number * _REPLICAS)
        nodes = tuple(NODES[(number + n) % len(NODES)] for n in range(count))
        cluster.deployment("default", f"app-{number:05}", nodes=nodes, image="registry.example.net/app:1.2.3")
    for each in cluster.lists["nodes"]:
        each["status"]["allocatable"]["pods"] = each["status"]["capacity"]["pods"] = str(pods)
        each["status"]["allocatable"]["cpu"] = each["status"]["capacity"]["cpu"] = str(pods)
        each["status"]["allocatable"]["memory"] = each["status"]["capacity"]["memory"] = f"{pods}Gi"
    for pod in cluster.lists["pods"]:
        for container in pod["spec"]["containers"]:
            container["env"] = _ENVIRONMENT
        for field in pod["metadata"]["managedFields"]:
            field |= {"fieldsType": "FieldsV1", "fieldsV1": _FIELDS}
    return cluster.lists


def _leases(found: dict[str, list[Json]]) -> Fault:
    def renew(handler: Handler) -> bool:
        for each in found["leases"]:
            each["spec"]["renewTime"] = micro(datetime.now(UTC))
        return False

    return renew


def _pods(pods: list[Json]) -> Fault:
    """A list by its full name, by which kubectl knows what is in it; or the table that `kubectl get` asks for.

    The cells are those that the real server computes; a row has the object's metadata, as there.
    """
    columns = [{"name": name, "type": "string", "format": "", "priority": 0} for name in ("Name", "Ready", "Status")]

    def row(pod: Json) -> Json:
        partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": pod["metadata"]}
        return {"cells": [pod["metadata"]["name"], "1/1", pod["status"]["phase"]], "object": partial}

    def answer(handler: Handler) -> bool:
        begin = int(handler.query.get("continue", "0"))
        limit = int(handler.query.get("limit", "0")) or len(pods)
        page = pods[begin : begin + limit]
        meta: Json = {"resourceVersion": "4711"}
        if begin + limit < len(pods):
            meta["continue"] = str(begin + limit)
        if "as=Table" in handler.headers.get("Accept", ""):
            said = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "columnDefinitions": columns}
            handler.json({**said, "metadata": meta, "rows": [row(pod) for pod in page]})
        else:
            handler.json({"kind": "PodList", "apiVersion": "v1", "metadata": meta, "items": page})
        return True

    return answer


def _says(data: Json) -> Fault:
    def say(handler: Handler) -> bool:
        handler.json(data)
        return True

    return say


def _discovery() -> dict[str, Fault]:
    """What is served in which version, in the older form that every kubectl understands."""
    found: dict[str, Fault] = {"/api": _says({"kind": "APIVersions", "versions": ["v1"]})}
    for version in sorted(set(SERVED.values())):
        resources = [
            {"name": name, "singularName": "", "namespaced": True, "kind": "Pod" if name == "pods" else name.title()}
            | {"verbs": ["get", "list"]}
            for name, where in SERVED.items()
            if where == version and "." not in name
        ]
        path = "/api/v1" if version == "v1" else f"/apis/{version}"
        found[path] = _says(
            {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}
        )
    return found


def server(pods: int) -> ApiServer:
    """The API, not started yet."""
    found = lists(pods)
    made = ApiServer(found, faults=_discovery())
    made.faults |= {made.path("leases"): _leases(found), made.path("pods"): _pods(found["pods"])}
    return made


if __name__ == "__main__":
    with server(int(sys.argv[1])) as running:
        print(running.url, len(json.dumps(running.at["/api/v1/pods"][0])), flush=True)  # noqa: T201
        threading.Event().wait()
