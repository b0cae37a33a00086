"""The charts rendered by Helm itself: what the cluster's job would make of the very archive that it is handed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from homelab.charts import archive
from homelab.model import chart_folder

helm: Any = pytest.importorskip("helm_python", reason="Helm's engine has no package for this machine")

CHARTS = Path(__file__).parents[1] / "charts"
Json = dict[str, Any]

# A release of each of our charts, with values as the control machine hands them over.
RELEASES: Mapping[str, tuple[str, Json]] = {
    "health-reader": ("kube-system", {}),
    "nas-storage": (
        "kube-system",
        {
            "classes": {
                "nas": {"server": "192.168.1.31", "path": "/srv/tank/kube"},
                "nas-films": {"server": "192.168.1.31", "path": "/srv/pics/films", "default": True},
            }
        },
    ),
    "ntfy": (
        "ntfy",
        {
            "hostname": "ntfy.example.org",
            "access": ["phone:*:read-only", "nas:alerts:write-only"],
            "storage": {"size": "2Gi", "class": "local-path"},
            "ingress": {"class": "traefik", "tlsSecret": "ntfy-tls"},
        },
    ),
}


@contextmanager
def packed(name: str) -> Iterator[helm.Chart]:
    """A chart as Helm loads it from the archive that is embedded."""
    chart = chart_folder.read(CHARTS / name)
    with helm.Chart.load_archive(archive.archive(name, archive.files(chart))) as loaded:
        yield loaded


def rendered(name: str, values: Json, *, namespace: str, release: str = "") -> list[Json]:
    """The objects that Helm makes of a chart of ours, with a namespace where the kind has one; as Helm orders them."""
    with packed(name) as chart:
        chart.validate_schema(values)
        texts = chart.render(values, name=release or name, namespace=namespace)
    return [each for path in sorted(texts) for each in yaml.safe_load_all(texts[path]) if each]


def lint(name: str, values: Json, kubernetes: str) -> list[str]:
    """What Helm's strict lint says of the packed chart, but for advice."""
    chart = chart_folder.read(CHARTS / name)
    with tempfile.TemporaryDirectory() as folder:
        for path, content in archive.files(chart).items():
            file = Path(folder) / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        report = helm.lint(Path(folder) / name, values, strict=True, kube_version=kubernetes)
    return [each["error"] for each in report["messages"] if each["severity"] >= 2] + list(report["errors"])
