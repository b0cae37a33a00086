"""The shell that looks at devices, on files that the real tools have made; it is told of them as if under /dev."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from homelab.model.nas import Nas
from homelab.probe import HostProbe
from homelab.storage import asking, probe, superblocks
from homelab.storage.bare import BARE, SAMPLES
from tests import looks
from tests.looks import Look
from tests.unit.storage.test_refusals import KINDS, NAMED, nas, planned, told, touched

MIB = 1 << 20
PIECE = 1 << 16
MADE_BY = {
    "ext4": "mkfs.ext4 -q -F -L photos",
    "xfs": "mkfs.xfs -q -L photos",
    "btrfs": "mkfs.btrfs -q -L photos",
    "vfat": "mkfs.vfat -F 32 -n USB",
    "ntfs": "mkntfs -q -Q -F",
    "swap": "mkswap -q",
    "nilfs2": "mkfs.nilfs2 -q",
    "luks": "cryptsetup -q luksFormat --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file /etc/hostname",
}


def sh(script: str, *words: str) -> str:
    done = subprocess.run(
        ["sh", "-c", BARE + script, "sh", *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.stderr == ""
    return done.stdout


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """A sparse file of so many bytes."""

    def make(size: int = 400 * MIB) -> Path:
        path = tmp_path / "disk"
        with path.open("wb") as opened:
            opened.truncate(size)
        return path

    return make


def device(path: Path) -> str:
    return f"..{path}"


def look_at(path: Path) -> Look:
    """A machine with that file for a disk, and a blank one."""
    printed = sh('signed "$1"', device(path)).replace(f'"{path.name}"', '"sda"')
    content = "" if '"type"' in printed else sh('content "$1"', device(path)).strip()
    return Look().disk("sda", wipefs=printed or "", content=content).disk("sdb")


@pytest.mark.parametrize("kind", MADE_BY)
def test_what_a_tool_makes_is_refused_by_its_name(kind: str, file: Callable[..., Path]) -> None:
    tool, *arguments = MADE_BY[kind].split()
    if shutil.which(tool, path="/usr/sbin:/sbin:/usr/bin:/bin") is None:
        pytest.skip(f"{tool} is not installed")
    path = file()
    subprocess.run([tool, *arguments, str(path)], check=True, capture_output=True, env={"PATH": "/usr/sbin:/usr/bin"})
    for pool in KINDS:
        plan = planned(look_at(path), nas(pool))
        assert NAMED[kind] in told(plan) and list(touched(plan)) == []


@pytest.mark.parametrize("kind", ["gpt", "dos", "gpt_backup"])
def test_a_partition_table_is_refused_and_so_is_the_copy_that_is_left_of_one(
    kind: str, file: Callable[..., Path]
) -> None:
    path = file()
    label = kind.partition("_")[0]
    done = subprocess.run(
        ["/usr/sbin/sfdisk", "-q", str(path)], input=f"label: {label}\n,100M\n", text=True, check=False
    )
    assert done.returncode == 0
    if kind == "gpt_backup":
        with path.open("r+b") as opened:
            opened.write(b"\0" * 40 * 512)
    plan = planned(look_at(path))
    assert f"{label} at byte" in told(plan) and list(touched(plan)) == []


def test_a_member_of_an_array_is_refused(file: Callable[..., Path]) -> None:
    path = file()
    with path.open("r+b") as opened:
        opened.seek(superblocks.MD_OFFSET)
        opened.write(bytes.fromhex((looks.DATA / "md-superblock.hex").read_text()))
    assert "holds linux_raid_member any:tank" in told(planned(look_at(path)))


@pytest.mark.parametrize("size", [400 * MIB, 400 * MIB + 4096, SAMPLES * PIECE, 5 * MIB + 512, 512])
def test_a_blank_file_is_blank(size: int, file: Callable[..., Path]) -> None:
    path = file(size)
    assert sh('content "$1"', device(path)) == "zero\n"
    assert path.stat().st_blocks == 0  # and looking wrote nothing


def where(path: Path) -> list[tuple[int, int]]:
    said = [line.split() for line in sh('samples "$1" where', device(path)).splitlines()]
    return [(int(at), int(long)) for at, long in said]


def test_first_and_last_and_others_between_them_are_read(file: Callable[..., Path]) -> None:
    size = 400 * MIB + 4096
    read = where(file(size))
    assert len(read) == SAMPLES + 32
    assert read[0] == (0, PIECE) and read[15] == (15 * PIECE, PIECE)
    assert read[-16] == (size - MIB, PIECE) and read[-1] == (size - PIECE, PIECE)
    gaps = [then - now for (now, _), (then, _) in itertools.pairwise(read)]
    assert max(gaps) <= size // SAMPLES + PIECE, "no part of the disk is passed over"
    assert sum(long for _, long in where(file(5 * MIB + 512))) == 5 * MIB + 512


def test_a_byte_in_any_of_them_is_data(file: Callable[..., Path]) -> None:
    size = 64 * MIB + 4096
    read = where(file(size))
    for at, long in (read[0], read[1], read[SAMPLES // 2], read[-1]):
        path = file(size)
        with path.open("r+b") as opened:
            opened.seek(at + long - 1)
            opened.write(b"x")
        assert sh('content "$1"', device(path)).strip() not in ("zero", "unreadable", "")


def test_data_without_a_signature_is_refused_and_other_data_have_another_consent(file: Callable[..., Path]) -> None:
    seen = []
    for byte in (b"a", b"b"):
        path = file()
        with path.open("r+b") as opened:
            opened.seek(-512, 2)
            opened.write(byte * 512)
        plan = planned(look_at(path))
        assert "holds data without a signature" in told(plan) and list(touched(plan)) == []
        seen.append(told(plan).partition('"consent": ')[2])
    assert seen[0] != seen[1]


def test_what_cannot_be_read_is_not_blank(tmp_path: Path) -> None:
    assert sh('content "$1" 2>/dev/null', device(tmp_path / "none")) == "unreadable\n"
    assert sh('signed "$1"', device(tmp_path / "none")) == ""
    assert probe.signatures("") is None


def test_the_guard_knows_again_what_the_probe_saw(file: Callable[..., Path]) -> None:
    path = file()
    subprocess.run(["/usr/sbin/mkswap", "-q", "-L", "a  label", str(path)], check=True, capture_output=True)
    printed = sh('printf "signatures\\t%s\\t%s\\n" x "$(signed "$1")"', device(path)).split("\t")[2].rstrip("\n")
    assert probe.fingerprint(printed) == sh('signed "$1" | sha256sum | cut -c1-64', device(path)).strip()


#
# Whole scripts
#


def scripts() -> dict[str, str]:
    """Every kind of script that a plan holds."""
    uuid, inner = "11111111-2222-4333-8444-555555555555", "66666666-7777-4888-9999-aaaaaaaaaaaa"
    md = {"uuid": uuid, "filesystem_uuid": inner, "kind": "mdraid", "level": "raid1", "filesystem": "ext4"}
    consented = Look().disk("sda", wipefs=looks.captured("gpt", "sda"), parts={"sda1": looks.EMPTY}).disk("sdb")
    word = told(planned(consented)).partition('"consent": "')[2][:16]
    found = {"probe": asking.questions(full("btrfs")).commands[0][1]}
    for name, plan in {
        "made": planned(Look().disk("sda").disk("sdb"), full("mdraid")),
        "xfs": planned(Look().disk("sda").disk("sdb"), full("mdraid", filesystem="xfs")),
        "btrfs": planned(Look().disk("sda").disk("sdb"), full("btrfs")),
        "consented": planned(consented, nas(consent=word)),
        "consented-btrfs": planned(consented, nas("btrfs", consent=word)),
        "started": planned(Look().mirror("sda", uuid, inner=inner).mirror("sdb", uuid, inner=inner)),
        "degraded": planned(Look().mirror("sda", uuid, inner=inner).record("tank", **md, state="made")),
        "again": planned(Look().mirror("sda", uuid).disk("sdb").record("tank", **md, state="making")),
        "finished": planned(
            Look()
            .mirror("sda", uuid)
            .mirror("sdb", uuid)
            .runs("md7", "sda", "sdb")
            .record("tank", **md, state="making")
        ),
    }.items():
        assert told(plan) == ""
        for number, step in enumerate(plan.steps + plan.volumes):
            if step.command:
                found[f"{name}-{number}"] = step.command
    return found


def full(kind: str, **pool: object) -> Nas:
    spec = nas(kind, **pool).model_dump()
    spec["volumes"] = {"docs": {"pool": "tank", "quota": "1G", "mode": "2770"}, "raw": {"pool": "tank"}}
    return Nas.model_validate(spec)


SCRIPTS = scripts()


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_sound_shell(name: str) -> None:
    assert subprocess.run(["sh", "-n"], input=SCRIPTS[name], text=True, check=False).returncode == 0
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    # Functions come with every script, used there or not, and a loop may have one round.
    command = ["shellcheck", "-s", "sh", "-e", "SC2329,SC2317,SC2034,SC2043", "-"]
    done = subprocess.run(command, input=SCRIPTS[name], text=True, capture_output=True, check=False)
    assert done.stdout == ""


def test_no_script_forces_anything() -> None:
    for script in SCRIPTS.values():
        for line in script.splitlines():
            if not line.lstrip().startswith("#"):
                assert "--force" not in line and "yes | " not in line and "--create --run" not in line
                assert not ("mkfs" in line and " -f" in line) and not ("--create" in line and "--run" in line)


def test_the_probe_only_reads() -> None:
    words = ("mkfs", "mkdir", "chattr", "rm ", "mv ", "--create", "--assemble", "--stop", "chown", "dd ", "--all")
    assert [word for word in words if word in SCRIPTS["probe"].replace("mkfs.ext4 mkfs.xfs repquota", "")] == []


def test_a_fresh_system_answers_without_the_tools(tmp_path: Path) -> None:
    spec = Nas.model_validate(
        {
            "disks": {"d1": {"id": "ata-none-1"}, "d2": {"id": "serial:none"}},
            "pools": {"nopool": {"kind": "btrfs", "level": "raid1", "disks": ["d1", "d2"]}},
        }
    )
    script = asking.questions(spec).commands[0][1]
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    seen = probe.parse(done.stdout)
    assert seen.disks == {} and seen.listed == {"ata-none-1": (), "serial:none": ()}
    from homelab import storage

    text = told(storage.plan("nas", spec, seen, HostProbe(), frozenset(), lambda: "never"))
    assert "nas.disks.d1: no disk is ata-none-1" in text and "nas.disks.d2: no disk is serial:none" in text
