"""References to secrets: the inventory says where a secret is, never what it is."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator

from homelab.model.names import no_path
from homelab.model.strict import refuse

Kind = Literal["env", "file", "command"]
FORMS = "env:NAME, file:PATH or command:..."


@dataclass(frozen=True)
class SecretRef:
    """Where a secret is kept. Not itself secret, so it may be printed.

    >>> SecretRef.parse("command:pass show k3s/token")
    SecretRef('command:pass show k3s/token')
    """

    kind: Kind
    where: str

    @classmethod
    def parse(cls, text: str) -> "SecretRef":
        """Read a reference. Raise ValueError, without the text, when it is none."""
        for kind in get_args(Kind):
            where = text.removeprefix(f"{kind}:").strip()
            if text.startswith(f"{kind}:") and where:
                return cls(kind, where)
        raise ValueError(f"not a reference to a secret; write {FORMS}")

    def __str__(self) -> str:
        return f"{self.kind}:{self.where}"

    def __repr__(self) -> str:
        return f"SecretRef({str(self)!r})"


def secret_ref(value: object) -> SecretRef:
    """A reference from what the inventory holds; anything else is taken for a secret and never echoed."""
    if isinstance(value, SecretRef):
        return value
    if not isinstance(value, str):
        raise refuse("is not a string", f"write {FORMS}")
    try:
        reference = SecretRef.parse(value)
    except ValueError:
        kind, colon, _ = value.partition(":")
        if colon and kind in get_args(Kind):
            raise refuse(f"{kind}: without a name", f"write {FORMS}") from None
        raise refuse("a secret in clear", f"write {FORMS}") from None
    if reference.kind == "file" and (wrong := no_path(reference.where)):
        raise refuse(wrong, 'write one, "file:~/.config/homelab/token"')
    if reference.kind == "env" and reference.where.startswith("HOMELAB_"):
        # Settings refuses unknown HOMELAB_ variables, as a misspelt one would be heeded by nobody.
        raise refuse(f"{reference}: HOMELAB_ variables are the toolkit's own", "name it otherwise, env:K3S_TOKEN")
    return reference


Secret = Annotated[SecretRef, BeforeValidator(secret_ref)]
