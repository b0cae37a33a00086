"""What a plan is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from homelab.files import ManagedFile
from homelab.model.problems import Problem
from homelab.storage.records import Record

Kind = Literal["noop", "config", "additive", "reshape", "destructive", "impossible"]


@dataclass(frozen=True)
class Step:
    """One thing to do, or to leave: what it is about, a sentence for a dry run, and how.

    `file` is written before `command` runs. `consents` are used up when the step is done. A step that is `noop` has
    neither; one that is `impossible` is in `Plan.problems` too, and nothing is done at all.
    """

    kind: Kind
    subject: str
    says: str
    command: str = field(default="", repr=False)
    file: ManagedFile | None = None
    consents: tuple[str, ...] = ()
    timeout: int = 300


@dataclass(frozen=True)
class Plan:
    """All that is to be done for a host's storage, in order; nothing of it while there are `problems`.

    `steps` make, start and mount the pools; `volumes` come after the users that own them.
    """

    steps: tuple[Step, ...] = ()
    volumes: tuple[Step, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    pools: Mapping[str, Record] = field(default_factory=dict)

    @property
    def changes(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps + self.volumes if step.kind != "noop")
