"""When people want to hear: quiet hours for what can wait, and digests. Pure: times are handed in.

Local times are of a zone; where the clocks change, a wall time that does not exist counts as the
one after it, so that what is held is never held for another day.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final, Literal

from schemas.alert import Severity

EVERY_DAY: Final = frozenset(range(7))
Digest = Literal["hourly", "daily"]


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `begins` to `ends`, past midnight where that is earlier; `days` of the beginning."""

    begins: time
    ends: time
    zone: tzinfo
    days: frozenset[int] = EVERY_DAY
    severities: frozenset[Severity] = frozenset({"info", "low"})

    def ends_ms(self, severity: Severity, now_ms: int) -> int:
        """Return until when an alert of that severity waits; `now_ms` if it does not."""
        if severity not in self.severities:
            return now_ms
        now = _local(now_ms, self.zone)
        for back in (0, 1):  # quiet hours that began today, or yesterday
            day = now.date() - timedelta(days=back)
            if day.weekday() not in self.days:
                continue
            begins = datetime.combine(day, self.begins, self.zone)
            over = self.ends <= self.begins
            ends = datetime.combine(day + timedelta(days=int(over)), self.ends, self.zone)
            if _ms(begins) <= now_ms < _ms(ends):
                return _ms(ends)
        return now_ms


def digest_ms(digest: Digest, at: time, zone: tzinfo, now_ms: int) -> int:
    """Return the end of the hour, or the next time that it is `at`."""
    now = _local(now_ms, zone)
    if digest == "hourly":
        hour_ms = 3_600_000
        return (now_ms // hour_ms + 1) * hour_ms
    for ahead in (0, 1, 2):
        moment_ms = _ms(datetime.combine(now.date() + timedelta(days=ahead), at, zone))
        if moment_ms > now_ms:
            return moment_ms
    raise AssertionError("one of three days is ahead")


def _local(now_ms: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
