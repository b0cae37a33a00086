"""Labels of ZFS as it writes them, of any pool: what they tell in XDR, and the checksum that proves them."""

from __future__ import annotations

import hashlib
import struct
from base64 import b64encode
from collections.abc import Mapping, Sequence
from gzip import compress
from typing import Any

from homelab.storage.zfs_label import LENGTH, START, TOLD

Values = Mapping[str, Any]


def label(values: Values, at: int) -> bytes:
    """The part of a label at this byte of its device that tells of its pool."""
    told = (b"\1\1\0\0" + _list(values)).ljust(TOLD - 40, b"\0")
    magic = struct.pack("<Q", 0x210DA7AB10C7A11)
    proof = hashlib.sha256(told + magic + struct.pack("<4Q", at + START, 0, 0, 0)).digest()
    return told + magic + struct.pack("<4Q", *struct.unpack(">4Q", proof))


def packed(raw: bytes) -> str:
    """As the probe sends it."""
    return b64encode(compress(raw)).decode()


def places(size: int) -> tuple[int, ...]:
    """Where on a device of this size its four labels are."""
    end = size // LENGTH * LENGTH
    return 0, LENGTH, end - 2 * LENGTH, end - LENGTH


def values(
    guid: int,
    leaves: Sequence[int],
    own: int,
    *,
    name: str = "tank",
    level: str = "mirror",
    txg: int = 100,
    state: int = 0,
    hostid: int = 0x1A2B3C4D,
    comment: str = "",
    groups: int = 1,
    asize: int = 3 << 29,
    replacing: int = 0,
) -> dict[str, Any]:
    """What a label tells; `replacing` is a leaf that the last one of `leaves` is being replaced by."""
    children: list[dict[str, Any]] = [
        {"type": "disk", "id": number, "guid": leaf, "path": f"/dev/disk/by-id/ata-S-{leaf}-part1"}
        for number, leaf in enumerate(leaves)
    ]
    if replacing:
        new = {"type": "disk", "id": 1, "guid": replacing, "path": f"/dev/disk/by-id/ata-S-{replacing}-part1"}
        old = {**children[-1], "id": 0}
        children[-1] = {"type": "replacing", "id": children[-1]["id"], "guid": 5, "children": [old, new]}
    parity = {"nparity": int(level[-1])} if level.startswith("raidz") else {}
    tree = {
        "type": level.rstrip("123") if parity else level,
        "id": 0,
        "guid": 4,
        **parity,
        "metaslab_array": 256,
        "metaslab_shift": 29,
        "ashift": 12,
        "asize": asize,
        "children": children,
    }
    return {
        "version": 5000,
        "name": name,
        "state": state,
        "txg": txg,
        "pool_guid": guid,
        "errata": 0,
        **({"comment": comment} if comment else {}),
        "hostid": hostid,
        "hostname": "nas",
        "top_guid": 4,
        "guid": own,
        "vdev_children": groups,
        "vdev_tree": tree,
        "features_for_read": {"com.delphix:hole_birth": True, "com.delphix:embedded_data": True},
    }


def _list(pairs: Values) -> bytes:
    return struct.pack(">2I", 0, 1) + b"".join(_pair(key, value) for key, value in pairs.items()) + bytes(8)


def _pair(key: str, value: Any) -> bytes:
    if value is True:
        type_, count, body = 1, 0, b""
    elif isinstance(value, int):
        type_, count, body = 8, 1, struct.pack(">Q", value)
    elif isinstance(value, str):
        type_, count, body = 9, 1, _string(value)
    elif isinstance(value, Mapping):
        type_, count, body = 19, 1, _list(value)
    else:
        type_, count, body = 20, len(value), b"".join(_list(each) for each in value)
    head = _string(key) + struct.pack(">2I", type_, count)
    size = 8 + len(head) + len(body)
    return struct.pack(">2I", size, size) + head + body


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">I", len(raw)) + raw.ljust(-(-len(raw) // 4) * 4, b"\0")
