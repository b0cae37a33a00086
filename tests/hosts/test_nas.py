"""The NAS as the inventory describes it: pools, volumes, shares, snapshots and backups, seen by real clients on it."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from secrets import token_hex

import pytest

from homelab.settings import resolve_secret
from tests.hosts.inventory import ROOT, hosts

testinfra_hosts = hosts("nas")

# Where a client's side of a share is mounted while a test looks at it.
CLIENT = "/run/homelab-test"


@pytest.fixture(scope="module")
def nas(mine):
    assert mine.storage is not None
    return mine.storage


@pytest.fixture(scope="module")
def passwords(nas) -> dict[str, str]:
    """The passwords of all users, as the inventory's references tell them."""
    given = {name: user.password for name, user in nas.users.items() if user.password}
    return {name: resolve_secret(ref, base=Path(ROOT)).get_secret_value() for name, ref in given.items()}


@pytest.fixture
def client(host) -> Iterator[str]:
    """A folder on the host to mount a share on; nothing of it is left."""
    host.check_output(f"mkdir -p {CLIENT}")
    yield CLIENT
    host.run(f"umount -l {CLIENT}; rmdir {CLIENT}")


def mounted(host, path: str) -> dict[str, str]:
    found = json.loads(host.check_output(f"findmnt -J -o TARGET,SOURCE,FSTYPE,OPTIONS,UUID --mountpoint {path}"))
    return found["filesystems"][0]


def disks(host, nas, pool: str) -> set[str]:
    """The kernel's names for the disks of a pool."""
    found = set()
    for name in nas.pools[pool].disks:
        disk = nas.disks[name].id
        if disk.startswith("serial:"):
            listed = json.loads(host.check_output("lsblk -J -d -o NAME,SERIAL"))["blockdevices"]
            (match,) = [each["name"] for each in listed if each["serial"] == disk.removeprefix("serial:")]
            found.add(match)
        else:
            found.add(host.check_output(f"readlink -f /dev/disk/by-id/{shlex.quote(disk)}").removeprefix("/dev/"))
    return found


def test_pools_are_mounted_by_their_own_filesystem(host, nas):
    for name, pool in nas.pools.items():
        at = mounted(host, nas.mountpoint(name))
        assert at["fstype"] == ("btrfs" if pool.kind == "btrfs" else pool.filesystem or "ext4")
        assert host.file(f"{nas.mountpoint(name)}/.homelab-pool").content_string.split() == [name, at["uuid"]]
        unit = host.check_output(f"systemd-escape -p --suffix=mount {nas.mountpoint(name)}")
        assert host.service(unit).is_enabled
        assert "noatime" in at["options"]


def test_an_mdraid_pool_has_just_its_disks_all_of_them_working(host, nas):
    for name, pool in nas.pools.items():
        if pool.kind != "mdraid":
            continue
        device = host.check_output(f"readlink -f {mounted(host, nas.mountpoint(name))['source']}")
        detail = dict(
            line.split("=", 1) for line in host.check_output(f"mdadm --detail --export {device}").splitlines() if line
        )
        members = {value.removeprefix("/dev/") for key, value in detail.items() if key.endswith("_DEV")}
        assert (detail["MD_LEVEL"], members) == (pool.level, disks(host, nas, name))
        assert host.file(f"/sys/block/{device.removeprefix('/dev/')}/md/degraded").content_string.strip() == "0"
        assert detail["MD_UUID"] in host.check_output(
            "cat /etc/mdadm/mdadm.conf /etc/mdadm/mdadm.conf.d/* 2>/dev/null; true"
        )


def test_a_btrfs_pool_has_just_its_disks_and_one_profile(host, nas):
    for name, pool in nas.pools.items():
        if pool.kind != "btrfs":
            continue
        path = nas.mountpoint(name)
        shown = host.check_output(f"btrfs filesystem show {path}")
        members = {line.split()[-1].removeprefix("/dev/") for line in shown.splitlines() if " path " in line}
        assert "MISSING" not in shown.upper()
        assert members == disks(host, nas, name)
        usage = host.check_output(f"btrfs filesystem df {path}")
        kinds = [line.split(":")[0] for line in usage.splitlines() if not line.startswith("GlobalReserve")]
        assert sorted(kinds) == [
            f"Data, {pool.level.upper()}",
            f"Metadata, {pool.level.upper()}",
            f"System, {pool.level.upper()}",
        ]


def test_nothing_can_be_written_where_a_pool_is_not_mounted(host, nas):
    # A mount namespace of its own: there the pool is taken away, and the bare folder is seen.
    for name in nas.pools:
        path = nas.mountpoint(name)
        look = f"umount -l {path}; touch {path}/written 2>/dev/null && echo written; ls -A {path}; lsattr -d {path}"
        (line,) = host.check_output(f"unshare -m --propagation private sh -c '{look}'").splitlines()
        assert "i" in line.split()[0]


def test_volumes_belong_to_whom_the_inventory_says(host, nas):
    for name, volume in nas.volumes.items():
        folder = host.file(nas.path(name))
        assert folder.is_directory
        assert (folder.user, f"{folder.mode:04o}") == (volume.owner, volume.mode)
        assert volume.group is None or folder.group == volume.group
        if nas.pools[volume.pool].kind == "btrfs":
            assert host.check_output(f"stat -c %i {nas.path(name)}") == "256", "a subvolume's root"


def test_a_quota_stops_who_writes_more(host, nas):
    limited = [name for name, volume in nas.volumes.items() if volume.quota and volume.quota < 2**30]
    if not limited:
        pytest.skip("no volume with a quota small enough to fill")
    for name in limited:
        volume = nas.volumes[name]
        file = f"{nas.path(name)}/.homelab-test-quota"
        megabytes = volume.quota // 2**20 + 16
        try:
            # As its owner: root is above the quotas of ext4 and xfs.
            tried = host.run(
                f"setpriv --reuid={volume.owner} --regid={volume.owner} --init-groups "
                f"dd if=/dev/zero of={file} bs=1M count={megabytes} conv=fsync"
            )
            assert tried.rc != 0
            assert "quota" in tried.stderr.lower() or "no space" in tried.stderr.lower()
        finally:
            host.check_output(f"rm -f {file}")


def test_users_have_their_ids_and_cannot_log_in(host, nas):
    for name, user in nas.users.items():
        account = host.user(name)
        assert (account.uid, account.shell) == (user.uid, "/usr/sbin/nologin")
        assert host.check_output(f"passwd -S {name}").split()[1] == "L"


def test_nfs_is_version_4_only(host, nas):
    if not any(share.nfs for share in nas.shares.values()):
        pytest.skip("no share by NFS")
    versions = host.file("/proc/fs/nfsd/versions").content_string.split()
    assert "-3" in versions and "+4.2" in versions
    assert not host.socket("tcp://111").is_listening


def may_mount(home, clients, address) -> bool:
    """Whether an export's clients, as the inventory names them, hold an address."""
    names = {**home.base.networks, **{each.name: each.address for each in home.hosts}}
    return any(address in ip_network(names.get(client, client)) for client in clients)


def test_an_nfs_share_is_written_and_read_by_a_client(host, nas, mine, home, client):
    shares = [share for share in nas.shares.values() if share.nfs]
    if not shares:
        pytest.skip("no share by NFS")
    for share in shares:
        path, word = nas.path(share.volume), token_hex(16)
        owner = nas.volumes[share.volume].owner
        mount = f"mount -t nfs4 -o vers=4.2,hard,timeo=100 {mine.address}:{path} {client}"
        if not may_mount(home, share.nfs.clients, mine.address):
            assert host.run(mount).rc != 0, "it is no client of this share"
            continue
        host.check_output(mount)
        try:
            assert "vers=4.2" in mounted(host, client)["options"]
            as_owner = f"setpriv --reuid={owner} --regid={owner} --init-groups"
            written = host.run(f"{as_owner} sh -c 'echo {word} | dd of={client}/.homelab-test conv=fsync status=none'")
            if share.nfs.read_only or (owner == "root" and share.nfs.squash != "none"):
                assert written.rc != 0
                continue
            assert written.rc == 0, written.stderr
            assert host.file(f"{path}/.homelab-test").content_string.strip() == word
            assert host.file(f"{path}/.homelab-test").user == owner
            if share.nfs.squash == "root":
                assert host.run(f"chown root {client}/.homelab-test").rc != 0, "root of a client is nobody here"
        finally:
            host.run(f"umount {client}")
            host.check_output(f"rm -f {path}/.homelab-test")


@pytest.fixture
def smbclient(mine, tmp_path: Path):
    """smbclient on this machine, as a user; the password is in a file of its own."""
    if not shutil.which("smbclient"):
        pytest.skip("no smbclient on this machine")

    def run(user: str, password: str, share: str, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "login"
        file.touch(0o600)
        file.write_text(f"username = {user}\npassword = {password}\n", encoding="utf-8")
        login = ["-A", str(file)] if user else ["-N"]
        return subprocess.run(
            ["smbclient", *login, *options, f"//{mine.address}/{share}", "-c", command],
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def test_an_smb_share_lets_in_its_users_and_nobody_else(nas, passwords, smbclient):
    shares = {name: share for name, share in nas.shares.items() if share.smb}
    if not shares:
        pytest.skip("no share by SMB")
    for name, share in shares.items():
        for user in share.smb.users:
            let_in = smbclient(user, passwords[user], name, "ls")
            assert let_in.returncode == 0, (name, user, let_in.stdout)
        for user in set(passwords) - set(share.smb.users):
            refused = smbclient(user, passwords[user], name, "ls")
            assert refused.returncode != 0
            assert "ACCESS_DENIED" in refused.stdout + refused.stderr
        user = share.smb.users[0]
        wrong = smbclient(user, "wrong", name, "ls")
        assert wrong.returncode != 0
        assert "LOGON_FAILURE" in wrong.stdout + wrong.stderr
        assert smbclient(user, passwords[user], name, "ls", "-m", "NT1").returncode != 0, "SMB1 is refused"
        assert smbclient("", "", name, "ls").returncode != 0, "guests are refused"


def test_what_is_written_by_smb_is_what_lies_on_the_disk(host, nas, passwords, smbclient, tmp_path):
    shares = {name: share for name, share in nas.shares.items() if share.smb and not share.smb.read_only}
    if not shares:
        pytest.skip("no share to write to by SMB")
    for name, share in shares.items():
        user, word = share.smb.users[0], token_hex(16)
        (tmp_path / "source").write_text(f"{word}\n", encoding="utf-8")
        done = smbclient(user, passwords[user], name, f"put {tmp_path}/source homelab-test")
        assert done.returncode == 0, done.stdout
        assert host.file(f"{nas.path(share.volume)}/homelab-test").content_string.strip() == word
        assert smbclient(user, passwords[user], name, "rm homelab-test").returncode == 0
        host.run(f"rm -rf {nas.path(share.volume)}/.recycle/{user}/homelab-test")


def test_no_password_is_where_others_can_read_it(host, passwords):
    if not passwords:
        pytest.skip("no password in the inventory")
    secrets = list(passwords.values())
    assert all(len(each) >= 12 for each in secrets), "a password this short would be found by chance"
    seen = host.run("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'").stdout
    seen += host.check_output("journalctl --no-pager -o cat -b")
    seen += host.check_output(
        "cat /etc/systemd/system/*.service /etc/samba/smb.conf /etc/exports.d/* 2>/dev/null; true"
    )
    assert len(seen) > 1000
    assert not [True for secret in secrets if secret in seen]


def test_nothing_of_ours_has_failed(host):
    listed = host.check_output("systemctl list-units --state=failed --plain --no-legend --no-pager")
    assert [line.split()[0] for line in listed.splitlines()] == []
