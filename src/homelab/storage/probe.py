"""What a host answered about its disks, as typed values. A field is split at tabs, which no value has in it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from homelab.storage import records, superblocks, zfs_label
from homelab.storage.seen import (
    Array,
    Dataset,
    Device,
    DiskSeen,
    Inner,
    Mapped,
    Mount,
    Mountpoint,
    Seen,
    Signature,
    VolumeSeen,
    ZfsHost,
    Zpool,
)

# Under which name the command's answer is in a host's probe.
NAME = "storage"


class Unclear(ValueError):
    """The answer is cut short or garbled, so nothing may be decided from it."""


def parse(text: str) -> Seen:
    """The command's answer as values; raise Unclear when it was cut short or is garbled."""
    lines = text.split("\n")
    if "end" not in lines:
        raise Unclear("the answer about its disks was cut short")
    said: dict[str, list[list[str]]] = {}
    for line in lines:
        key, _, rest = line.partition("\t")
        said.setdefault(key, []).append(rest.split("\t"))
    try:
        return _Answer(said).seen()
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise Unclear(f"the answer about its disks is garbled: {type(error).__name__}: {error}") from error


def _no_spaces(text: str) -> str:
    # mountinfo writes blanks, tabs and backslashes in octal.
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _unpacked(packed: str) -> bytes:
    try:
        return gzip.decompress(base64.b64decode(packed))
    except (EOFError, OSError, zlib.error):
        return b""


class _Answer:
    """The lines of an answer, put together."""

    def __init__(self, said: dict[str, list[list[str]]]) -> None:
        self.said = said
        self.rows = dict(self._flat(json.loads(self.one("lsblk", "{}") or "{}").get("blockdevices", ())))
        self.printed = {row[0]: row[1] for row in said.get("signatures", ()) if len(row) > 1}
        self.contents = {row[0]: row[1] for row in said.get("content", ())}
        self.holders = self._several("holder")
        for uuid, name in said.get("opened", ()):
            self.holders.setdefault(name, []).append(f"the mounted btrfs {uuid}")
        self.chunks = {row[0]: tuple(row[1].split()) for row in said.get("chunks", ())}
        self.swaps = {row[0].removeprefix("/dev/") for row in said.get("swap", ())}
        self.raw = {
            kind: {row[0]: bytes.fromhex(row[1]) for row in said.get(kind, ()) if len(row) > 1}
            for kind in ("md", "btrfs", "luks")
        }
        self.slotless = {row[0] for row in said.get("luks", ()) if row[2:] == ["no"]}
        self.alive = {row[0]: f"/dev/{row[1]}" for row in said.get("alive", ()) if len(row) > 1}
        self.labels: dict[str, list[tuple[int, bytes]]] = {}
        for name, offset, packed in said.get("label", ()):
            self.labels.setdefault(name, []).append((int(offset), _unpacked(packed)))
        # The kernel numbers mappings as they come; their names stay.
        self.mapper = {row[1]: f"mapper/{row[2].strip()}" for row in said.get("mapped", ())}

    def one(self, key: str, otherwise: str = "") -> str:
        found = self.said.get(key)
        return found[-1][0] if found else otherwise

    def _several(self, key: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, value in self.said.get(key, ()):
            found.setdefault(name, []).append(value)
        return found

    def _flat(self, rows: Iterable[dict[str, Any]]) -> Iterable[tuple[str, dict[str, Any]]]:
        for row in rows:
            yield row["kname"], row
            yield from self._flat(row.get("children", ()))

    def device(self, name: str) -> dict[str, Any]:
        """What a Device is made of."""
        row = self.rows.get(name, {})
        printed = self.printed.get(name, "")
        return {
            "name": self.mapper.get(name, name),
            "size": int(row.get("size") or 0),
            "signatures": signatures(printed),
            "content": self.contents.get(name, ""),
            "print": fingerprint(printed),
            "holders": tuple(self.holders.get(name, ())),
            "mounts": tuple(each for each in row.get("mountpoints") or () if each and each != "[SWAP]"),
            "swap": name in self.swaps or "[SWAP]" in (row.get("mountpoints") or ()),
            "md": superblocks.md(self.raw["md"].get(name, b"")),
            "inner": self.inner(name),
            "chunks": self.chunks.get(name, ()),
            "btrfs": superblocks.btrfs(self.raw["btrfs"].get(name, b"")),
            "luks": superblocks.luks(self.raw["luks"].get(name, b""), slots=name not in self.slotless),
            "zfs": zfs_label.member(self.labels.get(name, ())),
            "begun": zfs_label.begun(self.labels.get(name, ())),
        }

    def inner(self, name: str) -> Inner | None:
        row = next((row for row in self.said.get("inner", ()) if row[0] == name), None)
        if row is None:
            return None
        said = dict(word.partition("=")[::2] for word in row[2].split() if "=" in word)
        raw = bytes.fromhex(row[1])
        projects = superblocks.counts_projects(raw) if said.get("TYPE") == "ext4" else said.get("TYPE") == "xfs"
        return Inner(said.get("TYPE", ""), said.get("UUID", ""), projects)

    def disk(self, name: str, sequence: str, opens: str, serial: str) -> DiskSeen:
        row = self.rows.get(name, {})
        parts = [child["kname"] for child in row.get("children", ()) if child.get("type") == "part"]
        # A partition that udev has not told lsblk of was looked at all the same.
        parts += [each for each in self.printed if re.fullmatch(rf"{re.escape(name)}p?\d+", each) and each not in parts]
        return DiskSeen(
            **self.device(name),
            serial=serial.strip(),
            model=(row.get("model") or "").strip(),
            transport=row.get("tran") or "",
            links=tuple(sorted(link for link, to in self.said.get("link", ()) if to.split("/")[-1] == name)),
            removable=bool(row.get("rm")),
            read_only=bool(row.get("ro")),
            sequence=sequence,
            exclusive=opens == "yes",
            partitions=tuple(Device(**self.device(part)) for part in parts),
            opened=self.opened(name),
        )

    def opened(self, disk: str) -> Mapped | None:
        found = [row for row in self.said.get("mapped", ()) if row[0] == disk]
        if len(found) != 1:
            return None
        _, name, _, said, opens = found[0]
        # CRYPT-LUKS2-<its UUID without hyphens>-<its name>
        raw = said.split("-")[2]
        return Mapped(**self.device(name), uuid=str(UUID(raw)), exclusive=opens == "yes")

    def array(self, name: str, level: str, state: str, disks: str, degraded: str, action: str, members: str) -> Array:
        return Array(
            Device(**self.device(name)),
            level=level,
            state=state,
            disks=int(disks.split()[0] or 0) if disks.split() else 0,
            members=tuple(sorted(self.mapper.get(each, each) for each in members.split())),
            degraded=int(degraded or 0),
            action=action,
            states={
                self.mapper.get(member, member): frozenset(state.split(","))
                for md, member, state in self.said.get("state", ())
                if md == name
            },
        )

    def mount(self, line: str) -> Mount:
        # 29 1 254:1 / /srv/tank rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
        before, _, after = line.partition(" - ")
        fields, (filesystem, source, *options) = before.split(), after.split()
        target = _no_spaces(fields[4])
        return Mount(
            target=target,
            source=self.source(self.alive.get(target) or _no_spaces(source)),
            filesystem=filesystem,
            options=frozenset(",".join([fields[5], *options]).split(",")),
            root=_no_spaces(fields[3]),
        )

    def source(self, path: str) -> str:
        name = self.mapper.get(path.removeprefix("/dev/"))
        return path if name is None else f"/dev/{name}"

    def mountpoint(self, pool: str, kind: str, flags: str, names: str, sentinel: str) -> Mountpoint:
        listed = base64.b64decode(names).decode(errors="replace").split("\n") if names else []
        profiles: dict[str, list[str]] = {}
        for which, block, profile in self.said.get("profile", ()):
            if which == pool:
                profiles.setdefault(block, []).append(profile)
        usage = next((row for row in self.said.get("usage", ()) if row[0] == pool), ("", "0", "0"))
        return Mountpoint(
            kind="" if kind == "none" else kind,
            immutable="i" in flags,
            empty=not any(listed),
            sentinel=sentinel.strip(),
            profiles={block: tuple(found) for block, found in profiles.items()},
            missing=sum(row[0] == pool for row in self.said.get("missing", ())),
            dropped=sum(row[0] == pool for row in self.said.get("dropped", ())),
            names=tuple(sorted(each for each in listed if each)),
            total=int(usage[1]),
            used=int(usage[2]),
        )

    def volume(self, name: str, stat: str, filesystem: str = "", number: str = "") -> VolumeSeen:
        if stat == "link":
            return VolumeSeen("link")
        kind, owner, group, mode, inode = stat.split("|")
        btrfs = filesystem == "btrfs"
        project = int(number) if number.isdecimal() else 0
        return VolumeSeen(
            kind="dir" if kind == "directory" else kind,
            owner=owner,
            group=group,
            mode=mode.zfill(4),
            subvolume=btrfs and inode == "256",
            project=project,
            quota=self.limit(name.partition("/")[0], project) if project else None,
        )

    def zpool(self, guid: str, name: str, health: str) -> Zpool:
        scans = [row[1] for row in self.said.get("scan", ()) if row[0] == guid]
        return Zpool(
            guid,
            name,
            health,
            states={device: state for pool, device, state in self.said.get("vdev", ()) if pool == guid},
            busy=any("resilver in progress" in scan for scan in scans),
        )

    def zfs(self) -> ZfsHost:
        said = dict((row[0], row[1]) for row in self.said.get("zfs", ()))
        yes = {key: said.get(key) == "yes" for key in ("contrib", "lists", "headers")}
        return ZfsHost(**yes, hostid=int(said.get("hostid") or "0", 16))

    def limit(self, pool: str, project: int) -> int | None:
        for which, number, limit in self.said.get("limit", ()):
            if which == pool and number == str(project):
                # btrfs writes "none" for no limit.
                return int(limit) or None if limit.isdecimal() else None
        return None

    def seen(self) -> Seen:
        records_: dict[str, dict[str, str]] = {}
        for name, line in self.said.get("record", ()):
            key, _, value = line.partition("=")
            records_.setdefault(name, {})[key] = value
        projects = {}
        for (line,) in self.said.get("project", ()):
            number, _, name = line.partition(" ")
            if not number.isdecimal():
                raise ValueError(f"{records.PROJECTS} has the line {line!r}, which begins with no number")
            projects[name] = int(number)
        used = {}
        for (line,) in self.said.get("consent", ()):
            word, _, state = line.partition(" ")
            used[word] = state
        return Seen(
            disks={row[0]: self.disk(*row) for row in self.said.get("disk", ())},
            listed={row[0]: tuple(row[1].split()) for row in self.said.get("listed", ()) if row[0]},
            arrays=tuple(self.array(*row) for row in self.said.get("array", ())),
            mounts=tuple(self.mount(row[0]) for row in self.said.get("mount", ())),
            mountpoints={row[0]: self.mountpoint(*row) for row in self.said.get("mountpoint", ()) if row[0]},
            volumes={row[0]: self.volume(*row) for row in self.said.get("volume", ()) if row[0]},
            records=records_,
            projects=projects,
            consents=used,
            waits={path: sum_ for sum_, path in self.said.get("wait", ())},
            serials={
                name: row["serial"].strip()
                for name, row in self.rows.items()
                if row.get("type") == "disk" and (row.get("serial") or "").strip()
            },
            tools=frozenset(row[0] for row in self.said.get("tool", ())),
            kept={uuid: frozenset(found) for uuid, found in self._several("kept").items()},
            headers={row[0]: (row[1], row[2]) for row in self.said.get("header", ())},
            zpools={row[0]: self.zpool(*row) for row in self.said.get("zpool", ())},
            datasets={
                name: Dataset(type_, mountpoint, int(quota) or None if quota.isdecimal() else None)
                for name, type_, mountpoint, quota in self.said.get("dataset", ())
            },
            zfs=self.zfs(),
        )


def signatures(printed: str) -> tuple[Signature, ...] | None:
    """What `wipefs --no-act --json` printed, in order; None when it printed nothing, as it does on an error."""
    if not printed:
        return None
    return tuple(
        sorted(
            Signature(int(each["offset"], 16), each["type"], each.get("uuid") or "", each.get("label") or "")
            for each in json.loads(printed)["signatures"]
        )
    )


def fingerprint(printed: str) -> str:
    """What the guard compares: the hash of what `signed` prints."""
    return hashlib.sha256(printed.encode()).hexdigest()
