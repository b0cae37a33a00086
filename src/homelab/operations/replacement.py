"""The replacement of a disk, decided once a run: where, in which steps, or refused with all that is wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pyinfra import logger, state
from pyinfra.api.command import StringCommand

from homelab import probe, storage
from homelab.files import ManagedFile
from homelab.model import Host, Problem
from homelab.model.nas import Nas
from homelab.nas import scripts, snapraid
from homelab.operations import storage as consents
from homelab.operations.survey import Survey
from homelab.probe import HostProbe, Questions
from homelab.pyinfra_compat import Refusal
from homelab.storage import Step, asking, branches, replace, replace_snapraid
from homelab.storage.replace import Replacement
from homelab.storage.situation import Wish


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
    answered = _look(host, wish)
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
    first = tuple(_laid(_jobs(host.storage, wish.disk), answered))
    return Task(host.name, dataclasses.replace(made, steps=(*first, *made.steps)))


def _jobs(nas: Nas, disk: str) -> tuple[ManagedFile, ...]:
    """What restores a disk of snapraid: with one that is dead no deploy could bring the host's own up to date."""
    pool = replace.pool_of(nas, disk)
    mine = {name: each for name, each in snapraid.pools(nas).items() if name == pool}
    alone = nas.model_copy(update={"pools": mine})
    return (scripts.script("lib.sh"), branches.SCRIPT, *snapraid.files(alone)) if mine else ()


def _laid(wanted: tuple[ManagedFile, ...], probe: HostProbe) -> Iterator[Step]:
    for file in wanted:
        if not file.stands(probe.files.get(file.path)):
            yield Step("config", "scripts", f"write {file.path}", "systemctl daemon-reload\n", file)


def _look(host: Host, wish: Wish) -> HostProbe:
    """The host's disks, and the new one, which no pool lists."""
    assert host.storage is not None
    theirs = next(each for each in state.inventory if each.name == host.inventory_name)
    asked = datetime.now(UTC)
    pool = replace.pool_of(host.storage, wish.disk) or ""
    more = Questions(
        paths=tuple(file.path for file in _jobs(host.storage, wish.disk)), text=(replace_snapraid.status(pool),)
    )
    script = probe.script(asking.questions(host.storage, (wish.new,)) | more)
    ok, output = theirs.run_shell_command(StringCommand(script), _sudo=True, _timeout=600)
    try:
        if not ok:
            raise probe.ProbeError(" ".join(output.stderr_lines[-3:]) or "the probe failed")
        return probe.parse(output.stdout_lines, datetime.now(UTC), asked)
    except probe.ProbeError as error:
        raise Refusal([f"{host.name}: {error}; log in there by hand and look why"]) from error
