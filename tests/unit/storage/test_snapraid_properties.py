"""Whatever is listed and seen of a snapraid pool: no disk that holds anything is written to without consent."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from homelab.model.nas import Nas
from homelab.storage import consent, slots
from homelab.storage.seen import DiskSeen
from homelab.storage.slots import Place
from tests import looks
from tests.looks import Look
from tests.sweeps import examples
from tests.unit.storage.test_refusals import planned

POOLS = ("11111111-2222-4333-8444-555555000000", "66666666-7777-4888-9999-aaaaaa000000")
NAMES = ("d1", "d2", "d3", "d4")
DEVICES = ("sda", "sdb", "sdc", "sdd")
PLACES = [("data", 1), ("data", 2), ("parity", 1), ("data", 3)]

state = st.fixed_dictionaries(
    {
        "holds": st.sampled_from(["blank"] * 8 + ["ours"] * 6 + ["data", "absent", "partition", *looks.KINDS]),
        "pool": st.sampled_from((*POOLS, POOLS[0], POOLS[0])),
        "place": st.integers(0, 5),
        "label": st.sampled_from(["media", "media", "other"]),
        "opens": st.sampled_from([True] * 9 + [False]),
        "larger": st.sampled_from([0] * 9 + [1]),
    }
)
consents = st.none() | st.just("offered") | st.just("offered") | st.from_regex(r"[0-9a-f]{16}", fullmatch=True)
pool = st.fixed_dictionaries(
    {"order": st.permutations(NAMES), "data": st.sampled_from([1, 2, 2, 2])},
    optional={"uuid": st.sampled_from(POOLS)},
)
record = st.none() | st.fixed_dictionaries(
    {"uuid": st.sampled_from(POOLS), "state": st.sampled_from(["making", "made", "made"])}
)


def validated(values: dict[str, Any]) -> Nas:
    """A NAS with a kind of pool that inventories are still refused."""
    return Nas.model_validate(values)


def look_at(states: list[dict[str, Any]], noted: dict[str, Any] | None) -> Look:
    look = Look()
    for index, (device, one) in enumerate(zip(DEVICES, states, strict=True)):
        holds, about = one["holds"], {"opens": one["opens"], "size": looks.SIZE + one["larger"]}
        if holds == "ours":
            place = Place(one["pool"], *PLACES[one["place"] if one["place"] < 4 else index])
            printed = looks.signature("ext4", device, place.uuid, 0x438, one["label"])
            look.disk(device, wipefs=printed, **about)
        elif holds == "partition":
            look.disk(device, parts={f"{device}1": looks.EMPTY}, **about)
        elif holds in looks.KINDS:
            look.disk(device, wipefs=looks.captured(holds, device), **about)
        elif holds != "absent":
            look.disk(device, content="zero" if holds == "blank" else "5ca1ab1e", **about)
    if noted:
        said = {"filesystem_uuid": noted["uuid"], "kind": "snapraid", "level": "", "filesystem": "ext4"}
        for name, device, (role, number) in zip(NAMES[:3], DEVICES, PLACES, strict=False):
            said[f"disk.{name}"] = f"S-{device}"
            wanted = Place(noted["uuid"], role, number)
            said[f"slot.{wanted.slot}"] = f"{wanted.uuid} {name}"
        look.record("media", **noted, **said)
    return look


def spec_of(listed: dict[str, Any], words: dict[str, str | None]) -> Nas:
    disks: dict[str, Any] = {name: {"id": f"ata-S-{device}"} for name, device in zip(NAMES, DEVICES, strict=True)}
    for name, word in words.items():
        if word:
            disks[name]["consent"] = word
    order, count = listed["order"], listed["data"]
    of = {"kind": "snapraid", "disks": list(order[:count]), "parity": [order[count]], "uuid": listed.get("uuid")}
    return validated({"disks": disks, "pools": {"media": of}})


def begun(disk: DiskSeen, noted: dict[str, Any] | None) -> bool:
    """Whether a disk bears the UUID of a making that was cut."""
    place = slots.of(disk)
    return bool(noted and noted["state"] == "making" and place is not None and place.pool == noted["uuid"])


@examples(3)
@given(
    states=st.lists(state, min_size=4, max_size=4),
    listed=pool,
    noted=record,
    given_=st.fixed_dictionaries(dict.fromkeys(NAMES, consents)),
)
def test_nothing_is_lost_that_was_not_let_go_of(
    states: list[dict[str, Any]], listed: dict[str, Any], noted: dict[str, Any] | None, given_: dict[str, str | None]
) -> None:
    seen = look_at(states, noted).seen
    words: dict[str, str | None] = {}
    for name, device in zip(NAMES, DEVICES, strict=True):
        word = given_[name]
        there = word == "offered" and device in seen.disks
        words[name] = consent.word(seen.disks[device]) if there else None if word == "offered" else word
    plan = planned(look_at(states, noted), spec_of(listed, words))
    writing = [step for step in plan.steps if step.kind in ("additive", "destructive")]
    event("refused" if plan.problems else "made" if writing else "taken")
    if plan.problems:
        return  # nothing of it is done
    valid = {consent.word(disk) for disk in seen.disks.values()} & set(filter(None, words.values()))
    for step in plan.steps:
        assert bool(step.consents) == (step.kind == "destructive") and set(step.consents) <= valid
        assert not ("mkfs" in step.command and (" -f " in step.command or "--force" in step.command))
    for step in writing:
        script = step.command.partition("record=")[2]
        cleared = re.findall(r"^clear (sd[a-d])$", script, re.M)
        made = re.findall(r"^make (sd[a-d]) ", script, re.M)
        kept = re.findall(r"^only (sd[a-d]) \S+ \|\| make \1 ", script, re.M)
        assert all(begun(seen.disks[device], noted) for device in kept)
        assert len([*made, *kept]) == len({*made, *kept}) == listed["data"] + 1
        for device in {*cleared, *made}:
            disk = seen.disks[device]
            let_go = device in cleared and consent.word(disk) in step.consents
            assert disk.exclusive
            assert (disk.is_blank and not disk.partitions) or let_go
    if not writing:
        # What is taken as it is, is one pool, each disk in a place of its own, and none of data is missing.
        found = plan.pools["media"]
        places = {name: slots.of(disk) for name, disk in zip(NAMES, map(seen.disks.get, DEVICES), strict=True) if disk}
        assert {found.slots[slot][0] for slot in found.slots if slot.startswith("data")} <= {
            place.uuid for place in places.values() if place is not None and place.pool == found.uuid
        }


@given(states=st.lists(state, min_size=4, max_size=4), listed=pool)
def test_without_consent_only_blank_disks_are_written_to(states: list[dict[str, Any]], listed: dict[str, Any]) -> None:
    look = look_at(states, None)
    plan = planned(look, spec_of(listed, {}))
    assert all(step.kind != "destructive" for step in plan.steps)
    for step in plan.steps:
        if step.kind == "additive" and not plan.problems:
            made = re.findall(r"^make (sd[a-d]) ", step.command, re.M)
            assert made and all(look.seen.disks[device].is_blank for device in made)
