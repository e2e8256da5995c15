"""Working hours: which moments lie outside them, in a given zone."""

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Final

MINUTES_CACHED_MAX: Final = 2048  # minutes of event time that are in flight at once
SATURDAY: Final = 5


class Hours:
    """From `start_hour` up to but not including `end_hour`, Monday to Friday, in `zone`."""

    def __init__(self, start_hour: int = 6, end_hour: int = 20, zone: tzinfo = UTC) -> None:
        assert 0 <= start_hour < end_hour <= 24, "working hours must lie within one day"  # noqa: PLR2004
        self._start_hour = start_hour
        self._end_hour = end_hour
        self._zone = zone
        self.description: Final = f"{start_hour:02}:00-{end_hour:02}:00 Mon-Fri {zone}"
        self._is_minute_off = lru_cache(maxsize=MINUTES_CACHED_MAX)(self._judge_minute)

    def is_off(self, occurred: str) -> bool:
        """Judge a moment in UTC, such as "2025-10-11 14:23:15"."""
        return self._is_minute_off(occurred[:16])

    def _judge_minute(self, minute: str) -> bool:
        local = datetime.fromisoformat(minute).replace(tzinfo=UTC).astimezone(self._zone)
        return local.weekday() >= SATURDAY or not self._start_hour <= local.hour < self._end_hour
