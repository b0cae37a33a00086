"""Pools of ZFS: made of blank disks, known by their guid, and brought in only where nothing newer can be lost by it."""

from __future__ import annotations

import gzip
import re
from base64 import b64decode
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homelab.model.levels import LEVELS, Level
from homelab.model.nas import Nas
from homelab.probe import FileState, HostProbe, UnitState
from homelab.storage import asking, mounts, zfs, zfs_label, zpools
from homelab.storage.records import Record
from tests import looks, zfs_labels
from tests.looks import Look
from tests.unit.storage.test_pools import says
from tests.unit.storage.test_refusals import nas, planned, told, touched

ZFS = [each for each in LEVELS if each.kind == "zfs"]
GUID, OTHER = 1234567890123456789, 9876543210987654321
MARK = "00000000-0000-4000-8000-000000000001"
# Of a zpool's comment no more than 32 letters are kept.
DIGITS = MARK.replace("-", "")
LEAVES = (101, 102, 103, 104, 105, 106)
DISKS = ("sda", "sdb", "sdc", "sdd", "sde", "sdf")
# Of /etc/hostid, as `looks` has it in labels too.
OWN = "1a2b3c4d"
LOADED = HostProbe(kernel="6.1.0-57-amd64", modules=frozenset({"zfs"}))

every = pytest.mark.parametrize("each", ZFS, ids=lambda each: each.name)


def spec(level: str = "mirror", count: int = 2, **pool: Any) -> Nas:
    return nas("zfs", level=level, count=count, **pool)


def record(guid: int | str = GUID, level: str = "mirror", count: int = 2, **more: str) -> dict[str, str]:
    disks = {f"disk.d{number}": f"S-{name}" for number, name in enumerate(DISKS[:count], 1)}
    about = {"uuid": str(guid), "filesystem_uuid": MARK, "kind": "zfs", "level": level, "filesystem": "zfs"}
    return {**about, "state": "made", **disks, **more}


def pool(level: str = "mirror", count: int = 2, without: tuple[str, ...] = (), **values: Any) -> Look:
    """A pool on so many disks, on a host with a number of its own; some may not be there."""
    look = Look().line("zfs", "hostid", OWN)
    for name, own in zip(DISKS[:count], LEAVES[:count], strict=True):
        if name in without:
            look.line("listed", f"ata-S-{name}", "")
        else:
            look.zfs(name, GUID, LEAVES[:count], own, **{"level": level, **values})
    return look


def runs(look: Look, count: int = 2, health: str = "ONLINE", scan: str = "", **states: str) -> Look:
    every_one = {f"_{leaf}": "ONLINE" for leaf in LEAVES[:count]} | states
    return look.zpool(GUID, health=health, scan=scan, **every_one)


def blank(count: int) -> Look:
    look = Look()
    for name in DISKS[:count]:
        look.disk(name)
    return look


#
# made
#


@every
def test_blank_disks_become_a_pool(each: Level) -> None:
    plan = planned(blank(each.least), spec(each.name, each.least))
    assert told(plan) == ""
    (making,) = [step for step in plan.steps if step.kind == "additive"]
    assert making.says.startswith(f"make the zfs {each.name} tank of d1 (/dev/sda, serial S-sda), ")
    (line,) = re.findall(r"^zpool create .*$", making.command, re.M)
    assert f" tank {each.name} " in line and f" -o comment={DIGITS} " in line and "mountpoint=legacy" in line
    named = re.findall(r'"\$\(named (\S+) (\S+)\)"', line)
    assert named == [(f"ata-S-{name}", name) for name in DISKS[: each.least]]
    assert not re.search(r"zpool (create|import|replace)[^|\n]* -[a-zA-Z]*[fF]\b", making.command)
    for name in DISKS[: each.least]:
        assert making.command.index(f"idle {name}; blank {name}\n") < making.command.index("zpool create")
    assert making.command.index("note making\n") < making.command.index("zpool create")


def test_the_guid_that_zfs_chooses_is_what_the_host_remembers() -> None:
    (making,) = [step for step in planned(blank(2), spec()).steps if step.kind == "additive"]
    after = making.command.partition("zpool create")[2]
    assert after.index("zpool get -Hpo value guid tank") < after.index("note made")
    assert "s/^uuid=.*/uuid=$guid/" in after


def test_its_module_and_its_units_come_before_it_and_its_mount_after() -> None:
    told_ = says(planned(blank(2), spec()))
    first = [
        "give the host a number of its own for ZFS, and load its module",
        "make the zfs mirror tank of d1 (/dev/sda, serial S-sda), d2 (/dev/sdb, serial S-sdb)",
    ]
    assert told_[:2] == first
    assert told_[-2:] == ["mount tank at /srv/tank, now and at every boot", "note which disks tank runs on"]
    assert [each for each in told_ if zpools.SCRIPT in each or "homelab-zpool@.service" in each] != []


def test_a_module_that_is_loaded_is_left_alone() -> None:
    assert "load its module" not in "".join(says(planned(pool(), spec(), LOADED)))


def test_disks_of_different_sizes_are_refused_as_zpool_would_ask() -> None:
    look = Look().disk("sda").disk("sdb", size=looks.SIZE + (17 << 20))
    plan = planned(look, spec())
    assert "d2 has 2065 MiB and d1 2048, and zpool makes no pool of such by itself" in told(plan)
    assert told(planned(Look().disk("sda").disk("sdb", size=looks.SIZE + (15 << 20)), spec())) == ""


@pytest.mark.parametrize("kind", looks.KINDS)
def test_a_disk_that_holds_something_makes_no_pool(kind: str) -> None:
    plan = planned(Look().disk("sda", wipefs=looks.captured(kind, "sda")).disk("sdb"), spec())
    assert "nas.disks.d1: /dev/sda (serial S-sda) holds" in told(plan) and list(touched(plan)) == []


def test_disks_of_another_pool_are_let_go_of_only_by_consent() -> None:
    look = Look()
    for name, own in (("sda", 101), ("sdb", 102)):
        look.zfs(name, OTHER, (101, 102, 103), own, level="raidz1", pool="old")
    plan = planned(look, spec())
    assert 'write "consent"' in told(plan) and list(touched(plan)) == []


#
# cut
#


def making(**more: str) -> dict[str, str]:
    return record(MARK, **{"state": "making", **more})


def test_a_pool_whose_making_was_cut_once_it_was_there_is_taken() -> None:
    plan = planned(pool(comment=DIGITS).record("tank", **making()), spec(), LOADED)
    assert told(plan) == "" and list(touched(plan)) == []
    assert (plan.pools["tank"].uuid, plan.pools["tank"].filesystem_uuid) == (str(GUID), MARK)


def test_one_that_is_not_what_was_begun_is_not_taken_for_it() -> None:
    plan = planned(pool(comment="f" * 32).record("tank", **making()), spec())
    assert f"its disks carry the UUID {GUID}, and /var/lib/homelab/pools/tank says {MARK}" in told(plan)


def test_what_was_begun_and_never_was_a_pool_is_begun_again() -> None:
    look = Look().zfs("sda", GUID, (101, 102), 101, begun=True).disk("sdb").record("tank", **making())
    plan = planned(look, spec())
    assert told(plan) == ""
    (step,) = [step for step in plan.steps if step.kind == "additive"]
    assert re.findall(r"^clear (\S+)$", step.command, re.M) == ["sda"]
    assert step.command.index("clear sda") < step.command.index("zpool create")
    # Its disk holds what was seen, to the letter, or nothing is cleared.
    assert step.command.index("printed sda1 ") < step.command.index("clear sda")


@pytest.mark.parametrize(
    ("values", "noted"),
    [
        ({"begun": True}, None),
        ({"begun": True}, record()),
        ({"begun": True, "pool": "other"}, making()),
        ({"begun": True, "serial": "S-sdx", "id": "ata-S-sda"}, making()),
        ({"begun": False, "txg": 4}, making()),
        ({"begun": True, "opens": False}, making()),
    ],
)
def test_what_somebody_else_left_is_not_taken_for_what_was_begun(
    values: dict[str, Any], noted: dict[str, str] | None
) -> None:
    look = Look().zfs("sda", GUID, (101, 102), 101, **values).disk("sdb")
    plan = planned(look.record("tank", **noted) if noted else look, spec())
    assert told(plan) != "" and list(touched(plan)) == []


def test_empty_partitions_as_zpool_makes_them_are_what_was_begun() -> None:
    table = looks.signature("gpt", "sda", None, 0x200)

    def of(parts: tuple[str, ...], **contents: str) -> Look:
        look = Look().disk("sda", wipefs=table, parts=dict.fromkeys(parts, looks.EMPTY), contents=contents).disk("sdb")
        return look.record("tank", **making())

    assert told(planned(of(("sda1", "sda9")), spec())) == ""
    for other in (of(("sda1", "sda2")), of(("sda1",)), of(("sda1", "sda9"), sda1="5ca1ab1e")):
        assert 'write "consent"' in told(planned(other, spec()))


#
# known again
#


@every
def test_one_that_is_there_is_imported_by_its_guid(each: Level) -> None:
    count = each.least
    plan = planned(
        pool(each.name, count).record("tank", **record(level=each.name, count=count)), spec(each.name, count)
    )
    assert told(plan) == "" and list(touched(plan)) == []
    (start,) = [step for step in plan.steps if step.says == "import tank"]
    (line,) = re.findall(r"^zpool import .*$", start.command, re.M)
    assert line.startswith(f'zpool import -N -o cachefile=none "$@" {GUID} || ')
    assert re.findall(r'-d "\$\(stays (\S+)\)"', start.command) == [f"{name}1" for name in DISKS[:count]]
    assert not plan.warnings


@every
def test_it_is_not_taken_for_another(each: Level) -> None:
    for other in ZFS:
        if other is each:
            continue
        count = max(each.least, other.least)
        plan = planned(pool(each.name, count), spec(other.name, count))
        assert f'is a {each.name}, not a {other.name}; a level is never changed; write "{each.name}"' in told(plan)
        assert list(touched(plan)) == []


def test_without_a_record_all_of_its_disks_and_its_name_tell() -> None:
    plan = planned(pool(comment=DIGITS), spec(), LOADED)
    assert told(plan) == "" and plan.pools["tank"].filesystem_uuid == MARK
    foreign = planned(pool(comment="mine"), spec(), LOADED)
    assert told(foreign) == "" and foreign.pools["tank"].filesystem_uuid == str(GUID)


def test_another_order_of_disks_and_other_names_of_the_kernel_are_none_of_the_pool() -> None:
    look = Look().line("zfs", "hostid", OWN)
    look.zfs("sdx", GUID, (101, 102), 102, id="ata-S-sda", serial="S-sda")
    look.zfs("sdy", GUID, (101, 102), 101, id="ata-S-sdb", serial="S-sdb")
    plan = planned(look.record("tank", **record()), spec())
    assert told(plan) == "" and list(touched(plan)) == []


def test_one_that_was_exported_is_imported_whoever_had_it() -> None:
    look = pool(state=1, hostid=0xDEAD).record("tank", **record())
    assert told(planned(look, spec())) == "" and "import tank" in says(planned(look, spec()))


def test_one_that_another_host_may_still_use_is_left_to_its_owner() -> None:
    plan = planned(pool(hostid=0xDEAD).record("tank", **record()), spec())
    assert (
        "was in use on nas (hostid 0000dead), and was not exported there; if no other machine has these disks, "
        f"run `zpool import -f -N -o cachefile=none {GUID}` here, and this command again"
    ) in told(plan)
    assert not [step for step in plan.steps if "zpool import" in step.command]
    # Its owner did, so that it runs.
    assert told(planned(runs(pool(hostid=0xDEAD)).record("tank", **record()), spec())) == ""


@pytest.mark.parametrize(
    ("look", "words"),
    [
        (pool(pool="old"), "its disks are the zpool old, and a pool's zpool bears its name; list it under that name"),
        (pool(groups=2), "its disks are one group of several in their zpool"),
        (pool(count=3), "has 3 disks, and 2 are listed"),
        (pool(state=2), "holds gpt at byte 512, zfs_member"),
    ],
)
def test_what_is_listed_otherwise_than_it_is(look: Look, words: str) -> None:
    plan = planned(look.record("tank", **record()), spec())
    if "holds" in words:
        words = f"was made with the UUID {GUID} on the serials S-sda, S-sdb"
    assert words in told(plan) and list(touched(plan)) == []


def test_one_of_another_name_is_named_in_the_refusal() -> None:
    plan = planned(pool(pool="old"), spec())
    assert f'to take it over as it is, write "uuid": "{GUID}" in the pool' in told(plan)


def test_a_pool_whose_disks_are_blank_now_is_not_made_anew() -> None:
    plan = planned(blank(2).record("tank", **record()), spec())
    assert f"was made with the UUID {GUID} on the serials S-sda, S-sdb" in told(plan) and list(touched(plan)) == []


def test_a_kind_is_never_changed() -> None:
    assert "is there as zfs, not btrfs; a kind is never changed" in told(
        planned(pool().record("tank", **record()), nas("btrfs"))
    )


def test_a_disk_of_another_pool_is_refused_whatever_is_consented_to() -> None:
    plan = planned(pool(pool="media").record("media", **record()), spec())
    assert "nas.disks.d1: /dev/sda1 belongs to the pool media; list another disk" in told(plan)
    assert 'write "consent"' not in told(plan)


#
# a disk is gone
#


@every
def test_it_is_imported_without_as_many_disks_as_its_level_survives(each: Level) -> None:
    count, survives = each.least, each.survives(each.least)
    for gone in range(1, count):
        look = pool(each.name, count, without=DISKS[:gone]).record("tank", **record(level=each.name, count=count))
        plan = planned(look, spec(each.name, count))
        if gone > survives:
            assert f"is gone, and a {each.name} of {count} survives {survives}" in told(plan)
            continue
        assert told(plan) == ""
        without = " and ".join(f"d{number} (serial S-{name})" for number, name in enumerate(DISKS[:gone], 1))
        assert f"import tank without {without}" in says(plan)
        (warning,) = plan.warnings
        assert "replace_disk --data disk=d1" in str(warning).replace(".py", "")
        left = survives - gone
        assert (f"of the others {left} more may die" if left else "alone") in str(warning)


def test_what_left_the_pool_earlier_is_not_brought_in_alone() -> None:
    look = pool(without=("sda",)).record("tank", **record()).line("kept", GUID, 101)
    plan = planned(look, spec())
    assert "d2 left it before it last ran, and what is newer is on d1; plug that in" in told(plan)
    assert f"rm /var/lib/homelab/arrays/{GUID}" in told(plan)
    for noted in (102, 103):
        look = pool(without=("sda",)).record("tank", **record()).line("kept", GUID, noted)
        assert (told(planned(look, spec())) == "") is (noted == 102)


def test_one_that_runs_tells_how_its_disks_are() -> None:
    def warned(look: Look) -> str:
        plan = planned(look.record("tank", **record()), spec(), LOADED)
        assert told(plan) == ""
        return "\n".join(map(str, plan.warnings))

    assert warned(runs(pool())) == ""
    assert "d2 is FAULTED; look at `zpool status tank`" in warned(runs(pool(), health="DEGRADED", _102="FAULTED"))
    assert "zpool online tank 102" in warned(runs(pool(), health="DEGRADED", _102="OFFLINE"))
    assert "is being written" in warned(runs(pool(), scan="resilver in progress since Mon Nov 30"))
    gone = warned(runs(pool(without=("sdb",)), health="DEGRADED", _102="UNAVAIL"))
    assert "d2 (serial S-sdb) is gone, and its data are on d1 alone" in gone


def test_one_that_has_given_up_is_left_alone() -> None:
    plan = planned(runs(pool(), health="SUSPENDED").record("tank", **record()), spec(), LOADED)
    assert "has given up after errors of its disks" in told(plan) and list(touched(plan)) == []


def test_a_disk_that_was_replaced_is_none_of_the_pool_any_more() -> None:
    """It keeps its labels; the newest label of them all tells which disks are in."""
    look = Look().line("zfs", "hostid", OWN).zfs("sda", GUID, (101, 103), 101, txg=900)
    look.zfs("sdb", GUID, (101, 102), 102, txg=300).record("tank", **record())
    plan = planned(look, spec())
    assert "/dev/sdb (serial S-sdb) holds gpt at byte 512, zfs_member" in told(plan)
    assert f"is no member of tank ({GUID})" in told(plan) and list(touched(plan)) == []


def test_a_disk_whose_place_another_has_is_told_by_its_id() -> None:
    look = runs(pool(without=("sdb",))).record("tank", **record() | {"disk.d2": "S-sdz"})
    plan = planned(look, spec(), LOADED)
    assert (
        "nas.disks.d2: ata-S-sdb is no disk of tank, which lacks none: in its place is the disk with the serial S-sdz"
    ) in told(plan)


#
# second run
#


def as_it_is(count: int = 2, **more: Any) -> tuple[Look, Nas, HostProbe]:
    """A host on which all is done: what is seen of it, what is listed, and its files and units."""
    listed = spec().model_dump(exclude_none=True)
    listed["users"] = {"anna": {"uid": 2001}}
    listed["volumes"] = {"photos": {"pool": "tank", "owner": "anna", "group": "users", "quota": "1G"}}
    own = Record("tank", "zfs", "mirror", str(GUID), "zfs", MARK, {"d1": "S-sda", "d2": "S-sdb"})
    look = runs(pool()).record("tank", **record()).line("kept", GUID, 101)
    look.mounted("/srv/tank", "tank", "zfs").mounted("/srv/tank/photos", "tank/photos", "zfs")
    look.mountpoint("tank", names=".homelab-pool\nphotos", sentinel=own.sentinel)
    look.dataset("tank").dataset("tank/photos", quota=more.get("quota", 2**30)).line("project", "0 tank/photos")
    look.line("volume", "tank/photos", more.get("stat", "directory|anna|users|770|34"), "zfs", "")
    files = (
        own.file,
        *zpools.FILES,
        mounts.unit_file(own, mounts.options(own, projects=True)),
        mounts.dataset_file("tank/photos"),
    )
    enabled = UnitState("loaded", "active", "mounted", "enabled")
    probe = replace(
        LOADED,
        files={each.path: FileState("file", each.mode, "root:root", each.sha256) for each in files},
        units={mounts.unit(each): enabled for each in ("tank", "tank/photos")},
    )
    return look, Nas.model_validate(listed), probe


def test_a_second_run_changes_nothing() -> None:
    look, listed, probe = as_it_is()
    plan = planned(look, listed, probe)
    assert told(plan) == "" and plan.changes == () and not plan.warnings


#
# volumes
#


def volume(look: Look, listed: Nas, probe: HostProbe) -> list[str]:
    plan = planned(look, listed, probe)
    assert told(plan) == ""
    return [step.says for step in plan.volumes if step.kind != "noop"]


def test_a_volume_is_a_dataset_with_a_mount_of_its_own() -> None:
    _, listed, _ = as_it_is()
    plan = planned(blank(2), listed)
    unit, made = plan.volumes
    assert unit.file is not None and unit.file.path == "/etc/systemd/system/srv-tank-photos.mount"
    assert "What=tank/photos\nWhere=/srv/tank/photos\nType=zfs\n" in unit.file.content
    assert (made.kind, made.says) == ("additive", "/srv/tank/photos: make it")
    script = made.command
    order = ["is not mounted", "zfs create -o mountpoint=legacy tank/photos", "chattr +i /srv/tank/photos"]
    order += ["systemctl start srv-tank-photos.mount", "refquota=1073741824", "chown anna:users", "0 tank/photos"]
    assert [script.index(each) for each in order] == sorted(script.index(each) for each in order)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"stat": "directory|root|root|770|34"}, "give it to anna:users"),
        ({"stat": "directory|anna|users|755|34"}, "set its mode to 0770"),
        ({"quota": 2**20}, "limit it to 1024 MiB"),
        ({"quota": 0}, "limit it to 1024 MiB"),
    ],
)
def test_what_differs_of_a_volume_is_set_and_no_more(more: dict[str, Any], words: str) -> None:
    assert volume(*as_it_is(**more)) == [f"/srv/tank/photos: {words}"]


def test_a_limit_that_is_listed_no_more_is_lifted() -> None:
    look, listed, probe = as_it_is()
    spec_ = listed.model_dump(exclude_none=True)
    del spec_["volumes"]["photos"]["quota"]
    assert volume(look, Nas.model_validate(spec_), probe) == ["/srv/tank/photos: lift its limit"]


def test_a_dataset_that_is_gone_is_not_made_anew_and_empty() -> None:
    look, listed, probe = as_it_is()
    look.lines = [line for line in look.lines if not line.startswith(("dataset\ttank/photos", "volume"))]
    look.lines = [line for line in look.lines if "/srv/tank/photos" not in line]
    plan = planned(look, listed, probe)
    assert "nas.volumes.photos: the dataset tank/photos was there and is gone; rename or restore it" in told(plan)
    # Of one that nobody could list today, its own command looks.
    look.lines = [line for line in look.lines if not line.startswith("dataset")]
    (step,) = [step for step in planned(look, listed, probe).volumes if step.kind != "noop"]
    assert step.kind == "config" and "stop 'the dataset tank/photos was there and is gone" in step.command
    assert "zfs create" not in step.command


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("dataset\ttank/photos\tfilesystem", "dataset\ttank/photos\tvolume"), "tank/photos is a volume, not a"),
        (("/srv/tank/photos rw", "/mnt rw"), "the dataset tank/photos is mounted at /mnt; if nothing uses it there"),
        (("- zfs tank/photos rw", "- zfs tank/other rw"), "tank/other is mounted at /srv/tank/photos; unmount it"),
    ],
)
def test_a_dataset_that_is_otherwise_than_it_should_be(change: tuple[str, str], words: str) -> None:
    look, listed, probe = as_it_is()
    assert any(change[0] in line for line in look.lines)
    look.lines = [line.replace(*change) for line in look.lines]
    assert words in told(planned(look, listed, probe))


def test_a_dataset_that_is_not_mounted_is_mounted() -> None:
    look, listed, probe = as_it_is()
    look.lines = [line for line in look.lines if "- zfs tank/photos" not in line]
    assert volume(look, listed, probe) == ["/srv/tank/photos: mount it, now and at every boot"]
    look, listed, probe = as_it_is()
    units = {**probe.units, "srv-tank-photos.mount": UnitState("loaded", "active", "mounted", "disabled")}
    assert volume(look, listed, replace(probe, units=units)) == ["/srv/tank/photos: mount it, now and at every boot"]


def test_a_pool_that_is_mounted_elsewhere_is_not_taken_from_there() -> None:
    look, listed, probe = as_it_is()
    look.lines = [line.replace(" /srv/tank rw", " /tank rw") for line in look.lines]
    assert "is mounted at /tank; if nothing uses it there, run `zfs set mountpoint=legacy tank`" in told(
        planned(look, listed, probe)
    )


#
# the module
#


def lacking(look: Look, **probe: Any) -> str:
    host = {"kernel": "6.1.0-57-amd64", "missing_modules": frozenset({"zfs"}), **probe}
    plan = planned(look, spec(), HostProbe(**host))
    return told(plan)


def test_without_its_module_nothing_is_done_and_one_line_tells_why() -> None:
    none = lacking(blank(2))
    assert none.splitlines() == [
        "nas.pools.tank: the kernel 6.1.0-57-amd64 has no module of ZFS, and apt's sources lack contrib, from which to "
        'build it; write "contrib" behind "main" in /etc/apt/sources.list or sources.list.d, and run `apt-get update`'
    ]
    headless = lacking(blank(2).line("zfs", "contrib", "yes").line("zfs", "lists", "yes"))
    assert "has no module of ZFS, and apt has no headers for it, with which to build one; run" in headless
    assert "is a container (lxc)" in lacking(blank(2), container="lxc", missing_modules=frozenset())


@pytest.mark.parametrize("known", [("lists", "headers"), ("headers",), ()])
def test_what_it_can_be_built_from_is_installed(known: tuple[str, ...]) -> None:
    """Of a host whose lists were never fetched nobody knows; that is what apt-get is for."""
    look = blank(2).line("zfs", "contrib", "yes")
    for key in known:
        look.line("zfs", key, "yes")
    assert lacking(look) == ""
    probe = HostProbe(kernel="6.1.0-57-cloud-amd64", missing_modules=frozenset({"zfs"}))
    built = ("zfs-dkms", "linux-headers-6.1.0-57-cloud-amd64", "linux-headers-cloud-amd64")
    assert zfs.to_build(spec(), probe) == built
    assert zfs.to_build(spec(), LOADED) == () == zfs.to_build(nas("btrfs"), probe)
    assert asking.packages(spec(), probe) == asking.packages(spec()) == zfs.PACKAGES


def test_only_a_host_with_such_a_pool_is_asked() -> None:
    def asked(listed: Nas) -> str:
        ((_, text),) = [command for command in asking.questions(listed).commands if command[0] == "storage"]
        return text

    assert "zpool list" in asked(spec()) and "zpool list" not in asked(nas("btrfs"))
    assert "zfs" in asking.questions(spec()).modules and asking.questions(nas("btrfs")).modules == ()
    assert not re.search(r"@[A-Z]+@", asked(spec()) + asked(nas("btrfs")))


#
# labels
#


def told_by(*raw: tuple[int, bytes]) -> Any:
    return zfs_label.member(raw)


def test_the_newest_of_whole_labels_counts() -> None:
    first, second = (
        zfs_labels.label(zfs_labels.values(GUID, (101, 102), 101, txg=txg), at) for txg, at in ((7, 0), (9, 1 << 18))
    )
    assert told_by((0, first), (1 << 18, second)).txg == 9
    torn = second[:-1] + b"\0"
    assert told_by((0, first), (1 << 18, torn)).txg == 7
    # One that was copied from elsewhere on the device proves nothing.
    assert told_by((1 << 18, first)) is None
    assert told_by((0, b"")) is None and told_by((0, bytes(zfs_label.TOLD))) is None


def test_a_disk_being_replaced_has_two_devices_in_one_place() -> None:
    raw = zfs_labels.label(zfs_labels.values(GUID, (101, 102), 101, replacing=103), 0)
    member = told_by((0, raw))
    assert member.devices == 2 and [guid for guid, _ in member.leaves] == ["101", "102", "103"]


def test_a_label_that_zfs_itself_wrote_is_read() -> None:
    """Captured: of a mirror that ztest of OpenZFS 2.1.11 made, with ZFS's own code, of two files."""
    raw = gzip.decompress(b64decode((looks.DATA / "zfs-label.b64").read_text()))
    member = told_by((0, raw))
    assert (member.uuid, member.label, member.level, member.devices) == ("18226112473080939010", "ztest", "mirror", 2)
    assert [guid for guid, _ in member.leaves] == ["17410457762798201291", "5454862569110791691"]
    assert (member.device, member.txg, member.exported, member.alone) == ("17410457762798201291", 103, False, True)
    # 128 MiB each; what is beyond the last metaslab is none of the pool.
    assert (64 << 20) < member.size <= (128 << 20) + (10 << 20)


@pytest.mark.parametrize(
    ("level", "count", "asize", "needs"),
    [
        # By metaslabs of 512 MiB, what is beyond the last one is not used.
        ("mirror", 2, (5 << 29) + 12345, 5 << 29),
        ("raidz1", 3, 9 << 29, 3 << 29),
        ("raidz2", 4, 9 << 29, (9 << 29) // 4),
    ],
)
def test_how_large_a_disk_has_to_be(level: str, count: int, asize: int, needs: int) -> None:
    values = zfs_labels.values(GUID, LEAVES[:count], 101, level=level, asize=asize)
    member = told_by((0, zfs_labels.label(values, 0)))
    assert member.level == level
    assert member.size == needs + (4 << 20) + (512 << 10) + (10 << 20)


@given(st.binary(max_size=300), st.integers(0, zfs_label.TOLD - 1))
def test_a_label_in_which_anything_was_changed_is_none(noise: bytes, at: int) -> None:
    whole = zfs_labels.label(zfs_labels.values(GUID, (101, 102), 101), 0)
    changed = (whole[:at] + noise + whole[at + len(noise) :])[: zfs_label.TOLD]
    assert (told_by((0, changed)) is None) is (changed != whole)
