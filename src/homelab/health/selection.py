"""Which checks run: by code, or by room, which is a code without its number."""

from __future__ import annotations

from collections.abc import Iterable

from homelab.health.codes import CODES, DEEP_CODES
from homelab.health.kinds import BY_NAME
from homelab.health.nearest import did_you_mean
from homelab.health.text import plain

ROOMS = tuple(dict.fromkeys(code.rstrip("0123456789") for code in CODES))


class WrongSelection(Exception):
    """Codes that are none, or none left to run: a line for each."""


def codes_of(word: str) -> tuple[str, ...]:
    """The codes that a code or a room stands for, in any case of letters. Raise ValueError: what it may have meant."""
    upper = word.strip().upper()
    if upper in CODES:
        return (upper,)
    if upper in ROOMS:
        return tuple(code for code in CODES if code.rstrip("0123456789") == upper)
    known = (*CODES, *ROOMS)
    raise ValueError(f"there is no such code or room; {did_you_mean(upper, known, 'see homelab health codes')}")


def choose(
    only: Iterable[str] = (), skip: Iterable[str] = (), off: Iterable[str] = (), *, deep: bool = False
) -> frozenset[str]:
    """The codes to run: those of `only`, by default all, without those of `skip` and of `off`; those for which
    something has to be tried out only if `deep`.

    Words of `only` and `skip` hold codes and rooms, several separated by commas. What is `off` runs nevertheless when
    `only` names it by its very code. Raise WrongSelection.
    """
    wrong: list[str] = []
    wanted = _codes("--only", only, wrong)
    unwanted = _codes("--skip", skip, wrong)
    if tried := sorted(wanted & DEEP_CODES) if not deep else []:
        wrong.append(f"--only {', '.join(tried)}: it is found by trying it out in the cluster; add --deep")
    if wrong:
        raise WrongSelection("\n".join(wrong))
    known = frozenset(CODES) if deep else frozenset(CODES) - DEEP_CODES
    named = {word.strip().upper() for each in only for word in each.split(",")}
    chosen = (wanted or known) - unwanted - (frozenset(off) - named)
    if not chosen:
        raise WrongSelection("--only, --skip: no check is left; see homelab health codes")
    return chosen


def _codes(option: str, words: Iterable[str], wrong: list[str]) -> frozenset[str]:
    found: set[str] = set()
    for word in (word for each in words for word in each.split(",")):
        try:
            found.update(codes_of(word))
        except ValueError as error:
            wrong.append(plain(f"{option} {word.strip() or chr(34) * 2}: {error}"))
    return frozenset(found)


def kinds_of(codes: Iterable[str]) -> frozenset[str]:
    """The kinds, by plural name, that the checks of these codes read."""
    return frozenset(name for code in codes for name in (*CODES[code].needs, *CODES[code].uses) if name in BY_NAME)
