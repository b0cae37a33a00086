"""Homes with charts for tests: two nodes, a NAS with shares, and the repository's own charts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from homelab.model import Home, load

REPOSITORY = Path(__file__).parents[3]
CHARTS = REPOSITORY / "charts"

_HOSTS = """
k3s_servers = [("s1", {"address": "192.0.2.11"})]
k3s_agents = [("a1", {"address": "192.0.2.21"})]
nas = [("nas", {
    "address": "192.0.2.31",
    "disks": {"d1": {"id": "ata-A_1"}, "d2": {"id": "ata-B_2"}},
    "pools": {"tank": {"kind": "mdraid", "level": "raid1", "disks": ["d1", "d2"], "filesystem": "ext4"}},
    "volumes": {name: {"pool": "tank"} for name in ("kube", "more", "open", "some", "read")},
    "shares": {
        "kube": {"volume": "kube", "nfs": {"clients": ["s1", "a1"], "squash": "none"}},
        "more": {"volume": "more", "nfs": {"clients": ["192.0.2.11", "a1"], "squash": "none"}},
        "open": {"volume": "open", "nfs": {"clients": ["lan"], "squash": "none"}},
        "some": {"volume": "some", "nfs": {"clients": ["s1"], "squash": "none"}},
        "read": {"volume": "read", "nfs": {"clients": ["s1", "a1"], "read_only": True}},
    },
})]
"""


def write(folder: Path, charts: object, **shared: Any) -> Path:
    """An inventory file whose `charts` are these, beside the repository's charts."""
    inventory = folder / "inventory"
    (inventory / "group_data").mkdir(parents=True, exist_ok=True)
    if not (folder / "charts").exists():
        (folder / "charts").symlink_to(CHARTS)
    (inventory / "sandbox.py").write_text(_HOSTS)
    held = {"k3s_version": "v1.35.6+k3s1", "networks": {"lan": "192.0.2.0/24"}, "charts": charts, **shared}
    (inventory / "group_data" / "sandbox.py").write_text("".join(f"{key} = {held[key]!r}\n" for key in held))
    return inventory / "sandbox.py"


def home(folder: Path, *charts: dict[str, Any], **shared: Any) -> Home:
    return load(write(folder, list(charts), **shared), folder)


NTFY = {"name": "ntfy", "values": {"hostname": "ntfy.home.arpa"}, "secrets": {"users": "env:NTFY_USERS"}}
STORAGE = {"name": "nas-storage", "namespace": "kube-system", "values": {"classes": {"nas": {"share": "kube"}}}}
READER = {"name": "health-reader", "namespace": "kube-system"}
