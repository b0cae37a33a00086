"""Whether a script that a host is to run is sound, as far as a shell and shellcheck tell without running it."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def assert_sound(script: str, *without: str) -> None:
    """The shell parses it, and shellcheck finds nothing but what is left out; skips the latter where there is none."""
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    leave = ["-e", ",".join(without)] if without else []
    command = ["shellcheck", "-s", "sh", *leave, "-"]
    done = subprocess.run(command, input=script, text=True, capture_output=True, check=False)
    assert done.stdout == ""


# Functions come with every script of the storage, used there or not, and a loop may have one round.
ASSEMBLED = ("SC2329", "SC2317", "SC2034", "SC2043")
