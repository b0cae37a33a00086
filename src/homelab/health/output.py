"""Where a report goes: to stdout, or to a file that is whole at any moment."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

from homelab.progress import drop


class NoOutput(Exception):
    """The file, or stdout, cannot be written: one line."""


class ReaderGone(Exception):
    """Whoever read stdout has had enough, as `head` has after its lines."""


@contextmanager
def printing() -> Iterator[None]:
    """Within, what is printed reaches stdout. Raise ReaderGone or NoOutput when it does not."""
    if sys.stdout is None:
        raise NoOutput("stdout is closed, so that no report can be printed; open it, or write --output FILE")
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names in letters that a terminal's encoding lacks
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        drop(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise ReaderGone from None
        raise NoOutput(f"stdout: {error.strerror}; the report was not printed whole") from None


def prove(path: Path) -> Path:
    """The file that is meant, links followed. Raise NoOutput when it cannot be written, before anything is read."""
    meant = path.resolve()
    if meant.is_dir():
        raise NoOutput(f"--output {path}: it is a folder; write a file's name")
    if not meant.parent.is_dir():
        raise NoOutput(f"--output {path}: there is no folder {meant.parent}; make it")
    if not os.access(meant if _special(meant) else meant.parent, os.W_OK):
        raise NoOutput(f"--output {path}: we may not write there; write another, or mend its rights")
    return meant


def _special(path: Path) -> bool:
    """A terminal, a pipe, a device: what is written to and not replaced."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def write(path: Path, text: str) -> None:
    """Put the text there, whole or not at all: whoever reads meanwhile sees the old one. Raise NoOutput.

    Rights of the file stay; those of a new one are what the umask leaves, so that a collector of another user reads it.
    """
    import tempfile  # which a report on a terminal can do without

    try:
        if _special(path):
            path.write_text(text, encoding="utf-8")
            return
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666 & ~_umask()
        # A collector takes what ends in .prom, so a leftover must not.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(mode)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise NoOutput(f"--output {path}: {error.strerror}; nothing was written") from None


def _umask() -> int:
    now = os.umask(0o022)
    os.umask(now)
    return now
