"""Another disk in a pool of ZFS: guarded as any that joins, and in the place that is meant."""

from __future__ import annotations

import re
from typing import Any

import pytest

from homelab.model.levels import Level
from homelab.model.nas import Nas
from homelab.probe import FileState
from homelab.storage.records import Record
from tests import looks
from tests.looks import Look
from tests.sound_shell import assert_sound, parses, telling
from tests.unit.storage.test_refusals import told
from tests.unit.storage.test_replace import lines, wished, writes
from tests.unit.storage.test_zfs import DISKS, GUID, LEAVES, LOADED, MARK, OWN, ZFS, every, planned, pool, record, spec
from tests.unit.storage.test_zfs import runs as running

RAIDZ2 = next(each for each in ZFS if each.name == "raidz2")


def lost(each: Level, *, gone: tuple[str, ...] = ("sda",), runs: bool = True, **states: str) -> Look:
    """A pool that lacks its first disk, or others, with a blank one beside it."""
    count = each.least
    look = pool(each.name, count, without=gone).record("tank", **record(level=each.name, count=count)).disk("sdf")
    away = {f"_{LEAVES[DISKS.index(name)]}": "UNAVAIL" for name in gone}
    return running(look, count, "DEGRADED", **(away | states)) if runs else look


def whole(each: Level, **values: Any) -> Look:
    look = pool(each.name, each.least).record("tank", **record(level=each.name, count=each.least)).disk("sdf")
    return running(look, each.least, **values)


def of(each: Level) -> Nas:
    return spec(each.name, each.least)


@every
def test_a_dead_disk_is_built_anew(each: Level) -> None:
    found = wished(lost(each), of(each))
    assert lines(found) == ""
    (script,) = writes(found)
    assert "gone='101'\n" in script and 'zpool replace "$name" "$gone" "$at" </dev/null' in script
    guarded = [script.index(line) for line in ("same ata-S-sdf sdf ", "idle sdf; blank sdf\n", "zpool replace")]
    assert guarded == sorted(guarded)
    kinds = [step.kind for step in found.steps]
    # It joins, is waited for, the pool is seen to be whole, which is noted, and then all of it is read.
    assert kinds == ["additive", "config", "config", "config", "config"]
    assert "disk.d1=S-sdf" in (found.steps[3].file.content if found.steps[3].file else "")
    assert "zpool scrub" in found.steps[4].command


@every
def test_a_disk_that_works_is_copied_and_the_pool_lacks_none_meanwhile(each: Level) -> None:
    found = wished(whole(each), of(each))
    assert lines(found) == "" and "beside d1" in found.steps[0].says
    assert "gone='101'\n" in writes(found)[0]


@every
def test_a_pool_that_is_not_there_is_imported_first_without_the_dead_one(each: Level) -> None:
    found = wished(lost(each, runs=False), of(each))
    assert lines(found) == "" and found.steps[0].says == "import tank without d1"
    assert re.findall(r'-d "\$\(stays (\S+)\)"', found.steps[0].command) == [f"{n}1" for n in DISKS[1 : each.least]]
    # With the disk that works unseen, nobody can tell how the others are.
    there = pool(each.name, each.least).record("tank", **record(level=each.name, count=each.least)).disk("sdf")
    assert "is not imported, so how its disks are cannot be told" in lines(wished(there, of(each)))


def test_what_left_earlier_is_not_imported_to_build_a_disk_from() -> None:
    mirror = ZFS[0]
    look = lost(mirror, runs=False).line("kept", GUID, 101)
    assert "d2 left it before it last ran, and what is newer is on d1" in lines(wished(look, of(mirror)))


def test_of_several_dead_disks_the_one_that_is_meant_leaves() -> None:
    two = lost(RAIDZ2, gone=("sda", "sdb"))
    # The pool knows each by the name that it had.
    for disk, guid in (("d1", 101), ("d2", 102)):
        look = lost(RAIDZ2, gone=("sda", "sdb"))
        look.lines = [
            line.replace(f"disk.{disk}=S-{DISKS[guid - 101]}", f"disk.{disk}=S-{guid}") for line in look.lines
        ]
        assert f"gone='{guid}'\n" in writes(wished(look, of(RAIDZ2), disk=disk))[0]
    assert "gone='101'\n" in writes(wished(two, of(RAIDZ2)))[0]


@every
def test_one_that_is_being_built_is_waited_for(each: Level) -> None:
    count = each.least
    look = Look().line("zfs", "hostid", OWN)
    about = {"level": each.name, "replacing": 200, "txg": 500}
    leaves = (*LEAVES[1:count], LEAVES[0])
    for name, own in zip(DISKS[1:count], LEAVES[1:count], strict=True):
        look.zfs(name, GUID, leaves, own, **about)
    look.zfs("sdf", GUID, leaves, 200, **about).line("listed", "ata-S-sda", "")
    look.record("tank", **record(level=each.name, count=count))
    running(look, count, "DEGRADED", "resilver in progress since today", _101="UNAVAIL", _200="ONLINE")
    found = wished(look, of(each))
    assert lines(found) == "" and writes(found) == []
    assert found.steps[0].says.startswith("wait until /dev/sdf") and "gone='101'\n" in found.steps[0].poll


@every
def test_what_is_done_is_done(each: Level) -> None:
    count = each.least
    leaves = (200, *LEAVES[1:count])
    look = Look().line("zfs", "hostid", OWN).line("listed", "ata-S-sda", "")
    for name, own in zip(("sdf", *DISKS[1:count]), leaves, strict=True):
        look.zfs(name, GUID, leaves, own, level=each.name)
    serials = {"d1": "S-sdf"} | {f"d{number}": f"S-{name}" for number, name in enumerate(DISKS[1:count], 2)}
    after = Record("tank", "zfs", each.name, str(GUID), "zfs", MARK, serials)
    look.record("tank", **record(level=each.name, count=count) | {"disk.d1": "S-sdf"})
    look.zpool(GUID, **{f"_{leaf}": "ONLINE" for leaf in leaves})
    files = {after.file.path: FileState("file", after.file.mode, "root:root", after.file.sha256)}
    found = wished(look, of(each), probe=LOADED.__class__(files=files))
    assert lines(found) == "" and [step.kind for step in found.steps] == ["noop", "config"]
    # And a deploy with the old disk in the inventory says so.
    assert "lacks none: in its place is the disk with the serial S-sdf" in told(planned(look, of(each)))


@pytest.mark.parametrize("held", looks.KINDS)
def test_a_new_disk_that_holds_something_is_refused_and_let_go_of_by_consent(held: str) -> None:
    def look() -> Look:
        made = pool(without=("sda",)).record("tank", **record())
        return running(made.disk("sdf", wipefs=looks.captured(held, "sdf")), 2, "DEGRADED", _101="UNAVAIL")

    refused = wished(look(), spec())
    (word,) = re.findall(r"--data consent=([0-9a-f]{16})", lines(refused))
    found = wished(look(), spec(), consent=word)
    assert lines(found) == ""
    (step,) = [step for step in found.steps if step.kind == "destructive"]
    assert step.consents == (word,) and step.command.index("clear sdf") < step.command.index("zpool replace")


@pytest.mark.parametrize(
    ("look", "words"),
    [
        (lost(RAIDZ2, gone=("sda", "sdb", "sdc")), "and raidz2 of 4 survives 2"),
        (whole(RAIDZ2, scan="resilver in progress since today"), "one of its disks is being written; wait until"),
        (whole(RAIDZ2, health="DEGRADED", _102="FAULTED"), "d2 is not up to date; replace or mend that first"),
    ],
)
def test_why_nothing_can_be_replaced(look: Look, words: str) -> None:
    found = wished(look, of(RAIDZ2))
    assert words in lines(found) and found.steps == ()


def test_a_new_disk_that_is_too_small() -> None:
    look = pool(without=("sda",)).record("tank", **record()).disk("sdf", size=600 << 20)
    assert "and 1550 are needed; take a larger one" in lines(wished(running(look, 2, "DEGRADED"), spec()))


def test_a_wrong_id_is_not_taken_for_a_dead_disk() -> None:
    """All of the pool's disks are there, and the one that is listed is none of them."""
    look = pool().record("tank", **record()).disk("sdf")
    listed = spec().model_dump(exclude_none=True)
    listed["disks"]["d1"]["id"] = "ata-S-sdz"
    listed["disks"] = {**listed["disks"], "d3": {"id": "ata-S-sda"}}
    look.line("listed", "ata-S-sdz", "")
    found = wished(running(look), Nas.model_validate(listed))
    assert "lacks no disk, and ata-S-sdz is none of it; correct the id of d1, whose serial was S-sda" in lines(found)
    assert found.steps == ()


def scripts() -> dict[str, str]:
    found = {}
    for what, look in (("dead", lost(RAIDZ2)), ("works", whole(RAIDZ2)), ("down", lost(RAIDZ2, runs=False))):
        for number, step in enumerate(wished(look, of(RAIDZ2)).steps):
            for part, text in (("command", step.command), ("poll", step.poll)):
                if text:
                    found[f"{what}-{number}-{part}"] = text
    return found


SCRIPTS = scripts()
TELLING = telling(SCRIPTS)


@pytest.mark.parametrize("name", TELLING)
def test_a_script_is_sound_shell(name: str) -> None:
    assert_sound(TELLING[name], "SC2034", "SC2154")


def test_every_script_is_parsed() -> None:
    assert [name for name, script in SCRIPTS.items() if not parses(script)] == []


def test_no_script_forces_anything() -> None:
    for script in SCRIPTS.values():
        assert not re.search(r"\bzpool [a-z]+( -\S+)* -[a-z]*[fF]\b|--force|yes \|", script)
