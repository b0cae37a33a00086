"""The `homelab` command as tests run it: in their own process, or where a process is what is tried, in one of its own.

What it prints, asks and exits with is the same in both; starting one costs as much CPU as a hundred other tests.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from typer.testing import CliRunner

from homelab import cli

HOMELAB = Path(sys.executable).with_name("homelab")


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def here(arguments: tuple[str, ...], cwd: Path, environ: Mapping[str, str]) -> Done:
    """Run it in this process, in that folder and with no environment but that."""
    # It ends with nothing collected any more, as its process is at its end; this one is not.
    with chdir(cwd), mock.patch.dict(os.environ, environ, clear=True), mock.patch.object(gc, "freeze"):
        try:
            done = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
        finally:
            gc.enable()
    return Done(done.exit_code, done.stdout, done.stderr)


def apart(arguments: tuple[str, ...], cwd: Path, environ: Mapping[str, str]) -> Done:
    """Run it in a process of its own, as `here`."""
    done = subprocess.run(
        [HOMELAB, *arguments],
        cwd=cwd,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def redirected(words: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it with these words and redirections, as a shell does; what is given is added to the environment."""
    # Streams are buffered as users have them: what a buffer keeps is what changes an exit code.
    environment = {**os.environ, "PYTHONUNBUFFERED": "", **environ}
    command = ["sh", "-c", f'exec "$1" {words}', "sh", str(HOMELAB)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment, timeout=120, check=False)
