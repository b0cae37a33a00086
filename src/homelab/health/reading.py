"""Reading a cluster: each list once, page by page, in parallel, within one deadline, whatever the API does."""

from __future__ import annotations

import gc
import json
import queue
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from homelab import certificates
from homelab.api import (
    Answer,
    ClusterUnreachable,
    Connection,
    Deadline,
    ReadFailed,
    Unconnected,
    connect,
    patiently,
)
from homelab.health import pages, slim
from homelab.health.codes import needed
from homelab.health.kinds import KINDS, Kind
from homelab.health.objects import Node, Object, Usage
from homelab.health.shape import dig, mapping, median, objects, text
from homelab.health.snapshot import (
    APIS,
    CLIENT,
    CLOCK,
    LATENCY,
    READYZ,
    SERVING,
    USAGE,
    VERSION,
    Api,
    Snapshot,
    Source,
    State,
    ordered,
    usages,
)

T = TypeVar("T")

PAGE = 500  # kubectl's own
_WORKERS = 6
_SAMPLES = 5
_DISCOVERY = 3.0  # seconds to wait for what the cluster serves, before each kind is tried without knowing
_KUBELET = 5.0  # seconds that a kubelet has to say how full its volumes are
_PAUSE = 1.0  # before a question is put again, when the API does not say how long


class _Refused(Exception):
    """An answer that is not the list: what became of the read, and why."""

    def __init__(self, state: State, why: str) -> None:
        super().__init__(why)
        self.state = state


class _Expired(Exception):
    """The token of the next page was too old."""


def read_snapshot(
    kubeconfig: str | None = None,
    context: str | None = None,
    *,
    namespace: str = "",
    timeout: float = 30.0,
    kinds: Iterable[str] | None = None,
    usage: bool = True,
    server: str | None = None,
) -> Snapshot:
    """What can be read of a cluster within `timeout` seconds.

    `kubeconfig`, `context` and the environment are taken as kubectl takes them; in a pod, its service account.
    `namespace` limits what is namespaced to one. `kinds` are the plural names to read, by default what the checks need;
    with `usage` the kubelet of each of the nodes among them is asked how full its volumes are, by way of the API.
    `server` is the URL to ask instead of the context's.
    The nodes that ought to be there are told afterwards: `Snapshot.expecting`.

    A read that is forbidden, not served, cut or late is told in the snapshot's `sources`. Raise ClusterUnreachable,
    with one line, when there is no cluster to talk to: no kubeconfig, no connection, no trust, no valid credentials.
    """
    deadline = Deadline(timeout)
    # A plugin that is to give credentials can hang like a server.
    connection = _in_time(lambda: connect(kubeconfig, context, server), deadline)
    if connection is None:
        raise ClusterUnreachable(f"kubeconfig: no credentials within {timeout:g} s; run its plugin by hand")
    try:
        with _collector_paused():
            reading = _Reading(connection, deadline, namespace)
            reading.hello()
            wanted = needed() if kinds is None else frozenset(kinds)
            reading.all([kind for kind in KINDS if kind.name in wanted], usage=usage)
            return reading.snapshot()
    finally:
        connection.close()


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Parsing makes millions of objects and no cycles; the collector would walk them again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _in_time(act: Callable[[], T], deadline: Deadline) -> T | None:
    """What a function gives or raises; None when it has not come back by the deadline. Its thread is left behind."""
    came: list[T] = []
    stopped: list[ClusterUnreachable] = []

    def run() -> None:
        try:
            came.append(act())
        except ClusterUnreachable as error:
            stopped.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(deadline.left)
    if stopped:
        raise stopped[0]
    return came[0] if came else None


@dataclass
class _Reading:
    """One reading of one cluster. Its workers write each to its own place; `_late` ends what they may still write.

    They are daemons: a server that trickles a header holds its thread, and must hold neither us nor our exit.
    """

    connection: Connection
    deadline: Deadline
    namespace: str
    groups: frozenset[str] | None = None
    skew: timedelta | None = None
    fastest: float | None = None  # seconds that the answer took which told the clock
    lists: dict[str, tuple[Object, ...]] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)
    _parsing: threading.Lock = field(default_factory=threading.Lock)
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _late: bool = False

    def now(self, at: datetime | None = None) -> datetime:
        """The cluster's time at a moment of ours."""
        return (at or datetime.now(UTC)) + (self.skew or timedelta())

    # -- the first words ------------------------------------------------------------------------------------------

    def hello(self) -> None:
        """The first answers: that there is an API, that it knows us, its clock and version, and how fast it is.

        Raise ClusterUnreachable when there is nobody to talk to.
        """
        if not _in_time(self._greet, self.deadline) and VERSION not in self.sources:
            raise self._silent()

    @property
    def _where(self) -> str:
        return f"{self.connection.url} ({self.connection.place})"

    def _silent(self) -> ClusterUnreachable:
        return ClusterUnreachable(
            f"{self._where}: takes connections but does not answer within {self.deadline.seconds:g} s;"
            " see on a server: systemctl status k3s"
        )

    def _greet(self) -> bool:
        where = self._where
        elapsed: list[float] = []
        for _ in range(_SAMPLES):
            try:
                answer = self._ask(VERSION)
            except Unconnected as error:
                raise ClusterUnreachable(f"{where}: {error.told}") from None
            except ReadFailed as error:
                if error.late and not elapsed:
                    raise self._silent() from None
                self.sources.setdefault(VERSION, Source(VERSION, State.FAILED, str(error)))
                break
            if answer.status == 401:
                raise ClusterUnreachable(f"{where}: we are not let in; {self.connection.credentials}")
            if answer.status == 400 and b"HTTP request to an HTTPS server" in answer.body:
                raise ClusterUnreachable(f"{where}: the API speaks TLS; write https:// for the server")
            self._clock(answer)
            self._serving(answer)
            elapsed.append(answer.elapsed)
            self._version(answer)
            # A slow API is known for slow after three answers.
            if len(elapsed) >= 3 and sum(elapsed) > 3:
                break
        if elapsed:
            # The first one had to connect.
            self.found[LATENCY] = timedelta(seconds=median(elapsed[1:] or elapsed))
            self.sources[LATENCY] = Source(LATENCY, State.READ)
        else:
            self.sources[LATENCY] = Source(LATENCY, State.FAILED, self.sources[VERSION].why)
        self._client()
        if self.skew is None:
            self.sources[CLOCK] = Source(CLOCK, State.NOT_SERVED, "the API's answers carry no Date")
        return True

    def _clock(self, answer: Answer) -> None:
        if answer.date is None or (self.fastest is not None and answer.elapsed >= self.fastest):
            return
        # The header's seconds are cut off, so half of one is the best guess. It was written at some moment of the time
        # that the answer took: what that explains is no difference.
        half = timedelta(seconds=answer.elapsed / 2)
        ahead = answer.date + timedelta(seconds=0.5) - (answer.received - half)
        self.skew = ahead - min(max(ahead, -half), half)
        self.fastest = answer.elapsed
        self.sources[CLOCK] = Source(CLOCK, State.READ)

    def _serving(self, answer: Answer) -> None:
        if SERVING in self.sources:
            return
        found = certificates.validity_der(answer.certificate) if answer.certificate else None
        why = "it cannot be read" if answer.certificate else "the API is not reached by TLS"
        self._certificate(SERVING, found, why)

    def _client(self) -> None:
        why = "it cannot be read" if self.connection.shows_certificate else "we show none"
        self._certificate(CLIENT, self.connection.client_certificate_validity, why)

    def _certificate(self, name: str, found: tuple[datetime, datetime] | None, why: str) -> None:
        self.found[name] = found
        self.sources[name] = Source(name, State.READ) if found else Source(name, State.NOT_SERVED, why)

    def _version(self, answer: Answer) -> None:
        if VERSION in self.sources:
            return
        try:
            self.found[VERSION] = text(mapping(_parsed(self._accepted(answer))).get("gitVersion"))
            self.sources[VERSION] = Source(VERSION, State.READ)
        except _Refused as error:
            self.sources[VERSION] = Source(VERSION, error.state, str(error))
        except ReadFailed as error:
            self.sources[VERSION] = Source(VERSION, State.FAILED, str(error))

    # -- everything else ------------------------------------------------------------------------------------------

    def all(self, kinds: list[Kind], *, usage: bool) -> None:
        """Read the kinds and the probes, several at a time, then ask the kubelets; what is not there at the deadline is
        late."""
        discovered = threading.Event()
        tasks: list[tuple[str, Callable[[], None]]] = [(APIS, lambda: self._discover(discovered))]
        tasks += [(READYZ, self._readyz)]
        tasks += [(kind.name, lambda kind=kind: self._kind(kind, discovered)) for kind in kinds]  # type: ignore[misc]
        self._at_once(act for _, act in tasks)
        if usage:
            self._usage()
        with self._writing:
            self._late = True
            for name, _ in tasks:
                self.sources.setdefault(name, Source(name, State.FAILED, str(self.deadline.late)))

    def _at_once(self, tasks: Iterable[Callable[[], None]]) -> None:
        waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        for task in tasks:
            waiting.put(task)
        workers = [threading.Thread(target=self._work, args=(waiting,), daemon=True) for _ in range(_WORKERS)]
        for worker in workers:
            waiting.put(None)
            worker.start()
        for worker in workers:
            worker.join(self.deadline.left)

    def _work(self, waiting: queue.SimpleQueue[Callable[[], None] | None]) -> None:
        while task := waiting.get():
            task()

    def _usage(self) -> None:
        """Ask each kubelet that is at work how full its volumes are. One that does not answer soon is left out: that it
        is in trouble its lease tells."""
        with self._writing:
            nodes = [node for node in self.lists.get("nodes", ()) if isinstance(node, Node)]
        names = [node.name for node in nodes if (ready := node.conditions.get("Ready")) and ready.status == "True"]
        told: dict[str, list[Usage]] = {}
        refused: dict[str, _Refused | ReadFailed] = {}

        def ask(name: str) -> None:
            deadline = Deadline(min(_KUBELET, self.deadline.left))
            try:
                answer = self.connection.get(f"/api/v1/nodes/{quote(name, safe='')}/proxy/stats/summary", deadline)
                told[name] = slim.usages(name, mapping(_parsed(self._accepted(answer))))
            except (_Refused, ReadFailed) as error:
                refused[name] = error

        self._at_once(partial(ask, name) for name in names)
        answered, failed = dict(told), dict(refused)
        if answered:
            self._told(Source(USAGE, State.READ), usages=usages(each for found in answered.values() for each in found))
        elif any(isinstance(each, _Refused) and each.state is State.FORBIDDEN for each in failed.values()):
            # Our own role is without it on purpose, so that is nothing to be told of at each look.
            self._told(Source(USAGE, State.NOT_SERVED, "we may not get nodes/proxy, which lets do more than read"))
        else:
            why = next((str(failed[name]) for name in names if name in failed), "no kubelet has answered")
            self._told(Source(USAGE, State.NOT_SERVED, why))

    def _told(self, source: Source, items: tuple[Object, ...] | None = None, **found: object) -> None:
        with self._writing:
            if not self._late:
                self.sources[source.name] = source
                self.found.update(found)
                if items is not None:
                    self.lists[source.name] = items

    def _discover(self, discovered: threading.Event) -> None:
        try:
            answer = self._accepted(self._ask(APIS))
            listed = objects(dig(_parsed(answer), "groups"))
            self.groups = frozenset(
                text(each.get("groupVersion")) for group in listed for each in objects(group.get("versions"))
            )
            self._told(Source(APIS, State.READ))
        except _Refused as error:
            # Then each version of each kind is asked for; what is not served answers 404.
            self._told(Source(APIS, error.state, str(error)))
        except ReadFailed as error:
            self._told(Source(APIS, State.FAILED, str(error)))
        finally:
            discovered.set()

    def _readyz(self) -> None:
        try:
            answer = self._ask(READYZ, query="verbose")
            # 500 is its way to say no, 503 while it shuts down; anything else is no word on it.
            if answer.status in (200, 500, 503):
                body = answer.body.decode("utf-8", "replace")
                unready = tuple(line.strip()[3:] for line in body.splitlines() if line.startswith("[-]"))
                self._told(Source(READYZ, State.READ), ready=answer.status == 200, unready=unready)
            else:
                self._accepted(answer)
                self._told(Source(READYZ, State.FAILED, f"HTTP {answer.status}"))
        except _Refused as error:
            self._told(Source(READYZ, error.state, str(error)))
        except ReadFailed as error:
            self._told(Source(READYZ, State.FAILED, str(error)))

    def _kind(self, kind: Kind, discovered: threading.Event) -> None:
        # When /apis hangs, the lists need not.
        discovered.wait(min(self.deadline.left, _DISCOVERY))
        refused = _Refused(State.NOT_SERVED, "this cluster has no such API")
        for path in kind.paths(self.namespace, self.groups):
            try:
                items, at = self._list(kind, path)
            except _Refused as error:
                refused = error
                if error.state is State.NOT_SERVED:
                    continue
                break
            except ReadFailed as error:
                refused = _Refused(State.FAILED, str(error))
                break
            self._told(Source(kind.name, State.READ, at=at), ordered(items))
            return
        self._told(Source(kind.name, refused.state, str(refused)))

    def _list(self, kind: Kind, path: str) -> tuple[list[Object], datetime]:
        for _ in range(3):
            try:
                return self._pages(kind, path)
            except _Expired:
                continue
        raise ReadFailed("it changes faster than it can be read: three times a page had expired")

    def _pages(self, kind: Kind, path: str) -> tuple[list[Object], datetime]:
        found: list[Object] = []
        token, at = "", None
        while True:
            query = "&".join(
                part for part in (f"limit={PAGE}", kind.query, token and f"continue={quote(token, safe='')}") if part
            )
            answer = self._ask(path, query)
            if answer.status == 410 and token:
                raise _Expired
            if kind.aggregated and answer.status == 503:
                raise _Refused(State.NOT_SERVED, "the server behind this API does not answer")
            at = at or self.now(answer.received - timedelta(seconds=answer.elapsed / 2))
            body = self._accepted(answer).body
            del answer
            # One at a time: threads gain nothing in parsing, and together they would take several times the memory.
            with self._parsing:
                items, token = _page(body, kind)
            found += items
            if not token:
                return found, at

    # -- one question ---------------------------------------------------------------------------------------------

    def _ask(self, path: str, query: str = "") -> Answer:
        return patiently(lambda: self.connection.get(path, self.deadline, query), self.deadline, _PAUSE)

    def _accepted(self, answer: Answer) -> Answer:
        """The answer if it is one. Raise what it is else: a refusal, or a failure."""
        if answer.status == 200:
            return answer
        said = message(answer.body)
        if answer.status == 403:
            raise _Refused(State.FORBIDDEN, said or "we may not read it")
        if answer.status == 404:
            raise _Refused(State.NOT_SERVED, "this cluster has no such API")
        raise ReadFailed(f"HTTP {answer.status}{': ' if said else ''}{said}")

    def snapshot(self) -> Snapshot:
        found: Mapping[str, Any] = self.found
        serving, client = found.get(SERVING), found.get(CLIENT)
        api = Api(
            url=self.connection.url,
            context=self.connection.context,
            version=found.get(VERSION, ""),
            ready=found.get("ready", True),
            unready=found.get("unready", ()),
            latency=found.get(LATENCY),
            skew=self.skew,
            serving_end=serving[1] if serving else None,
            client_end=client[1] if client else None,
            serving_life=serving[1] - serving[0] if serving else None,
            client_life=client[1] - client[0] if client else None,
        )
        lists, sources = dict(self.lists), dict(self.sources)
        return Snapshot(self.now(), lists, sources, api, self.namespace, usages=found.get("usages", ()))


def _page(body: bytes, kind: Kind) -> tuple[list[Object], str]:
    try:
        return pages.parse(body, kind.slim, kind.wanted)
    except pages.NoList:
        raise ReadFailed("the answer is no list of objects") from None
    except (ValueError, RecursionError):
        raise ReadFailed("the answer is not JSON") from None


def _parsed(answer: Answer) -> object:
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        raise ReadFailed("the answer is not JSON") from None


def message(body: bytes) -> str:
    """What a Status says, without the name of whoever asked."""
    try:
        said = text(mapping(json.loads(body)).get("message"))
    except (ValueError, RecursionError):
        return ""
    said = re.sub(r'User "[^"]*" ', "", " ".join(said.split()))
    return said[:200]
