"""Commands, processes and deadlines: the edge to this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .hosts import ROOT


class CommandFailed(Exception):
    """A command that had to succeed did not; the message has its last lines."""


def run(
    command: Sequence[str],
    *,
    check: bool = True,
    timeout: float = 60,
    input: str | None = None,
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end without a terminal; with log, its output goes there.

    Raise CommandFailed when it fails or takes longer than the timeout, unless check is off.
    """
    output = subprocess.PIPE if log is None else log.open("w")
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL if input is None else None,
            input=input,
            stdout=output,
            stderr=subprocess.STDOUT if log else subprocess.PIPE,
            text=True,
            timeout=timeout,
            env=None if env is None else {**os.environ, **env},
            cwd=cwd,
        )
    except FileNotFoundError as missing:
        done = subprocess.CompletedProcess(command, 127, "", str(missing))
    except subprocess.TimeoutExpired:
        done = subprocess.CompletedProcess(command, 124, "", f"no end within {timeout:.0f} s")
    finally:
        if log is not None and not isinstance(output, int):
            output.close()
    if check and done.returncode != 0:
        said = log.read_text(errors="replace") if log else f"{done.stdout}{done.stderr}"
        raise CommandFailed(_failure(command, done.returncode, said, log))
    return done


def run_remembered(
    command: Sequence[str], record: Path, *, check: bool, timeout: float, log: Path, env: Mapping[str, str]
) -> None:
    """Run a command that must not go on when we are ended: its id is written down while it runs.

    It leads a process group of its own, so that what it started is ended with it.
    Raise CommandFailed when it fails or takes longer than the timeout, unless check is off.
    """
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
            cwd=ROOT,
            start_new_session=True,
        )
        remember(record, process.pid)
        try:
            code = process.wait(timeout)
        except BaseException as stopped:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)
            if not isinstance(stopped, subprocess.TimeoutExpired):
                raise
            code = 124
        finally:
            record.unlink(missing_ok=True)
    if check and code != 0:
        raise CommandFailed(_failure(command, code, log.read_text(errors="replace"), log))


def _failure(command: Sequence[str], code: int, said: str, log: Path | None) -> str:
    tail = "\n".join(said.strip().splitlines()[-15:])
    where = f" (all of it: {log})" if log else ""
    return f"{' '.join(command)[:200]}: exit {code}{where}\n{tail}"


def wait_for(what: str, answered: Callable[[], object], deadline: float, every: float = 0.5) -> None:
    """Poll until it is so. Raise TimeoutError naming what did not happen by the deadline, in seconds."""
    end = time.monotonic() + deadline
    while not answered():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {deadline:.0f} s")
        time.sleep(every)


def _born(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty when there is none. Tells a reused id apart."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The name, field 2, may contain anything, even parentheses.
    fields = stat.rsplit(")", 1)[1].split()
    return "" if fields[0] == "Z" else fields[19]


def remember(record: Path, pid: int) -> None:
    """Write down a process that we started."""
    record.write_text(f"{pid} {_born(pid)}\n")


def remembered(record: Path) -> int | None:
    """The process written down there if it is still that one."""
    try:
        pid, born = record.read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid) if _born(int(pid)) == born else None


def end(record: Path, *, group: bool = False) -> None:
    """End the process written down there, or the group that it leads, and no other; gently, then not."""
    pid = remembered(record)
    if pid is not None:
        for sent in (signal.SIGTERM, signal.SIGKILL):
            try:
                (os.killpg if group else os.kill)(pid, sent)
                wait_for(f"process {pid} to end", lambda: remembered(record) is None, 10, every=0.05)
                break
            except ProcessLookupError:
                break
            except TimeoutError:
                continue
    record.unlink(missing_ok=True)
