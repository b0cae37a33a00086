"""What a playbook did, as data: one event for each play and each task on a host, from what ansible-runner tells."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["play", "ok", "skipped", "failed", "unreachable", "end"]

_HOST: Mapping[str, Kind] = {
    "runner_on_ok": "ok",
    "runner_on_skipped": "skipped",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
}
# Of what a task printed so much is passed on.
_LONGEST = 1 << 20
# What Ansible puts before the reason, in this order.
_PREFIXES = ("Task failed: ", "Action failed: ")
_ERROR, _ORIGIN = "[ERROR]: ", "Origin: "
_SSH = "Failed to connect to the host via ssh: "


@dataclass(frozen=True)
class Event:
    """One thing that happened. `said` is what the task printed, `error` why it failed, in one line.

    Of the last event, "end", `rc` is ansible-playbook's exit code and `said` its own words, where it had any; `late`
    tells that it was ended since its time was over.
    """

    kind: Kind
    host: str = ""
    play: str = ""
    task: str = ""
    changed: bool = False
    ignored: bool = False
    late: bool = False
    rc: int | None = None
    said: str = ""
    error: str = ""

    def as_line(self) -> str:
        return json.dumps({key: value for key, value in vars(self).items() if value not in ("", False, None)})

    @classmethod
    def of_line(cls, line: str) -> Event | None:
        """The event of a line that `as_line` wrote; None of anything else."""
        try:
            told = json.loads(line)
            return cls(**told) if isinstance(told, dict) else None
        except (ValueError, TypeError):
            return None


def parse(raw: Mapping[str, Any]) -> Event | None:
    """The event of one that ansible-runner tells; None of those that nobody asks for."""
    name, data = str(raw.get("event", "")), raw.get("event_data") or {}
    play, task = str(data.get("play", "")), str(data.get("task", ""))
    if name == "playbook_on_play_start":
        return Event("play", play=play)
    kind = _HOST.get(name)
    if kind is None:
        return None
    result = data.get("res")
    result = result if isinstance(result, dict) else {}
    rc = result.get("rc")
    return Event(
        kind,
        host=str(data.get("host", "")),
        play=play,
        task=task,
        changed=kind == "ok" and bool(result.get("changed")),
        ignored=kind == "failed" and bool(data.get("ignore_errors")),
        rc=rc if isinstance(rc, int) else None,
        said=_text(result.get("stdout")),
        error=why(result) if kind in ("failed", "unreachable") else "",
    )


def why(result: Mapping[str, Any]) -> str:
    """Why a task failed, in one line: the module's word, and what the command said last of errors."""
    if result.get("censored"):
        return "what it said is not shown (no_log)"
    told = _text(result.get("msg") or result.get("reason"))
    if _SSH in told:
        return _why_not_reached(told)
    message = " ".join(told.split())
    for prefix in _PREFIXES:
        message = message.removeprefix(prefix)
    said = _text(result.get("stderr") or result.get("module_stderr")) + "\n" + _text(result.get("stdout"))
    errors = said_of_errors(said)
    if message in ("", "non-zero return code", "MODULE FAILURE") or message.startswith("MODULE FAILURE"):
        return errors or message or "it did not say why"
    return f"{message}: {errors}" if errors and errors not in message and len(message) < 80 else message[:600]


def _why_not_reached(told: str) -> str:
    """ssh's last line, its verdict; before it there may be warnings, and a screenful about a changed host key."""
    lines = told.partition(_SSH)[2].split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "ssh did not say why")
    changed = " (it has another host key than before)" if "IDENTIFICATION HAS CHANGED" in told else ""
    return last.removeprefix("ssh: ") + changed


def said_of_errors(said: str) -> str:
    """The lines of a command's output that tell of errors as apt and dpkg begin them, else the last one."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E: ", "dpkg: error"))]
    return " / ".join(dict.fromkeys(errors[:3] or lines[-1:]))[:400]


def own_errors(output: str) -> str:
    """What ansible-playbook says of errors itself, a line each, with the place in a file where it tells one."""
    told: list[str] = []
    for line in map(str.strip, output.splitlines()):
        if line.startswith(_ERROR):
            told.append(line.removeprefix(_ERROR))
        elif line.startswith(_ORIGIN) and told:
            told[-1] += f" ({line.removeprefix(_ORIGIN)})"
    return "\n".join(told)


def _text(value: object) -> str:
    return value[:_LONGEST] if isinstance(value, str) else ""


@dataclass(frozen=True)
class Tally:
    """How a host fared in a playbook: tasks by what became of them."""

    ok: int = 0
    changed: int = 0
    skipped: int = 0
    failed: int = 0
    ignored: int = 0
    unreachable: int = 0

    @property
    def well(self) -> bool:
        return not (self.failed or self.unreachable)


def tally(events: Iterable[Event]) -> dict[str, Tally]:
    """The hosts of a playbook's events in their order of appearance, and how each fared."""
    counts: dict[str, dict[str, int]] = {}
    for event in events:
        if not event.host:
            continue
        here = counts.setdefault(event.host, dict.fromkeys(vars(Tally()), 0))
        here["ignored" if event.ignored else event.kind] += 1
        here["changed"] += event.changed
    return {host: Tally(**here) for host, here in counts.items()}
