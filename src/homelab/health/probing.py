"""`--deep`: objects are made in the cluster, looked at, and removed. The only file of health that writes to an API.

All that a run makes is in one namespace of its own, which is removed however the run ends; what a run has left that was
killed is removed by a later one, once that run's own end is past. What is made, and what it means, is in `probes.py`.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from homelab.api import Answer, Connection, Deadline, ReadFailed, connect, patiently
from homelab.health import manifests, metrics, probes, slim
from homelab.health.checks.services import DNS
from homelab.health.codes import CODES, DEEP_CODES
from homelab.health.kinds import BY_NAME
from homelab.health.metrics import Writes
from homelab.health.objects import EndpointSlice
from homelab.health.probed import Probed, Written
from homelab.health.probes import Plan, World
from homelab.health.reading import message
from homelab.health.shape import Json, dig, mapping, objects, text, when
from homelab.health.snapshot import BY_PODS, WRITE_PROBES, Snapshot, Source, State

TIMEOUT = 180.0
_CLEANING = 90.0  # seconds, from the end of probing on
_TELLING = 5.0  # for the events, which are wanted most when time is up, and for DNS
_PATIENCE = 10.0  # for one look: a connection that is dead is not to take all the time that there is
_PART = 1 / 4  # of the time that is left, for a request about which webhooks are asked
_MARGIN = timedelta(seconds=60)  # between the last moment of a run and when it counts for dead
_ACCOUNT = 30.0  # for the service account of a new namespace
_SETTLING = 10.0  # until what was asked for, and was not answered, is there if it ever is
_POLL = 1.0
_WINDOW = 30.0  # for which the API server's writes are counted at least
_FAILURES = 5  # looks on end that may come to nothing
_TRIES = 3  # to make an object, when the API fails at it

_KINDS = {"Pod": "pods", "Service": "services", "PersistentVolumeClaim": "persistentvolumeclaims"}
# As the admission plugin ServiceAccount says it, of old and of new versions.
_NO_ACCOUNT = "error looking up service account"
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_SPACES = "/api/v1/namespaces"

Tell = Callable[[str], None]


class _Refused(Exception):
    """The API would not do something: what became of it, and why."""

    def __init__(self, state: State, why: str) -> None:
        super().__init__(why)
        self.state = state


def probe(
    snapshot: Snapshot,
    kubeconfig: str | None = None,
    context: str | None = None,
    *,
    image: str = manifests.IMAGE,
    timeout: float = TIMEOUT,
    codes: Iterable[str] = DEEP_CODES,
    tell: Tell = lambda line: None,
    poll: float = _POLL,
) -> Snapshot:
    """The snapshot with what trying out came to, for the checks of `codes`, within `timeout` seconds and up to 90 more
    for cleaning up.

    The cluster is that of `read_snapshot`'s arguments, and the snapshot one of all namespaces. `image` has to bring
    BusyBox. `tell` is given a line about what is left behind, and when it is interrupted.

    Whatever could not be tried out is told in the snapshot's `sources`. Raise ClusterUnreachable when there is no
    cluster to talk to, and whatever interrupts it, KeyboardInterrupt say, after the namespace was removed.
    """
    codes = frozenset(codes)
    connection = connect(kubeconfig, context)
    try:
        return _Run(connection, snapshot, image, timeout, codes, tell, poll).snapshot_after()
    finally:
        connection.close()


@dataclass
class _Run:
    connection: Connection
    before: Snapshot
    image: str
    timeout: float
    codes: frozenset[str]
    tell: Tell
    poll: float
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    refused: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    answered: bool = True  # what was asked for the namespace
    running: dict[str, datetime] = field(default_factory=dict)  # when a pod was first seen to

    def __post_init__(self) -> None:
        self.deadline = Deadline(self.timeout)
        self.name = manifests.name(self.run)

    @property
    def now(self) -> datetime:
        """The cluster's time."""
        return datetime.now(UTC) + (self.before.api.skew or timedelta())

    def snapshot_after(self) -> Snapshot:
        """The snapshot with what was found out."""
        begun = time.monotonic()
        before = self._writes() if any(WRITE_PROBES in CODES[code].needs for code in self.codes) else None
        found, sources = self._by_pods()
        if before is not None:
            written, sources[WRITE_PROBES] = self._written(before, begun)
            found = replace(found, written=written)
        at, sources = self.before, probes.told_once(sources)
        return replace(at, probed=found, sources={**at.sources, **sources}, notes=(*at.notes, *self.notes))

    def _writes(self) -> Writes | Source:
        """What the API server has written so far, or why that is not known."""
        try:
            patience = Deadline(_PATIENCE)
            answer = patiently(
                lambda: self.connection.lines(metrics.PATH, patience, metrics.WANTED), patience, self.poll
            )
            if answer.status not in (200, 404):
                raise _refusal(answer, f"HTTP {answer.status}")
        except _Refused as error:
            return Source(WRITE_PROBES, error.state, str(error))
        except ReadFailed as error:
            return Source(WRITE_PROBES, State.FAILED, str(error))
        return metrics.writes(answer.body) or _untold("the API server does not tell how long they take")

    def _written(self, before: Writes | Source, begun: float) -> tuple[Written | None, Source]:
        """What it has written since then, for long enough."""
        if isinstance(before, Source):
            return None, before
        time.sleep(max(0.0, min(begun + _WINDOW - time.monotonic(), self.deadline.left)))
        after = self._writes()
        if isinstance(after, Source):
            return None, after
        written = metrics.between(before, after)
        if written is None:
            return None, _untold("at the end another API server answered, or the same one had started anew")
        if not written.count:
            return None, _untold("it wrote nothing meanwhile")
        return written, Source(WRITE_PROBES, State.READ)

    def _by_pods(self) -> tuple[Probed, dict[str, Source]]:
        """What pods find out."""
        plan, sources, notes = probes.plan(self.before, self.run, self.image, int(self.timeout), self.codes)
        self.notes += notes
        found = Probed()
        if not plan.empty:
            try:
                self._allowed()
                self._reap()
                found, more = self._try_out(plan)
                sources |= more
            except _Refused as error:
                sources = self._none(error.state, str(error)) | sources
            except ReadFailed as error:
                sources = self._none(State.FAILED, str(error)) | sources
        return found, sources

    def _none(self, state: State, why: str) -> dict[str, Source]:
        wanted = {name for code in self.codes for name in CODES[code].needs if name in BY_PODS}
        return {name: Source(name, state, why) for name in wanted}

    # -- the run --------------------------------------------------------------------------------------------------

    def _try_out(self, plan: Plan) -> tuple[Probed, dict[str, Source]]:
        with self._namespace():
            world = self._watch(plan)
            if plan.dns:
                world = replace(world, gone=self._gone(plan.dns))
            if plan.asking:
                world = replace(world, policies=self._policies())
            events: list[probes.Event] = []
            # They only say why, so the rest is told without them.
            with suppress(_Refused, ReadFailed):
                path = f"{_SPACES}/{self.name}/events"
                events = [probes.event(each) for each in self._items(path, "", Deadline(_TELLING))]
            return probes.outcome(plan, world, events)

    @contextmanager
    def _namespace(self) -> Iterator[None]:
        """A namespace for the run, gone afterwards. Raise _Refused or ReadFailed when there can be none."""
        until = self.now + timedelta(seconds=self.timeout + _CLEANING) + _MARGIN
        try:
            self._create_namespace(until)
            yield
        except (KeyboardInterrupt, SystemExit):
            self.tell(f"interrupted; namespace {self.name} is being removed")
            raise
        finally:
            self._remove()

    def _create_namespace(self, until: datetime) -> None:
        """Make it. Whether it was made is not known when the answer does not come: then it is looked for."""
        self.answered = False
        try:
            self._create(_SPACES, manifests.namespace(self.run, until))
        except _Refused:
            self.answered = True
            raise
        except ReadFailed:
            if not self._there(_SPACES, self.name, self._mine):
                raise
        self.answered = True

    def _watch(self, plan: Plan) -> World:
        """Make what the plan asks for until it has all, or time is up; the last look."""
        for each in plan.first():
            self._make(each)
        world, failed = World(), 0
        while self.deadline.left:
            try:
                world, failed = self._look(), 0
            except (_Refused, ReadFailed):
                failed += 1
                # A server that changes its leader is back soon; at the deadline the last look is what there is.
                if self.deadline.left and failed == _FAILURES:
                    raise
                time.sleep(min(self.poll, self.deadline.left))
                continue
            for each in plan.next(world, hurry=self.deadline.left < self.timeout / 2):
                self._make(each)
            if plan.done(replace(world, refused=dict(self.refused))):
                break
            time.sleep(min(self.poll, self.deadline.left))
        return replace(world, refused=dict(self.refused))

    def _look(self) -> World:
        at = self.now
        pods = [probes.pod(each) for each in self._list("pods")]
        for each in pods:
            if each.begun:
                self.running.setdefault(each.name, self.now)
        pods = [replace(each, since=self.running.get(each.name)) for each in pods]
        services = {_name(each): text(dig(each, "spec", "clusterIP")) for each in self._list("services")}
        return World({each.name: each for each in pods}, services, dict(self.refused), at)

    def _gone(self, addresses: Iterable[str]) -> dict[str, str]:
        """Those addresses of DNS that no ready pod of it has now, or of which nobody tells, with why."""
        try:
            ready = {each.address for each in probes.resolvers(self._slices(Deadline(_TELLING)))}
        except (_Refused, ReadFailed) as error:
            return dict.fromkeys(addresses, f"whether DNS still has this address is not told: {error}")
        return {each: "no ready pod of DNS has this address any more" for each in addresses if each not in ready}

    def _policies(self) -> tuple[str, ...]:
        """The NetworkPolicies that are in our namespace, as far as we are told of them: we make none."""
        path = BY_NAME["networkpolicies"].paths(self.name, None)[0]
        with suppress(_Refused, ReadFailed):
            return tuple(sorted(map(_name, self._items(path, "", Deadline(_TELLING)))))
        return ()

    def _slices(self, deadline: Deadline) -> list[EndpointSlice]:
        """Those of the namespace of DNS, from wherever the cluster has them."""
        for path in BY_NAME["endpointslices"].paths(DNS.namespace, None):
            answer = self._ask("GET", path, deadline)
            if answer.status == 200:
                return [slim.endpoint_slice(each) for each in objects(_json(answer).get("items"))]
            if answer.status != 404:
                raise _refusal(answer, f"HTTP {answer.status}")
        return []

    def _make(self, manifest: Json) -> None:
        """Make an object, or remember why the API would not have it."""
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        path = f"{_SPACES}/{self.name}/{_KINDS[kind]}"
        try:
            self._create(path, manifest)
        except (_Refused, ReadFailed) as error:
            if isinstance(error, _Refused) or not self._there(path, name):
                self.refused[f"{kind}/{name}"] = f"{kind} {name}: {error}"

    # -- before and after -----------------------------------------------------------------------------------------

    def _allowed(self) -> None:
        """That we may make all we need and remove it again. Raise _Refused: a right that is lacking in the middle
        would leave things behind."""
        for verb, resource in manifests.RIGHTS:
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": {"verb": verb, "group": "", "resource": resource}},
            }
            answer = self._ask("POST", _REVIEWS, self._share, review)
            if answer.status not in (200, 201):
                raise _refusal(answer, "what we may do is not told")
            if dig(_json(answer), "status", "allowed") is not True:
                raise _Refused(State.FORBIDDEN, f"we may not {verb} {resource}; see homelab health role --deep")

    def _reap(self) -> None:
        """Remove what dead runs have left: our label and name, and an end that is past. What tells no end stays."""
        for each in self._items(_SPACES, _labelled(manifests.RUN), self._share):
            name, meta = _name(each), mapping(each.get("metadata"))
            if meta.get("deletionTimestamp") or name != manifests.name(text(dig(meta, "labels", manifests.RUN))):
                continue
            end = when(dig(meta, "annotations", manifests.UNTIL))
            if end is None:
                self.notes.append(f"namespace {name} has our label and no end; kubectl delete namespace {name}")
            elif end < self.now:
                answer = self._delete(name, text(meta.get("uid")), self._share)
                done = "was removed" if answer.status in _GONE else f"could not be removed: {_said(answer)}"
                self.notes.append(f"namespace {name}, which a run before this one has left, {done}")

    def _remove(self) -> None:
        """Remove the run's own namespace, and wait until it is gone; tell when it is not."""
        try:
            left = self._left()
        except KeyboardInterrupt:
            # Somebody is in more of a hurry than that.
            self.tell(f"namespace {self.name} may be left; the next --deep removes it, or: {self._by_hand}")
            raise
        if left:
            self.notes.append(left)
            self.tell(left)

    @property
    def _by_hand(self) -> str:
        return f"kubectl delete namespace {self.name}"

    def _left(self) -> str:
        """What there is to say of a namespace that did not go; "" when it has."""
        cleaning, why, asked = Deadline(_CLEANING), "", False
        settling = Deadline(0 if self.answered else min(_SETTLING, cleaning.left))
        while cleaning.left:
            try:
                mine = self._items(_SPACES, self._mine, _soon(cleaning))
                if not mine and (asked or not settling.left):
                    return ""
                if mine and not asked:
                    answer = self._delete(self.name, text(dig(mine[0], "metadata", "uid")), _soon(cleaning))
                    asked = answer.status in _GONE
                    why = "" if asked else _said(answer)
            except (_Refused, ReadFailed) as error:
                why = why if why and not cleaning.left else str(error)
            time.sleep(min(self.poll, cleaning.left))
        if asked:
            return (
                f"namespace {self.name} was deleted and is not gone yet; see kubectl get namespace {self.name} -o yaml"
            )
        return f"namespace {self.name} is left behind: {why}; {self._by_hand}"

    # -- questions ------------------------------------------------------------------------------------------------

    @property
    def _mine(self) -> str:
        """The query for what this run has made, and nobody else."""
        return _labelled(f"{manifests.RUN}={self.run}")

    @property
    def _share(self) -> Deadline:
        """For one of several requests that each may take a while, since webhooks are asked about it: never all the
        time that there is."""
        return Deadline(min(self.deadline.left, max(_PATIENCE, self.deadline.left * _PART)))

    def _list(self, resource: str) -> list[Json]:
        return self._items(f"{_SPACES}/{self.name}/{resource}", "", _soon(self.deadline))

    def _there(self, path: str, name: str, query: str = "") -> bool:
        """Whether an object is there of which no answer told; one that cannot be looked up counts as not made, and is
        removed with its namespace nevertheless."""
        with suppress(_Refused, ReadFailed):
            return name in map(_name, self._items(path, query, _soon(self.deadline)))
        return False

    def _items(self, path: str, query: str, deadline: Deadline) -> list[Json]:
        answer = self._ask("GET", path, deadline, None, query)
        if answer.status != 200:
            raise _refusal(answer, f"HTTP {answer.status}")
        return objects(_json(answer).get("items"))

    def _delete(self, name: str, uid: str, deadline: Deadline) -> Answer:
        """Delete a namespace, if it still is the one that we saw."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        return self._ask("DELETE", f"{_SPACES}/{name}", deadline, options)

    def _create(self, path: str, manifest: Json) -> None:
        """Make an object. Raise _Refused, or ReadFailed when nobody tells whether it was made."""
        account, share, tries = Deadline(min(_ACCOUNT, self.deadline.left)), self._share, _TRIES
        while True:
            answer = self._ask("POST", path, share, manifest)
            # Names are the run's own: what is there already was made by a try whose answer was lost.
            if answer.status in (200, 201, 202, 409):
                return
            # A namespace gets its service account a moment after it is there, and a pod cannot be without.
            waited = answer.status == 403 and _NO_ACCOUNT in _said(answer) and account.left > self.poll
            # A server that fails while it writes may have written.
            failed = answer.status >= 500
            tries -= failed
            if not waited and not (failed and tries and share.left > self.poll):
                raise ReadFailed(_said(answer)) if failed else _refusal(answer, f"HTTP {answer.status}")
            time.sleep(self.poll)
            share = self._share if waited else share

    def _ask(
        self, method: str, path: str, deadline: Deadline, body: Mapping[str, Any] | None = None, query: str = ""
    ) -> Answer:
        def once() -> Answer:
            if body is None:
                return self.connection.get(path, deadline, query)
            return self.connection.send(method, path, body, deadline)

        return patiently(once, deadline, self.poll)


def _untold(why: str) -> Source:
    return Source(WRITE_PROBES, State.NOT_SERVED, why)


def _labelled(selector: str) -> str:
    return f"labelSelector={quote(selector, safe='')}"


def _name(item: Json) -> str:
    return text(dig(item, "metadata", "name"))


def _soon(deadline: Deadline) -> Deadline:
    """For one question of many."""
    return Deadline(min(_PATIENCE, deadline.left))


# It was taken, is gone already, or is on its way out.
_GONE = (200, 202, 404, 409)


def _refusal(answer: Answer, otherwise: str) -> _Refused:
    said = _said(answer) or otherwise
    # A right that is missing; what a policy of the cluster refuses is told with the same number.
    lacking = answer.status == 403 and "cannot " in said
    return _Refused(State.FORBIDDEN if lacking else State.FAILED, said)


def _said(answer: Answer) -> str:
    return message(answer.body) or f"HTTP {answer.status}"


def _json(answer: Answer) -> Json:
    try:
        return mapping(json.loads(answer.body))
    except (ValueError, RecursionError):
        raise ReadFailed("the answer is not JSON") from None
