"""Volumes: a subvolume or directory each, whose root alone has an owner, and how much they may hold."""

from __future__ import annotations

import shlex
from collections.abc import Container, Iterator, Mapping

from homelab.model.nas import Nas, Volume
from homelab.model.problems import Problem
from homelab.storage import records
from homelab.storage.records import Record
from homelab.storage.seen import Seen, VolumeSeen
from homelab.storage.steps import Step

# Above what people hand out by themselves.
_FIRST_PROJECT = 4001


def gone(at: str, full: str) -> tuple[str, str]:
    """What is told of a volume that was made once and is not there: never an empty one is served in its place.

    It may have another name now; backups and snapshots of an empty one would in time replace those of what it held.
    """
    remedy = f"rename or restore it; to have it made anew and empty, remove the line of {full} from {records.PROJECTS}"
    return f"{at} was there and is gone", remedy


# Kinds whose volumes are made elsewhere.
_OTHERS = ("snapraid", "zfs")


def problems(
    host: str,
    nas: Nas,
    seen: Seen,
    pools: Mapping[str, Record],
    projects: Mapping[str, bool],
    new: Container[str],
) -> Iterator[Problem]:
    """Why a volume cannot be as it is listed."""
    for name, volume in nas.volumes.items():
        full = f"{volume.pool}/{name}"
        record, found = pools.get(volume.pool), seen.volumes.get(full)
        if record is None or record.kind in _OTHERS:
            continue
        place = f"{host}.volumes.{name}"
        at = nas.path(name)
        if found is None and full in seen.projects and volume.pool not in new:
            pool = seen.mountpoints.get(volume.pool)
            # Of one that is not mounted, or whose filesystem has given up, nothing can be seen.
            if pool is not None and pool.sentinel == record.sentinel:
                yield Problem(place, *gone(at, full))
        elif found is not None and found.kind != "dir":
            yield Problem(place, f"{at} is a {found.kind}, not a directory", "rename it")
        elif found is not None and record.kind == "btrfs" and not found.subvolume:
            remedy = f"rename it, run `btrfs subvolume create {at}` and move what it held"
            yield Problem(place, f"{at} is a plain directory of a btrfs, which has no snapshots and no quota", remedy)
        if volume.quota and record.kind == "mdraid" and not projects.get(volume.pool, True):
            remedy = (
                f"run `systemctl stop srv-{volume.pool}.mount; tune2fs -O quota,project -Q prjquota "
                f"/dev/disk/by-uuid/{record.filesystem_uuid}`, or leave the quota out"
            )
            yield Problem(place, f"the filesystem of {volume.pool} was made without project quotas", remedy)


def numbers(nas: Nas, seen: Seen, pools: Mapping[str, Record]) -> dict[str, int]:
    """Project ids by `pool/volume`: those that directories have, then those noted, then new ones."""
    wanted = [
        f"{v.pool}/{name}" for name, v in nas.volumes.items() if v.pool in pools and pools[v.pool].kind == "mdraid"
    ]
    held = {name: seen.volumes[name].project for name in wanted if name in seen.volumes and seen.volumes[name].project}
    taken = dict(seen.projects) | held
    result = {}
    for name in wanted:
        if not taken.get(name):
            taken[name] = max([_FIRST_PROJECT - 1, *taken.values()]) + 1
        result[name] = taken[name]
    return result


def steps(
    nas: Nas, seen: Seen, pools: Mapping[str, Record], projects: Mapping[str, bool], new: Container[str]
) -> Iterator[Step]:
    """What makes the volumes as they are listed; what is in them is never touched. `new` pools hold none yet."""
    ids = numbers(nas, seen, pools)
    limited = {v.pool for v in nas.volumes.values() if v.quota}
    for name, volume in nas.volumes.items():
        record = pools.get(volume.pool)
        if record is None or record.kind in _OTHERS:
            continue
        full = f"{volume.pool}/{name}"
        mounted = seen.mounted(nas.mountpoint(volume.pool))
        found = seen.volumes.get(full) if mounted else None
        number = ids.get(full, 0) if projects.get(volume.pool, True) else 0
        known = full in seen.projects and volume.pool not in new
        todo = list(_differences(volume, found, record, number, full in seen.projects))
        if known and found is None:
            todo = ["see that it is there"]
        elif not mounted and volume.pool not in new:
            # A pool that is taken over, or was down: its command looks.
            todo = ["make it, unless it is there"]
        at = nas.path(name)
        if not todo:
            yield Step("noop", f"volume {name}", f"{at} is as it should be")
            continue
        command = _command(at, full, volume, record, found, number, enable=volume.pool in limited, known=known)
        yield Step(
            "config" if found or known else "additive",
            f"volume {name}",
            f"{at}: {', '.join(todo)}",
            command,
            timeout=3600,
        )


def _differences(volume: Volume, found: VolumeSeen | None, record: Record, number: int, noted: bool) -> Iterator[str]:
    if found is None:
        yield "make it"
        return
    if found.owner != volume.owner or (volume.group and found.group != volume.group):
        yield f"give it to {volume.owner}" + (f":{volume.group}" if volume.group else "")
    if found.mode != volume.mode:
        yield f"set its mode to {volume.mode}"
    if record.kind == "mdraid" and number and found.project != number:
        yield f"count it as project {number}"
    if not noted:
        yield "remember it"
    limit = volume.quota // 1024 * 1024 if volume.quota and record.kind == "mdraid" else volume.quota
    if found.quota != limit:
        yield f"limit it to {volume.quota >> 20} MiB" if volume.quota else "lift its limit"


def _command(
    at: str,
    full: str,
    volume: Volume,
    record: Record,
    found: VolumeSeen | None,
    number: int,
    *,
    enable: bool,
    known: bool,
) -> str:
    path, mount = shlex.quote(at), shlex.quote(f"/srv/{record.pool}")
    new = shlex.quote(f"/srv/{full.rpartition('/')[0]}/.{full.rpartition('/')[2]}.homelab-new")
    owner = shlex.quote(f"{volume.owner}:{volume.group or ''}")
    lines = [
        "set -eu",
        "umask 022",
        'export PATH="$PATH:/usr/sbin:/sbin"',
        f'[ "$(cat {mount}/{records.SENTINEL} 2>/dev/null)" = {shlex.quote(record.sentinel)} ] || '
        f"{{ echo 'homelab: {record.pool} is not mounted' >&2; exit 1; }}",
    ]
    if record.kind == "btrfs":
        make = f"btrfs subvolume create {new} >/dev/null"
        drop = f"[ ! -e {new} ] || btrfs subvolume delete {new} >/dev/null"
    else:
        make, drop = f"mkdir -m 0700 {new}", f"[ ! -e {new} ] || rmdir {new}"
    # Whole under another name first: nobody finds it half made, and a cut run leaves nothing that counts.
    made = [drop, make, f"chown {owner} {new}; chmod {volume.mode} {new}; mv -nT {new} {path}"]
    # It is on its disks before it is noted: after a power cut what is noted and not there is taken for lost.
    made.append(f"sync -f {mount}")
    if known:
        said = f"homelab: {'; '.join(gone(at, full))}"
        made = [f"echo {shlex.quote(said)} >&2; exit 1"]
    lines += [
        f"if [ ! -e {path} ]; then",
        *made,
        "fi",
        f"if [ -L {path} ] || [ ! -d {path} ]; then echo 'homelab: {at} is no directory; rename it' >&2; exit 1; fi",
        f"chown {owner} {path}; chmod {volume.mode} {path}",
    ]
    lines.append(records.noted(number, full))
    if record.kind == "mdraid" and number:
        if found is None or found.project != number:
            # Quotas count a file by its own mark, so that what was there before needs it too. +P, by which what is new
            # inherits it, is for directories: ext4 refuses it of a file, and chattr then does not come to the mark. The
            # root's is last: by that the next run sees that no more is to be marked.
            for type_, mark in (("d", f"+P -p {number}"), ("f", f"-p {number}")):
                lines.append(f"find {path} -mindepth 1 -type {type_} -exec chattr -f {mark} {{}} + || :")
            lines.append(f"chattr +P -p {number} {path}")
        lines.append(f"setquota -P {number} 0 {(volume.quota or 0) // 1024} 0 0 {mount}")
    if record.kind == "btrfs" and enable:
        lines += [
            f"btrfs qgroup show {mount} >/dev/null 2>&1 || btrfs quota enable {mount}",
            f"btrfs qgroup limit {volume.quota or 'none'} {path}",
        ]
    elif record.kind == "btrfs" and found is not None and found.quota:
        lines.append(f"btrfs qgroup limit none {path}")
    return "\n".join(lines) + "\n"
