"""The NAS as the inventory describes it: pools, volumes, shares, snapshots and backups, seen by real clients on it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from secrets import token_hex

import pytest

from homelab.model import levels
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
    return {device(host, nas, name) for name in nas.pools[pool].disks}


def device(host, nas, name: str) -> str:
    """The kernel's name for a disk."""
    disk = nas.disks[name].id
    if disk.startswith("serial:"):
        listed = json.loads(host.check_output("lsblk -J -d -o NAME,SERIAL"))["blockdevices"]
        (match,) = [each["name"] for each in listed if each["serial"] == disk.removeprefix("serial:")]
        return match
    return host.check_output(f"readlink -f /dev/disk/by-id/{shlex.quote(disk)}").removeprefix("/dev/")


def beneath(host, device: str) -> str:
    """The disk that a member is, or lies on encrypted."""
    # luks-8f5b55d0-1ae7-4f30-b28e-577bd4b69c2c crypt, and below it vdb disk
    below = [line.split() for line in host.check_output(f"lsblk -snro NAME,TYPE {device}").splitlines()]
    return below[-1][0] if below[0][1] == "crypt" else device.removeprefix("/dev/")


def test_pools_are_mounted_by_their_own_filesystem(host, nas):
    for name, pool in nas.pools.items():
        at = mounted(host, nas.mountpoint(name))
        if pool.kind in ("snapraid", "zfs"):
            continue  # looked at below
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
        members = {beneath(host, value) for key, value in detail.items() if key.endswith("_DEV")}
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
        members = {beneath(host, line.split()[-1]) for line in shown.splitlines() if " path " in line}
        assert "MISSING" not in shown.upper()
        assert members == disks(host, nas, name)
        usage = host.check_output(f"btrfs filesystem df {path}")
        kinds = dict(line.split(":")[0].split(", ") for line in usage.splitlines() if not line.startswith("Global"))
        data, metadata = levels.level("btrfs", pool.level).makes(len(pool.disks))
        assert {kind: profile.lower() for kind, profile in kinds.items()} == {
            "Data": data,
            "Metadata": metadata,
            "System": metadata,
        }
        assert len(kinds) == len([line for line in usage.splitlines() if not line.startswith("Global")])


def test_a_pool_of_zfs_has_just_its_disks_and_a_dataset_for_each_volume(host, nas):
    pools = [name for name, pool in nas.pools.items() if pool.kind == "zfs"]
    if not pools:
        pytest.skip("no pool of ZFS")
    for name in pools:
        level = nas.pools[name].level
        status = host.check_output(f"zpool status -LP {name}")
        # A whole disk has ZFS in the first of the partitions that it makes.
        found = re.findall(r"^\s+(/dev/\S+)\s+(\S+)", status, re.M)
        members = {host.check_output(f"lsblk -no PKNAME {path}").strip() for path, _ in found}
        assert members == disks(host, nas, name) and {state for _, state in found} == {"ONLINE"}, status
        assert len(re.findall(rf"^\s+{level}-\d+\s+ONLINE", status, re.M)) == 1, status
        record = dict(
            line.split("=", 1) for line in host.file(f"/var/lib/homelab/pools/{name}").content_string.splitlines()
        )
        assert host.check_output(f"zpool get -Hpo value guid {name}") == record["uuid"]
        sentinel = host.file(f"{nas.mountpoint(name)}/.homelab-pool").content_string
        assert sentinel.split() == [name, record["filesystem_uuid"]]
        volumes = {f"{name}/{each}": nas.path(each) for each, volume in nas.volumes.items() if volume.pool == name}
        for dataset, path in {name: nas.mountpoint(name), **volumes}.items():
            at = mounted(host, path)
            assert (at["fstype"], at["source"]) == ("zfs", dataset) and "noatime" in at["options"]
            assert host.service(host.check_output(f"systemd-escape -p --suffix=mount {path}")).is_enabled


def kernel(host, path: str) -> str:
    """A value of /sys or /proc."""
    return host.file(path).content_string.strip()


def test_each_disk_has_the_scheduler_that_suits_it(host, nas):
    # ZFS orders what it asks of its disks itself.
    for name in (name for name, pool in nas.pools.items() if pool.kind != "zfs"):
        for disk in disks(host, nas, name):
            queue = f"/sys/block/{disk}/queue"
            scheduler, turns = kernel(host, f"{queue}/scheduler"), kernel(host, f"{queue}/rotational") == "1"
            # A virtual disk is ordered by the machine below.
            if disk.startswith(("nvme", "vd")):
                assert scheduler == "none" or "[none]" in scheduler, disk
            elif turns and "mq-deadline" in scheduler:
                assert "[mq-deadline]" in scheduler, disk


def test_arrays_have_a_cache_for_parity_that_the_memory_can_bear(host, nas):
    parity = {name: pool for name, pool in nas.pools.items() if pool.level in ("raid5", "raid6")}
    parity = {name: pool for name, pool in parity.items() if pool.kind == "mdraid"}
    if not parity:
        pytest.skip("no array with parity")
    memory = int(host.check_output("awk '/^MemTotal:/ {print $2 * 1024}' /proc/meminfo"))
    taken = 0
    for name, pool in parity.items():
        array = host.check_output(f"readlink -f {mounted(host, nas.mountpoint(name))['source']}").removeprefix("/dev/")
        below = host.check_output(f"ls /sys/block/{array}/slaves").split() if array.startswith("dm-") else []
        array = next((each for each in below if each.startswith("md")), array)
        size = int(kernel(host, f"/sys/block/{array}/md/stripe_cache_size"))
        assert size > 256, "what the kernel takes by itself"
        taken += size * 4096 * len(pool.disks)
    assert taken <= memory / 16


def test_a_rebuild_gets_on_however_busy_the_array_is(host, nas):
    if not any(pool.kind == "mdraid" for pool in nas.pools.values()):
        pytest.skip("no array of md")
    assert int(kernel(host, "/proc/sys/dev/raid/speed_limit_min")) >= 10_000
    assert "dev.raid.speed_limit_min" in host.file("/etc/sysctl.d/90-homelab-nas.conf").content_string


def places(pool) -> dict[str, str]:
    """The places of a snapraid pool, and the disks that were listed for them when it was made."""
    found = {f"data{number}": name for number, name in enumerate(pool.disks, 1)}
    return found | {f"parity{number}": name for number, name in enumerate(pool.parity, 1)}


def test_a_snapraid_pool_joins_just_its_disks_each_with_a_filesystem_of_its_own(host, nas):
    for name, pool in nas.pools.items():
        if pool.kind != "snapraid":
            continue
        record = host.file(f"/var/lib/homelab/pools/{name}").content_string
        uuids = set()
        for slot in places(pool):
            path = f"/srv/.disks/{name}/{slot}"
            at = mounted(host, path)
            assert at["fstype"] == (pool.filesystem or "ext4") and "noatime" in at["options"]
            (line,) = [each for each in record.splitlines() if each.startswith(f"slot.{slot}=")]
            uuid, _, listed = line.partition("=")[2].partition(" ")
            assert (at["uuid"], at["source"]) == (uuid, f"/dev/{device(host, nas, listed)}")
            assert host.file(f"{path}/.homelab-disk").content_string.split() == [name, slot, uuid]
            assert host.service(f"srv-.disks-{name}-{slot}.mount").is_enabled
            uuids.add(uuid)
        assert len(uuids) == len(pool.members)
        at = mounted(host, nas.mountpoint(name))
        assert (at["fstype"], at["source"]) == ("fuse.mergerfs", name)
        assert {"nosuid", "nodev", "allow_other"} <= set(at["options"].split(","))
        assert host.service(f"srv-{name}.mount").is_enabled
        on_disk = [f"/srv/.disks/{name}/data{number}" for number in range(1, len(pool.disks) + 1)]
        tree = host.check_output(f"xargs -0 -n 1 echo </proc/$(pgrep -fo 'mergerfs -o fsname={name}[,]')/cmdline")
        assert ":".join(f"{each}=RW" for each in on_disk) in tree.splitlines()


def test_the_parity_of_a_snapraid_pool_is_kept_up_to_date_by_a_timer(host, nas):
    for name, pool in nas.pools.items():
        if pool.kind != "snapraid":
            continue
        for timer in (f"homelab-sync@{name}.timer", f"homelab-scrub@{name}.timer"):
            assert host.service(timer).is_enabled and host.service(timer).is_running
        assert host.run(f"snapraid -c /etc/homelab/snapraid/{name}.conf diff").rc in (0, 2), "0 equal, 2 different"


def test_an_encrypted_pool_is_opened_at_boot_by_a_key_of_roots_alone(host, nas):
    encrypted = {name: pool for name, pool in nas.pools.items() if pool.encryption}
    if not encrypted:
        pytest.skip("no encrypted pool in the inventory")
    for name, pool in encrypted.items():
        path, key = f"/etc/homelab/luks/{name}.key", resolve_secret(pool.encryption.key, base=Path(ROOT))
        file = host.file(path)
        assert (file.mode, file.user, file.group) == (0o600, "root", "root")
        assert file.content_string == key.get_secret_value()
        for disk in disks(host, nas, name):
            assert "crypt" in host.check_output(f"lsblk -rno TYPE /dev/{disk}").split()
            uuid = host.check_output(f"cryptsetup luksUUID --type luks2 /dev/{disk}")
            copy = host.file(f"/var/lib/homelab/luks/{uuid}")
            assert (copy.mode, copy.user) == (0o600, "root")
            assert host.run(f"head -c {copy.size} /dev/{disk} | cmp - {copy.path}").rc == 0
            (line,) = [each for each in host.file("/etc/crypttab").content_string.splitlines() if uuid in each]
            assert line.split()[:3] == [f"luks-{uuid}", f"UUID={uuid}", path] and "nofail" in line
            unit = host.check_output(f"systemd-escape --template=systemd-cryptsetup@.service luks-{uuid}")
            assert host.check_output(f"systemctl is-active {shlex.quote(unit)}") == "active"


def test_nothing_can_be_written_where_a_pool_is_not_mounted(host, nas):
    # A mount namespace of its own: there the pool is taken away, and the bare folder is seen.
    paths = [nas.mountpoint(name) for name in nas.pools]
    for name, pool in nas.pools.items():
        paths += [f"/srv/.disks/{name}/{slot}" for slot in places(pool)] if pool.kind == "snapraid" else []
    paths += [nas.path(name) for name, volume in nas.volumes.items() if nas.pools[volume.pool].kind == "zfs"]
    for path in paths:
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
        if nas.pools[volume.pool].kind == "snapraid":
            for number in range(1, len(nas.pools[volume.pool].disks) + 1):
                part = host.file(f"/srv/.disks/{volume.pool}/data{number}/{name}")
                assert (part.user, f"{part.mode:04o}") == (volume.owner, volume.mode), "alike on every disk"


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


def test_nfs_has_threads_for_its_processors_and_acknowledges_what_is_on_disk(host, nas):
    if not any(share.nfs for share in nas.shares.values()):
        pytest.skip("no share by NFS")
    threads = int(kernel(host, "/proc/fs/nfsd/threads"))
    assert threads == max(8, min(32, 4 * int(host.check_output("nproc"))))
    exported = host.check_output("exportfs -s").splitlines()
    assert exported
    for line in exported:
        options = line.partition("(")[2].rstrip(")").split(",")
        assert "sync" in options and "async" not in options


def test_smb_is_quick_by_sambas_own_settings_and_loses_nothing(host, nas):
    if not any(share.smb for share in nas.shares.values()):
        pytest.skip("no share by SMB")
    shown = host.check_output("testparm -sv 2>/dev/null")
    said = {name.strip(): value.strip() for name, _, value in (line.partition(" = ") for line in shown.splitlines())}
    assert (said["aio read size"], said["aio write size"]) == ("1", "1"), "0 is one request after another"
    assert said["server multi channel support"] == "Yes"
    assert (said["strict sync"], said["socket options"]) == ("Yes", "TCP_NODELAY")


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


def test_what_was_deleted_over_smb_stays_in_its_bin_until_it_is_old(host, nas, passwords, smbclient, tmp_path):
    shares = {name: share for name, share in nas.shares.items() if share.smb and share.smb.recycle}
    if not shares:
        pytest.skip("no share with a recycle bin")
    (tmp_path / "source").write_text("x\n", encoding="utf-8")
    for name, share in shares.items():
        user, word = share.smb.users[0], f"homelab-test-{token_hex(4)}"
        kept = f"{nas.path(share.volume)}/.recycle/{user}/{word}"
        done = smbclient(user, passwords[user], name, f"put {tmp_path}/source {word}; rm {word}")
        assert done.returncode == 0, done.stdout
        try:
            host.check_output("systemctl start homelab-recycle.service")
            assert host.file(kept).exists, "it was deleted just now"
            host.check_output(f"touch -d '{share.smb.recycle_days + 1} days ago' {kept}")
            host.check_output("systemctl start homelab-recycle.service")
            assert host.file(kept).exists, "whatever its time says, it was moved here just now"
        finally:
            host.check_output(f"rm -f {kept}")


def test_snapshots_are_previous_versions_for_smb(host, nas, passwords, smbclient, tmp_path):
    shares = {
        name: share
        for name, share in nas.shares.items()
        if share.smb and not share.smb.read_only and share.volume in nas.snapshots
    }
    if not shares:
        pytest.skip("no SMB share of a volume with snapshots")
    for name, share in shares.items():
        user, file = share.smb.users[0], f"homelab-test-{token_hex(4)}"
        before, after = tmp_path / "before", tmp_path / "after"
        before.write_text("before\n", encoding="utf-8")
        after.write_text("after\n", encoding="utf-8")
        try:
            assert smbclient(user, passwords[user], name, f"put {before} {file}").returncode == 0
            host.check_output(f"systemctl start homelab-snapshot@{share.volume}.service")
            assert smbclient(user, passwords[user], name, f"put {after} {file}").returncode == 0
            told = smbclient(user, passwords[user], name, f"allinfo {file}").stdout
            versions = [line.strip() for line in told.splitlines() if line.startswith("@GMT-")]
            assert versions, told
            # The newest that has the file is the one just taken; each is read by its own time.
            got = smbclient(user, passwords[user], name, f"get {max(versions)}\\\\{file} {tmp_path}/got")
            assert got.returncode == 0, got.stdout
            assert (tmp_path / "got").read_text(encoding="utf-8") == "before\n"
            assert host.file(f"{nas.path(share.volume)}/{file}").content_string == "after\n"
        finally:
            host.run(f"rm -f {nas.path(share.volume)}/{file} {nas.path(share.volume)}/.recycle/{user}/{file}")


def snapshots_of(host, nas, volume):
    """The names of a volume's snapshots, in order of their time."""
    pool = nas.volumes[volume].pool
    if nas.pools[pool].kind != "zfs":
        return host.check_output(f"ls {nas.mountpoint(pool)}/.snapshots/{volume}").split()
    names = host.check_output(f"zfs list -H -d 1 -t snapshot -o name {pool}/{volume}").split()
    return sorted(name.removeprefix(f"{pool}/{volume}") for name in names)


def test_a_shorter_retention_says_what_it_would_delete_and_deletes_nothing(host, nas):
    if not nas.snapshots:
        pytest.skip("no volume with snapshots")
    for name in nas.snapshots:
        host.check_output(f"systemctl start homelab-snapshot@{name}.service")
        before = snapshots_of(host, nas, name)
        would = host.check_output(f"/usr/local/lib/homelab/homelab-snapshot --preview {name} 0 0 0 1").split()
        assert would == sorted(before)[:-1] or set(would) < set(before[:-1]), "all but the newest of each month"
        assert snapshots_of(host, nas, name) == before


def test_a_pool_of_zfs_is_scrubbed_by_our_timer_alone(host, nas):
    pools = [name for name, pool in nas.pools.items() if pool.kind == "zfs"]
    if not pools:
        pytest.skip("no pool of ZFS")
    for name in pools:
        assert host.service(f"homelab-scrub@{name}.timer").is_running
        host.check_output(f"/usr/local/lib/homelab/homelab-scrub {name} now")
        scanned = f"zpool status {name} | grep 'scan:'"
        before = host.check_output(scanned)
        assert "scrub repaired 0B" in before
        # What Debian's cron starts.
        host.check_output("/usr/lib/zfs-linux/scrub")
        assert host.check_output(scanned) == before


# name{label="value",...} number
SAMPLE = re.compile(r'([a-z_]+)(\{[a-z]+="(?:[^"\\]|\\.)*"(?:,[a-z]+="(?:[^"\\]|\\.)*")*\})? [0-9.]+')


def test_what_the_watch_sees_is_there_as_metrics(host, nas):
    host.check_output("systemctl start homelab-watch.service")
    folders = ("/var/lib/prometheus/node-exporter", "/var/lib/homelab/metrics")
    folder = next(each for each in folders if host.file(each).is_directory)
    lines = host.file(f"{folder}/homelab.prom").content_string.splitlines()
    helps = [line.split()[2] for line in lines if line.startswith("# HELP ")]
    types = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
    assert helps == types == list(dict.fromkeys(helps))
    samples = [line for line in lines if not line.startswith("#")]
    assert all(SAMPLE.fullmatch(line) for line in samples)
    assert len({line.rpartition(" ")[0] for line in samples}) == len(samples)
    for name, pool in nas.pools.items():
        assert f'homelab_pool_mounted{{pool="{name}"}} 1' in samples
        assert any(line.startswith(f'homelab_pool_size_bytes{{pool="{name}"}} ') for line in samples)
        if pool.kind == "btrfs":
            assert f'homelab_btrfs_missing_disks{{pool="{name}"}} 0' in samples
        if pool.kind == "zfs":
            assert f'homelab_zfs_online{{pool="{name}"}} 1' in samples
    if any(pool.kind == "mdraid" for pool in nas.pools.values()):
        assert any(line.startswith("homelab_md_active{") and line.endswith(" 1") for line in samples)
    assert 'homelab_findings{level="critical"} 0' in samples


def test_smartd_is_asked_of_disks_that_have_smart_and_the_others_are_named(host, nas):
    said = host.check_output("/usr/local/lib/homelab/smartd-conf").splitlines()
    assert len(said) == len(nas.disks)
    for line, disk in zip(said, nas.disks.values(), strict=True):
        if line.startswith("# "):
            assert line.startswith(f"# {disk.id}: ") and line.endswith("has no SMART")
            assert host.run(f"smartctl -i {line.split()[2]} | grep -q 'SMART support is: Enabled'").rc != 0
        else:
            assert "/vd" not in host.check_output(f"readlink -f {line.split()[0]}")
            assert " -n standby,q " in line or line.startswith("/dev/nvme") or "nvme" in line


def test_what_was_given_is_noted(host, nas):
    noted = host.file("/var/lib/homelab/nas/rights")
    if not any(share.smb for share in nas.shares.values()):
        pytest.skip("no share by SMB")
    assert f"{noted.mode:04o}" == "0600"
    for line in noted.content_string.splitlines():
        kind, what, whom = line.split()
        if kind == "group":
            assert what in host.user(whom).groups
        if kind == "share":
            assert whom in nas.shares[what].smb.users


def test_the_ups_is_told_of_and_only_root_and_nut_know_its_passwords(host, nas, home, mine):
    if nas.ups is None:
        pytest.skip("no UPS")
    assert host.check_output("upsc ups@127.0.0.1 ups.status 2>/dev/null").split()[0] == "OL"
    for name in ("upsd.users", "upsmon.conf"):
        file = host.file(f"/etc/nut/{name}")
        assert (file.user, file.group, f"{file.mode:04o}") == ("root", "nut", "0640")
    secret = re.findall(r"password = (\S+)", host.file("/etc/nut/upsd.users").content_string)
    assert len(set(secret)) == 2
    seen = host.run("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'; journalctl --no-pager -o cat -b").stdout
    assert not [True for each in secret if each in seen]
    listening = host.check_output("ss -Hltn 'sport = 3493'").split()
    addresses = {"127.0.0.1:3493", *([f"{mine.address}:3493"] if home.followers(mine) else [])}
    assert addresses <= set(listening)
    assert not host.file("/etc/killpower").exists


def test_a_power_cut_is_told_at_once_and_so_is_its_end(host, nas):
    if nas.ups is None or nas.ups.driver != "dummy-ups":
        pytest.skip("no simulated UPS")
    plays = f"/etc/nut/{nas.ups.port}"
    known = "grep -c '^ups-ups' /var/lib/homelab/watch || :"

    def within(seconds: int, count: str) -> bool:
        wait = f'for i in $(seq {seconds}); do [ "$({known})" = {count} ] && exit; sleep 1; done; exit 1'
        return host.run(f"sh -c {shlex.quote(wait)}").rc == 0

    try:
        host.check_output(f"sed -i 's/^ups.status:.*/ups.status: OB/' {plays}")
        # Nobody asked the watch to look: it was the event.
        assert within(180, "1"), host.run("upsc ups@127.0.0.1; journalctl -n 20 -u nut-monitor -u homelab-ups").stdout
    finally:
        host.check_output(f"sed -i 's/^ups.status:.*/ups.status: OL/' {plays}")
    assert within(180, "0")


def test_no_password_is_where_others_can_read_it(host, nas, passwords):
    keys = [pool.encryption.key for pool in nas.pools.values() if pool.encryption]
    secrets = [*passwords.values(), *(resolve_secret(key, base=Path(ROOT)).get_secret_value() for key in keys)]
    if not secrets:
        pytest.skip("no password in the inventory")
    assert all(len(each) >= 12 for each in secrets), "a password this short would be found by chance"
    seen = host.run("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'").stdout
    seen += host.check_output("journalctl --no-pager -o cat -b")
    seen += host.check_output(
        "cat /etc/crypttab /etc/systemd/system/*.service /etc/samba/smb.conf /etc/exports.d/* 2>/dev/null; true"
    )
    assert len(seen) > 1000
    assert not [True for secret in secrets if secret in seen]


def test_nothing_of_ours_has_failed(host):
    listed = host.check_output("systemctl list-units --state=failed --plain --no-legend --no-pager")
    assert [line.split()[0] for line in listed.splitlines()] == []
