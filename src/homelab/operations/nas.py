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
from homelab.model import Host, Problem
from homelab.operations import storage as consents
from homelab.operations import users
from homelab.operations.survey import Survey
from homelab.pyinfra_compat import Refusal
from homelab.settings import SecretError, resolve_secret


@dataclass(frozen=True)
class Prepared:
    """A NAS's storage plan, and the secrets of its users and backups by their names."""

    storage: storage.Plan
    passwords: Mapping[str, SecretStr] = field(default_factory=dict)
    repositories: Mapping[str, SecretStr] = field(default_factory=dict)

    @property
    def revealed(self) -> dict[str, str]:
        """The backups' passwords in clear, for the files that hold them."""
        return {name: secret.get_secret_value() for name, secret in self.repositories.items()}


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
        plan = storage.Plan()
        if host.storage.pools:
            try:
                seen = storage.parse(probe.output.get(storage.probe.NAME, ""))
            except storage.Unclear as error:
                remedy = "run the same command again, and report it if that does not help"
                problems.append(Problem(host.name, f"its disks cannot be made out: {error}", remedy))
                continue
            plan = storage.plan(host.name, host.storage, seen, probe, used, lambda: str(uuid.uuid4()))
        passwords, unread = users.passwords(host)
        repositories, unopened = _repositories(host)
        problems += [*plan.problems, *nas_room.problems(site.home, host, probe), *unread, *unopened]
        warnings += [*plan.warnings, *nas_room.warnings(site.home, host, probe)]
        made[host.name] = Prepared(plan, passwords, repositories)
    if problems:
        raise Refusal(dict.fromkeys(str(problem) for problem in problems))
    for warning in warnings:
        logger.warning(f"    {warning}")
    return made


def _repositories(host: Host) -> tuple[Mapping[str, SecretStr], list[Problem]]:
    found, problems = {}, []
    for name, backup in host.storage.backups.items() if host.storage else ():
        try:
            found[name] = resolve_secret(backup.password, base=Path.cwd())
        except SecretError as error:
            where, _, rest = str(error).partition(": ")
            what, _, remedy = rest.partition("; ")
            problems.append(Problem(f"{host.name}: backups.{name}.password: {where}", what, remedy))
    return found, problems
