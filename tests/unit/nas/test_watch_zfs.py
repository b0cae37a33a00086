"""Pools of ZFS: what the watch makes of zpool's words and of its silence, their scrubs, and who else scrubs them."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from homelab.nas import watch
from homelab.probe import FileState, HostProbe, UnitState
from tests.zfs_host import STATUS, ZfsHost, zfs_nas

RUNNING = UnitState(load="loaded", active="active", enabled="enabled")


class Watched(ZfsHost):
    """A host whose alerts go nowhere and whose last scrub was a moment ago."""

    def __init__(self, root: Path):
        super().__init__(root)
        self.path("/usr/local/lib/homelab/homelab-alert").write_text("#!/bin/sh\ncat >/dev/null\n")
        self.job("scrub-tank")

    def found(self) -> dict[str, tuple[str, str]]:
        """What one look finds: its level and its text, by key."""
        done = self.run("homelab-watch")
        assert done.returncode == 0, done.stderr
        lines = [line.split("\t") for line in self.path("/var/lib/homelab/watch").read_text().splitlines()]
        return {line[0]: (line[1], line[4]) for line in lines}

    def metrics(self) -> dict[str, str]:
        """What it published of the pool."""
        lines = self.path("/var/lib/homelab/metrics/homelab.prom").read_text().splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name.removesuffix('{pool="tank"}'): value for name, _, value in pairs}


@pytest.fixture
def host(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


@pytest.mark.parametrize("said", ["sound", "features", "scrubbing"])
def test_a_sound_pool_is_silent_whatever_it_could_be_upgraded_to(host: Watched, said: str) -> None:
    host.status_of(said)
    assert host.found() == {}
    metrics = host.metrics()
    names = ("online", "missing_disks", "resilvering", "errors", "damaged")
    assert [metrics[f"homelab_zfs_{name}"] for name in names] == ["1", "0", "0", "0", "0"]
    # Of the whole pool: df would see the folder of its root dataset alone.
    assert metrics["homelab_pool_size_bytes"] == str(100 * 2**30)
    assert metrics["homelab_pool_free_bytes"] == str(90 * 2**30)


B = "ata-WDC_WD40EFRX_WD-B2"


@pytest.mark.parametrize(
    ("said", "level", "text"),
    [
        (
            "missing",
            "critical",
            f"pool tank is DEGRADED: 1234567890123456789 (UNAVAIL, was /dev/disk/by-id/{B}-part1)",
        ),
        ("faulted", "critical", f"pool tank is DEGRADED: {B} (FAULTED, too many errors)"),
        (
            "replacing",
            "warning",
            "pool tank: it resilvers, 24.82% done, and bears fewer losses until that is done "
            f"(in place of {B} (UNAVAIL, was /dev/disk/by-id/{B}-part1))",
        ),
        (
            "replacing-two-lost",
            "critical",
            f"pool tank is DEGRADED: ata-WDC_WD40EFRX_WD-A1 (UNAVAIL, cannot open), {B} (UNAVAIL, cannot open); "
            "it resilvers, 24.82% done",
        ),
        (
            "replacing-lost",
            "critical",
            f"pool tank is DEGRADED: {B} (UNAVAIL, cannot open), ata-WDC_WD40EFRX_WD-C3 (REMOVED); "
            "it resilvers, 24.82% done",
        ),
        (
            "resilvering",
            "warning",
            "pool tank: it resilvers, 24.82% done, and bears fewer losses until that is done",
        ),
        (
            "rebuilding",
            "warning",
            "pool tank: it resilvers, 24.82% done, and bears fewer losses until that is done",
        ),
        ("spares", "warning", "pool tank has all its data, and yet: nvme-X_1 (UNAVAIL, cannot open)"),
        ("spared", "critical", f"pool tank is DEGRADED: {B} (UNAVAIL, cannot open)"),
    ],
)
def test_what_a_pool_lacks_is_told_and_what_takes_its_place(host: Watched, said: str, level: str, text: str) -> None:
    host.status_of(said)
    assert host.found()["zfs-tank"] == (level, text)


def test_it_is_noted_which_disks_a_pool_runs_on_and_nothing_is_asked_without_a_change(host: Watched) -> None:
    script = host.path("/usr/local/lib/homelab/homelab-zpool")
    script.write_text('#!/bin/sh\necho "$*" >>"$HOMELAB_ROOT/noted"; [ ! -e "$HOMELAB_ROOT/full" ]\n')
    script.chmod(0o755)
    noted = host.path("/noted")
    host.found()
    host.found()
    assert noted.read_text() == "--note tank\n"
    # What could not be noted is tried again.
    host.write("/full", "")
    for said in ("missing", "missing"):
        host.status_of(said)
        host.found()
    assert noted.read_text() == "--note tank\n" * 3
    # What was written counts once that is over.
    host.path("/full").unlink()
    for said in ("resilvering", "sound"):
        host.status_of(said)
        host.found()
    assert noted.read_text() == "--note tank\n" * 5
    # One that waits for its disks is asked nothing.
    host.kernel("SUSPENDED")
    host.status_of("missing")
    host.found()
    assert noted.read_text() == "--note tank\n" * 5


def test_a_zed_that_has_failed_is_told(host: Watched) -> None:
    failed = "zfs-zed.service loaded failed failed ZFS Event Daemon"
    host.fake(
        "systemctl",
        f'case "$*" in list-units*zfs-zed*) echo "{failed}" ;; *homelab-zfs-look.service) exit 3 ;; esac',
    )
    assert host.found() == {"unit-zfs-zed.service": ("critical", "zfs-zed.service failed")}


def test_errors_of_disks_are_told_until_they_are_cleared(host: Watched) -> None:
    host.status_of("checksums")
    assert host.found() == {
        "errors-tank": (
            "critical",
            f"pool tank: disks have had errors: {B} 1043, see 'zpool status tank'; 'zpool clear tank' forgets them",
        )
    }
    assert host.metrics()["homelab_zfs_errors"] == "1043"
    host.status_of("faulted")
    found = host.found()
    assert "115" in found["errors-tank"][1] and "FAULTED" in found["zfs-tank"][1]
    assert host.metrics()["homelab_zfs_missing_disks"] == "1"


def test_damaged_files_are_told(host: Watched) -> None:
    host.status_of("damaged")
    level, text = host.found()["damage-tank"]
    assert (level, text[:28]) == ("critical", "pool tank: 3 files or other ")
    assert host.metrics()["homelab_zfs_damaged"] == "3"


def test_words_that_nobody_knows_are_no_proof_that_all_is_well(host: Watched) -> None:
    text = (STATUS / "sound.txt").read_text()
    host.write(
        "/zpool-status", text.replace("No known data errors", "List of errors unavailable").replace("ONLINE", "X")
    )
    found = host.found()
    assert "nobody can tell how many files" in found["damage-tank"][1]
    assert found["zfs-tank"][0] == "critical"
    assert "homelab_zfs_damaged" not in host.metrics()


@pytest.mark.parametrize(("used", "level"), [(84, None), (86, "warning"), (96, "critical")])
def test_a_pool_is_full_by_all_of_its_volumes_and_snapshots(host: Watched, used: int, level: str | None) -> None:
    host.status_of("sound", used, 100 - used)
    assert host.found().get("full-tank", (None, ""))[0] == level


def test_a_pool_that_has_given_up_is_told_and_nothing_touches_it(host: Watched) -> None:
    host.status_of("missing")
    host.found()
    host.kernel("SUSPENDED")
    host.path("/zfs-asked").unlink()
    found = host.found()
    assert found["pool-tank"][0] == "critical"
    assert "it is SUSPENDED" in found["pool-tank"][1] and "zpool clear tank" in found["pool-tank"][1]
    # What was known of it stays as it was.
    assert "DEGRADED" in found["zfs-tank"][1]
    assert not host.path("/zfs-asked").exists()
    assert host.metrics()["homelab_pool_mounted"] == "0"


def test_a_zpool_that_hangs_is_told_and_asked_no_second_time(host: Watched) -> None:
    # Its unit runs on, and gives no answer.
    host.fake("systemd-run", 'echo "$*" >>"$HOMELAB_ROOT/runs"')
    host.fake("sleep", ":")
    assert "zpool does not answer" in host.found()["pool-tank"][1]
    (run,) = host.path("/runs").read_text().splitlines()[:1]
    assert run.startswith("--quiet --collect --unit=homelab-zfs-look.service sh -c")
    host.fake(
        "systemctl", 'case $* in "is-active --quiet homelab-zfs-look.service") exit 0 ;; is-active*) exit 0 ;; esac'
    )
    host.path("/runs").unlink()
    assert "zpool has not answered since an earlier look" in host.found()["pool-tank"][1]
    assert not host.path("/runs").exists()


def test_a_host_that_cannot_start_a_unit_says_why(host: Watched) -> None:
    host.fake("systemd-run", "echo 'Failed to connect to bus' >&2; exit 1")
    assert host.found()["pool-tank"][1] == "pool tank: Failed to connect to bus"


def test_a_pool_that_is_not_there_is_told_with_its_reason(host: Watched) -> None:
    host.write("/zpool-status", "no pools available\n")
    assert "it is not imported" in host.found()["pool-tank"][1]
    (host.path("/sys/module/zfs")).rmdir()
    assert "the ZFS module is not loaded" in host.found()["pool-tank"][1]
    host.path("/sys/module/zfs").mkdir()
    host.status_of("sound")
    host.path("/srv/tank/.mounted").unlink()
    assert "is not mounted" in host.found()["pool-tank"][1]


def test_another_pools_words_are_not_this_ones(host: Watched) -> None:
    other = (STATUS / "faulted.txt").read_text().replace("tank", "tank2")
    host.write("/zpool-status", other + "\n" + (STATUS / "sound.txt").read_text())
    assert host.found() == {}


def test_a_volume_that_is_not_mounted_is_told(host: Watched) -> None:
    host.mounted("photos")
    level, text = host.found()["volume-photos"]
    assert level == "critical"
    assert text == "volume photos: its dataset tank/photos is not mounted at /srv/tank/photos"
    assert host.path("/etc/homelab/watch").read_text().splitlines() == ["pool tank zfs media photos"]


def test_a_volume_that_takes_no_writes_is_told_and_a_snapshot_that_is_looked_at_is_not(host: Watched) -> None:
    lines = host.path("/proc/self/mountinfo").read_text().replace(str(host.root), "")
    snapshot = "30 1 0:50 / /srv/tank/media/.zfs/snapshot/GMT-2026 ro - zfs tank/media@GMT-2026 ro,xattr\n"
    host.write("/proc/self/mountinfo", lines + snapshot)
    assert "readonly-tank" not in host.found()
    host.write("/proc/self/mountinfo", lines.replace("tank/photos rw,", "tank/photos ro,"))
    assert "/srv/tank/photos" in host.found()["readonly-tank"][1]


@pytest.mark.parametrize(
    ("kernels", "told"),
    [
        (["6.1.0-9-amd64", "6.1.0-57-amd64"], "6.1.0-57-amd64"),
        (["6.1.0-9-amd64", "6.1.0-9-cloud"], ""),
        ([], ""),
    ],
)
def test_a_kernel_without_the_module_is_told_before_it_is_booted(host: Watched, kernels: list[str], told: str) -> None:
    host.fake("uname", "case $1 in -r) echo 6.1.0-9-amd64 ;; *) echo nas ;; esac")
    host.fake("modinfo", '[ "$2" = 6.1.0-9-amd64 ]')
    for kernel in kernels:
        host.write(f"/boot/vmlinuz-{kernel}", "")
    found = host.found()
    assert ("zfs-module" in found) is bool(told)
    assert not told or found["zfs-module"][1].startswith(f"kernel {told} has no ZFS module")


class Scrubbed(ZfsHost):
    """A host whose zpool does a scrub, after which it says what is in a file."""

    def scrub(self, before: str, after: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        self.write("/zpool-status", (STATUS / f"{before}.txt").read_text())
        self.write("/after", after)
        self.fake(
            "zpool",
            'echo "$*" >>"$HOMELAB_ROOT/zpool-asked"; case $1 in status) cat "$HOMELAB_ROOT/zpool-status" ;; '
            f'*) cp "$HOMELAB_ROOT/after" "$HOMELAB_ROOT/zpool-status"; exit {code} ;; esac',
        )
        self.path("/zpool-asked").unlink(missing_ok=True)
        return self.run("homelab-scrub", "tank")

    def asked(self) -> list[str]:
        return [line for line in self.path("/zpool-asked").read_text().splitlines() if line != "status tank"]


def scanned(line: str) -> str:
    return f"  pool: tank\n state: ONLINE\n  scan: {line}\nconfig:\n"


@pytest.mark.parametrize(
    ("before", "asked"), [("sound", "scrub -w tank"), ("scrubbing", "wait -t scrub tank"), ("spared", "scrub -w tank")]
)
def test_a_scrub_is_begun_or_waited_for_and_its_result_noted(tmp_path: Path, before: str, asked: str) -> None:
    host = Scrubbed(tmp_path)
    done = host.scrub(before, scanned("scrub repaired 1.50M in 01:02:03 with 0 errors on Sun Nov 29 01:31:12 2026"))
    assert done.returncode == 0, done.stderr
    assert host.asked() == [asked]
    assert ("is running and is waited for" in done.stderr) is (before == "scrubbing")
    status = host.status("scrub-tank")
    assert (status["result"], status["repaired_bytes"], status["uncorrectable"]) == ("ok", "1572864", "0")
    # Four weeks later is soon enough.
    assert host.scrub("sound", "").returncode == 0
    assert not host.path("/zpool-asked").exists()


@pytest.mark.parametrize(
    ("after", "code", "told"),
    [
        ("scrub repaired 0B in 01:02:03 with 3 errors on Sun Nov 29 01:31:12 2026", 0, "3 blocks are damaged"),
        ("scrub canceled on Sun Nov 29 01:31:12 2026", 0, "ended early: scrub canceled"),
        ("resilvered 2.40G in 00:01:02 with 0 errors on Sun Nov 29 01:31:12 2026", 0, "something else took its place"),
        ("none requested", 1, "zpool exited with 1"),
    ],
)
def test_a_scrub_that_found_damage_or_did_not_end_is_loud(tmp_path: Path, after: str, code: int, told: str) -> None:
    host = Scrubbed(tmp_path)
    assert host.scrub("sound", scanned(after), code).returncode == 1
    assert host.status("scrub-tank")["result"] == "failed"
    assert told in host.status("scrub-tank")["message"]


def test_a_rebuild_is_not_disturbed(tmp_path: Path) -> None:
    host = Scrubbed(tmp_path)
    for said in ("resilvering", "rebuilding"):
        done = host.scrub(said, "")
        assert "a disk is being rebuilt" in done.stderr
        assert done.returncode == 0, "it is no failure, of which somebody would be told"
        assert host.asked() == []


def test_a_thorough_scrub_which_newer_zfs_knows_is_a_scrub(tmp_path: Path) -> None:
    host = Scrubbed(tmp_path)
    line = "thorough scrub repaired 0B in 01:02:03 with 0 errors on Sun Nov 29 01:31:12 2026"
    assert host.scrub("sound", scanned(line)).returncode == 0


def test_a_scrub_beside_a_rebuild_of_old_is_told_by_its_own_line(tmp_path: Path) -> None:
    host = Scrubbed(tmp_path)
    lines = (
        "scrub repaired 0B in 01:02:03 with 0 errors on Sun Nov 29 01:31:12 2026\n  scan: resilvered (mirror-0) 2G in 1"
    )
    assert host.scrub("sound", scanned(lines)).returncode == 0


def test_one_timer_alone_scrubs_pools_of_zfs() -> None:
    described = zfs_nas()
    told = watch.to_scrub_alone(described, HostProbe())
    assert told == "zfs set org.debian:periodic-scrub=disable tank"
    alone = HostProbe(output={"nas_zfs_scrubs": "tank\tdisable\n"})
    assert watch.to_scrub_alone(described, alone) == ""
    assert watch.to_scrub_alone(described, HostProbe(output={"nas_zfs_scrubs": "tank\tauto\n"})) == told
    timed = HostProbe(output=alone.output, units={"zfs-scrub-monthly@tank.timer": RUNNING})
    assert watch.to_scrub_alone(described, timed) == "systemctl disable --now --quiet zfs-scrub-monthly@tank.timer"
    asked = watch.questions(described)
    assert {"zfs-scrub-weekly@tank.timer", "zfs-scrub-monthly@tank.timer", watch.ZED} <= set(asked.units)
    for name, command in asked.commands:
        subprocess.run(["sh", "-n"], input=command, text=True, check=True)
        assert name.startswith("nas_")
    assert "homelab-scrub@tank.timer" in watch.timers(described)


def test_zed_starts_the_watch_and_is_started_anew_for_that_once() -> None:
    (zedlet,) = [each for each in watch.files(zfs_nas(), "nas", {}) if "/zed.d/" in each.path]
    # ZED runs what is named by the class of the event, and only what nobody but root may write to.
    assert zedlet.path == "/etc/zfs/zed.d/statechange-homelab.sh" and zedlet.mode == "0755"
    subprocess.run(["sh", "-n"], input=zedlet.content, text=True, check=True)
    laid = {zedlet.path: FileState("file", zedlet.mode, zedlet.owner, zedlet.sha256)}
    assert watch.zed(zfs_nas())
    assert not watch.zed_as_it_is(HostProbe(files=laid))
    assert not watch.zed_as_it_is(HostProbe(output={"nas_zed": "read\n"}))
    assert watch.zed_as_it_is(HostProbe(files=laid, output={"nas_zed": "read\n"}))


@pytest.mark.parametrize(
    ("started", "read"), [("Mon 2026-11-30 05:00:00 UTC", True), ("Sun 2020-11-29 05:00:00 UTC", False)]
)
def test_zed_has_read_what_was_there_before_it_started(tmp_path: Path, started: str, read: bool) -> None:
    (command,) = [command for name, command in watch.questions(zfs_nas()).commands if name == "nas_zed"]
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f"#!/bin/sh\necho '{started}'\n")
    systemctl.chmod(0o755)
    # The file is as old as the day before ZED was started.
    (tmp_path / "stat").write_text("#!/bin/sh\ndate -d 2026-11-29 +%s\n")
    (tmp_path / "stat").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environment, check=False)
    assert (done.stdout == "read\n") is read


def test_jobs_wait_for_each_volume_of_zfs() -> None:
    waits = {each.path: each.content for each in watch.files(zfs_nas(), "nas", {})}
    after = "[Unit]\nAfter=srv-tank.mount srv-tank-media.mount srv-tank-photos.mount\n"
    assert waits["/etc/systemd/system/homelab-watch.service.d/pools.conf"] == after


def test_a_scrub_that_is_overdue_is_told(host: Watched) -> None:
    host.job("scrub-tank", good=int(time.time()) - 6_500_000)
    assert "pool tank was not scrubbed well for" in host.found()["scrub-tank"][1]
