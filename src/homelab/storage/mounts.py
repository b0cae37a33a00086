"""Where a pool is mounted: its unit, a directory nobody can write into meanwhile, and the proof that it is the one."""

from __future__ import annotations

import shlex

from homelab.files import ManagedFile
from homelab.model.problems import Problem
from homelab.storage import degraded, records, zfs, zpools
from homelab.storage.records import Record

FOLDER = "/etc/systemd/system"
# A mirror that lost a disk is started 30 to 40 s after its first member came (`degraded.py`).
# A disk that comes too late keeps a btrfs or a pool of snapraid down, and udev may take a minute on a slow boot.
_PATIENCE = {"mdraid": 90, "btrfs": 90, "snapraid": 90}
# An encrypted disk is waited for so long by crypttab, and then opened, one after the other where memory is short.
_UNLOCKED = 150


def path(pool: str) -> str:
    return f"/srv/{pool}"


def unit(pool: str) -> str:
    """The name of the mount unit of a pool, or of a dataset `pool/volume`; systemd would escape nothing in either."""
    return f"srv-{pool.replace('/', '-')}.mount"


def unit_path(pool: str) -> str:
    return f"{FOLDER}/{unit(pool)}"


def _device_unit(record: Record) -> str:
    return f"dev-disk-by\\x2duuid-{record.filesystem_uuid.replace('-', chr(92) + 'x2d')}.device"


def timeout_path(record: Record) -> str:
    return f"/etc/systemd/system/{_device_unit(record)}.d/homelab.conf"


def options(record: Record, *, projects: bool) -> str:
    """The mount's options. A btrfs is mounted whole, whatever its default subvolume is."""
    more = {"btrfs": ["subvolid=5"], "xfs": ["prjquota"], "ext4": ["prjquota"] if projects else []}
    return ",".join(["nofail", "noatime", *more.get(record.filesystem, [])])


def unit_file(record: Record, wanted: str) -> ManagedFile:
    """The unit. With `nofail` the rest of the system does not wait for it to come up."""
    if record.kind == "zfs":
        brought = zpools.unit(record.pool)
        first = f"Requires={brought}\nAfter={brought}\n"
        return _unit(record.pool, f"Pool {record.pool}", first, record.pool, record.filesystem, wanted)
    first = ""
    if record.kind == "mdraid":
        # Requires: what the script found to be old, and could not stop, is not mounted either. For disks that are late
        # it looks as long as `_PATIENCE` and `_UNLOCKED` say, and only fails where nothing may be mounted.
        first = f"Requires={degraded.unit(record.pool)}\nAfter={degraded.unit(record.pool)}\n"
    source = f"/dev/disk/by-uuid/{record.filesystem_uuid}"
    return _unit(record.pool, f"Pool {record.pool}", first, source, record.filesystem, wanted)


def dataset_file(dataset: str) -> ManagedFile:
    """The unit of a volume that is a dataset of ZFS; systemd has it wait for the mount of its pool, and need it."""
    pool, _, volume = dataset.partition("/")
    return _unit(dataset, f"Volume {volume} of pool {pool}", "", dataset, "zfs", "nofail,noatime")


def _unit(of: str, description: str, first: str, source: str, type_: str, wanted: str) -> ManagedFile:
    return ManagedFile(
        unit_path(of),
        f"""\
# Written by the homelab toolkit.
[Unit]
Description={description}
{first}
[Mount]
What={source}
Where={path(of)}
Type={type_}
Options={wanted}
TimeoutSec=120

[Install]
WantedBy=multi-user.target
""",
    )


def timeout_file(record: Record) -> ManagedFile:
    """How long systemd waits for the disks, where a unit of fstab would have x-systemd.device-timeout."""
    seconds = _PATIENCE[record.kind] + (_UNLOCKED if record.luks else 0)
    text = f"# Written by the homelab toolkit.\n[Unit]\nJobRunningTimeoutSec={seconds}s\n"
    return ManagedFile(timeout_path(record), text)


def sealed(pool: str) -> str:
    """Make the empty mountpoint immutable, so that nothing is written there while the pool is not mounted."""
    at = shlex.quote(path(pool))
    return f"""\
set -eu
umask 022
if mountpoint -q {at}; then exit 0; fi
mkdir -p {at}
[ -z "$(ls -A {at})" ] || {{ echo 'homelab: {at} is not empty any more; move away what it holds' >&2; exit 1; }}
chattr +i {at}
"""


def beneath(pool: str) -> str:
    """Make the mountpoint immutable also where somebody had mounted the pool before: one sees it past the mount.

    What lies there would be served in the pool's place whenever that is not mounted.
    """
    at, there = path(pool), "/run/homelab/beneath"
    folder = at.rpartition("/")[0]
    return f"""\
if mountpoint -q {at}; then
  hidden="$(unshare -m sh -euc 'mkdir -p {there}; mount --bind {folder} {there}; ls -A {there}/{pool}')" ||
    stop 'the directory that it is mounted on cannot be read'
  [ -z "$hidden" ] || stop 'hides what is in the directory that it is mounted on; mount --bind {folder} /mnt shows it \
in /mnt/{pool}: move it away, then umount /mnt'
  unshare -m sh -euc 'mount --bind {folder} {there}; chattr +i {there}/{pool}' ||
    stop 'the directory that it is mounted on cannot be made immutable'
fi
"""


# Shell, for a filesystem's UUID: what udev misses while a disk is being written it looks at once more; systemd would
# wait for the device in vain until the next boot.
AWAKE = r"""
awake() {
  udevadm settle --timeout=60 || :
  systemctl is-active --quiet "$(systemd-escape --path --suffix=device "/dev/disk/by-uuid/$1")" && return
  found="$(blkid -c /dev/null -o device -t "UUID=$1" || :)"
  for each in $found; do udevadm trigger --action=change "$each" || :; done
  udevadm settle --timeout=60 || :
}
"""


def unwritable(place: str, at: str) -> Problem:
    """What is told of a pool or a disk of one that is mounted, and takes no writes."""
    remedy = "look at `journalctl -k` there, and check it (`e2fsck -f`, `xfs_repair`, `btrfs check`) unmounted"
    return Problem(place, f"nobody can write to {at}, as after an error", remedy)


def mounted(record: Record) -> str:
    """Seal what is beneath, enable and start the unit, see that the right filesystem is there, and lay the sentinel."""
    at, name = path(record.pool), unit(record.pool)
    if record.kind == "zfs":
        first = f"""{zfs.proven(record)}\
[ "$(zfs get -Hpo value mountpoint {record.pool})" = legacy ] || zfs set mountpoint=legacy {record.pool}
"""
        proof = f"""\
[ "$(findmnt -fnro SOURCE {at})" = {record.pool} ] || stop 'another filesystem is mounted there'
"""
    else:
        first = f"{AWAKE.strip()}\nawake {record.filesystem_uuid}\n"
        proof = f"""\
found="$(blkid -o value -s UUID "$(findmnt -fnro SOURCE {at} | sed 's/\\[.*//')")"
[ "$found" = {record.filesystem_uuid} ] || stop "$found is mounted there, not {record.filesystem_uuid}"
"""
    return f"""\
set -eu
umask 022
export PATH="$PATH:/usr/sbin:/sbin"
stop() {{ printf 'homelab: {at}: %s\\n' "$1" >&2; exit 1; }}
{beneath(record.pool)}systemctl daemon-reload
{first}systemctl enable --quiet {name}
systemctl reset-failed {name} 2>/dev/null || :
systemctl start {name} || stop "does not mount: $(systemctl status --no-pager -n 3 {name} | tail -n 1)"
mountpoint -q {at} || stop 'nothing is mounted there'
{proof}{sentinel(record)}"""


def sentinel(record: Record) -> str:
    """Lay the file that only the mounted filesystem has; a filesystem that names another UUID in it is left alone."""
    file = f"{path(record.pool)}/{records.SENTINEL}"
    return f"""\
if [ -s {file} ]; then
  read -r _ found <{file} || :
  [ "$found" = {record.filesystem_uuid} ] || stop "its {records.SENTINEL} names $found; remove that file if it is stale"
fi
printf '%s\\n' {shlex.quote(record.sentinel)} >{file}.new
sync {file}.new
mv -fT {file}.new {file}
"""
