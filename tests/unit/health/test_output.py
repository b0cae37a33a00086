"""A file that is whole at any moment, or a line that says why not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from homelab.health.output import NoOutput, prove, write


def test_a_new_file_can_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    path = prove(tmp_path / "health.prom")
    before = os.umask(0o027)
    try:
        write(path, "a 1\n")
    finally:
        os.umask(before)
    assert path.read_text() == "a 1\n" and path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["health.prom"]


def test_the_old_one_is_replaced_at_once_with_its_rights_and_behind_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.prom", tmp_path / "link.prom"
    real.write_text("old")
    real.chmod(0o604)
    link.symlink_to(real)
    opened = real.open()
    write(prove(link), "new")
    assert opened.read() == "old", "who reads it now is not disturbed"
    opened.close()
    assert link.is_symlink() and real.read_text() == "new" and real.stat().st_mode & 0o777 == 0o604


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "health.prom"
    path.write_text("old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoOutput, match="No space left on device; nothing was written"):
        write(path, "new")
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write(prove(pipe), "said")
    assert os.read(reader, 10) == b"said"
    os.close(reader)


def test_where_nothing_can_be_written_is_told_before(tmp_path: Path) -> None:
    for path, why in ((tmp_path, "it is a folder"), (tmp_path / "no" / "file", "there is no folder")):
        with pytest.raises(NoOutput, match=why):
            prove(path)
