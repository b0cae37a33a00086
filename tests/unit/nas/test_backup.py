"""Backups: what is told to the host, and the real script with a real restic against every way to lose data quietly."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from homelab.model.nas import Nas
from homelab.nas import backup, watch
from homelab.probe import FileState, HostProbe
from tests.nas_host import NasHost, nas, on_btrfs, ran
from tests.zfs_host import ZfsHost


def described(to: str, **values: object) -> Nas:
    return nas(backups={"off": {"volumes": ["docs"], "to": to, "password": "env:X", "sample": 5, **values}})


def test_the_settings_name_everything_but_the_password() -> None:
    both = nas(
        backups={
            "off": {
                "volumes": ["media", "docs"],
                "to": "sftp:me@far:/restic",
                "password": "env:X",
                "at": "04:30",
                "append_only": True,
            }
        }
    )
    files = {file.path: file for file in backup.files(both, "nas", {"off": "correct horse"})}
    settings, password = files["/etc/homelab/backup/off"], files["/etc/homelab/backup/off.password"]
    assert settings.content == (
        "repository=sftp:me@far:/restic\npool=\nvolumes=tank/media vault/docs\nhost=nas\n"
        "daily=7\nweekly=5\nmonthly=12\nappend_only=yes\nparts=14\nsample=20\n"
    )
    assert (settings.mode, password.mode, password.content) == ("0600", "0600", "correct horse\n")
    assert [path for path, file in files.items() if "correct horse" in file.content] == [password.path]
    assert "correct horse" not in repr(files)
    timer = files["/etc/systemd/system/homelab-backup@off.timer"].content
    assert "OnCalendar=*-*-* 04:30\nPersistent=true" in timer


def test_a_repository_on_another_pool_is_proven_by_its_sentinel() -> None:
    on_tank = described("/srv/tank/restic")
    settings = next(f for f in backup.files(on_tank, "nas", {"off": "x"}) if f.path == "/etc/homelab/backup/off")
    assert "\npool=tank\n" in settings.content
    assert list(backup.refusals(on_tank, "nas", HostProbe())) == []


def test_a_folder_on_no_pool_must_be_there_already() -> None:
    usb = described("/mnt/usb/restic")
    assert "/mnt/usb/restic" in backup.questions(usb).paths
    assert list(backup.refusals(usb, "nas", HostProbe())) == [
        "nas: backups.off.to: /mnt/usb/restic is not there; mount its disk, and make the folder with "
        "mkdir /mnt/usb/restic"
    ]
    there = HostProbe(
        files={"/mnt/usb/restic": FileState("dir", "0755", "root:root")},
        output={"nas_backup_roots": "/mnt/usb/restic\n"},
    )
    assert list(backup.refusals(usb, "nas", there)) == []
    (said,) = backup.warnings(usb, "nas", there)
    assert "is on the system's own disk" in said


def test_a_repository_is_opened_once_and_again_when_it_is_another() -> None:
    usb = described("/mnt/usb/restic")
    opened = HostProbe(text={"/var/lib/homelab/backup/off.repository": "/mnt/usb/restic\n"})
    assert backup.uninitialised(usb, HostProbe()) == ("off",)
    assert backup.uninitialised(usb, opened) == ()
    assert backup.uninitialised(described("/mnt/other/restic"), opened) == ("off",)
    assert backup.initialise("off") == "/usr/local/lib/homelab/homelab-backup off init"


class Real:
    """A host with a real restic; the volume `docs` on something that is no btrfs."""

    def __init__(self, tmp_path: Path, **values: object):
        self.repository = tmp_path / "usb" / "restic"
        self.repository.mkdir(parents=True)
        self.host = NasHost(tmp_path / "host", described(str(self.repository), **values))
        self.docs = self.host.path("/srv/vault/docs")
        self.words: list[subprocess.CompletedProcess[str]] = []

    def fill(self, count: int = 8) -> None:
        for number in range(count):
            # Glob characters, blanks and a backslash, as a restore names files by patterns.
            (self.docs / f"a b [{number}]* \\x.bin").write_bytes(os.urandom(20_000))

    def backup(self, verb: str = "run") -> subprocess.CompletedProcess[str]:
        return self.host.run("homelab-backup", "off", verb)

    def content(self) -> dict[str, str]:
        files = sorted(path for path in self.repository.rglob("*") if path.is_file() and "locks" not in path.parts)
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def real(tmp_path: Path) -> Real:
    """A host whose repository's folder is empty yet."""
    if not shutil.which("restic"):
        pytest.skip("restic is not installed")
    if subprocess.run(["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True).stdout == "btrfs\n":
        pytest.skip("the folder for tests is on btrfs, where a backup freezes its source")
    return Real(tmp_path, check_parts=1)


# As restic 0.14 makes one for the password of these tests, but for its key: that takes half a second to be made of the
# password, in each of its many calls, unless the N, r and p of its scrypt are 2, 1 and 1.
QUICK = Path(__file__).parents[2] / "data" / "restic"


# One backup serves many tests, and each finds it as it was made.
@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Real | None:
    if not shutil.which("restic"):
        return None
    made = Real(tmp_path_factory.mktemp("backup"), check_parts=1)
    shutil.copytree(QUICK, made.repository, dirs_exist_ok=True)
    made.words = [made.backup("init"), made.backup()]
    made.fill()
    made.words.append(made.backup())
    shutil.copytree(made.host.root.parent, f"{made.host.root.parent}.kept")
    return made


@pytest.fixture
def standing(first: Real | None) -> Real:
    """A host with a good backup."""
    if first is None:
        pytest.skip("restic is not installed")
    where = first.host.root.parent
    shutil.rmtree(where)
    shutil.copytree(f"{where}.kept", where)
    return first


def test_a_backup_is_made_checked_and_put_to_the_test(standing: Real) -> None:
    init, empty, full = standing.words
    assert init.returncode == 0, init.stderr
    # A volume that has never held a file is no trouble.
    assert (empty.returncode, "nothing to back up yet" in empty.stderr) == (0, True)
    assert full.returncode == 0, full.stderr
    assert standing.host.status("backup-off")["result"] == "ok"
    assert standing.host.status("check-off")["part"] == "1"
    assert standing.host.path("/var/lib/homelab/backup/off.repository").read_text() == f"{standing.repository}\n"
    assert not standing.host.path("/var/lib/homelab/backup/off.scratch").exists()


def test_init_makes_a_repository_once_which_the_password_opens(real: Real) -> None:
    made = [(real.backup("init"), real.content()) for _ in range(2)]
    assert [done.returncode for done, _ in made] == [0, 0], made
    assert made[0][1] == made[1][1] and "the password opens it" in made[1][0].stderr
    assert real.host.path("/var/lib/homelab/backup/off.repository").read_text() == f"{real.repository}\n"


def test_a_run_never_makes_a_repository(real: Real) -> None:
    done = real.backup()
    assert done.returncode == 1
    assert "or its disk is not mounted" in real.host.status("backup-off")["message"]
    assert list(real.repository.iterdir()) == []
    real.repository.rmdir()
    assert real.backup("init").returncode == 1
    assert not real.repository.exists()


def test_a_wrong_password_makes_no_repository_and_changes_none(standing: Real) -> None:
    before = standing.content()
    standing.host.write("/etc/homelab/backup/off.password", "another\n")
    for verb in ("init", "run"):
        done = standing.backup(verb)
        assert done.returncode == 1
        assert "wrong password" in done.stderr
    assert standing.content() == before


def test_a_folder_that_holds_something_else_gets_no_repository(real: Real) -> None:
    (real.repository / "photos").mkdir()
    done = real.backup("init")
    assert done.returncode == 1
    assert "holds something that is no restic repository" in done.stderr
    assert [path.name for path in real.repository.iterdir()] == ["photos"]


def far_away(real: Real, version: str, words: str, code: int) -> bool:
    """Whether `init` makes a repository when a restic of this version says so of what is there."""
    settings = real.host.path("/etc/homelab/backup/off")
    settings.write_text(settings.read_text().replace(str(real.repository), "sftp:nobody@127.0.0.1:/restic"))
    real.host.fake(
        "restic",
        f"""case $1 in
  version) echo "restic {version} compiled" ;;
  cat) printf '%s\\n' '{words}' 'Is there a repository at the following location?' >&2; exit {code} ;;
  init) : >"$HOMELAB_ROOT/made" ;;
esac""",
    )
    done = real.backup("init")
    assert real.host.path("/made").exists() is (done.returncode == 0)
    return done.returncode == 0


_CONFIG = "Fatal: unable to open config file: "


@pytest.mark.parametrize(
    "words, made",
    [
        (_CONFIG + "Lstat: file does not exist", True),
        (_CONFIG + "client.StatObject: The specified key does not exist.", True),
        (_CONFIG + "<config/> does not exist", True),
        (_CONFIG + "unexpected HTTP response (403): 403 Forbidden", False),
        (_CONFIG + "client.Head: dial tcp 127.0.0.1:22: connect: connection refused", False),
        (_CONFIG + "Lstat: permission denied", False),
        ("Fatal: wrong password or no key found", False),
        ("Fatal: unable to open repository at sftp:x: unable to start the sftp session, error: EOF", False),
    ],
)
def test_no_answer_from_far_away_is_no_proof_that_nothing_is_there(real: Real, words: str, made: bool) -> None:
    assert far_away(real, "0.14.0", words, 1) is made


@pytest.mark.parametrize("code, made", [(10, True), (12, False), (11, False), (1, False)])
def test_newer_restic_says_it_by_its_exit_code(real: Real, code: int, made: bool) -> None:
    assert far_away(real, "0.18.0", f"{_CONFIG}file does not exist", code) is made


def test_a_pool_that_is_not_mounted_is_loud_and_nothing_is_forgotten(standing: Real) -> None:
    before = standing.content()
    standing.host.path("/srv/vault/.mounted").unlink()
    assert standing.backup().returncode == 1
    assert "is not mounted" in standing.host.status("backup-off")["message"]
    assert standing.content() == before


def test_a_volume_that_lost_its_files_is_loud_and_nothing_is_forgotten(standing: Real) -> None:
    before = standing.content()
    for path in standing.docs.iterdir():
        path.unlink()
    assert standing.backup().returncode == 1
    assert "is empty, but held files" in standing.host.status("backup-off")["message"]
    assert standing.content() == before


def test_a_flipped_byte_in_the_repository_is_found_and_stays_found(standing: Real) -> None:
    packs = (path for path in (standing.repository / "data").rglob("*") if path.is_file())
    pack = max(packs, key=lambda path: path.stat().st_size)
    content = bytearray(pack.read_bytes())
    content[5000] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)
    assert standing.backup("check").returncode == 1
    # restic 0.14, and 0.18, which says it of the blob.
    assert re.search("does not match|contains .* errors?: .blob", standing.host.status("check-off")["message"])
    content[5000] ^= 1
    pack.write_bytes(content)
    # The next night it is read again, though a week has not passed since it was good.
    done = standing.backup()
    assert done.returncode == 0, done.stderr
    assert standing.host.status("check-off")["result"] == "ok"


def test_files_come_back_as_they_are(standing: Real) -> None:
    assert standing.backup("restore-test").returncode == 0
    assert standing.host.status("restore-off")["compared"] == "5"


def test_a_source_that_rots_in_silence_fails_the_restore_test(standing: Real) -> None:
    rotten, edited, *gone = sorted(standing.docs.iterdir())
    for path in gone[1:]:
        path.unlink()
    times = rotten.stat()
    content = bytearray(rotten.read_bytes())
    content[100] ^= 1
    rotten.write_bytes(content)
    os.utime(rotten, ns=(times.st_atime_ns, times.st_mtime_ns))
    edited.write_bytes(b"new")
    assert standing.backup("restore-test").returncode == 1
    status = standing.host.status("restore-off")
    assert f"{rotten} came back otherwise" in status["message"]
    assert (status["compared"], status["changed"]) == ("1", "3")


def no_room(real: Real) -> None:
    """A quarter of 5 KiB is less than any file has."""
    real.host.fake("df", "echo 'Filesystem 1024-blocks Used Available'; echo 'x 40 20 20'")


def test_files_too_large_to_be_laid_down_are_read_and_compared_all_the_same(standing: Real) -> None:
    no_room(standing)
    done = standing.backup("restore-test")
    assert done.returncode == 0, done.stderr
    assert standing.host.status("restore-off")["compared"] == "1"


def test_large_files_that_all_changed_or_rotted_fail_the_restore_test(standing: Real) -> None:
    no_room(standing)
    rotten, *edited = sorted(standing.docs.iterdir())
    for path in edited:
        path.write_bytes(b"new")
    times = rotten.stat()
    content = rotten.read_bytes()
    rotten.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    os.utime(rotten, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert standing.backup("restore-test").returncode == 1
    assert f"{rotten} is stored otherwise than it is" in standing.host.status("restore-off")["message"]
    rotten.write_bytes(b"new")
    assert standing.backup("restore-test").returncode == 1
    assert "docs: all of its files have changed since" in standing.host.status("restore-off")["message"]


def test_where_all_small_files_have_changed_a_large_one_is_compared(standing: Real) -> None:
    log = standing.docs / "log"
    log.write_bytes(b"one line")
    assert standing.backup().returncode == 0
    no_room(standing)
    log.write_bytes(b"one line, and another")
    done = standing.backup("restore-test")
    assert done.returncode == 0, done.stderr
    status = standing.host.status("restore-off")
    assert (status["compared"], status["changed"]) == ("1", "1")


def test_an_empty_file_proves_nothing_where_there_are_others(standing: Real) -> None:
    files = sorted(standing.docs.iterdir())
    (standing.docs / "empty").touch()
    assert standing.backup().returncode == 0
    no_room(standing)
    for path in files:
        path.write_bytes(b"new")
    assert standing.backup("restore-test").returncode == 1
    assert "docs: all of its files have changed since" in standing.host.status("restore-off")["message"]
    for path in files:
        path.unlink()
    assert standing.backup().returncode == 0
    assert standing.backup("restore-test").returncode == 0
    assert standing.host.status("restore-off")["compared"] == "1"


def test_what_was_noted_while_the_clock_was_ahead_is_due_again(standing: Real) -> None:
    for job in ("check", "restore"):
        standing.host.job(f"{job}-off", good=9_999_999_999)
    assert standing.backup().returncode == 0
    assert all(int(standing.host.status(f"{job}-off")["good"]) < 9_999_999_999 for job in ("check", "restore"))


def test_a_volume_that_was_never_backed_up_proves_nothing(real: Real) -> None:
    shutil.copytree(QUICK, real.repository, dirs_exist_ok=True)
    assert real.backup("init").returncode == 0
    assert real.backup("restore-test").returncode == 0
    status = real.host.status("restore-off")
    assert (status["result"], status["good"]) == ("nothing", "0")


def test_parts_are_read_in_turns_and_a_bad_one_again(tmp_path: Path) -> None:
    real = Real(tmp_path, check_parts=3)
    real.host.fake("restic", 'case $1 in check) [ ! -e "$HOMELAB_ROOT/bad" ] ;; esac')
    (real.repository / "config").touch()
    parts = []
    for bad in (False, False, True, False, False):
        real.host.path("/bad").touch() if bad else real.host.path("/bad").unlink(missing_ok=True)
        assert (real.backup("check").returncode == 0) is not bad
        parts.append(real.host.status("check-off")["part"])
    assert parts == ["1", "2", "3", "3", "1"]


def scripted(tmp_path: Path, backup: str) -> NasHost:
    """A host with a repository, whose restic does this for a backup; `docs` holds a file."""
    repository = tmp_path / "restic"
    repository.mkdir()
    (repository / "config").touch()
    host = NasHost(tmp_path / "host", described(str(repository)))
    host.write("/srv/vault/docs/a", "a")
    host.fake("restic", f'echo "$1" >>"$HOMELAB_ROOT/ran"; case $1 in backup) {backup} ;; snapshots) echo null ;; esac')
    for job in ("check", "restore"):
        host.job(f"{job}-off")
    return host


_VANISHED = "error: lstat /srv/vault/docs/b: no such file or directory"
_WARNING = "Warning: at least one source file could not be read"


@pytest.mark.parametrize(
    ("words", "result"),
    [
        ((_VANISHED, _WARNING), "ok"),
        ((_VANISHED, "error: read /srv/vault/docs/c: input/output error", _WARNING), "failed"),
        # As of a restic with other words, or of one whose words found no room on the system's disk.
        ((_WARNING,), "failed"),
        ((), "failed"),
    ],
)
def test_only_what_vanished_meanwhile_may_be_missing(tmp_path: Path, words: tuple[str, ...], result: str) -> None:
    said = "".join(f'echo "{each}" >&2; ' for each in words)
    host = scripted(tmp_path, f"{said}exit 3")
    done = host.run("homelab-backup", "off")
    assert (done.returncode == 0, host.status("backup-off")["result"]) == (result == "ok", result), done.stderr
    assert ("forget" in host.path("/ran").read_text().split()) == (result == "ok")


def test_a_filesystem_mounted_inside_a_volume_is_told_to_be_missing(tmp_path: Path) -> None:
    host = scripted(tmp_path, ":")
    docs = host.path("/srv/vault/docs")
    mount = "29 1 8:17 / {} rw shared:1 - ext4 /dev/sdb1 rw\n"
    host.write("/proc/self/mountinfo", mount.format(docs) + mount.format(f"{docs}s/b"))
    assert host.run("homelab-backup", "off").returncode == 0
    host.write("/proc/self/mountinfo", mount.format(docs) + mount.format(f"{docs}/usb"))
    assert host.run("homelab-backup", "off").returncode == 1
    said = f"{docs} has other filesystems mounted inside, which are missing from the backup: {docs}/usb"
    assert host.status("backup-off")["message"].strip() == said
    # All else is saved, and nothing forgotten for it.
    assert host.path("/ran").read_text().split().count("backup") == 2
    assert host.path("/ran").read_text().split().count("forget") == 1


def test_a_volume_on_btrfs_is_frozen_while_it_is_read(tmp_path: Path) -> None:
    repository = tmp_path / "restic"
    repository.mkdir()
    (repository / "config").touch()
    host = NasHost(tmp_path / "host", described(str(repository), volumes=["media"]))
    media = host.path("/srv/tank/media")
    host.fake(
        "restic",
        f"""case $1 in
  backup) {{ touch {media}/new 2>&1; ls {media}; }} >"$HOMELAB_ROOT/seen"; echo "$@" >"$HOMELAB_ROOT/argv" ;;
  snapshots) echo null ;;
esac""",
    )
    for job in ("check", "restore"):
        host.job(f"{job}-off")
    with on_btrfs(host, tmp_path / "disk"):
        host.write("/proc/self/mountinfo", f"29 1 0:46 / {media.parent} rw - btrfs /dev/loop0 rw\n")
        done = host.run("homelab-backup", "off", mounts=True)
        assert (host.status("backup-off")["result"], host.path("/argv").read_text().split()[-1]) == ("ok", str(media))
        assert "Read-only file system" in host.path("/seen").read_text(), done.stderr
        assert host.path("/seen").read_text().splitlines()[-1] == "a"
        # Nothing of it is left, and the volume was never read-only to others.
        assert ran("btrfs", "subvolume", "list", host.path("/srv/tank")).count("ID") == 1
        (media / "new").touch()
        # What a run without end has left behind is cleared away by the next one.
        frozen = host.path("/srv/tank/.snapshots/.backup-off")
        for name in ("media", "gone"):
            ran("btrfs", "subvolume", "snapshot", "-r", media, frozen / name)
        ran("btrfs", "subvolume", "snapshot", media, frozen / "writable")
        assert host.run("homelab-backup", "off", mounts=True).returncode == 0
        assert [each.name for each in frozen.iterdir()] == ["writable"]
        # Or by the deploy, where the backup is asked for no more.
        ran("btrfs", "subvolume", "snapshot", "-r", media, frozen / "gone")
        assert host.system(backup.let_go("off")).returncode == 0
        assert [each.name for each in frozen.iterdir()] == ["writable"]
        ran("btrfs", "subvolume", "create", media / "inside")
        assert host.run("homelab-backup", "off", mounts=True).returncode == 1
        assert "has subvolumes inside" in host.status("backup-off")["message"]


# A mount is a line of mountinfo, the last one of a path is what one sees.
_MOUNT = r"""
echo "mount $*" >>"$HOMELAB_ROOT/mounts"
[ ! -e "$HOMELAB_ROOT/no-mount" ] || exit 32
echo "31 1 0:51 / $6 ro - zfs $5 ro" >>"$HOMELAB_ROOT/proc/self/mountinfo"
"""
_UMOUNT = r"""
echo "umount $*" >>"$HOMELAB_ROOT/mounts"
awk -v at="$1" '{line[NR] = $0} $5 == at {last = NR} END {for (i = 1; i <= NR; i++) if (i != last) print line[i]}' \
  "$HOMELAB_ROOT/proc/self/mountinfo" >"$HOMELAB_ROOT/left"
cp "$HOMELAB_ROOT/left" "$HOMELAB_ROOT/proc/self/mountinfo"
"""


@pytest.fixture
def of_zfs(tmp_path: Path) -> ZfsHost:
    """A host whose backup `off` has the volume `media`, with a file in it."""
    repository = tmp_path / "restic"
    repository.mkdir()
    (repository / "config").touch()
    off = {"volumes": ["media"], "to": str(repository), "password": "env:X"}
    host = ZfsHost(tmp_path / "host", backups={"off": off})
    host.write("/srv/tank/media/a", "a")
    host.fake("mount", _MOUNT)
    host.fake("umount", _UMOUNT)
    host.fake(
        "restic",
        """case $1 in
  backup) tail -n 1 "$HOMELAB_ROOT/proc/self/mountinfo" >"$HOMELAB_ROOT/seen" ;;
  snapshots) echo null ;;
esac""",
    )
    for job in ("check", "restore"):
        host.job(f"{job}-off")
    return host


def test_volumes_of_a_pool_of_zfs_are_frozen_at_one_moment(of_zfs: ZfsHost) -> None:
    settings = of_zfs.path("/etc/homelab/backup/off")
    settings.write_text(settings.read_text().replace("tank/media", "tank/media tank/photos"))
    of_zfs.write("/srv/tank/photos/b", "b")
    done = of_zfs.run("homelab-backup", "off")
    assert done.returncode == 0, done.stderr
    taken = [line for line in of_zfs.path("/zfs-asked").read_text().splitlines() if line.startswith("zfs snapshot")]
    assert taken == ["zfs snapshot -o homelab:backup=yes tank/media@homelab-backup-off tank/photos@homelab-backup-off"]
    assert of_zfs.path("/mounts").read_text().count("mount -t zfs -o ro tank/") == 2
    assert of_zfs.snapshots() == []
    # One that is somebody else's keeps only its own volume from it.
    of_zfs.snapshot("tank/photos@homelab-backup-off", mark="org.example:mine")
    assert of_zfs.run("homelab-backup", "off").returncode == 1
    assert of_zfs.status("backup-off")["message"].endswith("/srv/tank/photos could not be frozen in a snapshot")
    assert of_zfs.snapshots() == ["tank/photos@homelab-backup-off"]


def test_a_volume_of_zfs_is_frozen_while_it_is_read(of_zfs: ZfsHost) -> None:
    media = of_zfs.path("/srv/tank/media")
    # What a run without end has left behind is cleared away by the next one.
    of_zfs.snapshot("tank/media@homelab-backup-off", mark="homelab:backup")
    done = of_zfs.run("homelab-backup", "off")
    assert done.returncode == 0, done.stderr
    assert of_zfs.path("/mounts").read_text().splitlines() == [
        f"mount -t zfs -o ro tank/media@homelab-backup-off {media}",
        f"umount {media}",
    ]
    assert of_zfs.path("/seen").read_text() == f"31 1 0:51 / {media} ro - zfs tank/media@homelab-backup-off ro\n"
    assert of_zfs.status("backup-off")["result"] == "ok"
    # Nothing of it is left.
    assert of_zfs.snapshots() == []
    assert "homelab-backup" not in of_zfs.path("/proc/self/mountinfo").read_text()


def test_what_a_killed_backup_had_frozen_goes_with_it(of_zfs: ZfsHost) -> None:
    of_zfs.snapshot("tank/media@homelab-backup-off", mark="homelab:backup")
    of_zfs.snapshot("tank/gone@homelab-backup-off", mark="homelab:backup")
    others = ["tank/media@homelab-backup-offsite", "tank/photos@homelab-backup-off", "tank/far@homelab-backup-off"]
    of_zfs.snapshot(others[0], mark="homelab:backup")
    of_zfs.snapshot(others[1], mark="org.example:mine")
    of_zfs.snapshot(others[2], mark="homelab:backup", source="received")
    script = watch.remove(("homelab-backup@off.timer",))
    release = backup.let_go("off")
    assert script.index(release) < script.index("rm -f"), "as long as its settings tell of its lock"
    of_zfs.kernel("SUSPENDED")
    assert of_zfs.system(release).returncode == 0
    assert len(of_zfs.snapshots()) == 5, "a pool that has given up is not asked"
    of_zfs.kernel("ONLINE")
    # One that runs just now lets go by itself.
    assert of_zfs.run("homelab-backup", "off").returncode == 0
    assert of_zfs.snapshots() == others, "a run begins with that, of volumes too that it no longer has"
    (lock,) = of_zfs.path("/var/lib/homelab/backup").glob("*.lock")
    of_zfs.snapshot("tank/gone@homelab-backup-off", mark="homelab:backup")
    restored = of_zfs.write("/var/lib/homelab/backup/off.scratch/files/srv/tank/media/a", "a")
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert of_zfs.system(release).returncode == 0
        assert "tank/gone@homelab-backup-off" in of_zfs.snapshots() and restored.exists()
    assert of_zfs.system(release).returncode == 0
    assert of_zfs.snapshots() == others
    assert not of_zfs.path("/var/lib/homelab/backup/off.scratch").exists()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        ("unmounted", "the dataset tank/media is not mounted at"),
        ("inside", "has datasets inside, which would be missing from the backup"),
        ("anothers", "could not be frozen in a snapshot"),
        ("no mount", "could not be frozen in a snapshot"),
    ],
)
def test_a_volume_of_zfs_that_cannot_be_frozen_is_loud(of_zfs: ZfsHost, spoil: str, told: str) -> None:
    match spoil:
        case "unmounted":
            of_zfs.mounted("media")
        case "inside":
            of_zfs.write("/zfs-datasets", "tank/media\ntank/media/inside\n")
        case "anothers":
            of_zfs.snapshot("tank/media@homelab-backup-off", mark="org.example:mine")
        case "no mount":
            of_zfs.write("/no-mount", "")
    assert of_zfs.run("homelab-backup", "off").returncode == 1
    assert told in of_zfs.status("backup-off")["message"]
    assert not of_zfs.path("/seen").exists(), "nothing was read"
    assert of_zfs.snapshots() == (["tank/media@homelab-backup-off"] if spoil == "anothers" else [])


def test_a_snapshot_of_zfs_that_somebody_looks_at_is_not_held_to_the_end(of_zfs: ZfsHost) -> None:
    looked = of_zfs.path("/srv/tank/media/.zfs/snapshot/GMT-2026.11.23-22.30.00")
    line = f"32 29 0:52 / {looked} ro - zfs tank/media@GMT-2026.11.23-22.30.00 ro\n"
    mounts = of_zfs.path("/proc/self/mountinfo")
    mounts.write_text(mounts.read_text() + line)
    assert of_zfs.run("homelab-backup", "off").returncode == 0
    assert of_zfs.path("/mounts").read_text().splitlines()[0] == f"umount {looked}"
    assert str(looked) not in mounts.read_text()


def test_what_is_mounted_inside_a_volume_of_zfs_is_told_and_snapshots_of_its_own_are_none_of_it(
    of_zfs: ZfsHost,
) -> None:
    media, mounts = of_zfs.path("/srv/tank/media"), of_zfs.path("/proc/self/mountinfo")
    line = "32 29 0:52 / {} ro - zfs {} ro\n"
    looked = f"{media}/.zfs/snapshot/GMT-2026.11.23-22.30.00"
    of_zfs.fake("umount", f'[ "$1" != {looked} ] || exit 32\n{_UMOUNT}')
    mounts.write_text(mounts.read_text() + line.format(looked, "tank/media@GMT-2026.11.23-22.30.00"))
    assert of_zfs.run("homelab-backup", "off").returncode == 0
    mounts.write_text(mounts.read_text() + line.format(f"{media}/inside", "tank/other"))
    assert of_zfs.run("homelab-backup", "off").returncode == 1
    said = of_zfs.status("backup-off")["message"]
    assert said.strip().endswith(f"missing from the backup: {media}/inside")


def test_a_dataset_that_is_not_mounted_is_no_volume_that_was_never_filled(of_zfs: ZfsHost) -> None:
    of_zfs.path("/srv/tank/media/a").unlink()
    assert of_zfs.run("homelab-backup", "off").returncode == 0
    of_zfs.mounted("media")
    assert of_zfs.run("homelab-backup", "off").returncode == 1
