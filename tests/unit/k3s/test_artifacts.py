"""Release assets by their whole names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from homelab.k3s import artifacts
from homelab.k3s.artifacts import ArtifactError
from tests.builders import VERSION

# The shape of upstream's sha256sum-arm64.txt: names that end in each other, in upstream's order.
SUMS = "\n".join(
    f"{letter * 64}  {name}"
    for letter, name in {
        "1": "k3s-airgap-images-arm64.tar",
        "2": "k3s-airgap-images-arm64.tar.gz",
        "3": "k3s-airgap-images-arm64.tar.zst",
        "4": "k3s-images.txt",
        "5": "k3s-arm64",
        "6": "k3s",
    }.items()
)


@pytest.mark.parametrize(("arch", "binary"), [("amd64", "k3s"), ("arm64", "k3s-arm64")])
def test_binaries_are_named_as_upstream_names_them(arch: str, binary: str) -> None:
    assert artifacts.binary(arch) == binary


def test_a_plus_is_escaped_in_an_address() -> None:
    assert artifacts.asset_url(VERSION, "k3s-arm64") == (
        "https://github.com/k3s-io/k3s/releases/download/v1.35.6%2Bk3s1/k3s-arm64"
    )


@pytest.mark.parametrize(
    ("asset", "total"),
    [
        ("k3s", "6" * 64),
        ("k3s-arm64", "5" * 64),
        ("k3s-airgap-images-arm64.tar", "1" * 64),
        ("k3s-airgap-images-arm64.tar.zst", "3" * 64),
        ("arm64", None),
        ("images-arm64.tar", None),
        ("", None),
    ],
)
def test_the_whole_name_counts_in_a_list_of_sums(asset: str, total: str | None) -> None:
    assert artifacts.listed(SUMS, asset) == total


@pytest.mark.parametrize(
    "text",
    [
        "5" * 64,
        "5" * 64 + "  k3s-arm64\n",
        "5" * 64 + " *k3s-arm64\n",
        "5" * 64 + "  /srv/cache/k3s-arm64\n",
        SUMS,
    ],
    ids=["bare", "sha256sum", "binary mode", "with its folder", "upstream's whole list"],
)
def test_a_hash_beside_the_file_is_found(tmp_path: Path, text: str) -> None:
    folder = tmp_path / VERSION
    folder.mkdir()
    (folder / "k3s-arm64.sha256").write_text(text, encoding="utf-8")
    found = artifacts.find(tmp_path, VERSION, "arm64", "k3s-arm64")
    assert (found.sha256, found.source) == ("5" * 64, str(folder / "k3s-arm64.sha256"))
    assert not found.present


def test_a_hash_in_capitals_is_the_same_hash(tmp_path: Path) -> None:
    (tmp_path / VERSION).mkdir()
    (tmp_path / VERSION / "k3s.sha256").write_text("AB" * 32, encoding="utf-8")
    assert artifacts.find(tmp_path, VERSION, "amd64", "k3s").sha256 == "ab" * 32


@pytest.mark.parametrize(
    "text",
    ["", "not a hash", "5" * 63, "5" * 128, "5" * 64 + "  k3s-arm64", "5" * 64 + "  k3s.old", "<html>404</html>"],
)
def test_what_is_no_hash_of_this_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / VERSION).mkdir()
    (tmp_path / VERSION / "k3s.sha256").write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError) as told:
        artifacts.find(tmp_path, VERSION, "amd64", "k3s")
    assert "\n" not in str(told.value)
    assert "sha256sum-amd64.txt" in str(told.value)


def test_an_empty_cache_knows_no_hash(tmp_path: Path) -> None:
    found = artifacts.find(tmp_path, VERSION, "amd64", "k3s")
    assert (found.sha256, found.present) == (None, False)


def test_the_committed_table_comes_before_a_file_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "PINNED", {VERSION: {"k3s": "c" * 64}})
    (tmp_path / VERSION).mkdir()
    (tmp_path / VERSION / "k3s.sha256").write_text("d" * 64, encoding="utf-8")
    assert artifacts.find(tmp_path, VERSION, "amd64", "k3s").sha256 == "c" * 64


def misfits(pinned: Mapping[str, Mapping[str, str]]) -> list[str]:
    """What in such a table is no version of K3s, no asset of it or no hash."""
    versions = [version for version in pinned if not (version.startswith("v") and "+k3s" in version)]
    rows = [(asset, total) for sums in pinned.values() for asset, total in sums.items()]
    assets = [asset for asset, _ in rows if not asset.startswith("k3s")]
    return versions + assets + [total for _, total in rows if not re.fullmatch("[0-9a-f]{64}", total)]


def test_committed_hashes_are_hashes_of_assets_that_exist() -> None:
    assert misfits(artifacts.PINNED) == []


@pytest.mark.parametrize(
    ("pinned", "wrong"),
    [
        ({VERSION: {"k3s": "c" * 64}}, []),
        ({"1.35.6": {}}, ["1.35.6"]),
        ({VERSION: {"k0s": "c" * 64}}, ["k0s"]),
        ({VERSION: {"k3s": "c" * 63}}, ["c" * 63]),
        ({VERSION: {"k3s": "C" * 64}}, ["C" * 64]),
    ],
)
def test_a_slip_in_that_table_is_seen(pinned: dict[str, dict[str, str]], wrong: list[str]) -> None:
    assert misfits(pinned) == wrong
