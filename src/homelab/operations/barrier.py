"""A point that every host passes before any goes on."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation


@operation()
def barrier(label: str) -> Generator[StringCommand, None, None]:
    """Order hosts: pyinfra finishes an operation on all hosts before the next begins, so this only has to exist."""
    host.noop(label)
    yield from ()
