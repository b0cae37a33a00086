"""What runs on the cluster: releases of charts, by the names that Helm and Kubernetes give them."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from homelab.model.names import matching
from homelab.model.secret import Secret
from homelab.model.strict import Strict, refuse, shown

# RFC 1123's label; the job that installs is named helm-install-<name>, and a label's value ends at 63.
_RELEASE = re.compile(r"[a-z]([a-z0-9-]{0,48}[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SECRET_KEY = re.compile(r"[A-Za-z0-9._-]{1,253}")

# HelmCharts that K3s lays itself, in its own namespace, with the name in `disable` that takes them away.
PACKAGED = {"traefik": "traefik", "traefik-crd": "traefik"}
SYSTEM = "kube-system"


def _plain(value: object, place: str = "") -> object:
    """Values as YAML has them, dicts by strings; a tuple is a list."""
    if isinstance(value, dict):
        if wrong := next((key for key in value if not isinstance(key, str)), None):
            raise refuse(f"{shown(wrong)} is no name of a value", "write a string")
        return {key: _plain(held, f"{place}.{key}") for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held, f"{place}[{index}]") for index, held in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise refuse(f"{place.lstrip('.')} is {value}, which is no number to Helm", "write a number")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise refuse(f"{place.lstrip('.')} is of type {type(value).__name__}", "write what YAML has: strings, lists, dicts")


ReleaseName = Annotated[str, matching(_RELEASE, "a release's name", "ntfy")]
Namespace = Annotated[str, matching(_NAMESPACE, "a namespace", "default")]
SecretKey = Annotated[str, matching(_SECRET_KEY, "a key of a Secret", "users")]


class Release(Strict):
    """A chart as it is to run: the release's ``name``, which ``chart`` (by default of that name), where, and how.

    ``values`` override the chart's own. ``secrets`` become the Secret ``<name>-homelab``, which the templates refer to.
    """

    name: ReleaseName
    chart: Annotated[str, matching(_RELEASE, "a chart's name", "ntfy")] = ""
    namespace: Namespace = ""
    values: Annotated[dict[str, object], BeforeValidator(_plain)] = Field(default_factory=dict)
    secrets: dict[SecretKey, Secret] = Field(default_factory=dict)

    @property
    def of(self) -> str:
        """The chart's name."""
        return self.chart or self.name

    @property
    def runs_in(self) -> str:
        """Its namespace: by default one of its own, K3s's where it is K3s's own release."""
        return self.namespace or (SYSTEM if self.name in PACKAGED else self.name)
