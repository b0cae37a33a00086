"""What must be let go of before a pool is made of its disks: all that they hold, by consent and by nothing else."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass

from homelab.model.problems import Problem
from homelab.storage import consent, disks, guard
from homelab.storage.case import Case


@dataclass(frozen=True)
class Clearing:
    """Shell that clears disks, the consents that it uses up, and what is lost by it, a disk each."""

    script: str
    consents: tuple[str, ...]
    lost: tuple[str, ...]
    problems: tuple[Problem, ...]


def clearing(case: Case, names: Iterable[str], own: Container[str] = ()) -> Clearing:
    """How those of a pool's disks that are not blank are cleared, or why one may not be written to.

    Those that are its `own` already need nobody's consent, but must be as free to write to as the others.
    """
    script, consents, lost, problems = "", [], [], []
    for name in names:
        disk = case.disks[name]
        unfit = list(disks.unfit(case.host, name, disk, case.seen))
        problems += unfit
        if unfit or name in own or (disk.is_blank and not disk.partitions):
            continue
        word, problem = disks.clears(case.host, name, disk, case.consents[name], case.seen, case.used)
        if problem is not None:
            problems.append(problem)
        if word is not None:
            script += guard.cleared(disk, word)
            consents.append(word)
            lost.append(f"/dev/{disk.name} (serial {disk.serial}: {consent.seen(disk)})")
    return Clearing(script, tuple(consents), tuple(lost), tuple(problems))


def absent(case: Case) -> list[Problem]:
    """The disks of a pool that are not there, as what keeps it from being made."""
    remedy = "look at `ls -l /dev/disk/by-id` there, and correct the id or plug it in"
    return [Problem(f"{case.host}.disks.{name}", f"no disk is {case.ids[name]}", remedy) for name in case.absent]
