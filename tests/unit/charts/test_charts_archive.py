"""A chart's archive: what is in it, and that it is the same whoever makes it."""

from __future__ import annotations

import base64
import gzip
import io
import os
import re
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from homelab.charts import archive
from homelab.model import chart_folder
from tests.unit.charts.archives import upstream

CHARTS = Path(__file__).parents[3] / "charts"


def packed(path: Path) -> tuple[str, bytes]:
    files = archive.files(chart_folder.read(path))
    return archive.version(files), archive.archive(path.name, files)


@pytest.mark.parametrize("name", chart_folder.names(CHARTS))
def test_it_is_the_same_to_the_byte_wherever_the_chart_lies(tmp_path: Path, name: str) -> None:
    copy = tmp_path / name
    shutil.copytree(CHARTS / name, copy)
    for number, path in enumerate(copy.rglob("*")):
        os.utime(path, (number, number))
        path.chmod(0o700)
    assert packed(copy) == packed(CHARTS / name)


def test_it_is_a_tar_of_the_charts_own_files(tmp_path: Path) -> None:
    _, data = packed(CHARTS / "nas-storage")
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        entries = tar.getmembers()
        told = yaml.safe_load(tar.extractfile("nas-storage/Chart.yaml").read())
    assert [each.name for each in entries] == [
        f"nas-storage/{name}"
        for name in ("Chart.yaml", "README.md", "templates/classes.yaml", "values.schema.json", "values.yaml")
    ]
    assert {(each.mtime, each.uid, each.gid, each.mode, each.uname) for each in entries} == {(0, 0, 0, 0o644, "")}
    assert "dependencies" not in told, "what is not packed beside it would make Helm refuse it"


def test_a_changed_template_is_another_version(tmp_path: Path) -> None:
    shutil.copytree(CHARTS / "ntfy", tmp_path / "ntfy")
    before, _ = packed(tmp_path / "ntfy")
    template = tmp_path / "ntfy" / "templates" / "service.yaml"
    template.write_text(template.read_text() + "# changed\n")
    after, _ = packed(tmp_path / "ntfy")
    assert before.partition("+")[0] == after.partition("+")[0] == "0.1.0"
    assert before != after


def test_what_an_editor_leaves_behind_is_not_packed(tmp_path: Path) -> None:
    shutil.copytree(CHARTS / "ntfy", tmp_path / "ntfy")
    (tmp_path / "ntfy" / ".service.yaml.swp").write_text("x")
    (tmp_path / "ntfy" / "charts").mkdir()
    (tmp_path / "ntfy" / "charts" / "other.tgz").write_text("x")
    assert packed(tmp_path / "ntfy") == packed(CHARTS / "ntfy")


def test_each_has_an_app_version_without_which_an_older_job_would_not_uninstall_it(tmp_path: Path) -> None:
    shutil.copytree(CHARTS / "health-reader", tmp_path / "health-reader")
    told = tmp_path / "health-reader" / "Chart.yaml"
    told.write_text(told.read_text().replace("appVersion: 0.1.0\n", ""))
    files = archive.files(chart_folder.read(tmp_path / "health-reader"))
    assert yaml.safe_load(files["Chart.yaml"])["appVersion"] == "0.1.0"


def test_where_an_archive_is_cut_does_not_depend_on_the_machines_zlib() -> None:
    data = bytes(range(256)) * 800
    made = archive._gzip(data)
    assert gzip.decompress(made) == data
    # A header of 10 bytes, four blocks of 5 and what they hold, of which the first is full, and a sum of 8.
    assert len(made) == 10 + 4 * 5 + len(data) + 8
    assert made[10:15] == b"\0\xff\xff\0\0"


UPSTREAM = chart_folder.Dependency("upstream", "1.2.3", "https://charts.example.org")


def test_an_upstream_chart_is_taken_as_it_was_kept_and_from_nowhere_else(tmp_path: Path) -> None:
    assert archive.kept(tmp_path / "none", UPSTREAM) is None
    held = upstream(tmp_path, "upstream", "1.2.3")
    assert archive.kept(tmp_path, UPSTREAM) == held
    assert archive.kept(tmp_path, replace(UPSTREAM, version="1.2.4")) is None


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        *(
            (kept, "is no chart's archive, or cannot be read; put upstream's archive there, or delete it, .+")
            for kept in (
                lambda held: held[:40],
                lambda held: held[:-300],
                lambda held: b"<!DOCTYPE html>",
                lambda held: b"",
                lambda held: archive.archive("other", {"Chart.yaml": b"{}"}),
                lambda held: archive.archive("upstream", {"Chart.yaml": b"a: ["}),
                lambda held: archive.archive("upstream", {"Chart.yaml": b"version: 2026-13-01"}),
            )
        ),
        (lambda held: archive.archive("upstream", {"Chart.yaml": b"[]"}), "holds nothing, not upstream 1.2.3; put .+"),
        (lambda held: bytes(786433), "has 786433 bytes, and an embedded chart has at most 786432; delete it"),
    ],
)
def test_what_is_not_that_chart_is_refused_in_one_line(
    tmp_path: Path, kept: Callable[[bytes], bytes], told: str
) -> None:
    path = tmp_path / "upstream-1.2.3.tgz"
    path.write_bytes(kept(upstream(tmp_path, "upstream", "1.2.3")))
    with pytest.raises(chart_folder.ChartError) as refused:
        archive.kept(tmp_path, UPSTREAM)
    assert re.fullmatch(f"{re.escape(str(path))}: {told}", str(refused.value)), refused.value


def test_a_file_of_a_chart_that_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own" / "templates").mkdir(parents=True)
    (tmp_path / "own" / "Chart.yaml").write_text("name: own\nversion: 0.1.0\n")
    chart = chart_folder.read(tmp_path / "own")

    def closed(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", closed)
    with pytest.raises(chart_folder.ChartError) as told:
        archive.files(chart)
    assert str(told.value) == f"{tmp_path}/own/Chart.yaml: cannot be read (Permission denied); mend it"


def test_what_is_embedded_fits_into_the_config_map_that_k3s_makes_of_it() -> None:
    packed = {"Chart.yaml": b"{}", "files/board.json": bytes(770_000)}
    assert len(base64.b64encode(archive.archive("large", packed))) <= 1 << 20
    packed["files/other.json"] = bytes(16_000)
    with pytest.raises(chart_folder.ChartError) as refused:
        archive.archive("large", packed)
    assert re.fullmatch(
        "charts/large: has [0-9]+ bytes when packed, and an embedded chart has at most 786432; "
        "take out what it does not need; files/board.json has 770000",
        str(refused.value),
    )
