"""Event count that reaches a threshold: the sliding window [t - span, t], decided at once. Pure.

Let S be all events t with `threshold` events or more in [t - span, t]. An alert stands for one
bucket floor(t / span) that holds a member of S. More events only add to S, so the set of alerts
does not depend on the order of arrival. What can be forgotten without changing any answer:
a bucket without an alert holds fewer than `threshold` events; one with an alert matters only to
windows that end in the next bucket, and for those its latest `threshold` - 1 events suffice.
"""

from bisect import bisect_left, bisect_right
from typing import Final

from detections.stateful.memory import EVENT_IDS_MAX, Body, Crossing, Memory
from schemas.signal import CHAINED, Entry

ENTRIES_MAX: Final = 10_000  # of a group; only without a watermark can there be as many


class EventCount:
    """`count >= threshold`. Body: times in order, and the ids of their events beside them."""

    def __init__(self, span_ms: int, threshold: int, grace_ms: int) -> None:
        assert threshold >= 1, "every group would alert always"
        self.bucket_ms: Final = span_ms
        self.retention_ms: Final = span_ms
        self._span_ms: Final = span_ms
        self._threshold: Final = threshold
        self.grace_ms: Final = grace_ms

    def fresh(self) -> Body:
        """Return no times and no ids, as `Machine.fresh` promises."""
        return [[], []]

    def add(self, memory: Memory, entry: Entry, partition: int) -> None:
        """Insert one event and look at the windows that hold it."""
        at, span_ms, alerted = entry[1], self._span_ms, memory.alerted
        bucket = at // span_ms
        if alerted and bucket in alerted and bucket + 1 in alerted:
            return  # all windows that could hold it have alerted
        if memory.watermark_ms and at < memory.watermark_ms - self.grace_ms - span_ms:
            memory.missed += 1
            return
        times, ids = memory.body
        event_id = entry[5][0]
        if partition == CHAINED and event_id in ids:
            return  # an alert sent once more
        place = bisect_right(times, at)
        times.insert(place, at)
        ids.insert(place, event_id if len(times) <= EVENT_IDS_MAX else "")
        if self._look(memory, place, entry) or bucket in memory.alerted:
            for touched in (bucket - 1, bucket, bucket + 1):
                self._trim(memory, touched)

    def advance(self, memory: Memory) -> None:
        """Forget what no window still to come can hold."""
        times, ids = memory.body
        gone = 0
        if memory.watermark_ms:
            oldest = memory.watermark_ms - self.grace_ms - self._span_ms
            gone = bisect_left(times, oldest) if times and times[0] < oldest else 0
        if len(times) - gone > ENTRIES_MAX:
            memory.thinned += len(times) - gone - ENTRIES_MAX
            gone = len(times) - ENTRIES_MAX
        if gone:
            del times[:gone], ids[:gone]

    def due_ms(self, _body: Body) -> int | None:
        """Return None: everything is decided at once."""
        return None

    def last_ms(self, body: Body) -> int | None:
        """Return the latest time, as `Machine.last_ms` promises."""
        return body[0][-1] if body[0] else None

    def _look(self, memory: Memory, place: int, entry: Entry) -> bool:
        """Cross the buckets of all ends whose window holds the event at `place`."""
        times, ids = memory.body
        reach, known = self._threshold - 1, len(memory.crossings)
        for end in range(max(place, reach), min(place + reach, len(times) - 1) + 1):
            if times[end] - times[end - reach] > self._span_ms:
                continue
            bucket = times[end] // self._span_ms
            if bucket not in memory.alerted:
                within = [event_id for event_id in ids[end - reach : end + 1] if event_id]
                shown = within[-EVENT_IDS_MAX:]
                memory.cross(Crossing(bucket, shown, reach + 1, entry[1], entry[2], entry[5]))
        return len(memory.crossings) > known

    def _trim(self, memory: Memory, bucket: int) -> None:
        """Forget of an alerted bucket what windows ending in the next one don't need."""
        if bucket not in memory.alerted:
            return
        times, ids = memory.body
        first = bisect_left(times, bucket * self._span_ms)
        after = bisect_left(times, (bucket + 1) * self._span_ms)
        kept = 0 if bucket + 1 in memory.alerted else self._threshold - 1
        if after - first > kept:
            del times[first : after - kept], ids[first : after - kept]
