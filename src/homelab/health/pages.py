"""One page of a list, its items parsed and slimmed one by one: whole, it would take ten times its size for a moment.

msgspec parses, since it makes nothing of what is not wanted: most of a pod is its environment and who changed which
field. With Python's own json a look at 5,000 pods takes two thirds more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import msgspec

from homelab.health.shape import Json, mapping, text

T = TypeVar("T")


class NoList(ValueError):
    """JSON, but no list of objects."""


class _List(msgspec.Struct):
    """`items` is null where Go has an empty slice."""

    items: list[msgspec.Raw] | None
    metadata: Any = None


_list = msgspec.json.Decoder(_List).decode
_any = msgspec.json.Decoder().decode


def parse(body: bytes, slim: Callable[[Json], T], wanted: Any = Json) -> tuple[list[T], str]:
    """The items of a Kubernetes list, each through `slim`, and the token of the next page, "" on the last.

    `wanted` is the TypedDict of what `slim` looks at, by default an object with all that is in it; an item of another
    shape comes with all. Raise NoList when it is another thing than a list of objects, ValueError or RecursionError
    when it is not JSON.
    """
    try:
        page = _list(body)
    except msgspec.ValidationError:
        raise NoList from None
    parsed = _decoder(wanted)
    return [slim(_item(each, parsed)) for each in page.items or ()], text(mapping(page.metadata).get("continue"))


def _item(raw: msgspec.Raw, parsed: Callable[[msgspec.Raw], Any]) -> Json:
    try:
        item: Json = parsed(raw)
    except msgspec.ValidationError:
        item = _any(raw)
        if not isinstance(item, dict):
            raise NoList from None
    return item


@cache
def _decoder(wanted: Any) -> Callable[[msgspec.Raw], Any]:
    return msgspec.json.Decoder(wanted).decode
