"""K3s's registries.yaml as the inventory spells it: native, its passwords as references."""

import re
from collections.abc import Mapping

from pydantic_core import PydanticCustomError

from homelab.model.problems import did_you_mean
from homelab.model.secret import secret_ref

# https://docs.k3s.io/installation/private-registry: what a configs entry's auth may hold.
SECRET_KEYS = ("password", "token", "auth", "identity_token")
# https://user:password@registry.example.org
_CREDENTIALS = re.compile(r"[a-z]+://[^/]*@")
_SECTIONS = ("mirrors", "configs")

Wrong = tuple[str, str, str]


def registries(given: Mapping[str, object]) -> tuple[dict[str, object], list[Wrong]]:
    """The registries with every secret turned into a SecretRef, and what is wrong: place, found, remedy."""
    wrong: list[Wrong] = []
    for section, held in given.items():
        if section not in _SECTIONS:
            wrong.append(
                (
                    f".{section}",
                    "is no section of registries.yaml",
                    did_you_mean(str(section), _SECTIONS, "write mirrors or configs"),
                )
            )
        elif not isinstance(held, dict):
            wrong.append((f".{section}", "is not a dict", 'write {"registry.example.org": {...}}'))
    done = {section: _walk(held, f".{section}", wrong) for section, held in given.items()}
    return done, wrong


def _walk(value: object, place: str, wrong: list[Wrong]) -> object:
    if isinstance(value, dict):
        return {key: _value(key, held, f"{place}.{key}", wrong) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_walk(held, f"{place}[{index}]", wrong) for index, held in enumerate(value)]
    if isinstance(value, str) and _CREDENTIALS.match(value):
        wrong.append((place, "an address with a secret in clear", "write it without, and auth in configs"))
    elif not isinstance(value, str | int | bool | None):
        wrong.append((place, f"is of type {type(value).__name__}", "write what YAML has: strings, lists, dicts"))
    return value


def _value(key: object, held: object, place: str, wrong: list[Wrong]) -> object:
    if key not in SECRET_KEYS or isinstance(held, dict):
        return _walk(held, place, wrong)
    try:
        return secret_ref(held)
    except PydanticCustomError as error:
        context = error.context or {}
        wrong.append((place, context["found"], context["remedy"]))
        return held
