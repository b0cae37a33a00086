"""Baselines: the ratios of an earlier run, with the kind of machine that they are of; no name or path of one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "baselines"


class Unreadable(Exception):
    """A baseline's file is none; the message says what is wrong with it and what to do."""


@dataclass(frozen=True)
class Machine:
    """What decides about ratios: where the measured host runs (`kvm`, `qemu` for emulation, `none` for hardware), its
    processor and system. Memory in MiB.
    """

    virtual: str
    architecture: str
    processors: int
    memory: int
    system: str
    kernel: str

    def like(self, other: Machine) -> bool:
        """Whether figures of the one can be held against the other: versions may differ, what it runs on may not."""
        return (self.virtual, self.architecture, self.processors) == (
            other.virtual,
            other.architecture,
            other.processors,
        )

    def __str__(self) -> str:
        where = {"none": "hardware", "qemu": "an emulated machine (qemu)"}.get(
            self.virtual, f"a {self.virtual} machine"
        )
        return (
            f"{where}, {self.processors} × {self.architecture}, {self.memory} MiB, {self.system}, kernel {self.kernel}"
        )


@dataclass(frozen=True)
class Baseline:
    """The ratios of a run, by part and figure."""

    name: str
    machine: Machine
    parts: Mapping[str, Mapping[str, float]]


def read(path: Path) -> Baseline:
    """A baseline's file. Raise Unreadable with what is wrong with it, one line."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        if said["version"] != 1:
            raise ValueError(f"version {said['version']!r} is not 1")
        parts = {part: {name: float(ratio) for name, ratio in found.items()} for part, found in said["parts"].items()}
        return Baseline(path.stem, Machine(**said["machine"]), parts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable(
            f"{path.name}: is no baseline ({error}); remove it, and run with --store {path.stem}"
        ) from error


def fitting(machine: Machine, folder: Path = FOLDER) -> Baseline | None:
    """The baseline of a machine like this one, the first by name; raise Unreadable when one cannot be read."""
    found = [read(path) for path in sorted(folder.glob("*.json"))]
    return next((each for each in found if each.machine.like(machine)), None)


def write(baseline: Baseline, folder: Path = FOLDER) -> Path:
    """Keep a baseline; parts that this run did not measure stay as an earlier one left them, on a machine like it."""
    path = folder / f"{baseline.name}.json"
    parts = dict(baseline.parts)
    if path.exists():
        older = read(path)
        if older.machine.like(baseline.machine):
            parts = {**older.parts, **parts}
    said = {"version": 1, "machine": asdict(baseline.machine), "parts": parts}
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(said, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
