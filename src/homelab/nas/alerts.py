"""Word of trouble: by mail, to ntfy, to a webhook; kept and sent again until somebody has it."""

from __future__ import annotations

import hashlib

from homelab.files import ManagedFile
from homelab.model.nas import Nas
from homelab.nas.scripts import path, script, service, timer, unit
from homelab.probe import HostProbe, Questions

CONFIG = "/etc/homelab/alerts"
# The hash of the settings with which a test got through.
TESTED = "/var/lib/homelab/alerts/tested"
TEST = f"{path('homelab-alert')} --test"
RETRY = "homelab-alerts.timer"
_SCRIPTS = ("lib.sh", "homelab-alert", "unit-failed")
_UNITS = (
    # Started by a unit that failed; should it fail itself, nothing is started for it.
    unit("homelab-alert@.service", service("Alert for %i", f"{path('unit-failed')} %i", told=False)),
    unit(
        "homelab-alerts.service",
        service("Alerts that did not get through", f"{path('homelab-alert')} --flush", told=False),
    ),
    unit(RETRY, timer("Alerts that did not get through", "OnBootSec=2min", "OnUnitInactiveSec=5min")),
)


def questions() -> Questions:
    return Questions(text=(TESTED,))


def packages() -> tuple[str, ...]:
    # It speaks SMTP as well, so one tool is enough for all three.
    return ("curl", "ca-certificates")


def config(nas: Nas) -> ManagedFile:
    """Where alerts go; a topic of ntfy is as good as a password, so only root may read it."""
    wanted = nas.alerts.model_dump(exclude_none=True)
    return ManagedFile(CONFIG, "".join(f"{key}={value}\n" for key, value in wanted.items()), mode="0600")


def files(nas: Nas) -> tuple[ManagedFile, ...]:
    """The scripts, the settings and the units; also without any alerts, as the journal then has them."""
    return (*(script(name) for name in _SCRIPTS), config(nas), *_UNITS)


def timers() -> tuple[str, ...]:
    return (RETRY,)


def silent(nas: Nas) -> bool:
    """Whether nobody hears of trouble."""
    return not (nas.alerts.mail or nas.alerts.ntfy or nas.alerts.webhook)


def tested(nas: Nas, probe: HostProbe) -> bool:
    """Whether a test got through with these settings already."""
    current = hashlib.sha256(config(nas).content.encode()).hexdigest()
    return silent(nas) or probe.text.get(TESTED, "").strip() == current
