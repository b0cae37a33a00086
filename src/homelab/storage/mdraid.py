"""Arrays of md: how they are made, finished, started and written down."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from homelab.model.problems import Problem
from homelab.storage import guard, superblocks
from homelab.storage.case import Case
from homelab.storage.degraded import NOTES
from homelab.storage.records import Record
from homelab.storage.seen import DiskSeen, MdMember

CONF = "/etc/mdadm/mdadm.conf"
# The hash of the mdadm.conf that the initramfs has.
EMBEDDED = "/var/lib/homelab/mdadm.embedded"
_BEGIN, _END = "# homelab begin: the toolkit writes these lines", "# homelab end"
# ext4's labels have at most 16 letters, as our names; XFS's have 12.
_XFS_LABEL = 12
# mdadm's own default of today, written down so that it stays; and of raid10 each pair side by side.
_CHUNK = "--chunk=512K"
_GEOMETRY = {"raid1": "", "raid5": f"{_CHUNK} ", "raid6": f"{_CHUNK} ", "raid10": f"--layout=n2 {_CHUNK} "}

# md(4): with a disk gone and writes cut short, what was on it cannot be told; only its owner may overrule that.
_WHY = "look at dmesg; one that lost its power and a disk at once is started by hand only, mdadm(8) tells how"

ARRAY = r"""
# The array that has one of these disks.
array() {
  for disk; do
    for held in "/sys/class/block/$(kernel "$disk")/holders"/md*; do
      [ ! -e "$held" ] || { printf '%s' "${held##*/}"; return; }
    done
  done
}
"""

_FORMAT = r"""
# DEVICE...: one of these holds all that the array had when it last ran, as far as that was noted.
newest() {
  [ -s "@NOTE@" ] || return 0
  for disk; do
    given="$(mdadm --examine --export "/dev/$disk" | sed -n 's/^MD_DEV_UUID=//p')"
    [ -z "$given" ] || ! grep -qxF "$given" "@NOTE@" || return 0
  done
  stop "what is newer is on a disk that is missing; @NOTE@ names those that the array ran on"
}
stopped() { mdadm --stop "/dev/$1" || stop "/dev/$1 is in use and cannot be stopped"; }
# How ext4 is to lay things out on the array, which itself knows: in blocks of 4 KiB its chunk, and all chunks of data
# side by side.
striped() {
  chunk="$(cat "/sys/block/$1/md/chunk_size")" row="$(cat "/sys/block/$1/queue/optimal_io_size")"
  [ "$chunk" -eq 0 ] || printf ',stride=%s,stripe-width=%s' $((chunk / 4096)) $((row / 4096))
}
# The array is what was joined in this run, or what our own record says was not finished: never one with a past.
format() {
  if only "$1" "$uuid"; then
    half "$1" || return 0
    wipefs --all --quiet "/dev/$1"; settle
  fi
  note formatting
  @MKFS@
  settle
  only "$1" "$uuid" || stop "/dev/$1 holds no filesystem after it was made"
}
"""


def create(record: Record, ids: Mapping[str, str], disks: Mapping[str, DiskSeen], clearing: str, own: str = "") -> str:
    """Join disks that are blank, or cleared by `clearing`, and make the filesystem. `own` frees what was half made."""
    return (
        guard.head(record)
        + _functions(record)
        + own
        + "".join(guard.untouched(ids[name], disk) for name, disk in disks.items() if not _is_own(record, disk))
        + "note making\n"
        + clearing
        + "".join(f"idle {disk.name}; blank {disk.name}\n" for disk in disks.values())
        # Without --run it stops by itself, should it see something on a disk.
        + f"mdadm --create {_path(record)} --metadata=1.2 --level={record.level.removeprefix('raid')} "
        + f"{_GEOMETRY[record.level]}--raid-devices={len(disks)} --bitmap=internal "
        + f"--homehost=any --name={record.pool} --uuid={superblocks.mdadm_uuid(record.uuid)} {_members(disks)} "
        + "</dev/null || stop 'the array could not be made'\n"
        + f'settle\nmd="$(array {_names(disks)})"\n'
        + '[ -n "$md" ] || stop "the array is not there after it was made"\n'
        # What an earlier array with the same geometry held would show again; no one can have used this one yet.
        + 'unsigned "$md" || wipefs --all --quiet "/dev/$md"\nunsigned "$md" || stop "/dev/$md is not blank"\n'
        + 'format "$md"\nnote made\n'
    )


def free(record: Record, disks: Mapping[str, DiskSeen], ids: Mapping[str, str]) -> str:
    """Take apart what a cut run joined: only disks that carry the very UUID which our record says is being made."""
    own = {name: disk for name, disk in disks.items() if _is_own(record, disk)}
    lines = []
    for name, disk in own.items():
        lines.append(guard.same(ids[name], disk))
        lines.append(f"only {disk.name} {record.uuid} || stop '/dev/{disk.name} holds something else than was seen'\n")
        lines.append(f'md="$(array {disk.name})"\n[ -z "$md" ] || stopped "$md"\nidle {disk.name}\n')
    return "".join(lines) + "".join(f"clear {disk.name}\n" for disk in own.values())


def finish(record: Record, ids: Mapping[str, str], disks: Mapping[str, DiskSeen]) -> str:
    """Make the filesystem on an array of ours that was joined and not formatted."""
    return (
        guard.head(record)
        + _functions(record)
        + "".join(guard.same(ids[name], disk) for name, disk in disks.items())
        + "".join(f"only {disk.name} {record.uuid} || stop '/dev/{disk.name} has changed'\n" for disk in disks.values())
        + _assembled(record, disks, degraded=False)
        + f'md="$(array {_names(disks)})"\n[ -n "$md" ] || stop "the array does not run"\n'
        + 'only "$md" "$uuid" || unsigned "$md" || stop "/dev/$md holds what the toolkit did not put there"\n'
        # Half a filesystem, or, on disks that were encrypted, noise from its first moment: neither is anybody's.
        + ("" if record.state == "formatting" or record.luks else 'only "$md" "$uuid" || blank "$md"\n')
        + 'idle "$md"\nformat "$md"\nnote made\n'
    )


def start(record: Record, disks: Mapping[str, DiskSeen], *, degraded: bool) -> str:
    """Assemble and run an array by its UUID, with a disk less when `degraded`, and see that the filesystem is its own.

    A record that names no filesystem is of one that nobody has seen yet.
    """
    proof = f"""\
md="$(array {_names(disks)})"
[ -n "$md" ] || stop 'the array of {record.pool} does not run'
found="$(blkid -p -o value -s UUID "/dev/$md" </dev/null || :)"
[ "$found" = "$uuid" ] || stop "the array of {record.pool} holds the filesystem ${{found:-of none}}, not $uuid"
"""
    return (
        guard.head()
        + _functions(record)
        + _assembled(record, disks, degraded=degraded)
        + (proof if record.filesystem_uuid else "")
    )


def stale(case: Case, uuid: str) -> Problem | None:
    """Why the array `uuid` must not be started without the disks that are not there: one of those has what is newer."""
    members = {name: each for name, each in case.members.items() if isinstance(each, MdMember) and each.uuid == uuid}
    kept = case.seen.kept.get(superblocks.mdadm_uuid(uuid), frozenset())
    # Of a disk that is locked nobody knows yet.
    if not kept or any(not each.device or superblocks.mdadm_uuid(each.device) in kept for each in members.values()):
        return None
    newer = " and ".join(name for name in case.pool.disks if name not in members)
    found = f"{' and '.join(members)} left it before it last ran, and what is newer is on {newer}"
    remedy = f"plug that in; if it is dead, run `rm {NOTES}/{superblocks.mdadm_uuid(uuid)}` there: "
    return Problem(case.place, found, f"{remedy}what was written since is lost")


def _assembled(record: Record, disks: Mapping[str, DiskSeen], *, degraded: bool) -> str:
    # What udev began and cannot go on with holds the disks: it is let go of, or told to run.
    run = " --run" if degraded else ""
    newest = f"newest {_names(disks)}\n" if degraded else ""
    return f"""\
{newest}\
md="$(array {_names(disks)})"
if [ -n "$md" ] && [ "$(cat "/sys/block/$md/md/array_state")" = inactive ]; then stopped "$md"; md=; fi
[ -n "$md" ] || mdadm --assemble{run} {_path(record)} --uuid={superblocks.mdadm_uuid(record.uuid)} {_members(disks)} \\
  </dev/null || stop 'the array of {record.pool} does not start: {_WHY}'
settle
"""


def _functions(record: Record) -> str:
    uuid, label = record.filesystem_uuid, record.pool
    if record.filesystem == "xfs":
        label = label[:_XFS_LABEL]
        mkfs = f"mkfs.xfs -q -m uuid={uuid} -L {label}"
    else:
        # lost at most one percent: this holds nothing that the system needs to go on
        extended = '"quotatype=usrquota:grpquota:prjquota$(striped "$1")"'
        mkfs = f"mkfs.ext4 -q -b 4096 -m 1 -O quota,project -E {extended} -U {uuid} -L {label}"
    made = f'{mkfs} "/dev/$1" </dev/null || stop "no filesystem could be made on /dev/$1"'
    note = f"{NOTES}/{superblocks.mdadm_uuid(record.uuid)}"
    return f"uuid={uuid}\n{ARRAY.lstrip()}{_FORMAT.strip().replace('@MKFS@', made).replace('@NOTE@', note)}\n"


def _path(record: Record) -> str:
    return f"/dev/md/{record.pool}"


def _members(disks: Mapping[str, DiskSeen]) -> str:
    return " ".join(carrier(disk) for disk in disks.values())


def carrier(disk: DiskSeen) -> str:
    """The path of what carries the member: the disk, or a partition of an array that was made elsewhere."""
    return next((device.path for device in disk.devices if device.md), disk.path)


def _names(disks: Mapping[str, DiskSeen]) -> str:
    return " ".join(shlex.quote(carrier(disk).removeprefix("/dev/")) for disk in disks.values())


def _is_own(record: Record, disk: DiskSeen) -> bool:
    return disk.md is not None and disk.md.uuid == record.uuid


#
# mdadm.conf
#


def lines(pools: Iterable[Record]) -> str:
    """The toolkit's lines of mdadm.conf: rendered, since `--detail --scan` prints passing things too."""
    arrays = [f"ARRAY /dev/md/{each.pool} UUID={superblocks.mdadm_uuid(each.uuid)}" for each in pools]
    return "\n".join([_BEGIN, *arrays, _END]) + "\n"


def stands(text: str | None, pools: tuple[Record, ...]) -> bool:
    """Whether mdadm.conf has the toolkit's lines, and nobody else's for the same arrays."""
    if text is None:
        return False
    wanted = lines(pools)
    others = text.replace(wanted, "")
    uuids = [superblocks.mdadm_uuid(each.uuid) for each in pools]
    return wanted in text and _BEGIN not in others and not any(uuid in others for uuid in uuids)


def conf(pools: tuple[Record, ...]) -> str:
    """Put the toolkit's lines in mdadm.conf, drop others for the same arrays, and give the initramfs a copy.

    Debian's initramfs takes this one file and no folder beside it.
    """
    uuids = " ".join(superblocks.mdadm_uuid(each.uuid) for each in pools)
    return f"""\
set -eu
umask 022
export PATH="$PATH:/usr/sbin:/sbin"
conf={CONF} new={CONF}.homelab-new
mkdir -p {CONF.rpartition("/")[0]} /var/lib/homelab
[ -e "$conf" ] || printf 'HOMEHOST <system>\\nMAILADDR root\\n' >"$conf"
{guard.whole_block("$conf")}awk -v uuids={shlex.quote(uuids)} '
  BEGIN {{ n = split(uuids, uuid, " ") }}
  /^# homelab begin/ {{ skip = 1 }}
  {{ drop = skip; for (i = 1; i <= n; i++) if (index($0, uuid[i])) drop = 1; if (!drop) print }}
  /^# homelab end/ {{ skip = 0 }}' "$conf" >"$new"
printf '%s' {shlex.quote(lines(pools))} >>"$new"
if cmp -s "$new" "$conf"; then rm -f "$new"; else mv -fT "$new" "$conf"; fi
if command -v update-initramfs >/dev/null; then update-initramfs -u; fi
sha256sum <"$conf" | cut -d' ' -f1 >{EMBEDDED}
"""
