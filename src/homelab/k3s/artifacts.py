"""K3s's release assets: their names, their hashes, and where they come from.

Cached files keep upstream's asset names, so an airgapped site fills the folder by hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

RELEASES = "https://github.com/k3s-io/k3s/releases/download"

# SHA-256 by version and asset. A version that is not here is as welcome: its hash then is `<file>.sha256` beside the
# file in the cache, which the first download writes from upstream's own list, and the run says so.
PINNED: Mapping[str, Mapping[str, str]] = {}

# What sha256sum prints, the name with its folder if it was given one; other tools print the hash alone, in capitals.
_SUM = re.compile(r"(?P<sum>[0-9a-fA-F]{64})(?:\s+\*?(?:\S*/)?(?P<name>[^\s/]+))?")


class ArtifactError(Exception):
    """An asset cannot be had or is not what it should be; one line, with what to do."""


def binary(arch: str) -> str:
    """The binary's asset name: amd64 has no suffix."""
    return "k3s" if arch == "amd64" else f"k3s-{arch}"


def asset_url(version: str, asset: str) -> str:
    return f"{RELEASES}/{quote(version, safe='')}/{asset}"


def sums_asset(arch: str) -> str:
    return f"sha256sum-{arch}.txt"


def listed(sums: str, asset: str) -> str | None:
    """The hash of an asset in upstream's list; the whole name counts, since `k3s` is the end of others."""
    for line in sums.splitlines():
        found = _SUM.fullmatch(line.strip())
        if found and found["name"] == asset:
            return found["sum"].lower()
    return None


@dataclass(frozen=True)
class Artifact:
    """An asset in the cache: its path, the hash it must have (None before the first fetch), and who says so."""

    version: str
    arch: str
    asset: str
    path: Path
    sha256: str | None
    source: str

    @property
    def present(self) -> bool:
        return self.path.is_file()


def find(cache: Path, version: str, arch: str, asset: str) -> Artifact:
    """An asset as the cache has it; raise ArtifactError when its `.sha256` cannot be read as one."""
    path = cache / version / asset
    beside = path.with_name(f"{asset}.sha256")
    pinned = PINNED.get(version, {}).get(asset)
    if pinned is not None:
        return Artifact(version, arch, asset, path, pinned, "the committed table")
    if not beside.is_file():
        return Artifact(version, arch, asset, path, None, "nobody yet")
    text = beside.read_text(encoding="utf-8", errors="replace").strip()
    alone = _SUM.fullmatch(text)
    total = listed(text, asset) or (alone["sum"].lower() if alone and alone["name"] is None else None)
    if total is None:
        raise ArtifactError(
            f"{beside}: holds no SHA-256 of {asset}; write there what upstream's {sums_asset(arch)} says of it"
        )
    return Artifact(version, arch, asset, path, total, str(beside))
