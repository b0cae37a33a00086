"""How much of a sweep or of a property `make check` takes; `make test` takes all of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings


def sweep(cases: Iterable[Any], every: int = 8) -> list[Any]:
    """Those cases, of which `make check` takes the first and each so many after it."""
    return [pytest.param(each, marks=pytest.mark.broad if n % every else ()) for n, each in enumerate(cases)]


def examples(share: float) -> settings:
    """For a property: so many times the examples that others have."""
    return settings(max_examples=round(share * settings().max_examples))
