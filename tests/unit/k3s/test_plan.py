"""The order of starts: one cluster, never two; never less than a majority; and nothing to do the second time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homelab.k3s import config, paths, plan, unit
from homelab.k3s.node import Node
from homelab.k3s.plan import Plan, Step
from homelab.model import Home
from homelab.probe import FileState, HostProbe, UnitState
from tests import builders
from tests.builders import fresh, home, node, node_up, nodes, wanted
from tests.sweeps import examples

THREE = home(["s1", "s2", "s3"], ["a1", "a2"])


@pytest.fixture(autouse=True, scope="module")
def rendered() -> Iterator[None]:
    """Each text is rendered once: to write YAML takes much longer than to plan."""
    texts: dict[str, str] = {}
    render = config._yaml

    def remembered(values: Mapping[str, object]) -> str:
        key = repr(values)
        if key not in texts:
            texts[key] = render(values)
        return texts[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "_yaml", remembered)
        yield


def up(known: Home, **others: HostProbe) -> dict[str, HostProbe]:
    """Every node up, each joined through another server; `s2=fresh()` for one that is not."""
    servers = [each.name for each in known.servers]
    found = {}
    for each in known.servers + known.agents:
        via = next((name for name in servers if name != each.name), None)
        found[each.name] = node_up(known, each.name, via=via)
    return found | others


def without(probes: dict[str, HostProbe], *names: str) -> dict[str, HostProbe]:
    return {name: probe for name, probe in probes.items() if name not in names}


def drifted(known: Home, name: str, path: str, **values: object) -> HostProbe:
    probe = node_up(known, name, **values)
    return replace(probe, k3s_started={**probe.k3s_started, path: "0" * 64})


def planned(known: Home, probes: dict[str, HostProbe], seen: dict[str, Node] | None) -> Plan:
    return plan.plan(known, probes, seen, wanted(known))


def told(made: Plan) -> list[str]:
    """A plan as one word a step, `name:kind`, `>via` for joins, `!` where the old Node is forgotten first."""
    return [
        f"{step.host.name}:{step.kind}{f'>{step.via.name}' if step.via else ''}{'!' if step.forget else ''}"
        for step in made.steps
    ]


def test_steps_taken_together_are_told_by_their_reason() -> None:
    steps = tuple(Step("join", host, because=why) for host, why in zip(THREE.hosts[2:], "aba", strict=True))
    assert plan.told(steps) == "s3, a2: a; a1: b"


def refused(known: Home, probes: dict[str, HostProbe], seen: dict[str, Node] | None) -> str:
    return "\n".join(str(problem) for problem in plan.refusals(known, probes, seen))


# The order
#


def test_a_fresh_home_begins_one_cluster_and_joins_the_rest_through_it() -> None:
    probes = {name: fresh() for name in ("s1", "s2", "s3", "a1", "a2")}
    made = planned(THREE, probes, None)
    assert told(made) == ["s1:initialise", "s2:join>s1", "s3:join>s1", "a1:join>s1", "a2:join>s1"]
    assert [step.host.name for step in made.servers] == ["s1", "s2", "s3"]
    assert refused(THREE, probes, None) == ""


def test_second_run_changes_nothing() -> None:
    made = planned(THREE, up(THREE), nodes(THREE))
    assert made.steps == ()
    assert made.first == THREE.host("s1")
    assert refused(THREE, up(THREE), nodes(THREE)) == ""


def test_a_wiped_list_first_server_joins_the_cluster_that_lives() -> None:
    probes = up(THREE, s1=fresh())
    made = planned(THREE, probes, nodes(THREE, s1=False))
    assert told(made) == ["s1:join>s2!"]
    assert made.first == THREE.host("s2")
    assert refused(THREE, probes, nodes(THREE, s1=False)) == ""


def test_a_wiped_agent_is_forgotten_before_it_joins_again() -> None:
    assert told(planned(THREE, up(THREE, a1=fresh()), nodes(THREE, a1=False))) == ["a1:join>s1!"]


def test_growing_from_one_to_three_joins_through_the_one() -> None:
    alone = home(["s1"])
    probes = {"s1": node_up(THREE, "s1"), "s2": fresh(), "s3": fresh(), "a1": fresh(), "a2": fresh()}
    made = planned(THREE, probes, nodes(alone))
    assert told(made) == ["s2:join>s1", "s3:join>s1", "a1:join>s1", "a2:join>s1"]
    assert refused(THREE, probes, nodes(alone)) == ""


def test_a_server_that_lives_is_asked_before_one_that_is_listed_earlier() -> None:
    probes = up(THREE, s1=node_up(THREE, "s1", via="s2", active="activating"), a1=fresh())
    made = planned(THREE, probes, nodes(THREE, s1=False))
    assert made.first == THREE.host("s2")
    assert told(made) == ["a1:join>s2!"]


def test_members_that_are_down_start_together() -> None:
    down = {name: node_up(THREE, name, via="s2", active="inactive", pid=0, k3s_started={}) for name in ("s1", "s2")}
    made = planned(THREE, up(THREE, **down), nodes(THREE, s1=False, s2=False))
    assert [step.host.name for step in made.revive] == ["s1", "s2"]
    assert made.servers == () and made.agents == ()


def test_a_server_that_cannot_come_up_as_it_was_started_is_not_waited_for_first() -> None:
    probes = up(THREE, s2=drifted(THREE, "s2", paths.CONFIG, active="activating"))
    made = planned(THREE, probes, nodes(THREE, s2=False))
    assert [(step.kind, step.host.name) for step in made.revive] == [("revive", "s2")]
    assert made.servers == ()


@pytest.mark.parametrize("path", [paths.CONFIG, paths.BINARY, paths.REGISTRIES, paths.unit_file("server")])
def test_what_a_server_is_started_with_restarts_that_server_only(path: str) -> None:
    made = planned(THREE, up(THREE, s2=drifted(THREE, "s2", path)), nodes(THREE))
    assert told(made) == ["s2:restart"]
    assert path in made.servers[0].because


def test_servers_restart_one_after_another_and_agents_afterwards() -> None:
    probes = up(THREE, **{name: drifted(THREE, name, paths.BINARY) for name in ("s1", "s2", "s3")})
    probes["a1"] = replace(probes["a1"], k3s_started={})
    made = planned(THREE, probes, nodes(THREE))
    assert [step.host.name for step in made.servers] == ["s1", "s2", "s3"]
    assert [step.host.name for step in made.agents] == ["a1"]
    assert plan.restart_refusals(THREE, made, nodes(THREE), probes) == []


def test_servers_take_no_turn_in_a_run_that_was_not_given_all_of_them() -> None:
    probes = up(THREE, s1=drifted(THREE, "s1", paths.BINARY))
    del probes["s3"]
    made = planned(THREE, probes, nodes(THREE))
    (problem,) = plan.partial_refusals(THREE, made, probes)
    assert "s3" in problem.found
    assert "--limit" in problem.remedy


def test_a_server_that_is_away_or_an_agent_s_turn_asks_for_no_more_servers() -> None:
    away = THREE.model_copy(
        update={"hosts": tuple(each.model_copy(update={"away": each.name == "s3"}) for each in THREE.hosts)}
    )
    probes = up(THREE, s1=drifted(THREE, "s1", paths.BINARY))
    del probes["s3"]
    assert plan.partial_refusals(away, planned(away, probes, nodes(THREE)), probes) == []
    quiet = up(THREE, a1=replace(up(THREE)["a1"], k3s_started={}))
    del quiet["s3"]
    made = planned(THREE, quiet, nodes(THREE))
    assert [step.host.name for step in made.agents] == ["a1"]
    assert plan.partial_refusals(THREE, made, quiet) == []


def test_an_agent_that_joins_in_a_part_of_the_home_is_said_to_be_a_stranger_to_the_rest() -> None:
    probes = without(up(THREE, a2=fresh()), "s2", "a1")
    made = planned(THREE, probes, nodes(THREE, a2=False))
    assert [step.kind for step in made.agents] == ["join"] and plan.partial_refusals(THREE, made, probes) == []
    (problem,) = plan.partial_warnings(THREE, made, probes)
    assert (problem.place, "does not hold s2, a1" in problem.found) == ("a2", True)
    whole = up(THREE, a2=fresh())
    assert plan.partial_warnings(THREE, planned(THREE, whole, nodes(THREE, a2=False)), whole) == []
    open_ = THREE.model_copy(update={"base": THREE.base.model_copy(update={"firewall": False})})
    assert plan.partial_warnings(open_, made, probes) == []


def test_an_agent_whose_password_outlived_an_uninstall_joins_anew() -> None:
    left = fresh(node_password=True)
    assert told(planned(THREE, up(THREE, a1=left), nodes(THREE, a1=False))) == ["a1:join>s1!"]


def test_a_server_joins_after_a_lost_one_only_so_that_restarts_keep_the_majority() -> None:
    probes = up(THREE, s1=drifted(THREE, "s1", paths.BINARY), s3=fresh())
    made = planned(THREE, probes, nodes(THREE, s3=False))
    assert told(made) == ["s3:join>s1!", "s1:restart"]
    assert plan.restart_refusals(THREE, made, nodes(THREE, s3=False), probes) == []


def test_what_all_servers_share_takes_effect_before_a_server_joins() -> None:
    before, after = home(["s1"]), home(["s1", "s2", "s3"], server_config={"disable": ["servicelb"]})
    probes = {"s1": node_up(before, "s1"), "s2": fresh(), "s3": fresh()}
    assert told(planned(after, probes, nodes(before))) == ["s1:restart", "s2:join>s1", "s3:join>s1"]


def test_what_servers_do_not_share_waits_for_the_join() -> None:
    before, after = home(["s1"]), home(["s1", "s2", "s3"], server_config={"kubelet-arg": ["max-pods=50"]})
    probes = {"s1": node_up(before, "s1"), "s2": fresh(), "s3": fresh()}
    assert told(planned(after, probes, nodes(before))) == ["s2:join>s1", "s3:join>s1", "s1:restart"]


def test_a_changed_file_that_a_killed_run_laid_counts_as_shared() -> None:
    known = home(["s1", "s2", "s3"])
    probes = {"s1": drifted(known, "s1", paths.CONFIG), "s2": fresh(), "s3": fresh()}
    assert told(planned(known, probes, nodes(home(["s1"]))))[0] == "s1:restart"


def test_a_killed_first_start_goes_on_although_the_list_is_in_another_order() -> None:
    begun = node_up(THREE, "s2", active="activating", etcd_data=False, node_password=False, files={paths.SERVER_CA: ""})
    probes = {"s1": fresh(), "s2": begun, "s3": fresh(), "a1": fresh(), "a2": fresh()}
    probes["s2"] = replace(begun, files=without(dict(begun.files), paths.ESTABLISHED))
    assert told(planned(THREE, probes, None))[:3] == ["s2:initialise", "s1:join>s2", "s3:join>s2"]
    assert refused(THREE, probes, None) == ""


# What is refused
#


def test_nothing_is_begun_while_a_server_is_not_here() -> None:
    probes = {"s1": fresh(), "s2": fresh(), "a1": fresh()}
    assert refused(THREE, probes, None).startswith("s3: away or not selected")


def test_no_newcomer_is_let_in_while_no_server_with_the_cluster_is_here() -> None:
    text = refused(THREE, {"s1": fresh(), "a1": node_up(THREE, "a1", via="s2")}, None)
    assert "s2, s3: away or not selected" in text


def test_agents_alone_are_refused() -> None:
    assert "no server is among the selected hosts" in refused(THREE, {"a1": node_up(THREE, "a1", via="s1")}, None)


def test_a_server_that_lost_its_data_disk_is_not_taken_for_a_new_one() -> None:
    lost = fresh(files={paths.ESTABLISHED: FileState("file", "0600", "root:root")})
    assert "s1: it belonged to the cluster" in refused(THREE, up(THREE, s1=lost), nodes(THREE, s1=False))


def test_data_of_two_clusters_is_refused() -> None:
    probes = up(THREE, s2=node_up(THREE, "s2", via="s1", files={paths.SERVER_CA: "another's"}))
    assert "they hold the data of different clusters" in refused(THREE, probes, nodes(THREE))


@pytest.mark.parametrize("lost", [paths.TOKEN, paths.AGENT_TOKEN])
def test_a_member_without_its_token_is_refused(lost: str) -> None:
    probe = node_up(THREE, "s2", via="s1")
    probe = replace(probe, files=without(dict(probe.files), lost))
    assert f"s2: it has its share of the cluster, and {lost} is gone" in refused(
        THREE, up(THREE, s2=probe), nodes(THREE)
    )
    empty = replace(probe, files={**probe.files, lost: FileState("file", "0600", "root:root")})
    assert f"{lost} is gone or empty" in refused(THREE, up(THREE, s2=empty), nodes(THREE))


def test_another_k3s_is_not_taken_over() -> None:
    theirs = node_up(THREE, "s1", files={paths.unit_file("server"): "[Unit]\nDescription=Lightweight Kubernetes\n"})
    assert "s1: its K3s was installed by something else" in refused(THREE, up(THREE, s1=theirs), nodes(THREE))


def test_a_changed_version_is_refused() -> None:
    probe = replace(node_up(THREE, "a1", via="s1"), k3s_version="v1.34.1+k3s1")
    assert 'write k3s_version = "v1.34.1+k3s1"' in refused(THREE, up(THREE, a1=probe), nodes(THREE))


def test_a_changed_role_is_refused() -> None:
    was_agent = fresh(units={paths.AGENT_UNIT: UnitState(load="loaded")})
    was_server = fresh(units={paths.SERVER_UNIT: UnitState(load="loaded")}, etcd_data=True)
    text = refused(THREE, up(THREE, s3=was_agent, a1=was_server), nodes(THREE))
    assert "s3: it is a K3s agent and the inventory says server" in text
    assert "a1: it is a K3s server and the inventory says agent" in text


def test_a_sqlite_cluster_is_refused() -> None:
    probe = replace(node_up(THREE, "s1"), etcd_data=False, sqlite_data=True)
    assert "s1: its cluster is kept in SQLite" in refused(THREE, up(THREE, s1=probe), nodes(THREE))


@pytest.mark.parametrize(
    ("key", "before", "after"),
    [
        ("cluster-cidr", home(cluster_cidr="10.99.0.0/16"), home()),
        ("service-cidr", home(service_cidr="10.98.0.0/16"), home()),
        ("flannel-backend", home(), home(server_config={"flannel-backend": "wireguard-native"})),
        ("secrets-encryption", home(server_config={"secrets-encryption": True}), home()),
        ("cluster-domain", home(), home(server_config={"cluster-domain": "house.local"})),
        ("node-ip", home(["s1"]), home([builders.host("s1", address="192.168.1.99")])),
    ],
)
def test_what_a_cluster_keeps_for_good_is_refused(key: str, before: Home, after: Home) -> None:
    assert f"s1: {key} would change" in refused(after, {"s1": node_up(before, "s1")}, nodes(before))


@pytest.mark.parametrize("text", ["{broken", "since: 2026-13-01", "- a list"])
def test_a_config_that_a_hand_has_broken_is_written_anew(text: str) -> None:
    known = home(["s1"])
    standing = node_up(known, "s1")
    broken = replace(standing, text={**standing.text, paths.CONFIG: text})
    assert plan.refusals(known, {"s1": broken}, nodes(known)) == plan.refusals(known, {"s1": standing}, nodes(known))


def test_cgroup_v1_is_refused_where_that_kubernetes_does_not_start_on_it() -> None:
    old = {"s1": fresh(cgroup="v1")}
    assert "s1: it has cgroup v1, and K3s v1.35.6+k3s1 does not start on it" in refused(home(), old, None)
    allowed = home(server_config={"kubelet-arg": ("fail-cgroupv1=false",)})
    cluster = allowed.cluster.model_copy(update={"version": "v1.34.9+k3s1", "server_config": {}})
    before = allowed.model_copy(update={"cluster": cluster})
    assert refused(allowed, old, None) == refused(before, old, None) == ""


def test_a_taken_port_is_refused_before_the_first_start() -> None:
    assert "s1: port 6443 is taken by haproxy" in refused(home(), {"s1": fresh(listening={6443: "haproxy"})}, None)


def test_a_node_that_the_inventory_lacks_is_refused() -> None:
    seen = nodes(THREE) | {"n9": node("n9", "agent")}
    assert "n9: the cluster has this node and the inventory lacks it" in refused(THREE, up(THREE), seen)


def test_a_living_node_of_this_name_on_another_machine_is_never_forgotten() -> None:
    seen = nodes(THREE) | {"a1": node("a1", "agent", addresses=("192.168.1.77",))}
    assert "a1: the cluster has a Ready node of this name at 192.168.1.77" in refused(
        THREE, up(THREE, a1=fresh()), seen
    )


def test_every_problem_of_every_host_comes_at_once() -> None:
    probes = up(
        THREE,
        s1=replace(node_up(THREE, "s1"), k3s_version="v1.34.1+k3s1"),
        s2=fresh(listening={6443: "nginx"}),
        a1=fresh(units={paths.SERVER_UNIT: UnitState(load="loaded")}),
    )
    text = refused(THREE, probes, nodes(THREE))
    assert [line.partition(":")[0] for line in text.splitlines()] == ["s1", "s2", "a1"]


def test_a_server_that_fails_to_begin_is_the_one_that_begins_since_systemd_tries_it_again() -> None:
    tried = node_up(THREE, "s2", active="activating", pid=0, etcd_data=False)
    tried = replace(tried, files=without(dict(tried.files), paths.ESTABLISHED))
    made = planned(THREE, up(THREE, s1=fresh(), s2=tried, s3=fresh(), a1=fresh(), a2=fresh()), None)
    assert told(made)[:3] == ["s2:initialise", "s1:join>s2", "s3:join>s2"]


def test_a_server_that_begins_a_cluster_beside_a_living_one_is_refused() -> None:
    begun = node_up(THREE, "s1", active="activating", etcd_data=False)
    begun = replace(begun, files=without(dict(begun.files), paths.ESTABLISHED))
    text = refused(THREE, up(THREE, s1=begun), nodes(THREE, s1=False))
    assert text == f"s1: it is beginning a cluster beside another one; run {paths.KILLALL} there and deploy again"


# Quorum
#


def test_a_lost_quorum_is_told_before_anything_is_touched() -> None:
    text = refused(THREE, up(THREE, s1=fresh(), s2=fresh()), nodes(THREE, s1=False, s2=False))
    assert "s1, s2: only 1 of 3 etcd members are left, which is no quorum" in text


def test_members_that_cannot_come_up_alone_are_not_started() -> None:
    stopped = node_up(THREE, "s1", via="s2", active="inactive", pid=0)
    text = refused(THREE, {"s1": stopped}, None)
    assert text.startswith("s2, s3: away or not selected, and 1 of 3 servers whose API does not answer")
    assert refused(THREE, {"s1": stopped, "s2": replace(stopped, text={})}, None) == ""


def test_a_cluster_that_has_just_begun_and_has_no_node_yet_is_not_called_lost() -> None:
    alone = home(["s1"])
    assert refused(alone, {"s1": node_up(alone, "s1")}, {}) == ""


def test_the_one_server_of_a_home_may_be_restarted() -> None:
    alone = home(["s1"])
    probes = {"s1": drifted(alone, "s1", paths.CONFIG)}
    made = planned(alone, probes, nodes(alone))
    assert told(made) == ["s1:restart"]
    assert plan.restart_refusals(alone, made, nodes(alone), probes) == []


@pytest.mark.parametrize(
    ("missing", "ready", "refusing"),
    [((), {}, False), (("s3",), {}, False), (("s3",), {"s3": False}, True)],
    ids=["all here", "unselected and alive", "dead"],
)
def test_no_restart_takes_the_majority(missing: tuple[str, ...], ready: dict[str, bool], refusing: bool) -> None:
    probes = without(up(THREE, s1=drifted(THREE, "s1", paths.CONFIG)), *missing)
    seen = nodes(THREE, **ready)
    made = planned(THREE, probes, seen)
    assert told(made) == ["s1:restart"]
    assert bool(plan.restart_refusals(THREE, made, seen, probes)) is refusing


@pytest.mark.parametrize(("missing", "refusing"), [((), False), (("s3",), True)], ids=["all here", "one away"])
def test_while_no_api_answers_a_server_that_is_not_here_counts_as_dead(
    missing: tuple[str, ...], refusing: bool
) -> None:
    probes = without(up(THREE, s1=drifted(THREE, "s1", paths.CONFIG)), *missing)
    made = planned(THREE, probes, None)
    assert told(made) == ["s1:restart"]
    assert plan.refusals(THREE, probes, None) == []
    found = plan.restart_refusals(THREE, made, None, probes)
    assert ["s3 is missing" in str(each) for each in found] == [True] * refusing


def test_while_no_api_answers_the_one_server_may_be_restarted_and_others_join_it() -> None:
    probes = up(THREE, s1=drifted(THREE, "s1", paths.BINARY), s2=fresh(), s3=fresh())
    made = planned(THREE, probes, None)
    assert told(made)[:3] == ["s2:join>s1", "s3:join>s1", "s1:restart"]
    assert plan.restart_refusals(THREE, made, None, probes) == []


def test_a_shared_setting_is_not_changed_while_a_wiped_server_waits_to_join() -> None:
    changed = home(["s1", "s2", "s3"], server_config={"disable": ["servicelb"]})
    probes = {name: node_up(THREE, name, via="s2") for name in ("s1", "s2")} | {"s3": fresh()}
    seen = nodes(home(["s1", "s2", "s3"]), s3=False)
    (problem,) = plan.restart_refusals(changed, planned(changed, probes, seen), seen, probes)
    assert "would lose quorum: s3 is missing" in str(problem)


# The join file of a node that has joined
#


@pytest.mark.parametrize(
    ("text", "through"),
    [
        (config.join(None).content, "s2"),
        (None, "s2"),
        ("server: [broken", "s2"),
        (config.join(THREE.host("s3")).content, None),
        ("server: https://192.168.1.99:6443\n", "s2"),
    ],
    ids=["began the cluster", "none", "broken", "names another server", "names a server that left"],
)
def test_a_joined_server_names_another_for_the_day_it_is_wiped(text: str | None, through: str | None) -> None:
    found = plan.rejoin(THREE, THREE.host("s1"), text)
    assert (found.name if found else None) == through


def test_the_server_to_rejoin_through_is_one_that_is_not_away() -> None:
    known = home(["s1", builders.host("s2", away=True), "s3"])
    found = plan.rejoin(known, known.host("s1"), None)
    assert found is not None and found.name == "s3"


def test_a_lone_server_keeps_its_join_file() -> None:
    alone = home(["s1"])
    assert plan.rejoin(alone, alone.host("s1"), config.join(None).content) is None


# Whatever the hosts are like
#

SERVERS = st.sampled_from([1, 3, 5])


@st.composite
def any_home(draw: st.DrawFn) -> Home:
    servers = draw(st.permutations([f"s{number}" for number in range(1, draw(SERVERS) + 1)]))
    agents = [f"a{number}" for number in range(1, draw(st.integers(0, 2)) + 1)]
    return listed(tuple(servers), tuple(agents))


# Making a home takes longer than planning for it.
listed = cache(home)


@st.composite
def any_probe(draw: st.DrawFn, known: Home, name: str) -> HostProbe:
    """Any host, sound or not."""
    if draw(st.booleans()):
        return fresh(node_password=draw(st.booleans()))
    via = draw(st.sampled_from([None, *[each.name for each in known.servers]]))
    probe = node_up(
        known,
        name,
        via=via,
        active=draw(st.sampled_from(["active", "activating", "inactive", "failed"])),
        pid=draw(st.sampled_from([0, 100])),
        etcd_data=draw(st.booleans()),
        node_password=draw(st.booleans()),
    )
    if draw(st.booleans()):
        probe = replace(probe, k3s_started=draw(st.sampled_from([{}, {paths.BINARY: "0" * 64}])))
    gone = draw(st.sets(st.sampled_from([paths.ESTABLISHED, paths.TOKEN, paths.JOIN])))
    return replace(probe, files=without(dict(probe.files), *gone))


@st.composite
def any_site(draw: st.DrawFn) -> tuple[Home, dict[str, HostProbe], dict[str, Node] | None]:
    known = draw(any_home())
    names = [each.name for each in known.servers + known.agents]
    chosen = draw(st.sets(st.sampled_from(names), min_size=1))
    probes = {name: draw(any_probe(known, name)) for name in names if name in chosen}
    if draw(st.booleans()):
        return known, probes, None
    seen = {name: node_ for name, node_ in nodes(known).items() if draw(st.booleans())}
    return known, probes, {name: replace(each, ready=draw(st.booleans())) for name, each in seen.items()}


@examples(0.6)
@given(any_site())
def test_no_plan_begins_a_second_cluster(site: tuple[Home, dict[str, HostProbe], dict[str, Node] | None]) -> None:
    known, probes, seen = site
    made = plan.plan(known, probes, seen, wanted(known))
    begun = [step for step in made.steps if step.kind == "initialise"]
    assert len(begun) <= 1
    assert len({step.host.name for step in made.steps}) == len(made.steps)
    if not plan.refusals(known, probes, seen) and begun:
        assert probes.keys() >= {each.name for each in known.servers}
        assert not any(plan.member(probe) for probe in probes.values())
        assert not any(paths.ESTABLISHED in probes[each.name].files for each in known.servers)


@st.composite
def running_site(draw: st.DrawFn) -> tuple[Home, dict[str, HostProbe], dict[str, Node]]:
    """A cluster that runs; some servers want a restart, were wiped, cannot be asked, are dead, or never were in it."""
    known = draw(any_home())
    servers = [each.name for each in known.servers]
    few = st.sets(st.sampled_from(servers), max_size=len(servers) // 2)
    probes = up(known) | {name: fresh() for name in draw(few)}
    for name in draw(st.sets(st.sampled_from(servers), min_size=1)):
        probes[name] = replace(probes[name], k3s_started={**probes[name].k3s_started, paths.BINARY: "0" * 64})
    away, dead, never = draw(few), draw(few), draw(few)
    seen = nodes(known, **dict.fromkeys(dead, False))
    return known, without(probes, *away), {name: each for name, each in seen.items() if name not in away & never}


@examples(0.6)
@given(running_site())
def test_restarts_that_pass_leave_a_majority(site: tuple[Home, dict[str, HostProbe], dict[str, Node]]) -> None:
    known, probes, seen = site
    made = plan.plan(known, probes, seen, wanted(known))
    if plan.refusals(known, probes, seen) or plan.restart_refusals(known, made, seen, probes):
        return
    etcd = {name for name, each in seen.items() if each.etcd}
    for index, step in enumerate(made.servers):
        if step.kind != "restart":
            continue
        joined = {each.host.name for each in made.servers[:index] if each.kind == "join"}
        members = etcd | joined | {step.host.name}
        alive = {
            name
            for name in members
            if name in joined or (plan.member(probes[name]) if name in probes else seen[name].ready)
        }
        assert len(members) == 1 or 2 * (len(alive) - 1) > len(members)


@examples(0.6)
@given(any_site(), st.randoms())
def test_the_same_home_gives_the_same_plan(
    site: tuple[Home, dict[str, HostProbe], dict[str, Node] | None], random: object
) -> None:
    known, probes, seen = site
    shuffled = list(probes.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan.plan(known, dict(shuffled), seen, wanted(known)) == plan.plan(known, probes, seen, wanted(known))


# Carried out, and cut off
#


@dataclass
class Machine:
    """A host of the simulated home: what is on its disk, and what its K3s process was started with."""

    files: dict[str, str] = field(default_factory=dict)
    running: bool = False
    sums: dict[str, str] = field(default_factory=dict)
    started_to: str = ""
    data: int | None = None


class Stuck(AssertionError):
    """A gate that would never pass."""


@dataclass
class Simulation:
    """Machines on which a plan is carried out in small steps, as deploys/k3s.py does it.

    K3s goes on by itself after a start: `settle` is that, and a run can be cut off before or after it.
    """

    home: Home
    machines: dict[str, Machine]
    nodes: dict[str, bool] = field(default_factory=dict)
    clusters: int = 0
    _sums: tuple[Home, dict[str, dict[str, str]]] | None = None

    def sums(self) -> dict[str, dict[str, str]]:
        """What each node should have been started with; rendering it is the slow part."""
        if self._sums is None or self._sums[0] is not self.home:
            self._sums = self.home, wanted(self.home)
        return self._sums[1]

    def server(self, name: str) -> bool:
        return self.home.host(name).role == "server"

    def quorum(self) -> bool:
        voters = [name for name in self.nodes if self.server(name)]
        alive = [name for name in voters if self.machines[name].running and self.machines[name].data]
        return len(alive) * 2 > len(voters) > 0

    def probes(self) -> dict[str, HostProbe]:
        found = {}
        for name, machine in self.machines.items():
            role = self.home.host(name).role or ""
            serving = machine.running and machine.data is not None and self.quorum()
            state = UnitState(
                load="loaded" if paths.unit_file(role) in machine.files else "not-found",
                active="active" if serving else "activating" if machine.running else "inactive",
                enabled="enabled",
                pid=100 if machine.running else 0,
            )
            text = dict(machine.files)
            if self.server(name) and machine.data:
                text[paths.SERVER_CA] = f"the CA of cluster {machine.data}"
            found[name] = fresh(
                text=text,
                files={path: FileState("file", "0600", "root:root", size=9) for path in machine.files},
                units={paths.unit(role): state},
                k3s_started=machine.sums if machine.running else {},
                etcd_data=self.server(name) and machine.data is not None,
                node_password=not self.server(name) and machine.data is not None,
            )
        return found

    def seen(self) -> dict[str, Node] | None:
        if not self.quorum():
            return None
        return {
            name: node(name, self.home.host(name).role or "", ready=self.machines[name].running) for name in self.nodes
        }

    def settle(self, name: str) -> None:
        """What a started K3s comes to by itself, if it can."""
        machine = self.machines[name]
        if not machine.running:
            return
        if machine.data is None:
            via = config.joined_through(machine.started_to)
            if via is None:
                self.clusters += 1
                machine.data = self.clusters
            else:
                target = next(each.name for each in self.home.servers if config.url(each) == via)
                # A name that the cluster still knows is refused: duplicate node name, password rejected.
                if self.machines[target].data is None or not self.quorum() or name in self.nodes:
                    return
                machine.data = self.machines[target].data
        self.nodes[name] = True

    def gate(self, name: str) -> None:
        self.settle(name)
        if not (self.machines[name].running and name in self.nodes and self.quorum()):
            raise Stuck(name)

    def start(self, step: Step) -> Iterator[Callable[[], None]]:
        """A node's turn, cut where a killed run could stop."""
        name, role = step.host.name, step.host.role or ""
        machine = self.machines[name]
        anew = plan.restarts(step, self.probes()[name], self.sums()[name])
        if step.joins:
            yield lambda: machine.files.update({paths.TOKEN: "secret\n"})
            if role == "server":
                yield lambda: machine.files.update({paths.AGENT_TOKEN: "secret\n"})
            yield lambda: machine.files.update({paths.JOIN: config.join(step.via).content})
        yield lambda: machine.files.update({paths.unit_file(role): unit.unit(role).content})
        yield lambda: machine.files.update({paths.CONFIG: config.config(self.home, step.host).content})

        def start() -> None:
            if not machine.running or anew:
                machine.running, machine.started_to = True, machine.files.get(paths.JOIN, "")
                machine.sums = self.sums()[name]

        yield start

    def carry_out(self, made: Plan) -> Iterator[Callable[[], None]]:
        for step in made.revive:
            yield from self.start(step)
        if made.steps:
            for name, probe in self.probes().items():
                if self.server(name) and plan.member(probe):
                    yield lambda name=name: self.gate(name)  # type: ignore[misc]
        for step in made.servers + made.agents:
            if step.forget:
                yield lambda step=step: self.nodes.pop(step.host.name, None)  # type: ignore[misc]
            yield from self.start(step)
            yield lambda step=step: self.gate(step.host.name)  # type: ignore[misc]
        for each in self.home.servers + self.home.agents:
            machine = self.machines[each.name]
            if each.role == "server":
                yield lambda machine=machine: machine.files.update({paths.ESTABLISHED: "\n"})  # type: ignore[misc]
            through = plan.rejoin(self.home, each, machine.files.get(paths.JOIN))
            if through is not None:
                text = config.join(through).content
                yield lambda machine=machine, text=text: machine.files.update({paths.JOIN: text})  # type: ignore[misc]

    def deploy(self, cut: int | None = None, slow: Iterable[str] = ()) -> list[str]:
        """One run, killed after `cut` steps; then K3s goes on by itself, except on `slow` machines. The steps taken."""
        probes, seen = self.probes(), self.seen()
        assert plan.refusals(self.home, probes, seen) == []
        made = plan.plan(self.home, probes, seen, self.sums())
        for count, act in enumerate(self.carry_out(made)):
            if count == cut:
                break
            act()
        for name in self.machines:
            if name not in set(slow):
                self.settle(name)
        return told(made)

    def converged(self) -> bool:
        return all(
            machine.running and machine.data == 1 and machine.sums == self.sums()[name] and name in self.nodes
            for name, machine in self.machines.items()
        )


def simulated(known: Home) -> Simulation:
    return Simulation(known, {each.name: Machine() for each in known.servers + known.agents})


@pytest.mark.parametrize("servers", [1, 3, 5])
def test_a_run_from_nothing_converges_and_the_next_has_nothing_to_do(servers: int) -> None:
    site = simulated(home([f"s{number}" for number in range(1, servers + 1)], ["a1", "a2"]))
    assert len(site.deploy()) == servers + 2
    assert site.converged()
    assert site.deploy() == []


@examples(0.6)
@given(st.data())
def test_runs_killed_anywhere_converge_on_one_cluster(data: st.DataObject) -> None:
    site = simulated(data.draw(any_home()))
    names = sorted(site.machines)
    for _ in range(data.draw(st.integers(1, 4))):
        site.deploy(cut=data.draw(st.integers(0, 30)), slow=data.draw(st.sets(st.sampled_from(names))))
    site.deploy()
    assert site.converged()
    assert site.clusters == 1
    assert site.deploy() == []


@examples(0.6)
@given(st.data())
def test_a_home_that_lost_machines_or_power_comes_back_as_one_cluster(data: st.DataObject) -> None:
    site = simulated(data.draw(any_home()))
    site.deploy()
    servers = [each.name for each in site.home.servers]
    minority = (len(servers) - 1) // 2
    wiped = set(data.draw(st.lists(st.sampled_from(servers), max_size=minority, unique=True)))
    agents = [each.name for each in site.home.agents]
    wiped |= set(data.draw(st.lists(st.sampled_from(agents), unique=True))) if agents else set()
    for name in wiped:
        site.machines[name] = Machine()
    if not wiped:
        for name in data.draw(st.sets(st.sampled_from(sorted(site.machines)))):
            site.machines[name].running, site.machines[name].sums = False, {}
    for name in data.draw(st.sets(st.sampled_from(sorted(site.machines)))):
        if site.machines[name].sums and not wiped:
            site.machines[name].sums = {**site.machines[name].sums, paths.BINARY: "0" * 64}
    for _ in range(data.draw(st.integers(0, 2))):
        site.deploy(cut=data.draw(st.integers(0, 20)), slow=data.draw(st.sets(st.sampled_from(sorted(site.machines)))))
    site.deploy()
    assert site.converged()
    assert site.clusters == 1
    assert site.deploy() == []


def test_an_agent_that_waits_for_a_server_that_is_gone_is_sent_to_another() -> None:
    site = simulated(home(["s1", "s2", "s3"], ["a1"]))
    site.deploy()
    site.machines["a1"], site.machines["s1"] = Machine(), Machine()
    site.nodes.pop("a1")
    site.nodes.pop("s1")
    agent = site.machines["a1"]
    agent.files = {paths.TOKEN: "secret\n", paths.JOIN: config.join(site.home.host("s1")).content}
    agent.running, agent.started_to, agent.sums = True, agent.files[paths.JOIN], site.sums()["a1"]
    assert site.deploy() == ["s1:join>s2", "a1:join>s2"]
    assert site.converged()


@examples(0.6)
@given(st.data())
def test_a_first_install_that_was_killed_converges_although_the_list_was_reordered(data: st.DataObject) -> None:
    site = simulated(home(["s1", "s2", "s3"]))
    slow = ["s1", "s2", "s3"]
    site.deploy(cut=data.draw(st.integers(0, 12)), slow=data.draw(st.sets(st.sampled_from(slow))))
    site.home = home(data.draw(st.permutations(slow)))
    site.deploy()
    assert site.converged()
    assert site.clusters == 1


def test_an_agent_that_lives_and_has_lost_its_token_is_not_forgotten() -> None:
    """Its Node would go, and with that its pods, though nobody has wiped it: its password is the cluster's still."""
    a1 = node_up(THREE, "a1", via="s1")
    lost = replace(a1, files={path: state for path, state in a1.files.items() if path != paths.TOKEN})
    probes = up(THREE, a1=lost)
    assert told(planned(THREE, probes, nodes(THREE))) == ["a1:join>s1"]
