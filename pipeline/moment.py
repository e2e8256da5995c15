"""Moments: from the producer's RFC 3339 and the broker's milliseconds to the store's texts."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from schemas.errors import BadEvent

YEAR_MIN: Final = 1900  # what the store's DateTime64 can hold
YEAR_MAX: Final = 2299
RECORDED_MS_MAX: Final = 10_413_792_000_000 - 1  # the last millisecond of 2299
STAMPS_CACHED_MAX: Final = 256  # a run holds records of a few milliseconds
DAY_MS: Final = 86_400_000

_Z_SECONDS: Final = 20  # characters of "2025-10-11T14:23:15Z"
_FRACTION: Final = 6  # digits that the store keeps
_LEAP: Final = ":60"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(NamedTuple):
    """One moment: the store's text in UTC, and milliseconds since 1970 (negative before)."""

    text: str
    ms: int


def parse(text: str) -> Moment:
    """Read an RFC 3339 text that matches the schema's pattern.

    A leap second counts as the second after it; digits past microseconds are cut. Raises
    `BadEvent` for a date or time that does not exist, or that the store can't hold.
    """
    try:
        at = datetime.fromisoformat(text)
        if len(text) == _Z_SECONDS and text[-1] == "Z":
            spelled = f"{text[:10]} {text[11:19]}"
        else:
            at = at.astimezone(UTC)
            spelled = _spell(at)
    except (ValueError, OverflowError):
        at = _parse_rare(text)
        spelled = _spell(at)
    if not YEAR_MIN <= at.year <= YEAR_MAX:
        raise BadEvent("timestamp", "out_of_range", "send a time from 1900 to 2299")
    return Moment(spelled, int(at.timestamp() * 1000))


def _parse_rare(text: str) -> datetime:
    """Read what `fromisoformat` does not: a small z, a leap second; raise for all else."""
    usual = text.upper()
    is_leap = usual[16:19] == _LEAP
    if is_leap:
        usual = f"{usual[:16]}:59{usual[19:]}"
    try:
        at = datetime.fromisoformat(usual).astimezone(UTC)
        return at + timedelta(seconds=1) if is_leap else at
    except OverflowError as error:
        raise BadEvent("timestamp", "out_of_range", "send a time from 1900 to 2299") from error
    except ValueError as error:
        raise BadEvent("timestamp", "invalid", "send a date and time that exist") from error


def _spell(at: datetime) -> str:
    return at.replace(tzinfo=None).isoformat(" ")


@lru_cache(maxsize=STAMPS_CACHED_MAX)
def stamp(recorded_ms: int) -> str:
    """Spell the broker's time: "2025-10-11 14:23:15.123"; what the store can't hold is clamped."""
    at = _EPOCH + timedelta(milliseconds=min(max(recorded_ms, 0), RECORDED_MS_MAX))
    return at.replace(tzinfo=None).isoformat(" ", "milliseconds")


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
