"""Kernel arguments, and the reboot that they take."""

from __future__ import annotations

import shlex
import time
from collections.abc import Generator

import gevent
from paramiko import SSHException
from pyinfra import host, logger
from pyinfra.api.command import FunctionCommand, StringCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.host import Host as PyinfraHost
from pyinfra.api.operation import operation
from pyinfra.api.state import State

from homelab.host.boot import CMDLINE, Arguments
from homelab.operations import survey
from homelab.pyinfra_compat import Refusal, reconnect

DEADLINE = 600
_BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
# The same question as the probe's, asked of the kernel that came up.
_PROOF = (
    "grep -qw memory /sys/fs/cgroup/cgroup.controllers 2>/dev/null || "
    "awk '$1 == \"memory\" && $4 == 1 {on = 1} END {exit !on}' /proc/cgroups"
)


@operation()
def arguments(wanted: Arguments | None) -> Generator[StringCommand | FunctionCommand, None, None]:
    """Ensure a Raspberry Pi's kernel arguments: the one line replaced, the old file kept beside it, then a reboot."""
    if wanted is None:
        host.noop("the kernel has its memory cgroup")
        return
    if not wanted.written:
        # The boot partition is FAT: it has no owners or modes to set, and is not synced until told.
        yield StringCommand(
            f"set -e; cp {CMDLINE} {CMDLINE}.homelab-before; "
            f"printf '%s\\n' {shlex.quote(wanted.line)} >{CMDLINE}.homelab-new; sync; "
            f"mv -f {CMDLINE}.homelab-new {CMDLINE}; sync"
        )
    yield FunctionCommand(rebooted, (_PROOF,), {})


def rebooted(state: State, host: PyinfraHost, proof: str = "true", deadline: float = DEADLINE) -> bool:
    """Reboot a host and wait until it is back, locked by this run again, and proves what the reboot was for."""
    before = _says(host, _BOOT_ID)
    # Detached, so that this connection does not hang on a host that goes away.
    host.run_shell_command(
        StringCommand("(sleep 1; systemctl reboot) </dev/null >/dev/null 2>&1 &"), _sudo=True, _timeout=30
    )
    logger.info(f"{host.print_prefix}reboots")
    end = time.monotonic() + deadline
    while True:
        gevent.sleep(5)
        try:
            reconnect(host)
            # A host on its way down may still take a command and not carry it out.
            if _says(host, _BOOT_ID) not in ("", before):
                break
        except (ConnectError, SSHException, OSError, EOFError):
            pass
        if time.monotonic() > end:
            logger.error(f"{host.print_prefix}did not come back within {deadline:.0f} s; look at its console")
            return False
    try:
        survey.hold(host)
    except Refusal as refusal:
        logger.error(f"{host.print_prefix}{refusal.message}")
        return False
    ok, _ = host.run_shell_command(StringCommand(proof), _sudo=True, _timeout=30)
    if not ok:
        logger.error(f"{host.print_prefix}has still no memory cgroup after the reboot; see {CMDLINE}")
    return ok


def _says(host: PyinfraHost, command: str) -> str:
    ok, output = host.run_shell_command(StringCommand(command), _timeout=20)
    return output.stdout.strip() if ok else ""
