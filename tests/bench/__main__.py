"""`make bench`: `python -m tests.bench [PART ...] [--size MIB] [--rounds N] [--store NAME]`.

Measures the hosts of the inventory that HOMELAB_ENV names, `sandbox` unless it says otherwise, and only simulated ones.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from homelab.model import InventoryError

from . import baseline, deploy, health, nas
from .figures import Measured, judge, ratios
from .remote import Absent, Bench, Broken
from .table import table


@dataclass(frozen=True)
class Part:
    """What can be measured by itself, and asked for by its name."""

    name: str
    says: str
    measure: Callable[[Bench], Measured]


# What else has a budget gets a file here, with a `measure`, and its line.
PARTS = (
    Part("nas", "files on the pools, over NFS and over SMB", nas.measure),
    Part("deploy", "a deploy that has nothing to do, beside ansible-playbook", deploy.measure),
    Part("health", "a check of a cluster, beside other clients of its API", health.measure),
)


def main(arguments: Sequence[str]) -> int:
    """0 unless something broke, or a part that was asked for by name could not be measured.

    A regression is told and leaves it at 0: whether it is one is for a person to say.
    """
    given = _given(arguments)
    os.environ.setdefault("HOMELAB_ENV", "sandbox")
    # It reads the inventory of that name.
    from tests.hosts import inventory

    try:
        home = inventory.home()
    except InventoryError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    code = 0
    with tempfile.TemporaryDirectory(prefix="homelab-") as folder:
        file = Path(folder) / "ssh_config"
        file.write_text(inventory.ssh_config(Path(folder)), encoding="utf-8")
        bench = Bench(home, file, given.size, given.rounds)
        for part in PARTS:
            if given.parts and part.name not in given.parts:
                continue
            try:
                print("\n".join(told(part, part.measure(bench), given.store)), flush=True)  # noqa: T201
            except Absent as why:
                print(f"{part.name}: skipped: {why}", flush=True)  # noqa: T201
                code = code or int(part.name in given.parts)
            except (Broken, baseline.Unreadable, subprocess.TimeoutExpired) as error:
                print(f"{part.name}: failed: {error}", flush=True)  # noqa: T201
                code = 1
    return code


def told(part: Part, measured: Measured, store: str = "", folder: Path = baseline.FOLDER) -> list[str]:
    """What a part's figures say, line by line; kept as the baseline called `store`, if that is given."""
    before = baseline.fitting(measured.machine, folder)
    verdicts = judge(measured.figures, before.parts.get(part.name, {}) if before is not None else {})
    against = f"baseline {before.name}, {before.machine}" if before is not None else "no baseline of a machine like it"
    lines = [f"{part.name}: {part.says}", f"on {measured.machine}; {against}", "", table(verdicts), ""]
    lines += [f"  {remark}" for remark in measured.remarks]
    worse = [each for each in verdicts if each.problems]
    lines += [f"{part.name}: {len(worse)} of {len(verdicts)} figures worse than they should be" if worse else ""]
    if store:
        kept = baseline.Baseline(store, measured.machine, {part.name: ratios(verdicts)})
        lines.append(f"{part.name}: kept as the baseline {baseline.write(kept, folder).stem}")
    return [*lines, ""]


def _given(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="How fast it is, as ratios of one run.")
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=", ".join(f"{each.name}: {each.says}" for each in PARTS)
    )
    parser.add_argument("--size", type=int, default=64, metavar="MIB", help="how much is written and read at a time")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often each is measured")
    parser.add_argument("--store", default="", metavar="NAME", help="keep the ratios as the baseline of that name")
    given = parser.parse_args(arguments)
    known = [each.name for each in PARTS]
    if wrong := [each for each in given.parts if each not in known]:
        parser.error(f"{', '.join(wrong)}: no such part; there are {', '.join(known)}")
    if given.size < 1 or given.rounds < 1:
        parser.error("--size and --rounds: write 1 or more")
    if given.store and not re.fullmatch(r"[a-z][a-z0-9-]*", given.store):
        parser.error(f"--store {given.store}: write small letters, digits and hyphens, a letter first")
    return given


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
