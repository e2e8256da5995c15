"""Quiet hours and digests: held until a time that people would call the right one."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from consumers.alerts.quiet import QuietHours, digest_ms

BERLIN = ZoneInfo("Europe/Berlin")


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


NIGHT = QuietHours(time(20), time(7), BERLIN)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2025-10-13T19:59:59+02:00", None),
        ("2025-10-13T20:00:00+02:00", "2025-10-14T07:00:00+02:00"),
        ("2025-10-14T06:59:00+02:00", "2025-10-14T07:00:00+02:00"),
        ("2025-10-14T07:00:00+02:00", None),
        ("2025-10-25T22:00:00+02:00", "2025-10-26T07:00:00+01:00"),  # clocks go back that night
    ],
)
def test_the_night_ends_in_the_morning(now: str, until: str | None) -> None:
    assert NIGHT.ends_ms("low", ms(now)) == ms(until or now)


def test_what_is_severe_does_not_wait() -> None:
    now_ms = ms("2025-10-13T23:00:00+02:00")
    assert NIGHT.ends_ms("high", now_ms) == now_ms


def test_days_are_those_on_which_the_quiet_begins() -> None:
    weekdays = QuietHours(time(20), time(7), BERLIN, frozenset(range(5)))
    saturday_morning = ms("2025-10-18T03:00:00+02:00")  # Friday's night
    assert weekdays.ends_ms("low", saturday_morning) == ms("2025-10-18T07:00:00+02:00")
    saturday_night = ms("2025-10-18T23:00:00+02:00")
    assert weekdays.ends_ms("low", saturday_night) == saturday_night


def test_hours_within_one_day() -> None:
    noon = QuietHours(time(12), time(13), UTC)
    assert noon.ends_ms("info", ms("2025-10-13T12:30:00+00:00")) == ms("2025-10-13T13:00:00+00:00")


@pytest.mark.parametrize(
    ("digest", "now", "until"),
    [
        ("hourly", "2025-10-13T12:00:00+00:00", "2025-10-13T13:00:00+00:00"),
        ("hourly", "2025-10-13T12:59:59+00:00", "2025-10-13T13:00:00+00:00"),
        ("daily", "2025-10-13T07:59:00+02:00", "2025-10-13T08:00:00+02:00"),
        ("daily", "2025-10-13T08:00:00+02:00", "2025-10-14T08:00:00+02:00"),
    ],
)
def test_a_digest_comes_at_the_end_of_its_time(digest: str, now: str, until: str) -> None:
    found = digest_ms(digest, time(8), BERLIN, ms(now))  # type: ignore[arg-type]
    assert found == ms(until)
