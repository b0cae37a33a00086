"""The replacement of a disk, decided once a run: where, in which steps, or refused with all that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pyinfra import logger, state
from pyinfra.api.command import StringCommand

from homelab import probe, storage
from homelab.model import Host, Problem
from homelab.operations import storage as consents
from homelab.operations.survey import Survey
from homelab.probe import HostProbe
from homelab.pyinfra_compat import Refusal
from homelab.storage import asking, replace
from homelab.storage.replace import Replacement


@dataclass(frozen=True)
class Task:
    """What is to be done, and the name of the host."""

    host: str
    replacement: Replacement


def task(site: Survey, given: Mapping[str, str]) -> Task:
    """The replacement that was asked for; raise Refusal with every reason why it cannot be."""
    found: Task = site.once("replace_disk", lambda: _task(site, given))
    return found


def _task(site: Survey, given: Mapping[str, str]) -> Task:
    keepers = [host for host in site.home.nas if host.name in site.probes and host.storage is not None]
    named = [host for host in keepers if host.storage and given["disk"] in host.storage.disks]
    if len(named) > 1:
        both = " and ".join(host.name for host in named)
        raise Refusal([f"--data disk={given['disk']}: is a disk of {both}; say which with --limit"])
    if not keepers:
        raise Refusal(["no NAS is among the chosen hosts; leave --limit out, or name one"])
    host = (named or keepers)[0]
    assert host.storage is not None
    wish, problems = replace.wish(host.storage, given)
    if wish is None:
        raise Refusal(f"--data {problem}" for problem in problems)
    answered = _look(host, wish.new)
    try:
        seen = storage.parse(answered.output.get(storage.probe.NAME, ""))
    except storage.Unclear as error:
        remedy = "run the same command again, and report it if that does not help"
        raise Refusal([Problem(host.name, f"its disks cannot be made out: {error}", remedy)]) from error
    used, environment = consents.used(), site.home.environment
    made = replace.plan(host.name, host.storage, seen, answered, wish, used, environment=environment)
    if made.problems:
        raise Refusal(dict.fromkeys(str(problem) for problem in made.problems))
    for warning in made.warnings:
        logger.warning(f"    {warning}")
    return Task(host.name, made)


def _look(host: Host, new: str) -> HostProbe:
    """The host's disks, and the new one, which no pool lists."""
    assert host.storage is not None
    theirs = next(each for each in state.inventory if each.name == host.inventory_name)
    asked = datetime.now(UTC)
    script = probe.script(asking.questions(host.storage, (new,)))
    ok, output = theirs.run_shell_command(StringCommand(script), _sudo=True, _timeout=600)
    try:
        if not ok:
            raise probe.ProbeError(" ".join(output.stderr_lines[-3:]) or "the probe failed")
        return probe.parse(output.stdout_lines, datetime.now(UTC), asked)
    except probe.ProbeError as error:
        raise Refusal([f"{host.name}: {error}; log in there by hand and look why"]) from error
