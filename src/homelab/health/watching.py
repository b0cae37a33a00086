"""Looking again and again: what changed since the last look, and waiting until a cluster has been well for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from homelab.health.output import ReaderGone
from homelab.health.report import COULD_NOT_CHECK, Finding, Look, Report, Status
from homelab.health.text import plain, summary

Place = tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class Changes:
    """The roots of a look beside those of the one before, each in order.

    `changed` are worse or less bad than before. `unseen` are of checks that could not run this time: nobody knows
    whether they are `gone`.
    """

    new: tuple[Finding, ...] = ()
    gone: tuple[Finding, ...] = ()
    changed: tuple[Finding, ...] = ()
    still: tuple[Finding, ...] = ()
    unseen: tuple[Finding, ...] = ()

    @classmethod
    def between(cls, before: Report, now: Report) -> Changes:
        was = {_place(each): each for each in before.roots}
        there = {_place(each): each for each in now.roots}
        ran = {run.code for run in now.runs if run.status in (Status.OK, Status.FINDINGS)}
        left = [each for place, each in was.items() if place not in there]
        kept = [each for place, each in there.items() if place in was]
        return cls(
            new=tuple(each for place, each in there.items() if place not in was),
            gone=tuple(each for each in left if each.code in ran),
            changed=tuple(each for each in kept if each.severity is not was[_place(each)].severity),
            still=tuple(each for each in kept if each.severity is was[_place(each)].severity),
            unseen=tuple(each for each in left if each.code not in ran),
        )


def _place(each: Finding) -> Place:
    return each.code, each.object[:3]


def changed(before: Look, now: Look) -> Iterator[tuple[str, str]]:
    """The lines, each with its style, that tell what changed between two looks; none when nothing did."""
    found = Changes.between(before.report, now.report)
    listed = (("new", found.new), ("changed", found.changed), ("gone", found.gone), ("unseen", found.unseen))
    known = {each.name for each in before.report.unread}
    unread = [each for each in now.report.unread if each.name not in known]
    read_again = known - {each.name for each in now.report.unread}
    if not any(some for _, some in listed) and not unread and not read_again and before.exit_code == now.exit_code:
        return
    at = f"{now.report.now:%H:%M:%S} UTC  " if now.report.now else ""
    for word, some in listed:
        for each in some:
            said = "" if word == "gone" else f": {each.summary}"
            yield _STYLE[word], plain(f"{at}{word} {each.severity} {each.object} [{each.code}]{said}")
    for read in unread:
        yield _STYLE["unseen"], plain(f"{at}could not read {read.name}: {read.why}")
    counts = ", ".join(f"{len(some)} {word}" for word, some in (*listed, ("still", found.still)) if some)
    style, said = summary(now.report)
    yield style, plain(f"{at}{counts}{'; ' if counts else ''}{said}")


_STYLE = {"new": "bold red", "changed": "yellow", "gone": "green", "unseen": "bold red"}


def watch(
    look: Callable[[], Look],
    tell: Callable[[Look | None, Look], None],
    every: float,
    *,
    sleep: Callable[[float], None],
) -> int:
    """Look every so many seconds and tell of each look beside the one before; the last exit code.

    It ends with Ctrl-C, or when whoever is told has had enough.
    """
    before: Look | None = None
    try:
        while True:
            now = look()
            before, was = now, before
            tell(was, now)
            sleep(every)
    except (KeyboardInterrupt, ReaderGone):
        return before.exit_code if before else COULD_NOT_CHECK


def hold(
    look: Callable[[], Look],
    tell: Callable[[Look | None, Look], None],
    length: float,
    within: float,
    every: float,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Look:
    """Look every so many seconds until all looks of `length` seconds on end have the exit code 0; give that last look.

    After `within` seconds none is waited for any more, but one that has begun may come to its end: so the last look is
    well exactly if it lasted. What could not be read is not well. On Ctrl-C it is the last look that counts, and one
    that was well, but not for long enough, could not be held: it comes back with the code 3.
    """
    begun, well_since = clock(), None
    before: Look | None = None
    try:
        while True:
            at = clock()
            now = look()
            with suppress(ReaderGone):  # the exit code is waited for, whoever reads what is told meanwhile
                tell(before, now)
            before = now
            if now.exit_code:
                well_since = None
                if clock() - begun >= within:
                    return now
                sleep(every)
                continue
            if well_since is None:
                # From the end of the first good look to the begin of the last one: never less than was asked for.
                well_since = clock()
            elif at - well_since >= length:
                return now
            sleep(min(every, max(0.0, well_since + length - clock())))
    except KeyboardInterrupt:
        if before is None:
            raise
        return before if before.exit_code else Look(before.report, COULD_NOT_CHECK)
