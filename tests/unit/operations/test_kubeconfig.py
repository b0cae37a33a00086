"""The entry on the control machine, and asking the cluster from there."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from homelab.k3s import paths
from homelab.k3s.plan import Plan, Step
from homelab.operations import kubeconfig
from homelab.pyinfra_compat import Refusal
from tests.builders import VERSION, home
from tests.builders import host as make_host

FETCHED = yaml.safe_dump(
    {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "default", "cluster": {"server": "https://127.0.0.1:6443"}}],
        "users": [{"name": "default", "user": {"token": "s3cret"}}],
        "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
        "current-context": "default",
    }
)
HOME = home(["s1", "s2", "s3"], tls_san=("k3s.home.arpa",))


def cluster(file: Path, known: Any = HOME, plan: Plan | None = None) -> Any:
    """A deploy to nodes that a server's own API has told of."""
    return SimpleNamespace(home=known, kubeconfig=file, plan=plan or Plan(), version=VERSION, nodes={}, merges=False)


def merge(file: Path, host: Any, known: Any = HOME) -> int:
    """Run the operation; the number of changes."""
    host.answers = {f"cat {paths.KUBECONFIG}": FETCHED}
    commands = list(kubeconfig.merged._inner(cluster(file, known)))
    for command in commands:
        command.function(*command.args, **command.kwargs)
    return len(commands)


def server_of(file: Path) -> str:
    found: str = yaml.safe_load(file.read_text(encoding="utf-8"))["clusters"][0]["cluster"]["server"]
    return found


def test_the_entry_is_written_for_its_owner_alone_and_the_second_time_nothing(
    tmp_path: Path, host: Any, state: Any
) -> None:
    file = tmp_path / "kube" / "config"
    assert merge(file, host) == 1
    assert file.stat().st_mode & 0o777 == 0o600
    assert server_of(file) == "https://192.168.1.11:6443"
    assert merge(file, host) == 0
    assert host.noops == [f"{file} has homelab-test"]


def test_the_file_before_is_kept_as_a_backup_for_its_owner_alone(tmp_path: Path, host: Any, state: Any) -> None:
    file = tmp_path / "config"
    file.write_text("# mine\nclusters: [{name: work, cluster: {}}]\n", encoding="utf-8")
    assert merge(file, host) == 1
    backup = tmp_path / "config.homelab-backup"
    assert backup.read_text(encoding="utf-8").startswith("# mine\n")
    assert backup.stat().st_mode & 0o777 == 0o600
    assert {each.name for each in tmp_path.iterdir()} == {"config", "config.homelab-backup"}


def test_a_file_that_others_may_read_is_closed(tmp_path: Path, host: Any, state: Any) -> None:
    file = tmp_path / "config"
    merge(file, host)
    file.chmod(0o644)
    assert merge(file, host) == 1
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_link_stays_a_link(tmp_path: Path, host: Any, state: Any) -> None:
    real, file = tmp_path / "dotfiles" / "config", tmp_path / "config"
    real.parent.mkdir()
    real.write_text("clusters: []\n", encoding="utf-8")
    file.symlink_to(real)
    assert merge(file, host) == 1
    assert file.is_symlink()
    assert server_of(real) == "https://192.168.1.11:6443"


@pytest.mark.parametrize("content", [b"{broken", b"- a list\n", b"\xff\xfe\x00"], ids=["broken", "list", "binary"])
def test_what_cannot_be_merged_into_is_told_in_one_line_and_left(
    tmp_path: Path, host: Any, state: Any, content: bytes
) -> None:
    file = tmp_path / "config"
    file.write_bytes(content)
    with pytest.raises(Refusal) as told:
        merge(file, host)
    assert str(told.value.message).startswith(f"{file}: ") and "\n" not in told.value.message
    assert "the cluster itself is deployed" in told.value.message
    assert file.read_bytes() == content


def test_a_server_without_a_kubeconfig_is_not_blamed_on_ours(tmp_path: Path, host: Any, state: Any) -> None:
    host.answers = {f"cat {paths.KUBECONFIG}": None}
    with pytest.raises(Refusal, match="K3s's own kubeconfig cannot be read"):
        list(kubeconfig.merged._inner(cluster(tmp_path / "config")))
    assert not (tmp_path / "config").exists()


@pytest.mark.parametrize(
    ("in_use", "servers", "then"),
    [
        ("https://192.168.1.12:6443", ["s1", "s2", "s3"], "https://192.168.1.12:6443"),
        ("https://k3s.home.arpa:6443", ["s1", "s2", "s3"], "https://k3s.home.arpa:6443"),
        ("https://192.168.1.99:6443", ["s1", "s2", "s3"], "https://192.168.1.11:6443"),
        ("https://192.168.1.11:6443", [make_host("s1", away=True), "s2", "s3"], "https://192.168.1.12:6443"),
    ],
    ids=["a living server", "a name of ours", "nobody any more", "a server that is away"],
)
def test_the_address_in_use_stays_while_it_is_good(
    tmp_path: Path, host: Any, state: Any, in_use: str, servers: list[Any], then: str
) -> None:
    file = tmp_path / "config"
    merge(file, host)
    file.write_text(file.read_text(encoding="utf-8").replace("https://192.168.1.11:6443", in_use), encoding="utf-8")
    merge(file, host, home(servers, tls_san=("k3s.home.arpa",)))
    assert server_of(file) == then


def test_what_was_written_since_it_was_compared_is_kept(tmp_path: Path, host: Any, state: Any) -> None:
    """Two runs at once, of two inventories, each lost the other's entry."""
    file = tmp_path / "config"
    host.answers = {f"cat {paths.KUBECONFIG}": FETCHED}
    (command,) = kubeconfig.merged._inner(cluster(file))
    file.write_text("clusters: [{name: work, cluster: {}}]\ncurrent-context: work\n", encoding="utf-8")
    assert command.function(*command.args) is True
    held = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert [each["name"] for each in held["clusters"]] == ["work", "homelab-test"]
    assert held["current-context"] == "work"
    file.write_text("{broken", encoding="utf-8")
    assert command.function(*command.args) is False
    assert file.read_text(encoding="utf-8") == "{broken"


def test_a_kubeconfig_that_kubectl_has_locked_is_waited_for(
    tmp_path: Path, host: Any, state: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, file = tmp_path / "dotfiles" / "config", tmp_path / "config"
    real.parent.mkdir()
    real.touch()
    file.symlink_to(real)
    lock = tmp_path / "config.lock"
    lock.touch(mode=0)
    assert kubeconfig.merge_into(file, HOME, FETCHED, deadline=0) is False
    assert caplog.messages == [
        f"{real}: is locked by {lock}, as while another program writes it; if none does, rm {lock}, and deploy again; "
        "the cluster itself is deployed"
    ]
    assert lock.exists() and real.read_text() == "", "it is somebody else's"
    monkeypatch.setattr(kubeconfig.time, "sleep", lambda _: lock.unlink())
    assert kubeconfig.merge_into(file, HOME, FETCHED) is True
    assert server_of(real) == "https://192.168.1.11:6443"
    assert not lock.exists()


def test_a_place_that_cannot_be_written_fails_in_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "kube").write_text("a file, not a folder")
    assert kubeconfig.write(tmp_path / "kube" / "config", "", "text") is False
    assert kubeconfig.merge_into(tmp_path / "kube" / "config", HOME, FETCHED) is False
    assert [message.count("cannot be written") for message in caplog.messages] == [1, 1]


def test_of_a_write_that_fails_no_credentials_are_left_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert kubeconfig.write(tmp_path / "config", "", "token: secret\n") is False
    assert list(tmp_path.iterdir()) == []


def seen(file: Path) -> tuple[bytes, int, int] | None:
    """What a write would change of a file."""
    return (file.read_bytes(), file.stat().st_mode, file.stat().st_mtime_ns) if file.exists() else None


@dataclass
class Case:
    """What is here and there when somebody asks for a plan; `told` is whether it names the kubeconfig, and as what."""

    told: str
    merged: bool = True
    mode: int = 0o600
    there: str | None = FETCHED
    step: str = ""
    first: bool = True


@pytest.mark.parametrize(
    "case",
    [
        Case("", step=""),
        Case("sure", merged=False),
        Case("sure", there=FETCHED.replace("s3cret", "renewed")),
        Case("sure", mode=0o644),
        Case("", step="join", first=False),
        Case("sure", step="join", first=False, there=FETCHED.replace("s3cret", "renewed")),
        Case("conditional", step="restart"),
        Case("conditional", step="revive", there=None),
        Case("sure", step="revive", there=None, merged=False),
        Case("sure", step="initialise", there=None),
    ],
    ids=[
        "as it is",
        "not merged yet",
        "renewed by its server",
        "others may read it",
        "another joins",
        "another joins, and renewed",
        "the first restarts, and may renew it",
        "the first comes up, and writes it",
        "the first comes up, and none is here",
        "another cluster's",
    ],
)
def test_a_plan_names_the_kubeconfig_where_a_run_would_write_it(
    case: Case, tmp_path: Path, host: Any, state: Any
) -> None:
    file = tmp_path / "config"
    if case.merged:
        merge(file, host)
        file.chmod(case.mode)
    before = seen(file)
    host.answers = {f"cat {paths.KUBECONFIG}": case.there}
    state.is_executing = False
    kind: Any = case.step
    turn = (Step(kind, HOME.servers[0 if case.first else 1]),) if case.step else ()
    made = cluster(file, plan=Plan(servers=turn, first=HOME.servers[0]))
    commands = list(kubeconfig.merged._inner(made))
    assert len(commands) == (1 if case.told else 0)
    assert ("_if" in host.current_op_global_arguments) is (case.told == "conditional")
    assert made.merges is (case.told == "sure")
    assert seen(file) == before, "a plan writes nothing"


def test_a_run_is_not_held_up_by_a_kubeconfig_that_the_server_lacks_before_it_comes_to_it(
    tmp_path: Path, host: Any, state: Any
) -> None:
    state.is_executing = False
    host.answers = {f"cat {paths.KUBECONFIG}": None}
    made = cluster(config(tmp_path, "https://192.0.2.11:6443"))
    assert list(kubeconfig.merged._inner(made)) == []
    state.is_executing = True
    with pytest.raises(Refusal, match="the cluster itself is deployed"):
        list(kubeconfig.merged._inner(made))


@pytest.fixture
def unknown(state: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a plan tells that it could not find out."""
    told: list[str] = []
    state.is_executing = False
    monkeypatch.setattr(kubeconfig, "is_dry", lambda: True)
    monkeypatch.setattr(kubeconfig, "unknown", told.append)
    return told


def test_a_plan_does_not_know_of_a_kubeconfig_that_the_server_lacks(
    tmp_path: Path, host: Any, unknown: list[str]
) -> None:
    host.answers = {f"cat {paths.KUBECONFIG}": None}
    made = cluster(tmp_path / "config")
    assert list(kubeconfig.merged._inner(made)) == []
    (line,) = unknown
    assert line.startswith(f"{tmp_path}/config: {paths.KUBECONFIG} of s1 cannot be read, so whether")
    assert made.merges is False


# From outside
#


@dataclass
class Api:
    """An API server on loopback."""

    address: str = ""
    status: int = 200
    body: bytes = b""


def node(name: str, ready: str = "True") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"node-role.kubernetes.io/etcd": "true"}},
        "status": {
            "conditions": [
                {"type": "EtcdIsVoter", "status": "True"},
                {"type": "Ready", "status": ready, "message": "container runtime is down"},
            ],
            "nodeInfo": {"kubeletVersion": VERSION},
        },
    }


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    known = Api()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/api/v1/nodes"
            assert self.headers["Authorization"] == "Bearer s3cret"
            self.send_response(known.status)
            self.send_header("Content-Length", str(len(known.body)))
            self.end_headers()
            self.wfile.write(known.body)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    known.address = f"http://127.0.0.1:{server.server_port}"
    yield known
    server.shutdown()
    thread.join()
    server.server_close()


def config(tmp_path: Path, address: str) -> Path:
    file = tmp_path / "config"
    text = kubeconfig.kubeconfig.merge("", FETCHED, "homelab-test", address)
    file.write_text(text, encoding="utf-8")
    return file


def test_the_nodes_are_read_through_the_kubeconfig(tmp_path: Path, api: Api) -> None:
    api.body = json.dumps({"kind": "NodeList", "items": [node("s1"), node("s2", "False")]}).encode()
    found, why = kubeconfig.outside(config(tmp_path, api.address), "homelab-test")
    assert found is not None and why == ""
    assert {name: each.ready for name, each in found.items()} == {"s1": True, "s2": False}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, b'{"kind": "Status", "message": "forbidden"}'),
        (503, b"not yet"),
        (200, b'{"kind": "Status", "message": "no"}'),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'"text"'),
    ],
)
def test_an_api_that_does_not_tell_is_one_line(tmp_path: Path, api: Api, status: int, body: bytes) -> None:
    api.status, api.body = status, body
    found, why = kubeconfig.outside(config(tmp_path, api.address), "homelab-test")
    assert found is None
    assert why and "\n" not in why


def test_an_api_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    found, why = kubeconfig.outside(config(tmp_path, "http://127.0.0.1:9"), "homelab-test")
    assert found is None and why and "\n" not in why


def test_a_kubeconfig_without_the_context_is_one_line(tmp_path: Path) -> None:
    found, why = kubeconfig.outside(config(tmp_path, "http://127.0.0.1:9"), "homelab-other")
    assert found is None and why and "\n" not in why


def test_a_cluster_is_proven_when_every_expected_node_is_up(tmp_path: Path, api: Api, host: Any, state: Any) -> None:
    api.body = json.dumps({"items": [node("s1"), node("s2"), node("s3")]}).encode()
    made = cluster(config(tmp_path, api.address))
    assert list(kubeconfig.answering._inner(made, HOME.servers, deadline=0)) == []
    assert sorted(made.nodes) == ["s1", "s2", "s3"]


def test_nodes_that_are_missing_at_the_deadline_are_told_one_by_one(
    tmp_path: Path, api: Api, host: Any, state: Any
) -> None:
    api.body = json.dumps({"items": [node("s1"), node("s2", "False")]}).encode()
    made = cluster(config(tmp_path, api.address))
    with pytest.raises(Refusal) as told:
        list(kubeconfig.answering._inner(made, HOME.servers, deadline=-1))
    assert told.value.message.splitlines() == [
        "s2: it is not Ready (container runtime is down)",
        "s3: it has not registered with the cluster",
    ]


def test_a_plan_waits_for_nothing_and_does_not_know_what_lies_behind_an_api_that_does_not_answer(
    tmp_path: Path, api: Api, host: Any, unknown: list[str]
) -> None:
    api.body = json.dumps({"items": [node("s1", "False")]}).encode()
    made = cluster(config(tmp_path, api.address))
    assert list(kubeconfig.answering._inner(made, HOME.servers, deadline=600)) == []
    assert unknown == []
    api.status = 401
    assert list(kubeconfig.answering._inner(made, HOME.servers, deadline=600)) == []
    assert [line.partition(": ")[0] for line in unknown] == ["the cluster's API does not answer from here"]


def test_what_no_server_answers_for_is_not_asked_from_outside_as_well(
    tmp_path: Path, host: Any, unknown: list[str]
) -> None:
    made = cluster(tmp_path / "nothing")
    made.nodes = None
    assert list(kubeconfig.answering._inner(made, HOME.servers, deadline=600)) == []
    assert unknown == []


def test_a_run_begins_where_nothing_answers_yet(
    tmp_path: Path, host: Any, unknown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeconfig, "is_dry", lambda: False)
    assert list(kubeconfig.answering._inner(cluster(tmp_path / "nothing"), HOME.servers, deadline=600)) == []
    assert unknown == []


@pytest.mark.parametrize(
    ("plan", "merges"), [(Plan(servers=(Step("restart", HOME.servers[0]),)), False), (Plan(), True)]
)
def test_a_plan_does_not_ask_what_it_would_change_first(
    plan: Plan, merges: bool, tmp_path: Path, host: Any, unknown: list[str]
) -> None:
    made = cluster(tmp_path / "nothing", plan=plan)
    made.merges = merges
    assert list(kubeconfig.answering._inner(made, HOME.servers, deadline=600)) == []
    assert unknown == []
