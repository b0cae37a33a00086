"""A disk that holds anything is refused, by what it holds; only consent to lose exactly that lets go of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from homelab import storage
from homelab.model.nas import Nas
from homelab.probe import HostProbe
from homelab.storage import Plan
from tests import looks
from tests.looks import Look

U1, U2 = "11111111-2222-4333-8444-555555555555", "66666666-7777-4888-9999-aaaaaaaaaaaa"
KINDS = ("mdraid", "btrfs")


def counted() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"00000000-0000-4000-8000-{next(numbers):012d}"


def nas(kind: str = "mdraid", consent: str | None = None, count: int = 2, **pool: Any) -> Nas:
    """A NAS with the pool tank on d1 and d2, or so many."""
    disks: dict[str, dict[str, str]] = {
        f"d{number}": {"id": f"ata-S-sd{letter}"} for number, letter in enumerate("abcdef"[:count], 1)
    }
    if consent:
        disks["d1"]["consent"] = consent
    return Nas.model_validate(
        {"disks": disks, "pools": {"tank": {"kind": kind, "level": "raid1", "disks": [*disks], **pool}}}
    )


def planned(
    look: Look, spec: Nas | None = None, probe: HostProbe | None = None, used: frozenset[str] = frozenset()
) -> Plan:
    return storage.plan("nas", spec or nas(), look.seen, probe or HostProbe(), used, counted(), environment="attic")


def told(plan: Plan) -> str:
    return "\n".join(map(str, plan.problems))


def touched(plan: Plan) -> Iterator[str]:
    return (step.says for step in plan.steps if step.kind in ("additive", "destructive"))


def offered(plan: Plan) -> str:
    """The consent that a refusal offers."""
    return told(plan).partition('write "consent": "')[2][:16]


@pytest.mark.parametrize("kind", KINDS)
def test_blank_disks_become_a_pool(kind: str) -> None:
    plan = planned(Look().disk("sda").disk("sdb"), nas(kind))
    assert told(plan) == ""
    assert [step.says for step in plan.steps if step.kind == "additive"] == [
        f"make the {kind} raid1 tank of d1 (/dev/sda, serial S-sda), d2 (/dev/sdb, serial S-sdb)"
    ]
    assert plan.pools["tank"].uuid == "00000000-0000-4000-8000-000000000001"


NAMED = {
    "btrfs": "btrfs photos",
    "dos": "dos at byte 510",
    "ext4": "ext4 photos",
    "gpt": "gpt at byte 512, PMBR",
    "gpt_backup": "gpt at byte 419429888",
    "luks": "crypto_LUKS",
    "lvm": "LVM2_member",
    "md": "linux_raid_member",
    "nilfs2": "nilfs2",
    "ntfs": "ntfs",
    "swap": "swap",
    "vfat": "vfat USB",
    "xfs": "xfs photos",
    "zfs": "zfs_member",
}


def test_every_captured_signature_is_tried() -> None:
    assert set(NAMED) == set(looks.KINDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("held", NAMED)
def test_a_signature_is_refused_by_its_name(kind: str, held: str) -> None:
    look = Look().disk("sda", wipefs=looks.captured(held, "sda")).disk("sdb")
    plan = planned(look, nas(kind))
    assert "nas.disks.d1: /dev/sda (serial S-sda) holds " in told(plan)
    assert NAMED[held].split(",")[0] in told(plan)
    assert list(touched(plan)) == []


@pytest.mark.parametrize("held", NAMED)
def test_a_partition_is_refused_by_what_is_in_it(held: str) -> None:
    look = Look().disk("sda", wipefs=looks.captured("gpt", "sda"), parts={"sda1": looks.captured(held, "sda1")})
    plan = planned(look.disk("sdb"))
    assert "on sda1" in told(plan) and NAMED[held].split(" ")[0] in told(plan)
    assert list(touched(plan)) == []


def test_data_without_a_signature_is_refused() -> None:
    plan = planned(Look().disk("sda", content="0123456789abcdef").disk("sdb"))
    assert "holds data without a signature" in told(plan)
    assert list(touched(plan)) == []


def test_a_partition_without_a_signature_is_refused_even_where_the_disk_shows_no_table() -> None:
    plan = planned(Look().disk("sda", parts={"sda1": looks.EMPTY}).disk("sdb"))
    assert "holds the partition sda1" in told(plan)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"mountpoints": ["/"]}, "/dev/sda is mounted at /"),
        ({"mountpoints": ["[SWAP]"]}, "/dev/sda is swap in use"),
        ({"opens": False}, "/dev/sda is in use by something"),
        ({"ro": True}, "/dev/sda is read-only"),
        ({"tran": "usb"}, "/dev/sda is connected by USB"),
        ({"rm": True}, "/dev/sda is removable"),
        ({"size": 100 << 20}, "/dev/sda has 100 MiB"),
        ({"wipefs": ""}, "sda cannot be read"),
        ({"content": "unreadable"}, "sda cannot be read"),
        ({"serial": "", "id": "ata-S-sda"}, "/dev/sda has no serial number"),
    ],
)
def test_no_consent_helps_where_a_disk_is_in_use_or_unfit(values: dict[str, Any], words: str) -> None:
    look = Look().disk("sda", **values).disk("sdb")
    plan = planned(look)
    assert words in told(plan)
    offer = offered(plan)
    again = planned(look, nas(consent=offer)) if offer else plan
    assert words in told(again) and list(touched(again)) == []


def test_what_is_mounted_below_a_disk_counts() -> None:
    look = Look().disk("sda", wipefs=looks.captured("gpt", "sda"), parts={"sda1": looks.captured("ext4", "sda1")})
    look.rows[0]["children"][0]["mountpoints"] = ["/mnt"]
    assert "/dev/sda1 is mounted at /mnt" in told(planned(look.disk("sdb")))


def test_a_foreign_array_that_runs_is_in_use() -> None:
    look = Look().mirror("sda", U2, array="old:0").runs("md127", "sda", uuid=U1).disk("sdb")
    assert "/dev/sda is in use by md127; stop that" in told(planned(look))


def test_a_device_of_a_mounted_btrfs_is_in_use() -> None:
    look = Look().btrfs("sda", U2, label="x").line("opened", U2, "sda").disk("sdb")
    assert f"/dev/sda is in use by the mounted btrfs {U2}" in told(planned(look))


def test_a_disk_that_is_not_there_is_told_with_all_else() -> None:
    text = told(planned(Look().disk("sda", wipefs=looks.captured("ext4", "sda"))))
    assert "nas.disks.d2: no disk is ata-S-sdb" in text and "holds ext4" in text


def test_two_ids_of_one_disk() -> None:
    look = Look().disk("sda").line("listed", "ata-S-sdb", "sda")
    assert "nas.disks.d2: ata-S-sdb is /dev/sda, and so is d1; list each disk once" in told(planned(look))


def test_one_id_of_two_disks() -> None:
    look = Look().disk("sda").disk("sdb").disk("sdc")
    look.lines.append("listed\tata-S-sda\tsda sdc")
    assert "nas.disks.d1: ata-S-sda is /dev/sda and /dev/sdc" in told(planned(look))


def test_two_disks_with_one_serial() -> None:
    look = Look().disk("sda", "X", id="ata-S-sda").disk("sdb", "X", id="ata-S-sdb")
    assert "/dev/sda has the serial X, and so has /dev/sdb" in told(planned(look))


def test_sizes_that_differ_are_a_warning() -> None:
    plan = planned(Look().disk("sda").disk("sdb", size=4 << 30), nas("btrfs"))
    assert told(plan) == ""
    assert "nas.pools.tank: d2 has 4096 MiB and d1 2048" in str(plan.warnings[0])


def test_an_array_of_disks_whose_sizes_differ_is_refused_before_anything_is_cleared() -> None:
    """mdadm would ask whether to go on, and take no answer for a no, once what was consented to is lost."""
    plan = planned(Look().disk("sda").disk("sdb", size=4 << 30))
    assert "nas.pools.tank: d2 has 4096 MiB and d1 2048, and mdadm makes no array of such by itself" in told(plan)
    assert list(touched(plan)) == []
    assert told(planned(Look().disk("sda", size=1000 << 20).disk("sdb", size=1009 << 20))) == ""


def test_an_answer_that_was_cut_decides_nothing() -> None:
    with pytest.raises(storage.Unclear):
        storage.parse(Look().disk("sda").text.replace("end\n", ""))
    with pytest.raises(storage.Unclear):
        storage.parse("end\nsignatures\tsda\t{broken\ndisk\tsda\t1\tyes\tS\n")


#
# Consent
#


def consented(look: Look, **values: Any) -> tuple[Plan, str]:
    word = offered(planned(look))
    assert len(word) == 16
    return planned(look, nas(consent=word), **values), word


@pytest.mark.parametrize("held", NAMED)
def test_consent_lets_go_of_what_it_was_given_for(held: str) -> None:
    plan, word = consented(Look().disk("sda", wipefs=looks.captured(held, "sda")).disk("sdb"))
    assert told(plan) == ""
    (step,) = [step for step in plan.steps if step.kind == "destructive"]
    assert step.consents == (word,)
    assert "clear /dev/sda (serial S-sda: " in step.says
    assert "clear sda\n" in step.command and "clear sdb\n" not in step.command


def test_consent_for_data_without_a_signature() -> None:
    plan, word = consented(Look().disk("sda", content="0123456789abcdef").disk("sdb"))
    assert [step.consents for step in plan.steps if step.kind == "destructive"] == [(word,)]


EXT4 = looks.captured("ext4", "sda")


@pytest.mark.parametrize(
    "other",
    [
        Look().disk("sda", "other", id="ata-S-sda", wipefs=EXT4).disk("sdb"),
        Look().disk("sda", wipefs=looks.captured("xfs", "sda")).disk("sdb"),
        Look().disk("sda", wipefs=EXT4.replace("834a730d", "834a730e")).disk("sdb"),
        Look().disk("sda", wipefs=EXT4.replace("0x438", "0x838")).disk("sdb"),
        Look().disk("sda", wipefs=EXT4, parts={"sda1": looks.EMPTY}).disk("sdb"),
        Look().disk("sda", wipefs=EXT4, parts={"sda1": looks.captured("vfat", "sda1")}).disk("sdb"),
        Look().disk("sda", content="fedcba9876543210").disk("sdb"),
    ],
    ids=["serial", "type", "uuid", "offset", "partition", "in a partition", "content"],
)
def test_consent_is_for_nothing_else(other: Look) -> None:
    _, word = consented(Look().disk("sda", wipefs=EXT4).disk("sdb"))
    plan = planned(other, nas(consent=word))
    assert f"which is not what the consent {word} was for" in told(plan)
    assert list(touched(plan)) == []
    assert offered(plan) != word


def test_consent_for_one_disk_is_none_for_another() -> None:
    look = Look().disk("sda", wipefs=EXT4).disk("sdb", wipefs=looks.captured("ext4", "sdb"))
    plan, _ = consented(look)
    assert "nas.disks.d1" not in told(plan) and "nas.disks.d2: /dev/sdb (serial S-sdb) holds ext4" in told(plan)
    assert list(touched(plan)) == []


def test_consent_is_good_once_whoever_remembers() -> None:
    look = Look().disk("sda", wipefs=EXT4).disk("sdb")
    _, word = consented(look)
    by_control = planned(look, nas(consent=word), used=frozenset({word}))
    by_host = planned(look.line("consent", f"{word} done"), nas(consent=word))
    for plan in (by_control, by_host):
        assert f"the consent {word} was used already" in told(plan)
        assert list(touched(plan)) == []


@pytest.mark.parametrize(
    "now",
    [
        {"content": "x"},
        {"wipefs": looks.captured("gpt", "sda")},
        {"wipefs": looks.captured("gpt", "sda"), "parts": {"sda1": looks.EMPTY}},
        {"wipefs": looks.captured("gpt_backup", "sda")},
        {"wipefs": EXT4},
    ],
    ids=["no signature", "as before", "parted", "half cleared", "another filesystem"],
)
def test_consent_whose_clearing_was_cut_covers_nothing_that_the_disk_holds_since(now: dict[str, Any]) -> None:
    """A table or data without a signature may be what was there, and somebody's new ones."""
    plan, word = consented(Look().disk("sda", wipefs=looks.captured("gpt", "sda"), content="x").disk("sdb"))
    (step,) = [step for step in plan.steps if step.kind == "destructive"]
    began = next(line for line in step.command.splitlines() if line.startswith(f"consent {word} "))

    def later(**holds: Any) -> Look:
        return Look().disk("sda", **holds).disk("sdb").line("consent", f"{word} {began.split(chr(39))[1]}")

    again = planned(later(**now), nas(consent=word))
    assert f"the clearing under the consent {word} was cut; " in told(again) and list(touched(again)) == []
    if not offered(again):
        assert "clear the disk by hand" in told(again) and now == {"wipefs": looks.captured("gpt", "sda")}
    else:
        assert told(planned(later(**now), nas(consent=offered(again)))) == ""
    # What was cleared to the end, and only not noted as that, needs nobody's consent.
    assert told(planned(later(), nas(consent=word))) == ""


def test_consent_of_a_disk_that_is_in_its_pool_by_now_is_nothing_to_speak_of() -> None:
    look = Look().mirror("sda", U1, inner=U2).mirror("sdb", U1, inner=U2)
    plan = planned(look, nas(consent="0123456789abcdef"))
    assert told(plan) == "" and list(touched(plan)) == []
