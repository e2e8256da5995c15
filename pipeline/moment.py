"""The broker's milliseconds and days as the store's texts."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

RECORDED_MS_MAX: Final = 10_413_792_000_000 - 1  # the last millisecond of 2299
SECONDS_CACHED_MAX: Final = 256  # a run holds records of a few seconds
DAY_MS: Final = 86_400_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def stamp(recorded_ms: int) -> str:
    """Spell the broker's time: "2025-10-11 14:23:15.123"; what the store can't hold is clamped."""
    if not 0 <= recorded_ms <= RECORDED_MS_MAX:
        recorded_ms = 0 if recorded_ms < 0 else RECORDED_MS_MAX
    return f"{_spell_second(recorded_ms // 1_000)}.{recorded_ms % 1_000:03d}"


@lru_cache(maxsize=SECONDS_CACHED_MAX)
def _spell_second(second: int) -> str:
    at = _EPOCH + timedelta(seconds=second)
    return at.replace(tzinfo=None).isoformat(" ", "seconds")


def retain_until(recorded_day: int, years: int) -> str:
    """Return the day, as "2031-10-11", to which a record of that day since 1970 is kept."""
    return add_years(stamp(recorded_day * DAY_MS)[:10], years)


def add_years(date: str, years: int) -> str:
    """Add whole years to "2025-10-11"; 29 February becomes 1 March where there is none."""
    year = int(date[:4]) + years
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return f"{year}{date[4:]}" if is_leap or date[4:] != "-02-29" else f"{year}-03-01"


def to_rfc3339(text: str) -> str:
    """Turn the store's spelling into RFC 3339."""
    return f"{text[:10]}T{text[11:]}Z"
