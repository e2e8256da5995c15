"""Moments as people and programs write them: RFC 3339, a date, or so long ago."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from console.web.problems import Refused

RELATIVE: Final = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_UNIT_US: Final = {
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
_ABSOLUTE: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}:\d{2})(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2}))?", re.ASCII
)
# What the store's DateTime64 can hold; a moment outside of it is cut to it, not refused: "since
# the year 1" is a way to say "ever".
FIRST_US: Final = -2_208_988_800_000_000  # 1900-01-01
LAST_US: Final = 10_413_791_999_999_999  # 2299-12-31, its last microsecond
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def parse_moment(text: str, now_us: int, field: str) -> int:
    """Return the moment in microseconds since 1970. Raises `Refused` naming the field."""
    relative = RELATIVE.fullmatch(text)
    if relative:
        moment_us = now_us - int(relative[1]) * _UNIT_US[relative[2]]
    else:
        moment_us = _parse_absolute(text, field)
    return min(max(moment_us, FIRST_US), LAST_US)


def store_text(moment_us: int) -> str:
    """Return the moment as ClickHouse takes it: UTC, microseconds."""
    return f"{_datetime(moment_us):%Y-%m-%d %H:%M:%S.%f}"


def rfc3339(moment: datetime | int, *, digits: int = 6) -> str:
    """Return a moment (UTC, or microseconds) in RFC 3339; a fraction that is zero is left out."""
    moved = _datetime(moment) if isinstance(moment, int) else moment
    text = f"{moved.year:04d}-{moved:%m-%dT%H:%M:%S}"
    return f"{text}.{f'{moved.microsecond:06d}'[:digits]}Z" if moved.microsecond else f"{text}Z"


def microseconds(moment: datetime) -> int:
    """Return microseconds since 1970, exactly. A moment without a zone is UTC."""
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (zoned - _EPOCH) // _MICROSECOND


def _datetime(moment_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=moment_us)


def _parse_absolute(text: str, field: str) -> int:
    wrong = Refused(
        "bad_parameter",
        f"{field} is not a moment",
        field=field,
        cure="write 2025-10-11T14:23:15Z, 2025-10-11, or 15m, 24h, 7d for so long ago",
    )
    found = _ABSOLUTE.fullmatch(text)
    if found is None:
        raise wrong
    day, clock, fraction, zone = found.groups()
    zone = "+00:00" if zone in (None, "Z", "z") else zone
    try:
        moment = datetime.fromisoformat(f"{day}T{clock or '00:00:00'}{zone}")
    except ValueError as error:
        raise wrong from error
    return microseconds(moment) + (int(f"{fraction[1:]:0<6}"[:6]) if fraction else 0)
