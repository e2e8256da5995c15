"""Rate above one's own baseline: events an hour against the same hour of past weeks. Pure.

The bar is median + factor * spread over the same hour of the last weeks, where the spread is
1.4826 * MAD (the median absolute deviation, which equals sigma for normal data) but at least
sqrt(median), the spread of counts that come at random, and 1. Hours above their bar enter the
baseline clipped to it, so that an attack does not become usual. Source: Leys et al., "Detecting
outliers: Do not use standard deviation around the mean", J. Exp. Soc. Psychol. 49 (2013).
"""

from itertools import pairwise
from math import ceil, sqrt
from statistics import median
from typing import Any, Final

from detections.stateful.memory import Body, Crossing, Memory
from schemas.signal import Entry

HOUR_MS: Final = 3_600_000
WEEK_HOURS: Final = 168
DAY_HOURS: Final = 24
MAD_TO_SIGMA: Final = 1.4826
OPEN_MAX: Final = 2 * WEEK_HOURS  # hours that wait; only without a watermark can there be more

_OPEN, _PAST, _FIRST, _DONE = range(4)


class Rate:
    """Body: open hours and their counts, past days and their clipped ones, first hour, done.

    A past day is [its first hour, that hour's count, the next one's …]. Hours before `done` are
    complete. An hour is judged as soon as all hours up to a week before it are, which is always so
    unless the watermark lags by days.
    """

    bucket_ms: Final = HOUR_MS

    def __init__(
        self, count_min: int, factor: float, weeks: int, learning_hours: int, grace_ms: int
    ) -> None:
        self.retention_ms: Final = (weeks + 1) * WEEK_HOURS * HOUR_MS
        self._count_min: Final = count_min
        self._factor: Final = factor
        self._weeks: Final = weeks
        self._learning_hours: Final = max(learning_hours, WEEK_HOURS)
        self.grace_ms: Final = grace_ms

    def fresh(self) -> Body:
        """Return no hours, as `Machine.fresh` promises."""
        return [{}, {}, None, None]

    def add(self, memory: Memory, entry: Entry, _partition: int) -> None:
        """Count one event in its hour."""
        hour, body = entry[1] // HOUR_MS, memory.body
        is_sure = memory.watermark_ms and entry[1] < memory.watermark_ms - self.grace_ms
        if is_sure or (body[_DONE] is not None and hour < body[_DONE]):
            memory.missed += 1
            return
        counted = body[_OPEN].setdefault(str(hour), [0, 0, 0, []])
        counted[0] += 1
        counted[1:] = max(counted[1:], [entry[2], entry[1], list(entry[5])])

    def advance(self, memory: Memory) -> None:
        """Judge the open hours, and complete those that the watermark has passed."""
        counts, body = memory.body[_OPEN], memory.body
        if memory.watermark_ms:
            done = (memory.watermark_ms - self.grace_ms) // HOUR_MS
            body[_DONE] = done if body[_DONE] is None else max(done, body[_DONE])
        for hour in sorted(map(int, counts)):
            is_over = body[_DONE] is not None and hour < body[_DONE]
            if not is_over and len(counts) > OPEN_MAX:
                memory.thinned += 1
                is_over = True
            bar = self._bar(body, hour) if self._is_judged(body, hour) or is_over else None
            counted = counts[str(hour)]
            if bar is not None and counted[0] >= bar:
                self._cross(memory, hour, counted, bar)
            if is_over:
                self._complete(body, hour, counted[0], bar)
        self._forget(body)

    def due_ms(self, body: Body) -> int | None:
        """Return when the first open hour that waits for its past can be judged."""
        for hour in sorted(map(int, body[_OPEN])):
            if not self._is_judged(body, hour) and body[_OPEN][str(hour)][0] >= self._count_min:
                return (hour - WEEK_HOURS + 1) * HOUR_MS + self.grace_ms
        return None

    def last_ms(self, body: Body) -> int | None:
        """Return the end of the latest hour."""
        past = _last_hour(body[_PAST])
        last = max(map(int, body[_OPEN]), default=past)
        return None if last is None else (last + 1) * HOUR_MS

    def _is_judged(self, body: Body, hour: int) -> bool:
        return body[_DONE] is not None and hour - WEEK_HOURS < body[_DONE]

    def _complete(self, body: Body, hour: int, count: int, bar: float | None) -> None:
        """Move an hour to the past; after a long pause the group learns anew."""
        if body[_FIRST] is None or self._is_after_pause(body, hour):
            body[_FIRST] = hour
        del body[_OPEN][str(hour)]
        day, within = divmod(hour, DAY_HOURS)
        counts = body[_PAST].setdefault(str(day), [within])
        counts += [0] * (within - counts[0] - len(counts) + 1)
        counts.append(count if bar is None else min(count, ceil(bar)))

    def _is_after_pause(self, body: Body, hour: int) -> bool:
        """Say whether, since the last past hour, there was a pause after which state is gone."""
        last = _last_hour(body[_PAST])
        if last is None:
            return True
        hours = [last, *sorted(map(int, body[_OPEN])), hour]
        known = [other for other in hours if other <= hour]
        pause = max(b - a for a, b in pairwise(known))
        return pause > (self._weeks + 1) * WEEK_HOURS

    def _bar(self, body: Body, hour: int) -> float | None:
        """Return from which count on an hour is unusual; None while nothing is learned.

        Only open hours at most a week before `hour` can be missing from the past here.
        """
        first = body[_FIRST]
        if first is None or hour - first < self._learning_hours:
            return None
        if self._is_after_pause(body, hour):
            return None
        past = [
            _count_of(body[_PAST], hour - week * WEEK_HOURS)
            for week in range(1, self._weeks + 1)
            if hour - week * WEEK_HOURS >= first
        ]
        if not past:
            return None
        usual = float(median(past))
        deviation = float(median([abs(count - usual) for count in past]))
        spread = max(MAD_TO_SIGMA * deviation, sqrt(usual), 1.0)
        return max(float(self._count_min), usual + self._factor * spread)

    def _cross(self, memory: Memory, hour: int, counted: list[Any], bar: float) -> None:
        count, recorded_ms, occurred_ms, who = counted
        words = (("bar", f"{bar:.0f}"),)
        memory.cross(Crossing(hour, who[:1], count, occurred_ms, recorded_ms, who, words=words))

    def _forget(self, body: Body) -> None:
        if body[_DONE] is not None and body[_PAST]:
            oldest = (body[_DONE] - (self._weeks + 1) * WEEK_HOURS) // DAY_HOURS
            for day in [day for day in body[_PAST] if int(day) < oldest]:
                del body[_PAST][day]


def _last_hour(past: dict[str, list[int]]) -> int | None:
    """Return the latest past hour, which is the last that was added."""
    if not past:
        return None
    day = next(reversed(past))
    return int(day) * DAY_HOURS + past[day][0] + len(past[day]) - 2


def _count_of(past: dict[str, list[int]], hour: int) -> int:
    day, within = divmod(hour, DAY_HOURS)
    counts = past.get(str(day))
    place = within - counts[0] + 1 if counts else 0
    return counts[place] if counts and 0 < place < len(counts) else 0
