"""The strict base of everything that enters, and the one translator of its refusals."""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from homelab.model.problems import did_you_mean


class Strict(BaseModel):
    """Frozen, unknown keys refused, no silent conversions, inputs never echoed by pydantic itself."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True
    )


def refuse(found: str, remedy: str) -> PydanticCustomError:
    """The error a validator raises to say what it found and what to write instead."""
    return PydanticCustomError("refused", "{found}; {remedy}", {"found": found, "remedy": remedy})


def shown(value: object) -> str:
    """A value as the inventory would spell it, short enough for a line; its type where it cannot be spelled."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a number of thousands of digits raises, as may what a user's file makes
        text = f"<{type(value).__name__}>"
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
    "model_type": 'write a dict, {"key": value}',
    "list_type": 'write a list, ["..."]',
    "tuple_type": 'write a list, ["..."]',
}
# Keys of a later step: known, so that nobody is sent looking for a typo.
_LATER = ("spares",)


def refusals(
    error: ValidationError, shape: type[BaseModel] | None = None
) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """Where in the value, what was found, and the remedy, for each of a validation's errors.

    With the ``shape`` that was to be made, an unknown key is compared with those there are, and of a dict that was
    meant it is said what it has to hold.
    """
    for detail in error.errors(include_url=False):
        # pydantic marks a refused dict key with a last element "[key]"; the key itself stands before it.
        where = tuple(part for part in detail["loc"] if part != "[key]")
        kind, context = detail["type"], detail.get("ctx", {})
        if kind == "refused":
            yield where, context["found"], context["remedy"]
        elif kind == "missing":
            yield where, "is missing", "write it"
        elif kind == "extra_forbidden":
            # Its value is not echoed: a misspelt "password" has one too.
            inner = _inside(shape, where[:-1])
            yield where, *_unknown(str(where[-1]), tuple(inner.model_fields) if inner is not None else ())
        elif kind == "literal_error":
            wanted = context["expected"].replace("'", '"')
            yield where, f"{shown(detail['input'])} is none of its values", f"write {wanted}"
        elif kind in ("greater_than_equal", "less_than_equal"):
            low = kind == "greater_than_equal"
            found = f"{shown(detail['input'])} is too {'small' if low else 'large'}"
            yield where, found, f"write at least {context['ge']}" if low else f"write at most {context['le']}"
        else:
            remedy = _WANTED.get(kind, detail["msg"])
            if kind == "model_type" and (needed := _needed(_inside(shape, where))):
                remedy = f"write a dict, {{{needed}}}"
            yield where, f"{shown(detail['input'])} is of the wrong type", remedy


def _needed(model: type[BaseModel] | None) -> str:
    """The keys that a model cannot do without, as they are written."""
    held = model.model_fields if model is not None else {}
    return ", ".join(f'"{name}": ...' for name, field in held.items() if field.is_required())


def _unknown(key: str, known: tuple[str, ...]) -> tuple[str, str]:
    if key in _LATER:
        return "not supported yet", "leave it out for now"
    return "unknown key", did_you_mean(key, known, f"write one of {', '.join(known)}" if known else "leave it out")


def _inside(shape: object, location: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model that a shape has at a place inside it, None where there is none."""
    for part in location:
        inner = _model(shape)
        if inner is not None:
            shape = inner.model_fields[str(part)].annotation if part in inner.model_fields else None
        else:
            # Of a dict or tuple: what it holds stands last.
            shape = (_arguments(shape) or (None,))[-1]
    return _model(shape)


def _arguments(shape: object) -> tuple[object, ...]:
    """What a type is made of, without the words for "none" and "more of them"."""
    found = tuple(each for each in get_args(shape) if each not in (NoneType, Ellipsis))
    return _arguments(found[0]) if isinstance(shape, UnionType) and len(found) == 1 else found


def _model(shape: object) -> type[BaseModel] | None:
    for one in (shape, *get_args(shape)):
        if isinstance(one, type) and issubclass(one, BaseModel) and get_origin(shape) is not dict:
            return one
    return None
