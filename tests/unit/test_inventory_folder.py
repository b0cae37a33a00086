"""The inventories of this repository: valid, plain, and as their README says."""

import ast
import os
import sys
from pathlib import Path
from typing import get_args

import pytest

from homelab.description import prove_secrets, secrets
from homelab.model import InventoryError, keys, load
from homelab.model.nas import PoolKind
from homelab.settings import resolve_secret

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "inventory"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SANDBOX", "HOMELAB_K3S_VERSION", "HOMELAB_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_the_readme_lists_the_keys() -> None:
    assert keys.table() in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.stem)
def test_inventories_import_only_the_standard_library(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


@pytest.mark.parametrize(
    ("size", "servers", "agents", "nas"),
    [
        (None, ["s1"], ["a1"], ["nas"]),
        ("small", ["s1"], ["a1"], ["nas"]),
        ("ha", ["s1", "s2", "s3"], ["a1"], []),
        ("full", ["s1", "s2", "s3"], ["a1", "a2"], ["nas"]),
        ("nfs", ["s1"], ["a2", "a3"], ["nas"]),
    ],
)
def test_the_sandbox_comes_in_sizes(
    monkeypatch: pytest.MonkeyPatch, size: str | None, servers: list[str], agents: list[str], nas: list[str]
) -> None:
    if size:
        monkeypatch.setenv("SANDBOX", size)
    home = load(FOLDER / "sandbox.py", REPOSITORY)
    assert [host.name for host in home.servers] == servers
    assert [host.name for host in home.agents] == agents
    assert [host.name for host in home.nas] == nas


def test_another_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX", "huge")
    with pytest.raises(InventoryError, match="SANDBOX=huge is not one of small, ha, full, nfs"):
        load(FOLDER / "sandbox.py", REPOSITORY)


def test_the_sandbox_stays_in_its_own_folder_and_verifies_host_keys() -> None:
    home = load(FOLDER / "sandbox.py", REPOSITORY)
    sandbox = REPOSITORY / ".sandbox"
    assert home.cluster is not None
    assert home.cluster.kubeconfig == str(sandbox / "kubeconfig")
    for host in home.hosts:
        assert host.ssh["ssh_known_hosts_file"] == str(sandbox / "known_hosts")
        assert host.ssh["ssh_strict_host_key_checking"] == "yes"
        assert str(host.ssh["ssh_key"]).startswith(str(sandbox))
        assert host.address in home.base.networks["sandbox"]


def test_the_sandboxs_version_can_be_overridden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOMELAB_K3S_VERSION", "v1.34.9+k3s1")
    cluster = load(FOLDER / "sandbox.py", REPOSITORY).cluster
    assert cluster is not None
    assert (cluster.version, cluster.image_archives) == ("v1.34.9+k3s1", ())
    cache = tmp_path / "homelab" / "artifacts" / "v1.34.9+k3s1"
    cache.mkdir(parents=True)
    (cache / "k3s-airgap-images-amd64.tar").touch()
    cluster = load(FOLDER / "sandbox.py", REPOSITORY).cluster
    assert cluster is not None
    assert cluster.image_archives == ("k3s-airgap-images-{arch}.tar",)


def test_the_rehearsal_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    home = load(FOLDER / "rehearsal.py", REPOSITORY)
    assert (len(home.servers), len(home.agents), len(home.nas)) == (3, 2, 1)
    assert all(host.inventory_name == f"@fake/{host.name}" for host in home.hosts)
    assert home.cluster is not None
    assert home.cluster.token is None
    assert home.cluster.image_archives == ()
    assert list(secrets(home)) == []


def test_the_rehearsal_has_a_pool_of_each_kind() -> None:
    (nas,) = load(FOLDER / "rehearsal.py", REPOSITORY).nas
    assert nas.storage is not None
    assert {pool.kind for pool in nas.storage.pools.values()} == set(get_args(PoolKind))


@pytest.mark.parametrize(("size", "clients"), [("small", ("sandbox",)), ("full", ("a2",))])
def test_the_sandboxs_nas_leaves_disks_to_take_the_place_of_others(
    monkeypatch: pytest.MonkeyPatch, size: str, clients: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SANDBOX", size)
    (nas,) = load(FOLDER / "sandbox.py", REPOSITORY).nas
    assert nas.storage is not None
    used = {disk for pool in nas.storage.pools.values() for disk in pool.disks}
    assert set(nas.storage.disks) - used == {"d5", "d6"}
    assert nas.storage.shares["bulk"].nfs is not None
    assert nas.storage.shares["bulk"].nfs.clients == clients


def test_the_sandboxs_passwords_come_from_its_own_key(tmp_path: Path) -> None:
    home = load(FOLDER / "sandbox.py", REPOSITORY)
    with pytest.raises(
        InventoryError, match=r"nas\.users\.anna\.password: command:sh .*: exits with 1; run it by hand"
    ):
        prove_secrets(home, tmp_path)
    (tmp_path / ".sandbox" / "ssh").mkdir(parents=True)
    (tmp_path / ".sandbox" / "ssh" / "id_ed25519").write_text("a key\n")
    found = [resolve_secret(reference, base=tmp_path).get_secret_value() for _, reference in secrets(home)]
    assert [len(secret) for secret in found] == [24] * 3
    assert len(set(found)) == 3
    again = [resolve_secret(reference, base=tmp_path).get_secret_value() for _, reference in secrets(home)]
    assert found == again


def test_the_example_shows_what_it_promises() -> None:
    home = load(FOLDER / "example.py", REPOSITORY)
    assert (len(home.servers), len(home.agents), len(home.nas)) == (3, 1, 1)
    assert [host.name for host in home.hosts if host.away] == ["s3"]
    kept = home.host("nas").storage
    assert kept is not None
    assert all(getattr(kept, key) for key in keys.NAS)


def test_the_examples_secrets_are_right_once_uncommented(tmp_path: Path) -> None:
    folder = tmp_path / "inventory"
    (folder / "group_data").mkdir(parents=True)
    (folder / "home.py").write_text((FOLDER / "example.py").read_text())
    shared = (FOLDER / "group_data" / "example.py").read_text()
    head, mark, commented = shared.partition("# k3s_token")
    uncommented = (mark + commented).replace("\n# ", "\n").removeprefix("# ")
    (folder / "group_data" / "home.py").write_text(head + uncommented)
    (folder / "group_data" / "all.py").write_text((FOLDER / "group_data" / "all.py").read_text())
    cluster = load(folder / "home.py", tmp_path).cluster
    assert cluster is not None
    assert str(cluster.token) == "command:pass show homelab/k3s-token"
    assert "env:REGISTRY_PASSWORD" in str(cluster.registries)
