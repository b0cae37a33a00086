"""What an inventory describes, in words and as JSON; never a secret, only where it is kept."""

import json
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from homelab.counting import many
from homelab.model import Cluster, Home, InventoryError, Problem, SecretRef, Taint
from homelab.model.nas import Alerts, Nas, Share, Snapshots
from homelab.model.strict import Strict
from homelab.settings import SecretError, resolve_secret, unreadable

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
    if home.cluster is not None:
        if home.cluster.token:
            yield "k3s_token", home.cluster.token
        if home.cluster.agent_token:
            yield "k3s_agent_token", home.cluster.agent_token
        yield from _in("registries", home.cluster.registries)
        for release in home.cluster.charts or ():
            yield from _in(f"charts.{release.name}.secrets", release.secrets)
    for host in home.nas:
        if host.storage is not None:
            for name, user in host.storage.users.items():
                yield from _in(f"{host.name}.users.{name}.password", user.password)
            for name, backup in host.storage.backups.items():
                yield from _in(f"{host.name}.backups.{name}.password", backup.password)
            for key in type(host.storage.alerts).model_fields:
                yield from _in(f"{host.name}.alerts.{key}", getattr(host.storage.alerts, key))


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
            problems.append(unreadable(place, reference, error))
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
                "storage": None if host.storage is None else _plain(host.storage),
            }
            for host in home.hosts
        ],
        "cluster": None
        if home.cluster is None
        else {name: _plain(getattr(home.cluster, name)) for name in Cluster.model_fields},
        "base": {name: _plain(getattr(home.base, name)) for name in type(home.base).model_fields},
    }


def _plain(value: object) -> object:
    if isinstance(value, Alerts):
        # Whoever knows the whole address of a webhook or a topic can write to it, and read the topic.
        shown = {name: _plain(held) for name, held in value}
        return {**shown, "ntfy": _site(value.ntfy), "webhook": _site(value.webhook)}
    if isinstance(value, Strict):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(key): _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    if isinstance(value, SecretRef | Taint | IPv4Network | IPv6Network):
        return str(value)
    return value


def _site(url: str | None) -> str | None:
    if url is None:
        return None
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def as_json(home: Home) -> str:
    """The home as one JSON document."""
    return json.dumps(as_data(home), indent=2)


def as_text(home: Home, console: Console) -> None:
    """Print the home as a table of hosts and a few lines on what they share."""
    table = Table(title=f"{home.environment}: {many(len(home.hosts), 'host')}", title_justify="left", box=None)
    for column in ("name", "is", "address", "interface", "labels and taints"):
        table.add_column(column, no_wrap=column in ("name", "address"), overflow="fold")
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
        for release in cluster.charts or ():
            yield f"release {release.name}", f"chart {release.of} in {release.runs_in}"
    for name, network in home.base.networks.items():
        yield f"network {name}", str(network)
    for host in home.nas:
        if host.storage is not None:
            for name, said in _stored(host.storage):
                yield f"{host.name} {name}", said
    for place, reference in secrets(home):
        yield f"secret {place}", f"{reference} (readable)"


def _stored(nas: Nas) -> Iterator[tuple[str, str]]:
    """What a NAS keeps, a line for each thing."""
    for name, pool in nas.pools.items():
        encrypted = ", encrypted" if pool.encryption else ""
        parity = f" with parity on {', '.join(pool.parity)}" if pool.parity else ""
        kind = " ".join(filter(None, (pool.kind, pool.level)))
        yield f"pool {name}", f"{kind} of {', '.join(pool.disks)}{parity}{encrypted}, at {nas.mountpoint(name)}"
    spare = [name for name in nas.disks if not any(name in pool.members for pool in nas.pools.values())]
    if spare:
        yield "disks in no pool", f"{', '.join(spare)} (left alone)"
    for name, volume in nas.volumes.items():
        said = [f"{nas.path(name)}, {volume.owner}'s"]
        said += [f"at most {_size(volume.quota)}"] if volume.quota else []
        kept = ", ".join(f"{count} {every}" for every, count in nas.snapshots.get(name, Snapshots()) if count)
        said += [f"snapshots {kept}" if kept else "no snapshots"]
        saved = [each for each, backup in nas.backups.items() if name in backup.volumes]
        said += [f"backed up by {', '.join(saved)}" if saved else "no backup"]
        yield f"volume {name}", "; ".join(said)
    for name, share in nas.shares.items():
        yield f"share {name}", f"{share.volume} over {' and '.join(_ways(share))}"
    for name, backup in nas.backups.items():
        yield f"backup {name}", f"{', '.join(backup.volumes)} to {backup.to} at {backup.at}"
    if nas.pools:
        alerts = nas.alerts
        ways = [alerts.mail, _site(alerts.ntfy), _site(alerts.webhook)]
        yield "alerts to", ", ".join(way for way in ways if way) or "nobody: a dying disk would go unnoticed"


def _ways(share: Share) -> Iterator[str]:
    if share.nfs:
        yield f"NFS to {', '.join(share.nfs.clients)}{' (read only)' if share.nfs.read_only else ''}"
    if share.smb:
        marks: list[str] = [] if share.smb.purpose == "default" else [share.smb.purpose]
        marks += [
            word for word, said in (("read only", share.smb.read_only), ("recycle bin", share.smb.recycle)) if said
        ]
        yield f"SMB to {', '.join(share.smb.users)}" + (f" ({', '.join(marks)})" if marks else "")


def _size(count: int) -> str:
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if count % 2 ** (10 * power) == 0:
            return f"{count // 2 ** (10 * power)} {unit}"
    return f"{count} bytes"
