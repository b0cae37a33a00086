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

    `file` is written before `command` runs. `consents` are used up when the step is done. `key` names the pool whose
    key the command reads from its standard input. A step that is `noop` has none of these; one that is `impossible` is
    in `Plan.problems` too, and nothing is done at all. `poll` is asked after `command`, for `patience` seconds, until
    it says `done`; `run ...` tells how far it is, `failed ...` why not, and `refused ...` also what to do about it.
    """

    kind: Kind
    subject: str
    says: str
    command: str = field(default="", repr=False)
    file: ManagedFile | None = None
    consents: tuple[str, ...] = ()
    timeout: int = 300
    poll: str = field(default="", repr=False)
    patience: int = 0
    key: str = ""


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
