"""What a household wants otherwise: thresholds, severities, and what it knows of. A TOML file.

[thresholds]
lease_critical = "50s"      # every field of `thresholds.py`; lengths of time as "500ms", "25s", "5m", "18h", "30d"

[severities]
NODE006 = "info"            # info, warning, critical, or off: the check does not run

[[suppress]]
code = "POD001"             # a code, a room, or a list of them
object = "Pod/media/web-*"  # Kind/namespace/name or Kind/name, also of the workload; without it, any
reason = "waits for the new disk"
until = 2027-01-31          # to the end of that day; without it, for ever

[deep]                      # what --deep tries things out with
image = "registry.lan/busybox:1.35"
timeout = "5m"
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from homelab.counting import many
from homelab.health import duration
from homelab.health.codes import CODES
from homelab.health.nearest import did_you_mean
from homelab.health.report import Severity
from homelab.health.suppression import Pattern, Suppression, codes, day
from homelab.health.text import plain
from homelab.health.thresholds import Thresholds

OFF = "off"
_TABLES = ("thresholds", "severities", "suppress", "deep")
_LEVELS = (*(str(each) for each in Severity), OFF)
_WARNING, _CRITICAL = "_warning", "_critical"


class SettingsWrong(Exception):
    """A settings file that cannot be used: a line for each thing that is wrong, with file, line and key."""


@dataclass(frozen=True)
class Settings:
    """`severities` are those that differ from the table; `off` are the codes whose checks do not run. `image` and
    `timeout`, in seconds, are those of `--deep`, None where none is written."""

    thresholds: Thresholds = field(default_factory=Thresholds)
    severities: Mapping[str, Severity] = field(default_factory=dict)
    off: frozenset[str] = frozenset()
    suppressions: tuple[Suppression, ...] = ()
    path: str = ""
    image: str | None = None
    timeout: float | None = None

    def level(self, code: str) -> str:
        """The severity that is written for a code, "off" included; "" when none is."""
        return OFF if code in self.off else str(self.severities.get(code, ""))

    @property
    def said(self) -> str:
        """In one line, which file it is and what it changes: who has forgotten it wonders why less is told."""
        usual = Thresholds()
        limits = [
            each.name for each in fields(usual) if getattr(usual, each.name) != getattr(self.thresholds, each.name)
        ]
        levels = [f"{code} {level}" for code, level in self.severities.items()] + [f"{code} {OFF}" for code in self.off]
        deep = [f"deep.{name}" for name in _DEEP if getattr(self, name) is not None]
        said = ", ".join((*limits, *sorted(levels), *deep))
        known = many(len(self.suppressions), "suppression")
        return f"{self.path}: {known}, and {said} set" if said else f"{self.path}: {known}"


def find(environ: Mapping[str, str] | None = None) -> Path | None:
    """The user's own settings file, $XDG_CONFIG_HOME/homelab/health.toml or that in ~/.config, if there is one."""
    environ = os.environ if environ is None else environ
    folder = Path(environ.get("XDG_CONFIG_HOME", ""))
    # The XDG specification: a path that is not absolute is to be ignored.
    if not folder.is_absolute():
        folder = Path(environ["HOME"]) / ".config" if environ.get("HOME") else Path("~/.config").expanduser()
    path = folder / "homelab" / "health.toml"
    return path if os.path.lexists(path) else None


def read(path: Path) -> Settings:
    """The settings in a file. Raise SettingsWrong with all that is wrong with them."""
    import tomllib

    try:
        text = path.read_bytes().decode()
        data = tomllib.loads(text)
    except FileNotFoundError:
        raise SettingsWrong(f"{path}: there is no such file; write it, or leave --settings out") from None
    except OSError as error:
        raise SettingsWrong(f"{path}: {error.strerror}; make it a file that can be read") from None
    except UnicodeDecodeError:
        raise SettingsWrong(f"{path}: it is not text; write it as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsWrong(f"{path}: it is not TOML: {error}; mend it there") from None
    return _Reader(str(path), text).settings(data)


class _Reader:
    """One file; gathers what is wrong with it."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.lines = text.splitlines()
        self.wrong: list[tuple[int, str]] = []

    def settings(self, data: dict[str, Any]) -> Settings:
        for key in data:
            if key not in _TABLES:
                self.refuse(key, "", f"unknown table; {did_you_mean(key, _TABLES, _NO_TABLE)}")
        thresholds = self.thresholds(self.table(data, "thresholds"))
        levels = self.severities(self.table(data, "severities"))
        found = self.suppressions(data.get("suppress", []))
        image, timeout = self.deep(self.table(data, "deep"))
        if self.wrong:
            raise SettingsWrong("\n".join(line for _, line in sorted(self.wrong, key=lambda each: each[0])))
        off = frozenset(code for code, level in levels.items() if level is None)
        severities = {code: level for code, level in levels.items() if level is not None}
        return Settings(thresholds, severities, off, found, self.path, image, timeout)

    def refuse(self, table: str, key: str, why: str, number: int = 0) -> None:
        """One line: file, line of the key where it can be found, key, what is wrong, what to do."""
        line = _line(self.lines, table, key, number)
        place = f"{self.path}:{line}" if line else self.path
        name = f"{table}[{number}]" if number else table
        self.wrong.append((line, plain(f"{place}: {name}{'.' if key else ''}{key}: {why}")))

    def table(self, data: dict[str, Any], name: str) -> dict[str, Any]:
        found = data.get(name, {})
        if isinstance(found, dict):
            return found
        self.refuse(name, "", f"it is no table; write [{name}] and a line for each")
        return {}

    def thresholds(self, table: dict[str, Any]) -> Thresholds:
        known = {each.name: getattr(Thresholds(), each.name) for each in fields(Thresholds)}
        given: dict[str, Any] = {}
        for key, value in table.items():
            if key not in known:
                self.refuse("thresholds", key, f"unknown threshold; {did_you_mean(key, known, _NO_THRESHOLD)}")
                continue
            try:
                given[key] = _limit(value, known[key])
            except ValueError as error:
                self.refuse("thresholds", key, str(error))
        limits = Thresholds(**given)
        for stem in dict.fromkeys(re.sub(f"({_WARNING}|{_CRITICAL})$", "", key) for key in given):
            self.order(stem, limits, [key for key in (stem + _WARNING, stem + _CRITICAL) if key in given])
        return limits

    def order(self, stem: str, limits: Thresholds, given: list[str]) -> None:
        """Both steps of one limit come in the order in which the defaults come."""
        names = (stem + _WARNING, stem + _CRITICAL)
        if not given or not all(hasattr(limits, name) for name in names):
            return
        usual, mine = ([getattr(each, name) for name in names] for each in (Thresholds(), limits))
        if (mine[0] > mine[1]) if usual[0] <= usual[1] else (mine[0] < mine[1]):
            said = " and ".join(f"{name} = {_shown(value)}" for name, value in zip(names, mine, strict=True))
            self.refuse("thresholds", given[-1], f"critical comes before warning: {said}; write both in order")

    def severities(self, table: dict[str, Any]) -> dict[str, Severity | None]:
        found: dict[str, Severity | None] = {}
        for key, value in table.items():
            code = key.upper()
            if code not in CODES:
                remedy = did_you_mean(key, CODES, "see homelab health codes")
                self.refuse("severities", key, f"there is no such code; {remedy}")
            elif not isinstance(value, str) or value.lower() not in _LEVELS:
                self.refuse("severities", key, f"{_shown(value)} is no severity; write one of {', '.join(_LEVELS)}")
            else:
                found[code] = None if value.lower() == OFF else Severity[value.upper()]
        return found

    def deep(self, table: dict[str, Any]) -> tuple[str | None, float | None]:
        read: dict[str, Any] = {}
        for key, value in table.items():
            if key not in _DEEP:
                remedy = did_you_mean(key, _DEEP, f"there are {', '.join(_DEEP)}")
                self.refuse("deep", key, f"unknown key; {remedy}")
                continue
            try:
                read[key] = _DEEP[key](value)
            except ValueError as error:
                self.refuse("deep", key, str(error))
        return read.get("image"), read.get("timeout")

    def suppressions(self, tables: object) -> tuple[Suppression, ...]:
        if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
            self.refuse("suppress", "", "it is no list of tables; write [[suppress]] and code, object and reason below")
            return ()
        found = [self.suppression(number, table) for number, table in enumerate(tables, start=1)]
        return tuple(each for each in found if each)

    def suppression(self, number: int, table: dict[str, Any]) -> Suppression | None:
        before = len(self.wrong)
        for key in table:
            if key not in _KEYS:
                remedy = did_you_mean(key, _KEYS, f"there are {', '.join(_KEYS)}")
                self.refuse("suppress", key, f"unknown key; {remedy}", number)
        for key in ("code", "reason"):
            if key not in table:
                self.refuse("suppress", "", f"it has no {key}; write {key} = {_KEYS[key]}", number)
        read: dict[str, Any] = {}
        for key, (parse, _) in _PARSERS.items():
            if key not in table:
                continue
            try:
                read[key] = parse(table[key])
            except ValueError as error:
                self.refuse("suppress", key, str(error), number)
        if len(self.wrong) > before:
            return None
        place = f"{self.path}: suppress[{number}]"
        return Suppression(read["code"], read["reason"], read.get("object", Pattern()), read.get("until"), place)


def image(value: object) -> str:
    """The name of an image, tag or digest included. Raise ValueError."""
    if isinstance(value, str) and _IMAGE.fullmatch(value):
        return value
    raise ValueError(f"{_shown(value)} is no image; write one as docker.io/library/busybox:1.35")


def _seconds(value: object) -> float:
    if not isinstance(value, str):
        raise ValueError(f'{_shown(value)} has no unit; write a length of time, "90s" or "5m"')
    try:
        length = duration.parse(value).total_seconds()
    except ValueError as error:
        raise ValueError(f'{error}; write one as "90s" or "5m"') from None
    if length < LEAST:
        raise ValueError(f'"{value}" is too short to start a pod in; write {LEAST}s or more')
    return length


LEAST = 10  # seconds for --deep
# Kubernetes judges it itself; this keeps out what can be none.
_IMAGE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._:/@-]{0,254}")
_DEEP: dict[str, Callable[[object], Any]] = {"image": image, "timeout": _seconds}
_NO_TABLE = f"there are {', '.join(_TABLES)}"
_NO_THRESHOLD = "homelab health explain CODE tells those that there are"


def _limit(value: object, default: object) -> timedelta | int | float:
    """A threshold of the type that the default has. Raise ValueError."""
    if isinstance(default, timedelta):
        if not isinstance(value, str):
            raise ValueError(f'{_shown(value)} has no unit; write a length of time, "30s", "5m", "18h" or "30d"')
        try:
            return duration.parse(value)
        except ValueError as error:
            raise ValueError(f'{error}; write one as "500ms", "30s", "5m", "18h" or "30d"') from None
    numbers = (int,) if isinstance(default, int) else (int, float)
    if not isinstance(value, numbers) or isinstance(value, bool) or not 0 <= value < 1e9:
        kind = "whole number" if isinstance(default, int) else "number"
        raise ValueError(f"{_shown(value)} is no {kind}; write one from 0 on, by default {default}")
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{_shown(value)} is not {what}; write {what} in quotes")
    return " ".join(value.split())


def _words(value: object) -> frozenset[str]:
    words = value if isinstance(value, list) else [value]
    if not words:
        raise ValueError("it is empty; write a code or a room in quotes")
    return codes(_text(word, "a code or a room") for word in words)


def _day(value: object) -> date:
    # A time of day is a date too, to Python.
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    return day(value if isinstance(value, str) else str(value))


_PARSERS: dict[str, tuple[Callable[[object], Any], str]] = {
    "code": (_words, '"POD001", "POD" or a list of such'),
    "object": (lambda value: Pattern.parse(_text(value, "an object")), '"Pod/media/web-*"'),
    "reason": (lambda value: _text(value, "a reason"), '"why this is no fault"'),
    "until": (_day, "2027-01-31"),
}
_KEYS = {key: example for key, (_, example) in _PARSERS.items()}


def _shown(value: object) -> str:
    if isinstance(value, timedelta):
        return duration.show(value)
    said = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return said if len(said) <= 60 else f"{said[:57]}..."


def _line(lines: Iterable[str], table: str, key: str, number: int) -> int:
    """The line of a key in a table, the number-th of its name, or of the table's own head; 0 when it is not found."""
    here, seen, head = "", 0, 0
    for at, line in enumerate(lines, start=1):
        if found := re.match(r"\s*\[\[?\s*([\w.\"'-]+)\s*\]\]?", line):
            here = found[1].strip("\"'")
            seen += here == table
            if here == table and (not number or seen == number):
                head = at
        elif key and here == table and (not number or seen == number):
            if re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
                return at
        elif not key and not here and re.match(rf"\s*{re.escape(table)}\s*[.=]", line):
            return at
    return head
