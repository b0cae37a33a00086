"""A making that was cut: gone on with wherever it was, and never over what has come to one of its disks since."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from homelab.model.levels import LEVELS, Level
from homelab.model.nas import Nas
from tests import looks, marks
from tests.looks import Look
from tests.marks import HELD, MARKS, USED, Mark
from tests.sweeps import examples
from tests.unit.storage import (
    test_levels,
    test_luks,
    test_replace,
    test_replace_luks,
    test_replace_snapraid,
    test_snapraid,
    test_zfs,
)
from tests.unit.storage.test_luks import L1, L2
from tests.unit.storage.test_marked import planned
from tests.unit.storage.test_refusals import U1, U2, told, touched
from tests.unit.storage.test_replace import OTHER

DISKS = test_levels.DISKS
ARRAY = "md127"
MD = [each for each in LEVELS if each.kind == "mdraid"]


@dataclass(frozen=True)
class Moment:
    """When the power went: what stands on the disks then, and what the pool is listed as."""

    name: str
    look: Callable[[], Look]
    nas: Nas


#
# Arrays
#


def _array(each: Level, joined: int, array: str, state: str, **values: str) -> Look:
    """So many disks bear the mark of the array, which the kernel has as it says, or not at all."""
    look, members = Look(), DISKS[:joined]
    for disk in members:
        look.mirror(disk, U1, level=each.number, disks=each.least, opens=not array)
    for disk in DISKS[joined : each.least]:
        look.disk(disk)
    if array == "runs":
        look.runs(ARRAY, *members, level=each.name, disks=str(each.least), **values)
    elif array:
        look.rows.append({"kname": ARRAY, "type": "md", "size": 0})
        look.line("array", ARRAY, "", array, 0, "", "", " ".join(members))
        for member in members:
            look.line("holder", member, ARRAY)
    about = {"filesystem": "xfs"} if values.get("type") == "xfs" else {}
    return look.record("tank", **test_levels.noted(each, state=state, **about))


def _arrays() -> Iterator[Moment]:
    for each in MD:
        some, whole = each.least - 1, each.least
        for what, joined, array, state, values in (
            ("noted", 0, "", "making", {}),
            ("one marked", 1, "", "making", {}),
            ("some held", some, "inactive", "making", {}),
            ("some run", some, "runs", "making", {"degraded": "1"}),
            # A disk that was let go of was cleared where it is looked at, and not whole.
            ("some run of cleared ones", some, "runs", "making", {"degraded": "1", "content": "5ca1ab1e"}),
            ("all marked", whole, "", "making", {}),
            ("all held", whole, "inactive", "making", {}),
            ("all run", whole, "runs", "making", {}),
            ("formatting begins", whole, "runs", "formatting", {}),
            ("half formatted", whole, "runs", "formatting", {"content": "5ca1ab1e"}),
            ("half formatted with xfs", whole, "runs", "formatting", {"type": "xfs", "uuid": U2}),
        ):
            nas = test_levels.spec(each, **({"filesystem": "xfs"} if "type" in values else {}))

            def look(
                each: Level = each,
                joined: int = joined,
                array: str = array,
                state: str = state,
                values: dict[str, str] = values,
            ) -> Look:
                return _array(each, joined, array, state, **values)

            yield Moment(f"{each.name}: {what}", look, nas)


#
# Encrypted
#


def _encrypted(kind: str, first: str, second: str, **more: str) -> Look:
    look = Look()
    for disk, dm, uuid, holds in (("sda", "dm-0", L1, first), ("sdb", "dm-1", L2, second)):
        if holds == "blank":
            look.disk(disk)
            continue
        look.luks(disk, uuid, slots=holds != "slotless", kept=False, opens=holds == "slotless")
        if holds == "noise":
            look.opened(disk, dm, uuid)
        elif holds == "member":
            look.mirror(dm, U1, on=(disk, dm, uuid), opens=second != "member")
    if (first, second) == ("member", "member"):
        look.runs(ARRAY, "dm-0", "dm-1", content="5ca1ab1e")
    return look.record("tank", **{**test_luks.NOTE[kind], "state": "making", **more})


def _luks() -> Iterator[Moment]:
    stages = [("slotless", "blank"), ("slotless", "slotless"), ("noise", "slotless"), ("noise", "noise")]
    for kind in ("mdraid", "btrfs"):
        for first, second in (("blank", "blank"), *stages):
            yield Moment(
                f"encrypted {kind}: {first}, {second}",
                lambda kind=kind, first=first, second=second: _encrypted(kind, first, second),  # type: ignore[misc]
                test_luks.nas(kind),
            )
    for what, holds, state in (
        ("one marked", ("member", "noise"), "making"),
        ("all run", ("member", "member"), "making"),
        ("half formatted", ("member", "member"), "formatting"),
    ):
        yield Moment(
            f"encrypted mdraid: {what}",
            lambda holds=holds, state=state: _encrypted("mdraid", *holds, state=state),  # type: ignore[misc]
            test_luks.nas("mdraid"),
        )


#
# ZFS and snapraid
#


def _zpool(*holds: str) -> Look:
    look = Look()
    for number, (disk, what) in enumerate(zip(DISKS, holds, strict=False), 101):
        if what == "begun":
            look.zfs(disk, test_zfs.GUID, (101, 102), number, begun=True)
        elif what == "parted":
            table = looks.signature("gpt", disk, None, 0x200)
            look.disk(disk, wipefs=table, parts={f"{disk}1": looks.EMPTY, f"{disk}9": looks.EMPTY})
        else:
            look.disk(disk)
    return look.record("tank", **test_zfs.making())


def _snapraid(made: tuple[str, ...], type_: str) -> Look:
    look = Look()
    for name, disk in test_snapraid.DISKS.items():
        if name in made:
            test_snapraid.there(look, name, type=type_)
        else:
            look.disk(disk)
    return look.record("media", **test_snapraid.noted("making", filesystem=type_))


def _others() -> Iterator[Moment]:
    for holds in (("blank", "blank"), ("parted", "blank"), ("begun", "blank"), ("begun", "parted"), ("begun", "begun")):
        yield Moment(f"zfs: {', '.join(holds)}", lambda holds=holds: _zpool(*holds), test_zfs.spec())  # type: ignore[misc]
    names = tuple(test_snapraid.DISKS)
    for type_, made in (("ext4", names[:0]), ("ext4", names[:1]), ("xfs", names[:1]), ("xfs", names)):
        yield Moment(
            f"snapraid: {len(made)} {type_}",
            lambda made=made, type_=type_: _snapraid(made, type_),  # type: ignore[misc]
            test_snapraid.nas(filesystem=type_),
        )
    for kind in ("btrfs",):
        noted = {**test_levels.noted(next(each for each in LEVELS if each.kind == kind and each.name == "raid1"))}
        yield Moment(
            "btrfs: noted",
            lambda noted=noted: Look().disk("sda").disk("sdb").record("tank", **{**noted, "state": "making"}),  # type: ignore[misc]
            test_luks.plain(kind),
        )


MOMENTS = (*_arrays(), *_luks(), *_others())


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda each: each.name)
def test_it_is_gone_on_with_wherever_it_was(moment: Moment) -> None:
    plan = planned(moment.look(), moment.nas)
    assert told(plan) == "" and [step.kind for step in plan.steps if step.kind in ("additive", "destructive")] != []
    assert not any(step.consents for step in plan.steps)


# Of what lies in the clear on an open disk: data without a signature is what was there before, decrypted.
IN_CLEAR = tuple(each for each in (*HELD, *USED) if "partition" not in each.name and each.name != "data")
# Of an array, which has no superblock of another, and of a partition. On an array it may be half a filesystem of ours.
WHOLE = ("signature", "backup of a GPT", "zpool that was begun on the whole")
ON_ARRAY = tuple(each for each in IN_CLEAR if each in USED or each.name in WHOLE)
IN_PART = tuple(each for each in (*HELD, *USED) if each in USED or each.name in (*WHOLE[:2], "data"))


def targets(look: Look) -> dict[str, tuple[Mark, ...]]:
    """What something can have come to, and what."""
    found: dict[str, tuple[Mark, ...]] = {}
    for name, disk in look.seen.disks.items():
        # What zpool parts has such a table.
        own = "backup of a GPT" if disk.partitions else ""
        found[name] = tuple(each for each in MARKS if each.name != own)
        found |= {part.name: IN_PART for part in disk.partitions}
    found |= {array.name: ON_ARRAY for array in look.seen.arrays if array.runs}
    return found | {line.split("\t")[2]: IN_CLEAR for line in look.lines if line.startswith("mapped\t")}


@examples(6)
@given(moment=st.sampled_from(MOMENTS), data=st.data())
def test_nothing_that_came_to_it_since_is_lost(moment: Moment, data: st.DataObject) -> None:
    look = moment.look()
    target, may = data.draw(st.sampled_from(sorted(targets(look).items())))
    mark = data.draw(st.sampled_from(may))
    assume(marks.put(mark, look, target))
    event(moment.name.partition(":")[0])
    assert told(planned(look, moment.nas)) != "", f"{mark.name} on {target}"


# What else a record may say, or that there is none, and of which moments it then is not that of what is on the disks.
# An encrypted disk is known by its header's UUID, whatever else is noted.
OTHERWISE: dict[str, Callable[[str, dict[str, str]], dict[str, str] | None]] = {
    "gone": lambda name, said: {},
    "made": lambda name, said: said | {"state": "made"},
    "on others": lambda name, said: (
        None
        if "encrypted" in name
        else {key: f"{value}x" if key[:5] == "disk." else value for key, value in said.items()}
    ),
    "another": lambda name, said: said | {"uuid": OTHER} if name.startswith(("raid", "snapraid")) else None,
    "another kind": lambda name, said: None if "encrypted" in name else said | {"kind": "btrfs"},
    "another level": lambda name, said: said | {"level": "raid0"} if name.startswith("raid") else None,
    "formatting": lambda name, said: said | {"state": "formatting"} if ": some" in name else None,
}


@pytest.mark.parametrize("otherwise", OTHERWISE)
def test_nothing_is_gone_on_with_by_another_record(otherwise: str) -> None:
    tried = 0
    for each in MOMENTS:
        look = each.look()
        if all(disk.is_blank and not disk.partitions for disk in look.seen.disks.values()):
            continue
        ((pool, said),) = look.seen.records.items()
        changed = OTHERWISE[otherwise](each.name, dict(said))
        if changed is None:
            continue
        look.lines = [line for line in look.lines if not line.startswith("record\t")]
        plan = planned(look.record(pool, **changed), each.nas)
        tried += 1
        assert plan.problems or list(touched(plan)) == [], each.name
    assert tried > 3


#
# Told
#


def moment(name: str) -> Moment:
    return next(each for each in MOMENTS if each.name == name)


def mark(name: str) -> Mark:
    return next(each for each in MARKS if each.name == name)


LOOK = "look at it; if nothing of it is needed, stop what uses it and clear the disk by hand (`wipefs --all`)"


@pytest.mark.parametrize(
    ("at", "came", "target", "says"),
    [
        (
            "raid1: all run",
            "backup of a GPT",
            "sda",
            "nas.disks.d1: /dev/sda (serial S-sda) holds linux_raid_member any:tank U1 at byte 4096, gpt at byte "
            f"2147483136, and a run that was cut left there linux_raid_member U1 alone; {LOOK}",
        ),
        (
            "raid5: all run",
            "mount",
            ARRAY,
            "nas.pools.tank: its making was cut, and /dev/md127 is in use by /mnt; stop what uses it, or unmount it",
        ),
        (
            "raid1: formatting begins",
            "signature",
            ARRAY,
            "nas.pools.tank: its making was cut, and there is now ext4 on it that it did not make; look at it; "
            "`mdadm --stop` and clear the disks by hand",
        ),
        (
            "encrypted btrfs: slotless, blank",
            "partition",
            "sda",
            "nas.disks.d1: /dev/sda (serial S-sda) holds crypto_LUKS L1 at byte 0, the partition sda2, and a run that "
            f"was cut left there crypto_LUKS L1 alone; {LOOK}",
        ),
    ],
)
def test_what_came_is_told_in_one_line(at: str, came: str, target: str, says: str) -> None:
    look = moment(at).look()
    assert marks.put(mark(came), look, target)
    plan = planned(look, moment(at).nas)
    assert told(plan).replace(U1, "U1").replace(L1, "L1") == says and list(touched(plan)) == []


def test_only_what_the_kernel_made_of_our_own_mark_may_have_a_disk() -> None:
    other = moment("raid1: one marked").look().disk("sdy").line("holder", "sda", "md9").line("holder", "sdy", "md9")
    other.rows.append({"kname": "md9", "type": "raid1", "size": looks.SIZE})
    other.line("array", "md9", "raid1", "clean", 2, 0, "idle", "sdy")
    assert "/dev/sda is in use by md9" in told(planned(other, test_luks.plain()))
    # What no key opens cannot have been opened by us.
    slotless = moment("encrypted mdraid: slotless, blank").look().opened("sda", "dm-0", L1)
    assert "/dev/sda is in use by dm-0" in told(planned(slotless, test_luks.nas()))


def test_data_on_an_array_that_was_not_being_formatted_yet_are_somebodys() -> None:
    look = _array(MD[0], 2, "runs", "making", content="5ca1ab1e")
    assert "there is now data without a signature on it that it did not make" in told(planned(look, test_luks.plain()))


def test_an_array_is_finished_only_on_disks_with_its_own_mark_alone_by_then_too() -> None:
    (step,) = [each for each in planned(moment("raid1: all run").look(), test_luks.plain()).steps if each.command][:1]
    assert f"only sda {U1} || stop" in step.command and f"only sdb {U1} || stop" in step.command


def test_noise_on_an_array_of_encrypted_disks_is_what_its_making_left_there() -> None:
    """They are cleared where they are looked at, and an array on them is looked at in other places."""
    (noise,) = [
        each
        for each in planned(moment("encrypted mdraid: all run").look(), test_luks.nas()).steps
        if "finish" in each.says
    ]
    (plain,) = [
        each for each in planned(moment("raid1: all run").look(), test_luks.plain()).steps if "finish" in each.says
    ]
    last = 'unsigned "$md" || stop "/dev/$md holds what the toolkit did not put there"\n'
    assert noise.command.partition(last)[2].startswith('idle "$md"\nformat "$md"\n')
    assert plain.command.partition(last)[2].startswith('only "$md" "$uuid" || blank "$md"\nidle "$md"\n')


# A new disk of replace_disk, which a run that was cut had begun with.
BEGUN = ("half encrypted", "encrypted", "joined", "a filesystem")
SOME = (
    "signature",
    "backup of a GPT",
    "partition",
    "filesystem in a partition",
    "holder",
    "mount",
    "swap",
    "read-only",
)


@pytest.mark.parametrize("came", ("", *SOME))
@pytest.mark.parametrize("begun", BEGUN)
def test_a_new_disk_that_was_begun_with_is_gone_on_with_and_what_came_to_it_is_not_lost(begun: str, came: str) -> None:
    new, uuid = "sdf", test_replace_luks.fresh()
    if begun == "joined":
        look, nas = test_replace.lost(test_replace.RAID1).mirror(new, U1), test_replace.spec(test_replace.RAID1)
    elif begun == "a filesystem":
        look, nas = test_replace_snapraid.begun("d1"), test_snapraid.nas()
    else:
        half = begun == "half encrypted"
        look, nas = test_replace_luks.lost("mdraid"), test_luks.nas()
        look.luks(new, uuid, size=test_replace_luks.NEW, slots=not half, opens=half)
        if not half:
            look.opened(new, "dm-2", uuid)
    assert not came or marks.put(mark(came), look, new)
    found = test_replace.wished(look, nas)
    assert (found.steps != ()) == (came == "")
    assert all(str(each).startswith("nas: with: /dev/sdf") for each in found.problems)


@pytest.mark.parametrize("state", ["in_sync", "spare"])
@pytest.mark.parametrize("came", ["backup of a GPT", "USB"])
def test_a_new_disk_that_its_array_has_by_now_is_not_to_be_cleared(came: str, state: str) -> None:
    """Whoever added it: nothing more is written to it than the array does by itself."""
    look = test_replace.lost(test_replace.RAID1).mirror("sdf", U1, opens=False)
    look.lines = [f"{line} sdf" if line.startswith(f"array\t{ARRAY}\t") else line for line in look.lines]
    look.line("holder", "sdf", ARRAY).line("state", ARRAY, "sdf", state)
    assert marks.put(mark(came), look, "sdf")
    found = test_replace.wished(look, test_replace.spec(test_replace.RAID1))
    assert test_replace.lines(found) == "" and found.steps != ()
    # One that udev began to join is let go of first, and added anew.
    look.lines = [line.replace("\tclean\t", "\tinactive\t") for line in look.lines]
    assert "nas: with: /dev/sdf" in test_replace.lines(test_replace.wished(look, test_replace.spec(test_replace.RAID1)))
