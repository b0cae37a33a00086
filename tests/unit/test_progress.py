"""What is told on a stderr that takes words, and on one that does not."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from homelab.progress import say, tell
from tests.commands import redirected

REPOSITORY = Path(__file__).parents[2]


def test_steps_have_the_time_of_day_and_stdout_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    say("s1: cordoned")
    tell(ValueError("s1: is away"))
    said = capsys.readouterr()
    assert re.fullmatch(r"\d\d:\d\d:\d\d s1: cordoned\ns1: is away\n", said.err) and said.out == ""


def test_a_stderr_that_is_closed_moves_nothing_to_stdout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    say("s1: cordoned")
    tell("s1: is away")
    assert capsys.readouterr().out == ""


def test_a_terminal_that_is_gone_ends_nothing_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        monkeypatch.setattr(sys, "stderr", gone)
        say("s1: cordoned")
        say("s1: drained")


def test_nor_does_a_descriptor_that_somebody_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open("w") as nowhere, os.fdopen(os.dup(nowhere.fileno()), "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        os.close(stderr.fileno())
        say("s1: cordoned")
        os.dup2(nowhere.fileno(), stderr.fileno())


def test_what_a_stderr_cannot_take_for_a_while_is_lost_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    files = sorted(Path("/dev/fd").iterdir())
    with os.fdopen(write, "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        tell("-" * 2**20)
        assert 0 < len(os.read(read, 2**20)) < 2**20
        tell("s1: drained")
        assert os.read(read, 2**20) == b"s1: drained\n"
        assert sorted(Path("/dev/fd").iterdir()) == files
    os.close(read)


@pytest.mark.parametrize("to", ["2>&-", pytest.param("2>/dev/full", marks=pytest.mark.broad)])
def test_what_a_program_reads_is_alone_on_stdout_whatever_stderr_is(to: str) -> None:
    done = redirected(f"inventory --format json {to}", REPOSITORY, HOMELAB_ENV="rehearsal")
    assert done.returncode == 0 and json.loads(done.stdout)["environment"] == "rehearsal"
    wrong = redirected(f"inventory --format json {to}", REPOSITORY, HOMELAB_ENV="nowhere")
    assert (wrong.returncode, wrong.stdout) == (2, "")
