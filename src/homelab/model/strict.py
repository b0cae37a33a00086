"""The strict base of everything that enters, and the one translator of its refusals."""

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError


class Strict(BaseModel):
    """Frozen, unknown keys refused, no silent conversions, inputs never echoed by pydantic itself."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True
    )


def refuse(found: str, remedy: str) -> PydanticCustomError:
    """The error a validator raises to say what it found and what to write instead."""
    return PydanticCustomError("refused", "{found}; {remedy}", {"found": found, "remedy": remedy})


def shown(value: object) -> str:
    """A value as the inventory would spell it, short enough for a line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def words(text: str) -> frozenset[str]:
    """A table of names, written as a paragraph."""
    return frozenset(text.split())


# What pydantic's own refusals mean to someone who writes an inventory.
_WANTED = {
    "bool_type": "write True or False",
    "string_type": 'write a string, "..."',
    "int_type": "write a whole number",
    "float_type": "write a number",
    "dict_type": 'write a dict, {"key": value}',
    "list_type": 'write a list, ["..."]',
    "tuple_type": 'write a list, ["..."]',
    "literal_error": "write one of the values listed in inventory/README.md",
}


def refusals(error: ValidationError) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """Where in the value, what was found, and the remedy, for each of a validation's errors."""
    for detail in error.errors(include_url=False):
        # pydantic marks a refused dict key with a last element "[key]"; the key itself stands before it.
        where = tuple(part for part in detail["loc"] if part != "[key]")
        if detail["type"] == "refused":
            yield where, detail["ctx"]["found"], detail["ctx"]["remedy"]
        elif detail["type"] == "missing":
            yield where, "is missing", "write it"
        else:
            remedy = _WANTED.get(detail["type"], detail["msg"])
            yield where, f"{shown(detail['input'])} is of the wrong type", remedy
