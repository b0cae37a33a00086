"""A page is read as `json.loads` would read it, or refused where that would, and of pods only what is looked at."""

from __future__ import annotations

import json
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homelab.health import pages, slim
from homelab.health.kinds import KINDS, Kind
from homelab.health.shape import Json
from tests.unit.health.cluster import K3s
from tests.unit.health.faults import FAULTS, QUIET

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
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
    assert pages.parse(json.dumps(whole, indent=indent).encode(), same) == (items, token)


def strict(text: str) -> Any:
    """Python also takes what no JSON is: NaN, and half a pair of surrogates."""

    def no_json(word: str) -> None:
        raise ValueError(word)

    return json.loads(text, parse_constant=no_json)


@given(st.text(max_size=30) | st.lists(st.sampled_from([*list('{}[]:,"'), '"items"', "1", " ", "null"])).map("".join))
def test_what_is_no_json_is_refused(text: str) -> None:
    body = text.encode()
    try:
        whole = strict(text)
    except ValueError:
        with pytest.raises(ValueError):
            pages.parse(body, same)
        return
    if isinstance(whole, dict) and "items" in whole and whole["items"] is None:
        assert pages.parse(body, same)[0] == []
    elif isinstance(whole, dict) and isinstance(whole.get("items"), list):
        if all(isinstance(each, dict) for each in whole["items"]):
            assert pages.parse(body, same)[0] == whole["items"]
    else:
        with pytest.raises(pages.NoList):
            pages.parse(body, same)


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"items": [', '{"items": [{}', '{"items": [{},]}', '{"items": []', '{"items": []} x', '{"items": [],}'],
)
def test_a_page_that_is_cut_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        pages.parse(text.encode(), same)
    with pytest.raises(ValueError):
        json.loads(text)


def test_null_is_an_empty_list() -> None:
    assert pages.parse(b'{"metadata": null, "items": null}', same) == ([], "")


@pytest.mark.parametrize("body", [b"[]", b"{}", b"null", b'{"items": {}}', b'{"items": [1]}', b'{"items": [null, {}]}'])
@pytest.mark.parametrize("wanted", [Json, slim.PodJson])
def test_another_thing_than_a_list_of_objects_is_told_from_no_json(body: bytes, wanted: Any) -> None:
    with pytest.raises(pages.NoList):
        pages.parse(body, same, wanted)


@pytest.mark.parametrize(
    "body", [b'{"items": [{"a": "\xff"}]}', b'{"items": [' + b"[" * 10**5, b"\xff", b'\xef\xbb\xbf{"items": []}']
)
def test_odd_bytes_are_refused(body: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        pages.parse(body, same)


@pytest.mark.parametrize("kind", [each for each in KINDS if each.wanted is not Json], ids=lambda kind: kind.name)
def test_what_is_parsed_is_all_that_is_looked_at(kind: Kind) -> None:
    """Whatever is wrong with the cluster, a record is the same from the whole of an object and from what is parsed."""
    for fault in (*FAULTS, *QUIET):
        cluster = K3s()
        fault(cluster)
        items = cluster.lists.get(kind.name, [])
        found, _ = pages.parse(json.dumps({"items": items}).encode(), kind.slim, kind.wanted)
        assert list(map(repr, found)) == [repr(kind.slim(each)) for each in items]


class Asked(dict[str, Any]):
    """An object that keeps the keys that it is asked for."""

    def __init__(self, **values: Any) -> None:
        super().__init__(values)
        self.keys_asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.keys_asked.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.keys_asked.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.keys_asked.add(str(key))
        return super().__contains__(key)


def test_what_is_looked_at_of_a_pod_is_parsed() -> None:
    """A field that nobody wants would be missing in silence, here or not."""
    meta, status, container, init = Asked(), Asked(), Asked(), Asked()
    spec = Asked(containers=[container], initContainers=[init])
    item = Asked(metadata=meta, spec=spec, status=status)
    slim.pod(item)
    shapes = get_type_hints(slim.PodJson)
    assert item.keys_asked == shapes.keys()
    assert meta.keys_asked == get_type_hints(shapes["metadata"]).keys()
    assert status.keys_asked == get_type_hints(shapes["status"]).keys()
    assert spec.keys_asked == get_type_hints(shapes["spec"]).keys()
    containers = get_type_hints(get_args(get_type_hints(shapes["spec"])["containers"])[0])
    assert container.keys_asked | init.keys_asked == containers.keys()


odd: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({})
)


@given(place=st.sampled_from(["metadata", "spec", "status", "containers", "initContainers"]), value=odd | st.lists(odd))
def test_a_pod_of_another_shape_comes_with_all_that_is_in_it(place: str, value: Any) -> None:
    pods = [{"metadata": {"name": "a"}, "spec": {"nodeName": "s1"}, "status": {"phase": "Running"}} for _ in range(3)]
    (pods[1]["spec"] if "ontainers" in place else pods[1])[place] = value
    found, _ = pages.parse(json.dumps({"items": pods}).encode(), slim.pod, slim.PodJson)
    assert list(map(repr, found)) == [repr(slim.pod(each)) for each in pods]
