"""What a person outside does to a run: close its terminal, end it, press Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from homelab.signals import between_steps


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.usefixtures("handlers")
def test_a_terminal_that_is_closed_stops_after_the_step_at_hand_and_cuts_nothing() -> None:
    told: list[str] = []
    with between_steps(lambda: told.append("asked")) as stopped:
        assert not stopped()
        for _ in range(3):
            signal.raise_signal(signal.SIGHUP)
        assert stopped() and told == ["asked"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


@pytest.mark.usefixtures("handlers")
def test_what_nohup_has_begun_goes_on_without_its_terminal() -> None:
    told: list[str] = []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with between_steps(lambda: told.append("asked")) as stopped:
        signal.raise_signal(signal.SIGHUP)
        assert not stopped() and told == []
