"""What became of a release: Helm's own record of it, and why the job that installs it does not get on.

Source: Helm 3, pkg/storage/driver (a Secret of type helm.sh/release.v1 for each revision, its release gzipped JSON).
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import yaml

from homelab.charts import causes
from homelab.charts.objects import Wanted

# What Helm has not done begins so.
HELMS = "Helm "
# Where the API lists the definitions of kinds.
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
# Where it lists what may hold data and goes with its release, unless it is annotated to stay. The claims of a
# StatefulSet are not Helm's.
_HOLDING = {
    "PersistentVolumeClaim": "/api/v1/namespaces/{namespace}/persistentvolumeclaims",
    "CustomResourceDefinition": DEFINITIONS,
    "Namespace": "/api/v1/namespaces",
}
POLICY, KEEP = "helm.sh/resource-policy", "keep"
# The workloads whose being up is the release's.
WORKLOADS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}

Object = Mapping[str, Any]


class UnreadableError(Exception):
    """A release's manifest is no YAML: nobody can tell what is in it."""


@dataclass(frozen=True)
class Recorded:
    """A release as Helm keeps it: one revision."""

    revision: int
    status: str
    version: str
    values: Mapping[str, Any]
    manifest: str
    description: str = ""

    @cached_property
    def documents(self) -> tuple[Any, ...]:
        """What is in the manifest. Raise UnreadableError when it is no YAML."""
        try:
            # All of it as text: PyYAML stumbles over values that are right, = among them, and none is needed here.
            return tuple(yaml.load_all(self.manifest, Loader=yaml.BaseLoader))
        except yaml.YAMLError as error:
            raise UnreadableError(f"the manifest that Helm keeps of it is not YAML ({_line(str(error))})") from None


def recorded(secrets: Iterable[Object]) -> Recorded | None:
    """The newest of a release's records; None when Helm knows no such release."""
    return next(_compared(secrets), None)


def compared(secrets: Iterable[Object]) -> tuple[Recorded, ...]:
    """The records of a release with which Helm may compare an upgrade: the newest, and the one that is deployed,
    another one after an upgrade that failed. Source: Helm's pkg/action/upgrade.go, `prepareUpgrade`.
    """
    return tuple(islice(_compared(secrets), 2))


def _compared(secrets: Iterable[Object]) -> Iterator[Recorded]:
    """The newest record, then each older one that is deployed. Only these are unpacked, by the labels by which Helm
    finds them as well: a release may have ten, each with its whole chart.
    """
    older = False
    for secret in sorted(secrets, key=_revision, reverse=True):
        if older and _labels(secret).get("status", "deployed") != "deployed":
            continue
        record = _record(secret)
        if record is not None and (not older or record.status == "deployed"):
            yield record
            older = True


def _labels(secret: Object) -> Mapping[str, str]:
    return (secret.get("metadata") or {}).get("labels") or {}


def _revision(secret: Object) -> int:
    try:
        return int(_labels(secret)["version"])
    except (KeyError, ValueError):
        record = _record(secret)
        return record.revision if record is not None else 0


def _record(secret: Object) -> Recorded | None:
    try:
        packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
        held = json.loads(gzip.decompress(packed))
        return Recorded(
            int(held["version"]),
            str(held["info"]["status"]),
            str(held["chart"]["metadata"]["version"]),
            held.get("config") or {},
            str(held.get("manifest", "")),
            str(held["info"].get("description") or ""),
        )
    except (KeyError, TypeError, ValueError, OSError):
        return None


def installed(wanted: Wanted, record: Recorded | None) -> str:
    """Why the release is not yet what is wanted; "" when it is."""
    if record is None:
        return f"{HELMS}has not installed it"
    if record.status != "deployed":
        # Of a job that is tried again only the last try's log is left, which says no more than that it gave up.
        return f"{HELMS}has it as {record.status}" + (f": {_line(record.description)}" if record.description else "")
    # Helm finds the chart v1.2.3 by 1.2.3 as well, and the other way about.
    if wanted.version and record.version.removeprefix("v") != wanted.version.removeprefix("v"):
        return f"{HELMS}still has {record.version} deployed"
    mine, theirs = _without_nulls(wanted.values), _without_nulls(record.values)
    if not (_within(mine, theirs) if wanted.packaged else mine == theirs):
        return f"{HELMS}still has other values deployed"
    return ""


def _without_nulls(values: Any) -> Any:
    # By a null Helm takes a default away; whether it keeps it in its record depends on its version.
    if isinstance(values, Mapping):
        return {key: _without_nulls(each) for key, each in values.items() if each is not None}
    return values


def _within(some: Any, all_of_it: Any) -> bool:
    if isinstance(some, Mapping) and isinstance(all_of_it, Mapping):
        return all(key in all_of_it and _within(value, all_of_it[key]) for key, value in some.items())
    return bool(some == all_of_it)


def workloads(record: Recorded, namespace: str) -> tuple[tuple[str, str, str], ...]:
    """Resource, namespace and name of each workload in a release's manifest. Raise UnreadableError when it is none."""
    return tuple(
        (WORKLOADS[kind], metadata.get("namespace") or namespace, metadata["name"])
        for _, kind, metadata in _objects(record)
        if kind in WORKLOADS
    )


@dataclass(frozen=True)
class Holding:
    """An object of a release that may hold data; `kept` is that it stays when the release goes.

    For an uninstall Helm reads that of its record, without heed of spaces and of case; for an upgrade that has the
    object no more, of the live one, to the letter (Helm, pkg/action/resource_policy.go and pkg/kube/client.go).
    """

    kind: str
    namespace: str
    name: str
    kept: bool

    @property
    def said(self) -> str:
        return f"{self.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name}"

    @property
    def path(self) -> str:
        return f"{_HOLDING[self.kind].format(namespace=self.namespace)}/{self.name}"


def claims(namespace: str) -> str:
    """Where the API lists the claims of a namespace."""
    return _HOLDING["PersistentVolumeClaim"].format(namespace=namespace)


def holding(record: Recorded, namespace: str) -> tuple[Holding, ...]:
    """What of a release may hold data. Raise UnreadableError when its manifest is none."""
    return tuple(
        Holding(
            kind,
            (metadata.get("namespace") or namespace) if kind == "PersistentVolumeClaim" else "",
            metadata["name"],
            _is_kept(metadata),
        )
        for _, kind, metadata in _objects(record)
        if kind in _HOLDING
    )


@dataclass(frozen=True)
class Owner:
    """An object of a release that live claims belong to, which the garbage collector takes away after it: a StatefulSet
    whose `persistentVolumeClaimRetentionPolicy` says so, or what an operator makes a database of. `kept` as of Holding.
    """

    version: str
    kind: str
    namespace: str
    name: str
    kept: bool
    claims: tuple[str, ...]

    @property
    def said(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def namespaces(record: Recorded, namespace: str) -> frozenset[str]:
    """Where a release has objects. Raise UnreadableError when its manifest is none."""
    return frozenset({namespace, *(metadata.get("namespace") or namespace for _, _, metadata in _objects(record))})


def owners(record: Recorded, namespace: str, claims: Iterable[Object]) -> tuple[Owner, ...]:
    """What of a release takes some of these live claims along. Raise UnreadableError when its manifest is none."""
    owned: dict[tuple[str, str, str, str], list[str]] = {}
    for claim in (each["metadata"] for each in claims):
        for reference in claim.get("ownerReferences") or ():
            key = (_group(reference["apiVersion"]), reference["kind"], claim["namespace"], reference["name"])
            owned.setdefault(key, []).append(claim["name"])
    found = []
    for version, kind, metadata in _objects(record):
        at = metadata.get("namespace") or namespace
        if held := owned.get((_group(version), kind, at, metadata["name"])):
            found.append(Owner(version, kind, at, metadata["name"], _is_kept(metadata), tuple(held)))
    return tuple(found)


def _group(version: str) -> str:
    """An API group; its versions are views of the same objects."""
    return version.rpartition("/")[0]


def _is_kept(metadata: Mapping[str, Any]) -> bool:
    return str((metadata.get("annotations") or {}).get(POLICY)).strip().lower() == KEEP


def mounts(record: Recorded) -> frozenset[str]:
    """The claims that a release mounts by name, also without a pod now. Raise UnreadableError when it is no YAML."""
    return frozenset(claim for each in record.documents for claim in _claims(each))


def _claims(held: Any) -> Iterator[str]:
    if isinstance(held, list):
        for each in held:
            yield from _claims(each)
    elif isinstance(held, dict):
        for key, each in held.items():
            if key == "claimName" and isinstance(each, str):
                yield each
            else:
                yield from _claims(each)


def _objects(record: Recorded) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """API version, kind and metadata of each object in a release's manifest."""
    for each in record.documents:
        if not isinstance(each, dict):
            continue
        held = each.get("metadata")
        if isinstance(each.get("items"), list):
            # Whether they stay, Helm reads of the list and not of what is in it.
            notes = held.get("annotations") if isinstance(held, dict) else None
            for item in filter(_is_object, each["items"]):
                yield str(item.get("apiVersion")), str(item.get("kind")), {**item["metadata"], "annotations": notes}
        elif _is_object(each):
            yield str(each.get("apiVersion")), str(each.get("kind")), each["metadata"]


def _is_object(held: Any) -> bool:
    metadata = held.get("metadata") if isinstance(held, dict) else None
    return isinstance(metadata, dict) and bool(metadata.get("name"))


def unready(workload: Object | None) -> str:
    """Why a workload is not up; "" when it is."""
    if workload is None:
        return "is not there"
    spec, status = workload["spec"], workload.get("status") or {}
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return "was not looked at yet"
    if "desiredNumberScheduled" in status:
        wanted, ready = status["desiredNumberScheduled"], status.get("numberReady", 0)
        updated = status.get("updatedNumberScheduled", 0)
    else:
        wanted, ready = spec.get("replicas", 1), status.get("readyReplicas", 0)
        updated = status.get("updatedReplicas", 0)
    if updated < wanted:
        return f"{updated} of {wanted} pods are of this version"
    return "" if ready >= wanted else f"{ready} of {wanted} pods are ready"


def waiting(pods: Iterable[Object]) -> str:
    """Why pods do not run, in the words of the first that does not; "" when nothing tells."""
    for pod in pods:
        status = pod.get("status") or {}
        for each in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
            held = (each.get("state") or {}).get("waiting")
            if held and held.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
                image = f" {each['image']}" if "Image" in held["reason"] or "Pull" in held["reason"] else ""
                return f"{held['reason']}{image}: {_line(held.get('message', ''))}".rstrip(": ")
        for condition in status.get("conditions") or ():
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                return f"{condition.get('reason', 'Unschedulable')}: {_line(condition.get('message', ''))}"
    return ""


def why(reason: str, pods: Iterable[Object], log: Iterable[str]) -> tuple[str, ...]:
    """Why a release did not come up, in lines: what it lacks, what its job waits for, its log's end, the cause."""
    # The job's script shows each of its commands with a + before it.
    last = [line.strip() for line in log if line.strip() and not line.startswith("+")][-3:]
    held = waiting(pods)
    cause = causes.cause([reason, held, *last])
    lines = [reason if not held else f"{reason}; its job waits, {held}"]
    lines += [f"its job's log ends: {_line(line)}" for line in last]
    return (*lines, *([f"that means: {cause}"] if cause else []))


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
