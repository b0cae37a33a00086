"""A pool of snapraid in a folder, with the real snapraid: what a sync takes in, what stops it, and what comes back."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from homelab.files import ManagedFile
from homelab.model.nas import Nas
from homelab.nas import snapraid, watch
from homelab.probe import HostProbe
from homelab.storage import branches, slots
from homelab.storage.records import Record
from homelab.storage.slots import Place
from tests.nas_host import NasHost

POOL = "11111111-2222-4333-8444-555555000000"
PLACES = [Place(POOL, "data", 1), Place(POOL, "data", 2), Place(POOL, "parity", 1)]
RECORD = Record(
    "media",
    "snapraid",
    "",
    POOL,
    "ext4",
    POOL,
    {"d1": "S1", "d2": "S2", "d3": "S3"},
    slots={place.slot: (place.uuid, f"d{number}") for number, place in enumerate(PLACES, 1)},
)


def validated(values: dict[str, Any]) -> Nas:
    """A NAS with a kind of pool that inventories are still refused."""
    return Nas.model_validate(values)


def described(**sync: int) -> Nas:
    return validated(
        {
            "disks": {f"d{n}": {"id": f"ata-A_{n}"} for n in (1, 2, 3)},
            "pools": {"media": {"kind": "snapraid", "disks": ["d1", "d2"], "parity": ["d3"], "sync": sync or None}},
            "volumes": {"films": {"pool": "media"}},
        }
    )


class Raid(NasHost):
    """The folder of such a NAS; for each disk and for the pool a file stands for its mount."""

    def __init__(self, root: Path, **sync: int):
        super().__init__(root, described(**sync))
        self.lay(branches.SCRIPT)
        self.lay(RECORD.file)
        for path in (f"/etc/homelab/snapraid/{name}" for name in ("media", "media.conf")):
            file = self.path(path)
            file.write_text(re.sub(" (/srv|/var)", rf" {root}\1", file.read_text()))
        for place in PLACES:
            disk = self.disk(place.slot)
            disk.mkdir(parents=True)
            (disk / ".homelab-mounted").touch()
            (disk / ".homelab-uuid").write_text(f"{place.uuid}\n")
            (disk / ".homelab-disk").write_text(f"{slots.sentinel('media', place.slot, place.uuid)}\n")
        (self.path("/srv/media") / ".homelab-pool").write_text(f"{RECORD.sentinel}\n")
        self.fake("mountpoint", '[ -e "$2/.homelab-mounted" ] || [ -e "$2/.mounted" ]')
        self.fake("findmnt", 'echo "$4"')
        self.fake("blkid", 'cat "$6/.homelab-uuid"')
        # A folder has no device of its own, so the real one is told not to ask for two; nor to test itself each time.
        self.fake("snapraid", f'exec {shutil.which("snapraid")} --test-skip-device --test-skip-self "$@"')

    def disk(self, slot: str) -> Path:
        return self.path(f"/srv/.disks/media/{slot}")

    def fill(self, count: int = 20) -> dict[str, str]:
        """So many files on each disk, and their hashes."""
        for slot in ("data1", "data2"):
            for number in range(count):
                (self.disk(slot) / f"{slot}-{number}").write_bytes(f"{slot} {number}\n".encode() * 500)
        return self.hashes()

    def hashes(self) -> dict[str, str]:
        return {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest()
            for slot in ("data1", "data2")
            for path in self.disk(slot).rglob("data*")
        }

    def kept(self) -> dict[str, str]:
        """The parity and the lists of what it is of, by their hashes: what a run that stops must leave as they are."""
        paths = [self.disk("parity1") / "snapraid.parity", *self.path("/srv/.disks").rglob(".homelab-snapraid.content")]
        paths.append(self.path("/var/lib/homelab/snapraid/media/snapraid.content"))
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.exists()}

    def sync(self, *more: str) -> subprocess.CompletedProcess[str]:
        return self.run("homelab-snapraid", "media", "sync", *more)

    def synced(self) -> dict[str, str]:
        done = self.sync()
        assert done.returncode == 0, done.stderr
        return self.status("sync-media")


def raid(tmp_path: Path, **sync: int) -> Raid:
    if not shutil.which("snapraid"):
        pytest.skip("snapraid is not installed")
    return Raid(tmp_path / "nas", **sync)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Raid:
    made = raid(tmp_path_factory.mktemp("snapraid"))
    made.fill()
    made.synced()
    shutil.copytree(made.root, f"{made.root}.kept", symlinks=True)
    return made


@pytest.fixture
def standing(first: Raid) -> Raid:
    """A pool after a sync. To snapraid its files are others that were put there, so what it tells of them differs."""
    shutil.rmtree(first.root)
    shutil.copytree(f"{first.root}.kept", first.root, symlinks=True)
    return first


def stopped(host: Raid, *more: str) -> str:
    """What a sync says that stops; that it touched nothing is part of it."""
    before = host.kept()
    done = host.sync(*more)
    assert done.returncode == 1
    assert host.kept() == before
    status = host.status("sync-media")
    assert status["result"] == "failed"
    return status["message"]


def word(message: str) -> str:
    found = re.search(r"--after-look ([0-9a-f]{8})'", message)
    assert found, message
    return found[1]


def test_a_sync_that_is_not_on_its_disks_does_not_count_as_done(standing: Raid) -> None:
    (standing.disk("data1") / "data1-new").write_text("new\n")
    parity = standing.disk("parity1") / "snapraid.parity"
    try:
        standing.fake("sync", f'[ "$*" != "-f {parity}" ]')
        done = standing.sync()
    finally:
        (standing.fakes / "sync").unlink()
    assert done.returncode == 1
    status = standing.status("sync-media")
    assert status["result"] == "failed" and status["message"].startswith(f"{parity} may not be on the disk")
    assert "data1-new" in standing.run("homelab-snapraid", "media", "list").stdout
    assert standing.synced()["result"] == "ok"


def test_the_first_sync_says_that_it_is_the_first(tmp_path: Path) -> None:
    host = raid(tmp_path)
    host.fill()
    assert "the first sync" in host.synced()["message"]
    assert len(host.kept()) == 4, "a parity, and a list on each disk of data and on the system's"
    again = host.synced()
    assert "first" not in again["message"] and again["added"] == "0"
    assert host.status("snapraid-media") | {"time": "", "good": ""} == {
        "time": "",
        "good": "",
        "result": "ok",
        "message": "no damage is known",
        "bad": "0",
        "unsynced": "0",
    }


def test_a_disk_that_is_lost_comes_back_with_every_hash(tmp_path: Path) -> None:
    host = raid(tmp_path)
    before = host.fill()
    host.synced()
    for path in host.disk("data1").glob("data*"):
        path.unlink()
    assert "are deleted" in stopped(host)
    done = host.run("homelab-snapraid", "media", "-d", "data1", "fix")
    assert done.returncode == 0, done.stdout + done.stderr
    assert host.hashes() == before
    assert host.run("homelab-snapraid", "media", "check").returncode == 0
    host.synced()


def test_what_a_fix_that_was_cut_has_not_restored_is_not_taken_for_deleted(tmp_path: Path) -> None:
    host = raid(tmp_path)
    host.fill()
    host.synced()
    (host.disk("data1") / "data1-0").unlink()
    real = host.path("/var/lib/homelab/snapraid/media")
    host.fake("snapraid", "exit 130")
    assert host.run("homelab-snapraid", "media", "-d", "data1", "fix").returncode == 130
    said = stopped(host)
    assert "a fix was begun and is not through" in said and f"rm {real}/fixing" in said


class Rebuilt(Raid):
    """Such a NAS whose first disk of data has died after a sync, with a new one in its place; the pool is down."""

    def __init__(self, root: Path, **sync: int):
        super().__init__(root, **sync)
        self.fake("lsblk", 'cat "$3/.homelab-serial" 2>/dev/null')
        self.fake("chown", 'echo "$@" >>"$HOMELAB_ROOT/chowned"')
        for slot in ("data1", "data2"):
            (self.disk(slot) / "films" / "old").mkdir(parents=True)
            (self.disk(slot) / "films" / "old" / f"data-{slot}").write_text(f"{slot}\n" * 900)
        self.before = self.fill()

    def dies(self) -> None:
        disk = self.disk("data1")
        shutil.rmtree(disk)
        disk.mkdir()
        (disk / ".homelab-mounted").touch()
        (disk / ".homelab-uuid").write_text(f"{PLACES[0].uuid}\n")
        (disk / ".homelab-serial").write_text("NEW 1\n")
        (disk / slots.REBUILDING).touch()
        self.lay(dataclasses.replace(RECORD, rebuilding="data1 NEW 1").file)
        (self.path("/srv/media") / ".mounted").unlink()

    def noted(self) -> None:
        """The new disk is the right one from now on, as replace_disk has it in the end."""
        self.lay(dataclasses.replace(RECORD, serials={**RECORD.serials, "d1": "NEW 1"}).file)
        (self.disk("data1") / slots.SENTINEL).write_text(f"{slots.sentinel('media', 'data1', PLACES[0].uuid)}\n")

    def note(self, name: str) -> Path:
        return self.path("/var/lib/homelab/snapraid/media") / name

    def rebuild(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run(
            "homelab-snapraid", "media", "rebuild", "data1", "NEW 1", *words, "films", "anna:", "2770", "0660"
        )

    def refused(self, *words: str) -> str:
        done = self.rebuild(*words)
        assert done.returncode == 1 and not self.note("rebuilt").exists()
        assert (self.disk("data1") / slots.REBUILDING).exists()
        why = self.note("rebuild.why").read_text().strip()
        assert done.stderr.strip() == f"media: {why}"
        return why


def dead(tmp_path: Path, **sync: int) -> Rebuilt:
    if not shutil.which("snapraid"):
        pytest.skip("snapraid is not installed")
    host = Rebuilt(tmp_path / "nas", **sync)
    host.synced()
    host.dies()
    return host


def test_a_dead_disk_is_rebuilt_and_given_to_the_owners_of_its_volumes(tmp_path: Path) -> None:
    host = dead(tmp_path)
    (host.disk("data2") / "films" / "old").chmod(0o750)
    done = host.rebuild()
    assert done.returncode == 0, done.stderr
    assert host.hashes() == host.before
    assert host.note("rebuilt").read_text() == "data1 NEW 1\n"
    assert not (host.disk("data1") / slots.REBUILDING).exists() and not host.note("fixing").exists()
    films = host.disk("data1") / "films"
    modes = {
        path.name: f"{path.stat().st_mode & 0o7777:04o}" for path in (films, films / "old", films / "old/data-data1")
    }
    assert modes == {"films": "2770", "old": "0750", "data-data1": "0660"}, "a folder is as on the other disk"
    chowned = host.path("/chowned").read_text()
    assert f"-h anna: {films} " in chowned and f"--reference={host.disk('data2')}/films/old ./old" in chowned
    assert "the disk with the serial NEW 1 takes its place; replace_disk goes on with that" in stopped(host)
    host.noted()
    host.synced()
    assert host.run("homelab-snapraid", "media", "check").returncode == 0


def test_nothing_is_restored_on_the_other_disks(tmp_path: Path) -> None:
    """What was changed there since the last sync is newer than what the parity has of it."""
    host = Rebuilt(tmp_path / "nas")
    host.synced()
    # Behind all that is on the dead disk, so that none of that is lost with it.
    late = host.disk("data2") / "data2-late"
    late.write_text("as it was at the last sync\n" * 900)
    host.synced()
    host.before = host.hashes()
    late.write_text("newer\n")
    host.dies()
    done = host.rebuild()
    assert done.returncode == 0, done.stderr
    assert late.read_text() == "newer\n"
    assert {path for path, hashed in host.hashes().items() if host.before[path] != hashed} == {str(late)}


def test_nothing_is_restored_while_something_else_has_the_pool(tmp_path: Path) -> None:
    host = dead(tmp_path)
    # The lock itself is the real one, and waited for no longer than this.
    host.fake("flock", f'[ "$1 $2" = "-w 43200" ] && exec {shutil.which("flock")} -n "$3"')
    with host.note("lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert host.refused() == "something else has held the pool for twelve hours"
    assert not list(host.disk("data1").glob("data1-*")) and not host.note("fixing").exists()
    real = shutil.which("snapraid")
    held = f'{shutil.which("flock")} -n "{host.note("lock")}" true || echo "$*" >>"$HOMELAB_ROOT/held"'
    host.fake("snapraid", f'{held}\nexec {real} --test-skip-device --test-skip-self "$@"')
    assert host.rebuild().returncode == 0
    assert [line.split()[-1] for line in host.path("/held").read_text().splitlines()] == ["list", "fix", "check"]


def test_what_a_disk_does_not_give_back_as_it_was_written_is_no_loss_to_consent_to(tmp_path: Path) -> None:
    host = dead(tmp_path)
    victim, real = host.disk("data1") / "data1-4", shutil.which("snapraid")
    rots = f"touch -r {victim} {victim}.time; printf X | dd of={victim} conv=notrunc status=none; "
    rots += f"touch -r {victim}.time {victim}; rm {victim}.time"
    host.fake(
        "snapraid", f'case " $* " in *" check "*) {rots} ;; esac\nexec {real} --test-skip-device --test-skip-self "$@"'
    )
    why = host.refused()
    assert why.startswith("1 of its files cannot be read as they were written (data1-4 ); look at journalctl -k")


@pytest.mark.parametrize(("failing", "marked"), [(1, True), (2, False)])
def test_a_disk_is_not_restored_before_all_of_it_is_on_the_disk(tmp_path: Path, failing: int, marked: bool) -> None:
    host = dead(tmp_path)
    host.fake("sync", f'echo "$*" >>"$HOMELAB_ROOT/synced"; [ "$(wc -l <"$HOMELAB_ROOT/synced")" != {failing} ]')
    done = host.rebuild()
    assert done.returncode == 1 and not host.note("rebuilt").exists()
    assert host.note("rebuild.why").read_text() == f"not all of {host.disk('data1')} could be written\n"
    assert host.path("/synced").read_text().splitlines() == [f"-f {host.disk('data1')}"] * failing
    assert (host.disk("data1") / slots.REBUILDING).exists() is marked


def owned(tmp_path: Path, there: tuple[str, ...], links: tuple[str, ...], *folders: str) -> tuple[Rebuilt, list[str]]:
    """A dead disk restored with these folders, some of which are on the other disk too or are links there.

    And the modes that they have then, each with that of the file in it.
    """
    if not shutil.which("snapraid"):
        pytest.skip("snapraid is not installed")
    host = Rebuilt(tmp_path / "nas")
    first, second = host.disk("data1"), host.disk("data2")
    for folder in (*(first / each for each in folders), *(second / each for each in there)):
        folder.mkdir(parents=True)
        (folder / "data").write_text(f"{folder}\n")
    for each in there:
        (second / each).chmod(0o2751)
    outside = host.path("/outside")
    (outside / "deep").mkdir(parents=True)
    for folder in (outside, outside / "deep"):
        folder.chmod(0o701)
    for each in links:
        (second / each).symlink_to(outside)
    host.synced()
    host.dies()
    real = shutil.which("snapraid")
    # So that it does not matter how it makes them.
    host.fake("snapraid", f'umask 077; {real} --test-skip-device --test-skip-self "$@"')
    done = host.rebuild()
    assert done.returncode == 0, done.stderr
    paths = [(first / folder, first / folder / "data") for folder in folders]
    return host, [" ".join(f"{path.stat().st_mode & 0o7777:04o}" for path in pair) for pair in paths]


def test_a_folder_that_is_no_volume_is_as_on_another_disk(tmp_path: Path) -> None:
    host, modes = owned(tmp_path, ("misc", "misc/deep"), (), "misc", "misc/deep", "alone")
    assert modes == ["2751 0640", "2751 0640", "0700 0600"]
    chowned, second = host.path("/chowned").read_text(), host.disk("data2")
    owner = f"{second.stat().st_uid}:{second.stat().st_gid}"
    assert f"-h {owner} {host.disk('data1')}/misc " in chowned and "alone" not in chowned
    assert f"--reference={second}/misc/deep ./deep\n" in chowned


def test_a_link_on_another_disk_is_not_what_a_folder_is_like(tmp_path: Path) -> None:
    host, modes = owned(tmp_path, (), ("films/both",), "films/both")
    assert modes == ["2770 0660"] and "both ./both" not in host.path("/chowned").read_text()


@pytest.mark.parametrize(("link", "folder", "is_"), [("both", "both", "0700"), ("films/a", "films/a/deep", "2770")])
def test_nor_is_what_such_a_link_leads_to(tmp_path: Path, link: str, folder: str, is_: str) -> None:
    _, (modes,) = owned(tmp_path, (), (link,), folder)
    assert modes.split()[0] == is_


def test_a_rebuild_that_was_cut_goes_on_and_nothing_is_synced_before(tmp_path: Path) -> None:
    host = dead(tmp_path)
    real = host.fakes / "snapraid"
    kept = real.read_text()
    host.fake("snapraid", "exit 130")
    assert "did not come to its end" in host.refused()
    real.write_text(kept)
    assert "what was on it is not all restored yet; replace_disk goes on with that" in stopped(host)
    done = host.rebuild()
    assert done.returncode == 0, done.stderr
    assert host.hashes() == host.before and not host.note("rebuild.why").exists()


def test_files_that_cannot_be_restored_are_named_and_lost_only_by_their_own_word(tmp_path: Path) -> None:
    host = dead(tmp_path, deleted=5)
    (host.disk("data2") / "data2-3").unlink()
    why = host.refused()
    assert "1 of its files cannot be restored" in why and ".unrecoverable" in why
    word = lost(why)
    assert host.refused("--without", "00000000") == why
    done = host.rebuild("--without", word)
    assert done.returncode == 0, done.stderr
    (left,) = host.disk("data1").rglob("*.unrecoverable")
    now, deleted = host.hashes(), str(host.disk("data2") / "data2-3")
    differ = {path for path, hashed in host.before.items() if now.get(path) != hashed}
    assert differ == {str(left).removesuffix(".unrecoverable"), deleted}
    assert host.note("rebuild.lost").read_text() == f"{left.name.removesuffix('.unrecoverable')}\n"
    host.noted()
    host.synced()


def lost(why: str) -> str:
    """The word that a refusal names for what would be lost."""
    found = re.search(r"; to go on without, add --data without=([0-9a-f]{8})$", why)
    assert found, why
    return found[1]


@pytest.mark.parametrize("kind", ["file", "empty", "link", "hard link", "folder"])
def test_whatever_is_not_there_after_the_fix_is_lost_by_its_word_alone(tmp_path: Path, kind: str) -> None:
    """What a fix that stopped did not reach it does not name; all that is not there is asked for."""
    if not shutil.which("snapraid"):
        pytest.skip("snapraid is not installed")
    host = Rebuilt(tmp_path / "nas", deleted=5)
    disk = host.disk("data1")
    (disk / "empty").touch()
    (disk / "link").symlink_to("data1-0")
    (disk / "hard link").hardlink_to(disk / "data1-1")
    (disk / "folder").mkdir()
    host.synced()
    # Behind all others, so that what is lost with the one is the other, and not one of those.
    for slot in ("data1", "data2"):
        (host.disk(slot) / f"{slot}-late").write_text(f"{slot}\n")
    host.synced()
    (host.disk("data2") / "data2-late").unlink()
    host.dies()
    first = lost(host.refused())
    assert host.note("rebuild.lost").read_text() == "data1-late\n"
    victim = host.disk("data1") / ("data1-9" if kind == "file" else kind)
    away = f"rm -f '{victim}'; rmdir '{victim}' 2>/dev/null; :"
    real = shutil.which("snapraid")
    # As if the fix had not come to it.
    host.fake(
        "snapraid", f'case " $* " in *" check "*) {away} ;; esac\nexec {real} --test-skip-device --test-skip-self "$@"'
    )
    both = host.refused("--without", first)
    # Of two names for one file each may be the file.
    assert re.match(r"[23] of its files cannot be restored", both) and lost(both) != first
    assert victim.name in host.note("rebuild.lost").read_text()


def test_a_fix_that_stops_early_is_no_loss_that_anybody_may_consent_to(tmp_path: Path) -> None:
    host = dead(tmp_path)
    (host.disk("data2") / "data2-3").unlink()
    first = lost(host.refused())
    real = shutil.which("snapraid")
    says = "echo 'Error writing file. No space left on device.' >&2; echo 'Stopping at block 8' >&2"
    host.fake(
        "snapraid", f'case " $* " in *" fix "*) {says} ;; esac\nexec {real} --test-skip-device --test-skip-self "$@"'
    )
    why = host.refused("--without", first)
    assert "fix did not come to its end: Error writing file. No space left on device.; take a larger disk" in why


def test_a_new_disk_that_is_too_small_is_told_before_anything_is_restored(tmp_path: Path) -> None:
    host = dead(tmp_path)
    host.fake("df", "echo Size; echo 100000")
    assert "and the new disk has room for 0; take a larger one" in host.refused()
    assert not list(host.disk("data1").glob("data1-*"))


@pytest.mark.parametrize("how", ["not begun", "another", "no mark"])
def test_a_disk_that_works_is_not_made_what_it_was_at_the_last_sync(tmp_path: Path, how: str) -> None:
    host = dead(tmp_path)
    if how == "no mark":
        (host.disk("data1") / slots.REBUILDING).unlink()
    else:
        begun = "data1 NEW 2" if how == "another" else ""
        host.lay(dataclasses.replace(RECORD, rebuilding=begun).file)
    (host.disk("data1") / "data1-0").write_text("newer than the last sync\n")
    done = host.rebuild()
    assert done.returncode == 1
    assert "the disk with the serial NEW 1 is not being restored to data1; run replace_disk" in done.stderr
    assert (host.disk("data1") / "data1-0").read_text() == "newer than the last sync\n"


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("other", "data2 (d2, serial S2) is not mounted"),
        ("parity", "parity1 (d3, serial S3): "),
        ("up", "/srv/media is mounted; run replace_disk, which stops it"),
        ("serial", "has the serial OLD 1, and not NEW 1"),
        ("list", "the list of what the parity protects is another in"),
        ("lists", "nothing of what was on the disk can be restored; to go on without, add --data without="),
    ],
)
def test_nothing_is_restored_unless_all_is_as_it_was_at_the_last_sync(tmp_path: Path, how: str, says: str) -> None:
    host = dead(tmp_path)
    lists = [host.disk("data2") / slots.CONTENT, host.note("snapraid.content")]
    if how == "other":
        (host.disk("data2") / ".homelab-mounted").unlink()
    elif how == "parity":
        (host.disk("parity1") / ".homelab-uuid").write_text("another\n")
    elif how == "up":
        (host.path("/srv/media") / ".mounted").touch()
    elif how == "serial":
        (host.disk("data1") / ".homelab-serial").write_text("OLD 1\n")
    elif how == "list":
        lists[0].write_bytes(lists[0].read_bytes()[:-1])
    else:
        for each in lists:
            each.unlink()
    assert says in host.refused()
    assert not list(host.disk("data1").glob("data1-*")) and not host.note("fixing").exists()


def test_of_a_pool_that_was_never_synced_nothing_is_restored(tmp_path: Path) -> None:
    if not shutil.which("snapraid"):
        pytest.skip("snapraid is not installed")
    host = Rebuilt(tmp_path / "nas")
    host.dies()
    why = host.refused()
    assert why.startswith("nothing of it was ever synced: nothing of what was on the disk can be restored; ")
    done = host.rebuild("--without", lost(why))
    assert done.returncode == 0, done.stderr
    assert host.note("rebuilt").exists() and (host.disk("data1") / "films").is_dir()


def test_the_parity_is_written_anew_on_a_new_disk_whoever_syncs(tmp_path: Path) -> None:
    host = dead(tmp_path)
    assert host.rebuild().returncode == 0
    host.noted()
    parity = host.disk("parity1") / "snapraid.parity"
    before = parity.read_bytes()
    parity.unlink()
    (host.disk("data2") / "data2-new").write_text("new\n" * 900)
    assert host.sync().returncode == 1
    assert "snapraid sync exited with 1" in host.status("sync-media")["message"]
    host.note("parity").touch()
    assert host.run("homelab-snapraid", "media", "scrub").returncode == 1
    assert "a sync has to write the parity on its new disk first" in host.status("scrub-media")["message"]
    assert host.synced()["added"] == "1"
    assert not host.note("parity").exists() and len(parity.read_bytes()) >= len(before)
    assert host.run("homelab-snapraid", "media", "check").returncode == 0
    assert not host.note("rebuilt").exists(), "by now it may be newer than what was restored"


def test_where_the_systems_notes_are_lost_the_disk_of_parity_says_that_it_is_not_whole(tmp_path: Path) -> None:
    host = raid(tmp_path)
    host.fill()
    host.synced()
    (host.disk("parity1") / "snapraid.parity").write_bytes(b"")
    mark = host.disk("parity1") / slots.NO_PARITY
    mark.touch()
    assert host.run("homelab-snapraid", "media", "scrub").returncode == 1
    host.synced()
    assert not mark.exists()
    assert host.run("homelab-snapraid", "media", "check").returncode == 0


def test_with_a_parity_that_is_not_whole_it_is_said_what_may_restore_more(tmp_path: Path) -> None:
    host = dead(tmp_path)
    (host.disk("data2") / "data2-3").unlink()
    (host.disk("parity1") / slots.NO_PARITY).touch()
    assert (
        "the parity was being written anew on another disk, and its former one may have been enough" in host.refused()
    )


def test_more_deleted_files_than_are_let_through_stop_it_until_somebody_has_looked(tmp_path: Path) -> None:
    host = raid(tmp_path, deleted=2, deleted_percent=50)
    host.fill()
    host.synced()
    for number in range(2):
        (host.disk("data1") / f"data1-{number}").unlink()
    assert host.synced()["removed"] == "2", "as many as are let through"
    for number in range(2, 5):
        (host.disk("data1") / f"data1-{number}").unlink()
    said = stopped(host)
    assert "3 of 38 files are deleted (2 are let through)" in said
    assert "homelab-snapraid media sync --after-look" in said
    wrong = stopped(host, "--after-look", "00000000")
    assert "the word 00000000 was for other files" in wrong
    looked = word(said)
    (host.disk("data1") / "data1-6").unlink()
    later = stopped(host, "--after-look", looked)
    assert "4 of 38 files are deleted" in later, "what was not there to be looked at is not let through"
    # New files are nothing to lose, so the word stays.
    (host.disk("data2") / "data2-new").write_text("new\n")
    done = host.sync("--after-look", word(later))
    assert done.returncode == 0, done.stderr
    assert (host.status("sync-media")["removed"], host.status("sync-media")["added"]) == ("4", "1")


@pytest.mark.parametrize(
    ("sync", "most"),
    [
        ({"deleted": 0}, 0),
        ({"deleted_percent": 0}, 0),
        ({"deleted_percent": 5}, 2),
        ({"deleted_percent": 6}, 3),
        ({"deleted": 1, "deleted_percent": 100}, 1),
    ],
)
def test_the_smaller_limit_counts_and_none_is_no_limit(tmp_path: Path, sync: dict[str, int], most: int) -> None:
    host = raid(tmp_path, **sync)
    host.fill()
    host.synced()
    for number in range(most + 1):
        (host.disk("data1") / f"data1-{number}").unlink()
    assert f"{most + 1} of 40 files are deleted ({most} are let through)" in stopped(host)
    (host.disk("data1") / f"data1-{most}").write_bytes(f"data1 {most}\n".encode() * 500)
    if most:
        host.sync()
        assert host.status("sync-media")["result"] == "ok"


def test_many_changed_files_stop_it_too(tmp_path: Path) -> None:
    host = raid(tmp_path, updated=3)
    host.fill()
    host.synced()
    for number in range(4):
        (host.disk("data2") / f"data2-{number}").write_text("encrypted by somebody else\n")
    assert "4 of 40 files are updated (3 are let through)" in stopped(host)


def test_deletions_and_changes_are_told_of_together(tmp_path: Path) -> None:
    host = raid(tmp_path, deleted=0, updated=0)
    host.fill()
    host.synced()
    (host.disk("data1") / "data1-1").unlink()
    (host.disk("data2") / "data2-1").write_text("other\n")
    assert "1 of 40 files are deleted (0 are let through) and 1 of 40 files are updated" in stopped(host)


@pytest.mark.parametrize(
    "says",
    [
        "exit 0",
        "exit 1",
        'echo "summary:exit:equal" >"$log"',
        'printf "summary:%s:0\\n" equal added removed updated moved copied restored >"$log"',
        'printf "summary:%s:x\\n" equal added removed updated moved copied restored exit:equal >"$log"',
        'printf "summary:%s\\n" equal:9 added:0 removed:1 updated:0 moved:0 copied:0 restored:0 exit:diff >"$log"',
    ],
)
def test_a_comparison_that_cannot_be_read_stops_it(standing: Raid, says: str) -> None:
    looks = f'log=$(echo "$*" | sed "s/.*-l //; s/ .*//"); {says}'
    standing.fake("snapraid", f'case "$*" in *diff) {looks} ;; *) echo touched >>"$HOMELAB_ROOT/called" ;; esac')
    assert "nothing was done" in stopped(standing) or "did not say" in stopped(standing)
    assert not standing.path("/called").exists()


@pytest.mark.parametrize("slot", ["data1", "data2", "parity1"])
@pytest.mark.parametrize("how", ["not mounted", "another filesystem", "another place", "no mark", "the former one"])
def test_nothing_is_touched_unless_each_disk_is_the_right_one(standing: Raid, slot: str, how: str) -> None:
    disk = standing.disk(slot)
    if how == "not mounted":
        (disk / ".homelab-mounted").unlink()
    elif how == "another filesystem":
        (disk / ".homelab-uuid").write_text("another\n")
    elif how == "another place":
        (disk / ".homelab-disk").write_text("media data9 x\n")
    elif how == "the former one":
        # It was replaced, and is plugged in again: all is as it was on it, but its serial.
        standing.fake("lsblk", f'case "$*" in *{slot}) echo "  OLD" ;; esac')
    else:
        (disk / ".homelab-disk").unlink()
    said = stopped(standing)
    assert "nothing was done" in said and slot in said and "serial S" in said
    before = standing.kept()
    assert standing.run("homelab-snapraid", "media", "scrub").returncode == 1
    assert standing.run("homelab-snapraid", "media", "fix").returncode == 1
    assert standing.kept() == before


def test_a_record_that_is_lost_stops_it(standing: Raid) -> None:
    standing.path(RECORD.file.path).unlink()
    assert "names no disk of data" in stopped(standing)


def test_lists_that_are_all_lost_stop_it_as_the_parity_would_be_written_over(standing: Raid) -> None:
    for path in standing.kept():
        if path.endswith("content"):
            Path(path).unlink()
    assert "all lists of what the parity protects are gone" in stopped(standing)


def test_one_list_that_is_left_is_enough(tmp_path: Path) -> None:
    host = raid(tmp_path)
    host.fill()
    host.synced()
    for path in host.kept():
        if path.endswith("content") and "data2" not in path:
            Path(path).unlink()
    assert host.synced()["added"] == "0"
    assert len(host.kept()) == 4


def test_a_list_of_another_time_stops_it(tmp_path: Path) -> None:
    """A system that was restored brings back an old one, by which snapraid would go, and write it over newer ones."""
    host = raid(tmp_path)
    host.fill()
    host.synced()
    mine = host.path("/var/lib/homelab/snapraid/media/snapraid.content")
    theirs = host.disk("data1") / ".homelab-snapraid.content"
    old = mine.read_bytes()
    (host.disk("data1") / "new").write_bytes(b"new")
    host.synced()
    now = mine.read_bytes()
    mine.write_bytes(old)
    os.utime(mine, (1, 1))
    message = stopped(host)
    assert "the list of what the parity protects is another" in message and message.endswith(str(theirs)), message
    before = host.kept()
    for command in (["scrub"], ["-d", "data1", "fix"]):
        assert host.run("homelab-snapraid", "media", *command).returncode == 1
    assert host.kept() == before
    assert host.run("homelab-snapraid", "media", "diff").returncode in (0, 2)
    mine.write_bytes(now)
    host.synced()


def test_lists_that_a_sync_is_laying_are_not_compared(tmp_path: Path) -> None:
    """Some of them are new by then, and to copy one over the others is the last that should be advised."""
    host = raid(tmp_path)
    host.fill()
    host.synced()
    (host.disk("data1") / ".homelab-snapraid.content").write_bytes(b"new")
    with host.path("/var/lib/homelab/snapraid/media/lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = host.run("homelab-snapraid", "media", "-d", "data1", "fix")
    assert (done.returncode, done.stderr) == (1, "media: a sync or scrub is running\n")
    assert "the list of what the parity protects is another" in host.run("homelab-snapraid", "media", "fix").stderr


def test_a_word_of_no_use_is_refused(tmp_path: Path) -> None:
    host = raid(tmp_path)
    for words in (["media"], ["../media", "sync"], ["media", "sync", "--after-look"], ["media", "sync", "--force"]):
        assert host.run("homelab-snapraid", *words).returncode == 1
    done = host.run("homelab-snapraid", "media", "--force-empty", "sync")
    assert done.returncode == 1 and "a sync looks first" in done.stderr


def test_rotten_data_are_found_told_and_mended(tmp_path: Path) -> None:
    host = raid(tmp_path)
    before = host.fill()
    host.synced()
    # What was synced a moment ago is not read again so soon, so that for this test all of it is old.
    script = host.path("/usr/local/lib/homelab/homelab-snapraid")
    script.write_text(script.read_text().replace("-p 25 -o 10", "-p 100 -o 0"))
    assert host.run("homelab-scrub", "media").returncode == 0
    assert host.status("scrub-media")["message"] == "no damage found"
    rotten = host.disk("data1") / "data1-3"
    stat = rotten.stat()
    rotten.write_bytes(b"X" + rotten.read_bytes()[1:])
    os.utime(rotten, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert host.run("homelab-scrub", "media").returncode == 1
    assert "are not what was written" in host.status("scrub-media")["message"]
    assert "1 blocks are damaged" in host.status("snapraid-media")["message"]
    assert host.sync().returncode == 0, "what was added since is protected all the same"
    assert host.status("snapraid-media")["result"] == "failed"
    assert host.run("homelab-snapraid", "media", "-e", "fix").returncode == 0
    assert host.hashes() == before
    assert host.run("homelab-snapraid", "media", "-p", "bad", "scrub").returncode == 0
    host.synced()
    assert host.status("snapraid-media")["result"] == "ok"


def test_what_is_thrown_away_is_not_protected(tmp_path: Path) -> None:
    host = raid(tmp_path)
    host.fill(2)
    for path in ("films/.recycle/anna/old", "lost+found/x", "films/.Trash-1000/y"):
        target = host.disk("data1") / path
        target.parent.mkdir(parents=True)
        target.write_text("gone\n")
    host.synced()
    said = host.run("homelab-snapraid", "media", "list").stdout
    listed = [line.split()[-1] for line in said.splitlines() if "data" in line or "old" in line or line.endswith("x")]
    assert "data1-1" in listed
    assert not any(each in listed for each in ("recycle", "lost+found", "Trash", "homelab"))


def test_an_empty_pool_is_scrubbed_without_complaint(tmp_path: Path) -> None:
    host = raid(tmp_path)
    host.synced()
    assert host.run("homelab-scrub", "media").returncode == 0, host.status("scrub-media")


#
# The watch
#


class Alerted(Raid):
    """Such a NAS whose alerts are lines in a file."""

    def __init__(self, root: Path):
        super().__init__(root)
        alert = self.path("/usr/local/lib/homelab/homelab-alert")
        alert.write_text('#!/bin/sh\n{ echo "$2: $3"; cat; } >>"$HOMELAB_ROOT/sent"\n')
        for job in ("sync", "scrub", "snapraid"):
            self.job(f"{job}-media")

    def look(self) -> str:
        sent = self.path("/sent")
        sent.unlink(missing_ok=True)
        done = self.run("homelab-watch")
        assert done.returncode == 0, done.stderr
        return sent.read_text() if sent.exists() else ""


def test_the_watch_has_nothing_to_say_of_a_pool_that_is_well(tmp_path: Path) -> None:
    assert Alerted(tmp_path / "nas").look() == ""


@pytest.mark.parametrize(
    ("job", "says"),
    [
        ("sync", "pool media: what changed since its last sync is not protected: as it went"),
        ("scrub", "pool media was not scrubbed well: as it went"),
        ("snapraid", "pool media: as it went"),
    ],
)
def test_the_watch_tells_once_of_a_job_that_failed_and_of_its_end(tmp_path: Path, job: str, says: str) -> None:
    host = Alerted(tmp_path / "nas")
    host.job(f"{job}-media", "failed", 1)
    assert says in host.look()
    assert host.look() == ""
    host.job(f"{job}-media")
    assert f"over: {says}" in host.look()


@pytest.mark.parametrize("job", ["sync", "scrub"])
def test_the_watch_tells_of_a_job_that_has_not_run(tmp_path: Path, job: str) -> None:
    host = Alerted(tmp_path / "nas")
    host.job(f"{job}-media", good=1_000_000)
    assert re.search(r"pool media.* for \d+ hours", host.look())


def test_the_watch_tells_of_a_disk_of_parity_that_is_gone(tmp_path: Path) -> None:
    host = Alerted(tmp_path / "nas")
    (host.disk("parity1") / ".homelab-mounted").unlink()
    said = host.look()
    assert "pool media is not protected: parity1 (d3, serial S3) is not mounted" in said
    (host.disk("parity1") / ".homelab-mounted").touch()
    assert "over:" in host.look()


def test_the_watch_names_the_disk_that_keeps_a_pool_down_and_nothing_that_follows(tmp_path: Path) -> None:
    host = Alerted(tmp_path / "nas")
    (host.disk("data2") / ".homelab-mounted").unlink()
    (host.path("/srv/media") / ".mounted").unlink()
    host.job("sync-media", "failed", 1)
    said = host.look()
    assert "is not mounted: data2 (d2, serial S2) is not mounted at" in said
    assert "protected" not in said


#
# What joins the disks
#


def joined(host: Raid, version: str) -> dict[str, str]:
    host.fake(
        "mergerfs", f'case $1 in --version) echo "{version}" ;; *) printf "%s\\n" "$@" >"$HOMELAB_ROOT/joined" ;; esac'
    )
    host.path("/joined").unlink(missing_ok=True)
    done = host.run("homelab-mergerfs", "media", str(host.path("/srv/media")), "-o", "rw,dev,suid")
    if done.returncode:
        assert not host.path("/joined").exists()
        return {"said": done.stderr}
    _, options, disks, at = host.path("/joined").read_text().splitlines()
    assert at == str(host.path("/srv/media"))
    pairs = dict(each.partition("=")[::2] for each in options.split(","))
    return {**pairs, "disks": disks.replace(str(host.root), "")}


@pytest.mark.parametrize(
    ("version", "policy"),
    [
        ("mergerfs version: 2.33.5", "mfs"),
        ("mergerfs v2.40.2", "pfrd"),
        ("mergerfs v2.41.1-3-gabcdef", "pfrd"),
        ("mergerfs v3.0.0", "pfrd"),
        # Debian 13's 2.40.2.
        ("mergerfs vunknown", "mfs"),
        ("no such thing", "mfs"),
    ],
)
def test_the_disks_are_joined_as_the_version_takes_it(tmp_path: Path, version: str, policy: str) -> None:
    found = joined(raid(tmp_path), version)
    assert found["disks"] == "/srv/.disks/media/data1=RW:/srv/.disks/media/data2=RW"
    assert found["category.create"] == policy
    assert (found["inodecalc"], "noforget" in found, found["fsname"]) == ("path-hash", True, "media")
    assert {"nosuid", "nodev", "allow_other"} <= set(found)
    assert re.fullmatch(r"[1-9]\d*K", found["minfreespace"])


@pytest.mark.parametrize("slot", ["data1", "data2"])
def test_nothing_is_joined_without_each_disk_of_data(tmp_path: Path, slot: str) -> None:
    host = raid(tmp_path)
    (host.disk(slot) / ".homelab-mounted").unlink()
    assert (
        f"not joined: {slot} (d{slot[-1]}, serial S{slot[-1]}) is not mounted"
        in joined(host, "mergerfs v2.40.2")["said"]
    )


def test_a_disk_of_parity_that_is_gone_keeps_nothing_down(tmp_path: Path) -> None:
    host = raid(tmp_path)
    (host.disk("parity1") / ".homelab-mounted").unlink()
    assert "disks" in joined(host, "mergerfs v2.40.2")


def test_the_real_mergerfs_takes_these_options(tmp_path: Path) -> None:
    host = raid(tmp_path)
    if os.geteuid() != 0 or not shutil.which("mergerfs") or not Path("/dev/fuse").exists():
        pytest.skip("a real mergerfs takes root and /dev/fuse")
    at = tmp_path / "at"
    at.mkdir()
    done = host.run("homelab-mergerfs", "media", str(at))
    if done.returncode and "fuse" in done.stderr:
        pytest.skip(f"no mergerfs here: {done.stderr.strip()}")
    try:
        assert done.returncode == 0, done.stderr
        before = host.fill(3)
        assert {path.name for path in at.glob("data*")} == {Path(path).name for path in before}
        (at / "new").mkdir()
        (at / "new" / "file").write_text("new\n")
        assert [slot for slot in ("data1", "data2") if (host.disk(slot) / "new" / "file").exists()] != []
        mounts = Path("/proc/self/mounts").read_text()
        assert f"media {at} fuse.mergerfs rw,nosuid,nodev" in mounts
    finally:
        subprocess.run(["umount", at], check=False)


#
# What is laid
#


def test_the_settings_of_snapraid() -> None:
    spec: dict[str, Any] = {
        "disks": {f"d{n}": {"id": f"ata-A_{n}"} for n in range(1, 6)},
        "pools": {"media": {"kind": "snapraid", "disks": ["d5", "d1", "d2"], "parity": ["d3", "d4"]}},
    }
    pool = validated(spec).pools["media"]
    lines = snapraid.conf("media", pool).content.splitlines()
    at = "/srv/.disks/media"
    assert [line for line in lines if "parity" in line.split()[0]] == [
        f"parity {at}/parity1/snapraid.parity",
        f"2-parity {at}/parity2/snapraid.2-parity",
    ]
    assert [line for line in lines if line.startswith("data")] == [f"data data{n} {at}/data{n}" for n in (1, 2, 3)]
    contents = [line for line in lines if line.startswith("content")]
    assert len(contents) == 4 and not any("parity" in line for line in contents)
    for excluded in ("/lost+found/", ".recycle/"):
        assert f"exclude {excluded}" in lines


def test_timers_come_and_go_with_the_pool() -> None:
    nas = described()
    assert {"homelab-sync@media.timer", "homelab-scrub@media.timer"} <= set(watch.timers(nas))
    units: dict[str, ManagedFile] = {each.path.rpartition("/")[2]: each for each in watch.files(nas, "nas", {})}
    assert "OnCalendar=*-*-* 02:00" in units["homelab-sync@media.timer"].content
    assert "OnFailure=homelab-alert@%n.service" in units["homelab-sync@.service"].content
    assert "srv-media.mount" in units["pools.conf"].content
    gone = validated(nas.model_dump() | {"pools": {}, "volumes": {}})
    probe = HostProbe(output={"nas_units": "homelab-sync@media.timer\nhomelab-scrub@media.timer\n"})
    stale = watch.stale(gone, probe)
    assert set(stale) == {"homelab-sync@media.timer", "homelab-scrub@media.timer"}
    script = watch.remove(stale)
    assert "/etc/homelab/snapraid/media.conf" in script and "/var/lib/homelab/status/sync-media" in script
    assert "snapraid.content" not in script and "/srv" not in script, "what could still restore is kept"
