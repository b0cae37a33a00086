"""A storage plan's steps, and the memory of consents that were used."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from pyinfra import host
from pyinfra.api.command import FunctionCommand, StringCommand
from pyinfra.api.host import Host as PyinfraHost
from pyinfra.api.operation import operation
from pyinfra.api.state import State

from homelab.operations import files
from homelab.storage import Step


@operation()
def carried_out(step: Step) -> Generator[StringCommand | FunctionCommand, None, None]:
    """Carry out one step of a plan; the command looks at the disks again, and stops when they are not as planned."""
    if step.kind == "noop":
        host.noop(step.says)
        return
    if step.file is not None:
        yield files.write(step.file)
    if step.command:
        yield StringCommand(step.command, _timeout=step.timeout)
    if step.consents:
        yield FunctionCommand(_remember, (step,), {})


def _remember(state: State, host: PyinfraHost, step: Step) -> None:
    remember(step, host.name)


def remember(step: Step, name: str, environ: Mapping[str, str] | None = None) -> None:
    """Note on this machine that a step's consents were used: a host that is installed anew has forgotten it."""
    folder = consents(environ)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for word in step.consents:
        note = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {name} {step.subject}: {step.says}\n"
        (folder / word).write_text(note, encoding="utf-8")


def used(environ: Mapping[str, str] | None = None) -> frozenset[str]:
    """The consents that this machine knows were used."""
    folder = consents(environ)
    return frozenset(each.name for each in folder.iterdir()) if folder.is_dir() else frozenset()


def consents(environ: Mapping[str, str] | None = None) -> Path:
    """Where used consents are noted, a file each."""
    given = Path((os.environ if environ is None else environ).get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    # The XDG specification: a path that is not absolute is to be ignored.
    state = given if given.is_absolute() else Path("~/.local/state").expanduser()
    return state / "homelab" / "consents"
