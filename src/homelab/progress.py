"""What a person sees of a long run: its steps on stderr, each with the time of day."""

from __future__ import annotations

import sys
import time
from contextlib import suppress


def say(words: str) -> None:
    """Tell a step. A terminal that is gone must not end it half way."""
    with suppress(OSError):
        print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr, flush=True)  # noqa: T201
