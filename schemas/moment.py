"""The producer's RFC 3339, read into the store's text and milliseconds. Pure."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from schemas.errors import BadEvent

YEAR_MIN: Final = 1900  # what the store's DateTime64 can hold
YEAR_MAX: Final = 2299

SECONDS_CACHED_MAX: Final = 4_096  # events of the same second come close together
FRACTIONS_CACHED_MAX: Final = 2_048  # all milliseconds, and some microseconds

_SECONDS: Final = 19  # characters of "2025-10-11T14:23:15"
_LEAP: Final = ":60"


class Moment(NamedTuple):
    """One moment: the store's text in UTC, and milliseconds since 1970 (negative before)."""

    text: str
    ms: int


def parse(text: str) -> Moment:
    """Read an RFC 3339 text that matches the schema's pattern.

    A leap second counts as the second after it; digits past microseconds are cut. Raises
    `BadEvent` for a date or time that does not exist, or that the store can't hold.
    """
    second, fraction = _read_second(text[:_SECONDS]), _read_fraction(text[_SECONDS:])
    if second is not None and fraction is not None:
        # past the named tuple's own constructor, which takes as long as all of the rest
        return tuple.__new__(Moment, (second[0] + fraction[0], second[1] + fraction[1]))
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        at = _parse_rare(text)
    if not YEAR_MIN <= at.year <= YEAR_MAX:
        raise BadEvent("timestamp", "out_of_range", "send a time from 1900 to 2299")
    whole_s = int(at.replace(microsecond=0).timestamp())
    spelled = at.replace(tzinfo=None).isoformat(" ")
    return Moment(spelled, whole_s * 1000 + at.microsecond // 1000)


@lru_cache(maxsize=SECONDS_CACHED_MAX)
def _read_second(text: str) -> Moment | None:
    """Read "2025-10-11T14:23:15" as UTC; None if it is not as usual, or out of range."""
    try:
        at = datetime.fromisoformat(f"{text}Z")
    except ValueError:
        return None
    if not YEAR_MIN <= at.year <= YEAR_MAX:
        return None
    return Moment(at.replace(tzinfo=None).isoformat(" "), int(at.timestamp()) * 1000)


@lru_cache(maxsize=FRACTIONS_CACHED_MAX)
def _read_fraction(text: str) -> tuple[str, int] | None:
    """Read ".27Z" as the store's ".270000" and milliseconds; None if another zone follows."""
    digits = text[1:-1]
    if text[-1:] != "Z" or not digits.isascii():
        return None
    micros = digits[:6].ljust(6, "0")
    return (f".{micros}", int(micros[:3])) if micros.strip("0") else ("", 0)


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
