"""What a test is told where pyinfra's command does not end, or can no longer be started."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests import warm_pyinfra


def test_one_that_hangs_is_told_with_what_it_said(tmp_path: Path) -> None:
    """The alarm that ends one that hangs comes at once."""
    hosts = "import signal, sys\nprint('begun', file=sys.stderr, flush=True)\nsignal.raise_signal(signal.SIGALRM)\n"
    (tmp_path / "hosts.py").write_text(hosts)
    with pytest.raises(AssertionError, match=r"^pyinfra hosts.py debug-inventory: not within 120 s\n(.*\n)*begun\n"):
        warm_pyinfra.pyinfra(("hosts.py", "debug-inventory"), tmp_path, os.environ)


def test_that_nothing_forks_it_any_more_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit(7)"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as ended:
        ended.wait(60)
        monkeypatch.setattr(warm_pyinfra, "_server", lambda: ended)
        for _ in range(2):
            with pytest.raises(AssertionError, match=r"^what forks pyinfra has ended, with 7"):
                warm_pyinfra.pyinfra(("--version",), tmp_path, {})
        assert ended.stdin
        # What it was asked is still to be written when it is closed.
        with suppress(BrokenPipeError):
            ended.stdin.close()
