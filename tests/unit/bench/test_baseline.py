"""Baselines, and which machine's counts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import baseline
from tests.bench.baseline import Baseline, Machine, Unreadable

EMULATED = Machine("qemu", "x86_64", 2, 1453, "Debian GNU/Linux 12 (bookworm)", "6.1.0-56-amd64")


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    kept = Baseline("emulated", EMULATED, {"nas": {"NFS": 0.8}})
    assert baseline.read(baseline.write(kept, tmp_path)) == kept


def test_a_part_that_was_not_measured_stays(tmp_path: Path) -> None:
    baseline.write(Baseline("emulated", EMULATED, {"nas": {"NFS": 0.8}, "deploy": {"ansible": 4.0}}), tmp_path)
    path = baseline.write(Baseline("emulated", EMULATED, {"nas": {"SMB": 0.7}}), tmp_path)
    assert baseline.read(path).parts == {"nas": {"SMB": 0.7}, "deploy": {"ansible": 4.0}}


def test_of_another_machine_nothing_stays(tmp_path: Path) -> None:
    baseline.write(Baseline("mine", EMULATED, {"nas": {"NFS": 0.8}}), tmp_path)
    path = baseline.write(Baseline("mine", replace(EMULATED, virtual="kvm"), {"deploy": {"ansible": 4.0}}), tmp_path)
    assert baseline.read(path).parts == {"deploy": {"ansible": 4.0}}


@pytest.mark.parametrize(
    ("other", "fits"),
    [
        ({}, True),
        ({"kernel": "6.12.1", "system": "Debian GNU/Linux 13 (trixie)", "memory": 2048}, True),
        ({"virtual": "kvm"}, False),
        ({"processors": 4}, False),
        ({"architecture": "aarch64"}, False),
    ],
)
def test_only_a_machine_like_it_is_held_against_it(tmp_path: Path, other: dict[str, object], fits: bool) -> None:
    baseline.write(Baseline("emulated", EMULATED, {}), tmp_path)
    found = baseline.fitting(replace(EMULATED, **other), tmp_path)
    assert (found is not None) is fits


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version": 2}', '{"version": 1, "machine": {}, "parts": {}}', '{"version": 1, "parts": 3}'],
)
def test_what_is_no_baseline_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.json"
    path.write_text(text)
    with pytest.raises(Unreadable) as told:
        baseline.read(path)
    assert str(told.value).startswith("odd.json: is no baseline (")
    assert str(told.value).endswith("remove it, and run with --store odd")
    assert "\n" not in str(told.value)


def test_those_that_are_kept_here_can_be_read_and_name_no_path() -> None:
    kept = sorted(baseline.FOLDER.glob("*.json"))
    assert kept
    for path in kept:
        assert baseline.read(path).parts
        said = json.loads(path.read_text(encoding="utf-8"))
        assert "/" not in json.dumps(said["machine"]).replace("GNU/Linux", "")
