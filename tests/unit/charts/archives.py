"""Archives of upstream charts, as somebody puts them into the artifact cache."""

from __future__ import annotations

from pathlib import Path

import yaml

from homelab.charts import archive


def upstream(folder: Path, name: str, version: str, says: str = "") -> bytes:
    """Lay the archive of a chart in `folder`, as upstream names it; in its Chart.yaml, `says` is the version."""
    told = {"apiVersion": "v2", "name": name, "version": says or version}
    held = archive.archive(name, {"Chart.yaml": yaml.safe_dump(told).encode(), "values.yaml": b"{}\n"})
    (folder / f"{name}-{version}.tgz").write_bytes(held)
    return held
