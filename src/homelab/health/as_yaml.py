"""A report as one YAML document: the same data as in JSON."""

from __future__ import annotations

import yaml

from homelab.health.as_json import as_data
from homelab.health.report import Report


def as_yaml(report: Report, exit_code: int) -> str:
    """The whole report, keys and versions as in JSON."""
    return yaml.safe_dump(as_data(report, exit_code), sort_keys=False, allow_unicode=True).rstrip("\n")
