"""What is tuned for which disk and array, and what is left as it is."""

from __future__ import annotations

from typing import Any

import pytest

from homelab.model import Host
from homelab.model.nas import Nas
from homelab.nas import tuning
from homelab.operations import kernel
from homelab.probe import FileState, HostProbe
from homelab.storage.records import Record
from homelab.storage.seen import DiskSeen, Seen
from tests.unit.nas.shares import host

UUID = "5f1d3c1e-7f0b-5b53-9d4b-3f0f5a0e6c11"
MD_UUID = "5f1d3c1e:7f0b5b53:9d4b3f0f:5a0e6c11"
RECORD = Record("bulk", "mdraid", "raid1", UUID, "ext4", UUID, {})
GIB = 2**30


def nas(level: str = "raid1", disks: str = "cd", **parts: Any) -> Nas:
    """The pools tank of a and b (btrfs) and bulk (mdraid)."""
    found = host(**parts).storage
    assert found is not None
    bulk = found.pools["bulk"].model_copy(update={"level": level, "disks": tuple(disks)})
    more = {name: found.disks["a"].model_copy(update={"id": f"serial:DISK-{name}"}) for name in disks}
    return found.model_copy(update={"pools": {**found.pools, "bulk": bulk}, "disks": {**found.disks, **more}})


def seen(**names: str) -> Seen:
    """A look that found each disk under the kernel's name for it, with a link of udev's."""
    return Seen(
        disks={name: DiskSeen(name, links=(f"ata-DISK-{disk}",)) for disk, name in names.items()},
        listed={f"serial:DISK-{disk}": (name,) for disk, name in names.items()},
    )


def answered(*lines: str, memory: int = 4 * GIB, **values: Any) -> HostProbe:
    return HostProbe(output={"nas-tuning": "\n".join(lines) + "\n"}, memory=memory, **values)


def schedulers(*lines: str, **names: str) -> dict[str, tuple[str, bool]]:
    """Of each disk the scheduler that it should have, and whether it has it."""
    found = tuning.settings(nas(), seen(**names), {}, answered(*lines))
    return {each.of: (each.value, each.stands) for each in found}


@pytest.mark.parametrize(
    ("name", "line", "wanted"),
    [
        ("sda", "1 none [bfq] mq-deadline", ("mq-deadline", False)),
        ("sda", "1 [mq-deadline] none", ("mq-deadline", True)),
        ("nvme0n1", "0 [mq-deadline] none", ("none", False)),
        ("nvme0n1", "0 [none] mq-deadline", ("none", True)),
        ("nvme0n1", "0 none", ("none", True)),
        # A virtual disk says that it turns, and the machine below it orders its requests.
        ("vdb", "1 [mq-deadline] none", ("none", False)),
    ],
)
def test_a_disk_that_turns_gets_its_requests_ordered_and_others_do_not(
    name: str, line: str, wanted: tuple[str, bool]
) -> None:
    assert schedulers(f"disk {name} {line}", a=name) == {"a": wanted}


def test_a_disk_of_parity_is_tuned_as_those_of_data_are() -> None:
    kept = nas()
    films = kept.pools["bulk"].model_copy(
        update={"kind": "snapraid", "level": "", "disks": ("c",), "parity": ("d",), "filesystem": "ext4"}
    )
    kept = kept.model_copy(update={"pools": {"films": films}})
    probe = answered("disk sdc 1 none [bfq] mq-deadline", "disk sdd 1 none [bfq] mq-deadline")
    found = tuning.settings(kept, seen(c="sdc", d="sdd"), {}, probe)
    assert [(each.of, each.value) for each in found] == [("c", "mq-deadline"), ("d", "mq-deadline")]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        pytest.param("sda", "0 [bfq] mq-deadline none", id="an SSD at SATA"),
        pytest.param("sda", "1 [none]", id="a kernel without mq-deadline"),
        pytest.param("sdz", "1 [none] mq-deadline", id="another disk than the listed one"),
    ],
)
def test_what_needs_nothing_is_left_to_the_kernel(name: str, line: str) -> None:
    assert schedulers(f"disk {name} {line}", a="sda") == {}


def test_an_id_that_is_two_disks_is_neither() -> None:
    both = Seen(
        disks={name: DiskSeen(name, links=(f"ata-{name}",)) for name in ("sda", "sdb")},
        listed={"serial:DISK-a": ("sda", "sdb")},
    )
    lines = ("disk sda 1 [none] mq-deadline", "disk sdb 1 [none] mq-deadline")
    assert tuning.settings(nas(), both, {}, answered(*lines)) == ()


@pytest.mark.parametrize(
    ("pools", "memory", "size"),
    [
        ({"bulk": 4}, 4 * GIB, 8192),
        # 4 disks × 4 KiB × 8192 are 128 MiB, more than a sixteenth of this.
        ({"bulk": 4}, 3 * GIB // 2, 4096),
        ({"bulk": 4, "more": 4}, 3 * GIB // 2, 2048),
        ({"bulk": 12}, 64 * GIB, 8192),
        ({"bulk": 16}, GIB // 2, 512),
        # No more than the kernel takes by itself.
        ({"bulk": 24}, GIB // 4, 0),
        ({}, 4 * GIB, 8192),
    ],
)
def test_the_caches_of_parity_arrays_take_a_sixteenth_of_the_memory_at_most(
    pools: dict[str, int], memory: int, size: int
) -> None:
    assert tuning.stripes(pools, memory) == size
    assert size <= 256 or size * 4096 * sum(pools.values()) <= memory // 16


@pytest.mark.parametrize("level", ["raid5", "raid6"])
def test_a_parity_array_has_its_cache_by_its_uuid_whatever_it_is_called(level: str) -> None:
    (found,) = tuning.settings(
        nas(level, "cdef"), Seen(), {"bulk": RECORD}, answered(f"array {MD_UUID} md127 256", "array 1:2:3:4 md0 256")
    )
    assert (found.device, found.attribute, found.value, found.stands) == (
        "md127",
        "md/stripe_cache_size",
        "8192",
        False,
    )
    assert found.says == "bulk: stripe_cache_size 8192 instead of 256"
    rules = tuning.rules((found,), nas(level, "cdef"))
    assert rules is not None
    assert (
        f'ACTION=="add|change", SUBSYSTEM=="block", ENV{{DEVTYPE}}=="disk", ENV{{MD_UUID}}=="{MD_UUID}", '
        'ATTR{md/stripe_cache_size}="8192"'
    ) in rules.content.splitlines()


@pytest.mark.parametrize(("live", "stands"), [("256", False), ("8192", True), ("16384", True)])
def test_a_larger_cache_of_somebodys_own_stays(live: str, stands: bool) -> None:
    (found,) = tuning.settings(nas("raid5", "cde"), Seen(), {"bulk": RECORD}, answered(f"array {MD_UUID} md0 {live}"))
    assert found.stands is stands


def test_an_array_that_is_yet_to_be_made_gets_it_from_its_rule() -> None:
    (found,) = tuning.settings(nas("raid6", "cdef"), Seen(), {"bulk": RECORD}, answered())
    assert found.stands
    assert tuning.command((found,), {}, answered()) == ""


def test_mirrors_have_no_stripe_cache() -> None:
    assert tuning.settings(nas("raid1"), Seen(), {"bulk": RECORD}, answered(f"array {MD_UUID} md127 ")) == ()


def test_a_rebuild_is_given_its_share_and_no_larger_one_is_lowered() -> None:
    for live, wanted in ((None, "10000"), ("1000", "10000"), ("10000", "10000"), ("50000", "50000")):
        probe = HostProbe(sysctls={"dev.raid.speed_limit_min": live} if live else {})
        assert tuning.sysctls(nas(), probe) == {"dev.raid.speed_limit_min": wanted}
    file = tuning.sysctl_file({"dev.raid.speed_limit_min": "10000"})
    assert file is not None
    assert file.content.splitlines()[1:] == ["dev.raid.speed_limit_min = 10000"]


def test_without_an_array_there_is_nothing_to_rebuild() -> None:
    without = nas()
    without = without.model_copy(update={"pools": {"tank": without.pools["tank"]}})
    assert tuning.sysctls(without, HostProbe()) == {}
    assert tuning.sysctl_file({}) is None
    assert tuning.rules((), without) is None


def test_rules_find_a_disk_by_its_link_and_md_by_its_module() -> None:
    found = tuning.settings(nas(), seen(a="sda"), {}, answered("disk sda 1 [none] mq-deadline"))
    rules = tuning.rules(found, nas())
    assert rules is not None
    assert rules.content.splitlines()[1:] == [
        'ACTION=="add|change", SUBSYSTEM=="block", ENV{DEVTYPE}=="disk", SYMLINK=="disk/by-id/ata-DISK-a", '
        'ATTR{queue/scheduler}="mq-deadline"',
        'ACTION=="add", SUBSYSTEM=="module", KERNEL=="md_mod", RUN+="/lib/systemd/systemd-sysctl --prefix=/dev/raid"',
    ]


def test_the_running_kernel_is_told_only_what_it_has_otherwise() -> None:
    lines = ("disk sda 1 [none] mq-deadline", "disk sdb 1 [mq-deadline] none", f"array {MD_UUID} md127 256")
    probe = answered(*lines, sysctls={"dev.raid.speed_limit_min": "1000"})
    wanted = tuning.settings(nas("raid5", "cde"), seen(a="sda", b="sdb"), {"bulk": RECORD}, probe)
    assert tuning.command(wanted, tuning.sysctls(nas(), probe), probe).split(" && ") == [
        "echo mq-deadline >/sys/block/sda/queue/scheduler",
        "echo 8192 >/sys/block/md127/md/stripe_cache_size",
        "sysctl -qw dev.raid.speed_limit_min=10000",
    ]


def test_a_setting_that_the_kernel_does_not_know_yet_is_left_to_its_file() -> None:
    assert tuning.command((), {"dev.raid.speed_limit_min": "10000"}, HostProbe()) == ""


def test_in_a_container_it_is_only_said() -> None:
    lines = ("disk sda 1 [none] mq-deadline",)
    me = Host.model_validate({"name": "nas", "nas": True, "address": "192.168.1.31"})
    for container, count in (("none", 0), ("lxc", 1)):
        probe = answered(*lines, container=container, sysctls={"dev.raid.speed_limit_min": "1000"})
        wanted = tuning.settings(nas(), seen(a="sda"), {}, probe)
        said = [str(each) for each in tuning.unset(me, wanted, tuning.sysctls(nas(), probe), probe)]
        assert len(said) == count
    assert "a: scheduler mq-deadline instead of none" in said[0]
    assert "dev.raid.speed_limit_min 10000 instead of 1000" in said[0]


def test_udev_reads_rules_that_are_new(host_double: Any) -> None:
    wanted = tuning.rules((), nas())
    assert wanted is not None
    written = list(kernel.rules._inner(wanted, None))
    assert [each.get_raw_value() for each in written[1:]] == ["udevadm control --reload"]
    stands = FileState("file", wanted.mode, wanted.owner, wanted.sha256, size=len(wanted.content))
    assert list(kernel.rules._inner(wanted, stands)) == []


def on_zfs(role: str | None) -> Host:
    """A NAS whose pool is of ZFS; with a role it is a node as well."""
    described = host(pools={"tank": {"kind": "zfs", "level": "mirror", "disks": ["a", "b"]}})
    return described.model_copy(update={"role": role})


def test_disks_of_zfs_keep_the_schedulers_that_they_have() -> None:
    storage = on_zfs(None).storage
    assert storage is not None
    assert tuning.settings(storage, seen(a="sda"), {}, answered("disk sda 1 [none] mq-deadline")) == ()


@pytest.mark.parametrize(
    ("role", "memory", "lines", "size"),
    [
        ("agent", 8 * GIB - 300_000_000, (), 15 * 2**28),
        ("server", 2**28, (), 2**28),
        # A host that is nothing but a NAS has its memory for files.
        (None, 8 * GIB, (), None),
        ("agent", 8 * GIB, ("by-hand /etc/modprobe.d/zfs.conf",), None),
    ],
)
def test_zfs_leaves_pods_half_of_the_memory(
    role: str | None, memory: int, lines: tuple[str, ...], size: int | None
) -> None:
    wanted = tuning.arc(on_zfs(role), answered(*lines, memory=memory))
    told = wanted.content.splitlines()[1:] if wanted else None
    assert told == (None if size is None else [f"options zfs zfs_arc_max={size}"])


def test_a_node_without_zfs_has_no_cache_of_it() -> None:
    assert tuning.arc(host().model_copy(update={"role": "agent"}), answered()) is None


def test_a_module_that_is_loaded_is_told_its_size_and_another_finds_it_at_boot() -> None:
    wanted = tuning.arc(on_zfs("agent"), answered(memory=4 * GIB))
    told = f"echo {2 * GIB} >/sys/module/zfs/parameters/zfs_arc_max"
    assert tuning.arc_command(wanted, answered("arc 0")) == told
    assert tuning.arc_command(wanted, answered(f"arc {2 * GIB}")) == ""
    assert tuning.arc_command(wanted, answered()) == ""
    assert tuning.arc_command(None, answered("arc 0")) == ""


def test_only_where_there_is_zfs_it_is_asked_for() -> None:
    storage = on_zfs("agent").storage
    assert storage is not None
    for described, asked in ((storage, True), (nas(), False)):
        ((_, command),) = tuning.questions(described).commands
        assert ("zfs_arc_max" in command) is asked
        assert tuning.ARC in tuning.questions(described).paths
