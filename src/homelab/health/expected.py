"""The nodes that an inventory describes. Only this file of health knows the inventory, and it is loaded when asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from homelab.health.snapshot import Expected

if TYPE_CHECKING:
    from homelab.model import Home

CONTEXT = "homelab-"  # and the environment: the name that the deploy gives to a cluster's context


class InventoryUnusable(Exception):
    """The inventory that was named cannot be used: a line for each thing that is wrong."""


def environment(context: str) -> str | None:
    """The environment of a context that the deploy has written; None for any other."""
    return context.removeprefix(CONTEXT) if context.startswith(CONTEXT) and context != CONTEXT else None


def read(environment: str, start: Path) -> Expected:
    """The nodes of inventory/<environment>.py, looked for from a folder upwards. Raise InventoryUnusable."""
    from homelab import description
    from homelab.model import InventoryError, choose, load

    try:
        folder = description.find(start)
        home = load(choose(folder, {"HOMELAB_ENV": environment}), cwd=folder.parent)
    except InventoryError as error:
        raise InventoryUnusable(str(error).replace("HOMELAB_ENV=", "--inventory ")) from None
    return of(home, environment)


def of(home: Home, environment: str) -> Expected:
    """The nodes of a home that is loaded, for an environment's name."""
    nodes = {host.name: host.role for host in (*home.servers, *home.agents) if host.role and not host.away}
    away = frozenset(host.name for host in (*home.servers, *home.agents) if host.away)
    return Expected(environment, nodes, away)
