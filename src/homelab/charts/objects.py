"""The objects that make K3s's Helm controller install a release. Pure: an inventory in, Kubernetes objects out.

Source: k3s-io/helm-controller, pkg/apis/helm.cattle.io/v1 and pkg/controllers/chart; k3s-io/klipper-helm, entry.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from homelab.charts import archive
from homelab.model import Home, SecretRef, chart_folder, storage_classes
from homelab.model.charts import PACKAGED, SYSTEM, Release

API = "helm.cattle.io/v1"
# Here the controller's jobs run, with all rights; not in a namespace of which others have rights.
NAMESPACE = SYSTEM
MANAGER = "homelab"
# By it what was ours is known again when it is no longer listed.
LABELS = {"app.kubernetes.io/managed-by": MANAGER}
RELEASE_LABEL = "homelab/release"
# The inventory that lists a release, by its environment: another one may share the cluster. No label, which would not
# take every name of a file.
ENVIRONMENT = "homelab/environment"
# By default the controller answers a failed upgrade by uninstalling the release and installing it anew. A K3s of before
# 2022-03 does not know the field.
_GUARD = {"failurePolicy": "abort"}

Object = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """A release as it should be: what to apply, and what Helm's own record then says.

    `version` is the chart's, "" where K3s chooses it; `secrets` by key of the Secret that they become; `fetched` the
    upstream chart where the cluster is to fetch it.
    """

    name: str
    chart: str
    namespace: str
    version: str
    values: Mapping[str, Any]
    manifest: Object = field(repr=False)
    secrets: Mapping[str, SecretRef] = field(default_factory=dict)
    fetched: chart_folder.Dependency | None = None

    @property
    def packaged(self) -> bool:
        """Whether it is K3s's own release, of which only the values are ours."""
        return bool(self.manifest["kind"] == "HelmChartConfig")

    @property
    def said(self) -> str:
        return f"{self.chart} {self.version}".strip() + f" in {self.namespace}"


def dependencies(home: Home, folder: Path) -> tuple[chart_folder.Dependency, ...]:
    """The upstream charts that the inventory's releases take, each once."""
    assert home.cluster is not None
    listed = (release for release in home.cluster.charts or () if release.name not in PACKAGED)
    found = (chart_folder.read(folder / release.of).dependency for release in listed)
    return tuple(dict.fromkeys(each for each in found if each is not None))


Archives = Mapping[chart_folder.Dependency, bytes]


def releases(home: Home, folder: Path, archives: Archives = MappingProxyType({})) -> tuple[Wanted, ...]:
    """Every release that the inventory lists, in its order; a chart's dependency stands before it.

    Dependencies of which there are `archives` are embedded; the cluster fetches the others.
    """
    assert home.cluster is not None
    return tuple(each for release in home.cluster.charts or () for each in _wanted(home, release, folder, archives))


def _wanted(home: Home, release: Release, folder: Path, archives: Archives) -> Iterator[Wanted]:
    if release.name in PACKAGED:
        manifest = _object(home, "HelmChartConfig", release.name, {"valuesContent": content(release.values)})
        yield Wanted(release.name, release.name, NAMESPACE, "", release.values, manifest)
        return
    chart = chart_folder.read(folder / release.of)
    values: dict[str, Any] = dict(release.values)
    if chart.name == storage_classes.CHART:
        values = storage_classes.resolved(values, _exports(home))
    if chart.dependency is not None:
        inner = merged(chart.values.get(chart.dependency.name) or {}, values.pop(chart.dependency.name, None) or {})
        # Without templates the dependency is the release; with them it is one beside it.
        name = chart.dependency.name if chart.has_templates else release.name
        mine = {} if chart.has_templates else release.secrets
        yield _upstream(home, name, release, chart.dependency, inner, mine, archives.get(chart.dependency))
    if chart.has_templates:
        packed = archive.files(chart)
        spec = {
            **_embedded(chart.name, archive.archive(chart.name, packed)),
            "targetNamespace": release.runs_in,
            "valuesContent": content(values),
            **_GUARD,
        }
        manifest = _object(home, "HelmChart", release.name, spec)
        version = archive.version(packed)
        yield Wanted(release.name, chart.name, release.runs_in, version, values, manifest, release.secrets)


def _upstream(
    home: Home,
    name: str,
    release: Release,
    chart: chart_folder.Dependency,
    values: Mapping[str, Any],
    secrets: Mapping[str, SecretRef],
    held: bytes | None,
) -> Wanted:
    spec = {
        **(_fetched(chart) if held is None else _embedded(chart.name, held)),
        "targetNamespace": release.runs_in,
        "valuesContent": content(values),
        **_GUARD,
    }
    manifest = _object(home, "HelmChart", name, spec)
    fetched = chart if held is None else None
    return Wanted(name, chart.name, release.runs_in, chart.version, values, manifest, secrets, fetched)


def as_there(wanted: Wanted, live: Mapping[str, Any]) -> Wanted:
    """The release with the archive that its live HelmChart carries, if that is of the chart which the cluster would
    fetch: another machine, which had it, has embedded it, and one without it is to change nothing."""
    content = live["spec"].get("chartContent")
    if wanted.fetched is None or not archive.carries(content, wanted.fetched):
        return wanted
    spec = {key: value for key, value in wanted.manifest["spec"].items() if key not in _fetched(wanted.fetched)}
    return replace(wanted, manifest={**wanted.manifest, "spec": {**spec, **_carried(wanted.fetched.name, content)}})


def _embedded(name: str, held: bytes) -> Object:
    return _carried(name, base64.b64encode(held).decode())


def _carried(name: str, content: str) -> Object:
    # Before 2022-10 the controller uninstalls only what has a `chart`, whatever chartContent says.
    return {"chart": name, "chartContent": content}


def _fetched(chart: chart_folder.Dependency) -> Object:
    # Of a registry the chart itself is named, K3s: "Using OCI"; a repository has an index.
    if chart.repository.startswith("oci://"):
        return {"chart": f"{chart.repository}/{chart.name}", "version": chart.version}
    return {"chart": chart.name, "repo": chart.repository, "version": chart.version}


def _object(home: Home, kind: str, name: str, spec: Object) -> Object:
    annotations = {ENVIRONMENT: home.environment}
    metadata = {"name": name, "namespace": NAMESPACE, "labels": dict(LABELS), "annotations": annotations}
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}


def environment(thing: Mapping[str, Any]) -> str:
    """Of which inventory an object of ours is; "" of one that was made before that was noted."""
    return str((thing["metadata"].get("annotations") or {}).get(ENVIRONMENT, ""))


def secret_name(release: str) -> str:
    """The Secret with a release's `secrets`, by which its templates refer to it."""
    return f"{release}-homelab"


def secret(wanted: Wanted, values: Mapping[str, str]) -> Object:
    """The Secret that the release's templates refer to, of its resolved values."""
    metadata = {
        "name": secret_name(wanted.name),
        "namespace": wanted.namespace,
        "labels": {**LABELS, RELEASE_LABEL: wanted.name},
        "annotations": {ENVIRONMENT: environment(wanted.manifest)},
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }


def content(values: Mapping[str, Any]) -> str:
    """Values as Helm reads them, typed as they are here; the same text for the same values, and never an empty one:
    K3s's controller drops that when it writes the object back, and each run would find it missing."""
    return archive.as_json(values)


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Values over others as Helm merges them: dicts key by key, all else as a whole."""
    made = dict(under)
    for key, value in over.items():
        held = made.get(key)
        made[key] = merged(held, value) if isinstance(held, Mapping) and isinstance(value, Mapping) else value
    return made


def fitted(crd: Mapping[str, Any], manifest: Object) -> Object:
    """An object as this cluster's own definition takes it: without what can be done without unless that lists it.

    A definition without fields keeps everything, until its controller writes the object back with what it knows.
    """
    without = _GUARD.keys() - _listed(crd, manifest)
    return {**manifest, "spec": {key: value for key, value in manifest["spec"].items() if key not in without}}


def unknown_fields(crd: Mapping[str, Any], manifest: Object) -> tuple[str, ...]:
    """Fields of an object's spec that this cluster's own definition does not list: dropped, or kept and heeded by none.

    Those that can be done without are none of them. None where the definition lists no fields at all, as those of older
    K3s do: then nothing can be told.
    """
    listed = _listed(crd, manifest)
    if not listed and _version(crd, manifest) is not None:
        return ()
    return tuple(key for key in manifest["spec"] if key not in listed and key not in _GUARD)


def _version(crd: Mapping[str, Any], manifest: Object) -> Mapping[str, Any] | None:
    named = manifest["apiVersion"].partition("/")[2]
    return next((each for each in crd["spec"]["versions"] if each["name"] == named), None)


def _listed(crd: Mapping[str, Any], manifest: Object) -> frozenset[str]:
    """The fields of the spec that a definition lists; none where it has no schema."""
    schema = ((_version(crd, manifest) or {}).get("schema") or {}).get("openAPIV3Schema") or {}
    return frozenset(((schema.get("properties") or {}).get("spec") or {}).get("properties") or ())


def _exports(home: Home) -> dict[str, list[storage_classes.Export]]:
    return storage_classes.exports((host.address, host.storage) for host in home.nas if host.storage)
