"""Looking again and again, on a clock of our own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homelab.health.codes import TABLE
from homelab.health.output import ReaderGone
from homelab.health.report import CheckRun, FailedRead, Finding, Look, Ref, Report, Severity, Status
from homelab.health.teller import Teller, fit
from homelab.health.watching import Changes, changed, hold, watch

NOW = datetime(2026, 11, 25, 12, 0, 30, tzinfo=UTC)
CRITICAL, WARNING = Severity.CRITICAL, Severity.WARNING


def pod(name: str, code: str = "POD001", severity: Severity = CRITICAL) -> Finding:
    return Finding(code, severity, Ref("Pod", "media", name, "uid"), "crashes again\x1b[2J and again")


def look(*findings: Finding, failed: tuple[str, ...] = (), unread: tuple[str, ...] = ()) -> Look:
    runs = tuple(
        CheckRun(row.code, row.title, Status.FAILED if row.code in failed else Status.OK) for row in TABLE[:50]
    )
    report = Report(findings, runs, tuple(FailedRead(name, "late") for name in unread), now=NOW)
    return Look(report, report.exit_code)


WELL, ILL = look(), look(pod("web"))
UNREAD = look(unread=("pods",))


# -- what changed -----------------------------------------------------------------------------------------------------


def said(before: Look, now: Look) -> list[str]:
    return [line for _, line in changed(before, now)]


def test_nothing_is_said_when_nothing_changed() -> None:
    assert said(ILL, look(pod("web"))) == [] and said(WELL, WELL) == []


def test_new_changed_gone_and_still() -> None:
    before = look(pod("a"), pod("b"), pod("c", severity=WARNING), pod("d"))
    now = look(pod("b"), pod("c"), pod("d", severity=WARNING), pod("e"))
    assert said(before, now) == [
        "12:00:30 UTC new critical Pod media/e [POD001]: crashes again [2J and again",
        "12:00:30 UTC changed critical Pod media/c [POD001]: crashes again [2J and again",
        "12:00:30 UTC changed warning Pod media/d [POD001]: crashes again [2J and again",
        "12:00:30 UTC gone critical Pod media/a [POD001]",
        "12:00:30 UTC 1 new, 2 changed, 1 gone, 1 still; 3 critical findings, 1 warning; 50 checks: 50 run",
    ]


def test_what_could_not_be_looked_at_is_not_gone() -> None:
    now = look(failed=("POD001",), unread=("pods",))
    assert said(ILL, now) == [
        "12:00:30 UTC unseen critical Pod media/web [POD001]: crashes again [2J and again",
        "12:00:30 UTC could not read pods: late",
        "12:00:30 UTC 1 unseen; nothing found, but not all could be read; 50 checks: 49 run, 1 could not run",
    ]
    assert said(now, now) == []
    assert len(said(now, WELL)) == 1, "it is told that all can be read again"


def test_another_object_of_the_same_name_is_the_same_and_another_code_is_not() -> None:
    again = Finding("POD001", CRITICAL, Ref("Pod", "media", "web", "another uid"), "crashes otherwise")
    found = Changes.between(ILL.report, look(again, pod("web", "POD002")).report)
    assert ([each.code for each in found.still], [each.code for each in found.new]) == (["POD001"], ["POD002"])


@given(st.lists(st.integers(0, 50), max_size=30), st.lists(st.integers(0, 30), max_size=5), st.integers(5, 40))
def test_a_screen_shows_what_it_has_room_for_from_the_top(long: list[int], others: list[int], height: int) -> None:
    lines = [("", "x" * length) for length in long]
    beside = [("", "y" * length) for length in others]
    shown = fit(lines, beside, 20, height)
    if shown == lines:
        return
    *kept, (_, more) = shown
    assert lines[: len(kept)] == kept and more.startswith(f"... {len(long) - len(kept)} more lines")
    rows = sum(max(1, -(-len(line) // 20)) for _, line in (*kept, *beside)) + 2
    assert rows <= height or not kept


# -- again and again --------------------------------------------------------------------------------------------------


@dataclass
class Time:
    """A clock that only sleeping and looking move, looks that come in turn, and Ctrl-C after the last one."""

    looks: Iterator[Look]
    takes: float = 1
    now: float = 100
    told: list[tuple[Look | None, Look]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.now += seconds

    def look(self) -> Look:
        self.now += self.takes
        found = next(self.looks, None)
        if found is None:
            raise KeyboardInterrupt
        return found

    def tell(self, before: Look | None, now: Look) -> None:
        self.told.append((before, now))


@pytest.mark.parametrize(
    ("looks", "exit_code"), [((), 3), ((WELL,), 0), ((WELL, ILL), 2), ((ILL, UNREAD), 3), ((ILL, WELL), 0)]
)
def test_watching_ends_with_the_exit_of_the_last_look(looks: tuple[Look, ...], exit_code: int) -> None:
    time = Time(iter(looks))
    assert watch(time.look, time.tell, 5, sleep=time.sleep) == exit_code
    assert time.told == list(zip((None, *looks), looks, strict=False)) and set(time.slept) <= {5}


def test_ctrl_c_while_it_waits_ends_it_as_well() -> None:
    time = Time(iter([ILL, WELL]))

    def sleep(seconds: float) -> None:
        raise KeyboardInterrupt

    assert watch(time.look, time.tell, 5, sleep=sleep) == 2


def test_a_reader_who_has_had_enough_ends_a_watch_with_the_look_that_he_was_not_told() -> None:
    time = Time(iter([WELL, ILL, WELL]))

    def tell(before: Look | None, now: Look) -> None:
        if before is WELL:
            raise ReaderGone

    assert watch(time.look, tell, 5, sleep=time.sleep) == 2 and time.slept == [5]


def test_and_a_wait_goes_on_without_him() -> None:
    time = Time(forever(ILL, then=WELL))

    def tell(before: Look | None, now: Look) -> None:
        raise ReaderGone

    assert hold(time.look, tell, 60, 600, 5, clock=time.clock, sleep=time.sleep).exit_code == 0


@pytest.mark.parametrize("every", [None, 5.0])
def test_a_file_that_fails_is_not_taken_for_a_stream_that_does(every: float | None) -> None:
    def put(now: Look) -> int:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        Teller(lambda look: (), put, every, file=True).tell(None, ILL)


# -- until it has been well for a while -------------------------------------------------------------------------------


def held(*looks: Look, length: float = 60, within: float = 600, every: float = 5) -> tuple[Look, Time]:
    time = Time(iter(looks))
    done = hold(time.look, time.tell, length, within, every, clock=time.clock, sleep=time.sleep)
    return done, time


def forever(*first: Look, then: Look) -> Iterator[Look]:
    yield from first
    while True:
        yield then


def run(looks: Iterator[Look], **options: float) -> tuple[Look, float]:
    time = Time(looks)
    settings = {"length": 60.0, "within": 600.0, "every": 5.0} | options
    done = hold(time.look, time.tell, **settings, clock=time.clock, sleep=time.sleep)
    return done, time.now - 100


def test_it_has_to_be_well_throughout() -> None:
    done, after = run(forever(then=WELL))
    assert done.exit_code == 0 and 60 <= after < 70
    done, after = run(forever(*[ILL] * 10, *[WELL] * 9, UNREAD, then=WELL))
    assert done.exit_code == 0 and after > 20 * 6 + 60, "what could not be read breaks it"
    done, after = run(forever(look(pod("x", severity=WARNING)), then=WELL))
    assert done.exit_code == 0 and after > 66


def test_one_look_is_never_enough() -> None:
    _, time = held(WELL, WELL, length=0.5)
    assert len(time.told) == 2 and time.slept == [0.5]


@pytest.mark.parametrize(("ill", "exit_code"), [(ILL, 2), (UNREAD, 3), (look(pod("x", severity=WARNING)), 1)])
def test_it_ends_as_the_last_look_when_it_takes_too_long(ill: Look, exit_code: int) -> None:
    done, after = run(forever(then=ill))
    assert done.exit_code == exit_code and 600 <= after < 610


def test_what_is_well_at_the_deadline_may_show_that_it_stays_so() -> None:
    done, after = run(forever(*[ILL] * 98, then=WELL))
    assert done.exit_code == 0 and 640 < after < 670
    done, after = run(forever(*[ILL] * 98, *[WELL] * 5, then=ILL))
    assert done.exit_code == 2 and 600 < after < 640, "and when it does not, that is the end"


@pytest.mark.parametrize(("looks", "exit_code"), [((ILL,), 2), ((ILL, WELL), 3), ((UNREAD,), 3)])
def test_ctrl_c_never_makes_it_well(looks: tuple[Look, ...], exit_code: int) -> None:
    assert held(*looks)[0].exit_code == exit_code


@given(
    st.lists(st.sampled_from([WELL, ILL, UNREAD]), max_size=60),
    st.sampled_from([WELL, ILL]),
    st.floats(1, 100),
    st.floats(1, 300),
    st.floats(1, 30),
)
def test_it_always_ends_and_is_well_only_if_it_was(
    first: list[Look], then: Look, length: float, within: float, every: float
) -> None:
    time = Time(forever(*first, then=then))
    at: list[tuple[float, int]] = []

    def look() -> Look:
        began = time.now
        found = time.look()
        at.append((began, found.exit_code))
        return found

    done = hold(look, time.tell, length, within, every, clock=time.clock, sleep=time.sleep)
    assert time.now - 100 <= within + length + 2 * every + 5
    if done.exit_code == 0:
        last = at[-1][0]
        assert all(code == 0 for began, code in at if began >= last - length) and last - at[0][0] >= length
