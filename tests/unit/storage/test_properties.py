"""Whatever is listed and seen: nothing is lost without consent, and nothing is made on a disk that is not blank."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from homelab.model.nas import Nas
from homelab.storage import consent
from homelab.storage.steps import Plan
from tests import looks
from tests.looks import Look
from tests.unit.storage.test_refusals import planned

UUIDS = ("11111111-2222-4333-8444-555555555555", "66666666-7777-4888-9999-aaaaaaaaaaaa")
NAMES = ("d1", "d2", "d3", "d4")
DEVICES = ("sda", "sdb", "sdc", "sdd")

STATES = ("blank", "data", "absent", "partition", "md", "md+fs", "btrfs", "mounted", *looks.KINDS)
# Weighted, or most examples would be refused for one of their disks and prove little.
HOLDS = st.sampled_from(("blank",) * 8 + ("md", "md+fs", "btrfs") * 3 + STATES)
state = st.fixed_dictionaries(
    {
        "holds": HOLDS,
        "uuid": st.sampled_from((*UUIDS, UUIDS[0], UUIDS[0])),
        "name": st.sampled_from(["any:tank", "any:media", "tank", "x"]),
        "opens": st.sampled_from([True] * 9 + [False]),
        "level": st.sampled_from([1, 1, 5]),
        "disks": st.sampled_from([2, 2, 3]),
        "devid": st.sampled_from([1, 2]),
    }
)
consents = st.none() | st.just("offered") | st.just("offered") | st.from_regex(r"[0-9a-f]{16}", fullmatch=True)
pool = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["mdraid", "btrfs"]),
        "level": st.just("raid1"),
        "disks": st.lists(st.sampled_from(NAMES), min_size=2, max_size=2, unique=True),
    },
    optional={"uuid": st.sampled_from((None, None, *UUIDS))},
)
record = (
    st.none()
    | st.none()
    | st.fixed_dictionaries(
        {
            "uuid": st.sampled_from(UUIDS),
            "filesystem_uuid": st.sampled_from(UUIDS),
            "kind": st.sampled_from(["mdraid", "btrfs"]),
            "level": st.just("raid1"),
            "filesystem": st.sampled_from(["ext4", "xfs", "btrfs"]),
            "state": st.sampled_from(["making", "formatting", "made"]),
        }
    )
)


def look_at(states: list[dict[str, Any]], records: dict[str, dict[str, str] | None]) -> Look:
    look = Look()
    for device, one in zip(DEVICES, states, strict=True):
        holds = one["holds"]
        about = {"opens": one["opens"]}
        if holds == "absent":
            continue
        if holds in ("md", "md+fs"):
            about |= {"array": one["name"], "level": one["level"], "disks": one["disks"]}
            look.mirror(device, one["uuid"], inner=UUIDS[1] if holds == "md+fs" else "", **about)
        elif holds == "btrfs":
            label = one["name"].rpartition(":")[2]
            look.btrfs(device, one["uuid"], label=label, disks=one["disks"], devid=one["devid"], **about)
        elif holds == "partition":
            look.disk(device, parts={f"{device}1": looks.EMPTY}, **about)
        elif holds == "mounted":
            look.disk(device, wipefs=looks.captured("ext4", device), mountpoints=["/mnt"], **about)
        elif holds in looks.KINDS:
            look.disk(device, wipefs=looks.captured(holds, device), **about)
        else:
            look.disk(device, content="zero" if holds == "blank" else "5ca1ab1e", **about)
    for name, values in records.items():
        if values:
            look.record(name, **values)
    return look


def spec_of(pools: dict[str, Any], words: dict[str, str | None]) -> Nas:
    disks: dict[str, Any] = {name: {"id": f"ata-S-{device}"} for name, device in zip(NAMES, DEVICES, strict=True)}
    for name, word in words.items():
        if word:
            disks[name]["consent"] = word
    return Nas.model_validate({"disks": disks, "pools": pools})


def made(plan: Plan) -> list[tuple[str, str, list[str]]]:
    """Steps that write to disks as they are: their kind, and of their script what is beyond functions, and disks."""
    found = []
    for step in plan.steps:
        if step.kind in ("additive", "destructive"):
            script = step.command.partition("record=")[2]
            found.append(
                (step.kind, script, re.findall(r"\bsd[a-d]\b", " ".join(re.findall(r"^idle.*$", script, re.M))))
            )
    return found


@settings(max_examples=300, deadline=None)
@given(
    states=st.lists(state, min_size=4, max_size=4),
    pools=st.fixed_dictionaries({"tank": pool}, optional={"media": pool}),
    records=st.fixed_dictionaries({"tank": record, "media": record}),
    given_=st.fixed_dictionaries({name: consents for name in NAMES}),
)
def test_nothing_is_lost_that_was_not_let_go_of(
    states: list[dict[str, Any]],
    pools: dict[str, Any],
    records: dict[str, dict[str, str] | None],
    given_: dict[str, str | None],
) -> None:
    look = look_at(states, records)
    seen = look.seen
    words = {}
    for name, device in zip(NAMES, DEVICES, strict=True):
        word = given_[name]
        words[name] = consent.word(seen.disks[device]) if word == "offered" and device in seen.disks else word
        words[name] = None if words[name] == "offered" else words[name]
    plan = planned(look, spec_of(pools, words))
    event("refused" if plan.problems else " ".join(sorted({step.kind for step in plan.steps})))
    if plan.problems:
        return  # nothing of it is done
    valid = {consent.word(disk) for disk in seen.disks.values()} & set(filter(None, words.values()))
    half_made = {values["uuid"] for values in records.values() if values and values["state"] != "made"}
    for step in plan.steps:
        if step.kind == "destructive":
            assert step.consents and set(step.consents) <= valid
        else:
            assert not step.consents
    for kind, script, devices in made(plan):
        cleared = re.findall(r"^clear (sd[a-d])$", script, re.M)
        for device in devices:
            disk = seen.disks[device]
            member = disk.md or disk.btrfs
            own = member is not None and member.uuid in half_made
            assert disk.exclusive and not any(part.mounts or part.holders for part in disk.devices)
            assert (disk.is_blank and not disk.partitions) or own or (kind == "destructive" and device in cleared)
        for device in cleared:
            disk = seen.disks[device]
            member = disk.md or disk.btrfs
            own = member is not None and member.uuid in half_made
            assert own or consent.word(disk) in words.values()
    for step in plan.steps:
        for forbidden in (" --force", " -f ", "--run --create", "yes |", "--create --run"):
            assert forbidden not in step.command.partition("mdadm --create")[2].partition("\n")[0]
            assert forbidden not in step.command.partition("mkfs")[2].partition("\n")[0]


@settings(max_examples=100, deadline=None)
@given(states=st.lists(state, min_size=4, max_size=4), pools=st.fixed_dictionaries({"tank": pool}))
def test_without_consent_only_blank_disks_are_written_to(states: list[dict[str, Any]], pools: dict[str, Any]) -> None:
    look = look_at(states, {})
    seen = look.seen
    plan = planned(look, spec_of(pools, {}))
    assert all(step.kind != "destructive" for step in plan.steps)
    if not plan.problems:
        for _, _, devices in made(plan):
            assert devices and all(seen.disks[device].is_blank for device in devices)


@settings(max_examples=100, deadline=None)
@given(state, state)
def test_two_disks_have_one_consent_only_if_they_hold_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    absent = {**one, "holds": "absent"}
    first = look_at([one, absent, absent, absent], {}).seen.disks.get("sda")
    second = look_at([other, absent, absent, absent], {}).seen.disks.get("sda")
    if first is not None and second is not None:
        same = (consent.marks(first), consent.contents(first), [p.name for p in first.partitions]) == (
            consent.marks(second),
            consent.contents(second),
            [p.name for p in second.partitions],
        )
        assert (consent.word(first) == consent.word(second)) == same
