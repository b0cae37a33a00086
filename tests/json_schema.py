"""Whether data is as a JSON schema says: the keywords that our own schemas use, and a refusal of any other.

Source: JSON Schema draft 2020-12. Stricter than that in one thing: a key that an object's `properties` do not name is
wrong, so that a schema which has fallen behind is found out.
"""

from __future__ import annotations

import re
from typing import Any

_ASIDE = {"$schema", "$defs", "title", "description"}
_TYPES = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "null": lambda value: value is None,
}


def wrong(data: Any, schema: dict[str, Any], root: dict[str, Any] | None = None, place: str = "$") -> list[str]:
    """What of the data is not as the schema says, each with its place; nothing when it is valid."""
    root = root or schema
    found: list[str] = []
    for keyword, said in schema.items():
        if keyword in _ASIDE:
            continue
        if keyword == "$ref":
            found += wrong(data, root["$defs"][said.removeprefix("#/$defs/")], root, place)
        elif keyword == "anyOf":
            if not any(not wrong(data, each, root, place) for each in said):
                found.append(f"{place}: {data!r} is none of those that it may be")
        elif keyword == "type":
            if not any(_TYPES[each](data) for each in ([said] if isinstance(said, str) else said)):
                found.append(f"{place}: {data!r} is no {said}")
        elif keyword == "enum" or keyword == "const":
            if data not in (said if keyword == "enum" else [said]):
                found.append(f"{place}: {data!r} is not {said}")
        elif keyword == "pattern":
            if isinstance(data, str) and not re.search(said, data):
                found.append(f"{place}: {data!r} does not match {said}")
        elif keyword == "minimum":
            if isinstance(data, int | float) and data < said:
                found.append(f"{place}: {data!r} is less than {said}")
        elif keyword == "required":
            if isinstance(data, dict):
                found += [f"{place}: {key} is missing" for key in said if key not in data]
        elif keyword == "properties":
            if isinstance(data, dict):
                found += [f"{place}: {key} is not in the schema" for key in data if key not in said]
                for key, each in said.items():
                    if key in data:
                        found += wrong(data[key], each, root, f"{place}.{key}")
        elif keyword == "additionalProperties":
            if isinstance(data, dict):
                for key, each in data.items():
                    found += wrong(each, said, root, f"{place}.{key}")
        elif keyword == "items":
            if isinstance(data, list):
                for index, each in enumerate(data):
                    found += wrong(each, said, root, f"{place}[{index}]")
        else:
            raise ValueError(f"the schema's keyword {keyword} is not judged here")
    return found
