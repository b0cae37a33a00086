"""Another disk in a pool of snapraid: only for one that is gone, on none that holds something, all of it or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from homelab.files import ManagedFile
from homelab.model.nas import Nas
from homelab.probe import FileState, HostProbe
from homelab.storage import branches, records, replace, slots
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
    assert [each for each in says(found) if "restore" in each] or disk == "d3"
    assert says(found)[-1].startswith("sync media")


def test_what_another_run_had_begun_with_is_not_this_disks() -> None:
    refused = lines(wished(there(without("d2", rebuilding="data2 S-sdx"), "d2", device="sdf", serial_of="sdf")))
    assert "this command is not at work on it" in refused


def test_an_xfs_whose_making_was_cut_is_made_again_and_no_other() -> None:
    look = Look()
    for name in ("d1", "d3"):
        there(look, name, type="xfs")
    there(look, "d2", device="sdf", serial_of="sdf", type="xfs")
    look.record("media", **noted(rebuilding="data2 S-sdf", filesystem="xfs"))
    found = wished(look)
    assert lines(found) == ""
    (again,) = [step.command for step in found.steps if "is whole" in step.says]
    assert again.rpartition("if half sdf; then\n")[2].startswith("idle sdf; clear sdf\nmake sdf ")


def test_one_that_is_through_has_nothing_to_do_but_to_be_up_and_synced() -> None:
    look = Look()
    for name in ("d1", "d3"):
        there(look, name)
    there(look, "d2", device="sdf", serial_of="sdf").record("media", **noted(**{"disk.d2": "S-sdf"}))
    file = next(
        step.file for step in wished(without("d2").disk("sdf")).steps if step.file and "pools" in step.file.path
    )
    found = wished(look, probe=stands(file))
    assert lines(found) == ""
    assert found.steps[0].kind == "noop" and "has taken the place of d2" in found.steps[0].says
    assert not [each for each in says(found) if "restore" in each or "remember" in each]
    assert says(found)[-1].startswith("sync media")


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


def test_a_dead_disk_that_is_back_is_taken_as_it_was() -> None:
    look = Look()
    for name in DISKS:
        there(look, name)
    plan = planned(look.record("media", **noted(rebuilding="data2 S-sdf")), nas())
    assert told(plan) == "" and "rebuilding" not in plan.pools["media"].text()


def test_a_disk_that_died_while_it_was_mounted_is_unmounted_and_the_pool_stopped() -> None:
    look = without("d2").disk("sdf")
    look.mounted("/srv/.disks/media/data2", "/dev/sdb").mounted("/srv/media", "media", "fuse.mergerfs")
    look.mountpoint("media", names=".homelab-pool\nfilms", sentinel=f"media {POOL}")
    answer = "branch\tmedia/data2\tdir\t\tyes\t\t\n"
    found = wished(look, probe=HostProbe(output={branches.NAME: answer}))
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
