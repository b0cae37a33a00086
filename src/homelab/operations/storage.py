"""A storage plan's steps, and the memory of consents that were used."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gevent
from pydantic import SecretStr
from pyinfra import host, logger
from pyinfra.api.command import FunctionCommand, StringCommand
from pyinfra.api.host import Host as PyinfraHost
from pyinfra.api.operation import operation
from pyinfra.api.state import State

from homelab.operations import files
from homelab.pyinfra_compat import Refusal
from homelab.storage import Step

# Seconds between two questions how far something is, and between two lines about it.
_ASKED_EVERY, _TOLD_EVERY = 5, 30


@operation()
def carried_out(
    step: Step, keys: Mapping[str, SecretStr] | None = None
) -> Generator[StringCommand | FunctionCommand, None, None]:
    """Carry out one step of a plan; the command looks at the disks again, and stops when they are not as planned.

    A step that names a key of `keys` gets it by standard input.
    """
    if step.kind == "noop":
        host.noop(step.says)
        return
    if step.file is not None:
        yield files.write(step.file)
    if step.command:
        given: dict[str, Any] = {"_stdin": (keys or {})[step.key].get_secret_value()} if step.key else {}
        yield StringCommand(step.command, _timeout=step.timeout, **given)
    if step.consents:
        yield FunctionCommand(_remember, (step,), {})
    if step.poll:
        yield FunctionCommand(_wait, (step,), {})


def _wait(state: State, host: PyinfraHost, step: Step) -> None:
    """Ask until it is done, and tell how far it is; what is built goes on when this is ended."""
    deadline, told = time.monotonic() + step.patience, 0.0
    while True:
        ok, output = host.run_shell_command(StringCommand(step.poll), _sudo=True, _timeout=120)
        word, _, more = (output.stdout_lines or [""])[-1].partition(" ")
        if ok and word == "done":
            return
        if word == "refused":
            raise Refusal([f"{host.name}: {step.subject}: {more}"])
        if word == "failed" or not ok:
            why = more or " ".join(output.stderr_lines[-2:]) or "no answer"
            raise Refusal([f"{host.name}: {step.subject}: {why}; mend that and run the same command again"])
        if time.monotonic() > deadline:
            why = f"not over after {step.patience // 3600} hours ({more})"
            raise Refusal([f"{host.name}: {step.subject}: {why}; it goes on by itself: run the same command again"])
        if time.monotonic() - told >= _TOLD_EVERY:
            logger.info(f"    {host.name}: {step.subject}: {more}")
            told = time.monotonic()
        gevent.sleep(_ASKED_EVERY)


@operation()
def told(lines: tuple[str, ...]) -> Generator[FunctionCommand, None, None]:
    """Say something once all that was to be done is done."""
    yield FunctionCommand(_tell, (lines,), {})


def _tell(state: State, host: PyinfraHost, lines: tuple[str, ...]) -> None:
    for line in lines:
        logger.info(f"    {line}")


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
