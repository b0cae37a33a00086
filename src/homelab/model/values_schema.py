"""Whether values are as a chart's values.schema.json says, before Helm is asked: the keywords our schemas use.

Source: JSON Schema draft 7, which Helm takes. A keyword that is not known here is Helm's to judge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from types import UnionType
from typing import Any

from homelab.model.problems import did_you_mean
from homelab.model.strict import shown

# Place below the values, what was found, the remedy.
Wrong = tuple[str, str, str]

_TYPES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "object": (lambda value: isinstance(value, dict), 'a dict, {"key": value}'),
    "array": (lambda value: isinstance(value, list), "a list, [...]"),
    "string": (lambda value: isinstance(value, str), 'a string, "..."'),
    "boolean": (lambda value: isinstance(value, bool), "True or False"),
    "integer": (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
    "number": (lambda value: isinstance(value, int | float) and not isinstance(value, bool), "a number"),
    "null": (lambda value: value is None, "None"),
}


def wrong(value: object, schema: object, place: str = "") -> Iterator[Wrong]:
    """What of the values the schema does not take, each with its place."""
    if not isinstance(schema, Mapping):
        return
    listed = _heeded(schema, "type", str | list) or []
    wanted = [_TYPES[each] for each in ([listed] if isinstance(listed, str) else listed) if each in tuple(_TYPES)]
    if wanted and not any(takes(value) for takes, _ in wanted):
        # Of a dict or a list only the type is told: nobody knows what it holds.
        found = "is of the wrong type" if isinstance(value, dict | list) else f"{shown(value)} is of the wrong type"
        yield place, found, f"write {' or '.join(word for _, word in wanted)}"
        return
    enum, pattern = _heeded(schema, "enum", list), _heeded(schema, "pattern", str)
    if enum is not None and value not in enum:
        yield place, f"{shown(value)} is none of its values", f"write {' or '.join(map(json.dumps, enum))}"
    if pattern is not None and isinstance(value, str) and not _matches(pattern, value):
        yield place, f"{shown(value)} is not what it takes", f"write what matches {pattern}"
    least, most = _heeded(schema, "minimum", int | float), _heeded(schema, "maximum", int | float)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if least is not None and value < least:
            yield place, f"{shown(value)} is too small", f"write at least {least}"
        if most is not None and value > most:
            yield place, f"{shown(value)} is too large", f"write at most {most}"
    if isinstance(value, dict):
        yield from _members(value, schema, place)
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        for index, each in enumerate(value):
            yield from wrong(each, schema["items"], f"{place}[{index}]")


def _heeded(schema: Mapping[str, Any], keyword: str, kind: type | UnionType) -> Any:
    """What a keyword says; None where it says nothing, or what no schema may say, which is Helm's to judge."""
    said = schema.get(keyword)
    return said if isinstance(said, kind) and not isinstance(said, bool) else None


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.search(pattern, value) is not None
    except re.error:
        return True  # what only other dialects take is Helm's to judge


def _members(value: Mapping[str, object], schema: Mapping[str, Any], place: str) -> Iterator[Wrong]:
    known, others = _heeded(schema, "properties", dict) or {}, schema.get("additionalProperties", True)
    for key, held in value.items():
        if key not in known and others is False:
            otherwise = f"write one of {', '.join(known)}" if known else "leave it out"
            yield f"{place}.{key}", "unknown key", did_you_mean(key, known, otherwise)
        elif held is not None:  # a null takes a default away before Helm looks
            yield from wrong(held, known.get(key, others), f"{place}.{key}")
    for key in _heeded(schema, "required", list) or ():
        if isinstance(key, str) and key not in value:
            yield f"{place}.{key}", "is missing", "write it"
