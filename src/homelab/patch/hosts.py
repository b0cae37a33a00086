"""What a host tells of itself before, between and after the acts of `deploys/playbooks/patch.yml`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from homelab.probe import unit_time

# apt-get -s: Inst bash [5.2.15-2+b8] (5.2.15-2+b13 Debian:12.15/oldstable [amd64]) []
_PACKAGE = re.compile(r"(?P<name>\S+)(?: \[(?P<old>[^\]]*)\])? \((?P<new>\S+)")
# K3s is upgraded by its deploy, node by node and with a snapshot before.
_K3S = re.compile(r"k3s(-\S+)?")


class LookFailed(Exception):
    """A host's answer is not whole, so nothing may be concluded from it."""


@dataclass(frozen=True)
class Package:
    """A package to be upgraded; `old` is "" for one that comes new with another."""

    name: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.name} {self.old} -> {self.new}" if self.old else f"{self.name} {self.new} (new)"


@dataclass(frozen=True)
class Seen:
    """One look at a host.

    `boot` differs after each boot. `reboot` is whether the host asks for one, `because` of which packages.
    `packages` are to be upgraded, `kept` held back by apt, `broken` says why apt cannot. `failed` and `busy` are
    units, `old` those that still run what an upgrade has replaced, asked between the acts alone. `mounts` is what
    is mounted at boot, `unmounted` what was to be and is not, `remote` what it has mounted of others as (source,
    target), `clients` who has mounted something of it. `unit` is the state of its K3s' unit, `queued` whether
    systemd has a job for it, `started` when it did, by the host's own clock. `locked` says that a deploy is running
    there.
    """

    boot: str
    kernel: str = ""
    reboot: bool = False
    because: tuple[str, ...] = ()
    packages: tuple[Package, ...] = ()
    kept: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    system: str = ""
    failed: frozenset[str] = frozenset()
    busy: tuple[str, ...] = ()
    old: tuple[str, ...] = ()
    mounts: frozenset[str] = frozenset()
    unmounted: tuple[str, ...] = ()
    remote: tuple[tuple[str, str], ...] = ()
    clients: tuple[str, ...] = ()
    unit: str = "inactive"
    queued: bool = False
    started: datetime | None = None
    locked: bool = False

    @property
    def pending(self) -> bool:
        """Whether there is anything to do on it."""
        return bool(self.packages) or self.reboot

    @property
    def k3s(self) -> tuple[Package, ...]:
        """Packages that would change K3s itself."""
        return tuple(each for each in self.packages if _K3S.fullmatch(each.name))

    @property
    def reason(self) -> str:
        """Why it is to be rebooted, in words."""
        return ", ".join(self.because) or "/run/reboot-required, which does not say for what"


def parse(said: str) -> Seen:
    """A look from what `look.sh` printed. Raise LookFailed when it is not whole."""
    told: dict[str, list[str]] = {}
    for line in said.splitlines():
        key, tab, value = line.partition("\t")
        if tab:
            told.setdefault(key, []).append(value.strip())

    def one(key: str) -> str:
        return told.get(key, [""])[-1]

    if "end" not in told or not one("boot"):
        raise LookFailed(f"its answer is not whole ({said.strip()[-100:] or 'it said nothing'})")
    packages = []
    for line in told.get("upgrade", ()):
        found = _PACKAGE.match(line)
        if found is None:
            raise LookFailed(f"apt-get names a package in a way not known here ({line[:100]})")
        packages.append(Package(found["name"], found["old"] or "", found["new"]))
    unit = one("unit").split()
    return Seen(
        boot=one("boot"),
        kernel=one("kernel"),
        reboot="reboot" in told,
        because=tuple(told.get("because", ())),
        packages=tuple(packages),
        kept=tuple(told.get("kept", ())),
        broken=tuple(told.get("broken", ())),
        system=one("system"),
        failed=frozenset(told.get("failed", ())),
        busy=tuple(told.get("busy", ())),
        old=tuple(told.get("old", ())),
        mounts=frozenset(told.get("mount", ())),
        unmounted=tuple(told.get("unmounted", ())),
        remote=tuple(
            (source, target) for source, _, target in (each.partition(" ") for each in told.get("remote", ()))
        ),
        clients=tuple(told.get("client", ())),
        unit=unit[0] if unit else "inactive",
        queued=len(unit) > 1 and unit[1] != "0",
        started=unit_time(one("started")),
        locked="locked" in told,
    )


def own_boot() -> str:
    """What `boot` of this machine is, "" where it does not tell, as one without Linux."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # As `look.sh`, by blanks.
        return f"{boot} {Path('/proc/1/stat').read_text(encoding='utf-8', errors='replace').split(' ')[21]}"
    except (OSError, IndexError):
        return ""


def lacks(before: Seen, now: Seen) -> list[str]:
    """What a host that was upgraded or is up again does not have as it had it before; empty when it is whole."""
    missing = []
    if now.boot != before.boot and now.system in ("starting", "initializing"):
        missing.append("it is still starting")
    missing += [f"{path} is not mounted" for path in sorted(before.mounts - now.mounts)]
    missing += [f"{unit} has failed" for unit in sorted(now.failed - before.failed)]
    return missing
