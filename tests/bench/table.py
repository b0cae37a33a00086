"""The figures as a person reads them."""

from __future__ import annotations

from collections.abc import Sequence

from .figures import Verdict

_HEAD = ("", "median", "of", "ratio", "baseline", "")


def table(verdicts: Sequence[Verdict]) -> str:
    """Lines of one part: value, what bounds it, the ratio to that, the baseline's ratio, and what is wrong."""
    rows = [_HEAD, *(_row(each) for each in verdicts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), row[1].rjust(widths[1]), row[2].ljust(widths[2])]
        cells += [row[3].rjust(widths[3]), row[4].rjust(widths[4]), row[5]]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _row(verdict: Verdict) -> tuple[str, ...]:
    figure = verdict.figure
    return (
        figure.name,
        f"{figure.value:.{0 if figure.value >= 100 or figure.value == int(figure.value) else 1}f} {figure.unit}",
        verdict.bound,
        _number(verdict.ratio),
        _number(verdict.before),
        "; ".join(f"WORSE: {each}" for each in verdict.problems),
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
