"""What must hold between the releases of `charts`, their charts' folders and the home around them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from homelab.model import chart_folder, storage_classes, values_schema
from homelab.model.chart_folder import ChartError, ChartFolder
from homelab.model.charts import PACKAGED, Release
from homelab.model.cluster import Cluster
from homelab.model.networks import AnyAddress
from homelab.model.problems import Problem, did_you_mean
from homelab.model.storage_classes import Export

# By this name K3s is told to do without its local-path.
_LOCAL = "local-storage"
# Of these keys a value is a secret; existingSecret and secretName only name one.
_SECRET = re.compile(r"(?i)(passw(or)?d|passphrase|token|api_?key|private_?key|credentials?)$")


@dataclass(frozen=True)
class Around:
    """The home around the releases: the folder of charts, the NAS's shares over NFS, and the K3s nodes."""

    folder: Path
    exports: Mapping[str, list[Export]]
    nodes: Mapping[str, AnyAddress]


def right(given: object) -> dict[int, Release]:
    """The releases of a list as it was written that are ones, by their places in it."""
    found = {}
    for index, each in enumerate(given if isinstance(given, list | tuple) else ()):
        with suppress(ValidationError):
            found[index] = Release.model_validate(each)
    return found


def check(releases: Mapping[int, Release], place: str, cluster: Cluster, around: Around) -> Iterator[Problem]:
    """Everything that does not fit in the list of releases at `place`."""
    first: dict[str, str] = {}
    folders: dict[int, ChartFolder] = {}
    known = chart_folder.names(around.folder)
    if releases and cluster.server_config.get("disable-helm-controller"):
        yield Problem(place, "server_config disables K3s's Helm controller, which installs them", "take that out of it")
    for index, release in releases.items():
        at = f"{place}[{index}]"
        if release.name in first:
            found = f"release {release.name} is also {first[release.name]}"
            yield Problem(f"{at}.name", found, "give each release its own name, whatever its namespace")
        first.setdefault(release.name, f"charts[{index}]")
        yield from _secrets_in_clear(f"{at}.values", release.values)
        if release.name in PACKAGED:
            yield from _check_packaged(at, release, cluster)
            continue
        if release.of not in known:
            have = f"write one of {', '.join(known)}" if known else "write it in charts/"
            yield Problem(at, f"no chart {release.of!r} in charts/", did_you_mean(release.of, known, have))
            continue
        try:
            folders[index] = folder = chart_folder.read(around.folder / release.of)
        except ChartError as error:
            yield Problem(f"charts/{release.of}", error.found, error.remedy)
            continue
        yield from _check_values(at, release, folder, around)
        yield from _check_default(at, release, cluster)
        for key in folder.secrets:
            if key not in release.secrets:
                found = f"is missing, and {release.of} does not start without it"
                yield Problem(f"{at}.secrets.{key}", found, f'write "{key}": "env:NAME", a reference')
    for index, folder in folders.items():
        if folder.dependency is None or not folder.has_templates:
            continue
        name = folder.dependency.name
        if name in first:
            found = f"brings the release {name} along, which {first[name]} has already"
            yield Problem(f"{place}[{index}]", found, "write one of them")
        first.setdefault(name, f"charts[{index}]")
    local = "one of the nodes' own disks" if _LOCAL in _disabled(cluster) else "local-path"
    yield from _databases(releases, place, folders, local)


def _disabled(cluster: Cluster) -> tuple[object, ...]:
    """What K3s is told not to bring along."""
    disabled = cluster.server_config.get("disable")
    listed = disabled.split(",") if isinstance(disabled, str) else disabled
    return tuple(listed) if isinstance(listed, list | tuple) else ()


def _check_default(at: str, release: Release, cluster: Cluster) -> Iterator[Problem]:
    """One default class: at each start K3s makes its own local-path one again."""
    if release.of != storage_classes.CHART or _LOCAL in _disabled(cluster):
        return
    for name in storage_classes.defaults(release.values):
        found = "there would be two, for at each start K3s makes its local-path the default again"
        remedy = f'leave it out, or write "{_LOCAL}" in server_config\'s disable'
        yield Problem(f"{at}.values.classes.{name}.default", found, remedy)


def _check_packaged(at: str, release: Release, cluster: Cluster) -> Iterator[Problem]:
    if PACKAGED[release.name] in _disabled(cluster):
        found = f"K3s's own {release.name} is disabled in server_config"
        yield Problem(f"{at}.name", found, "take it out of disable, or leave this out")
    for key in ("chart", "namespace", "secrets"):
        if key in release.model_fields_set:
            found = f"{release.name} is K3s's own release, of which only values are yours"
            yield Problem(f"{at}.{key}", found, "leave it out")


def _check_values(at: str, release: Release, folder: ChartFolder, around: Around) -> Iterator[Problem]:
    values: Mapping[str, object] = release.values
    wrong: list[values_schema.Wrong] = []
    if folder.name == storage_classes.CHART:
        wrong += storage_classes.check(values, around.exports, around.nodes)
        values = storage_classes.resolved(values, around.exports)
    # A class whose share is wrong has neither server nor path, and that has been said.
    told = {place.rpartition(".")[0] for place, _, _ in wrong}
    below = list(_below(values, folder))
    said = {place for place, _, _ in below}
    wrong += [*below, *(storage_classes.misnamed(values) if folder.name == storage_classes.CHART else ())]
    if folder.schema is not None:
        for place, found, remedy in values_schema.wrong(values, folder.schema):
            if place not in said and not any(place.startswith(each) for each in told):
                wrong.append((place, found, remedy))
    yield from (Problem(f"{at}.values{place}", found, remedy) for place, found, remedy in wrong)


def _below(values: Mapping[str, object], folder: ChartFolder) -> Iterator[values_schema.Wrong]:
    """What of the values does not reach the chart that a folder depends on."""
    if folder.dependency is None:
        return
    name = folder.dependency.name
    if not isinstance(values.get(name) or {}, dict):
        yield f".{name}", "is of the wrong type", 'write a dict, {"key": value}'
    if not folder.has_templates:
        for key in sorted(values.keys() - {name}):
            yield f".{key}", "is not heeded, for the chart is that of its dependency", f"write it below {name}"


def _secrets_in_clear(place: str, value: object) -> Iterator[Problem]:
    if isinstance(value, dict):
        # As containers are given their environment.
        named = isinstance(value.get("name"), str) and _SECRET.search(value["name"])
        for key, held in value.items():
            if (_SECRET.search(key) or (named and key == "value")) and isinstance(held, str) and held:
                yield Problem(f"{place}.{key}", "a secret in clear", "write it in secrets, as env:NAME")
            else:
                yield from _secrets_in_clear(f"{place}.{key}", held)
    elif isinstance(value, list):
        for index, held in enumerate(value):
            yield from _secrets_in_clear(f"{place}[{index}]", held)


def _databases(
    releases: Mapping[int, Release], place: str, folders: Mapping[int, ChartFolder], local: str
) -> Iterator[Problem]:
    """No database on a class of the NAS: locks and fsync over NFS are not what it takes them for."""
    ours: set[str] = set()
    default = None
    for release in releases.values():
        classes = release.values.get("classes")
        if release.of == storage_classes.CHART and isinstance(classes, dict):
            ours |= classes.keys()
            default = next(iter(storage_classes.defaults(release.values)), default)
    for index, folder in folders.items():
        if not folder.database:
            continue
        named = list(_classes(releases[index].values))
        remedy = f"write another class, {local} say"
        for where, name in named:
            if name in ours:
                found = f"{folder.name} keeps {folder.database}, which NFS can corrupt, and {name} is of the NAS"
                yield Problem(f"{place}[{index}].values{where}", found, remedy)
        if default is not None and not any(name for _, name in named):
            found = f"{folder.name} keeps {folder.database}, which NFS can corrupt, and {default} is the default class"
            yield Problem(f"{place}[{index}].values", found, f"name another class in storage.class, {local} say")


def _classes(values: object, place: str = "") -> Iterator[tuple[str, str]]:
    """The storage classes that values name, with their places."""
    if not isinstance(values, dict):
        return
    for key, held in values.items():
        inside = place.rpartition(".")[2] == "storage" and key == "class"
        if isinstance(held, str) and (inside or key.lower() in ("storageclass", "storageclassname")):
            yield f"{place}.{key}", held
        else:
            yield from _classes(held, f"{place}.{key}")
