"""Whether data is as a JSON schema of ours says.

Stricter than JSON Schema draft 2020-12 in two things: a key that an object's `properties` do not name is wrong, so that
a schema which has fallen behind is found out, and so is a keyword that the draft does not have.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

_ASIDE = {"$schema", "$defs", "title", "description"}


def wrong(data: Any, schema: dict[str, Any]) -> list[str]:
    """What of the data is not as the schema says, each with its place; nothing when it is valid."""
    return [f"{each.json_path}: {each.message}" for each in _validator(json.dumps(schema)).iter_errors(data)]


@cache
def _validator(schema: str) -> Draft202012Validator:
    known = _strict(json.loads(schema))
    Draft202012Validator.check_schema(known)
    return Draft202012Validator(known)


def _strict(schema: Any) -> Any:
    """The schema, every object of which has only the properties that it names."""
    if not isinstance(schema, dict):
        return schema
    unknown = schema.keys() - _ASIDE - Draft202012Validator.VALIDATORS.keys()
    assert not unknown, f"no keywords of the draft: {', '.join(unknown)}"
    made = dict(schema)
    for keyword in ("properties", "$defs"):
        if keyword in schema:
            made[keyword] = {name: _strict(each) for name, each in schema[keyword].items()}
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            made[keyword] = _strict(schema[keyword])
    if "anyOf" in schema:
        made["anyOf"] = [_strict(each) for each in schema["anyOf"]]
    return {"additionalProperties": False, **made} if "properties" in made else made
