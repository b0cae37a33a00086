"""`homelab patch` on the NAS: last of all, rebooted, and back with its pools and shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kubernetes import client, config

from tests.faults.test_nas import lab as lab  # the NAS, deployed
from tests.faults.test_patch import ARCHIVE, INSTALL, RESTORE, Site, anew, well
from tests.sandbox.lab import KUBECONFIG, Lab

FILE = "/srv/tank/media/homelab-patch"


@pytest.fixture
def site(lab: Lab) -> Iterator[Site]:
    """The cluster without a finding, and on the NAS the first version of the tool and a file on a pool."""
    if not lab.version:
        pytest.skip("no K3s in the artifact cache: homelab patch asks the cluster first")
    core = client.CoreV1Api(config.new_client_from_config(str(KUBECONFIG), context="homelab-sandbox"))
    anew(core)
    well(lab)
    lab.ssh("nas", f"{ARCHIVE}\n{INSTALL}\nhead -c 1000000 /dev/urandom >{FILE}", timeout=900)
    yield Site(lab, core)
    lab.ssh("nas", f"{RESTORE}\nrm -f {FILE}", timeout=900)


def served(lab: Lab) -> dict[str, str]:
    """What the NAS has mounted and exports, and the hash of the file."""
    looks = {
        "mounted": "findmnt -rno TARGET,FSTYPE --real | grep ^/srv/ | sort",
        "exported": "exportfs -s | sort",
        "services": "systemctl is-active smbd nfs-server",
        "file": f"sha256sum {FILE}",
    }
    return {name: lab.ssh("nas", look, check=False).strip() for name, look in looks.items()}


def test_the_nas_is_patched_last_and_serves_again(site: Site) -> None:
    site.offer("nas")
    before, booted = served(site.lab), site.lab.ssh("nas", "cat /proc/sys/kernel/random/boot_id")
    assert all(before.values()), before
    done = site.patch("--within", "20m")
    assert done.code == 0, done.said[-20:]
    assert list(done.outcomes)[-1] == "nas" and done.outcomes["nas"] == "patched"
    assert set(done.outcomes.values()) == {"patched", "up to date"}
    assert done.data["hosts"][-1]["rebooted"] and site.version("nas") == "2 ii"
    assert site.lab.ssh("nas", "cat /proc/sys/kernel/random/boot_id") != booted
    assert served(site.lab) == before
    again = site.patch()
    assert (again.code, again.outcomes["nas"]) == (0, "up to date")
