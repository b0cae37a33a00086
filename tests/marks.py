"""Whatever can be seen of a disk beside its being blank: a mark each, put on a look as the probe would tell of it.

Each part of a look has one (tests/unit/storage/test_marks.py), so that no part goes by unseen: a plan that writes to a
disk with any mark, where that was not let go of, is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests import looks, zfs_labels
from tests.looks import Look

# What another pool of the host is known by, and its name.
OTHER, FOREIGN = "99999999-2222-4333-8444-555555000000", "elsewhere"
_GUID = 5555555555555555555


@dataclass(frozen=True)
class Mark:
    """`put` gives it to a disk, or to what lies in the clear there. Consent helps with what is `lost` by clearing."""

    name: str
    put: Callable[[Look, str], None]
    lost: bool = False


def _row(look: Look, name: str) -> dict[str, Any]:
    rows = [each for row in look.rows for each in (row, *row.get("children", ()))]
    return next(row for row in rows if row["kname"] == name)


def _told(look: Look, key: str, name: str) -> list[str]:
    """The lines of this kind about this device, which are taken out."""
    found = [line for line in look.lines if line.split("\t")[:2] == [key, name]]
    look.lines = [line for line in look.lines if line not in found]
    return found


def _own(name: str, number: int = 0) -> str:
    """A UUID that no other disk has."""
    return f"{sum(name.encode()):08x}-4444-4333-8444-{number:012x}"


def _signed(look: Look, name: str, type_: str, offset: int, uuid: str | None) -> None:
    """One signature more on a device."""
    told = _told(look, "signatures", name)
    each = json.loads(told[-1].split("\t", 2)[2] or looks.EMPTY)["signatures"] if told else []
    each.append({"device": name, "offset": hex(offset), "type": type_, "uuid": uuid, "label": None})
    look.line("signatures", name, json.dumps({"signatures": each}))
    _told(look, "content", name)


def _content(look: Look, name: str, holds: str) -> None:
    """What was sampled: of a device without signatures, and there alone it is looked at."""
    if _told(look, "content", name):
        look.line("content", name, holds)


def _part(look: Look, name: str, printed: str = looks.EMPTY, **row: Any) -> None:
    parts = _row(look, name).setdefault("children", [])
    # Beside those that zpool makes, 1 and 9.
    part = f"{name}{len(parts) + 2}"
    parts.append({"kname": part, "type": "part", "size": looks.SIZE // 4, **row})
    look.line("signatures", part, printed.replace("PART", part))
    if printed == looks.EMPTY:
        look.line("content", part, "zero")


def _anew(look: Look, name: str, make: Callable[[Look, str], object]) -> None:
    """The same disk with all else on it, or the same mapping on its disk."""
    row, made = _row(look, name), Look()
    parts = [child["kname"] for child in row.get("children", ())]
    make(made, name)
    (new,) = [each for each in made.rows if each["kname"] == name]
    row["children"] = new.get("children", [])
    look.rows += [each for each in made.rows if each is not new]
    about = ("signatures", "content", "md", "btrfs", "luks", "inner", "chunks", "label")
    look.lines = [
        line for line in look.lines if not (line.split("\t")[0] in about and line.split("\t")[1] in (name, *parts))
    ]
    look.lines += [line for line in made.lines if line.split("\t")[0] in (*about, "holder", "mapped", "header")]


def _md(look: Look, name: str, uuid: str = "", **values: Any) -> None:
    _anew(look, name, lambda made, disk: made.mirror(disk, uuid or _own(name), array="any:old", **values))


def _btrfs(look: Look, name: str, uuid: str = "") -> None:
    _anew(look, name, lambda made, disk: made.btrfs(disk, uuid or _own(name), label="old"))


def _luks(look: Look, name: str, uuid: str = "", **values: Any) -> None:
    _anew(look, name, lambda made, disk: made.luks(disk, uuid or _own(name), **values))


def _open(look: Look, name: str) -> None:
    uuid = _own(name)
    _anew(look, name, lambda made, disk: made.luks(disk, uuid).opened(disk, f"dm-9{name[-1]}", uuid))


def _zfs(look: Look, name: str, guid: int = 0, **values: Any) -> None:
    guid, label = guid or _GUID + ord(name[-1]), {"pool": "old", **values}
    _anew(look, name, lambda made, disk: made.zfs(disk, guid, (701, 702), 701, **label))


def _labels(look: Look, name: str) -> None:
    """A zpool was begun on the device itself, as on one that zpool does not part; it has no signature yet."""
    told = zfs_labels.values(_GUID + ord(name[-1]), (701, 702), 701, name="old", txg=0)
    if not _told(look, "content", name):
        return  # Of a device with a signature nobody asks.
    look.line("content", name, "1abe15")
    for at in zfs_labels.places(looks.SIZE):
        look.line("label", name, at, zfs_labels.packed(zfs_labels.label(told, at)))


def _twin(look: Look, name: str) -> None:
    look.rows.append({"kname": "sdz", "type": "disk", "size": looks.SIZE, "serial": _row(look, name)["serial"]})


def _two(look: Look, name: str) -> None:
    """Another disk has the same id."""
    look.disk("sdy")
    look.line("listed", f"ata-S-{name}", f"{name} sdy")


def _no_serial(look: Look, name: str) -> None:
    _row(look, name)["serial"] = ""
    (told,) = _told(look, "disk", name)
    look.lines.append(told.rpartition("\t")[0] + "\t")


def _shut(look: Look, name: str) -> None:
    (told,) = _told(look, "disk", name)
    look.lines.append(told.replace("\tyes\t", "\tno\t"))


def _unread(look: Look, name: str) -> None:
    for key in ("signatures", "content"):
        _told(look, key, name)
    look.line("signatures", name, "")


def _of(kind: str, put: Callable[[Look, str], None]) -> Mark:
    """A disk of a pool that the host knows and that is listed for none of its disks, whatever it is."""

    def noted(look: Look, name: str) -> None:
        about = {"filesystem_uuid": OTHER, "kind": kind, "level": "raid1", "filesystem": "ext4", "state": "made"}
        uuid = str(_GUID) if kind == "zfs" else OTHER
        look.record(FOREIGN, **about, uuid=uuid, **{"luks.d1": _own("luks")})
        put(look, name)

    return Mark(f"of another pool: {kind}", noted)


def _set(**values: Any) -> Callable[[Look, str], None]:
    return lambda look, name: _row(look, name).update(values)


EXT4 = looks.captured("ext4", "PART")
# What is lost with the disk, and lets go of by consent.
HELD = (
    Mark("signature", lambda look, name: _signed(look, name, "ext4", 0x438, _own(name)), lost=True),
    Mark("backup of a GPT", lambda look, name: _signed(look, name, "gpt", looks.SIZE - 512, None), lost=True),
    Mark("data", lambda look, name: _content(look, name, "5ca1ab1e"), lost=True),
    Mark("partition", _part, lost=True),
    Mark("filesystem in a partition", lambda look, name: _part(look, name, EXT4), lost=True),
    Mark("array", _md, lost=True),
    Mark("array with a filesystem", lambda look, name: _md(look, name, inner=_own(name, 2)), lost=True),
    Mark("btrfs", _btrfs, lost=True),
    Mark("LUKS", _luks, lost=True),
    Mark("LUKS that nothing opens", lambda look, name: _luks(look, name, slots=False), lost=True),
    Mark("zpool", _zfs, lost=True),
    Mark("zpool whose making was cut", lambda look, name: _zfs(look, name, begun=True), lost=True),
    Mark("zpool that was begun on the whole", _labels, lost=True),
)
# What uses a device.
USED = (
    Mark("holder", lambda look, name: void(look.line("holder", name, "dm-77"))),
    Mark("mount", _set(mountpoints=["/mnt"])),
    Mark("mount of a partition", lambda look, name: _part(look, name, EXT4, mountpoints=["/mnt"])),
    Mark("swap", lambda look, name: void(look.line("swap", f"/dev/{name}"))),
    Mark("swap by lsblk", _set(mountpoints=["[SWAP]"])),
    Mark("btrfs that is mounted", lambda look, name: void(look.line("opened", OTHER, name))),
)
# What else keeps a disk from being written to, whatever it holds.
UNFIT = (
    Mark("in use", _shut),
    Mark("open LUKS", _open),
    Mark("unread", _unread),
    Mark("unreadable", lambda look, name: _content(look, name, "unreadable")),
    Mark("read-only", _set(ro=True)),
    Mark("USB", _set(tran="usb")),
    Mark("removable", _set(rm=True)),
    Mark("small", _set(size=100 << 20)),
    Mark("no serial", _no_serial),
    Mark("twin", _twin),
    Mark("id of two", _two),
)
# What is of another pool of the host.
FOREIGNERS = (
    _of("mdraid", lambda look, name: _md(look, name, OTHER)),
    _of("btrfs", lambda look, name: _btrfs(look, name, OTHER)),
    _of("luks", lambda look, name: _luks(look, name, _own("luks"))),
    _of("zfs", lambda look, name: _zfs(look, name, _GUID)),
    _of("snapraid", lambda look, name: _signed(look, name, "ext4", 0x438, f"{OTHER[:-4]}da01")),
)
MARKS = (*HELD, *USED, *UNFIT, *FOREIGNERS)


def void(_: object) -> None:
    """Nothing, of a call that answers."""


def put(mark: Mark, look: Look, name: str) -> bool:
    """Give a device this mark; whether it tells of the device what it did not before."""
    before = json.dumps(look.rows), sorted(look.lines)
    mark.put(look, name)
    return (json.dumps(look.rows), sorted(look.lines)) != before
