"""Options of a command taken as they came where nothing is to be converted, without pydantic.

Typer converts every option by pydantic, those that nobody gave too, and loading that is a quarter of what a whole look
at a small cluster takes. Only what needs it, and whatever is wrong, goes there. How typer is laid out is known here
alone; `tests/unit/test_typer_compat.py` fails when it moves, and until somebody has followed typer converts everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from typing import Any

from typer.core import TyperGroup, TyperOption

_NUMBER = re.compile(r"\d{1,9}(\.\d{1,6})?", re.ASCII)
_OTHERWISE = object()


class PlainGroup(TyperGroup):
    """A group of commands whose own options, and `--help`, convert by themselves what is plain."""

    def get_params(self, ctx: Any) -> list[Any]:
        found = super().get_params(ctx)
        for each in found:
            if isinstance(each, TyperOption) and "process_value" not in vars(each):
                each.process_value = _process(each, each.process_value)  # type: ignore[assignment,method-assign]
        return found


def _process(option: TyperOption, otherwise: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def process(context: Any, value: Any) -> Any:
        try:
            found = _OTHERWISE if option.required else _plain(option, value)
        except AttributeError:
            found = _OTHERWISE
        if found is _OTHERWISE:
            return otherwise(context, value)
        return option.callback(context, option, found) if option.callback else found

    return process


def _plain(option: TyperOption, value: Any) -> Any:
    """What typer would make of a value, if that needs no pydantic, else `_OTHERWISE`."""
    kind, told = option.type_descriptor.annotation, option.type_descriptor.parameter_info
    if value is None:
        return () if option.multiple else None
    if told.parser is not None:
        return _OTHERWISE
    if kind == list[str] and option.multiple and all(type(each) is str for each in value):
        return list(value)
    if kind is str and type(value) is str:
        return value
    if kind is float and (type(value) in (float, int) or (isinstance(value, str) and _NUMBER.fullmatch(value))):
        number = float(value)
        fits = (told.min is None or number >= told.min) and (told.max is None or number <= told.max)
        return number if fits and not told.clamp else _OTHERWISE
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next((each for each in kind if value is each or value == each.value), _OTHERWISE)
    return _OTHERWISE
