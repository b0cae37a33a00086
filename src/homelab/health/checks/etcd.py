"""etcd inside K3s: how many members there are, which of them vote, and the snapshots that they take.

Nothing but the API is asked: K3s gives each member's node a role and, in later versions, the condition EtcdIsVoter, and
lists all members' snapshots as objects. That is False of a learner, of a member that does not answer the leader or has
an alarm (Unhealthy), and of a node that is no member any more (NotAMember). Older versions leave it True when the node
is down, so both are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from homelab.counting import many
from homelab.health import cron
from homelab.health.checks.nodes import not_ready
from homelab.health.codes import CRITICAL, INFO, WARNING, finding
from homelab.health.objects import Node, Thing
from homelab.health.report import Finding, Ref
from homelab.health.shape import median, text, when
from homelab.health.snapshot import Snapshot, copied

_VOTER, _ILL, _NONE = "EtcdIsVoter", "Unhealthy", "NotAMember"
_UNFINISHED = timedelta(minutes=10)
_ETCD_LOG = "on {name}: journalctl -u k3s -e | grep -i etcd"
CLUSTER = Ref("Etcd", "", "etcd")  # Kubernetes has no object for it


def _members(snapshot: Snapshot) -> list[Node]:
    return [node for node in snapshot.nodes if node.etcd]


def _votes(node: Node) -> bool:
    """Whether a member votes. Versions of K3s that do not tell have no other members for more than a moment."""
    told = node.conditions.get(_VOTER)
    return told is None or told.status != "False" or told.reason == _ILL


def _ill(snapshot: Snapshot, node: Node) -> bool:
    """Whether the leader has not got through to a member for a while, or it has an alarm."""
    told = node.conditions.get(_VOTER)
    if told is None or told.status != "False" or told.reason != _ILL:
        return False
    return told.since is None or snapshot.now - told.since > snapshot.thresholds.node_not_ready


def check_quorum(snapshot: Snapshot) -> Iterator[Finding]:
    """So many voting members are there that etcd can do without one more. A single one never can: that is no fault."""
    voters = [node for node in _members(snapshot) if _votes(node)]
    down = [node.name for node in voters if not_ready(snapshot, node) or _ill(snapshot, node)]
    there, quorum = len(voters) - len(down), len(voters) // 2 + 1
    if not down or there > quorum:
        return
    short = there < quorum
    left = "fewer than its quorum" if short else "just its quorum: with one more down the cluster stops"
    yield finding(
        "ETCD001",
        CLUSTER,
        f"has {there} of {many(len(voters), 'voting member')}, {left}",
        severity=CRITICAL if short else WARNING,
        evidence={"down": tuple(down), "quorum": quorum},
    )


def check_voters(snapshot: Snapshot) -> Iterator[Finding]:
    """Each member that is up votes and answers the others; one that only learns holds up all that would join."""
    for node in _members(snapshot):
        told = node.conditions.get(_VOTER)
        if told is None or told.status != "False" or not_ready(snapshot, node):
            continue
        if told.reason == _ILL:
            if _ill(snapshot, node):
                said = f"is a member of etcd that does not answer as it should: {told.why}"
                yield finding("ETCD002", node.ref, said, since=told.since, remedy=_ETCD_LOG)
            continue
        if told.since and snapshot.now - told.since <= snapshot.thresholds.etcd_learner:
            continue
        none = told.reason == _NONE
        said = "is no member of etcd any more" if none else f"is a member of etcd without a vote: {told.why}"
        yield finding("ETCD002", node.ref, said, since=told.since, remedy=_ETCD_LOG if none else None)


def check_odd(snapshot: Snapshot) -> Iterator[Finding]:
    """The number of members is odd, as one more on top of that bears no more failures; two bear none at all."""
    members = _members(snapshot)
    if len(members) % 2 or not members:
        return
    joined = max((node.created for node in members if node.created), default=None)
    if joined and snapshot.now - joined <= snapshot.thresholds.etcd_even:
        return
    two = len(members) == 2
    bears = "it stops when either is down" if two else "it bears no more failures than with one less"
    yield finding(
        "ETCD003",
        CLUSTER,
        f"has {len(members)} members: {bears}",
        severity=WARNING if two else INFO,
        evidence={"members": tuple(node.name for node in members)},
    )


# -- snapshots --------------------------------------------------------------------------------------------------------


def _files(snapshot: Snapshot) -> tuple[Thing, ...]:
    return snapshot.things("etcdsnapshotfiles")


def _taken(file: Thing) -> datetime | None:
    return when(file.at("status", "creationTime")) or file.created


def _error(file: Thing) -> str:
    return text(file.at("status", "error", "message"))


def _usable(file: Thing) -> bool:
    return file.at("status", "readyToUse") is True and not _error(file)


def _local(file: Thing) -> bool:
    """Whether a snapshot is, or was to be, on its server's own disk: one that failed has no location."""
    return not file.at("spec", "s3")


def _taker(snapshot: Snapshot, file: Thing) -> str:
    """The name of the member that took a snapshot. Where S3 is not reached at all K3s writes "s3" for it, and only the
    snapshot's own name tells: PREFIX-MEMBER-SECONDS."""
    told, name = text(file.at("spec", "nodeName")), text(file.at("spec", "snapshotName")).rpartition("-")[0]
    named = [node.name for node in _members(snapshot) if name.endswith(f"-{node.name}")]
    return max(named, key=len, default=told) if told == "s3" else told


def check_snapshot_age(snapshot: Snapshot) -> Iterator[Finding]:
    """The newest snapshot is not older than the plan that K3s takes them by, by far."""
    plans = [cron.widest_pause(each.snapshots) for each in _members(snapshot) if each.snapshots is not None]
    planned = min((pause for pause in plans if pause), default=timedelta())
    usable = [file for file in _files(snapshot) if _usable(file)]
    newest = max((taken for file in usable if (taken := _taken(file))), default=None)
    # Before the first one is due there is none.
    since = newest or min((node.created for node in _members(snapshot) if node.created), default=None)
    if since is None:
        return
    limits, pause = snapshot.thresholds, max(planned, _pause(usable))
    old = snapshot.now - since
    if old <= max(limits.etcd_snapshot_warning, pause * 1.5):
        return
    critical = bool(plans) and old > max(limits.etcd_snapshot_critical, pause * 3)
    said = "has no newer snapshot" if newest else "has no snapshot that can be used"
    yield finding(
        "ETCD004",
        CLUSTER,
        said if plans else f"{said}, and K3s is told to take none (etcd-disable-snapshots)",
        severity=CRITICAL if critical else WARNING,
        since=since,
    )


def _pause(usable: Iterable[Thing]) -> timedelta:
    """The usual time between two snapshots of one member, zero when there are too few to tell."""
    times: dict[str, set[datetime]] = {}
    for file in usable:
        if _local(file) and (taken := _taken(file)):
            times.setdefault(text(file.at("spec", "nodeName")), set()).add(taken)
    gaps = [later - earlier for each in times.values() for earlier, later in pairwise(sorted(each))]
    return timedelta(seconds=median(gap.total_seconds() for gap in gaps)) if len(gaps) > 1 else timedelta()


def check_snapshot_failed(snapshot: Snapshot) -> Iterator[Finding]:
    """The last snapshot of each member, and the last one in each other place, has succeeded."""
    last: dict[tuple[bool, str], tuple[datetime, str, Thing]] = {}
    for file in _files(snapshot):
        taken = _taken(file)
        if taken is None or (not _usable(file) and not _error(file) and snapshot.now - taken <= _UNFINISHED):
            continue
        place = (_local(file), _taker(snapshot, file))
        last[place] = max(
            last.get(place, (taken, file.name, file)), (taken, file.name, file), key=lambda each: each[:2]
        )
    for (local, name), (taken, _, file) in sorted(last.items(), key=lambda each: each[0]):
        node = snapshot.node_named.get(name)
        # A member that is gone takes no more snapshots.
        if _usable(file) or (local and node is None):
            continue
        where = "" if local else " in S3"
        said = f"could not keep its last snapshot of etcd{where}: {_error(file) or 'no reason is given'}"
        evidence = {"node": name if node else "a server", "snapshot": text(file.at("spec", "snapshotName"))}
        yield finding("ETCD005", node.ref if local and node else CLUSTER, said, since=taken, evidence=evidence)


def check_snapshot_place(snapshot: Snapshot) -> Iterator[Finding]:
    """Some snapshot is elsewhere than on the servers' own disks."""
    usable = [file for file in _files(snapshot) if _usable(file)]
    if usable and all(_local(file) for file in usable):
        yield finding("ETCD006", CLUSTER, "has its snapshots on the servers' own disks only, as far as K3s knows")


# -- database ---------------------------------------------------------------------------------------------------------


def check_database(snapshot: Snapshot) -> Iterator[Finding]:
    """The database is not near the size beyond which etcd takes no more writes (`quota-backend-bytes`, 2 GiB where
    etcd-arg does not tell another). K3s lists how large each member's last snapshot is, which is a copy of it unless it
    was compressed; by how much it has grown or shrunk since then is seen by the next one."""
    last: dict[str, Thing] = {}
    told = [(taken, file.name, file) for file in _files(snapshot) if copied(file) and (taken := _taken(file))]
    for _, _, file in sorted(told, key=lambda each: each[:2]):
        last[_taker(snapshot, file)] = file
    used = [
        (100 * copied(file) / node.quota, node, file)
        for name, file in sorted(last.items())
        if (node := snapshot.node_named.get(name)) and node.etcd and node.quota
    ]
    if not used:
        return
    percent, node, file = max(used, key=lambda each: each[0])
    limits = snapshot.thresholds
    if percent <= limits.etcd_database_warning:
        return
    critical = percent > limits.etcd_database_critical
    most = limits.etcd_database_critical if critical else limits.etcd_database_warning
    yield finding(
        "ETCD007",
        CLUSTER,
        f"has a database of more than {most} % of what it may have, by its last snapshot",
        severity=CRITICAL if critical else WARNING,
        evidence={
            "percent": round(percent),
            "bytes": copied(file),
            "quota": node.quota,
            "node": node.name,
            "snapshot": text(file.at("spec", "snapshotName")),
        },
    )
