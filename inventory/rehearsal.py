"""A home of machines that do not exist: read the plan of a deploy without any host.

    HOMELAB_ENV=rehearsal pyinfra --dry inventory deploys/site.py

Needs no variable, secret, artifact or network: pyinfra's @fake connector answers every command.
"""

import base64 as _base64
import json as _json

# What a freshly installed Debian 13 answers to the toolkit's probe (homelab.probe); all else succeeds in silence.
_ANSWER = """
os_id	debian
os_version	13
os_name	Debian GNU/Linux 13 (trixie)
machine	x86_64
kernel	6.12.48+deb13-amd64
hostname	{name}
init	systemd
boot_id	{name}
container	none
address	lo 127.0.0.1/8
address	eth0 {address}/24
default_route	default via 192.0.2.1 dev eth0
memory	8589934592
disk_free	/var/lib 107374182400
cgroup	v2
cgroup_controllers	cpuset cpu io memory pids
clock_synchronised	yes
ssh_peer	192.0.2.5 50000 {address} 22
reachable	22 users:(("sshd",pid=1,fd=3))
unit	ssh.service LoadState=loaded ActiveState=active UnitFileState=enabled MainPID=1
text	/etc/hostname {hostname}
text	/etc/ssh/sshd_config {sshd_config}
output	storage {storage}
end	1
"""


# And eight new disks of 4 TB to what it asks of a NAS (homelab.storage.probe).
_DISKS = {f"ata-REHEARSAL_D{n}": f"sd{letter}" for n, letter in enumerate("abcdefgh", 1)}


def _storage():
    system = {
        "name": "nvme0n1",
        "kname": "nvme0n1",
        "type": "disk",
        "size": 256 * 10**9,
        "serial": "SYSTEM",
        "tran": "nvme",
    }
    parts = [
        {
            "name": "nvme0n1p1",
            "kname": "nvme0n1p1",
            "type": "part",
            "size": 255 * 10**9,
            "fstype": "ext4",
            "mountpoints": ["/"],
        }
    ]
    fixed = {"rm": False, "ro": False, "mountpoints": []}
    devices = [{**fixed, **system, "children": [{**fixed, **part} for part in parts]}]
    lines = ["mount\t26 1 259:1 / / rw shared:1 - ext4 /dev/nvme0n1p1 rw", "tool\tmkfs.ext4"]
    for number, (name, kernel) in enumerate(_DISKS.items(), 1):
        serial = name.rpartition("_")[2]
        devices.append(
            {
                **fixed,
                "name": kernel,
                "kname": kernel,
                "type": "disk",
                "size": 4 * 10**12,
                "serial": serial,
                "tran": "sata",
            }
        )
        lines += [
            f"link\t{name}\t../../{kernel}",
            f"listed\t{name}\t{kernel}",
            f"disk\t{kernel}\t{number}\tyes\t{serial}",
            f'signatures\t{kernel}\t{{"signatures": []}}',
            f"content\t{kernel}\tzero",
        ]
    empty = ["mountpoint\ttank\tnone\t\t\t", "mountpoint\tpics\tnone\t\t\t"]
    empty += ["mountpoint\tfilms\tnone\t\t\t", "mountpoint\tattic\tnone\t\t\t", "end"]
    return "\n".join(["lsblk\t" + _json.dumps({"blockdevices": devices}), *lines, *empty]) + "\n"


def _encoded(text):
    return _base64.b64encode(text.encode()).decode()


def _host(name, address, **more):
    answer = _ANSWER.format(
        name=name,
        address=address,
        hostname=_encoded(f"{name}\n"),
        sshd_config=_encoded("Include /etc/ssh/sshd_config.d/*.conf\n"),
        storage=_encoded(_storage()),
    )
    fake = {"fake_responses": {"homelab-probe": answer}, "fake_delay": 0, "fake_delay_jitter": 0}
    return f"@fake/{name}", {"address": address, **fake, **more}


k3s_servers = [
    _host("s1", "192.0.2.11"),
    _host("s2", "192.0.2.12"),
    _host("s3", "192.0.2.13"),
]

k3s_agents = [
    _host("a1", "192.0.2.21"),
    _host("a2", "192.0.2.22", labels={"disk": "ssd"}, taints=["gpu=yes:NoSchedule"]),
]

# A pool of each kind; whatever needs a secret is left out.
nas = [
    _host(
        "nas",
        "192.0.2.31",
        disks={f"d{n}": {"id": f"ata-REHEARSAL_D{n}"} for n in range(1, 9)},
        pools={
            "tank": {"kind": "mdraid", "level": "raid1", "disks": ["d1", "d2"], "filesystem": "ext4"},
            "pics": {"kind": "btrfs", "level": "raid1", "disks": ["d3", "d4"]},
            "films": {"kind": "snapraid", "disks": ["d5"], "parity": ["d6"]},
            "attic": {"kind": "zfs", "level": "mirror", "disks": ["d7", "d8"]},
        },
        volumes={
            "media": {"pool": "tank", "quota": "500G"},
            "album": {"pool": "pics", "owner": "anna"},
            "kube": {"pool": "tank"},
            "archive": {"pool": "attic", "quota": "1T"},
        },
        users={"anna": {"uid": 2001}},
        shares={
            "media": {"volume": "media", "nfs": {"clients": ["lan"]}},
            "kube": {"volume": "kube", "nfs": {"clients": ["s1", "s2", "s3", "a1", "a2"], "squash": "none"}},
        },
        snapshots={"album": {"hourly": 24, "daily": 7}},
        ups={"driver": "usbhid-ups"},
    ),
]
