"""The simulated hosts that the Vagrantfile boots; `make sandbox` brings them up and deploys to them.

SANDBOX chooses which: small (default), ha or full. tests/sandbox compares this table with the Vagrantfile's.
"""

import os as _os
from pathlib import Path as _Path

_SANDBOX = _Path(__file__).resolve().parent.parent / ".sandbox"

_HOSTS = {
    "s1": "10.17.77.11",
    "s2": "10.17.77.12",
    "s3": "10.17.77.13",
    "a1": "10.17.77.21",
    "a2": "10.17.77.22",
    "nas": "10.17.77.31",
}

# servers, agents, NAS
_SIZES = {
    "small": (["s1"], ["a1"], ["nas"]),
    "ha": (["s1", "s2", "s3"], ["a1"], []),
    "full": (["s1", "s2", "s3"], ["a1", "a2"], ["nas"]),
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


k3s_servers, k3s_agents, nas = (_hosts(names) for names in _SIZES[_size])
