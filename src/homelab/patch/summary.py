"""What became of each host in a run."""

from __future__ import annotations

from dataclasses import dataclass

from homelab.model import Host
from homelab.patch.hosts import Package


@dataclass(frozen=True)
class Result:
    """What became of a host. `outcome` is patched, finished, up to date, stopped, untouched or away; of a dry run to
    patch, to finish, up to date, unknown or away.

    `reboot` is whether it asked for one when the run began, `because` of which packages; `notes` what else there is to
    know of it.
    """

    host: Host
    outcome: str
    packages: tuple[Package, ...] = ()
    kept: tuple[str, ...] = ()
    rebooted: bool = False
    reboot: bool = False
    because: tuple[str, ...] = ()
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """A run, hosts in their order. `stopped` has the lines that say why it did not come to its end."""

    environment: str
    results: tuple[Result, ...]
    stopped: tuple[str, ...] = ()
    dry_run: bool = False
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        return 1 if self.stopped else 0
