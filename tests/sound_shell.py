"""Whether a script that a host is to run is sound, as far as a shell and shellcheck tell without running it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Set
from functools import reduce
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


def telling(scripts: Mapping[str, str]) -> dict[str, str]:
    """Those scripts that together have all there is in any, by name: each pair of lines that follow each other.

    Scripts that are assembled of the same pieces are alike but for disks, identifiers and levels, and shellcheck takes
    long for each. So a script lacks those functions that it does not call and that another one here has to the letter.
    """
    told: set[tuple[str, ...]] = set()
    kept: set[str] = set()
    found = {}
    for name, script in sorted(scripts.items(), key=lambda each: -len(each[1])):
        lines = [_SAME.sub(r"\1", _NAMES.sub("x", line)) for line in script.splitlines()]
        pairs = set(pairwise(["", *lines, ""]))
        if not pairs <= told:
            found[name] = _called(script, kept)
            told |= pairs
            kept |= set(_FUNCTION.findall(script))
    return found


def _called(script: str, elsewhere: Set[str]) -> str:
    """The script without those functions from elsewhere that nothing in it names."""
    dropped = elsewhere & set(_FUNCTION.findall(script))
    left = reduce(lambda text, function: text.replace(function, ""), dropped, script)
    commands = set(_COMMAND.findall(left))
    named = {function for function in dropped if function.partition("(")[0] in commands}
    return _called(script, dropped - named) if named else left


# A word where a command begins.
_COMMAND = re.compile(r"(?:^|[;|&({)!]|\b(?:if|elif|then|else|do|while|until)\b) *(\w+)", re.MULTILINE)
# A function of one line, or of several that end with a brace of its own; what is written otherwise is never left out.
_FUNCTION = re.compile(r"^\w+\(\) (?:\{.*\}|\{\n(?:(?!\}$).*\n)*\})$", re.MULTILINE)
# What differs between scripts of the same pieces, and several of it in a row.
_NAMES = re.compile(r"[0-9a-f-]{8,}|\bsd[a-z]\d*|raid\w+|\d+")
_SAME = re.compile(r"(\S*x\S*)(?: \1)+")

# Functions come with every script of the storage, used there or not, and a loop may have one round.
ASSEMBLED = ("SC2329", "SC2317", "SC2034", "SC2043")
