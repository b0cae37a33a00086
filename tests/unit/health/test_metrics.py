"""What an API server tells of its writes: read from its text, and judged by what came in addition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from homelab.api import _lines
from homelab.health import Report, Snapshot, metrics, run_checks
from homelab.health.probed import Probed, Written
from homelab.health.report import Severity
from homelab.health.snapshot import WRITE_PROBES, Source, State
from homelab.health.thresholds import Thresholds
from tests.unit.health.cluster import NOW, K3s

# As a Kubernetes 1.36.2 with etcd has them, and a K3s 1.21 by its source: other labels, and other bounds.
NEW = """\
# HELP etcd_request_duration_seconds [ALPHA] Etcd request latency in seconds for each operation and object type.
# TYPE etcd_request_duration_seconds histogram
etcd_request_duration_seconds_bucket{group="",operation="create",resource="configmaps",le="0.005"} 0
etcd_request_duration_seconds_bucket{group="",operation="create",resource="configmaps",le="0.6"} 2
etcd_request_duration_seconds_bucket{group="",operation="create",resource="configmaps",le="+Inf"} 2
etcd_request_duration_seconds_bucket{group="",operation="create",resource="namespaces",le="0.005"} 0
etcd_request_duration_seconds_bucket{group="",operation="create",resource="namespaces",le="0.6"} 4
etcd_request_duration_seconds_bucket{group="",operation="create",resource="namespaces",le="+Inf"} 5
etcd_request_duration_seconds_bucket{group="",operation="get",resource="configmaps",le="0.005"} 0
etcd_request_duration_seconds_bucket{group="",operation="get",resource="configmaps",le="0.6"} 3
etcd_request_duration_seconds_bucket{group="",operation="get",resource="configmaps",le="+Inf"} 4
etcd_request_duration_seconds_sum{group="",operation="create",resource="namespaces"} 1.5
process_start_time_seconds 1.79603145743e+09
"""
OLD = """\
etcd_request_duration_seconds_bucket{operation="update",type="*coordination.Lease",le="0.5"} 7
etcd_request_duration_seconds_bucket{operation="update",type="*coordination.Lease",le="+Inf"} 9
etcd_request_duration_seconds_bucket{operation="listWithCount",type="/registry/pods",le="+Inf"} 90
process_start_time_seconds 1.79e+09"""


@pytest.mark.parametrize(
    ("told", "start", "within"),
    [(NEW, 1796031457.43, {0.005: 0, 0.6: 6, math.inf: 7}), (OLD, 1.79e9, {0.5: 7, math.inf: 9})],
)
def test_the_writes_of_all_kinds_together(told: str, start: float, within: Mapping[float, int]) -> None:
    assert metrics.writes(told.encode()) == metrics.Writes(start, within)


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
def test_only_the_lines_that_are_wanted_are_kept_whatever_the_pieces(size: int) -> None:
    told = NEW.rstrip().encode()
    pieces = (told[at : at + size] for at in range(0, len(told), size))
    kept = b"".join(_lines(pieces, metrics.WANTED))
    left_out = (b"#", b"etcd_request_duration_seconds_sum")
    assert kept.splitlines() == [line for line in told.splitlines() if not line.startswith(left_out)]


def look(count: int, within: Mapping[float, int], limits: Thresholds | None = None) -> Report:
    snapshot = Snapshot.from_lists(K3s().lists, now=NOW)
    sources = {**snapshot.sources, WRITE_PROBES: Source(WRITE_PROBES, State.READ)}
    probed = Probed(written=Written(count, within))
    return run_checks(replace(snapshot, probed=probed, sources=sources), limits)


@pytest.mark.parametrize(
    ("slow", "bound", "severity"),
    [
        ({0.6: 5, 1.0: 5}, 0.6, None),
        ({0.6: 6, 1.0: 5}, 0.6, Severity.WARNING),
        ({0.6: 6, 1.0: 6}, 1, Severity.CRITICAL),
    ],
)
def test_both_sides_of_each_limit(slow: dict[float, int], bound: float, severity: Severity | None) -> None:
    report = look(100, {0.4: 0, **{at: 100 - count for at, count in slow.items()}, 60.0: 100})
    found = [each for each in report.roots if each.code == "DEEP006"]
    assert [each.severity for each in found] == [severity] * (severity is not None)
    assert all(f"took more than {bound:g} s for more than 5 %" in each.summary for each in found)


def test_one_or_two_slow_writes_of_a_few_are_chance() -> None:
    assert look(10, {0.5: 8, 1.0: 8}).roots == ()
    assert [each.code for each in look(10, {0.5: 7, 1.0: 8}).roots] == ["DEEP006"]


def test_a_limit_that_is_beyond_all_bounds_is_never_passed() -> None:
    limits = Thresholds(
        datastore_write_warning=timedelta(minutes=2), datastore_write_critical=timedelta(minutes=3), datastore_slow=0
    )
    assert look(10, {0.5: 0, 60.0: 0}, limits).roots == ()
