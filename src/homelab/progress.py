"""What a person sees of a run on stderr: words, and the steps of a long one, each with the time of day."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO


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
        with suppress(OSError):  # of a descriptor that is none any more
            drop(sys.stderr)


def drop(stream: TextIO) -> None:
    """Lose what a stream has failed to write. It would be tried again at the end, be told as an error of its own, and
    change the exit code. What is written from now on is tried: a disk that is full may not stay so.
    """
    number = stream.fileno()
    real, nowhere = os.dup(number), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, number)
        stream.flush()
        os.dup2(real, number)
    finally:
        os.close(nowhere)
        os.close(real)
