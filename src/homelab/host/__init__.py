"""A machine of the home, pure: what it is asked, why it may be refused, and how it should be."""

from __future__ import annotations

from homelab.host import boot, clock, firewall, kernel, names, packages, sshd, upgrades
from homelab.host.checks import refusals, warnings
from homelab.model import Home, Host
from homelab.probe import Questions

__all__ = ["LOCALTIME", "TIMEZONE", "questions", "refusals", "warnings"]

LOCALTIME = "/etc/localtime"
# Debian 12 and Ubuntu keep the zone's name here as well.
TIMEZONE = "/etc/timezone"


def questions(home: Home, host: Host) -> Questions:
    """What the base deploy asks of a host."""
    return Questions(
        paths=(
            names.HOSTNAME,
            names.HOSTS,
            LOCALTIME,
            TIMEZONE,
            clock.DROPIN,
            kernel.MODULES,
            kernel.SYSCTLS,
            upgrades.PATH,
            sshd.DROPIN,
            firewall.RULES,
            firewall.UNIT_FILE.path,
        ),
        units=(
            clock.UNIT,
            *clock.OTHER_UNITS,
            *upgrades.TIMERS,
            *sshd.UNITS,
            firewall.UNIT,
            *firewall.OTHERS,
        ),
        packages=packages.candidates(home),
        sysctls=kernel.questions(home, host),
        modules=kernel.modules(host),
        text=(
            names.HOSTNAME,
            names.HOSTS,
            TIMEZONE,
            boot.CMDLINE,
            boot.RUNNING,
            packages.APPARMOR_ENABLED,
            sshd.CONFIG,
            firewall.RULES,
            firewall.LOADED,
            firewall.UFW_CONF,
        ),
    )
