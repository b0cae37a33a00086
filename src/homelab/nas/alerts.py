"""Word of trouble: by mail, to ntfy, to a webhook; kept and sent again until somebody has it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from homelab.files import ManagedFile
from homelab.model.nas import Nas
from homelab.model.secret import SecretRef
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


def secrets(nas: Nas) -> dict[str, SecretRef]:
    """References to what the settings need in clear, by the settings' names."""
    found = {"smtp_password": nas.alerts.smtp_password, "ntfy_token": nas.alerts.ntfy_token}
    return {key: reference for key, reference in found.items() if reference is not None}


def config(nas: Nas, revealed: Mapping[str, str]) -> ManagedFile:
    """Where alerts go; a topic of ntfy is as good as a password, so only root may read it.

    `revealed` has the secrets in clear, as `alerts.smtp_password`; without them the file is good for its path alone.
    """
    wanted = {key: str(value) for key, value in nas.alerts.model_dump(exclude_none=True).items()}
    wanted |= {key: revealed.get(f"alerts.{key}", "") for key in secrets(nas)}
    return ManagedFile(CONFIG, "".join(f"{key}={value}\n" for key, value in wanted.items()), mode="0600")


def files(nas: Nas, revealed: Mapping[str, str]) -> tuple[ManagedFile, ...]:
    """The scripts, the settings and the units; also without any alerts, as the journal then has them."""
    return (*(script(name) for name in _SCRIPTS), config(nas, revealed), *_UNITS)


def timers() -> tuple[str, ...]:
    return (RETRY,)


def silent(nas: Nas) -> bool:
    """Whether nobody hears of trouble."""
    return not (nas.alerts.mail or nas.alerts.ntfy or nas.alerts.webhook)


def tested(nas: Nas, probe: HostProbe, revealed: Mapping[str, str]) -> bool:
    """Whether a test got through with these settings already."""
    current = hashlib.sha256(config(nas, revealed).content.encode()).hexdigest()
    return silent(nas) or probe.text.get(TESTED, "").strip() == current
