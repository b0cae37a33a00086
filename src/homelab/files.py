"""A file as it should stand on a host, and whether it does."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from homelab.probe import FileState


@dataclass(frozen=True)
class ManagedFile:
    """A small text file owned by the toolkit; the content never shows in a representation, it may be a secret.

    `check` is a shell command that proves the new content before it replaces the old one; it finds it at `"$new"`.
    """

    path: str
    content: str = field(repr=False)
    mode: str = "0644"
    owner: str = "root:root"
    check: str | None = None

    def __post_init__(self) -> None:
        if self.content and not self.content.endswith("\n"):
            raise ValueError(f"{self.path}: the content has no newline at its end")

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content.encode()).hexdigest()

    def stands(self, state: FileState | None) -> bool:
        """Whether the host has exactly this file: content, mode and owner."""
        return (
            state is not None
            and state.kind == "file"
            and (state.sha256, state.mode, state.owner) == (self.sha256, self.mode, self.owner)
        )
