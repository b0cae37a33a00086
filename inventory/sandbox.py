"""The simulated hosts that the Vagrantfile boots; `make sandbox` brings them up and deploys to them.

SANDBOX chooses which: small (default), ha, full or nfs. tests/sandbox compares this table with the Vagrantfile's.
"""

import os as _os
import shlex as _shlex
from pathlib import Path as _Path

_SANDBOX = _Path(__file__).resolve().parent.parent / ".sandbox"

_HOSTS = {
    "s1": "10.17.77.11",
    "s2": "10.17.77.12",
    "s3": "10.17.77.13",
    "a1": "10.17.77.21",
    "a2": "10.17.77.22",
    "a3": "10.17.77.23",
    "nas": "10.17.77.31",
}

# servers, agents, NAS
_SIZES = {
    "small": (["s1"], ["a1"], ["nas"]),
    "ha": (["s1", "s2", "s3"], ["a1"], []),
    "full": (["s1", "s2", "s3"], ["a1", "a2"], ["nas"]),
    "nfs": (["s1"], ["a2", "a3"], ["nas"]),
}

_size = _os.environ.get("SANDBOX") or "small"
if _size not in _SIZES:
    raise ValueError(f"SANDBOX={_size} is not one of {', '.join(_SIZES)}")


def _hosts(names):
    return [
        (
            name,
            {
                "address": _HOSTS[name],
                "ssh_hostname": _HOSTS[name],
                "ssh_user": "vagrant",
                "ssh_key": str(_SANDBOX / "ssh" / "id_ed25519"),
                # Host keys are written down as the hosts are made, so even the first contact is verified.
                "ssh_known_hosts_file": str(_SANDBOX / "known_hosts"),
                "ssh_strict_host_key_checking": "yes",
            },
        )
        for name in names
    ]


def _secret(name):
    """A password of the simulated NAS: the sandbox's own SSH key, which is nowhere else, with a name, hashed."""
    # Shown when it fails, so it tells what to do.
    script = 'test -s "$1" || { echo make sandbox makes it >&2; exit 1; }; '
    script += '{ echo "$2"; cat "$1"; } | sha256sum | cut -c 1-24'
    return "command:" + _shlex.join(["sh", "-c", script, "sh", ".sandbox/ssh/id_ed25519", name])


# d5 and d6 are in no pool: they take the place of others in tests.
_storage = {
    "disks": {f"d{n}": {"id": f"virtio-homelab-d{n}"} for n in range(1, 7)},
    "pools": {
        "tank": {"kind": "mdraid", "level": "raid1", "disks": ["d1", "d2"], "filesystem": "ext4"},
        "pics": {"kind": "btrfs", "level": "raid1", "disks": ["d3", "d4"]},
    },
    "volumes": {
        "media": {"pool": "tank", "owner": "anna", "quota": "500M"},
        "album": {"pool": "pics", "owner": "anna"},
        "bulk": {"pool": "pics", "owner": "ben"},
    },
    "users": {
        "anna": {"uid": 2001, "password": _secret("anna")},
        "ben": {"uid": 2002, "password": _secret("ben")},
    },
    "shares": {
        "media": {
            "volume": "media",
            "nfs": {"clients": ["sandbox"]},
            "smb": {"users": ["anna", "ben"], "purpose": "multiprotocol"},
        },
        "album": {"volume": "album", "smb": {"users": ["anna"], "recycle": True}},
        "bulk": {"volume": "bulk", "nfs": {"clients": ["a2" if _size == "full" else "sandbox"]}},
    },
    "snapshots": {"album": {"hourly": 24, "daily": 7}},
    # On the system's disk, so on neither of the pools.
    "backups": {
        "nightly": {
            "volumes": ["media", "album"],
            "to": "/var/backups/homelab-restic",
            "password": _secret("restic"),
        },
    },
}

k3s_servers, k3s_agents, nas = (_hosts(names) for names in _SIZES[_size])
for _, _data in nas:
    _data.update(_storage)
