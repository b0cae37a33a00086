"""The keys of encrypted pools, as the inventory's references tell them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from homelab.model import Host, Problem
from homelab.settings import SecretError, resolve_secret, unreadable

# LUKS slows guessing down, by some thousand times; what is shorter than this is found all the same.
_SHORTEST = 12
# The longest that cryptsetup takes from a keyboard, where a disk may have to be opened one day.
_LONGEST = 512


def keys(mine: Host, base: Path | None = None) -> tuple[Mapping[str, SecretStr], list[Problem]]:
    """The keys of a NAS's encrypted pools by the pools' names, and what is wrong with them."""
    found: dict[str, SecretStr] = {}
    problems: list[Problem] = []
    for name, pool in mine.storage.pools.items() if mine.storage else ():
        if pool.encryption is None:
            continue
        place = f"{mine.name}: pools.{name}.encryption.key"
        try:
            text = resolve_secret(pool.encryption.key, base=base or Path.cwd())
        except SecretError as error:
            problems.append(unreadable(place, pool.encryption.key, error))
            continue
        size = len(text.get_secret_value().encode())
        if size < _SHORTEST:
            remedy = f"write one of {_SHORTEST} or more there, `openssl rand -base64 32` makes one"
            problems.append(Problem(place, f"a key of {size} characters is soon guessed", remedy))
        elif size > _LONGEST:
            problems.append(Problem(place, f"is longer than {_LONGEST} bytes", "write a shorter one there"))
        else:
            found[name] = text
    return found, problems


def hashed(given: Mapping[str, SecretStr]) -> dict[str, str]:
    """What a plan may know of keys: whether the host has the same."""
    return {name: hashlib.sha256(key.get_secret_value().encode()).hexdigest() for name, key in given.items()}
