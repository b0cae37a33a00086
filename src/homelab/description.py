"""What an inventory describes, in words and as JSON; never a secret, only where it is kept."""

import json
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from homelab.model import Cluster, Home, InventoryError, Problem, SecretRef, Taint
from homelab.settings import SecretError, resolve_secret

VERSION = 1


def find(start: Path) -> Path:
    """The inventory folder of the nearest folder upwards that has one. Raise InventoryError when none has."""
    for folder in (start, *start.parents):
        if (folder / "inventory").is_dir():
            return folder / "inventory"
    raise InventoryError(
        [Problem("inventory/", "not found here or above", "change to the folder that holds inventory/")]
    )


def secrets(home: Home) -> Iterator[tuple[str, SecretRef]]:
    """Every reference to a secret in the home, with what it is for."""
    if home.cluster is None:
        return
    if home.cluster.token:
        yield "k3s_token", home.cluster.token
    if home.cluster.agent_token:
        yield "k3s_agent_token", home.cluster.agent_token
    yield from _in("registries", home.cluster.registries)


def _in(place: str, value: object) -> Iterator[tuple[str, SecretRef]]:
    if isinstance(value, SecretRef):
        yield place, value
    elif isinstance(value, Mapping):
        for key, held in value.items():
            yield from _in(f"{place}.{key}", held)
    elif isinstance(value, list | tuple):
        for index, held in enumerate(value):
            yield from _in(f"{place}[{index}]", held)


def prove_secrets(home: Home, base: Path) -> None:
    """Read every secret once and forget it. Raise InventoryError naming all that cannot be read."""
    problems = []
    for place, reference in secrets(home):
        try:
            resolve_secret(reference, base=base)
        except SecretError as error:
            # The error names the reference, then what was found and what to do.
            found, _, remedy = str(error).partition("; ")
            problems.append(Problem(place, found, remedy))
    if problems:
        raise InventoryError(problems)


def as_data(home: Home) -> dict[str, object]:
    """The home as plain data, versioned: keys are only ever added within a version."""
    return {
        "version": VERSION,
        "environment": home.environment,
        "hosts": [
            {
                "name": host.name,
                "inventory_name": host.inventory_name,
                "role": host.role,
                "nas": host.nas,
                "address": str(host.address),
                "interface": host.interface,
                "away": host.away,
                "labels": host.labels,
                "taints": [str(taint) for taint in host.taints],
                "server_config": _plain(host.server_config),
                "agent_config": _plain(host.agent_config),
            }
            for host in home.hosts
        ],
        "cluster": None
        if home.cluster is None
        else {name: _plain(getattr(home.cluster, name)) for name in Cluster.model_fields},
        "base": {name: _plain(getattr(home.base, name)) for name in type(home.base).model_fields},
    }


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    if isinstance(value, SecretRef | Taint | IPv4Network | IPv6Network):
        return str(value)
    return value


def as_json(home: Home) -> str:
    """The home as one JSON document."""
    return json.dumps(as_data(home), indent=2)


def as_text(home: Home, console: Console | None = None) -> None:
    """Print the home as a table of hosts and a few lines on what they share."""
    console = console or Console(highlight=False)
    table = Table(title=f"{home.environment}: {len(home.hosts)} hosts", title_justify="left", box=None)
    for column in ("name", "is", "address", "interface", "labels and taints"):
        table.add_column(column, no_wrap=column in ("name", "address"))
    for host in home.hosts:
        what = [f"K3s {host.role}"] if host.role else []
        what += ["NAS"] if host.nas else []
        what += ["away"] if host.away else []
        marks = [f"{key}={value}" for key, value in host.labels.items()] + [str(taint) for taint in host.taints]
        cells = (host.name, ", ".join(what), str(host.address), host.interface or "", " ".join(marks))
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)
    for name, said in _shared(home):
        console.print(f"{name}: {said}", markup=False, soft_wrap=True)


def _shared(home: Home) -> Iterator[tuple[str, str]]:
    cluster = home.cluster
    if cluster is not None:
        yield "K3s", cluster.version
        yield "pods", ", ".join(str(one) for one in cluster.cluster_cidr)
        yield "services", ", ".join(str(one) for one in cluster.service_cidr)
        if cluster.tls_san:
            yield "also called", ", ".join(cluster.tls_san)
        yield "kubeconfig", cluster.kubeconfig
    for name, network in home.base.networks.items():
        yield f"network {name}", str(network)
    for place, reference in secrets(home):
        yield f"secret {place}", f"{reference} (readable)"
