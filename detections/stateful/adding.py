"""Sum of a field that reaches a threshold: the sliding window, decided at once. Pure.

Like counting.py, with amounts. They are kept as whole millionths, so that a sum does not depend
on the order in which it is made. An amount that is not above zero adds nothing and ends no
window: nobody can hide an export behind a negative one.
"""

from bisect import bisect_left, bisect_right
from itertools import accumulate
from math import isnan
from typing import Final

from detections.stateful.memory import EVENT_IDS_MAX, Body, Crossing, Memory
from schemas.signal import Entry

ENTRIES_MAX: Final = 2_000  # of a group
SCALE: Final = 1_000_000
AMOUNT_MAX: Final = 10**15  # bytes and records are far less; keeps a sum readable by JSON


def scaled(value: object) -> int | None:
    """Read a number, or a text that spells one, as whole millionths; None for anything else.

    What is beyond `AMOUNT_MAX` counts as that: nobody hides an export by an amount too large.
    """
    if type(value) is str:
        try:
            value = float(value)
        except ValueError:
            return None
    if type(value) is int:
        return max(-AMOUNT_MAX, min(value, AMOUNT_MAX)) * SCALE
    if type(value) is not float or isnan(value):
        return None
    return round(max(-float(AMOUNT_MAX), min(value, float(AMOUNT_MAX))) * SCALE)


class ValueSum:
    """`sum >= threshold` (in millionths). Body: times in order, their amounts and event ids."""

    def __init__(self, span_ms: int, threshold: int, grace_ms: int) -> None:
        assert threshold >= 1, "every group would alert always"
        self.bucket_ms: Final = span_ms
        self.retention_ms: Final = span_ms
        self._span_ms: Final = span_ms
        self._threshold: Final = threshold
        self.grace_ms: Final = grace_ms

    def fresh(self) -> Body:
        """Return no times, amounts and ids, as `Machine.fresh` promises."""
        return [[], [], []]

    def add(self, memory: Memory, entry: Entry, _partition: int) -> None:
        """Insert one amount and look at the windows that hold it."""
        at, span_ms, alerted = entry[1], self._span_ms, memory.alerted
        amount, bucket = scaled(entry[4]), at // span_ms
        if amount is None or amount <= 0 or (bucket in alerted and bucket + 1 in alerted):
            return
        if memory.watermark_ms and at < memory.watermark_ms - self.grace_ms - span_ms:
            memory.missed += 1
            return
        times, amounts, ids = memory.body
        place = bisect_right(times, at)
        times.insert(place, at)
        amounts.insert(place, amount)
        ids.insert(place, entry[5][0])
        self._look(memory, place, entry)
        if alerted:
            for touched in (bucket - 1, bucket, bucket + 1):
                self._trim(memory, touched)

    def advance(self, memory: Memory) -> None:
        """Forget what no window still to come can hold; join the oldest when there are too many."""
        times, amounts, ids = memory.body
        if memory.watermark_ms:
            oldest = memory.watermark_ms - self.grace_ms - self._span_ms
            if gone := bisect_left(times, oldest):
                del times[:gone], amounts[:gone], ids[:gone]
        if (surplus := len(times) - ENTRIES_MAX) > 0:
            memory.thinned += surplus
            amounts[surplus] += sum(amounts[:surplus])
            del times[:surplus], amounts[:surplus], ids[:surplus]

    def due_ms(self, _body: Body) -> int | None:
        """Return None: everything is decided at once."""
        return None

    def last_ms(self, body: Body) -> int | None:
        """Return the latest time, as `Machine.last_ms` promises."""
        return body[0][-1] if body[0] else None

    def _look(self, memory: Memory, place: int, entry: Entry) -> None:
        """Cross the buckets of all ends whose window holds the amount at `place`."""
        times, amounts, ids = memory.body
        sums = list(accumulate(amounts, initial=0)) if place < len(times) - 1 else []
        end = place
        while end < len(times) and times[end] - times[place] <= self._span_ms:
            first = bisect_left(times, times[end] - self._span_ms)
            after = bisect_right(times, times[end])
            bucket = times[end] // self._span_ms
            total = sums[after] - sums[first] if sums else sum(amounts[first:after])
            if total >= self._threshold and bucket not in memory.alerted:
                within = ids[first:after]
                memory.cross(
                    Crossing(
                        bucket,
                        within[-EVENT_IDS_MAX:],
                        len(within),
                        entry[1],
                        entry[2],
                        entry[5],
                        words=(("sum", f"{total / SCALE:g}"),),
                    )
                )
            end = after

    def _trim(self, memory: Memory, bucket: int) -> None:
        """Forget of an alerted bucket what windows ending in the next one don't need."""
        if bucket not in memory.alerted:
            return
        times, amounts, ids = memory.body
        first = bisect_left(times, bucket * self._span_ms)
        after = kept = bisect_left(times, (bucket + 1) * self._span_ms)
        total = self._threshold if bucket + 1 in memory.alerted else 0
        while kept > first and total < self._threshold:
            kept -= 1
            total += amounts[kept]
        if kept > first and after > first:
            del times[first:kept], amounts[first:kept], ids[first:kept]
