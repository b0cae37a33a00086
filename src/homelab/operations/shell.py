"""One command, when something is not as it should be."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation


@operation()
def unless(done: bool, command: str) -> Generator[StringCommand, None, None]:
    """Run a command unless what it is for is done."""
    if done:
        host.noop("nothing to do")
        return
    yield StringCommand(command)
