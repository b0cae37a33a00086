"""Another disk in a pool of snapraid: only for one that is gone, on none that holds something, all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from homelab.files import ManagedFile
from homelab.model.nas import Nas
from homelab.probe import FileState, HostProbe, UnitState
from homelab.storage import branches, records, replace, replace_snapraid, slots
from homelab.storage.replace import Replacement
from tests import looks
from tests.looks import Look
from tests.sound_shell import ASSEMBLED, assert_sound, telling
from tests.unit.storage.test_refusals import planned, told
from tests.unit.storage.test_snapraid import DISKS, OTHER, POOL, nas, noted, there, uuid

FILMS = {"films": {"pool": "media", "owner": "anna", "mode": "2770"}}
SLOT = {"d1": "data1", "d2": "data2", "d3": "parity1"}


def without(*names: str, **more: str) -> Look:
    """The pool as its record has it, with these disks gone."""
    look = Look()
    for name in DISKS:
        if name not in names:
            there(look, name)
    return look.record("media", **noted(**more))


def wished(
    look: Look, disk: str = "d2", with_: str = "ata-S-sdf", probe: HostProbe | None = None, **more: str
) -> Replacement:
    spec = nas(volumes=FILMS)
    wish, problems = replace.wish(spec, {"disk": disk, "with": with_, **more})
    assert problems == () and wish is not None
    return replace.plan("nas", spec, look.seen, probe or HostProbe(), wish, frozenset(), environment="attic")


def lines(found: Replacement) -> str:
    if found.problems:
        assert found.steps == ()
    return "\n".join(map(str, found.problems))


def says(found: Replacement) -> list[str]:
    return [step.says for step in found.steps if step.kind != "noop"]


def stands(file: ManagedFile) -> HostProbe:
    return HostProbe(files={file.path: FileState("file", "0644", "root:root", sha256=file.sha256)})


def begun(disk: str = "d2", serial: str = "S-sdf") -> Look:
    """The pool after a run that was cut: the new disk bears the dead one's UUID already."""
    look = without(disk, rebuilding=f"{SLOT[disk]} {serial}")
    return there(look, disk, device="sdf", serial_of="sdf")


def test_a_dead_disk_of_data_keeps_the_pool_down_until_all_is_restored() -> None:
    found = wished(without("d2").disk("sdf"))
    assert lines(found) == ""
    stages = ("make /dev/sdf", "with a mark", "restore what", "mount data", "remember media", "join the", "sync media")
    at = [next(at for at, each in enumerate(says(found)) if word in each) for word in stages]
    assert at == sorted(at)
    make, marked, restored = (found.steps[each].command for each in at[:3])
    assert f"make sdf {uuid('d2')} mkfs.ext4 -q -m 1 -U {uuid('d2')} -L media\n" in make
    order = (
        "flock -n 9",
        '-t "UUID=$uuid"',
        "printed sdf",
        'rm -f "$notes/rebuilt"',
        "note made",
        "idle sdf; blank sdf",
    )
    places = [make.rindex(each) for each in (*order, "\nmake sdf", ': >"$apart/$mark"')]
    assert places == sorted(places)
    assert "mark=.homelab-rebuilding\n" in make and ': >"$at/$mark"' in marked
    assert "rebuilding=data2 S-sdf\n" in make and "disk.d2=S-sdb\n" in make
    words = "/usr/local/lib/homelab/homelab-snapraid media rebuild data2 S-sdf films anna: 2770 0660\n"
    assert words in restored and found.steps[at[2]].poll
    (file,) = [step.file for step in found.steps if step.file and step.file.path == f"{records.FOLDER}/media"]
    assert "disk.d2=S-sdf\n" in file.content and "rebuilding" not in file.content
    assert "as of the last sync" in "\n".join(found.told) and '"d2": {"id": "ata-S-sdf"}' in "\n".join(found.told)


def test_a_dead_disk_of_parity_stops_nothing_and_is_written_by_a_sync() -> None:
    found = wished(without("d3").disk("sdf"), "d3")
    assert lines(found) == ""
    assert not [each for each in says(found) if "restore" in each or "stop" in each]
    assert says(found)[-1] == "sync media, so that the parity is of all that is there"
    (make,) = [step.command for step in found.steps if "make /dev/sdf" in step.says]
    assert '>"$notes/parity"' in make and "-m 0 -T largefile4" in make
    assert "backups" not in "\n".join(found.told)


def test_what_is_laid_is_what_the_next_deploy_finds_right() -> None:
    for disk in DISKS:
        found = wished(without(disk).disk("sdf"), disk)
        (file,) = [step.file for step in found.steps if step.file and step.file.path == f"{records.FOLDER}/media"]
        look = Look()
        for name in DISKS:
            there(look, name) if name != disk else there(look, name, device="sdf", serial_of="sdf")
        look.record("media", **dict(line.split("=", 1) for line in file.content.splitlines()))
        spec = nas(volumes=FILMS).model_dump(mode="json")
        spec["disks"][disk]["id"] = "ata-S-sdf"
        plan = planned(look, Nas.model_validate(_bare(spec)))
        assert told(plan) == "" and plan.pools["media"].file == file


def _bare(spec: dict[str, Any]) -> dict[str, Any]:
    pool = {key: spec["pools"]["media"][key] for key in ("kind", "disks", "parity")}
    volumes = {name: {key: each[key] for key in ("pool", "owner")} for name, each in spec["volumes"].items()}
    disks = {name: {"id": each["id"]} for name, each in spec["disks"].items()}
    return {"disks": disks, "pools": {"media": pool}, "volumes": volumes, "users": {"anna": {"uid": 2001}}}


@pytest.mark.parametrize("kind", looks.KINDS)
def test_a_new_disk_that_holds_anything_is_refused_and_consent_lets_go_of_just_that(kind: str) -> None:
    look = without("d2").disk("sdf", wipefs=looks.captured(kind, "sdf"))
    refused = lines(wished(look))
    assert refused.startswith("nas: with: /dev/sdf (serial S-sdf) holds ") and "--data consent=" in refused
    word = refused.partition("--data consent=")[2][:16]
    found = wished(look, consent=word)
    assert lines(found) == ""
    (make,) = [step for step in found.steps if step.kind == "destructive"]
    assert make.consents == (word,)
    assert make.command.index("note made") < make.command.index("\nclear sdf") < make.command.index("\nmake sdf")


def test_a_new_disk_with_data_but_no_signature_is_refused() -> None:
    assert "holds data" in lines(wished(without("d2").disk("sdf", content="5ca1ab1e")))


@pytest.mark.parametrize("disk", DISKS)
def test_a_disk_that_works_is_not_replaced(disk: str) -> None:
    refused = lines(wished(without().disk("sdf"), disk))
    assert refused.startswith(f"nas.pools.media: {disk} ({SLOT[disk]}) works yet") and "not supported yet" in refused


@pytest.mark.parametrize("gone", [("d1", "d2"), ("d2", "d3")])
def test_more_dead_disks_than_the_parity_restores(gone: tuple[str, ...]) -> None:
    refused = lines(wished(without(*gone).disk("sdf")))
    assert "are gone, and 1 disk of parity restores no more than 1 disk" in refused
    assert "/srv/.disks/media" in refused


def test_two_of_several_that_the_parity_would_restore() -> None:
    look = Look()
    said = noted()
    for number, device in ((3, "sdc"), (4, "sdd")):
        place = slots.Place(POOL, "parity", number - 2)
        printed = looks.signature("ext4", device, place.uuid, 0x438, "media")
        look.disk(device, f"S-{device}", wipefs=printed)
        said |= {f"disk.d{number}": f"S-{device}", f"slot.{place.slot}": f"{place.uuid} d{number}"}
    look.record("media", **said).disk("sdf")
    spec = nas(parity=("d3", "d4"))
    wish, _ = replace.wish(spec, {"disk": "d2", "with": "ata-S-sdf"})
    assert wish is not None
    found = replace.plan("nas", spec, look.seen, HostProbe(), wish, frozenset(), environment="attic")
    assert "d2 and d1 are gone, and to replace more than one of them is not supported yet" in lines(found)


@pytest.mark.parametrize("disk", ["d1", "d3"])
def test_another_disk_that_is_none_of_the_pool_is_told_of(disk: str) -> None:
    look = Look()
    for name in ("d1", "d3"):
        there(look, name, pool=OTHER) if name == disk else there(look, name)
    look.record("media", **noted()).disk("sdf")
    assert f"nas.disks.{disk}: " in lines(wished(look))


@pytest.mark.parametrize("disk", DISKS)
def test_a_disk_of_this_pool_or_of_another_is_none(disk: str) -> None:
    spec = nas(volumes=FILMS)
    other = next(name for name in DISKS if name != disk)
    _, problems = replace.wish(spec, {"disk": disk, "with": f"ata-S-{DISKS[other]}"})
    assert "in pool media" in str(problems[0])
    # Another name for it, which the inventory does not have.
    look = without(disk)
    look.line("link", "wwn-1", f"../../{DISKS[other]}").line("listed", "wwn-1", DISKS[other])
    assert "wwn-1 is a disk of media already" in lines(wished(look, disk, "wwn-1"))
    look = there(without(disk).record("tape", uuid=OTHER), "d1", device="sdf", serial_of="sdf", pool=OTHER)
    assert "/dev/sdf belongs to the pool tape; write another disk" in lines(wished(look, disk))


def test_a_copy_of_the_dead_disk_is_not_reverted_to_the_last_sync() -> None:
    look = there(without("d2"), "d2", device="sdf", serial_of="sdf")
    refused = lines(wished(look))
    assert "carries data2 of media, and this command is not at work on it; if it is a copy of the old disk" in refused


def up(look: Look) -> tuple[Look, HostProbe]:
    """Of the disk that is dead the mount is left, and the pool is up."""
    look.mounted("/srv/.disks/media/data2", "/dev/sdb").mounted("/srv/media", "media", "fuse.mergerfs")
    look.mountpoint("media", names=".homelab-pool\nfilms", sentinel=f"media {POOL}")
    return look, HostProbe(output={branches.NAME: "branch\tmedia/data2\tdir\t\tyes\t\t\n"})


@pytest.mark.parametrize("holds", [looks.EMPTY, looks.signature("ext4", "sdq", uuid("d2"), 0x438, "media")])
def test_a_disk_that_is_here_under_another_id_is_not_dead(holds: str) -> None:
    look, probe = up(without("d2").disk("sdf").disk("sdq", "S-sdb", id="wwn-2", wipefs=holds))
    found = wished(look, probe=probe)
    assert lines(found) == (
        "nas.disks.d2: the disk with the serial S-sdb, which is data2 of media, is here as /dev/sdq; "
        "list it by its id in the place of ata-S-sdb"
    )
    assert found.steps == ()


def test_a_disk_of_parity_is_compared_with_those_of_data_alone_and_one_of_data_with_those_of_parity() -> None:
    small, large = looks.SIZE - (1 << 20), looks.SIZE + (1 << 20)
    said = noted() | {"slot.parity2": f"{slots.Place(POOL, 'parity', 2).uuid} d4", "disk.d4": "S-sdd"}

    def replaced(disk: str, **sizes: int) -> Replacement:
        look = Look()
        for name in DISKS:
            if name != disk:
                there(look, name, size=sizes.get(name, looks.SIZE))
        printed = looks.signature("ext4", "sdd", slots.Place(POOL, "parity", 2).uuid, 0x438, "media")
        look.disk("sdd", wipefs=printed, size=sizes.get("d4", looks.SIZE)).record("media", **said).disk("sdf")
        spec = nas(parity=("d3", "d4"))
        wish, _ = replace.wish(spec, {"disk": disk, "with": "ata-S-sdf"})
        assert wish is not None
        found = replace.plan("nas", spec, look.seen, HostProbe(), wish, frozenset(), environment="attic")
        if found.problems:
            assert found.steps == ()
        return found

    assert lines(replaced("d3", d1=small, d4=large)) == ""
    assert "has 2048 MiB, and a disk of data has 2049" in lines(replaced("d3", d1=small, d2=large))
    protects = "nothing new on it is protected"
    assert protects not in str(replaced("d2", d1=small, d4=large).warnings)
    assert f"and a disk of parity 2047; once it holds more than that, {protects}" in "\n".join(
        map(str, replaced("d2", d3=large, d4=small).warnings)
    )


@pytest.mark.parametrize(
    ("said", "when"),
    [
        ("time=1790000100\nresult=failed\ngood=1790000000\nmessage=a disk is gone\n", "2026-09-21 14:13 UTC"),
        ("time=1790000100\nresult=failed\ngood=0\nmessage=\n", "never, as far as is known"),
        ("time=1790000100\nresult=failed\ngood=soon\n", "never, as far as is known"),
        ("time=1790000100\nresult=failed\n", "never, as far as is known"),
        ("", "never, as far as is known"),
        (None, "never, as far as is known"),
    ],
)
def test_what_is_lost_of_a_disk_of_data_is_told_by_its_last_good_sync(said: str | None, when: str) -> None:
    probe = HostProbe(text={} if said is None else {replace_snapraid.status("media"): said})
    warned = f"nas.pools.media: the last good sync was {when}; what came to d2 after it is in your backups only"
    assert list(map(str, wished(without("d2").disk("sdf"), probe=probe).warnings)) == [warned]
    assert list(map(str, wished(begun(), probe=probe).warnings)) == [warned]
    assert wished(without("d3").disk("sdf"), "d3", probe=probe).warnings == ()


def test_a_disk_of_parity_is_as_large_as_the_largest_of_data() -> None:
    small = wished(without("d3").disk("sdf", size=looks.SIZE - (1 << 20)), "d3")
    assert "nas: with: /dev/sdf (serial S-sdf) has 2047 MiB, and a disk of data has 2048" in lines(small)
    large = wished(without("d2").disk("sdf", size=looks.SIZE * 2))
    assert lines(large) == "" and "nothing new on it is protected" in "\n".join(map(str, large.warnings))


@pytest.mark.parametrize("disk", DISKS)
def test_a_run_that_was_cut_goes_on_and_makes_nothing_twice(disk: str) -> None:
    found = wished(begun(disk), disk)
    assert lines(found) == ""
    assert not [step for step in found.steps if step.kind in ("additive", "destructive")]
    (file,) = [step.file for step in found.steps if step.file and step.file.path == f"{records.FOLDER}/media"]
    assert "rebuilding" not in file.content and f"disk.{disk}=S-sdf\n" in file.content
    assert [each for each in says(found) if "restore" in each] or disk == "d3"
    assert says(found)[-1].startswith("sync media")


def test_what_another_run_had_begun_with_is_not_this_disks() -> None:
    refused = lines(wished(there(without("d2", rebuilding="data2 S-sdx"), "d2", device="sdf", serial_of="sdf")))
    assert "this command is not at work on it" in refused


def cut_in_making_an_xfs() -> Replacement:
    """What there is to do where a pool of XFS has its new disk noted and with a filesystem that may be half made."""
    look = Look()
    for name in ("d1", "d3"):
        there(look, name, type="xfs")
    there(look, "d2", device="sdf", serial_of="sdf", type="xfs")
    look.record("media", **noted(rebuilding="data2 S-sdf", filesystem="xfs"))
    return wished(look)


def test_an_xfs_whose_making_was_cut_is_made_again_and_no_other() -> None:
    found = cut_in_making_an_xfs()
    assert lines(found) == ""
    (again,) = [step.command for step in found.steps if "is whole" in step.says]
    assert again.rpartition("if half sdf; then\n")[2].startswith("idle sdf; clear sdf\nmake sdf ")


def test_one_that_is_through_has_nothing_to_do_but_to_be_up_and_synced() -> None:
    look = Look()
    for name in ("d1", "d3"):
        there(look, name)
    there(look, "d2", device="sdf", serial_of="sdf")
    look.record("media", **noted(**{"disk.d2": "S-sdf", "former.data2": "S-sdb"}))
    file = next(
        step.file for step in wished(without("d2").disk("sdf")).steps if step.file and "pools" in step.file.path
    )
    found = wished(look, probe=stands(file))
    assert lines(found) == ""
    assert found.steps[0].kind == "noop" and "has taken the place of d2" in found.steps[0].says
    assert not [each for each in says(found) if "restore" in each or "remember" in each]
    assert says(found)[-1].startswith("sync media")


@pytest.mark.parametrize("in_place", [False, True])
def test_an_xfs_is_looked_at_before_it_is_mounted_also_where_the_dead_disks_mount_is_left(in_place: bool) -> None:
    look = Look()
    for name in ("d1", "d3"):
        there(look, name, type="xfs")
    there(look, "d2", device="sdf", serial_of="sdf", type="xfs")
    look.record("media", **noted(rebuilding="data2 S-sdf", filesystem="xfs"))
    look.mounted("/srv/.disks/media/data2", "/dev/sdf" if in_place else "/dev/sdb")
    found = wished(look)
    assert lines(found) == ""
    first = says(found)[:2]
    if in_place:
        assert not [each for each in says(found) if "is whole" in each or "unmount" in each]
    else:
        assert first == ["unmount what was data2", "see that the filesystem on /dev/sdf (serial S-sdf) is whole"]


@pytest.mark.parametrize("type_", slots.FILESYSTEMS)
@pytest.mark.parametrize("mounted", [False, True])
def test_one_that_is_through_is_not_restored_again_though_its_disks_are_called_otherwise_now(
    mounted: bool, type_: str
) -> None:
    look, probe = Look(), HostProbe()
    for name in ("d1", "d3"):
        there(look, name, type=type_)
    there(look, "d2", device="sdf", serial_of="sdf", type=type_)
    called = {"disk.d2": "S-sdf", "slot.data1": f"{uuid('d1')} first"}
    look.record("media", **noted(filesystem=type_, **called))
    if mounted:
        for name, device in (("d1", "sda"), ("d2", "sdf"), ("d3", "sdc")):
            look.mounted(f"/srv/.disks/media/{SLOT[name]}", f"/dev/{device}")
        look.mounted("/srv/media", "media", "fuse.mergerfs")
        look.mountpoint("media", names=".homelab-pool\nfilms", sentinel=f"media {POOL}")
        probe = HostProbe(units={"srv-media.mount": UnitState(load="loaded", active="active", enabled="enabled")})
    found = wished(look, probe=probe)
    assert lines(found) == "" and found.warnings == ()
    assert found.steps[0].kind == "noop" and {step.kind for step in found.steps} == {"noop", "config"}
    words = ("stop", "unmount", "mark", "restore", "make /dev", "is whole")
    assert not [each for each in says(found) if any(word in each for word in words)]
    before = ("make folders", "write", "let", "make /srv")
    did = [each.split()[0] for each in says(found) if not each.startswith(before)]
    assert did == ["mount", "remember", *([] if mounted else ["join"]), "sync"]
    (file,) = [step.file for step in found.steps if step.file and step.file.path == f"{records.FOLDER}/media"]
    assert f"slot.data1={uuid('d1')} d1\n" in file.content and "disk.d2=S-sdf\n" in file.content


@pytest.mark.parametrize("stale", [False, True])
def test_a_pool_stays_up_while_a_disk_of_parity_is_replaced(stale: bool) -> None:
    look, answer = without("d3").disk("sdf"), ""
    if stale:
        look.mounted("/srv/.disks/media/parity1", "/dev/sdc")
        answer = "branch\tmedia/parity1\tdir\t\tyes\t\t\n"
    look.mounted("/srv/media", "media", "fuse.mergerfs")
    look.mountpoint("media", names=".homelab-pool\nfilms", sentinel=f"media {POOL}")
    units = {"srv-media.mount": UnitState(load="loaded", active="active", enabled="enabled")}
    found = wished(look, "d3", probe=HostProbe(output={branches.NAME: answer}, units=units))
    assert lines(found) == ""
    assert [each for each in says(found) if "stop" in each or "join the" in each] == []
    assert [each for each in says(found) if "unmount" in each] == (["unmount what was parity1"] if stale else [])
    assert not [step for step in found.steps if 'systemctl stop "$unit"' in step.command]


def renamed(**more: str) -> dict[str, str]:
    """A record by which the dead disk had another name."""
    said = noted(**{"disk.second": "S-sdb", "slot.data2": f"{uuid('d2')} second"}, **more)
    del said["disk.d2"]
    return said


def test_a_dead_disk_that_has_another_name_in_the_record_is_replaced_in_its_place() -> None:
    look = there(there(Look(), "d1"), "d3").record("media", **renamed()).disk("sdf")
    found = wished(look)
    assert lines(found) == ""
    assert "make /dev/sdf (serial S-sdf) data2 of media, in the place of d2" in says(found)
    (file,) = [step.file for step in found.steps if step.file and step.file.path == f"{records.FOLDER}/media"]
    assert f"slot.data2={uuid('d2')} d2\n" in file.content and "second" not in file.content
    assert "disk.d2=S-sdf\n" in file.content


def test_a_deploy_names_a_dead_disk_as_the_inventory_does() -> None:
    look = there(there(Look(), "d1"), "d3").record("media", **renamed(rebuilding="data2 S-sdf")).disk("sdf")
    plan = planned(look, nas())
    assert "is to become data2 in the place of d2, and not all is on it" in told(plan)
    assert "--data disk=d2 --data with=serial:S-sdf`, which goes on" in told(plan)


@pytest.mark.parametrize("first", ["d2", "gone"])
def test_of_several_dead_disks_each_is_told_of_by_its_own_place(first: str) -> None:
    """The one that the record has is in its own, whatever is listed before it; another one is in the next."""
    said = noted(**{"slot.data1": f"{uuid('d1')} {first}", "slot.data2": f"{uuid('d2')} d1"})
    plan = planned(there(Look(), "d3").record("media", **said), nas())
    assert "d2 (data1, " in told(plan) and "d1 (data2, " in told(plan)


@pytest.mark.parametrize("disk", ["d2", "d3"])
def test_a_deploy_that_finds_the_disk_in_its_place_under_another_id_says_which_to_write(disk: str) -> None:
    here, other = without(disk), DISKS[disk]
    here.disk("sdq", f"S-{other}", id="wwn-2").mounted(f"/srv/.disks/media/{SLOT[disk]}", "/dev/sdq")
    plan = planned(here, nas())
    says = f"nas.disks.{disk}: ata-S-{other} is no disk of media, and its {SLOT[disk]} is the disk with the serial"
    assert told(plan) == f'{says} S-{other}; write that disk\'s name under /dev/disk/by-id as its "id"'
    assert "is gone" not in str(plan.warnings)
    # With another one there, it is gone.
    here = without(disk).disk("sdq", id="wwn-2").mounted(f"/srv/.disks/media/{SLOT[disk]}", "/dev/sdq")
    plan = planned(here, nas())
    assert f"{disk} ({SLOT[disk]}, serial S-{other}) is gone" in f"{told(plan)}{plan.warnings}"


def test_a_deploy_waits_for_what_was_cut_and_says_how_it_goes_on() -> None:
    plan = planned(begun(), nas())
    assert "the disk with the serial S-sdf is to become data2 in the place of d2, and not all is on it" in told(plan)
    command = "HOMELAB_ENV=attic pyinfra inventory deploys/day2/replace_disk.py --limit nas --data disk=d2"
    assert f"{command} --data with=serial:S-sdf`, which goes on" in told(plan).replace(
        "HOMELAB_ENV=home", "HOMELAB_ENV=attic"
    )
    assert not plan.pools


def test_a_deploy_with_the_new_line_too_early_says_which_it_has_to_be() -> None:
    look = there(without("d2", rebuilding="data2 S-sdf"), "d2", device="sdf", serial_of="sdf", id="ata-S-sdb")
    plan = planned(look, nas())
    assert "list d2 with its former id, that of the serial S-sdb, and run `" in told(plan) and not plan.pools


def test_which_disks_were_replaced_is_remembered_as_long_as_they_are() -> None:
    def former(**more: str) -> str:
        found = wished(without("d2", **more).disk("sdf"))
        (file,) = [step.file for step in found.steps if step.file and step.file.path == f"{records.FOLDER}/media"]
        return "".join(line for line in file.content.splitlines() if line.startswith("former"))

    assert former() == "former.data2=S-sdb"
    assert former(**{"former.data2": "S-old"}) == "former.data2=S-old|S-sdb"
    # It was cleared, and is another one now.
    assert former(**{"former.data2": "S-sdf|S-old"}) == "former.data2=S-old|S-sdb"


def test_a_dead_disk_that_is_back_beside_the_new_one_is_told_by_both_commands_alike() -> None:
    look = Look()
    for name in DISKS:
        there(look, name)
    there(look, "d2", device="sdf", serial_of="sdf").record("media", **noted(rebuilding="data2 S-sdf"))
    says = "the disk with the serial S-sdf, which is to become data2, and the former one (S-sdb) are both here; "
    says += "switch off, and take S-sdb out to go on with replace_disk.py, or S-sdf to have it as it was"
    assert lines(wished(look)) == f"nas.pools.media: {says}"
    plan = planned(look, nas())
    assert told(plan) == f"nas.pools.media: {says}" and not plan.pools


@pytest.mark.parametrize("how", ["blank", "unread"])
def test_a_dead_disk_that_is_there_and_cannot_be_read_is_to_be_taken_out(how: str) -> None:
    look = without("d2").disk("sdb").disk("sdf")
    if how == "unread":
        look.lines = [line for line in look.lines if not line.startswith("signatures\tsdb")]
    assert lines(wished(look)) == (
        "nas.disks.d2: /dev/sdb (serial S-sdb) is there, and cannot be read or carries nothing of media; "
        "switch off, take it out, and run this again"
    )


def test_one_place_is_gone_on_with_before_another() -> None:
    refused = lines(wished(without("d2", rebuilding="parity1 S-sdx").disk("sdf")))
    assert "the disk with the serial S-sdx is to become parity1, and not all is on it; go on with that first" in refused


def test_a_dead_disk_that_is_back_is_taken_as_it_was() -> None:
    look = Look()
    for name in DISKS:
        there(look, name)
    plan = planned(look.record("media", **noted(rebuilding="data2 S-sdf")), nas())
    assert told(plan) == "" and "rebuilding" not in plan.pools["media"].text()


def test_a_dead_disk_that_is_back_is_known_by_its_serial_whatever_it_is_called() -> None:
    look = Look()
    for name in DISKS:
        there(look, name)
    plan = planned(look.record("media", **renamed(rebuilding="data2 S-sdf")), nas())
    assert told(plan) == "" and "rebuilding" not in plan.pools["media"].text()


@pytest.mark.parametrize(
    "back",
    [
        lambda look: look.disk("sdb"),
        lambda look: there(look, "d2", pool=OTHER),
        lambda look: there(look, "d2", serial_of="sdx", id="ata-S-sdb"),
    ],
)
def test_a_dead_disk_is_back_only_with_its_serial_and_its_filesystem(back: Callable[[Look], Look]) -> None:
    plan = planned(back(without("d2", rebuilding="data2 S-sdf")), nas())
    assert "the disk with the serial S-sdf is to become data2 in the place of d2, and not all is on it" in told(plan)
    assert not plan.pools and plan.steps == ()


def test_a_disk_that_died_while_it_was_mounted_is_unmounted_and_the_pool_stopped() -> None:
    look, probe = up(without("d2").disk("sdf"))
    found = wished(look, probe=probe)
    assert lines(found) == ""
    assert says(found)[0] == "stop media, of which nothing may be changed meanwhile"
    assert 'systemctl stop "$unit"' in found.steps[0].command and 'umount "$at"' in found.steps[0].command
    assert [each for each in says(found) if each.startswith("join the disks of media")]


def test_the_word_for_files_that_may_be_lost_is_handed_on() -> None:
    found = wished(without("d2").disk("sdf"), without="0123abcd")
    assert [step for step in found.steps if " rebuild data2 S-sdf --without 0123abcd films " in step.command]
    spec = nas(volumes=FILMS)
    _, problems = replace.wish(spec, {"disk": "d2", "with": "ata-S-sdf", "without": "all"})
    assert str(problems[0]) == "without: 'all' is not a word of it; write the 8 letters of the refusal"


SCRIPTS = {
    f"{name}: {step.says}{' (how far)' if script is step.poll else ''}": script
    for name, found in (
        ("data", wished(without("d2").disk("sdf"))),
        ("parity", wished(without("d3").disk("sdf"), "d3")),
        ("cut", wished(begun())),
        ("consent", wished(without("d2").disk("sdf", content="5ca1ab1e"))),
    )
    for step in found.steps
    for script in (step.command, step.poll)
    if script
}


TELLING = telling(SCRIPTS)


@pytest.mark.parametrize("name", TELLING)
def test_its_shell_is_sound(name: str) -> None:
    assert_sound(TELLING[name], *ASSEMBLED)
