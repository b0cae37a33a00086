"""Release assets: into the control machine's cache once, from there to the hosts, verified at both ends."""

from __future__ import annotations

import hashlib
import http.client
import os
import shlex
import tempfile
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from gevent.lock import RLock
from pyinfra import host, logger, state
from pyinfra.api.command import FileUploadCommand, PyinfraCommand, StringCommand
from pyinfra.api.operation import operation

from homelab import probe
from homelab.k3s import artifacts
from homelab.k3s.artifacts import Artifact, ArtifactError
from homelab.probe import FileState
from homelab.pyinfra_compat import Refusal, is_dry

_one_fetch = RLock()


def ready(cache: Path, version: str, arch: str, asset: str, laid: bool = False) -> Artifact:
    """An asset that is in the cache with the hash it should have, fetched if need be (never in a dry run).

    `laid` is whether a host has something in its place: a dry run then asks for the hash, to compare, and keeps it not.
    Raise ArtifactError when it cannot be had or is corrupt.
    """
    with _one_fetch:
        try:
            return _ready(cache, version, arch, asset, laid)
        except OSError as error:
            place = error.filename or cache / version
            why = error.strerror or error
            raise ArtifactError(f"{place}: the artifact cache cannot be used ({why}); mend that") from error


def _ready(cache: Path, version: str, arch: str, asset: str, laid: bool) -> Artifact:
    found = artifacts.find(cache, version, arch, asset)
    if is_dry():
        if found.sha256 is None and laid:
            found = replace(found, sha256=_upstreams_sum(found))
        if not found.present:
            logger.info(f"    {asset} {version} would be fetched from {artifacts.asset_url(version, asset)}")
        return found
    if found.sha256 is None:
        _record_sum(found)
        found = artifacts.find(cache, version, arch, asset)
    if not found.present:
        _download(artifacts.asset_url(version, asset), found)
    verify(found)
    return found


def verify(artifact: Artifact) -> None:
    """Raise ArtifactError when the cached file is not what its hash says. A pass is remembered by size and time."""
    status = artifact.path.stat()
    stamp = f"{artifact.sha256} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}\n"
    seen = artifact.path.with_name(f".{artifact.asset}.verified")
    if seen.is_file() and seen.read_text(encoding="utf-8", errors="replace") == stamp:
        return
    with artifact.path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != artifact.sha256:
        raise ArtifactError(
            f"{artifact.path}: is corrupt ({_differing(artifact, actual)}); delete it, then it is fetched anew, "
            "or put the right file there"
        )
    with suppress(OSError):  # a cache that others fill may be read-only: it is verified each time then
        seen.write_text(stamp, encoding="utf-8")


def _upstreams_sum(artifact: Artifact) -> str:
    sums = artifacts.sums_asset(artifact.arch)
    address = artifacts.asset_url(artifact.version, sums)
    with tempfile.TemporaryFile() as file:
        _fetch(address, artifact, file)
        file.seek(0)
        text = file.read().decode("utf-8", errors="replace")
    total = artifacts.listed(text, artifact.asset)
    if total is None:
        raise ArtifactError(f"{address}: does not list {artifact.asset}; check the version {artifact.version}")
    return total


def _record_sum(artifact: Artifact) -> None:
    total = _upstreams_sum(artifact)
    beside = artifact.path.with_name(f"{artifact.asset}.sha256")
    beside.parent.mkdir(parents=True, exist_ok=True)
    beside.write_text(f"{total}  {artifact.asset}\n", encoding="utf-8")
    logger.info(f"    {artifact.asset} {artifact.version}: hash recorded on first use in {beside}")


def _download(address: str, artifact: Artifact) -> None:
    artifact.path.parent.mkdir(parents=True, exist_ok=True)
    logger.info(f"    fetching {address}")
    with tempfile.NamedTemporaryFile(dir=artifact.path.parent, prefix=f".{artifact.asset}.", delete=False) as file:
        try:
            actual = _fetch(address, artifact, file)
            if actual != artifact.sha256:
                raise ArtifactError(
                    f"{address}: arrived damaged ({_differing(artifact, actual)}) and was not kept; run it again, "
                    f"or put the right file at {artifact.path}"
                )
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).chmod(0o644)
            Path(file.name).replace(artifact.path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _differing(artifact: Artifact, actual: str) -> str:
    return f"SHA-256 {actual[:12]}…, and {artifact.source} says {(artifact.sha256 or '')[:12]}…"


def _fetch(address: str, artifact: Artifact, file: IO[bytes]) -> str:
    """Copy an address into a file piece by piece, image archives being large; give the SHA-256 of what came."""
    total = hashlib.sha256()
    try:
        with urllib.request.urlopen(address, timeout=60) as response:
            while piece := response.read(1 << 20):
                total.update(piece)
                _write(piece, file, artifact)
            if response.length:  # cut short: reading in pieces does not tell
                raise http.client.IncompleteRead(b"", response.length)
        return total.hexdigest()
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        raise ArtifactError(
            f"{artifact.asset} {artifact.version}: cannot be fetched from {address} ({reason}); connect this machine, "
            f"or put the file and its {artifact.asset}.sha256 into {artifact.path.parent}"
        ) from error


def _write(piece: bytes, file: IO[bytes], artifact: Artifact) -> None:
    try:
        file.write(piece)
    except OSError as error:
        raise ArtifactError(f"{artifact.path}: cannot be written ({error.strerror}); make room there") from error


@operation()
def pushed(
    artifact: Artifact, path: str, current: FileState | None, mode: str = "0755", previous: str | None = None
) -> Generator[PyinfraCommand, None, None]:
    """Ensure a release asset at a path: uploaded beside it, hash checked there, replaced in one step.

    `previous` keeps what was there before, for a way back.
    """
    if (
        current is not None
        and current.sha256 == artifact.sha256
        and current.mode == mode
        and current.owner == "root:root"
    ):
        host.noop(f"{path} is {artifact.asset} {artifact.version}")
        return
    if state.is_executing and not artifact.present:
        raise Refusal([f"{artifact.path}: is not in the cache any more; run the same command again"])
    # By SFTP into the login user's own home: nobody else can put a link or a file of theirs in the way, and a killed
    # upload is overwritten by the next. Root takes it over before looking at its hash.
    upload = f".homelab-upload-{(artifact.sha256 or '')[:16]}"
    yield FileUploadCommand(str(artifact.path), upload, _sudo=False)
    new = shlex.quote(f"{path.rpartition('/')[0]}/.{path.rpartition('/')[2]}.homelab-new")
    target = shlex.quote(path)
    seal = f"{probe.SEALS}/{path.replace('/', '_')}"
    # The same file again, its mode put right say, is no previous one.
    keep = f"[ ! -e {target} ] || cmp -s {new} {target} || ln -fT {target} {shlex.quote(previous)}" if previous else ":"
    yield StringCommand(
        f"""set -e; umask 022; mkdir -p {shlex.quote(path.rpartition("/")[0])} {probe.SEALS}; umask 077
upload="$(getent passwd "${{SUDO_USER:-root}}" | cut -d: -f6)/{upload}"
rm -f {new}; cp "$upload" {new}; rm -f "$upload"
if ! echo "{artifact.sha256}  "{new} | sha256sum -c --status; then
  rm -f {new}; echo "{artifact.asset} arrived damaged, nothing was replaced" >&2; exit 1
fi
chmod {mode} {new}; {keep}; sync -f {new}; mv -fT {new} {target}
{{ echo {artifact.sha256}; {probe.STATE} {target}; }} >{shlex.quote(seal)}"""
    )
