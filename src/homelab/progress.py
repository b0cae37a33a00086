"""What a person sees of a run on stderr: words, and the steps of a long one, each with the time of day."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(words: str) -> None:
    """Tell a step. A terminal that is gone must not end it half way."""
    tell(f"{time.strftime('%H:%M:%S')} {words}")


def tell(words: object) -> None:
    """Tell whoever is there; on a stderr that is closed or dead, nobody. stdout is for what was asked for."""
    with telling():
        if sys.stderr is not None:
            print(words, file=sys.stderr)  # noqa: T201


@contextmanager
def telling() -> Iterator[None]:
    """Within, what is told on stderr is lost where that is dead: a run and its exit code outlive it."""
    try:
        yield
        if sys.stderr is not None:
            sys.stderr.flush()
    except OSError:
        # What is left in the buffer would be tried again at the end, and change the exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
