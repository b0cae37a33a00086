"""pyinfra's current host and state, as plain doubles: an operation's body is facts in, commands out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.command import StringCommand
from pyinfra.connectors.util import CommandOutput, OutputLine
from pyinfra.context import ctx_host, ctx_state


class FakeHost:
    """A host that answers commands from a table of substrings and refuses what it was not told about."""

    print_prefix = "[fake] "

    def __init__(self, name: str = "s1", answers: dict[str, str | None] | None = None):
        self.name = name
        self.answers = answers or {}
        self.asked: list[str] = []
        self.noops: list[str] = []
        self.current_op_global_arguments: dict[str, Any] = {}

    def noop(self, text: str) -> None:
        self.noops.append(text)

    def run_shell_command(self, command: StringCommand, **arguments: Any) -> tuple[bool, CommandOutput]:
        text = command.get_raw_value()
        self.asked.append(text)
        for part, answer in self.answers.items():
            if part in text:
                lines = [OutputLine("stdout", line) for line in (answer or "").splitlines()]
                return answer is not None, CommandOutput(lines)
        raise AssertionError(f"nobody said what {self.name} answers to: {text}")


class FakeState:
    is_executing = True


@pytest.fixture
def host() -> Iterator[FakeHost]:
    """The current host."""
    double = FakeHost()
    with ctx_host.use(double):
        yield double


@pytest.fixture
def state() -> Iterator[FakeState]:
    """The current state, in the middle of executing."""
    double = FakeState()
    with ctx_state.use(double):
        yield double


@pytest.fixture
def fake() -> type[FakeHost]:
    return FakeHost


Run = Callable[[StringCommand], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Carry a command out through sh on this machine, as pyinfra does on a host: script in argv, content on stdin."""

    def carry_out(command: StringCommand) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", command.get_raw_value()],
            input=str(command.connector_arguments.get("_stdin") or ""),
            env={**os.environ, "PATH": f"{tmp_path}/stubs:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )

    return carry_out
