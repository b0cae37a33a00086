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
    """Announce a step that takes a while; afterwards say how long it took, or that it failed."""
    started = time.monotonic()
    # A terminal gets the finished line over the announcement; a log gets both, so that it shows what hangs.
    live = sys.stderr.isatty()
    print(f"sandbox: {text} ...", end="" if live else "\n", file=sys.stderr, flush=True)  # noqa: T201
    outcome = "failed after"
    try:
        yield
        outcome = "done in"
    finally:
        took = f"{outcome} {time.monotonic() - started:.1f} s"
        print(f"\r\033[Ksandbox: {text}: {took}" if live else f"sandbox: {text}: {took}", file=sys.stderr, flush=True)  # noqa: T201
