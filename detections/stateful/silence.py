"""Silent source: one that usually speaks and has stopped, by whole minutes. Pure.

Each gap between two minutes in which the source spoke is kept under the hour of the week in which
it began, the longest of each of the last weeks. A gap is too long when it exceeds `factor` times
the longest that began within two hours of this hour of the week, and at least `silence_minutes`.
A gap that raised an alert teaches no more than what would just have been tolerated, so that an
outage does not widen what is usual. Blind spot: when all sources are silent the watermark stands
still; that is for whoever watches the pipeline.
"""

from math import ceil
from typing import Final

from detections.stateful.memory import NOBODY, Body, Crossing, Memory
from detections.stateful.release import Item

MINUTE_MS: Final = 60_000
HOUR_MINUTES: Final = 60
WEEK_HOURS: Final = 168
AROUND_HOURS: Final = 2
WEEKS: Final = 4
FORGET_DAYS: Final = 60  # after which a source that stays silent is not known any more
DAY_MS: Final = 86_400_000

_FIRST, _LAST, _ALERTED, _GAPS, _EVENT_ID = range(5)


class Silence:
    """Known: first and last minute, whether the present gap has alerted, gaps, the last event."""

    retention_ms: Final = FORGET_DAYS * DAY_MS

    def __init__(self, silence_minutes: int, factor: float, learning_days: int) -> None:
        self._silence_minutes: Final = silence_minutes
        self._factor: Final = factor
        self._learning_minutes: Final = learning_days * 24 * HOUR_MINUTES

    def fresh(self) -> Body:
        """Return that nothing was heard, as `Fold.fresh` promises."""
        return [None, None, False, {}, ""]

    def bucket_of(self, item: Item) -> int:
        """Return the minute."""
        return item.recorded_ms // MINUTE_MS

    def is_nil(self, known: Body, item: Item) -> bool:
        """Say whether the source spoke in this minute, as `Fold.is_nil` promises."""
        return bool(known[_LAST] == item.recorded_ms // MINUTE_MS)

    def take(self, memory: Memory, known: Body, item: Item) -> None:
        """Learn the gap that ends here; cross if it was too long and nobody has said so."""
        minute, last = item.recorded_ms // MINUTE_MS, known[_LAST]
        if last is not None and (minute - last) * MINUTE_MS > self.retention_ms:
            known[:] = self.fresh()
            last = None
        if last is None:
            known[_FIRST] = known[_LAST] = minute
            known[_EVENT_ID] = item.who[0]
            return
        if minute <= last:
            return
        allowed, gap = self._allowed(known), minute - last
        if allowed is not None and gap > allowed:
            self._cross(memory, known, allowed)
            gap = allowed
        self._learn(known, last // HOUR_MINUTES, gap)
        known[_LAST], known[_ALERTED], known[_EVENT_ID] = minute, False, item.who[0]

    def tick(self, memory: Memory, known: Body) -> None:
        """Cross if the watermark shows that the source is silent for too long."""
        due = self.due_ms(known)
        allowed = self._allowed(known)
        if due is not None and allowed is not None and memory.watermark_ms >= due:
            self._cross(memory, known, allowed)

    def due_ms(self, known: Body) -> int | None:
        """Return when the present gap is too long; None when that is said or not yet learned."""
        allowed = self._allowed(known)
        if allowed is None or known[_ALERTED]:
            return None
        due: int = (known[_LAST] + allowed + 1) * MINUTE_MS
        return due

    def last_ms(self, known: Body) -> int | None:
        """Return the end of the last minute."""
        return None if known[_LAST] is None else (known[_LAST] + 1) * MINUTE_MS

    def _allowed(self, known: Body) -> int | None:
        """Return how many minutes the present gap may last; None while nothing is learned."""
        last: int | None = known[_LAST]
        gaps: dict[str, list[list[int]]] = known[_GAPS]
        if last is None or last - known[_FIRST] < self._learning_minutes or not gaps:
            return None
        hour = last // HOUR_MINUTES
        near: list[int] = [
            gap
            for away in range(-AROUND_HOURS, AROUND_HOURS + 1)
            for _week, gap in gaps.get(str((hour + away) % WEEK_HOURS), ())
        ]
        usual = max(near or [gap for weeks in gaps.values() for _week, gap in weeks])
        return max(self._silence_minutes, ceil(usual * self._factor))

    def _learn(self, known: Body, hour: int, gap: int) -> None:
        """Keep the longest gap of each of the last weeks that began in this hour of the week."""
        week, slot = hour // WEEK_HOURS, str(hour % WEEK_HOURS)
        weeks = known[_GAPS].setdefault(slot, [])
        if weeks and weeks[-1][0] == week:
            weeks[-1][1] = max(weeks[-1][1], gap)
        else:
            weeks.append([week, gap])
            del weeks[:-WEEKS]

    def _cross(self, memory: Memory, known: Body, allowed: int) -> None:
        if known[_ALERTED]:
            return
        known[_ALERTED] = True
        last, at = known[_LAST], (known[_LAST] + allowed + 1) * MINUTE_MS
        words = (("minutes", str(allowed)),)
        who = (known[_EVENT_ID], *NOBODY[1:])
        memory.note(Crossing(last, (known[_EVENT_ID],), 1, at, at, who, words=words))
