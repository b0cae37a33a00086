"""Another disk takes the place of one: never one that holds something, nor where the pool may not survive it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace as but
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homelab.model.levels import LEVELS, Level, level
from homelab.model.nas import Nas
from homelab.probe import FileState, HostProbe
from homelab.storage import consent, records, replace
from homelab.storage.replace import Replacement
from homelab.storage.superblocks import mdadm_uuid
from tests import looks
from tests.looks import Look
from tests.sound_shell import ASSEMBLED, assert_sound, parses, telling
from tests.sweeps import examples, sweep
from tests.unit.storage.test_levels import DISKS, every, named, noted, spec, stands
from tests.unit.storage.test_refusals import U1, U2, planned, told

MD = [each for each in LEVELS if each.kind == "mdraid"]
BTRFS = [each for each in LEVELS if each.kind == "btrfs"]
REDUNDANT = [each for each in (*MD, *BTRFS) if each.survives(each.least) > 0]
OTHER = "99999999-2222-4333-8444-555555555555"
RAID1 = level("mdraid", "raid1")


def wished(
    look: Look, nas: Nas, disk: str = "d1", with_: str = "ata-S-sdf", probe: HostProbe | None = None, **more: str
) -> Replacement:
    wish, problems = replace.wish(nas, {"disk": disk, "with": with_, **more})
    assert problems == () and wish is not None
    return replace.plan("nas", nas, look.seen, probe or HostProbe(), wish, frozenset(), environment="attic")


def lines(found: Replacement) -> str:
    return "\n".join(map(str, found.problems))


def writes(found: Replacement) -> list[str]:
    return [step.command for step in found.steps if step.kind in ("additive", "destructive")]


def tail(script: str) -> str:
    """A script without the functions that all of them have."""
    return script.partition("record=")[2]


def lost(each: Level, **values: Any) -> Look:
    """A pool that lacks its first disk."""
    look, whole = Look(), stands(each)
    look.rows = [row for row in whole.rows if row["kname"] != "sda"]
    look.lines = [line for line in whole.lines if "sda" not in line.split("\t")]
    look.lines = [line for line in look.lines if not line.startswith("link\tata-S-sda")]
    if each.kind == "mdraid":
        members = DISKS[1 : each.least]
        look.runs("md127", *members, uuid=U2, level=each.name, disks=str(each.least), degraded="1", **values)
    return look.record("tank", **noted(each))


def whole(each: Level, **values: Any) -> Look:
    return stands(each, runs=each.kind == "mdraid", **values).record("tank", **noted(each))


#
# What is asked
#


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"disk": "d9", "with": "ata-NEW"}, "disk: no 'd9' in disks; write one of d1, d2, d3"),
        ({"disk": "d22", "with": "ata-NEW"}, "disk: no 'd22' in disks; did you mean d2?"),
        ({"disk": "d3", "with": "ata-NEW"}, "disk: d3 is in no pool; write one of d1, d2"),
        ({"disk": "d1", "with": "sda"}, "with: 'sda' may be another disk after the next boot"),
        ({"disk": "d1", "with": "d2"}, "with: d2 is in pool tank; write the new disk"),
        ({"disk": "d1", "with": "d1"}, "with: d1 is the disk itself; write the new disk"),
        ({"disk": "d1", "with": "serial:S-sdb"}, "with: serial:S-sdb is d2, in pool tank"),
        ({"disk": "d1", "with": "ata-NEW", "consent": "yes"}, "consent: 'yes' is not a consent"),
    ],
)
def test_a_wrong_argument_is_one_line(words: dict[str, str], says: str) -> None:
    nas = spec(RAID1).model_dump(mode="json")
    nas["disks"]["d3"] = {"id": "ata-S-sdc", "consent": None}
    wish, problems = replace.wish(Nas.model_validate(_bare(nas)), words)
    assert wish is None and len(problems) == 1 and str(problems[0]).startswith(says)


def _bare(nas: dict[str, Any]) -> dict[str, Any]:
    return {
        "disks": {name: {"id": disk["id"]} for name, disk in nas["disks"].items()},
        "pools": {name: {key: pool[key] for key in ("kind", "level", "disks")} for name, pool in nas["pools"].items()},
    }


def test_a_listed_disk_in_no_pool_is_known_by_its_id_too() -> None:
    nas = _bare(spec(RAID1).model_dump(mode="json"))
    nas["disks"]["d3"] = {"id": "ata-S-sdf"}
    look = whole(RAID1).disk("sdf")
    for word in ("d3", "ata-S-sdf", "serial:S-sdf"):
        if word.startswith("serial"):
            look.line("listed", word, "sdf")
        found = wished(look, Nas.model_validate(nas), with_=word)
        assert lines(found) == "" and "take d3 out of disks" in "\n".join(found.told)


def test_an_array_that_does_not_run_is_started_by_a_deploy_of_the_same_inventory() -> None:
    found = wished(stands(RAID1).record("tank", **noted(RAID1)).disk("sdf"), spec(RAID1))
    assert "run `HOMELAB_ENV=attic pyinfra inventory deploys/nas.py` first, which starts it" in lines(found)


#
# What is done
#


@every(REDUNDANT)
def test_a_dead_disk_is_built_anew(each: Level) -> None:
    found = wished(lost(each).disk("sdf"), spec(each))
    assert lines(found) == ""
    (script,) = writes(found)
    assert "untouched" not in script and "idle sdf; blank sdf\n" in script
    assert '"d1": {"id": "ata-S-sdf"}' in "\n".join(found.told)
    polled = [step for step in found.steps if step.poll]
    assert polled and all(step.patience > 0 for step in polled)
    (note,) = [step for step in found.steps if step.file is not None]
    assert note.file is not None and "disk.d1=S-sdf\n" in note.file.content
    if each.kind == "mdraid":
        script = "/usr/local/lib/homelab/homelab-array"
        assert any(step.command.endswith(f"\n[ ! -x {script} ] || {script} --note || :\n") for step in found.steps)
    if each.kind == "btrfs":
        assert ",degraded" in found.steps[0].command and "/run/homelab/replace/tank" in found.steps[0].command
        assert "btrfs replace start -B -r" in script


@every()
def test_a_disk_that_works_is_copied_and_the_pool_lacks_none_meanwhile(each: Level) -> None:
    found = wished(whole(each).disk("sdf"), spec(each))
    assert lines(found) == ""
    (script,) = writes(found)
    assert all("degraded" not in tail(step.command) for step in found.steps if each.kind == "btrfs")
    if each.kind == "mdraid":
        assert "how=--add-spare; else how=--add; fi\n" in script and "old=sda\n" in script
        assert not any(
            word in tail(script).partition("idle sdf")[2] for word in ("--fail /dev/sda", "--remove /dev/sda")
        )
    else:
        assert "gone=1\n" in script


@every(MD)
def test_an_array_that_does_not_run_is_started_first(each: Level) -> None:
    look = lost(each).disk("sdf")
    look.rows = [row for row in look.rows if row["kname"] != "md127"]
    look.lines = [line for line in look.lines if "md127" not in line.split("\t")]
    found = wished(look, spec(each))
    assert lines(found) == "" and found.steps[0].says == "start tank without d1"
    assert f"uuid={U2}\n" in found.steps[0].command


@pytest.mark.parametrize("other", [True, False])
def test_an_array_is_not_started_on_a_disk_that_left_earlier_whatever_is_in_the_place_of_the_newer(other: bool) -> None:
    look = stands(RAID1).record("tank", **noted(RAID1)).disk("sdf")
    look.rows = [row for row in look.rows if row["kname"] != "sda"]
    look.lines = [
        line for line in look.lines if "sda" not in line.split("\t") and not line.startswith("link\tata-S-sda")
    ]
    look = look.mirror("sda", OTHER) if other else look.disk("sda")
    look.line("kept", mdadm_uuid(U1), "99999999:99999999:99999999:99999999")
    found = wished(look, spec(RAID1))
    assert "d2 left it before it last ran, and what is newer is on d1; plug that in" in lines(found)
    assert found.steps == ()


@every(MD)
def test_one_that_is_being_built_is_waited_for(each: Level) -> None:
    look = lost(each, action="recover")
    look.mirror("sdf", U1, level=each.number, disks=each.least)
    look.line("state", "md127", "sdf", "spare")
    found = wished(look, spec(each))
    assert lines(found) == "" and writes(found) == []
    assert "go on building /dev/sdf" in found.steps[0].says and any(step.poll for step in found.steps)


@every(BTRFS)
def test_a_btrfs_whose_copying_was_cut_goes_on(each: Level) -> None:
    data, metadata = (profile.upper().replace("SINGLE", "") for profile in each.makes(each.least))
    look = whole(each).btrfs("sdf", U1, devid=0, disks=each.least, data=data, metadata=metadata)
    found = wished(look, spec(each))
    assert lines(found) == "" and writes(found) == [] and any("is written" in step.says for step in found.steps)


def completed(each: Level) -> Replacement:
    """What is left to do when the replacement is through and recorded."""
    look = lost(each)
    if each.kind == "mdraid":
        look.lines = [line for line in look.lines if not line.startswith("array")]
        members = (*DISKS[1 : each.least], "sdf")
        look.mirror("sdf", U1, level=each.number, disks=each.least)
        look.line("array", "md127", each.name, "clean", each.least, 0, "idle", " ".join(members))
        look.line("state", "md127", "sdf", "in_sync")
    else:
        look.btrfs("sdf", U1, devid=1, disks=each.least).mounted("/srv/tank", "/dev/sdb", "btrfs")
    record = records.read("tank", noted(each))
    assert record is not None
    after = but(record, serials={**record.serials, "d1": "S-sdf"}).file
    probe = HostProbe(files={after.path: FileState("file", "0644", "root:root", after.sha256)})
    return wished(look, spec(each), probe=probe)


@every(REDUNDANT)
def test_what_is_done_is_done(each: Level) -> None:
    found = completed(each)
    assert lines(found) == "" and writes(found) == [] and found.steps[0].kind == "noop"
    assert all(step.file is None for step in found.steps)


#
# What is refused
#


@every(REDUNDANT)
@pytest.mark.parametrize("held", looks.KINDS)
def test_a_new_disk_that_holds_something_is_refused_and_let_go_of_by_consent_once(each: Level, held: str) -> None:
    look = lost(each).disk("sdf", wipefs=looks.captured(held, "sdf"))
    found = wished(look, spec(each))
    assert "/dev/sdf (serial S-sdf) holds" in lines(found) and found.steps == ()
    word = consent.word(look.seen.disks["sdf"])
    assert f"add `--data consent={word}`" in lines(found)
    again = wished(look, spec(each), consent=word)
    (step,) = [step for step in again.steps if step.kind == "destructive"]
    assert lines(again) == "" and step.consents == (word,) and "clear sdf\n" in step.command
    used = wished(look.line("consent", f"{word} done"), spec(each), consent=word)
    assert "was used already" in lines(used) and used.steps == ()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"mountpoints": ["/mnt"]}, "/dev/sdf is mounted at /mnt"),
        ({"opens": False}, "/dev/sdf is in use by something"),
        ({"tran": "usb"}, "/dev/sdf is connected by USB"),
        ({"serial": "", "id": "ata-S-sdf"}, "/dev/sdf has no serial number"),
        ({"serial": "S-sdb", "id": "ata-S-sdf"}, "/dev/sdf has the serial S-sdb, and so has /dev/sdb"),
    ],
)
@every(REDUNDANT)
def test_a_new_disk_that_is_unfit(each: Level, values: dict[str, Any], words: str) -> None:
    found = wished(lost(each).disk("sdf", **values), spec(each))
    assert words in lines(found) and found.steps == ()


@every(REDUNDANT)
def test_a_new_disk_that_is_too_small(each: Level) -> None:
    found = wished(lost(each).disk("sdf", size=(600 << 20)), spec(each))
    assert "has 600 MiB, and 2048 are needed; take a larger one" in lines(found) and found.steps == ()


@every(REDUNDANT)
def test_a_new_disk_of_another_pool(each: Level) -> None:
    other = noted(each) | {"uuid": OTHER}
    look = lost(each).record("media", **other)
    look = look.mirror("sdf", OTHER) if each.kind == "mdraid" else look.btrfs("sdf", OTHER)
    found = wished(look, spec(each))
    assert "/dev/sdf belongs to the pool media" in lines(found) and found.steps == ()


@every()
def test_more_dead_disks_than_the_level_survives(each: Level) -> None:
    most = each.survives(each.least)
    look = stands(each, absent=most + 1).record("tank", **noted(each)).disk("sdf")
    dead = f"d{each.least}"
    if most + 1 == each.least:
        return  # then none is left to tell what pool it was
    found = wished(look, spec(each), disk=dead)
    assert f"survives {most}; plug it in" in lines(found) and found.steps == ()


@every(REDUNDANT)
def test_a_disk_that_works_waits_for_the_one_that_is_gone(each: Level) -> None:
    found = wished(lost(each).disk("sdf"), spec(each), disk="d2")
    assert "d1 is gone; replace that first" in lines(found) and found.steps == ()


@every(MD)
def test_nothing_joins_while_disks_are_being_made_equal(each: Level) -> None:
    found = wished(whole(each, action="resync").disk("sdf"), spec(each))
    assert "its disks are being made equal (resync); wait until it is over" in lines(found) and found.steps == ()


@every(REDUNDANT)
def test_a_wrong_id_is_not_taken_for_a_dead_disk(each: Level) -> None:
    look = lost(each)
    if each.kind == "mdraid":
        look.lines = [line for line in look.lines if not line.startswith("array")]
        members = " ".join((*DISKS[1 : each.least], "sdx"))
        look.line("array", "md127", each.name, "clean", each.least, 0, "idle", members)
    else:
        look.mounted("/srv/tank", "/dev/sdb", "btrfs").mountpoint("tank")
    found = wished(look.disk("sdf"), spec(each))
    assert "lacks no disk, and ata-S-sda is none of it" in lines(found) and found.steps == ()
    # Cut before its end was noted, a replacement is gone on with.
    again = "which lacks none, and what is in its place is not noted yet; run the same replace_disk.py again"
    assert f"nas.disks.d1: ata-S-sda is no disk of tank, {again}" in told(planned(look, spec(each)))
    look.record("tank", **{"disk.d1": "S-sdx"})
    instead = "which lacks none: in its place is the disk with the serial S-sdx"
    assert f"nas.disks.d1: ata-S-sda is no disk of tank, {instead}" in told(planned(look, spec(each)))


def test_an_old_disk_that_is_still_plugged_in_is_not_said_to_be_in_its_own_place() -> None:
    look = stands(RAID1).record("tank", **noted(RAID1)).runs("md127", "sdb", "sdx", uuid=U2)
    assert "nas.disks.d1: ata-S-sda is no disk of tank, which lacks none, and what" in told(planned(look, spec(RAID1)))


@every([each for each in BTRFS if each in REDUNDANT])
def test_a_disk_that_died_while_its_btrfs_is_mounted_is_replaced_where_it_is(each: Level) -> None:
    # The kernel goes on naming the dead disk as what is mounted, with nothing missing.
    look = lost(each).mounted("/srv/tank", "/dev/sda", "btrfs").line("alive", "/srv/tank", "sdb")
    look.mountpoint("tank").line("dropped", "tank")
    assert look.seen.mounts[-1].source == "/dev/sdb" and look.seen.mountpoints["tank"].dropped == 1
    found = wished(look.disk("sdf"), spec(each))
    assert lines(found) == "" and not [step for step in found.steps if "mount tank" in step.says]
    assert "there=/srv/tank new=sdf" in writes(found)[0]
    plan = planned(look, spec(each))
    (line,) = told(plan).splitlines()
    assert "d1 (serial S-sda) is gone since it was mounted, and what is written now is on the others alone" in line
    command = "HOMELAB_ENV=attic pyinfra inventory deploys/day2/replace_disk.py --data disk=d1 --data with=NEW"
    assert f"run `{command}` while it is mounted" in line


@every([each for each in BTRFS if each in REDUNDANT])
def test_a_disk_that_fell_out_and_is_there_again_is_told_of(each: Level) -> None:
    look = whole(each).mounted("/srv/tank", "/dev/sda", "btrfs").mountpoint("tank").line("dropped", "tank")
    plan = planned(look, spec(each))
    assert told(plan) == "" and "1 of its disks fell out while it was mounted" in str(plan.warnings[0])


@pytest.mark.parametrize(("shown", "gone"), [("whole", []), ("pulled", ["2"])])
def test_the_number_of_a_disk_that_died_while_mounted_is_told_by_btrfs(
    tmp_path: Path, shown: str, gone: list[str]
) -> None:
    """With what btrfs-progs 6.2 printed on Linux 6.1, where `missing` in sysfs stays 0."""
    (script,) = writes(wished(lost(level("btrfs", "raid1")).disk("sdf"), spec(level("btrfs", "raid1"))))
    functions = script.partition("job=")[2].partition("\nmine ||")[0]
    btrfs = tmp_path / "btrfs"
    btrfs.write_text(f"#!/bin/sh\ncat {looks.DATA}/btrfs-show/{shown}.txt\n")
    btrfs.chmod(0o755)
    run = f"PATH={tmp_path}:$PATH name=tank uuid={U1} there=/srv/tank new=vdh\njob={functions}\nlost"
    done = subprocess.run(["sh", "-c", run], capture_output=True, text=True, check=False)
    assert done.stdout.split() == gone and done.stderr == ""


@pytest.mark.parametrize("gone", [True, False])
def test_a_disk_that_fell_out_under_its_open_luks_is_lost_though_its_device_is_there(
    tmp_path: Path, gone: bool
) -> None:
    (script,) = writes(wished(lost(level("btrfs", "raid1")).disk("sdf"), spec(level("btrfs", "raid1"))))
    functions = (
        script.partition("# DEVICE of a btrfs")[2].partition("\nmine ||")[0].replace("/sys/", f"{tmp_path}/sys/")
    )
    devices = tmp_path / "sys/fs/btrfs" / U1 / "devices"
    devices.mkdir(parents=True)
    for dm, disk in (("dm-0", "vdb"), ("dm-1", "vdc")):
        block = tmp_path / "sys/class/block" / dm
        (block / "slaves").mkdir(parents=True)
        (block / "slaves" / disk).symlink_to(tmp_path / disk)
        (devices / dm).symlink_to(block)
    (tmp_path / "vdb").mkdir()
    if not gone:
        (tmp_path / "vdc").mkdir()
    shown = "printf '\\tdevid    %s size 1 used 1 path /dev/mapper/dm-%s\\n' 1 0 2 1"
    for name, text in (("btrfs", shown), ("readlink", 'echo "/dev/${2##*/}"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    run = f"set -eu\nPATH={tmp_path}:$PATH uuid={U1} there=/srv/tank new=vdh name=tank\n#{functions}\nlost; dropped"
    done = subprocess.run(["sh", "-c", run], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["2", "dm-1"] if gone else [], "")


# As btrfs-progs 6.2 printed on Linux 6.1.
_NEVER = "UUID:             x\n\tno stats available\nTotal to scrub:   1.96GiB\nError summary:    no errors found\n"
_BEGINS = f"{_NEVER}Time left:        0:00:00\nETA:              Mon Nov 30 13:22:40 2026\n"
_FINISHED = (
    "UUID:             x\nScrub started:    Mon Nov 30 13:22:40 2026\nStatus:           finished\n"
    "Duration:         0:00:06\nError summary:    no errors found\n"
)
_RUNNING = _FINISHED.replace("finished", "running")
_CUT = _FINISHED.replace("finished", "interrupted")
_RESUMED = _FINISHED.replace("Scrub started:", "Scrub resumed:")
_DAMAGED = _FINISHED.replace("no errors found", "csum=3")


@pytest.mark.parametrize(
    ("again", "said", "recorded", "begins", "polled"),
    [
        (False, _NEVER, "13:20", True, "run"),
        (False, _FINISHED, "13:20", True, "run"),
        (False, _RUNNING, "13:20", False, "run"),
        (False, _BEGINS, "13:20", False, "run"),
        (True, _NEVER, "13:20", True, "run"),
        (True, _BEGINS, "13:20", False, "run"),
        (True, _CUT, "13:20", True, "run"),
        (True, _DAMAGED, "13:20", True, "run"),
        (True, _RESUMED, "13:20", True, "run"),
        (True, _FINISHED, "13:25", True, "run"),
        (True, _FINISHED, "13:20", False, "done"),
    ],
)
def test_a_btrfs_counts_as_read_when_a_scrub_since_then_is_through(
    tmp_path: Path, again: bool, said: str, recorded: str, begins: bool, polled: str
) -> None:
    """Of one that begins, and where none ever was, btrfs says as well that no errors were found."""
    raid1 = level("btrfs", "raid1")
    step = (completed(raid1) if again else wished(lost(raid1).disk("sdf"), spec(raid1))).steps[-1]
    assert step.says == "read all of tank once"
    record, shown = tmp_path / "record", tmp_path / "shown"
    record.touch()
    when = datetime.strptime(f"2026-11-30 {recorded}", "%Y-%m-%d %H:%M").timestamp()
    os.utime(record, (when, when))
    shown.write_text(said)
    (tmp_path / "begins").write_text(_BEGINS)
    btrfs = tmp_path / "btrfs"
    start = f'echo "$@" >>{tmp_path}/asked; cp {tmp_path}/begins {shown}'
    btrfs.write_text(f"#!/bin/sh\ncase $2 in status) cat {shown} ;; start) {start} ;; esac\n")
    btrfs.chmod(0o755)

    def ran(script: str) -> str:
        own = "look() {" + script.partition("\nlook() {")[2].replace("/var/lib/homelab/pools/tank", str(record))
        run = f"set -eu\nPATH={tmp_path}:$PATH there=/srv/tank\n{own}"
        return subprocess.run(["sh", "-c", run], capture_output=True, text=True, check=True).stdout

    ran(step.command)
    assert (tmp_path / "asked").exists() is begins
    assert ran(step.poll).split()[0] == polled


@pytest.mark.parametrize(
    ("said", "polled"), [(_DAMAGED, "failed finished csum=3"), (_NEVER, "failed no errors found"), (_FINISHED, "done")]
)
def test_what_a_scrub_of_btrfs_found_ends_the_wait(tmp_path: Path, said: str, polled: str) -> None:
    step = wished(lost(level("btrfs", "raid1")).disk("sdf"), spec(level("btrfs", "raid1"))).steps[-1]
    (tmp_path / "btrfs").write_text(f"#!/bin/sh\ncat <<'END'\n{said}END\n")
    (tmp_path / "btrfs").chmod(0o755)
    run = f"set -eu\nPATH={tmp_path}:$PATH there=/srv/tank\nlook() {{{step.poll.partition(chr(10) + 'look() {')[2]}"
    found = subprocess.run(["sh", "-c", run], capture_output=True, text=True, check=True)
    assert " ".join(found.stdout.split()) == polled


def test_without_a_record_nothing_is_replaced() -> None:
    found = wished(stands(RAID1).disk("sdf"), spec(RAID1))
    assert "has no record on this host; run `HOMELAB_ENV=attic pyinfra inventory deploys/nas.py` first" in lines(found)


state = st.sampled_from(["blank", "data", "mounted", "partition", "member", *looks.KINDS])


@examples(3)
@given(each=st.sampled_from(REDUNDANT), holds=state, dead=st.booleans(), offered=st.booleans())
def test_no_disk_that_is_not_blank_joins_without_consent(each: Level, holds: str, dead: bool, offered: bool) -> None:
    look = lost(each) if dead else whole(each)
    if holds == "member":
        look.mirror("sdf", OTHER, array="any:x")
    elif holds == "partition":
        look.disk("sdf", parts={"sdf1": looks.EMPTY})
    elif holds == "mounted":
        look.disk("sdf", wipefs=looks.captured("ext4", "sdf"), mountpoints=["/mnt"])
    elif holds in looks.KINDS:
        look.disk("sdf", wipefs=looks.captured(holds, "sdf"))
    else:
        look.disk("sdf", content="zero" if holds == "blank" else "5ca1ab1e")
    word = consent.word(look.seen.disks["sdf"])
    found = wished(look, spec(each), **({"consent": word} if offered else {}))
    if found.problems:
        assert found.steps == ()
        return
    assert holds == "blank" or (offered and holds != "mounted")
    for step in found.steps:
        assert (step.kind == "destructive") == (holds != "blank" and step.kind not in ("config", "additive"))
        for other in DISKS[: each.least]:
            assert f"clear {other}\n" not in step.command and f"blank {other}\n" not in step.command


#
# The scripts
#


def scripts() -> dict[str, str]:
    found = {}
    for each in REDUNDANT:
        for what, look in (("dead", lost(each)), ("works", whole(each))):
            for number, step in enumerate(wished(look.disk("sdf"), spec(each)).steps):
                for part, text in (("command", step.command), ("poll", step.poll)):
                    if text:
                        found[f"{named(each)}-{what}-{number}-{part}"] = text
    return found


SCRIPTS = scripts()
TELLING = telling(SCRIPTS)


@pytest.mark.parametrize("name", sweep(TELLING))
def test_a_script_is_sound_shell(name: str) -> None:
    assert_sound(TELLING[name], *ASSEMBLED)


def test_every_script_is_parsed() -> None:
    assert [name for name, script in SCRIPTS.items() if not parses(script)] == []


def test_no_script_forces_anything() -> None:
    for script in SCRIPTS.values():
        for line in script.splitlines():
            assert "--force" not in line and "yes | " not in line and "mkfs" not in line and "--create" not in line
