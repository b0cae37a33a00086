"""What the storage command would print about machines that are put together here, and captured signatures for them."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from homelab import storage
from homelab.storage.seen import Seen
from tests import zfs_labels

DATA = Path(__file__).resolve().parent / "data" / "storage"
SIZE = 2 << 30
EMPTY = '{   "signatures": [   ]}'


def captured(kind: str, disk: str) -> str:
    """What wipefs printed about a file that the real tool had made."""
    return (DATA / "wipefs" / f"{kind}.json").read_text(encoding="utf-8").strip().replace("DISK", disk)


KINDS = tuple(sorted(path.stem for path in (DATA / "wipefs").glob("*.json")))


def signature(kind: str, disk: str, uuid: str | None = None, offset: int = 0, label: str | None = None) -> str:
    told = {"device": disk, "offset": hex(offset), "type": kind, "uuid": uuid, "label": label}
    return json.dumps({"signatures": [told]})


def md(uuid: str, name: str = "any:tank", level: int = 1, disks: int = 2, events: int = 17) -> str:
    """The captured superblock of a member, with another UUID, name, level, number of disks or of events."""
    raw = bytearray.fromhex((DATA / "md-superblock.hex").read_text(encoding="utf-8"))
    raw[16:32] = bytes.fromhex(uuid.replace("-", ""))
    raw[32:64] = name.encode().ljust(32, b"\0")
    raw[72:76] = level.to_bytes(4, "little", signed=True)
    raw[92:96] = disks.to_bytes(4, "little")
    raw[200:208] = events.to_bytes(8, "little")
    return raw.hex()


# The UUID that its array gave the captured member, as homelab-array notes it.
KEPT = "70307c8a:bc078af5:6c6ace9d:f84916b7"


def btrfs(uuid: str, label: str = "tank", disks: int = 2, devid: int = 1) -> str:
    """The captured superblock of a device, with another UUID, label, number of devices or place among them."""
    raw = bytearray.fromhex((DATA / "btrfs-superblock.hex").read_text(encoding="utf-8"))
    raw[0x20:0x30] = bytes.fromhex(uuid.replace("-", ""))
    raw[0x12B:0x22B] = label.encode().ljust(256, b"\0")
    raw[0x88:0x90] = disks.to_bytes(8, "little")
    raw[0xC9:0xD1] = devid.to_bytes(8, "little")
    raw[0xD1:0xD9] = SIZE.to_bytes(8, "little")
    return raw.hex()


@dataclass
class Look:
    """A host's disks, one call each; `text` is what the command prints about them."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def line(self, *words: object) -> Look:
        self.lines.append("\t".join(map(str, words)))
        return self

    def disk(
        self,
        name: str,
        serial: str | None = None,
        *,
        id: str | None = None,
        wipefs: str = EMPTY,
        content: str = "zero",
        parts: dict[str, str] | None = None,
        contents: dict[str, str] | None = None,
        size: int = SIZE,
        opens: bool = True,
        **row: Any,
    ) -> Look:
        """A disk. `parts` are its partitions and what wipefs prints of them, `contents` what they hold without that."""
        serial = f"S-{name}" if serial is None else serial
        children = [{"kname": part, "type": "part", "size": size // 2} for part in parts or {}]
        about = {"kname": name, "type": "disk", "size": size, "serial": serial, "rm": False, "ro": False, **row}
        self.rows.append({**about, "children": children})
        self.line("link", id or f"ata-{serial}", f"../../{name}")
        self.line("listed", id or f"ata-{serial}", name)
        self.line("disk", name, "7", "yes" if opens else "no", serial)
        for each, printed in {name: wipefs, **(parts or {})}.items():
            self.line("signatures", each, printed)
            if printed == EMPTY:
                self.line("content", each, (contents or {}).get(each, content))
        return self

    def mirror(
        self, name: str, uuid: str, *, inner: str = "", type: str = "ext4", array: str = "any:tank", **values: Any
    ) -> Look:
        """A member of an array, of a mirror if no `level` is said; `inner` is its filesystem's UUID.

        It is a disk, or lies `on` an open LUKS.
        """
        about = {key: values.pop(key) for key in ("level", "disks", "events") if key in values}
        printed = signature("linux_raid_member", name, uuid, 4096, array)
        on = values.pop("on", None)
        self.opened(*on, wipefs=printed, **values) if on else self.disk(name, wipefs=printed, **values)
        self.line("md", name, md(uuid, array, **about))
        return self.line("inner", name, "", f"TYPE={type} UUID={inner} USAGE=filesystem" if inner else "")

    def btrfs(
        self,
        name: str,
        uuid: str,
        *,
        label: str = "tank",
        devid: int = 1,
        disks: int = 2,
        data: str = "RAID1",
        metadata: str = "RAID1",
        **values: Any,
    ) -> Look:
        """A device of a btrfs that is not mounted, all of it mirrored if nothing else is said."""
        printed, on = signature("btrfs", name, uuid, 0x10040, label), values.pop("on", None)
        self.opened(*on, wipefs=printed, **values) if on else self.disk(name, wipefs=printed, **values)
        self.line("btrfs", name, btrfs(uuid, label, disks, devid))
        kinds = {"DATA": data, "METADATA": metadata, "SYSTEM": metadata}
        return self.line("chunks", name, " ".join(f"{kind}|{is_}" if is_ else kind for kind, is_ in kinds.items()))

    def zfs(self, name: str, guid: int, leaves: Sequence[int], own: int, *, begun: bool = False, **values: Any) -> Look:
        """A whole disk of a zpool, with the two partitions that ZFS makes; `begun` is one whose making was cut."""
        keys = ("level", "txg", "state", "hostid", "comment", "groups", "asize", "replacing")
        about = {key: values.pop(key) for key in keys if key in values}
        pool = values.pop("pool", "tank")
        told = zfs_labels.values(guid, leaves, own, name=pool, **(about | ({"txg": 0} if begun else {})))
        first, second = f"{name}1", f"{name}9"
        printed = EMPTY if begun else signature("zfs_member", first, str(guid), 0x21000, pool)
        table = signature("gpt", name, None, 0x200)
        parts, contents = {first: printed, second: EMPTY}, {first: "5ca1ab1e", second: "zero"}
        self.disk(name, wipefs=table, parts=parts, contents=contents, **values)
        for at in zfs_labels.places(SIZE // 2):
            self.line("label", first, at, zfs_labels.packed(zfs_labels.label(told, at)))
        return self

    def zpool(self, guid: int, name: str = "tank", health: str = "ONLINE", scan: str = "", **states: str) -> Look:
        """A zpool that is imported; `states` are those of its devices, `_101="ONLINE"` each."""
        self.line("zpool", guid, name, health)
        for device, state in states.items():
            self.line("vdev", guid, device.lstrip("_"), state)
        return self.line("scan", guid, scan) if scan else self

    def dataset(self, name: str, type: str = "filesystem", mountpoint: str = "legacy", quota: int = 0) -> Look:
        return self.line("dataset", name, type, mountpoint, quota)

    def luks(
        self, name: str, uuid: str, *, label: str = "", slots: bool = True, kept: bool = True, **values: Any
    ) -> Look:
        """A disk that carries LUKS2; `slots` whether any key opens it, `kept` whether a copy of its header is there."""
        self.disk(name, wipefs=signature("crypto_LUKS", name, uuid, label=label or None), **values)
        raw = b"LUKS\xba\xbe\0\2".ljust(24, b"\0") + label.encode().ljust(144, b"\0") + uuid.encode()
        self.line("luks", name, raw.ljust(512, b"\0").hex(), "yes" if slots else "no")
        return self.line("header", uuid, "now", "now" if kept else "then")

    def opened(
        self, disk: str, dm: str, uuid: str, *, wipefs: str = EMPTY, name: str = "", opens: bool = True, **row: Any
    ) -> Look:
        """The LUKS of a disk is open; what lies in the clear is noise, or what wipefs prints of it."""
        name = name or f"luks-{uuid}"
        self.rows.append({"kname": dm, "type": "crypt", "size": SIZE, **row})
        self.line("holder", disk, dm)
        self.line("mapped", disk, dm, name, f"CRYPT-LUKS2-{uuid.replace('-', '')}-{name}", "yes" if opens else "no")
        self.line("signatures", dm, wipefs)
        return self if wipefs != EMPTY else self.line("content", dm, "5ca1ab1e")

    def runs(self, array: str, *members: str, uuid: str = "", type: str = "ext4", **values: str) -> Look:
        """An array that runs, with a filesystem on it, or blank."""
        state = values.get("state", "clean")
        level = values.get("level", "raid1")
        self.rows.append({"kname": array, "type": level, "size": SIZE})
        action, degraded = values.get("action", "idle"), values.get("degraded", "0")
        self.line("array", array, level, state, values.get("disks", "2"), degraded, action, " ".join(members))
        for member in members:
            self.line("holder", member, array)
            self.line("state", array, member, values.get(member, "in_sync"))
        self.line("signatures", array, signature(type, array, uuid, 1080) if uuid else EMPTY)
        self.line("inner", array, "", f"TYPE={type} UUID={uuid} USAGE=filesystem" if uuid else "")
        return self if uuid else self.line("content", array, values.get("content", "zero"))

    def mounted(self, at: str, source: str, type: str = "ext4", options: str = "rw") -> Look:
        """A mount; `options` are those of its filesystem, whoever mounted it and wherever."""
        return self.line("mount", f"29 1 254:1 / {at} rw,noatime shared:1 - {type} {source} {options}")

    def mountpoint(self, pool: str, kind: str = "dir", flags: str = "-", names: str = "", sentinel: str = "") -> Look:
        return self.line("mountpoint", pool, kind, flags, b64encode(names.encode()).decode(), sentinel)

    def record(self, pool: str, **values: str) -> Look:
        for key, value in values.items():
            self.line("record", pool, f"{key}={value}")
        return self

    @property
    def text(self) -> str:
        return "\n".join([f"lsblk\t{json.dumps({'blockdevices': self.rows})}", *self.lines, "end", ""])

    @property
    def seen(self) -> Seen:
        return storage.parse(self.text)
