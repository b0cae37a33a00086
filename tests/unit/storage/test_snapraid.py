"""A pool whose disks each have a filesystem: made on blank ones, known again by what these say, never half there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from homelab.model.nas import Nas
from homelab.probe import FileState, HostProbe, UnitState
from homelab.storage import Plan, branches, records, slots
from homelab.storage.slots import Place
from tests import looks
from tests.looks import Look
from tests.unit.storage.test_refusals import offered, planned, told, touched

POOL = "11111111-2222-4333-8444-555555000000"
OTHER = "99999999-2222-4333-8444-aaaaaa000000"
DISKS = {"d1": "sda", "d2": "sdb", "d3": "sdc"}
SLOTS = {"d1": ("data", 1), "d2": ("data", 2), "d3": ("parity", 1)}


def validated(values: dict[str, Any]) -> Nas:
    """A NAS with a kind of pool that inventories are still refused."""
    return Nas.model_validate(values)


def nas(disks: tuple[str, ...] = ("d1", "d2"), parity: tuple[str, ...] = ("d3",), **more: Any) -> Nas:
    """A NAS with the pool media; `consents` are by disk, `volumes` as listed."""
    consents, volumes = more.pop("consents", {}), more.pop("volumes", {})
    names = {f"d{number}": f"sd{letter}" for number, letter in enumerate("abcde", 1)}
    listed = {
        name: {"id": f"ata-S-{device}"} | ({"consent": consents[name]} if name in consents else {})
        for name, device in names.items()
    }
    pool = {"kind": "snapraid", "disks": list(disks), "parity": list(parity), **more}
    users = {"anna": {"uid": 2001}}
    return validated({"disks": listed, "pools": {"media": pool}, "volumes": volumes, "users": users})


def uuid(name: str, pool: str = POOL) -> str:
    return Place(pool, *SLOTS[name]).uuid


def there(look: Look, name: str, *, device: str = "", pool: str = POOL, **about: Any) -> Look:
    """A disk with the filesystem that the pool made on it."""
    device, type_ = device or DISKS[name], about.pop("type", "ext4")
    label = about.pop("label", "media")
    printed = looks.signature(type_, device, uuid(name, pool), 0x438 if type_ == "ext4" else 0, label)
    return look.disk(device, f"S-{about.pop('serial_of', DISKS[name])}", wipefs=printed, **about)


def whole(**about: Any) -> Look:
    look = Look()
    for name in DISKS:
        there(look, name, **about)
    return look


def noted(state: str = "made", **more: str) -> dict[str, str]:
    said = {
        "uuid": POOL,
        "filesystem_uuid": POOL,
        "kind": "snapraid",
        "level": "",
        "filesystem": "ext4",
        "state": state,
    }
    for name, (role, number) in SLOTS.items():
        said[f"disk.{name}"] = f"S-{DISKS[name]}"
        said[f"slot.{role}{number}"] = f"{uuid(name)} {name}"
    return said | more


def body(command: str) -> str:
    """What of a script is not functions."""
    return command.partition("record=")[2].partition("\n")[2]


def test_a_uuid_tells_its_place_and_nothing_else_does() -> None:
    place = Place(POOL, "parity", 2)
    assert place.uuid == "11111111-2222-4333-8444-55555500ec02"
    assert slots.read(place.uuid) == place and place.slot == "parity2"
    assert slots.pool_uuid(place.uuid) == POOL
    ends = ("00ff02", "01ec02", "00ec00", "00ecxx")
    for no in (POOL, "", "1234-ABCD", *(f"11111111-2222-4333-8444-555555{end}" for end in ends)):
        assert slots.read(no) is None


def test_blank_disks_become_a_filesystem_each() -> None:
    plan = planned(Look().disk("sda").disk("sdb").disk("sdc"), nas())
    assert told(plan) == ""
    (making,) = [step for step in plan.steps if step.kind == "additive"]
    assert making.says == (
        "make the snapraid media of d1 (/dev/sda, serial S-sda) as data1, d2 (/dev/sdb, serial S-sdb) as data2, "
        "d3 (/dev/sdc, serial S-sdc) as parity1, each with ext4"
    )
    made = [line for line in body(making.command).splitlines() if line.startswith("make ")]
    base = plan.pools["media"].uuid
    assert base.endswith("000000")
    assert [line.split()[1:4] for line in made] == [
        [device, Place(base, *SLOTS[name]).uuid, "mkfs.ext4"] for name, device in DISKS.items()
    ]
    assert all("-L media" in line for line in made)
    assert body(making.command).index("note making") < body(making.command).index("make sda")
    assert body(making.command).rstrip().endswith("note made")


def test_what_it_does_not_protect_is_said_when_it_is_made() -> None:
    plan = planned(Look().disk("sda").disk("sdb").disk("sdc"), nas())
    assert "no change since, no owner, mode or attribute" in "\n".join(map(str, plan.warnings))


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_labels_are_as_long_as_the_filesystem_has_them(kind: str) -> None:
    assert slots.label("a_name_of_16_let", kind) == ("a_name_of_16_let" if kind == "ext4" else "a_name_of_16")
    plan = planned(Look().disk("sda").disk("sdb").disk("sdc"), nas(filesystem=kind))
    assert f"mkfs.{kind}" in plan.steps[0].command and plan.pools["media"].filesystem == kind


def test_a_disk_of_parity_is_as_large_as_the_largest_of_data() -> None:
    look = Look().disk("sda").disk("sdb", size=looks.SIZE + (1 << 20)).disk("sdc")
    plan = planned(look, nas())
    assert "nas.pools.media.parity: d3 has 2048 MiB, and d2 has 2049; list the largest disks as parity" in told(plan)
    assert list(touched(plan)) == []
    assert told(planned(look, nas(("d1", "d3"), ("d2",)))) == ""


@pytest.mark.parametrize("kind", looks.KINDS)
@pytest.mark.parametrize("device", ["sda", "sdc"])
def test_a_disk_that_holds_anything_is_refused_and_consent_lets_go_of_just_that(kind: str, device: str) -> None:
    def look() -> Look:
        found = Look()
        for each in DISKS.values():
            found.disk(each, wipefs=looks.captured(kind, each) if each == device else looks.EMPTY)
        return found

    plan = planned(look(), nas())
    assert list(touched(plan)) == [] and f"/dev/{device} (serial S-{device}) holds" in told(plan)
    name = next(name for name, each in DISKS.items() if each == device)
    let_go = planned(look(), nas(consents={name: offered(plan)}))
    (step,) = [step for step in let_go.steps if step.kind == "destructive"]
    assert re.findall(r"^clear (\w+)$", body(step.command), re.M) == [device]
    assert step.consents == (offered(plan),)


def test_a_disk_with_data_but_no_signature_is_refused() -> None:
    plan = planned(Look().disk("sda", content="5ca1ab1e").disk("sdb").disk("sdc"), nas())
    assert "data without a signature" in told(plan) and list(touched(plan)) == []


#
# Adopted
#


@pytest.mark.parametrize("record", [True, False])
def test_a_pool_is_taken_as_it_is(record: bool) -> None:
    look = whole().record("media", **noted()) if record else whole()
    plan = planned(look, nas())
    assert told(plan) == "" and list(touched(plan)) == []
    found = plan.pools["media"]
    assert found.uuid == POOL
    assert found.slots == {
        "data1": (uuid("d1"), "d1"),
        "data2": (uuid("d2"), "d2"),
        "parity1": (uuid("d3"), "d3"),
    }


@pytest.mark.parametrize("record", [True, False])
def test_other_kernel_names_and_another_order_change_nothing(record: bool) -> None:
    look = Look()
    for name, device in zip(DISKS, ("sdz", "sdy", "sdx"), strict=True):
        there(look, name, device=device, id=f"ata-S-{DISKS[name]}")
    if record:
        look.record("media", **noted())
    plan = planned(look, nas(("d2", "d1")))
    assert told(plan) == "" and list(touched(plan)) == []
    assert plan.pools["media"].slots["data1"] == (uuid("d1"), "d1")
    assert set(plan.pools["media"].serials) == {"d1", "d2", "d3"}


def test_a_disk_that_is_called_otherwise_now_keeps_its_place() -> None:
    spec = nas().model_dump()
    spec["disks"]["first"] = spec["disks"].pop("d1")
    spec["pools"]["media"]["disks"] = ["first", "d2"]
    plan = planned(whole().record("media", **noted()), validated(spec))
    assert told(plan) == "" and plan.pools["media"].slots["data1"] == (uuid("d1"), "first")


def test_a_pool_of_another_name_is_taken_over_only_by_its_uuid() -> None:
    plan = planned(whole(label="old"), nas())
    assert f'to take it over as it is, write "uuid": "{POOL}" in the pool' in told(plan)
    assert list(touched(plan)) == []
    for given in (POOL, uuid("d2")):
        taken = planned(whole(label="old"), nas(uuid=given))
        assert told(taken) == "" and list(touched(taken)) == [] and taken.pools["media"].uuid == POOL


def test_a_uuid_that_no_disk_has_makes_no_pool() -> None:
    plan = planned(Look().disk("sda").disk("sdb").disk("sdc"), nas(uuid=POOL))
    assert f"no disk that is listed for it has the UUID {POOL}" in told(plan) and list(touched(plan)) == []


def test_disks_that_are_blank_now_are_not_made_anew() -> None:
    plan = planned(Look().disk("sda").disk("sdb").disk("sdc").record("media", **noted()), nas())
    assert f"was made with the UUID {POOL} on the serials S-sda, S-sdb, S-sdc" in told(plan)
    assert list(touched(plan)) == []


def test_one_blank_disk_among_them_is_not_filled_in() -> None:
    look = there(there(Look(), "d1").disk("sdb"), "d3").record("media", **noted())
    plan = planned(look, nas())
    assert "nas.disks.d2: /dev/sdb (serial S-sdb) is blank and is no disk of media" in told(plan)
    assert list(touched(plan)) == []


def test_data_and_parity_are_not_mixed_up() -> None:
    plan = planned(whole().record("media", **noted()), nas(("d1", "d3"), ("d2",)))
    assert "nas.disks.d3: is parity1 of media, and listed for data; list it in parity" in told(plan)
    assert "nas.disks.d2: is data2 of media, and listed for parity; list it in disks" in told(plan)


def test_a_place_that_the_record_knows_by_another_uuid_is_told_of() -> None:
    other = uuid("d2", OTHER)
    look = whole().record("media", **noted(**{"slot.data2": f"{other} d2"}))
    plan = planned(look, nas())
    assert f"data2 of media by its UUID {uuid('d2')}, and /var/lib/homelab/pools/media says {other}" in told(plan)


@pytest.mark.parametrize("record", [True, False])
def test_fewer_or_more_disks_than_it_has(record: bool) -> None:
    look = whole().disk("sdd")
    if record:
        look.record("media", **noted())
    more = planned(look, nas(("d1", "d2", "d4")))
    assert list(touched(more)) == [] and told(more) != ""
    if record:
        assert "nas.pools.media: has 2 disks of data, and 3 are listed" in told(more)
    fewer = planned(look, nas(("d2",)))
    assert list(touched(fewer)) == []
    assert "nas.pools.media: has 2 disks of data, and 1 is listed" in told(fewer)


def test_disks_of_two_pools() -> None:
    look = there(there(there(Look(), "d1"), "d2", pool=OTHER), "d3").record("media", **noted())
    plan = planned(look, nas())
    assert "nas.disks.d2: /dev/sdb (serial S-sdb) holds ext4 media" in told(plan)
    taken = planned(look.record("second", **noted(uuid=OTHER)), nas())
    assert "nas.disks.d2: /dev/sdb belongs to the pool second; list another disk" in told(taken)
    assert 'write "consent"' not in told(taken)


@pytest.mark.parametrize("kind", ["mdraid", "btrfs"])
def test_a_disk_of_it_is_refused_to_another_pool_whatever_is_consented_to(kind: str) -> None:
    spec = nas().model_dump()
    spec["pools"] = {"tank": {"kind": kind, "level": "raid1", "disks": ["d4", "d1"]}}
    plan = planned(whole().disk("sdd").record("media", **noted()), validated(spec))
    assert "nas.disks.d1: /dev/sda belongs to the pool media; list another disk" in told(plan)
    assert list(touched(plan)) == []


def test_its_kind_and_filesystem_are_never_changed() -> None:
    plan = planned(whole().record("media", **noted()), nas(filesystem="xfs"))
    assert 'holds ext4, not xfs; a filesystem is never changed; write "ext4"' in told(plan)
    spec = nas().model_dump()
    spec["pools"]["media"] = {"kind": "btrfs", "level": "raid1", "disks": ["d1", "d2"]}
    plan = planned(whole().record("media", **noted()), validated(spec))
    assert "is there as snapraid, not btrfs" in told(plan)


#
# Disks that are gone
#


def test_without_a_disk_of_data_it_stays_down_and_says_where_the_rest_is() -> None:
    plan = planned(there(there(Look(), "d1"), "d3").record("media", **noted()), nas())
    assert "d2 (data2, serial S-sdb) is gone, and without it the pool stays down" in told(plan)
    assert "/srv/.disks/media" in told(plan)
    assert list(touched(plan)) == []


def test_without_a_disk_of_parity_it_comes_up_and_says_that_it_is_not_protected() -> None:
    plan = planned(there(there(Look(), "d1"), "d2").record("media", **noted()), nas())
    assert told(plan) == ""
    assert "d3 (parity1, serial S-sdc) is gone, so what changes is not protected" in "\n".join(map(str, plan.warnings))
    assert plan.pools["media"].slots["parity1"] == (uuid("d3"), "d3")
    mounting = next(step for step in plan.steps if step.says.startswith("mount data1"))
    assert "parity1" not in mounting.command.partition("udevadm settle")[2]


def test_without_a_record_each_disk_is_needed_to_tell_which_is_which() -> None:
    plan = planned(there(there(Look(), "d1"), "d2"), nas(uuid=POOL))
    assert "nas.disks.d3: no disk is ata-S-sdc, and what is written of media is lost; plug it in" in told(plan)


#
# Cut
#


def test_a_making_that_was_cut_is_finished_with_the_same_uuids_and_what_was_made_is_kept() -> None:
    look = there(Look(), "d1").disk("sdb").disk("sdc").record("media", **noted("making"))
    plan = planned(look, nas())
    assert told(plan) == ""
    step = plan.steps[0]
    assert step.says.startswith("finish media, whose making was cut") and step.kind == "additive"
    script = body(step.command)
    assert re.findall(r"^clear (\w+)$", script, re.M) == [] and "if half sda; then clear sda; fi\n" in script
    assert f"\nonly sda {uuid('d1')} || make sda {uuid('d1')} mkfs.ext4" in script
    assert [line.split()[1:3] for line in script.splitlines() if line.startswith("make ")] == [
        [DISKS[name], uuid(name)] for name in DISKS if name != "d1"
    ]


def test_a_making_of_which_no_disk_knows_begins_anew_with_its_uuid() -> None:
    plan = planned(Look().disk("sda").disk("sdb").disk("sdc").record("media", **noted("making")), nas())
    assert told(plan) == "" and plan.pools["media"].uuid == POOL


def test_one_that_was_made_to_the_end_is_only_written_down() -> None:
    plan = planned(whole().record("media", **noted("making")), nas())
    assert told(plan) == "" and list(touched(plan)) == []
    (record,) = [step.file for step in plan.steps if step.file and step.file.path == f"{records.FOLDER}/media"]
    assert "state=made" in record.content


def test_what_is_remembered_is_written_when_each_disk_is_known_to_be_whole() -> None:
    """A disk on which not all is restored stops the mounting; by then nothing may be written of it."""
    said = changes(planned(whole(), nas()))
    mounting = next(at for at, each in enumerate(said) if each.startswith("mount data1, data2, parity1 of media"))
    remembered = next(at for at, each in enumerate(said) if each.startswith("remember media"))
    assert mounting < remembered < len(said) - 1


def test_a_disk_that_was_replaced_is_not_taken_back_as_if_nothing_had_happened() -> None:
    found = told(
        planned(whole().record("media", **noted(**{"disk.d2": "S-new", "former.data2": "S-old|S-sdb"})), nas())
    )
    assert "nas.disks.d2: the disk with the serial S-sdb was replaced as data2 of media by S-new, and is older" in found
    assert "remove S-sdb from the line former.data2 in /var/lib/homelab/pools/media" in found
    # What another disk in that place once was says nothing of this one.
    plan = planned(whole().record("media", **noted(**{"former.data2": "S-old", "former.data1": "S-sdb"})), nas())
    assert told(plan) == "" and "former.data2=S-old\n" in plan.pools["media"].text()


def test_another_disk_of_parity_than_before_is_written_anew() -> None:
    """A copy, or an older one: by its UUID it is the same, and snapraid would take it for what it is not."""
    plan = planned(whole().record("media", **noted(**{"disk.d3": "S-other"})), nas())
    (anew,) = [step.command for step in plan.steps if "write the parity anew, as d3 is another disk" in step.says]
    assert ": >/var/lib/homelab/snapraid/media/parity" in anew
    for same in (noted(), noted(**{"disk.d3": ""}), noted(**{"disk.d1": "S-other"})):
        assert not [each for each in planned(whole().record("media", **same), nas()).steps if "anew" in each.says]


def test_an_xfs_that_bears_its_uuid_may_be_half_made_and_is_looked_at_first() -> None:
    plan = planned(whole(type="xfs").record("media", **noted("making", filesystem="xfs")), nas(filesystem="xfs"))
    assert told(plan) == "" and plan.pools["media"].state == "made"
    script = body(plan.steps[0].command)
    assert plan.steps[0].says.startswith("finish media, whose making was cut")
    for name, device in DISKS.items():
        assert f"if half {device}; then clear {device}; fi\n" in script
        assert f"\nonly {device} {uuid(name)} || make {device} {uuid(name)} mkfs.xfs" in script
    assert re.findall(r"^(?:clear|make) \w+", script, re.M) == []


@pytest.mark.parametrize(
    ("look", "spec", "says"),
    [
        (there(Look(), "d1").disk("sdb").disk("sdc"), nas(("d2", "d1")), "was begun as snapraid with ext4"),
        (there(Look(), "d1").disk("sdb").disk("sdc"), nas(filesystem="xfs"), "was begun as snapraid with ext4"),
        (there(Look(), "d1").disk("sdb", "S-x", id="ata-S-sdb").disk("sdc"), nas(), "and d2 is not as begun"),
        (
            there(Look(), "d1", pool=OTHER).disk("sdb").disk("sdc"),
            nas(),
            "disks.d1: /dev/sda (serial S-sda) holds ext4 media",
        ),
        (there(Look(), "d1").disk("sdb", content="5ca1").disk("sdc"), nas(), "data without a signature"),
        (there(Look(), "d1").disk("sdb"), nas(), "no disk is ata-S-sdc"),
    ],
)
def test_one_that_was_cut_is_not_finished_on_a_guess(look: Look, spec: Nas, says: str) -> None:
    plan = planned(Look(look.rows, [*look.lines]).record("media", **noted("making")), spec)
    assert says in told(plan) and list(touched(plan)) == []


#
# Mounted
#


def probe(answer: str = "") -> HostProbe:
    """A host on which all that the plan lays stands already."""
    record = planned(whole(), nas()).pools["media"]
    laid = [record.file, branches.SCRIPT]
    for step in planned(whole(), nas()).steps:
        laid += [step.file] if step.file is not None else []
    files = {each.path: FileState(kind="file", sha256=each.sha256, mode=each.mode, owner=each.owner) for each in laid}
    units = ["srv-media.mount", *(slots.unit("media", slot) for slot in record.slots)]
    running = UnitState(load="loaded", active="active", enabled="enabled")
    return HostProbe(files=files, units=dict.fromkeys(units, running), output={branches.NAME: answer})


def mounted(*, but: str = "") -> tuple[Look, str]:
    """A host on which every disk is mounted, `but` one, and the pool; and what it says of the disks."""
    look, lines = whole().record("media", **noted()), []
    for name, (role, number) in SLOTS.items():
        slot = f"{role}{number}"
        if slot != but:
            look.mounted(f"/srv/.disks/media/{slot}", f"/dev/{DISKS[name]}")
        marks = (slots.sentinel("media", slot, uuid(name)), "" if role == "parity" else f"media {POOL}")
        lines.append("\t".join(("branch", f"media/{slot}", "dir", "-----", "yes", *marks)))
        if role == "data":
            lines.append(f"part\tmedia/{slot}\tfilms\tdirectory|anna|users|770")
    look.mounted("/srv/media", "media", "fuse.mergerfs")
    look.mountpoint("media", names=".homelab-pool\nfilms", sentinel=f"media {POOL}")
    for step in planned(whole(), nas()).steps:
        if step.file is not None and step.file.path.endswith("homelab.conf"):
            look.line("wait", step.file.sha256, step.file.path)
    return look.line("project", "0 media/films"), "\n".join(lines) + "\n"


FILMS = {"films": {"pool": "media", "owner": "anna", "mode": "0770"}}


def changes(plan: Plan) -> list[str]:
    return [step.says for step in plan.changes]


def test_a_second_run_changes_nothing() -> None:
    look, answer = mounted()
    plan = planned(look, nas(volumes=FILMS), probe(answer))
    assert told(plan) == "" and changes(plan) == []


def test_the_disks_are_mounted_before_they_are_joined() -> None:
    plan = planned(whole(), nas())
    said = changes(plan)
    assert said[-1] == "join the disks of media at /srv/media, now and at every boot"
    mounting = next(at for at, each in enumerate(said) if each.startswith("mount data1, data2, parity1 of media"))
    sealing = next(at for at, each in enumerate(said) if each.startswith("make folders in /srv/.disks/media"))
    assert sealing < mounting < len(said) - 1
    unit = next(step.file for step in plan.steps if step.file and step.file.path.endswith("/srv-media.mount"))
    both = "srv-.disks-media-data1.mount srv-.disks-media-data2.mount"
    assert f"BindsTo={both}\nAfter={both}\n" in unit.content
    assert "parity" not in unit.content and "What=/usr/local/lib/homelab/homelab-mergerfs#media" in unit.content
    disk = next(step.file for step in plan.steps if step.file and step.file.path.endswith("media-data2.mount"))
    assert f"What=/dev/disk/by-uuid/{uuid('d2')}\n" in disk.content and "nofail" in disk.content


def test_what_is_in_a_disks_place_is_not_covered() -> None:
    look, answer = mounted(but="data1")
    plan = planned(look, nas(), probe(answer))
    assert "nas.pools.media: /srv/.disks/media/data1 is not empty; move away what it holds" in told(plan)
    look, answer = mounted(but="data1")
    plan = planned(look.mounted("/srv/.disks/media/data1", "/dev/sdx"), nas(), probe(answer))
    assert "/dev/sdx is mounted at /srv/.disks/media/data1" in told(plan)
    look, answer = mounted(but="data1")
    empty = answer.replace("media/data1\tdir\t-----\tyes", "media/data1\tdir\t-----\t")
    plan = planned(look.mounted("/mnt", "/dev/sda"), nas(), probe(empty))
    assert "data1 (/dev/sda) is mounted at /mnt; unmount it there" in told(plan)
    look, answer = mounted(but="data1")
    plan = planned(look, nas(), probe(answer.replace("media/data1\tdir", "media/data1\tlink")))
    assert "/srv/.disks/media/data1 is a link, not a directory" in told(plan)


def test_a_disk_that_takes_no_writes_any_more_is_told_of() -> None:
    look, answer = mounted()
    warned = "nobody can write to /srv/.disks/media/data2, as after an error"
    assert warned not in str(planned(look, nas(), probe(answer)).warnings)
    look.lines = [
        line.removesuffix("rw") + "ro" if "/srv/.disks/media/data2" in line and line.startswith("mount") else line
        for line in look.lines
    ]
    plan = planned(look, nas(), probe(answer))
    assert told(plan) == "" and str(plan.warnings).count("nobody can write") == 1 and warned in str(plan.warnings)


@pytest.mark.parametrize("busy", [False, True])
def test_a_pool_whose_mergerfs_has_died_is_joined_anew(tmp_path: Path, busy: bool) -> None:
    """It stands among the mounts as before, and of what is in it nothing can be seen, not even that it is a folder."""
    look, answer = mounted()
    look.lines = [line for line in look.lines if not line.startswith("mountpoint")]
    look.line("mountpoint", "media", "none", "", "", "")
    plan = planned(look, nas(volumes=FILMS), probe(answer))
    assert (told(plan), changes(plan)) == ("", ["join the disks of media at /srv/media, now and at every boot"])
    at, tools = tmp_path / "media", tmp_path / "tools"
    at.mkdir()
    tools.mkdir()
    (at / ".homelab-pool").write_text(f"media {POOL}\n")
    for tool, does in {
        "stat": 'echo "stat: cannot statx: Transport endpoint is not connected" >&2; exit 1',
        "umount": f'echo "umount $*" >>{tmp_path}/ran; [ "$1" = --lazy ] || {"false" if busy else "true"}',
        "systemctl": f'echo "$1" >>{tmp_path}/ran; [ "$1" != is-active ]',
        "findmnt": "echo fuse.mergerfs media",
    }.items():
        (tools / tool).write_text(f"#!/bin/sh\n{does}\n")
        (tools / tool).chmod(0o755)
    (step,) = plan.changes
    done = subprocess.run(
        ["sh", "-c", step.command.replace("/srv/media", str(at))],
        capture_output=True,
        text=True,
        env={"PATH": f"{tools}:{os.environ['PATH']}"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lazily = [f"umount --lazy {at}"] if busy else []
    ran = (tmp_path / "ran").read_text().splitlines()
    assert ran == ["daemon-reload", "enable", "reset-failed", f"umount {at}", *lazily, "is-active", "start"]


def test_something_else_in_the_pools_place() -> None:
    look, answer = mounted()
    plan = planned(look.mounted("/srv/media", "/dev/sdx"), nas(), probe(answer))
    assert "/dev/sdx is mounted at /srv/media" in told(plan)


def test_a_disk_that_names_another_place() -> None:
    look, answer = mounted()
    wrong = answer.replace(f"media data1 {uuid('d1')}", "media data7 x")
    assert "/srv/.disks/media/data1/.homelab-disk names media data7 x" in told(planned(look, nas(), probe(wrong)))


#
# Volumes
#


def test_a_volume_is_a_folder_on_each_disk_of_data() -> None:
    plan = planned(whole(), nas(volumes=FILMS))
    (step,) = plan.volumes
    assert (step.kind, step.says) == ("additive", "/srv/media/films: make it on each disk")
    assert "for at in /srv/.disks/media/data1 /srv/.disks/media/data2; do" in step.command
    assert "parity" not in step.command


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ("part\tmedia/data2\tfilms\tdirectory|anna|users|770\n", "", "make it on data2 too"),
        ("data2\tfilms\tdirectory|anna", "data2\tfilms\tdirectory|root", "give it to anna"),
        ("data1\tfilms\tdirectory|anna|users|770", "data1\tfilms\tdirectory|anna|users|777", "set its mode to 0770"),
    ],
)
def test_what_differs_on_one_disk_is_put_right(was: str, now: str, says: str) -> None:
    look, answer = mounted()
    assert was in answer
    plan = planned(look, nas(volumes=FILMS), probe(answer.replace(was, now)))
    assert changes(plan) == [f"/srv/media/films: {says}"]


PARTS = re.compile(r"part\tmedia/data[12]\tfilms\t.*\n")


def test_a_volume_that_is_gone_from_all_disks_is_not_made_anew_and_served_empty() -> None:
    look, answer = mounted()
    plan = planned(look, nas(volumes=FILMS), probe(PARTS.sub("", answer)))
    says = (
        "/srv/media/films was there and is gone; rename or restore it; to have it made anew and empty, remove the line"
    )
    assert told(plan) == f"nas.volumes.films: {says} of media/films from /var/lib/homelab/volumes"
    # A disk that cannot be read shows nothing of what is on it.
    dead = PARTS.sub("", answer).replace(slots.sentinel("media", "data2", uuid("d2")), "")
    assert "is gone" not in told(planned(look, nas(volumes=FILMS), probe(dead)))
    look.lines = [line for line in look.lines if not line.startswith("project")]
    plan = planned(look, nas(volumes=FILMS), probe(PARTS.sub("", answer)))
    assert (told(plan), changes(plan)) == ("", ["/srv/media/films: make it on each disk"])


@pytest.mark.parametrize(
    ("noted", "synced", "there", "made"),
    [
        (True, True, False, False),
        (True, True, True, True),
        # The only disk of data is new, and what the old one held is restored to it afterwards.
        (True, False, False, True),
        (False, True, False, True),
    ],
)
def test_a_volume_that_is_gone_from_a_pool_that_comes_up_only_now(
    tmp_path: Path, noted: bool, synced: bool, there: bool, made: bool
) -> None:
    look = whole()
    if noted:
        look.line("project", "0 media/films")
    (step,) = planned(look, nas(volumes={"films": {"pool": "media", "mode": "0750"}})).volumes
    for slot in ("data1", "data2"):
        at = tmp_path / "disks" / "media" / slot
        at.mkdir(parents=True)
        (at / ".homelab-pool").write_text(f"media {POOL}\n")
    if synced:
        (tmp_path / "disks/media/data1/.homelab-snapraid.content").touch()
    if there:
        (tmp_path / "disks/media/data2/films").mkdir()
    script = step.command.replace("/srv/.disks", f"{tmp_path}/disks").replace("/var/lib/homelab", str(tmp_path))
    script = script.replace("chown root:", "chown :")
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode == 0, "was there and is gone" in done.stderr) == (made, not made), done.stderr
    assert (tmp_path / "disks/media/data1/films").is_dir() is made
    assert (tmp_path / "volumes").exists() is made


def test_a_link_in_a_volumes_place_is_not_followed() -> None:
    look, answer = mounted()
    wrong = answer.replace("data2\tfilms\tdirectory|anna|users|770", "data2\tfilms\tlink")
    plan = planned(look, nas(volumes=FILMS), probe(wrong))
    assert "nas.volumes.films: /srv/.disks/media/data2/films is a link, not a directory; rename it" in told(plan)


#
# Scripts and notes
#


def test_a_record_is_read_as_it_was_written() -> None:
    record = planned(whole(), nas()).pools["media"]
    said = dict(line.partition("=")[::2] for line in record.text().splitlines())
    assert records.read("media", said) == record


def test_its_scripts_are_sound_shell() -> None:
    plans = [
        planned(Look().disk("sda").disk("sdb").disk("sdc"), nas(volumes=FILMS)),
        planned(Look().disk("sda").disk("sdb").disk("sdc"), nas(filesystem="xfs")),
        planned(there(Look(), "d1").disk("sdb").disk("sdc").record("media", **noted("making")), nas()),
    ]
    look = branches.questions(nas(volumes=FILMS)).commands[0][1]
    scripts = [look, *(step.command for plan in plans for step in plan.steps + plan.volumes if step.command)]
    assert len(scripts) > 15
    for script in scripts:
        assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
        for line in script.splitlines():
            assert not ("mkfs" in line and (" -f" in line or " -F" in line)) and "--force" not in line


def test_what_a_host_without_any_of_it_answers() -> None:
    script = branches.questions(nas(volumes=FILMS)).commands[0][1].replace("/srv/.disks", "/nowhere/.disks")
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.stderr == ""
    assert branches.read(done.stdout) == {f"media/{slot}": branches.Branch() for slot in ("data1", "data2", "parity1")}
