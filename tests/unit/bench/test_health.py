"""What `make bench PART=health` measures, and on what."""

from __future__ import annotations

import json
import sys
from collections import Counter

import pytest

from tests.bench import health
from tests.bench.big_cluster import lists
from tests.bench.figures import judge
from tests.bench.remote import Broken


def test_a_process_is_measured_by_itself() -> None:
    """Its memory is not its parent's, which is far more than this."""
    took = health.meter([sys.executable, "-I", "-S", "-c", "pass"])
    assert took.seconds > 0
    assert 1 < took.memory < 40


def test_one_that_fails_is_no_figure() -> None:
    with pytest.raises(Broken, match="exit 3: no luck"):
        health.meter([sys.executable, "-I", "-S", "-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"])


@pytest.mark.parametrize("pods", [300, 303])
def test_the_cluster_has_the_pods_that_were_asked_for(pods: int) -> None:
    found = lists(pods)
    assert len(found["pods"]) == pods
    assert max(Counter(each["metadata"]["name"] for each in found["pods"]).values()) == 1
    size = len(json.dumps(found["pods"][-1]))
    assert 6_000 < size < 9_000


def test_health_is_held_against_the_typed_client_and_its_budget() -> None:
    took = {"homelab health": [health.Took(0.6, 50.0)], "typed client": [health.Took(1.2, 100.0)]}
    verdicts = {each.figure.name: each for each in judge(health._figures(300, took, 0.5, 60.0), {})}
    cpu, memory = verdicts["300 pods, CPU: homelab health"], verdicts["300 pods, memory: homelab health"]
    assert (cpu.ratio, cpu.problems) == (0.5, ("0.6 s and the budget is 0.5",))
    assert (memory.ratio, memory.problems) == (0.5, ())
    assert verdicts["300 pods, CPU: typed client"].problems == ()
