"""Another disk under an encrypted pool: encrypted by the pool's own key before the pool gets it, and never in clear."""

from __future__ import annotations

from dataclasses import replace as but
from typing import Any

import pytest

from homelab.probe import FileState, HostProbe
from homelab.storage import crypttab, replace, replace_luks
from homelab.storage.records import Record
from homelab.storage.records import read as read_record
from homelab.storage.replace import Replacement
from homelab.storage.situation import Wish
from tests import looks
from tests.looks import Look
from tests.unit.storage.test_luks import L1, L2, L3, NOTE, called, inside, nas
from tests.unit.storage.test_refusals import KINDS, U1, U2
from tests.unit.storage.test_refusals import nas as plain

# The captured superblocks need all of a disk, and LUKS takes its part.
NEW = looks.SIZE * 2
OTHER = "99999999-2222-4333-8444-555555555555"


def record(kind: str = "mdraid") -> Record:
    found = read_record("tank", NOTE[kind])
    assert found is not None
    return found


def fresh(kind: str = "mdraid") -> str:
    """The UUID of the LUKS header that the disk sdf gets in that pool."""
    return replace_luks.uuid_of(record(kind), Look().disk("sdf", size=NEW).seen.disks["sdf"])


def lost(kind: str, **values: Any) -> Look:
    """The pool without its first disk, its second one open."""
    look = inside(Look().luks("sdb", L2), kind, "sdb", "dm-1", L2, **values)
    if kind == "mdraid":
        look.runs("md127", "dm-1", uuid=U2, degraded="1")
    return look.record("tank", **NOTE[kind])


def whole(kind: str) -> Look:
    look = Look().luks("sda", L1).luks("sdb", L2)
    look = inside(inside(look, kind, "sda", "dm-0", L1), kind, "sdb", "dm-1", L2)
    if kind == "mdraid":
        look.runs("md127", "dm-0", "dm-1", uuid=U2)
    return look.record("tank", **NOTE[kind])


def wished(look: Look, kind: str = "mdraid", probe: HostProbe | None = None, **values: Any) -> Replacement:
    spec = values.pop("spec", None) or nas(kind)
    wish = Wish(values.pop("disk", "d1"), values.pop("new", "ata-S-sdf"), consent=values.pop("consent", None))
    return replace.plan("nas", spec, look.seen, probe or HostProbe(), wish, frozenset(), environment="attic")


def says(found: Replacement) -> list[tuple[str, str]]:
    return [(step.kind, step.says) for step in found.steps]


def lines(found: Replacement) -> str:
    return "\n".join(map(str, found.problems))


def script(found: Replacement, word: str) -> str:
    """The script of the first step whose sentence has this word, without the functions that all of them have."""
    return next(step.command for step in found.steps if word in step.says).rpartition("record=")[2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("works", [True, False])
def test_it_is_opened_at_boot_then_encrypted_and_then_joins(kind: str, works: bool) -> None:
    look = (whole(kind) if works else lost(kind)).disk("sdf", size=NEW)
    found = wished(look, kind)
    assert lines(found) == ""
    uuid, told = fresh(kind), says(found)
    assert told[0] == ("config", "open the disks of tank at boot, by /etc/crypttab")
    assert told[1] == ("additive", "encrypt /dev/sdf (serial S-sdf) with LUKS for tank")
    # A run that finds the new record has nothing left to do, so it is written after all of this.
    noted = next(at for at, step in enumerate(found.steps) if step.file is not None)
    assert told[noted - 2 : noted] == [told[0], ("config", "lock d1, which is none of tank any more")]
    assert [step.says for step in found.steps[noted + 1 :]] == (["read all of tank once"] if kind == "btrfs" else [])
    assert [kind for kind, _ in told].count("destructive") == 0
    encrypt = script(found, "encrypt")
    order = ['opens sdb "$key" || stop', "idle sdf\n", "printed sdf", f"blank sdf; encrypt sdf {uuid}"]
    order += [f"unlock sdf {uuid}", f"clear mapper/luks-{uuid}", f"copy sdf {uuid}"]
    places = [encrypt.index(each) for each in order]
    assert places == sorted(places)
    # The pool's record is never said to be in the making: its disks are full.
    assert "note making" not in encrypt
    joins = [step.command for step in found.steps if f"mapped mapper/luks-{uuid} {uuid} sdf" in step.command]
    assert len(joins) == 1 and f"idle mapper/luks-{uuid}; blank mapper/luks-{uuid}\n" in joins[0]
    assert all("/dev/sdf" not in each.partition("record=")[2] for each in joins)


@pytest.mark.parametrize("kind", KINDS)
def test_the_record_and_crypttab_follow(kind: str) -> None:
    look = (
        lost(kind)
        .disk("sdf", size=NEW)
        .record("media", **{**NOTE["mdraid"], "uuid": OTHER, "luks.d1": L3, "luks.d2": ""})
    )
    found = wished(look, kind)
    (noted,) = [step.file for step in found.steps if step.file is not None]
    after = read_record("tank", dict(line.split("=", 1) for line in noted.content.splitlines()))
    assert after is not None
    assert after.luks == {"d1": fresh(kind), "d2": L2} and after.serials == {"d1": "S-sdf", "d2": "S-sdb"}
    tables = [step.command for step in found.steps if "crypttab" in step.says]
    assert [[uuid in each for uuid in (L1, L2, L3, fresh(kind))] for each in tables] == [
        [True, True, True, True],
        [False, True, True, True],
    ], "the other pool's disk is opened at boot before and after"
    media = read_record("media", look.seen.records["media"])
    assert media is not None
    assert crypttab.lines((media, after)) in tables[-1].replace("'\"'\"'", "'")


@pytest.mark.parametrize("works", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_right_header_is_forgotten_where_names_changed_places_since_the_last_deploy(kind: str, works: bool) -> None:
    look = (whole(kind) if works else lost(kind)).disk("sdf", size=NEW)
    found = wished(look, kind, disk="d2", spec=called({"d2": "ata-S-sda", "d1": "ata-S-sdb"}, kind=kind))
    assert lines(found) == ""
    (noted,) = [step.file for step in found.steps if step.file is not None]
    after = read_record("tank", dict(line.split("=", 1) for line in noted.content.splitlines()))
    assert after is not None
    assert after.luks == {"d2": fresh(kind), "d1": L2} and after.serials == {"d2": "S-sdf", "d1": "S-sdb"}
    last = [step.command for step in found.steps if "crypttab" in step.says][-1]
    assert L1 not in last and L2 in last and fresh(kind) in last


def test_which_of_two_absent_disks_is_replaced_is_known_or_told_of() -> None:
    noted = {
        **NOTE["mdraid"],
        "level": "raid6",
        "disk.d3": "S-sdc",
        "disk.d4": "S-sdd",
        "luks.d3": L3,
        "luks.d4": OTHER,
    }
    look = Look().luks("sda", L1).luks("sdb", L2).record("tank", **noted).disk("sdf", size=NEW)
    spec = called({"d1": "ata-S-sda", "d2": "ata-S-sdb", "e": "wwn-0x5", "f": "wwn-0x6"}, "raid6")
    assert "nas.disks.f: no disk is wwn-0x6, and which of d3 and d4 it was" in lines(wished(look, disk="e", spec=spec))


def test_udev_looks_again_at_all_disks_before_a_btrfs_is_mounted() -> None:
    found = wished(lost("btrfs").disk("sdf", size=NEW), "btrfs")
    (home,) = [step.command for step in found.steps if step.says == "mount tank at /srv/tank again"]
    assert (
        home.index("umount ")
        < home.index(f"\nawake {record('btrfs').filesystem_uuid}\n")
        < home.index("systemctl start")
    )


def test_the_kernels_name_of_a_mapping_is_asked_for_when_it_is_there() -> None:
    found = wished(whole("mdraid").disk("sdf", size=NEW))
    names = f'new="$(kernel mapper/luks-{fresh()})" old="$(kernel mapper/luks-{L1})"\n'
    scripts = [step.command + step.poll for step in found.steps if "kernel mapper" in step.command + step.poll]
    assert len(scripts) == 3 and all(names in each for each in scripts)


def test_what_is_on_the_new_disk_is_let_go_of_by_consent_only() -> None:
    look = lost("mdraid").disk("sdf", size=NEW, wipefs=looks.captured("ext4", "sdf"))
    refused = wished(look)
    assert "holds ext4" in lines(refused) and refused.steps == ()
    word = lines(refused).rpartition("--data consent=")[2][:16]
    found = wished(look, consent=word)
    assert lines(found) == ""
    assert [step.says for step in found.steps if step.consents == (word,)] == [
        "clear /dev/sdf (serial S-sdf), and encrypt /dev/sdf (serial S-sdf) with LUKS for tank"
    ]
    assert [kind for kind, _ in says(found)].count("destructive") == 1
    encrypt = script(found, "encrypt")
    assert encrypt.index('opens sdb "$key"') < encrypt.index("clear sdf\n") < encrypt.index("encrypt sdf")


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_was_cut_goes_on(kind: str) -> None:
    uuid = fresh(kind)
    half = wished(lost(kind).luks("sdf", uuid, size=NEW, slots=False), kind)
    assert lines(half) == "" and f"only sdf {uuid}" in script(half, "encrypt") and "slotless sdf" in script(half, "enc")
    empty = wished(lost(kind).luks("sdf", uuid, size=NEW).opened("sdf", "dm-2", uuid), kind)
    assert lines(empty) == ""
    assert "encrypt sdf" not in script(empty, "encrypt") and f"clear mapper/luks-{uuid}" in script(empty, "encrypt")
    joined = lost(kind).luks("sdf", uuid, size=NEW)
    inside(joined, kind, "sdf", "dm-2", uuid)
    going = wished(joined, kind)
    assert lines(going) == "" and not [told for _, told in says(going) if "encrypt" in told]


def test_one_that_is_locked_or_used_is_refused_in_one_line() -> None:
    uuid = fresh()
    locked = wished(lost("mdraid").luks("sdf", uuid, size=NEW))
    (line,) = lines(locked).splitlines()
    assert "was encrypted for tank, and is locked" in line and f"luks-{uuid}` there, and this again" in line
    look = lost("mdraid").luks("sdf", uuid, size=NEW)
    used = wished(look.opened("sdf", "dm-2", uuid, wipefs=looks.captured("ext4", "dm-2")))
    (line,) = lines(used).splitlines()
    assert "is used or holds ext4" in line
    for found in (locked, used):
        assert found.steps == ()


def test_a_disk_of_another_encrypted_pool_is_refused_whatever_is_consented_to() -> None:
    theirs = {**NOTE["mdraid"], "uuid": OTHER, "luks.d1": L3}
    found = wished(lost("mdraid").luks("sdf", L3, size=NEW).record("media", **theirs), consent="0" * 16)
    assert "/dev/sdf belongs to the pool media; write another disk" in lines(found) and found.steps == ()


def test_disks_that_stay_have_to_be_open() -> None:
    look = Look().luks("sda", L1).luks("sdb", L2).record("tank", **NOTE["mdraid"]).disk("sdf", size=NEW)
    found = wished(look)
    (line,) = lines(found).splitlines()
    assert (
        "disks.d2: is locked; run `HOMELAB_ENV=attic pyinfra inventory deploys/nas.py` first" in line
        and found.steps == ()
    )


def test_a_disk_without_room_for_the_header_too_is_too_small() -> None:
    found = wished(lost("mdraid").disk("sdf", size=looks.SIZE + (8 << 20)))
    assert "/dev/sdf (serial S-sdf) has 2040 MiB, and 2048 are needed" in lines(found) and found.steps == ()


def test_an_encrypted_pool_is_listed_as_one_and_a_plain_one_is_not() -> None:
    found = wished(lost("mdraid").disk("sdf", size=NEW), spec=plain())
    assert lines(found) == "nas.pools.tank.encryption: is there encrypted; list it as it is"
    bare = {key: value for key, value in NOTE["mdraid"].items() if not key.startswith("luks.")}
    found = wished(Look().mirror("sdb", U1, inner=U2).disk("sdf", size=NEW).record("tank", **bare))
    assert lines(found) == "nas.pools.tank.encryption: is there without encryption; list it as it is"


@pytest.mark.parametrize("kind", KINDS)
def test_once_it_is_done_nothing_is_encrypted_again(kind: str) -> None:
    uuid = fresh(kind)
    look = inside(Look().luks("sdb", L2), kind, "sdb", "dm-1", L2)
    inside(look.luks("sdf", uuid, size=NEW), kind, "sdf", "dm-2", uuid)
    if kind == "mdraid":
        look.runs("md127", "dm-1", "dm-2", uuid=U2)
    else:
        look.mounted("/srv/tank", "/dev/dm-1", "btrfs")
    after = but(record(kind), luks={"d1": uuid, "d2": L2}, serials={"d1": "S-sdf", "d2": "S-sdb"})
    look.record("tank", **dict(line.split("=", 1) for line in after.text().splitlines()))
    files = {after.file.path: FileState("file", after.file.mode, after.file.owner, after.file.sha256)}
    found = wished(look, kind, HostProbe(files=files))
    assert lines(found) == ""
    assert found.steps[0].kind == "noop" and not [told for _, told in says(found) if "encrypt" in told]
