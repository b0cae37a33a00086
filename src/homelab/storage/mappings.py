"""Encrypted disks in shell: how LUKS is made, opened, given another key, and its headers kept.

A key is in a file of its host alone, which cryptsetup reads by itself: it is in no command line and no environment.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from homelab.storage import guard
from homelab.storage.records import Record
from homelab.storage.seen import DiskSeen, Opened

KEYS = "/etc/homelab/luks"
# Copies of the disks' headers, by UUID.
HEADERS = "/var/lib/homelab/luks"
# cryptsetup would take up to 1 GiB where there is that much, and then a small machine in its place opens nothing.
_PBKDF = "--pbkdf argon2id --pbkdf-memory 262144"

_FUNCTIONS = r"""
# Where an open one is: by its UUID, which stays with the disk whatever it is called and wherever it is put.
clear_at() { printf '/dev/mapper/luks-%s' "$1"; }
slotless() { head -c 65536 "/dev/$1" | tail -c +4097 | grep -aq '"keyslots":{}'; }
opens() { cryptsetup open --test-passphrase --type luks2 --key-file "$2" "/dev/$1" </dev/null 2>/dev/null; }
# NAME UUID
encrypt() {
  # Sectors of 4 KiB, whatever the disk has: a later one in its place may have others.
  cryptsetup luksFormat --type luks2 --uuid "$2" --label "homelab-$pool" --sector-size 4096 @PBKDF@ \
    --key-file "$key" "/dev/$1" </dev/null || stop "/dev/$1 cannot be encrypted"
  settle
}
# NAME UUID: open it as systemd does at boot, and tell systemd that it is open.
unlock() {
  if [ ! -e "$(clear_at "$2")" ]; then
    cryptsetup open --type luks2 --key-file "$key" "/dev/$1" "luks-$2" </dev/null ||
      [ -e "$(clear_at "$2")" ] || stop "the key of $pool does not open /dev/$1"
  fi
  settle
  # A disk that went and came back has another name, and what was open of it stays and cannot be read.
  mapped "mapper/luks-$2" "$2" "$1"
  unit="$(systemd-escape --template=systemd-cryptsetup@.service "luks-$2")"
  systemctl reset-failed "$unit" 2>/dev/null || :
  systemctl start "$unit" || stop "/dev/$1 is open, and $unit does not start"
}
# NAME UUID: keep a copy of its header, once the key has opened it.
copy() {
  mkdir -p @HEADERS@; chmod 0700 @HEADERS@
  rm -f "@HEADERS@/.$2.new"
  cryptsetup luksHeaderBackup "/dev/$1" --header-backup-file "@HEADERS@/.$2.new" </dev/null ||
    stop "the header of /dev/$1 cannot be copied"
  chmod 0600 "@HEADERS@/.$2.new"; sync "@HEADERS@/.$2.new"
  mv -fT "@HEADERS@/.$2.new" "@HEADERS@/$2"; sync @HEADERS@
}
# NAME UUID: the same of one that changed. What is damaged, or the key does not open, replaces no earlier copy.
keep() {
  opens "$1" "$key" ||
    stop "the key of $pool does not open /dev/$1 any more; if it was changed by hand, write it in the inventory"
  copy "$1" "$2"
}
""".replace("@HEADERS@", HEADERS).replace("@PBKDF@", _PBKDF)

_FORGET = r"""
# Not where they cannot be compared: of one and the same key the last place on a disk would be taken, and all with it.
differs() { cmp -s "$1" "$2" && return 1; [ $? = 1 ]; }
# Take the former key from all disks, which the one that is in force opens.
forget() {
  [ -s "$former" ] && [ -s "$key" ] || return 0
  for disk in $disks; do
    opens "$disk" "$key" || stop "/dev/$disk does not open by its key"
    if differs "$key" "$former" && opens "$disk" "$former"; then
      cryptsetup luksRemoveKey "/dev/$disk" "$former" </dev/null || stop "/dev/$disk keeps its former key"
    fi
  done
  rm -f "$former"; sync @KEYS@
}
""".replace("@KEYS@", KEYS)


def key_path(pool: str) -> str:
    """Where a host has the key of a pool."""
    return f"{KEYS}/{pool}.key"


def former_key_path(pool: str) -> str:
    """Where the former key is while it is being changed."""
    return f"{KEYS}/.{pool}.former"


def header_path(uuid: str) -> str:
    """Where the copy of a disk's header is."""
    return f"{HEADERS}/{uuid}"


def head(pool: str, record: Record | None = None) -> str:
    """What such a script begins with."""
    text = guard.head(record)
    if record is None:
        text += f"pool={shlex.quote(pool)}\n"
    return f"{text}umask 077\n{_FUNCTIONS.strip()}\nkey={shlex.quote(key_path(pool))}\n"


def made(
    record: Record,
    ids: Mapping[str, str],
    wanted: Mapping[str, Opened],
    half: Iterable[str],
    clearing: str,
) -> str:
    """Put LUKS on disks that are blank, cleared by `clearing`, or `half` made by a run that was cut, and open it.

    What then lies in the clear is noise until it is cleared, which is done here and now, as nobody can have used it.
    """
    guarded, encrypted = _encrypted(ids, wanted, set(half))
    return head(record.pool, record) + guarded + "note making\n" + clearing + encrypted


def joining(
    pool: str,
    ids: Mapping[str, str],
    wanted: Mapping[str, Opened],
    half: Iterable[str],
    clearing: str,
    others: Iterable[Opened],
) -> str:
    """The same for a disk that joins a pool which is there, by the key that opens the `others`."""
    guarded, encrypted = _encrypted(ids, wanted, set(half))
    proofs = "".join(
        f'opens {each.disk.name} "$key" || stop "the key of $pool does not open /dev/{each.disk.name}"\n'
        for each in others
        if each.disk
    )
    return head(pool) + proofs + guarded + clearing + encrypted


def _encrypted(ids: Mapping[str, str], wanted: Mapping[str, Opened], half: set[str]) -> tuple[str, str]:
    """What proves that disks may be encrypted, and what does it."""
    lines = []
    new = {name: each for name, each in wanted.items() if each.disk is not None and each.disk.opened is None}
    for name, each in wanted.items():
        disk = each.disk
        assert disk is not None
        if name not in new:
            lines.append(guard.same(ids[name], each) + f"idle {each.name}\nunsigned {each.name} || {_strange(each)}\n")
        elif name in half:
            lines.append(guard.same(ids[name], disk) + f"idle {disk.name}\n")
            lines.append(f"only {disk.name} {each.uuid} || {_strange(disk)}\n")
            lines.append(f"slotless {disk.name} || {_strange(disk)}\n")
        else:
            lines.append(guard.untouched(ids[name], disk))
    guarded, lines = "".join(lines), []
    lines += [f"clear {each.disk.name}\n" for name, each in new.items() if name in half and each.disk]
    for each in new.values():
        assert each.disk is not None
        lines.append(f"idle {each.disk.name}; blank {each.disk.name}; encrypt {each.disk.name} {each.uuid}\n")
    for each in new.values():
        assert each.disk is not None
        lines.append(f"unlock {each.disk.name} {each.uuid}\n")
    lines += [f"clear {each.name}\n" for each in wanted.values()]
    lines += [f"copy {each.disk.name} {each.uuid}\n" for each in new.values() if each.disk]
    return guarded, "".join(lines)


def _strange(disk: DiskSeen) -> str:
    return f"stop '/dev/{disk.name} holds something else than was seen'"


def opened(record: Record, ids: Mapping[str, str], locked: Mapping[str, Opened]) -> str:
    """Open disks of a pool that is there, and see that they carry it; of one half made, open them and no more."""
    lines = []
    for name, each in locked.items():
        disk = each.disk
        assert disk is not None
        lines.append(guard.same(ids[name], disk) + f"only {disk.name} {each.uuid} || {_strange(disk)}\n")
    lines += [f"unlock {each.disk.name} {each.uuid}\n" for each in locked.values() if each.disk]
    if record.state != "made":
        lines.append(f"stop 'the making of {record.pool} was cut, and its disks are open now'\n")
    else:
        proof = "member" if record.kind == "mdraid" else "only"
        lines += [f"{proof} {each.name} {record.uuid} || {_strange(each)}\n" for each in locked.values()]
    return head(record.pool) + "".join(lines)


def kept(pool: str, ids: Mapping[str, str], disks: Mapping[str, tuple[DiskSeen, str]]) -> str:
    """Keep copies of headers that are new or were changed. `disks` are they, and the UUIDs of their headers."""
    lines = [
        guard.same(ids[name], disk) + f"only {disk.name} {uuid} || {_strange(disk)}\n" + f"keep {disk.name} {uuid}\n"
        for name, (disk, uuid) in disks.items()
    ]
    return head(pool) + "".join(lines)


def keyed(pool: str, ids: Mapping[str, str], disks: Mapping[str, tuple[DiskSeen, str]]) -> str:
    """Take the key from standard input, if it opens all of `disks`, or if the one that the host has still does.

    Then it is added to each, the host's file is replaced, and last the former one is removed: cut anywhere, the file
    that the host has opens every disk.
    """
    names = " ".join(disk.name for disk, _ in disks.values())
    same = "".join(
        guard.same(ids[name], disk) + f"only {disk.name} {uuid} || {_strange(disk)}\n"
        for name, (disk, uuid) in disks.items()
    )
    copy = "".join(f"copy {disk.name} {uuid}\n" for disk, uuid in disks.values())
    return f"""\
{head(pool)}new={shlex.quote(f"{KEYS}/.{pool}.new")} former={shlex.quote(former_key_path(pool))}
disks={shlex.quote(names)}
(umask 022; mkdir -p {KEYS}); chmod 0700 {KEYS}
trap 'rm -f "$new"' EXIT
rm -f "$new"; tr -d '\\n' >"$new"
[ -s "$new" ] || stop 'no key came'
{same}{_FORGET.strip()}
forget
closed=
for disk in $disks; do opens "$disk" "$new" || closed="$closed $disk"; done
for disk in $closed; do
  if ! opens "$disk" "$key"; then
    stop "the key that the inventory names for $pool does not open /dev/$disk; nothing was changed"
  fi
done
for disk in $closed; do
  cryptsetup luksAddKey {_PBKDF} --key-file "$key" "/dev/$disk" "$new" </dev/null ||
    stop "/dev/$disk takes no further key"
  opens "$disk" "$new" || stop "/dev/$disk does not open by its new key"
done
if [ -s "$key" ] && differs "$key" "$new"; then
  cp -fT "$key" "$former.new"; sync "$former.new"; mv -fT "$former.new" "$former"; sync {KEYS}
fi
chown root:root "$new"; chmod 0600 "$new"; sync "$new"; mv -fT "$new" "$key"; sync {KEYS}
forget
{copy}"""
