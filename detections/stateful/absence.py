"""Conditions with `not` over which rules occurred: judged when nothing can undo them. Pure.

An event t of a rule that the condition wants ends a window [t - span, t]. What the condition wants
must lie in it; what it does not want must be absent from [t - span, t + span], so that neither a
ticket before nor a revocation after is missed because of where windows happen to begin. Decided
when the watermark has passed t + span by the grace.
"""

from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Any, Final

from detections.stateful.memory import EVENT_IDS_MAX, Body, Crossing, Memory
from schemas.signal import CHAINED, Entry

ENTRIES_MAX: Final = 1_000  # of a group

# Says whether the condition holds: of the rules in the window, and of those around it.
Condition = Callable[[set[int], set[int]], bool]


class Absence:
    """Body: entries [time, slot, event id, recorded, who] in order; up to where is decided; latest.

    Both are kept as long as repeats can come: of a part of them, what is absent would be unknown.

    `wanted` are the slots that can end a window; `order`, if given, those that must occur one
    after the other.
    """

    def __init__(
        self,
        span_ms: int,
        grace_ms: int,
        holds: Condition,
        wanted: frozenset[int],
        order: tuple[int, ...],
    ) -> None:
        self.bucket_ms: Final = span_ms
        self.retention_ms: Final = 2 * span_ms
        self._span_ms: Final = span_ms
        self.grace_ms: Final = grace_ms
        self._holds: Final = holds
        self._wanted: Final = wanted
        self._order: Final = order

    def fresh(self) -> Body:
        """Return no entries and nothing decided, as `Machine.fresh` promises."""
        return [[], None, None]

    def add(self, memory: Memory, entry: Entry, partition: int) -> None:
        """Insert one event."""
        entries, done, latest = memory.body
        is_sure = memory.watermark_ms and entry[1] < memory.watermark_ms - self.grace_ms
        if is_sure or (done is not None and entry[1] < done + self._span_ms):
            memory.missed += 1
            return
        item = [entry[1], entry[3], entry[5][0], entry[2], list(entry[5])]
        if partition == CHAINED and any(item[:3] == known[:3] for known in entries):
            return  # an alert sent once more
        insort(entries, item)
        memory.body[2] = entry[1] if latest is None else max(latest, entry[1])

    def advance(self, memory: Memory) -> None:
        """Decide the windows that are complete, in their order."""
        entries, done, _ = memory.body
        surplus = len(entries) - ENTRIES_MAX
        if surplus > 0:
            memory.thinned += surplus
            del entries[:surplus]
        if not memory.watermark_ms:
            return
        sure = memory.watermark_ms - self._span_ms - self.grace_ms
        for item in entries:
            if item[0] > sure:
                break
            if (done is None or item[0] > done) and item[1] in self._wanted:
                self._decide(memory, entries, item)
        memory.body[1] = sure if done is None else max(done, sure)
        del entries[: bisect_left(entries, [sure - self._span_ms])]

    def due_ms(self, body: Body) -> int | None:
        """Return when the first undecided window is complete."""
        entries, done, _ = body
        for item in entries:
            if item[1] in self._wanted and (done is None or item[0] > done):
                due: int = item[0] + self._span_ms + self.grace_ms
                return due
        return None

    def last_ms(self, body: Body) -> int | None:
        """Return the latest time, as `Machine.last_ms` promises."""
        latest: int | None = body[2]
        return latest

    def _decide(self, memory: Memory, entries: list[list[Any]], end: list[Any]) -> None:
        at, span_ms = end[0], self._span_ms
        bucket = at // span_ms
        if bucket in memory.alerted:
            return
        around = [item for item in entries if abs(item[0] - at) <= span_ms]
        within = [item for item in around if item[0] <= at]
        slots = {item[1] for item in within}
        if not self._holds(slots, {item[1] for item in around}):
            return
        if self._order and not self._is_ordered(within, end):
            return
        ids = tuple(dict.fromkeys(item[2] for item in within if item[1] in self._wanted))
        memory.cross(Crossing(bucket, ids[-EVENT_IDS_MAX:], len(ids), at, end[3], end[4]))

    def _is_ordered(self, within: list[list[Any]], end: list[Any]) -> bool:
        """Say whether a chain in the plan's order ends here."""
        if end[1] != self._order[-1]:
            return False
        at = end[0]
        for slot in reversed(self._order[:-1]):
            times = [item[0] for item in within if item[1] == slot and item[0] <= at]
            if not times:
                return False
            at = times[-1]
        return True
