"""How a run waits and tells: the deadline of each wait, what is asked between steps, what a person sees meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_PAUSE = 3.0


class Stopped(Exception):
    """Why a host's turn ended before its end: one line, and nothing else is touched."""


@dataclass
class Pace:
    """`told` gets each step as it is taken (host, words); `within` is how many seconds each wait may take: a drain, a
    boot, being well again; `stop` is asked between steps whether somebody wants it to end; `confirm`, asked then and
    right before each change, raises Lost when others are not kept away any more."""

    told: Callable[[str, str], None] = lambda host, words: None
    within: float = 600.0
    stop: Callable[[], bool] = lambda: False
    confirm: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _last: tuple[str, str] = field(default=("", ""), init=False)

    @property
    def end(self) -> float:
        """When a wait that begins now has to be over."""
        return self.clock() + self.within

    @property
    def limit(self) -> str:
        """How long a wait may take, in words."""
        return f"{self.within:g} s" if self.within % 60 else f"{self.within / 60:g} min"

    def late(self, end: float) -> bool:
        return self.clock() >= end

    def pause(self) -> None:
        self.sleep(_PAUSE)

    def wait(self, host: str, words: str) -> None:
        """Tell what is waited for, once as long as it stays the same, and pause."""
        if (host, words) != self._last:
            self._last = (host, words)
            self.told(host, words)
        self.pause()

    def go_on(self) -> None:
        """Raise Stopped when somebody wants it to end, and what `confirm` raises."""
        self.confirm()
        if self.stop():
            raise Stopped("interrupted; run the same command again to go on")


def few(lines: Sequence[str]) -> str:
    """The first three, and how many more there are."""
    more = len(lines) - 3
    return "; ".join(lines[:3]) + (f"; and {more} more" if more > 0 else "")
