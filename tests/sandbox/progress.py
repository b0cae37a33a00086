"""What is going on, to stderr: one line per step with how long it took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(text: str) -> None:
    """One line to stderr."""
    print(f"sandbox: {text}", file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def step(text: str) -> Iterator[None]:
    """Announce a step that takes a while; afterwards say how long it took, or that it failed.

    Steps may overlap, so each line stands for itself.
    """
    started = time.monotonic()
    say(f"{text} ...")
    outcome = "failed after"
    try:
        yield
        outcome = "done in"
    finally:
        say(f"{text}: {outcome} {time.monotonic() - started:.1f} s")
