"""How far apart the starts of a schedule are, as Kubernetes reads it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from homelab.health.cron import widest_pause

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@pytest.mark.parametrize(
    ("schedule", "pause"),
    [
        ("* * * * *", MINUTE),
        ("*/5 * * * *", 5 * MINUTE),
        ("*/25 * * * *", 25 * MINUTE),
        ("5/20 * * * *", 20 * MINUTE),
        ("0 * * * *", HOUR),
        ("@hourly", HOUR),
        ("0 0-6,12 * * *", 12 * HOUR),
        ("30 3 * * *", DAY),
        ("@midnight", DAY),
        ("TZ=Europe/Berlin 30 3 * * *", DAY),
        ("CRON_TZ=Asia/Tokyo 30 3 * * ?", DAY),
        ("0 9-17 * * mon-fri", 3 * DAY - 8 * HOUR),
        ("0 3 * * 0", 7 * DAY),
        ("@weekly", 7 * DAY),
        ("0 3 1 * *", 31 * DAY),
        ("0 3 1 jan,JUL *", 184 * DAY),
        ("@yearly", 366 * DAY),
        # Where both are given, either day will do: the first of a month and every Sunday.
        ("0 3 1 * 0", 7 * DAY),
        ("@every 1h30m", 90 * MINUTE),
    ],
)
def test_the_longest_time_between_two_starts(schedule: str, pause: timedelta) -> None:
    assert widest_pause(schedule) == pause


@pytest.mark.parametrize(
    "schedule",
    [
        *("", "   ", "@reboot", "@every", "@every soon", "0 3 * *", "0 3 * * * *", "60 * * * *", "0 3 * * 7"),
        *("5-1 * * * *", "*/0 * * * *", "a * * * *", "0 3 31 2 *", "-1 * * * *", "0 3 * * mon-", "TZ=UTC"),
        "0 3 29 2 *",
        "@every 20000000000h",  # twice that is longer than Python's time
    ],
)
def test_what_is_no_schedule_or_never_comes_due_has_none(schedule: str) -> None:
    assert widest_pause(schedule) is None
