"""The passwords between a UPS's host and those that follow it, decided once for a run."""

from __future__ import annotations

import secrets

from homelab.model import Host
from homelab.nas import ups
from homelab.nas.ups import Passwords
from homelab.operations.survey import Survey


def passwords(site: Survey, nas: Host) -> Passwords | None:
    """What the hosts have already, else new ones; None where the NAS is not in this run and no other host knows.

    A new one is only made in a run that reaches the NAS, or the two would have different ones.
    """
    found: Passwords | None = site.once(f"passwords of the UPS of {nas.name}", lambda: _passwords(site, nas))
    return found


def _passwords(site: Survey, nas: Host) -> Passwords | None:
    primary, node = ups.known(site.home, nas, site.probes)
    if nas.name not in site.probes:
        return Passwords(primary, node) if node else None
    return Passwords(primary or secrets.token_urlsafe(24), node or secrets.token_urlsafe(24))
