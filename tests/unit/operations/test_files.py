"""Files, directories and links, laid for real in a folder of this machine."""

from __future__ import annotations

import getpass
import grp
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from homelab.files import ManagedFile
from homelab.operations import files
from homelab.probe import FileState, Questions, parse, script

ME = f"{getpass.getuser()}:{grp.getgrgid(os.getgid()).gr_name}"


def managed(path: Path, content: str = "new\n", **values: Any) -> ManagedFile:
    return ManagedFile(str(path), content, owner=ME, **values)


def probed(path: Path) -> FileState | None:
    asked = subprocess.run(
        ["sh", "-c", script(Questions(paths=(str(path),)))], capture_output=True, text=True, check=False
    )
    return parse(asked.stdout.splitlines()).files.get(str(path))


@pytest.mark.parametrize(
    "content", ["new\n", "", 'it\'s "quoted" $HOME `id` \\ %s\n\n\tend\n', "ünïcode\n", "x" * 300_000 + "\n"]
)
def test_a_file_is_laid_as_it_should_stand(tmp_path: Path, run: Any, content: str) -> None:
    wanted = managed(tmp_path / "sub dir" / "a 'file'", content, mode="0640")
    done = run(files.write(wanted))
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "sub dir" / "a 'file'").read_text(encoding="utf-8") == content
    assert wanted.stands(probed(tmp_path / "sub dir" / "a 'file'"))


def test_a_file_that_stands_costs_no_command(tmp_path: Path, run: Any, host: Any) -> None:
    wanted = managed(tmp_path / "file", mode="0600")
    run(files.write(wanted))
    assert list(files.file._inner(wanted, probed(tmp_path / "file"))) == []
    assert host.noops == [f"{tmp_path}/file is as it should be"]


def test_a_replaced_file_is_never_seen_half_written(tmp_path: Path, run: Any) -> None:
    file = tmp_path / "file"
    file.write_text("old\n", encoding="utf-8")
    with file.open(encoding="utf-8") as reader:
        assert run(files.write(managed(file))).returncode == 0
        # Who had it open reads on in the old one: it was replaced, not written over.
        assert reader.read() == "old\n"
    assert file.read_text(encoding="utf-8") == "new\n"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_link_in_the_place_is_replaced_and_its_target_left_alone(tmp_path: Path, run: Any) -> None:
    target, place = tmp_path / "target", tmp_path / "place"
    target.write_text("theirs\n", encoding="utf-8")
    place.symlink_to(target)
    assert run(files.write(managed(place))).returncode == 0
    assert target.read_text(encoding="utf-8") == "theirs\n"
    assert place.read_text(encoding="utf-8") == "new\n" and not place.is_symlink()


def test_a_link_laid_in_the_way_of_the_new_file_is_not_written_through(tmp_path: Path, run: Any) -> None:
    target = tmp_path / "target"
    target.write_text("theirs\n", encoding="utf-8")
    (tmp_path / ".place.homelab-new").symlink_to(target)
    assert run(files.write(managed(tmp_path / "place"))).returncode == 0
    assert target.read_text(encoding="utf-8") == "theirs\n"


def test_a_directory_in_the_place_is_an_error_and_stays(tmp_path: Path, run: Any) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "theirs").write_text("x", encoding="utf-8")
    assert run(files.write(managed(tmp_path / "place"))).returncode != 0
    assert (tmp_path / "place" / "theirs").exists()


def test_a_file_that_its_check_refuses_leaves_the_old_one(tmp_path: Path, run: Any) -> None:
    file = tmp_path / "file"
    file.write_text("old\n", encoding="utf-8")
    assert run(files.write(managed(file, check='grep -q old "$new"'))).returncode != 0
    assert file.read_text(encoding="utf-8") == "old\n"
    assert run(files.write(managed(file, check='grep -q new "$new"'))).returncode == 0
    assert file.read_text(encoding="utf-8") == "new\n"


def test_what_a_killed_run_left_is_overwritten(tmp_path: Path, run: Any) -> None:
    (tmp_path / ".file.homelab-new").write_text("half of a long, long line", encoding="utf-8")
    assert run(files.write(managed(tmp_path / "file"))).returncode == 0
    assert (tmp_path / "file").read_text(encoding="utf-8") == "new\n"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_file_is_whole_after_a_power_cut(tmp_path: Path, run: Any) -> None:
    """What a disk holds at any moment: ext4 knows of a file by its name well before it lays down what is in it."""
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4") or not Path("/dev/loop-control").exists():
        pytest.skip("a real ext4 takes root, e2fsprogs and loop devices")
    disk, cut, at = tmp_path / "disk", tmp_path / "cut", tmp_path / "at"
    with disk.open("wb") as file:
        file.truncate(64 * 2**20)
    at.mkdir()
    subprocess.run(["mkfs.ext4", "-q", disk], check=True)
    if (mounted := subprocess.run(["mount", "-o", "loop", disk, at], capture_output=True, text=True)).returncode:
        pytest.skip(f"no ext4 on a loop device here: {mounted.stderr.strip()}")
    try:
        done = run(files.write(managed(at / "etc" / "watch")))
        (at / "other").write_text("x", encoding="utf-8")
        # Its journal is written, as it is every five seconds.
        subprocess.run(["sync", at / "other"], check=True)
        shutil.copyfile(disk, cut)
    finally:
        subprocess.run(["umount", at], check=True)
    assert (done.returncode, done.stderr) == (0, "")
    # Ends with 1 for what it has put right.
    subprocess.run(["e2fsck", "-fy", cut], capture_output=True, check=False)
    found = subprocess.run(["debugfs", "-R", "cat /etc/watch", cut], capture_output=True, text=True, check=True)
    assert found.stdout == "new\n"


def test_a_secret_goes_through_stdin_and_never_through_argv() -> None:
    command = files.write(ManagedFile("/etc/x", "s3cret\n", mode="0600"))
    assert "s3cret" not in command.get_raw_value() + command.get_masked_value()
    assert command.connector_arguments["_stdin"] == "s3cret\n"


def test_a_secret_is_readable_by_nobody_else_while_it_is_written(tmp_path: Path, run: Any) -> None:
    seen = managed(tmp_path / "file", mode="0600", check=f'stat -c %a "$new" >{tmp_path}/mode')
    assert run(files.write(seen)).returncode == 0
    assert (tmp_path / "mode").read_text(encoding="utf-8") == "600\n"


def test_a_missing_file_needs_no_removal(host: Any) -> None:
    assert list(files.absent._inner("/etc/x", None)) == []
    assert host.noops


def test_an_unwanted_file_goes_and_a_directory_is_an_error(tmp_path: Path, run: Any, host: Any) -> None:
    file, folder = tmp_path / "-rf", tmp_path / "folder"
    file.write_text("x", encoding="utf-8")
    folder.mkdir()
    (command,) = files.absent._inner(str(file), probed(file))
    assert run(command).returncode == 0
    assert not file.exists()
    (command,) = files.absent._inner(str(folder), probed(folder))
    assert run(command).returncode != 0
    assert folder.is_dir()


def test_a_directory_is_made_once(tmp_path: Path, run: Any, host: Any) -> None:
    place = tmp_path / "a" / "b"
    (command,) = files.directory._inner(str(place), None, mode="0750", owner=ME)
    assert run(command).returncode == 0
    assert list(files.directory._inner(str(place), probed(place), mode="0750", owner=ME)) == []


def test_a_link_is_made_once_and_replaced_in_one_step(tmp_path: Path, run: Any, host: Any) -> None:
    place = tmp_path / "kubectl"
    (tmp_path / "folder").mkdir()
    place.symlink_to("folder")
    (command,) = files.link._inner(str(place), "k3s", probed(place))
    assert run(command).returncode == 0
    assert os.readlink(place) == "k3s"  # noqa: PTH115
    assert list((tmp_path / "folder").iterdir()) == []
    assert list(files.link._inner(str(place), "k3s", probed(place))) == []
