"""Whether data is as a JSON schema of ours says.

Stricter than JSON Schema draft 2020-12 in two things: a key that an object's `properties` do not name is wrong, so that
a schema which has fallen behind is found out, and so is a keyword that is not known here, where that cannot be seen to.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

# Schemas are in these by a name, as they are, and in a list.
_NAMED, _ALONE, _LISTED = ("properties", "$defs"), ("items", "additionalProperties"), ("anyOf",)
# There are none in these. `format` alone is checked by nobody.
_PLAIN = {"$schema", "$ref", "title", "description", "type", "const", "enum", "required", "pattern"}
_PLAIN |= {"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems"}


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
    unknown = schema.keys() - _PLAIN - {*_NAMED, *_ALONE, *_LISTED}
    assert not unknown, f"keywords that are not known here: {', '.join(sorted(unknown))}"
    made = dict(schema)
    for keyword in _NAMED:
        if keyword in schema:
            made[keyword] = {name: _strict(each) for name, each in schema[keyword].items()}
    for keyword in _ALONE:
        if keyword in schema:
            made[keyword] = _strict(schema[keyword])
    for keyword in _LISTED:
        if keyword in schema:
            made[keyword] = [_strict(each) for each in schema[keyword]]
    return {"additionalProperties": False, **made} if "properties" in made else made
