"""`.sandbox/report.json`: per part what was real, a stand-in or skipped, why, and the versions."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

State = Literal["real", "stand-in", "skipped", "failed"]


@dataclass
class Part:
    """One part of a run. `seconds` is for the reader; nothing asserts on it."""

    state: State
    reason: str = ""
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)


@dataclass
class Report:
    """What a run did, in the order it did it; written anew after each part, so that a cut run leaves what it saw."""

    path: Path
    parts: dict[str, Part] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def add(self, name: str, part: Part) -> None:
        self.parts[name] = part
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        parts = {name: asdict(part) for name, part in self.parts.items()}
        return (
            json.dumps({"version": 1, "seconds": round(time.monotonic() - self.started), "parts": parts}, indent=2)
            + "\n"
        )

    def missing(self, required: str) -> list[str]:
        """The parts of a comma list that were skipped, failed or never came."""
        names = [name.strip() for name in required.split(",") if name.strip()]
        return [name for name in names if name not in self.parts or self.parts[name].state in ("skipped", "failed")]
