"""One host after another: gate, cordon, drain, upgrade, reboot, wait, uncordon; stop where one does not come back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from homelab.counting import many
from homelab.health import ClusterUnreachable, Report, Snapshot
from homelab.k3s.node import Node, Sight, unmet
from homelab.model import Home, Host
from homelab.patch import gate, hangs
from homelab.patch.cluster import Cluster, ClusterError
from homelab.patch.draining import drain, lives
from homelab.patch.gate import Normal
from homelab.patch.hosts import Seen, lacks
from homelab.patch.lease import Lost
from homelab.patch.order import Turn, order, quorum, turn
from homelab.patch.pace import Pace, Stopped, few
from homelab.patch.summary import Result, Summary

_OWN = "is the very machine that this runs on, and its reboot would cut it; run it from another one"


class HostError(Exception):
    """An act on a host failed: one line. `unreachable` when it could not even be begun."""

    def __init__(self, why: str, *, unreachable: bool = False) -> None:
        super().__init__(why)
        self.unreachable = unreachable


class Hosts(Protocol):
    """The hosts' side, which is `deploys/playbooks/patch.yml`."""

    def look(self, names: Sequence[str], lists: str) -> Mapping[str, Seen | HostError]:
        """What each host tells of itself; `lists` as in `look.sh`."""

    def upgrade(self, name: str) -> None:
        """Upgrade a host's packages. Raise HostError."""

    def reboot(self, name: str) -> None:
        """Have a host reboot. Raise HostError."""


@dataclass
class Rolling:
    """A run over a home; `cluster` is None where there is none, `look` reads the cluster's health, and `alone` is what
    keeps other runs away while it changes anything. `own` is `boot` of the machine that it runs on, "" if not known."""

    home: Home
    hosts: Hosts
    cluster: Cluster | None
    look: Callable[[], tuple[Report, Snapshot]]
    pace: Pace = field(default_factory=Pace)
    alone: Callable[[], AbstractContextManager[None]] = nullcontext
    own: str = ""
    _normal: Normal = field(default_factory=Normal, init=False)
    _notes: list[str] = field(default_factory=list, init=False)
    _seen_of: dict[str, Seen] = field(default_factory=dict, init=False)
    _snapshot: Snapshot | None = field(default=None, init=False)

    def plan(self) -> Summary:
        """What a run would do now, with nothing changed; `stopped` says why it would not begin."""
        seen, waits = self._survey("private")
        left: dict[str, bool] = {}
        try:
            left = self._left()
        except ClusterError as error:
            waits.append(str(error))
        else:
            waits += self._against() if self.cluster is not None else []
        results = []
        for host in self._order(seen):
            if (here := seen.get(host.name)) is None:
                results.append(Result(host, "unknown"))
                continue
            found = turn(here, left=left.get(host.name, False))
            outcome = {Turn.NOTHING: "up to date", Turn.FINISH: "to finish", Turn.PATCH: "to patch"}[found]
            results.append(self._result(host, here, outcome))
            if host.nas and found is Turn.PATCH:
                self._hanging(host, here)
            if here.reboot and self._is_own(here):
                waits.append(f"{host.name}: {_OWN}")
        return self._summary(results, waits, dry_run=True)

    def run(self) -> Summary:
        """Patch all hosts, one after another, until the first that does not come back."""
        seen, problems = self._survey("refresh")
        wanted = self._order(seen)
        if problems:
            self._still_cordoned()
            return self._summary([self._result(host, seen.get(host.name), "untouched") for host in wanted], problems)
        with self.alone():
            return self._patched(wanted, seen)

    def _patched(self, wanted: Sequence[Host], seen: Mapping[str, Seen]) -> Summary:
        left = self._left()
        results: list[Result] = []
        stopped = self._finish(wanted, left)
        begun = False
        for host in wanted:
            here = seen[host.name]
            found = turn(here, left=left.get(host.name, False))
            if stopped:
                results.append(self._result(host, here, "up to date" if found is Turn.NOTHING else "untouched"))
                continue
            if found is not Turn.PATCH:
                self.pace.told(host.name, "up to date")
                results.append(self._result(host, here, "up to date" if found is Turn.NOTHING else "finished"))
                continue
            since = self.pace.clock()
            try:
                if not begun:
                    self._begin()
                    begun = True
                results.append(self._turn(host, here))
            except (Stopped, ClusterError, HostError, Lost) as error:
                stopped.append(f"{host.name}: {error}")
                results.append(self._result(host, here, "stopped"))
            results[-1] = replace(results[-1], seconds=round(self.pace.clock() - since, 1))
        return self._summary(results, stopped)

    def _order(self, seen: Mapping[str, Seen]) -> list[Host]:
        """The hosts in their order; last of all the one that this runs on, whose turn may not come to its end."""
        return sorted(order(self.home), key=lambda host: host.name in seen and self._is_own(seen[host.name]))

    def _is_own(self, seen: Seen) -> bool:
        return seen.boot == self.own

    @property
    def _away(self) -> frozenset[str]:
        return frozenset(host.name for host in self.home.hosts if host.away)

    # Before the first change
    #

    def _survey(self, lists: str) -> tuple[dict[str, Seen], list[str]]:
        """What each host tells, and in one line each what speaks against beginning."""
        names = [host.name for host in order(self.home)]
        self.pace.told("", f"asking {', '.join(names)} for what there is to upgrade")
        seen: dict[str, Seen] = {}
        problems = []
        for name, answer in self.hosts.look(names, lists).items():
            if isinstance(answer, HostError):
                remedy = "mend it, or write away: True at this host to go on without it" if answer.unreachable else ""
                problems.append(
                    f"{name}: {'cannot be reached: ' if answer.unreachable else ''}{answer}; {remedy}".rstrip("; ")
                )
                continue
            seen[name] = answer
            problems += [f"{name}: {why}; mend apt on it and run this again" for why in answer.broken]
            problems += [
                f"{name}: {path} is not mounted, as it is to be at boot; mount it, or write noauto where it is "
                "described, and run this again"
                for path in answer.unmounted
            ]
            if answer.locked:
                problems.append(f"{name}: a deploy or an upgrade is running there; wait for its end")
            if answer.k3s:
                listed = ", ".join(map(str, answer.k3s))
                problems.append(
                    f"{name}: apt would change K3s itself ({listed}), which its deploy does; "
                    f"run there: apt-mark hold {' '.join(each.name for each in answer.k3s)}"
                )
        self._seen_of = seen
        return seen, problems

    def _nodes(self) -> dict[str, Node]:
        return self.cluster.nodes() if self.cluster is not None else {}

    def _left(self) -> dict[str, bool]:
        """The nodes with the mark of an earlier run, and whether its cordon is still ours to undo."""
        return self.cluster.marked() if self.cluster is not None else {}

    def _still_cordoned(self) -> None:
        """Note what an earlier run has left, where this one ends before it could go on with it."""
        if self.cluster is None:
            return
        try:
            left = self.cluster.once.marked()
        except ClusterError:
            return
        self._notes += [f"{name} is still cordoned by an earlier run" for name, mine in left.items() if mine]

    def _finish(self, hosts: Sequence[Host], left: Mapping[str, bool]) -> list[str]:
        """Let pods onto the nodes again that an earlier run has left cordoned; why one cannot take them yet.

        First of all, since pods that wait for just these nodes would be held against the cluster.
        """
        if self.cluster is None:
            return []
        nodes = self._nodes() if left else {}
        for host in hosts:
            if host.name not in left:
                continue
            try:
                if not left[host.name]:
                    self.pace.confirm()
                    self.cluster.unmark(host.name)
                    self.pace.told(host.name, "was cordoned by somebody since an earlier run, and stays so")
                    self._notes.append(
                        f"{host.name} stays cordoned, which somebody has done since an earlier run; "
                        f"if nobody has, run: kubectl uncordon {host.name}"
                    )
                    continue
                self.pace.told(host.name, "was left cordoned by an earlier run")
                self._up(host, nodes[host.name])
                self.pace.confirm()
                self.cluster.uncordon(host.name)
                self.pace.told(host.name, "uncordoned")
                self._well(host)
            except (Stopped, ClusterError, Lost) as error:
                return [f"{host.name}: {error}"]
        return []

    def _begin(self) -> None:
        """Note what is normal for this cluster, and refuse to begin where it is not well."""
        if self.cluster is None:
            return
        try:
            report, snapshot = self._look()
        except ClusterUnreachable as error:
            raise Stopped(f"not begun, the cluster cannot be asked: {error}") from None
        if wrong := gate.against(report, snapshot, away=self._away):
            raise Stopped(f"not begun, the cluster is not well: {few(wrong)}")
        for each in gate.warnings(report):
            self.pace.told("", f"warning, as it was before: {each}")
        self._normal = Normal.of(snapshot)

    # A host's turn
    #

    def _turn(self, host: Host, surveyed: Seen) -> Result:
        """Bring one host up to date. Raise Stopped, with the node as well off as it can be left."""
        self.pace.go_on()
        before = self._seen(host)
        node = self._nodes().get(host.name) if host.role else None
        if host.role and node is None and self.cluster is not None:
            raise Stopped("is no node of the cluster; deploy k3s first, or take it out of the inventory")
        if node is not None:
            self._same(host, node, before)
        if before.reboot and self._is_own(before):
            raise Stopped(_OWN)
        self._idle(host, before)
        self._allowed(host)
        if host.nas:
            for line in self._hanging(host, before):
                self.pace.told("", f"warning: {line}")
        mine = node is not None and self._cordon(host)
        rebooted = False
        because: tuple[str, ...] = ()
        try:
            if node is not None:
                assert self.cluster is not None
                drain(self.cluster, host.name, self._away, self.pace)
            self.pace.go_on()
            if surveyed.packages:
                self.pace.told(host.name, f"upgrading {many(len(surveyed.packages), 'package')}")
                self.hosts.upgrade(host.name)
            after = self._seen(host)
            if after.reboot:
                because = after.because
                if self._is_own(after):
                    raise Stopped(_OWN)
                # A drain and an upgrade take their time: what was true before them need not be any more.
                self._idle(host, after)
                self._spared(host)
                self._reboot(host, replace(after, failed=before.failed, mounts=before.mounts))
                rebooted = True
            else:
                self._whole(host, before, after)
                if after.old:
                    # What others need, dbus above all, is not restarted beneath them.
                    remedy = f"reboot {host.name} when it suits you"
                    self._notes.append(f"{host.name}: still runs what was upgraded: {', '.join(after.old)}; {remedy}")
            if node is not None:
                self._up(host, node)
        except (Stopped, ClusterError, HostError) as error:
            remedy = self._rescue(host, before) if mine else ""
            raise Stopped(f"{error}{remedy}") from None
        except BaseException:
            if mine:
                self.pace.told(host.name, "stays cordoned; the next run goes on with it")
            raise
        if mine and self.cluster is not None:
            self.pace.confirm()
            self.cluster.uncordon(host.name)
            self.pace.told(host.name, "uncordoned")
        elif node is not None:
            self.pace.told(host.name, "left cordoned, as it was before")
        self._well(host)
        return self._result(
            host,
            surveyed,
            "patched",
            rebooted=rebooted,
            because=because or surveyed.because,
            notes=("left cordoned, as it was before",) if node is not None and not mine else (),
        )

    def _seen(self, host: Host) -> Seen:
        answer = self.hosts.look([host.name], "none")[host.name]
        if isinstance(answer, HostError):
            raise answer
        return answer

    def _same(self, host: Host, node: Node, seen: Seen) -> None:
        """Wait until a node tells of the boot that its machine has. Raise Stopped where it is another machine's."""
        end, found = self.pace.end, node
        while found.boot not in ("", seen.boot.partition(" ")[0]):
            if self.pace.late(end):
                raise Stopped(
                    f"the machine that answers there is not the node {host.name}; correct its address or ssh_hostname"
                )
            self.pace.wait(host.name, "waiting: its node tells of another boot than its machine")
            found = self._nodes().get(host.name, node)

    def _idle(self, host: Host, seen: Seen) -> None:
        """Wait for work on disks that a reboot would cut."""
        end = self.pace.end
        while seen.busy:
            if self.pace.late(end):
                raise Stopped(f"{', '.join(seen.busy)} is still running; wait for its end and run this again")
            self.pace.wait(host.name, f"waiting for {', '.join(seen.busy)}")
            seen = self._seen(host)

    def _whole(self, host: Host, before: Seen, now: Seen) -> None:
        """Wait until a host has all that it had before it was upgraded. Raise Stopped after the deadline."""
        end = self.pace.end
        while missing := lacks(before, now):
            if self.pace.late(end):
                raise Stopped(f"is not as it was before the upgrade: {few(missing)}; mend that and run this again")
            self.pace.wait(host.name, f"waiting: {missing[0]}")
            now = self._seen(host)

    def _hanging(self, nas: Host, seen: Seen) -> list[str]:
        """What waits while a NAS is away, noted for the summary as well."""
        found = [*hangs.lines(nas, seen, self._snapshot), *hangs.mounts(nas, self._seen_of)]
        self._notes += found
        return found

    def _allowed(self, host: Host) -> None:
        """The gate: the cluster is well, and a server can be spared."""
        if self.cluster is None:
            return
        self._well(host)
        self._spared(host)

    def _spared(self, host: Host) -> None:
        """Raise Stopped where the other servers cannot do without this one now."""
        if self.cluster is None or host.role != "server":
            return
        serving = [other.name for other in self.home.servers if not other.away and self.cluster.ready(other)]
        if wrong := quorum(host, self.home, self.cluster.nodes(), serving):
            raise Stopped(f"cannot be spared now: {few(wrong)}")

    def _cordon(self, host: Host) -> bool:
        assert self.cluster is not None
        self.pace.confirm()
        mine = self.cluster.cordon(host.name, datetime.now(UTC))
        self.pace.told(host.name, "cordoned" if mine else "was cordoned by somebody, and stays so")
        return mine

    def _reboot(self, host: Host, before: Seen) -> None:
        """Reboot a host and wait until it has booted and is whole. Raise Stopped after the deadline."""
        self.pace.confirm()
        self.pace.told(host.name, f"reboots, for {before.reason}")
        self.hosts.reboot(host.name)
        end = self.pace.end
        missing = ["it has not gone down"]
        while not self.pace.late(end):
            self.pace.pause()
            now = self.hosts.look([host.name], "none")[host.name]
            if isinstance(now, HostError):
                missing = [f"it does not answer: {now}"]
            elif now.boot == before.boot:
                missing = ["it has not gone down"]
            else:
                missing = lacks(before, now)
                if not missing and now.reboot:
                    raise Stopped(f"it still asks for a reboot after one, for {now.reason}; see why on it")
                if not missing:
                    self.pace.told(host.name, f"has booted, kernel {now.kernel}")
                    return
            self.pace.wait(host.name, f"waiting: {missing[0]}")
        raise Stopped(f"has not come back within {self.pace.limit}: {few(missing)}")

    def _up(self, host: Host, before: Node) -> None:
        """Wait until a node counts as up as the deploy's own gate has it, and no node is in a bad way."""
        assert self.cluster is not None
        end = self.pace.end
        missing = ["it has not been looked at"]
        while True:
            now = self.hosts.look([host.name], "none")[host.name]
            if isinstance(now, HostError):
                missing = [f"it does not answer: {now}"]
            else:
                missing = self._missing(host, before, now)
                if not missing:
                    self.pace.told(host.name, f"Ready with {before.version}")
                    return
            if self.pace.late(end):
                raise Stopped(f"its node has not come back within {self.pace.limit}: {few(missing)}")
            self.pace.wait(host.name, f"waiting: {missing[0]}")

    def _missing(self, host: Host, before: Node, now: Seen) -> list[str]:
        assert self.cluster is not None
        server = host.role == "server"
        try:
            sight = Sight(
                unit=now.unit,
                queued=now.queued,
                started=now.started,
                serving=self.cluster.ready(host) if server else None,
                node=self.cluster.nodes().get(host.name),
                renewed=self.cluster.renewed(host.name),
            )
            if missing := unmet(sight, version=before.version, server=server):
                return missing
            report, _ = self._look()
        except (ClusterError, ClusterUnreachable) as error:
            return [str(error)]
        return gate.critical(report, self._away, infrastructure=True)

    def _look(self) -> tuple[Report, Snapshot]:
        report, self._snapshot = self.look()
        return report, self._snapshot

    def _against(self, normal: Normal | None = None) -> list[str]:
        try:
            return gate.against(*self._look(), normal, self._away)
        except ClusterUnreachable as error:
            return [str(error)]

    def _well(self, host: Host) -> None:
        """Wait until the cluster is as well as when the run began. Raise Stopped after the deadline."""
        if self.cluster is None:
            return
        end = self.pace.end
        while wrong := self._against(self._normal):
            if self.pace.late(end):
                raise Stopped(f"the cluster has not been well for {self.pace.limit}: {few(wrong)}")
            self.pace.go_on()
            self.pace.wait(host.name, f"waiting: {wrong[0]}")

    def _rescue(self, host: Host, before: Seen) -> str:
        """Let pods onto a node again whose turn went wrong, where it lives; else it stays cordoned, with our mark.

        Without a disk that it had, pods would begin anew in the empty folder: then it stays cordoned until a person
        uncordons it. Gives what is to be done by hand, to go on with in the line that says why.
        """
        assert self.cluster is not None
        try:
            if not lives(self.cluster, host.name, self.pace):
                self.pace.told(host.name, "stays cordoned; the next run goes on with it")
                return ""
            now = self.hosts.look([host.name], "none")[host.name]
            if isinstance(now, HostError):
                self.pace.told(host.name, "stays cordoned, since it does not tell its mounts; the next run goes on")
                return ""
            self.pace.confirm()
            if lost := sorted(before.mounts - now.mounts):
                self.cluster.unmark(host.name)
                self.pace.told(host.name, f"stays cordoned, since {', '.join(lost)} is not mounted")
                return f"; mount {', '.join(lost)}, then run: kubectl uncordon {host.name}"
            self.cluster.uncordon(host.name)
            self.pace.told(host.name, "uncordoned, since the node itself is well")
        except (ClusterError, Lost) as error:
            self.pace.told(host.name, f"stays cordoned ({error}); the next run goes on with it")
        return ""

    # Telling
    #

    def _result(self, host: Host, seen: Seen | None, outcome: str, **more: object) -> Result:
        if seen is None:
            return Result(host, outcome)
        return replace(
            Result(host, outcome, packages=seen.packages, kept=seen.kept, reboot=seen.reboot, because=seen.because),
            **more,  # type: ignore[arg-type]
        )

    def _summary(self, results: Sequence[Result], stopped: Sequence[str], *, dry_run: bool = False) -> Summary:
        away = [Result(host, "away") for host in self.home.hosts if host.away]
        return Summary(self.home.environment, (*results, *away), tuple(stopped), dry_run, tuple(self._notes))
