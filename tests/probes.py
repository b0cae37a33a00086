"""Real answers of real hosts to the probe, captured in tests/data/probes, and changes to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from homelab import probe
from homelab.model import Base, Home, Host
from homelab.probe import HostProbe
from tests import builders

DATA = Path(__file__).resolve().parent / "data" / "probes"

FRESH, DEPLOYED = "lxc-debian12-fresh", "lxc-debian12-deployed"


def captured(name: str = FRESH) -> HostProbe:
    """A captured host, its clock exact."""
    lines = (DATA / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    clock = next(line for line in lines if line.startswith("clock\t")).split("\t")[1]
    return probe.parse(lines, datetime.fromtimestamp(float(clock), UTC))


def machine(**changes: Any) -> HostProbe:
    """A fresh physical machine: the captured container without its walls."""
    return replace(captured(), **{"container": "none", **changes})


def node(name: str = "b3", role: str | None = "server", **values: Any) -> Host:
    """The captured fresh host, as a K3s server of the inventory unless said otherwise."""
    return Host.model_validate({"name": name, "role": role, "address": "10.17.77.93", **values})


def home(*hosts: Host, base: Base | None = None, **cluster: Any) -> Home:
    """A home with these hosts, one server when none is given."""
    known = builders.home(servers=(), **cluster)
    return known.model_copy(update={"hosts": hosts or (node(),), "base": base or Base()})
