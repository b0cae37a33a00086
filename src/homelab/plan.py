"""What a deploy would change: pyinfra's own dry run, read as data. Nothing is changed by it.

pyinfra runs as a process of its own: it patches the interpreter for gevent, and its signals are its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from homelab.counting import many

VERSION = 1
# What its options can also be given by; with PYINFRA_YES a dry run reports no change at all.
_PYINFRA = "PYINFRA_"
_TOLD = re.compile(r"--> (?:refused|stopped): (.*)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class PlanError(Exception):
    """The hosts could not be asked: one line for each reason."""


@dataclass(frozen=True)
class Change:
    """One operation that would change hosts, by their inventory names.

    `sure` are the hosts where it would; `conditional` those where it would only after another change.
    """

    deploy: str
    name: str
    sure: tuple[str, ...]
    conditional: tuple[str, ...] = ()


@dataclass(frozen=True)
class Warned:
    """What does not stop a deploy, and its owner should know; of these hosts, or of none of them alone."""

    hosts: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Plan:
    """What a deploy would do, in its order. `hosts` are all that were asked, `away` those that are left alone.

    `unknown` are lines that say what could not be found out, and why.
    """

    environment: str
    deploy: str
    hosts: tuple[str, ...]
    changes: tuple[Change, ...]
    away: tuple[str, ...] = ()
    warnings: tuple[Warned, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def pending(self) -> int:
        """How many changes on how many hosts, added up. What is conditional comes only with another change."""
        return sum(len(each.sure) for each in self.changes)

    @property
    def exit_code(self) -> int:
        if self.unknown:
            return 1
        return 2 if self.pending else 0


def read(
    folder: Path,
    deploy: str,
    hosts: Sequence[str],
    environment: str,
    environ: Mapping[str, str] | None = None,
    away: Sequence[str] = (),
) -> Plan:
    """Ask the hosts of the inventory folder `folder` what `deploys/<deploy>.py` would change there.

    `hosts` are the inventory names of all that will be asked, `away` of those that will not.
    Raise PlanError when pyinfra refuses, stops or says something that is not its JSON.
    """
    kept = os.environ if environ is None else environ
    pyinfra = str(Path(sys.executable).with_name("pyinfra"))
    env = {key: value for key, value in kept.items() if not key.startswith(_PYINFRA)} | {"HOMELAB_ENV": environment}
    try:
        done = subprocess.run(
            [pyinfra, "--dry", "--json", folder.name, f"deploys/{deploy}.py"],
            cwd=folder.parent,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise PlanError(f"{pyinfra}: cannot be run ({error.strerror}); install it beside homelab, make setup") from None
    # It also ends with 1 where it tells what it knows, and what it does not.
    if done.returncode not in (0, 1) or not done.stdout.strip():
        raise PlanError("\n".join(_reasons(done.stderr, done.returncode)))
    made = told(done.stdout, Plan(environment, deploy, tuple(hosts), (), tuple(away)))
    if done.returncode and not made.unknown:
        raise PlanError("\n".join(_reasons(done.stderr, done.returncode)))
    return made


def _reasons(said: str, code: int) -> list[str]:
    plain = _COLOUR.sub("", said)
    told = list(dict.fromkeys(_TOLD.findall(plain)))
    if told:
        return told
    last = [line.strip() for line in plain.splitlines() if line.strip()][-3:]
    return [f"pyinfra ended with exit {code}: {' / '.join(last) or 'it said nothing'}; run it by hand with --dry"]


def told(output: str, asked: Plan) -> Plan:
    """What was asked for, with what pyinfra's JSON says: the operations that would change something, in its order.

    Raise PlanError when the text is something else, so that it is never taken for "nothing to do".
    """
    try:
        said = json.loads(output)
        return replace(
            asked,
            changes=tuple(_change(each) for each in said["plan"] if _hosts(each)),
            warnings=tuple(Warned(tuple(each["hosts"]), each["text"]) for each in said["warnings"]),
            unknown=tuple(said["unknown"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise PlanError(
            f"pyinfra's plan cannot be read ({type(error).__name__}: {error}); run it by hand with --dry"
        ) from None


def _hosts(operation: Mapping[str, Any]) -> bool:
    return bool([*operation["hosts_with_change"], *operation["hosts_with_conditional_change"]])


def _change(operation: Mapping[str, Any]) -> Change:
    path, _, name = operation["name"].rpartition(" | ")
    return Change(
        path.rpartition(" | ")[2],
        name,
        tuple(sorted(operation["hosts_with_change"])),
        tuple(sorted(operation["hosts_with_conditional_change"])),
    )


def as_data(plan: Plan) -> dict[str, Any]:
    """The plan as plain data, versioned: keys are only ever added within a version."""
    return {
        "version": VERSION,
        "environment": plan.environment,
        "deploy": plan.deploy,
        "pending": plan.pending,
        "hosts": list(plan.hosts),
        "away": list(plan.away),
        "changes": [
            {
                "deploy": each.deploy,
                "name": each.name,
                "hosts": list(each.sure),
                "conditional_hosts": list(each.conditional),
            }
            for each in plan.changes
        ],
        "warnings": [{"hosts": list(each.hosts), "text": each.text} for each in plan.warnings],
        "unknown": list(plan.unknown),
    }


def as_json(plan: Plan) -> str:
    """The plan as one JSON document."""
    return json.dumps(as_data(plan), indent=2)


def lines(plan: Plan) -> Iterator[str]:
    """The plan in words, host by host."""
    for host in plan.hosts:
        yield from _of_host(plan, host)
    yield from (f"warning: {each.text}" for each in plan.warnings if not each.hosts)
    asked = many(len(plan.hosts), "host")
    away = f", {' and '.join(plan.away)} {'is' if len(plan.away) == 1 else 'are'} away" if plan.away else ""
    changed = len({host for each in plan.changes for host in each.sure})
    if plan.pending:
        least = "at least " if plan.unknown else ""
        command = f"HOMELAB_ENV={plan.environment} pyinfra inventory deploys/{plan.deploy}.py"
        yield (
            f"{plan.environment}: {least}{many(plan.pending, 'change')} on {changed} of {asked}{away};"
            f" this makes them: {command}"
        )
    elif plan.unknown:
        yield f"{plan.environment}: not all of deploys/{plan.deploy}.py could be planned; {asked} asked{away}"
    else:
        # A deploy of a part has looked at that part only.
        found = f"{asked} as described" if plan.deploy == "site" else f"{asked} asked"
        yield f"{plan.environment}: nothing to do in deploys/{plan.deploy}.py; {found}{away}"


def _of_host(plan: Plan, host: str) -> Iterator[str]:
    here = [each for each in plan.changes if host in each.sure]
    after = [each for each in plan.changes if host in each.conditional]
    warned = [each.text for each in plan.warnings if host in each.hosts]
    if here:
        yield f"{host}: {many(len(here), 'change')}"
    elif after or warned:
        yield f"{host}: {'nothing by itself' if after else 'no change'}"
    perhaps = "perhaps, or only if" if plan.unknown else "only if"
    yield from (f"  {each.name}" for each in here)
    yield from (f"  {each.name}  ({perhaps} another change brings it)" for each in after)
    yield from (f"  warning: {text}" for text in warned)
