"""What a part measured, and what that is worth: pure, no host and no clock.

A speed by itself says more of the machine than of the toolkit. So each is told as a share of what was possible in the
same minutes, or as a ratio to a peer that did the same; these ratios are what a baseline keeps and a run is held to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from .baseline import Machine

# Two runs on one busy machine differ by this much without any reason in the toolkit.
NOISE = 0.25


@dataclass(frozen=True)
class Figure:
    """One thing measured several times in a run: its samples, all in `unit`. What it is called is unique in its part.

    `of` names the figures of the same part that bound it: with more than one, the least of them does.
    `more` says whether more is better, `budget` is the most that it may be, whatever came before.
    """

    name: str
    samples: tuple[float, ...]
    unit: str
    of: tuple[str, ...] = ()
    more: bool = True
    budget: float | None = None

    @property
    def value(self) -> float:
        """The median: one sample that something else disturbed does not count."""
        return median(self.samples)

    @property
    def spread(self) -> float:
        """How far the samples are apart, as a share of the value."""
        return (max(self.samples) - min(self.samples)) / self.value if self.value else 0.0


@dataclass(frozen=True)
class Verdict:
    """What one figure is worth. `ratio` is its value over what bounds it, None where nothing does; `before` that of the
    baseline. `than_before` is above 1 for better, below for worse, whichever way is better.
    """

    figure: Figure
    bound: str = ""
    ratio: float | None = None
    before: float | None = None
    problems: tuple[str, ...] = ()

    @property
    def than_before(self) -> float | None:
        if not self.ratio or not self.before:
            return None
        return self.ratio / self.before if self.figure.more else self.before / self.ratio


@dataclass(frozen=True)
class Measured:
    """What one part has to tell: on which machine, figures in the order in which they are read, remarks beside them."""

    machine: Machine
    figures: tuple[Figure, ...]
    remarks: tuple[str, ...] = ()


def judge(figures: Iterable[Figure], before: Mapping[str, float]) -> list[Verdict]:
    """Each figure with its ratio, that of the baseline (`before`, by name), and what is wrong with it.

    Raise KeyError when a figure is bound by one that was not measured.
    """
    known = {each.name: each for each in figures}
    return [_judged(each, known, before.get(each.name)) for each in known.values()]


def ratios(verdicts: Iterable[Verdict]) -> dict[str, float]:
    """What a baseline keeps of a run: ratios alone, since nothing else can be compared with another day's."""
    return {each.figure.name: round(each.ratio, 3) for each in verdicts if each.ratio is not None}


def _judged(figure: Figure, known: Mapping[str, Figure], before: float | None) -> Verdict:
    bound = min((known[name] for name in figure.of), key=lambda each: each.value, default=None)
    ratio = figure.value / bound.value if bound is not None and bound.value else None
    problems = []
    if figure.budget is not None and figure.value > figure.budget:
        problems.append(f"{figure.value:g} {figure.unit} and the budget is {figure.budget:g}".replace("  ", " "))
    verdict = Verdict(figure, bound.name if bound is not None else "", ratio, before)
    change = verdict.than_before
    # What the samples of this very run differ by among themselves is no regression.
    if change is not None and change < 1 - max(NOISE, figure.spread, bound.spread if bound is not None else 0.0):
        problems.append(f"{change:.2f} times what the baseline had")
    return Verdict(figure, verdict.bound, ratio, before, tuple(problems))
