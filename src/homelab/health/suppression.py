"""What somebody knows of and does not want to be told: findings by code and object, with a reason and perhaps an end.

It comes from the settings file, from `--suppress`, and from an annotation on the object itself or on its workload.
A finding that is suppressed still stands for its consequences, so that none of them is told in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from fnmatch import fnmatchcase
from typing import NamedTuple

from homelab.health.report import Finding, Ref, Suppressed
from homelab.health.selection import codes_of
from homelab.health.shape import SUPPRESS
from homelab.health.snapshot import Snapshot

_UNTIL = re.compile(r"^(?P<reason>.*?);\s*until\s+(?P<until>\S*)\s*$", re.DOTALL)


class Pattern(NamedTuple):
    """Objects by kind, in any case of letters, namespace and name; each may hold `*`, `?` and `[...]`."""

    kind: str = "*"
    namespace: str = "*"
    name: str = "*"

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """`Kind/namespace/name`, or `Kind/name` in any namespace and of what has none. Raise ValueError."""
        parts = [part.strip() for part in text.split("/")]
        if len(parts) not in (2, 3) or not parts[0] or not parts[-1]:
            raise ValueError(f'"{text}" is no object; write Kind/namespace/name or Kind/name, with * for any')
        return cls(parts[0].lower(), parts[1] if len(parts) == 3 else "*", parts[-1])

    def matches(self, ref: Ref) -> bool:
        return (
            fnmatchcase(ref.kind.lower(), self.kind)
            and fnmatchcase(ref.namespace, self.namespace)
            and fnmatchcase(ref.name, self.name)
        )

    def __str__(self) -> str:
        return "/".join((self.kind, self.namespace, self.name))


class Suppression(NamedTuple):
    """Findings of `codes` about objects of a pattern, or of a workload of it, are known; to the end of the day `until`.

    `place` is where it was written.
    """

    codes: frozenset[str]
    reason: str
    pattern: Pattern = Pattern()
    until: date | None = None
    place: str = ""

    @classmethod
    def parse(cls, text: str, place: str = "") -> Suppression:
        """`CODE[,CODE...][:Kind/namespace/name]=REASON[; until YYYY-MM-DD]`. Raise ValueError."""
        what, equals, reason = text.partition("=")
        if not equals:
            raise ValueError("it has no reason; write CODE=REASON or CODE:Kind/namespace/name=REASON")
        words, colon, object_ = what.partition(":")
        why, until = _reason(reason)
        return cls(codes(words.split(",")), why, Pattern.parse(object_) if colon else Pattern(), until, place)

    def expired(self, today: date) -> bool:
        return self.until is not None and today > self.until

    def matches(self, finding: Finding) -> bool:
        if finding.code not in self.codes:
            return False
        return self.pattern.matches(finding.object) or bool(finding.owner and self.pattern.matches(finding.owner))


def codes(words: Iterable[str]) -> frozenset[str]:
    """The codes that words stand for, each a code or a room. Raise ValueError."""
    found: set[str] = set()
    for word in words:
        try:
            found.update(codes_of(word))
        except ValueError as error:
            raise ValueError(f'"{word.strip()}": {error}') from None
    return frozenset(found)


def _reason(text: str) -> tuple[str, date | None]:
    until = None
    if found := _UNTIL.match(text):
        text = found["reason"]
        until = day(found["until"])
    reason = " ".join(text.split())
    if not reason:
        raise ValueError("it has no reason; write why this is no fault")
    return reason, until


def day(text: str) -> date:
    """A day as YYYY-MM-DD. Raise ValueError."""
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError(f'"{text}" is no day; write it as 2027-01-31')


def annotated(snapshot: Snapshot) -> tuple[Mapping[tuple[str, str, str], tuple[Suppression, ...]], tuple[str, ...]]:
    """What objects say of themselves in the annotation, a line for each suppression, and what of it is no such line.

    `CODE[,CODE...]: REASON[; until YYYY-MM-DD]`, by kind, namespace and name of the object.
    """
    found: dict[tuple[str, str, str], tuple[Suppression, ...]] = {}
    wrong: list[str] = []
    for _, items in sorted(snapshot.lists.items()):
        for each in items:
            # Most have none, and there may be many.
            if SUPPRESS not in each.annotations:
                continue
            lines = [line for line in each.annotations[SUPPRESS].splitlines() if line.strip()]
            own = []
            for line in lines or [""]:
                words, colon, said = line.partition(":")
                try:
                    if not colon:
                        raise ValueError("it has no reason; write CODE: REASON")
                    reason, until = _reason(said)
                    place = f"annotation of {each.ref}"
                    own.append(Suppression(codes(words.split(",")), reason, until=until, place=place))
                except ValueError as error:
                    wrong.append(f"{each.ref}: annotation {SUPPRESS}: {error}")
            found[each.ref[:3]] = tuple(own)
    return found, tuple(wrong)


def suppress(
    findings: Iterable[Finding], snapshot: Snapshot, given: Iterable[Suppression] = ()
) -> tuple[list[Finding], tuple[str, ...]]:
    """The findings, those marked that somebody suppressed, and what is to be told of suppressions that do nothing:
    they have expired, nothing is as they say, or they are annotations that nobody understands."""
    today = snapshot.now.date()
    findings = list(findings)
    valid = [each for each in given if not each.expired(today)]
    notes = [_expired(each) for each in given if each.expired(today)]
    notes += [_idle(each) for each in valid if not any(map(each.matches, findings))]
    own, wrong = annotated(snapshot)
    late = {each for some in own.values() for each in some if each.expired(today)}
    notes += [_expired(each) for each in sorted(late, key=lambda each: (each.place, each.reason))]
    marked = []
    for finding in findings:
        by = next(_matching(finding, valid, own, today), None)
        marked.append(replace(finding, suppressed=Suppressed(by.reason, by.until, by.place)) if by else finding)
    return marked, (*notes, *wrong)


def _matching(
    finding: Finding,
    valid: Iterable[Suppression],
    own: Mapping[tuple[str, str, str], Iterable[Suppression]],
    today: date,
) -> Iterator[Suppression]:
    yield from (each for each in valid if each.matches(finding))
    for ref in (finding.object, finding.owner):
        for each in own.get(ref[:3], ()) if ref else ():
            if finding.code in each.codes and not each.expired(today):
                yield each


def _idle(each: Suppression) -> str:
    return f"{each.place}: suppresses nothing now: {', '.join(sorted(each.codes))} of {each.pattern}: {each.reason}"


def _expired(each: Suppression) -> str:
    known = ", ".join(sorted(each.codes))
    return f"{each.place}: suppresses {known} no longer, it was until {each.until}: {each.reason}"
