"""A share of the NAS for the nodes alone, and an inventory whose charts list the class of nas-storage on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from homelab.model import Home
from homelab.storage import records
from tests.sandbox.lab import Lab

POOL, SHARE, CLASS = "tank", "kube", "nas"
PATH = f"/srv/{POOL}/{SHARE}"


@contextmanager
def shared(home: Home, lab: Lab, case: str) -> Iterator[str]:
    """The NAS deployed with the share; the inventory's folder. The share is gone afterwards, and what lay on it."""
    nodes = [each.name for each in home.servers + home.agents]
    share = {"volume": SHARE, "nfs": {"clients": nodes, "squash": "none"}}
    hosts = (
        "for _, _data in nas:\n"
        f'    _data["volumes"] = {{**_data["volumes"], {SHARE!r}: {{"pool": {POOL!r}}}}}\n'
        f'    _data["shares"] = {{**_data["shares"], {SHARE!r}: {share!r}}}'
    )
    listed = {"name": "nas-storage", "namespace": "kube-system", "values": {"classes": {CLASS: {"share": SHARE}}}}
    more = {"sandbox.py": hosts, "group_data/sandbox.py": f"charts = [{listed!r}]"}
    folder = lab.inventory(case, append=more)
    done = lab.deploy("nas", inventory=folder)
    assert done.code == 0, done.said
    yield folder
    done = lab.deploy("nas")
    assert done.code == 0, done.said
    # Noted as made, its folder would be missed by the next deploy that lists it.
    lab.ssh(home.nas[0].name, f"rm -rf {PATH}; sed -i '/ {POOL}.{SHARE}$/d' {records.PROJECTS}")
