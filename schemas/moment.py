"""The producer's RFC 3339, read into the store's text and milliseconds. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from schemas.errors import BadEvent

YEAR_MIN: Final = 1900  # what the store's DateTime64 can hold
YEAR_MAX: Final = 2299

_Z_SECONDS: Final = 20  # characters of "2025-10-11T14:23:15Z"
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
