"""What active probes of a cluster came to: records only. `probes.py` makes them, `checks/deep.py` judges them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Way(StrEnum):
    """What was asked: a pod at its own address, a pod through a Service of its own, a pod of the cluster's DNS at its
    own address, the cluster's DNS through its Service."""

    POD = "pod"
    SERVICE = "service"
    DNS_POD = "dns-pod"
    DNS_SERVICE = "dns"


@dataclass(frozen=True)
class Asked:
    """What a pod on `node` asked, several times if need be, and whether the right answer came.

    `of` is the node of the pod that was asked, of DNS the address that was. `said` is what the tool said of the last
    try, "" when nothing came.
    """

    node: str
    way: Way
    of: str
    ok: bool
    said: str = ""


class Step(StrEnum):
    """How far a volume came: it is made, mounted, written and fsynced, read by another pod."""

    CLAIM = "claim"
    MOUNT = "mount"
    WRITE = "write"
    READ = "read"


@dataclass(frozen=True)
class Stored:
    """One step of a volume of a StorageClass, on `node`; a `shared` volume is read on other nodes than its writer's."""

    class_name: str
    shared: bool
    node: str
    step: Step
    ok: bool
    said: str = ""


@dataclass(frozen=True)
class Written:
    """What an API server wrote to its datastore meanwhile: `count` times, and of these by a number of seconds how many
    took no longer."""

    count: int
    within: Mapping[float, int]


@dataclass(frozen=True)
class Probed:
    """All that was found out. `nodes` are those on which probes ran to their end."""

    nodes: tuple[str, ...] = ()
    asked: tuple[Asked, ...] = ()
    stored: tuple[Stored, ...] = ()
    written: Written | None = None
