"""A client for the cluster of the inventory under test; only a sandbox's, since these tests run pods."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kubernetes import client, config

from homelab.model import Home
from tests.hosts import inventory
from tests.sandbox.lab import BIN, ROOT, Lab, environment


@pytest.fixture(scope="session")
def home() -> Home:
    return inventory.home()


@pytest.fixture(scope="session")
def lab(home: Home) -> Lab:
    """The sandbox; every node must carry the mark that says that it is one."""
    assert home.environment == "sandbox", "these tests run on the sandbox only"
    assert home.cluster is not None
    lab = Lab(os.environ.get("SANDBOX") or "small", home.cluster.version)
    for host in home.servers + home.agents:
        lab.ssh(host.name, "true")
    return lab


@pytest.fixture(scope="session")
def api(home: Home, lab: Lab) -> client.ApiClient:
    assert home.cluster is not None
    return config.new_client_from_config(str(Path(home.cluster.kubeconfig)), context="homelab-sandbox")


@pytest.fixture(scope="module")
def namespace(api: client.ApiClient) -> Iterator[str]:
    """A namespace of this module's own, gone afterwards."""
    core = client.CoreV1Api(api)
    made = core.create_namespace({"metadata": {"generateName": "homelab-test-"}})
    yield made.metadata.name
    core.delete_namespace(made.metadata.name)


def until(
    what: str, answered: Callable[[], object], deadline: float = 300, told: Callable[[], str] = lambda: ""
) -> object:
    """Poll until the answer is true, and give it; fail naming what did not happen, and what was `told` last."""
    end = time.monotonic() + deadline
    while not (answer := answered()):
        if time.monotonic() > end:
            pytest.fail(f"{what}: not within {deadline:.0f} s\n{told()}")
        time.sleep(1)
    return answer


def health_of(
    lab: Lab, kubeconfig: str | Path, *arguments: str, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """`homelab health` as a person runs it."""
    return subprocess.run(
        [str(BIN / "homelab"), "health", "--kubeconfig", str(kubeconfig), *arguments],
        cwd=ROOT,
        env=environment(lab.size, lab.version),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
