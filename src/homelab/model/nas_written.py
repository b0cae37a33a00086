"""The NAS keys of one host as they were written, and the Nas made of what is right in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from homelab.model.nas import Nas
from homelab.model.problems import Problem, did_you_mean
from homelab.model.raw import Given, RawHost
from homelab.model.strict import refusals, shown

KEYS = tuple(Nas.model_fields)
# What these hold may be secret, so it is never part of a problem's text.
_UNECHOED = ("users", "backups", "alerts", "ups")
# No dicts by names of the user's: wrong in one part, they are left out whole.
_WHOLE = ("alerts", "ups")


@dataclass(frozen=True)
class Written:
    """``nas`` holds what is right; what was written beside it stays known by name, so that one slip is one problem."""

    host: str
    at: str
    nas: Nas
    given: Mapping[str, Given]

    def place(self, key: str, *below: str | int) -> str:
        """Where a value was written."""
        given = self.given.get(key)
        start = given.place if given else f"{self.at}.{key}"
        return start + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in below)

    def names(self, key: str) -> frozenset[str] | None:
        """The names under a key, wrong ones too; None when nobody can tell."""
        given = self.given.get(key)
        if given is None:
            return frozenset()
        return frozenset(str(name) for name in given.value) if isinstance(given.value, dict) else None

    def unknown(self, key: str, name: str, *place: str | int) -> Iterator[Problem]:
        """The problem of a name that nothing under ``key`` has, at the place that names it."""
        known = self.names(key)
        if known is None or name in known:
            return
        have = f"write it in {key}, or one of {', '.join(sorted(known))}" if known else f"write it in {key}"
        where = self.place(str(place[0]), *place[1:])
        yield Problem(where, f"no {shown(name)} in {key}", did_you_mean(name, known, have))


def read(host: RawHost, name: str) -> tuple[Written, list[Problem]]:
    """What a NAS is said to keep, a host's own value before the shared one; and what is wrong in single values."""
    given = {key: held for source in (host.shared, host.own) for key, held in source.items() if key in KEYS}
    values = {key: held.value for key, held in given.items()}
    written = Written(name, host.places[0], Nas(), given)
    try:
        return Written(name, host.places[0], Nas.model_validate(values), given), []
    except ValidationError as error:
        wrong = list(refusals(error, Nas))
    problems = []
    for where, found, remedy in wrong:
        key = str(where[0])
        if (key in _UNECHOED or "encryption" in where) and "of the wrong type" in found:
            found = "is of the wrong type"
        problems.append(Problem(written.place(key, *where[1:]), found, remedy))
        held = values.get(key)
        if len(where) > 1 and isinstance(held, dict) and key not in _WHOLE:
            values[key] = {each: value for each, value in held.items() if str(each) != str(where[1])}
        else:
            values.pop(key, None)
    try:
        return Written(name, host.places[0], Nas.model_validate(values), given), problems
    except ValidationError:
        return written, problems
