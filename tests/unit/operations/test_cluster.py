"""The deploy's decisions for all hosts: what a node should have, and whose token counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from homelab.k3s import config, paths, plan, unit
from homelab.k3s.artifacts import Artifact
from homelab.k3s.token import Token
from homelab.operations import cluster
from homelab.probe import FileState, HostProbe
from homelab.pyinfra_compat import Refusal
from tests.builders import VERSION, fresh, home, node_up, nodes, wanted

HOME = home(["s1", "s2", "s3"], ["a1"])
# What each file holds, by host.
Held = dict[tuple[str, str], str]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    """Token files on hosts; reading one that is not there fails the test."""
    known: Held = {}
    monkeypatch.setattr(cluster, "read_token", lambda host, path: Token(known[host.name, path]))
    return known


def site(known: Any, **probes: HostProbe) -> Any:
    return SimpleNamespace(home=known, probes=probes)


def tokens(known: Any, seen: Any, **probes: HostProbe) -> tuple[str, str]:
    made = plan.plan(known, probes, seen, wanted(known))
    server, agent = cluster._tokens(site(known, **probes), made)
    return server.password, agent.password


def with_files(*found: str) -> HostProbe:
    return fresh(files={path: FileState("file", "0600", "root:root", size=9) for path in found})


def test_a_first_cluster_gets_two_new_tokens(held: Held) -> None:
    server, agent = tokens(HOME, None, s1=fresh(), s2=fresh(), s3=fresh(), a1=fresh())
    assert server != agent
    assert len(server) == len(agent) == 64


def test_a_killed_first_run_goes_on_with_the_token_it_laid(held: Held) -> None:
    held |= {("s1", paths.TOKEN): "laid", ("s1", paths.AGENT_TOKEN): "laid too"}
    begun = with_files(paths.TOKEN, paths.AGENT_TOKEN)
    assert tokens(HOME, None, s1=begun, s2=fresh(), s3=fresh(), a1=fresh()) == ("laid", "laid too")


def test_a_run_killed_between_the_two_tokens_keeps_the_first(held: Held) -> None:
    held |= {("s1", paths.TOKEN): "laid"}
    server, agent = tokens(HOME, None, s1=with_files(paths.TOKEN), s2=fresh(), s3=fresh(), a1=fresh())
    assert server == "laid" and len(agent) == 64


def test_a_joining_node_gets_the_living_clusters_token(held: Held) -> None:
    held |= {
        ("s2", paths.SERVER_TOKEN): "the cluster's",
        ("s2", paths.AGENT_TOKEN): "the agents'",
        # What lies on the machine that joins is another cluster's.
        ("s1", paths.TOKEN): "stale",
        ("s1", paths.AGENT_TOKEN): "stale",
    }
    others = {name: node_up(HOME, name, via="s1") for name in ("s2", "s3", "a1")}
    joining = with_files(paths.TOKEN, paths.AGENT_TOKEN)
    assert tokens(HOME, nodes(HOME, s1=False), s1=joining, **others) == ("the cluster's", "the agents'")


def test_no_token_is_generated_beside_a_living_cluster(held: Held) -> None:
    held |= {("s1", paths.SERVER_TOKEN): "the cluster's"}
    member = replace(node_up(HOME, "s1"), files=with_files(paths.SERVER_TOKEN).files)
    with pytest.raises(Refusal, match="no server here has the cluster's agent token"):
        tokens(HOME, nodes(home()), s1=member, s2=fresh(), s3=fresh(), a1=fresh())


def test_a_given_token_is_taken_for_a_first_cluster(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K3S_TOKEN", "given")
    known = home(["s1"], token="env:K3S_TOKEN")
    assert tokens(known, None, s1=fresh())[0] == "given"


def test_a_given_token_that_is_not_the_clusters_is_refused_and_not_shown(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K3S_TOKEN", "g1ven")
    held |= {("s1", paths.SERVER_TOKEN): "theirs", ("s1", paths.TOKEN): "theirs", ("s1", paths.AGENT_TOKEN): "x"}
    known = home(["s1"], ["a1"], token="env:K3S_TOKEN")
    with pytest.raises(Refusal, match="k3s_token: is not the cluster's token") as told:
        tokens(known, nodes(home()), s1=node_up(known, "s1"), a1=fresh())
    assert "g1ven" not in told.value.message and "theirs" not in told.value.message


def test_unreadable_secrets_are_told_together(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("K3S_TOKEN", raising=False)
    monkeypatch.setenv("K3S_AGENT_TOKEN", "two words")
    known = home(["s1"], token="env:K3S_TOKEN", agent_token="env:K3S_AGENT_TOKEN")
    with pytest.raises(Refusal) as told:
        tokens(known, None, s1=fresh())
    assert [line.partition(":")[0] for line in told.value.message.splitlines()] == ["k3s_token", "k3s_agent_token"]


def test_a_token_file_is_read_back_and_its_text_shown_nowhere(fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    s1 = HOME.host("s1")
    theirs = fake("s1", {f"cat {paths.TOKEN}": "s3cret\n", f"cat {paths.SERVER_TOKEN}": "K10 s3cret broken\n"})
    monkeypatch.setattr(cluster.node, "pyinfra_host", lambda mine: theirs)
    assert cluster.read_token(s1, paths.TOKEN) == Token("s3cret")
    with pytest.raises(Refusal, match="is empty or malformed") as told:
        cluster.read_token(s1, paths.SERVER_TOKEN)
    assert "s3cret" not in told.value.message


# What a node should have
#


def wants(role: str, sha256: str | None = "b" * 64) -> cluster.Wanted:
    binary = Artifact(VERSION, "amd64", "k3s", Path("k3s"), sha256, "a test")
    mine = HOME.host("s1" if role == "server" else "a1")
    files = (
        unit.unit(role),
        unit.prestart(role),
        unit.killall(),
        unit.uninstall(role),
        config.config(HOME, mine),
        config.registration(mine),
        config.registries({"mirrors": {}}),
    )
    return cluster.Wanted(files, binary, {})


@pytest.mark.parametrize("role", ["server", "agent"])
def test_every_file_is_laid_either_before_or_in_a_nodes_turn(role: str) -> None:
    made = wants(role)
    turn, beside = made.started_with(role), made.beside(role)
    assert sorted([*turn, *beside], key=lambda file: file.path) == sorted(made.files, key=lambda file: file.path)
    assert {file.path for file in turn} == {paths.unit_file(role), paths.CONFIG, paths.REGISTRIES}


@pytest.mark.parametrize("role", ["server", "agent"])
def test_what_a_start_notes_is_what_is_wanted(role: str) -> None:
    assert wants(role).sums(role).keys() == set(unit.started_with(role))


def test_a_binary_that_is_not_fetched_yet_has_no_sum() -> None:
    assert paths.BINARY not in wants("server", None).sums("server")


def test_in_a_dry_run_an_unknown_sum_is_no_change() -> None:
    sums = {"s1": {paths.CONFIG: "c" * 64}, "s2": {}}
    here = [HOME.host("s1"), HOME.host("s2")]
    cluster._unknown_sums_are_no_drift(site(HOME, s1=node_up(HOME, "s1"), s2=fresh()), here, sums)
    assert sums == {"s1": {paths.CONFIG: "c" * 64, paths.BINARY: "b" * 64}, "s2": {}}


def test_no_token_shows_in_a_clusters_representation() -> None:
    made = cluster.Cluster(HOME, VERSION, {}, plan.Plan(), None, Token("s3cret"), Token("s3cret"))
    assert "s3cret" not in repr(made)


@pytest.mark.parametrize("active", ["active", "activating", "inactive"])
def test_only_a_serving_member_is_asked_for_the_nodes(active: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(cluster.node, "pyinfra_host", lambda mine: mine.name)
    monkeypatch.setattr(cluster.node, "nodes", lambda via: asked.append(via) or nodes(HOME))
    probes = {"s1": fresh(), "s2": node_up(HOME, "s2", via="s1", active=active), "a1": node_up(HOME, "a1", via="s1")}
    found = cluster._ask(site(HOME, **probes), [HOME.host(name) for name in probes])
    assert asked == (["s2"] if active == "active" else [])
    assert (found is not None) is (active == "active")


@pytest.fixture
def unknown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a plan tells that it could not find out."""
    told: list[str] = []
    monkeypatch.setattr(cluster, "unknown", told.append)
    return told


@pytest.mark.parametrize("dry", [True, False], ids=["plan", "run"])
@pytest.mark.parametrize("down", [True, False])
def test_where_nothing_is_to_start_and_no_api_answers_a_plan_does_not_know_of_the_nodes(
    dry: bool, down: bool, unknown: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A run waits for it; a plan would say that nodes are as described which it has not seen."""
    monkeypatch.setattr(cluster, "_ask", lambda site, here: None)
    monkeypatch.setattr(
        cluster, "_wanted", lambda home, here, site: ({host.name: wants("server") for host in here}, [])
    )
    monkeypatch.setattr(cluster, "is_dry", lambda: dry)
    known = home(["s1"], kubeconfig=str(tmp_path / "config"))
    sums = wants("server").sums("server")
    probe = replace(node_up(known, "s1", pid=0 if down else 100), k3s_started=sums)
    assert bool(cluster._cluster(site(known, s1=probe)).plan.steps) is down
    assert [line.partition(",")[0] for line in unknown] == (["s1: no API answers"] if dry and not down else [])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{broken", "is not YAML; mend it or move it away"),
        (b"- a list", "is not a kubeconfig; mend it or move it away"),
        (b"\xff\xfe\x00", "is not UTF-8 text; mend it or move it away"),
        (b"clusters: x", "has clusters that are no list of entries; mend it or move it away"),
        (None, "cannot be read (Is a directory); mend it or move it away"),
    ],
)
def test_a_kubeconfig_that_cannot_be_merged_into_is_refused_before_anything_is_touched(
    content: bytes | None, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cluster, "_ask", lambda site, here: None)
    monkeypatch.setattr(
        cluster, "_wanted", lambda home, here, site: ({host.name: wants("server") for host in here}, ["another"])
    )
    file = tmp_path / "config"
    file.mkdir() if content is None else file.write_bytes(content)
    known = home(["s1"], ["a1"], kubeconfig=str(file))
    with pytest.raises(Refusal) as told:
        cluster._cluster(site(known, s1=fresh(), a1=fresh()))
    assert told.value.message.splitlines() == ["another", f"{file}: {says}"]
    # Of an agent alone nothing is merged.
    assert cluster._unmergeable(known, [known.host("a1")]) == []


@pytest.mark.parametrize("there", [True, False])
def test_what_a_host_has_in_an_assets_place_is_compared(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, bool] = {}

    def ready(cache: Path, version: str, arch: str, name: str, laid: bool) -> Artifact:
        asked[name] = laid
        return Artifact(version, arch, name, cache, "b" * 64, "a test")

    monkeypatch.setattr(cluster.artifact, "ready", ready)
    known = home(["s1"], ["a1"])
    probes = {"s1": fresh(), "a1": node_up(known, "a1") if there else fresh()}
    found, problems = cluster._wanted(known, list(known.hosts), site(known, **probes))
    assert problems == [] and found.keys() == {"s1", "a1"}
    assert asked["k3s"] is there
