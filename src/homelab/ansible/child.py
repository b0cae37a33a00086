"""The process that runs ansible-runner: a request as JSON on stdin, an event a line on stdout.

`python -m homelab.ansible.child`. SIGTERM ends the playbook, and ansible-playbook with it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

import ansible_runner

from homelab.ansible.events import Event, own_errors, parse

_GRACE = 5.0  # seconds


def _terminate(pid: int, pidfile: str | None = None) -> None:
    """Have ansible-playbook end its workers and itself, and kill what is left of it.

    ansible-runner's own kills it where it stands; its workers, in sessions of their own, would live on. How it ended is
    left for ansible-runner to read.
    """
    try:
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + _GRACE
        while time.monotonic() < end and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.1)
        os.killpg(pid, signal.SIGKILL)
    except (ChildProcessError, ProcessLookupError):
        pass


def main() -> int:
    asked: dict[str, Any] = json.load(sys.stdin)
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    # Whoever reads has the real stdout; nothing that a library prints may come between the lines.
    output, sys.stdout = sys.stdout, sys.stderr

    def tell(event: Event | None) -> None:
        if event is not None:
            print(event.as_line(), file=output, flush=True)

    def handle(raw: dict[str, Any]) -> bool:
        tell(parse(raw))
        return False  # nothing of it is written to a file

    ansible_runner.Runner.handle_termination = _terminate
    password = asked.pop("become_password", None)
    done = ansible_runner.run(
        **asked,
        cmdline="--ask-become-pass" if password else None,
        passwords={"^BECOME password.*:\\s*?$": password} if password else None,
        # No secret goes into a file; what it would write there is passed on in memory.
        suppress_env_files=True,
        event_handler=handle,
        cancel_callback=lambda: bool(stopped),
        quiet=True,
    )
    said = ""
    if done.rc != 0:
        done.stdout.seek(0)
        said = own_errors(done.stdout.read())
    tell(Event("end", rc=done.rc, said=said, late=done.status == "timeout"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
