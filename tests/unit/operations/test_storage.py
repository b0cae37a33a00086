"""A plan's steps as commands, and the memory of consents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.command import FunctionCommand, StringCommand

from homelab.files import ManagedFile
from homelab.operations import storage
from homelab.storage import Step


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
