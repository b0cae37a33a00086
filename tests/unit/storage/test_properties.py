"""Whatever is listed and seen: nothing is lost without consent, and nothing is made on a disk that is not blank."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from homelab.model.levels import LEVELS, Level
from homelab.model.nas import Nas
from homelab.storage import consent
from homelab.storage.seen import DiskSeen
from homelab.storage.steps import Plan
from tests import looks
from tests.looks import Look
from tests.sweeps import examples
from tests.unit.storage.test_refusals import planned

UUIDS = ("11111111-2222-4333-8444-555555555555", "66666666-7777-4888-9999-aaaaaaaaaaaa")
GUIDS = ("1234567890123456789", "9876543210987654321")
NAMES = ("d1", "d2", "d3", "d4", "d5")
DEVICES = ("sda", "sdb", "sdc", "sdd", "sde")

STATES = ("blank", "data", "absent", "partition", "md", "md+fs", "btrfs", "zfs", "begun", "mounted", *looks.KINDS)
# Encrypted: locked, with no slot yet, and open with noise, a member or something else in the clear.
LUKS = ("locked", "slotless", "noise", "luks+md", "luks+md+fs", "luks+btrfs", "luks+ext4")
# Weighted, or most examples would be refused for one of their disks and prove little.
HOLDS = st.sampled_from(("blank",) * 8 + ("md", "md+fs", "btrfs", "zfs", "begun") * 3 + LUKS * 2 + STATES)
HEADERS = tuple(f"{number:08d}-7777-4888-9999-aaaaaaaaaaaa" for number in range(5))
state = st.fixed_dictionaries(
    {
        "holds": HOLDS,
        "uuid": st.sampled_from((*UUIDS, UUIDS[0], UUIDS[0])),
        "name": st.sampled_from(["any:tank", "any:media", "tank", "x"]),
        "opens": st.sampled_from([True] * 9 + [False]),
        "level": st.sampled_from([1, 1, 5, 6, 10, 0]),
        "profile": st.sampled_from(["RAID1", "RAID1", "RAID1C3", "RAID10", ""]),
        "disks": st.sampled_from([2, 2, 3, 4]),
        "zfs": st.sampled_from(["mirror", "mirror", "raidz1", "raidz2"]),
        "comment": st.sampled_from(["", *(uuid.replace("-", "") for uuid in UUIDS)]),
        "devid": st.sampled_from([1, 2, 3, 4]),
        "label": st.sampled_from(["", "homelab-tank", "homelab-media"]),
    }
)
consents = st.none() | st.just("offered") | st.just("offered") | st.from_regex(r"[0-9a-f]{16}", fullmatch=True)


@st.composite
def pools_of(draw: st.DrawFn, level: Level) -> dict[str, Any]:
    counts = [count for count in range(level.least, len(NAMES) + 1) if not (level.pairs and count % 2)]
    count = draw(st.sampled_from([counts[0], *counts]))
    found = {
        "kind": level.kind,
        "level": level.name,
        "disks": draw(st.lists(st.sampled_from(NAMES), min_size=count, max_size=count, unique=True)),
    }
    zfs = level.kind == "zfs"
    uuid = draw(st.sampled_from((None, None, *(GUIDS if zfs else UUIDS))))
    encryption = None if zfs else draw(st.sampled_from((None, {"key": "env:KEY"}, {"key": "env:KEY"})))
    found |= {"encryption": encryption} if encryption else {}
    return found | ({"uuid": uuid} if uuid else {})


pool = st.sampled_from(LEVELS).flatmap(pools_of)
record = (
    st.none()
    | st.none()
    | st.fixed_dictionaries(
        {
            "uuid": st.sampled_from((*UUIDS, GUIDS[0])),
            "filesystem_uuid": st.sampled_from(UUIDS),
            "kind": st.sampled_from(["mdraid", "btrfs", "zfs"]),
            "level": st.sampled_from(["raid1", "raid1", "mirror", *(level.name for level in LEVELS)]),
            "filesystem": st.sampled_from(["ext4", "xfs", "btrfs", "zfs"]),
            "state": st.sampled_from(["making", "formatting", "made"]),
        },
        optional={f"luks.{name}": st.just(header) for name, header in zip(NAMES, HEADERS, strict=True)}
        | {f"disk.{name}": st.just(f"S-{device}") for name, device in zip(NAMES, DEVICES, strict=True)},
    )
)


def look_at(states: list[dict[str, Any]], records: dict[str, dict[str, str] | None]) -> Look:
    look = Look()
    for number, (device, one) in enumerate(zip(DEVICES, states, strict=True)):
        holds, header = one["holds"], HEADERS[number]
        about = {"opens": one["opens"]}
        if holds == "absent":
            continue
        if holds in ("md", "md+fs"):
            about |= {"array": one["name"], "level": one["level"], "disks": one["disks"]}
            look.mirror(device, one["uuid"], inner=UUIDS[1] if holds == "md+fs" else "", **about)
        elif holds in LUKS:
            look.luks(device, header, label=one["label"], slots=holds != "slotless")
            on = (device, f"dm-{number}", header)
            array = {"array": one["name"], "level": one["level"], "disks": one["disks"], "opens": one["opens"]}
            if holds in ("luks+md", "luks+md+fs"):
                look.mirror(on[1], one["uuid"], on=on, inner=UUIDS[1] if holds == "luks+md+fs" else "", **array)
            elif holds == "luks+btrfs":
                look.btrfs(on[1], one["uuid"], on=on, disks=one["disks"], devid=one["devid"])
            elif holds not in ("locked", "slotless"):
                printed = looks.EMPTY if holds == "noise" else looks.captured("ext4", on[1])
                look.opened(*on, wipefs=printed, opens=one["opens"])
        elif holds == "btrfs":
            label = one["name"].rpartition(":")[2]
            look.btrfs(
                device, one["uuid"], label=label, disks=one["disks"], devid=one["devid"], data=one["profile"], **about
            )
        elif holds in ("zfs", "begun"):
            leaves = tuple(range(101, 101 + one["disks"]))
            of = {"level": one["zfs"], "comment": one["comment"], "pool": one["name"].rpartition(":")[2]}
            guid = int(GUIDS[UUIDS.index(one["uuid"])])
            look.zfs(device, guid, leaves, 100 + one["devid"], begun=holds == "begun", **of, **about)
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


def test_a_member_of_an_encrypted_pool_is_never_in_the_clear() -> None:
    """What a pool is made of, where it is listed as encrypted, lies on what is encrypted in the same plan."""
    encrypted = {"kind": "btrfs", "level": "raid1", "disks": ["d1", "d2"], "encryption": {"key": "env:KEY"}}
    blank = {"holds": "blank", "opens": True}
    for kind in ("mdraid", "btrfs"):
        plan = planned(look_at([blank] * len(NAMES), {}), spec_of({"tank": {**encrypted, "kind": kind}}, {}))
        joins = [
            line
            for step in plan.steps
            for line in step.command.splitlines()
            if line.startswith(("mdadm --create", "mkfs.btrfs"))
        ]
        assert joins and all("/dev/mapper/luks-" in line and "/dev/sd" not in line for line in joins)


def spec_of(pools: dict[str, Any], words: dict[str, str | None]) -> Nas:
    disks: dict[str, Any] = {name: {"id": f"ata-S-{device}"} for name, device in zip(NAMES, DEVICES, strict=True)}
    for name, word in words.items():
        if word:
            disks[name]["consent"] = word
    return Nas.model_validate({"disks": disks, "pools": pools})


def cleared(script: str) -> list[str]:
    """Disks that a script clears, and what lies in the clear on encrypted ones."""
    return re.findall(r"^clear (\S+)$", script, re.M)


def begun(disk: DiskSeen) -> bool:
    """Whether nothing but a zpool that never was one is on a disk."""
    return any(part.begun for part in disk.partitions) and not any(part.zfs for part in disk.partitions)


def made(plan: Plan) -> list[tuple[str, str, list[str]]]:
    """Steps that write to disks as they are: their kind, and of their script what is beyond functions, and disks."""
    found: list[tuple[str, str, list[str]]] = []
    for step in plan.steps:
        if step.kind in ("additive", "destructive"):
            script = step.command.partition("record=")[2] + step.command.rpartition("\nkey=")[2]
            found.append(
                (step.kind, script, re.findall(r"\bsd[a-e]\b", " ".join(re.findall(r"^idle.*$", script, re.M))))
            )
    return found


@examples(3)
@given(
    states=st.lists(state, min_size=5, max_size=5),
    pools=st.fixed_dictionaries({"tank": pool}, optional={"media": pool}),
    records=st.fixed_dictionaries({"tank": record, "media": record}),
    given_=st.fixed_dictionaries({name: consents for name in NAMES}),
    noted=st.fixed_dictionaries({name: st.sampled_from(("", "", "", "began {}", "done")) for name in NAMES}),
)
def test_nothing_is_lost_that_was_not_let_go_of(
    states: list[dict[str, Any]],
    pools: dict[str, Any],
    records: dict[str, dict[str, str] | None],
    given_: dict[str, str | None],
    noted: dict[str, str],
) -> None:
    look = look_at(states, records)
    seen = look.seen
    words = {}
    for name, device in zip(NAMES, DEVICES, strict=True):
        word = given_[name]
        words[name] = consent.word(seen.disks[device]) if word == "offered" and device in seen.disks else word
        words[name] = None if words[name] == "offered" else words[name]
        if words[name] and noted[name]:
            look.line("consent", f"{words[name]} {noted[name]}")
    plan = planned(look, spec_of(pools, words))
    event("refused" if plan.problems else " ".join(sorted({step.kind for step in plan.steps})))
    if plan.problems:
        return  # nothing of it is done
    valid = {consent.word(disk) for disk in seen.disks.values()} & set(filter(None, words.values()))
    unfinished = [values for values in records.values() if values and values["state"] != "made"]
    half_made = {values["uuid"] for values in unfinished}
    serials = {value for values in unfinished for key, value in values.items() if key.startswith("disk.")}
    headers = {value for values in unfinished for key, value in values.items() if key.startswith("luks.")}
    for step in plan.steps:
        if step.kind == "destructive":
            assert step.consents and set(step.consents) <= valid - set(look.seen.consents)
        else:
            assert not step.consents
    for kind, script, devices in made(plan):
        lost, encrypted = cleared(script), dict(re.findall(r"encrypt (sd[a-e]) (\S+)$", script, re.M))
        for device in devices:
            disk = seen.disks[device]
            own = disk.md is not None and disk.md.uuid in half_made
            own = own or (disk.luks is not None and disk.luks.uuid in headers and not disk.luks.slots)
            own = own or (begun(disk) and disk.serial in serials and device in lost)
            assert disk.exclusive and not any(part.mounts or part.holders for part in disk.devices)
            assert (disk.is_blank and not disk.partitions) or own or (kind == "destructive" and device in lost)
        for device in lost:
            if device.startswith("mapper/"):
                # Noise: of this very run, or of ours that was cut, before anybody could use it.
                header = device.removeprefix("mapper/luks-")
                (disk,) = [each for each in seen.disks.values() if each.luks and each.luks.uuid == header] or [None]
                noise = disk is not None and disk.opened is not None and disk.opened.signatures == ()
                inner = disk.opened.md if disk is not None and disk.opened is not None else None
                half = inner is not None and inner.uuid in half_made
                assert header in encrypted.values() or (header in headers and (noise or half)) or kind == "destructive"
                continue
            disk = seen.disks[device]
            own = disk.md is not None and disk.md.uuid in half_made
            own = own or (disk.luks is not None and disk.luks.uuid in headers and not disk.luks.slots)
            own = own or (begun(disk) and disk.serial in serials)
            assert own or consent.word(disk) in words.values()
        for device in encrypted:
            disk = seen.disks[device]
            assert disk.opened is None and (disk.luks is None or not disk.luks.slots or device in lost)
    for step in plan.steps:
        assert not re.search(r"\bzpool [a-z]+( -\S+)* -[a-z]*[fF]\b", step.command)
        for forbidden in (" --force", " -f ", "--run --create", "yes |", "--create --run"):
            assert forbidden not in step.command.partition("mdadm --create")[2].partition("\n")[0]
            assert forbidden not in step.command.partition("mkfs")[2].partition("\n")[0]


@given(states=st.lists(state, min_size=5, max_size=5), pools=st.fixed_dictionaries({"tank": pool}))
def test_without_consent_only_blank_disks_are_written_to(states: list[dict[str, Any]], pools: dict[str, Any]) -> None:
    look = look_at(states, {})
    seen = look.seen
    plan = planned(look, spec_of(pools, {}))
    assert all(step.kind != "destructive" for step in plan.steps)
    if not plan.problems:
        encrypted = {
            uuid for _, script, _ in made(plan) for uuid in re.findall(r"encrypt sd[a-e] (\S+)$", script, re.M)
        }
        for _, script, devices in made(plan):
            inside = set(re.findall(r"^idle mapper/luks-([0-9a-f-]+)", script, re.M))
            assert devices or inside
            assert all(seen.disks[device].is_blank for device in devices) and inside <= encrypted


@given(state, state)
def test_two_disks_have_one_consent_only_if_they_hold_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    absent = {**one, "holds": "absent"}
    first = look_at([one, *[absent] * 4], {}).seen.disks.get("sda")
    second = look_at([other, *[absent] * 4], {}).seen.disks.get("sda")
    if first is not None and second is not None:
        same = (consent.marks(first), consent.contents(first), [p.name for p in first.partitions]) == (
            consent.marks(second),
            consent.contents(second),
            [p.name for p in second.partitions],
        )
        assert (consent.word(first) == consent.word(second)) == same
