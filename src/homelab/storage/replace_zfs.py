"""Another disk in a zpool: beside one that still works, else in the place of one that does not, then all is read."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from homelab.model.problems import Problem
from homelab.storage import guard, zfs, zpools
from homelab.storage.case import step
from homelab.storage.seen import ZfsMember, Zpool
from homelab.storage.situation import Situation
from homelab.storage.steps import Step

_FUNCTIONS = r"""
said() { zpool status -g "$name"; }
# The devices of the pool: guid and state each.
devices() { said | awk '$1 ~ /^[0-9]+$/ && NF > 1 {print $1, $2}'; }
state() { [ -z "$1" ] || devices | awk -v guid="$1" '$1 == guid {print $2; exit}'; }
scan() { said | sed -n '/^ *scan:/,/^config:/p' | tr '\n' ' '; }
# The device that is on the new disk, by the labels that the pool wrote there.
coming() {
  for part in "$new" $(parts "$new"); do
    [ "$(blkid -p -o value -s UUID "/dev/$part" </dev/null 2>/dev/null)" = "$uuid" ] || continue
    zdb -l "/dev/$part" 2>/dev/null | sed -n 's/^ \{1,4\}guid: //p' | head -n 1
    return
  done
}
[ "$(zpool get -Hpo value guid "$name" 2>/dev/null)" = "$uuid" ] || stop "the zpool $name is not there, or another one"
"""
_POLL = r"""
guid="$(coming)"
case "$(scan)" in
  *'resilver in progress'*) echo "run $(scan | sed -n 's/.* \([0-9.]*% done\).*/\1/p')"; exit ;;
esac
case "$(state "$guid")" in
  ONLINE) [ -z "$(state "$gone")" ] && echo 'done' || echo 'run ends' ;;
  '') echo "failed /dev/$new is not in the pool; look at zpool status $name" ;;
  *) echo "failed /dev/$new is $(state "$guid"); look at zpool status $name" ;;
esac
"""
_SCRUB_POLL = r"""
case "$(scan)" in
  *'scrub in progress'*) echo "run $(scan | sed -n 's/.* \([0-9.]*% done\).*/\1/p')" ;;
  *'scrub repaired'*' with 0 errors'*) echo 'done' ;;
  *) echo "failed $(scan)" ;;
esac
"""


def problems(it: Situation) -> Iterator[Problem]:
    """Why a zpool cannot have another disk now."""
    case, runs = it.case, _runs(it)
    if runs is None:
        if it.old is not None:
            found = "is not imported, so how its disks are cannot be told"
            yield Problem(case.place, found, f"run `{case.deploy('nas')}` first, which imports it")
        elif (newest := case.newest) is not None and (stale := zfs.stale(case, newest)) is not None:
            yield stale
        return
    if it.joined:
        return
    if runs.busy:
        found = "one of its disks is being written"
        yield Problem(case.place, found, f"wait until that is over (`zpool status {case.name}`)")
    members = {name: each.device for name, each in case.members.items() if isinstance(each, ZfsMember)}
    lagging = [name for name in it.others if name in members and members[name] not in runs.working]
    if it.old is not None and members.get(it.wish.disk) in runs.working and lagging:
        yield Problem(case.place, f"{' and '.join(lagging)} is not up to date", "replace or mend that first")
    if it.old is None and not _leaving(it):
        serial = it.record.serials.get(it.wish.disk, "")
        found = f"lacks no disk, and {case.ids[it.wish.disk]} is none of it"
        remedy = f"correct the id of {it.wish.disk}, whose serial was {serial or 'not noted'}"
        yield Problem(case.place, found, remedy)


def steps(it: Situation, last: tuple[Step, ...], *, finished: bool) -> Iterator[Step]:
    """From the zpool as it is to one that is whole; after `last` it is read through."""
    case, runs = it.case, _runs(it)
    name, subject = case.name, f"pool {case.name}"
    in_place = runs is not None and _coming(it) in runs.working and not runs.busy and not _leaving(it)
    if finished and in_place:
        yield Step("noop", subject, f"{it.says} has taken the place of {it.wish.disk} in {name}")
        yield from _scrubbed(it, again=True)
        return
    if runs is None:
        yield step("config", case, f"import {name} without {it.wish.disk}", zfs.start(it.record, it.others))
    if not in_place:
        if not it.joined:
            how = f"beside {it.wish.disk}" if it.old else f"in the place of {it.wish.disk}"
            yield step(it.kind, case, f"build {it.says} {how} in {name}", _begin(it), it.words)
        says = f"wait until {it.says} is built"
        yield Step("config", subject, says, poll=_script(it) + _POLL, patience=it.deadline())
    yield step("config", case, f"see that {name} is whole", _end(it))
    yield from last
    yield from _scrubbed(it, again=False)


def _runs(it: Situation) -> Zpool | None:
    return it.case.seen.zpools.get(it.record.uuid)


def _coming(it: Situation) -> str:
    """The guid of the new disk in the pool; "" where it is in none."""
    carrier = it.case.carrier(it.new)
    member = it.case.member(carrier) if carrier is not None and it.joined else None
    return member.device if isinstance(member, ZfsMember) else ""


def _leaving(it: Situation) -> str:
    """The guid of the device that goes: that of the disk, or of what the pool lacks; "" where it lacks nothing."""
    case, newest = it.case, it.case.newest
    if newest is None:
        return ""
    member = case.members.get(it.wish.disk)
    if isinstance(member, ZfsMember):
        return member.device
    there = {each.device for each in case.members.values() if isinstance(each, ZfsMember)}
    runs = _runs(it)
    # One that works is the pool's, whichever disk the inventory lists.
    there |= {_coming(it), *(runs.working if runs is not None else ())}
    lacks = {guid: path for guid, path in newest.leaves if guid not in there}
    # Which of several dead ones it was, the name that the pool knew it by tells; else one is as good as another.
    serial = it.record.serials.get(it.wish.disk) or it.case.ids[it.wish.disk]
    named = (guid for guid, path in lacks.items() if serial in path or it.case.ids[it.wish.disk] in path)
    return next(named, "") or min(lacks, default="")


def _script(it: Situation) -> str:
    gone = _leaving(it)
    return (
        guard.head()
        + zfs.FUNCTIONS.lstrip()
        + f"name={it.case.name} uuid={it.record.uuid} new={shlex.quote(it.new.name)} gone='{gone}'\n"
        + _FUNCTIONS.strip()
        + "\n"
    )


def _begin(it: Situation) -> str:
    return (
        _script(it)
        + '[ -n "$gone" ] || stop "no disk of $name is missing"\n'
        + it.guarded
        + f'at={shlex.quote(f"/dev/disk/by-id/{it.wish.new}")}\n[ -e "$at" ] || at="$(stays "$new")"\n'
        + 'zpool replace "$name" "$gone" "$at" </dev/null || stop "$at cannot take a place in $name"\n'
        + "settle\n"
    )


def _end(it: Situation) -> str:
    count = len(it.case.pool.disks)
    return (
        _script(it)
        + '[ "$(zpool list -Hpo health "$name")" = ONLINE ] || '
        + 'stop "$name is $(zpool list -Hpo health "$name"); look at zpool status $name"\n'
        + '[ -z "$gone" ] || [ -z "$(state "$gone")" ] || stop "$gone is still in $name"\n'
        # Its group of disks is a line too.
        + f'[ "$(devices | wc -l)" = {count + 1} ] || stop "$name has another number of disks than listed"\n'
        + f"[ ! -x {zpools.SCRIPT} ] || {zpools.SCRIPT} --note {it.case.name} || :\n"
    )


def _scrubbed(it: Situation, *, again: bool) -> Iterator[Step]:
    script = _script(it)
    begin = 'zpool scrub "$name" || stop "it cannot be read through"\n'
    unless = "*'scrub in progress'*" + ("|*'scrub repaired'*' with 0 errors'*" if again else "")
    command = f'case "$(scan)" in {unless}) ;; *) {begin.strip()} ;; esac\n'
    says = f"read all of {it.case.name} once"
    yield Step(
        "config", f"pool {it.case.name}", says, script + command, poll=script + _SCRUB_POLL, patience=it.deadline() * 2
    )
