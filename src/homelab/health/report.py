"""What a look at a cluster comes to: findings, which checks ran, and the exit code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import IntEnum, StrEnum
from functools import cached_property
from typing import NamedTuple

from homelab.counting import many

COULD_NOT_CHECK = 3
CLUSTER_READS = ("nodes", "pods")  # without these two there is nothing to vouch for

Evidence = Mapping[str, "str | int | float | tuple[str, ...]"]


class Severity(IntEnum):
    """How bad a finding is. Information is no finding: it is shown when asked for and never changes the exit code."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3

    def __str__(self) -> str:
        return self.name.lower()


class Ref(NamedTuple):
    """An object of the cluster by Kubernetes' own kind (`Pod`); `namespace` is "" for what has none."""

    kind: str
    namespace: str
    name: str
    uid: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Key(NamedTuple):
    """Which finding: a code and the object that it is about."""

    code: str
    object: Ref


class Suppressed(NamedTuple):
    """Why a finding is not told: the reason that somebody gave, to the end of which day, and where it is written."""

    reason: str
    until: date | None = None
    place: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one object.

    `summary` is a clause that goes on from the object's name: "cannot pull its image nginx:nope". `owner` is the
    workload that the object belongs to. `since` is when it began, by the cluster's clock, where the API tells.
    `remedy` is the command or act that confirms or fixes it. `caused_by` is the finding that this one follows from.
    `suppressed` is set when somebody knows of it and does not want to be told.
    """

    code: str
    severity: Severity
    object: Ref
    summary: str
    owner: Ref | None = None
    evidence: Evidence = field(default_factory=dict)
    since: datetime | None = None
    remedy: str = ""
    caused_by: Key | None = None
    suppressed: Suppressed | None = None

    @property
    def key(self) -> Key:
        return Key(self.code, self.object)

    @property
    def order(self) -> tuple[int, str, Ref, str]:
        """Worst first, then by code and object: the same whatever order the API listed things in."""
        return (-self.severity, self.code, self.object, self.summary)


class Status(StrEnum):
    """What became of a check."""

    OK = "ok"
    FINDINGS = "findings"
    SKIPPED = "skipped"  # what it reads is forbidden to us, or not served by this cluster
    FAILED = "failed"  # what it reads could not be read, or not whole


@dataclass(frozen=True)
class CheckRun:
    """One check of the table: what became of it, why when it did not run, and how many objects it looked at.

    `forbidden` tells of a skipped one that a right is missing, not the thing itself.
    """

    code: str
    title: str
    status: Status
    reason: str = ""
    objects: int = 0
    forbidden: bool = False


@dataclass(frozen=True)
class FailedRead:
    """A read of the API that was cut, late or answered with an error, or one that nothing can be said without."""

    name: str
    why: str


@dataclass(frozen=True)
class Report:
    """Findings in order with their consequences folded under them, and what they rest on.

    `findings` holds all of them, information and what is suppressed too; `roots`, `consequences`, `information` and
    `suppressed` are ways to read it. `notes` is what else there is to know, of settings that do nothing say. `hidden`
    counts the roots that were left out as not severe enough to be shown.
    """

    findings: tuple[Finding, ...]
    runs: tuple[CheckRun, ...]
    unread: tuple[FailedRead, ...] = ()
    now: datetime | None = None
    server: str = ""
    context: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    hidden: int = 0

    @cached_property
    def _silent(self) -> frozenset[Key]:
        return frozenset(each.key for each in self.findings if each.suppressed)

    @cached_property
    def told(self) -> tuple[Finding, ...]:
        """What is wrong, with neither information nor what is suppressed or follows from that."""
        silent = self._silent
        return tuple(
            each
            for each in self.findings
            if each.severity > Severity.INFO and not each.suppressed and each.caused_by not in silent
        )

    @property
    def roots(self) -> tuple[Finding, ...]:
        """What is wrong of itself, worst first."""
        return tuple(each for each in self.told if not each.caused_by)

    @property
    def information(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.severity is Severity.INFO and not each.suppressed)

    @property
    def suppressed(self) -> tuple[Finding, ...]:
        """What is wrong and somebody knows of; what follows from that, or is information, is not among it."""
        silent = self._silent
        return tuple(
            each
            for each in self.findings
            if each.suppressed and each.severity > Severity.INFO and each.caused_by not in silent
        )

    def consequences(self, root: Finding) -> tuple[Finding, ...]:
        """The findings that follow from this one, information and what is suppressed left out."""
        key = root.key
        return tuple(each for each in self.told if each.caused_by == key)

    def at_least(self, severity: Severity) -> Report:
        """The report without what is less severe; a consequence is shown with its root, whatever its own severity."""
        shown = {each.key for each in self.findings if not each.caused_by and each.severity >= severity}
        kept = tuple(each for each in self.findings if (each.caused_by or each.key) in shown)
        report = replace(self, findings=kept)
        return replace(report, hidden=self.hidden + len(self.roots) - len(report.roots))

    @property
    def worst(self) -> Severity | None:
        """The worst severity of what is told; None when nothing was found."""
        return max((each.severity for each in self.told), default=None)

    @property
    def exit_code(self) -> int:
        """2 any critical; else 3 could not check; else 1 any warning; else 0."""
        return self.exit_for(Severity.WARNING)

    def exit_for(self, fail_on: Severity) -> int:
        """The exit code when findings below `fail_on` are to be forgiven. What could not be read never is."""
        worst = self.worst
        if worst is Severity.CRITICAL:
            return 2
        if self.unread:
            return COULD_NOT_CHECK
        return 1 if worst is not None and worst >= fail_on else 0

    @property
    def coverage(self) -> str:
        """How much was checked: "61 checks: 58 run, 2 skipped, 1 could not run"."""
        skipped, failed = (self._count(status) for status in (Status.SKIPPED, Status.FAILED))
        parts = [f"{len(self.runs) - skipped - failed} run"]
        parts += [f"{skipped} skipped"] if skipped else []
        parts += [f"{failed} could not run"] if failed else []
        return f"{many(len(self.runs), 'check')}: {', '.join(parts)}"

    def _count(self, status: Status) -> int:
        return sum(each.status is status for each in self.runs)


class Look(NamedTuple):
    """What a look at the cluster came to, as it is shown, and its exit code."""

    report: Report
    exit_code: int


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings in the order in which every report shows them."""
    return tuple(sorted(findings, key=lambda each: each.order))
