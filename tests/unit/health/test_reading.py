"""Reading a cluster over the loopback: whole, in part, or not at all, and never more often than needed."""

from __future__ import annotations

import base64
import json
import pwd
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from homelab.api import Answer, Deadline
from homelab.health import ClusterUnreachable, Report, Severity, Snapshot, Thresholds, read_snapshot, run_checks
from homelab.health.codes import needed
from homelab.health.reading import _Reading
from homelab.health.report import Status
from homelab.health.snapshot import CLIENT, SERVING, USAGE, State
from tests import api_server
from tests.api_server import SERVED, ApiServer, Fault
from tests.unit.health.cluster import NODES, K3s
from tests.unit.health.conftest import PATIENT, kubeconfig
from tests.unit.health.faults import bad_image, disk_full


@contextmanager
def serving(cluster: K3s | None = None, **options: Any) -> Iterator[ApiServer]:
    with ApiServer((cluster or fresh()).lists, **options) as server:
        yield server


def fresh() -> K3s:
    return K3s(datetime.now(UTC))


def read(server: ApiServer, folder: Path, **options: Any) -> Snapshot:
    return read_snapshot(kubeconfig(folder, server.url), **options)


def judge(server: ApiServer, folder: Path, **options: Any) -> Report:
    return run_checks(read(server, folder, **options), PATIENT)


def test_a_healthy_cluster_is_read_whole(tmp_path: Path) -> None:
    with serving() as server:
        snapshot = read(server, tmp_path)
        report = run_checks(snapshot, PATIENT)
    assert report.roots == () and report.exit_code == 0, report
    assert {each.status for each in report.runs} == {Status.OK, Status.SKIPPED}
    assert snapshot.api.version == "v1.35.6+k3s1" and snapshot.api.context == "home"
    unread = {source.name for source in snapshot.sources.values() if source.state is not State.READ}
    assert unread == {SERVING, CLIENT, USAGE}, "there are no TLS and no kubelets here"
    for name in needed():
        assert len(snapshot.lists[name]) == len(server.objects[name]) or name == "events"


def test_each_list_is_asked_for_once_and_nothing_else(tmp_path: Path) -> None:
    with serving() as server:
        read(server, tmp_path)
    lists = {server.path(name): 1 for name in needed()}
    kubelets = {summaries(name): 1 for name in NODES}
    assert dict(server.asked) == {"/version": 5, "/readyz": 1, "/apis": 1, **lists, **kubelets}


def test_lists_are_read_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homelab.health.reading.PAGE", 4)
    cluster = fresh()
    with serving(cluster) as server:
        snapshot = read(server, tmp_path)
    assert len(snapshot.pods) == len(cluster.lists["pods"])
    assert server.asked[server.path("pods")] == -(-len(cluster.lists["pods"]) // 4)
    assert all("limit=4" in query for query in server.queries if query.startswith("/api/v1/pods"))


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("remote", [False, True])
def test_large_answers_come_compressed_over_a_wire_and_in_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunked: bool, remote: bool
) -> None:
    monkeypatch.setattr("homelab.api._loopback", lambda url: not remote)
    cluster = fresh()
    for number in range(400):
        cluster.claim("media", f"more-{number}")
    sent: list[str] = []
    with serving(cluster, chunked=chunked) as server:
        server.faults[server.path("persistentvolumeclaims")] = lambda handler: bool(
            sent.append(handler.headers.get("Accept-Encoding", ""))
        )
        assert len(read(server, tmp_path).claims) == len(cluster.lists["persistentvolumeclaims"])
    assert sent == (["gzip"] if remote else ["identity"])


def test_empty_lists_may_come_as_null(tmp_path: Path) -> None:
    cluster = fresh()
    cluster.lists["jobs"] = []
    with serving(cluster, null_lists=True) as server:
        assert read(server, tmp_path).was_read("jobs")


def test_one_namespace_and_the_cluster_itself(tmp_path: Path) -> None:
    with serving() as server:
        snapshot = read(server, tmp_path, namespace="media")
    assert {pod.namespace for pod in snapshot.pods} == {"media"}
    assert len(snapshot.nodes) == 4 and len([each for each in snapshot.leases if each.namespace == "kube-node-lease"])


def test_pages_that_expire_are_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homelab.health.reading.PAGE", 10)
    cluster = fresh()
    with serving(cluster) as server:
        server.faults[server.path("pods")] = api_server.expired(times=1)
        assert len(read(server, tmp_path).pods) == len(cluster.lists["pods"])


def test_a_cluster_of_old_serves_other_versions(tmp_path: Path) -> None:
    """K3s 1.21: slices and budgets in beta, no snapshots as objects, no metrics server."""
    old = {
        name: version
        for name, version in SERVED.items()
        if name not in ("etcdsnapshotfiles", "addons", "helmcharts", "ingressroutes") and "metrics" not in name
    }
    old |= {"endpointslices": "discovery.k8s.io/v1beta1", "cronjobs": "batch/v1beta1"}
    with serving(served=old) as server:
        snapshot = read(server, tmp_path, kinds=["endpointslices", "cronjobs", "helmcharts", "nodes", "pods"])
    assert snapshot.endpoint_slices and snapshot.cronjobs
    assert snapshot.source("helmcharts").state is State.NOT_SERVED
    assert server.asked["/apis/helm.cattle.io/v1/helmcharts"] == 0, "its group is not served: it is not asked for"


def test_endpoints_stand_in_where_there_are_no_slices(tmp_path: Path) -> None:
    cluster = fresh()
    target = {"kind": "Pod", "namespace": "default", "name": "web-1"}
    subset = {
        "addresses": [{"ip": "10.42.0.7", "nodeName": "s1", "targetRef": target}],
        "notReadyAddresses": [{"ip": "10.42.0.8"}],
        "ports": [{"name": "http", "port": 8080}],
    }
    cluster.add("endpoints", "Endpoints", "v1", "default", "web", subsets=[subset])
    served = {name: version for name, version in SERVED.items() if name != "endpointslices"} | {"endpoints": "v1"}
    with serving(cluster, served=served) as server:
        (found,) = read(server, tmp_path, kinds=["endpointslices"]).endpoint_slices
    assert (found.service, found.ports) == ("web", (("http", 8080, "TCP"),))
    assert [(each.address, each.ready) for each in found.endpoints] == [("10.42.0.7", True), ("10.42.0.8", False)]


def test_without_discovery_each_kind_is_tried(tmp_path: Path) -> None:
    with serving() as server:
        server.faults["/apis"] = api_server.refuse(403, "no")
        report = judge(server, tmp_path)
    assert (report.exit_code, report.unread) == (0, ())


def test_a_discovery_that_hangs_holds_up_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homelab.health.reading._DISCOVERY", 0.2)
    with serving() as server:
        server.faults["/apis"] = api_server.hang()
        report = judge(server, tmp_path, timeout=5)
    assert [(each.name, each.why) for each in report.unread] == [("/apis", "not within 5 s")]
    assert (report.exit_code, {each.status for each in report.runs}) == (3, {Status.OK, Status.SKIPPED})


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (api_server.refuse(500, "etcdserver: request timed out"), "HTTP 500: etcdserver: request timed out"),
        (api_server.refuse(429, "slow down", Retry_After="3600"), "HTTP 429: slow down"),
        (api_server.truncated(), "the connection broke"),
        (api_server.truncated_chunk(), "the connection broke"),
        (api_server.truncated_gzip(), "the answer is not JSON"),
        (api_server.dropped(), "the connection broke"),
        (api_server.body(b"{"), "the answer is not JSON"),
        (api_server.body(b'{"items": [' + b'{"a": ' * 100_000), "the answer is not JSON"),
        (api_server.body(b"\xff\xfe\x00"), "the answer is not JSON"),
        (api_server.body(b'{"kind": "List"}'), "the answer is no list of objects"),
        (api_server.body(b'{"items": [1]}'), "the answer is no list of objects"),
        (api_server.body(b'{"items": 3}'), "the answer is no list of objects"),
        (api_server.body(b"[]"), "the answer is no list of objects"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("name", ["pods", "jobs"])
def test_a_read_that_fails_is_told_and_never_healthy(tmp_path: Path, name: str, fault: Fault, why: str) -> None:
    with serving() as server:
        server.faults[server.path(name)] = fault
        report = judge(server, tmp_path)
    assert [(each.name, each.why.startswith(why)) for each in report.unread] == [(name, True)], report.unread
    assert report.exit_code == 3
    assert {each.status for each in report.runs if each.code.startswith("POD")} == {
        Status.FAILED if name == "pods" else Status.OK
    }


@pytest.mark.parametrize("fault", [api_server.drip(), api_server.drip(header=True), api_server.hang()])
def test_what_is_late_is_told_and_never_healthy(tmp_path: Path, fault: Fault) -> None:
    with serving() as server:
        server.faults[server.path("pods")] = fault
        report = judge(server, tmp_path, timeout=3)
    assert ("pods", "not within 3 s") in [(each.name, each.why) for each in report.unread]
    assert report.exit_code == 3
    assert {each.status for each in report.runs if each.code.startswith("POD")} == {Status.FAILED}


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize(("name", "exit_code"), [("pods", 3), ("nodes", 3), ("jobs", 0), ("leases", 0)])
def test_what_may_not_be_read_is_skipped(tmp_path: Path, name: str, exit_code: int, status: int) -> None:
    with serving() as server:
        server.faults[server.path(name)] = api_server.refuse(status, f'User "me" cannot list resource "{name}"')
        report = judge(server, tmp_path)
    assert report.exit_code == exit_code
    skipped = [each for each in report.runs if each.status is Status.SKIPPED and each.reason.startswith(name)]
    assert skipped and all(each.forbidden is (status == 403) for each in skipped)
    assert "me" not in skipped[0].reason.split()


def test_a_critical_finding_goes_before_what_could_not_be_read(tmp_path: Path) -> None:
    cluster = fresh()
    bad_image(cluster)
    with serving(cluster) as server:
        server.faults[server.path("jobs")] = api_server.refuse(500)
        assert judge(server, tmp_path).exit_code == 2


@pytest.mark.parametrize(
    "fault",
    [
        api_server.refuse(429, "storage is (re)initializing", times=2, Retry_After="0"),
        api_server.refuse(503, "starting", times=1, Retry_After="0"),
        api_server.truncated(times=1),
    ],
)
def test_what_was_put_off_or_broke_once_is_asked_again(tmp_path: Path, fault: Fault) -> None:
    with serving() as server:
        server.faults[server.path("pods")] = fault
        assert judge(server, tmp_path).exit_code == 0


def test_an_aggregated_api_that_is_down_is_not_served(tmp_path: Path) -> None:
    with serving() as server:
        server.faults[server.path("nodes.metrics.k8s.io")] = api_server.refuse(503, "service unavailable")
        snapshot = read(server, tmp_path, kinds=["nodes.metrics.k8s.io"])
    assert snapshot.source("nodes.metrics.k8s.io").state is State.NOT_SERVED


def test_the_api_says_what_of_it_is_not_ready(tmp_path: Path) -> None:
    with serving(unready=("[-]etcd failed: reason withheld",)) as server:
        report = judge(server, tmp_path)
    (root,) = report.roots
    assert (root.code, root.severity, root.evidence["failed"]) == (
        "CTRL001",
        Severity.CRITICAL,
        ("etcd failed: reason withheld",),
    )


@pytest.mark.parametrize("seconds", [-400, 400])
def test_ages_are_told_by_the_clusters_clock(tmp_path: Path, seconds: float) -> None:
    """This machine's clock is off; the cluster is fine, and the one finding says whose clock it is."""
    cluster = K3s(datetime.now(UTC) + timedelta(seconds=seconds))
    with serving(cluster, clock=api_server.ahead(seconds)) as server:
        report = judge(server, tmp_path)
    assert [each.code for each in report.roots] == ["CTRL006"]


@pytest.mark.parametrize(
    ("ahead", "written", "took", "skew"),
    [(0, 6, 6, 0.5), (0, 0, 6, 0), (0, 3, 6, 0), (60, 3, 6, 57.5), (-60, 3, 6, -56.5), (5, 0, 0, 5.5), (1, 0, 0, 1.5)],
)
def test_what_the_time_of_an_answer_explains_is_no_difference_of_clocks(
    ahead: float, written: float, took: float, skew: float
) -> None:
    """Its date may have been written at any moment of it."""
    seen = _Reading(CLOSED, Deadline(1), "")
    seen._clock(dated(timedelta(seconds=ahead + written), took))
    assert seen.skew == timedelta(seconds=skew)


def test_the_clock_is_told_by_the_fastest_answer() -> None:
    seen = _Reading(CLOSED, Deadline(1), "")
    for date, took in ((30, 20.0), (3, 0.0), (30, 10.0)):
        seen._clock(dated(timedelta(seconds=date), took))
    assert seen.skew == timedelta(seconds=3.5)


# No question is put.
CLOSED: Any = None


def dated(date: timedelta, took: float) -> Answer:
    """An answer to what was asked at noon, with this date after that, by the server's clock."""
    noon = datetime(2026, 11, 25, 12, tzinfo=UTC)
    return Answer(200, b"", noon + date, None, noon + timedelta(seconds=took), took)


def test_without_a_date_there_is_no_word_on_clocks(tmp_path: Path) -> None:
    with serving(dated=False) as server:
        report = judge(server, tmp_path)
    assert {each.code for each in report.runs if each.reason.startswith("clock")} == {"CTRL006", "NODE007"}
    assert report.exit_code == 0


def test_no_thread_of_a_whole_reading_stays_behind(tmp_path: Path) -> None:
    with serving() as server:
        before = threading.active_count()
        read(server, tmp_path)
        # The server's own threads end when the connections do.
        for thread in threading.enumerate():
            if thread.name.startswith("Thread-") and "process_request" in thread.name:
                thread.join(5)
        assert threading.active_count() <= before


# -- no cluster to talk to --------------------------------------------------------------------------------------------


def line(folder: Path, act: Callable[[], object]) -> str:
    with pytest.raises(ClusterUnreachable) as error:
        act()
    said = str(error.value)
    assert "\n" not in said and ": " in said and "; " in said, said
    assert "secret" not in said
    return said


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is not YAML in line 1"),
        ("", "file is empty"),
        ("[]", "is not a kubeconfig"),
        ("hello", "is not a kubeconfig"),
        ("clusters: 3", "is not a kubeconfig"),
        ("contexts: []", "names no current context"),
        ("contexts: null\nclusters: null\ncurrent-context: ''", "names no current context; write --context NAME"),
        (
            "contexts: []\nclusters: []\ncurrent-context: home",
            "its current context is home, and there is no such one; ",
        ),
        (
            "contexts: [{name: a, context: {cluster: x, user: y}}]\ncurrent-context: a\nclusters: []",
            "expected object with name x",
        ),
    ],
)
def test_a_kubeconfig_that_is_none(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "broken"
    path.write_text(text)
    said = line(tmp_path, lambda: read_snapshot(str(path)))
    assert said.startswith(f"{path}: ") and told.lower() in said.lower()


@pytest.mark.parametrize("path", ["no", "~nobody-of-that-name/config"])
def test_no_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.chdir(tmp_path)
    said = line(tmp_path, lambda: read_snapshot(path))
    assert said.startswith(f"{path}: there is no kubeconfig; write --kubeconfig PATH")


def test_a_user_without_a_home_has_no_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: int) -> None:
        raise KeyError

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(ClusterUnreachable, match=r"^~/\.kube/config: there is no kubeconfig"):
        read_snapshot()


def test_an_unknown_context(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, "https://192.0.2.1:6443")
    assert line(tmp_path, lambda: read_snapshot(path, "away")) == f"{path}: has no context away; write one of home"


def test_a_certificate_file_that_is_not_there(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, "https://192.0.2.1:6443", cluster={"certificate-authority": "/nowhere/ca.crt"})
    assert "File does not exist: /nowhere/ca.crt".lower() in line(tmp_path, lambda: read_snapshot(path)).lower()


@pytest.mark.parametrize(
    ("server", "told"),
    [
        ("http://127.0.0.1:1", "connection refused"),
        ("https://127.0.0.1:1", "connection refused"),
        ("https://nowhere.invalid:6443", "the name nowhere.invalid does not resolve"),
        ("192.0.2.1:6443", "is no URL"),
        ("https://[::1", "is not a kubeconfig"),
    ],
)
def test_nobody_there(tmp_path: Path, server: str, told: str) -> None:
    assert told in line(tmp_path, lambda: read_snapshot(kubeconfig(tmp_path, server), timeout=5))


def test_a_token_of_two_lines_is_refused_and_not_shown(tmp_path: Path) -> None:
    with serving() as server:
        path = kubeconfig(tmp_path, server.url, user={"token": "secret\ntoken"})
        assert "the token holds a line break" in line(tmp_path, lambda: read_snapshot(path))


@pytest.mark.parametrize(
    ("proxy", "told"),
    [
        ("socks5://127.0.0.1:1", "to go by a SOCKS proxy takes another package: pip install pysocks"),
        ("proxy.lan:3128", "the proxy proxy.lan:3128 is no URL of http or https; see proxy-url and HTTPS_PROXY"),
        ("ftp://proxy.lan", "the proxy ftp://proxy.lan is no URL of http or https; see proxy-url and HTTPS_PROXY"),
    ],
)
def test_a_proxy_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str, told: str) -> None:
    monkeypatch.setitem(sys.modules, "socks", None)
    path = kubeconfig(tmp_path, "https://192.0.2.11:6443", cluster={"proxy-url": proxy})
    with pytest.raises(ClusterUnreachable) as error:
        read_snapshot(path, timeout=5)
    assert str(error.value) == f"{path}: {told}"


def test_a_plugin_that_fails(tmp_path: Path) -> None:
    plugin = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "/nowhere/plugin",
            "interactiveMode": "Never",
        }
    }
    path = kubeconfig(tmp_path, "https://127.0.0.1:1", user=plugin)
    assert "no credentials from the plugin" in line(tmp_path, lambda: read_snapshot(path))


def test_a_plugin_that_hangs(tmp_path: Path) -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sleep", "args": ["60"]}
    path = kubeconfig(tmp_path, "https://127.0.0.1:1", user={"exec": {**plugin, "interactiveMode": "Never"}})
    assert "no credentials within 1 s" in line(tmp_path, lambda: read_snapshot(path, timeout=1))


@pytest.mark.parametrize("fault", [api_server.hang(), api_server.drip(header=True)])
def test_an_api_that_never_answers(tmp_path: Path, fault: Fault) -> None:
    with serving() as server:
        server.faults["/version"] = fault
        said = line(tmp_path, lambda: read(server, tmp_path, timeout=1))
    assert "takes connections but does not answer within 1 s" in said


def test_credentials_that_are_refused(tmp_path: Path) -> None:
    with serving(token="another") as server:
        said = line(tmp_path, lambda: read(server, tmp_path))
    assert "we are not let in; the token in" in said and "not (or no longer) known" in said


def test_a_token_that_has_expired(tmp_path: Path) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 1700000000}).encode()).decode().rstrip("=")
    with serving(token="another") as server:
        path = kubeconfig(tmp_path, server.url, user={"token": f"e30.{claims}.secret"})
        assert "expired on 2023-11-14 22:13 UTC" in line(tmp_path, lambda: read_snapshot(path))


def summaries(node: str) -> str:
    return f"/api/v1/nodes/{node}/proxy/stats/summary"


def test_each_kubelet_at_work_is_asked_once_and_waited_for_by_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One answers, one hangs, one is not reached by the API, and one is not ready."""
    monkeypatch.setattr("homelab.health.reading._KUBELET", 0.5)
    cluster = fresh()
    disk_full(cluster)
    cluster.get("nodes", "s3")["status"]["conditions"] = []
    with serving(cluster) as server:
        server.faults[summaries("a1")] = api_server.body(json.dumps(cluster.summaries["a1"]).encode())
        server.faults[summaries("s1")] = api_server.hang()
        server.faults[summaries("s2")] = api_server.refuse(502, "dial tcp: i/o timeout")
        snapshot = read(server, tmp_path)
    assert {name: server.asked[summaries(name)] for name in NODES} == {"a1": 1, "s1": 1, "s2": 1, "s3": 0}
    assert {each.node for each in snapshot.usages} == {"a1"} and snapshot.was_read(USAGE)
    assert "NODE016" in {each.code for each in run_checks(snapshot).findings}


@pytest.mark.parametrize(
    ("status", "why"),
    [(403, "we may not get nodes/proxy"), (404, "no such API"), (503, "HTTP 503")],
)
def test_without_the_right_to_ask_kubelets_their_checks_are_skipped(tmp_path: Path, status: int, why: str) -> None:
    with serving() as server:
        for name in NODES:
            server.faults[summaries(name)] = api_server.refuse(status, "no")
        report = judge(server, tmp_path)
    skipped = {run.code: run.reason for run in report.runs if run.status is Status.SKIPPED and not run.forbidden}
    assert why in skipped["STOR008"] and why in skipped["NODE016"]
    assert report.exit_code == 0


def test_kubelets_are_asked_only_where_that_is_wanted(tmp_path: Path) -> None:
    with serving() as server:
        read(server, tmp_path, usage=False)
    assert not [path for path in server.asked if "proxy" in path]


def test_the_newest_minor_that_is_known_is_the_clients() -> None:
    import kubernetes

    assert Thresholds().newest_minor == int(kubernetes.__version__.partition(".")[0])
