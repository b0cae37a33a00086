"""A page is read as `json.loads` would read it, or refused where that would."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homelab.health import pages

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


def same(item: dict[str, Any]) -> dict[str, Any]:
    return item


@given(
    items=st.lists(st.dictionaries(st.text(max_size=5), values, max_size=3), max_size=4),
    rest=st.dictionaries(st.text(max_size=5).filter(lambda key: key not in ("items", "metadata")), values, max_size=3),
    token=st.text(),
    indent=st.sampled_from([None, 0, 2]),
    first=st.booleans(),
)
def test_any_list_is_read(
    items: list[dict[str, Any]], rest: dict[str, Any], token: str, indent: int | None, first: bool
) -> None:
    listed = {"items": items}
    whole = (
        {**listed, **rest, "metadata": {"continue": token}}
        if first
        else {**rest, "metadata": {"continue": token}, **listed}
    )
    assert pages.parse(json.dumps(whole, indent=indent), same) == (items, token)


@given(st.text(max_size=30) | st.lists(st.sampled_from([*list('{}[]:,"'), '"items"', "1", " ", "null"])).map("".join))
def test_what_is_no_json_is_refused(text: str) -> None:
    try:
        whole = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):
            pages.parse(text, same)
        return
    if isinstance(whole, dict) and "items" in whole and whole["items"] is None:
        assert pages.parse(text, same)[0] == []
    elif isinstance(whole, dict) and isinstance(whole.get("items"), list):
        if all(isinstance(each, dict) for each in whole["items"]):
            assert pages.parse(text, same)[0] == whole["items"]
    else:
        with pytest.raises(pages.NoList):
            pages.parse(text, same)


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"items": [', '{"items": [{}', '{"items": [{},]}', '{"items": []', '{"items": []} x', '{"items": [],}'],
)
def test_a_page_that_is_cut_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        pages.parse(text, same)
    with pytest.raises(ValueError):
        json.loads(text)


def test_null_is_an_empty_list() -> None:
    assert pages.parse('{"metadata": null, "items": null}', same) == ([], "")
