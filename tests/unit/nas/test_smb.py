"""smb.conf, as testparm reads it, and when smbd has to be told."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from homelab.model import Host
from homelab.nas import smb
from homelab.operations import smb as operations
from homelab.probe import HostProbe, UnitState
from tests.unit.nas.shares import home, host

USERS = {"anna": {"uid": 2001, "password": "env:ANNA"}, "bob": {"uid": 2002, "password": "env:BOB"}}
VOLUMES = {
    "photos": {"pool": "tank", "owner": "anna", "group": "users", "mode": "2770"},
    "films": {"pool": "bulk", "owner": "anna"},
    "times": {"pool": "tank", "owner": "bob", "quota": "500G"},
    "own": {"pool": "bulk", "owner": "bob", "mode": "0700"},
}
RUNS = {smb.UNIT: UnitState("loaded", "active", "running", "enabled", 7)}
SAMBA = frozenset({"samba"})


def shared(name: str, **values: Any) -> Host:
    return host(users=USERS, volumes=VOLUMES, shares={name: {"volume": name, "smb": values}})


ALL = host(
    users=USERS,
    volumes=VOLUMES,
    shares={
        "photos": {"volume": "photos", "smb": {"users": ["anna", "bob"], "recycle": True}},
        "films": {"volume": "films", "nfs": {"clients": ["lan"]}, "smb": {"users": ["anna"], "read_only": True}},
        "times": {"volume": "times", "smb": {"users": ["bob"], "purpose": "timemachine"}},
        "own": {"volume": "own", "smb": {"users": ["bob"], "purpose": "private"}},
    },
)


def section(conf: str, name: str) -> dict[str, str]:
    """A section's parameters."""
    lines = conf.split(f"\n[{name}]\n", 1)[1].split("\n[", 1)[0].splitlines()
    pairs = (line.strip().split(" = ", 1) for line in lines if " = " in line)
    return {pair[0]: pair[1] for pair in pairs}


needs_testparm = pytest.mark.skipif(shutil.which("testparm") is None, reason="no testparm: install samba-common-bin")


def test_smb3_alone_and_nobody_without_a_name() -> None:
    said = section("\n" + smb.conf(ALL).content, "global")
    assert said["server min protocol"] == "SMB3" and said["smb ports"] == "445" and said["disable netbios"] == "yes"
    assert said["map to guest"] == "never" and said["usershare max shares"] == "0" and said["load printers"] == "no"
    assert (said["server smb encrypt"], said["server signing"]) == ("desired", "mandatory")
    assert said["include"] == smb.LOCAL


def test_a_share_is_for_its_users_in_the_volumes_group() -> None:
    assert section(smb.conf(ALL).content, "photos") == {
        "path": "/srv/tank/photos",
        "valid users": "anna bob",
        "read only": "no",
        "browseable": "yes",
        "create mask": "0660",
        "force create mode": "0660",
        "directory mask": "2770",
        "force directory mode": "2770",
        "force group": "users",
        "shadow:snapdir": "/srv/tank/.snapshots/photos",
        "shadow:basedir": "/srv/tank/photos",
        "shadow:format": "@GMT-%Y.%m.%d-%H.%M.%S",
        "shadow:sort": "desc",
        "recycle:repository": ".recycle/%U",
        "recycle:directory_mode": "2770",
        "recycle:subdir_mode": "0700",
        "recycle:keeptree": "yes",
        "recycle:versions": "yes",
        "recycle:touch_mtime": "yes",
        "recycle:exclude": "*.tmp ~$* ._*",
        "recycle:exclude_dir": ".recycle",
        "vfs objects": "catia fruit streams_xattr shadow_copy2 recycle",
    }


def test_a_share_that_nfs_has_too_grants_no_oplocks() -> None:
    said = section(smb.conf(ALL).content, "films")
    assert (said["oplocks"], said["level2 oplocks"], said["read only"]) == ("no", "no", "yes")
    assert said["vfs objects"] == "catia fruit streams_xattr"


def test_time_machine_is_told_how_large_it_may_grow() -> None:
    said = section(smb.conf(ALL).content, "times")
    assert said["fruit:time machine"] == "yes" and said["fruit:time machine max size"] == f"{500 * 1024}M"


def test_a_private_share_is_not_shown_and_its_files_are_one_persons() -> None:
    said = section(smb.conf(ALL).content, "own")
    assert said["browseable"] == "no" and "force group" not in said
    assert (said["create mask"], said["directory mask"]) == ("0600", "0700")


def test_fruit_is_the_same_on_every_share() -> None:
    for name in ("photos", "films", "times", "own"):
        said = section(smb.conf(ALL).content, name)
        assert said["vfs objects"].startswith("catia fruit streams_xattr")
        assert {key for key in said if key.startswith("fruit:")} <= {
            "fruit:time machine",
            "fruit:time machine max size",
        }


@needs_testparm
def test_samba_reads_every_line_of_it(tmp_path: Path) -> None:
    conf = tmp_path / "smb.conf"
    conf.write_text(smb.conf(ALL).content, encoding="utf-8")
    asked = subprocess.run(["testparm", "-s", str(conf)], capture_output=True, text=True, check=True)
    assert "nknown" not in asked.stderr and "gnoring" not in asked.stderr and "ERROR" not in asked.stderr
    read = asked.stdout
    for line in ("server min protocol = SMB3", "server smb encrypt = desired", "[own]", "oplocks = No"):
        assert line in read


def checked(tmp_path: Path, new: str, old: str | None = None, package: str = "") -> subprocess.CompletedProcess[str]:
    """The check that a candidate passes before it replaces what is there, in a folder of its own."""
    (tmp_path / "new").write_text(new, encoding="utf-8")
    (tmp_path / "package").write_text(package, encoding="utf-8")
    if old is not None:
        (tmp_path / "smb.conf").write_text(old, encoding="utf-8")
    check = smb.conf(ALL).check or ""
    for path, at in (
        (smb.BEFORE, "before"),
        ("/usr/share/samba/smb.conf", "package"),
        (smb.CONF, "smb.conf"),
        ("/var/lib/ucf/hashfile", "hashfile"),
    ):
        check = check.replace(path, str(tmp_path / at))
    script = f"set -e\nnew={tmp_path}/new\n{check}\n"
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)


@needs_testparm
@pytest.mark.parametrize("wrong", ["no such thing = 1", "server min protocol = SMB9"])
def test_a_line_that_samba_would_skip_is_refused(tmp_path: Path, wrong: str) -> None:
    text = smb.conf(ALL).content.replace("\tload printers = no\n", f"\t{wrong}\n")
    done = checked(tmp_path, text)
    assert done.returncode == 1 and wrong.split(" = ")[0] in done.stderr
    assert not (tmp_path / "new").exists()


@needs_testparm
def test_the_packages_own_file_is_replaced_and_kept(tmp_path: Path) -> None:
    theirs = "# Sample\n[global]\n   workgroup = WORKGROUP\n"
    assert checked(tmp_path, smb.conf(ALL).content, theirs, package=theirs).returncode == 0
    assert (tmp_path / "before").read_text(encoding="utf-8") == theirs


@needs_testparm
def test_the_packages_file_with_its_own_answers_in_it_is_known_by_ucf(tmp_path: Path) -> None:
    theirs = "# Sample\n[global]\n   workgroup = HOME\n"
    noted = hashlib.md5(theirs.encode(), usedforsecurity=False).hexdigest()
    (tmp_path / "hashfile").write_text(f"{noted}  {tmp_path}/smb.conf\n", encoding="utf-8")
    assert checked(tmp_path, smb.conf(ALL).content, theirs, package="other\n").returncode == 0


@needs_testparm
def test_what_somebody_else_wrote_is_left_alone(tmp_path: Path) -> None:
    theirs = "[global]\n   workgroup = WORKGROUP\n[films]\n  path = /films\n"
    done = checked(tmp_path, smb.conf(ALL).content, theirs, package="[global]\n")
    assert done.returncode == 1 and "was written by somebody else" in done.stderr
    assert (tmp_path / "smb.conf").read_text(encoding="utf-8") == theirs and not (tmp_path / "before").exists()


@needs_testparm
def test_ours_is_replaced_without_a_copy(tmp_path: Path) -> None:
    assert checked(tmp_path, smb.conf(ALL).content, smb.conf(shared("photos", users=["anna"])).content).returncode == 0
    assert not (tmp_path / "before").exists()


def test_a_foreign_smb_conf_is_refused_before_anything() -> None:
    probe = HostProbe(output={"nas-smb-conf": "foreign\n"})
    (found,) = smb.problems(home(ALL), ALL, probe)
    assert str(found) == (
        "nas: /etc/samba/smb.conf: was written by somebody else; "
        "write its shares in the inventory, then move it away (/etc/samba/smb.conf.before-homelab)"
    )
    for whose in ("ours", "default", "absent", ""):
        assert list(smb.problems(home(ALL), ALL, HostProbe(output={"nas-smb-conf": whose}))) == []


@pytest.mark.parametrize(
    ("volume", "smb_values", "refused"),
    [
        ({"owner": "root"}, {}, True),
        ({"owner": "root", "group": "root", "mode": "0770"}, {}, True),
        ({"owner": "root", "mode": "0775"}, {}, True),
        ({"owner": "root", "mode": "0775"}, {"read_only": True}, False),
        ({"owner": "root", "group": "users"}, {}, False),
        ({"owner": "anna"}, {}, False),
        ({"owner": "bob"}, {}, False),
        ({"owner": "bob", "mode": "0700"}, {}, True),
        ({"owner": "anna", "mode": "0550"}, {}, True),
        ({"owner": "bob"}, {"purpose": "private"}, True),
        ({"owner": "bob", "group": "users"}, {"purpose": "private"}, False),
    ],
)
def test_a_user_who_could_not_use_the_share_is_told_of(
    volume: dict[str, str], smb_values: dict[str, Any], refused: bool
) -> None:
    nas = host(
        users=USERS,
        volumes={"v": {"pool": "bulk", **volume}},
        shares={"v": {"volume": "v", "smb": {"users": ["anna"], **smb_values}}},
    )
    assert [each.place for each in smb.problems(home(nas), nas, HostProbe())] == (
        ["nas: shares.v.smb.users"] if refused else []
    )


def test_roots_group_is_never_forced() -> None:
    nas = host(
        users=USERS,
        volumes={"v": {"pool": "bulk", "mode": "0777"}},
        shares={"v": {"volume": "v", "smb": {"users": ["anna"]}}},
    )
    assert "force group" not in smb.conf(nas).content


def loaded(of: Host, tmp_path: Path) -> str:
    """What smbd's own note says after it has read this host's smb.conf: the real script, in a folder of its own."""
    conf = tmp_path / "smb.conf"
    conf.write_text(smb.conf(of).content, encoding="utf-8")
    script = smb.NOTE_FILE.content.replace(smb.CONF, str(conf)).replace("/run/homelab", str(tmp_path))
    subprocess.run(["sh", "-c", script], check=True)
    return (tmp_path / "smb.loaded").read_text(encoding="utf-8")


def test_only_a_change_for_all_ends_sessions(tmp_path: Path) -> None:
    note = loaded(ALL, tmp_path)
    running = {"units": RUNS, "packages": SAMBA}
    assert smb.action(ALL, HostProbe(output={"nas-smb-loaded": note}, **running)) is None
    fewer = shared("photos", users=["anna"])
    assert smb.action(fewer, HostProbe(output={"nas-smb-loaded": note}, **running)) == "reload"
    # Another [global] than this one's: that of an older toolkit.
    older = "\n".join(["0" * 64, note.split()[1]])
    assert smb.action(ALL, HostProbe(output={"nas-smb-loaded": older}, **running)) == "restart"
    # smbd as the package started it, before our drop-in was there.
    assert smb.action(ALL, HostProbe(**running)) == "restart"


def test_an_smbd_that_has_it_costs_no_command(host_double: Any) -> None:
    assert list(operations.served._inner(None, RUNS[smb.UNIT])) == []
    assert list(operations.disabled._inner(())) == []
    assert len(host_double.noops) == 2


def test_a_reload_is_noted(host_double: Any) -> None:
    (command,) = operations.served._inner("reload", RUNS[smb.UNIT])
    assert command.get_raw_value() == "systemctl reload smbd.service && /usr/local/lib/homelab/smb-loaded"
    (command,) = operations.served._inner("restart", RUNS[smb.UNIT])
    assert command.get_raw_value() == "systemctl restart smbd.service"


def test_smbd_waits_for_its_pools_and_needs_none() -> None:
    assert smb.dropin(ALL).content.splitlines()[1:] == [
        "[Unit]",
        "Wants=srv-bulk.mount srv-tank.mount",
        "After=srv-bulk.mount srv-tank.mount",
        "",
        "[Service]",
        "ExecStartPost=-/usr/local/lib/homelab/smb-loaded",
    ]


def test_netbios_is_turned_off_once() -> None:
    on = UnitState("loaded", "inactive", "dead", "enabled")
    assert smb.to_disable(HostProbe()) == smb.OLD_UNITS
    assert smb.to_disable(HostProbe(packages=SAMBA, units={"nmbd.service": on})) == smb.OLD_UNITS
    off = UnitState("loaded", "inactive", "dead", "disabled")
    assert smb.to_disable(HostProbe(packages=SAMBA, units={"nmbd.service": off})) == ()


@pytest.mark.parametrize(("system", "apart"), [(("debian", "12"), True), (("debian", "13"), False)])
def test_the_modules_are_a_package_apart_until_debian_13(system: tuple[str, str], apart: bool) -> None:
    names = smb.packages(HostProbe(os_id=system[0], os_version=system[1]))
    assert ("samba-vfs-modules" in names) is apart and "samba" in names


def test_previous_versions_of_zfs_are_where_it_shows_its_snapshots() -> None:
    pool = {"kind": "zfs", "level": "mirror", "disks": ["a", "b"]}
    shares = {
        "photos": {"volume": "photos", "smb": {"users": ["anna"]}},
        "times": {"volume": "times", "smb": {"users": ["bob"], "purpose": "timemachine"}},
    }
    volumes = {name: VOLUMES[name] for name in shares}
    described = host(pools={"tank": pool}, users=USERS, volumes=volumes, shares=shares)
    said = section(smb.conf(described).content, "photos")
    assert said["vfs objects"] == "catia fruit streams_xattr shadow_copy2"
    assert {key: value for key, value in said.items() if key.startswith("shadow:")} == {
        "shadow:snapdir": "/srv/tank/photos/.zfs/snapshot",
        "shadow:basedir": "/srv/tank/photos",
        "shadow:format": "GMT-%Y.%m.%d-%H.%M.%S",
        "shadow:sort": "desc",
    }
    assert "shadow_copy2" not in section(smb.conf(described).content, "times")["vfs objects"]
    assert "Wants=srv-tank.mount srv-tank-photos.mount srv-tank-times.mount\n" in smb.dropin(described).content
