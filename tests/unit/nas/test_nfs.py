"""Exports as exportfs reads them, and what of NFSv3 may go."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from homelab.model import Host
from homelab.nas import nfs
from homelab.operations import nfs as operations
from homelab.probe import HostProbe, UnitState
from tests.unit.nas.shares import home, host

USERS = {"anna": {"uid": 2001}, "bob": {"uid": 2002}}
ACTIVE = {nfs.UNIT: UnitState("loaded", "active", "exited", "enabled")}
# /var/lib/nfs/etab on Debian 12, after exportfs -r read what this renders.
ETAB = (
    "{path}\t{client}({mode},sync,wdelay,hide,nocrossmnt,secure,{squash},no_all_squash,no_subtree_check,secure_locks,"
    "acl,no_pnfs,fsid={fsid},mountpoint=/srv/{pool},anonuid=65534,anongid=65534,sec=sys,{mode},{squash},no_all_squash)"
)


def shared(volume: dict[str, Any] | None = None, **values: Any) -> Host:
    return host(
        users=USERS,
        volumes={"photos": {"pool": "tank", "owner": "anna", **(volume or {})}},
        shares={"photos": {"volume": "photos", "nfs": {"clients": ["lan"], **values}}},
    )


def answered(*lines: str, **values: Any) -> HostProbe:
    return HostProbe(output={"nas-nfs": "\n".join(lines) + "\n"}, **values)


def lines(nas: Host, probe: HostProbe | None = None) -> list[str]:
    (file,) = nfs.exports(home(nas), nas, probe or HostProbe())
    assert file.path == "/etc/exports.d/homelab-photos.exports"
    return file.content.splitlines()[1:]


FSID = "fsid=" + str(nfs._fsid("/srv/tank/photos"))


def test_each_client_has_a_line_with_no_blank_before_the_bracket() -> None:
    clients = ["lan", "lan6", "nas", "10.0.0.7", "fd00:2::/64", "fd00:3::7"]
    options = f"(rw,sync,no_subtree_check,sec=sys,root_squash,{FSID},mountpoint=/srv/tank)"
    assert lines(shared(clients=clients)) == [
        f"/srv/tank/photos {client}{options}"
        for client in ("192.168.1.0/24", "fd00:1::/64", "192.168.1.31", "10.0.0.7", "fd00:2::/64", "fd00:3::7")
    ]


def test_an_exports_identity_never_changes() -> None:
    assert FSID == "fsid=905132af-61de-5fed-abed-1f8f7f8a1980"


def test_who_everybody_is_squashed_to() -> None:
    (line,) = lines(shared(squash="all"))
    assert "all_squash,anonuid=2001,anongid=2001," in line
    there = HostProbe(output={"nas-accounts": "group:users:100:\n"})
    (line,) = lines(shared({"group": "users"}, squash="all", read_only=True), there)
    assert "(ro," in line and "all_squash,anonuid=2001,anongid=100," in line
    (line,) = lines(shared(squash="none"))
    assert ",no_root_squash," in line


def test_nobody_becomes_root_by_being_squashed() -> None:
    nas = shared({"owner": "root"}, squash="all")
    assert [str(each) for each in nfs.problems(home(nas), nas, HostProbe())] == [
        "nas: shares.photos.nfs.squash: everybody would be root in volume photos; write an owner in volumes.photos"
    ]


def test_a_container_exports_nothing() -> None:
    (found,) = nfs.problems(home(), shared(), HostProbe(container="lxc"))
    assert "is a container (lxc)" in str(found)
    (found,) = nfs.problems(home(), shared(), HostProbe(missing_modules=frozenset({"nfsd"}), kernel="6.1"))
    assert "its kernel 6.1 has no nfsd" in str(found)


def test_the_server_speaks_nothing_older_than_4() -> None:
    text = nfs.conf(shared(), answered("cpus 4")).content
    assert text.splitlines()[1:] == ["[nfsd]", "threads=16", "vers2=n", "vers3=n", "vers4=y"]
    assert "threads=8\n" in nfs.conf(shared(), answered("cpus 1")).content
    assert "threads=32\n" in nfs.conf(shared(), answered("cpus 64")).content


def test_somebody_elses_exports_keep_their_nfsv3() -> None:
    probe = answered("cpus 1", "foreign /etc/exports")
    assert "vers3" not in nfs.conf(shared(), probe).content
    assert nfs.to_mask(shared(), probe) == ()
    (found,) = nfs.warnings(home(), shared(), probe)
    assert str(found).startswith("nas: /etc/exports: has exports of its own, so NFSv3 and its rpcbind stay")


@pytest.mark.parametrize("line", ["client /mnt/old", "rpc ypserv"])
def test_somebody_elses_rpcbind_stays(line: str) -> None:
    probe = answered("cpus 1", line)
    assert "vers3=n" in nfs.conf(shared(), probe).content
    assert nfs.to_mask(shared(), probe) == ()
    assert line.split()[1] in str(next(nfs.warnings(home(), shared(), probe)))


def test_what_only_older_versions_need_is_masked_once() -> None:
    assert nfs.to_mask(shared(), HostProbe()) == nfs.OLD_UNITS
    masked = {unit: UnitState("masked", enabled="masked") for unit in nfs.OLD_UNITS}
    assert nfs.to_mask(shared(), HostProbe(units=masked)) == ()
    assert nfs.to_mask(host(), HostProbe()) == ()


@pytest.mark.parametrize(
    ("said", "restart"),
    [
        (("cpus 2", "versions -2 -3 +4 +4.1 +4.2", "threads 8"), False),
        (("cpus 2", "versions -3 +4 -4.0 +4.1 +4.2", "threads 8"), False),
        (("cpus 2", "versions -2 +3 +4 +4.1 +4.2", "threads 8"), True),
        (("cpus 2", "versions -2 -3 +4 +4.1 +4.2", "threads 4"), True),
        # It runs, says systemd, and serves nothing.
        (("cpus 2", "versions -2 -3 +4 +4.1 +4.2", "threads 0"), True),
        (("cpus 2", "versions -2 +3 +4 +4.1 +4.2", "threads 8", "foreign /etc/exports"), False),
    ],
)
def test_clients_wait_for_a_restart_only_when_the_server_differs(said: tuple[str, ...], restart: bool) -> None:
    assert nfs.restart(shared(), answered(*said, units=ACTIVE)) is restart
    assert nfs.restart(shared(), answered(*said)) is False, "it does not run: it will be started"


def etab(client: str = "192.168.1.0/24", mode: str = "rw", squash: str = "root_squash", **other: str) -> str:
    path = other.get("path", "/srv/tank/photos")
    return "etab " + ETAB.format(
        path=path, client=client, mode=mode, squash=squash, fsid=other.get("fsid", nfs._fsid(path)), pool="tank"
    )


def test_what_exportfs_has_is_compared_with_what_is_wanted() -> None:
    def applied(*has: str) -> bool:
        return nfs.applied(home(), shared(), answered(*has))

    assert applied(etab())
    assert not applied()
    assert not applied(etab(mode="ro"))
    assert not applied(etab(squash="no_root_squash"))
    assert not applied(etab("192.168.2.0/24"))
    assert not applied(etab(), etab("192.168.2.0/24")), "a client that is no longer described"
    assert not applied(etab(), etab(path="/srv/tank/gone")), "a share that is no longer described"
    theirs = etab(path="/srv/nfs4", fsid="6f9619ff-8b86-d011-b42d-00cf4fc964ff")
    assert applied(etab(), theirs), "somebody else's"


def test_only_our_own_files_are_ever_removed() -> None:
    probe = answered("ours /etc/exports.d/homelab-photos.exports", "ours /etc/exports.d/homelab-gone.exports")
    assert nfs.stale(shared(), probe) == ("/etc/exports.d/homelab-gone.exports",)


def test_a_second_run_does_nothing(host_double: Any) -> None:
    assert list(operations.exports._inner((), (), True)) == []
    assert list(operations.masked._inner(())) == []
    assert host_double.noops == ["the exports are in force", "they are masked"]


def test_files_come_before_what_puts_them_in_force(host_double: Any) -> None:
    files = nfs.exports(home(), shared(), HostProbe())
    commands = list(operations.exports._inner(files, ("/etc/exports.d/homelab-gone.exports",), False))
    assert commands[0].connector_arguments["_stdin"] == files[0].content
    assert [each.get_raw_value() for each in commands[1:]] == [
        "rm -f -- /etc/exports.d/homelab-gone.exports",
        "exportfs -r",
    ]


def _namespaces() -> bool:
    done = subprocess.run(["unshare", "-mn", "mount", "-t", "tmpfs", "tmpfs", "/srv"], capture_output=True, check=False)
    return done.returncode == 0


# As on a host: exportfs' own state is shadowed by the check, nothing here is exported.
real = pytest.mark.skipif(
    shutil.which("exportfs") is None
    or os.geteuid() != 0
    or not Path("/var/lib/nfs").is_dir()
    or not Path(nfs.EXPORTS).is_dir()
    or not _namespaces(),
    reason="no exportfs (nfs-kernel-server), no /etc/exports.d, or no right to make namespaces",
)


def proven(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    new = tmp_path / "new"
    new.write_text(text, encoding="utf-8")
    (file,) = nfs.exports(home(), shared(), HostProbe())
    script = f"set -e; umask 077\nnew={new}\n{file.check}\necho passed"
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)


@real
def test_exportfs_takes_every_kind_of_client(tmp_path: Path) -> None:
    nas = shared(clients=["lan", "lan6", "nas", "10.0.0.7", "fd00:2::/64", "fd00:3::7"], squash="all")
    (file,) = nfs.exports(home(nas), nas, HostProbe())
    done = proven(tmp_path, file.content)
    assert (done.returncode, done.stdout, done.stderr) == (0, "passed\n", "")


@real
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("sync", "snyc", "unknown keyword"),
        ("24(", "24 (", "No options for"),
        ("192.168.1.0/24", "*", "an export to everybody"),
        ("192.168.1.0/24", "no.such.host.invalid", "Failed to resolve"),
    ],
)
def test_exportfs_says_what_is_wrong_before_it_counts(tmp_path: Path, old: str, new: str, said: str) -> None:
    before = Path("/var/lib/nfs/etab").read_bytes() if Path("/var/lib/nfs/etab").exists() else None
    (file,) = nfs.exports(home(), shared(), HostProbe())
    done = proven(tmp_path, file.content.replace(old, new, 1))
    assert done.returncode == 1 and said in done.stderr, done
    assert not (tmp_path / "new").exists()
    after = Path("/var/lib/nfs/etab").read_bytes() if Path("/var/lib/nfs/etab").exists() else None
    assert before == after


def on_zfs() -> Host:
    """The same share of a volume of ZFS."""
    nas = shared()
    assert nas.storage is not None
    tank = nas.storage.pools["tank"].model_copy(update={"kind": "zfs", "level": "mirror"})
    storage = nas.storage.model_copy(update={"pools": {**nas.storage.pools, "tank": tank}})
    return nas.model_copy(update={"storage": storage})


def test_a_volume_of_zfs_is_exported_while_its_own_dataset_is_mounted() -> None:
    nas = on_zfs()
    (line,) = lines(nas)
    assert line.endswith(f",{FSID},mountpoint=/srv/tank/photos)")
    assert nfs.dropin(nas).content.splitlines()[1:] == [
        "[Unit]",
        "Wants=srv-tank.mount srv-tank-photos.mount",
        "After=srv-tank.mount srv-tank-photos.mount",
    ]


@real
def test_exportfs_takes_a_volume_that_is_a_mount_of_its_own(tmp_path: Path) -> None:
    (file,) = nfs.exports(home(), on_zfs(), HostProbe())
    done = proven(tmp_path, file.content)
    assert (done.returncode, done.stdout, done.stderr) == (0, "passed\n", "")
