"""The shell that puts another disk into a pool of snapraid, run in a folder with stand-ins for a host's tools."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from homelab.model.nas import Nas
from homelab.probe import HostProbe
from homelab.storage import branches, replace, slots
from homelab.storage.replace import Replacement
from homelab.storage.steps import Step
from tests import looks
from tests.unit.storage.test_replace_snapraid import begun, cut_in_making_an_xfs, wished, without
from tests.unit.storage.test_snapraid import POOL, uuid

AT = "/srv/.disks/media/data2"
NOTES = "/var/lib/homelab/snapraid/media"
RECORD = "/var/lib/homelab/pools/media"
MARK = slots.REBUILDING
AGAIN = "; run it again to see how things are now\n"

# What more than one of the stand-ins does. A filesystem is a folder whose files are in the place where it is mounted.
_SHARED = r"""
echo "${0##*/} $*" >>"$ROOT/calls"
for last; do :; done
mounting() {
  mkdir -p "$ROOT/filesystems/${1##*/}"
  cp -a "$ROOT/filesystems/${1##*/}/." "$2" && echo "$1 $2" >>"$ROOT/mounts"
}
unmounting() {
  grep -q " $1\$" "$ROOT/mounts" || return
  source=$(sed -n "s| $1\$||p" "$ROOT/mounts")
  find "$1" -mindepth 1 -maxdepth 1 -exec mv -t "$ROOT/filesystems/${source##*/}" {} +
  sed -i "\| $1\$|d" "$ROOT/mounts"
}
"""
_MKFS = r"""
cp -a "$ROOT/var" "$ROOT/then"
flock -s -n "$ROOT/var/lib/homelab/snapraid/media/lock" true || touch "$ROOT/then/locked"
uuid=$(echo "$*" | grep -oE '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
printf '{"signatures": [{"type": "new", "uuid": "%s"}]}' "$uuid" >"$ROOT/signed/${last##*/}"
"""
_TOOLS = {
    "lsblk": 'cat "$ROOT/serials/${last##*/}"',
    "blockdev": 'case $1 in --getsize64) cat "$ROOT/size" ;; esac',
    "wipefs": f"""
case " $* " in
  *" --no-act "*) cat "$ROOT/signed/${{last##*/}}" ;;
  *) printf '{looks.EMPTY}' >"$ROOT/signed/${{last##*/}}" ;;
esac""",
    "blkid": """
for each in "$ROOT/signed"/*; do ! grep -qF "${last#UUID=}" "$each" || echo "$ROOT/dev/${each##*/}"; done""",
    "mkfs.ext4": _MKFS,
    "mkfs.xfs": _MKFS,
    # Of a record the state of all notes when it is laid.
    "sync": 'case $last in */.media.new) cp -a "$ROOT/var" "$ROOT/noted" ;; esac',
    "udevadm": ":",
    "mountpoint": 'grep -q " $last\\$" "$ROOT/mounts"',
    "findmnt": 'sed -n "s| $last\\$||p" "$ROOT/mounts"',
    "mount": 'stat -c %a "$2" >>"$ROOT/modes"; mounting "$@"',
    "umount": 'unmounting "$last"',
    "exportfs": ":",
    "df": 'echo " Used"; echo "    7M"',
    "systemd-escape": "echo a.device",
    "systemd-run": 'printf "%s\\n" "$@" >"$ROOT/started"',
    "systemctl": r"""
case $1 in
  is-active) [ -e "$ROOT/active/$last" ] ;;
  show) cat "$ROOT/shown/$3" ;;
  status) printf 'two\nlines\n' ;;
  start) [ ! -e "$ROOT/units/$2" ] || mounting $(cat "$ROOT/units/$2") ;;
  stop) [ -e "$ROOT/units/$2" ] && unmounting "$(sed 's/.* //' "$ROOT/units/$2")" ;;
esac""",
}
# What such a script has of the host's own; what it has of /dev/null stays.
_OWN = re.compile(r"/(?:srv/|var/lib/homelab|run/homelab|sys/|dev/(?!null))")
# What of all that was called has done anything.
_DOES = re.compile(
    r"(mkfs|mount |umount|exportfs|wipefs --all|systemd-run|systemctl (?!is-active|show|status)|udevadm t)"
)


class Machine:
    """A host in a folder, with the disk sdf that is seen in `wished`."""

    def __init__(self, root: Path):
        self.root = root
        for folder in ("fakes", "dev/disk/by-id", "sys/block/sdf", "srv/media", "serials", "signed", "active", "shown"):
            self.path(folder).mkdir(parents=True)
        for folder in (AT, NOTES, "units", "filesystems"):
            self.path(folder).mkdir(parents=True)
        for tool, does in _TOOLS.items():
            self.fake(tool, does)
        self.write("mounts", "")
        self.write("size", f"{looks.SIZE}")
        self.write("sys/block/sdf/diskseq", "7\n")
        self.write("serials/sdf", "S-sdf\n")
        self.signed("sdf")
        self.unit("srv-.disks-media-data2.mount", "sdf", AT)
        self.unit("srv-media.mount", "media", "/srv/media")
        with self.path("dev/sdf").open("wb") as disk:
            disk.truncate(1 << 20)
        self.path("dev/disk/by-id/ata-S-sdf").symlink_to("../../sdf")

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def write(self, path: str, content: str) -> Path:
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(content)
        return self.path(path)

    def fake(self, tool: str, does: str) -> None:
        self.write(f"fakes/{tool}", f"#!/bin/sh\n{_SHARED}{does}\n").chmod(0o755)

    def signed(self, disk: str, uuid: str = "") -> None:
        """What is written on a disk, as far as wipefs and blkid tell."""
        self.write(f"signed/{disk}", looks.signature("ext4", disk, uuid) if uuid else looks.EMPTY)

    def unit(self, name: str, source: str, at: str) -> None:
        self.write(f"units/{name}", f"{self.path(f'dev/{source}')} {self.path(at)}\n")

    def mounts(self, source: str, at: str) -> None:
        with self.path("mounts").open("a") as table:
            table.write(f"{self.path(f'dev/{source}')} {self.path(at)}\n")
        self.path(f"filesystems/{source}").mkdir(exist_ok=True)

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        here = _OWN.sub(lambda found: f"{self.root}{found[0]}", script)
        environment = {"PATH": f"{self.path('fakes')}:{os.environ['PATH']}", "ROOT": str(self.root)}
        done = subprocess.run(["sh", "-c", here], capture_output=True, text=True, env=environment, check=False)
        done.stdout, done.stderr = (each.replace(str(self.root), "") for each in (done.stdout, done.stderr))
        return done

    def ran(self, script: str) -> str:
        """What a script says that has to succeed."""
        done = self.run(script)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def stopped(self, script: str) -> str:
        """The one line of a script that stops."""
        done = self.run(script)
        assert done.returncode == 1 and done.stdout == "" and done.stderr.endswith(AGAIN), done.stderr
        assert done.stderr.startswith("homelab: ") and done.stderr.count("\n") == 1
        return done.stderr.removeprefix("homelab: ").removesuffix(AGAIN)

    @property
    def calls(self) -> list[str]:
        calls = self.path("calls")
        return calls.read_text().replace(str(self.root), "").splitlines() if calls.exists() else []

    @property
    def did(self) -> list[str]:
        return [call for call in self.calls if _DOES.match(call)]

    def untouched(self) -> bool:
        """Nothing was written, noted or stopped."""
        return self.did == [] and not self.path(RECORD).exists() and (self.path(NOTES) / "rebuilt").exists()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "host")


def step(found: Replacement, says: str) -> Step:
    assert found.problems == ()
    (one,) = [each for each in found.steps if says in each.says]
    return one


#
# Another disk gets the dead one's UUID
#


def making(disk: str = "d2") -> str:
    return step(wished(without(disk).disk("sdf"), disk), "make /dev/sdf").command


def test_a_disk_of_data_is_noted_made_and_marked_before_anybody_can_mount_it(machine: Machine) -> None:
    machine.write(f"{NOTES}/rebuilt", "data2 S-sdb\n")
    machine.path(NOTES).chmod(0o755)
    machine.ran(making())
    apart = "/run/homelab/replace/media"
    assert machine.did == [
        f"mkfs.ext4 -q -m 1 -U {uuid('d2')} -L media /dev/sdf",
        f"mount /dev/sdf {apart}",
        f"umount {apart}",
    ]
    assert [path.name for path in machine.path("filesystems/sdf").iterdir()] == [MARK]
    assert machine.calls.index(f"sync -f {apart}") < machine.calls.index(f"umount {apart}")
    assert machine.path("modes").read_text() == "700\n" and not machine.path(apart).exists()
    for when in ("noted", "then"):
        assert [path.name for path in machine.path(f"{when}/lib/homelab/snapraid/media").iterdir()] == ["lock"]
    for record in (machine.path("then/lib/homelab/pools/media"), machine.path(RECORD)):
        said = record.read_text().splitlines()
        assert said[-2:] == ["rebuilding=data2 S-sdf", "state=made"] and "disk.d2=S-sdb" in said
    assert machine.path("then/locked").exists()
    assert machine.path(NOTES).stat().st_mode & 0o7777 == 0o700


def test_a_disk_of_parity_is_marked_too_and_all_of_it_is_to_be_written(machine: Machine) -> None:
    machine.write(f"{NOTES}/rebuilt", "data2 S-sdb\n")
    machine.ran(making("d3"))
    made, mounted, unmounted = machine.did
    assert made == f"mkfs.ext4 -q -m 0 -T largefile4 -U {uuid('d3')} -L media /dev/sdf"
    assert mounted.startswith("mount /dev/sdf ") and unmounted.startswith("umount ")
    for when in ("noted", "then"):
        assert {path.name for path in machine.path(f"{when}/lib/homelab/snapraid/media").iterdir()} == {
            "lock",
            "parity",
        }
    assert "rebuilding=parity1 S-sdf\n" in machine.path(RECORD).read_text()


def _another(machine: Machine) -> None:
    machine.write("serials/sdf", "S-sdx\n")


def _elsewhere(machine: Machine) -> None:
    link = machine.path("dev/disk/by-id/ata-S-sdf")
    link.unlink()
    link.symlink_to("../../sdg")
    machine.write("dev/sdg", "")


def _plugged(machine: Machine) -> None:
    machine.write("sys/block/sdf/diskseq", "8\n")


def _shrunk(machine: Machine) -> None:
    machine.write("size", "512\n")


def _parted(machine: Machine) -> None:
    machine.write("sys/block/sdf/sdf1/partition", "1\n")


def _held(machine: Machine) -> None:
    machine.write("sys/class/block/sdf/holders/dm-3", "")


def _written(machine: Machine) -> None:
    machine.path("dev/sdf").write_bytes(b"my only copy")


def _formatted(machine: Machine) -> None:
    machine.signed("sdf", POOL)


def _twin(machine: Machine) -> None:
    machine.signed("sdb", uuid("d2"))


def _twins(machine: Machine) -> None:
    _twin(machine)
    machine.signed("sdg", uuid("d2"))


TWIN = "/dev/sdb carries data2 of media; take it out of the machine, and keep it until all is restored"


@pytest.mark.parametrize(
    ("befell", "says"),
    [
        (_another, "/dev/sdf does not have the serial S-sdf any more"),
        (_elsewhere, "disk ata-S-sdf was /dev/sdf and is /dev/sdg"),
        (_plugged, "/dev/sdf was taken out and put in"),
        (_shrunk, f"/dev/sdf does not have {looks.SIZE} bytes any more"),
        (_parted, "/dev/sdf has the partitions sdf1 now"),
        (_held, "/dev/sdf is in use by dm-3"),
        (_written, "/dev/sdf holds other data than was seen"),
        (_formatted, "/dev/sdf holds something else than was seen"),
        (_twin, TWIN),
        (_twins, TWIN.replace("/dev/sdb", "/dev/sdb /dev/sdg")),
    ],
)
def test_nothing_is_noted_or_written_on_a_disk_that_is_not_as_it_was_seen(
    machine: Machine, befell: Callable[[Machine], None], says: str
) -> None:
    machine.write(f"{NOTES}/rebuilt", "data2 S-sdb\n")
    befell(machine)
    assert machine.stopped(making()) == says
    assert machine.untouched()


@pytest.mark.parametrize("disk", ["d2", "d3"])
def test_nothing_is_noted_or_written_while_a_sync_runs(machine: Machine, disk: str) -> None:
    machine.write(f"{NOTES}/rebuilt", "data2 S-sdb\n")
    with machine.path(f"{NOTES}/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert machine.stopped(making(disk)) == "a sync or scrub of media is running"
    assert machine.untouched() and not machine.path(f"{NOTES}/parity").exists()


def test_what_comes_to_it_after_it_was_noted_is_not_written_over(machine: Machine) -> None:
    machine.fake("sync", 'case $last in */.media.new) echo mine >"$ROOT/dev/sdf" ;; esac')
    assert machine.stopped(making()) == "/dev/sdf is not blank, it holds data without a signature"
    assert machine.did == []


def test_what_was_consented_to_is_cleared_only_once_it_is_noted(machine: Machine) -> None:
    look = without("d2").disk("sdf", wipefs=looks.captured("swap", "sdf"))
    word = str(wished(look).problems[0]).partition("--data consent=")[2][:16]
    machine.write("signed/sdf", looks.captured("swap", "sdf"))
    machine.ran(step(wished(look, consent=word), "make /dev/sdf").command)
    assert machine.did[0] == "wipefs --all --quiet /dev/sdf" and machine.did[1].startswith("mkfs.ext4 ")
    assert machine.calls.index("sync /var/lib/homelab/pools/.media.new") < machine.calls.index(machine.did[0])
    used = [line.split()[:2] for line in machine.path("/var/lib/homelab/consents").read_text().splitlines()]
    assert used == [[word, "began"], [word, "done"]]


@pytest.mark.parametrize(
    ("tool", "does", "says"),
    [
        ("mkfs.ext4", "exit 1", "no filesystem could be made on /dev/sdf"),
        ("mkfs.ext4", ":", "/dev/sdf holds no filesystem after it was made"),
        ("mount", "exit 32", "/dev/sdf cannot be mounted; look at dmesg"),
    ],
)
def test_a_making_that_fails_says_so(machine: Machine, tool: str, does: str, says: str) -> None:
    machine.fake(tool, does)
    assert machine.stopped(making()) == says
    assert not machine.path("filesystems/sdf").exists()


#
# The pool is stopped
#


def stopping(*, up: bool = True, stale: bool = True) -> str:
    look, answer = without("d2").disk("sdf"), ""
    if stale:
        look.mounted(AT, "/dev/sdb")
        answer = "branch\tmedia/data2\tdir\t\tyes\t\t\n"
    if up:
        look.mounted("/srv/media", "media", "fuse.mergerfs")
        look.mountpoint("media", names=".homelab-pool\nfilms", sentinel=f"media {POOL}")
    found = wished(look, probe=HostProbe(output={branches.NAME: answer}))
    first = found.steps[0]
    assert first.says == ("stop media, of which nothing may be changed meanwhile" if up else "unmount what was data2")
    return first.command


def test_a_pool_that_is_up_is_stopped_before_what_is_left_of_its_disk_is_unmounted(machine: Machine) -> None:
    machine.mounts("sdb", AT)
    machine.mounts("media", "/srv/media")
    machine.ran(stopping())
    assert machine.did == [
        "exportfs -f",
        "systemctl stop srv-media.mount",
        "systemctl stop srv-.disks-media-data2.mount",
    ]
    assert machine.path("mounts").read_text() == ""


def test_only_what_is_mounted_is_unmounted(machine: Machine) -> None:
    machine.mounts("media", "/srv/media")
    machine.ran(stopping(stale=False))
    assert machine.did == ["exportfs -f", "systemctl stop srv-media.mount"]


def test_of_a_pool_that_is_down_only_what_is_left_of_its_disk_is_unmounted(machine: Machine) -> None:
    machine.mounts("sdb", AT)
    machine.ran(stopping(up=False))
    assert machine.did == ["systemctl stop srv-.disks-media-data2.mount"]


def test_a_host_without_nfs_stops_its_pool_too(machine: Machine) -> None:
    machine.mounts("media", "/srv/media")
    machine.ran(stopping().replace("exportfs", "exportfs-that-nobody-has"))
    assert machine.did == ["systemctl stop srv-media.mount"]


def test_what_systemd_cannot_unmount_is_unmounted_by_hand(machine: Machine) -> None:
    machine.mounts("sdb", AT)
    machine.path("units/srv-.disks-media-data2.mount").unlink()
    machine.ran(stopping(up=False))
    assert machine.did == ["systemctl stop srv-.disks-media-data2.mount", f"umount {AT}"]


def test_a_disk_that_somebody_uses_is_not_gone_on_with(machine: Machine) -> None:
    machine.mounts("sdb", AT)
    machine.path("units/srv-.disks-media-data2.mount").unlink()
    machine.fake("umount", "exit 32")
    assert machine.stopped(stopping(up=False)) == f"{AT} is in use; 'fuser -vm {AT}' tells by whom"


@pytest.mark.parametrize(
    ("systemctl", "says"),
    [
        (
            "exit 1",
            "media is in use; stop who uses it ('fuser -vm /srv/media', 'systemctl stop smbd nfs-server')",
        ),
        ("exit 0", "/srv/media is mounted still"),
    ],
)
def test_no_disk_is_taken_from_under_a_pool_that_stays_up(machine: Machine, systemctl: str, says: str) -> None:
    machine.mounts("sdb", AT)
    machine.mounts("media", "/srv/media")
    machine.fake("systemctl", systemctl)
    assert machine.stopped(stopping()) == says
    assert machine.did == ["exportfs -f", "systemctl stop srv-media.mount"]


def test_a_pool_is_not_stopped_while_the_old_disk_is_there(machine: Machine) -> None:
    machine.mounts("sdb", AT)
    machine.mounts("media", "/srv/media")
    _twin(machine)
    assert machine.stopped(stopping()) == TWIN
    assert machine.did == []


#
# It is mounted
#


def mounting() -> str:
    return step(wished(begun()), "with a mark that not all is there").command


MOUNTS = [
    "systemctl daemon-reload",
    "systemctl reset-failed srv-.disks-media-data2.mount",
    "systemctl start srv-.disks-media-data2.mount",
]


@pytest.fixture
def made(machine: Machine) -> Machine:
    """A host on which the new disk bears the dead one's UUID, and udev has seen that."""
    machine.signed("sdf", uuid("d2"))
    machine.write("active/a.device", "")
    return machine


@pytest.mark.parametrize(
    ("rebuilt", "marks"),
    [
        ("", True),
        ("data2 S-sdf\n", False),
        ("data2 S-sdb\n", True),
        ("data1 S-sdf\n", True),
        ("data2 S-sdf 2\n", True),
    ],
)
def test_a_disk_carries_the_mark_unless_this_very_one_is_restored(made: Machine, rebuilt: str, marks: bool) -> None:
    if rebuilt:
        made.write(f"{NOTES}/rebuilt", rebuilt)
    made.ran(mounting())
    assert made.did == MOUNTS
    assert (made.path(AT) / MARK).exists() is marks
    assert f"sync -f {AT}" in made.calls


def test_a_disk_whose_mark_is_lost_gets_it_again_though_it_is_mounted(made: Machine) -> None:
    made.mounts("sdf", AT)
    made.path("units/srv-.disks-media-data2.mount").unlink()
    made.ran(mounting())
    assert (made.path(AT) / MARK).exists()


def test_what_udev_has_missed_it_looks_at_once_more(made: Machine) -> None:
    made.path("active/a.device").unlink()
    made.ran(mounting())
    assert made.did == [MOUNTS[0], "udevadm trigger --action=change /dev/sdf", *MOUNTS[1:]]


def test_another_disk_in_its_place_gets_no_mark(made: Machine) -> None:
    made.unit("srv-.disks-media-data2.mount", "sdb", AT)
    assert made.stopped(mounting()) == f"/dev/sdf is not what is mounted at {AT}"
    assert list(made.path(AT).iterdir()) == []


def test_a_disk_that_does_not_mount_gets_no_mark(made: Machine) -> None:
    made.fake("systemctl", 'case $1 in start) exit 1 ;; status) echo "two"; echo "lines" ;; esac')
    assert made.stopped(mounting()) == f"{AT} does not mount: lines"
    assert list(made.path(AT).iterdir()) == []


def test_nothing_is_mounted_while_the_old_disk_is_there(made: Machine) -> None:
    _twin(made)
    assert made.stopped(mounting()) == TWIN
    assert made.did == []


#
# It is restored
#


def restoring(serial: str = "S-sdf", **more: str) -> Step:
    look = without("d2").disk("sdf", serial, id="ata-S-sdf")
    values: dict[str, Any] = {
        "disks": {f"d{number}": {"id": f"ata-S-sd{letter}"} for number, letter in enumerate("abcde", 1)},
        "pools": {
            "media": {"kind": "snapraid", "disks": ["d1", "d2"], "parity": ["d3"]},
            "tank": {"kind": "btrfs", "level": "raid1", "disks": ["d4", "d5"]},
        },
        "volumes": {
            "films": {"pool": "media", "owner": "anna", "mode": "2770"},
            "photos": {"pool": "tank", "owner": "anna"},
            "music": {"pool": "media", "owner": "anna", "group": "family", "mode": "0755"},
        },
        "users": {"anna": {"uid": 2001}},
    }
    spec = Nas.model_validate(values)
    wish, problems = replace.wish(spec, {"disk": "d2", "with": "ata-S-sdf", **more})
    assert problems == () and wish is not None
    found = replace.plan("nas", spec, look.seen, HostProbe(), wish, frozenset(), environment="attic")
    return step(found, "restore what was on d2")


JOB = "homelab-rebuild-media.service"
WORDS = ["--quiet", "--collect", f"--unit={JOB}", "/usr/local/lib/homelab/homelab-snapraid", "media", "rebuild"]
VOLUMES = ["films", "anna:", "2770", "0660", "music", "anna:family", "0755", "0644"]


@pytest.mark.parametrize("serial", ["S-sdf", "S 12  f", "S'1\"$x"])
@pytest.mark.parametrize("word", ["", "0123abcd"])
def test_the_restoring_is_started_with_the_disk_and_the_volumes_of_its_pool(
    machine: Machine, serial: str, word: str
) -> None:
    machine.write(f"{NOTES}/rebuild.why", "an old reason\n")
    machine.ran(restoring(serial, **({"without": word} if word else {})).command)
    without_ = ["--without", word] if word else []
    assert machine.path("started").read_text().splitlines() == [*WORDS, "data2", serial, *without_, *VOLUMES]
    assert [call.split()[0:2] for call in machine.did] == [["systemctl", "reset-failed"], ["systemd-run", "--quiet"]]
    assert machine.did[0] == f"systemctl reset-failed {JOB}"
    assert not machine.path(f"{NOTES}/rebuild.why").exists()


@pytest.mark.parametrize(
    ("active", "rebuilt", "starts"),
    [
        (True, "", False),
        (False, "data2 S-sdf\n", False),
        (False, "data2 S-sdb\n", True),
        (False, "data1 S-sdf\n", True),
        (False, "data2 S-sdf 2\n", True),
    ],
)
def test_the_restoring_is_not_started_twice(machine: Machine, active: bool, rebuilt: str, starts: bool) -> None:
    machine.write(f"{NOTES}/rebuild.why", "a reason\n")
    if active:
        machine.write(f"active/{JOB}", "")
    if rebuilt:
        machine.write(f"{NOTES}/rebuilt", rebuilt)
    machine.ran(restoring().command)
    assert machine.path("started").exists() is starts
    # What a job that runs has said since is not taken away.
    assert machine.path(f"{NOTES}/rebuild.why").exists() is not starts


LOST = "1 of its files cannot be restored; to go on without, add --data without=0123abcd"


@pytest.mark.parametrize(
    ("active", "rebuilt", "why", "says"),
    [
        (True, "", "", "run 7 MiB are there"),
        (True, "data2 S-sdf\n", "", "run 7 MiB are there"),
        (True, "", "a reason\n", "run 7 MiB are there"),
        (False, "data2 S-sdf\n", "", "done"),
        (False, "data2 S-sdf\n", "a reason\n", "done"),
        (False, "", "", f"failed it was ended; look at journalctl -u {JOB}"),
        (False, "data1 S-sdf\n", "", f"failed it was ended; look at journalctl -u {JOB}"),
        (False, "data2 S-sdb\n", "", f"failed it was ended; look at journalctl -u {JOB}"),
        (False, "", "media: a reason\n", "failed media: a reason"),
        (False, "data2 S-sdb\n", "a reason\n", "failed a reason"),
        (False, "", f"{LOST}\n", f"refused {LOST}"),
    ],
)
def test_how_far_the_restoring_is(machine: Machine, active: bool, rebuilt: str, why: str, says: str) -> None:
    if active:
        machine.write(f"active/{JOB}", "")
    for name, text in (("rebuilt", rebuilt), ("rebuild.why", why)):
        if text:
            machine.write(f"{NOTES}/{name}", text)
    assert machine.ran(restoring().poll) == f"{says}\n"
    assert f"systemctl is-active --quiet {JOB}" in machine.calls
    assert (f"df -BM --output=used {AT}" in machine.calls) is active


#
# It is protected
#


STATUS = "/var/lib/homelab/status/sync-media"
SYNC = "homelab-sync@media.service"


def status(machine: Machine, **said: object) -> None:
    """What the last sync has said of itself; the record was written at second 1000."""
    machine.write(RECORD, "state=made\n")
    os.utime(machine.path(RECORD), (1000, 1000))
    machine.write(STATUS, "".join(f"{key}={value}\n" for key, value in said.items()))
    machine.write("shown/ActiveState", "inactive\n")
    machine.write("shown/Job", "0\n")


@pytest.mark.parametrize(
    ("said", "parity", "ok"),
    [
        ({"time": 1000, "result": "ok", "good": 1000}, False, True),
        ({"time": 1001, "result": "ok", "good": 1001}, False, True),
        ({"time": 999, "result": "ok", "good": 999}, False, False),
        ({"time": 1001, "result": "ok", "good": 1001}, True, False),
        # A message may tell of anything, and a time of the last good one is not that of this one.
        ({"time": 1001, "result": "failed", "good": 1001, "message": "result=ok"}, False, False),
        ({}, False, False),
    ],
)
def test_a_pool_is_protected_by_a_good_sync_since_its_new_disk_was_noted(
    machine: Machine, said: dict[str, object], parity: bool, ok: bool
) -> None:
    status(machine, **said)
    if parity:
        machine.write(f"{NOTES}/parity", "")
    last = wished(without("d2").disk("sdf")).steps[-1]
    machine.ran(last.command)
    assert machine.did == ([] if ok else [f"systemctl start --no-block {SYNC}"])
    assert machine.ran(last.poll) == ("done\n" if ok else f"failed {said.get('message', '')}\n")


def test_a_pool_that_was_never_synced_is_not_protected(machine: Machine) -> None:
    status(machine)
    machine.path(STATUS).unlink()
    last = wished(without("d2").disk("sdf")).steps[-1]
    machine.ran(last.command)
    assert machine.did == [f"systemctl start --no-block {SYNC}"]
    machine.write("shown/Job", "77\n")
    assert machine.ran(last.poll) == "run syncs\n"


@pytest.mark.parametrize(
    ("state", "job", "runs"),
    [
        ("inactive", "0", False),
        ("failed", "0", False),
        ("inactive", "", False),
        ("activating", "0", True),
        ("deactivating", "0", True),
        # It waits in systemd's queue.
        ("inactive", "100", True),
        ("failed", "2", True),
    ],
)
@pytest.mark.parametrize("result", ["ok", "failed"])
def test_a_sync_that_runs_or_is_about_to_is_waited_for(
    machine: Machine, state: str, job: str, runs: bool, result: str
) -> None:
    status(machine, time=1001, result=result, message="a disk is gone")
    machine.write("shown/ActiveState", f"{state}\n")
    machine.write("shown/Job", f"{job}\n")
    ended = "done" if result == "ok" else "failed a disk is gone"
    assert machine.ran(wished(without("d2").disk("sdf")).steps[-1].poll) == ("run syncs\n" if runs else f"{ended}\n")


#
# An XFS whose making was cut
#


def looking() -> str:
    return step(cut_in_making_an_xfs(), "is whole").command


def xfs(machine: Machine, *, magic: bytes = b"XFSB", making: int = 1) -> None:
    raw = bytearray(1 << 20)
    raw[:4], raw[126] = magic, making
    machine.path("dev/sdf").write_bytes(raw)
    machine.signed("sdf", uuid("d2"))


def test_an_xfs_whose_making_was_cut_is_cleared_and_made_again(machine: Machine) -> None:
    xfs(machine)
    machine.ran(looking())
    apart = "/run/homelab/replace/media"
    assert machine.did == [
        "wipefs --all --quiet /dev/sdf",
        f"mkfs.xfs -q -m uuid={uuid('d2')} -L media /dev/sdf",
        f"mount /dev/sdf {apart}",
        f"umount {apart}",
    ]
    assert [path.name for path in machine.path("filesystems/sdf").iterdir()] == [MARK]


@pytest.mark.parametrize(("magic", "making"), [(b"XFSB", 0), (b"XFSB", 2), (b"\0\0\0\0", 1), (b"EXT4", 1)])
def test_whatever_else_is_on_it_stays(machine: Machine, magic: bytes, making: int) -> None:
    xfs(machine, magic=magic, making=making)
    before = machine.path("dev/sdf").read_bytes()
    machine.ran(looking())
    assert machine.did == [] and machine.path("dev/sdf").read_bytes() == before


@pytest.mark.parametrize(
    ("befell", "says"),
    [
        (_another, "/dev/sdf does not have the serial S-sdf any more"),
        (_plugged, "/dev/sdf was taken out and put in"),
        (_held, "/dev/sdf is in use by dm-3"),
        (_twin, TWIN),
    ],
)
def test_half_an_xfs_on_another_disk_or_in_use_is_not_cleared(
    machine: Machine, befell: Callable[[Machine], None], says: str
) -> None:
    xfs(machine)
    befell(machine)
    assert machine.stopped(looking()) == says
    assert machine.did == []
