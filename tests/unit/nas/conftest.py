"""What an operation needs to be run without pyinfra."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyinfra.context import ctx_host

from tests.unit.operations.conftest import FakeHost


@pytest.fixture
def host_double() -> Iterator[FakeHost]:
    """pyinfra's current host."""
    double = FakeHost("nas")
    with ctx_host.use(double):
        yield double
