"""What ends a program from outside: as Ctrl-C does, or after the step at hand."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def as_interrupts() -> Iterator[None]:
    """Within, SIGTERM and a terminal that is closed raise KeyboardInterrupt, so that what is inside cleans up.

    They do so once: a terminal that is closed says so twice, by its shell and by the kernel. Ctrl-C is for those who
    are in a hurry. A signal that somebody handles or ignores stays so, and outside the main thread all of them do.
    """
    main = threading.current_thread() is threading.main_thread()
    ours = [number for number in _ENDING if main and signal.getsignal(number) is signal.SIG_DFL]

    def end(*_: object) -> None:
        for number in ours:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    with _handled(ours, end):
        yield


@contextmanager
def between_steps(told: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Within, an interrupt waits for the end of the step at hand: it is `told`, and the second raises
    KeyboardInterrupt. Gives whether there was one.

    A terminal that is closed interrupts once, however often it says so. A signal that somebody ignores stays so, as
    nohup has it.
    """
    asked: list[int] = []

    def interrupted(number: int, _: object) -> None:
        if not asked:
            asked.append(number)
            told()
        elif number != signal.SIGHUP:
            raise KeyboardInterrupt

    ours = [each for each in (signal.SIGINT, *_ENDING) if signal.getsignal(each) is not signal.SIG_IGN]
    with _handled(ours, interrupted):
        yield lambda: bool(asked)


@contextmanager
def _handled(numbers: list[signal.Signals], handler: Callable[[int, object], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)
