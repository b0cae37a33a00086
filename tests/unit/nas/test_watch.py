"""The watch: what it finds, and that it says each thing once; timers, checks and SMART as the inventory has them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from homelab.nas import watch
from homelab.probe import HostProbe, UnitState
from homelab.storage.btrfs import LIVES
from tests import looks
from tests.nas_host import SCRIPTS, NasHost, nas

RUNNING = UnitState(load="loaded", active="active", enabled="enabled")


@pytest.mark.parametrize("script", sorted(SCRIPTS.iterdir()), ids=lambda path: path.name)
def test_scripts_are_clean(script: Path) -> None:
    subprocess.run(["sh", "-n", script], check=True)
    assert script.suffix == ".sh" or script.read_text().startswith("#!/bin/sh\n")
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(
        ["shellcheck", "-x", "-P", "SCRIPTDIR", "-s", "sh", script], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


class Watched(NasHost):
    """A host whose alerts are lines in a file."""

    def __init__(self, root: Path):
        described = nas(
            pools={"vault": {"kind": "mdraid", "level": "raid1", "filesystem": "ext4", "disks": ["d1", "d2"]}},
            volumes={"docs": {"pool": "vault"}},
            backups={"off": {"volumes": ["docs"], "to": "sftp:me@far:/restic", "password": "env:X"}},
        )
        super().__init__(root, described)
        self.array(degraded="0")
        self.full(10)
        alert = self.path("/usr/local/lib/homelab/homelab-alert")
        alert.write_text('#!/bin/sh\n{ echo "$2: $3"; cat; } >>"$HOMELAB_ROOT/sent"\n')

    def array(self, **values: str) -> None:
        for name, value in {"array_state": "clean", "raid_disks": "2", "sync_action": "idle", **values}.items():
            self.write(f"/sys/block/md127/md/{name}", f"{value}\n")

    def full(self, percent: int, system: int = 10) -> None:
        """What df tells of what is mounted under /srv, and of the system's one filesystem, once for each path."""
        self.fake(
            "df",
            'echo "Filesystem 1024-blocks Used Available Capacity Mounted on"; shift\n'
            "for at; do case $at in */srv/*) "
            f'echo "/dev/md127 1000 {percent * 10} {1000 - percent * 10} {percent}% $at" ;; '
            f'*) echo "/dev/sda1 1000 {system * 10} {1000 - system * 10} {system}% /" ;; esac; done',
        )

    def metrics(self) -> str:
        return self.path("/var/lib/homelab/metrics/homelab.prom").read_text()

    def look(self) -> list[str]:
        """What one look sends: its subject, then the body."""
        sent = self.path("/sent")
        sent.unlink(missing_ok=True)
        done = self.run("homelab-watch")
        assert done.returncode == 0, done.stderr
        return sent.read_text().splitlines() if sent.exists() else []

    def smart(self, said: str, code: int = 0) -> None:
        """The disk serial:B2 is sdx, which smartd watches, and says this."""
        self.fake("lsblk", """echo 'NAME="sdx" SERIAL="B2"'""")
        self.write("/run/homelab-smartd/smartd.conf", "/dev/sdx -d sat -a -W 0,50,60 -m homelab\n")
        if not self.path("/sys/class/block/sdx/stat").exists():
            self.write("/sys/class/block/sdx/stat", "100 0 0 0 200 0 0 0 0 0 0\n")
        self.write("/sys/class/block/sdx/queue/rotational", "1\n")
        self.write("/smart", said)
        self.fake("smartctl", f'printf "%s\\n" "$*" >>"$HOMELAB_ROOT/asked"; cat "$HOMELAB_ROOT/smart"; exit {code}')

    def a_day_later(self) -> None:
        state = self.path("/var/lib/homelab/watch")
        lines = [line.split("\t") for line in state.read_text().splitlines()]
        state.write_text("".join("\t".join([*line[:3], str(int(line[3]) - 86400), line[4]]) + "\n" for line in lines))


@pytest.fixture
def host(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_sound_host_is_silent(host: Watched) -> None:
    assert host.look() == []
    assert 'homelab_findings{level="critical"} 0' in host.metrics()


def test_trouble_is_said_once_then_daily_then_that_it_is_over(host: Watched) -> None:
    host.array(degraded="1", sync_action="recover")
    host.write("/sys/block/md127/md/dev-sda/state", "faulty\n")
    host.write("/sys/block/md127/md/dev-sdb/state", "in_sync\n")
    said = "array md127 lacks 1 of its 2 disks (now: recover); members: sda (faulty) sdb (in_sync)"
    assert host.look() == [f"urgent: {said}", "New:", f"  critical: {said}"]
    assert host.look() == []
    host.a_day_later()
    assert host.look()[:2] == [f"high: still: {said}", "Still so:"]
    assert host.look() == []
    host.array(degraded="0")
    assert host.look()[:2] == [f"default: over: {said}", "Over:"]
    assert host.look() == []


def test_an_array_that_syncs_lacks_no_disk(host: Watched) -> None:
    """As md tells of a raid5 that was just made, and of a disk that takes the place of another."""
    host.array(degraded="1", sync_action="recover", raid_disks="3")
    for disk, state, slot in (("sda", "in_sync", "0"), ("sdb", "in_sync", "1"), ("sdc", "spare", "2")):
        host.write(f"/sys/block/md127/md/dev-{disk}/state", f"{state}\n")
        host.write(f"/sys/block/md127/md/dev-{disk}/slot", f"{slot}\n")
    syncs = "array md127 syncs 1 of its 3 disks and bears fewer losses until that is done; members:"
    assert host.look()[2] == f"  warning: {syncs} sda (in_sync) sdb (in_sync) sdc (spare)"
    host.write("/sys/block/md127/md/dev-sdc/slot", "none\n")
    assert "  critical: array md127 lacks 1 of its 3 disks (now: recover)" in host.look()[2]


@pytest.mark.parametrize("full", ["found", "state"])
def test_a_look_that_cannot_hold_what_it_finds_fails_and_does_not_say_that_all_is_well(
    host: Watched, full: str
) -> None:
    """/dev/full takes a file's making and no byte, as a disk does that is full."""
    host.array(degraded="1")
    made = f'made="$(/usr/bin/mktemp "$@")"; [ ! -d "$made" ] || ln -s /dev/full "$made/{full}"; echo "$made"'
    host.fake("mktemp", made)
    done = host.run("homelab-watch")
    assert (done.returncode, "no room for a look" in done.stderr) == (1, True), done.stderr
    assert not host.path("/var/lib/homelab/status/watch-all").exists()
    assert list(host.path("/run/homelab").glob("look.*")) == []
    host.fake("mktemp", 'exec /usr/bin/mktemp "$@"')
    assert "array md127 lacks 1 of its 2 disks" in host.look()[0]


def test_a_look_needs_nothing_of_a_disk(host: Watched) -> None:
    """What it finds is held in memory, and what it found last as well while the system's disk takes nothing."""
    host.array(degraded="1")
    host.fake("mktemp", 'case "$*" in */var/lib/*|-d) exit 1 ;; *) exec /usr/bin/mktemp "$@" ;; esac')
    assert "array md127 lacks 1 of its 2 disks" in host.look()[0]
    kept = f"what is found cannot be kept in {host.path('/var/lib/homelab')}"
    assert f"  critical: {kept}" in "\n".join(host.look())
    assert host.look() == []
    host.fake("mktemp", 'exec /usr/bin/mktemp "$@"')
    assert host.look() == []
    assert host.look()[0].startswith(f"default: over: {kept}")
    assert "array-md127" in host.path("/var/lib/homelab/watch").read_text()


@pytest.mark.parametrize("how", ["empty", "gone"])
def test_a_watch_that_is_told_of_nothing_fails(host: Watched, how: str) -> None:
    """As after a power cut right after the deploy that laid it."""
    told = host.path("/etc/homelab/watch")
    told.unlink()
    if how == "empty":
        told.touch()
    done = host.run("homelab-watch")
    assert (done.returncode, done.stderr) == (1, f"{told} names nothing to look at; run the deploy again\n")


@pytest.mark.parametrize(
    ("shown", "linked", "says", "missing"),
    [
        ("whole", True, "", "0"),
        ("pulled", False, "pool tank lacks a disk: ", "1"),
        ("whole", False, "pool tank goes on without 1 of its disks, which fell out while it was mounted; ", "1"),
    ],
)
def test_a_btrfs_whose_disk_died_while_it_was_mounted(
    tmp_path: Path, shown: str, linked: bool, says: str, missing: str
) -> None:
    """Pulled, and pulled and plugged in again, as btrfs-progs 6.2 and Linux 6.1 show it."""
    host = NasHost(
        tmp_path, nas(pools={"tank": {"kind": "btrfs", "level": "raid1", "disks": ["d1", "d2"]}}, volumes={})
    )
    host.fake("btrfs", f'[ "$2" != show ] || cat {looks.DATA}/btrfs-show/{shown}.txt')
    devices = host.path("/sys/fs/btrfs/11111111-2222-4333-8444-555555555555/devices")
    devices.mkdir(parents=True)
    host.write("/sys/devices/vdg/dev", "254:96\n")
    (devices / "vdg").symlink_to("../../../../devices/vdg")
    (devices / "vdf").symlink_to(f"../../../../devices/{'vdg' if linked else 'vdf'}")
    assert host.run("homelab-watch").returncode == 0
    lines = host.path("/var/lib/homelab/watch").read_text().splitlines()
    assert [line.split("\t")[4].startswith(says) for line in lines if line.startswith("btrfs-tank")] == [True] * bool(
        says
    )
    metrics = samples(host.path("/var/lib/homelab/metrics/homelab.prom").read_text())
    assert metrics['homelab_btrfs_missing_disks{pool="tank"}'] == missing


@pytest.mark.parametrize("gone", [True, False])
def test_a_btrfs_whose_disk_fell_out_under_its_open_luks(tmp_path: Path, gone: bool) -> None:
    host = NasHost(
        tmp_path, nas(pools={"tank": {"kind": "btrfs", "level": "raid1", "disks": ["d1", "d2"]}}, volumes={})
    )
    host.fake("btrfs", f'[ "$2" != show ] || cat {looks.DATA}/btrfs-show/whole.txt')
    devices = host.path("/sys/fs/btrfs/11111111-2222-4333-8444-555555555555/devices")
    devices.mkdir(parents=True)
    for dm, disk in (("dm-0", "vdf"), ("dm-1", "vdg")):
        slaves = host.path(f"/sys/devices/{dm}/slaves")
        slaves.mkdir(parents=True)
        (slaves / disk).symlink_to(host.path(f"/sys/devices/{disk}"))
        (devices / dm).symlink_to(f"../../../../devices/{dm}")
    host.write("/sys/devices/vdf/dev", "254:80\n")
    if not gone:
        host.write("/sys/devices/vdg/dev", "254:96\n")
    assert host.run("homelab-watch").returncode == 0
    found = host.path("/var/lib/homelab/watch").read_text()
    assert ("pool tank goes on without 1 of its disks, which fell out" in found) == gone


def test_what_gets_worse_is_news_beside_what_is_known(host: Watched) -> None:
    host.array(degraded="1")
    host.look()
    host.full(86)
    assert host.look() == [
        "high: pool vault is 86 % full",
        "New:",
        "  warning: pool vault is 86 % full",
        "Known already:",
        "  critical: array md127 lacks 1 of its 2 disks (now: idle); members:",
    ]


@pytest.mark.parametrize(
    "used, levels",
    [
        ([84, 85, 84, 83, 82], [None, "warning 85", "warning 85", "warning 85", None]),
        (
            [89, 90, 88, 87, 95, 94, 92],
            ["warning 85", "warning 90", "warning 90", "warning 85", "critical 95", "critical 95", "warning 90"],
        ),
    ],
)
def test_a_pool_that_fills_up_is_said_at_each_step_and_not_at_its_edge(
    host: Watched, used: list[int], levels: list[str | None]
) -> None:
    found = []
    for percent in used:
        host.full(percent)
        host.look()
        lines = [line.split("\t") for line in host.path("/var/lib/homelab/watch").read_text().splitlines()]
        found.append(next((f"{line[1]} {line[2]}" for line in lines if line[0] == "full-vault"), None))
    assert found == levels


def test_a_system_that_fills_up_is_told_once_for_its_one_filesystem(host: Watched) -> None:
    said = "the system's disk (/) is"
    host.full(10, system=91)
    assert host.look() == [f"high: {said} 91 % full", "New:", f"  warning: {said} 91 % full"]
    host.full(10, system=97)
    assert host.look()[0] == f"urgent: {said} 97 % full"
    host.full(10)
    assert host.look() == [f"default: over: {said} 97 % full", "Over:", f"  over: {said} 97 % full"]


@pytest.mark.parametrize(
    ("at", "options", "errors", "told"),
    [
        ("/srv/vault", "ro,errors=continue", "0", ["nobody can write"]),
        ("/srv/vault", "rw,emergency_ro", "3", ["nobody can write", "ext4 has found errors"]),
        ("/srv/vault", "rw,shutdown", "0", ["nobody can write"]),
        ("/srv/.disks/vault/data1", "rw", "3", ["ext4 has found errors"]),
        ("/srv/vault", "rw,prjquota", "0", []),
        ("/srv/vaults", "ro", "3", []),
    ],
)
def test_a_filesystem_that_is_damaged_or_takes_no_more_writing(
    host: Watched, at: str, options: str, errors: str, told: list[str]
) -> None:
    """What errors=continue, ext4's default, goes on over, and what is mounted as before and only to be read."""
    host.write("/proc/self/mountinfo", f"29 1 9:127 / {at} rw,noatime shared:1 - ext4 /dev/md127 {options}\n")
    host.write("/sys/fs/ext4/md127/errors_count", f"{errors}\n")
    host.path("/sys/dev/block").mkdir(parents=True)
    host.path("/sys/dev/block/9:127").symlink_to("../../block/md127")
    said = "\n".join(host.look())
    assert [words for words in ("nobody can write", "ext4 has found errors") if words in said] == told
    assert not told or at in said


def test_a_second_disk_of_a_pool_that_takes_no_more_writing_is_news(host: Watched) -> None:
    """Of a pool of snapraid each disk has a filesystem of its own."""
    line = "29 1 8:{0} / /srv/.disks/vault/data{0} rw - ext4 /dev/sda{0} {1}\n"
    host.write("/proc/self/mountinfo", line.format(1, "ro") + line.format(2, "rw"))
    assert "to /srv/.disks/vault/data1, as after an error" in host.look()[0]
    assert host.look() == []
    host.write("/proc/self/mountinfo", line.format(1, "ro") + line.format(2, "ro"))
    assert "to /srv/.disks/vault/data1 /srv/.disks/vault/data2, as after an error" in host.look()[0]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("Input/output error", "its filesystem has given up after an error; see 'journalctl -k'"),
        ("Transport endpoint is not connected", "the mergerfs that joined its disks has died; run the deploy, which"),
    ],
)
def test_a_filesystem_that_has_given_up_is_not_told_as_another_one(host: Watched, words: str, why: str) -> None:
    """ext4 and XFS, shut down, and FUSE: nothing can be read, and of two mountpoint says that there is none."""
    broken = f'case $* in */.homelab-pool) echo "cat: $1: {words}" >&2; exit 1 ;; esac'
    host.fake("cat", f'{broken}\nexec /bin/cat "$@"')
    host.path("/srv/vault/.mounted").unlink()
    assert f"/srv/vault cannot be read, {why}" in host.look()[0]


def test_an_array_that_did_not_start_is_found(host: Watched) -> None:
    host.array(array_state="inactive")
    assert "is inactive, its data is not there" in host.look()[0]


def test_a_pool_that_is_away_keeps_what_was_known_of_it(host: Watched) -> None:
    host.full(96)
    host.look()
    host.path("/srv/vault/.mounted").unlink()
    said = host.look()
    assert "is not mounted" in said[0]
    assert "Over:" not in said
    (host.path("/srv/vault") / ".mounted").touch()
    assert "  over: pool vault: " in "\n".join(host.look())


@pytest.mark.parametrize("job", ["backup", "check", "restore"])
def test_a_job_that_failed_or_is_overdue_is_found(host: Watched, job: str) -> None:
    host.job(f"{job}-off", result="failed")
    (first, *_) = host.look()
    assert first.startswith("urgent: ") and first.endswith(": as it went")
    host.job(f"{job}-off")
    assert host.look()[0].startswith("default: over: ")
    host.job(f"{job}-off", good=1_000_000_000)
    assert "hours, the last time it said: as it went" in host.look()[0]


def test_after_a_start_what_is_overdue_gets_its_turn_first(host: Watched) -> None:
    host.write("/proc/uptime", "60.0 1.0\n")
    host.job("backup-off", good=1_000_000_000)
    assert host.look() == []


def test_a_failed_unit_is_said_with_its_last_words(host: Watched) -> None:
    host.write(
        "/units", "● homelab-other.service loaded failed failed x\nhomelab-watch.service loaded failed failed x\n"
    )
    assert host.look() == [
        "urgent: homelab-other.service failed",
        "New:",
        "  critical: homelab-other.service failed",
        "      the last words",
    ]
    host.write("/units", "homelab-other.service loaded activating start x\n")
    assert host.look() == []
    host.write("/units", "homelab-other.service loaded inactive dead x\n")
    assert host.look()[0] == "default: over: homelab-other.service failed"


@pytest.mark.parametrize("sub", ["auto-restart", "auto-restart-queued"])
def test_a_unit_that_ends_over_and_over_is_said(host: Watched, sub: str) -> None:
    host.write("/units", f"nut-monitor.service loaded activating {sub} x\n")
    assert host.look()[0] == "urgent: nut-monitor.service has ended and waits to be started again"
    host.write("/units", "nut-monitor.service loaded activating start x\n")
    assert host.look() == []
    host.write("/units", "nut-monitor.service loaded active running x\n")
    assert host.look()[0].startswith("default: over: nut-monitor.service")


def test_a_check_of_arrays_that_fails_is_said(host: Watched) -> None:
    failed = "mdcheck_start.service loaded failed failed MD array scrubbing"
    host.fake("systemctl", f'case "$*" in list-units*mdcheck_*) echo "{failed}" ;; is-active*) exit 0 ;; esac')
    assert host.look()[0] == "urgent: mdcheck_start.service failed"


def test_a_job_and_its_unit_are_one_trouble(host: Watched) -> None:
    host.job("check-off", result="failed")
    host.write("/units", "homelab-backup@off.service loaded failed failed x\n")
    assert host.run("unit-failed", "homelab-backup@off.service").returncode == 0
    sent = host.path("/sent").read_text()
    assert "homelab-backup@off" not in sent
    assert sent.count("critical") == 1


def test_a_watch_that_fails_or_hangs_is_told_once_a_day_until_it_looks_again(host: Watched) -> None:
    units = {each.path.rpartition("/")[2]: each.content for each in watch.files(nas(), "nas", {})}
    assert "OnFailure=" in units["homelab-watch.service"]
    assert "TimeoutStartSec=30min\n" in units["homelab-watch.service"]
    sent, noted = host.path("/sent"), host.path("/run/homelab/watch-failed")
    for ago, told in ((None, True), (0, False), (87_000, True), (-90_000, True)):
        sent.unlink(missing_ok=True)
        if ago is not None:
            noted.write_text(f"{int(time.time()) - ago}\n")
        assert host.run("unit-failed", "homelab-watch.service").returncode == 0
        assert sent.exists() is told and (not told or "homelab-watch.service failed" in sent.read_text())
    assert host.run("homelab-watch").returncode == 0
    assert not noted.exists()


def test_a_watch_that_nobody_could_be_told_of_is_told_again(host: Watched) -> None:
    host.path("/usr/local/lib/homelab/homelab-alert").write_text("#!/bin/sh\nexit 1\n")
    assert host.run("unit-failed", "homelab-watch.service").returncode == 1
    assert not host.path("/run/homelab/watch-failed").exists()


def test_without_word_sent_it_is_news_still(host: Watched) -> None:
    alert = host.path("/usr/local/lib/homelab/homelab-alert")
    sends = alert.read_text()
    alert.write_text("#!/bin/sh\nexit 1\n")
    host.array(degraded="1")
    assert host.run("homelab-watch").returncode == 1
    alert.write_text(sends)
    assert host.look()[1] == "New:"


def test_mdadm_makes_the_watch_look_at_once(host: Watched) -> None:
    host.array(degraded="1")
    assert host.run("mdadm-event", "Fail", "/dev/md127", "/dev/sda").returncode == 0
    assert "lacks 1 of its 2 disks" in host.path("/sent").read_text()
    host.path("/sent").unlink()
    host.run("mdadm-event", "RebuildFinished", "/dev/md127")
    assert not host.path("/sent").exists()


@pytest.mark.parametrize("event", ["Fail", "SpareActive", "DegradedArray"])
def test_at_each_event_it_is_noted_which_disks_an_array_runs_on(host: Watched, event: str) -> None:
    script = host.path("/usr/local/lib/homelab/homelab-array")
    script.write_text('#!/bin/sh\necho "$*" >>"$HOMELAB_ROOT/noted"\n')
    script.chmod(0o755)
    host.array(degraded="1")
    assert host.run("mdadm-event", event, "/dev/md127").returncode == 0
    assert host.path("/noted").read_text().splitlines()[0] == f"--note {event} /dev/md127"


def test_what_the_monitor_missed_is_noted_and_no_disk_is_woken_without_a_change(host: Watched) -> None:
    script = host.path("/usr/local/lib/homelab/homelab-array")
    script.write_text('#!/bin/sh\necho "$*" >>"$HOMELAB_ROOT/noted"; [ ! -e "$HOMELAB_ROOT/full" ]\n')
    script.chmod(0o755)
    host.write("/sys/block/md127/md/dev-sda/state", "in_sync\n")
    host.look()
    host.look()
    assert host.path("/noted").read_text() == "--note\n"
    # What could not be noted is tried again.
    host.write("/sys/block/md127/md/dev-sdb/state", "in_sync\n")
    host.write("/full", "")
    host.look()
    host.look()
    assert host.path("/noted").read_text() == "--note\n" * 3


def test_smart_is_asked_of_disks_that_have_it(tmp_path: Path) -> None:
    host = NasHost(tmp_path, nas())
    host.fake("lsblk", """printf 'NAME="sdy" SERIAL="C3"\\nNAME="sdx" SERIAL="  B2 "\\n'""")
    host.fake(
        "smartctl", 'case "$*" in *"-d sat"*) echo "SMART support is: Available - device has SMART capability." ;; esac'
    )
    lines = host.run("smartd-conf").stdout.splitlines()
    event = f"{host.path('/usr/local/lib/homelab')}/smartd-event"
    assert lines == [
        "# ata-A_1: is not there",
        "/dev/sdx -d sat -a -n standby,q -s (S/../../6/02|L/../12/./02) -W 0,65,75 -m homelab -M daily "
        f"-M exec {event}",
    ]
    host.fake("smartctl", "exit 2")
    assert "# serial:B2: /dev/sdx has no SMART" in host.run("smartd-conf").stdout
    probe = HostProbe(output={"nas_smart": "# serial:B2: /dev/sdx has no SMART\nsame\n"})
    assert watch.without_smart(probe) == ("serial:B2: /dev/sdx has no SMART",)


def test_a_virtual_disk_that_seems_to_sleep_has_no_smart(tmp_path: Path) -> None:
    """As smartctl 7.3 answers of a virtio disk, when it is told to speak ATA to it."""
    host = NasHost(tmp_path, nas())
    host.fake("lsblk", """echo 'NAME="vdb" SERIAL="B2"'""")
    host.fake("smartctl", 'case "$*" in *"-d sat"*) echo "Device is in SLEEP mode, exit(2)"; exit 2 ;; esac; exit 1')
    assert host.run("smartd-conf").stdout.splitlines() == [
        "# ata-A_1: is not there",
        "# serial:B2: /dev/vdb has no SMART",
    ]
    host.fake("lsblk", """echo 'NAME="sdx" SERIAL="B2"'""")
    assert host.run("smartd-conf").stdout.splitlines()[1].startswith("/dev/sdx -d sat -a ")


def test_a_first_run_knows_of_disks_that_cannot_have_smart(tmp_path: Path) -> None:
    (command,) = [command for name, command in watch.questions(nas()).commands if name == "nas_smart"]
    lsblk = tmp_path / "lsblk"
    lsblk.write_text("#!/bin/sh\necho 'sda    A1'\necho 'vdb    B2'\n")
    lsblk.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environment, check=False)
    assert watch.without_smart(HostProbe(output={"nas_smart": done.stdout})) == ("serial:B2: /dev/vdb has no SMART",)


def test_only_the_toolkits_own_timers_are_removed() -> None:
    described = nas(snapshots={"media": {"daily": 1}})
    listed = "homelab-snapshot@media.timer homelab-snapshot@gone.timer homelab-backup@off.timer homelab-x@y.timer"
    probe = HostProbe(output={"nas_units": listed.replace(" ", "\n")})
    stale = watch.stale(described, probe)
    assert stale == ("homelab-snapshot@gone.timer", "homelab-backup@off.timer")
    script = watch.remove(stale)
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)
    assert "/etc/homelab/backup/off.password" in script
    assert "media" not in script
    # The repository and the snapshots are nobody's rubbish.
    assert "/srv" not in script


def test_arrays_are_read_by_one_of_debians_two() -> None:
    described, off = nas(), {watch.MD_DEFAULTS: "AUTOCHECK=false\nAUTOSCAN=false\n"}
    debian = HostProbe(text={watch.MD_DEFAULTS: "AUTOCHECK=true\nAUTOSCAN=true\n"})
    assert not watch.one_check(described, debian)
    assert not watch.one_check(described, HostProbe(text=off, units={watch.MD_REMINDER: RUNNING}))
    assert watch.one_check(described, HostProbe(text=off))
    assert not watch.one_check(described, HostProbe())
    assert watch.one_check(described, HostProbe(packages=frozenset({"mdadm"})))
    assert watch.one_check(described, HostProbe(text={watch.MD_DEFAULTS: "# AUTOCHECK=true\n"}))
    assert {*watch.MD_TIMERS, "fstrim.timer"} <= set(watch.timers(described))
    assert "fstrim.timer" not in watch.timers(described, "lxc")
    subprocess.run(["sh", "-n"], input=watch.ONE_CHECK, text=True, check=True)


def test_the_monitor_of_arrays_starts_our_program() -> None:
    files = {file.path: file.content for file in watch.files(nas(), "nas", {})}
    dropin = files["/etc/systemd/system/mdmonitor.service.d/homelab.conf"]
    assert "ExecStart=\nExecStart=/sbin/mdadm --monitor --scan --program /usr/local/lib/homelab/mdadm-event\n" in dropin
    assert watch.monitors(nas())
    running = "/sbin/mdadm --monitor --scan --program /usr/local/lib/homelab/mdadm-event "
    assert watch.monitor_as_it_is(HostProbe(output={"nas_mdmonitor": running}))
    assert not watch.monitor_as_it_is(HostProbe(output={"nas_mdmonitor": "/sbin/mdadm --monitor --scan "}))


def test_each_file_is_asked_for_and_laid_once() -> None:
    described = nas(
        snapshots={"media": {"daily": 1}},
        backups={"off": {"volumes": ["media"], "to": "/srv/vault/restic", "password": "env:X"}},
    )
    paths = [file.path for file in watch.files(described, "nas", {"off": "correct horse"})]
    assert len(paths) == len(set(paths))
    asked = watch.questions(described)
    assert set(paths) <= set(asked.paths)
    assert set(watch.timers(described)) <= set(asked.units)
    for name, command in asked.commands:
        subprocess.run(["sh", "-n"], input=command, text=True, check=True)
        assert name.startswith("nas_")


def test_jobs_wait_for_pools_that_are_on_their_way() -> None:
    described = nas()
    waits = {each.path: each.content for each in watch.files(described, "nas", dict.fromkeys(described.backups, "x"))}
    after = "After=" + " ".join(f"srv-{pool}.mount" for pool in described.pools)
    jobs = [path for path in waits if path.endswith(".service.d/pools.conf")]
    assert "/etc/systemd/system/homelab-watch.service.d/pools.conf" in jobs
    assert all(waits[path] == f"[Unit]\n{after}\n" for path in jobs)


# The text format as https://prometheus.io/docs/instrumenting/exposition_formats/ has it.
_SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\d+(?:\.\d+)?)')


def samples(text: str) -> dict[str, str]:
    """Samples by name and labels; meaning and type of each metric stand once, before all its samples."""
    found: dict[str, str] = {}
    told: dict[str, list[str]] = {}
    current = ""
    for line in text.splitlines():
        if line.startswith("# "):
            _, kind, name, _ = line.split(" ", 3)
            told.setdefault(name, []).append(kind)
            current = name
            continue
        matched = _SAMPLE.fullmatch(line)
        assert matched, line
        assert matched[1] == current
        assert line.rpartition(" ")[0] not in found, "each series once"
        found[line.rpartition(" ")[0]] = matched[3]
    assert text.endswith("\n")
    assert all(kinds == ["HELP", "TYPE"] for kinds in told.values())
    return found


def known() -> dict[str, str]:
    """The table of metrics, name to meaning."""
    script = f". {SCRIPTS}/metrics.sh; metrics_known"
    told = subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True).stdout
    rows = [line.split(" ", 2) for line in told.splitlines()]
    assert all(kind == "gauge" for _, kind, _ in rows)
    return {name: meaning for name, _, meaning in rows}


def test_what_the_watch_sees_are_metrics(host: Watched) -> None:
    host.array(degraded="1", sync_action="recover", mismatch_cnt="8")
    host.job("backup-off", good=1_000_000_000)
    host.job("restore-off", result="failed")
    with host.path("/var/lib/homelab/status/restore-off").open("a") as status:
        status.write('compared=3\nchanged=0\nnonsense="x"\n')
    host.write("/units", "homelab-x\\x2dy.service loaded failed failed x\n")
    host.look()
    found = samples(host.metrics())
    wanted = {
        'homelab_md_active{array="md127"}': "1",
        'homelab_md_missing_disks{array="md127"}': "1",
        'homelab_md_syncing{array="md127"}': "1",
        'homelab_md_mismatches{array="md127"}': "8",
        'homelab_pool_mounted{pool="vault"}': "1",
        'homelab_pool_size_bytes{pool="vault"}': "1024000",
        'homelab_pool_free_bytes{pool="vault"}': "921600",
        'homelab_job_last_good_timestamp_seconds{job="backup",name="off"}': "1000000000",
        'homelab_job_ok{job="backup",name="off"}': "1",
        'homelab_job_ok{job="restore",name="off"}': "0",
        'homelab_restore_compared{name="off"}': "3",
        'homelab_finding{key="array-md127",level="critical"}': "1",
        'homelab_finding{key="unit-homelab-x\\\\x2dy.service",level="critical"}': "1",
        'homelab_findings{level="warning"}': "0",
    }
    assert {name: found.get(name) for name in wanted} == wanted
    assert {name.partition("{")[0] for name in found} <= set(known())
    assert found["homelab_watch_last_run_timestamp_seconds"] > "1700000000"


def test_a_pool_that_is_away_has_no_size(host: Watched) -> None:
    host.path("/srv/vault/.mounted").unlink()
    host.look()
    found = samples(host.metrics())
    assert found['homelab_pool_mounted{pool="vault"}'] == "0"
    assert not [name for name in found if "bytes" in name]


def test_metrics_are_there_though_no_alert_gets_out(host: Watched) -> None:
    host.path("/usr/local/lib/homelab/homelab-alert").write_text("#!/bin/sh\nexit 1\n")
    host.array(degraded="1")
    assert host.run("homelab-watch").returncode == 1
    assert samples(host.metrics())['homelab_findings{level="critical"}'] == "1"


def test_node_exporters_own_folder_is_used_where_it_is(host: Watched) -> None:
    folder = host.path("/var/lib/prometheus/node-exporter")
    folder.mkdir(parents=True)
    host.look()
    assert [path.name for path in folder.iterdir()] == ["homelab.prom"]
    assert (folder / "homelab.prom").stat().st_mode & 0o777 == 0o644


def test_the_readme_tells_every_metric() -> None:
    readme = (SCRIPTS.parent / "README.md").read_text().partition("<!-- metrics -->\n")[2]
    rows = [f"| `{name}` | {meaning} |" for name, meaning in known().items()]
    assert readme.splitlines()[2:] == rows
    sources = "".join(path.read_text() for path in SCRIPTS.iterdir())
    published = set(re.findall(r"metric (homelab_\w+)", sources))
    # What jobs note is published under their names.
    noted = {f"homelab_{job}_{key}" for job, keys in JOBS.items() for key in keys}
    assert published | noted == set(known())


JOBS = {
    "snapshot": ("count", "deleted"),
    "scrub": ("repaired", "repaired_bytes", "uncorrectable"),
    "sync": ("added", "updated", "removed"),
    "snapraid": ("bad", "unsynced"),
    "check": ("part",),
    "restore": ("compared", "changed"),
    "recycle": ("deleted",),
    "alert": ("undelivered",),
}


def test_the_numbers_that_jobs_note_are_those_of_the_table() -> None:
    noted: dict[str, set[str]] = {}
    for path in SCRIPTS.iterdir():
        for job, rest in re.findall(r"\bstatus (\w+) .*?\"((?:.|\\\n)*?)(?:\n|$)", path.read_text()):
            noted.setdefault(job, set()).update(re.findall(r" ([a-z_]+)=", rest))
    assert {job: keys for job, keys in noted.items() if keys} == {job: set(keys) for job, keys in JOBS.items()}


def test_a_job_that_never_ran_keeps_the_age_of_its_wish(host: Watched) -> None:
    host.job("check-off")
    host.job("restore-off")
    host.write("/var/lib/homelab/wishes", "backup-off\t1000000000\n")
    assert "backup off did not succeed for" in host.look()[0]
    # Whatever else is asked for since.
    config = host.path("/etc/homelab/watch")
    config.write_text(config.read_text() + "snapshot media tank 180000\n")
    assert host.look() == []
    wishes = dict(line.split("\t") for line in host.path("/var/lib/homelab/wishes").read_text().splitlines())
    assert wishes["backup-off"] == "1000000000"
    # What nobody asks for any more is forgotten.
    config.write_text("pool vault mdraid\n")
    host.look()
    assert host.path("/var/lib/homelab/wishes").read_text() == ""


def test_what_was_noted_while_the_clock_was_ahead_is_no_excuse_for_years(host: Watched) -> None:
    ahead = 9_999_999_999
    for job in ("backup", "check", "restore"):
        host.job(f"{job}-off", good=ahead)
    host.write("/var/lib/homelab/wishes", f"backup-off\t1000000000\ncheck-off\t{ahead}\n")
    host.array(degraded="1")
    assert "backup off did not succeed for" in "\n".join(host.look())
    wishes = dict(line.split("\t") for line in host.path("/var/lib/homelab/wishes").read_text().splitlines())
    assert int(wishes["check-off"]) < ahead
    state = host.path("/var/lib/homelab/watch")
    lines = [line.split("\t") for line in state.read_text().splitlines()]
    state.write_text("".join("\t".join([*line[:3], str(ahead), line[4]]) + "\n" for line in lines))
    assert "still: " in host.look()[0]


def test_a_scrub_that_was_noted_while_the_clock_was_ahead_is_due(tmp_path: Path) -> None:
    host = NasHost(tmp_path, nas())
    host.path("/srv/tank/.mounted").unlink()
    for good, code in ((int(time.time()), 0), (9_999_999_999, 1)):
        host.job("scrub-tank", good=good)
        assert host.run("homelab-scrub", "tank").returncode == code


class OfBtrfs(NasHost):
    """A host whose pool of btrfs is `running` a scrub until the script has slept, and then as `then` has it."""

    def scrub(
        self, first: str, then: str, errors: int = 0, replaced: str = "Never started"
    ) -> subprocess.CompletedProcess[str]:
        self.write("/state", first)
        self.write("/then", then)
        self.fake("sleep", 'cp "$HOMELAB_ROOT/then" "$HOMELAB_ROOT/state"')
        self.fake(
            "btrfs",
            'echo "$*" >>"$HOMELAB_ROOT/btrfs-asked"\ncase "$1 $2 $3" in\n'
            f'"replace status "*) echo "{replaced}" ;;\n'
            f'"scrub status -R") printf "\tuncorrectable_errors: {errors}\\n\tcorrected_errors: 2\\n" ;;\n'
            '"scrub status "*) said=$(cat "$HOMELAB_ROOT/state")\n'
            'case $said in *:*) echo "$said" ;; *) echo "Status:           $said" ;; esac ;;\n'
            '"scrub "*) echo finished >"$HOMELAB_ROOT/state" ;;\nesac',
        )
        self.path("/btrfs-asked").unlink(missing_ok=True)
        return self.run("homelab-scrub", "tank", "now")

    def begun(self) -> list[str]:
        lines = self.path("/btrfs-asked").read_text().splitlines()
        return [line.rpartition(" ")[0] for line in lines if line.startswith("scrub ") and "status" not in line]


@pytest.mark.parametrize(
    ("first", "then", "begun"),
    [
        ("no stats available", "", ["scrub start -B"]),
        ("running", "finished", []),
        ("ETA:              Mon Nov 30 13:22:40 2026", "finished", []),
        ("running", "aborted", ["scrub resume -B"]),
        ("interrupted", "", ["scrub resume -B"]),
    ],
)
def test_a_scrub_of_somebody_elses_is_waited_for_and_counts(
    tmp_path: Path, first: str, then: str, begun: list[str]
) -> None:
    """As replace_disk begins one; no alert of a failed scrub comes of it."""
    host = OfBtrfs(tmp_path, nas())
    done = host.scrub(first, then)
    assert done.returncode == 0, done.stderr
    assert host.begun() == begun
    assert ("is running and is waited for" in done.stderr) is (first.startswith(("running", "ETA:")))
    status = host.status("scrub-tank")
    assert (status["result"], status["repaired"]) == ("ok", "2")


def test_what_a_scrub_of_somebody_elses_found_is_told(tmp_path: Path) -> None:
    host = OfBtrfs(tmp_path, nas())
    assert host.scrub("running", "finished", errors=3).returncode == 1
    assert host.status("scrub-tank")["message"].startswith("3 blocks are damaged")


def test_a_btrfs_whose_disk_is_being_rebuilt_is_scrubbed_another_time(tmp_path: Path) -> None:
    host = OfBtrfs(tmp_path, nas())
    done = host.scrub("finished", "", replaced="40.5% done, 0 write errs, 0 uncorr. read errs")
    assert (done.returncode, host.begun()) == (0, [])
    assert "a disk is being rebuilt; the next turn is in a week" in done.stderr
    assert not host.path("/var/lib/homelab/status/scrub-tank").exists()


def test_a_job_with_nothing_to_do_yet_is_no_trouble_and_no_proof(host: Watched) -> None:
    host.job("backup-off")
    host.job("check-off")
    host.write("/var/lib/homelab/wishes", "restore-off\t1000000000\n")
    now = int(time.time())
    host.write("/var/lib/homelab/status/restore-off", f"time={now}\nresult=nothing\ngood=0\nmessage=nothing yet\n")
    assert host.look() == []
    assert samples(host.metrics())['homelab_job_last_good_timestamp_seconds{job="restore",name="off"}'] == "0"


# smartctl -H -A of smartmontools 7.3, shortened: an ATA disk, an NVMe one, a SCSI one.
_ATA = """SMART overall-health self-assessment test result: PASSED
ID# ATTRIBUTE_NAME          FLAG     VALUE WORST THRESH TYPE      UPDATED  WHEN_FAILED RAW_VALUE
190 Airflow_Temperature_Cel 0x0022   064   050   040    Old_age   Always       -       99 (Min/Max 21/38)
194 Temperature_Celsius     0x0022   036   050   000    Old_age   Always       -       36 (0 17 0 0 0)
"""
_NVME = """SMART overall-health self-assessment test result: FAILED!
Critical Warning:                   0x04
Temperature:                        41 Celsius
"""
_SCSI = "SMART Health Status: OK\nCurrent Drive Temperature:     33 C\n"


@pytest.mark.parametrize(
    "said, code, healthy, temperature", [(_ATA, 0, "1", "36"), (_NVME, 8, "0", "41"), (_SCSI, 0, "1", "33")]
)
def test_smart_is_a_verdict_and_a_temperature(
    host: Watched, said: str, code: int, healthy: str, temperature: str
) -> None:
    host.smart(said, code)
    host.look()
    found = samples(host.metrics())
    assert found['homelab_smart_healthy{disk="serial:B2"}'] == healthy
    assert found['homelab_smart_temperature_celsius{disk="serial:B2"}'] == temperature


def test_a_disk_that_nobody_used_is_not_asked_and_its_last_answer_stands(host: Watched) -> None:
    host.smart(_ATA)
    host.look()
    host.look()
    assert host.path("/asked").read_text().splitlines() == ["-n standby -d sat -H -A /dev/sdx"]
    assert samples(host.metrics())['homelab_smart_temperature_celsius{disk="serial:B2"}'] == "36"
    host.write("/sys/class/block/sdx/stat", "101 0 0 0 200 0 0 0 0 0 0\n")
    host.smart("Device is in STANDBY mode, exit(2)\n", 2)
    host.look()
    assert len(host.path("/asked").read_text().splitlines()) == 2
    assert samples(host.metrics())['homelab_smart_temperature_celsius{disk="serial:B2"}'] == "36"


def test_a_disk_that_came_after_smartd_had_looked_for_it_is_watched_all_the_same(host: Watched) -> None:
    """Disks that a controller spins up one after the other are there later than a boot is through."""
    host.smart("SMART overall-health self-assessment test result: PASSED")
    conf = host.path("/run/homelab-smartd/smartd.conf")
    conf.write_text("# ata-A_1: is not there\n# serial:B2: is not there\n")
    host.fake(
        "systemctl",
        f"""case $1 in
  try-restart) echo "$2" >>"$HOMELAB_ROOT/restarted"; echo '/dev/sdx -a' >{conf} ;;
  is-active) exit 0 ;;
esac""",
    )
    assert host.look() == [] and host.look() == []
    assert host.path("/restarted").read_text() == "smartmontools.service\n"


def test_a_disk_without_smart_has_no_such_metrics(host: Watched) -> None:
    host.smart(_ATA)
    host.write("/run/homelab-smartd/smartd.conf", "# serial:B2: /dev/sdx has no SMART\n")
    host.look()
    assert "homelab_smart" not in host.metrics()
    assert not host.path("/asked").exists()


def test_a_btrfs_disk_that_is_gone_is_told_by_the_same_signs_as_in_a_deploy() -> None:
    function = LIVES[LIVES.index("lives() {") :].strip()
    assert function in (SCRIPTS / "homelab-watch").read_text(encoding="utf-8")
