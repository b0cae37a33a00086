"""From what is listed and what was seen to what is to be done: no host, no clock, no chance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from homelab.model.nas import Nas
from homelab.model.problems import Problem
from homelab.probe import HostProbe
from homelab.storage import (
    branches,
    crypttab,
    datasets,
    degraded,
    disks,
    luks,
    mdraid,
    mounts,
    records,
    superblocks,
    volumes,
    zfs,
    zpools,
)
from homelab.storage.case import Case, Decided
from homelab.storage.disks import Found
from homelab.storage.named import named
from homelab.storage.pool import decide
from homelab.storage.records import Record
from homelab.storage.seen import Mount, Seen
from homelab.storage.steps import Plan, Step


def plan(
    host: str,
    nas: Nas,
    seen: Seen,
    probe: HostProbe,
    used: frozenset[str],
    make_uuid: Callable[[], str],
    keys: Mapping[str, str] = MappingProxyType({}),
    *,
    environment: str,
) -> Plan:
    """What is to be done for a host's storage, and every reason not to begin.

    `probe` tells how units and files stand, `used` are the consents that this control machine knows were used, `keys`
    has the SHA-256 of each encrypted pool's key, `environment` is which inventory it is.
    """
    return _Draft(host, nas, seen, probe, used, make_uuid, keys, environment).plan()


@dataclass
class _Draft:
    host: str
    nas: Nas
    seen: Seen
    probe: HostProbe
    used: frozenset[str]
    make_uuid: Callable[[], str]
    keys: Mapping[str, str]
    environment: str
    steps: list[Step] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    pools: dict[str, Record] = field(default_factory=dict)
    projects: dict[str, bool] = field(default_factory=dict)

    def plan(self) -> Plan:
        found = disks.find(self.host, self.nas, self.seen)
        self.problems += found.problems
        self.problems += zfs.problems(self.host, self.nas, self.seen, self.probe)
        known = self._records()
        cases = {}
        for name, pool in self.nas.pools.items():
            # A disk whose listing is wrong has been told of, and nothing about its pool can be.
            if all(disk in found.disks or disk in found.absent for disk in pool.members):
                cases[name] = self._case(name, found)
        decisions: dict[str, Decided] = {}
        for name, case in cases.items():
            others = {other: record for other, record in known.items() if other != name}
            decisions[name], cases[name] = self._decided(case, known.get(name), others)
            self.problems += decisions[name].problems
            self.warnings += decisions[name].warnings
            record = decisions[name].record
            if record is not None:
                self.pools[name] = record
                self.projects[name] = decisions[name].projects = self._projects(decisions[name])
        if zpools.wanted(self.nas):
            self.steps += zfs.loaded(self.seen, self.probe)
        for decided in decisions.values():
            self.steps += decided.first
        self.steps += self._opened_at_boot({**known, **self.pools})
        for decided in decisions.values():
            self.steps += decided.steps
        mirrors = [record for record in self.pools.values() if record.kind == "mdraid"]
        mirrors += [record for name, record in known.items() if name not in self.nas.pools and record.kind == "mdraid"]
        self.steps += self._written_down(tuple(mirrors))
        if any(record.kind == "zfs" for record in self.pools.values()):
            self.steps += self._brought_in()
        for name, decided in decisions.items():
            if decided.record is not None and decided.record.kind == "snapraid":
                self.steps += self._joined(cases[name], decided)
            elif decided.record is not None:
                self.steps += self._mounted(cases[name], decided)
        self.steps += self._noted(cases)
        made = {
            name
            for name, decided in decisions.items()
            if any(step.kind in ("additive", "destructive") for step in decided.steps)
        }
        self.problems += volumes.problems(self.host, self.nas, self.seen, self.pools, self.projects, made)
        self.problems += datasets.problems(self.host, self.nas, self.seen, self.pools, made)
        joined = [record for record in self.pools.values() if record.kind == "snapraid"]
        for record in joined:
            self.problems += branches.volume_problems(self.host, self.nas, record, self.seen, self.probe)
        self.warnings += self._kept(known)
        return Plan(
            steps=tuple(self.steps),
            volumes=(
                *volumes.steps(self.nas, self.seen, self.pools, self.projects, made),
                *datasets.steps(self.nas, self.seen, self.probe, self.pools, made),
                *(step for record in joined for step in branches.volumes(self.nas, record, self.seen, self.probe)),
            ),
            problems=tuple(dict.fromkeys(self.problems)),
            warnings=tuple(self.warnings),
            pools=dict(self.pools),
        )

    def _projects(self, decided: Decided) -> bool:
        """Whether a filesystem counts project quotas, by how it was mounted last if it cannot be seen."""
        if decided.projects is not None:
            return decided.projects
        assert decided.record is not None
        without = mounts.unit_file(decided.record, mounts.options(decided.record, projects=False))
        return decided.record.filesystem == "xfs" or not without.stands(self.probe.files.get(without.path))

    def _decided(self, case: Case, record: Record | None, others: Mapping[str, Record]) -> tuple[Decided, Case]:
        """What becomes of a pool, and the case of what it was decided on."""
        if record is not None and record.state == "made" and record.kind != "snapraid":
            record, unknown = named(case, record)
            if unknown:
                return Decided(problems=list(unknown)), case
        if not luks.concerns(case, record):
            return decide(case, record, others, self.make_uuid), case
        return luks.decide(case, record, others, self.make_uuid, decide, self.probe, self.keys.get(case.name))

    def _opened_at_boot(self, pools: Mapping[str, Record]) -> Iterator[Step]:
        """Before anything is encrypted, so that after a power cut what was made is open and can be finished."""
        encrypted = tuple(pools[name] for name in sorted(pools) if pools[name].luks)
        if crypttab.stands(self.probe.text.get(crypttab.PATH), encrypted):
            if encrypted:
                yield Step("noop", "crypttab", f"{crypttab.PATH} names the encrypted disks")
            return
        names = ", ".join(record.pool for record in encrypted)
        says = (
            f"open the disks of {names} at boot, by {crypttab.PATH}"
            if names
            else f"take our lines out of {crypttab.PATH}"
        )
        yield Step("config", "crypttab", says, crypttab.written(encrypted))

    def _records(self) -> dict[str, Record]:
        known = {}
        for name, said in self.seen.records.items():
            try:
                record = records.read(name, said)
            except ValueError as error:
                path = f"{self.host}: {records.FOLDER}/{name}"
                self.problems.append(Problem(path, str(error), "correct it; without it a pool is adopted by its name"))
                continue
            if record is not None:
                known[name] = record
        return known

    def _case(self, name: str, found: Found) -> Case:
        pool = self.nas.pools[name]
        return Case(
            self.host,
            name,
            pool,
            ids={disk: self.nas.disks[disk].id for disk in pool.members},
            consents={disk: self.nas.disks[disk].consent for disk in pool.members},
            disks={disk: found.disks[disk] for disk in pool.members if disk in found.disks},
            absent=tuple(disk for disk in pool.members if disk in found.absent),
            seen=self.seen,
            used=self.used,
            environment=self.environment,
        )

    def _written_down(self, mirrors: tuple[Record, ...]) -> Iterator[Step]:
        if not mirrors:
            return
        for file in degraded.FILES:
            if not file.stands(self.probe.files.get(file.path)):
                says = f"write {file.path}, by which an array that lost a disk runs after a boot"
                yield Step("config", "arrays", says, "systemctl daemon-reload\n", file)
        text, state = self.probe.text.get(mdraid.CONF), self.probe.files.get(mdraid.CONF)
        embedded = (self.probe.text.get(mdraid.EMBEDDED) or "").strip()
        if mdraid.stands(text, mirrors) and state is not None and embedded == state.sha256:
            yield Step("noop", "mdadm.conf", f"{mdraid.CONF} and the initramfs name the arrays")
            return
        names = ", ".join(record.pool for record in mirrors)
        says = f"name {names} in {mdraid.CONF} and in the initramfs"
        yield Step("config", "mdadm.conf", says, mdraid.conf(mirrors), timeout=900)

    def _brought_in(self) -> Iterator[Step]:
        for file in zpools.FILES:
            if not file.stands(self.probe.files.get(file.path)):
                says = f"write {file.path}, by which a zpool that lost a disk is there after a boot"
                yield Step("config", "zfs", says, "systemctl daemon-reload\n", file)

    def _noted(self, cases: Mapping[str, Case]) -> Iterator[Step]:
        """Which disks arrays run on, where nothing has noted that yet; by the records, which are written by then."""
        unknown = [
            name
            for name, record in self.pools.items()
            if record.kind == "mdraid"
            and (array := cases[name].array) is not None
            and array.runs
            and not self.seen.kept.get(superblocks.mdadm_uuid(record.uuid))
        ]
        if unknown:
            yield Step(
                "config", "arrays", f"note which disks {', '.join(unknown)} runs on", f"{degraded.SCRIPT} --note\n"
            )
        # By its guid, which a pool that is made now has only then.
        unnoted = [
            name for name, record in self.pools.items() if record.kind == "zfs" and not self.seen.kept.get(record.uuid)
        ]
        if unnoted:
            says = f"note which disks {', '.join(unnoted)} runs on"
            yield Step("config", "zfs", says, f"{zpools.SCRIPT} --note\n")

    def _mounted(self, case: Case, decided: Decided) -> Iterator[Step]:
        record = decided.record
        assert record is not None
        name, subject, at = case.name, f"pool {case.name}", mounts.path(case.name)
        making = any(step.kind in ("additive", "destructive") for step in decided.steps)
        if not making and not record.file.stands(self.probe.files.get(record.file.path)):
            yield Step("config", subject, f"remember {name} by its UUID {record.uuid}", file=record.file)
        there = self._there(case, record)
        if there is None:
            yield from self._mountpoint(case)
        elif not there.takes_writes:
            self.warnings.append(mounts.unwritable(case.place, at))
        reload = "systemctl daemon-reload\n"
        # Of a zpool no device is mounted, and what brings it in waits by itself.
        if record.kind != "zfs":
            wait = mounts.timeout_file(record)
            if self.seen.waits.get(wait.path) != wait.sha256:
                yield Step("config", subject, f"let {at} wait for its disks only so long", reload, wait)
        unit = mounts.unit_file(record, mounts.options(record, projects=bool(decided.projects)))
        if not unit.stands(self.probe.files.get(unit.path)):
            yield Step("config", subject, f"write {unit.path}", reload, unit)
        found = self.seen.mountpoints.get(name)
        laid = found is not None and found.sentinel == record.sentinel
        if there is not None and laid and self.probe.unit(mounts.unit(name)).enabled == "enabled":
            yield Step("noop", subject, f"{name} is mounted at {at}")
        else:
            yield Step("config", subject, f"mount {name} at {at}, now and at every boot", mounts.mounted(record))

    def _joined(self, case: Case, decided: Decided) -> Iterator[Step]:
        """The disks of a snapraid pool, each in its place, and all of them as one."""
        record = decided.record
        assert record is not None
        by_name = {name: disk.path for name, disk in case.disks.items()}
        sources = {slot: by_name[name] for slot, (_, name) in record.slots.items() if name in by_name}
        making = any(step.kind in ("additive", "destructive") for step in decided.steps)
        joined = branches.Branches(case.place, record, sources, self.seen, self.probe, making)
        steps = tuple(joined.steps())
        self.problems += joined.problems
        self.warnings += joined.warnings
        return iter(steps)

    def _there(self, case: Case, record: Record) -> Mount | None:
        """The pool's mount at its place; a problem when it is elsewhere, or something else is in its place."""
        at = mounts.path(case.name)
        array = case.array
        sources = {device.path for disk in case.disks.values() if (device := case.carrier(disk))}
        if record.kind == "mdraid":
            sources = {array.device.path} if array is not None else set()
        elif record.kind == "zfs":
            sources = {case.name}
        mount = self.seen.mounted(at)
        if mount is not None and mount.source not in sources:
            found = f"{mount.source} is mounted at {at}"
            self.problems.append(Problem(case.place, found, "unmount it, and take it out of /etc/fstab"))
        elif mount is not None and mount.root != "/":
            found = f"{mount.root} of it is mounted at {at}, and not the whole"
            self.problems.append(Problem(case.place, found, "unmount it, and take it out of /etc/fstab"))
        elif mount is None:
            elsewhere = [each.target for each in self.seen.mounts if each.source in sources]
            if elsewhere:
                found = f"is mounted at {', '.join(elsewhere)}"
                remedy = "unmount it there, and take it out of /etc/fstab"
                if record.kind == "zfs":
                    remedy = f"if nothing uses it there, run `zfs set mountpoint=legacy {case.name}`"
                self.problems.append(Problem(case.place, found, remedy))
        else:
            seen = self.seen.mountpoints.get(case.name)
            other = seen.sentinel.rpartition(" ")[2] if seen is not None else ""
            if other and other != record.filesystem_uuid:
                found = f"its {records.SENTINEL} names {other}, and its UUID is {record.filesystem_uuid}"
                self.problems.append(Problem(case.place, found, "remove that file if the pool is the right one"))
        return mount

    def _mountpoint(self, case: Case) -> Iterator[Step]:
        at, found = mounts.path(case.name), self.seen.mountpoints.get(case.name)
        kind = found.kind if found is not None else ""
        if kind not in ("", "dir"):
            self.problems.append(Problem(case.place, f"{at} is a {kind}, not a directory", "rename it"))
        elif found is not None and not found.empty:
            remedy = "move away what it holds, which nobody would see under the pool"
            self.problems.append(Problem(case.place, f"{at} is not empty", remedy))
        elif found is None or kind == "" or not found.immutable:
            says = f"make {at} a directory that stays empty while {case.name} is not mounted"
            yield Step("config", f"pool {case.name}", says, mounts.sealed(case.name))

    def _kept(self, known: dict[str, Record]) -> Iterator[Problem]:
        for name in known:
            if name not in self.nas.pools:
                found, text = "not listed any more", "it is kept as it is, mounted and in no share"
                yield Problem(f"{self.host}.pools.{name}", found, text)
        for full in self.seen.projects:
            pool, _, volume = full.partition("/")
            listed = self.nas.volumes.get(volume)
            names = self.seen.mountpoints[pool].names if pool in self.seen.mountpoints else ()
            if (listed is None or listed.pool != pool) and volume in names:
                yield Problem(f"{self.host}.volumes.{volume}", "not listed any more", f"/srv/{full} is kept as it is")
