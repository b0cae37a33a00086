"""One page of a list, its items slimmed one by one: parsed as a whole it would take ten times its size for a moment."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TypeVar

from homelab.health.shape import Json, mapping, text

T = TypeVar("T")

_space = re.compile(r"[ \t\n\r]*").match
_value = json.JSONDecoder().raw_decode


class NoList(ValueError):
    """JSON, but no list of objects."""


def parse(body: str, slim: Callable[[Json], T]) -> tuple[list[T], str]:
    """The items of a Kubernetes list, each through `slim`, and the token of the next page, "" on the last.

    Raise NoList when it is another thing than a list of objects, ValueError or RecursionError when it is not JSON.
    """
    items: list[T] | None = None
    token = ""
    at = _after(body, 0, "{")
    while body[at : at + 1] != "}":
        key, at = _value(body, at)
        at = _after(body, at, ":")
        if key == "items" and body[at : at + 1] == "[":
            items, at = _items(body, at, slim)
        else:
            value, at = _value(body, at)
            if key == "items" and value is None:
                # Go's empty slice.
                items = []
            elif key == "metadata":
                token = text(mapping(value).get("continue"))
        at = _next(body, at, "}")
    if _skip(body, at + 1) != len(body):
        raise json.JSONDecodeError("extra data", body, at)
    if items is None:
        raise NoList
    return items, token


def _items(body: str, at: int, slim: Callable[[Json], T]) -> tuple[list[T], int]:
    found = []
    at = _skip(body, at + 1)
    while body[at : at + 1] != "]":
        item, at = _value(body, at)
        if not isinstance(item, dict):
            raise NoList
        found.append(slim(item))
        at = _next(body, at, "]")
    return found, at + 1


def _skip(body: str, at: int) -> int:
    found = _space(body, at)
    return found.end() if found else at


def _after(body: str, at: int, mark: str) -> int:
    """The place after a mark that must come next, blanks left out."""
    at = _skip(body, at)
    if body[at : at + 1] != mark:
        raise NoList if mark == "{" and at < len(body) else json.JSONDecodeError(f"no {mark}", body, at)
    return _skip(body, at + 1)


def _next(body: str, at: int, end: str) -> int:
    """The place of what follows a comma, or of the end."""
    at = _skip(body, at)
    if body[at : at + 1] == end:
        return at
    at = _after(body, at, ",")
    if body[at : at + 1] == end:
        raise json.JSONDecodeError("a comma and nothing after it", body, at)
    return at
