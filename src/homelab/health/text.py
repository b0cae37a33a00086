"""A report in words: what is wrong, why, since when, what it drags along, and what to do; one line when all is well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from homelab.counting import many
from homelab.health.report import CheckRun, Finding, Ref, Report, Severity, Status

if TYPE_CHECKING:
    from rich.console import Console

_STYLE = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_NAMED = 3  # consequences of one kind that are named before they are only counted
_ALWAYS = ("restarts", "last_crash")  # evidence that stands for a time which the API does not tell
_COUNTED = (("nodes", "node"), ("pods", "pod"))


def console(*, stderr: bool = False) -> Console:
    """What prints lines. A reader who is gone is a BrokenPipeError of it; rich would end the program then."""
    from rich.console import Console

    class Ours(Console):
        def on_broken_pipe(self) -> None:
            raise

    return Ours(highlight=False, stderr=stderr)


def print_lines(lines: Iterable[tuple[str, str]], console: Console) -> None:
    """Print lines, each in its style; a terminal may wrap them, but nothing else does."""
    from rich.text import Text

    for style, line in lines:
        console.print(Text(line, style=style), soft_wrap=True)


def lines(report: Report, *, verbose: bool = False, information: bool = False) -> Iterator[tuple[str, str]]:
    """The lines of a report, each with its style, without control characters: they could paint over what we say.

    `information` are those of what is no finding; `verbose` gives them too, each consequence, what is suppressed, and
    why checks were skipped.
    """
    for style, line in _lines(report, verbose=verbose, information=information or verbose):
        yield style, "".join(each if each.isprintable() else " " for each in line)


def _lines(report: Report, *, verbose: bool, information: bool) -> Iterator[tuple[str, str]]:
    for root in report.roots:
        yield from _finding(root, report, verbose=verbose)
    if information:
        for each in report.information:
            yield from _finding(each, report, verbose=verbose)
        for note in report.notes:
            yield _STYLE[Severity.INFO], f"{Severity.INFO!s:<8}  {_plain(note)}"
    if verbose:
        for each in report.suppressed:
            yield from _suppressed(each)
    for read in report.unread:
        yield "bold red", f"could not read {read.name}: {_plain(read.why)}"
    for why, runs in _unrun(report, verbose=verbose):
        word = "could not run" if runs[0].status is Status.FAILED else "skipped"
        yield "dim", f"{word} {', '.join(each.code for each in runs)}: {_plain(why)}"
    yield summary(report)


def _unrun(report: Report, *, verbose: bool) -> Iterator[tuple[str, list[CheckRun]]]:
    """The checks that did not run, by reason. What a cluster does not have is told to those who ask for more."""
    found: dict[tuple[Status, str], list[CheckRun]] = {}
    for run in report.runs:
        told = run.status is Status.FAILED or (run.status is Status.SKIPPED and (verbose or run.forbidden))
        if told:
            found.setdefault((run.status, run.reason), []).append(run)
    for (_, why), runs in found.items():
        yield why, runs


def _finding(each: Finding, report: Report, *, verbose: bool) -> Iterator[tuple[str, str]]:
    owner = f" ({_short(each.owner)})" if each.owner else ""
    yield _STYLE[each.severity], f"{each.severity!s:<8}  {each.object}{owner}  [{each.code}]"
    yield "", f"          {_plain(each.summary)}"
    if each.since and report.now:
        yield "dim", f"          for {lasting(report.now - each.since)}, since {each.since:%Y-%m-%d %H:%M:%S} UTC"
    for key, value in each.evidence.items():
        said = ", ".join(value) if isinstance(value, tuple) else str(value)
        if said and (verbose or key in _ALWAYS):
            yield "dim", f"          {key.replace('_', ' ')}: {_plain(said)}"
    consequences = report.consequences(each)
    if consequences and verbose:
        for one in consequences:
            yield "dim", f"          drags along {one.object}: {_plain(one.summary)}  [{one.code}]"
    elif dragged := _dragged(consequences, each):
        yield "dim", f"          drags along {dragged}"
    if each.remedy:
        yield "", f"          > {_plain(each.remedy)}"


def _suppressed(each: Finding) -> Iterator[tuple[str, str]]:
    if each.suppressed:
        reason, until, place = each.suppressed
        yield "dim", f"suppressed {each.object}  [{each.code}]"
        yield "dim", f"          {_plain(each.summary)}"
        yield "dim", f"          known{f' until {until}' if until else ''}: {_plain(reason)}  ({_plain(place)})"


def _dragged(consequences: Iterable[Finding], root: Finding) -> str:
    """Which other objects than the root's own, by kind, "" for none; many of one kind are counted."""
    own = root.object[:3]
    places = {each.object[:3]: each.object for each in consequences if each.object[:3] != own}
    counts = Counter(ref.kind for ref in places.values())
    said = []
    for kind in sorted(counts):
        named = sorted(ref for ref in places.values() if ref.kind == kind)
        said.append(many(counts[kind], kind) if counts[kind] > _NAMED else ", ".join(str(ref) for ref in named))
    return ", ".join(said)


def summary(report: Report) -> tuple[str, str]:
    """The style and the one line that sums a report up, how much was checked included."""
    worst = report.worst
    counts = Counter(each.severity for each in report.roots)
    found = [
        many(counts[severity], noun)
        for severity, noun in ((Severity.CRITICAL, "critical finding"), (Severity.WARNING, "warning"))
        if counts[severity]
    ]
    well = "healthy"
    if report.unread or report.hidden:
        well = "nothing found" + (", but not all could be read" if report.unread else "")
    aside = [f"{len(report.suppressed)} suppressed"] if report.suppressed else []
    aside += [f"{report.hidden} less severe not shown"] if report.hidden else []
    unread = {read.name for read in report.unread}
    there = [many(report.counts[name], noun) for name, noun in _COUNTED if name in report.counts and name not in unread]
    style = _STYLE[worst] if worst else ("bold red" if report.unread else "green")
    return style, "; ".join([", ".join(found) or well, *aside, *([", ".join(there)] if there else []), report.coverage])


def _short(ref: Ref) -> str:
    return f"{ref.kind} {ref.name}"


def lasting(age: timedelta) -> str:
    """An age in the two units that matter: "3 days 4 hours", "12 minutes"; of the future it has not lasted at all."""
    seconds = max(0, int(age.total_seconds()))
    for unit, size, below, step in (
        ("day", 86400, "hour", 3600),
        ("hour", 3600, "minute", 60),
        ("minute", 60, "", 0),
    ):
        if seconds >= size:
            rest = seconds % size // step if step else 0
            return many(seconds // size, unit) + (f" {many(rest, below)}" if rest else "")
    return many(seconds, "second")


def plain(said: str) -> str:
    """What the cluster says, in one line and without control characters."""
    return _plain("".join(each if each.isprintable() else " " for each in said))


def _plain(said: str) -> str:
    """What the cluster says, in one line."""
    return " ".join(said.split())
