"""Whether a script that a host is to run is sound, as far as a shell and shellcheck tell without running it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from itertools import pairwise

import pytest


def parses(script: str) -> bool:
    return subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0


def assert_sound(script: str, *without: str) -> None:
    """The shell parses it, and shellcheck finds nothing but what is left out; skips the latter where there is none."""
    assert parses(script)
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    leave = ["-e", ",".join(without)] if without else []
    command = ["shellcheck", "-s", "sh", *leave, "-"]
    done = subprocess.run(command, input=script, text=True, capture_output=True, check=False)
    assert done.stdout == ""


def telling(scripts: Mapping[str, str]) -> list[str]:
    """The names of those scripts that together have all there is in any: each pair of lines that follow each other.

    Scripts that are assembled of the same pieces are alike but for disks, identifiers and levels, and shellcheck takes
    long for each.
    """
    told: set[tuple[str, ...]] = set()
    found = []
    for name, script in sorted(scripts.items(), key=lambda each: -len(each[1])):
        lines = [_SAME.sub(r"\1", _NAMES.sub("x", line)) for line in script.splitlines()]
        pairs = set(pairwise(["", *lines, ""]))
        if not pairs <= told:
            found.append(name)
            told |= pairs
    return found


# What differs between scripts of the same pieces, and several of it in a row.
_NAMES = re.compile(r"[0-9a-f-]{8,}|\bsd[a-z]\d*|raid\w+|\d+")
_SAME = re.compile(r"(\S*x\S*)(?: \1)+")

# Functions come with every script of the storage, used there or not, and a loop may have one round.
ASSEMBLED = ("SC2329", "SC2317", "SC2034", "SC2043")
