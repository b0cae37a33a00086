"""`homelab health`: read, judge, print; the exit code comes back."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from homelab.health import expected, settings, text
from homelab.health.checks import ALL_CHECKS
from homelab.health.codes import CODES, DEEP_CODES
from homelab.health.output import NoOutput, ReaderGone, printing, prove, write
from homelab.health.report import COULD_NOT_CHECK, FailedRead, Look, Report, Severity
from homelab.health.run import run_checks
from homelab.health.selection import WrongSelection, choose, kinds_of
from homelab.health.settings import Settings
from homelab.health.snapshot import USAGE, Expected, Snapshot
from homelab.health.suppression import Suppression
from homelab.progress import tell
from homelab.signals import as_interrupts

_EVERY = 5.0  # seconds between two looks when nobody says


class _Stop(Exception):
    """Nothing can be checked: the lines that say why."""


def run(
    *,
    kubeconfig: str | None,
    context: str | None,
    namespace: str,
    timeout: float,
    format: str,
    verbose: bool,
    fail_on: str,
    inventory: str | None,
    only: Iterable[str] = (),
    skip: Iterable[str] = (),
    severity: str | None = None,
    settings: Path | None = None,
    suppress: Iterable[str] = (),
    output: Path | None = None,
    watch: float | None = None,
    hold: timedelta | None = None,
    within: timedelta = timedelta(minutes=10),
    deep: bool = False,
    deep_image: str | None = None,
    deep_timeout: float | None = None,
) -> int:
    """Check a cluster, print the report to stdout or to a file and return its exit code.

    What stops it goes to stderr, as 3, and to programs as a report of that alone. With `watch` it looks again every so
    many seconds until Ctrl-C; with `hold` until it has been well for so long, or for no longer than `within`. With
    `deep` things are tried out in the cluster as well, by pods of `deep_image` and within `deep_timeout` seconds.
    """
    show = _Show(format, verbose, Severity[fail_on.upper()], Severity[severity.upper()] if severity else None)
    try:
        show = replace(show, output=prove(output) if output else None)
        _environment()
        wishes = _wishes(only, skip, settings, suppress, deep=deep, image=deep_image, timeout=deep_timeout)
        if deep and namespace:
            raise _Stop(f"--namespace {namespace}: --deep looks at the cluster as a whole; leave one of them out")
        if deep and (watch is not None or hold is not None):
            raise _Stop("--deep makes objects in the cluster at each look; leave --watch and --for out")
        known = _expected(inventory) if inventory is not None else None

        def look() -> Look:
            snapshot = _read(kubeconfig, context, namespace, timeout, wishes.codes)
            if deep:
                snapshot = _try_out(snapshot, kubeconfig, context, wishes)
            return show.seen(wishes.judge(snapshot.expecting(known) if known else _expecting(snapshot)))

        if watch is None and hold is None:
            return show.put(look())
        if watch is not None and format != "text" and not output:
            raise _Stop(f"--watch: --format {format} is one document; add --output FILE, which is written each time")
        return _again(look, show, watch, hold, within)
    except _Stop as stop:
        tell(stop)
        return show.stopped(str(stop))
    except NoOutput as error:
        tell(error)
        return COULD_NOT_CHECK
    except KeyboardInterrupt:
        # Whoever called us reads a 1 as a warning.
        tell("interrupted before all was read; nothing was checked")
        return COULD_NOT_CHECK


@dataclass(frozen=True)
class _Show:
    """How a report is shown, and where."""

    format: str
    verbose: bool
    fail_on: Severity
    severity: Severity | None = None
    output: Path | None = None

    def seen(self, report: Report) -> Look:
        """The report without what is less severe than asked for."""
        report = report.at_least(self.severity) if self.severity else report
        return Look(report, report.exit_for(self.fail_on))

    def put(self, look: Look) -> int:
        """Print a report; its exit code. Raise NoOutput."""
        if self.format == "text" and not self.output and _coloured():
            with suppress(ReaderGone), printing():
                text.print_lines(self.lines(look), text.console())
        else:
            self._put(self._rendered(look.report, look.exit_code))
        return look.exit_code

    def lines(self, look: Look) -> Iterator[tuple[str, str]]:
        return text.lines(look.report, verbose=self.verbose, information=self._information)

    @property
    def _information(self) -> bool:
        return self.severity is Severity.INFO

    def stopped(self, why: str) -> int:
        """To programs, and in the file, what stopped it: what stands there from before may not pass for today's."""
        if self.format == "text" and not self.output:
            return COULD_NOT_CHECK
        if self.format == "nagios":
            from homelab.health.as_nagios import stopped

            said = stopped(why)
        else:
            said = self._rendered(_unreachable(why).report, COULD_NOT_CHECK)
        try:
            self._put(said)
        except NoOutput as error:
            tell(error)
        return COULD_NOT_CHECK

    def _put(self, said: str) -> None:
        if self.output:
            write(self.output, f"{said}\n")
        else:
            with suppress(ReaderGone), printing():
                print(said)  # noqa: T201

    def _rendered(self, report: Report, code: int) -> str:
        # Each is loaded when it is asked for: a start is to be short.
        if self.format == "json":
            from homelab.health.as_json import as_json

            return as_json(report, code)
        if self.format == "yaml":
            from homelab.health.as_yaml import as_yaml

            return as_yaml(report, code)
        if self.format == "nagios":
            from homelab.health.as_nagios import as_nagios

            return as_nagios(report, code, self.fail_on)
        if self.format == "junit":
            from homelab.health.as_junit import as_junit

            return as_junit(report, self.fail_on)
        if self.format == "prometheus":
            from homelab.health.as_prometheus import as_prometheus

            return as_prometheus(report, code)
        return "\n".join(line for _, line in text.lines(report, verbose=self.verbose, information=self._information))


def _coloured() -> bool:
    """Whether colours can be seen. Loading what makes them takes a while, which what reads a pipe can do without."""
    return (sys.stdout is not None and sys.stdout.isatty()) or bool(os.environ.get("FORCE_COLOR"))


def _unreachable(why: str) -> Look:
    """A look at which there was no cluster to talk to."""
    report = Report((), (), unread=(FailedRead("cluster", why),), now=datetime.now(UTC))
    return Look(report, COULD_NOT_CHECK)


def _again(
    look: Callable[[], Look], show: _Show, watch: float | None, hold: timedelta | None, within: timedelta
) -> int:
    """Look again and again; the exit code of the last look. Raise NoOutput."""
    gc.enable()  # which one short run can do without

    from homelab.health import watching
    from homelab.health.teller import Teller

    def another() -> Look:
        try:
            return look()
        except _Stop as stop:
            # A server that restarts is what somebody watches for.
            return _unreachable(str(stop))

    teller = Teller(show.lines, show.put, watch, file=show.output is not None)
    if hold is None:
        assert watch is not None
        # The first look stops at what will not come right by itself: a wrong kubeconfig, say.
        first = [look()]
        return watching.watch(lambda: first.pop() if first else another(), teller.tell, watch, sleep=time.sleep)
    try:
        last = watching.hold(
            another,
            teller.tell,
            hold.total_seconds(),
            within.total_seconds(),
            watch or _EVERY,
            clock=time.monotonic,
            sleep=time.sleep,
        )
    except KeyboardInterrupt:
        return COULD_NOT_CHECK
    return teller.end(last)


@dataclass(frozen=True)
class _Wishes:
    """Which checks run, and what is wanted otherwise of them."""

    codes: frozenset[str]
    settings: Settings
    suppressions: tuple[Suppression, ...] = ()
    image: str | None = None
    timeout: float | None = None

    def judge(self, snapshot: Snapshot) -> Report:
        return run_checks(
            snapshot,
            self.settings.thresholds,
            checks=[(code, check) for code, check in ALL_CHECKS if code in self.codes],
            severities=self.settings.severities,
            suppressions=(*self.suppressions, *self.settings.suppressions),
            notes=[self.settings.said] if self.settings.path else [],
        )


def _wishes(
    only: Iterable[str],
    skip: Iterable[str],
    path: Path | None,
    suppress: Iterable[str],
    *,
    deep: bool,
    image: str | None,
    timeout: float | None,
) -> _Wishes:
    """What flags and settings file say; a flag before the file. Stop with all that is wrong with them."""
    wrong: list[str] = []
    own = Settings()
    try:
        path = path or settings.find()
        own = settings.read(path) if path else own
    except settings.SettingsWrong as error:
        wrong.append(str(error))
    known = []
    for each in suppress:
        try:
            known.append(Suppression.parse(each, place="--suppress"))
        except ValueError as error:
            wrong.append(text.plain(f"--suppress {each}: {error}"))
    try:
        image = settings.image(image) if image is not None else own.image
    except ValueError as error:
        wrong.append(text.plain(f"--deep-image: {error}"))
    codes = frozenset[str]()
    try:
        codes = choose(only, skip, own.off, deep=deep)
    except WrongSelection as error:
        wrong.append(str(error))
    if wrong:
        raise _Stop("\n".join(wrong))
    return _Wishes(codes, own, tuple(known), image, own.timeout if timeout is None else timeout)


def _environment() -> None:
    """Our own variables are right. Loading what judges them takes a while, so only if there are any."""
    if not any(name.startswith("HOMELAB_") for name in os.environ):
        return
    from homelab.settings import Settings, SettingsError

    try:
        Settings.read(os.environ)
    except SettingsError as error:
        raise _Stop(error) from None


def _expected(environment: str) -> Expected:
    try:
        return expected.read(environment, Path.cwd())
    except expected.InventoryUnusable as error:
        raise _Stop(error) from None


def _expecting(snapshot: Snapshot) -> Snapshot:
    """The nodes of the inventory that the context's name tells of. When that cannot be used, the check is skipped."""
    environment = expected.environment(snapshot.api.context)
    if environment is None:
        return snapshot
    try:
        return snapshot.expecting(expected.read(environment, Path.cwd()))
    except expected.InventoryUnusable as error:
        return snapshot.expecting(None, str(error).splitlines()[0])


def _read(
    kubeconfig: str | None, context: str | None, namespace: str, timeout: float, codes: frozenset[str]
) -> Snapshot:
    from homelab.api import ClusterUnreachable
    from homelab.health.reading import read_snapshot

    # Whether a namespace is there at all must be known whatever is checked.
    kinds = kinds_of(codes) | ({"namespaces"} if namespace else frozenset())
    try:
        snapshot = read_snapshot(
            kubeconfig,
            context,
            namespace=namespace,
            timeout=timeout,
            kinds=kinds,
            usage=any(USAGE in CODES[code].needs for code in codes),
        )
    except ClusterUnreachable as error:
        raise _Stop(error) from None
    # An API lists nothing for a namespace that is not there, which would pass for a healthy one.
    if namespace and snapshot.was_read("namespaces") and namespace not in {each.name for each in snapshot.namespaces}:
        raise _Stop(f"--namespace {namespace}: there is no such namespace; see kubectl get namespaces")
    return snapshot


def _try_out(snapshot: Snapshot, kubeconfig: str | None, context: str | None, wishes: _Wishes) -> Snapshot:
    """The snapshot with what trying out came to. What is left behind is told at once: somebody has to remove it."""
    from homelab.api import ClusterUnreachable
    from homelab.health import manifests, probing

    if sys.stderr is not None and sys.stderr.isatty():
        tell("pods are trying things out, which takes about a minute; Ctrl-C removes them")
    try:
        with as_interrupts():
            return probing.probe(
                snapshot,
                kubeconfig,
                context,
                image=wishes.image or manifests.IMAGE,
                timeout=wishes.timeout or probing.TIMEOUT,
                codes=wishes.codes & DEEP_CODES,
                tell=_tell,
            )
    except ClusterUnreachable as error:
        raise _Stop(error) from None


def _tell(line: str) -> None:
    """A line for who is there: the terminal may be gone, which is no reason to clean up no further."""
    tell(f"--deep: {line}")
