"""What `make bench` says and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench.baseline import Machine
from tests.bench.figures import Figure, Measured
from tests.bench.remote import Absent, Bench, Broken
from tests.hosts import inventory

MACHINE = Machine("qemu", "x86_64", 2, 1453, "Debian GNU/Linux 12 (bookworm)", "6.1.0-56-amd64")
FIGURES = (Figure("network", (100.0,), "MB/s"), Figure("NFS", (80.0,), "MB/s", of=("network",)))


def measured(given: Bench) -> Measured:
    assert given.rounds == 3
    return Measured(MACHINE, FIGURES)


def absent(given: Bench) -> Measured:
    raise Absent("nas cannot be reached")


def broken(given: Bench) -> Measured:
    raise Broken("nas: no space left")


@pytest.fixture(autouse=True)
def rehearsed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Three parts, one of each outcome, and no host that could be reached."""
    monkeypatch.setenv("HOMELAB_ENV", "rehearsal")
    parts = (bench.Part("good", "works", measured), bench.Part("gone", "is not there", absent))
    monkeypatch.setattr(bench, "PARTS", (*parts, bench.Part("bad", "breaks", broken)))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["good"], 0), (["gone"], 1), (["good", "gone"], 1), (["bad"], 1), ([], 1)],
)
def test_what_was_asked_for_by_name_must_not_be_skipped(
    arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(arguments) == code
    said = capsys.readouterr().out
    assert ("gone: skipped: nas cannot be reached" in said) is (not arguments or "gone" in arguments)


def test_what_was_not_asked_for_by_name_may_be_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "PARTS", bench.PARTS[:2])
    assert bench.main([]) == 0
    assert "gone: skipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nos"], "nos: no such part; there are good, gone, bad"),
        (["--size", "0"], "write 1 or more"),
        (["--rounds", "many"], "invalid int value"),
        (["--store", "../x"], "write small letters"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_an_inventory_that_is_none_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inventory.home.cache_clear()
    monkeypatch.setenv("HOMELAB_ENV", "nowhere")
    assert bench.main(["good"]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("HOMELAB_ENV=nowhere: no inventory") and said.err.count("\n") == 1 and not said.out


def test_a_run_is_kept_and_the_next_is_held_against_it(tmp_path: Path) -> None:
    part = bench.PARTS[0]
    first = bench.told(part, Measured(MACHINE, FIGURES), "emulated", tmp_path)
    assert "no baseline of a machine like it" in first[1]
    assert "good: kept as the baseline emulated" in first
    slower = (FIGURES[0], Figure("NFS", (20.0,), "MB/s", of=("network",)))
    then = bench.told(part, Measured(MACHINE, slower), "", tmp_path)
    assert then[1].endswith("baseline emulated, " + str(MACHINE))
    assert "good: 1 of 2 figures worse than they should be" in then


def test_every_part_of_the_real_table_has_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    names = [part.name for part in bench.PARTS]
    assert sorted(names) == sorted(set(names)) == ["deploy", "health", "nas"]
