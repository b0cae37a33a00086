"""A run of `homelab patch` over a home that lives in the test: its order, its stops, and how it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from homelab.api import ReadFailed
from homelab.health.codes import finding
from homelab.health.report import Ref
from homelab.patch.cluster import Reply
from homelab.patch.hosts import Package
from homelab.patch.lease import Held, Lost
from homelab.patch.order import MARK
from tests.unit.patch.world import World, home


def outcomes(summary) -> dict[str, str]:
    return {each.host.name: each.outcome for each in summary.results}


def a_turn(name: str) -> list[str]:
    return [f"cordon {name}", f"upgrade {name}", f"reboot {name}", f"uncordon {name}"]


def test_servers_then_agents_then_the_nas_each_whole_before_the_next() -> None:
    world = World(home(nas=True))
    summary = world.run()
    turns = [act for name in ("s1", "s2", "s3", "a1") for act in a_turn(name)]
    assert world.acts() == ["look refresh", *turns, "upgrade nas", "reboot nas"]
    assert (summary.exit_code, set(outcomes(summary).values())) == (0, {"patched"})
    assert all(each.rebooted and each.because == ("linux-image",) for each in summary.results)
    assert world.open() == ["s1", "s2", "s3", "a1"] and world.marked() == []


def test_what_hangs_on_a_nas_is_told_before_its_turn() -> None:
    world = World(home(nas=True))
    world.pods.append({"metadata": {"namespace": "media", "name": "films", "uid": "films", "ownerReferences": []}})
    world.pods[-1] |= {"spec": {"nodeName": "a1", "volumes": [{"nfs": {"server": "192.0.2.31"}}]}, "age": 0}
    world.pods[-1]["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    a1 = world.machines["a1"]
    a1.seen = replace(a1.seen, remote=(("192.0.2.31:/srv", "/mnt/films"),))
    world.lone = True
    lines = (
        "nas: pods with volumes of it wait while it reboots: media/films",
        "nas: a1 has mounted it at /mnt/films",
    )
    summary = world.run()
    assert summary.notes == lines and summary.exit_code == 0
    assert [line for line in world.told if "warning" in line] == [f": warning: {line}" for line in lines]
    assert world.told.index(f": warning: {lines[0]}") > world.told.index("a1: uncordoned")
    for machine in world.machines.values():
        machine.seen = replace(machine.seen, packages=(Package("tool", "2", "3"),))
    assert world.rolling().plan().notes == lines


def test_a_workload_is_never_without_a_ready_pod() -> None:
    world = World(home())
    world.workload("web", "s1", "a1")
    world.workload("together", "s2", "s2")  # no budget keeps these two apart from being evicted at once
    assert world.run().exit_code == 0
    assert world.least == {"web": 1, "together": 1}


def test_a_budget_is_heeded_while_it_lets_one_go_at_a_time() -> None:
    world = World(home())
    world.workload("db", "s1", "s1", "s2", budget=2)
    assert world.run().exit_code == 0
    assert world.least["db"] == 2


def test_a_budget_that_blocks_stops_there_and_the_node_takes_pods_again() -> None:
    world = World(home())
    world.workload("db", "s2", budget=1)
    summary = world.run()
    (line,) = summary.stopped
    assert line.startswith("s2: not drained within 2 min: default/db-1: Cannot evict pod")
    assert "The disruption budget db needs 1 healthy pods and has 1 currently" in line
    assert outcomes(summary) == {"s1": "patched", "s2": "stopped", "s3": "untouched", "a1": "untouched"}
    assert world.acts()[-2:] == ["cordon s2", "uncordon s2"] and world.marked() == []
    world.budgets.clear()
    again = world.run()
    assert outcomes(again) == {"s1": "up to date", "s2": "patched", "s3": "patched", "a1": "patched"}


def test_pods_that_belong_to_nobody_stay_and_are_told_of() -> None:
    world = World(home())
    world.workload("daemon", "s1", kind="DaemonSet")
    world._pod("lonely", "s1", "", ready=True)
    world.lone = True
    world.wanted.clear()
    assert world.run().exit_code == 0
    assert not any(line.startswith("evict") for line in world.log)
    assert "s1: default/lonely-2 belongs to nobody: it goes down and comes back with the node" in world.told


def test_a_single_node_is_not_drained_since_its_pods_have_nowhere_to_go() -> None:
    world = World(home(servers=1, agents=0))
    world.workload("web", "s1", "s1", budget=2)
    world.lone = True
    assert world.run().exit_code == 0
    assert world.acts() == ["look refresh", *a_turn("s1")]


def test_a_node_is_not_drained_while_all_others_are_cordoned() -> None:
    world = World(home(servers=1, agents=1))
    world.nodes["a1"]["spec"]["unschedulable"] = True
    assert world.run().stopped == ("s1: not drained: no other node takes its pods; uncordon one of a1",)
    assert world.acts() == ["look refresh", "cordon s1", "uncordon s1"]


def test_a_run_that_cannot_begin_does_not_wait_for_the_api_too(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(home(servers=1, agents=0))
    world.machines["s1"].down = True

    def nobody(*_: object) -> Reply:
        raise ReadFailed("connection refused")

    monkeypatch.setattr(world, "ask", nobody)
    assert world.run().stopped[0].startswith("s1: cannot be reached: connect to host")
    assert world.now == 0


def test_while_another_run_patches_the_cluster_nothing_is_touched() -> None:
    world = World(home())
    rolling = world.rolling()

    @contextmanager
    def taken() -> Iterator[None]:
        raise Held("the cluster is being patched already, by anna@laptop")
        yield

    rolling.alone = taken
    with pytest.raises(Held):
        rolling.run()
    assert world.acts() == ["look refresh"]


def test_a_run_that_has_lost_its_lease_leaves_the_node_to_the_one_that_has_it() -> None:
    world = World(home())
    rolling = world.rolling()

    def confirm() -> None:
        if "cordon s1" in world.log:
            raise Lost("the lease was taken")

    rolling.pace.confirm = confirm
    summary = rolling.run()
    assert world.acts() == ["look refresh", "cordon s1"] and world.marked() == ["s1"]
    assert summary.stopped == ("s1: the lease was taken",)


def test_a_run_that_loses_its_lease_still_tells_what_it_has_patched() -> None:
    world = World(home())
    rolling = world.rolling()

    def confirm() -> None:
        if "uncordon s1" in world.log:
            raise Lost("the lease was taken")

    rolling.pace.confirm = confirm
    summary = rolling.run()
    assert summary.stopped == ("s2: the lease was taken",) and summary.exit_code == 1
    assert outcomes(summary) == {"s1": "patched", "s2": "stopped", "s3": "untouched", "a1": "untouched"}


@pytest.mark.parametrize("act", ["cordon s1", "reboot s1", "uncordon s1"])
def test_right_before_each_change_the_lease_is_asked_for(act: str) -> None:
    """A machine that slept between two steps must not undo what another run does."""
    world = World(home())
    rolling = world.rolling()
    turn = ["look refresh", *a_turn("s1")]
    done = turn[: turn.index(act)]

    def confirm() -> None:
        if world.acts() == done:
            raise Lost("the lease was taken")

    rolling.pace.confirm = confirm
    assert rolling.run().stopped == ("s1: the lease was taken",)
    assert world.acts() == done


def test_a_node_whose_turn_went_wrong_stays_cordoned_for_the_run_that_has_the_lease() -> None:
    world = World(home())
    world.workload("db", "s1", budget=1)
    rolling = world.rolling()

    def confirm() -> None:
        if world.now > rolling.pace.within:
            raise Lost("the lease was taken")

    rolling.pace.confirm = confirm
    (line,) = rolling.run().stopped
    assert line.startswith("s1: not drained") and world.acts()[-1] == "cordon s1" and world.marked() == ["s1"]
    assert "s1: stays cordoned (the lease was taken); the next run goes on with it" in world.told


def test_what_an_earlier_run_left_is_not_undone_without_the_lease() -> None:
    world = World(home())
    world.workload("db", "s1", budget=1)
    first = world.rolling()
    first.pace.confirm = lambda: _lost() if "cordon s1" in world.log else None
    first.run()
    assert world.marked() == ["s1"]
    world.log.clear()
    second = world.rolling()
    second.pace.confirm = _lost
    assert second.run().stopped == ("s1: the lease was taken",)
    assert world.acts() == ["look refresh"] and world.marked() == ["s1"]


def _lost() -> None:
    raise Lost("the lease was taken")


def test_nothing_to_upgrade_and_no_reboot_required_touches_nothing() -> None:
    world = World(home())
    for machine in world.machines.values():
        machine.seen = replace(machine.seen, packages=(), reboot=False)
    summary = world.run()
    assert (world.acts(), set(outcomes(summary).values())) == (["look refresh"], {"up to date"})


def test_a_required_reboot_alone_is_carried_out_and_packages_alone_take_none() -> None:
    world = World(home())
    world.machines["s1"].seen = replace(world.machines["s1"].seen, packages=())
    world.machines["s2"].seen = replace(world.machines["s2"].seen, reboot=False)
    world.run()
    assert world.acts()[1:7] == ["cordon s1", "reboot s1", "uncordon s1", "cordon s2", "upgrade s2", "uncordon s2"]


def test_what_still_runs_with_old_libraries_is_told_where_no_reboot_ends_that() -> None:
    world = World(home())
    for name, reboot in (("s1", True), ("s2", False)):
        seen = world.machines[name].seen
        world.machines[name].seen = replace(seen, reboot=reboot, old=("dbus.service", "ssh.service"))
    summary = world.run()
    assert summary.exit_code == 0
    assert summary.notes == (
        "s2: still runs what was upgraded: dbus.service, ssh.service; reboot s2 when it suits you",
    )


def test_a_node_that_does_not_come_back_stops_the_run_and_a_later_one_goes_on() -> None:
    world = World(home())
    world.machines["s2"].boots = None
    summary = world.run()
    assert summary.stopped == (
        "s2: has not come back within 2 min: it does not answer: connect to host port 22: No route to host",
    )
    assert outcomes(summary) == {"s1": "patched", "s2": "stopped", "s3": "untouched", "a1": "untouched"}
    assert world.marked() == ["s2"] and "upgrade s3" not in world.log
    # While it is down a run begins nothing.
    world.log.clear()
    assert world.run().stopped[0].startswith("s2: cannot be reached: connect to host")
    assert world.acts() == ["look refresh"]
    world._boot("s2")
    world.log.clear()
    again = world.run()
    assert outcomes(again) == {"s1": "up to date", "s2": "finished", "s3": "patched", "a1": "patched"}
    assert world.acts() == ["look refresh", "uncordon s2", *a_turn("s3"), *a_turn("a1")]


def test_a_host_that_is_down_is_one_line_before_anything_is_touched() -> None:
    world = World(home())
    world.machines["a1"].down = True
    summary = world.run()
    assert summary.stopped == (
        "a1: cannot be reached: connect to host port 22: No route to host; "
        "mend it, or write away: True at this host to go on without it",
    )
    assert world.acts() == ["look refresh"] and set(outcomes(summary).values()) == {"untouched"}


def test_all_that_speaks_against_beginning_is_told_at_once() -> None:
    world = World(home())
    seen = {name: machine.seen for name, machine in world.machines.items()}
    world.machines["s1"].seen = replace(seen["s1"], broken=("apt-get check: E: dpkg was interrupted",))
    world.machines["s2"].seen = replace(seen["s2"], packages=(Package("k3s", "1.34", "1.35"),))
    world.machines["s3"].seen = replace(seen["s3"], locked=True)
    assert world.run().stopped == (
        "s1: apt-get check: E: dpkg was interrupted; mend apt on it and run this again",
        "s2: apt would change K3s itself (k3s 1.34 -> 1.35), which its deploy does; run there: apt-mark hold k3s",
        "s3: a deploy or an upgrade is running there; wait for its end",
    )
    assert world.acts() == ["look refresh"]


def test_an_upgrade_that_fails_stops_there_with_the_node_taking_pods() -> None:
    world = World(home())
    world.machines["s3"].fails["upgrade"] = "its packages are not upgraded: E: Sub-process /usr/bin/dpkg returned 1"
    summary = world.run()
    assert summary.stopped == ("s3: its packages are not upgraded: E: Sub-process /usr/bin/dpkg returned 1",)
    assert world.acts()[-3:] == ["cordon s3", "upgrade s3", "uncordon s3"]
    assert outcomes(summary)["a1"] == "untouched"


def test_a_node_that_a_person_has_cordoned_stays_so() -> None:
    world = World(home())
    world.nodes["a1"]["spec"]["unschedulable"] = True
    summary = world.run()
    assert summary.exit_code == 0 and "cordon a1" not in world.log and "uncordon a1" not in world.log
    assert "reboot a1" in world.log and world.nodes["a1"]["spec"]["unschedulable"]
    assert summary.results[-1].notes == ("left cordoned, as it was before",)


def test_a_cluster_that_is_not_well_is_not_touched() -> None:
    world = World(home())
    world.critical.append(finding("WORK001", Ref("Deployment", "media", "web"), "has none of its pods"))
    summary = world.run()
    assert summary.stopped[0].startswith(
        "s1: not begun, the cluster is not well: WORK001 Deployment media/web has none"
    )
    assert world.acts() == ["look refresh"]


def test_a_server_is_spared_where_quorum_would_be_lost() -> None:
    world = World(home(away=["s3"]))
    summary = world.run()
    assert summary.stopped == ("s1: cannot be spared now: 1 of 3 servers would be left, and etcd takes 2 (away: s3)",)
    assert world.acts() == ["look refresh"]
    assert outcomes(summary)["s3"] == "away"


def test_a_server_that_is_away_is_counted_and_holds_nothing_up_while_there_is_a_majority() -> None:
    world = World(home(servers=5, agents=0, away=["s5"]))
    assert world.run().exit_code == 0
    assert world.acts()[1:] == [act for name in ("s1", "s2", "s3", "s4") for act in a_turn(name)]


def test_a_host_back_without_a_mount_or_with_a_failed_unit_has_not_come_back() -> None:
    world = World(home(nas=True))
    nas = world.machines["nas"]
    nas.seen = replace(nas.seen, mounts=frozenset({"/", "/srv/tank"}), failed=frozenset({"old.service"}))
    nas.after = replace(
        nas.seen, boot="nas-2", reboot=False, mounts=frozenset({"/"}), failed=frozenset({"nfs.service"})
    )
    (line,) = world.run().stopped
    assert line == "nas: has not come back within 2 min: /srv/tank is not mounted; nfs.service has failed"


def test_another_version_of_k3s_after_the_boot_is_not_as_it_was() -> None:
    world = World(home())
    boot = world._boot

    def booted(name: str) -> None:
        boot(name)
        world.nodes[name]["version"] = "v1.36.0+k3s1"

    world._boot = booted  # type: ignore[method-assign]
    (line,) = world.run().stopped
    assert "it runs v1.36.0+k3s1 instead of v1.35.6+k3s1" in line and world.acts()[-1] == "uncordon s1"


def test_a_backup_that_runs_is_waited_for() -> None:
    world = World(home(servers=0, agents=0, nas=True))
    nas = world.machines["nas"]
    nas.seen = replace(nas.seen, busy=("homelab-backup@nightly.service",))
    assert world.run().stopped == (
        "nas: homelab-backup@nightly.service is still running; wait for its end and run this again",
    )
    assert world.acts() == ["look refresh"]


@pytest.mark.parametrize(("act", "next"), [("reboot s1", "s2"), ("upgrade s2", "s3")])
def test_an_interrupt_ends_the_run_with_the_host_at_hand(act: str, next: str) -> None:
    """Half a turn would leave a node cordoned, and a host between two kernels."""
    world = World(home(), stops_at=act)
    assert world.run().stopped == (f"{next}: interrupted; run the same command again to go on",)
    assert f"upgrade {next}" not in world.log and world.marked() == []
    world.stops_at, world.asked_to_stop = "", False
    assert world.run().exit_code == 0


def test_what_cuts_a_step_leaves_the_node_to_the_next_run() -> None:
    world = World(home())
    upgrade = world.upgrade

    def cut(name: str) -> None:
        raise KeyboardInterrupt

    world.upgrade = cut  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.run()
    assert world.marked() == ["s1"]
    world.upgrade = upgrade  # type: ignore[method-assign]
    assert world.run().exit_code == 0 and world.marked() == []


def test_a_dry_run_changes_nothing_and_tells_the_order() -> None:
    world = World(home(nas=True))
    world.nodes["s2"]["metadata"]["annotations"][MARK] = "2026-01-01T00:00:00Z"
    world.machines["s2"].seen = replace(world.machines["s2"].seen, packages=(), reboot=False)
    summary = world.rolling().plan()
    assert world.acts() == ["look private"]
    assert [(each.host.name, each.outcome) for each in summary.results] == [
        ("s1", "to patch"),
        ("s2", "to finish"),
        ("s3", "to patch"),
        ("a1", "to patch"),
        ("nas", "to patch"),
    ]
    assert summary.dry_run and summary.results[0].packages == (Package("tool", "1", "2"),)


def test_a_dry_run_tells_of_the_hosts_and_of_an_api_that_does_not_answer() -> None:
    world = World(home())
    world.machines["a1"].down = True

    def silent(method: str, path: str, body: object, kind: str) -> Reply:
        raise ReadFailed("connection refused")

    world.ask = silent  # type: ignore[method-assign]
    summary = world.rolling().plan()
    assert [line.partition(": ")[0] for line in summary.stopped] == [
        "a1",
        "the API of no server has answered for 120 s (connection refused)",
    ]
    assert [each.outcome for each in summary.results] == ["to patch", "to patch", "to patch", "unknown"]


def during_upgrade(world: World, of: str, act) -> None:
    """Have something happen while a host is upgraded."""
    upgrade = world.upgrade

    def upgraded(name: str) -> None:
        upgrade(name)
        if name == of:
            act()

    world.upgrade = upgraded  # type: ignore[method-assign]


def test_a_server_that_dies_during_an_upgrade_keeps_the_other_from_its_reboot() -> None:
    world = World(home())
    during_upgrade(world, "s1", lambda: world.nodes["s3"].update(ready=False))
    assert world.run().stopped == ("s1: cannot be spared now: s3 is not Ready (posts status)",)
    assert world.acts() == ["look refresh", "cordon s1", "upgrade s1", "uncordon s1"]
    # An agent's reboot takes no server away.
    agent = World(home(servers=1))
    agent.machines["s1"].seen = replace(agent.machines["s1"].seen, packages=(), reboot=False)
    during_upgrade(agent, "a1", lambda: agent.nodes["s1"].update(ready=False))
    agent.run()
    assert "reboot a1" in agent.log


@pytest.mark.parametrize("ends", [True, False])
def test_a_backup_that_begins_during_an_upgrade_is_waited_for_before_the_reboot(ends: bool) -> None:
    world = World(home(servers=0, agents=0, nas=True))
    nas = world.machines["nas"]

    def begin() -> None:
        nas.seen = replace(nas.seen, busy=("homelab-backup@nightly.service",))

    during_upgrade(world, "nas", begin)
    sleep = world.sleep

    def slept(seconds: float) -> None:
        assert "reboot nas" not in world.log or not nas.seen.busy
        sleep(seconds)
        if ends and world.now > 30:
            nas.seen = replace(nas.seen, busy=())

    world.sleep = slept  # type: ignore[method-assign]
    summary = world.run()
    assert ("reboot nas" in world.log, summary.exit_code) == ((True, 0) if ends else (False, 1))
    assert ends or "homelab-backup@nightly.service is still running" in summary.stopped[0]


def test_a_node_that_comes_back_without_a_disk_takes_no_pods_until_a_person_says_so() -> None:
    world = World(home())
    s2 = world.machines["s2"]
    whole = replace(s2.seen, mounts=frozenset({"/", "/srv/tank"}))
    s2.seen = whole
    s2.after = replace(whole, boot="s2-2", packages=(), reboot=False, mounts=frozenset({"/"}), unmounted=("/srv/tank",))
    assert world.run().stopped == (
        "s2: has not come back within 2 min: /srv/tank is not mounted; mount /srv/tank, then run: kubectl uncordon s2",
    )
    assert world.acts()[-2:] == ["reboot s2", "unmark s2"] and world.marked() == []
    assert "s2" not in world.open() and "s2: stays cordoned, since /srv/tank is not mounted" in world.told
    # As long as it is not there the host is not up to date.
    world.log.clear()
    assert world.run().stopped == (
        "s2: /srv/tank is not mounted, as it is to be at boot; "
        "mount it, or write noauto where it is described, and run this again",
    )
    assert world.acts() == ["look refresh"]
    # And once it is, the cordon is the person's to undo.
    s2.seen = replace(whole, boot="s2-2", packages=(), reboot=False, started=datetime(2026, 1, 2, tzinfo=UTC))
    again = world.run()
    assert again.exit_code == 0 and outcomes(again)["s2"] == "up to date"
    assert "uncordon s2" not in world.log and "s2" not in world.open()


def test_a_node_that_does_not_tell_its_mounts_stays_cordoned() -> None:
    world = World(home())
    s2 = world.machines["s2"]

    def lost() -> None:
        s2.fails["look"] = "connect to host port 22: Connection refused"

    during_upgrade(world, "s2", lost)
    (line,) = world.run().stopped
    assert line == "s2: connect to host port 22: Connection refused"
    assert world.marked() == ["s2"] and "uncordon s2" not in world.log
    s2.fails.clear()
    assert world.run().exit_code == 0 and world.marked() == []


def test_a_cordon_of_a_persons_own_is_not_undone_for_a_mark_from_before() -> None:
    """They had uncordoned it by hand, which leaves the mark, and cordoned it weeks later."""
    world = World(home())
    now = datetime.now(UTC)
    for name, marked in (("s2", now - timedelta(days=20)), ("a1", now)):
        world.nodes[name]["metadata"]["annotations"][MARK] = f"{marked:%Y-%m-%dT%H:%M:%SZ}"
        world.cordoned(name, now)
        world.machines[name].seen = replace(world.machines[name].seen, packages=(), reboot=False)
    planned = {each.host.name: each.outcome for each in world.rolling().plan().results}
    assert (planned["s2"], planned["a1"]) == ("up to date", "to finish")
    summary = world.run()
    assert summary.exit_code == 0 and world.marked() == []
    assert (outcomes(summary)["s2"], outcomes(summary)["a1"]) == ("up to date", "finished")
    assert world.open() == ["s1", "s3", "a1"] and "uncordon s2" not in world.log
    assert "s2: was cordoned by somebody since an earlier run, and stays so" in world.told
    (note,) = summary.notes
    assert note.startswith("s2 stays cordoned") and note.endswith("kubectl uncordon s2")


def test_a_node_that_is_still_cordoned_is_told_of_where_another_host_keeps_the_run_from_it() -> None:
    world = World(home())
    world.nodes["s2"]["metadata"]["annotations"][MARK] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    world.cordoned("s2", datetime.now(UTC))
    world.machines["a1"].down = True
    summary = world.run()
    assert summary.notes == ("s2 is still cordoned by an earlier run",) and world.acts() == ["look refresh"]


@pytest.mark.parametrize(
    ("wrong", "says", "ends"),
    [
        ({"failed": frozenset({"smbd.service"})}, "smbd.service has failed; mend that and run this again", "uncordon"),
        (
            {"mounts": frozenset({"/"})},
            "/srv is not mounted; mend that and run this again; mount /srv, then run: kubectl uncordon s2",
            "unmark",
        ),
    ],
)
def test_a_host_that_an_upgrade_alone_has_broken_is_not_gone_on_from(
    wrong: dict[str, frozenset[str]], says: str, ends: str
) -> None:
    world = World(home())
    s2 = world.machines["s2"]
    s2.seen = replace(s2.seen, reboot=False, because=(), mounts=frozenset({"/", "/srv"}), system="starting")

    def broken() -> None:
        s2.seen = replace(s2.seen, **wrong)

    during_upgrade(world, "s2", broken)
    assert world.run().stopped == (f"s2: is not as it was before the upgrade: {says}",)
    assert world.acts()[-3:] == ["cordon s2", "upgrade s2", f"{ends} s2"]


def test_a_unit_that_fails_while_it_is_upgraded_may_come_up_by_itself() -> None:
    world = World(home(servers=0, agents=0, nas=True))
    nas = world.machines["nas"]
    nas.seen = replace(nas.seen, reboot=False, because=())
    during_upgrade(world, "nas", lambda: setattr(nas, "seen", replace(nas.seen, failed=frozenset({"smbd.service"}))))
    sleep = world.sleep

    def slept(seconds: float) -> None:
        sleep(seconds)
        nas.seen = replace(nas.seen, failed=frozenset())

    world.sleep = slept  # type: ignore[method-assign]
    assert world.run().exit_code == 0 and "nas: waiting: smbd.service has failed" in world.told


def test_the_machine_that_it_runs_on_comes_last_and_is_not_rebooted() -> None:
    own = "is the very machine that this runs on, and its reboot would cut it; run it from another one"
    world = World(home(), own="s1-1")
    assert world.rolling().plan().stopped == (f"s1: {own}",)
    world.log.clear()
    assert world.run().stopped == (f"s1: {own}",)
    assert world.acts()[1:] == [act for name in ("s2", "s3", "a1") for act in a_turn(name)]
    # Of packages that ask for a reboot once they are there, the node takes pods again.
    world = World(home(), own="s1-1")
    world.machines["s1"].seen = replace(world.machines["s1"].seen, reboot=False)
    assert world.rolling().plan().stopped == ()
    during_upgrade(
        world, "s1", lambda: setattr(world.machines["s1"], "seen", replace(world.machines["s1"].seen, reboot=True))
    )
    assert world.run().stopped == (f"s1: {own}",)
    assert world.acts()[-3:] == ["cordon s1", "upgrade s1", "uncordon s1"] and world.marked() == []
    # What asks for none is carried through.
    world = World(home(), own="s1-1")
    world.machines["s1"].seen = replace(world.machines["s1"].seen, reboot=False)
    assert world.run().exit_code == 0 and world.acts()[-2:] == ["upgrade s1", "uncordon s1"]


def test_a_machine_that_is_not_its_node_is_not_touched() -> None:
    """An address that another one has by now: the one node would be drained, and the other one rebooted."""
    world = World(home())
    world.nodes["s1"]["boot"] = "s1-1"
    world.nodes["s2"]["boot"] = "s1-1"
    assert world.run().stopped == (
        "s2: the machine that answers there is not the node s2; correct its address or ssh_hostname",
    )
    assert world.acts()[1:] == a_turn("s1")
