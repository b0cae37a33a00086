"""Who keeps a host's clock, and how far off it is."""

from __future__ import annotations

from datetime import timedelta

from homelab.files import ManagedFile
from homelab.model import Home
from homelab.probe import HostProbe

PACKAGE = "systemd-timesyncd"
UNIT = "systemd-timesyncd.service"
DROPIN = "/etc/systemd/timesyncd.conf.d/90-homelab.conf"
# Debian lets one of these stand at a time: installing another removes the first.
OTHER_PACKAGES = ("chrony", "ntpsec", "openntpd", "ntp")
OTHER_UNITS = ("chrony.service", "ntpsec.service", "openntpd.service", "ntp.service")
# Certificates and etcd leases stand a few seconds, tokens and logs do not stand minutes.
TOLERANCE = timedelta(seconds=30)


def keeper(probe: HostProbe) -> str | None:
    """The other time daemon that this host has, which is left to whoever set it up."""
    for unit in OTHER_UNITS:
        if probe.unit(unit).active == "active":
            return unit
    for package, unit in zip(OTHER_PACKAGES, OTHER_UNITS, strict=True):
        if package in probe.packages:
            return unit
    return None


def needs_timesyncd(probe: HostProbe) -> bool:
    """Whether timesyncd should keep this clock: a container's is its machine's, and there may be another daemon."""
    return probe.container == "none" and keeper(probe) is None


def timesyncd(home: Home) -> ManagedFile | None:
    """timesyncd's drop-in, when the inventory names time servers."""
    if not home.base.ntp_servers:
        return None
    return ManagedFile(DROPIN, f"[Time]\nNTP={' '.join(home.base.ntp_servers)}\n")


def is_off(probe: HostProbe) -> bool:
    return probe.clock_offset is not None and abs(probe.clock_offset) > TOLERANCE


def offset(probe: HostProbe) -> str:
    """How far the clock is off, as a sentence has it: `3 days, 0:00:05 behind`."""
    off = probe.clock_offset or timedelta()
    return f"{timedelta(seconds=round(abs(off).total_seconds()))} {'ahead' if off > timedelta() else 'behind'}"
