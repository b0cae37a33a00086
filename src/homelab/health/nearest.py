"""The known word that somebody meant who wrote another."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """The remedy for an unknown word, in any case of letters: the nearest known one, else `otherwise`."""
    spelled = {each.lower(): each for each in known}
    close = get_close_matches(word.lower(), spelled, n=1, cutoff=0.6)
    return f"did you mean {spelled[close[0]]}?" if close else otherwise
