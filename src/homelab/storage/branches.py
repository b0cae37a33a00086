"""Where the disks of a snapraid pool are mounted, each by its UUID, and the one view of them that is the pool."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from homelab.files import ManagedFile
from homelab.model.nas import Nas, Pool, Volume
from homelab.model.problems import Problem
from homelab.probe import HostProbe, Questions
from homelab.storage import mounts, records, slots
from homelab.storage.records import Record
from homelab.storage.seen import Mount, Seen, VolumeSeen
from homelab.storage.steps import Step
from homelab.storage.volumes import gone

# Under which name the command's answer is in a host's probe.
NAME = "branches"
_FILESYSTEM = "fuse.mergerfs"
_SCRIPT = "/usr/local/lib/homelab/homelab-mergerfs"
SCRIPT = ManagedFile(
    _SCRIPT,
    (Path(__file__).parent / "scripts" / "homelab-mergerfs").read_text(encoding="utf-8"),
    mode="0755",
    check='sh -n "$new"',
)
_LOOK = r"""
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
for slot in @SLOTS@; do
  at="@FOLDER@/$slot" kind=none flags='' any='' disk='' pool=''
  if [ -L "$at" ]; then kind="link"; elif [ -d "$at" ]; then kind=dir; elif [ -e "$at" ]; then kind="file"; fi
  if [ "$kind" = dir ]; then
    flags="$(lsattr -d "$at" 2>/dev/null | cut -d' ' -f1)"
    [ -z "$(find "$at" -mindepth 1 -maxdepth 1 -print -quit 2>/dev/null)" ] || any=yes
    disk="$(head -c 200 "$at/@DISK@" 2>/dev/null | tr '\n\t' '  ')"
    pool="$(head -c 200 "$at/@POOL@" 2>/dev/null | tr '\n\t' '  ')"
  fi
  printf 'branch\t%s\t%s\t%s\t%s\t%s\t%s\n' "$slot" "$kind" "$flags" "$any" "$disk" "$pool"
  for volume in @VOLUMES@; do
    part="@FOLDER@/$slot/${volume#*/}"
    [ "${slot%%/*}" = "${volume%%/*}" ] && [ "${slot#*/parity}" = "$slot" ] || continue
    if [ -L "$part" ]; then printf 'part\t%s\t%s\tlink\n' "$slot" "${volume#*/}"; continue; fi
    [ ! -e "$part" ] || printf 'part\t%s\t%s\t%s\n' "$slot" "${volume#*/}" "$(stat -c '%F|%U|%G|%a' "$part")"
  done
done
"""


@dataclass(frozen=True)
class Branch:
    """Where one disk is to be mounted, as it is seen now: what lies there while nothing is mounted, or what does then.

    `disk` and `pool` are the lines of its sentinels, `volumes` the volumes' folders on this disk.
    """

    kind: str = ""
    immutable: bool = False
    empty: bool = True
    disk: str = ""
    pool: str = ""
    volumes: Mapping[str, VolumeSeen] = field(default_factory=dict)


def questions(nas: Nas) -> Questions:
    """What is asked about the disks of such pools, beyond what is asked of all."""
    found = {name: pool for name, pool in nas.pools.items() if pool.kind == "snapraid"}
    if not found:
        return Questions()
    places = [(name, slot) for name, pool in found.items() for slot in _slots(pool)]
    volumes = [f"{volume.pool}/{name}" for name, volume in nas.volumes.items() if volume.pool in found]
    look = _LOOK
    for mark, words in (("@SLOTS@", [f"{name}/{slot}" for name, slot in places]), ("@VOLUMES@", volumes)):
        look = look.replace(mark, " ".join(map(shlex.quote, words)) or "''")
    for mark, word in (
        ("@FOLDER@", slots.FOLDER),
        ("@DISK@", slots.SENTINEL),
        ("@POOL@", records.SENTINEL),
    ):
        look = look.replace(mark, word)
    return Questions(
        paths=(_SCRIPT, *(_unit_path(name, slot) for name, slot in places)),
        units=tuple(slots.unit(name, slot) for name, slot in places),
        commands=((NAME, look),),
    )


def _slots(pool: Pool) -> list[str]:
    found = [f"data{number}" for number in range(1, len(pool.disks) + 1)]
    return found + [f"parity{number}" for number in range(1, len(pool.parity) + 1)]


def read(text: str) -> dict[str, Branch]:
    """The command's answer, by pool and place: `media/data1`."""
    rows = [line.split("\t") for line in text.splitlines()]
    parts: dict[str, dict[str, VolumeSeen]] = {}
    for slot, volume, stat in (row[1:] for row in rows if row[0] == "part" and len(row) == 4):
        parts.setdefault(slot, {})[volume] = _volume(stat)
    return {
        slot: Branch(
            "" if kind == "none" else kind, "i" in flags, not any_, disk.strip(), pool.strip(), parts.get(slot, {})
        )
        for slot, kind, flags, any_, disk, pool in (row[1:] for row in rows if row[0] == "branch" and len(row) == 7)
    }


def _volume(stat: str) -> VolumeSeen:
    if stat == "link":
        return VolumeSeen("link")
    kind, owner, group, mode = stat.split("|")
    return VolumeSeen("dir" if kind == "directory" else kind, owner, group, mode.zfill(4))


def _unit_path(pool: str, slot: str) -> str:
    return f"/etc/systemd/system/{slots.unit(pool, slot)}"


def _unit(record: Record, slot: str) -> ManagedFile:
    return ManagedFile(
        _unit_path(record.pool, slot),
        f"""\
# Written by the homelab toolkit.
[Unit]
Description=Disk {slot} of the pool {record.pool}

[Mount]
What=/dev/disk/by-uuid/{record.slots[slot][0]}
Where={slots.path(record.pool, slot)}
Type={record.filesystem}
Options=nofail,noatime
TimeoutSec=120

[Install]
WantedBy=multi-user.target
""",
    )


def _pool_unit(record: Record) -> ManagedFile:
    """The pool's own unit: it goes down with any disk of data, and does not come up without one."""
    units = " ".join(slots.unit(record.pool, slot) for slot in _data(record))
    return ManagedFile(
        mounts.unit_path(record.pool),
        f"""\
# Written by the homelab toolkit.
[Unit]
Description=Pool {record.pool}
BindsTo={units}
After={units}

[Mount]
# mount.fuse(8) starts what stands before the #, which joins the disks if each of them is the right one.
What={_SCRIPT}#{record.pool}
Where={mounts.path(record.pool)}
Type=fuse
TimeoutSec=120

[Install]
WantedBy=multi-user.target
""",
    )


def _data(record: Record) -> list[str]:
    return [slot for slot in record.slots if slot.startswith("data")]


def _sentinel(record: Record, slot: str) -> str:
    return slots.sentinel(record.pool, slot, record.slots[slot][0])


@dataclass
class Branches:
    """The disks of one pool as they are to be mounted. `sources` are those that are there, by their places.

    `place` is where a problem is told of, `making` whether they are made in this very run, `anew` the place that
    another disk gets: what is mounted there now is not by then.
    """

    place: str
    record: Record
    sources: Mapping[str, str]
    seen: Seen
    probe: HostProbe
    making: bool = False
    anew: str = ""
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def steps(self) -> Iterator[Step]:
        """What mounts each disk, and then all of them as one."""
        record = self.record
        written = tuple(self.prepared())
        yield from written
        mounting = tuple(self.placed())
        yield from mounting
        if any(step.file for step in written) and not mounting:
            yield Step("config", f"pool {record.pool}", "let systemd read that", "systemctl daemon-reload\n")
        # Not before each disk has been mounted, and is whole: what joins them goes by it.
        if not self.making and not record.file.stands(self.probe.files.get(record.file.path)):
            says = f"remember {record.pool} by its UUID {record.uuid}"
            yield Step("config", f"pool {record.pool}", says, file=record.file)
        yield from self.joined()

    def prepared(self) -> Iterator[Step]:
        """What lies beneath each disk, and the units that mount them; systemd has yet to read these."""
        record, subject, branches = self.record, f"pool {self.record.pool}", self._branches()
        bare = [slot for slot in record.slots if not self._mounted(slot, branches[slot])]
        unsealed = [slot for slot in bare if self._unsealed(slot, branches[slot])]
        if unsealed:
            says = f"make folders in {slots.FOLDER}/{record.pool} that stay empty while no disk is mounted there"
            yield Step("config", subject, says, _sealed(record.pool, unsealed))
        yield from self._units()

    def placed(self) -> Iterator[Step]:
        """What mounts each disk in its place, and has it say so."""
        record, branches = self.record, self._branches()
        todo = [slot for slot in record.slots if slot in self.sources and not self._laid(slot, branches[slot])]
        if todo:
            says = f"mount {', '.join(todo)} of {record.pool} in {slots.FOLDER}/{record.pool}, now and at every boot"
            yield Step("config", f"pool {record.pool}", says, _mount(record, todo), timeout=1800)

    def _branches(self) -> dict[str, Branch]:
        """What is seen in each place, as far as it stays there."""
        found = read(self.probe.output.get(NAME, ""))
        branches = {slot: found.get(f"{self.record.pool}/{slot}", Branch()) for slot in self.record.slots}
        if self.anew and self._there(self.anew) != self.seen.mounted(slots.path(self.record.pool, self.anew)):
            branches[self.anew] = Branch()
        return branches

    def _there(self, slot: str) -> Mount | None:
        """What is mounted in a place, as far as it stays there."""
        mount = self.seen.mounted(slots.path(self.record.pool, slot))
        return None if mount is not None and slot == self.anew and mount.source != self.sources.get(slot) else mount

    def _mounted(self, slot: str, branch: Branch) -> bool:
        """Whether a disk is in its place; a problem when something else is, or it is somewhere else."""
        at, source, mount = slots.path(self.record.pool, slot), self.sources.get(slot), self._there(slot)
        if mount is not None and (mount.source != source or mount.root != "/"):
            found = f"{mount.source} is mounted at {at}"
            self.problems.append(Problem(self.place, found, "unmount it, and take it out of /etc/fstab"))
        elif mount is None and source is not None:
            elsewhere = [each.target for each in self.seen.mounts if each.source == source]
            if elsewhere:
                found = f"{slot} ({source}) is mounted at {', '.join(elsewhere)}"
                self.problems.append(Problem(self.place, found, "unmount it there, and take it out of /etc/fstab"))
        elif mount is not None and branch.disk and branch.disk != _sentinel(self.record, slot):
            found = f"{at}/{slots.SENTINEL} names {branch.disk}, and not {_sentinel(self.record, slot)}"
            self.problems.append(Problem(self.place, found, "remove that file if the disk is the right one"))
        elif mount is not None and not mount.takes_writes:
            self.warnings.append(mounts.unwritable(self.place, at))
        return mount is not None

    def _unsealed(self, slot: str, branch: Branch) -> bool:
        at = slots.path(self.record.pool, slot)
        if branch.kind not in ("", "dir"):
            self.problems.append(Problem(self.place, f"{at} is a {branch.kind}, not a directory", "rename it"))
        elif not branch.empty:
            remedy = "move away what it holds, which nobody would see under the disk"
            self.problems.append(Problem(self.place, f"{at} is not empty", remedy))
        else:
            return branch.kind == "" or not branch.immutable
        return False

    def _units(self) -> Iterator[Step]:
        record, subject = self.record, f"pool {self.record.pool}"
        for slot, (uuid, _) in record.slots.items():
            wait = mounts.timeout_file(replace(record, filesystem_uuid=uuid))
            if self.seen.waits.get(wait.path) != wait.sha256:
                yield Step("config", subject, f"let {slot} of {record.pool} be waited for only so long", file=wait)
            unit = _unit(record, slot)
            if not unit.stands(self.probe.files.get(unit.path)):
                yield Step("config", subject, f"write {unit.path}", file=unit)

    def _laid(self, slot: str, branch: Branch) -> bool:
        mounted = self._there(slot) is not None
        enabled = self.probe.unit(slots.unit(self.record.pool, slot)).enabled == "enabled"
        pool = slot.startswith("parity") or branch.pool == self.record.sentinel
        return mounted and enabled and pool and branch.disk == _sentinel(self.record, slot)

    def joined(self, *, stopped: bool = False) -> Iterator[Step]:
        """What joins them; `stopped` is a pool that was up when it was seen, and is not by then."""
        record, subject, at = self.record, f"pool {self.record.pool}", mounts.path(self.record.pool)
        script = SCRIPT
        if not script.stands(self.probe.files.get(script.path)):
            yield Step("config", subject, f"write {script.path}, which joins disks", file=script)
        there, found = self.seen.mounted(at), self.seen.mountpoints.get(record.pool)
        if there is not None and (there.filesystem, there.source) != (_FILESYSTEM, record.pool):
            told = f"{there.source} is mounted at {at}"
            self.problems.append(Problem(self.place, told, "unmount it, and take it out of /etc/fstab"))
        if there is None and found is not None and found.kind not in ("", "dir"):
            self.problems.append(Problem(self.place, f"{at} is a {found.kind}, not a directory", "rename it"))
        elif there is None and found is not None and not found.empty:
            remedy = "move away what it holds, which nobody would see under the pool"
            self.problems.append(Problem(self.place, f"{at} is not empty", remedy))
        elif there is None and (found is None or not found.kind or not found.immutable):
            says = f"make {at} a directory that stays empty while {record.pool} is not mounted"
            yield Step("config", subject, says, mounts.sealed(record.pool))
        unit = _pool_unit(record)
        written = not unit.stands(self.probe.files.get(unit.path))
        if written:
            yield Step("config", subject, f"write {unit.path}", file=unit)
        enabled = self.probe.unit(mounts.unit(record.pool)).enabled == "enabled"
        up = there is not None and not stopped
        if up and found is not None and found.sentinel == record.sentinel and enabled:
            if written:
                yield Step("config", subject, "let systemd read that too", "systemctl daemon-reload\n")
            yield Step("noop", subject, f"{record.pool} is mounted at {at}")
        else:
            says = f"join the disks of {record.pool} at {at}, now and at every boot"
            yield Step("config", subject, says, _join(record))


def _sealed(pool: str, names: Iterable[str]) -> str:
    folders = " ".join(shlex.quote(slots.path(pool, slot)) for slot in names)
    # A user's own rights are looked at by mergerfs, as that user: the way there has to be open, and no more than that.
    return f"""\
set -eu
umask 022
mkdir -p {slots.FOLDER}/{pool}
chmod 0711 {slots.FOLDER} {slots.FOLDER}/{pool}
for at in {folders}; do
  if mountpoint -q "$at"; then continue; fi
  mkdir -p "$at"
  [ -z "$(ls -A "$at")" ] || {{ echo "homelab: $at is not empty any more; move away what it holds" >&2; exit 1; }}
  chattr +i "$at"
done
"""


def _mount(record: Record, todo: Iterable[str]) -> str:
    """Mount disks, see that each is the right one, and lay the files that say so."""
    text = _MOUNT.lstrip().replace("@SENTINEL@", slots.SENTINEL).replace("@POOL@", records.SENTINEL)
    lines = [text.replace("@REBUILDING@", slots.REBUILDING)]
    for slot in todo:
        uuid, words = record.slots[slot][0], (slots.path(record.pool, slot), slots.unit(record.pool, slot))
        carries = slots.sentinel(record.pool, slot, uuid)
        pool = "''" if slot.startswith("parity") else shlex.quote(record.sentinel)
        serial = shlex.quote(record.serials.get(record.slots[slot][1]) or "unknown")
        lines.append(f"mounted {' '.join(words)} {uuid} {shlex.quote(carries)} {pool} {serial}\n")
    return "".join(lines)


_MOUNT = r"""
set -eu
umask 022
stop() { printf 'homelab: %s\n' "$1" >&2; exit 1; }
lay() { printf '%s\n' "$2" >"$1.new"; sync "$1.new"; mv -fT "$1.new" "$1"; }
@AWAKE@
# PATH UNIT UUID SENTINEL SENTINEL-OF-THE-POOL SERIAL
mounted() {
  awake "$3"
  alike="$(blkid -c /dev/null -o device -t "UUID=$3" | tr '\n' ' ')"
  case "$alike" in
    *' '*' ') stop "${alike}are both what belongs at $1; switch off, and take out what has not the serial $6" ;;
  esac
  systemctl enable --quiet "$2"
  systemctl reset-failed "$2" 2>/dev/null || :
  systemctl start "$2" || stop "$1 does not mount: $(systemctl status --no-pager -n 3 "$2" | tail -n 1)"
  mountpoint -q "$1" || stop "nothing is mounted at $1"
  found="$(blkid -p -o value -s UUID "$(findmnt -fnro SOURCE --mountpoint "$1")" || :)"
  [ "$found" = "$3" ] || stop "$found is mounted at $1, not $3"
  [ ! -e "$1/@REBUILDING@" ] ||
    stop "on the disk at $1 not all is restored; run the same replace_disk.py again, or clear it (wipefs --all)"
  if [ -s "$1/@SENTINEL@" ]; then
    read -r said <"$1/@SENTINEL@" || :
    [ "$said" = "$4" ] || stop "$1/@SENTINEL@ names $said; remove that file if it is stale"
  fi
  lay "$1/@SENTINEL@" "$4"
  # What the parity is made of is for root alone.
  if [ -z "$5" ]; then chmod 0700 "$1"; else lay "$1/@POOL@" "$5"; fi
}
systemctl daemon-reload
""".replace("@AWAKE@", mounts.AWAKE.strip())


def _join(record: Record) -> str:
    at, name = mounts.path(record.pool), mounts.unit(record.pool)
    return f"""\
set -eu
stop() {{ printf 'homelab: {at}: %s\\n' "$1" >&2; exit 1; }}
systemctl daemon-reload
systemctl enable --quiet {name}
systemctl reset-failed {name} 2>/dev/null || :
# What joined them may have died: all stands among the mounts as before, and nobody gets anything.
case "$(LC_ALL=C stat {at} 2>&1)" in
  *'endpoint is not connected')
    umount {at} 2>/dev/null || umount --lazy {at} || stop 'what joined its disks has died, and it cannot be unmounted'
    for _ in 1 2 3 4 5 6 7 8 9; do
      systemctl is-active --quiet {name} || break
      sleep 1
    done ;;
esac
systemctl start {name} || stop "does not mount: $(journalctl -u {name} -n 3 -o cat --no-pager | tail -n 1)"
[ "$(findmnt -fnro FSTYPE,SOURCE --mountpoint {at})" = '{_FILESYSTEM} {record.pool}' ] || stop 'nothing is joined there'
[ "$(cat {at}/{records.SENTINEL})" = {shlex.quote(record.sentinel)} ] || stop 'holds something else'
"""


#
# Volumes
#


def volume_problems(host: str, nas: Nas, record: Record, seen: Seen, probe: HostProbe) -> Iterator[Problem]:
    """Why a volume cannot be a folder on each disk."""
    found = read(probe.output.get(NAME, ""))
    data = {slot: found.get(f"{record.pool}/{slot}", Branch()) for slot in _data(record)}
    # Of a disk that is not mounted, or whose filesystem has given up, nothing can be seen.
    shown = all(branch.disk == _sentinel(record, slot) for slot, branch in data.items())
    for name, volume in nas.volumes.items():
        if volume.pool != record.pool:
            continue
        place, full = f"{host}.volumes.{name}", f"{record.pool}/{name}"
        if shown and full in seen.projects and not any(name in branch.volumes for branch in data.values()):
            yield Problem(place, *gone(nas.path(name), full))
        for slot, branch in data.items():
            part = branch.volumes.get(name)
            if part is not None and part.kind != "dir":
                at = f"{slots.path(record.pool, slot)}/{name}"
                yield Problem(place, f"{at} is a {part.kind}, not a directory", "rename it")


def volumes(nas: Nas, record: Record, seen: Seen, probe: HostProbe) -> Iterator[Step]:
    """What makes each volume a folder on every disk of data, all with one owner and mode; what is in it is left."""
    found = read(probe.output.get(NAME, ""))
    for name, volume in nas.volumes.items():
        if volume.pool != record.pool:
            continue
        full, at = f"{record.pool}/{name}", nas.path(name)
        # Of a disk that is not mounted what lies in its place says nothing.
        parts = {
            slot: found.get(f"{record.pool}/{slot}", Branch()).volumes.get(name)
            if seen.mounted(slots.path(record.pool, slot)) is not None
            else None
            for slot in _data(record)
        }
        todo = list(_differences(volume, parts, full in seen.projects))
        if not todo:
            yield Step("noop", f"volume {name}", f"{at} is as it should be")
            continue
        kind = "config" if any(parts.values()) else "additive"
        lay = _lay(record, name, volume, gone(at, full) if full in seen.projects else None)
        yield Step(kind, f"volume {name}", f"{at}: {', '.join(todo)}", lay)  # type: ignore[arg-type]


def _differences(volume: Volume, parts: Mapping[str, VolumeSeen | None], noted: bool) -> Iterator[str]:
    there = [part for part in parts.values() if part is not None]
    if not there:
        yield "make it on each disk"
        return
    if len(there) < len(parts):
        yield f"make it on {', '.join(slot for slot, part in parts.items() if part is None)} too"
    if any(part.owner != volume.owner or (volume.group and part.group != volume.group) for part in there):
        yield f"give it to {volume.owner}" + (f":{volume.group}" if volume.group else "")
    if any(part.mode != volume.mode for part in there):
        yield f"set its mode to {volume.mode}"
    if not noted:
        yield "remember it"


def _lay(record: Record, name: str, volume: Volume, lost: tuple[str, str] | None) -> str:
    """Make a volume's folder on each disk. `lost` is what to say of one that was made once and is on none of them."""
    owner = shlex.quote(f"{volume.owner}:{volume.group or ''}")
    full = f"{record.pool}/{name}"
    disks = " ".join(slots.path(record.pool, each) for each in _data(record))
    lines = [
        "set -eu",
        "umask 022",
        "there='' synced=''",
        f"for at in {disks}; do",
        f'  [ "$(cat "$at/{records.SENTINEL}" 2>/dev/null)" = {shlex.quote(record.sentinel)} ] || '
        '{ echo "homelab: $at is not mounted" >&2; exit 1; }',
        f'  [ ! -e "$at/{name}" ] || there=yes',
        f'  [ ! -e "$at/{slots.CONTENT}" ] || synced=yes',
        "done",
    ]
    if lost is not None:
        # Disks that have no list of the parity's are new, in the place of dead ones, and get their files from it.
        said = shlex.quote(f"homelab: {'; '.join(lost)}")
        lines.append(f'[ -n "$there" ] || [ -z "$synced" ] || {{ echo {said} >&2; exit 1; }}')
    lines += [
        f"for at in {disks}; do",
        f'  part="$at/{name}" new="$at/.{name}.homelab-new"',
        # Whole under another name first: nobody finds it half made, and a cut run leaves nothing that counts.
        '  if [ ! -e "$part" ]; then',
        '    [ ! -e "$new" ] || rmdir "$new"',
        f'    mkdir -m 0700 "$new"; chown {owner} "$new"; chmod {volume.mode} "$new"; mv -nT "$new" "$part"',
        # It is on its disks before it is noted: after a power cut what is noted and not there is taken for lost.
        '    sync -f "$at"',
        "  fi",
        '  if [ -L "$part" ] || [ ! -d "$part" ]; then',
        '    echo "homelab: $part is no directory; rename it" >&2; exit 1',
        "  fi",
        f'  chown {owner} "$part"; chmod {volume.mode} "$part"',
        "done",
        records.noted(0, full),
    ]
    return "\n".join(lines) + "\n"
