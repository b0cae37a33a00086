"""Shell that looks at the disks once more, just before they are touched, and stops when anything is not as planned.

Tools' own prompts protect nothing: without a terminal mkfs.ext4 overwrites whatever is there and says nothing.
"""

from __future__ import annotations

import shlex

from homelab.storage import consent, records, superblocks
from homelab.storage.bare import BARE
from homelab.storage.records import Record
from homelab.storage.seen import DiskSeen, Opened

_FUNCTIONS = r"""
stop() { printf 'homelab: %s; run it again to see how things are now\n' "$*" >&2; exit 1; }
# A slow host may not be through in time; what comes next looks for itself.
settle() { udevadm settle --timeout=60 || :; }
parts() {
  for part in "/sys/block/$1/$1"*/partition; do
    [ -e "$part" ] || continue
    part="${part%/partition}"; printf '%s ' "${part##*/}"
  done
}
# What the kernel calls it: dm-0 for mapper/x.
kernel() { at="$(readlink --canonicalize "/dev/$1")"; printf %s "${at##*/}"; }
held() {
  for held in "/sys/class/block/$(kernel "$1")/holders"/* "/sys/block/$1/$1"*/holders/*; do
    [ ! -e "$held" ] || printf '%s' "${held##*/}"
  done
}
# ID NAME SERIAL SIZE SEQUENCE PARTITIONS: it is this very disk, and nobody uses it.
same() {
  case "$1" in serial:*) at="/dev/$2" ;; *) at="$(readlink -e "/dev/disk/by-id/$1" || :)" ;; esac
  [ "$at" = "/dev/$2" ] || stop "disk $1 was /dev/$2 and is ${at:-gone}"
  [ "$(serial "$2")" = "$3" ] || stop "/dev/$2 does not have the serial $3 any more"
  [ "$(blockdev --getsize64 "/dev/$2" || :)" = "$4" ] || stop "/dev/$2 does not have $4 bytes any more"
  [ "$(cat "/sys/block/$2/diskseq" 2>/dev/null || :)" = "$5" ] || stop "/dev/$2 was taken out and put in"
  [ "$(parts "$2")" = "$6" ] || stop "/dev/$2 has the partitions $(parts "$2")now"
}
# NAME UUID DISK: what lies in the clear there is that of this very LUKS, on this disk and no other.
mapped() {
  dm="$(kernel "$1")"
  case "$(cat "/sys/block/$dm/dm/uuid" 2>/dev/null || :)" in
    "CRYPT-LUKS2-$(printf %s "$2" | tr -d -)-"*) ;;
    *) stop "/dev/$1 is not the open LUKS $2" ;;
  esac
  [ "$(ls "/sys/block/$dm/slaves")" = "$3" ] || stop "/dev/$1 is not on /dev/$3; close it (cryptsetup close ${1##*/})"
}
idle() {
  [ -z "$(held "$1")" ] || stop "/dev/$1 is in use by $(held "$1")"
  exclusive "$1" || stop "/dev/$1 is in use"
}
# NAME HASH CONTENT: its signatures are the same to the letter, and so is what was sampled of it.
printed() {
  [ "$(signed "$1" | sha256sum | cut -c1-64)" = "$2" ] || stop "/dev/$1 holds something else than was seen"
  [ -z "$3" ] || [ "$(content "$1")" = "$3" ] || stop "/dev/$1 holds other data than was seen"
}
unsigned() { case "$(signed "$1")" in *'"type"'*) return 1 ;; *'"signatures"'*) return 0 ;; *) return 1 ;; esac; }
# NAME: whether it is an XFS whose making was cut. The kernel mounts none such, so that nothing can be on it.
half() {
  [ "$(head -c 4 "/dev/$1" | tr -d '\000')" = XFSB ] && [ "$(od -An -tu1 -j 126 -N 1 "/dev/$1" | tr -d ' ')" = 1 ]
}
blank() {
  unsigned "$1" || stop "/dev/$1 is not blank"
  [ "$(content "$1")" = zero ] || stop "/dev/$1 is not blank, it holds data without a signature"
}
# Partitions and what is in them first, or it would show again once the same partitions are made.
clear() {
  for part in $(parts "$1"); do wipefs --all --quiet "/dev/$part" || stop "/dev/$part cannot be cleared"; done
  wipefs --all --quiet "/dev/$1" || stop "/dev/$1 cannot be cleared"
  settle
  samples "$1" where | perl -e '
    open(my $f, "+<:raw", $ARGV[0]) or exit 1;
    while (<STDIN>) {
      my ($at, $long) = split;
      sysseek($f, $at, 0) or exit 1;
      (syswrite($f, "\0" x $long) || 0) == $long or exit 1;
    }' "/dev/$1" || stop "/dev/$1 cannot be written to"
  sync "/dev/$1"; blockdev --flushbufs "/dev/$1"; settle
  [ -z "$(parts "$1")" ] || stop "/dev/$1 still has partitions"
  idle "$1"; blank "$1"
}
# How far a pool has come; a run that is cut here is finished by the next one.
note() {
  mkdir -p @FOLDER@
  { printf '%s' "$record"; printf 'state=%s\n' "$1"; } >"@FOLDER@/.$pool.new"
  sync "@FOLDER@/.$pool.new"; mv -fT "@FOLDER@/.$pool.new" "@FOLDER@/$pool"; sync @FOLDER@
}
consent() {
  mkdir -p /var/lib/homelab
  printf '%s %s\n' "$1" "$2" >>@USED@; sync @USED@
}
# NAME UUID: whether this device is a member of that array, by its own superblock.
member() { [ "$(od -An -v -tx1 -j @UUID@ -N 16 "/dev/$1" | tr -d ' \n')" = "$(printf %s "$2" | tr -d -)" ]; }
# NAME UUID: whether that UUID, and no other, is all that is written on this device.
only() {
  found="$(signed "$1" | grep -o '"uuid":[^,}]*' | tr -d ' ' | sort -u)"
  [ "$found" = "\"uuid\":\"$2\"" ]
}
"""


def head(record: Record | None = None) -> str:
    """What such a script begins with."""
    text = BARE + _FUNCTIONS
    for mark, word in (
        ("@FOLDER@", records.FOLDER),
        ("@USED@", consent.USED),
        ("@UUID@", str(superblocks.MD_OFFSET + 16)),
    ):
        text = text.replace(mark, word)
    text = f"set -eu\numask 022\n{text.strip()}\n"
    if record is None:
        return f"{text}pool='' record=''\n"
    lines = record.text().rpartition("state=")[0]
    return f"{text}pool={shlex.quote(record.pool)}\nrecord={shlex.quote(lines)}\n"


def whole_block(path: str) -> str:
    """Stop where our lines in a file begin and never end: all that follows would be taken for ours and dropped."""
    return (
        f"awk '/^# homelab begin/ {{b++}} /^# homelab end/ {{e++}} END {{exit b + 0 != e + 0}}' \"{path}\" || {{\n"
        f"  echo \"homelab: {path} has a '# homelab begin' without '# homelab end'; put it where our lines end\" >&2\n"
        "  exit 1\n}\n"
    )


def same(id_: str, disk: DiskSeen) -> str:
    """Stop unless the disk is the one that was seen."""
    if isinstance(disk, Opened) and disk.disk is not None:
        return same(id_, disk.disk) + f"mapped {disk.name} {disk.uuid} {disk.disk.name}\n"
    # As a shell has them: sda10 before sda2.
    partitions = "".join(f"{name} " for name in sorted(part.name for part in disk.partitions))
    words = (id_, disk.name, disk.serial, str(disk.size), disk.sequence, partitions)
    return f"same {' '.join(map(shlex.quote, words))}\n"


def untouched(id_: str, disk: DiskSeen) -> str:
    """Stop unless the disk is the one that was seen, idle, and holds what was seen, to the letter."""
    lines = [same(id_, disk), f"idle {disk.name}\n"]
    if isinstance(disk, Opened) and disk.fresh:
        return "".join([*lines, f"blank {disk.name}\n"])
    for device in disk.devices:
        lines.append(f"printed {device.name} {device.print} {shlex.quote(device.content)}\n")
    return "".join(lines)


def cleared(disk: DiskSeen, word: str) -> str:
    """Clear a disk under a consent, and note when that began and when it was done."""
    began = shlex.quote(f"began {consent.began(disk)}")
    return f"consent {word} {began}\nclear {disk.name}\nconsent {word} 'done'\n"
