"""What a run is to do for each NAS, decided once for all of them, or refused with everything that is wrong."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr
from pyinfra import logger

from homelab import nas as nas_room
from homelab import storage
from homelab.model import Problem
from homelab.model.nas import Nas
from homelab.nas import alerts, tuning
from homelab.operations import luks as luks_keys
from homelab.operations import storage as consents
from homelab.operations import users
from homelab.operations.survey import Survey
from homelab.pyinfra_compat import Refusal
from homelab.settings import SecretError, resolve_secret, unreadable


@dataclass(frozen=True)
class Prepared:
    """A NAS's storage plan, what tunes its disks, the secrets of its users by their names, and what its files hold.

    `secrets` are the backups' by their names and the alerts' as `alerts.smtp_password`; `keys`
    open its encrypted pools, by the pools' names.
    """

    storage: storage.Plan
    tuning: tuple[tuning.Setting, ...] = ()
    passwords: Mapping[str, SecretStr] = field(default_factory=dict)
    secrets: Mapping[str, SecretStr] = field(default_factory=dict)
    keys: Mapping[str, SecretStr] = field(default_factory=dict)

    @property
    def revealed(self) -> dict[str, str]:
        """The secrets in clear, for the files that hold them."""
        return {name: secret.get_secret_value() for name, secret in self.secrets.items()}


def prepared(site: Survey) -> Mapping[str, Prepared]:
    """What to do for each NAS of this run, by name; raise Refusal with every problem of every one."""
    found: Mapping[str, Prepared] = site.once("nas", lambda: _prepare(site))
    return found


def _prepare(site: Survey) -> Mapping[str, Prepared]:
    made: dict[str, Prepared] = {}
    problems: list[object] = []
    warnings: list[object] = []
    used = consents.used()
    for host in site.home.nas:
        if host.name not in site.probes or host.storage is None:
            continue
        probe = site.probes[host.name]
        plan, tuned = storage.Plan(), tuple[tuning.Setting, ...]()
        keys, unlocked = luks_keys.keys(host)
        if host.storage.pools:
            try:
                seen = storage.parse(probe.output.get(storage.probe.NAME, ""))
            except storage.Unclear as error:
                remedy = "run the same command again, and report it if that does not help"
                problems.append(Problem(host.name, f"its disks cannot be made out: {error}", remedy))
                continue
            hashed, environment = luks_keys.hashed(keys), site.home.environment
            plan = storage.plan(host.name, host.storage, seen, probe, used, _uuid, hashed, environment=environment)
            tuned = tuning.settings(host.storage, seen, plan.pools, probe)
            warnings += tuning.unset(host, tuned, tuning.sysctls(host.storage, probe), probe)
        passwords, unread = users.passwords(host)
        secrets, unopened = _secrets(host.name, host.storage)
        problems += [*plan.problems, *nas_room.problems(site.home, host, probe), *unread, *unopened, *unlocked]
        warnings += [*plan.warnings, *nas_room.warnings(site.home, host, probe)]
        made[host.name] = Prepared(plan, tuned, passwords, secrets, keys)
    if problems:
        raise Refusal(dict.fromkeys(str(problem) for problem in problems))
    for warning in warnings:
        logger.warning(f"    {warning}")
    return made


def _uuid() -> str:
    return str(uuid.uuid4())


def _secrets(host: str, nas: Nas) -> tuple[Mapping[str, SecretStr], list[Problem]]:
    references = {name: (f"backups.{name}.password", backup.password) for name, backup in nas.backups.items()}
    for key, reference in alerts.secrets(nas).items():
        references[f"alerts.{key}"] = (f"alerts.{key}", reference)
    found, problems = {}, []
    for name, (place, reference) in references.items():
        try:
            found[name] = resolve_secret(reference, base=Path.cwd())
        except SecretError as error:
            problems.append(unreadable(f"{host}: {place}", reference, error))
    return found, problems
