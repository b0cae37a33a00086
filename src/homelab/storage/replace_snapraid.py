"""Another disk in a pool of snapraid: a filesystem with the dead one's UUID, and on it what the parity restores.

With a dead disk of data the pool stays down until all of that is there: what is changed on the other disks is what it
cannot be restored from. Of a disk of parity, the parity is written anew, by a sync. snapraid(1), "Recovering".
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from homelab.counting import many
from homelab.model.nas import Nas
from homelab.model.problems import Problem
from homelab.probe import HostProbe
from homelab.storage import branches, guard, mounts, records, slots, snapraid
from homelab.storage.case import Case, step
from homelab.storage.records import Record
from homelab.storage.situation import Situation
from homelab.storage.steps import Step

# What is noted of a pool, and the script that the deploy lays.
_APART = "/run/homelab/replace"
_SCRIPT = "/usr/local/lib/homelab/homelab-snapraid"

# The old one, that nobody lists any more: which of the two is mounted would be chance.
_ALONE = r"""
found="$(blkid -c /dev/null -o device -t "UUID=$uuid" | grep -vxF "/dev/$new" | tr '\n' ' ' || :)"
[ -z "$found" ] || stop "${found}carries $slot of $pool; take it out of the machine, and keep it until all is restored"
"""
# Nothing may change on the other disks until the dead one's files are there. nfsd holds on to what it has served.
_STOPPED = r"""
! command -v exportfs >/dev/null || exportfs -f
systemctl stop "$unit" ||
  stop "$pool is in use; stop who uses it ('fuser -vm /srv/$pool', 'systemctl stop smbd nfs-server')"
! mountpoint -q "/srv/$pool" || stop "/srv/$pool is mounted still"
"""
_UNMOUNTED = r"""
if mountpoint -q "$at"; then
  systemctl stop "$place" || umount "$at" || stop "$at is in use; 'fuser -vm $at' tells by whom"
fi
"""
# The mark is on it before anybody else can mount it.
_MARKED = r"""
! mountpoint -q "$apart" || umount "$apart"
mkdir -p "$apart"; chmod 0700 "$apart"
mount "/dev/$new" "$apart" || stop "/dev/$new cannot be mounted; look at dmesg"
: >"$apart/$mark"; sync -f "$apart"; umount "$apart"; rmdir "$apart"
"""
_MOUNTED = r"""
systemctl daemon-reload
awake "$uuid"
systemctl reset-failed "$place" 2>/dev/null || :
systemctl start "$place" || stop "$at does not mount: $(systemctl status --no-pager -n 3 "$place" | tail -n 1)"
[ "$(findmnt -fnro SOURCE --mountpoint "$at")" = "/dev/$new" ] || stop "/dev/$new is not what is mounted at $at"
# One that is restored is not restored again; the parity is whole only after a sync.
case "$slot" in
  data*) [ "$(cat "$notes/rebuilt" 2>/dev/null)" = "$begun" ] || : >"$at/$mark" ;;
  *) : >"$at/$mark"; : >"$notes/parity" ;;
esac
sync -f "$at"
"""
_POLL = r"""
if systemctl is-active --quiet "$job"; then
  echo "run $(df -BM --output=used "$at" | tail -n 1 | tr -d ' M') MiB are there"
elif [ "$(cat "$notes/rebuilt" 2>/dev/null)" = "$begun" ]; then
  echo 'done'
else
  why="$(cat "$notes/rebuild.why" 2>/dev/null || echo "it was ended; look at journalctl -u $job")"
  case "$why" in *'add --data '*) echo "refused $why" ;; *) echo "failed $why" ;; esac
fi
"""
_PROTECTED = r"""
sync="homelab-sync@$pool.service"
# By a sync that ended after the new disk was noted.
ok() {
  [ ! -e "$notes/parity" ] && grep -qx 'result=ok' "$status" 2>/dev/null &&
    [ "$(sed -n 's/^time=//p' "$status")" -ge "$(stat -c %Y "$record")" ]
}
runs() {
  case "$(systemctl show -p ActiveState --value "$sync")" in inactive | failed) ;; *) return 0 ;; esac
  [ -n "$(systemctl show -p Job --value "$sync" | tr -d 0)" ]
}
"""
_PROTECTED_POLL = r"""
if runs; then
  echo 'run syncs'
elif ok; then
  echo 'done'
else
  echo "failed $(sed -n 's/^message=//p' "$status")"
fi
"""


def place(case: Case, record: Record, disk: str) -> tuple[str, tuple[str, ...]]:
    """The place of a disk in the pool, and the other listed disks that are not there."""
    there = {slot: name for name, slot in _there(case, record).items() if name != disk}
    gone = snapraid.vacant(case, record, there)
    slot = next((slot for slot, name in gone.items() if name == disk), "")
    return slot, tuple(name for name in gone.values() if name != disk)


def _there(case: Case, record: Record) -> dict[str, str]:
    """The listed disks that are of the pool, and their places."""
    pool = slots.pool_uuid(record.uuid)
    found = ((name, slots.of(disk)) for name, disk in case.disks.items())
    return {name: place.slot for name, place in found if place is not None and place.pool == pool}


def joined(it: Situation, slot: str) -> bool:
    """Whether the new disk has the place already, by a run that was cut or one that was through."""
    return _is_begun(it, slot) or through(it, slot)


def _carries(it: Situation, slot: str) -> bool:
    carries = slots.of(it.new)
    return slot in it.record.slots and carries is not None and carries.uuid == it.record.slots[slot][0]


def _is_begun(it: Situation, slot: str) -> bool:
    return _carries(it, slot) and it.record.rebuilding == _note(it, slot)


def through(it: Situation, slot: str) -> bool:
    """Whether all is restored there, and remembered: nothing may be made again what it was at the last sync."""
    noted = it.record.serials.get(it.wish.disk) == it.new.serial
    return _carries(it, slot) and noted and it.record.rebuilding != _note(it, slot)


def in_place(it: Situation, slot: str) -> bool:
    """Whether the new disk is mounted in the dead one's place, and so in use."""
    mount = it.case.seen.mounted(slots.path(it.case.name, slot))
    return mount is not None and mount.source == it.new.path


def _note(it: Situation, slot: str) -> str:
    return f"{slot} {it.new.serial}"


def problems(it: Situation, slot: str, gone: tuple[str, ...]) -> Iterator[Problem]:
    """Why a pool of snapraid cannot have another disk now."""
    case, record, disk = it.case, it.record, it.wish.disk
    there = _there(case, record)
    if record.rebuilding and not _is_begun(it, slot) and record.rebuilding.partition(" ")[0] != slot:
        other, _, serial = record.rebuilding.partition(" ")
        found = f"the disk with the serial {serial} is to become {other}, and not all is on it"
        yield Problem(case.place, found, f"go on with that first (`{case.deploy('nas')}` tells how)")
        return
    if disk in there and record.rebuilding.partition(" ")[2] in case.seen.serials.values():
        yield snapraid.both(case, record)
        return
    if disk in there:
        found = f"{disk} ({there[disk]}) works yet, and to copy a disk that works is not supported yet"
        remedy = f"run `{_SCRIPT} {case.name} sync` there, switch it off, take the disk out, and run this again"
        yield Problem(case.place, found, remedy)
        return
    if not slot:
        found = f"is there with {many(len(record.slots), 'disk')}, and {len(case.pool.members)} are listed"
        yield Problem(case.place, found, "list it as it is")
        return
    serial = record.serials.get(disk, "")
    here = [name for name, each in case.seen.serials.items() if serial and each == serial]
    if here and not through(it, slot):
        if disk in case.disks and case.disks[disk].physical.name == here[0]:
            found = f"/dev/{here[0]} (serial {serial}) is there, and cannot be read or carries nothing of {case.name}"
            yield Problem(f"{case.host}.disks.{disk}", found, "switch off, take it out, and run this again")
            return
        found = f"the disk with the serial {serial}, which is {slot} of {case.name}, is here as /dev/{here[0]}"
        yield Problem(f"{case.host}.disks.{disk}", found, f"list it by its id in the place of {case.ids[disk]}")
        return
    if gone:
        several = f"{disk} and {' and '.join(gone)} are gone"
        parity = len(case.pool.parity)
        if len(gone) >= parity:
            found = f"{several}, and {many(parity, 'disk')} of parity restores no more than {many(parity, 'disk')}"
            remedy = f"plug it in; what the others hold is to be read in {slots.FOLDER}/{case.name}"
        else:
            found = f"{several}, and to replace more than one of them is not supported yet"
            remedy = "src/homelab/storage/README.md tells what to do by hand"
        yield Problem(case.place, found, remedy)
    others = {name: place for name, seen in it.others.items() if (place := slots.of(seen)) is not None}
    ours = {name: place for name, place in others.items() if place.pool == slots.pool_uuid(record.uuid)}
    without = replace(case, disks=it.others, absent=(*case.absent, disk))
    yield from snapraid.misplaced(without, record, ours, slots.pool_uuid(record.uuid))
    carries = slots.of(it.new)
    if not it.joined and carries is not None and carries.pool == slots.pool_uuid(record.uuid):
        found = f"{it.says} carries {carries.slot} of {case.name}, and this command is not at work on it"
        remedy = (
            f"if it is a copy of the old disk, list it as {disk} and run `{case.deploy('nas')}`; if not, clear it by "
            "hand (`wipefs --all`)"
        )
        yield Problem(f"{case.host}: {it.wish.name or 'with'}", found, remedy)
    if slot.startswith("parity"):
        largest = max((each.size for name, each in it.others.items() if name in case.pool.disks), default=0)
        if it.new.size < largest:
            found = f"{it.says} has {it.new.size >> 20} MiB, and a disk of data has {largest >> 20}"
            yield Problem(f"{case.host}: {it.wish.name or 'with'}", found, "take a larger one")


def status(pool: str) -> str:
    """The file that says how a pool's syncs went."""
    return f"/var/lib/homelab/status/sync-{pool}"


def warnings(it: Situation, slot: str, probe: HostProbe) -> Iterator[Problem]:
    """What goes on, and has to be known."""
    case = it.case
    if not slot.startswith("data") or through(it, slot):
        return
    least = min((each.size for name, each in it.others.items() if name in case.pool.parity), default=0)
    if least < it.new.size:
        found = f"{it.says} has {it.new.size >> 20} MiB, and a disk of parity {least >> 20}"
        yield Problem(case.place, found, "once it holds more than that, nothing new on it is protected")
    said = dict(line.partition("=")[::2] for line in (probe.text.get(status(case.name)) or "").splitlines())
    good = int(said["good"]) if said.get("good", "").isdigit() else 0
    when = f"{datetime.fromtimestamp(good, UTC):%Y-%m-%d %H:%M} UTC" if good else "never, as far as is known"
    found = f"the last good sync was {when}"
    yield Problem(case.place, found, f"what came to {it.wish.disk} after it is in your backups only")


def told(it: Situation, slot: str) -> Iterator[str]:
    """What its owner has to know in the end, beyond what is said of every pool."""
    if slot.startswith("data"):
        yield (
            f"What was on {it.wish.disk} is there as of the last sync; what came later is in your backups only. "
            "snapraid keeps no owners, rights and attributes: each file is its volume's owner's now."
        )
    yield f"The old disk carries {slot} of {it.case.name} yet: in this machine it would keep the pool down."


def after(it: Situation, slot: str) -> Record:
    """What is remembered of the pool once the new disk has the place."""
    case, record = it.case, it.record
    names = {place: name for name, place in _there(case, record).items()} | {slot: it.wish.disk}
    serials = {**record.serials, it.wish.disk: it.new.serial}
    serials |= {name: disk.serial for name, disk in it.others.items()}
    old = record.serials.get(record.slots[slot][1], "")
    retired = [each for each in (*record.former.get(slot, ()), old) if each and each != it.new.serial]
    return replace(
        record,
        former={**record.former, slot: tuple(dict.fromkeys(retired))},
        serials={name: serials.get(name, "") for name in case.pool.members},
        slots={each: (uuid, names.get(each, name)) for each, (uuid, name) in record.slots.items()},
        rebuilding="",
    )


def laid(it: Situation, slot: str, new: Record, probe: HostProbe) -> branches.Branches:
    """How the disks are to be mounted, with the new one where the dead one was."""
    sources = {each: it.others[name].path for each, (_, name) in new.slots.items() if name in it.others}
    sources[slot] = it.new.path
    return branches.Branches(it.case.place, new, sources, it.case.seen, probe, making=True, anew=slot)


def steps(it: Situation, slot: str, new: Record, nas: Nas, disks: branches.Branches, *, noted: bool) -> Iterator[Step]:
    """From the pool without the disk to one that has another in its place, and a parity of all there is.

    `new` is what is remembered of it then, `disks` are as they are mounted then.
    """
    case, subject, data = it.case, f"pool {it.case.name}", slot.startswith("data")
    done = through(it, slot)
    up = data and case.seen.mounted(mounts.path(case.name)) is not None
    there = case.seen.mounted(slots.path(case.name, slot)) is not None
    stale = there and not in_place(it, slot)
    if done:
        yield Step("noop", subject, f"{it.says} has taken the place of {it.wish.disk} in {case.name}")
    elif up or stale:
        says = f"stop {case.name}, of which nothing may be changed meanwhile" if up else f"unmount what was {slot}"
        stop = _ALONE.lstrip() + (_STOPPED.lstrip() if up else "") + _UNMOUNTED.lstrip()
        yield step("config", case, says, _script(it, slot) + stop)
    if not it.joined:
        says = f"make {it.says} {slot} of {case.name}, in the place of {it.wish.disk}"
        yield step(it.kind, case, says, _begin(it, slot), it.words)
    elif it.record.filesystem == "xfs" and not done and (stale or not there):
        yield step("config", case, f"see that the filesystem on {it.says} is whole", _made(it, slot))
    yield from disks.prepared()
    if data and not done:
        says = f"mount it at {slots.path(case.name, slot)}, with a mark that not all is there"
        yield step(
            "config", case, says, _script(it, slot) + _ALONE.lstrip() + mounts.AWAKE.lstrip() + _MOUNTED.lstrip()
        )
        yield _rebuilt(it, slot, nas)
    yield from disks.placed()
    if not noted:
        yield Step("config", subject, f"remember {case.name} with the serial of its new disk", file=new.file)
    yield from disks.joined(stopped=up and not done)
    yield _protected(it, new)


def _script(it: Situation, slot: str, record: Record | None = None) -> str:
    name = it.case.name
    words: Mapping[str, str] = {
        "pool": name,
        "slot": slot,
        "at": slots.path(name, slot),
        "unit": mounts.unit(name),
        "place": slots.unit(name, slot),
        "notes": f"{snapraid.NOTES}/{name}",
        "uuid": it.record.slots[slot][0],
        "new": it.new.name,
        "size": str(it.new.size),
        "job": f"homelab-rebuild-{name}.service",
        "begun": _note(it, slot),
        "apart": f"{_APART}/{name}",
        "mark": slots.REBUILDING if slot.startswith("data") else slots.NO_PARITY,
    }
    return guard.head(record) + "".join(f"{key}={shlex.quote(value)}\n" for key, value in words.items())


def _begin(it: Situation, slot: str) -> str:
    data = slot.startswith("data")
    return (
        _script(it, slot, replace(it.record, rebuilding=_note(it, slot)))
        + snapraid.MAKE.lstrip()
        + 'mkdir -p "$notes"; chmod 0700 "$notes"\n'
        + 'exec 9>"$notes/lock"; flock -n 9 || stop "a sync or scrub of $pool is running"\n'
        + _ALONE.lstrip()
        + guard.untouched(it.wish.new, it.new)
        # Without its parity the pool is not protected, whoever syncs before all of it is written anew.
        + 'rm -f "$notes/rebuilt"\n'
        + ("" if data else ': >"$notes/parity"\n')
        + 'sync "$notes"\nnote made\n'
        + it.clearing
        + f"idle {it.new.name}; blank {it.new.name}\n"
        + _make(it, slot)
    )


def _make(it: Situation, slot: str) -> str:
    uuid = it.record.slots[slot][0]
    return f"make {it.new.name} {uuid} {snapraid.mkfs(it.record, slot, uuid)}\n{_MARKED.lstrip()}"


def _made(it: Situation, slot: str) -> str:
    name = it.new.name
    again = f"if half {name}; then\nidle {name}; clear {name}\n{_make(it, slot)}fi\n"
    return _script(it, slot) + snapraid.MAKE.lstrip() + _ALONE.lstrip() + guard.same(it.wish.new, it.new) + again


def _rebuilt(it: Situation, slot: str, nas: Nas) -> Step:
    """What restores the files, and gives them to their volumes' owners; it goes on when this is ended."""
    words = [_SCRIPT, it.case.name, "rebuild", slot, it.new.serial]
    words += ["--without", it.wish.without] if it.wish.without else []
    for name, volume in nas.volumes.items():
        if volume.pool == it.case.name:
            mode = int(volume.mode, 8)
            words += [name, f"{volume.owner}:{volume.group or ''}", volume.mode, f"{mode & 0o666:04o}"]
    command = (
        '[ "$(cat "$notes/rebuilt" 2>/dev/null)" = "$begun" ] || systemctl is-active --quiet "$job" || {\n'
        '  rm -f "$notes/rebuild.why"; systemctl reset-failed "$job" 2>/dev/null || :\n'
        f'  systemd-run --quiet --collect --unit="$job" {shlex.join(words)}\n'
        "}\n"
    )
    says = f"restore what was on {it.wish.disk} from the parity, and read it once"
    script = _script(it, slot)
    # Each block is read from every other disk.
    patience = it.deadline() * 2
    return Step(
        "config",
        f"pool {it.case.name}",
        says,
        script + command,
        poll=script + _POLL.lstrip(),
        patience=patience,
    )


def _protected(it: Situation, new: Record) -> Step:
    script = guard.head() + f"pool={it.case.name} notes={snapraid.NOTES}/{it.case.name} status={status(it.case.name)}\n"
    script += f"record={records.FOLDER}/{new.pool}\n" + _PROTECTED.lstrip()
    says = f"sync {it.case.name}, so that the parity is of all that is there"
    command = script + 'ok || systemctl start --no-block "$sync"\n'
    patience = it.deadline() * 2
    return Step(
        "config", f"pool {it.case.name}", says, command, poll=script + _PROTECTED_POLL.lstrip(), patience=patience
    )
