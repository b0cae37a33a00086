"""What a run's figures are worth."""

from __future__ import annotations

import pytest

from tests.bench.figures import Figure, judge, ratios
from tests.bench.table import table

NETWORK = Figure("network", (100.0,), "MB/s")
POOL = Figure("pool", (200.0,), "MB/s")


def nfs(*samples: float) -> Figure:
    return Figure("NFS", samples, "MB/s", of=("network", "pool"))


def of(name: str, *figures: Figure, **before: float) -> tuple[str, float | None, tuple[str, ...]]:
    (found,) = [each for each in judge(figures, before) if each.figure.name == name]
    return found.bound, found.ratio, found.problems


def test_a_share_is_held_against_the_lesser_of_network_and_pool() -> None:
    assert of("NFS", NETWORK, POOL, nfs(80.0)) == ("network", 0.8, ())
    slow = Figure("pool", (50.0,), "MB/s")
    assert of("NFS", NETWORK, slow, nfs(40.0)) == ("pool", 0.8, ())


def test_one_disturbed_sample_does_not_count() -> None:
    assert of("NFS", NETWORK, POOL, nfs(80.0, 3.0, 81.0))[1] == 0.8


def test_a_figure_without_a_bound_has_no_ratio_and_cannot_be_worse() -> None:
    assert of("pool", POOL, pool=9.0) == ("", None, ())


def test_a_bound_that_was_not_measured_is_an_error() -> None:
    with pytest.raises(KeyError):
        judge([nfs(80.0)], {})


@pytest.mark.parametrize(
    ("now", "before", "worse"),
    [
        (80.0, 0.8, False),
        (80.0, 0.5, False),
        # 0.62 of 0.8 is more than the noise of a busy machine explains.
        (50.0, 0.8, True),
        (62.0, 0.8, False),
    ],
)
def test_a_ratio_is_held_against_the_baselines(now: float, before: float, worse: bool) -> None:
    problems = of("NFS", NETWORK, POOL, nfs(now), NFS=before)[2]
    assert bool(problems) is worse
    if worse:
        assert problems == ("0.62 times what the baseline had",)


def test_where_less_is_better_more_is_worse() -> None:
    peer, mine = Figure("peer", (10.0,), "s"), Figure("mine", (5.0,), "s", of=("peer",), more=False)
    assert of("mine", peer, mine, mine=0.25)[2] == ("0.50 times what the baseline had",)
    assert of("mine", peer, mine, mine=1.0)[2] == ()


def test_what_differs_within_the_run_is_no_regression() -> None:
    # The samples lie as far apart as twice the median.
    assert of("NFS", NETWORK, POOL, nfs(50.0, 10.0, 110.0), NFS=0.8)[2] == ()


def test_a_budget_holds_whatever_came_before() -> None:
    assert of("commands", Figure("commands", (15.0,), "", more=False, budget=15))[2] == ()
    over = Figure("commands", (16.0,), "", more=False, budget=15)
    assert of("commands", over) == ("", None, ("16 and the budget is 15",))


def test_a_baseline_keeps_ratios_alone() -> None:
    assert ratios(judge([NETWORK, POOL, nfs(80.0)], {})) == {"NFS": 0.8}


def test_the_table_tells_value_bound_ratio_and_what_is_worse() -> None:
    *lines, last = table(judge([NETWORK, POOL, nfs(50.0)], {"NFS": 0.8})).splitlines()
    assert " ".join(last.split()) == "NFS 50 MB/s network 0.50 0.80 WORSE: 0.62 times what the baseline had"
    assert [line.split() for line in lines] == [
        ["median", "of", "ratio", "baseline"],
        ["network", "100", "MB/s"],
        ["pool", "200", "MB/s"],
    ]
