"""What starts an array at boot without a disk: the script on a made-up /sys, with an mdadm that answers."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from homelab.storage import crypttab, degraded, mdraid, mounts
from homelab.storage.records import Record
from tests.sound_shell import assert_sound

UUID = "11111111-2222-4333-8444-555555000000"
WRITTEN = "11111111:22224333:84445555:55000000"
OTHER = "99999999:22224333:84445555:55000000"
RECORD = Record("tank", "mdraid", "raid1", UUID, "ext4", UUID, {"d1": "S1", "d2": "S2"})


def given(member: str) -> str:
    """The UUID that an array gave a disk."""
    return f"{member.encode().hex():0>8}:00000000:00000000:00000000"


class Host:
    """A machine whose clock is a file, so that no test waits; `mdadm` writes down what it was asked to start."""

    def __init__(self, root: Path):
        self.root = root
        self.programs = root / "bin"
        self.programs.mkdir()
        (root / "proc").mkdir()
        (root / "proc/uptime").write_text("5.00 9.00\n")
        (root / "sys/class/block").mkdir(parents=True)
        self.note(RECORD.text())
        self.clock()
        self.fake("udevadm", "")
        self.fake("blkid", "")
        self.mdadm("")

    def mdadm(self, then: str) -> None:
        """It starts and stops what it is asked to, after some other shell that may fail or put an array together."""
        self.fake(
            "mdadm",
            f"""\
[ "$1" != --examine ] || exec cat {self.root}/disks/"${{3##*/}}"
echo "$*" >>{self.root}/asked
cd {self.root}/sys/class/block
{then}
case $1 in --run) echo active >"${{2##*/}}/md/array_state" ;; --stop) rm -r "${{2##*/}}" ;; esac""",
        )

    def clock(self, then: str = ":") -> None:
        """A `sleep` puts it on by 10 s, to `$up`, and something happens then."""
        file = f"{self.root}/proc/uptime"
        self.fake("sleep", f'read -r up _ <{file}; up=$((${{up%%.*}} + 10)); echo "$up.00 0" >{file}; {then}')

    def later(self, second: int, then: str) -> None:
        """What happens once the clock is there."""
        self.clock(f"[ $up -ne {5 + second} ] || {{ cd {self.root}/sys/class/block; {then}; }}")

    def note(self, text: str) -> None:
        record = self.root / "var/lib/homelab/pools/tank"
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(text)

    def fake(self, name: str, text: str) -> None:
        (self.programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.programs / name).chmod(0o755)

    def array(self, name: str, state: str, uuid: str, *members: str, spare: str = "") -> None:
        """An array of these disks, one of which may be a spare; each has the UUID that `given` tells."""
        block = self.root / "sys/class/block" / name
        (block / "md").mkdir(parents=True)
        (block / "md/array_state").write_text(f"{state}\n")
        for member in members:
            (block / "slaves" / member).mkdir(parents=True)
            (block / f"md/dev-{member}").mkdir()
            (block / f"md/dev-{member}/state").write_text("spare\n" if member == spare else "in_sync,write_mostly\n")
            (self.root / "disks").mkdir(exist_ok=True)
            said = f"MD_LEVEL=raid1\nMD_UUID={uuid}\nMD_DEV_UUID={given(member)}\nMD_EVENTS=17\n"
            (self.root / "disks" / member).write_text(said)

    def aside(self, name: str) -> None:
        """Take an array away, for `mv ../../../aside NAME` to put it back."""
        (self.root / "sys/class/block" / name).rename(self.root / "aside")

    def listed(self, foreign: str = "") -> None:
        """The toolkit's lines in mdadm.conf, after somebody else's."""
        conf = self.root / "etc/mdadm/mdadm.conf"
        conf.parent.mkdir(parents=True)
        conf.write_text(f"MAILADDR root\n{foreign}{mdraid.lines([RECORD])}")

    @property
    def kept(self) -> Path:
        return self.root / "var/lib/homelab/arrays" / WRITTEN

    def ran_on(self, *members: str) -> None:
        """What was noted when the array last ran."""
        self.kept.parent.mkdir()
        self.kept.write_text("".join(f"{given(member)}\n" for member in members))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", self._script(), *(words or ("tank",))],
            env={"HOMELAB_ROOT": str(self.root), "HOMELAB_PATH": str(self.programs)},
            capture_output=True,
            text=True,
            check=False,
        )

    def _script(self) -> str:
        script = self.root / "script"
        script.write_text(degraded.FILES[0].content)
        return str(script)

    @property
    def asked(self) -> list[str]:
        path = self.root / "asked"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def waited(self) -> int:
        return int(float((self.root / "proc/uptime").read_text().split()[0])) - 5


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.mark.parametrize("state", ["active", "clean", "read-auto", "readonly", "write-pending"])
def test_an_array_that_runs_is_left_alone_at_once(host: Host, state: str) -> None:
    host.array("md127", state, WRITTEN, "vdb", "vdc")
    assert (host.run().returncode, host.asked, host.waited) == (0, [], 0)


def test_an_array_that_waits_for_a_disk_is_started_without_it_after_a_while(host: Host) -> None:
    host.array("md126", "inactive", OTHER, "vdd")
    host.array("md127", "inactive", WRITTEN, "vdb")
    done = host.run()
    assert (done.returncode, host.asked, host.waited) == (0, ["--run /dev/md127"], 40)
    assert "started without those that are missing" in done.stdout


def test_an_array_that_starts_by_itself_meanwhile_is_left_alone(host: Host) -> None:
    host.array("md127", "inactive", WRITTEN, "vdb")
    host.fake("sleep", f"echo active >{host.root}/sys/class/block/md127/md/array_state")
    assert (host.run().returncode, host.asked) == (0, [])


def test_an_array_that_nobody_put_together_is_asked_for_by_its_uuid(host: Host) -> None:
    host.array("md126", "inactive", OTHER, "vdd")
    host.array("md125", "active", OTHER, "vde")
    host.array("md127", "active", WRITTEN, "vdb")
    host.aside("md127")
    host.mdadm("mv ../../../aside md127")
    assert (host.run().returncode, host.waited) == (0, 40)
    assert host.asked == [f"--assemble --run /dev/md/tank --uuid={WRITTEN}"]


def test_disks_that_are_opened_first_get_more_time(host: Host) -> None:
    host.note(RECORD.text() + f"luks.d1={UUID}\n")
    host.array("md127", "inactive", WRITTEN, "dm-0")
    assert (host.run().returncode, host.waited) == (0, 130)


def test_what_md_refuses_to_start_is_told_and_not_forced(host: Host) -> None:
    host.array("md127", "inactive", WRITTEN, "vdb")
    host.mdadm("exit 1")
    done = host.run()
    # Nothing runs that could be mounted; the mount itself waits no longer than this.
    assert (done.returncode, host.asked, host.waited) == (0, ["--run /dev/md127"], 90)
    assert "can be started of the disks that came within 90 s; mdadm(8) tells" in done.stderr


@pytest.mark.parametrize("luks", [{}, {"d1": UUID}])
def test_disks_are_looked_for_as_long_as_their_mount_waits(host: Host, luks: dict[str, str]) -> None:
    record = replace(RECORD, luks=luks)
    host.note(record.text())
    host.array("md127", "inactive", WRITTEN, "vdb")
    host.mdadm("exit 1")
    assert host.run().returncode == 0
    waits = mounts.timeout_file(record).content.rpartition("JobRunningTimeoutSec=")[2]
    assert host.waited == int(waits.removesuffix("s\n"))
    (unit,) = [file.content for file in degraded.FILES if file.path.endswith("homelab-array@.service")]
    # Ended by systemd it would fail, and the mount with it.
    assert int(unit.rpartition("TimeoutStartSec=")[2]) > host.waited + 20
    assert "\nRefuseManualStop=yes\n" in unit


@pytest.mark.parametrize("state", ["active", "inactive"])
def test_a_disk_that_comes_at_60_s_is_not_too_late(host: Host, state: str) -> None:
    host.array("md127", state, WRITTEN, "vdb")
    host.aside("md127")
    host.mdadm("[ $1 = --run ] || exit 1")
    host.later(60, "mv ../../../aside md127")
    done = host.run()
    runs = ["--run /dev/md127"] if state == "inactive" else []
    assert (done.returncode, host.waited) == (0, 60)
    assert host.asked == [f"--assemble --run /dev/md/tank --uuid={WRITTEN}", *runs]
    assert host.kept.read_text() == f"{given('vdb')}\n"


def test_an_old_disk_that_comes_at_60_s_is_stopped_where_something_started_it(host: Host) -> None:
    host.ran_on("vdb")
    host.array("md127", "active", WRITTEN, "vdc")
    host.aside("md127")
    host.mdadm("[ $1 = --stop ] || exit 1")
    host.later(60, "mv ../../../aside md127")
    done = host.run()
    assert (done.returncode, host.waited) == (1, 90)
    assert host.asked == [f"--assemble --run /dev/md/tank --uuid={WRITTEN}", "--stop /dev/md127"]
    assert "tank: vdc left the array before it last ran" in done.stderr


def test_what_was_assembled_of_an_old_disk_that_came_meanwhile_is_not_mounted(host: Host) -> None:
    host.ran_on("vdb")
    host.array("md127", "active", WRITTEN, "vdc")
    host.aside("md127")
    host.mdadm("[ $1 != --assemble ] || mv ../../../aside md127")
    assert host.run().returncode == 1
    assert host.asked == [f"--assemble --run /dev/md/tank --uuid={WRITTEN}", "--stop /dev/md127"]


def test_the_newer_disk_that_comes_at_60_s_is_started(host: Host) -> None:
    host.ran_on("vdb")
    host.array("md126", "active", WRITTEN, "vdb")
    host.aside("md126")
    host.array("md127", "inactive", WRITTEN, "vdc")
    host.later(60, "rm -r md127; mv ../../../aside md126")
    assert (host.run().returncode, host.asked, host.waited) == (0, [], 60)


def test_disks_too_few_to_start_are_put_together_with_one_that_comes_beside_them(host: Host) -> None:
    host.array("md126", "active", WRITTEN, "vdb", "vdc")
    host.aside("md126")
    host.array("md127", "inactive", WRITTEN, "vdb")
    host.fake("blkid", f"cat {host.root}/carriers")
    (host.root / "carriers").write_text("/dev/vdb\n")
    host.mdadm("case $1 in --run) exit 1 ;; --assemble) mv ../../../aside md126 ;; esac")
    host.later(60, f"echo /dev/vdc >>{host.root}/carriers")
    assert (host.run().returncode, host.waited) == (0, 60)
    again = ["--stop /dev/md127", f"--assemble --run /dev/md/tank --uuid={WRITTEN}"]
    assert host.asked == ["--run /dev/md127", "--run /dev/md127", *again]


@pytest.mark.parametrize("text", ["state=made\n", "uuid=\n", "uuid=1111\n"])
def test_without_a_uuid_nothing_is_touched(host: Host, text: str) -> None:
    host.note(text)
    host.array("md127", "inactive", WRITTEN, "vdb")
    done = host.run()
    assert (done.returncode, host.asked, host.waited) == (1, [], 0)
    assert done.stderr == f"{host.root}/var/lib/homelab/pools/tank names no array; run the deploy\n"


@pytest.mark.parametrize("lost", ["gone", "empty"])
def test_one_whose_record_is_lost_is_known_by_mdadm_conf(host: Host, lost: str) -> None:
    record = host.root / "var/lib/homelab/pools/tank"
    record.unlink() if lost == "gone" else record.write_text("")
    host.array("md127", "inactive", WRITTEN, "vdb")
    done = host.run()
    assert (done.returncode, host.asked) == (1, []) and "names no array" in done.stderr
    # What somebody else wrote of an array of that name says nothing.
    host.listed(foreign=f"ARRAY /dev/md/tank UUID={OTHER}\n")
    assert (host.run().returncode, host.asked) == (0, ["--run /dev/md127"])


def test_a_record_that_is_junk_does_not_hide_mdadm_conf(host: Host) -> None:
    host.note("state=ma\0\0")
    host.listed()
    host.array("md127", "inactive", WRITTEN, "vdb")
    assert (host.run().returncode, host.asked, host.waited) == (0, ["--run /dev/md127"], 40)


def test_with_its_record_lost_its_disks_may_be_among_the_encrypted_ones(host: Host) -> None:
    host.note("junk\n")
    host.listed()
    (host.root / "etc/crypttab").write_text(crypttab.lines([replace(RECORD, luks={"d1": UUID})]))
    host.array("md127", "inactive", WRITTEN, "dm-0")
    assert (host.run().returncode, host.waited) == (0, 130)


@pytest.mark.parametrize(
    ("member", "degraded_by", "code"), [("vdb", "0", 0), ("vdb", "1", 0), ("vdc", "0", 0), ("vdc", "1", 1)]
)
def test_with_all_lost_the_filesystem_of_the_mount_tells_the_array(
    host: Host, member: str, degraded_by: str, code: int
) -> None:
    (host.root / "var/lib/homelab/pools/tank").unlink()
    unit = host.root / mounts.unit_path("tank").lstrip("/")
    unit.parent.mkdir(parents=True)
    unit.write_text(mounts.unit_file(RECORD, "nofail").content)
    host.ran_on("vdb")
    host.array("md127", "active", WRITTEN, member)
    (host.root / "sys/class/block/md127/md/degraded").write_text(f"{degraded_by}\n")
    links = host.root / "dev/disk/by-uuid"
    links.mkdir(parents=True)
    host.later(20, f"ln -s ../../md127 {links}/{UUID}")
    host.fake("blkid", f"echo /dev/{member}")
    assert (host.run().returncode, host.asked) == (code, ["--stop /dev/md127"] if code else [])
    assert code or host.waited == 20


@pytest.mark.parametrize("lost", ["gone", "junk"])
def test_with_its_record_lost_it_is_noted_that_a_disk_failed(host: Host, lost: str) -> None:
    record = host.root / "var/lib/homelab/pools/tank"
    record.unlink() if lost == "gone" else record.write_text("junk\n")
    host.listed()
    host.ran_on("vdb", "vdc")
    host.array("md127", "clean", WRITTEN, "vdc")
    assert host.run("--note", "Fail", "/dev/md127").returncode == 0
    assert host.kept.read_text() == f"{given('vdc')}\n"


@pytest.mark.parametrize("state", ["inactive", "active"])
def test_a_disk_that_left_earlier_is_not_started_alone(host: Host, state: str) -> None:
    host.ran_on("vdb")
    host.array("md127", state, WRITTEN, "vdc")
    before = host.kept.read_text()
    done = host.run()
    # Started by something else meanwhile, it is stopped, before anybody mounts it.
    assert (done.returncode, host.asked) == (1, ["--stop /dev/md127"] if state == "active" else [])
    assert "tank: vdc left the array before it last ran" in done.stderr and f"rm {host.kept}" in done.stderr
    assert host.kept.read_text() == before


def test_one_with_old_data_that_is_held_for_a_moment_is_stopped_then(host: Host) -> None:
    host.ran_on("vdb")
    host.array("md127", "active", WRITTEN, "vdc")
    host.mdadm(f"[ $(wc -l <{host.root}/asked) = 3 ] || exit 1")
    host.fake("blkid", "echo /dev/vdc")
    done = host.run()
    assert (done.returncode, host.asked) == (1, ["--stop /dev/md127"] * 3)
    assert "cannot be stopped" not in done.stderr
    host.array("md127", "active", WRITTEN, "vdc")
    host.mdadm("exit 1")
    assert "tank: /dev/md127 runs with old data and is in use" in host.run().stderr


@pytest.mark.parametrize("how", ["whole", "mounted"])
def test_one_that_is_whole_or_mounted_is_never_stopped(host: Host, how: str) -> None:
    """As at a mount by hand, long after the boot."""
    host.ran_on("vdb")
    host.array("md127", "active", WRITTEN, "vdc", "vdd")
    block = host.root / "sys/class/block/md127"
    (block / "dev").write_text("9:127\n")
    (block / "md/degraded").write_text("0\n" if how == "whole" else "1\n")
    if how == "mounted":
        (host.root / "proc/self").mkdir()
        (host.root / "proc/self/mountinfo").write_text("57 1 9:127 / /srv/tank rw - ext4 /dev/md127 rw\n")
    done = host.run()
    assert (done.returncode, host.asked) == (0 if how == "whole" else 1, [])
    assert host.kept.read_text().count("\n") == (2 if how == "whole" else 1)


@pytest.mark.parametrize("lost", [False, True], ids=["recorded", "record-lost"])
def test_the_newer_disk_that_is_there_and_not_in_the_array_is_named(host: Host, lost: bool) -> None:
    if lost:
        (host.root / "var/lib/homelab/pools/tank").unlink()
        host.listed()
    host.ran_on("vdb")
    host.array("md127", "inactive", WRITTEN, "vdc")
    (host.root / "disks/vdb").write_text(f"MD_UUID={WRITTEN}\nMD_DEV_UUID={given('vdb')}\n")
    host.fake("blkid", f'[ "$6" = UUID={UUID} ] && printf "/dev/vdc\\n/dev/vdb\\n"')
    for words in (("tank",), ("--may", "md127")):
        done = host.run(*words)
        assert (done.returncode, host.asked) == (1, [])
        assert "/dev/vdb has what is newer, is there and not in the array" in done.stderr
        assert "rm " not in done.stderr


def test_a_mapped_disk_is_known_by_the_name_that_the_kernel_has_for_it(host: Host) -> None:
    """blkid has another for it; taken for a disk beside the array, it would have what cannot start stopped."""
    host.array("md127", "inactive", WRITTEN, "dm-0")
    (host.root / "dev/mapper").mkdir(parents=True)
    (host.root / "dev/dm-0").touch()
    (host.root / "dev/mapper/luks-d1").symlink_to("../dm-0")
    host.fake("blkid", f"echo {host.root}/dev/mapper/luks-d1")
    host.mdadm("exit 1")
    assert (host.run().returncode, host.asked) == (0, ["--run /dev/md127"])
    host.ran_on("dm-0")
    host.array("md126", "inactive", WRITTEN, "vdc")
    done = host.run("--may", "md126")
    assert done.returncode == 1 and "; /dev/dm-0 has what is newer" in done.stderr


def test_what_is_left_of_the_disks_that_ran_last_is_started(host: Host) -> None:
    host.ran_on("vdb", "vdc")
    host.array("md127", "inactive", WRITTEN, "vdc")
    assert (host.run().returncode, host.asked) == (0, ["--run /dev/md127"])


def test_an_array_that_nobody_put_together_is_not_made_of_a_disk_that_left(host: Host) -> None:
    host.ran_on("vdb")
    (host.root / "disks").mkdir()
    (host.root / "disks/vdc").write_text(f"MD_UUID={WRITTEN}\nMD_DEV_UUID={given('vdc')}\n")
    host.fake("blkid", f'[ "$6" = UUID={UUID} ] && echo /dev/vdc')
    assert (host.run().returncode, host.asked) == (1, [])


@pytest.mark.parametrize("words", [("tank",), ("--note",)])
def test_it_is_noted_which_disks_hold_all_of_it(host: Host, words: tuple[str, ...]) -> None:
    host.ran_on("vdb")
    host.array("md127", "clean", WRITTEN, "vdb", "vdc", "vdd", spare="vdc")
    if words == ("tank",):
        host.kept.unlink()
    assert host.run(*words).returncode == 0
    assert host.kept.read_text() == f"{given('vdb')}\n{given('vdd')}\n"
    assert [path.name for path in host.kept.parent.iterdir()] == [WRITTEN]


def test_of_an_array_that_does_not_run_nothing_is_noted(host: Host) -> None:
    host.array("md127", "inactive", WRITTEN, "vdb")
    assert host.run("--note").returncode == 0 and not host.kept.exists()


@pytest.mark.parametrize(
    ("words", "noted"),
    [
        (("--note",), "vdb"),
        (("--note", "DegradedArray", "/dev/md127"), "vdb"),
        (("--note", "NewArray", "/dev/md127"), "vdb"),
        (("--note", "RebuildStarted", "/dev/md127"), "vdb"),
        (("--note", "Fail", "/dev/md126"), "vdb"),
        (("--note", "Fail", "/dev/md127"), "vdc"),
        (("--note", "SpareActive", "/dev/md127"), "vdc"),
    ],
)
def test_a_disk_that_left_is_the_newest_only_once_something_happened_to_its_array(
    host: Host, words: tuple[str, ...], noted: str
) -> None:
    host.ran_on("vdb")
    # The newer one is there again and has to be built: it does not speak for the one that it is built from.
    host.array("md127", "clean", WRITTEN, "vdb", "vdc", spare="vdb")
    assert host.run(*words).returncode == 0
    assert host.kept.read_text() == f"{given(noted)}\n"


def test_a_note_that_cannot_be_written_keeps_no_pool_down(host: Host) -> None:
    host.array("md127", "clean", WRITTEN, "vdb", "vdc")
    host.fake("sync", "exit 1")
    done = host.run()
    assert (done.returncode, host.asked) == (0, [])
    assert done.stderr == f"which disks /dev/md127 runs on could not be noted in {host.kept.parent}\n"
    assert list(host.kept.parent.iterdir()) == []
    assert host.run("--note").returncode == 1
    (unit,) = [file for file in degraded.FILES if file.path.endswith("homelab-array@.service")]
    assert "\nAfter=systemd-udev-trigger.service systemd-remount-fs.service\n" in unit.content


def test_two_that_note_at_once_do_not_write_one_file(host: Host) -> None:
    host.array("md127", "clean", WRITTEN, "vdb", "vdc")
    host.fake("sync", f'echo "$1" >>{host.root}/synced')
    assert host.run("--note").returncode == 0
    host.kept.unlink()
    assert host.run("--note").returncode == 0
    first, _, second, _ = (host.root / "synced").read_text().splitlines()
    assert first != second


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_note_says_nothing(host: Host, text: str) -> None:
    host.ran_on()
    host.kept.write_text(text)
    host.array("md127", "inactive", WRITTEN, "vdc")
    assert host.run("--may", "md127").returncode == 0
    assert (host.run().returncode, host.asked) == (0, ["--run /dev/md127"])


def test_debian_asks_before_it_starts_an_array_without_a_disk(host: Host) -> None:
    host.ran_on("vdb")
    host.array("md125", "inactive", OTHER, "vde")
    host.array("md126", "inactive", WRITTEN, "vdb")
    host.array("md127", "inactive", WRITTEN, "vdc")
    answers = [host.run("--may", md).returncode for md in ("md124", "md125", "md126", "md127")]
    assert (answers, host.asked) == ([0, 0, 0, 1], [])
    (dropin,) = [file for file in degraded.FILES if "last-resort" in file.path]
    # Without the script, Debian's own start is as it was.
    script = "/usr/local/lib/homelab/homelab-array"
    assert f"[Service]\nExecCondition=/bin/sh -c '[ ! -x {script} ] || exec {script} --may %i'\n" in dropin.content


def test_before_var_is_mounted_debian_starts_what_is_no_pools_alone(host: Host) -> None:
    host.listed(foreign=f"ARRAY /dev/md/system UUID={OTHER}\n")
    host.array("md125", "inactive", OTHER, "vde")
    host.array("md126", "inactive", WRITTEN, "vdb")
    host.array("md127", "inactive", WRITTEN, "vdc")
    (host.root / "var").rename(host.root / "later")
    answers = [host.run("--may", md).returncode for md in ("md124", "md125", "md126", "md127")]
    assert (answers, host.asked) == ([0, 0, 1, 1], [])
    # By then the pool's own unit can tell, and it waits for /var.
    (host.root / "later").rename(host.root / "var")
    host.ran_on("vdb")
    assert [host.run("--may", md).returncode for md in ("md126", "md127")] == [0, 1]
    (unit,) = [file for file in degraded.FILES if file.path.endswith("homelab-array@.service")]
    assert "\nRequiresMountsFor=/usr/local/lib/homelab /var/lib/homelab\n" in unit.content


def test_a_pool_that_nobody_made_is_told_of(host: Host) -> None:
    assert host.run("other").returncode == 1
    assert host.run("../etc").returncode == 2


def test_an_array_is_started_before_its_pool_is_mounted_and_no_other_kind_waits() -> None:
    unit = mounts.unit_file(RECORD, "nofail").content
    # Not Wants: one with old data that cannot be stopped would be mounted.
    assert "Requires=homelab-array@tank.service\nAfter=homelab-array@tank.service\n\n[Mount]" in unit
    btrfs = Record("tank", "btrfs", "raid1", UUID, "btrfs", UUID, {"d1": "S1"})
    assert "homelab-array" not in mounts.unit_file(btrfs, "nofail").content


def test_the_script_is_clean() -> None:
    assert_sound(degraded.FILES[0].content)
