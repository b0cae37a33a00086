"""Whether the cluster is well enough to go on: health's report against what is normal for it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from homelab.health import Report, Severity, Snapshot
from homelab.health.objects import Workload

Key = tuple[str, str, str]
# Findings that tell of nodes, servers and the network's parts; the others may wait for this very node.
_INFRASTRUCTURE = ("NODE", "CTRL", "ETCD")


@dataclass(frozen=True)
class Normal:
    """How the cluster was when the run began: how many pods of each workload were available."""

    available: Mapping[Key, int] = field(default_factory=dict)

    @classmethod
    def of(cls, snapshot: Snapshot) -> Normal:
        return cls({_key(each): min(each.available, each.desired) for each in _workloads(snapshot)})


def _workloads(snapshot: Snapshot) -> Iterable[Workload]:
    return (*snapshot.deployments, *snapshot.statefulsets)


def _key(each: Workload) -> Key:
    return (each.kind, each.namespace, each.name)


def against(report: Report, snapshot: Snapshot, normal: Normal | None = None, away: Collection[str] = ()) -> list[str]:
    """What speaks against touching another node, one line each; empty when nothing does.

    That is: what health could not read, whatever is critical, and a workload with fewer pods available than when the
    run began. What somebody has suppressed does not count, nor that a node is down which the inventory says is `away`.
    """
    lines = [f"{each.name} could not be read ({each.why})" for each in report.unread]
    lines += critical(report, away)
    if normal is not None:
        for each in _workloads(snapshot):
            least = min(normal.available.get(_key(each), 0), each.desired)
            if each.available < least:
                lines.append(f"{each.kind} {each.namespace}/{each.name} has {each.available} of {each.desired} pods")
    return lines


def critical(report: Report, away: Collection[str] = (), *, infrastructure: bool = False) -> list[str]:
    """The critical findings of a report with their remedies; of nodes and servers only, if so asked."""
    return [
        f"{each.code} {each.object} {each.summary}" + (f"; {each.remedy}" if each.remedy else "")
        for each in report.roots
        if each.severity is Severity.CRITICAL
        and not (each.object.kind == "Node" and each.object.name in away)
        and (not infrastructure or each.code.startswith(_INFRASTRUCTURE))
    ]


def warnings(report: Report) -> list[str]:
    """The warnings of a report, which are told and do not count."""
    return [f"{each.code} {each.object} {each.summary}" for each in report.roots if each.severity is Severity.WARNING]
