"""Reading an inventory gives the data that pyinfra itself gives."""

import json
import os
from pathlib import Path

import pytest

from homelab.model import InventoryError, choose, read
from tests import warm_pyinfra

REPOSITORY = Path(__file__).parents[3]
VALID = Path(__file__).parents[2] / "data" / "inventories" / "valid"


def as_pyinfra_reads(path: Path, cwd: Path) -> dict[str, dict[str, object]]:
    """What `pyinfra <inventory> debug-inventory --json` prints, by host."""
    done = warm_pyinfra.pyinfra((str(path), "debug-inventory", "--json"), cwd, os.environ)
    assert done.returncode == 0, done.stderr
    return {host["name"]: host for host in json.loads(done.stdout)}


def compare(path: Path, cwd: Path) -> None:
    theirs = as_pyinfra_reads(path, cwd)
    ours = {host.name: host for host in read(path, cwd).hosts}
    assert list(ours) == list(theirs)
    for name, host in ours.items():
        assert json.loads(json.dumps(host.data, default=str)) == theirs[name]["data"]
        # pyinfra lists the groups of a connector's host twice.
        assert list(dict.fromkeys(host.groups)) == list(dict.fromkeys(theirs[name]["groups"]))  # type: ignore[call-overload]


@pytest.mark.parametrize("name", ["rehearsal", "sandbox"])
def test_the_inventories_here_read_as_pyinfra_reads_them(name: str) -> None:
    compare(REPOSITORY / "inventory" / f"{name}.py", REPOSITORY)


@pytest.mark.parametrize("name", ["everything", "groups-with-inline-data", "server-is-the-nas-too"])
def test_other_inventories_read_as_pyinfra_reads_them(name: str) -> None:
    compare(VALID / f"{name}.py", VALID)


def test_precedence_is_pyinfras(tmp_path: Path) -> None:
    """One key at every level, so that each pair of levels is decided once."""
    inventory, beside, above = tmp_path / "inventory", tmp_path / "inventory" / "group_data", tmp_path / "group_data"
    beside.mkdir(parents=True)
    above.mkdir()
    (inventory / "home.py").write_text(
        """
import os
from json import dumps as writes

_hidden = [("s9", {})]
k3s_servers = ([("s1", {"k1": "tuple"}), "s2"], {"k1": "inline", "k2": "inline", "k3": "inline", "only": 1})
nas = [("s1", {"k9": "second tuple"}), ("n1", {})]
k3s_agents = [("@fake/a1", {"k1": "tuple"})]
"""
    )
    keys = ("k1", "k2", "k3", "k4", "k5", "k6", "k7")

    def write(folder: Path, group: str, level: str, *names: str) -> None:
        (folder / f"{group}.py").write_text(
            "import os\nimport json as _json\nfrom pathlib import Path as P\n"
            + "".join(f"{name} = {f'{folder.name} {level}'!r}\n" for name in names)
        )

    write(above, "all", "above all", *keys)
    write(beside, "all", "beside all", "k2", "k3", "k4", "k5", "k6")
    write(above, "k3s_servers", "above servers", "k3", "k4", "k5")
    write(beside, "k3s_servers", "beside servers", "k4")
    write(beside, "nas", "beside nas", "k4", "k5")
    write(beside, "home", "beside home", "k5")
    write(beside, "@fake", "beside fake", "k5", "k6")
    (beside / "other.py").write_text('__all__ = ["k1"]\nk1 = "of another inventory"\n')
    compare(inventory / "home.py", tmp_path)


def test_exported_names_are_pyinfras(tmp_path: Path) -> None:
    (tmp_path / "group_data").mkdir()
    (tmp_path / "home.py").write_text('nas = [("n1", {})]\n')
    (tmp_path / "group_data" / "home.py").write_text('__all__ = ["b", "sep"]\nfrom os import sep\na, b = 1, 2\n')
    compare(tmp_path / "home.py", tmp_path)
    assert set(read(tmp_path / "home.py", tmp_path).hosts[0].data) == {"b", "sep"}


def inventories(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / f"{name}.py").touch()
    return folder


@pytest.mark.parametrize(
    ("environ", "names", "chosen"),
    [
        ({}, ("sandbox", "rehearsal", "example"), "sandbox"),
        ({}, ("sandbox", "home", "example"), "home"),
        ({"HOMELAB_ENV": "sandbox"}, ("sandbox", "home"), "sandbox"),
        ({"HOMELAB_ENV": "example"}, ("sandbox", "home", "example"), "example"),
    ],
)
def test_the_inventory_is_chosen(tmp_path: Path, environ: dict[str, str], names: tuple[str, ...], chosen: str) -> None:
    folder = inventories(tmp_path / "inventory", *names)
    assert choose(folder, environ) == folder / f"{chosen}.py"


@pytest.mark.parametrize(
    ("environ", "names", "line"),
    [
        (
            {"HOMELAB_ENV": "hone"},
            ("home", "sandbox"),
            "HOMELAB_ENV=hone: no inventory inventory/hone.py; did you mean home?",
        ),
        (
            {"HOMELAB_ENV": "../x"},
            ("home", "sandbox"),
            "HOMELAB_ENV=../x: no inventory inventory/../x.py; there is home, sandbox",
        ),
        ({}, ("example",), "inventory/: no inventory inventory/sandbox.py; there is example"),
        ({}, (), "inventory/: no inventory inventory/sandbox.py; the folder has none"),
    ],
)
def test_an_inventory_that_is_not_there_is_refused(
    tmp_path: Path, environ: dict[str, str], names: tuple[str, ...], line: str
) -> None:
    folder = inventories(tmp_path / "inventory", *names)
    with pytest.raises(InventoryError) as refusal:
        choose(folder, environ)
    assert str(refusal.value) == line


@pytest.mark.parametrize("name", ["nas", "k3s_servers", "k3s_agents", "all"])
def test_an_inventory_that_is_called_as_a_group_is_refused(tmp_path: Path, name: str) -> None:
    """Its name is a group of all its hosts: each of them would be a NAS."""
    path = tmp_path / "inventory" / f"{name}.py"
    path.parent.mkdir()
    path.write_text('k3s_agents = [("a1", {"address": "192.0.2.21"})]\n')
    with pytest.raises(InventoryError) as told:
        read(path, tmp_path)
    assert str(told.value) == (
        f"inventory/{name}.py: is called as the group {name}, and each of its hosts would be in that; "
        "call it otherwise, home.py"
    )
