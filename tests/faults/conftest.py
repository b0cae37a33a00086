"""The HA sandbox, whole at the start of each test and put back at its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from homelab.model.nas import Nas
from tests.hosts import inventory
from tests.sandbox.hosts import ROOT
from tests.sandbox.lab import Lab, environment

SERVERS = ("s1", "s2", "s3")
NODES = (*SERVERS, "a1")


@pytest.fixture(scope="session")
def lab() -> Lab:
    home = inventory.home()
    assert home.environment == "sandbox", "faults are made on the sandbox only"
    assert home.cluster is not None
    assert {"s1", "s2", "s3", "a1"} <= {host.name for host in home.hosts}, "faults need SANDBOX=ha or full"
    lab = Lab(os.environ["SANDBOX"], home.cluster.version)
    for host in home.hosts:
        lab.ssh(host.name, "true")  # and carries the sandbox's mark
    return lab


@pytest.fixture
def whole(lab: Lab) -> Iterator[Lab]:
    """The sandbox, deployed and converged before and after."""
    assert lab.deploy("k3s").code == 0
    yield lab
    done = lab.deploy("k3s")
    assert done.code == 0, done.reasons


def authority(lab: Lab, host: str) -> str:
    """What tells one cluster from another: the hash of the CA that made it."""
    return lab.ssh(host, "sha256sum </var/lib/rancher/k3s/server/tls/server-ca.crt").split()[0]


def members(lab: Lab, host: str = "s2") -> dict[str, bool]:
    """The cluster's nodes as a server tells them, and whether each is Ready."""
    listed = json.loads(lab.ssh(host, "k3s kubectl get nodes -o json"))
    return {
        each["metadata"]["name"]: any(
            one["type"] == "Ready" and one["status"] == "True" for one in each["status"]["conditions"]
        )
        for each in listed["items"]
    }


def state(lab: Lab, hosts: tuple[str, ...] = NODES, processes: bool = True) -> dict[str, str]:
    """What a deploy could touch on the hosts, to prove that it did not: files, and K3s's process where that is told."""
    look = (
        "find /etc/apt/apt.conf.d /etc/rancher /etc/ssh /etc/sysctl.d /etc/systemd/system /usr/local/bin"
        " /usr/local/lib/homelab -xdev -newermt 2000-01-01 -type f -printf '%p %T@ %m %u\\n' 2>/dev/null | sort"
    )
    if processes:
        look += "; systemctl show k3s k3s-agent -p MainPID,ExecMainStartTimestampMonotonic"
    return {host: lab.ssh(host, look) for host in hosts}


def sandbox(verb: str, host: str, *words: object, timeout: float = 300) -> None:
    """What `python -m tests.sandbox` does to a machine: its power, its disks."""
    command = [sys.executable, "-m", "tests.sandbox", verb, host, *(str(word) for word in words)]
    subprocess.run(command, cwd=ROOT, env=environment(os.environ["SANDBOX"]), check=True, timeout=timeout)


def power(verb: str, host: str) -> None:
    """Cut a machine's power or bring it back: `power-cut`, `power-on`."""
    sandbox(verb, host, timeout=1800)


def storage() -> Nas:
    """What the sandbox's inventory describes of its NAS."""
    described = inventory.home().host("nas").storage
    assert described is not None
    return described


def pools() -> dict[str, dict[str, Any]]:
    """The pools of the sandbox's NAS in the words of its inventory, for one more to be put beside them."""
    return {name: pool.model_dump(exclude_none=True) for name, pool in storage().pools.items()}
