"""Rules that occur one after the other within a span, equal times allowed: decided at once. Pure.

A chain t1 <= t2 <= … <= tn has one event of each rule in the plan's order; S holds the ends tn of
all chains with tn - t1 <= span. One pass over the events in order keeps, for each length, the
latest start of a chain of that length: O(n) a look. What the watermark has made sure shrinks to
these starts.
"""

from bisect import insort
from typing import Any, Final

from detections.stateful.memory import EVENT_IDS_MAX, Body, Crossing, Memory
from schemas.signal import CHAINED, Entry

ENTRIES_MAX: Final = 512  # of a group, above what the watermark has made sure
_KEPT: Final = 256  # when there are too many

# The latest start of a chain, and the ids of its events.
_Chain = tuple[int, tuple[str, ...]] | list[Any] | None


class Ordered:
    """All of `slots` in order. Body: entries [time, place, event id], and the chains before."""

    def __init__(self, span_ms: int, grace_ms: int, slots: tuple[int, ...]) -> None:
        self.bucket_ms: Final = span_ms
        self.retention_ms: Final = span_ms
        self._span_ms: Final = span_ms
        self.grace_ms: Final = grace_ms
        self._places: Final = {slot: place for place, slot in enumerate(slots)}

    def fresh(self) -> Body:
        """Return no entries and no chains, as `Machine.fresh` promises."""
        return [[], [None] * len(self._places)]

    def add(self, memory: Memory, entry: Entry, partition: int) -> None:
        """Insert one event and look at all chains."""
        at, place = entry[1], self._places.get(entry[3])
        bucket = at // self._span_ms
        if place is None or (bucket in memory.alerted and bucket + 1 in memory.alerted):
            return
        if memory.watermark_ms and at < memory.watermark_ms - self.grace_ms:
            memory.missed += 1
            return
        item = [at, place, entry[5][0]]
        entries = memory.body[0]
        if partition == CHAINED and item in entries:
            return  # an alert sent once more
        insort(entries, item)
        self._look(memory, entry)

    def advance(self, memory: Memory) -> None:
        """Shrink what is sure to the chains that can still go on."""
        entries, chains = memory.body
        sure = memory.watermark_ms - self.grace_ms if memory.watermark_ms else None
        count = 0
        while sure is not None and count < len(entries) and entries[count][0] < sure:
            count += 1
        if len(entries) - count > ENTRIES_MAX:
            memory.thinned += len(entries) - count - _KEPT
            count = len(entries) - _KEPT
        for item in entries[:count]:
            _extend(chains, item)
        del entries[:count]
        if sure is not None:
            for place, chain in enumerate(chains):
                if chain is not None and chain[0] < sure - self._span_ms:
                    chains[place] = None

    def due_ms(self, _body: Body) -> int | None:
        """Return None: everything is decided at once."""
        return None

    def last_ms(self, body: Body) -> int | None:
        """Return the latest time of an entry, or the latest start of a chain."""
        entries, chains = body
        starts: list[int] = [chain[0] for chain in chains if chain is not None]
        if entries:
            starts.append(entries[-1][0])
        return max(starts, default=None)

    def _look(self, memory: Memory, entry: Entry) -> None:
        """Cross the buckets of all ends of whole chains."""
        entries, chains = memory.body
        chains = list(chains)
        last = len(chains) - 1
        for item in entries:
            _extend(chains, item)
            chain = chains[last]
            if item[1] == last and chain is not None and chain[0] >= item[0] - self._span_ms:
                bucket = item[0] // self._span_ms
                ids = tuple(dict.fromkeys(filter(None, chain[1])))[:EVENT_IDS_MAX]
                memory.cross(Crossing(bucket, ids, last + 1, entry[1], entry[2], entry[5]))


def _extend(chains: list[_Chain], item: list[Any]) -> None:
    """Take the next event in order into the chains; equal times come in the order of the rules."""
    at, place, event_id = item
    if place == 0:
        chains[0] = (at, (event_id,))
        return
    before = chains[place - 1]
    if before is not None:
        chains[place] = (before[0], (*before[1], event_id))
