"""The shell that looks at devices, on files that the real tools have made; it is told of them as if under /dev."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from homelab import storage
from homelab.model.levels import LEVELS, level
from homelab.model.nas import Nas
from homelab.probe import HostProbe
from homelab.storage import asking, guard, mappings, mounts, probe, superblocks
from homelab.storage.bare import BARE, SAMPLES
from homelab.storage.records import Record
from homelab.storage.seen import Luks, Signature
from homelab.storage.steps import Plan
from tests import looks
from tests.looks import Look
from tests.sound_shell import ASSEMBLED, assert_sound, parses, telling
from tests.sweeps import sweep
from tests.unit.storage.test_levels import noted, spec, stands
from tests.unit.storage.test_refusals import KINDS, NAMED, counted, nas, planned, told, touched

SINGLE = level("btrfs", "single")
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
    luks = ["77777777-2222-4333-8444-555555555555", "88888888-2222-4333-8444-555555555555"]
    headers = {"luks.d1": luks[0], "luks.d2": luks[1], "disk.d1": "S-sda", "disk.d2": "S-sdb"}
    locked = Look().luks("sda", luks[0], kept=False).luks("sdb", luks[1])
    secret = {"encryption": {"key": "env:KEY"}}
    half = Look().luks("sda", luks[0], slots=False).disk("sdb")
    for name, plan in {
        "encrypted": with_key(Look().disk("sda").disk("sdb"), full("mdraid", **secret)),
        "encrypted-half": with_key(half.record("tank", **md, **headers, state="making"), full("mdraid", **secret)),
        "encrypted-btrfs": with_key(Look().disk("sda").disk("sdb"), full("btrfs", **secret)),
        "locked": with_key(locked.record("tank", **md, **headers, state="made"), full("mdraid", **secret)),
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
        **{f"made-{each.kind}-{each.name}": planned(blank(each.least), spec(each)) for each in LEVELS},
        **{
            f"{what}-{each.name}": planned(stands(each, absent).record("tank", **noted(each, state=state)), spec(each))
            for each in LEVELS
            if each.kind == "mdraid" and each.name != "raid1"
            for what, absent, state in (("started", 0, "made"), ("degraded", 1, "made"), ("finished", 0, "making"))
        },
        "proven": planned(unread(stands(SINGLE)), spec(SINGLE)),
    }.items():
        assert told(plan) == ""
        for number, step in enumerate(plan.steps + plan.volumes):
            if step.command:
                found[f"{name}-{number}"] = step.command
    return found


def blank(count: int) -> Look:
    look = Look()
    for letter in "abcdef"[:count]:
        look.disk(f"sd{letter}")
    return look


def unread(look: Look) -> Look:
    """As a host without btrfs-progs tells of it."""
    look.lines = [line for line in look.lines if not line.startswith("chunks")]
    return look


def with_key(look: Look, spec: Nas) -> Plan:
    return storage.plan(
        "nas", spec, look.seen, HostProbe(), frozenset(), counted(), {"tank": "0" * 64}, environment="attic"
    )


def full(kind: str, **pool: object) -> Nas:
    spec = nas(kind).model_dump()
    spec["pools"]["tank"] |= pool
    spec["volumes"] = {"docs": {"pool": "tank", "quota": "1G", "mode": "2770"}, "raw": {"pool": "tank"}}
    return Nas.model_validate(spec)


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
            if not line.lstrip().startswith("#"):
                assert "--force" not in line and "yes | " not in line and "--create --run" not in line
                assert not ("mkfs" in line and " -f" in line) and not ("--create" in line and "--run" in line)


def test_the_probe_only_reads() -> None:
    words = ("mkfs", "mkdir", "chattr", "rm ", "mv ", "--create", "--assemble", "--stop", "chown", " of=", "--all")
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
    text = told(storage.plan("nas", spec, seen, HostProbe(), frozenset(), lambda: "never", environment="attic"))
    assert "nas.disks.d1: no disk is ata-none-1" in text and "nas.disks.d2: no disk is serial:none" in text


#
# LUKS, on files
#

QUICK = """
cryptsetup() {
  case "$1" in
    luksFormat|luksAddKey) command cryptsetup "$@" --pbkdf-force-iterations 4 --pbkdf-memory 32 ;;
    *) command cryptsetup "$@" ;;
  esac
}
settle() { :; }
"""


@pytest.fixture
def luks(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs what a script of encrypted disks ends in, after its functions; keys and headers are in a folder here."""
    if shutil.which("cryptsetup", path="/usr/sbin:/sbin:/usr/bin") is None:
        pytest.skip("cryptsetup is not installed")

    def run(script: str, **values: str) -> subprocess.CompletedProcess[str]:
        for folder in (mappings.KEYS, mappings.HEADERS):
            script = script.replace(folder, f"{tmp_path}{folder}")
        return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, **values)  # type: ignore[call-overload]

    return run


def functions() -> str:
    """The functions of such scripts, which are about the pool tank."""
    return mappings.head("tank").replace("\npool=tank\n", f"{QUICK}\npool=tank\n")


def key_of(tmp_path: Path) -> Path:
    return Path(f"{tmp_path}{mappings.key_path('tank')}")


def encrypted(luks: Any, path: Path, key: str = "correct horse battery") -> None:
    where = key_of(path.parent)
    where.parent.mkdir(parents=True, exist_ok=True)
    where.write_text(key)
    done = luks(f"{functions()}encrypt {device(path)} {LUKS}\nkeep {device(path)} {LUKS}\n")
    assert done.returncode == 0, done.stderr


LUKS = "77777777-2222-4333-8444-555555555555"


def test_what_is_encrypted_is_read_as_bytes_and_opens_by_its_key_alone(luks: Any, file: Callable[..., Path]) -> None:
    path = file(64 * MIB)
    encrypted(luks, path)
    raw = path.read_bytes()[:512]
    assert superblocks.luks(raw, slots=True) == Luks(LUKS, 2, "homelab-tank", slots=True)
    # LUKS2 keeps its header twice.
    twice = tuple(Signature(at, "crypto_LUKS", LUKS, "homelab-tank") for at in (0, 16384))
    assert look_at(path).seen.disks["sda"].signatures == twice
    assert luks(f"{functions()}opens {device(path)} $key && ! slotless {device(path)}").returncode == 0
    key_of(path.parent).write_text("correct horse battery\n")
    assert luks(f"{functions()}opens {device(path)} $key").returncode != 0, "typed, it has no newline"


def test_a_header_without_a_slot_is_known(luks: Any, file: Callable[..., Path]) -> None:
    path = file(64 * MIB)
    encrypted(luks, path)
    key = key_of(path.parent)
    subprocess.run(["/usr/sbin/cryptsetup", "-q", "luksRemoveKey", str(path), str(key)], check=True)
    assert luks(f"{functions()}slotless {device(path)}").returncode == 0


def test_a_header_that_was_wiped_comes_back_from_its_copy(luks: Any, file: Callable[..., Path]) -> None:
    path = file(64 * MIB)
    encrypted(luks, path)
    before, copy = path.read_bytes(), Path(f"{path.parent}{mappings.HEADERS}/{LUKS}")
    assert (copy.stat().st_mode & 0o777, copy.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    with path.open("r+b") as opened:
        opened.write(b"\0" * 16 * MIB)
    # What it is refused with names the command.
    assert luks(f"{functions()}keep {device(path)} {LUKS}").returncode != 0 and copy.read_bytes() == before[: 16 * MIB]
    restore = ["/usr/sbin/cryptsetup", "-q", "luksHeaderRestore", str(path), "--header-backup-file", str(copy)]
    subprocess.run(restore, check=True)
    assert path.read_bytes() == before
    assert luks(f"{functions()}opens {device(path)} $key").returncode == 0


def change(luks: Any, path: Path, key: str) -> subprocess.CompletedProcess[str]:
    """Change the key by the script that a host gets; who the disk is was looked at on another."""
    disk = Look().luks("sda", LUKS).seen.disks["sda"]
    script = mappings.keyed("tank", {"d1": "x"}, {"d1": (disk, LUKS)}).replace("chown root:root", ":")
    script = re.sub(r"^(same|only) .*\n", "", script, flags=re.M).replace("\nforget\n", f"\n{QUICK}\nforget\n", 1)
    script = script.replace("disks=sda", f"disks={device(path)}").replace("copy sda", f"copy {device(path)}")
    return luks(script, input=f"{key}\n")


def test_a_key_is_changed_only_by_who_has_the_former_one_or_knows_the_new(luks: Any, file: Callable[..., Path]) -> None:
    path = file(64 * MIB)
    encrypted(luks, path)
    key = key_of(path.parent)
    assert change(luks, path, "another horse battery").returncode == 0
    assert key.read_text() == "another horse battery" and key.stat().st_mode & 0o777 == 0o600
    assert luks(f"{functions()}opens {device(path)} $key").returncode == 0
    assert [each.name for each in key.parent.iterdir()] == ["tank.key"]
    for former in ("correct horse battery", "never a key of it"):
        key.unlink(missing_ok=True)
        before = path.read_bytes()
        refused = change(luks, path, former)
        assert refused.returncode == 1 and refused.stdout == ""
        assert "does not open" in refused.stderr and "nothing was changed" in refused.stderr
        assert former not in refused.stderr and refused.stderr.count("\n") == 1
        assert path.read_bytes() == before and not list(key.parent.iterdir())
    assert change(luks, path, "another horse battery").returncode == 0


def test_a_change_of_keys_is_finished_wherever_it_was_cut(luks: Any, file: Callable[..., Path]) -> None:
    path = file(64 * MIB)
    encrypted(luks, path)
    key, former = key_of(path.parent), key_of(path.parent).with_name(".tank.former")
    added = "cryptsetup luksAddKey --key-file $key {0} {0}.new"
    Path(f"{path}.new").write_text("another horse battery")
    for cut in ("added", "copied", "moved"):
        encrypted(luks, path)
        assert luks(f"{functions()}{added.format(path)}").returncode == 0
        if cut != "added":
            former.write_text("correct horse battery")
        if cut == "moved":
            key.write_text("another horse battery")
        done = change(luks, path, "another horse battery")
        assert done.returncode == 0, done.stderr
        assert [each.name for each in key.parent.iterdir()] == ["tank.key"]
        Path(f"{path}.old").write_text("correct horse battery")
        assert luks(f"{functions()}opens {device(path)} $key").returncode == 0
        assert luks(f"{functions()}opens {device(path)} {path}.old").returncode != 0


@pytest.mark.parametrize("former", ["correct horse battery", "another horse battery"])
def test_keys_that_cannot_be_compared_take_nothing_from_a_disk(
    luks: Any, file: Callable[..., Path], former: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the key that is in force would be taken for a former one, and nothing would ever open the disk again."""
    path = file(64 * MIB)
    encrypted(luks, path, "another horse battery")
    key_of(path.parent).with_name(".tank.former").write_text(former)
    monkeypatch.setattr(f"{__name__}.QUICK", f"{QUICK}cmp() {{ return 2; }}\n")
    done = change(luks, path, "another horse battery")
    assert done.returncode == 0, done.stderr
    assert luks(f"{functions()}opens {device(path)} $key").returncode == 0


def test_what_is_cleared_is_blank_wherever_it_is_looked_at(file: Callable[..., Path]) -> None:
    path = file(64 * MIB + 4096)
    with path.open("r+b") as opened:
        opened.write(b"\xff" * (64 * MIB + 4096))
    function = guard.head().partition("\nclear() {")[2].partition("\n}\n")[0]
    zeros = "  samples" + function.partition("  samples")[2].partition("\n  sync ")[0]
    assert sh(f'{zeros}\ncontent "$1"', device(path)) == "zero\n"
    assert path.stat().st_size == 64 * MIB + 4096


@pytest.mark.skipif(not shutil.which("xfs_db"), reason="takes xfsprogs")
def test_an_xfs_whose_making_was_cut_is_known(file: Callable[..., Path]) -> None:
    """mkfs.xfs writes the UUID before all else; wipefs takes such a one for whole, and the kernel mounts it never."""
    path = file()
    told = f'{guard.head()}if half "$1"; then echo half; else echo no; fi'
    for made, says in (
        ([], "no"),
        (["mkfs.ext4", "-q", "-F", path], "no"),
        (["mkfs.xfs", "-q", "-f", path], "no"),
        (["xfs_db", "-x", "-c", "sb 0", "-c", "write inprogress 1", path], "half"),
    ):
        if made:
            subprocess.run(made, check=True, capture_output=True)
        assert sh(told, device(path)) == f"{says}\n"
    assert '"xfs"' in sh('signed "$1"', device(path))


@pytest.mark.skipif(os.geteuid() != 0 or not Path("/dev/loop-control").exists(), reason="takes root and loop devices")
@pytest.mark.parametrize("holds", ["", "photos"])
def test_the_directory_beneath_a_pool_that_somebody_mounted_is_sealed_if_it_is_empty(
    file: Callable[..., Path], holds: str
) -> None:
    path = file()
    subprocess.run(["mkfs.ext4", "-q", "-F", path], check=True)
    script = f"""\
set -eu
stop() {{ echo "$1" >&2; exit 1; }}
mount -o loop {path} /srv; mount -t tmpfs tmpfs /run
mkdir -p /srv/tank/{holds}
mount -t tmpfs tmpfs /srv/tank
{mounts.beneath("tank")}\
touch /srv/tank/a
umount /srv/tank
touch /srv/tank/b 2>/dev/null || echo sealed
umount /srv
"""
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False)
    if holds:
        remedy = "mount --bind /srv /mnt shows it in /mnt/tank: move it away, then umount /mnt\n"
        assert done.stderr == f"hides what is in the directory that it is mounted on; {remedy}" and done.stdout == ""
    else:
        assert (done.stdout, done.stderr) == ("sealed\n", "")
    assert mounts.beneath("tank") in mounts.mounted(Record("tank", "btrfs", "raid1", "u", "btrfs", "u", {}))


def test_a_disk_of_many_partitions_is_the_one_that_was_seen(tmp_path: Path) -> None:
    parts = [f"sda{number}" for number in range(1, 13)]
    for part in parts:
        (tmp_path / "sda" / part).mkdir(parents=True)
        (tmp_path / "sda" / part / "partition").touch()
    disk = Look().disk("sda", parts=dict.fromkeys(parts, looks.EMPTY)).seen.disks["sda"]
    functions = guard.head().replace("/sys/block", str(tmp_path))
    seen = subprocess.run(["sh", "-c", f"{functions}parts sda"], capture_output=True, text=True, check=True).stdout
    assert guard.same("ata-S-sda", disk).rstrip().endswith(f"'{seen}'")
