"""Files, directories and links as they should stand; what stands already costs no command."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Generator

from pyinfra import host
from pyinfra.api.command import StringCommand
from pyinfra.api.operation import operation

from homelab.files import ManagedFile
from homelab.probe import FileState


def write(wanted: ManagedFile) -> StringCommand:
    """The command that replaces a file in one step; its content goes through standard input, never through argv."""
    folder, name = posixpath.split(wanted.path)
    new = posixpath.join(folder, f".{name}.homelab-new")
    # A fixed name beside the target: what a killed run left behind is overwritten by the next one.
    script = [
        # The umask comes after mkdir, whose -m holds for the last folder only.
        f"set -e; umask 022; mkdir -p {shlex.quote(folder)}; umask 077",
        f"new={shlex.quote(new)}",
        'rm -f "$new"; cat >"$new"',
        *([wanted.check] if wanted.check else []),
        f'chown {shlex.quote(wanted.owner)} "$new"; chmod {wanted.mode} "$new"',
        # Or a power cut within half a minute leaves it empty: settings that say nothing, a unit that is masked.
        f'sync "$new"; mv -fT "$new" {shlex.quote(wanted.path)}',
    ]
    if not wanted.content:
        return StringCommand("\n".join(script))
    return StringCommand("\n".join(script), _stdin=wanted.content)


@operation()
def file(wanted: ManagedFile, current: FileState | None) -> Generator[StringCommand, None, None]:
    """Ensure a small text file: content, mode and owner, replaced in one step."""
    if wanted.stands(current):
        host.noop(f"{wanted.path} is as it should be")
        return
    yield write(wanted)


@operation()
def absent(path: str, current: FileState | None) -> Generator[StringCommand, None, None]:
    """Ensure that there is no file or link at a path; a directory there is an error."""
    if current is None:
        host.noop(f"{path} is not there")
        return
    yield StringCommand(f"rm -f -- {shlex.quote(path)}")


@operation()
def directory(
    path: str, current: FileState | None, mode: str = "0755", owner: str = "root:root"
) -> Generator[StringCommand, None, None]:
    """Ensure a directory with its mode and owner; what it holds is left alone."""
    if current is not None and (current.kind, current.mode, current.owner) == ("dir", mode, owner):
        host.noop(f"{path} is as it should be")
        return
    quoted = shlex.quote(path)
    yield StringCommand(f"mkdir -p {quoted} && chown {shlex.quote(owner)} {quoted} && chmod {mode} {quoted}")


@operation()
def link(path: str, target: str, current: FileState | None) -> Generator[StringCommand, None, None]:
    """Ensure a symbolic link, replaced in one step."""
    if current is not None and current.target == target:
        host.noop(f"{path} points to {target}")
        return
    new = shlex.quote(f"{path}.homelab-new")
    yield StringCommand(f"ln -sfn {shlex.quote(target)} {new} && mv -fT {new} {shlex.quote(path)}")
