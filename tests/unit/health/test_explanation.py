"""The table of codes and what is told of one code."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homelab.health import Thresholds, duration
from homelab.health.codes import TABLE
from homelab.health.explanation import (
    UnknownCode,
    as_json,
    as_text,
    explain,
    table_as_json,
    table_as_text,
)


def test_a_code_is_told_in_full() -> None:
    assert as_text(explain("node005")) == (
        "NODE005  kubelets renew their leases  (at worst critical)\n"
        "\n"
        "Every kubelet renews its lease, which stops long before the node counts as not Ready.\n"
        "\n"
        "reads       nodes, leases\n"
        "threshold   lease_warning = 25s\n"
        "threshold   lease_critical = 40s\n"
        "threshold   lease_clock = 2m\n"
        "remedy      on {name}: systemctl status 'k3s*'; journalctl -u 'k3s*' -e"
    )


def test_the_thresholds_in_use_are_told() -> None:
    mine = replace(Thresholds(), lease_critical=timedelta(minutes=90), crash_restarts=5)
    assert explain("NODE005", mine).thresholds["lease_critical"] == "90m"
    said = as_text(explain("NODE005", mine), "warning").splitlines()
    assert said[0] == "NODE005  kubelets renew their leases  (at worst critical, here warning)"
    assert "threshold   lease_critical = 90m  (by default 40s)" in said and "threshold   lease_warning = 25s" in said
    told = json.loads(as_json(explain("POD001", mine)))["thresholds"]
    assert told == {"pod_start": "5m", "crash_window": "10m", "crash_restarts": 5}


def test_every_threshold_belongs_to_a_code() -> None:
    """Also those that a check reads through another function; who sets one wants to know what it changes."""
    told = {name for row in TABLE for name in explain(row.code).thresholds}
    assert told == {each.name for each in fields(Thresholds)}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.code)
def test_every_code_has_a_meaning_of_its_own(row: object) -> None:
    told = explain(row.code)  # type: ignore[attr-defined]
    assert told.meaning.endswith(".") and told.meaning != told.row.title, "the docstring of its check"
    data = json.loads(as_json(told))
    assert data["version"] == 1 and data["needs"] and "{{" not in data["remedy"]


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("NODE0005", "did you mean NODE005?"),
        ("pod0001", "did you mean POD001?"),
        ("node1", "did you mean NODE001?"),
        ("", "see homelab health codes"),
        ("fridge", "see homelab health codes"),
    ],
)
def test_an_unknown_code_is_told_the_nearest(code: str, remedy: str) -> None:
    with pytest.raises(UnknownCode) as told:
        explain(code)
    assert str(told.value) == f"{code}: there is no such code; {remedy}"


def test_the_table_has_a_line_for_each_code() -> None:
    lines = table_as_text().splitlines()
    assert [line.split()[0] for line in lines] == [row.code for row in TABLE]
    assert lines[0] == re.sub(r"\s+$", "", lines[0]) and "critical  API server ready" in lines[0]
    data = json.loads(table_as_json())
    assert [each["code"] for each in data["codes"]] == [row.code for row in TABLE]


@pytest.mark.parametrize(
    ("text", "length", "shown"),
    [
        ("500ms", timedelta(seconds=0.5), "500ms"),
        ("0.5s", timedelta(seconds=0.5), "500ms"),
        ("25s", timedelta(seconds=25), "25s"),
        ("5m", timedelta(minutes=5), "5m"),
        ("1h30m", timedelta(minutes=90), "90m"),
        ("24h", timedelta(days=1), "1d"),
        ("30d", timedelta(days=30), "30d"),
        ("0s", timedelta(), "0s"),
    ],
)
def test_lengths_of_time(text: str, length: timedelta, shown: str) -> None:
    assert (duration.parse(text), duration.show(length)) == (length, shown)


@pytest.mark.parametrize("text", ["", "5", "5 m", "-5m", "5min", "m", "5M", "1w", "1e3s", "9" * 40 + "d", "٥m "])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(ValueError, match=f'^"{re.escape(text)}" is '):
        duration.parse(text)


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=3650)))
def test_what_is_shown_is_read_back(length: timedelta) -> None:
    whole = length - timedelta(microseconds=length.microseconds % 1000)
    assert duration.parse(duration.show(whole)) == whole
