"""What a run of `homelab patch` did or would do: as a table, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rich.table import Table

from homelab.patch.summary import Result, Summary

VERSION = 1


def as_data(summary: Summary) -> dict[str, Any]:
    """The summary as plain data, versioned: keys are only ever added within a version."""
    return {
        "version": VERSION,
        "environment": summary.environment,
        "dry_run": summary.dry_run,
        "stopped": list(summary.stopped),
        "notes": list(summary.notes),
        "hosts": [_host(each) for each in summary.results],
    }


def _host(result: Result) -> dict[str, Any]:
    return {
        "name": result.host.name,
        "role": result.host.role,
        "nas": result.host.nas,
        "outcome": result.outcome,
        "packages": [{"name": each.name, "from": each.old or None, "to": each.new} for each in result.packages],
        "kept_back": list(result.kept),
        "reboot_required": result.reboot,
        "reboot_because": list(result.because),
        "rebooted": result.rebooted,
        "seconds": result.seconds,
        "notes": list(result.notes),
    }


def as_json(summary: Summary) -> str:
    """The summary as one JSON document."""
    return json.dumps(as_data(summary), indent=2)


def table(summary: Summary) -> Table:
    """The hosts in their order, and what became of each."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("HOST", "ROLE", "OUTCOME", "PACKAGES", "REBOOT"):
        made.add_column(column, no_wrap=column != "REBOOT", overflow="fold")
    made.add_column("TIME", justify="right", no_wrap=True)
    for each in summary.results:
        took = f"{each.seconds:.0f} s" if each.seconds else ""
        made.add_row(each.host.name, role(each), each.outcome, _packages(each), _reboot(each), took)
    return made


def role(result: Result) -> str:
    """What a host is: server, agent, nas, or two of them."""
    return "+".join(each for each in (result.host.role, "nas" if result.host.nas else None) if each)


def _packages(result: Result) -> str:
    kept = f", {len(result.kept)} kept back" if result.kept else ""
    return f"{len(result.packages)}{kept}" if result.packages or kept else "-"


def _reboot(result: Result) -> str:
    why = f" ({', '.join(result.because)})" if result.because else ""
    if result.rebooted:
        return f"done{why}"
    if result.reboot and result.outcome != "patched":
        return f"required{why}"
    kernels = [each.name for each in result.packages if each.name.startswith("linux-image-")]
    return f"likely ({', '.join(kernels)})" if kernels and result.outcome == "to patch" else "-"


def lines(summary: Summary) -> Iterator[str]:
    """What goes below the table: in a dry run each package, then notes, and why it stopped."""
    if summary.dry_run:
        for each in summary.results:
            if each.packages or each.kept:
                yield f"{each.host.name}:"
                yield from (f"  {package}" for package in each.packages)
                yield from (f"  {name} (kept back by apt)" for name in each.kept)
    yield from (f"note: {note}" for note in summary.notes)
    word = "would stop" if summary.dry_run else "stopped"
    yield from (f"{word}: {line}" for line in summary.stopped)
    if summary.stopped and not summary.dry_run:
        yield f"the rest is untouched; run it again to go on: HOMELAB_ENV={summary.environment} homelab patch"
