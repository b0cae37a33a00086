"""The classes of the chart nas-storage, made of the NAS's shares. Source: csi-driver-nfs, driver-parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from homelab.model.nas import Nas, Nfs
from homelab.model.networks import AnyAddress
from homelab.model.problems import did_you_mean
from homelab.model.strict import shown

CHART = "nas-storage"
# Its driver, by the names of its chart and of what provisions.
DRIVER, PROVISIONER = "csi-driver-nfs", "nfs.csi.k8s.io"
Wrong = tuple[str, str, str]
# RFC 1123's subdomain.
_CLASS = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")


@dataclass(frozen=True)
class Export:
    """A share over NFS, as its clients mount it."""

    server: str
    path: str
    nfs: Nfs


def exports(keepers: Iterable[tuple[AnyAddress, Nas]]) -> dict[str, list[Export]]:
    """The shares over NFS of all NAS, by name; two NAS may have one of the same name."""
    found: dict[str, list[Export]] = {}
    for address, nas in keepers:
        for name, share in nas.shares.items():
            if share.nfs is not None and share.volume in nas.volumes:
                found.setdefault(name, []).append(Export(str(address), nas.path(share.volume), share.nfs))
    return found


def resolved(values: Mapping[str, object], known: Mapping[str, list[Export]]) -> dict[str, object]:
    """The chart's values with each class's `share` replaced by its server and path, where it is one."""
    classes = values.get("classes")
    if not isinstance(classes, dict):
        return dict(values)
    return {**values, "classes": {name: _resolved(held, known) for name, held in classes.items()}}


def _resolved(held: object, known: Mapping[str, list[Export]]) -> object:
    if not isinstance(held, dict) or not isinstance(share := held.get("share"), str) or len(known.get(share, ())) != 1:
        return held
    (export,) = known[share]
    return {key: value for key, value in held.items() if key != "share"} | {
        "server": export.server,
        "path": export.path,
    }


def check(
    values: Mapping[str, object], known: Mapping[str, list[Export]], nodes: Mapping[str, AnyAddress]
) -> Iterator[Wrong]:
    """What of the classes cannot be: a share that is none, one that others reach too, one of two classes."""
    classes = values.get("classes")
    first: dict[str, str] = {}
    for name, held in classes.items() if isinstance(classes, dict) else ():
        place = f".classes.{name}"
        if not isinstance(held, dict):
            continue
        for key in ("server", "path"):
            if key in held:
                yield f"{place}.{key}", "is made of the share", 'write "share": one of the NAS\'s shares, instead'
        share = held.get("share")
        if not isinstance(share, str):
            yield f"{place}.share", "is missing", "write one of the NAS's shares, over NFS"
            continue
        if share not in known:
            have = f"write one of {', '.join(sorted(known))}" if known else "give one of its shares nfs"
            yield f"{place}.share", f"{shown(share)} is no share of a NAS over NFS", did_you_mean(share, known, have)
            continue
        if len(known[share]) > 1:
            yield f"{place}.share", f"{shown(share)} is a share of more than one NAS", "give it another name on one"
            continue
        if share in first:
            yield f"{place}.share", f"{shown(share)} is class {first[share]}'s", "write a share for each class"
        first.setdefault(share, name)
        yield from _open(f"{place}.share", share, known[share][0].nfs, nodes)
    if len(default := defaults(values)) > 1:
        yield f".classes.{default[1]}.default", f"{default[0]} is the default too", "leave it out of one"


def defaults(values: Mapping[str, object]) -> list[str]:
    """The classes that are to be the cluster's default, of which there can be one."""
    classes = values.get("classes")
    listed = classes.items() if isinstance(classes, dict) else ()
    return [name for name, held in listed if isinstance(held, dict) and held.get("default") is True]


def misnamed(values: Mapping[str, object]) -> Iterator[Wrong]:
    """The classes whose names Kubernetes does not take."""
    classes = values.get("classes")
    for name in classes if isinstance(classes, dict) else ():
        if len(name) > 253 or not _CLASS.fullmatch(name):
            yield f".classes.{name}", "is no name of a StorageClass", "write lower-case letters, digits, - and ."


def _open(place: str, share: str, nfs: Nfs, nodes: Mapping[str, AnyAddress]) -> Iterator[Wrong]:
    have = {str(address): name for name, address in nodes.items()}
    named = {have.get(client, client) for client in nfs.clients}
    listed = ", ".join(f'"{name}"' for name in nodes)
    if strangers := sorted(named - set(nodes)):
        found = f"{share} is open to {', '.join(strangers)}, who would reach every pod's files"
        yield place, found, f'write "clients": [{listed}], the nodes alone'
    elif missing := [name for name in nodes if name not in named]:
        found = f"{share} is closed to {', '.join(missing)}, so pods there would wait for ever"
        yield place, found, f'write "clients": [{listed}], all nodes'
    if nfs.read_only:
        yield place, f"{share} is read-only", "leave read_only out of it"
    if nfs.squash != "none":
        found = f"{share} has squash {nfs.squash}, and the driver makes each pod's folder as root"
        yield place, found, 'write "squash": "none", for the nodes alone'
