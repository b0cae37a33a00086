"""What is asked of a host about its disks: one read-only command, which sh, util-linux and perl-base answer.

Only listed disks and the arrays are read from; the others may sleep, and udev's word for them is enough.
"""

from __future__ import annotations

import shlex

from homelab.model.nas import Nas
from homelab.probe import HostProbe, Questions
from homelab.storage import (
    branches,
    consent,
    crypttab,
    degraded,
    mappings,
    mdraid,
    mounts,
    records,
    snapraid,
    superblocks,
    zfs,
    zfs_label,
    zpools,
)
from homelab.storage.bare import BARE
from homelab.storage.btrfs import LIVES
from homelab.storage.probe import NAME

_SCRIPT = (
    BARE
    + r"""
one() { tr '\n\t' '  '; echo; }
# MARK FILE: its lines, however a hand that corrected it has left blank ones, or no end of the last.
lines() { awk -v mark="$1" 'NF {gsub(/\t/, " "); sub(/[ \r]+$/, ""); print mark "\t" $0}' "$2"; }
bytes() { od -An -v -tx1 -j "$2" -N "$3" "/dev/$1" 2>/dev/null | tr -d ' \n'; }
"""
    + LIVES
    + r"""
# MOUNTPOINT: the UUID of the btrfs there, which the kernel knows also when the device that mountinfo names is gone.
btrfs_of() {
  uuid="$(btrfs filesystem show --raw "$1" 2>/dev/null | sed -n 's/^Label:.* uuid: //p')"
  printf %s "${uuid:-$(findmnt -fno UUID "$1")}"
}
running() {
  for held in "/sys/class/block/$1/holders"/md*; do
    case "$(cat "$held/md/array_state" 2>/dev/null)" in ''|clear|inactive) ;; *) return 0 ;; esac
  done
  return 1
}
inner() {
  printf 'inner\t%s\t%s\t%s\n' "$1" "$(bytes "$1" $(($2 + 1024)) 1024)" \
    "$(blkid -p -O "$2" -o export "/dev/$1" 2>/dev/null </dev/null | one)"
}
# The labels of ZFS; past the kernel's cache, which has what was read once and not what a pool wrote since.
labels() {
  end=$(($(blockdev --getsize64 "/dev/$1") / @LABEL@ * @LABEL@))
  for at in 0 @LABEL@ $((end - 2 * @LABEL@)) $((end - @LABEL@)); do
    printf 'label\t%s\t%s\t%s\n' "$1" "$at" "$(dd if="/dev/$1" iflag=direct bs=@PIECE@ skip=$((at / @PIECE@ + 1)) \
      count=@TOLD@ 2>/dev/null | gzip -9 | base64 -w0)"
  done
}
look() {
  said="$(signed "$1")"
  printf 'signatures\t%s\t%s\n' "$1" "$said"
  case "$said" in *'"linux_raid_member"'*)
    printf 'md\t%s\t%s\n' "$1" "$(bytes "$1" @MD@)"
    # A mirror's member holds the filesystem whole, so it tells what is on an array that does not run. Of one that runs
    # the array itself is asked: the kernel caches what was read of a member, and not what the array wrote there since.
    start="$(od -An -tu8 -j @START@ -N 8 "/dev/$1" 2>/dev/null | tr -d ' ')"
    case "$start" in ''|????????????*) ;; *)
      running "$1" || inner "$1" $((start * 512)) ;;
    esac ;;
  esac
  case "$said" in *'"crypto_LUKS"'*)
    slots=yes
    head -c 65536 "/dev/$1" 2>/dev/null | tail -c +4097 | grep -aq '"keyslots":{}' && slots=no
    uuid="$(head -c 208 "/dev/$1" 2>/dev/null | tail -c +169 | tr -d '\000')"
    printf 'luks\t%s\t%s\t%s\n' "$1" "$(bytes "$1" 0 512)" "$slots"
    case "$uuid" in *[!0-9a-f-]*|'') ;; *)
      printf 'header\t%s\t%s\t%s\n' "$uuid" "$(head -c @LUKS@ "/dev/$1" | sha256sum | cut -c1-64)" \
        "$(head -c @LUKS@ "@HEADERS@/$uuid" 2>/dev/null | sha256sum | cut -c1-64)" ;;
    esac ;;
  esac
  case "$said" in *'"zfs_member"'*) labels "$1" ;; esac
  case "$said" in *'"btrfs"'*)
    printf 'btrfs\t%s\t%s\n' "$1" "$(bytes "$1" @BTRFS@)"
    command -v btrfs >/dev/null && printf 'chunks\t%s\t%s\n' "$1" "$(chunks "$1" | one)" ;;
  esac
  case "$said" in *'"type"'*) ;; *'"signatures"'*)
    holds="$(content "$1")"
    printf 'content\t%s\t%s\n' "$1" "$holds"
    # What a zpool whose making was cut wrote first, nothing knows for a signature.
    case "$holds" in zero|unreadable) ;; *) labels "$1" ;; esac ;;
  esac
}
printf 'lsblk\t'
lsblk -J -b -o NAME,KNAME,TYPE,SIZE,SERIAL,TRAN,RM,RO,MODEL,FSTYPE,UUID,MOUNTPOINTS 2>/dev/null | one
find /dev/disk/by-id -type l -printf 'link\t%f\t%l\n' 2>/dev/null
awk '$5 ~ "^/srv" || / - ([^ ]+ \/dev\/|zfs )/ {print "mount\t" $0}' /proc/self/mountinfo
awk 'NR > 1 {print "swap\t" $1}' /proc/swaps
for tool in mdadm btrfs mkfs.ext4 mkfs.xfs repquota xfs_quota; do
  command -v "$tool" >/dev/null && printf 'tool\t%s\n' "$tool"
done
for held in /sys/class/block/*/holders/*; do
  [ -e "$held" ] || continue
  device="${held%/holders/*}"; printf 'holder\t%s\t%s\n' "${device##*/}" "${held##*/}"
done
disks=' '
for id in @DISKS@; do
  found=
  case "$id" in
    serial:*)
      for disk in /sys/block/*; do
        disk="${disk##*/}"
        case "$disk" in loop*|ram*|zram*|md*|dm-*|sr*) continue ;; esac
        [ "$(serial "$disk")" != "${id#serial:}" ] || found="$found $disk"
      done ;;
    *) at="$(readlink -e "/dev/disk/by-id/$id")" && found="${at##*/}" ;;
  esac
  printf 'listed\t%s\t%s\n' "$id" "$found"
  for disk in $found; do case "$disks" in *" $disk "*) ;; *) disks="$disks$disk " ;; esac; done
done
for disk in $disks; do
  open=no; if exclusive "$disk" 2>/dev/null; then open=yes; fi
  sequence="$(cat "/sys/block/$disk/diskseq" 2>/dev/null)"
  printf 'disk\t%s\t%s\t%s\t%s\n' "$disk" "$sequence" "$open" "$(serial "$disk" | one)"
  look "$disk"
  for held in "/sys/block/$disk/holders"/dm-*; do
    case "$(cat "$held/dm/uuid" 2>/dev/null)" in CRYPT-LUKS*) ;; *) continue ;; esac
    held="${held##*/}"; open=no; if exclusive "$held" 2>/dev/null; then open=yes; fi
    printf 'mapped\t%s\t%s\t%s\t%s\t%s\n' "$disk" "$held" "$(one <"/sys/block/$held/dm/name")" \
      "$(one <"/sys/block/$held/dm/uuid")" "$open"
    look "$held"
  done
  for part in "/sys/block/$disk/$disk"*/partition; do
    [ -e "$part" ] || continue
    part="${part%/partition}"; look "${part##*/}"
  done
done
for md in /sys/block/md*/md; do
  [ -e "$md" ] || continue
  name="${md%/md}"; name="${name##*/}"; members=
  for member in "$md"/dev-*; do
    [ -e "$member" ] || continue
    members="$members ${member##*/dev-}"
    printf 'state\t%s\t%s\t%s\n' "$name" "${member##*/dev-}" "$(cat "$member/state" 2>/dev/null)"
  done
  printf 'array\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$name" "$(cat "$md/level")" "$(cat "$md/array_state")" \
    "$(cat "$md/raid_disks")" "$(cat "$md/degraded" 2>/dev/null)" "$(cat "$md/sync_action" 2>/dev/null)" "$members"
  case "$(cat "$md/array_state")" in clear|inactive) ;; *) look "$name"; inner "$name" 0 ;; esac
done
for at in /sys/fs/btrfs/*-*; do
  [ -d "$at/devices" ] || continue
  for device in "$at"/devices/*; do printf 'opened\t%s\t%s\n' "${at##*/}" "${device##*/}"; done
done
# By which device a btrfs was mounted stands in mountinfo also when that is no more; so one that lives is told.
findmnt -nro TARGET -t btrfs 2>/dev/null | while read -r at; do
  for device in "/sys/fs/btrfs/$(btrfs_of "$at")/devices"/*; do
    lives "$device" || continue
    printf 'alive\t%s\t%s\n' "$at" "${device##*/}"; break
  done
done
@ZFS@
for wait in /etc/systemd/system/dev-disk-by*.device.d/homelab.conf; do
  [ -f "$wait" ] && printf 'wait\t%s\t%s\n' "$(sha256sum <"$wait" | cut -c1-64)" "$wait"
done
for pool in @POOLS@; do
  at="/srv/$pool" kind=none flags='' names='' sentinel=''
  if [ -L "$at" ]; then kind="link"; elif [ -d "$at" ]; then kind=dir; elif [ -e "$at" ]; then kind="file"; fi
  if [ "$kind" = dir ]; then
    flags="$(lsattr -d "$at" 2>/dev/null | cut -d' ' -f1)"
    names="$(find "$at" -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null | head -n 500 | base64 -w0)"
    sentinel="$(head -c 200 "$at/@SENTINEL@" 2>/dev/null | one)"
  fi
  printf 'mountpoint\t%s\t%s\t%s\t%s\t%s\n' "$pool" "$kind" "$flags" "$names" "$sentinel"
  mountpoint -q "$at" 2>/dev/null || continue
  df -PB1 "$at" 2>/dev/null | awk -v pool="$pool" 'NR == 2 {print "usage\t" pool "\t" $2 "\t" $3}'
  case "$(stat -f -c %T "$at")" in
    btrfs)
      on="/sys/fs/btrfs/$(btrfs_of "$at")"
      for type in data metadata system; do
        for profile in "$on/allocation/$type"/*/; do
          [ -d "$profile" ] || continue
          # What holds nothing was left behind by the kernel and keeps no data.
          profile="${profile%/}"; [ "$(cat "$profile/total_bytes")" = 0 ] ||
            printf 'profile\t%s\t%s\t%s\n' "$pool" "$type" "${profile##*/}"
        done
      done
      for device in "$on"/devinfo/*/missing; do
        [ "$(cat "$device" 2>/dev/null)" != 1 ] || printf 'missing\t%s\n' "$pool"
      done
      for device in "$on"/devices/*; do lives "$device" || printf 'dropped\t%s\n' "$pool"; done
      btrfs qgroup show --raw -re "$at" 2>/dev/null | awk -v pool="$pool" '$1 ~ /^0\// {
        sub("0/", "", $1); print "limit\t" pool "\t" $1 "\t" $4}'
      ;;
    zfs) ;;
    *)
      repquota -Pnv "$at" 2>/dev/null | awk -v pool="$pool" '/^#/ {
        sub("#", "", $1); printf "limit\t%s\t%s\t%.0f\n", pool, $1, $5 * 1024}'
      ;;
  esac
done
for volume in @VOLUMES@; do
  at="/srv/$volume"
  if [ -L "$at" ]; then printf 'volume\t%s\tlink\n' "$volume"; continue; fi
  [ -e "$at" ] || continue
  printf 'volume\t%s\t%s\t%s\t%s\n' "$volume" "$(stat -c '%F|%U|%G|%a|%i' "$at")" "$(stat -f -c %T "$at")" \
    "$(case "$(stat -f -c %T "$at")" in
      btrfs) btrfs inspect-internal rootid "$at" 2>/dev/null ;;
      *) lsattr -dp "$at" 2>/dev/null | awk '{print $1}' ;;
    esac)"
done
for record in @RECORDS@/*; do
  [ -f "$record" ] && lines "record\t${record##*/}" "$record"
done
for array in @NOTES@/*; do
  [ -f "$array" ] && lines "kept\t${array##*/}" "$array"
done
[ -r @CONSENTS@ ] && lines consent @CONSENTS@
[ -r @PROJECTS@ ] && lines project @PROJECTS@
echo end
"""
)


def questions(nas: Nas, also: tuple[str, ...] = ()) -> Questions:
    """What the storage of a host is asked; it changes nothing, and sh, util-linux and perl-base answer it.

    `also` are ids of disks that no pool has.
    """
    ids = [nas.disks[disk].id for pool in nas.pools.values() for disk in pool.members]
    marks = {
        "@DISKS@": list(dict.fromkeys((*ids, *also))),
        "@POOLS@": list(nas.pools),
        "@VOLUMES@": [f"{volume.pool}/{name}" for name, volume in nas.volumes.items()],
    }
    text = _SCRIPT.replace("@ZFS@", zfs.ASK.strip() if zpools.wanted(nas) else "")
    for mark, values in marks.items():
        text = text.replace(mark, " ".join(shlex.quote(value) for value in values) or "''")
    for mark, word in (
        ("@START@", str(superblocks.MD_OFFSET + superblocks.MD_START)),
        ("@MD@", f"{superblocks.MD_OFFSET} {superblocks.MD_LENGTH}"),
        ("@BTRFS@", f"{superblocks.BTRFS_OFFSET} {superblocks.BTRFS_LENGTH}"),
        ("@LUKS@", str(superblocks.LUKS_LENGTH)),
        ("@LABEL@", str(zfs_label.LENGTH)),
        ("@PIECE@", str(zfs_label.START)),
        ("@TOLD@", str(zfs_label.TOLD // zfs_label.START)),
        ("@HEADERS@", mappings.HEADERS),
        ("@SENTINEL@", records.SENTINEL),
        ("@RECORDS@", records.FOLDER),
        ("@NOTES@", degraded.NOTES),
        ("@CONSENTS@", consent.USED),
        ("@PROJECTS@", records.PROJECTS),
    ):
        text = text.replace(mark, word)
    mirrors = any(pool.kind == "mdraid" for pool in nas.pools.values())
    datasets = [
        mounts.unit(f"{volume.pool}/{name}")
        for name, volume in nas.volumes.items()
        if volume.pool in nas.pools and nas.pools[volume.pool].kind == "zfs"
    ]
    keys = [path(pool) for pool in nas.pools for path in (mappings.key_path, mappings.former_key_path)]
    return branches.questions(nas) | Questions(
        paths=(
            *(f"{records.FOLDER}/{pool}" for pool in nas.pools),
            *(mounts.unit_path(pool) for pool in nas.pools),
            *((mdraid.CONF, *(file.path for file in degraded.FILES)) if mirrors else ()),
            *((file.path for file in zpools.FILES) if zpools.wanted(nas) else ()),
            *(f"{mounts.FOLDER}/{unit}" for unit in datasets),
            *keys,
        ),
        units=(*(mounts.unit(pool) for pool in nas.pools), *datasets),
        text=(crypttab.PATH, *((mdraid.CONF, mdraid.EMBEDDED) if mirrors else ())),
        packages=packages(nas),
        modules=(zfs.MODULE,) if zpools.wanted(nas) else (),
        commands=((NAME, text),),
    )


def packages(nas: Nas, probe: HostProbe | None = None) -> tuple[str, ...]:
    """What these pools need of Debian; without a probe, all that they may need."""
    kinds = {pool.kind for pool in nas.pools.values()}
    wanted = ["btrfs-progs"] if "btrfs" in kinds else []
    if "mdraid" in kinds:
        wanted += ["mdadm", "quota"]
        wanted += ["xfsprogs"] if any(pool.filesystem == "xfs" for pool in nas.pools.values()) else []
    if "snapraid" in kinds:
        wanted += snapraid.PACKAGES
        xfs = any(pool.filesystem == "xfs" for pool in nas.pools.values())
        wanted += ["xfsprogs"] if xfs and "xfsprogs" not in wanted else []
    if "zfs" in kinds:
        wanted += zfs.PACKAGES
    if any(pool.encryption for pool in nas.pools.values()):
        wanted += ["cryptsetup"]
        # From Debian 13 on systemd has what opens disks at boot in a package of its own.
        if probe is None or (probe.os_id != "ubuntu" and int(probe.os_version.partition(".")[0] or 0) >= 13):
            wanted += ["systemd-cryptsetup"]
    return tuple(wanted)
