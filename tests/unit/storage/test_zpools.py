"""What brings in a zpool at boot: the script in a made-up root, with tools of ZFS that answer and write down."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from homelab.storage import mounts, zpools
from homelab.storage.records import Record
from tests.sound_shell import assert_sound

GUID = "1234567890123456789"
RECORD = Record("tank", "zfs", "mirror", GUID, "zfs", GUID, {"d1": "S1", "d2": "S2"})
# What says of a zpool, once it is there, which of its devices work.
STATUS = """\
  pool: tank
 state: DEGRADED
  scan: {scan}
config:

\tNAME                      STATE     READ WRITE CKSUM
\ttank                      DEGRADED     0     0     0
\t  44                      DEGRADED     0     0     0
{devices}
errors: No known data errors
"""


class Host:
    """A machine whose clock is a file, so that no test waits; its pool is there once `zpool import` succeeded."""

    def __init__(self, root: Path):
        self.root = root
        (root / "bin").mkdir()
        (root / "proc").mkdir()
        (root / "dev/disk/by-id").mkdir(parents=True)
        (root / "disks").mkdir()
        (root / "proc/uptime").write_text("5.00 9.00\n")
        self.note(RECORD.text())
        self.clock()
        self.fake("modprobe", "")
        self.fake("blkid", f'[ "$*" = "-c /dev/null -o device -t UUID={GUID}" ] && cat {root}/there')
        self.fake("zdb", f'cat {root}/disks/"${{2##*/}}"')
        self.zpool()
        self.comes()

    def zpool(self, imports: str = "true") -> None:
        self.fake(
            "zpool",
            f"""\
cd {self.root}
case $1 in
  list) [ -e imported ] && cat imported ;;
  status) cat status ;;
  import) echo "$*" >>asked; {imports} || exit 1; echo {GUID} >imported ;;
  export) echo "$*" >>asked; [ ! -e used ] || exit 1; rm imported ;;
esac""",
        )

    def clock(self, then: str = ":") -> None:
        """A `sleep` puts it on by 10 s, to `$up`, and something happens then."""
        file = f"{self.root}/proc/uptime"
        self.fake("sleep", f'read -r up _ <{file}; up=$((${{up%%.*}} + 10)); echo "$up.00 0" >{file}; {then}')

    def later(self, second: int, *names: str) -> None:
        """Which disks are there once the clock is there."""
        told = "\\n".join(f"{self.root}/dev/{name}" for name in names)
        self.clock(f"[ $up -ne {5 + second} ] || printf '{told}\\n' >{self.root}/there")

    def note(self, text: str) -> None:
        record = self.root / "var/lib/homelab/pools/tank"
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(text)

    def fake(self, name: str, text: str) -> None:
        (self.root / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.root / "bin" / name).chmod(0o755)

    def comes(self, *names: str, pool: str = "tank") -> None:
        """Disks that are there: each has its guid in its label, and a name that stays."""
        for name in ("vdb1", "vdc1", "vdd1"):
            device = self.root / "dev" / name
            device.touch()
            link = self.root / f"dev/disk/by-id/virtio-{name}"
            if not link.is_symlink():
                link.symlink_to(device)
            label = (
                f"------------\nLABEL 0\n------------\n    version: 5000\n    name: '{pool}'\n    pool_guid: {GUID}\n"
            )
            label += (
                f"    top_guid: 44\n    guid: {given(name)}\n    vdev_tree:\n        type: 'mirror'\n        guid: 44\n"
            )
            (self.root / "disks" / name).write_text(label)
        (self.root / "there").write_text("".join(f"{self.root}/dev/{name}\n" for name in names))

    def works(self, *names: str, scan: str = "none requested", **states: str) -> None:
        """What the zpool says of its devices once it is there."""
        said = {name: "ONLINE" for name in names} | states
        devices = "".join(f"\t    {given(name)}  {state}  0  0  0\n" for name, state in said.items())
        (self.root / "status").write_text(STATUS.format(scan=scan, devices=devices))

    @property
    def kept(self) -> Path:
        return self.root / "var/lib/homelab/arrays" / GUID

    def ran_on(self, *names: str) -> None:
        """What was noted when the pool last ran."""
        self.kept.parent.mkdir(exist_ok=True)
        self.kept.write_text("".join(f"{given(name)}\n" for name in names))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        script = self.root / "script"
        script.write_text(zpools.FILES[0].content)
        return subprocess.run(
            ["sh", script, *(words or ("tank",))],
            env={"HOMELAB_ROOT": str(self.root), "HOMELAB_PATH": str(self.root / "bin")},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def asked(self) -> list[str]:
        path = self.root / "asked"
        return path.read_text().replace(str(self.root), "").splitlines() if path.exists() else []

    @property
    def waited(self) -> int:
        return int(float((self.root / "proc/uptime").read_text().split()[0])) - 5


def given(name: str) -> int:
    """The guid of a disk."""
    return {"vdb1": 101, "vdc1": 102, "vdd1": 103}[name]


def imports(*names: str) -> list[str]:
    return [
        "import -N -o cachefile=none " + "".join(f"-d /dev/disk/by-id/virtio-{name} " for name in names) + GUID,
    ]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_pool_that_is_there_is_left_alone_at_once_and_noted(host: Host) -> None:
    (host.root / "imported").write_text(f"{GUID}\n")
    host.works("vdb1", "vdc1")
    assert (host.run().returncode, host.asked, host.waited) == (0, [], 0)
    assert host.kept.read_text().split() == ["101", "102"]


def test_a_whole_pool_is_imported_at_once_by_names_that_stay_and_into_no_cache(host: Host) -> None:
    host.comes("vdb1", "vdc1")
    host.works("vdb1", "vdc1")
    assert (host.run().returncode, host.asked, host.waited) == (0, imports("vdb1", "vdc1"), 0)


def test_a_late_disk_is_waited_for(host: Host) -> None:
    host.comes("vdb1")
    host.works("vdb1", "vdc1")
    host.later(20, "vdb1", "vdc1")
    assert (host.run().returncode, host.asked, host.waited) == (0, imports("vdb1", "vdc1"), 20)


def test_without_a_disk_that_does_not_come_it_is_imported_after_a_while(host: Host) -> None:
    host.comes("vdb1")
    host.works("vdb1", vdc1="UNAVAIL")
    host.ran_on("vdb1", "vdc1")
    assert (host.run().returncode, host.asked, host.waited) == (0, imports("vdb1"), 40)
    assert host.kept.read_text().split() == ["101"]


def test_what_is_refused_is_tried_again_with_a_disk_more(host: Host) -> None:
    host.comes("vdb1")
    host.works("vdb1", "vdc1")
    host.zpool(f"[ $(grep -c . {host.root}/there) = 2 ]")
    host.later(60, "vdb1", "vdc1")
    assert (host.run().returncode, host.asked) == (0, imports("vdb1") + imports("vdb1", "vdc1"))


def test_what_never_comes_is_told_of(host: Host) -> None:
    done = host.run()
    assert (done.returncode, host.asked, host.waited) == (1, [], 90)
    assert f"the zpool {GUID} cannot be brought in of what came within 90 s" in done.stderr


def test_a_disk_that_had_left_is_not_brought_in_alone(host: Host) -> None:
    host.comes("vdc1")
    host.ran_on("vdb1")
    done = host.run()
    assert (done.returncode, host.asked) == (1, [])
    assert "vdc1 left the pool before it last ran, and what is newer is on a disk that is missing" in done.stderr
    assert host.kept.read_text().split() == ["101"]


def test_with_the_newer_one_it_is(host: Host) -> None:
    host.comes("vdc1")
    host.ran_on("vdb1")
    host.works("vdb1", "vdc1", scan="resilver in progress since Mon")
    host.later(70, "vdb1", "vdc1")
    assert (host.run().returncode, host.asked) == (0, imports("vdb1", "vdc1"))
    # What is being written does not count before that is over.
    assert host.kept.read_text().split() == ["101"]


def test_what_something_else_brought_in_of_an_old_disk_is_let_go_of(host: Host) -> None:
    (host.root / "imported").write_text(f"{GUID}\n")
    host.works("vdc1", vdb1="UNAVAIL")
    host.ran_on("vdb1")
    done = host.run()
    assert (done.returncode, host.asked) == (1, ["export tank"])
    assert "left the pool before it last ran" in done.stderr and host.kept.read_text().split() == ["101"]


def test_one_of_another_name_or_number_is_not_touched(host: Host) -> None:
    host.comes("vdb1", "vdc1", pool="other")
    done = host.run()
    assert (done.returncode, host.asked) == (1, []) and "is called other by now" in done.stderr
    (host.root / "imported").write_text("77\n")
    host.zpool("false")
    host.comes("vdb1", "vdc1")
    assert host.run().returncode == 1 and host.asked == imports("vdb1", "vdc1")


@pytest.mark.parametrize("text", ["", "kind=mdraid\nuuid=11111111-2222-4333-8444-555555000000\n", "kind=zfs\nuuid=\n"])
def test_without_a_guid_nothing_is_brought_in(host: Host, text: str) -> None:
    host.note(text)
    done = host.run()
    assert (done.returncode, host.asked, host.waited) == (1, [], 0) and "names no zpool" in done.stderr


def test_without_the_module_it_is_told_which_kernel_has_none(host: Host) -> None:
    host.fake("modprobe", "exit 1")
    done = host.run()
    assert done.returncode == 1 and "has no module of ZFS" in done.stderr


def test_a_note_is_of_what_works_and_never_makes_an_old_disk_the_newest(host: Host) -> None:
    (host.root / "imported").write_text(f"{GUID}\n")
    host.works("vdb1", "vdc1")
    assert host.run("--note").returncode == 0 and host.kept.read_text().split() == ["101", "102"]
    host.works("vdb1", vdc1="FAULTED")
    assert host.run("--note", "tank").returncode == 0 and host.kept.read_text().split() == ["101"]
    host.works("vdc1", vdb1="UNAVAIL")
    assert host.run("--note").returncode == 0 and host.kept.read_text().split() == ["101"]


@pytest.mark.parametrize("words", [("",), ("../x",), ("-x",)])
def test_a_wrong_word_is_a_line(host: Host, words: tuple[str, ...]) -> None:
    done = host.run(*words)
    assert done.returncode == 2 and done.stderr.startswith("usage: ")


def test_the_script_is_sound_shell() -> None:
    assert_sound(zpools.FILES[0].content)


def test_the_mount_needs_what_brings_it_in_and_a_dataset_is_mounted_as_such() -> None:
    unit = mounts.unit_file(RECORD, mounts.options(RECORD, projects=True)).content
    assert "Requires=homelab-zpool@tank.service\nAfter=homelab-zpool@tank.service\n" in unit
    assert "What=tank\nWhere=/srv/tank\nType=zfs\nOptions=nofail,noatime\n" in unit
    volume = mounts.dataset_file("tank/photos")
    assert volume.path == "/etc/systemd/system/srv-tank-photos.mount"
    assert "What=tank/photos\nWhere=/srv/tank/photos\nType=zfs\n" in volume.content
