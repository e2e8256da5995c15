"""Entries released in one order, that of the broker's time, as far as the watermark is sure. Pure.

What was known at a moment depends on all that came before it, and "never seen" can be undone by
an earlier event that comes later, from another partition. So rules of this kind wait until the
watermark has passed an entry, and then see all entries sorted by (recorded, partition, offset).
"""

from bisect import insort
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from detections.stateful.memory import Body, Memory
from schemas.signal import Entry

PENDING_MAX: Final = 1_000  # of a group; the oldest are released unsure when there are more
PENDING_CHARS_MAX: Final = 80_000  # of their texts; 480 kB at most as JSON has them


class Item(NamedTuple):
    """One entry while it waits, in the order in which it will be released."""

    recorded_ms: int
    partition: int
    offset: int
    value: str
    occurred_ms: int
    who: list[str]


class Fold(Protocol):
    """What sees entries in order. `known` is plain JSON."""

    @property
    def retention_ms(self) -> int:
        """How long after its last entry `known` matters."""

    def fresh(self) -> Body:
        """Return what is known of a group never seen."""

    def bucket_of(self, item: Item) -> int:
        """Return the bucket of time within which only the first entry of a value matters."""

    def is_nil(self, known: Body, item: Item) -> bool:
        """Say whether an entry teaches nothing, whatever still comes before it."""

    def take(self, memory: Memory, known: Body, item: Item) -> None:
        """See the next entry."""

    def tick(self, memory: Memory, known: Body) -> None:
        """See that the watermark has come to where it is without any other entry."""

    def due_ms(self, known: Body) -> int | None:
        """Return the watermark from which `tick` has something to say."""

    def last_ms(self, known: Body) -> int | None:
        """Return the time of the last entry seen."""


class Release:
    """Body: the entries that wait, in order, and what the fold knows."""

    bucket_ms: Final = 0
    grace_ms: Final = 0  # its times are the broker's

    def __init__(self, fold: Fold) -> None:
        self._fold: Final = fold
        self.retention_ms: Final = fold.retention_ms

    def fresh(self) -> Body:
        """Return no entries and a fresh fold, as `Machine.fresh` promises."""
        return [[], self._fold.fresh()]

    def add(self, memory: Memory, entry: Entry, partition: int) -> None:
        """Let an entry wait, unless one of the same value and bucket waits before it."""
        pending, known = memory.body
        value = entry[4] if type(entry[4]) is str else ""
        item = Item(entry[2], partition, entry[0], value, entry[1], list(entry[5]))
        if self._fold.is_nil(known, item):
            return
        bucket = self._fold.bucket_of(item)
        for place, other in enumerate(pending):
            if other[3] == value and self._fold.bucket_of(Item(*other)) == bucket:
                if item[:3] >= tuple(other[:3]):
                    return
                del pending[place]
                break
        insort(pending, list(item))

    def advance(self, memory: Memory) -> None:
        """Release what is sure."""
        pending, known = memory.body
        count, chars = 0, sum(map(_chars, pending))
        for waiting in pending:
            if waiting[0] >= memory.watermark_ms:
                if len(pending) - count <= PENDING_MAX and chars <= PENDING_CHARS_MAX:
                    break
                memory.thinned += 1
            chars -= _chars(waiting)
            self._fold.take(memory, known, Item(*waiting))
            count += 1
        del pending[:count]
        self._fold.tick(memory, known)

    def due_ms(self, body: Body) -> int | None:
        """Return when the first entry is sure, or when the fold wants to be told."""
        due: list[Any] = [self._fold.due_ms(body[1])]
        if body[0]:
            due.append(body[0][0][0] + 1)
        return min((at for at in due if at is not None), default=None)

    def last_ms(self, body: Body) -> int | None:
        """Return the time of the last entry, seen or waiting."""
        if body[0]:
            last: int = body[0][-1][0]
            return last
        return self._fold.last_ms(body[1])


def _chars(waiting: Sequence[Any]) -> int:
    return len(waiting[3]) + sum(map(len, waiting[5]))
