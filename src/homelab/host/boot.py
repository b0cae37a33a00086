"""A Raspberry Pi's kernel arguments: its firmware turns the memory cgroup off, and K3s does not start without."""

from __future__ import annotations

from dataclasses import dataclass

from homelab.model import Host
from homelab.probe import HostProbe

# Raspberry Pi OS since bookworm, and Ubuntu 22.04 and 24.04. /boot/cmdline.txt is a note nowadays ("DO NOT EDIT").
CMDLINE = "/boot/firmware/cmdline.txt"
RUNNING = "/proc/cmdline"
NEEDED = ("cgroup_memory=1", "cgroup_enable=memory")


class BootError(ValueError):
    """The kernel arguments cannot be set safely; the text says why."""


@dataclass(frozen=True)
class Arguments:
    """The line the file should have, and whether the file has it already and only the reboot is missing."""

    line: str
    written: bool


def is_raspberry(probe: HostProbe) -> bool:
    return probe.board.startswith("Raspberry Pi") and probe.container == "none"


def arguments(host: Host, probe: HostProbe) -> Arguments | None:
    """The kernel arguments to set before a reboot; None when none is needed. Raise BootError when that is no help."""
    if not host.role or probe.memory_cgroup or not is_raspberry(probe):
        return None
    if set(NEEDED) <= set(probe.text.get(RUNNING, "").split()):
        raise BootError(f"it was started with {' '.join(NEEDED)} and still has no memory cgroup")
    # The firmware reads the first line only, so a second one would be ignored without a word.
    lines = [line for line in probe.text.get(CMDLINE, "").splitlines() if line.strip()]
    if len(lines) != 1:
        raise BootError(f"{CMDLINE} has {len(lines)} lines instead of one")
    words = lines[0].split()
    added = [word for word in NEEDED if word not in words]
    return Arguments(" ".join([*words, *added]), written=not added)
