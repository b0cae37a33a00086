# shellcheck shell=sh
# What the scripts beside this share; they source it. HOMELAB_ROOT and HOMELAB_PATH are for tests.
set -u
export LC_ALL=C PATH="${HOMELAB_PATH:-}${HOMELAB_PATH:+:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
umask 022
root=${HOMELAB_ROOT:-}
# The scripts that source this use these.
# shellcheck disable=SC2034
etc=$root/etc/homelab srv=$root/srv
var=$root/var/lib/homelab
host=$(uname -n)
host=${host%%.*}

say() { printf '%s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# setting FILE KEY: the value of a key=value line, "" when there is none.
setting() { [ ! -r "$1" ] || sed -n "s/^$2=//p" "$1" | head -n 1; }

# pool_ready POOL: whether it is mounted and, by its sentinel, the filesystem that is meant; else `why` says what is not.
# shellcheck disable=SC2034
pool_ready() {
  # It still stands among the mounts, and yet mountpoint takes an XFS like that for none.
  case $(cat "$srv/$1/.homelab-pool" 2>&1) in
    *"Input/output error")
      why="$srv/$1 cannot be read, its filesystem has given up after an error; see 'journalctl -k'"
      return 1
      ;;
    *"endpoint is not connected")
      why="$srv/$1 cannot be read, the mergerfs that joined its disks has died; run the deploy, which starts it"
      return 1
      ;;
  esac
  if ! mountpoint -q "$srv/$1"; then
    why="$srv/$1 is not mounted"
    return 1
  fi
  if [ ! -f "$srv/$1/.homelab-pool" ]; then
    why="$srv/$1 has no .homelab-pool, so another filesystem is mounted there"
    return 1
  fi
  read -r is_pool is_uuid <"$srv/$1/.homelab-pool" || :
  if [ "${is_pool:-}" != "$1" ]; then
    why="$srv/$1/.homelab-pool names ${is_pool:-nothing}, so another filesystem is mounted there"
    return 1
  fi
  if [ -e "$var/pools/$1" ] && ! { [ -n "${is_uuid:-}" ] && grep -qF -- "$is_uuid" "$var/pools/$1"; }; then
    why="$srv/$1/.homelab-pool has another UUID than $var/pools/$1"
    return 1
  fi
}

# is_subvolume PATH: the root of a btrfs subvolume always has this inode.
is_subvolume() { [ -d "$1" ] && [ ! -L "$1" ] && [ "$(stat -c %i "$1")" = 256 ] && [ "$(stat -f -c %T "$1")" = btrfs ]; }

# is_snapshot PATH: a subvolume that nobody can write to.
is_snapshot() { is_subvolume "$1" && [ "$(btrfs property get -ts "$1" ro 2>/dev/null)" = ro=true ]; }

# on_zfs POOL: whether it is a pool of ZFS, by its record or, without one, by what is mounted.
on_zfs() { [ "$(setting "$var/pools/$1" kind)" = zfs ] || [ "$(stat -f -c %T "$srv/$1" 2>/dev/null)" = zfs ]; }

# dataset_at PATH: the dataset that is mounted there, "" when none is: where it is not, its pool's own folder stands bare.
dataset_at() {
  awk -v at="$1" '$5 == at {found = $(NF - 2) == "zfs" ? $(NF - 1) : ""} END {print found}' "$root/proc/self/mountinfo"
}

# backup_lock NAME: the file by which a backup's runs wait for each other, and for all others to its repository.
backup_lock() { printf '%s\n' "$var/backup/$(printf %s "$(setting "$etc/backup/$1" repository)" | sha256sum | cut -c-16).lock"; }

# frozen_by NAME: what a backup has frozen and not let go, as one that was killed; of ZFS what tells so by its mark.
frozen_by() {
  awk -v srv="$srv/" '$(NF - 2) == "btrfs" && index($5, srv) == 1 {print $5}' "$root/proc/self/mountinfo" 2>/dev/null |
    while read -r at; do
      for each in "$at/.snapshots/.backup-$1"/*; do
        ! is_snapshot "$each" || printf '%s\n' "$each"
      done
    done
  for each in "$root"/proc/spl/kstat/zfs/*/state; do
    # A pool that has given up answers nobody.
    case $(cat "$each" 2>/dev/null) in '' | SUSPENDED) continue ;; esac
    each=${each%/state}
    timeout 60 zfs list -H -o name -t snapshot -r "${each##*/}" | grep -- "@homelab-backup-$1\$" | while read -r at; do
      [ "$(zfs get -H -o value,source homelab:backup "$at" | tr '\t' ' ')" != "yes local" ] || printf '%s\n' "$at"
    done
  done
}

# let_go NAME: delete that and what a restore test had laid down, and nothing else; under the backup's lock, or it would be
# taken from under a run.
let_go() {
  rm -rf "$var/backup/$1.scratch"
  frozen_by "$1" | while read -r each; do
    case $each in
      /*) btrfs -q subvolume delete "$each" >/dev/null ;;
      *) zfs destroy "$each" ;;
    esac
  done
}

# replace FILE: its new content from standard input, in one step.
replace() {
  mkdir -p "${1%/*}" && new=$(mktemp "${1%/*}/.homelab.XXXXXX") || return
  if cat >"$new" && chmod 0644 "$new" && mv -fT "$new" "$1"; then return; fi
  rm -f "$new"
  return 1
}

# disk_device ID: the device of a disk as the inventory names it, "" when it is not there. Serial numbers have blanks.
disk_device() {
  case $1 in
    serial:*)
      lsblk -dnP -o NAME,SERIAL 2>/dev/null | while IFS='"' read -r _ disk _ number _; do
        number=$(printf %s "$number" | sed 's/^ *//; s/ *$//')
        [ -n "$number" ] || number=$(tr -d '\000' 2>/dev/null <"$root/sys/block/$disk/serial")
        [ "$number" != "${1#serial:}" ] || echo "/dev/$disk"
      done | head -n 1
      ;;
    *) [ ! -e "/dev/disk/by-id/$1" ] || readlink -f "/dev/disk/by-id/$1" ;;
  esac
}

# past SECONDS: it, or 0 when that is still to come: the clock was wrong then, and nothing would be due for years.
past() { if [ "${1:-0}" -le $(($(date +%s) + 86400)) ]; then echo "${1:-0}"; else echo 0; fi; }

# status JOB NAME ok|failed|nothing MESSAGE [KEY=NUMBER...]: when it ran and how, for the watch and its metrics.
# `nothing`: there was nothing to do it with, which is no trouble, and no proof of anything either.
status() {
  job=$1 what=$2 result=$3 message=$(printf %s "$4" | tr '\n\t' '  ')
  shift 4
  now=$(date +%s)
  good=$(setting "$var/status/$job-$what" good)
  [ "$result" != ok ] || good=$now
  {
    printf 'time=%s\nresult=%s\ngood=%s\nmessage=%s\n' "$now" "$result" "${good:-0}" "$message"
    [ $# = 0 ] || printf '%s\n' "$@"
  } | replace "$var/status/$job-$what"
}
