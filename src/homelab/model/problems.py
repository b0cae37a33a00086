"""What is wrong with an inventory: where, what was found, and what to write instead."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True)
class Problem:
    """One thing to correct, as one line: ``place: found; remedy``."""

    place: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return " ".join(f"{self.place}: {self.found}; {self.remedy}".split())


class InventoryError(Exception):
    """The inventory cannot be used. Carries every problem; its text is one line for each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """The remedy for an unknown word: the known one closest to it, else ``otherwise``."""
    close = get_close_matches(word.lower(), tuple(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else otherwise
