"""What a code stands for, from the table and from its check: the docstring, and the limits that its code reads."""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import timedelta
from types import FunctionType

from homelab.health import duration
from homelab.health.checks import ALL_CHECKS
from homelab.health.codes import CODES, TABLE, Code
from homelab.health.nearest import did_you_mean
from homelab.health.thresholds import Thresholds

VERSION = 1
_WIDTH = 100
_LIMITS = {each.name for each in fields(Thresholds)}
_NAMES = frozenset({"limits", "thresholds"})  # what checks call a snapshot's thresholds when they hand them around


class UnknownCode(Exception):
    """A code that is not in the table: one line, with the nearest one."""


@dataclass(frozen=True)
class Explanation:
    """One code: its row, what holds when all is well, in full, and each threshold that its check reads, as written."""

    row: Code
    meaning: str
    thresholds: dict[str, str | int | float]


def explain(code: str, thresholds: Thresholds | None = None) -> Explanation:
    """What a code stands for, in any case of letters. Raise UnknownCode."""
    row = CODES.get(code.upper())
    if row is None:
        spelled = re.sub(r"\d+", lambda number: number[0].zfill(3), code)
        raise UnknownCode(f"{code}: there is no such code; {did_you_mean(spelled, CODES, 'see homelab health codes')}")
    check = dict(ALL_CHECKS).get(row.code)
    limits = thresholds or Thresholds()
    read = _limits(check) if check else frozenset()
    return Explanation(
        row,
        " ".join((inspect.getdoc(check) or row.title).split()) if check else row.title,
        {each.name: shown(getattr(limits, each.name)) for each in fields(limits) if each.name in read},
    )


def shown(value: timedelta | int | float) -> str | int | float:
    """A threshold as the settings file has it."""
    return duration.show(value) if isinstance(value, timedelta) else value


def _limits(check: Callable[..., object]) -> frozenset[str]:
    """The thresholds that a check reads, itself or through functions of the checks that it calls."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting: list[object] = [check]
    while waiting:
        function = waiting.pop()
        if not isinstance(function, FunctionType) or function.__qualname__ in seen:
            continue
        if not function.__module__.startswith("homelab.health.checks"):
            continue
        seen.add(function.__qualname__)
        tree = ast.parse(inspect.getsource(function))
        found |= set(_read(tree))
        waiting += [function.__globals__.get(each.id) for each in ast.walk(tree) if isinstance(each, ast.Name)]
    return frozenset(found)


def _read(tree: ast.AST) -> Iterator[str]:
    for each in ast.walk(tree):
        if not isinstance(each, ast.Attribute) or each.attr not in _LIMITS:
            continue
        of = each.value
        if (isinstance(of, ast.Attribute) and of.attr == "thresholds") or (
            isinstance(of, ast.Name) and of.id in _NAMES
        ):
            yield each.attr


def table_as_text() -> str:
    """Every code in one line: how bad at worst, what holds when all is well, what it needs."""
    widths = [max(len(text) for text in column) for column in zip(*(_cells(row) for row in TABLE), strict=True)]
    return "\n".join(
        "  ".join(f"{text:<{width}}" for text, width in zip(_cells(row), widths, strict=True)).rstrip() for row in TABLE
    )


def _cells(row: Code) -> tuple[str, str, str, str]:
    return row.code, str(row.severity), row.title, ", ".join(row.needs)


def table_as_json() -> str:
    """The table as one JSON document; within a version, keys and codes are only ever added."""
    return json.dumps({"version": VERSION, "codes": [_data(row) for row in TABLE]}, indent=2)


def _data(row: Code) -> dict[str, object]:
    return {
        "code": row.code,
        "severity": str(row.severity),
        "title": row.title,
        "needs": list(row.needs),
        "uses": list(row.uses),
        "remedy": row.remedy.replace("{{", "{").replace("}}", "}"),
    }


def as_text(each: Explanation, here: str = "") -> str:
    """One code, a paragraph each for what it means, what it reads and what to do; `here` is a severity of settings."""
    row, usual = each.row, Thresholds()
    wished = f", here {here}" if here else ""
    lines = [
        f"{row.code}  {row.title}  (at worst {row.severity}{wished})",
        "",
        *textwrap.wrap(each.meaning, _WIDTH),
        "",
    ]
    lines += [f"reads       {', '.join(row.needs)}{', if it may ' + ', '.join(row.uses) if row.uses else ''}"]
    for name, value in each.thresholds.items():
        default = shown(getattr(usual, name))
        lines += [f"threshold   {name} = {value}{f'  (by default {default})' if value != default else ''}"]
    lines += [f"remedy      {_data(row)['remedy']}"]
    return "\n".join(lines)


def as_json(each: Explanation) -> str:
    """One code as a JSON document: its row of the table, `meaning` and `thresholds`."""
    return json.dumps(
        {"version": VERSION, **_data(each.row), "meaning": each.meaning, "thresholds": each.thresholds}, indent=2
    )
