"""A plan's steps as commands, and the memory of consents."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pyinfra.api.command import FunctionCommand, StringCommand

from homelab.files import ManagedFile
from homelab.operations import luks, storage
from homelab.storage import Step
from tests.builders import host as host_of


def carried_out(step: Step) -> list[Any]:
    return list(storage.carried_out._inner(step))


def test_what_stands_costs_no_command(host: Any) -> None:
    assert carried_out(Step("noop", "pool tank", "tank is mounted at /srv/tank")) == []
    assert host.noops == ["tank is mounted at /srv/tank"]


def test_a_file_comes_before_the_command_and_consents_after_it(host: Any) -> None:
    step = Step("destructive", "pool tank", "…", "true", ManagedFile("/x", "y\n"), ("0123456789abcdef",), timeout=5)
    first, second, third = carried_out(step)
    assert isinstance(first, StringCommand) and first.connector_arguments["_stdin"] == "y\n"
    assert isinstance(second, StringCommand) and second.get_raw_value() == "true"
    assert second.connector_arguments["_timeout"] == 5
    assert isinstance(third, FunctionCommand)


def test_a_key_goes_through_standard_input_and_nowhere_else() -> None:
    step = Step("config", "pool tank", "keep the key of tank", "cat", key="tank")
    (command,) = storage.carried_out._inner(step, {"tank": SecretStr("correct horse"), "pics": SecretStr("another")})
    assert command.connector_arguments["_stdin"] == "correct horse"
    assert "horse" not in f"{command.get_raw_value()} {command} {step!r}"


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("correct horse battery", None),
        ("short", "a key of 5 characters is soon guessed; write one of 12 or more there"),
        ("x" * 513, "is longer than 512 bytes; write a shorter one there"),
        (None, "env:LUKS_KEY: the variable is not set; export LUKS_KEY"),
    ],
)
def test_a_pools_key_is_read_from_where_the_inventory_says(
    key: str | None, problem: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LUKS_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("LUKS_KEY", key)
    disks = {"d1": {"id": "ata-X1"}, "d2": {"id": "ata-X2"}}
    tank = {"kind": "btrfs", "level": "raid1", "disks": ["d1", "d2"], "encryption": {"key": "env:LUKS_KEY"}}
    mine = host_of("n1", None, nas=True, storage={"disks": disks, "pools": {"tank": tank}})
    found, problems = luks.keys(mine)
    if problem is None:
        assert problems == [] and luks.hashed(found) == {"tank": hashlib.sha256(key.encode()).hexdigest()}
    else:
        assert found == {} and problem in str(problems[0]) and "n1: pools.tank.encryption.key" in str(problems[0])
        assert key is None or key not in str(problems[0])


def test_a_consent_that_was_used_is_remembered_here(tmp_path: Path) -> None:
    environ = {"XDG_STATE_HOME": str(tmp_path / "state")}
    assert storage.used(environ) == frozenset()
    step = Step("destructive", "pool tank", "clear /dev/sda", consents=("0123456789abcdef",))
    storage.remember(step, "nas", environ)
    storage.remember(step, "nas", environ)
    assert storage.used(environ) == {"0123456789abcdef"}
    assert " nas pool tank: clear /dev/sda\n" in (storage.consents(environ) / "0123456789abcdef").read_text()


@pytest.mark.parametrize("given", ["", "relative/folder"])
def test_a_state_folder_that_is_not_absolute_is_ignored(given: str) -> None:
    expected = Path("~/.local/state/homelab/consents").expanduser()
    assert storage.consents({"XDG_STATE_HOME": given}) == expected
