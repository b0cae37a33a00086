"""Volumes: their root alone is owned and limited, and none is ever deleted."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from homelab.model.nas import Nas
from homelab.storage import Plan, asking, probe, records
from homelab.storage.records import Record
from tests.looks import Look
from tests.unit.storage.test_pools import BTRFS, NOTED, mirror, pair
from tests.unit.storage.test_refusals import U1, U2, nas, planned, told

SENTINEL = {"mdraid": f"tank {U2}", "btrfs": f"tank {U1}"}
ROOT = "directory|root|root|770|"


def spec(kind: str = "mdraid", **volume: Any) -> Nas:
    written = nas(kind).model_dump()
    written["volumes"] = {"docs": {"pool": "tank", **volume}}
    return Nas.model_validate(written)


def standing(kind: str, *, names: str = "docs") -> Look:
    if kind == "mdraid":
        look = mirror(type="xfs").runs("md127", "sda", "sdb", uuid=U2, type="xfs").record("tank", **NOTED)
        look.mounted("/srv/tank", "/dev/md127", "xfs")
    else:
        look = pair().record("tank", **BTRFS).mounted("/srv/tank", "/dev/sda", "btrfs")
    return look.mountpoint("tank", names=names, sentinel=SENTINEL[kind])


def volume(plan: Plan) -> tuple[str, str, str]:
    (step,) = plan.volumes
    return step.kind, step.says, step.command


@pytest.mark.parametrize(("kind", "make"), [("mdraid", "mkdir -m 0700"), ("btrfs", "btrfs subvolume create")])
def test_a_volume_is_made_whole_before_it_has_its_name(kind: str, make: str) -> None:
    step = volume(planned(standing(kind), spec(kind, owner="anna", group="family", mode="2770")))
    assert step[:2] == ("additive", "/srv/tank/docs: make it")
    lines = step[2].splitlines()
    made = next(line for line in lines if line.startswith(make))
    assert "/srv/tank/.docs.homelab-new" in made
    owned = "chown anna:family /srv/tank/.docs.homelab-new; chmod 2770 /srv/tank/.docs.homelab-new; "
    assert owned + "mv -nT /srv/tank/.docs.homelab-new /srv/tank/docs" in lines
    noted = next(n for n, line in enumerate(lines) if line.endswith(">>/var/lib/homelab/volumes; }"))
    assert lines.index("sync -f /srv/tank") < noted, "what is noted and not there is taken for lost"
    assert lines.index(made) > next(n for n, line in enumerate(lines) if SENTINEL[kind] in line)


def test_a_volume_that_stands_needs_nothing() -> None:
    look = standing("mdraid").line("volume", "tank/docs", ROOT + "99", "xfs", "4001").line("project", "4001 tank/docs")
    assert volume(planned(look, spec()))[0] == "noop"
    look = standing("btrfs").line("volume", "tank/docs", ROOT + "256", "btrfs", "257").line("project", "0 tank/docs")
    assert volume(planned(look, spec("btrfs")))[0] == "noop"


def ext4() -> Look:
    """A mirror with an ext4 that counts project quotas, mounted."""
    raw = bytearray(1024)
    raw[0x38:0x3A] = b"\x53\xef"
    struct.pack_into("<I", raw, 0x64, 0x2100)
    struct.pack_into("<I", raw, 0x26C, 12)
    look = mirror().runs("md127", "sda", "sdb", uuid=U2).record("tank", **NOTED)
    look.lines = [line.replace("inner\tmd127\t", f"inner\tmd127\t{raw.hex()}") for line in look.lines]
    return look.mounted("/srv/tank", "/dev/md127").mountpoint("tank", names="docs", sentinel=SENTINEL["mdraid"])


def probed(tmp_path: Path, printed: str) -> str:
    """What the storage command makes of a volume of which lsattr prints this."""
    lsattr = tmp_path / "lsattr"
    lsattr.write_text(f"#!/bin/sh\necho '{printed}'\n")
    lsattr.chmod(0o755)
    (asked,) = re.findall(r"^ *\*\) (lsattr -dp .*) ;;$", asking.questions(spec()).commands[0][1], re.M)
    where = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(["sh", "-c", f"at=docs; {asked}"], env=where, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_volume_of_ext4_needs_nothing_whichever_version_marked_it(tmp_path: Path) -> None:
    """However what it held was marked, its root got its number last, and that is all that is looked at."""
    number = probed(tmp_path, " 4001 --------------e----P-- /srv/tank/docs")
    look = ext4().line("volume", "tank/docs", ROOT + "12", "ext2/ext3", number)
    look.line("project", "4001 tank/docs").line("limit", "tank", "4001", 1 << 30)
    plan = planned(look, spec(quota="1G"))
    assert told(plan) == "" and volume(plan)[0] == "noop"
    # One whose marking was cut has none yet, and is marked to the end.
    cut = ext4().line(
        "volume", "tank/docs", ROOT + "12", "ext2/ext3", probed(tmp_path, "    0 ----e---- /srv/tank/docs")
    )
    kind, says, command = volume(planned(cut.line("project", "4001 tank/docs"), spec(quota="1G")))
    assert kind == "config" and "count it as project 4001" in says and command.count("chattr") == 3


@pytest.mark.parametrize("kind", ["mdraid", "btrfs"])
def test_owner_and_mode_are_those_of_the_root_only(kind: str) -> None:
    look = standing(kind).line("volume", "tank/docs", "directory|root|root|755|256", kind, "4001")
    kind_, says, command = volume(planned(look, spec(kind, owner="anna", mode="0750")))
    assert kind_ == "config"
    assert "give it to anna, set its mode to 0750" in says
    assert "chown anna: /srv/tank/docs; chmod 0750 /srv/tank/docs" in command
    assert "chown -R" not in command and "chmod -R" not in command


@pytest.mark.parametrize(
    ("quota", "limit", "words"),
    [
        ("1G", None, "limit it to 1024 MiB"),
        ("1G", 1 << 30, ""),
        ("2G", 1 << 30, "limit it to 2048 MiB"),
        (None, 1 << 30, "lift its limit"),
    ],
)
@pytest.mark.parametrize("kind", ["mdraid", "btrfs"])
def test_a_limit_is_set_changed_and_lifted(kind: str, quota: str | None, limit: int | None, words: str) -> None:
    filesystem, project = ("xfs", "4001") if kind == "mdraid" else ("btrfs", "257")
    look = standing(kind).line("volume", "tank/docs", ROOT + "256", filesystem, project)
    look.line("project", "4001 tank/docs" if kind == "mdraid" else "0 tank/docs")
    if limit:
        look.line("limit", "tank", project, limit)
    step, says, command = volume(planned(look, spec(kind, quota=quota)))
    assert (step == "noop") == (words == "") and words in says
    if words and kind == "mdraid":
        assert f"setquota -P 4001 0 {int(quota[0]) << 20 if quota else 0} 0 0 /srv/tank" in command
    elif words:
        assert f"btrfs qgroup limit {int(quota[0]) << 30 if quota else 'none'} /srv/tank/docs" in command


def test_what_a_directory_holds_is_marked_before_it_is_itself() -> None:
    """By its own mark the next run tells that all in it has one, wherever this one was cut."""
    look = standing("mdraid").line("volume", "tank/docs", ROOT + "99", "xfs", "0")
    _, says, command = volume(planned(look, spec(quota="1G")))
    marks = [line for line in command.splitlines() if "chattr" in line]
    assert "count it as project 4001" in says and marks == [
        "find /srv/tank/docs -mindepth 1 -type d -exec chattr -f +P -p 4001 {} + || :",
        "find /srv/tank/docs -mindepth 1 -type f -exec chattr -f -p 4001 {} + || :",
        "chattr +P -p 4001 /srv/tank/docs",
    ]


def test_a_file_is_not_asked_for_what_ext4_refuses_of_it(tmp_path: Path) -> None:
    """chattr +P of a file fails there (Linux 5.3 on) before the mark is set, and no quota would ever count it."""
    look = standing("mdraid").line("volume", "tank/docs", ROOT + "99", "ext4", "0")
    _, _, command = volume(planned(look, spec(quota="1G")))
    volume_, marked = tmp_path / "docs", tmp_path / "marked"
    (volume_ / "sub").mkdir(parents=True)
    for name in ("a", "-b", "sub/c d"):
        (volume_ / name).touch()
    (volume_ / "link").symlink_to("a")
    chattr = tmp_path / "chattr"
    chattr.write_text(
        f"""#!/bin/sh
for each; do [ "$each" != +P ] || inherit=1; done
for each; do
  case $each in /*) ;; *) continue ;; esac
  [ -z "$inherit" ] || [ -d "$each" ] || {{ status=1; continue; }}
  echo "$each" >>{marked}
done
exit "${{status:-0}}"
"""
    )
    chattr.chmod(0o755)
    marks = "\n".join(line for line in command.splitlines() if "chattr" in line).replace("/srv/tank/docs", str(volume_))
    subprocess.run(["sh", "-euc", marks], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=True)
    told = marked.read_text().splitlines()
    assert sorted(told) == sorted(str(volume_ / name) for name in ("", "sub", "a", "-b", "sub/c d"))
    assert told[-1] == str(volume_)


def test_a_project_id_stays_what_it_is() -> None:
    look = standing("mdraid").line("volume", "tank/docs", ROOT + "99", "xfs", "4007").line("project", "4002 tank/old")
    _, _, command = volume(planned(look, spec(quota="1G")))
    assert "setquota -P 4007 " in command and "chattr" not in command
    noted = (
        mirror(type="xfs").record("tank", **NOTED).line("project", "4002 tank/old").line("project", "4003 tank/docs")
    )
    assert "setquota -P 4003 " in volume(planned(noted, spec(quota="1G")))[2]
    new = standing("mdraid").line("project", "4002 tank/old")
    assert "setquota -P 4003 " in volume(planned(new, spec(quota="1G")))[2]


@pytest.mark.parametrize(
    ("kind", "line", "words"),
    [
        ("mdraid", ("tank/docs", "link"), "/srv/tank/docs is a link, not a directory; rename it"),
        ("mdraid", ("tank/docs", "regular file|root|root|644|9", "xfs", ""), "is a regular file, not a directory"),
        ("btrfs", ("tank/docs", ROOT + "300", "btrfs", "5"), "is a plain directory of a btrfs"),
    ],
)
def test_what_is_in_the_place_of_a_volume(kind: str, line: tuple[str, ...], words: str) -> None:
    assert words in told(planned(standing(kind).line("volume", *line), spec(kind)))


def test_a_quota_where_the_filesystem_keeps_none() -> None:
    look = mirror().record("tank", **NOTED)
    assert "was made without project quotas" in told(planned(look, spec(quota="1G")))
    assert told(planned(look, spec())) == ""


def test_a_volume_that_is_listed_no_more_is_kept() -> None:
    look = standing("btrfs", names="docs\nold\ntheirs").line("project", "0 tank/old").line("project", "0 tank/gone")
    plan = planned(look, spec("btrfs"))
    assert [str(each) for each in plan.warnings] == [
        "nas.volumes.old: not listed any more; /srv/tank/old is kept as it is"
    ]
    assert all("old" not in step.command for step in plan.volumes)


@pytest.mark.parametrize("kind", ["mdraid", "btrfs"])
def test_a_volume_that_was_there_and_is_gone_is_not_made_anew_and_served_empty(kind: str, tmp_path: Path) -> None:
    gone = (
        "/srv/tank/docs was there and is gone; rename or restore it; to have it made anew and empty, remove the line of"
    )
    note = "4001 tank/docs" if kind == "mdraid" else "0 tank/docs"
    plan = planned(standing(kind, names="fotos").line("project", note), spec(kind))
    assert told(plan) == f"nas.volumes.docs: {gone} tank/docs from /var/lib/homelab/volumes"
    # Of a pool that is mounted in this run it shows only then.
    down = mirror(type="xfs").record("tank", **NOTED) if kind == "mdraid" else pair().record("tank", **BTRFS)
    plan = planned(down.line("project", note), spec(kind))
    step, says, command = volume(plan)
    assert told(plan) == "" and (step, says) == ("config", "/srv/tank/docs: see that it is there")
    at = tmp_path / "tank"
    at.mkdir()
    (at / ".homelab-pool").write_text(f"{SENTINEL[kind]}\n")
    done = subprocess.run(
        ["sh", "-c", command.replace("/srv/tank", str(at))], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.startswith(f"homelab: {gone.replace('/srv/tank', str(at))}")) == (1, True)
    assert [each.name for each in at.iterdir()] == [".homelab-pool"]


def test_a_pool_made_anew_gets_its_volumes_anew() -> None:
    look = Look().disk("sda").disk("sdb").line("project", "4001 tank/docs")
    plan = planned(look, spec())
    assert told(plan) == "" and volume(plan)[:2] == ("additive", "/srv/tank/docs: make it")


@pytest.mark.parametrize("left", ["4001 tank/docs", "4001 tank/docs\n", "\n4001 tank/docs\r\n\n", ""])
def test_what_is_noted_of_volumes_may_be_corrected_by_hand(left: str, tmp_path: Path) -> None:
    """As a refusal asks for it; an editor may leave the last line without its end, or blank ones."""
    note, one = tmp_path / "volumes", {"tank/docs": 4001} if left else {}
    note.write_text(left)
    commands = dict(asking.questions(spec()).commands)

    def told() -> dict[str, int]:
        script = commands[probe.NAME].replace("/var/lib/homelab", str(tmp_path))
        done = subprocess.run(
            ["sh", "-c", script], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True
        )
        return dict(probe.parse(done.stdout).projects)

    assert told() == one
    for _ in "twice":
        script = records.noted(4002, "tank/old").replace("/var/lib/homelab", str(tmp_path))
        subprocess.run(["sh", "-euc", script], check=True)
    assert told() == one | {"tank/old": 4002}
    assert note.read_text().count("4002 tank/old\n") == 1


def test_a_line_without_a_number_is_told_with_its_place() -> None:
    with pytest.raises(probe.Unclear, match="/var/lib/homelab/volumes has the line 'tank/docs', which begins with no"):
        planned(standing("mdraid").line("project", "tank/docs"), spec())


def test_an_unmounted_pool_shows_nothing_of_its_volumes() -> None:
    look = mirror(type="xfs").record("tank", **NOTED)
    assert volume(planned(look, spec()))[1] == "/srv/tank/docs: make it, unless it is there"
    record = Record("tank", "mdraid", "raid1", U1, "xfs", U2, {})
    assert record.sentinel in volume(planned(look, spec()))[2]
