"""What ends a program from outside ends it as Ctrl-C does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_interrupts() -> Iterator[None]:
    """Within, SIGTERM and a terminal that is closed raise KeyboardInterrupt, so that what is inside cleans up.

    They do so once: a terminal that is closed says so twice, by its shell and by the kernel. Ctrl-C is for those who
    are in a hurry. A signal that somebody handles or ignores stays so, and outside the main thread all of them do.
    """
    main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGTERM, signal.SIGHUP) if main else ()
    ours = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]

    def end(*_: object) -> None:
        for number in ours:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    try:
        for number in ours:
            signal.signal(number, end)
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
