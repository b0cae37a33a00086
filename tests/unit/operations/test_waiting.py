"""A step that takes hours is waited for, and ends the run in a line where it fails."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from homelab.operations import storage
from homelab.pyinfra_compat import Refusal
from homelab.storage import Step


class Answers:
    """A host that gives one answer after another."""

    name = "nas"

    def __init__(self, *answers: str):
        self.answers = list(answers)
        self.asked: list[str] = []

    def run_shell_command(self, command: Any, **_: object) -> tuple[bool, Any]:
        self.asked.append(command.get_raw_value())
        return True, SimpleNamespace(stdout_lines=[self.answers.pop(0)], stderr_lines=[])


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage.gevent, "sleep", lambda _: None)


def waited(host: Answers, patience: int = 3600) -> None:
    step = Step("config", "pool tank", "wait", poll="how far?", patience=patience)
    storage._wait(None, host, step)


def test_it_asks_until_it_is_done() -> None:
    host = Answers("run 1 %", "run 50 %", "done")
    waited(host)
    assert host.asked == ["how far?"] * 3


def test_what_fails_is_told_with_its_reason() -> None:
    with pytest.raises(Refusal, match="nas: pool tank: /dev/sdf is faulty; mend that and run the same command again"):
        waited(Answers("run 1 %", "failed /dev/sdf is faulty"))


def test_what_takes_too_long_goes_on_by_itself() -> None:
    with pytest.raises(Refusal, match=r"not over after 0 hours \(1 %\); it goes on by itself: run the same command"):
        waited(Answers("run 1 %", "run 1 %"), patience=0)
