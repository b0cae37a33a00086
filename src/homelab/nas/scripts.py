"""The shell scripts that run on a NAS for years, without this toolkit: files beside this one, as they stand there."""

from __future__ import annotations

from pathlib import Path

from homelab.files import ManagedFile

FOLDER = "/usr/local/lib/homelab"
# What systemd starts when a unit of ours fails; %n is its name.
ON_FAILURE = "OnFailure=homelab-alert@%n.service"
_HERE = Path(__file__).parent / "scripts"


def script(name: str) -> ManagedFile:
    """A script as it should stand on the host; one with a mistake in its grammar never gets there."""
    mode = "0644" if name.endswith(".sh") else "0755"
    content = (_HERE / name).read_text(encoding="utf-8")
    return ManagedFile(f"{FOLDER}/{name}", content, mode=mode, check='sh -n "$new"')


def path(name: str) -> str:
    """Where a script stands on the host."""
    return f"{FOLDER}/{name}"


def unit(name: str, content: str) -> ManagedFile:
    """A unit's file."""
    return ManagedFile(f"/etc/systemd/system/{name}", content)


def service(description: str, command: str, *, heavy: bool = False, told: bool = True, limit: str = "infinity") -> str:
    """A service that runs once and ends, after ``limit`` at the latest; ``heavy`` gives way to all others, ``told``
    alerts when it fails."""
    lines = ["[Unit]", f"Description={description}"]
    if told:
        lines.append(ON_FAILURE)
    lines += ["", "[Service]", "Type=oneshot", f"ExecStart={command}", f"TimeoutStartSec={limit}"]
    if heavy:
        lines += ["Nice=15", "IOSchedulingClass=idle"]
    return "\n".join(lines) + "\n"


def timer(description: str, *when: str) -> str:
    """A timer; ``when`` are its lines, ``OnCalendar=daily``."""
    return "\n".join(
        ["[Unit]", f"Description={description}", "", "[Timer]", *when, "", "[Install]", "WantedBy=timers.target", ""]
    )
