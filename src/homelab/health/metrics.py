"""What an API server tells of its datastore among its own figures, which are megabytes of Prometheus' text.

Source: Kubernetes, `etcd_request_duration_seconds`, which it counts for whatever is behind an API server: etcd, or what
kine makes look like it. A write to etcd is over when it is on the disks of most members, so that this is the time that
their disks take and the network between them. What etcd itself counts, K3s does not show in here, though all is one
process: it is in another registry, which only etcd's own port shows, on the server itself unless etcd-expose-metrics.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from homelab.health.probed import Written

PATH = "/metrics"
# How the lines begin that are looked at.
WANTED = (b"etcd_request_duration_seconds_bucket{", b"process_start_time_seconds ")
_BUCKET = re.compile(r'\w+\{(?=[^}]*\boperation="(?:create|update|delete)")[^}]*\ble="([^"]+)"[^}]*\} (\S+)')
_START = re.compile(r"process_start_time_seconds (\S+)")


@dataclass(frozen=True)
class Writes:
    """What one process has written since it started at `start`: how many writes took no longer than so many seconds,
    by that number, of which infinity has them all."""

    start: float
    within: Mapping[float, int]


def writes(body: bytes) -> Writes | None:
    """The writes that an API server tells of; None when it does not."""
    start: float | None = None
    within: dict[float, int] = {}
    for line in body.decode("utf-8", "replace").splitlines():
        try:
            if found := _BUCKET.fullmatch(line):
                bound = float(found[1])
                within[bound] = within.get(bound, 0) + int(float(found[2]))
            elif found := _START.fullmatch(line):
                start = float(found[1])
        except (ValueError, OverflowError):
            continue
    return Writes(start, within) if start is not None and float("inf") in within else None


def between(before: Writes, after: Writes) -> Written | None:
    """What was written between two answers; None when they are not of one process."""
    if before.start != after.start or before.within.keys() != after.within.keys():
        return None
    within = {bound: count - before.within[bound] for bound, count in after.within.items()}
    return Written(within.pop(float("inf")), within) if min(within.values()) >= 0 else None
