"""Whatever part of a look tells that a disk is not blank: no pool is made of it, and none gets it, without consent.

Of a disk's marks the test itself knows which let go of it, so that it is told of a plan that writes to too much, and of
one that refuses for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hypothesis import assume, event, given
from hypothesis import strategies as st

from homelab import storage
from homelab.model.levels import LEVELS, Level, level
from homelab.model.nas import Nas
from homelab.probe import HostProbe
from homelab.storage import consent, replace
from homelab.storage.situation import Wish
from homelab.storage.steps import Plan, Step
from tests import looks, marks
from tests.looks import Look
from tests.marks import FOREIGNERS, HELD, UNFIT, USED, Mark
from tests.sweeps import examples
from tests.unit.storage import (
    test_levels,
    test_luks,
    test_replace,
    test_replace_luks,
    test_replace_snapraid,
    test_replace_zfs,
    test_snapraid,
    test_zfs,
)
from tests.unit.storage.test_refusals import counted

DEVICES = ("sda", "sdb", "sdc", "sdd", "sde")
SNAPRAID = "snapraid"
# Each kind of pool, and those that may be encrypted that too.
KINDS = ("mdraid", "btrfs", "zfs", SNAPRAID, "mdraid encrypted", "btrfs encrypted")

# What was written of a disk: nothing, what lets go of it, the same used by either side, or what was for something else.
WORDS = ("none", "right", "right", "right", "used here", "used there", "cut", "before")


def levels_of(kind: str) -> list[Level]:
    return [each for each in LEVELS if each.kind == kind.split()[0]]


def spec(kind: str, name: str, words: Mapping[str, str]) -> Nas:
    """A NAS with a pool of this kind, on as many disks as its level needs, or four of snapraid."""
    count = 4 if kind == SNAPRAID else level(kind.split()[0], name).least
    disks = {f"d{number}": {"id": f"ata-S-{device}"} for number, device in enumerate(DEVICES[:count], 1)}
    for device, word in words.items():
        disks[f"d{DEVICES.index(device) + 1}"]["consent"] = word
    pool: dict[str, Any] = {"kind": kind.split()[0], "disks": list(disks)}
    if kind == SNAPRAID:
        pool |= {"disks": ["d1", "d2", "d3"], "parity": ["d4"]}
    else:
        pool["level"] = name
    if kind.endswith("encrypted"):
        pool["encryption"] = {"key": "env:KEY"}
    return Nas.model_validate({"disks": disks, "pools": {"tank": pool}})


def planned(look: Look, nas: Nas, used: frozenset[str] = frozenset()) -> Plan:
    return storage.plan("nas", nas, look.seen, HostProbe(), used, counted(), environment="attic")


def writing(steps: tuple[Step, ...]) -> list[Step]:
    return [step for step in steps if step.kind in ("additive", "destructive", "reshape")]


def cleared(steps: tuple[Step, ...]) -> list[str]:
    """The disks that steps clear, not what lies in the clear on one that is being encrypted."""
    return sorted(found for step in steps for found in re.findall(r"^clear (sd[a-z])$", step.command, re.M))


def told(look: Look, device: str) -> str:
    """The consent that lets go of what a disk holds now; none of one that is not there to be asked."""
    disk = look.seen.disks.get(device)
    return consent.word(disk) if disk is not None else ""


# What leaves in its place all that another mark has put on a disk.
BESIDE = tuple(each for each in (*USED, *UNFIT) if each.name not in ("open LUKS", "unread", "unreadable"))


@st.composite
def marked(draw: st.DrawFn, devices: tuple[str, ...]) -> dict[str, tuple[Mark, ...]]:
    """One disk with a mark, seldom several or none."""
    least = draw(st.sampled_from([1] * 8 + [0]))
    some = draw(st.lists(st.sampled_from(devices), min_size=least, max_size=min(2, len(devices)), unique=True))
    beside = st.just(()) | st.just(()) | st.tuples(st.sampled_from(BESIDE))
    one = st.sampled_from((HELD, USED, UNFIT, FOREIGNERS)).flatmap(st.sampled_from)
    return {device: (draw(one), *draw(beside)) for device in some}


def given_marks(look: Look, found: Mapping[str, tuple[Mark, ...]]) -> set[str]:
    """Put marks on disks; those disks of which no consent lets go."""
    kept = set()
    for device, several in found.items():
        for each in several:
            assume(marks.put(each, look, device))
        if not all(each.lost for each in several):
            kept.add(device)
    return kept


@examples(4)
@given(st.data())
def test_a_pool_is_made_of_blank_disks_and_of_what_was_let_go_of_and_of_nothing_else(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    name = "" if kind == SNAPRAID else data.draw(st.sampled_from(levels_of(kind))).name
    blank = spec(kind, name, {})
    here, look = DEVICES[: len(blank.disks)], Look()
    for device in here:
        look.disk(device)
    before = {device: told(look, device) for device in here}
    found = data.draw(marked(here))
    kept = given_marks(look, found)
    seen, words, used = look.seen, {}, set()
    for device in found:
        how = data.draw(st.sampled_from(WORDS))
        word = before[device] if how == "before" else told(look, device)
        if how != "none" and word:
            words[device] = word
        if how in ("used here", "cut"):
            look.line("consent", f"{word} {'done' if how == 'used here' else 'began {}'}")
        elif how == "used there":
            used.add(word)
        if how != "right":
            kept.add(device)
    plan = planned(look, spec(kind, name, words), frozenset(used))
    event("refused" if kept else "let go of" if found else "blank")
    assert bool(plan.problems) == bool(kept), (kept, plan.problems)
    if kept:
        return  # nothing of it is done
    steps = writing(plan.steps)
    assert steps and cleared(plan.steps) == sorted(found)
    assert {word for step in plan.steps for word in step.consents} == {told(look, device) for device in found}
    for step in plan.steps:
        assert (step.kind == "destructive") == bool(step.consents)
    for device in here:
        # Seen to be as it was seen, and blank by then, in the very command that writes to it.
        scripts = [
            step.command for step in steps if f"blank {device}" in step.command or f"make {device} " in step.command
        ]
        assert scripts and all(f"printed {device} {seen.disks[device].print} " in script for script in scripts)


def pool_of(kind: str, each: Level | None, works: bool) -> tuple[Look, Nas]:
    """A pool that is there, all of it or without its first disk, as one of snapraid always is, and how it is listed."""
    if kind == SNAPRAID:
        return test_replace_snapraid.without("d1"), test_snapraid.nas()
    if kind == "zfs":
        look = (test_replace_zfs.whole if works else test_replace_zfs.lost)(each)
        look.rows = [row for row in look.rows if row["kname"] != "sdf"]
        look.lines = [line for line in look.lines if not re.search(r"\bsdf\b|\bata-S-sdf\b", line)]
        return look, test_replace_zfs.of(each)
    if kind.endswith("encrypted"):
        plain = kind.split()[0]
        return (test_replace_luks.whole if works else test_replace_luks.lost)(plain), test_luks.nas(plain)
    return (test_replace.whole if works else test_replace.lost)(each), test_replace.spec(each)


@examples(4)
@given(st.data())
def test_a_pool_gets_a_blank_disk_or_what_was_let_go_of_and_nothing_else(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    encrypted = kind.endswith("encrypted")
    of = [each for each in levels_of(kind) if each.survives(each.least) > 0] if kind != SNAPRAID else [None]
    each = level(kind.split()[0], "raid1") if encrypted else data.draw(st.sampled_from(of))
    look, nas = pool_of(kind, each, works=data.draw(st.booleans()))
    new = "sdg"
    look.disk(new, size=looks.SIZE * 2 if encrypted else looks.SIZE)
    before = told(look, new)
    found = data.draw(marked((new,)))
    kept = given_marks(look, found)
    how = data.draw(st.sampled_from(WORDS)) if found else "none"
    word = before if how == "before" else told(look, new)
    used = frozenset({word} if how == "used there" else ())
    if how in ("used here", "cut"):
        look.line("consent", f"{word} {'done' if how == 'used here' else 'began {}'}")
    if found and how != "right":
        kept.add(new)
    wish = Wish("d1", f"ata-S-{new}", consent=word if how != "none" and word else None)
    plan = replace.plan("nas", nas, look.seen, test_zfs.LOADED, wish, used, environment="attic")
    event("refused" if kept else "let go of" if found else "blank")
    assert bool(plan.problems) == bool(kept), plan.problems
    if kept:
        assert plan.steps == ()
        return
    first, *_ = writing(plan.steps)
    assert cleared(plan.steps) == sorted(found)
    assert [step.consents for step in plan.steps if step.consents] == ([(word,)] if found else [])
    for step in plan.steps:
        assert (step.kind == "destructive") == bool(step.consents)
    assert f"printed {new} {look.seen.disks[new].print} " in first.command and f"blank {new}" in first.command
    others = "|".join(sorted(set(look.seen.disks) - {new}))
    for step in plan.steps:
        assert not re.search(rf"^(clear|blank|encrypt|idle) ({others})\b", step.command, re.M)


def there(kind: str, each: Level | None, runs: bool) -> tuple[Look, Nas, dict[str, str]]:
    """A pool that was made, how it is listed, and its record."""
    if each is None:
        return test_snapraid.whole(), test_snapraid.nas(), test_snapraid.noted()
    if kind == "zfs":
        look = test_zfs.pool(each.name, each.least)
        record = test_zfs.record(level=each.name, count=each.least)
        return test_zfs.runs(look, each.least) if runs else look, test_zfs.spec(each.name, each.least), record
    if kind.endswith("encrypted"):
        plain = kind.split()[0]
        look = test_luks.opened(plain) if runs else test_luks.locked(plain)
        if runs and plain == "mdraid":
            look.runs("md127", "dm-0", "dm-1", uuid=test_luks.U2)
        return look, test_luks.nas(plain), test_luks.NOTE[plain]
    look = test_levels.stands(each, runs=runs and kind == "mdraid")
    return look, test_levels.spec(each), test_levels.noted(each)


@examples(3)
@given(st.data())
def test_a_pool_that_is_there_is_never_made_again(data: st.DataObject) -> None:
    """Whatever has come to one of its disks, though that be let go of, and also where its record is lost."""
    kind = data.draw(st.sampled_from(KINDS))
    of = [each for each in levels_of(kind) if each.least > 1]
    if kind.endswith("encrypted"):
        of = [level(kind.split()[0], "raid1")]
    each = None if kind == SNAPRAID else data.draw(st.sampled_from(of))
    look, nas, record = there(kind, each, runs=data.draw(st.booleans()))
    if data.draw(st.booleans()):
        look.record(next(iter(nas.pools)), **record)
    some = list(data.draw(marked(tuple(sorted(look.seen.disks)))).items())[:1]
    given_marks(look, dict(some))
    listed = dict(nas.disks)
    for device, _ in some:
        name = next(name for name, disk in listed.items() if disk.id == f"ata-S-{device}")
        listed[name] = listed[name].model_copy(update={"consent": told(look, device) or None})
    plan = planned(look, nas.model_copy(update={"disks": listed}))
    event("refused" if plan.problems else "taken")
    assert plan.problems or (plan.steps and not writing(plan.steps))
