"""Who may patch a cluster: one run at a time, and none that was cut keeps the others away for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from homelab.api import ReadFailed
from homelab.patch.cluster import Cluster, ClusterError, Reply
from homelab.patch.lease import DURATION, NAME, Held, Lease, Lost, holder

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"


@dataclass
class Leases:
    """The API of one Lease, as Kubernetes has it: held to resource versions, 409 of an old one. Time passes in sleep.

    `events` happen after so many sleeps; while it is `down` nobody answers.
    """

    lease: dict[str, Any] | None = None
    down: bool = False
    refuses: str = ""
    now: float = 1000.0
    sleeps: int = 0
    events: dict[int, Callable[[], None]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    version: int = 0

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None, kind: str) -> Reply:
        if self.down:
            raise ReadFailed("connection refused")
        assert path == (LEASES if method == "POST" else f"{LEASES}/{NAME}")
        if method == self.refuses:
            return Reply(403, {"message": "leases is forbidden"})
        if method == "POST":
            if self.lease is not None:
                return Reply(409, {"message": "exists"})
            assert body is not None
            self.lease = {"metadata": dict(body["metadata"]), "spec": dict(body["spec"])}
        elif self.lease is None:
            return Reply(404, {"message": "not found"})
        elif method != "GET":
            assert body is not None
            known = body["preconditions"] if method == "DELETE" else body["metadata"]
            if known["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
                return Reply(409, {"message": "the object has been modified"})
            if method == "DELETE":
                self.lease = None
                return Reply(200, {})
            self.lease["spec"].update(body["spec"])
        if method != "GET":
            self.version += 1
            self.lease["metadata"]["resourceVersion"] = str(self.version)
        return Reply(200, {"metadata": dict(self.lease["metadata"]), "spec": dict(self.lease["spec"])})

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.sleeps += 1
        self.events.get(self.sleeps, lambda: None)()

    def of(self, who: str) -> Lease:
        cluster = Cluster(self.ask, lambda host: True, clock=lambda: self.now, sleep=self.sleep)
        return Lease(cluster, f"{who}_1", told=self.told.append, clock=lambda: self.now)

    @property
    def holder(self) -> str | None:
        return self.lease["spec"]["holderIdentity"] if self.lease else None


def test_it_is_taken_and_given_back() -> None:
    api = Leases()
    with api.of("anna@laptop").held():
        assert api.holder == "anna@laptop_1" and api.lease is not None
        assert api.lease["spec"]["leaseDurationSeconds"] == DURATION
    assert (api.lease, api.sleeps, api.told) == (None, 0, [])


def test_what_renews_it_has_ended_when_it_is_given_back() -> None:
    before = set(threading.enumerate())
    with Leases().of("anna@laptop").held():
        assert len(set(threading.enumerate()) - before) == 1
    assert set(threading.enumerate()) <= before


def test_it_is_given_back_whatever_happens_within() -> None:
    api = Leases()
    with pytest.raises(KeyboardInterrupt), api.of("anna@laptop").held():
        raise KeyboardInterrupt
    assert api.lease is None


def test_while_another_run_renews_it_one_is_refused_by_name() -> None:
    api = Leases()
    first = api.of("anna@laptop")
    first.take()
    assert api.lease is not None
    api.lease["spec"]["acquireTime"] = "2026-11-29T15:47:27.000000Z"
    api.events = {3: first.renew}
    with pytest.raises(Held) as told:
        api.of("ben@desk").take()
    assert str(told.value) == (
        "the cluster is being patched already, by anna@laptop since 2026-11-29 15:47 UTC; wait for the end of that run"
    )
    assert api.told == [
        "patched by anna@laptop since 2026-11-29 15:47 UTC, or that run was cut: looking on, for up to 60 s"
    ]
    assert api.holder == "anna@laptop_1"
    first.confirm()


def test_a_run_that_was_killed_keeps_others_away_for_as_long_as_it_lasts_and_no_longer() -> None:
    api = Leases()
    api.of("anna@laptop").take()
    began = api.now
    api.of("ben@desk").take()
    assert api.holder == "ben@desk_1" and api.now - began == DURATION


def test_one_that_is_given_back_meanwhile_is_had_at_once() -> None:
    api = Leases()
    first = api.of("anna@laptop")
    first.take()
    api.events = {2: first.release}
    api.of("ben@desk").take()
    assert (api.holder, api.sleeps) == ("ben@desk_1", 2)


def test_of_two_that_wait_for_one_that_was_killed_one_gets_it() -> None:
    api = Leases()
    api.of("anna@laptop").take()

    def faster() -> None:
        assert api.lease is not None
        api.lease["spec"]["holderIdentity"] = "cleo@attic_1"
        api.lease["metadata"]["resourceVersion"] = "other"

    api.events = {20: faster}
    with pytest.raises(Held, match="by cleo@attic since"):
        api.of("ben@desk").take()


def test_looks_that_nobody_answers_prove_nothing() -> None:
    """The only server reboots, and the run that has it reboot cannot renew it."""
    api = Leases()
    first = api.of("anna@laptop")
    first.take()
    api.events = {5: lambda: setattr(api, "down", True), 95: lambda: setattr(api, "down", False), 97: first.renew}
    with pytest.raises(Held):
        api.of("ben@desk").take()
    assert api.holder == "anna@laptop_1"


def test_while_the_only_server_reboots_a_run_waits_and_goes_on_when_it_has_renewed() -> None:
    api = Leases()
    lease = api.of("anna@laptop")
    lease.take()
    before = api.version
    api.down, api.events = True, {20: lambda: setattr(api, "down", False)}
    api.now += DURATION
    lease.confirm()
    assert (api.sleeps, api.holder) == (20, "anna@laptop_1") and api.version != before
    assert len(api.told) == 1 and "waiting to renew the lease kube-system/homelab-patch: the API of no" in api.told[0]


def test_a_renewal_that_fails_now_and_then_holds_nobody_up() -> None:
    api = Leases()
    lease = api.of("anna@laptop")
    lease.take()
    api.down = True
    api.now += 30
    lease.confirm()
    assert (api.sleeps, api.told) == (0, [])


def test_a_run_that_alone_has_lost_the_api_ends_before_it_does_more_beside_the_one_that_took_over() -> None:
    api = Leases()
    cut, other = api.of("anna@laptop"), api.of("ben@desk")
    cut.take()
    answer, alone = cut.cluster.ask, {"off": True}

    def ask(method: str, path: str, body: Mapping[str, Any] | None, kind: str) -> Reply:
        if alone["off"]:
            raise ReadFailed("no route to host")
        return answer(method, path, body, kind)

    cut.cluster.ask = ask
    other.take()
    assert api.holder == "ben@desk_1"
    with pytest.raises(
        Lost, match=r"could not be renewed for 1\d\d s \(.*no route to host.*\), so that another run may"
    ):
        cut.confirm()
    cut.release()
    assert api.holder == "ben@desk_1"
    alone["off"] = False
    with pytest.raises(Lost, match="was taken by ben@desk"):
        cut.confirm()


@pytest.mark.parametrize("wrong", [Reply(403, {"message": "leases is forbidden"}), Reply(200, {"spec": "odd"})])
def test_an_answer_that_renews_nothing_ends_the_run_in_a_line(wrong: Reply) -> None:
    api = Leases()
    lease = api.of("anna@laptop")
    lease.take()
    lease.cluster.ask = lambda *_: wrong
    api.now += DURATION
    with pytest.raises(Lost, match="could not be renewed for"):
        lease.confirm()


def test_a_lease_that_names_nobody_any_more_is_lost() -> None:
    api = Leases()
    lease = api.of("anna@laptop")
    lease.take()
    lease.cluster.ask = lambda *_: Reply(200, {"metadata": {"resourceVersion": "9"}})
    lease.renew()
    with pytest.raises(Lost, match="was taken by nobody that it names; that run"):
        lease.confirm()


def test_a_machine_that_slept_while_another_took_over_stops_and_takes_nothing_back() -> None:
    api = Leases()
    slept = api.of("anna@laptop")
    slept.take()
    api.of("ben@desk").take()
    with pytest.raises(Lost, match=r"lease kube-system/homelab-patch was taken by ben@desk since .*; that run goes on"):
        slept.confirm()
    slept.release()
    assert api.holder == "ben@desk_1"


def test_how_old_it_is_is_told_by_a_clock_that_counts_sleep_and_that_nobody_sets() -> None:
    cluster = Cluster(Leases().ask, lambda host: True)
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    assert time.clock_gettime(clock) <= Lease(cluster).clock() <= time.clock_gettime(clock)


def test_a_lease_that_somebody_deletes_ends_the_run() -> None:
    api = Leases()
    lease = api.of("anna@laptop")
    lease.take()
    api.lease = None
    lease.renew()
    with pytest.raises(Lost, match="somebody has deleted the lease kube-system/homelab-patch; run it again to go on"):
        lease.confirm()


@pytest.mark.parametrize(("method", "says"), [("GET", "read"), ("POST", "made")])
def test_rights_that_are_missing_are_one_line(method: str, says: str) -> None:
    with pytest.raises(ClusterError, match=f"^the lease kube-system/homelab-patch cannot be {says}: leases is forbid"):
        Leases(refuses=method).of("anna@laptop").take()


def test_no_two_runs_are_the_same_holder() -> None:
    assert holder() != holder() and "@" in holder()
