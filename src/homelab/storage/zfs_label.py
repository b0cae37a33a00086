"""The labels of ZFS, as bytes: a host without its tools tells as much as any.

Each device of a zpool carries four, two in front and two at its end, so that one which was being written when the power
went leaves another one whole: "ZFS On-Disk Specification", chapter 1; vdev_impl.h and nvpair.c of OpenZFS.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from typing import Any

from homelab.storage.seen import ZfsMember

# Of each label: how long it is, where in it the part begins that tells of the pool, and how long that is.
LENGTH, START, TOLD = 256 << 10, 16 << 10, 112 << 10
_MAGIC = 0x210DA7AB10C7A11
# What lies around the data of a device: two labels and the room for a boot loader in front, two labels at the end. And
# around the device what zpool leaves of a disk to the table of its partitions and to the second one of these.
_AROUND, _PARTED = (4 << 20) + 2 * LENGTH, 10 << 20
_UINT64, _STRING, _NVLIST, _NVLISTS = 8, 9, 19, 20
_STATES = {0: "active", 1: "exported", 2: "destroyed"}


def member(raw: Iterable[tuple[int, bytes]]) -> ZfsMember | None:
    """A device's newest whole label of those at these offsets; None when it has none of a pool.

    One that was written before its pool was (of the transaction 0) is none: nothing was ever in that pool.
    """
    told = [values for offset, part in raw if (values := _values(part, offset)) is not None]
    told = [values for values in told if values.get("txg") and values.get("state") in _STATES]
    return _member(max(told, key=lambda values: int(values["txg"]))) if told else None


def begun(raw: Iterable[tuple[int, bytes]]) -> str:
    """The name of the pool whose making was cut before anything could be in it; "" when there is none."""
    told = [values for offset, part in raw if (values := _values(part, offset)) is not None]
    unborn = bool(told) and all(values.get("txg") == 0 and values.get("state") == 0 for values in told)
    return str(told[0].get("name", "")) if unborn else ""


def _member(values: Mapping[str, Any]) -> ZfsMember:
    tree = values["vdev_tree"]
    children = tree.get("children", [tree])
    parity = tree.get("nparity", 0)
    kind = str(tree["type"])
    return ZfsMember(
        uuid=str(values["pool_guid"]),
        label=str(values["name"]),
        level=f"{kind}{parity}" if kind == "raidz" else kind,
        devices=len(children),
        device=str(values["guid"]),
        leaves=tuple(_leaves(tree)),
        txg=int(values["txg"]),
        exported=_STATES[values["state"]] == "exported",
        destroyed=_STATES[values["state"]] == "destroyed",
        hostid=int(values.get("hostid", 0)),
        hostname=str(values.get("hostname", "")),
        comment=str(values.get("comment", "")),
        size=_size(tree, len(children)),
        alone=values.get("vdev_children", 1) == 1,
    )


def _leaves(tree: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if "children" not in tree:
        yield str(tree["guid"]), str(tree.get("path", ""))
    for child in tree.get("children", ()):
        yield from _leaves(child)


def _size(tree: Mapping[str, Any], children: int) -> int:
    """How many bytes a disk needs, as vdev_get_min_asize() has it: all that the pool's metaslabs lie on."""
    shift: int = tree.get("metaslab_shift", 0)
    used = int(tree.get("asize", 0)) >> shift << shift
    if tree["type"] == "raidz":
        used = -(-used // children)
    return used + _AROUND + _PARTED


def _values(part: bytes, offset: int) -> dict[str, Any] | None:
    """What a label tells; None when it is none, or was not written to its end. `offset` is where on a device it is."""
    if len(part) != TOLD:
        return None
    for order in "<>":
        magic, *said = struct.unpack_from(f"{order}5Q", part, TOLD - 40)
        if magic != _MAGIC:
            continue
        proof = struct.pack(f"{order}5Q", magic, offset + START, 0, 0, 0)
        if list(struct.unpack(">4Q", hashlib.sha256(part[:-40] + proof).digest())) != said:
            return None
        # Written by XDR, whatever the machine; its two flags are those of nvlist_pack().
        return _pairs(part, 12)[0] if part[0] == 1 else None
    return None


def _pairs(raw: bytes, at: int) -> tuple[dict[str, Any], int]:
    """The pairs of a list that begin there, and where they end."""
    found: dict[str, Any] = {}
    while (size := struct.unpack_from(">I", raw, at)[0]) != 0:
        length = struct.unpack_from(">I", raw, at + 8)[0]
        name = raw[at + 12 : at + 12 + length].decode()
        value = at + 12 + -(-length // 4) * 4
        type_, count = struct.unpack_from(">2I", raw, value)
        value += 8
        if type_ == _UINT64:
            found[name] = struct.unpack_from(">Q", raw, value)[0]
        elif type_ == _STRING:
            length = struct.unpack_from(">I", raw, value)[0]
            found[name] = raw[value + 4 : value + 4 + length].decode(errors="replace")
        elif type_ == _NVLIST:
            found[name], _ = _pairs(raw, value + 8)
        elif type_ == _NVLISTS:
            found[name] = []
            for _ in range(count):
                each, value = _pairs(raw, value + 8)
                found[name].append(each)
        at += size
    return found, at + 8
