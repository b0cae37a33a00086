"""`homelab play`: any playbook over the home's hosts, and what it did as a report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from rich.table import Table

from homelab.ansible import inventory as inventories
from homelab.ansible.events import Event, tally
from homelab.ansible.runner import Ansible, AnsibleError
from homelab.model import Home, Host
from homelab.progress import say

VERSION = 1


class PlayError(Exception):
    """A playbook cannot be run: one line for each reason."""


@dataclass(frozen=True)
class Played:
    """A playbook's run. `said` is what ansible-playbook itself had to say of errors, `rc` its exit code."""

    environment: str
    playbook: str
    away: tuple[str, ...]
    events: tuple[Event, ...]
    rc: int
    said: str = ""

    @property
    def results(self) -> tuple[Event, ...]:
        """What happened on hosts, in the order in which it did."""
        return tuple(event for event in self.events if event.host)

    @property
    def exit_code(self) -> int:
        return 0 if self.rc == 0 and self.results else 1


def run(
    folder: Path, home: Home, playbook: Path, *, limit: Sequence[str] = (), password: SecretStr | None = None
) -> Played:
    """Run a playbook over the hosts of a home, or of it those that `limit` names; progress goes to stderr.

    Raise PlayError when it cannot be run.
    """
    wanted = chosen(home, limit)
    hosts = [host for host in wanted if not host.away]
    away = tuple(host.name for host in wanted if host.away)
    problems = [str(each) for each in inventories.problems(hosts)]
    if not hosts:
        problems.append(f"{', '.join(away)}: marked away: True; nothing is left to do")
    if problems:
        raise PlayError("\n".join(problems))
    for name in away:
        say(f"{name}: away, left alone")
    # All of them, so that a play may ask for the variables and groups of others as with Ansible's own --limit.
    there = [host for host in home.hosts if not host.away]
    part = hosts if len(hosts) < len(there) else None
    ansible = Ansible(inventories.inventory(there, folder.parent, part=part), password, own=False)
    try:
        done = ansible.run(playbook, limit=inventories.PART if part else None, told=_tell)
    except AnsibleError as error:
        raise PlayError(str(error)) from None
    return Played(home.environment, str(playbook), away, done.events, done.rc, done.said)


def chosen(home: Home, limit: Sequence[str]) -> list[Host]:
    """The hosts that are named, by themselves or by their group, in the home's order; all without a name.

    A name that is a host's and a group's is the host's: fewer than meant is mended by another run.
    Raise PlayError for each that is neither.
    """
    names = [name for each in limit for name in each.split(",")]
    found: set[str] = set()
    unknown = []
    for name in names:
        here = [host.name for host in home.hosts if host.name == name]
        here = here or [host.name for host in home.hosts if name in inventories.groups_of(host)]
        found.update(here)
        if not here:
            unknown.append(name)
    if unknown:
        known = ", ".join(host.name for host in home.hosts)
        raise PlayError(
            "\n".join(
                f"--limit {name or 'with an empty name'}: no such host or group; there are {known}" for name in unknown
            )
        )
    return [host for host in home.hosts if host.name in found or not names]


def outcome(event: Event) -> str:
    """What became of a task on a host: ok, changed, skipped, failed, ignored or unreachable."""
    if event.ignored:
        return "ignored"
    return "changed" if event.changed else event.kind


def _tell(event: Event) -> None:
    if event.kind == "play":
        say(event.play)
    elif event.host and event.kind != "skipped":
        say(f"{event.host}: {event.task}: {outcome(event)}{f': {event.error}' if event.error else ''}")


def as_data(played: Played) -> dict[str, Any]:
    """The run as plain data, versioned: keys are only ever added within a version."""
    return {
        "version": VERSION,
        "environment": played.environment,
        "playbook": played.playbook,
        "exit_code": played.exit_code,
        "errors": played.said.splitlines(),
        "away": list(played.away),
        "hosts": {name: {**vars(each), "well": each.well} for name, each in tally(played.results).items()},
        "results": [
            {"play": each.play, "task": each.task, "host": each.host, "outcome": outcome(each), "error": each.error}
            for each in played.results
        ],
    }


def as_json(played: Played) -> str:
    """The run as one JSON document."""
    return json.dumps(as_data(played), indent=2)


def lines(played: Played) -> Iterator[str]:
    """The run task by task: what became of it where, and why it failed."""
    play = None
    tasks: dict[tuple[str, str], list[Event]] = {}
    for each in played.results:
        tasks.setdefault((each.play, each.task), []).append(each)
    for (of, task), events in tasks.items():
        if of != play:
            yield of
            play = of
        kinds = dict.fromkeys(map(outcome, events))
        listed = [f"{kind} {', '.join(each.host for each in events if outcome(each) == kind)}" for kind in kinds]
        yield f"  {task}: {'; '.join(listed)}"
        yield from (f"    {each.host}: {each.error}" for each in events if each.error)
    if not played.results:
        said = played.said.splitlines()
        yield from (
            f"nothing was done: {line}" for line in said or ["no host of the inventory is meant by its `hosts:`"]
        )


def table(played: Played) -> Table:
    """The hosts, and how many tasks ended how."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    columns = ("ok", "changed", "skipped", "failed", "ignored", "unreachable")
    made.add_column("HOST")
    for column in columns:
        made.add_column(column.upper(), justify="right")
    for host, fared in tally(played.results).items():
        made.add_row(host, *(str(getattr(fared, column)) for column in columns))
    return made
