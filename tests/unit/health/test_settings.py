"""The settings file: what it changes, and that each mistake in it is one line."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homelab.health import Severity, Thresholds
from homelab.health.explanation import shown
from homelab.health.settings import Settings, SettingsWrong, find, read
from homelab.health.suppression import Pattern


def settings(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "health.toml"
    path.write_text(text)
    return read(path)


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    found = settings(tmp_path, "")
    assert (found.thresholds, found.severities, found.off, found.suppressions) == (Thresholds(), {}, frozenset(), ())


def test_every_threshold_can_be_written_as_it_is_shown(tmp_path: Path) -> None:
    limits = Thresholds()
    written = {each.name: shown(getattr(limits, each.name)) for each in fields(limits)}
    text = "".join(
        f'{key} = "{each}"\n' if isinstance(each, str) else f"{key} = {each}\n" for key, each in written.items()
    )
    assert settings(tmp_path, f"[thresholds]\n{text}").thresholds == limits


def test_all_of_it(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        """
        thresholds.crash_restarts = 7
        [severities]
        node006 = "Info"
        CTRL005 = "critical"
        POD008 = "off"
        [[suppress]]
        code = "POD001"
        object = "Pod/media/web-*"
        reason = "waits for  the new disk"
        until = 2027-01-31
        [[suppress]]
        code = ["NODE", "pod002"]
        reason = "known"
        until = "2027-02-01"
        """,
    )
    assert found.thresholds == Thresholds(crash_restarts=7)
    assert found.severities == {"NODE006": Severity.INFO, "CTRL005": Severity.CRITICAL}
    assert found.off == {"POD008"}
    assert [found.level(code) for code in ("NODE006", "POD008", "POD001")] == ["info", "off", ""]
    first, second = found.suppressions
    assert (first.codes, first.reason, first.until) == (
        frozenset({"POD001"}),
        "waits for the new disk",
        date(2027, 1, 31),
    )
    assert first.pattern == Pattern("pod", "media", "web-*")
    assert {"NODE001", "POD002"} <= second.codes and (second.pattern, second.until) == (Pattern(), date(2027, 2, 1))
    assert second.place == f"{tmp_path / 'health.toml'}: suppress[2]"
    path = tmp_path / "health.toml"
    assert found.said == f"{path}: 2 suppressions, and crash_restarts, CTRL005 critical, NODE006 info, POD008 off set"


def test_what_things_are_tried_out_with(tmp_path: Path) -> None:
    found = settings(tmp_path, '[deep]\nimage = "registry.lan:5000/busybox@sha256:0123"\ntimeout = "1m30s"\n')
    assert (found.image, found.timeout) == ("registry.lan:5000/busybox@sha256:0123", 90)
    assert found.said.endswith("0 suppressions, and deep.image, deep.timeout set")
    with pytest.raises(SettingsWrong) as told:
        settings(tmp_path, '[deep]\nimage = "-a b"\ntimeout = 90\nimages = 1\n')
    assert str(told.value).replace(str(tmp_path / "health.toml"), "F").splitlines() == [
        'F:2: deep.image: "-a b" is no image; write one as docker.io/library/busybox:1.35',
        'F:3: deep.timeout: 90 has no unit; write a length of time, "90s" or "5m"',
        "F:4: deep.images: unknown key; did you mean image?",
    ]
    with pytest.raises(SettingsWrong, match=r'deep\.timeout: "500ms" is too short to start a pod in; write 10s'):
        settings(tmp_path, 'deep.timeout = "500ms"\n')


BAD = """\
treshold = 1
[thresholds]
lease_warnin = "5s"
lease_warning = 30
crash_restarts = "five"
node_not_ready = "5 minutes"
latency_critical = "100ms"
crash_window = true
supported_minors = -1
[severities]
NODE066 = "info"
NODE006 = "loud"
POD001 = 3
[[suppress]]
code = "POD0001"
object = "media"
until = "2027-13-01"
[[suppress]]
code = []
objekt = "Pod/x"
reason = " "
until = 2027-01-01T00:00:00Z
"""


def test_all_that_is_wrong_is_told_at_once_by_file_line_and_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsWrong) as told:
        settings(tmp_path, BAD)
    length = 'write one as "500ms", "30s", "5m", "18h" or "30d"'
    no_unit = 'has no unit; write a length of time, "30s", "5m", "18h" or "30d"'
    levels = "is no severity; write one of info, warning, critical, off"
    assert str(told.value).replace(str(tmp_path / "health.toml"), "F").splitlines() == [
        "F:1: treshold: unknown table; did you mean thresholds?",
        "F:3: thresholds.lease_warnin: unknown threshold; did you mean lease_warning?",
        f"F:4: thresholds.lease_warning: 30 {no_unit}",
        'F:5: thresholds.crash_restarts: "five" is no whole number; write one from 0 on, by default 3',
        f'F:6: thresholds.node_not_ready: "5 minutes" is no length of time; {length}',
        "F:7: thresholds.latency_critical: critical comes before warning: latency_warning = 500ms and"
        " latency_critical = 100ms; write both in order",
        f"F:8: thresholds.crash_window: true {no_unit}",
        "F:9: thresholds.supported_minors: -1 is no whole number; write one from 0 on, by default 3",
        "F:11: severities.NODE066: there is no such code; did you mean NODE016?",
        f'F:12: severities.NODE006: "loud" {levels}',
        f"F:13: severities.POD001: 3 {levels}",
        'F:14: suppress[1]: it has no reason; write reason = "why this is no fault"',
        'F:15: suppress[1].code: "POD0001": there is no such code or room; did you mean POD001?',
        'F:16: suppress[1].object: "media" is no object; write Kind/namespace/name or Kind/name, with * for any',
        'F:17: suppress[1].until: "2027-13-01" is no day; write it as 2027-01-31',
        "F:19: suppress[2].code: it is empty; write a code or a room in quotes",
        "F:20: suppress[2].objekt: unknown key; did you mean object?",
        'F:21: suppress[2].reason: " " is not a reason; write a reason in quotes',
        'F:22: suppress[2].until: "2027-01-01 00:00:00+00:00" is no day; write it as 2027-01-31',
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[thresholds\n", "it is not TOML: "),
        ("thresholds = 3\n", "thresholds: it is no table; write [thresholds] and a line for each"),
        ("suppress = 'POD001'\n", "suppress: it is no list of tables; write [[suppress]]"),
        ("[suppress]\ncode = 'POD001'\n", "suppress: it is no list of tables; write [[suppress]]"),
        ("a = " + "[" * 5000 + "\n", "it is not TOML: "),
        ('[severities]\nPOD001 = "lo\\nud\\u001b[2J"\n', '"lo ud [2J" is no severity'),
        ('"a\\nb" = 1\n', "a b: unknown table"),
    ],
)
def test_what_is_no_settings_file_is_one_line(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(SettingsWrong) as told:
        settings(tmp_path, text)
    assert why in str(told.value) and "\n" not in str(told.value)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name, why in (("none", "there is no such file"), (".", "Is a directory"), ("binary", "it is not text")):
        with pytest.raises(SettingsWrong, match=why):
            read(tmp_path / name)


def test_where_it_is_looked_for(tmp_path: Path) -> None:
    mine, other = tmp_path / ".config" / "homelab" / "health.toml", tmp_path / "xdg" / "homelab" / "health.toml"
    assert find({"HOME": str(tmp_path)}) is None
    for path in (mine, other):
        path.parent.mkdir(parents=True)
        path.write_text("")
    assert find({"HOME": str(tmp_path)}) == mine
    assert find({"HOME": str(tmp_path), "XDG_CONFIG_HOME": "relative"}) == mine
    assert find({"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "xdg")}) == other
    mine.unlink()
    mine.symlink_to(tmp_path / "gone")
    assert find({"HOME": str(tmp_path)}) == mine, "a link to nowhere is a mistake, not a wish for the defaults"


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()


@given(
    st.dictionaries(
        st.sampled_from(["thresholds", "severities", "suppress", "x"]),
        st.recursive(
            scalars,
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["code", "reason", "until", "POD001", "pvc_pending", "y"]), inner)
            ),
            max_leaves=12,
        ),
    )
)
def test_no_data_of_any_shape_raises_another_error(data: dict[str, object]) -> None:
    from homelab.health.settings import _Reader

    try:
        found = _Reader("F", "").settings(data)
    except SettingsWrong as error:
        assert all(line.startswith("F: ") and "; " in line for line in str(error).splitlines())
    else:
        assert isinstance(found.thresholds.pvc_pending, timedelta)
