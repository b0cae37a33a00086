"""A managed file, and whether it stands on a host."""

from __future__ import annotations

from dataclasses import replace

import pytest

from homelab.files import ManagedFile
from homelab.probe import FileState

FILE = ManagedFile("/etc/x", "a\n", mode="0600")
AS_IT_SHOULD_BE = FileState("file", "0600", "root:root", FILE.sha256)


def test_the_same_content_mode_and_owner_stand() -> None:
    assert FILE.stands(AS_IT_SHOULD_BE)


@pytest.mark.parametrize(
    "other",
    [
        None,
        replace(AS_IT_SHOULD_BE, sha256="0" * 64),
        replace(AS_IT_SHOULD_BE, mode="0644"),
        replace(AS_IT_SHOULD_BE, owner="root:users"),
        replace(AS_IT_SHOULD_BE, kind="link", target="/etc/y"),
        FileState("dir", "0600", "root:root"),
    ],
)
def test_whatever_differs_does_not_stand(other: FileState | None) -> None:
    assert not FILE.stands(other)


def test_content_never_shows_in_a_representation() -> None:
    assert "s3cret" not in repr(ManagedFile("/etc/x", "s3cret\n"))


def test_a_text_file_without_its_last_newline_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="/etc/x: the content has no newline"):
        ManagedFile("/etc/x", "a")
