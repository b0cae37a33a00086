"""A chart as its folder has it: `charts/<name>/` beside `inventory/`. Source: Helm, "Charts"."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from homelab.yaml_compat import UNREADABLE

# What a chart of ours tells of itself in Chart.yaml's annotations.
SECRETS, DATABASE = "homelab/secrets", "homelab/database"

# SemVer without what may stand after a +.
_VERSION = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?")


class ChartError(Exception):
    """A chart's folder cannot be used: found, then what to do."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(f"{found}; {remedy}")
        self.found, self.remedy = found, remedy


@dataclass(frozen=True)
class Dependency:
    """The one upstream chart that a chart brings along, pinned."""

    name: str
    version: str
    repository: str


@dataclass(frozen=True)
class ChartFolder:
    """A chart: `values` are its own, `schema` that of values.schema.json.

    `secrets` are keys it cannot start without; `database` what it keeps in files that NFS does not lock well enough.
    """

    path: Path
    version: str
    values: Mapping[str, Any] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    dependency: Dependency | None = None
    secrets: tuple[str, ...] = ()
    database: str = ""

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def has_templates(self) -> bool:
        return (self.path / "templates").is_dir()


def names(folder: Path) -> tuple[str, ...]:
    """The charts in a folder of charts."""
    return tuple(sorted(path.parent.name for path in folder.glob("*/Chart.yaml")))


def read(path: Path) -> ChartFolder:
    """The chart in a folder. Raise ChartError when it is none, or not one that could be applied as it is."""
    chart = _yaml(path / "Chart.yaml")
    if chart.get("name") != path.name:
        raise ChartError(f"Chart.yaml names {chart.get('name')!r}", f"write name: {path.name}")
    if "version" not in chart:
        raise ChartError("Chart.yaml has no version", "write version: 0.1.0")
    # Its contents are told after a +, by which it could not be compared once more.
    if not _VERSION.fullmatch(str(chart["version"])):
        raise ChartError(f"Chart.yaml's version {chart['version']!r} is none of three numbers", "write version: 0.1.0")
    told = chart.get("annotations") or {}
    if not isinstance(told, dict):
        raise ChartError("Chart.yaml's annotations are no mapping", "mend them")
    values = _yaml(path / "values.yaml") if (path / "values.yaml").exists() else {}
    dependency = _dependency(chart.get("dependencies") or ())
    if dependency is not None and not isinstance(values.get(dependency.name) or {}, dict):
        raise ChartError(f"values.yaml's {dependency.name} is no mapping", "write that chart's values below it")
    made = ChartFolder(
        path,
        chart["version"],
        values,
        _schema(path / "values.schema.json"),
        dependency,
        tuple(str(told.get(SECRETS, "")).split()),
        str(told.get(DATABASE, "")),
    )
    if not made.has_templates and made.dependency is None:
        raise ChartError("has neither templates nor a dependency", "write one of them")
    return made


def _dependency(listed: Any) -> Dependency | None:
    if not listed:
        return None
    if not isinstance(listed, list) or len(listed) > 1:
        raise ChartError("has more than one dependency", "write a chart for each")
    (one,) = listed
    if not isinstance(one, dict) or not isinstance(one.get("name"), str):
        raise ChartError("has a dependency without a name", "write name, version and repository")
    # An alias or a condition would mean something to Helm, which is never shown it.
    if more := set(one) - {"name", "version", "repository"}:
        raise ChartError(f"{one['name']}: {', '.join(sorted(more))} of a dependency is not heeded", "leave it out")
    version, repository = str(one.get("version", "")), str(one.get("repository", ""))
    if not re.fullmatch(r"v?[0-9]+(\.[0-9]+){2}([-+][0-9A-Za-z.+-]+)?", version):
        raise ChartError(f"{one['name']}: {version!r} is no one version", "pin it, version: 4.13.4")
    if not repository.startswith(("https://", "http://", "oci://")):
        raise ChartError(
            f"{one['name']}: {repository!r} is nothing that a cluster can fetch from", "write its https://"
        )
    return Dependency(one["name"], version, repository.rstrip("/"))


def _schema(path: Path) -> Mapping[str, Any] | None:
    if not path.exists():
        return None
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ChartError(f"{path.name} cannot be read ({_said(error)})", "mend it") from None
    if not isinstance(held, dict):
        raise ChartError(f"{path.name} is no object", "mend it")
    return held


def _yaml(path: Path) -> dict[str, Any]:
    try:
        held = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, *UNREADABLE) as error:
        raise ChartError(f"{path.name} cannot be read ({_said(error)})", "mend it") from None
    if held is not None and not isinstance(held, dict):
        raise ChartError(f"{path.name} is no mapping", "mend it")
    try:
        json.dumps(held, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        raise ChartError(f"{path.name} has what is not JSON, a date say", "quote it, or mend it") from None
    return held or {}


def _said(error: Exception) -> str:
    said = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return " ".join(said.split())
