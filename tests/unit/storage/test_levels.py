"""Every level: what it is made as, what it survives, and that one that is there is never taken for another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from homelab.model.levels import LEVELS, Level, level
from homelab.storage import btrfs, superblocks
from homelab.storage.superblocks import mdadm_uuid
from tests import looks
from tests.looks import Look
from tests.unit.storage.test_pools import says
from tests.unit.storage.test_refusals import U1, U2, nas, planned, told, touched

# Those of ZFS have tests of their own.
ALL = [each for each in LEVELS if each.kind != "zfs"]
MD = [each for each in LEVELS if each.kind == "mdraid"]
BTRFS = [each for each in LEVELS if each.kind == "btrfs"]
STRIPED = [each for each in MD if each.name != "raid1"]
DISKS = ("sda", "sdb", "sdc", "sdd", "sde", "sdf")


def named(each: Level) -> str:
    return f"{each.kind}-{each.name}"


def every(levels: Sequence[Level] = tuple(ALL)) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("each", levels, ids=named)


def spec(each: Level, count: int = 0, **pool: Any) -> Any:
    return nas(each.kind, count=count or each.least, level=each.name, **pool)


def stands(each: Level, absent: int = 0, runs: bool = False, **values: Any) -> Look:
    """A pool of this level with its fewest disks, the last of which are not there."""
    look, here = Look(), DISKS[: each.least - absent]
    for devid, disk in enumerate(here, 1):
        if each.kind == "mdraid":
            inner = U2 if each.name == "raid1" else ""
            look.mirror(disk, U1, inner=inner, level=each.number, disks=each.least)
        else:
            data, metadata = (profile.upper().replace("SINGLE", "") for profile in each.makes(each.least))
            look.btrfs(disk, U1, devid=devid, disks=each.least, data=data, metadata=metadata)
    if runs:
        look.runs("md127", *here, uuid=U2, level=each.name, disks=str(each.least), degraded=str(absent), **values)
    return look


def noted(each: Level, **values: str) -> dict[str, str]:
    inner = U2 if each.kind == "mdraid" else U1
    filesystem = "ext4" if each.kind == "mdraid" else "btrfs"
    disks = {f"disk.d{number}": f"S-{disk}" for number, disk in enumerate(DISKS[: each.least], 1)}
    made = {"uuid": U1, "filesystem_uuid": inner, "kind": each.kind, "level": each.name, "filesystem": filesystem}
    return {**made, **disks, "state": "made", **values}


@pytest.mark.parametrize(
    ("kind", "name", "sizes", "usable"),
    [
        ("mdraid", "raid1", [4, 4, 4], 4),
        ("mdraid", "raid5", [4, 4, 6], 8),
        ("mdraid", "raid6", [4, 4, 4, 4, 4], 12),
        ("mdraid", "raid10", [4, 4, 4, 5], 8),
        ("btrfs", "single", [1, 2, 3], 6),
        ("btrfs", "raid1", [4, 2], 2),
        ("btrfs", "raid1", [4, 2, 2], 4),
        ("btrfs", "raid1c3", [9, 4, 2, 2], 4),
        ("btrfs", "raid10", [4, 4, 4, 4], 8),
    ],
)
def test_how_much_fits(kind: str, name: str, sizes: list[int], usable: int) -> None:
    assert level(kind, name).usable(sizes) == usable


@pytest.mark.parametrize(
    ("kind", "name", "disks", "dead"),
    [
        ("mdraid", "raid1", 3, 2),
        ("mdraid", "raid5", 5, 1),
        ("mdraid", "raid6", 5, 2),
        ("mdraid", "raid10", 6, 1),
        ("btrfs", "single", 3, 0),
        ("btrfs", "raid1", 3, 1),
        ("btrfs", "raid1c3", 3, 2),
        ("btrfs", "raid10", 4, 1),
    ],
)
def test_how_many_may_die(kind: str, name: str, disks: int, dead: int) -> None:
    assert level(kind, name).survives(disks) == dead


@every(BTRFS)
def test_metadata_survives_what_data_survive(each: Level) -> None:
    copies = {"dup": 1, "single": 1, "raid1": 2, "raid10": 2, "raid1c3": 3}
    for count in range(each.least, 7):
        data, metadata = each.makes(count)
        assert copies[metadata] >= copies[data] and (data, metadata) != ("single", "single")
        assert btrfs.wrong_profiles(each, {"data": [data], "metadata": [metadata], "system": [metadata]}) == []


@every()
def test_blank_disks_become_a_pool_of_it(each: Level) -> None:
    look = Look()
    for disk in DISKS[: each.least]:
        look.disk(disk)
    plan = planned(look, spec(each))
    assert told(plan) == ""
    (step,) = [step for step in plan.steps if step.kind == "additive"]
    assert step.says.startswith(f"make the {each.kind} {each.name} tank of d1 (/dev/sda, serial S-sda)")
    if each.kind == "mdraid":
        assert f"--level={each.number} " in step.command and f"--raid-devices={each.least} " in step.command
        assert ("--chunk=512K" in step.command) == (each.name != "raid1")
        assert "--bitmap=internal" in step.command
    else:
        data, metadata = each.makes(each.least)
        assert f"mkfs.btrfs -q -d {data} -m {metadata} " in step.command


@every()
def test_one_that_is_there_is_taken_as_it_is(each: Level) -> None:
    plan = planned(stands(each).record("tank", **noted(each)), spec(each))
    assert told(plan) == "" and list(touched(plan)) == []
    assert (plan.pools["tank"].uuid, plan.pools["tank"].level) == (U1, each.name)


@every()
def test_it_is_not_taken_for_another(each: Level) -> None:
    for other in ALL:
        if other.kind != each.kind or other is each:
            continue
        # Of `single` a btrfs may be in part, which is put right by a balance.
        words = (
            "not all of it is" if each.name == "single" else f"is a {each.name}, not a {other.name}; a level is never"
        )
        count = max(each.least, other.least)
        look = stands(each)
        for disk in DISKS[each.least : count]:
            look.disk(disk)
        plan = planned(look.record("tank", **noted(each)), spec(other, count))
        assert list(touched(plan)) == []
        assert words in told(plan) or "disks, and" in told(plan)


def test_a_btrfs_that_keeps_nothing_twice_says_so() -> None:
    each = level("btrfs", "single")
    for look in (Look().disk("sda"), stands(each)):
        plan = planned(look, spec(each))
        assert told(plan) == "" and "nothing is mirrored: the loss of its disk loses all" in str(plan.warnings[0])


#
# Arrays whose members do not tell what is on them
#


@every(STRIPED)
def test_what_a_member_seems_to_hold_is_not_believed(each: Level) -> None:
    look = stands(each)
    # The beginning of the filesystem stands on the first of them, and its parity may look like one.
    look.lines = [line for line in look.lines if not line.startswith("inner")]
    look.line("inner", "sda", "", f"TYPE=vfat UUID={U1} USAGE=filesystem")
    plan = planned(look.record("tank", **noted(each)), spec(each))
    assert told(plan) == "" and plan.pools["tank"].filesystem_uuid == U2


@every(MD)
def test_one_that_does_not_run_is_started_and_its_filesystem_proven_before_it_is_mounted(each: Level) -> None:
    plan = planned(stands(each).record("tank", **noted(each)), spec(each))
    assert says(plan)[0] == "start tank" and says(plan)[-1] == "mount tank at /srv/tank, now and at every boot"
    assert f"uuid={U2}\n" in plan.steps[0].command and '[ "$found" = "$uuid" ] || stop' in plan.steps[0].command


@every(STRIPED)
def test_without_a_record_it_is_started_and_no_more(each: Level) -> None:
    plan = planned(stands(each), spec(each))
    assert told(plan) == "" and plan.pools == {} and list(touched(plan)) == []
    assert (
        says(plan) == ["start tank"] and "mkfs" not in plan.steps[0].command.partition("record=")[2].split("uuid=")[0]
    )
    assert "it is started; run the same command again to mount it" in str(plan.warnings[0])
    again = planned(stands(each, runs=True), spec(each))
    assert told(again) == "" and again.pools["tank"].filesystem_uuid == U2


@every(STRIPED)
def test_how_it_was_mounted_last_tells_whether_it_counts_projects(each: Level) -> None:
    from homelab.probe import FileState, HostProbe
    from homelab.storage import mounts
    from homelab.storage.records import read

    record = read("tank", noted(each))
    assert record is not None
    for projects in (True, False):
        unit = mounts.unit_file(record, mounts.options(record, projects=projects))
        probe = HostProbe(files={unit.path: FileState("file", "0644", "root:root", unit.sha256)})
        plan = planned(stands(each).record("tank", **noted(each)), spec(each), probe)
        assert f"write {unit.path}" not in says(plan)


#
# Disks that died
#


@every(MD)
def test_an_array_starts_with_as_few_disks_as_its_level_allows_and_no_fewer(each: Level) -> None:
    most = each.survives(each.least)
    for absent in range(1, each.least):
        plan = planned(stands(each, absent).record("tank", **noted(each)), spec(each))
        assert list(touched(plan)) == []
        if absent <= most:
            assert told(plan) == "" and says(plan)[0].startswith("start tank without d")
            assert "mdadm --assemble --run /dev/md/tank" in plan.steps[0].command
            left = "alone" if absent == most else f"{most - absent} more may die"
            assert left in str(plan.warnings[0])
        else:
            assert f"is gone, and a {each.name} of {each.least} survives {most}; plug it in" in told(plan)


@every(MD)
@pytest.mark.parametrize("newest", [True, False])
def test_a_disk_that_left_earlier_is_not_started_without_the_newer_ones(each: Level, newest: bool) -> None:
    member = superblocks.md(bytes.fromhex(looks.md(U1)))
    assert member is not None and member.device == "70307c8a-bc07-8af5-6c6a-ce9df84916b7"
    look = stands(each, absent=1).record("tank", **noted(each))
    look.line("kept", mdadm_uuid(U1), "99999999:99999999:99999999:99999999")
    if newest:
        look.line("kept", mdadm_uuid(U1), looks.KEPT)
    plan = planned(look, spec(each))
    if newest:
        assert told(plan) == "" and says(plan)[0].startswith("start tank without d")
        script = plan.steps[0].command.partition("record=")[2]
        assert script.index("\nnewest sda") < script.index("mdadm --assemble --run")
        return
    assert list(touched(plan)) == []
    assert f"left it before it last ran, and what is newer is on d{each.least}; plug that in" in told(plan)
    assert f"rm /var/lib/homelab/arrays/{mdadm_uuid(U1)}" in told(plan)


@every(MD)
def test_it_is_noted_once_which_disks_an_array_runs_on(each: Level) -> None:
    look = stands(each, runs=True).record("tank", **noted(each))
    wanted = ("note which disks tank runs on", "/usr/local/lib/homelab/homelab-array --note\n")
    # The script and the pool's record come first.
    last = planned(look, spec(each)).steps[-1]
    assert (last.says, last.command) == wanted
    look.line("kept", mdadm_uuid(U1), looks.KEPT)
    assert wanted[0] not in says(planned(look, spec(each)))
    assert wanted[0] not in says(planned(stands(each).record("tank", **noted(each)), spec(each)))


@every(BTRFS)
def test_a_btrfs_that_lost_a_disk_stays_down(each: Level) -> None:
    if each.least == 1:
        return
    for absent in range(1, each.least):
        plan = planned(stands(each, absent).record("tank", **noted(each)), spec(each))
        assert list(touched(plan)) == []
        if absent <= each.survives(each.least):
            assert "run `HOMELAB_ENV=attic pyinfra inventory deploys/day2/replace_disk.py --data disk=d" in told(plan)
        else:
            assert f"more than a {each.name} survives" in told(plan)


@every(STRIPED)
def test_a_first_sync_is_told_of_and_stops_nothing(each: Level) -> None:
    look = stands(each)
    members = DISKS[: each.least]
    look.runs("md127", *members, uuid=U2, level=each.name, degraded="1", action="recover")
    plan = planned(look.record("tank", **noted(each)), spec(each))
    assert told(plan) == "" and "its disks are being made equal" in str(plan.warnings[0])


#
# Runs that were cut
#


@every(MD)
def test_one_of_which_only_some_disks_had_heard_is_made_again(each: Level) -> None:
    look = stands(each, absent=1)
    look.lines = [line for line in look.lines if not line.startswith("inner")]
    plan = planned(look.disk(DISKS[each.least - 1]).record("tank", **noted(each, state="making")), spec(each))
    (step,) = [step for step in plan.steps if step.kind == "additive"]
    assert told(plan) == "" and f"only sda {U1} || stop" in step.command and "clear sda\n" in step.command
    assert f"clear {DISKS[each.least - 1]}\n" not in step.command


@every(MD)
def test_one_that_was_being_formatted_is_never_made_again_of_fewer_disks(each: Level) -> None:
    look = stands(each, absent=1).disk(DISKS[each.least - 1]).record("tank", **noted(each, state="formatting"))
    plan = planned(look, spec(each))
    assert "list the disks that it was begun with" in told(plan) and list(touched(plan)) == []


@every(MD)
@pytest.mark.parametrize("state", ["making", "formatting"])
def test_one_that_was_joined_is_finished(each: Level, state: str) -> None:
    look = stands(each)
    look.lines = [line for line in look.lines if not line.startswith("inner")]
    plan = planned(look.record("tank", **noted(each, state=state)), spec(each))
    (step,) = [step for step in plan.steps if step.kind == "additive"]
    assert told(plan) == "" and step.says == "finish tank, whose making was cut"
    assert "--create" not in step.command and "mkfs.ext4" in step.command
    assert ('|| blank "$md"' in step.command) == (state == "making")
