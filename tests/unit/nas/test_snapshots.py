"""Snapshots: what a retention keeps, by the host's script and by the plan alike, and on a real btrfs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homelab.model.nas import Snapshots
from homelab.nas import snapshots
from homelab.probe import HostProbe
from tests.nas_host import SCRIPTS, UUID, NasHost, nas, on_btrfs, ran
from tests.sweeps import examples
from tests.zfs_host import ZfsHost, zfs_nas

NOW = datetime(2026, 11, 23, 22, 30, tzinfo=UTC)
KEEP = Snapshots(hourly=24, daily=14, weekly=8, monthly=12)


def named(when: datetime) -> str:
    return when.strftime(snapshots.FORMAT)


def by_script(names: list[str], keep: Snapshots, now: datetime = NOW) -> list[str]:
    numbers = [str(int(now.timestamp())), *map(str, (keep.hourly, keep.daily, keep.weekly, keep.monthly))]
    done = subprocess.run(
        [SCRIPTS / "homelab-snapshot", "--thin", *numbers],
        input="".join(f"{name}\n" for name in names),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


moments = st.datetimes(datetime(2023, 1, 1), datetime(2027, 3, 1)).map(lambda m: m.replace(tzinfo=UTC, microsecond=0))
retentions = st.builds(
    Snapshots,
    hourly=st.integers(0, 30),
    daily=st.integers(0, 20),
    weekly=st.integers(0, 9),
    monthly=st.integers(0, 14),
)


@given(st.lists(moments, max_size=80, unique=True), retentions)
@examples(0.3)
def test_the_script_deletes_what_the_plan_says(times: list[datetime], keep: Snapshots) -> None:
    names = [named(when) for when in times]
    assert by_script(names, keep) == snapshots.thinned(names, keep, NOW)


@given(st.lists(moments, max_size=60, unique=True), retentions)
def test_the_newest_stays_and_a_second_thinning_deletes_nothing(times: list[datetime], keep: Snapshots) -> None:
    names = sorted(named(when) for when in times)
    going = snapshots.thinned(names, keep, NOW)
    left = [name for name in names if name not in going]
    past = [name for name in names if name <= named(NOW)]
    assert not past or past[-1] in left
    assert snapshots.thinned(left, keep, NOW) == []


@pytest.mark.broad
def test_four_hundred_days_of_hourly_snapshots_leave_what_each_rule_keeps() -> None:
    standing: list[str] = []
    for hour in range(400 * 24 + 1):
        now = NOW - timedelta(days=400) + timedelta(hours=hour)
        standing.append(named(now))
        # The plan's code stands for the script each hour; once a month, and at the end, both are asked.
        going = snapshots.thinned(standing, KEEP, now)
        if hour % 720 == 0 or hour == 400 * 24:
            assert by_script(standing, KEEP, now) == going
        standing = [name for name in standing if name not in going]
    days = [datetime.strptime(name, snapshots.FORMAT) for name in standing]
    newest = days[-24:]
    assert newest == [NOW.replace(tzinfo=None) - timedelta(hours=back) for back in range(23, -1, -1)]
    assert len({day.date() for day in days if day.date() > (NOW - timedelta(days=14)).date()}) == 14
    assert len({day.isocalendar()[:2] for day in days[-60:]}) >= 8
    months = sorted({(day.year, day.month) for day in days})
    assert months == [(2025, 12), *((2026, month) for month in range(1, 12))]
    assert len(standing) < 24 + 14 + 8 + 12
    # What is kept of a month is its end.
    assert datetime(2026, 5, 31, 23, 30) in days


def test_a_time_to_come_and_a_strange_name_are_neither_counted_nor_deleted() -> None:
    future = [named(NOW + timedelta(days=day)) for day in range(1, 4)]
    names = [*future, "@GMT-mine", "before-upgrade", named(NOW), named(NOW - timedelta(days=1))]
    keep = Snapshots(daily=1)
    assert by_script(names, keep) == snapshots.thinned(names, keep, NOW) == [named(NOW - timedelta(days=1))]


def test_nothing_kept_is_nothing_deleted() -> None:
    names = [named(NOW - timedelta(days=day)) for day in range(5)]
    assert by_script(names, Snapshots()) == snapshots.thinned(names, Snapshots(), NOW) == []


def test_the_timer_runs_at_the_end_of_the_finest_period() -> None:
    described = nas(snapshots={"media": {"daily": 7, "monthly": 2}, "photos": {"hourly": 1}})
    text = {file.path: file.content for file in snapshots.files(described)}
    assert "OnCalendar=daily\nPersistent=true" in text["/etc/systemd/system/homelab-snapshot@media.timer"]
    assert "OnCalendar=hourly" in text["/etc/systemd/system/homelab-snapshot@photos.timer"]
    assert text["/etc/homelab/snapshots/media"] == "pool=tank\nhourly=0\ndaily=7\nweekly=0\nmonthly=2\n"
    assert snapshots.timers(described) == ("homelab-snapshot@media.timer", "homelab-snapshot@photos.timer")
    assert list(snapshots.watched(described)) == ["snapshot media tank 180000", "snapshot photos tank 14400"]


def test_the_plan_says_how_many_a_new_retention_deletes() -> None:
    names = [named(NOW - timedelta(days=day)) for day in range(10)]
    probe = HostProbe(
        output={"nas_snapshots": "".join(f"/srv/tank/.snapshots/media/{name}\n" for name in names)},
        text={"/etc/homelab/snapshots/media": "pool=tank\nhourly=0\ndaily=10\nweekly=0\nmonthly=0\n"},
    )
    fewer, same = (nas(snapshots={"media": {"daily": daily}}) for daily in (4, 10))
    assert snapshots.told(fewer, probe, NOW) == {
        "media": f"6 of its 10 snapshots go by the new retention, the oldest {names[-1]}"
    }
    assert snapshots.told(same, probe, NOW) == {}


@pytest.fixture
def btrfs_host(tmp_path: Path) -> Iterator[NasHost]:
    """A host whose pool `tank` is a real btrfs on a loop device."""
    host = NasHost(tmp_path / "host", nas(snapshots={"media": {"hourly": 1, "daily": 3}}))
    with on_btrfs(host, tmp_path / "disk"):
        yield host


def test_a_real_snapshot_is_read_only_and_only_such_are_deleted(btrfs_host: NasHost) -> None:
    folder = btrfs_host.path("/srv/tank/.snapshots/media")
    folder.mkdir(parents=True)
    media = btrfs_host.path("/srv/tank/media")
    old, writable, plain = (f"@GMT-2020.01.01-0{hour}.00.00" for hour in range(3))
    ran("btrfs", "subvolume", "snapshot", "-r", media, folder / old)
    ran("btrfs", "subvolume", "snapshot", "-r", media, folder / "mine")
    ran("btrfs", "subvolume", "snapshot", media, folder / writable)
    (folder / plain).mkdir()
    done = btrfs_host.run("homelab-snapshot", "media")
    assert done.returncode == 0, done.stderr
    # The daily rule keeps the newest of 2020-01-01, which is the plain folder; the others would go.
    names = {path.name for path in folder.iterdir()}
    assert {"mine", writable, plain} < names
    assert old not in names
    assert f"{writable} is no read-only snapshot" in done.stderr
    (new,) = names - {"mine", writable, plain}
    assert (folder / new / "a").read_text() == "a"
    with pytest.raises(OSError):
        (folder / new / "b").write_text("b")
    assert btrfs_host.status("snapshot-media")["result"] == "ok"
    assert btrfs_host.status("snapshot-media")["count"] == "3"


def test_subvolumes_inside_are_told_to_be_missing_from_the_snapshot_that_is_taken(btrfs_host: NasHost) -> None:
    ran("btrfs", "subvolume", "create", btrfs_host.path("/srv/tank/media/inside"))
    assert btrfs_host.run("homelab-snapshot", "media").returncode == 1
    said = btrfs_host.status("snapshot-media")
    assert said["result"] == "failed" and "which are missing from its snapshots: media/inside" in said["message"]
    assert len(list(btrfs_host.path("/srv/tank/.snapshots/media").iterdir())) == 1


def test_without_the_pool_nothing_is_taken_and_that_is_loud(btrfs_host: NasHost) -> None:
    for spoil, said in (("other 1", "names other"), (f"tank {UUID[::-1]}", "another UUID")):
        btrfs_host.write("/var/lib/homelab/pools/tank", f"filesystem_uuid={UUID}\n")
        btrfs_host.write("/srv/tank/.homelab-pool", f"{spoil}\n")
        done = btrfs_host.run("homelab-snapshot", "media")
        assert done.returncode == 1
        assert said in done.stderr
    btrfs_host.path("/srv/tank/.mounted").unlink()
    done = btrfs_host.run("homelab-snapshot", "media")
    assert done.returncode == 1
    assert "is not mounted" in btrfs_host.status("snapshot-media")["message"]
    assert not btrfs_host.path("/srv/tank/.snapshots").exists()


def test_a_preview_changes_nothing(btrfs_host: NasHost) -> None:
    folder = btrfs_host.path("/srv/tank/.snapshots/media")
    folder.mkdir(parents=True)
    for day in range(1, 6):
        ran(
            "btrfs",
            "subvolume",
            "snapshot",
            "-r",
            btrfs_host.path("/srv/tank/media"),
            folder / named(NOW.replace(day=day)),
        )
    done = btrfs_host.run("homelab-snapshot", "--preview", "media", "0", "2", "0", "0")
    assert done.stdout.splitlines() == [named(NOW.replace(day=day)) for day in (1, 2, 3)]
    assert len(list(folder.iterdir())) == 5
    assert not btrfs_host.path("/var/lib/homelab/status").exists()


def test_snapshots_of_zfs_are_marked_and_taken_of_alike_volumes_at_one_moment(tmp_path: Path) -> None:
    kept = {"media": {"hourly": 2}, "photos": {"hourly": 9, "daily": 1}, "docs": {"daily": 1}, "away": {"hourly": 1}}
    host = ZfsHost(tmp_path, volumes={name: {"pool": "tank"} for name in kept}, snapshots=kept)
    host.mounted("away")
    done = host.run("homelab-snapshot", "media")
    assert done.returncode == 0, done.stderr
    took = host.status("snapshot-media")["message"]
    assert host.snapshots() == [f"tank/media{took}", f"tank/photos{took}"]
    (asked,) = [line for line in host.path("/zfs-asked").read_text().splitlines() if "zfs snapshot" in line]
    assert asked == f"zfs snapshot -o homelab:snapshot=yes tank/media{took} tank/photos{took}"
    assert host.status("snapshot-media")["count"] == "1"
    assert not host.path("/var/lib/homelab/status/snapshot-photos").exists(), "each run speaks for its own volume"


def test_a_volume_that_was_taken_along_while_its_run_waited_is_not_taken_twice(tmp_path: Path) -> None:
    host = ZfsHost(tmp_path, snapshots={"media": {"hourly": 2}, "photos": {"hourly": 2}})
    # The run begins, waits for the pool, and then finds what another one has taken meanwhile.
    host.write("/moments", "2026.11.23-22.30.00\n2026.11.23-22.30.07\n")
    moments = 'head -n 1 "$HOMELAB_ROOT/moments"; sed -i 1d "$HOMELAB_ROOT/moments"'
    host.fake("date", f'case "$*" in *%Y*) {moments} ;; *) echo {int(NOW.timestamp()) + 10} ;; esac')
    host.snapshot("tank/photos@GMT-2026.11.23-22.29.59")
    host.snapshot("tank/photos@GMT-2026.11.23-22.30.05")
    assert host.run("homelab-snapshot", "photos").returncode == 0
    assert host.snapshots() == ["tank/photos@GMT-2026.11.23-22.30.05"]
    assert host.status("snapshot-photos")["message"] == "@GMT-2026.11.23-22.30.05"


def test_only_snapshots_of_zfs_with_the_mark_of_their_own_are_thinned(tmp_path: Path) -> None:
    host = ZfsHost(tmp_path, snapshots={"media": {"hourly": 1}})
    ours, held, cloned = (f"tank/media@GMT-2020.01.0{day}-00.00.00" for day in (1, 2, 3))
    others = [
        "tank/media@GMT-2020.02.01-00.00.00",
        "tank/media@GMT-2020.02.02-00.00.00",
        "tank/media@GMT-2020.02.03-00.00.00",
        "tank/media@before-upgrade",
        "tank/photos@GMT-2020.01.01-00.00.00",
    ]
    host.snapshot(ours)
    host.snapshot(held, holds="1")
    host.snapshot(cloned, clones="tank/copy")
    host.snapshot(others[0], mark="com.sun:auto-snapshot")
    host.snapshot(others[1], source="received")
    host.snapshot(others[2], source="inherited from tank/media")
    host.snapshot(others[3])
    host.snapshot(others[4])
    preview = host.run("homelab-snapshot", "--preview", "media")
    # Without a new one the newest of ours, which has a clone, is what is kept.
    assert preview.stdout == "@GMT-2020.01.01-00.00.00\n"
    assert host.snapshots() == [ours, held, cloned, *others]
    done = host.run("homelab-snapshot", "media")
    assert done.returncode == 0, done.stderr
    assert host.snapshots()[:-1] == [held, cloned, *others]
    assert f"{held} is held and stays" in done.stderr
    assert f"{cloned} has the clone tank/copy and stays" in done.stderr
    status = host.status("snapshot-media")
    assert (status["deleted"], status["count"], status["result"]) == ("1", "3", "ok")
    assert "2 old ones are not deleted" in status["message"]


def test_a_snapshot_of_zfs_that_cannot_be_deleted_is_loud(tmp_path: Path) -> None:
    host = ZfsHost(tmp_path, snapshots={"media": {"hourly": 1}})
    host.snapshot("tank/media@GMT-2020.01.01-00.00.00")
    real = (host.fakes / "zfs").read_text()
    (host.fakes / "zfs").write_text(real.replace('"destroy "*@*)', '"destroy "*) exit 1 ;; "never "*)'))
    assert host.run("homelab-snapshot", "media").returncode == 1
    assert host.status("snapshot-media")["message"] == "1 old snapshots could not be deleted"


def test_datasets_inside_are_told_to_be_missing_from_the_snapshot_that_is_taken(tmp_path: Path) -> None:
    host = ZfsHost(tmp_path, snapshots={"media": {"hourly": 1}})
    host.write("/zfs-datasets", "tank/media\ntank/media/inside\n")
    assert host.run("homelab-snapshot", "media").returncode == 1
    said = host.status("snapshot-media")
    assert said["result"] == "failed"
    assert "has datasets inside, which are missing from its snapshots: tank/media/inside" in said["message"]
    assert len(host.snapshots()) == 1
    real = (host.fakes / "zfs").read_text()
    (host.fakes / "zfs").write_text(real.replace('"list -H -o name -t', '"list "*) exit 1 ;; "never -t'))
    assert host.run("homelab-snapshot", "media").returncode == 1
    assert "zfs does not list what is in" in host.status("snapshot-media")["message"]


def test_one_volume_of_zfs_that_cannot_be_taken_keeps_no_other_from_it(tmp_path: Path) -> None:
    host = ZfsHost(tmp_path, snapshots={"media": {"hourly": 2}, "photos": {"hourly": 2}})
    host.write("/zfs-refuses", "tank/photos\n")
    assert host.run("homelab-snapshot", "media").returncode == 0
    assert len(host.snapshots()) == 1
    # Within one second it would be the one that was just taken.
    host.write("/zfs-snapshots", "")
    host.write("/zfs-refuses", "tank/photos\ntank/media\n")
    assert host.run("homelab-snapshot", "media").returncode == 1
    assert "took no snapshot" in host.status("snapshot-media")["message"]


def test_a_dataset_that_is_not_mounted_gets_no_snapshot_and_that_is_loud(tmp_path: Path) -> None:
    host = ZfsHost(tmp_path, snapshots={"media": {"hourly": 2}})
    host.mounted("media")
    assert host.run("homelab-snapshot", "media").returncode == 1
    assert "the dataset tank/media is not mounted at" in host.status("snapshot-media")["message"]
    assert host.snapshots() == []


def test_the_plan_counts_only_the_snapshots_of_zfs_that_are_the_toolkits() -> None:
    described = zfs_nas(snapshots={"media": {"daily": 1}})
    (command,) = [command for name, command in snapshots.questions(described).commands if name == "nas_snapshots"]
    assert "zfs get -H -d 1 -t snapshot -o name,value,source homelab:snapshot tank/media" in command
    subprocess.run(["sh", "-n"], input=command, text=True, check=True)
    names = [named(NOW - timedelta(days=day)) for day in range(4)]
    sources = ("yes\tlocal", "yes\tlocal", "yes\treceived", "-\t-")
    probe = HostProbe(
        output={
            "nas_snapshots": "".join(
                f"tank/media{name}\t{source}\n" for name, source in zip(names, sources, strict=True)
            )
        },
        text={"/etc/homelab/snapshots/media": "pool=tank\nhourly=0\ndaily=9\nweekly=0\nmonthly=0\n"},
    )
    assert snapshots.told(described, probe, NOW) == {
        "media": f"1 of its 2 snapshots go by the new retention, the oldest {names[1]}"
    }
