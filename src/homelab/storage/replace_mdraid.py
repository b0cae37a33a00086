"""Another disk in an array of md: side by side with one that still works, else in the place of one that does not."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from homelab.model.problems import Problem
from homelab.storage import degraded, guard, mdraid
from homelab.storage.case import step
from homelab.storage.situation import Situation
from homelab.storage.steps import Step

_FUNCTIONS = r"""
sys="/sys/block/$md/md"
state() { [ -z "$1" ] || cat "$sys/dev-$1/state" 2>/dev/null || :; }
has() { case ",$1," in *",$2,"*) return 0 ;; *) return 1 ;; esac; }
# Nobody may build another disk just now; a check can wait, and mdcheck takes it up again.
quiet() {
  case "$(cat "$sys/sync_action")" in
    idle) ;;
    check) echo idle >"$sys/sync_action" ;;
    *) stop "/dev/$md is busy ($(cat "$sys/sync_action")); wait until /proc/mdstat shows that it is over" ;;
  esac
}
# What left the array for good: a disk that is faulty, or whose device is no more.
swept() {
  mdadm --manage "/dev/$md" --fail detached --remove detached >/dev/null 2>&1 || :
  for each in "$sys"/dev-*; do
    [ -e "$each" ] || continue
    has "$(cat "$each/state")" faulty || continue
    mdadm --manage "/dev/$md" --remove "/dev/${each##*/dev-}" || stop "/dev/${each##*/dev-} cannot be taken out"
  done
}
# Beside a disk that works the new one is built from it, and the array lacks none meanwhile.
built() {
  if [ ! -e "$sys/dev-$new" ]; then
    # mdadm asks nobody about what a disk holds: only one that is marked as this array's own already is added.
    idle "$new"; member "$new" "$uuid" || stop "/dev/$new has left /dev/$md and is no disk of it any more"
    mdadm --manage "/dev/$md" --add "/dev/$new" || stop "/dev/$new cannot be added to /dev/$md; look at dmesg"
  fi
  if has "$(state "$old")" in_sync && ! has "$(state "$new")" in_sync && ! has "$(state "$new")" replacement; then
    mdadm --manage "/dev/$md" --replace "/dev/$old" --with "/dev/$new" ||
      stop "/dev/$old cannot be copied to /dev/$new; look at dmesg"
  fi
}
"""
_POLL = r"""
if has "$(state "$new")" in_sync && ! has "$(state "$old")" in_sync; then echo 'done'; exit; fi
[ -e "$sys/dev-$new" ] || { echo "failed /dev/$new is not in the array any more; look at dmesg"; exit; }
! has "$(state "$new")" faulty || { echo "failed /dev/$new is faulty; look at dmesg"; exit; }
awk '$2 == "/" && $3 > 0 {printf "run %.1f %%", $1 * 100 / $3; exit} {print "run waits"}' "$sys/sync_completed"
echo " ($(cat "$sys/sync_speed" 2>/dev/null || echo ?) KiB/s)"
"""


def problems(it: Situation) -> Iterator[Problem]:
    """Why an array cannot have another disk now."""
    array, case = it.case.array, it.case
    if array is None or not array.runs:
        if it.old is not None:
            found = "does not run, so how its disks are cannot be told"
            yield Problem(case.place, found, f"run `{case.deploy('nas')}` first, which starts it")
        elif (stale := mdraid.stale(case, it.record.uuid)) is not None:
            yield stale
        return
    busy = array.action in ("resync", "recover", "reshape", "repair")
    if busy and not it.joined:
        found = f"its disks are being made equal ({array.action})"
        yield Problem(case.place, found, "wait until it is over (`cat /proc/mdstat`), or a dead disk costs data")
    works = it.old is not None and it.old in array.working
    lagging = [
        name
        for name, disk in it.others.items()
        if (device := case.carrier(disk)) is not None and device.name not in array.working
    ]
    if works and lagging:
        yield Problem(case.place, f"{' and '.join(lagging)} is not up to date", "replace or re-add that first")
    if not works and not it.joined and not array.degraded:
        yield _whole(it)


def _whole(it: Situation) -> Problem:
    serial = it.record.serials.get(it.wish.disk, "")
    found = f"lacks no disk, and {it.case.ids[it.wish.disk]} is none of it"
    return Problem(it.case.place, found, f"correct the id of {it.wish.disk}, whose serial was {serial or 'not noted'}")


def steps(it: Situation, last: tuple[Step, ...], *, finished: bool) -> Iterator[Step]:
    """From the array as it is to one that is whole, and what comes `last`; nothing where all of it is done."""
    case, array = it.case, it.case.array
    name, runs = case.name, array is not None and array.runs
    works = array is not None and it.old is not None and it.old in array.working
    in_place = array is not None and it.new.name in array.working and not works
    if finished and in_place:
        yield Step("noop", f"pool {name}", f"{it.says} has taken the place of {it.wish.disk} in {name}")
        return
    if not runs:
        start = mdraid.start(it.record, it.others, degraded=True)
        yield step("config", case, f"start {name} without {it.wish.disk}", start)
    if not in_place:
        how = f"beside {it.wish.disk}, which works yet," if works else f"in the place of {it.wish.disk}"
        if it.joined:
            yield step("config", case, f"go on building {it.says} in {name}", _script(it) + _same(it) + "built\n")
        else:
            yield step(it.kind, case, f"build {it.says} {how} in {name}", _join(it), it.words)
        says = f"wait until {it.says} is built"
        yield Step("config", f"pool {name}", says, poll=_script(it) + _POLL, patience=it.deadline())
    yield step("config", case, f"take {it.wish.disk} out of {name}, and see that {name} is whole", _end(it))
    yield from last


def _script(it: Situation) -> str:
    members = " ".join(shlex.quote(mdraid.carrier(disk).removeprefix("/dev/")) for disk in it.others.values())
    return (
        guard.head()
        + mdraid.ARRAY
        + f'md="$(array {members})"\n[ -n "$md" ] || stop "the array of {it.case.name} does not run"\n'
        + f'[ "$(cat "/sys/block/$md/md/uuid")" = {it.record.uuid} ] || stop "/dev/$md is another array"\n'
        + f"uuid={it.record.uuid}\n"
        + f"new={_kernel(it.new.name)} old={_kernel(it.old or '')}\n"
        + _FUNCTIONS
    )


def _kernel(name: str) -> str:
    """What the kernel calls a device: of an encrypted disk, what its mapping is called when the script runs."""
    return f'"$(kernel {shlex.quote(name)})"' if "/" in name else shlex.quote(name)


def _same(it: Situation) -> str:
    """The new disk is the one that was seen, whatever it holds by now."""
    return guard.same(it.wish.new, it.new)


def _join(it: Situation) -> str:
    return (
        _script(it)
        + "quiet\n"
        + it.guarded
        + 'has "$(state "$old")" in_sync || swept\n'
        + 'if has "$(state "$old")" in_sync; then how=--add-spare; else how=--add; fi\n'
        + f'mdadm --manage "/dev/$md" "$how" /dev/{it.new.name} || '
        + f'stop "/dev/{it.new.name} cannot be added to /dev/$md; look at dmesg"\n'
        + "settle\nbuilt\n"
    )


def _end(it: Situation) -> str:
    # A disk that has been replaced becomes faulty by itself.
    return (
        _script(it)
        + "swept\n"
        + '[ "$(cat "$sys/degraded")" = 0 ] || stop "/dev/$md still lacks $(cat "$sys/degraded") of its disks"\n'
        + 'has "$(state "$new")" in_sync || stop "/dev/$new is not up to date"\n'
        + '[ ! -e "$sys/dev-$old" ] || [ -z "$old" ] || stop "/dev/$old is still in the array"\n'
        + "settle\n"
        # mdadm's monitor may not run; the array is whole all the same.
        + f"[ ! -x {degraded.SCRIPT} ] || {degraded.SCRIPT} --note || :\n"
    )
