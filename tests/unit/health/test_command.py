"""`homelab health` over an API, in this process: what it reads, what it prints, and its exit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from homelab.health import command
from tests import api_server
from tests.api_server import ApiServer
from tests.unit.health import faults
from tests.unit.health.cluster import K3s

Serve = Callable[..., ApiServer]


@pytest.fixture
def serve(serving: Callable[[ApiServer], ApiServer]) -> Serve:
    """An API for a cluster, with ~/.kube/config pointing at it."""

    def serve(*given: Callable[[K3s], object]) -> ApiServer:
        cluster = K3s(datetime.now(UTC))
        for fault in given:
            fault(cluster)
        return serving(ApiServer(cluster.lists))

    return serve


def health(**options: Any) -> int:
    usual: dict[str, Any] = {
        "kubeconfig": None,
        "context": None,
        "namespace": "",
        "timeout": 30,
        "format": "text",
        "verbose": False,
        "fail_on": "warning",
        "inventory": None,
    }
    return command.run(**(usual | options))


def test_only_what_the_chosen_checks_need_is_read(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    server = serve(faults.crash_loop)
    assert health(only=["NODE005", "ctrl001"]) == 0
    assert capsys.readouterr().out == "healthy; 4 nodes; 2 checks: 2 run\n"
    listed = {path for path in server.asked if path.startswith("/api/") or path.count("/") > 2}
    assert listed == {server.path("nodes"), server.path("leases")}


def test_a_namespace_is_looked_for_whatever_is_checked(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    serve()
    assert health(only=["POD"], namespace="nowhere") == 3
    assert "there is no such namespace" in capsys.readouterr().err


def test_the_exit_tells_of_what_is_shown(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    serve(faults.forgotten_cordon)
    assert health() == 1
    assert health(severity="critical") == 0
    assert "nothing found; 1 less severe not shown; " in capsys.readouterr().out
    assert health(severity="info") == 1
    assert health(skip=["NODE006"]) == 0


def test_the_users_settings_are_found_and_heeded(
    serve: Serve, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    serve(faults.forgotten_cordon)
    own = tmp_path / ".config" / "homelab" / "health.toml"
    own.parent.mkdir(parents=True)
    own.write_text('[thresholds]\ncordoned = "30d"\n')
    assert health() == 0
    other = tmp_path / "other.toml"
    other.write_text('[severities]\nNODE006 = "critical"\nCTRL001 = "off"\n')
    capsys.readouterr()
    assert health(settings=other, format="json") == 2
    data = json.loads(capsys.readouterr().out)
    assert [each["severity"] for each in data["findings"]] == ["critical"]
    assert "CTRL001" not in {each["code"] for each in data["checks"]}
    assert data["notes"] == [f"{other}: 0 suppressions, and CTRL001 off, NODE006 critical set"]
    other.write_text('[[suppress]]\ncode = "NODE006"\nreason = "new fan is on its way"\n')
    assert health(settings=other) == 0
    assert capsys.readouterr().out.startswith("healthy; 1 suppressed; ")


def test_all_that_is_wrong_with_flags_and_settings_is_told_before_anything_is_read(
    serve: Serve, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    server = serve()
    (tmp_path / "bad.toml").write_text("[limits]\n[thresholds]\ncordoned = 3\n")
    assert health(settings=tmp_path / "bad.toml", only=["PODS"], suppress=["POD001"]) == 3
    told = capsys.readouterr()
    assert told.out == "" and [line.split(": ")[1] for line in told.err.splitlines()] == [
        "limits",
        "thresholds.cordoned",
        "it has no reason; write CODE=REASON or CODE:Kind/namespace/name=REASON",
        "there is no such code or room; did you mean POD?",
    ]
    assert not server.asked


def test_what_is_known_is_not_told(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    serve(faults.crash_loop)
    assert health(suppress=["POD001:Deployment/media/library=known"]) == 0
    assert capsys.readouterr().out.startswith("healthy; 1 suppressed; 4 nodes, 21 pods; ")


@pytest.mark.parametrize("format", ["text", "json", "yaml", "nagios", "junit", "prometheus"])
def test_every_format_goes_to_a_file_whole(
    serve: Serve, capsys: pytest.CaptureFixture[str], tmp_path: Path, format: str
) -> None:
    serve(faults.crash_loop)
    assert health(format=format, output=tmp_path / "report") == 2
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "") and "POD001" in (tmp_path / "report").read_text()
    if format != "text":  # which depends on the width of a terminal
        assert health(format=format) == 2
        first, second = (tmp_path / "report").read_text(), capsys.readouterr().out
        assert re.sub(r"\d[\d.:T+-]*", "N", first) == re.sub(r"\d[\d.:T+-]*", "N", second), "but for the time"


@pytest.mark.parametrize(
    ("format", "said"),
    [
        ("text", "could not read cluster: "),
        ("json", '"exit_code": 3,'),
        ("yaml", "exit_code: 3\n"),
        ("nagios", "HEALTH UNKNOWN - "),
        ("junit", '<error type="could not read" message="'),
        ("prometheus", "homelab_health_exit_code 3\n"),
    ],
)
def test_what_stops_it_replaces_an_older_report(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, format: str, said: str
) -> None:
    """Else a file that nobody writes any more says for ever that all is well."""
    (tmp_path / "report").write_text("healthy")
    assert health(format=format, output=tmp_path / "report", kubeconfig=str(tmp_path / "none")) == 3
    told = capsys.readouterr()
    assert told.out == "" and "there is no kubeconfig" in told.err
    assert said in (tmp_path / "report").read_text() and "healthy" not in (tmp_path / "report").read_text()


def test_a_file_that_cannot_be_written_is_told_before_anything_is_read(
    serve: Serve, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    server = serve()
    assert health(format="prometheus", output=tmp_path / "no" / "health.prom") == 3
    assert capsys.readouterr().err.count("\n") == 1 and not server.asked


class Sleep:
    """Nobody waits: each time something happens to the cluster, and after the last of it Ctrl-C."""

    def __init__(self, *happens: Callable[[], object]) -> None:
        self.happens = list(happens)
        self.slept: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        if not self.happens:
            raise KeyboardInterrupt
        self.happens.pop(0)()


def test_watching_tells_a_pipe_what_changed_and_nothing_else(
    serve: Serve, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    path = server.path("nodes")

    def cordon() -> None:
        node = next(each for each in server.at[path] if each["metadata"]["name"] == "a1")
        node["spec"] = {
            "unschedulable": True,
            "taints": [{"key": "node.kubernetes.io/unschedulable", "timeAdded": "2026-01-01T00:00:00Z"}],
        }

    def uncordon() -> None:
        next(each for each in server.at[path] if each["metadata"]["name"] == "a1")["spec"] = {}

    def refused() -> None:
        server.faults[path] = api_server.refuse(500, "no leader")

    def nothing() -> None:
        pass

    sleep = Sleep(nothing, cordon, nothing, refused, server.faults.clear, uncordon)
    monkeypatch.setattr(command.time, "sleep", sleep)
    assert health(watch=7) == 0
    told = capsys.readouterr()
    said = [re.sub(r"^\d\d:\d\d:\d\d UTC ", "", line).split(";")[0] for line in told.out.splitlines()]
    assert told.err == "" and said[0] == "healthy" and set(sleep.slept) == {7}
    assert [line.partition(":")[0] for line in said[1:]] == [
        "new warning Node a1 [NODE006]",
        "1 new",
        "unseen warning Node a1 [NODE006]",
        "could not read nodes",
        "1 unseen",
        "new warning Node a1 [NODE006]",
        "1 new",
        "gone warning Node a1 [NODE006]",
        "1 gone",
    ]


def test_watching_goes_on_when_the_api_goes_away_but_begins_with_none_that_is_not_there(
    serve: Serve, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = serve()
    monkeypatch.setattr(command.time, "sleep", Sleep(lambda: server.__exit__(), lambda: None))
    assert health(watch=7) == 3
    out = capsys.readouterr().out.splitlines()
    assert "could not read cluster: " in out[1] and len(out) == 3
    assert health(watch=7, kubeconfig=str(tmp_path / "none")) == 3
    assert capsys.readouterr().out == ""


def test_watching_writes_a_file_anew_each_time(
    serve: Serve, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    serve()
    path = tmp_path / "health.prom"
    monkeypatch.setattr(command.time, "sleep", Sleep(path.unlink, path.unlink))
    assert health(watch=7, format="prometheus", output=path) == 0
    assert path.exists() and capsys.readouterr().out == ""
    assert health(watch=7, format="prometheus") == 3
    assert "--watch: --format prometheus is one document; add --output FILE" in capsys.readouterr().err


def test_waiting_tells_what_it_waits_for_on_stderr_and_how_it_ends_on_stdout(
    serve: Serve, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(faults.crash_loop)
    passed = [0.0]

    def sleep(seconds: float) -> None:
        passed[0] += seconds
        if passed[0] > 5:
            server.at[server.path("pods")] = K3s(datetime.now(UTC)).lists["pods"]
            server.at[server.path("deployments")] = K3s(datetime.now(UTC)).lists["deployments"]

    monkeypatch.setattr(command.time, "sleep", sleep)
    monkeypatch.setattr(command.time, "monotonic", lambda: passed[0])
    assert health(hold=timedelta(seconds=10)) == 0
    told = capsys.readouterr()
    assert told.out.startswith("healthy; 4 nodes, 21 pods; ") and told.out.count("\n") == 1
    assert [line.split()[2] for line in told.err.splitlines()] == ["new", "1", "gone", "1"]
    assert passed[0] == 20, "ill at 0 and 5, then well for 10 s"


def test_waiting_gives_up_as_the_last_report(
    serve: Serve, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(faults.crash_loop)
    passed = [0.0]
    monkeypatch.setattr(command.time, "sleep", lambda seconds: passed.append(passed.pop() + seconds))
    monkeypatch.setattr(command.time, "monotonic", lambda: passed[0])
    assert health(hold=timedelta(seconds=60), within=timedelta(seconds=15), format="json") == 2
    assert json.loads(capsys.readouterr().out)["exit_code"] == 2 and passed[0] == 15


def test_an_interrupted_look_is_no_warning(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_read", interrupted)
    assert health() == 3
    assert "nothing was checked" in capsys.readouterr().err
