"""What is to be made and when, and what pods that ran come to: each outcome, and whatever an API may tell of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homelab.health.probed import Asked, Step, Stored, Way
from homelab.health.probes import Disk, Event, Plan, Pod, World, event, outcome, pod
from homelab.health.snapshot import DNS_PROBES, NETWORK_PROBES, SERVICE_PROBES, VOLUME_PROBES, State
from tests.unit.health.cluster import NOW
from tests.unit.health.test_checks import anything

DISK = Disk("volume", VOLUME_PROBES, "local-path", False, ("s1", "a1"))
PLAN = Plan("beef", "image", 60, ("s1", "a1"), True, ("10.42.0.7",), "10.43.0.10", "10.43.0.1")
VOLUME = Plan("beef", "image", 60, ("s1", "a1"), network=False, disks=(DISK,))
WROTE = Pod("volume-write", "a1", begun=True, ended=True, told={"write": (True, "00")})


def names(manifests: Iterable[dict[str, Any]]) -> list[str]:
    return [f"{each['kind']}/{each['metadata']['name']}" for each in manifests]


def listening(number: int) -> Pod:
    return Pod(f"node-{number}", f"n{number}", f"10.42.{number}.9", begun=True)


def world(*pods: Pod, **more: Any) -> World:
    return World({each.name: each for each in pods}, **{"at": NOW, **more})


def test_those_who_ask_wait_for_those_who_are_to_be_asked() -> None:
    assert names(PLAN.first()) == ["Service/node-0", "Pod/node-0", "Service/node-1", "Pod/node-1"]
    assert names(PLAN.next(World(), hurry=False)) == []
    one = world(listening(0), Pod("node-1"))
    assert names(PLAN.next(one, hurry=False)) == []
    asked = json.dumps(list(PLAN.next(one, hurry=True)))
    assert asked.count('"ask-') == 4 and "pod:0" in asked and "pod:1" not in asked, "by name and by label"
    both = world(listening(0), listening(1), services={"node-0": "10.43.1.1", "node-1": "fd00::9"})
    asked = json.dumps(list(PLAN.next(both, hurry=False)))
    assert all(f'"{way}:0"' in asked for way in Way) and '"[fd00::9]:8080"' in asked
    assert names(PLAN.next(replace(both, pods={**both.pods, "ask-0": Pod("ask-0")}), hurry=True)) == []


def test_nothing_is_waited_for_that_will_not_come() -> None:
    stuck = [Pod(f"node-{number}", reason="ImagePullBackOff") for number in range(2)]
    alone = replace(PLAN, dns=(), dns_service="")
    assert not alone.done(World()) and not alone.done(world(stuck[0], Pod("node-1")))
    assert alone.done(world(*stuck)), "nobody is there to be asked"
    assert not PLAN.done(world(*stuck)), "DNS is"
    refused = {f"Pod/{name}": "no" for name in ("ask-0", "ask-1")}
    assert PLAN.done(world(listening(0), listening(1), refused=refused))
    assert names(PLAN.next(world(listening(0), listening(1), refused=refused), hurry=True)) == []
    assert VOLUME.done(world(refused={"PersistentVolumeClaim/volume": "no"}))
    assert names(VOLUME.next(world(refused={"PersistentVolumeClaim/volume": "no"}), hurry=True)) == []
    assert not VOLUME.done(world(WROTE)) and names(VOLUME.next(world(WROTE), hurry=False)) == ["Pod/volume-read-0"]
    assert VOLUME.done(world(replace(WROTE, told={"write": (False, "I/O error")})))


def asker(number: int, *asked: str, told: Iterable[str]) -> Pod:
    """One that was to ask something, and got the right answers that it tells of."""
    return Pod(f"ask-{number}", begun=True, ended=True, told=dict.fromkeys(told, (True, "")), asked=asked)


def test_what_was_asked_and_not_told_is_unknown() -> None:
    """The kubelet cuts a message after 4096 bytes: what is missing has not failed."""
    found, sources = outcome(PLAN, world(asker(0, "pod:0", "pod:1", told=["pod:0", "pod:7"])), [])
    assert found.asked == (Asked("s1", Way.POD, "s1", True),) and found.nodes == ("s1",)
    assert sources[NETWORK_PROBES].state is State.READ
    assert sources[SERVICE_PROBES].state is sources[DNS_PROBES].state is State.FAILED
    assert sources["probes on node a1"].why == "its pod was not made within 60 s"


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (
            Pod("ask-1", reason="ErrImagePull", why="not found"),
            "the image image cannot be had (ErrImagePull: not found)",
        ),
        (Pod("ask-1", reason="Unschedulable", why="0/2 nodes"), "its pod did not start: Unschedulable: 0/2 nodes"),
        (Pod("ask-1", begun=True, ended=True, reason="Evicted"), "its pod told nothing (Evicted)"),
        (Pod("ask-1", begun=True), "its pod did not come to an end within 60 s"),
        (Pod("ask-1"), "its pod did not start within 60 s"),
    ],
)
def test_why_a_node_told_nothing(seen: Pod, why: str) -> None:
    _, sources = outcome(PLAN, world(asker(0, "pod:0", told=["pod:0"]), seen), [])
    assert sources["probes on node a1"].why.startswith(why)


def answers(node: int, *bad: str, dns: bool = True) -> Pod:
    """One that asked all of two nodes and DNS, and was not answered what is `bad`."""
    keys = [f"{way}:{number}" for way in (Way.POD, Way.SERVICE) for number in range(2)] + ["dns-pod:0", "dns:0"]
    told = {key: (key not in bad and (dns or "dns" not in key), "timed out") for key in keys}
    return replace(asker(node, *keys, told=()), told=told)


def of_asking(*pods: Pod, plan: Plan = PLAN) -> tuple[set[tuple[str, str, str]], dict[str, str]]:
    """Who was not answered what and by whom, and what was not found out, with why."""
    found, sources = outcome(plan, world(*pods), [])
    failed = {(each.node, str(each.way), each.of) for each in found.asked if not each.ok}
    return failed, {name: each.why for name, each in sources.items() if each.state is not State.READ}


ALL = ("pod:0", "pod:1", "service:0", "service:1")
THERE = (listening(0), listening(1))


@pytest.mark.parametrize("dns", [True, False])
def test_where_no_pod_reaches_any_the_network_was_not_tried_out(dns: bool) -> None:
    """So it looks where a policy of the whole cluster holds in each new namespace."""
    failed, why = of_asking(answers(0, *ALL, dns=dns), answers(1, *ALL, dns=dns), *THERE)
    assert failed == set()
    assert why.keys() == {NETWORK_PROBES, SERVICE_PROBES} | (set() if dns else {DNS_PROBES})
    assert all(said.startswith("not even pods on one node reach each other: a policy") for said in why.values())
    alone = replace(asker(0, "pod:0", told=()), told={"pod:0": (False, "timed out")})
    assert of_asking(alone, listening(0), plan=replace(PLAN, nodes=("s1",), dns=(), dns_service=""))[0] == set()


DNS_ALONE = replace(PLAN, wanted=frozenset({DNS_PROBES}))


def test_asked_for_dns_alone_the_network_is_not_taken_for_it() -> None:
    """Whether pods reach each other is asked then too, and told only as far as it is about DNS."""
    failed, why = of_asking(answers(0, *ALL, dns=False), answers(1, *ALL, dns=False), *THERE, plan=DNS_ALONE)
    assert (failed & {("s1", "dns", "10.43.0.10")}, list(why)) == (set(), [DNS_PROBES])
    assert why[DNS_PROBES].startswith("not even pods on one node reach each other")
    failed, why = of_asking(answers(0, "pod:1", "dns:0"), answers(1, "pod:0"), *THERE, plan=DNS_ALONE)
    assert ("s1", "pod", "a1") in failed and ("s1", "dns", "10.43.0.10") in failed and why == {}
    assert of_asking(answers(0, *ALL), answers(1, *ALL), *THERE, plan=DNS_ALONE)[1] == {}, "DNS answers nevertheless"


@pytest.mark.parametrize("dns", [True, False])
def test_asked_for_dns_alone_a_pod_that_nobody_could_ask_matters_when_dns_does_not_answer(dns: bool) -> None:
    askers = [replace(asker(each, "pod:0", "dns:0", told=["pod:0"]), told={"dns:0": (dns, "")}) for each in range(2)]
    _, why = of_asking(*askers, listening(0), Pod("node-1"), plan=DNS_ALONE)
    assert why == ({} if dns else {"probes on node a1": "its pod did not start within 60 s"})


def test_asked_for_services_alone_pods_that_are_not_reached_are_told() -> None:
    bad = answers(0, "pod:1", "service:1"), answers(1)
    _, why = of_asking(*bad, *THERE, plan=replace(PLAN, wanted=frozenset({SERVICE_PROBES})))
    assert why == {"probes of Services where pods are not reached": "s1 to a1; --only DEEP002 tells more"}
    assert of_asking(*bad, *THERE)[1] == {}, "DEEP002 tells it"


def test_a_service_that_could_not_be_made_does_not_pass_for_one_that_leads_to_its_pod() -> None:
    some = [asker(each, "pod:0", "pod:1", "service:1", told=["pod:0", "pod:1", "service:1"]) for each in range(2)]
    found, sources = outcome(PLAN, world(*some, *THERE, refused={"Service/node-0": "Service node-0: quota"}), [])
    assert sources["probes of Services for node s1"].why == "Service node-0: quota"
    assert all(each.ok for each in found.asked)


def test_what_a_policy_in_new_namespaces_may_bar_is_nobodys_fault() -> None:
    policies = ("deny", "same")
    bad = answers(0, "dns-pod:0", "dns:0"), answers(1, "dns-pod:0", "dns:0")
    found, sources = outcome(PLAN, world(*bad, *THERE, policies=policies), [])
    assert all(each.ok for each in found.asked)
    assert {name: each.why for name, each in sources.items() if each.why} == {
        DNS_PROBES: "what somebody puts into new namespaces may be in the way: NetworkPolicy deny, same"
    }
    found, sources = outcome(PLAN, world(answers(0), answers(1), *THERE, policies=policies), [])
    assert {each.state for each in sources.values()} == {State.READ}, "it is not in the way"


def test_where_pods_of_one_node_reach_each_other_it_is_the_network() -> None:
    failed, why = of_asking(answers(0, "pod:1", "service:1"), answers(1, "pod:0", "service:0"), *THERE)
    assert {(node, of) for node, _, of in failed} == {("s1", "a1"), ("a1", "s1")} and why == {}


@pytest.mark.parametrize(
    ("last", "why"),
    [
        ((replace(THERE[1], ended=True, reason="Evicted"),), "its pod that was to answer ended (Evicted)"),
        ((), "its pod that was to answer is gone"),
    ],
)
def test_one_that_was_not_there_to_the_end_was_not_silent(last: tuple[Pod, ...], why: str) -> None:
    bad = answers(0, "pod:1", "service:1"), answers(1, "pod:1", "service:0")
    assert of_asking(*bad, listening(0), *last) == ({("a1", "service", "s1")}, {"probes on node a1": why})
    assert of_asking(answers(0), answers(1), listening(0), *last) == (set(), {}), "all had heard it before"


@pytest.mark.parametrize(
    ("last", "refused", "why"),
    [
        ((), {"Pod/node-1": "Pod node-1: quota"}, "Pod node-1: quota"),
        ((Pod("node-1", reason="Unschedulable", why="no room"),), {}, "its pod did not start: Unschedulable: no room"),
        (THERE[1:], {}, "its pod that was to answer started too late"),
        ((replace(THERE[1], ended=True, reason="OOMKilled"),), {}, "its pod that was to answer ended (OOMKilled)"),
    ],
)
def test_a_node_that_nobody_could_ask_does_not_pass_for_one_that_answers(
    last: tuple[Pod, ...], refused: dict[str, str], why: str
) -> None:
    askers = [asker(number, "pod:0", "dns:0", told=["pod:0", "dns:0"]) for number in range(2)]
    found, sources = outcome(PLAN, world(*askers, listening(0), *last, refused=refused), [])
    assert sources[NETWORK_PROBES].state is State.READ and found.nodes == ("s1", "a1")
    assert (sources["probes on node a1"].state, sources["probes on node a1"].why) == (State.FAILED, why)


def test_a_pod_of_dns_that_was_replaced_meanwhile_is_no_culprit() -> None:
    bad = answers(0, "dns-pod:0", "dns:0"), answers(1, "dns:0")
    found, sources = outcome(PLAN, world(*bad, *THERE, gone={"10.42.0.7": "replaced"}), [])
    assert [each.ok for each in found.asked if "dns" in each.way] == [True]
    assert (sources[DNS_PROBES].state, sources["probes of DNS at 10.42.0.7"].why) == (State.READ, "replaced")
    asked = answers(0), answers(1)
    found, sources = outcome(PLAN, world(*asked, *THERE, gone={"10.42.0.7": "replaced"}), [])
    assert all(each.state is State.READ for each in sources.values()), "all had an answer before"


def volume(*pods: Pod, events: Iterable[Event] = ()) -> tuple[tuple[Stored, ...], str]:
    found, sources = outcome(VOLUME, world(*pods), events)
    source = sources[VOLUME_PROBES]
    return found.stored, "" if source.state is State.READ else source.why


BEGUN = Pod("volume-write", "a1", begun=True)
WAITS = Pod("volume-write", "a1", reason="ContainerCreating")


def test_a_pod_that_hangs_on_a_volume_is_a_fault_and_one_that_was_late_is_none() -> None:
    hangs = volume(replace(BEGUN, since=NOW - timedelta(seconds=31)))
    assert hangs == ((Stored("local-path", False, "a1", Step.WRITE, False, "it hangs"),), "")
    late = volume(replace(BEGUN, since=NOW - timedelta(seconds=5)))
    assert late == ((), "its pod did not come to an end within 60 s")
    # By then, and not by when it was thought about.
    found, _ = outcome(VOLUME, world(replace(BEGUN, since=NOW), at=NOW + timedelta(seconds=29)), [])
    assert found.stored == ()


@pytest.mark.parametrize(
    ("seen", "event", "step"),
    [
        (WAITS, Event("volume-write", "FailedMount", "timed out"), Step.MOUNT),
        (WAITS, Event("volume-write", "FailedAttachVolume", "timed out"), Step.MOUNT),
        (Pod("volume-write"), Event("volume", "ProvisioningFailed", "timed out"), Step.CLAIM),
        (WAITS, Event("other", "FailedMount", "timed out"), None),
        (WAITS, Event("volume-write", "FailedScheduling", "timed out"), None),
        # An image comes after the volumes, so that those are mounted by then.
        (replace(WAITS, reason="ImagePullBackOff"), Event("volume-write", "FailedMount", "timed out"), None),
    ],
)
def test_which_step_of_a_volume_failed(seen: Pod, event: Event, step: Step | None) -> None:
    found, why = volume(seen, events=[event])
    assert [(each.step, each.said) for each in found] == ([(step, "timed out")] if step else [])
    assert bool(why) is (step is None)


FAILED_MOUNT = Event("volume-write", "FailedMount", "timed out")
FAILED_ATTACH = Event("volume-write", "FailedAttachVolume", "timed out")
NOT_MADE = Event("volume", "ProvisioningFailed", "timed out")


@pytest.mark.parametrize(
    ("seen", "events", "step"),
    [
        (WAITS, [FAILED_MOUNT, Event("volume-write", "Pulling", "")], None),
        (WAITS, [Event("volume-write", "Created", ""), FAILED_ATTACH, NOT_MADE], None),
        (WAITS, [FAILED_MOUNT, Event("other", "Pulled", "")], Step.MOUNT),
        (WAITS, [FAILED_ATTACH, Event("volume-write", "SuccessfulAttachVolume", "")], None),
        (WAITS, [FAILED_ATTACH, Event("volume-write", "SuccessfulAttachVolume", ""), FAILED_MOUNT], Step.MOUNT),
        (WAITS, [NOT_MADE], None),
        (Pod("volume-write"), [NOT_MADE, Event("volume", "ProvisioningSucceeded", "")], None),
        (Pod("volume-write"), [NOT_MADE, Event("volume-write", "FailedScheduling", "")], Step.CLAIM),
    ],
)
def test_what_failed_at_first_and_went_well_later_is_no_fault(
    seen: Pod, events: list[Event], step: Step | None
) -> None:
    found, why = volume(seen, events=events)
    assert [each.step for each in found] == ([step] if step else []) and bool(why) is (step is None)


def test_what_was_written_and_not_read_in_time_is_no_verdict() -> None:
    found, why = volume(WROTE, Pod("volume-read-0", "a1"))
    assert [each.ok for each in found] == [True] and why == "its pod did not start within 60 s"


def test_a_class_that_makes_no_shared_volumes_is_no_fault() -> None:
    disk = replace(DISK, shared=True)
    said = Event("volume", "ProvisioningFailed", "Only support ReadWriteOnce access mode")
    found, sources = outcome(replace(VOLUME, disks=(disk,)), world(Pod("volume-write")), [said])
    assert found.stored == () and "makes no volumes that several nodes use" in sources[VOLUME_PROBES].why


pieces = st.dictionaries(
    st.sampled_from(["metadata", "spec", "status", "involvedObject", "reason", "message", "containerStatuses"]),
    anything,
)
statuses = st.fixed_dictionaries(
    {
        "phase": anything,
        "containerStatuses": st.lists(st.fixed_dictionaries({"state": anything}), max_size=2) | anything,
    }
)


@given(pieces | st.fixed_dictionaries({"status": statuses, "spec": anything}))
def test_whatever_an_api_tells_of_a_pod_nothing_raises(item: dict[str, Any]) -> None:
    seen = pod(item)
    event(item)
    for plan in (PLAN, VOLUME):
        around = world(replace(seen, name="ask-0"), replace(seen, name="volume-write"), listening(0))
        assert list(plan.next(around, hurry=True)) is not None
        assert plan.done(around) in (True, False)
        assert outcome(plan, around, [event(item)])[1]
