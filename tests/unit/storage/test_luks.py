"""Pools on encrypted disks: made, opened, finished and adopted by the UUIDs of their headers, and nobody locked out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from homelab import storage
from homelab.model.nas import Nas
from homelab.probe import FileState, HostProbe, UnitState
from homelab.storage import Plan, crypttab, mappings, mdraid
from homelab.storage.records import Record
from homelab.storage.superblocks import mdadm_uuid
from tests import looks, marks
from tests.looks import Look
from tests.unit.storage.test_refusals import KINDS, U1, U2, counted, offered, told, touched
from tests.unit.storage.test_refusals import nas as plain

L1, L2, L3 = (f"{n * 8}-2222-4333-8444-555555555555" for n in "789")
KEY = hashlib.sha256(b"a key of a pool").hexdigest()
KEYS = {"tank": KEY}
HAS_KEY = {mappings.key_path("tank"): FileState("file", "0600", "root:root", KEY)}
NOTED = {
    "uuid": U1,
    "filesystem_uuid": U2,
    "kind": "mdraid",
    "level": "raid1",
    "filesystem": "ext4",
    "disk.d1": "S-sda",
    "disk.d2": "S-sdb",
    "luks.d1": L1,
    "luks.d2": L2,
    "state": "made",
}
BTRFS = {**NOTED, "kind": "btrfs", "filesystem": "btrfs", "filesystem_uuid": U1}
NOTE = {"mdraid": NOTED, "btrfs": BTRFS}


def nas(kind: str = "mdraid", **pool: Any) -> Nas:
    return plain(kind, encryption={"key": "env:KEY"}, **pool)


def planned(look: Look, spec: Nas | None = None, probe: HostProbe | None = None, **values: Any) -> Plan:
    about = {"used": frozenset(), "make_uuid": counted(), "keys": KEYS, "environment": "attic", **values}
    return storage.plan("nas", spec or nas(), look.seen, probe or HostProbe(files=HAS_KEY), **about)


def locked(kind: str = "mdraid", **values: Any) -> Look:
    return Look().luks("sda", L1, **values).luks("sdb", L2, **values).record("tank", **NOTE[kind])


def inside(look: Look, kind: str, disk: str, dm: str, uuid: str, **values: Any) -> Look:
    if kind == "btrfs":
        return look.btrfs(dm, U1, on=(disk, dm, uuid), devid=int(dm[-1]) + 1, **values)
    return look.mirror(dm, U1, inner=U2, on=(disk, dm, uuid), **values)


def opened(kind: str = "mdraid", **values: Any) -> Look:
    look = Look().luks("sda", L1, **values).luks("sdb", L2, **values)
    return inside(inside(look, kind, "sda", "dm-0", L1), kind, "sdb", "dm-1", L2)


def steps(plan: Plan) -> list[tuple[str, str]]:
    return [(step.kind, step.says) for step in plan.steps if step.kind != "noop"]


def script(plan: Plan, word: str) -> str:
    """The script of the one step whose sentence has this word, without its functions."""
    (found,) = [step.command for step in plan.steps if word in step.says]
    return found.rpartition("key=")[2] if "cryptsetup" in found else found.rpartition("record=")[2]


#
# Making
#


@pytest.mark.parametrize("kind", KINDS)
def test_blank_disks_are_encrypted_and_then_made_a_pool(kind: str) -> None:
    plan = planned(Look().disk("sda").disk("sdb"), nas(kind), HostProbe())
    assert told(plan) == ""
    disks = "d1 (/dev/sda, serial S-sda), d2 (/dev/sdb, serial S-sdb)"
    assert steps(plan)[:4] == [
        ("config", "keep the key of tank in /etc/homelab/luks/tank.key"),
        ("config", "open the disks of tank at boot, by /etc/crypttab"),
        ("additive", f"encrypt {disks} with LUKS for tank"),
        ("additive", f"make the {kind} raid1 tank of {disks}"),
    ]
    record = plan.pools["tank"]
    assert set(record.luks) == {"d1", "d2"} and len({*record.luks.values(), record.uuid}) == 3
    made = script(plan, "encrypt")
    for disk, name in (("sda", "d1"), ("sdb", "d2")):
        uuid = record.luks[name]
        order = ["note making", f"idle {disk}; blank {disk}; encrypt {disk} {uuid}", f"unlock {disk} {uuid}"]
        order += [f"clear mapper/luks-{uuid}", f"copy {disk} {uuid}"]
        places = [made.index(each) for each in order]
        assert places == sorted(places)
        assert f"mapped mapper/luks-{uuid} {uuid} {disk}\n" in script(plan, "make the")
    create = script(plan, "make the")
    command = next(line for line in create.splitlines() if line.startswith(("mdadm --create", "mkfs.btrfs")))
    assert all(f"/dev/mapper/luks-{uuid}" in command for uuid in record.luks.values()) and "/dev/sd" not in command
    # The record that a cut run leaves names the same headers, whichever script wrote it.
    (before,) = [step.command for step in plan.steps if "encrypt" in step.says]
    (after,) = [step.command for step in plan.steps if "make the" in step.says]
    told_by = [each.partition("\nrecord=")[2].partition("\n'")[0] for each in (before, after)]
    assert told_by[0] == told_by[1] and f"luks.d1={record.luks['d1']}" in told_by[0]


def test_what_is_on_a_disk_is_let_go_of_by_consent_only() -> None:
    look = Look().disk("sda", wipefs=looks.captured("ext4", "sda")).disk("sdb")
    plan = planned(look)
    assert "holds ext4" in told(plan) and list(touched(plan)) == []
    word = offered(plan)
    plan = planned(look, nas(consent=word))
    assert told(plan) == ""
    (kind, says) = next(each for each in steps(plan) if "encrypt" in each[1])
    assert kind == "destructive" and says.startswith("clear /dev/sda (serial S-sda: ext4")
    made = script(plan, "encrypt")
    assert made.index("consent ") < made.index("clear sda\n") < made.index("encrypt sda") and "clear sdb\n" not in made
    assert [step.consents for step in plan.steps if step.consents] == [(word,)]


def test_a_foreign_luks_is_refused_by_its_uuid() -> None:
    for look in (Look().luks("sda", L3).disk("sdb"), Look().luks("sda", L3).opened("sda", "dm-0", L3).disk("sdb")):
        plan = planned(look)
        assert list(touched(plan)) == []
        assert f"crypto_LUKS {L3} at byte 0" in told(plan) or "/dev/sda is in use by dm-0" in told(plan)


def test_a_disk_of_another_encrypted_pool_is_refused_whatever_is_consented_to() -> None:
    look = Look().luks("sda", L1).disk("sdb").record("media", **NOTED)
    for spec in (nas(), plain()):
        plan = planned(look, spec)
        assert "belongs to the pool media; list another disk" in told(plan)
        assert "consent" not in told(plan) and list(touched(plan)) == []


def test_a_disk_that_is_too_small_once_it_is_encrypted_is_told_as_it_is() -> None:
    look = Look().disk("sda", size=512 << 20).disk("sdb", size=528 << 20)
    plan = planned(look)
    assert "nas.disks.d1: /dev/sda has 512 MiB, encrypted 496; list a disk of 528 MiB or more" in told(plan)
    assert "nas.disks.d2" not in told(plan)
    assert list(touched(plan)) == []


def test_encryption_is_neither_added_nor_taken_away() -> None:
    look = Look().mirror("sda", U1, inner=U2).mirror("sdb", U1, inner=U2)
    noted = {key: value for key, value in NOTED.items() if not key.startswith("luks")}
    for there in (look, look.record("tank", **noted)):
        plan = planned(there)
        assert "nas.pools.tank.encryption: the pool is there without encryption" in told(plan)
        assert list(touched(plan)) == []
    for there in (locked(), opened().record("tank", **NOTED)):
        plan = planned(there, plain())
        assert "nas.pools.tank: is encrypted, and is listed without encryption" in told(plan)
        assert list(touched(plan)) == []


#
# What is there
#


@pytest.mark.parametrize("kind", KINDS)
def test_locked_disks_are_opened_and_the_pool_goes_on(kind: str) -> None:
    plan = planned(locked(kind), nas(kind))
    assert told(plan) == "" and list(touched(plan)) == []
    says = [each for _, each in steps(plan)]
    assert says[1] == "open d1, d2 of tank by its key" and says[-1] == "mount tank at /srv/tank, now and at every boot"
    proof = "member" if kind == "mdraid" else "only"
    opens = script(plan, "open d1")
    assert f"only sda {L1} || stop" in opens and f"{proof} mapper/luks-{L1} {U1} || stop" in opens
    assert opens.index(f"unlock sdb {L2}") < opens.index(f"{proof} mapper")
    assert plan.pools["tank"].luks == {"d1": L1, "d2": L2}


@pytest.mark.parametrize("kind", KINDS)
def test_an_open_pool_is_adopted_as_one_in_the_clear_is(kind: str) -> None:
    look = opened(kind).record("tank", **NOTE[kind])
    if kind == "mdraid":
        look.runs("md127", "dm-0", "dm-1", uuid=U2)
    plan = planned(look, nas(kind))
    assert told(plan) == "" and list(touched(plan)) == []
    assert not [says for _, says in steps(plan) if "open d1" in says or "start" in says or "header" in says]


@pytest.mark.parametrize("kind", KINDS)
def test_a_host_that_forgot_everything_takes_a_pool_back_once_it_is_open(kind: str) -> None:
    look = Look().luks("sda", L1, label="homelab-tank").luks("sdb", L2, label="homelab-tank")
    plan = planned(look, nas(kind), HostProbe())
    assert f"is locked: it carries the LUKS {L1} of a pool tank; run `cryptsetup open /dev/sda luks-{L1}`" in told(plan)
    assert "consent" not in told(plan) and list(touched(plan)) == []
    plan = planned(opened(kind, kept=False), nas(kind), HostProbe())
    assert told(plan) == "" and list(touched(plan)) == [] and plan.pools["tank"].luks == {"d1": L1, "d2": L2}
    says = [each for _, each in steps(plan)]
    assert says[0] == "keep the key of tank in /etc/homelab/luks/tank.key, once it opens d1, d2"
    assert "keep a copy of the LUKS header of d1, d2 in /var/lib/homelab/luks" in says


@pytest.mark.parametrize("came", ["USB", "no serial", "backup of a GPT"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_pool_that_is_taken_back_is_no_making_that_was_cut(kind: str, came: str) -> None:
    """Nothing is written to its disks: what they are connected by, or show beside their header, is no reason."""
    look = opened(kind, kept=False)
    assert marks.put(next(each for each in marks.UNFIT + marks.HELD if each.name == came), look, "sda")
    plan = planned(look, nas(kind), HostProbe())
    assert told(plan) == "" and list(touched(plan)) == []


def standing(kind: str = "mdraid") -> tuple[Look, HostProbe]:
    filesystem = ("ext4", U2) if kind == "mdraid" else ("btrfs", U1)
    serials, headers = {"d1": "S-sda", "d2": "S-sdb"}, {"d1": L1, "d2": L2}
    record = Record("tank", kind, "raid1", U1, *filesystem, serials, luks=headers)
    look = opened(kind).record("tank", **NOTE[kind])
    if kind == "mdraid":
        look.runs("md127", "dm-0", "dm-1", uuid=U2).line("kept", mdadm_uuid(U1), looks.KEPT)
    # The kernel tells a btrfs's source by whichever name it heard first.
    look.mounted("/srv/tank", "/dev/md127" if kind == "mdraid" else "/dev/dm-0")
    look.mountpoint("tank", sentinel=record.sentinel)
    files, text = dict(HAS_KEY), {crypttab.PATH: f"# mine\n{crypttab.lines([record])}"}
    text |= {mdraid.CONF: mdraid.lines([record]), mdraid.EMBEDDED: "c\n"}
    for step in planned(look, nas(kind)).steps:
        if step.file is not None:
            files[step.file.path] = FileState("file", step.file.mode, "root:root", step.file.sha256)
            if "device.d" in step.file.path:
                look.line("wait", step.file.sha256, step.file.path)
    files[record.file.path] = FileState("file", "0644", "root:root", record.file.sha256)
    files[mdraid.CONF] = FileState("file", "0644", "root:root", "c")
    units = {"srv-tank.mount": UnitState("loaded", "active", "mounted", "enabled")}
    return look, HostProbe(files=files, text=text, units=units)


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_needs_nothing(kind: str) -> None:
    look, probe = standing(kind)
    plan = planned(look, nas(kind), probe)
    assert told(plan) == "" and plan.changes == () and plan.steps != ()


def test_a_header_that_changed_is_copied_again_if_the_key_still_opens_it() -> None:
    look, probe = standing()
    look.lines = [f"{line}er" if line.startswith(f"header\t{L2}") else line for line in look.lines]
    plan = planned(look, probe=probe)
    assert steps(plan) == [("config", "keep a copy of the LUKS header of d2 in /var/lib/homelab/luks")]
    keep = plan.changes[0].command.partition("keep() {")[2].partition("}")[0]
    assert keep.index('opens "$1" "$key" ||') < keep.index('copy "$1" "$2"')


@pytest.mark.parametrize(
    "line",
    [
        f"luks-{L1} UUID={L1} none luks",
        "# homelab begin: the toolkit writes these lines",
    ],
)
def test_crypttab_is_written_anew_where_somebody_else_opens_a_disk(line: str) -> None:
    look, probe = standing()
    text = probe.text[crypttab.PATH]
    other = HostProbe(files=probe.files, units=probe.units, text={**probe.text, crypttab.PATH: f"{text}{line}\n"})
    assert steps(planned(look, probe=other)) == [("config", "open the disks of tank at boot, by /etc/crypttab")]


def test_crypttab_is_the_same_in_whatever_order_pools_are_heard_of() -> None:
    other = {**NOTED, "uuid": U2, "filesystem_uuid": U1, "luks.d1": L3, "luks.d2": L1.replace("7", "6")}
    plans = [
        planned(Look().disk("sda").disk("sdb").record(first, **one).record(second, **two))
        for (first, one), (second, two) in ((("a", NOTED), ("z", other)), (("z", other), ("a", NOTED)))
    ]
    tabs = {step.command for plan in plans for step in plan.steps if step.subject == "crypttab"}
    assert len(tabs) == 1


#
# Disks and headers that are gone
#


def test_a_mirror_starts_without_its_dead_disk_whether_open_or_locked() -> None:
    for look in (Look().luks("sda", L1), inside(Look().luks("sda", L1), "mdraid", "sda", "dm-0", L1)):
        plan = planned(look.record("tank", **NOTED))
        assert told(plan) == "" and list(touched(plan)) == []
        assert "start tank without d2 (serial S-sdb)" in [says for _, says in steps(plan)]
        assert plan.pools["tank"].luks == {"d1": L1, "d2": L2}, "crypttab keeps opening it when it is back"


def called(names: dict[str, str], level: str = "raid1", kind: str = "mdraid") -> Nas:
    """The pool with its disks under these names, by their ids."""
    pool = {"kind": kind, "level": level, "disks": [*names], "encryption": {"key": "env:KEY"}}
    return Nas.model_validate({"disks": {name: {"id": id_} for name, id_ in names.items()}, "pools": {"tank": pool}})


@pytest.mark.parametrize(
    ("names", "luks", "serials"),
    [
        ({"d1": "ata-S-sda", "new": "ata-S-sdb"}, {"d1": L1, "new": L2}, {"d1": "S-sda", "new": "S-sdb"}),
        ({"d1": "ata-S-sda", "new": "wwn-0x5"}, {"d1": L1, "new": L2}, {"d1": "S-sda", "new": "S-sdb"}),
        ({"d2": "ata-S-sda", "d1": "ata-S-sdb"}, {"d2": L1, "d1": L2}, {"d2": "S-sda", "d1": "S-sdb"}),
        ({"d1": "ata-S-sda", "d2": "wwn-0x5"}, {"d1": L1, "d2": L2}, {"d1": "S-sda", "d2": "S-sdb"}),
    ],
    ids=["by its id", "as the last one", "names that change places", "by its name"],
)
def test_an_absent_disk_with_another_name_keeps_its_header(
    names: dict[str, str], luks: dict[str, str], serials: dict[str, str]
) -> None:
    plan = planned(Look().luks("sda", L1).record("tank", **NOTED), called(names))
    assert told(plan) == "" and list(touched(plan)) == []
    record = plan.pools["tank"]
    assert (record.luks, record.serials) == (luks, serials)
    assert f"start tank without {[*names][1]} (serial S-sdb)" in [says for _, says in steps(plan)]
    # So that it is opened, and known again, once it is back.
    assert f"UUID={L2} " in next(step.command for step in plan.steps if step.subject == "crypttab")
    noted = dict(line.split("=", 1) for line in record.text().splitlines())
    back = planned(Look().luks("sda", L1).luks("sdb", L2, id=names[[*names][1]]).record("tank", **noted), called(names))
    assert told(back) == "" and f"open {', '.join(names)} of tank by its key" in [says for _, says in steps(back)]


def test_absent_disks_that_nobody_can_tell_apart_are_told_of() -> None:
    """Of a raid6 without two of its disks, both under new names, the headers would be forgotten or mixed up."""
    third, fourth = L3, L3.replace("9", "6")
    noted = {**NOTED, "level": "raid6", "disk.d3": "S-sdc", "disk.d4": "S-sdd", "luks.d3": third, "luks.d4": fourth}
    look = Look().luks("sda", L1).luks("sdb", L2).record("tank", **noted)
    here = {"d1": "ata-S-sda", "d2": "ata-S-sdb"}
    plan = planned(look, called({**here, "e": "wwn-0x5", "f": "wwn-0x6"}, "raid6"))
    assert "nas.disks.e: no disk is wwn-0x5, and which of d3 and d4 it was is not known; give it its" in told(plan)
    assert "tank" not in plan.pools
    # One of them tells which it is, and so the other is known.
    plan = planned(look, called({**here, "e": "wwn-0x5", "f": "ata-S-sdc"}, "raid6"))
    assert told(plan) == "" and plan.pools["tank"].luks == {"d1": L1, "d2": L2, "e": fourth, "f": third}


def test_a_btrfs_that_lost_a_disk_stays_down() -> None:
    plan = planned(Look().luks("sda", L1).record("tank", **BTRFS), nas("btrfs"))
    assert "d2 (serial S-sdb) is gone, and a btrfs without one of its disks is not mounted" in told(plan)


@pytest.mark.parametrize("wipefs", [looks.EMPTY, looks.captured("ext4", "sdb")])
@pytest.mark.parametrize("content", ["zero", "5ca1ab1e"])
def test_a_header_that_is_gone_is_restored_and_never_made_anew(wipefs: str, content: str) -> None:
    look = Look().luks("sda", L1).disk("sdb", wipefs=wipefs, content=content).record("tank", **NOTED)
    plan = planned(look)
    assert f"/dev/sdb (serial S-sdb) had the LUKS header {L2} and has " in told(plan)
    restore = f"`cryptsetup luksHeaderRestore /dev/sdb --header-backup-file /var/lib/homelab/luks/{L2}`"
    assert restore in told(plan) and "consent" not in told(plan) and list(touched(plan)) == []


def test_a_header_that_is_gone_is_told_of_while_its_disk_is_still_open() -> None:
    look = inside(Look().luks("sda", L1).disk("sdb", content="5ca1ab1e"), "mdraid", "sda", "dm-0", L1)
    plan = planned(inside(look, "mdraid", "sdb", "dm-1", L2).record("tank", **NOTED))
    assert "it is open, and only until it is closed; run `cryptsetup luksHeaderRestore /dev/sdb" in told(plan)


def test_a_header_that_no_key_opens_is_restored() -> None:
    plan = planned(Look().luks("sda", L1).luks("sdb", L2, slots=False).record("tank", **NOTED))
    assert f"had the LUKS header {L2} and has one that nothing opens" in told(plan) and list(touched(plan)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_another_disk_in_a_dead_ones_place_is_not_joined_by_itself(kind: str) -> None:
    look = Look().luks("sda", L1).disk("sdb", "new", id="ata-S-sdb").record("tank", **NOTE[kind])
    plan = planned(look, nas(kind))
    assert "/dev/sdb (serial new) is blank and is no disk of tank; list the disk that is" in told(plan)
    # Without LUKS under it, a new member would hold in the clear what the others hold encrypted.
    assert "--add" not in told(plan) and list(touched(plan)) == []


def test_a_disk_that_somebody_encrypted_and_joined_is_taken_in() -> None:
    look = inside(Look().luks("sda", L1), "mdraid", "sda", "dm-0", L1)
    look = inside(look.luks("sdb", L3, kept=False), "mdraid", "sdb", "dm-1", L3).record("tank", **NOTED)
    plan = planned(look.runs("md127", "dm-0", "dm-1", uuid=U2))
    assert told(plan) == "" and plan.pools["tank"].luks == {"d1": L1, "d2": L3}
    assert "keep a copy of the LUKS header of d2 in /var/lib/homelab/luks" in [says for _, says in steps(plan)]
    assert f"UUID={L3} " in next(step.command for step in plan.steps if step.subject == "crypttab")


#
# Runs that were cut
#

MAKING = {**NOTED, "state": "making"}


def making(look: Look, **values: str) -> Plan:
    plan = planned(look.record("tank", **{**MAKING, **values}))
    assert told(plan) == ""
    return plan


def test_a_making_that_had_only_been_noted_keeps_its_uuids() -> None:
    plan = making(Look().disk("sda").disk("sdb"))
    record = plan.pools["tank"]
    assert (record.uuid, record.luks) == (U1, {"d1": L1, "d2": L2})


def test_what_no_key_opens_yet_is_made_again_under_its_uuid() -> None:
    plan = making(Look().luks("sda", L1, slots=False).disk("sdb"))
    made = script(plan, "encrypt")
    assert f"only sda {L1} || stop" in made and "slotless sda || stop" in made
    assert "clear sda\n" in made and "clear sdb\n" not in made
    assert f"encrypt sda {L1}" in made and f"encrypt sdb {L2}" in made


def test_what_is_open_and_blank_is_not_encrypted_twice() -> None:
    look = Look().luks("sda", L1).opened("sda", "dm-0", L1).disk("sdb")
    made = script(making(look), "encrypt")
    assert f"encrypt sdb {L2}" in made and "encrypt sda" not in made
    assert f"unsigned mapper/luks-{L1} || stop" in made and f"clear mapper/luks-{L1}\n" in made


def test_what_was_made_and_is_locked_is_opened_before_it_is_decided_on() -> None:
    plan = making(Look().luks("sda", L1).luks("sdb", L2))
    assert [says for kind, says in steps(plan)] == [
        "open the disks of tank at boot, by /etc/crypttab",
        "open d1, d2 of tank by its key",
    ]
    assert script(plan, "open d1").endswith("stop 'the making of tank was cut, and its disks are open now'\n")


def test_an_array_that_was_joined_is_finished() -> None:
    plan = making(opened().runs("md127", "dm-0", "dm-1"), state="formatting")
    assert "encrypt" not in str(steps(plan))
    assert "mkfs.ext4" in next(step.command for step in plan.steps if "finish" in step.says)


def test_what_somebody_put_on_a_half_made_disk_is_left_alone() -> None:
    look = Look().luks("sda", L1).opened("sda", "dm-0", L1, wipefs=looks.captured("ext4", "dm-0")).disk("sdb")
    plan = planned(look.record("tank", **MAKING))
    assert "/dev/mapper/luks-" in told(plan) and "holds ext4" in told(plan) and list(touched(plan)) == []


#
# Keys
#


def files(**states: FileState) -> HostProbe:
    _, probe = standing()
    return HostProbe(files={**probe.files, **states}, text=probe.text, units=probe.units)


def key_steps(probe: HostProbe, look: Look | None = None) -> Iterator[tuple[str, str]]:
    plan = planned(look or standing()[0], probe=probe)
    assert told(plan) == ""
    return ((step.says, step.command) for step in plan.changes if step.key)


def test_another_key_replaces_the_one_before_once_it_opens_every_disk() -> None:
    path = mappings.key_path("tank")
    ((says, command),) = key_steps(files(**{path: FileState("file", "0600", "root:root", "other")}))
    assert says == f"change the key of tank on d1, d2, and in {path}"
    body = command.rpartition("disks=")[2]
    order = ["nothing was changed", "luksAddKey", 'opens "$disk" "$new" || stop', 'mv -fT "$new" "$key"', "\nforget\n"]
    places = [body.rindex(each) for each in order]
    assert places == sorted(places)


def test_a_change_of_keys_that_was_cut_is_finished() -> None:
    former = mappings.former_key_path("tank")
    assert len(list(key_steps(files(**{former: FileState("file", "0600", "root:root", "old")})))) == 1


def test_a_key_that_others_may_read_is_laid_anew() -> None:
    path = mappings.key_path("tank")
    assert len(list(key_steps(files(**{path: FileState("file", "0644", "root:root", KEY)})))) == 1


def test_a_key_is_not_changed_while_a_disk_is_away() -> None:
    look = Look().luks("sda", L1).record("tank", **NOTED)
    path = mappings.key_path("tank")
    plan = planned(look, probe=HostProbe(files={path: FileState("file", "0600", "root:root", "other")}))
    assert "nas.pools.tank.encryption.key: is another than before, and d2 is not there to get it" in told(plan)


def test_no_step_knows_a_key() -> None:
    for plan in (planned(Look().disk("sda").disk("sdb"), probe=HostProbe()), planned(locked(), probe=HostProbe())):
        for step in plan.steps:
            assert KEY not in step.command + step.says + repr(step)
            if step.key:
                assert "tr -d '\\n' >\"$new\"" in step.command
