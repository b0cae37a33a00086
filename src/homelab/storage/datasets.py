"""Volumes of a pool of ZFS: a dataset each, mounted by a unit of its own where the other kinds have a directory."""

from __future__ import annotations

import shlex
from collections.abc import Container, Iterator, Mapping

from homelab.model.nas import Nas, Volume
from homelab.model.problems import Problem
from homelab.probe import HostProbe
from homelab.storage import mounts, records, volumes, zfs
from homelab.storage.records import Record
from homelab.storage.seen import Seen
from homelab.storage.steps import Step


def _listed(nas: Nas, pools: Mapping[str, Record]) -> Iterator[tuple[str, Volume, Record]]:
    for name, volume in nas.volumes.items():
        record = pools.get(volume.pool)
        if record is not None and record.kind == "zfs":
            yield name, volume, record


def problems(host: str, nas: Nas, seen: Seen, pools: Mapping[str, Record], new: Container[str]) -> Iterator[Problem]:
    """Why a volume cannot be as it is listed."""
    for name, volume, record in _listed(nas, pools):
        full, at, place = f"{volume.pool}/{name}", nas.path(name), f"{host}.volumes.{name}"
        runs = volume.pool not in new and record.uuid in seen.zpools
        dataset, found, mount = seen.datasets.get(full), seen.volumes.get(full), seen.mounted(at)
        elsewhere = [each.target for each in seen.mounts if each.source == full and each.target != at]
        if mount is not None and mount.source != full:
            yield Problem(place, f"{mount.source} is mounted at {at}", "unmount it, and take it out of /etc/fstab")
        elif elsewhere:
            remedy = f"if nothing uses it there, run `zfs set mountpoint=legacy {full}`"
            yield Problem(place, f"the dataset {full} is mounted at {', '.join(elsewhere)}", remedy)
        elif dataset is not None and dataset.type != "filesystem":
            yield Problem(
                place, f"{full} is a {dataset.type}, not a filesystem", f"run `zfs rename {full}` to another name"
            )
        elif mount is None and found is not None and found.kind != "dir":
            yield Problem(place, f"{at} is a {found.kind}, not a directory", "rename it")
        # Of a pool that does not run, or whose datasets could not be listed, nothing can be told.
        elif runs and volume.pool in seen.datasets and dataset is None and full in seen.projects:
            yield Problem(place, *gone(full))


def gone(full: str) -> tuple[str, str]:
    """What is told of a dataset that was made once and is not there."""
    found, remedy = volumes.gone(f"the dataset {full}", full)
    return found, remedy


def steps(nas: Nas, seen: Seen, probe: HostProbe, pools: Mapping[str, Record], new: Container[str]) -> Iterator[Step]:
    """What makes the volumes as they are listed; what is in them is never touched. `new` pools hold none yet."""
    for name, volume, record in _listed(nas, pools):
        full, at = f"{volume.pool}/{name}", nas.path(name)
        subject, unit = f"volume {name}", mounts.dataset_file(full)
        known = full in seen.projects and volume.pool not in new
        there = volume.pool not in new and full in seen.datasets
        if not unit.stands(probe.files.get(unit.path)):
            yield Step("config", subject, f"write {unit.path}", "systemctl daemon-reload\n", unit)
        todo = list(_differences(full, at, volume, seen, probe, known)) if there else ["make it"]
        if not there and (known or (volume.pool not in new and record.uuid not in seen.zpools)):
            # A pool that is taken over, or was down: its command looks.
            todo = ["see that it is there" if known else "make it, unless it is there"]
        if not todo:
            yield Step("noop", subject, f"{at} is as it should be")
            continue
        kind = "config" if there or known else "additive"
        command = _command(full, at, volume, record, known=known)
        yield Step(kind, subject, f"{at}: {', '.join(todo)}", command, timeout=600)  # type: ignore[arg-type]


def _differences(full: str, at: str, volume: Volume, seen: Seen, probe: HostProbe, known: bool) -> Iterator[str]:
    mount, found, dataset = seen.mounted(at), seen.volumes.get(full), seen.datasets[full]
    if mount is None or mount.source != full or probe.unit(mounts.unit(full)).enabled != "enabled":
        yield "mount it, now and at every boot"
    if mount is None or found is None:
        return
    if found.owner != volume.owner or (volume.group and found.group != volume.group):
        yield f"give it to {volume.owner}" + (f":{volume.group}" if volume.group else "")
    if found.mode != volume.mode:
        yield f"set its mode to {volume.mode}"
    if not known:
        yield "remember it"
    if dataset.quota != volume.quota:
        yield f"limit it to {volume.quota >> 20} MiB" if volume.quota else "lift its limit"


def _command(full: str, at: str, volume: Volume, record: Record, *, known: bool) -> str:
    pool, unit = f"/srv/{record.pool}", mounts.unit(full)
    owner = shlex.quote(f"{volume.owner}:{volume.group or ''}")
    lost = shlex.quote("; ".join(gone(full)))
    make = f"stop {lost}" if known else f"zfs create -o mountpoint=legacy {full}"
    return f"""\
set -eu
umask 022
export PATH="$PATH:/usr/sbin:/sbin"
stop() {{ printf 'homelab: {at}: %s\\n' "$1" >&2; exit 1; }}
[ "$(cat {pool}/{records.SENTINEL} 2>/dev/null)" = {shlex.quote(record.sentinel)} ] || stop '{pool} is not mounted'
{zfs.proven(record)}\
is="$(zfs get -Hpo value type {full} 2>/dev/null || :)"
if [ -z "$is" ]; then
  [ ! -e {at} ] || {{ [ -d {at} ] && [ ! -L {at} ] && [ -z "$(ls -A {at})" ]; }} ||
    stop 'is a plain directory, which has no snapshots and no quota; rename it, run this again and move what it held'
  {make}
elif [ "$is" != filesystem ]; then
  stop "is a $is, not a filesystem"
fi
[ "$(zfs get -Hpo value mountpoint {full})" = legacy ] || zfs set mountpoint=legacy {full}
if mountpoint -q {at}; then
{_indented(mounts.beneath(full))}else
  mkdir -p {at}
  [ -z "$(ls -A {at})" ] || stop 'is not empty; move away what it holds, which nobody would see under the dataset'
  chattr +i {at}
fi
systemctl daemon-reload
systemctl enable --quiet {unit}
systemctl reset-failed {unit} 2>/dev/null || :
systemctl start {unit} || stop "does not mount: $(systemctl status --no-pager -n 3 {unit} | tail -n 1)"
[ "$(findmnt -fnro SOURCE {at})" = {full} ] || stop 'another filesystem is mounted there'
[ "$(zfs get -Hpo value refquota {full})" = {volume.quota or 0} ] || zfs set refquota={volume.quota or "none"} {full}
chown {owner} {at}; chmod {volume.mode} {at}
sync -f {at}
{records.noted(0, full)}
"""


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())
