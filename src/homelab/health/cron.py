"""How often a CronJob's schedule comes due. Source: Kubernetes, "CronJob", and robfig/cron v3, which reads it there."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise

from homelab.health import duration

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = tuple(name.lower() for name in calendar.month_abbr)[1:]
_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_DAY = timedelta(days=1)
# Four years have every day that there is, and each weekday on it or near it.
_FROM, _TO = date(2024, 1, 1), date(2028, 1, 1)


@lru_cache(256)
def widest_pause(schedule: str) -> timedelta | None:
    """The longest time between two starts, whatever the time zone: a day for "0 3 * * *", three for "0 3 * * 1-5".

    None for what is no schedule, or comes due less than twice in four years.
    """
    try:
        found = _widest(schedule)
    except ValueError:
        return None
    return found if found and found <= _TO - _FROM else None


def _widest(schedule: str) -> timedelta | None:
    words = schedule.split()
    if words and words[0].startswith(("TZ=", "CRON_TZ=")):
        words = words[1:]
    if len(words) == 2 and words[0] == "@every":
        return duration.parse(words[1])
    if len(words) == 1:
        words = _NAMED.get(words[0], "").split()
    if len(words) != 5:
        raise ValueError("five fields")
    minutes, hours = _field(words[0], 0, 59), _field(words[1], 0, 23)
    times = [timedelta(hours=hour, minutes=minute) for hour in sorted(hours) for minute in sorted(minutes)]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    days = list(_days(words[2], words[3], words[4]))
    pauses += [(later - earlier) - times[-1] + times[0] for earlier, later in pairwise(days)]
    return max(pauses, default=None) if len(days) > 1 else None


def _days(of_month: str, month: str, of_week: str) -> Iterator[date]:
    """The days in four years on which it comes due: where neither field of days is open, either will do."""
    month_days, months = _field(of_month, 1, 31), _field(month, 1, 12, _MONTHS)
    week_days = _field(of_week, 0, 6, _DAYS)
    either = not _open(of_month) and not _open(of_week)
    day = _FROM
    while day < _TO:
        fits = (day.day in month_days, day.isoweekday() % 7 in week_days)
        if day.month in months and (any(fits) if either else all(fits)):
            yield day
        day += _DAY


def _open(field: str) -> bool:
    return any(part in ("*", "?", "*/1", "?/1") for part in field.split(","))


def _field(text: str, least: int, most: int, names: tuple[str, ...] = ()) -> set[int]:
    """The numbers that a field stands for. Raise ValueError when it is none."""
    found: set[int] = set()
    for part in text.split(","):
        span, stepped, step = part.partition("/")
        first, ranged, last = span.partition("-")
        if span in ("*", "?"):
            begin, end = least, most
        else:
            begin = _number(first, least, names)
            # "5/10" goes on to the end.
            end = _number(last, least, names) if ranged else most if stepped else begin
        width = int(step) if stepped else 1
        if not least <= begin <= end <= most or width < 1:
            raise ValueError(f"{part} is not within {least}-{most}")
        found |= set(range(begin, end + 1, width))
    return found


def _number(text: str, least: int, names: tuple[str, ...]) -> int:
    low = text.lower()
    return names.index(low) + least if low in names else int(text)
