"""What is said while a cluster is looked at again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from homelab.health import watching
from homelab.health.output import printing
from homelab.health.report import Look, Report
from homelab.health.text import console, print_lines
from homelab.progress import telling

Lines = Iterable[tuple[str, str]]

_CHANGES = 8  # that stay below the report of a terminal
_NOTHING = Look(Report((), ()), 0)


class Teller:
    """Tells of looks: to a terminal that watches the whole report each time, with the last changes below; else, to a
    pipe say, the first report and from then on only what changed. What is only waited for, without `every`, is told on
    stderr, so that stdout has the report in which it ends and nothing else. `put` is what prints a whole report.
    """

    def __init__(
        self, lines: Callable[[Look], Lines], put: Callable[[Look], int], every: float | None, *, file: bool = False
    ) -> None:
        self.lines = lines
        self.put = put
        self.every = every
        self.file = file
        self.console = console(stderr=every is None)
        self.whole = every is not None and self.console.is_terminal and not self.console.is_dumb_terminal
        self.changes: list[tuple[str, str]] = []

    def tell(self, before: Look | None, now: Look) -> None:
        """Tell of a look beside the one before. A file is written anew at each. Raise ReaderGone or NoOutput."""
        if self.file:
            self.put(now)
            return
        with printing() if self.every is not None else telling():
            if self.whole:
                self._redraw(before, now)
            elif before is None and self.every is not None:
                print_lines(self.lines(now), self.console)
            else:
                print_lines(watching.changed(before or _NOTHING, now), self.console)

    def _redraw(self, before: Look | None, now: Look) -> None:
        if before:
            # The summary is above already.
            self.changes = [*self.changes, *list(watching.changed(before, now))[:-1]][-_CHANGES:]
        *report, last = self.lines(now)
        at = f", looked at {now.report.now:%H:%M:%S} UTC" if now.report.now else ""
        head = ("dim", f"every {self.every:g} s{at}; Ctrl-C ends")
        shown = fit(report, [head, last, *self.changes], self.console.width, self.console.height)
        self.console.clear()
        print_lines([head, *shown, last, *self.changes], self.console)

    def end(self, last: Look) -> int:
        """The report in which it ends, unless it stands there already; its exit code."""
        return last.exit_code if self.file or self.whole else self.put(last)


def fit(lines: list[tuple[str, str]], others: Lines, width: int, height: int) -> list[tuple[str, str]]:
    """The lines that a screen has room for beside the others, from the top, where the worst is; how many miss."""
    room = height - 1 - sum(_rows(line, width) for _, line in others)  # the last row is the cursor's
    if sum(_rows(line, width) for _, line in lines) <= room:
        return lines
    shown = []
    for each in lines:
        room -= _rows(each[1], width)
        if room < 1:
            break
        shown.append(each)
    return [*shown, ("dim", f"... {len(lines) - len(shown)} more lines")]


def _rows(line: str, width: int) -> int:
    return max(1, -(-len(line) // max(1, width)))
