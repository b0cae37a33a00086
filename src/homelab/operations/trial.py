"""Changes that could lock everyone out: kept only when a new connection to the host works with them."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing

import gevent
from paramiko import AuthenticationException, SSHException
from pyinfra import host, logger
from pyinfra.api.command import FunctionCommand, StringCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.host import Host as PyinfraHost
from pyinfra.api.operation import operation
from pyinfra.api.state import State

from homelab.host import guard
from homelab.host.guard import Trial
from homelab.pyinfra_compat import NewConnection

# Long enough for a slow host, short enough to be over before the host undoes the change by itself.
_PATIENCE = guard.SECONDS - 20


@operation()
def tried(trial: Trial, stands: bool) -> Generator[StringCommand | FunctionCommand, None, None]:
    """Put a file in force, keep it when a new connection confirms it, and go back to the state before otherwise."""
    if stands:
        host.noop(f"{trial.file.path} is in force")
        return
    yield StringCommand(guard.start(trial), _stdin=trial.file.content)
    yield FunctionCommand(confirmed, (trial,), {})


def confirmed(state: State, host: PyinfraHost, trial: Trial) -> bool:
    """Whether a new connection could confirm the trial; undo it when none could."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with closing(NewConnection(host)) as connection:
                ok, said = connection.run(guard.confirm(trial))
            if ok:
                return True
            why = said or "the confirmation failed"
            break
        except (ConnectError, SSHException, OSError, EOFError) as error:
            why = str(error)
            # Asking again changes nothing, and OpenSSH 9.8 shuts out an address that fails to log in too often.
            if isinstance(error.__context__, AuthenticationException):
                break
        if time.monotonic() > deadline:
            break
        gevent.sleep(2)
    logger.error(
        f"{host.print_prefix}{trial.file.path}: no new connection works with it ({why}), so what was before "
        "comes back; look at what the inventory says of networks, or write firewall = False or ssh_hardening = False"
    )
    try:
        host.run_shell_command(StringCommand(guard.undo(trial)), _sudo=True, _timeout=20)
    except (SSHException, OSError, EOFError):
        logger.error(f"{host.print_prefix}the host does that by itself within {guard.SECONDS} s")
    return False
