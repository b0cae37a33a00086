"""Every test gets `host` (testinfra's) and `mine` (the inventory's) for each host of its module's `testinfra_hosts`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from homelab.model import Home, Host, InventoryError
from tests.hosts import inventory


def pytest_configure(config: pytest.Config) -> None:
    folder = Path(tempfile.mkdtemp(prefix="homelab-"))
    file = folder / "ssh_config"
    try:
        file.write_text(inventory.ssh_config(folder), encoding="utf-8")
    except InventoryError as error:
        raise pytest.UsageError(str(error)) from None
    config.option.ssh_config = str(file)


@pytest.fixture(scope="session")
def silent() -> dict[str, str]:
    """Why a host cannot be asked, in one line; "" where it can."""
    return {}


@pytest.fixture(scope="module", autouse=True)
def reached(host, silent: dict[str, str]) -> None:
    """A host that does not answer is waited for once, and each of its tests tells it in one line."""
    name = host.backend.host.name
    if name not in silent:
        silent[name] = _why_silent(host)
    if silent[name]:
        pytest.fail(f"{name}: {silent[name]}; look with ssh and sudo, or write away = True", pytrace=False)


def _why_silent(host) -> str:
    try:
        done = host.run("true")
    except RuntimeError as error:  # testinfra's word for what ssh could not do
        done = error.args[0]
    if done.rc == 0:
        return ""
    return next((line for line in reversed(done.stderr.splitlines()) if line.strip()), f"exit code {done.rc}").strip()


@pytest.fixture(scope="module")
def home() -> Home:
    return inventory.home()


@pytest.fixture(scope="module")
def mine(host, home: Home) -> Host:
    """The inventory's entry of the host under test."""
    return home.host(host.backend.host.name)
