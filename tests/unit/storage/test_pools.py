"""A pool that is there is taken as it is, whatever its disks are called today; one not whole is never made anew."""

from __future__ import annotations

from typing import Any

import pytest

from homelab.model.nas import Nas
from homelab.probe import FileState, HostProbe, UnitState
from homelab.storage import Plan, mdraid
from homelab.storage.records import Record
from homelab.storage.superblocks import mdadm_uuid
from tests import looks
from tests.looks import Look
from tests.unit.storage.test_refusals import U1, U2, nas, planned, told, touched

OTHER = "99999999-2222-4333-8444-555555555555"
MADE = {"uuid": U1, "filesystem_uuid": U2, "kind": "mdraid", "level": "raid1", "filesystem": "ext4", "state": "made"}
NOTED = {**MADE, "disk.d1": "S-sda", "disk.d2": "S-sdb"}
BTRFS = {**NOTED, "kind": "btrfs", "filesystem": "btrfs", "filesystem_uuid": U1}


def mirror(**values: Any) -> Look:
    return Look().mirror("sda", U1, inner=U2, **values).mirror("sdb", U1, inner=U2, **values)


def pair(**values: Any) -> Look:
    return Look().btrfs("sda", U1, **values).btrfs("sdb", U1, devid=2, **values)


def says(plan: Plan) -> list[str]:
    return [step.says for step in plan.steps if step.kind != "noop"]


def test_a_mirror_that_does_not_run_is_started_by_its_uuid_and_mounted() -> None:
    plan = planned(mirror())
    assert told(plan) == ""
    assert says(plan)[0] == "start tank" and says(plan)[-1] == "mount tank at /srv/tank, now and at every boot"
    assert "mdadm --assemble /dev/md/tank --uuid=11111111:22224333:84445555:55555555 /dev/sda /dev/sdb" in (
        plan.steps[1].command
    )
    record = plan.pools["tank"]
    assert (record.uuid, record.filesystem_uuid, record.filesystem) == (U1, U2, "ext4")


def test_a_mirror_that_runs_is_not_started() -> None:
    plan = planned(mirror().runs("md127", "sda", "sdb", uuid=U2))
    assert told(plan) == "" and "start tank" not in says(plan)


@pytest.mark.parametrize("name", ["any:tank", "tank", "nas-of-old:tank"])
def test_a_mirror_is_known_by_its_name_whatever_the_host_was_called(name: str) -> None:
    assert told(planned(mirror(array=name))) == ""


def test_the_order_in_which_disks_are_listed_is_none_of_the_pool() -> None:
    spec = nas().model_dump()
    spec["pools"]["tank"]["disks"] = ["d2", "d1"]
    turned = Nas.model_validate(spec)
    for look in (mirror(), pair()):
        spec["pools"]["tank"]["kind"] = kind = "mdraid" if look.rows and "md\t" in look.text else "btrfs"
        plan = planned(look, Nas.model_validate(spec) if kind == "btrfs" else turned)
        assert told(plan) == "" and list(touched(plan)) == []


def test_kernel_names_that_changed_are_none_of_the_pool() -> None:
    look = Look().mirror("sdx", U1, inner=U2, id="ata-S-sda", serial="S-sda")
    plan = planned(look.mirror("sdy", U1, inner=U2, id="ata-S-sdb", serial="S-sdb").record("tank", **NOTED))
    assert told(plan) == "" and list(touched(plan)) == []


def test_a_record_makes_the_name_needless() -> None:
    assert told(planned(mirror(array="any:old").record("tank", **NOTED))) == ""
    assert told(planned(pair(label="old").record("tank", **BTRFS), nas("btrfs"))) == ""


@pytest.mark.parametrize("kind", ["mdraid", "btrfs"])
def test_a_pool_of_another_name_is_taken_over_only_by_its_uuid(kind: str) -> None:
    look = mirror(array="any:old") if kind == "mdraid" else pair(label="old")
    plan = planned(look, nas(kind))
    assert f'to take it over as it is, write "uuid": "{U1}" in the pool' in told(plan)
    assert list(touched(plan)) == []
    taken = planned(look, nas(kind, uuid=U1))
    assert told(taken) == "" and taken.pools["tank"].uuid == U1 and list(touched(taken)) == []


@pytest.mark.parametrize("kind", ["mdraid", "btrfs"])
def test_other_disks_than_those_of_the_record(kind: str) -> None:
    noted = (NOTED if kind == "mdraid" else BTRFS) | {"uuid": OTHER}
    look = (mirror() if kind == "mdraid" else pair()).record("tank", **noted)
    plan = planned(look, nas(kind))
    assert f"its disks carry the UUID {U1}, and /var/lib/homelab/pools/tank says {OTHER}" in told(plan)
    assert list(touched(plan)) == []


@pytest.mark.parametrize("kind", ["mdraid", "btrfs"])
def test_a_pool_whose_disks_are_blank_now_is_not_made_anew(kind: str) -> None:
    look = Look().disk("sda").disk("sdb").record("tank", **(NOTED if kind == "mdraid" else BTRFS))
    plan = planned(look, nas(kind))
    assert f"was made with the UUID {U1} on the serials S-sda, S-sdb" in told(plan) and list(touched(plan)) == []


@pytest.mark.parametrize("kind", ["mdraid", "btrfs"])
def test_a_uuid_that_no_disk_has_makes_no_pool(kind: str) -> None:
    plan = planned(Look().disk("sda").disk("sdb"), nas(kind, uuid=U1))
    assert f"no disk that is listed for it has the UUID {U1}" in told(plan) and list(touched(plan)) == []


def test_disks_of_different_mirrors() -> None:
    look = Look().mirror("sda", U1, inner=U2).mirror("sdb", OTHER, inner=U2).record("tank", **NOTED)
    assert "its disks are of different arrays" in told(planned(look))


def test_a_disk_of_another_pool_is_refused_whatever_is_consented_to() -> None:
    other = NOTED | {"uuid": U1}
    plan = planned(mirror(array="any:media").record("media", **other))
    assert "nas.disks.d1: /dev/sda belongs to the pool media; list another disk" in told(plan)
    assert 'write "consent"' not in told(plan)


@pytest.mark.parametrize(
    ("look", "pool", "words"),
    [
        (mirror(level=5), {}, 'is a raid5, not a raid1; a level is never changed; write "raid5", or list other disks'),
        (mirror(level=0), {}, "is a raid0, not a raid1; a level is never changed; list other disks"),
        (mirror(disks=3), {}, "has 3 disks, and 2 are listed; list its disks"),
        (mirror(type="xfs"), {"filesystem": "ext4"}, "holds xfs, not ext4; a filesystem is never changed"),
        (mirror(type="vfat"), {}, "holds vfat, not ext4 or xfs"),
        (pair(disks=3), {"kind": "btrfs"}, "has 3 disks, and 2 are listed"),
    ],
)
def test_what_is_listed_otherwise_than_it_is(look: Look, pool: dict[str, Any], words: str) -> None:
    plan = planned(look, nas(pool.get("kind", "mdraid"), **{k: v for k, v in pool.items() if k != "kind"}))
    assert words in told(plan) and list(touched(plan)) == []


def test_a_kind_is_never_changed() -> None:
    for look in (mirror(), Look().disk("sda").disk("sdb")):
        plan = planned(look.record("tank", **NOTED), nas("btrfs"))
        assert "is there as mdraid, not btrfs; a kind is never changed" in told(plan) and list(touched(plan)) == []


def test_the_filesystem_that_is_there_is_inherited() -> None:
    plan = planned(mirror(type="xfs"))
    assert told(plan) == "" and plan.pools["tank"].filesystem == "xfs"


def test_an_array_that_runs_is_asked_and_not_its_members() -> None:
    # Blocks of a member that were read before the array wrote them stay in the kernel's cache.
    look = Look().mirror("sda", U1).mirror("sdb", U1, inner=OTHER).runs("md127", "sda", "sdb", uuid=U2, type="xfs")
    plan = planned(look)
    assert told(plan) == "" and plan.pools["tank"].filesystem_uuid == U2


@pytest.mark.parametrize("runs", [True, False])
def test_another_filesystem_on_the_array_is_not_taken_for_the_pool(runs: bool) -> None:
    """Made by hand or by mistake: it is empty, and would be served in the place of what the pool held."""
    look = Look().mirror("sda", U1, inner=OTHER).mirror("sdb", U1, inner=OTHER)
    if runs:
        look.runs("md127", "sda", "sdb", uuid=OTHER)
    taken = planned(look)
    plan = planned(look.record("tank", **NOTED))
    found = f"nas.pools.tank: holds the ext4 {OTHER}, and /var/lib/homelab/pools/tank says {U2}; look at it"
    assert found in told(plan) and "tank" not in plan.pools and list(touched(plan)) == []
    # Without the record, as it tells to remove it, the array is taken as it is.
    assert told(taken) == "" and taken.pools["tank"].filesystem_uuid == OTHER


def test_a_mirror_with_no_filesystem_is_not_formatted() -> None:
    plan = planned(Look().mirror("sda", U1).mirror("sdb", U1).runs("md127", "sda", "sdb"))
    assert "holds no filesystem" in told(plan) and list(touched(plan)) == []


#
# Disks that died
#


def test_a_mirror_of_md_that_lost_a_disk_is_started_and_its_owner_told_which() -> None:
    plan = planned(Look().mirror("sda", U1, inner=U2).record("tank", **NOTED))
    assert told(plan) == "" and list(touched(plan)) == []
    assert says(plan)[0] == "start tank without d2 (serial S-sdb)"
    assert "mdadm --assemble --run /dev/md/tank" in plan.steps[0].command
    assert "d2 (serial S-sdb) is gone, and its data are on d1 alone" in str(plan.warnings[0])


def test_without_a_record_a_lone_disk_is_taken_only_by_its_uuid() -> None:
    look = Look().mirror("sda", U1, inner=U2)
    plan = planned(look)
    assert "no disk is ata-S-sdb" in told(plan) and list(touched(plan)) == []
    assert f'write "uuid": "{U1}" in the pool' in told(plan)
    assert told(planned(look, nas(uuid=U1))) == ""


def test_a_btrfs_that_lost_a_disk_stays_down() -> None:
    plan = planned(Look().btrfs("sda", U1).record("tank", **BTRFS), nas("btrfs"))
    assert "d2 (serial S-sdb) is gone, and a btrfs without one of its disks is not mounted; plug it in" in told(plan)
    assert (
        "run `HOMELAB_ENV=attic pyinfra inventory deploys/day2/replace_disk.py --data disk=d2 --data with=NEW`"
        in told(plan)
    )
    assert list(touched(plan)) == []


@pytest.mark.parametrize("kind", ["mdraid", "btrfs"])
def test_a_new_blank_disk_in_a_dead_ones_place_is_not_joined_by_itself(kind: str) -> None:
    noted = NOTED if kind == "mdraid" else BTRFS
    look = Look().mirror("sda", U1, inner=U2) if kind == "mdraid" else Look().btrfs("sda", U1)
    plan = planned(look.disk("sdb", "new", id="ata-S-sdb").record("tank", **noted), nas(kind))
    assert "/dev/sdb (serial new) is blank and is no member of tank" in told(plan) and list(touched(plan)) == []
    assert (
        "run `HOMELAB_ENV=attic pyinfra inventory deploys/day2/replace_disk.py --data disk=d2 --data with=ata-S-sdb`"
        in told(plan)
    )


@pytest.mark.parametrize("kind", ["mdraid", "btrfs"])
def test_consent_does_not_join_a_foreign_disk_to_a_pool(kind: str) -> None:
    noted = NOTED if kind == "mdraid" else BTRFS
    look = Look().disk("sda", wipefs=looks.captured("ext4", "sda"))
    look = look.mirror("sdb", U1, inner=U2) if kind == "mdraid" else look.btrfs("sdb", U1)
    plan = planned(look.record("tank", **noted), nas(kind, consent="0123456789abcdef"))
    assert "is no member of tank" in told(plan) and list(touched(plan)) == []


@pytest.mark.parametrize("options", ["ro", "rw,emergency_ro", "rw,shutdown", "rw"])
@pytest.mark.parametrize("kind", ["mdraid", "btrfs"])
def test_a_pool_that_takes_no_writes_any_more_is_told_of(kind: str, options: str) -> None:
    if kind == "mdraid":
        look = mirror().runs("md127", "sda", "sdb", uuid=U2).record("tank", **NOTED)
        look.mounted("/srv/tank", "/dev/md127", options=options).mountpoint("tank", sentinel=f"tank {U2}")
    else:
        look = pair().record("tank", **BTRFS).mounted("/srv/tank", "/dev/sda", "btrfs", options)
        look.mountpoint("tank", sentinel=f"tank {U1}")
    plan = planned(look, nas(kind))
    warned = "nas.pools.tank: nobody can write to /srv/tank, as after an error; look at `journalctl -k` there"
    assert told(plan) == "" and [warned in str(each) for each in plan.warnings] == [True] * (options != "rw")


def test_a_member_that_was_thrown_out_is_told_of() -> None:
    look = Look().mirror("sda", U1, inner=U2, events=40).mirror("sdb", U1, inner=U2, events=39)
    plan = planned(look.runs("md127", "sda", uuid=U2, degraded="1").record("tank", **NOTED))
    assert told(plan) == "" and "d2 is not in the array any more" in str(plan.warnings[0])
    assert "--re-add /dev/sdb" in str(plan.warnings[0])


@pytest.mark.parametrize("events", [40, 41])
def test_a_member_that_is_as_new_as_what_runs_is_not_to_be_overwritten(events: int) -> None:
    look = Look().mirror("sda", U1, inner=U2, events=40).mirror("sdb", U1, inner=U2, events=events)
    plan = planned(look.runs("md127", "sda", uuid=U2, degraded="1").record("tank", **NOTED))
    (warning,) = plan.warnings
    assert told(plan) == "" and "do not re-add it" in str(warning) and "--re-add" not in str(warning)


def test_a_first_resync_is_told_of() -> None:
    plan = planned(mirror().runs("md127", "sda", "sdb", uuid=U2, action="resync"))
    assert "its disks are being made equal" in str(plan.warnings[0])


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ("DATA|RAID1 DATA METADATA|RAID1 SYSTEM|RAID1", "it has data single"),
        ("DATA|RAID1 METADATA|DUP SYSTEM|RAID1", "it has metadata dup"),
        ("DATA|RAID1 METADATA|RAID1 METADATA|RAID1C3 SYSTEM|RAID1", "it has metadata raid1 and raid1c3"),
        ("DATA|METADATA SYSTEM|RAID1", "data single, metadata single"),
    ],
)
def test_a_btrfs_that_is_not_all_mirrored(chunks: str, words: str) -> None:
    look = pair()
    look.lines = [line for line in look.lines if not line.startswith("chunks")]
    plan = planned(look.line("chunks", "sda", chunks), nas("btrfs"))
    assert words in told(plan) and list(touched(plan)) == []


#
# Runs that were cut
#

MAKING = {**NOTED, "state": "making"}


def test_a_making_that_had_only_been_noted_keeps_its_uuid() -> None:
    plan = planned(Look().disk("sda").disk("sdb").record("tank", **MAKING))
    assert told(plan) == "" and plan.pools["tank"].uuid == U1
    assert "--uuid=11111111:22224333:84445555:55555555" in next(touched_commands(plan))


def touched_commands(plan: Plan) -> Any:
    return (step.command for step in plan.steps if step.kind in ("additive", "destructive"))


def test_an_array_of_which_one_disk_had_heard_is_made_again() -> None:
    plan = planned(Look().mirror("sda", U1).disk("sdb").record("tank", **MAKING))
    assert told(plan) == ""
    command = next(touched_commands(plan))
    assert f"only sda {U1} || stop" in command and "clear sda\n" in command and "clear sdb" not in command


def test_an_array_without_its_filesystem_gets_it() -> None:
    look = Look().mirror("sda", U1).mirror("sdb", U1).runs("md127", "sda", "sdb").record("tank", **MAKING)
    plan = planned(look)
    command = next(touched_commands(plan))
    assert told(plan) == "" and "mkfs.ext4" in command and "--create" not in command and "clear " not in tail(command)


def tail(command: str) -> str:
    """A script without its functions."""
    return command.partition("record=")[2]


def test_a_filesystem_that_was_made_is_kept_though_the_run_did_not_come_to_note_it() -> None:
    look = mirror().runs("md127", "sda", "sdb", uuid=U2).record("tank", **MAKING | {"state": "formatting"})
    plan = planned(look)
    assert told(plan) == "" and list(touched(plan)) == []
    assert [each for each in says(plan) if "remember tank by its UUID" in each]


def test_an_xfs_that_bears_its_uuid_may_be_half_made_all_the_same() -> None:
    noted = MAKING | {"state": "formatting", "filesystem": "xfs"}
    look = mirror(type="xfs").runs("md127", "sda", "sdb", uuid=U2, type="xfs").record("tank", **noted)
    command = next(touched_commands(planned(look, nas(filesystem="xfs"))))
    assert 'half "$1" || return 0\n    wipefs --all' in command and 'idle "$md"\nformat "$md"\nnote made' in command


def test_half_of_a_mirror_with_a_filesystem_is_never_made_again() -> None:
    plan = planned(Look().mirror("sda", U1, inner=U2).disk("sdb").record("tank", **MAKING))
    assert told(plan) != "" and list(touched(plan)) == []


def test_half_of_a_btrfs_is_never_made_again() -> None:
    """mkfs.btrfs marks its disks last: the one that is marked may have been used, and the other was wiped since."""
    noted = BTRFS | {"state": "making"}
    for other in ("zero", "3b5d5c3712955042212316173ccf37be"):
        look = Look().btrfs("sda", U1).disk("sdb", content=other).record("tank", **noted)
        plan = planned(look, nas("btrfs"))
        assert "its making was cut after its filesystem was made" in told(plan) and list(touched(plan)) == []


def test_what_is_half_made_is_known_by_our_own_uuid_only() -> None:
    plan = planned(Look().mirror("sda", OTHER, array="any:x").disk("sdb").record("tank", **MAKING))
    assert "nas.disks.d1: /dev/sda (serial S-sda) holds linux_raid_member" in told(plan) and list(touched(plan)) == []


#
# Where it is mounted
#


def standing(look: Look | None = None) -> tuple[Look, HostProbe]:
    """A NAS to which nothing is to be done."""
    record = Record("tank", "mdraid", "raid1", U1, "ext4", U2, {"d1": "S-sda", "d2": "S-sdb"})
    look = look or mirror().runs("md127", "sda", "sdb", uuid=U2).record("tank", **NOTED)
    look.mounted("/srv/tank", "/dev/md127").mountpoint("tank", sentinel=record.sentinel)
    look.line("kept", mdadm_uuid(U1), looks.KEPT)
    plan = planned(look)
    files, text = {}, {mdraid.CONF: mdraid.lines([record]), mdraid.EMBEDDED: "c\n"}
    for step in plan.steps:
        if step.file is not None:
            files[step.file.path] = FileState("file", step.file.mode, "root:root", step.file.sha256)
            if "device.d" in step.file.path:
                look.line("wait", step.file.sha256, step.file.path)
    files[record.file.path] = FileState("file", "0644", "root:root", record.file.sha256)
    files[mdraid.CONF] = FileState("file", "0644", "root:root", "c")
    units = {"srv-tank.mount": UnitState("loaded", "active", "mounted", "enabled")}
    return look, HostProbe(files=files, text=text, units=units)


def test_what_stands_needs_nothing() -> None:
    look, probe = standing()
    plan = planned(look, probe=probe)
    assert told(plan) == "" and plan.changes == () and plan.steps != ()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([("mountpoint", "tank", "dir", "-", "Zm9vCg==", "")], "/srv/tank is not empty; move away what it holds"),
        ([("mountpoint", "tank", "link", "", "", "")], "/srv/tank is a link, not a directory"),
        ([("mount", "29 1 8:1 / /mnt rw - ext4 /dev/md127 rw")], "is mounted at /mnt; unmount it there"),
        ([("mount", "29 1 8:1 / /srv/tank rw - ext4 /dev/sdz1 rw")], "/dev/sdz1 is mounted at /srv/tank"),
        ([("mount", "29 1 8:1 /part /srv/tank rw - ext4 /dev/md127 rw")], "/part of it is mounted at /srv/tank"),
        (
            [
                ("mount", "29 1 8:1 / /srv/tank rw - ext4 /dev/md127 rw"),
                ("mountpoint", "tank", "dir", "-", "", f"tank {OTHER}"),
            ],
            f"its .homelab-pool names {OTHER}",
        ),
    ],
)
def test_what_is_in_the_place_of_a_pool(lines: list[tuple[str, ...]], words: str) -> None:
    look = mirror().runs("md127", "sda", "sdb", uuid=U2)
    for line in lines:
        look.line(*line)
    assert words in told(planned(look))


def test_an_initramfs_that_knows_an_older_mdadm_conf_is_made_again() -> None:
    look, probe = standing()
    old = HostProbe(files=probe.files, units=probe.units, text={**probe.text, mdraid.EMBEDDED: "older\n"})
    assert says(planned(look, probe=old)) == ["name tank in /etc/mdadm/mdadm.conf and in the initramfs"]


def test_a_pool_that_is_listed_no_more_is_kept() -> None:
    look, probe = standing()
    look.record("media", **NOTED | {"uuid": OTHER})
    plan = planned(look, probe=probe)
    assert told(plan) == "" and "nas.pools.media: not listed any more; it is kept" in str(plan.warnings[0])
    assert all("media" not in step.command or step.subject == "mdadm.conf" for step in plan.steps)


def test_a_record_that_cannot_be_read_stops_everything() -> None:
    plan = planned(mirror().record("tank", uuid=U1))
    assert "/var/lib/homelab/pools/tank: has no line state" in told(plan)
