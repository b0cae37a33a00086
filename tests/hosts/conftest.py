"""Every test gets `host` (testinfra's) and `mine` (the inventory's) for each host of its module's `testinfra_hosts`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from homelab.model import Home, Host
from tests.hosts import inventory


def pytest_configure(config: pytest.Config) -> None:
    folder = Path(tempfile.mkdtemp(prefix="homelab-"))
    file = folder / "ssh_config"
    file.write_text(inventory.ssh_config(folder), encoding="utf-8")
    config.option.ssh_config = str(file)


@pytest.fixture(scope="module")
def home() -> Home:
    return inventory.home()


@pytest.fixture(scope="module")
def mine(host, home: Home) -> Host:
    """The inventory's entry of the host under test."""
    return home.host(host.backend.host.name)
