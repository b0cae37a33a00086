"""Lengths of time as people write them: "500ms", "25s", "5m", "1h30m", "30d"."""

from __future__ import annotations

import re
from datetime import timedelta

# Longest first, so that a length is shown in the largest unit that it is whole in.
UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[dhms])")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")


def parse(text: str) -> timedelta:
    """The length that is written. Raise ValueError when it is none: no unit, another unit, a sign, nothing."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f'"{text}" is no length of time')
    try:
        return timedelta(milliseconds=sum(float(count) * UNITS[unit] for count, unit in _PART.findall(text)))
    except OverflowError:
        raise ValueError(f'"{text}" is longer than time itself') from None


def show(length: timedelta) -> str:
    """The length in one unit, the largest that it is whole in: "18h", "90m", "500ms"."""
    count = round(length / timedelta(milliseconds=1))
    unit, size = next(((unit, size) for unit, size in UNITS.items() if count and count % size == 0), ("s", 1000))
    return f"{count // size}{unit}"
