"""Assets into the cache from a server on this machine, and from there to a "host" in a folder."""

from __future__ import annotations

import hashlib
import http.server
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.command import FileUploadCommand

from homelab import probe
from homelab.k3s import artifacts
from homelab.k3s.artifacts import Artifact, ArtifactError
from homelab.operations import artifact
from homelab.probe import FileState
from homelab.pyinfra_compat import Refusal
from tests.builders import VERSION

BINARY = b"\x7fELF the binary\n" * 5000
SUM = hashlib.sha256(BINARY).hexdigest()
SUMS = f"{'1' * 64}  k3s-airgap-images-amd64.tar\n{SUM}  k3s\n{'2' * 64}  k3s-images.txt\n".encode()


@dataclass
class Upstream:
    """A release server on loopback: what it has by name, and what it was asked for."""

    files: dict[str, bytes] = field(default_factory=lambda: {"k3s": BINARY, "sha256sum-amd64.txt": SUMS})
    asked: list[str] = field(default_factory=list)
    cut: bool = False
    address: str = ""


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    known = Upstream()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            version, name = self.path.split("/")[-2:]
            known.asked.append(name)
            body = known.files.get(name) if version == VERSION.replace("+", "%2B") else None
            if body is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if known.cut else body)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    known.address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(artifacts, "RELEASES", known.address)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield known
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def ready(cache: Path) -> Artifact:
    return artifact.ready(cache, VERSION, "amd64", "k3s")


def lay(cache: Path, name: str, content: bytes) -> Path:
    file = cache / VERSION / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


# Into the cache
#


def test_the_first_use_fetches_records_the_hash_and_says_so(
    cache: Path, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="pyinfra")
    found = ready(cache)
    assert found.path.read_bytes() == BINARY
    assert (found.sha256, upstream.asked) == (SUM, ["sha256sum-amd64.txt", "k3s"])
    assert (cache / VERSION / "k3s.sha256").read_text(encoding="utf-8") == f"{SUM}  k3s\n"
    assert "hash recorded on first use" in caplog.text


def test_the_second_use_asks_nobody(cache: Path, upstream: Upstream) -> None:
    ready(cache)
    upstream.asked.clear()
    assert ready(cache).sha256 == SUM
    assert upstream.asked == []


def test_a_folder_filled_by_hand_needs_no_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "RELEASES", "http://127.0.0.1:9")
    lay(cache, "k3s", BINARY)
    lay(cache, "k3s.sha256", f"{SUM}  k3s\n".encode())
    assert ready(cache).path.read_bytes() == BINARY


def test_a_file_laid_by_hand_is_checked_against_upstreams_list(cache: Path, upstream: Upstream) -> None:
    lay(cache, "k3s", b"something else")
    with pytest.raises(ArtifactError, match="is corrupt"):
        ready(cache)
    assert upstream.asked == ["sha256sum-amd64.txt"]


def test_a_corrupt_file_is_refused_in_one_line_and_left_to_be_looked_at(cache: Path, upstream: Upstream) -> None:
    ready(cache)
    file = lay(cache, "k3s", BINARY[:-1] + b"x")
    for _ in range(2):
        with pytest.raises(ArtifactError) as told:
            ready(cache)
        assert "\n" not in str(told.value)
        assert str(told.value).startswith(f"{file}: is corrupt")
    assert file.exists()


def test_a_file_changed_behind_the_caches_back_is_noticed(cache: Path, upstream: Upstream) -> None:
    file = ready(cache).path
    before = file.stat()
    file.write_bytes(BINARY[:-1] + b"x")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ArtifactError, match="is corrupt"):
        ready(cache)


@pytest.mark.parametrize("which", ["", VERSION])
def test_a_cache_that_is_none_is_one_line(cache: Path, upstream: Upstream, which: str) -> None:
    place = cache / which
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("a file, not a folder")
    with pytest.raises(ArtifactError) as told:
        ready(cache)
    assert re.fullmatch(
        rf"{re.escape(str(cache))}.*: the artifact cache cannot be used \(.+\); mend that", str(told.value)
    )


def test_a_cache_that_cannot_be_written_to_is_as_good(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(cache, "k3s", BINARY)
    lay(cache, "k3s.sha256", f"{SUM}  k3s\n".encode())

    def read_only(path: Path, *arguments: Any, **more: Any) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_text", read_only)
    assert ready(cache).path.read_bytes() == BINARY


def test_a_disk_that_is_full_is_not_blamed_on_the_network(cache: Path, upstream: Upstream) -> None:
    made = Artifact(VERSION, "amd64", "k3s", cache / "k3s", SUM, "a test")
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(ArtifactError) as told:
        artifact._fetch(artifacts.asset_url(VERSION, "k3s"), made, full)
    assert str(told.value) == f"{cache}/k3s: cannot be written (No space left on device); make room there"


def test_a_damaged_download_is_not_kept(cache: Path, upstream: Upstream) -> None:
    upstream.files["k3s"] = BINARY[:-1] + b"x"
    with pytest.raises(ArtifactError, match="arrived damaged"):
        ready(cache)
    assert [each.name for each in (cache / VERSION).iterdir()] == ["k3s.sha256"]
    upstream.files["k3s"] = BINARY
    assert ready(cache).path.read_bytes() == BINARY


def test_a_download_cut_short_is_told_and_leaves_nothing(cache: Path, upstream: Upstream) -> None:
    lay(cache, "k3s.sha256", f"{SUM}  k3s\n".encode())
    upstream.cut = True
    with pytest.raises(ArtifactError, match=r"cannot be fetched from .*IncompleteRead"):
        ready(cache)
    assert [each.name for each in (cache / VERSION).iterdir()] == ["k3s.sha256"]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "cannot be fetched from"),
        ({"sha256sum-amd64.txt": b"1234  k3s-arm64\n", "k3s": BINARY}, "does not list k3s; check the version"),
        ({"sha256sum-amd64.txt": SUMS}, "cannot be fetched from"),
    ],
    ids=["no such version", "not in the list", "no binary"],
)
def test_an_asset_that_cannot_be_had_is_one_line(
    cache: Path, upstream: Upstream, files: dict[str, bytes], says: str
) -> None:
    upstream.files = files
    with pytest.raises(ArtifactError, match=says) as told:
        ready(cache)
    assert "\n" not in str(told.value)
    assert not (cache / VERSION / "k3s").exists()


def test_without_a_network_the_line_says_where_to_put_the_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "RELEASES", "http://127.0.0.1:9")
    with pytest.raises(ArtifactError, match=r"put the file and its k3s\.sha256 into .*cache"):
        ready(cache)


def test_a_dry_run_fetches_nothing_and_says_what_it_would(
    cache: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="pyinfra")
    monkeypatch.setattr(artifact, "is_dry", lambda: True)
    found = ready(cache)
    assert (found.present, found.sha256, upstream.asked) == (False, None, [])
    assert "would be fetched from" in caplog.text
    assert not cache.exists()


def test_a_dry_run_asks_for_the_hash_of_what_a_host_has_and_keeps_nothing(
    cache: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact, "is_dry", lambda: True)
    found = artifact.ready(cache, VERSION, "amd64", "k3s", laid=True)
    assert (found.present, found.sha256, upstream.asked) == (False, SUM, ["sha256sum-amd64.txt"])
    assert not cache.exists()
    monkeypatch.setattr(artifacts, "RELEASES", "http://127.0.0.1:9")
    with pytest.raises(ArtifactError, match="cannot be fetched"):
        artifact.ready(cache, VERSION, "amd64", "k3s", laid=True)


# To a host
#


@pytest.fixture
def asset(tmp_path: Path) -> Artifact:
    file = tmp_path / "k3s-asset"
    file.write_bytes(BINARY)
    return Artifact(VERSION, "amd64", "k3s", file, SUM, "a test")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The binary's place, a login user whose home is a folder here, and a folder for seals."""
    monkeypatch.setattr(probe, "SEALS", str(tmp_path / "seals"))
    stub = tmp_path / "stubs" / "getent"
    stub.parent.mkdir()
    stub.write_text(f"#!/bin/sh\necho 'me:x:0:0::{tmp_path}/login:/bin/sh'\n", encoding="utf-8")
    stub.chmod(0o755)
    (tmp_path / "login").mkdir()
    return tmp_path / "usr local" / "bin" / "k3s"


def pushed(asset: Artifact, place: Path, current: FileState | None = None) -> list[Any]:
    previous = str(place.with_name("k3s.previous"))
    return list(artifact.pushed._inner(asset, str(place), current, previous=previous))


def push(asset: Artifact, place: Path, run: Any, content: bytes = BINARY) -> Any:
    upload, install = pushed(asset, place)
    assert isinstance(upload, FileUploadCommand)
    (place.parents[2] / "login" / upload.dest).write_bytes(content)
    return run(install)


def test_an_asset_arrives_whole_and_executable(asset: Artifact, place: Path, run: Any, host: Any, state: Any) -> None:
    done = push(asset, place, run)
    assert (done.returncode, done.stderr) == (0, "")
    assert place.read_bytes() == BINARY
    assert place.stat().st_mode & 0o7777 == 0o755
    assert [each.name for each in place.parent.iterdir()] == ["k3s"]
    assert list((place.parents[2] / "login").iterdir()) == []


def test_its_hash_is_sealed_as_the_probe_reads_it(
    asset: Artifact, place: Path, run: Any, host: Any, state: Any, tmp_path: Path
) -> None:
    real = probe.script(probe.Questions(paths=(str(place),)))
    push(asset, place, run)
    (seal,) = (tmp_path / "seals").iterdir()
    seal.write_text(seal.read_text().replace(SUM, "f" * 64))  # so that it shows whether the seal or the file was read

    def told() -> str | None:
        ask = real.replace("/var/lib/homelab/seals", str(tmp_path / "seals"))
        answer = subprocess.run(["sh", "-c", ask], capture_output=True, text=True, check=True).stdout
        return probe.parse(answer.splitlines()).files[str(place)].sha256

    assert told() == "f" * 64
    place.write_bytes(BINARY)  # the same bytes at another time: no longer what was sealed
    assert told() == SUM


def test_the_previous_one_is_kept(asset: Artifact, place: Path, run: Any, host: Any, state: Any) -> None:
    place.parent.mkdir(parents=True)
    place.write_bytes(b"old")
    with place.open("rb") as running:
        assert push(asset, place, run).returncode == 0
        assert running.read() == b"old"
    assert place.read_bytes() == BINARY
    assert place.with_name("k3s.previous").read_bytes() == b"old"


def test_pushing_the_same_again_keeps_the_way_back(
    asset: Artifact, place: Path, run: Any, host: Any, state: Any
) -> None:
    place.parent.mkdir(parents=True)
    place.write_bytes(b"old")
    push(asset, place, run)
    place.chmod(0o700)
    assert push(asset, place, run).returncode == 0
    assert place.stat().st_mode & 0o7777 == 0o755
    assert place.with_name("k3s.previous").read_bytes() == b"old"


@pytest.mark.parametrize("content", [b"", BINARY[:-1], BINARY[:-1] + b"x"], ids=["empty", "cut", "changed"])
def test_a_damaged_upload_leaves_the_old_one(
    asset: Artifact, place: Path, run: Any, host: Any, state: Any, content: bytes
) -> None:
    place.parent.mkdir(parents=True)
    place.write_bytes(b"old")
    done = push(asset, place, run, content)
    assert done.returncode != 0
    assert "arrived damaged, nothing was replaced" in done.stderr
    assert place.read_bytes() == b"old"
    assert [each.name for each in place.parent.iterdir()] == ["k3s"]


def test_an_upload_that_did_not_arrive_leaves_the_old_one(
    asset: Artifact, place: Path, run: Any, host: Any, state: Any
) -> None:
    place.parent.mkdir(parents=True)
    place.write_bytes(b"old")
    _, install = pushed(asset, place)
    assert run(install).returncode != 0
    assert place.read_bytes() == b"old"


def test_the_upload_goes_to_the_login_users_home_without_sudo(asset: Artifact, host: Any, state: Any) -> None:
    upload, _ = pushed(asset, Path("/usr/local/bin/k3s"))
    assert "/" not in upload.dest
    assert upload.connector_arguments["_sudo"] is False


def test_what_is_there_is_not_pushed(asset: Artifact, host: Any, state: Any) -> None:
    there = FileState("file", "0755", "root:root", SUM)
    assert pushed(asset, Path("/usr/local/bin/k3s"), there) == []
    assert host.noops == [f"/usr/local/bin/k3s is k3s {VERSION}"]


@pytest.mark.parametrize("other", [{"mode": "0644"}, {"owner": "me:me"}, {"sha256": "0" * 64}])
def test_whatever_differs_is_pushed(asset: Artifact, host: Any, state: Any, other: dict[str, str]) -> None:
    there = replace(FileState("file", "0755", "root:root", SUM), **other)
    assert len(pushed(asset, Path("/usr/local/bin/k3s"), there)) == 2


def test_an_asset_that_left_the_cache_ends_the_run_in_one_line(asset: Artifact, host: Any, state: Any) -> None:
    asset.path.unlink()
    with pytest.raises(Refusal, match="is not in the cache any more"):
        pushed(asset, Path("/usr/local/bin/k3s"))


def test_a_dry_run_shows_the_push_of_what_it_has_not_fetched(asset: Artifact, host: Any, state: Any) -> None:
    state.is_executing = False
    asset.path.unlink()
    assert len(pushed(asset, Path("/usr/local/bin/k3s"))) == 2
