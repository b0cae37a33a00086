"""Cluster tokens: their two forms, and making one that K3s takes.

Short form: the password alone, which trusts whatever CA answers first. Full form:
`K10<SHA-256 of the CA>::<user>:<password>` (K3s documentation, "token"). Only the first server starts from the short
form; everyone else joins with the full one.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field

_FULL = re.compile(r"K10(?P<ca>[0-9a-f]{64})::(?P<user>[^:]+):(?P<password>\S+)")
# `k3s token create` makes these: they expire and join agents only (k3s-io/k3s#7313).
_BOOTSTRAP = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")


@dataclass(frozen=True)
class Token:
    """A token taken apart; `ca` is None in the short form. The password never shows in a representation."""

    password: str = field(repr=False)
    ca: str | None = None

    def full(self, user: str, ca: str) -> str:
        return f"K10{ca}::{user}:{self.password}"


def parse(text: str) -> Token:
    """A token from a file's text; raise ValueError when it is empty or malformed, without showing it."""
    text = text.strip()
    if found := _FULL.fullmatch(text):
        return Token(found["password"], found["ca"])
    if _BOOTSTRAP.fullmatch(text):
        raise ValueError("is a bootstrap token, which expires")
    if not text or text.startswith("K10") or any(each.isspace() for each in text):
        raise ValueError("is empty or malformed")
    return Token(text)


def generate() -> Token:
    """A new password: 256 bits, letters and digits only (others have broken joins, techno-tim/k3s-ansible#629)."""
    return Token(secrets.token_hex(32))
