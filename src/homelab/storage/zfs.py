"""Pools of ZFS: what a host must have for them, how one is made and brought in, and what is known of its parts."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace

from homelab.model.nas import Nas
from homelab.model.problems import Problem
from homelab.probe import HostProbe
from homelab.storage import guard
from homelab.storage.case import Case
from homelab.storage.degraded import NOTES
from homelab.storage.records import Record
from homelab.storage.seen import DiskSeen, Seen, ZfsMember
from homelab.storage.steps import Step

MODULE = "zfs"
PACKAGES = ("zfsutils-linux", "zfs-zed")
# What a pool is made with. ashift: sectors of 4 KiB, which disks have that say 512 too. The names of Linux are those of
# zfsprops(7); features are all that the installed version has, and none is added to a pool that is there.
_POOL = "-o ashift=12 -o cachefile=none"
_ROOT = "-O mountpoint=legacy -O atime=off -O compression=lz4 -O xattr=sa -O acltype=posix"

# What is asked of a host with such a pool. apt's sources tell of contrib also where its lists were never fetched.
ASK = r"""
contrib=no lists=no headers=no
if [ ! -d /sys/module/zfs ] && ! modprobe -nq zfs; then
  ! apt-get indextargets --format '$(COMPONENT)' 2>/dev/null | grep -qxF contrib || contrib=yes
  [ -z "$(apt-cache madison dpkg 2>/dev/null)" ] || lists=yes
  [ ! -e "/lib/modules/$(uname -r)/build" ] && [ -z "$(apt-cache madison "linux-headers-$(uname -r)" 2>/dev/null)" ] ||
    headers=yes
fi
for key in contrib lists headers; do eval "printf 'zfs\t%s\t%s\n' $key \$$key"; done
printf 'zfs\thostid\t%s\n' "$(od -An -tx4 -N4 /etc/hostid 2>/dev/null | tr -d ' ')"
if [ -d /sys/module/zfs ] && command -v zpool >/dev/null; then
  # A pool whose disks are gone answers nobody.
  timeout 30 zpool list -Hpo guid,name,health 2>/dev/null | while read -r guid name health; do
    printf 'zpool\t%s\t%s\t%s\n' "$guid" "$name" "$health"
    timeout 30 zpool status -g "$name" 2>/dev/null | awk -v guid="$guid" '
      /^ *scan:/ {sub(/^ *scan: */, ""); print "scan\t" guid "\t" $0}
      $1 ~ /^[0-9]+$/ && NF > 1 {print "vdev\t" guid "\t" $1 "\t" $2}'
  done
  for pool in @POOLS@; do
    timeout 30 zfs list -Hpo name,type,mountpoint,refquota -d 1 -t filesystem,volume "$pool" 2>/dev/null |
      sed 's/^/dataset\t/'
  done
fi
"""

# Shell, for what is done with a zpool.
FUNCTIONS = r"""
# NAME: its name that stays, for the pool to keep.
stays() {
  for link in /dev/disk/by-id/*; do
    [ "$(readlink -f "$link")" != "/dev/$1" ] || { printf %s "$link"; return; }
  done
  printf '/dev/%s' "$1"
}
# What is known of the zpool by a number or a UUID of its own.
whose() { zpool get -Hpo value guid,comment "$1" 2>/dev/null | tr '\n' ' '; }
"""


def to_build(nas: Nas, probe: HostProbe) -> tuple[str, ...]:
    """The packages that build the module where a kernel has none: for the one that runs, and those of its flavour.

    They come before `PACKAGES`, whose installation wants to load it.
    """
    if MODULE not in probe.missing_modules or not any(pool.kind == "zfs" for pool in nas.pools.values()):
        return ()
    # 6.1.0-57-cloud-amd64
    flavour = probe.kernel.split("-", 2)[2:]
    return ("zfs-dkms", f"linux-headers-{probe.kernel}", *(f"linux-headers-{each}" for each in flavour))


def problems(host: str, nas: Nas, seen: Seen, probe: HostProbe) -> Iterator[Problem]:
    """Why a host can have no pool of ZFS, told before anything is touched."""
    pools = [name for name, pool in nas.pools.items() if pool.kind == "zfs"]
    if not pools:
        return
    place = f"{host}.pools.{pools[0]}"
    has = seen.zfs
    if probe.container != "none":
        found = f"is a container ({probe.container}), and ZFS is its machine's kernel's"
        yield Problem(host, found, "make the NAS a machine of its own, or use another kind of pool")
    elif MODULE not in probe.missing_modules:
        return
    elif not has.contrib:
        found = (
            f"the kernel {probe.kernel} has no module of ZFS, and apt's sources lack contrib, from which to build it"
        )
        remedy = 'write "contrib" behind "main" in /etc/apt/sources.list or sources.list.d, and run `apt-get update`'
        yield Problem(place, found, remedy)
    elif has.lists and not has.headers:
        found = (
            f"the kernel {probe.kernel} has no module of ZFS, and apt has no headers for it, with which to build one"
        )
        yield Problem(place, found, "run `apt-get update`, or install the newest kernel and boot it")


def loaded(seen: Seen, probe: HostProbe) -> Iterator[Step]:
    """The module in the running kernel, and a number by which a pool knows which host it was used on last."""
    if MODULE in probe.modules and seen.zfs.hostid:
        return
    says = "give the host a number of its own for ZFS, and load its module"
    yield Step(
        "config",
        "zfs",
        says,
        'set -eu\nexport PATH="$PATH:/usr/sbin:/sbin"\n'
        'stop() { printf \'homelab: the kernel %s %s\\n\' "$(uname -r)" "$1" >&2; exit 1; }\n'
        "modprobe zfs || stop 'has no module of ZFS that it loads; dkms status and "
        "/var/lib/dkms/zfs/*/build/make.log tell why it could not be built'\n"
        "[ -s /etc/hostid ] || zgenhostid || stop 'has no /etc/hostid, and none could be made'\n",
    )


def _digits(uuid: str) -> str:
    """A UUID as a zpool's comment has it, which takes no more than 32 letters."""
    return uuid.replace("-", "")


def create(
    record: Record, ids: Mapping[str, str], disks: Mapping[str, DiskSeen], clearing: str, own: Mapping[str, DiskSeen]
) -> str:
    """Make a zpool of disks that are blank, cleared by `clearing`, or `own`: what a cut run began on them."""
    paths = " ".join(f'"$(named {shlex.quote(ids[name])} {disk.name})"' for name, disk in disks.items())
    return (
        guard.head(record)
        + FUNCTIONS.lstrip()
        + "".join(guard.untouched(ids[name], disk) for name, disk in disks.items())
        + f"! zpool list -Ho name {record.pool} >/dev/null 2>&1 || stop 'there is another zpool {record.pool}'\n"
        + "note making\n"
        + clearing
        + "".join(f"clear {disk.name}\n" for disk in own.values())
        + "".join(f"idle {disk.name}; blank {disk.name}\n" for disk in disks.values())
        + 'named() { [ ! -e "/dev/disk/by-id/$1" ] || { printf "/dev/disk/by-id/%s" "$1"; return; }; stays "$2"; }\n'
        # Without -f it stops by itself, should it see something on a disk.
        + f"zpool create {_POOL} -o comment={_digits(record.uuid)} {_ROOT} {record.pool} {record.level} {paths} "
        + f"</dev/null || stop 'no zpool could be made for {record.pool}'\n"
        + f'[ "$(zpool list -Hpo health {record.pool})" = ONLINE ] || stop "{record.pool} is not whole"\n'
        + f'guid="$(zpool get -Hpo value guid {record.pool})"\n'
        + 'record="$(printf %s "$record" | sed "s/^uuid=.*/uuid=$guid/")\n"\n'
        + "note made\n"
    )


def start(record: Record, disks: Mapping[str, DiskSeen]) -> str:
    """Import a zpool by its guid, of these disks, into no cache and without mounting anything."""
    members = [next((device.name for device in disk.devices if device.zfs), disk.name) for disk in disks.values()]
    return (
        guard.head()
        + FUNCTIONS.lstrip()
        + "modprobe zfs || stop 'the module of ZFS cannot be loaded'\n"
        + f'case " $(whose {record.pool})" in *" {record.uuid} "*) exit 0 ;; esac\n'
        + f"! zpool list -Ho name {record.pool} >/dev/null 2>&1 || stop 'there is another zpool {record.pool}'\n"
        + "set --\n"
        + "".join(f'set -- "$@" -d "$(stays {shlex.quote(name)})"\n' for name in members)
        + f'zpool import -N -o cachefile=none "$@" {record.uuid} || '
        + f"stop 'the zpool of {record.pool} cannot be imported'\n"
        + f'case " $(whose {record.pool})" in *" {record.uuid} "*) ;; *) '
        + f"stop 'the zpool {record.uuid} is not called {record.pool}' ;; esac\n"
    )


def born(case: Case, record: Record | None) -> Record | None:
    """The record of a pool whose making was cut once it was there, as it is found: ZFS alone chooses its guid."""
    if case.pool.kind != "zfs" or record is None or record.state == "made":
        return record
    found = (each for each in case.members.values() if isinstance(each, ZfsMember) and each.mark == record.uuid)
    member = next(found, None)
    return record if member is None else replace(record, uuid=member.uuid, filesystem_uuid=record.uuid, state="made")


def begun(case: Case, record: Record | None) -> dict[str, DiskSeen]:
    """Disks on which the making of this very pool was cut before anything could be in it."""
    if case.pool.kind != "zfs" or record is None or record.kind != "zfs" or record.state == "made":
        return {}
    serials = set(record.serials.values())
    return {name: disk for name, disk in case.disks.items() if disk.serial in serials and _is_begun(case.name, disk)}


def _is_begun(pool: str, disk: DiskSeen) -> bool:
    """Whether a disk has the partitions that zpool makes, and in them nothing, or labels of a pool that never was."""
    own = [part.name.removeprefix(disk.name).lstrip("p") for part in disk.partitions]
    table = {each.type for each in disk.signatures or ()}
    if sorted(own) != ["1", "9"] or not table or not table <= {"gpt", "PMBR"}:
        return False
    return all(part.signatures == () and (part.is_blank or part.begun == pool) for part in disk.partitions)


def stale(case: Case, newest: ZfsMember) -> Problem | None:
    """Why a zpool must not be imported without the disks that are not there: one of those has what is newer."""
    kept = case.seen.kept.get(newest.uuid, frozenset())
    there = {each.device for each in case.members.values() if isinstance(each, ZfsMember)}
    if not kept or kept & there:
        return None
    newer = " and ".join(name for name in case.pool.disks if name not in case.members)
    found = f"{' and '.join(case.members)} left it before it last ran, and what is newer is on {newer}"
    remedy = f"plug that in; if it is dead, run `rm {NOTES}/{newest.uuid}` there: "
    return Problem(case.place, found, f"{remedy}what was written since is lost")


def proven(record: Record) -> str:
    """Shell: stop unless the zpool of that name is the pool's own, by its guid or by what it was made with."""
    return f"""\
case " $(zpool get -Hpo value guid,comment {record.pool} 2>/dev/null | tr '\\n' ' ')" in
  *" {record.uuid} "*|*" {_digits(record.filesystem_uuid)} "*) ;;
  *) stop 'the zpool {record.pool} is not there, or another one' ;;
esac
"""
