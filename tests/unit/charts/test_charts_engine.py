"""Where Helm's engine cannot be had, setting up still works, and the tests that need it say why they were skipped."""

from __future__ import annotations

import runpy
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.unit.charts.homes import REPOSITORY


@pytest.mark.parametrize(
    ("platform", "machine", "has"),
    [
        ("linux", "x86_64", True),
        ("linux", "aarch64", True),
        ("linux", "armv7l", False),
        ("darwin", "arm64", True),
        ("darwin", "x86_64", False),
    ],
)
def test_it_is_asked_for_only_where_there_is_a_wheel(platform: str, machine: str, has: bool) -> None:
    listed = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    locked = (REPOSITORY / "requirements.lock").read_text().splitlines()
    for lines in (listed, locked):
        (line,) = (each.removesuffix("\\") for each in lines if each.startswith("helm-python-sdk"))
        marker = Requirement(line).marker
        assert marker is not None
        assert marker.evaluate({"sys_platform": platform, "platform_machine": machine}) is has


def test_without_it_a_test_says_why_it_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "helm_python", None)
    with pytest.raises(pytest.skip.Exception, match="Helm's engine has no package for this machine"):
        runpy.run_path(str(REPOSITORY / "tests" / "charts_engine.py"))
