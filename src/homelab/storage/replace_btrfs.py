"""Another disk in a btrfs: mounted where nobody else sees it while one is gone, and whole before it is served again."""

from __future__ import annotations

from collections.abc import Iterator

from homelab.model.problems import Problem
from homelab.storage import btrfs, guard, mounts
from homelab.storage.case import step
from homelab.storage.seen import BtrfsMember
from homelab.storage.situation import Situation
from homelab.storage.steps import Step

# A folder that root alone may enter: nobody writes here what would have one copy.
APART = "/run/homelab/replace"

_FUNCTIONS = r"""
job="homelab-replace-$name"
on() { printf '/sys/fs/btrfs/%s' "$uuid"; }
runs() { systemctl is-active --quiet "$job.service"; }
why() { journalctl -u "$job" -n 3 -o cat --no-pager 2>/dev/null | tr '\n' ' '; }
mine() { mountpoint -q "$there" && btrfs filesystem show --raw "$there" | grep -q "^Label:.* uuid: $uuid\$"; }
# The kernel tells what it was mounted without, and btrfs whose device has gone since; but not that of an open LUKS
# whose disk has gone, which stays.
lost() {
  for each in "$(on)"/devinfo/*; do
    [ "$(cat "$each/missing" 2>/dev/null || :)" != 1 ] || echo "${each##*/}"
  done
  btrfs filesystem show --raw "$there" | awk '$1 == "devid" {print $2, $NF}' | while read -r id at; do
    case "$at" in MISSING | missing) echo "$id"; continue ;; esac
    each="$(readlink --canonicalize "$at" || :)"
    case "$each" in */dm-*) lives "/sys/class/block/${each##*/}" || echo "$id" ;; esac
  done
}
dropped() { for each in "$(on)"/devices/*; do lives "$each" || echo "${each##*/}"; done; }
# By which number the filesystem knows the new disk; 0 while it is being written.
number() { btrfs filesystem show --raw "$there" | awk -v path="/dev/$new" '$1 == "devid" && $NF == path {print $2}'; }
# Kinds of chunks that hold something, and as what: "data raid1".
kept() {
  for type in data metadata system mixed; do
    for profile in "$(on)/allocation/$type"/*/; do
      [ -d "$profile" ] || continue
      profile="${profile%/}"
      [ "$(cat "$profile/total_bytes")" = 0 ] || echo "$type ${profile##*/}"
    done
  done
}
strays() { kept | grep -vxE "$good" || kept | cut -d' ' -f1 | uniq -d | grep . ; }
mine || stop "$there is not $name; run the same command again"
"""
_POLL = r"""
said="$(btrfs replace status -1 "$there" 2>/dev/null || :)"
case "$(number)" in [1-9]*) runs || { echo 'done'; exit; } ;; esac
case "$said" in
  *'% done'*) echo "run ${said%%% done*} %" ;;
  *) if runs; then echo 'run begins'; else echo "failed $said $(why)"; fi ;;
esac
"""
_SCRUB = r"""
# In its first seconds a scrub that runs has no status, only an end that is reckoned; and where none ever ran, there are
# no errors either.
look() {
  said="$(btrfs scrub status "$there")"
  case "$said" in
    *'Status:'*running* | *'ETA:'*) found=runs ;;
    *'Status:'*finished*'no errors found'*) found=clean ;;
    *) found='' ;;
  esac
}
# When it was begun; 0 of one that was resumed, which has not read all since then.
begun() {
  at="$(printf '%s\n' "$said" | sed -n 's/^Scrub started: *//p')"
  if [ -n "$at" ]; then date -d "$at" +%s; else echo 0; fi
}
look
"""
_SCRUB_BEGIN = r"""
[ "$found" = runs ] || {
  btrfs scrub start "$there" >/dev/null || stop "it cannot be read through"
  for _ in 1 2 3 4 5 6 7 8 9 10; do look; [ -z "$found" ] || break; sleep 1; done
}
"""
_SCRUB_POLL = r"""
case "$found" in
  runs) echo "run $(printf '%s' "$said" | sed -n 's/^Bytes scrubbed: *//p')" ;;
  clean) echo 'done' ;;
  *) echo "failed $(printf '%s' "$said" | sed -n 's/^\(Status\|Error summary\): */ /p' | tr '\n' ' ')" ;;
esac
"""


def problems(it: Situation) -> Iterator[Problem]:
    """Why a btrfs cannot have another disk now."""
    case = it.case
    at = case.seen.mountpoints.get(case.name)
    if (
        it.old is None
        and not it.joined
        and _mounted(it, mounts.path(case.name))
        and at is not None
        and not at.missing + at.dropped
    ):
        serial = it.record.serials.get(it.wish.disk, "")
        found = f"lacks no disk, and {case.ids[it.wish.disk]} is none of it"
        remedy = f"correct the id of {it.wish.disk}, whose serial was {serial or 'not noted'}"
        yield Problem(case.place, found, remedy)


def steps(it: Situation, last: tuple[Step, ...], *, finished: bool) -> Iterator[Step]:
    """From the filesystem as it is to one whole and mirrored as its level says; after `last` it is read through."""
    case = it.case
    name, home, apart = case.name, mounts.path(case.name), f"{APART}/{case.name}"
    member = it.new.btrfs
    whole = member is not None and it.joined and member.devid != 0 and it.old is None
    subject = f"pool {name}"
    if finished and whole and _mounted(it, home):
        yield Step("noop", subject, f"{it.says} has taken the place of {it.wish.disk} in {name}")
        yield from _scrubbed(it, home, again=True)
        return
    at = home if _mounted(it, home) else apart
    if at == apart and not _mounted(it, apart):
        without = f" without {it.wish.disk}" if it.old is None and not whole else ""
        says = f"mount {name}{without} at {apart}, where nobody else writes to it"
        yield step("config", case, says, _apart(it, degraded=bool(without)))
    if not whole:
        if not it.joined:
            says = f"copy {it.wish.disk} to {it.says}" if it.old else f"build {it.says} in the place of {it.wish.disk}"
            yield step(it.kind, case, f"{says} in {name}", _begin(it, at), it.words)
        says = f"wait until {it.says} is written"
        yield Step("config", subject, says, poll=_script(it, at) + _POLL, patience=it.deadline())
    says = f"keep all of {name} as {case.pool.level} again, use all of the new disk, and see that {name} is whole"
    yield Step("config", subject, says, _end(it, at), timeout=it.deadline())
    if at == apart:
        yield step("config", case, f"mount {name} at {home} again", _home(it, apart))
    yield from last
    yield from _scrubbed(it, home, again=False)


def _mounted(it: Situation, at: str) -> bool:
    sources = {device.path for disk in (*it.case.disks.values(), it.new) for device in disk.devices if device.btrfs}
    mount = it.case.seen.mounted(at)
    return mount is not None and mount.source in sources


def _script(it: Situation, at: str) -> str:
    level = it.case.level
    kinds = [f"data ({'|'.join(level.data)})", f"(metadata|system) ({'|'.join(level.metadata)})"]
    return (
        guard.head()
        + f"name={it.case.name} uuid={it.record.uuid} there={at} new={it.new.name} good='{'|'.join(kinds)}'\n"
        + btrfs.LIVES.lstrip()
        + _FUNCTIONS.strip()
        + "\n"
    )


def _apart(it: Situation, *, degraded: bool) -> str:
    at = f"{APART}/{it.case.name}"
    first = (
        next(device.path for disk in it.others.values() if (device := it.case.carrier(disk)) is not None)
        if it.others
        else f"/dev/{it.old}"
    )
    options = "noatime,subvolid=5" + (",degraded" if degraded else "")
    return (
        guard.head()
        # Before it is mounted: names of the kernel change, and a mount that may lack a disk is written to at once.
        + f'only {first.removeprefix("/dev/")} {it.record.uuid} || stop "{first} is no disk of {it.case.name}"\n'
        + f"btrfs device scan >/dev/null\nmkdir -p {APART}; chmod 0700 {APART}; mkdir -p {at}\n"
        + f"mount -t btrfs -o {options} {first} {at} || stop '{it.case.name} cannot be mounted; look at dmesg'\n"
        + f'[ "$(findmnt -fnro UUID {at})" = {it.record.uuid} ] || {{ umount {at}; '
        + f'stop "{first} is no disk of {it.case.name}"; }}\n'
    )


def _begin(it: Situation, at: str) -> str:
    carrier = it.case.carrier(it.case.disks[it.wish.disk]) if it.old else None
    leaving = carrier.btrfs.devid if carrier is not None and isinstance(carrier.btrfs, BtrfsMember) else None
    number = str(leaving) if leaving is not None else '"$(lost | sort -n | head -n 1)"'
    return (
        _script(it, at)
        + it.guarded
        + f'gone={number}\n[ -n "$gone" ] || stop "no disk of $name is missing"\n'
        # Of a disk that fails only what no other has is read. The job outlives this login.
        + 'systemctl reset-failed "$job.service" 2>/dev/null || :\n'
        + 'systemd-run --quiet --collect --unit="$job" btrfs replace start -B -r "$gone" "/dev/$new" "$there" || '
        + 'stop "$name: the replacement cannot begin; look at dmesg"\n'
        + "sleep 5\n"
        + 'case "$(number)" in ?*) ;; *) runs || stop "$name: the replacement did not begin: $(why)" ;; esac\n'
    )


def _end(it: Situation, at: str) -> str:
    convert = btrfs.convert(it.case.level, len(it.case.pool.disks), '"$there"')
    return (
        _script(it, at)
        # One that a reboot has cut goes on by itself.
        + 'while btrfs balance status "$there" | grep -q "is running"; do sleep 5; done\n'
        + f'[ -z "$(strays)" ] || {convert} >/dev/null || stop "$name cannot be converted; look at dmesg"\n'
        + "[ -z \"$(strays)\" ] || stop \"not all of $name is as it should be: $(kept | tr '\\n' ' ')\"\n"
        + 'btrfs filesystem resize "$(number):max" "$there" >/dev/null\n'
        + '[ -z "$(lost)$(dropped)" ] || stop "$name still lacks the disk $(lost) $(dropped)"\n'
        + f'[ "$(btrfs filesystem show --raw "$there" | grep -c "devid ")" = {len(it.case.pool.disks)} ] || '
        + 'stop "$name has another number of disks than listed"\n'
        + 'sync -f "$there"\n'
    )


def _home(it: Situation, apart: str) -> str:
    leave = f"umount {apart} || stop '{apart} is in use; fuser -vm {apart} tells by whom'\nrmdir {apart}\n"
    return guard.head() + leave + mounts.mounted(it.record)


def _scrubbed(it: Situation, home: str, *, again: bool) -> Iterator[Step]:
    script = _script(it, home) + _SCRUB.lstrip()
    # The record was written when the replacement was through: what was read before that is not all that is there now.
    since = f'[ "$found" = clean ] && [ "$(begun)" -ge "$(stat -c %Y {it.record.file.path})" ] || \\\n'
    command = script + (since if again else "") + _SCRUB_BEGIN.lstrip()
    poll = script + _SCRUB_POLL.lstrip()
    says = f"read all of {it.case.name} once"
    yield Step("config", f"pool {it.case.name}", says, command, poll=poll, patience=it.deadline() * 2)
