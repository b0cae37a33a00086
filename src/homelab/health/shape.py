"""Reading JSON of any shape without a surprise: a value of another kind than Kubernetes documents counts as absent."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")
Json = dict[str, Any]
NONE: Json = {}
# The annotation by which an object says what of it is known and need not be told.
SUPPRESS = "homelab.health/suppress"


@dataclass_transform(frozen_default=True)
def record(cls: type[T]) -> type[T]:
    """A slotted dataclass that mypy holds for frozen: a really frozen one takes seven times as long to make, and a
    large cluster has tens of thousands. Two of them are equal if they are the same."""
    # Without a docstring dataclass() writes one, for which it has to look the signature up.
    cls.__doc__ = cls.__doc__ or cls.__name__
    made = dataclass(slots=True, eq=False, repr=False, match_args=False)(cls)
    made.__repr__ = _shown  # type: ignore[method-assign]
    return made


def _shown(record: object) -> str:
    """As dataclass() would show it, which makes a function for each class at each start."""
    told = (f"{each.name}={getattr(record, each.name)!r}" for each in fields(record))  # type: ignore[arg-type]
    return f"{type(record).__name__}({', '.join(told)})"


def mapping(value: object) -> Json:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else NONE


def objects(value: object) -> list[Json]:
    """The objects in a list; Go's empty slices come as null."""
    if not isinstance(value, list):
        return []
    return [each for each in value if isinstance(each, dict)]


def text(value: object) -> str:
    return value if isinstance(value, str) else ""


def number(value: object, default: int = 0) -> int:
    # bool is an int to Python, and no count in Kubernetes.
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def flag(value: object) -> bool:
    return value is True


def texts(value: object) -> dict[str, str]:
    """Labels and their like: what is text in them."""
    if not isinstance(value, dict):
        return {}
    for each in value.values():
        if not isinstance(each, str):
            break
    else:
        return value
    return {key: each for key, each in value.items() if isinstance(each, str)}


_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d{1,2})|([numkMGTPE]|[KMGTPE]i)?)$", re.ASCII)
_SUFFIX = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_SUFFIX |= {f"{each}i": 1024.0**power for power, each in enumerate("KMGTPE", start=1)}


def quantity(value: object) -> float:
    """A quantity as Kubernetes writes it, in its base unit: 0.25 of "250m", 2097152 of "2Mi"; 0 of what is none."""
    return _quantity(value) if isinstance(value, str) else 0.0


@lru_cache(1024)
def _quantity(value: str) -> float:
    found = _QUANTITY.match(value) if len(value) <= 32 else None
    if not found:
        return 0.0
    amount, power, suffix = found.groups()
    return float(amount) * (10.0 ** int(power) if power else _SUFFIX[suffix or ""])


def when(value: object) -> datetime | None:
    """A time as Kubernetes writes it, RFC 3339 in UTC."""
    return _when(value) if isinstance(value, str) and value else None


# What came about together has the same one.
@lru_cache(4096)
def _when(value: str) -> datetime | None:
    try:
        read = datetime.fromisoformat(value)
        if read.tzinfo is None:
            return read.replace(tzinfo=UTC)
        return read if read.tzinfo is UTC else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def median(values: Iterable[float]) -> float:
    """The one in the middle of some numbers, of an even count the mean of two. Python's own module loads six others."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return (ordered[half] + ordered[~half]) / 2


def dig(value: object, *path: str) -> object:
    """The value under a path of keys; None where there is none."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
