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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from homelab.counting import many

VERSION = 1
# What its options can also be given by; with PYINFRA_YES a dry run reports no change at all.
_PYINFRA = "PYINFRA_"
_TOLD = re.compile(r"--> (?:refused|stopped): (.*)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class PlanError(Exception):
    """The hosts could not be asked, or not all of them: one line for each reason."""


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
class Plan:
    """What a deploy would do, in its order. `hosts` are all that were asked, `away` those that are left alone."""

    environment: str
    deploy: str
    hosts: tuple[str, ...]
    changes: tuple[Change, ...]
    away: tuple[str, ...] = ()

    @property
    def pending(self) -> int:
        """How many changes on how many hosts, added up. What is conditional comes only with another change."""
        return sum(len(each.sure) for each in self.changes)

    @property
    def exit_code(self) -> int:
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
    done = subprocess.run(
        [pyinfra, "--dry", "--json", folder.name, f"deploys/{deploy}.py"],
        cwd=folder.parent,
        env={key: value for key, value in kept.items() if not key.startswith(_PYINFRA)} | {"HOMELAB_ENV": environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise PlanError("\n".join(_reasons(done.stderr, done.returncode)))
    return Plan(environment, deploy, tuple(hosts), changes(done.stdout), tuple(away))


def _reasons(said: str, code: int) -> list[str]:
    plain = _COLOUR.sub("", said)
    told = list(dict.fromkeys(_TOLD.findall(plain)))
    if told:
        return told
    last = [line.strip() for line in plain.splitlines() if line.strip()][-3:]
    return [f"pyinfra ended with exit {code}: {' / '.join(last) or 'it said nothing'}; run it by hand with --dry"]


def changes(output: str) -> tuple[Change, ...]:
    """The operations of pyinfra's JSON plan that would change something, in its order.

    Raise PlanError when the text is something else, so that it is never taken for "nothing to do".
    """
    try:
        return tuple(_change(each) for each in json.loads(output)["plan"] if _hosts(each))
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
    }


def as_json(plan: Plan) -> str:
    """The plan as one JSON document."""
    return json.dumps(as_data(plan), indent=2)


def lines(plan: Plan) -> Iterator[str]:
    """The plan in words, host by host."""
    asked = many(len(plan.hosts), "host")
    away = f", {' and '.join(plan.away)} {'is' if len(plan.away) == 1 else 'are'} away" if plan.away else ""
    if not plan.pending:
        # A deploy of a part has looked at that part only.
        found = f"{asked} as described" if plan.deploy == "site" else f"{asked} asked"
        yield f"{plan.environment}: nothing to do in deploys/{plan.deploy}.py; {found}{away}"
        return
    for host in plan.hosts:
        here = [each for each in plan.changes if host in each.sure]
        after = [each for each in plan.changes if host in each.conditional]
        if here or after:
            yield f"{host}: {many(len(here), 'change') if here else 'nothing by itself'}"
        yield from (f"  {each.name}" for each in here)
        yield from (f"  {each.name}  (only if another change brings it)" for each in after)
    changed = {host for each in plan.changes for host in each.sure}
    yield (
        f"{plan.environment}: {many(plan.pending, 'change')} on {len(changed)} of {asked}{away};"
        f" this makes them: HOMELAB_ENV={plan.environment} pyinfra inventory deploys/{plan.deploy}.py"
    )
