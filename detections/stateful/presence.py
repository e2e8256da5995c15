"""Which values, or which rules, occurred within one window: decided at once, never undone. Pure.

Serves value_count (distinct values reach a threshold) and temporal (all rules occurred, or a
condition without `not` holds). Let S be all events t for which the set of values in
[t - span, t] satisfies; a bucket floor(t / span) that holds a member of S alerts once. More
events only add to S. Of each bucket and value the first and the last time are enough: a window
that ends in the bucket sees a prefix of it, one that ends in the next bucket sees a suffix.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple

from detections.stateful.memory import EVENT_IDS_MAX, Body, Crossing, Memory
from schemas.signal import Entry

BUCKETS_MAX: Final = 1_000  # of a group; only without a watermark can there be as many
VALUES_SHOWN: Final = 5
_SEPARATOR: Final = "\x1f"

# value -> first and last time within the bucket, and the last event's id
_Cell = dict[str, list[Any]]


class Bounds(NamedTuple):
    """How many values there must be at least, and how many of an alerted bucket can matter."""

    least: int
    values_max: int


class Presence:
    """`is_enough(values)` must be monotone. Body: bucket -> value -> [first, last, event id].

    `value_of` reads the value of an entry, None for one that has none.
    """

    def __init__(
        self,
        span_ms: int,
        grace_ms: int,
        is_enough: Callable[[AbstractSet[str]], bool],
        bounds: Bounds,
        value_of: Callable[[Entry], str | None],
    ) -> None:
        self.bucket_ms: Final = span_ms
        self.retention_ms: Final = span_ms
        self._span_ms: Final = span_ms
        self.grace_ms: Final = grace_ms
        self._is_enough: Final = is_enough
        self._least, self._values_max = bounds
        self._value_of: Final = value_of

    def fresh(self) -> Body:
        """Return no buckets, as `Machine.fresh` promises."""
        return {}

    def add(self, memory: Memory, entry: Entry, _partition: int) -> None:
        """Note that a value occurred, and look at the two buckets that it can complete."""
        value, span_ms = self._value_of(entry), self._span_ms
        if value is None:
            return
        bucket, at = divmod(entry[1], span_ms)
        alerted = memory.alerted
        if alerted and bucket in alerted and bucket + 1 in alerted:
            return
        if memory.watermark_ms and entry[1] < memory.watermark_ms - self.grace_ms - span_ms:
            memory.missed += 1
            return
        cell: _Cell = memory.body.setdefault(str(bucket), {})
        seen = cell.get(value)
        if seen is None:
            cell[value] = [at, at, entry[5][0]]
        elif at < seen[0]:
            seen[0] = at
        elif at > seen[1]:
            seen[1], seen[2] = at, entry[5][0]
        else:
            return
        if seen is None or seen[0] == at:
            self._look(memory, bucket, entry)
        self._look(memory, bucket + 1, entry)
        if alerted:
            for touched in (bucket - 1, bucket, bucket + 1):
                self._trim(memory, touched)

    def advance(self, memory: Memory) -> None:
        """Forget the buckets that no window still to come reaches."""
        body = memory.body
        if memory.watermark_ms:
            oldest = (memory.watermark_ms - self.grace_ms - self._span_ms) // self._span_ms
            for name in [name for name in body if int(name) < oldest]:
                del body[name]
        while len(body) > BUCKETS_MAX:
            memory.thinned += len(body.pop(min(body, key=int)))

    def due_ms(self, _body: Body) -> int | None:
        """Return None: everything is decided at once."""
        return None

    def last_ms(self, body: Body) -> int | None:
        """Return the end of the latest bucket: no entry lies after it."""
        return (max(map(int, body)) + 1) * self._span_ms if body else None

    def _look(self, memory: Memory, bucket: int, entry: Entry) -> None:
        """Cross the bucket if one of its events ends a window that has enough."""
        body = memory.body
        cell: _Cell | None = body.get(str(bucket))
        if cell is None or bucket in memory.alerted:
            return
        before: _Cell = body.get(str(bucket - 1)) or {}
        if len(cell) + len(before) < self._least:
            return
        window = {value: seen[2] for value, seen in before.items()}
        leaving = sorted((seen[1], value) for value, seen in before.items())
        ends = sorted((seen[0], value) for value, seen in cell.items())
        gone = 0
        for place, (end, value) in enumerate(ends):
            window[value] = cell[value][2]
            if place + 1 < len(ends) and ends[place + 1][0] == end:
                continue  # all that occurred at the same time belong to one window
            while gone < len(leaving) and leaving[gone][0] < end:
                old = leaving[gone][1]
                if old not in cell or cell[old][0] > end:
                    del window[old]
                gone += 1
            if self._is_enough(window.keys()):
                memory.cross(_crossing(bucket, window, entry))
                return

    def _trim(self, memory: Memory, bucket: int) -> None:
        """Forget of an alerted bucket what windows ending in the next one don't need."""
        cell: _Cell | None = memory.body.get(str(bucket))
        if cell is None or bucket not in memory.alerted:
            return
        if bucket + 1 in memory.alerted:
            del memory.body[str(bucket)]
            return
        while len(cell) > self._values_max:
            del cell[min(cell, key=lambda value: (cell[value][1], value))]


def _crossing(bucket: int, window: dict[str, Any], entry: Entry) -> Crossing:
    ids = tuple(dict.fromkeys(event_id for event_id in window.values() if event_id))
    shown = ", ".join(value.replace(_SEPARATOR, " / ") for value in sorted(window)[:VALUES_SHOWN])
    if len(window) > VALUES_SHOWN:
        shown += f" and {len(window) - VALUES_SHOWN} more"
    words = (("values", shown),)
    return Crossing(
        bucket,
        ids[:EVENT_IDS_MAX],
        len(window),
        entry[1],
        entry[2],
        entry[5],
        words=words,
    )


def value_of(entry: Entry) -> str | None:
    """Read the value of a value_count: one text, or a tuple of several; None if one is missing."""
    value = entry[4]
    if type(value) is str:
        return value
    if type(value) is list:
        return None if None in value else _SEPARATOR.join(map(str, value))
    return None if value is None else str(value)


def slot_of(entry: Entry) -> str:
    """Read which rule of a temporal correlation an entry is of."""
    return str(entry[3])
