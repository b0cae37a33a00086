"""One run at a time over a cluster, from whichever machine: a Lease, as Kubernetes' own controllers elect a leader.

Source: client-go, tools/leaderelection. Whether a holder lives is told by its renewals as they are seen from here, and
never by the time that they carry: clocks differ.
"""

from __future__ import annotations

import getpass
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

from homelab.model.charts import SYSTEM
from homelab.patch.cluster import MERGE, Cluster, ClusterError, Reply

NAME = "homelab-patch"
_LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases"
_LEASE = f"{_LEASES}/{NAME}"
# Seconds. A server that goes down may cost a renewal, not several. Who has not renewed it for the deadline does nothing
# more before it has, as others may have it soon.
DURATION, _DEADLINE, _RENEWAL, _PAUSE = 60, 40.0, 10.0, 3.0
# It goes on while this machine sleeps, as other machines do (without CLOCK_BOOTTIME, on macOS, CLOCK_MONOTONIC does),
# and nobody sets it: by one that is set back, a lease that has run out would seem young.
_clock = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Held(ClusterError):
    """Somebody else patches this cluster: one line with who, since when, and what to do."""


class Lost(Exception):
    """Somebody else has taken over, or may have: one line. Nothing more may be done, nor undone."""


def holder() -> str:
    """Who begins a run, as user@machine, with what makes it unlike any other run."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}_{uuid4().hex[:8]}"


@dataclass
class Lease:
    """The right to patch a cluster. `cluster` has connections of its own, as this is renewed in a thread of its own."""

    cluster: Cluster
    holder: str = field(default_factory=holder)
    told: Callable[[str], None] = lambda words: None
    clock: Callable[[], float] = _clock
    _renewed: float = field(default=math.inf, init=False)
    _lost: str = field(default="", init=False)
    _why: str = field(default="", init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within, no other run patches this cluster. Raise Held when one does, ClusterError without an API."""
        self.take()
        ended = threading.Event()

        def renewing() -> None:
            while not ended.wait(_RENEWAL):
                self.renew()

        thread = threading.Thread(target=renewing, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.release()

    def take(self) -> None:
        """Take it, also from a run that was cut: one that has not renewed it while we look on for as long as it lasts.

        Only looks that the API answers count. Raise Held when it is renewed.
        """
        before, looks = "", 0
        while True:
            asked = self.clock()
            found = self.cluster.answer("GET", _LEASE)
            if found.status == 404:
                made = self.cluster.answer("POST", _LEASES, self._made())
                if made.ok:
                    break
                if made.status != 409:
                    raise _refused("made", made)
                continue
            if not found.ok:
                raise _refused("read", found)
            if _holder(found.body) == self.holder:  # made by a request whose answer did not reach us
                break
            version, spec = found.body["metadata"]["resourceVersion"], found.body.get("spec") or {}
            lasts = int(spec.get("leaseDurationSeconds") or DURATION)
            if before and version != before:
                raise Held(f"the cluster is being patched already, {_by(spec)}; wait for the end of that run")
            if not before:
                self.told(f"patched {_by(spec)}, or that run was cut: looking on, for up to {lasts} s")
            if looks * _PAUSE >= lasts:
                taken = self.cluster.answer("PATCH", _LEASE, _held_to(version, self._made()["spec"]), MERGE)
                if taken.ok:
                    break
                if taken.status not in (404, 409):
                    raise _refused("taken", taken)
            before, looks = version, looks + 1
            self.cluster.sleep(_PAUSE)
        self._renewed = asked

    def confirm(self) -> None:
        """Between steps: return with a lease that nobody else can have yet. Raise Lost when another run has it.

        A machine that slept has not renewed it meanwhile. Without an API for a while, as when the only server reboots,
        it waits, for as long as for any answer; then it raises Lost too: others may well be able to ask it.
        """
        if self._age > 2 * _RENEWAL:
            self.renew()
        end, told = self.cluster.clock() + self.cluster.patience, False
        while not self._lost and self._age > _DEADLINE:
            if self.cluster.clock() >= end:
                raise Lost(
                    f"the lease {SYSTEM}/{NAME} could not be renewed for {self._age:.0f} s ({self._why}), so that "
                    "another run may have it; see homelab health, and run it again to go on"
                )
            if not told:
                self.told(f"waiting to renew the lease {SYSTEM}/{NAME}: {self._why}")
                told = True
            self.cluster.sleep(_PAUSE)
            self.renew()
        if self._lost:
            raise Lost(self._lost)

    @property
    def _age(self) -> float:
        """Seconds since the last renewal was begun."""
        return self.clock() - self._renewed

    def renew(self) -> None:
        """Renew it, or note that it is another's, or why it could not be: `confirm` looks at how long that has been."""
        with self._lock:
            try:
                self._why = self._renew()
            except ClusterError as error:
                self._why = str(error)
            except Exception as error:  # noqa: BLE001 - the thread that renews has nobody to tell, and goes on trying
                self._why = repr(error)

    def _renew(self) -> str:
        """Why it could not be renewed; "" when it was, or is lost."""
        asked = self.clock()
        found = self.cluster.once.answer("GET", _LEASE)
        if found.status == 404:
            self._lost = f"somebody has deleted the lease {SYSTEM}/{NAME}; run it again to go on"
            return ""
        if not found.ok:
            return found.said
        if _holder(found.body) != self.holder:
            self._lost = (
                f"while this machine did not answer, the lease {SYSTEM}/{NAME} was taken "
                f"{_by(found.body.get('spec') or {})}; that run goes on where this one was"
            )
            return ""
        version = found.body["metadata"]["resourceVersion"]
        done = self.cluster.once.answer("PATCH", _LEASE, _held_to(version, {"renewTime": _now()}), MERGE)
        if done.ok:
            self._renewed = asked
        return "" if done.ok else done.said

    def release(self) -> None:
        """Let others have it at once. What cannot be reached any more, they have when it has run out."""
        with self._lock, suppress(ClusterError):
            found = self.cluster.once.answer("GET", _LEASE)
            if found.ok and _holder(found.body) == self.holder:
                known = {"resourceVersion": found.body["metadata"]["resourceVersion"]}
                options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": known}
                self.cluster.once.answer("DELETE", _LEASE, options)

    def _made(self) -> dict[str, Any]:
        now = _now()
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": NAME, "namespace": SYSTEM},
            "spec": {
                "holderIdentity": self.holder,
                "leaseDurationSeconds": DURATION,
                "acquireTime": now,
                "renewTime": now,
            },
        }


def _refused(what: str, reply: Reply) -> ClusterError:
    remedy = "see homelab health, and that this kubeconfig's user may"
    return ClusterError(f"the lease {SYSTEM}/{NAME} cannot be {what}: {reply.said}; {remedy}")


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _held_to(version: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """A change of what was read, and of nothing newer."""
    return {"metadata": {"resourceVersion": version}, "spec": spec}


def _holder(lease: Mapping[str, Any]) -> str:
    return str((lease.get("spec") or {}).get("holderIdentity") or "")


def _by(spec: Mapping[str, Any]) -> str:
    who = str(spec.get("holderIdentity") or "nobody that it names")
    since = str(spec.get("acquireTime") or "")[:16].replace("T", " ")
    return f"by {who.rpartition('_')[0] or who}" + (f" since {since} UTC" if since else "")
