"""The buffer between callers and broker: parcels in lanes, within a budget of bytes and events."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from producers.message import Message
from schemas.errors import AuditError

ENTRY_BYTES: Final = 200  # what an event costs in memory beside its own bytes
_STALE_MIN: Final = 1024  # below it, stubs of abandoned events cost less than looking for them


class Receipt(NamedTuple):
    """Where the broker put an event.

    `timestamp` is its append time in ms (-1 if the topic keeps the producer's). `offset` is -1 in
    the one case that the broker knows a repeat but no longer where the first one went.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int


Outcome = Receipt | AuditError


@dataclass(slots=True, eq=False)
class Parcel:
    """Events handed over together. An entry of `messages` is None once it is sent or given up."""

    messages: list[Message | None]
    done: asyncio.Future[None] | None  # None: nobody waits
    outcomes: list[Outcome | None] = field(init=False)
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.outcomes = [None] * len(self.messages)
        self.left = len(self.messages)

    def settle(self, index: int, outcome: Outcome) -> None:
        """Note the outcome of one event, and wake the caller after the last."""
        self.outcomes[index] = outcome
        self.left -= 1
        if not self.left and self.done is not None and not self.done.done():
            self.done.set_result(None)


Entry = tuple[Parcel, int]


def cost(message: Message) -> int:
    """Return the bytes of buffer that a message takes."""
    return len(message.value) + ENTRY_BYTES


class Lane:
    """What waits for one partition, oldest first; at most one batch of it is on its way."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.waiting: deque[Entry] = deque()
        self.is_sending = False

    def drop_stale(self) -> None:
        """Forget the entries that were given up."""
        self.waiting = deque(e for e in self.waiting if e[0].messages[e[1]] is not None)


class Stale:
    """Counts entries given up that still stand in lanes, so that they are swept in bulk."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, count: int, lanes: list[Lane]) -> None:
        """Count, and sweep the lanes once most of what stands there is stale."""
        self._count += count
        if self._count >= _STALE_MIN and self._count * 2 > sum(len(x.waiting) for x in lanes):
            for lane in lanes:
                lane.drop_stale()
            self._count = 0


class Budget:
    """Bytes and events that may be in memory at once; who finds no room waits in turn."""

    def __init__(self, bytes_max: int, events_max: int) -> None:
        self._bytes_max, self._events_max = bytes_max, events_max
        self._bytes_used = self._events_used = 0
        self._waiters: deque[tuple[asyncio.Future[None], int, int]] = deque()

    @property
    def events_used(self) -> int:
        """How many events are in memory."""
        return self._events_used

    def try_take(self, size: int, events: int, *, share: float = 1.0) -> bool:
        """Take room if there is any now; `share` keeps the rest for those that matter more."""
        if self._waiters or not self._has_room(size, events, share):
            return False
        self._use(size, events)
        return True

    async def take(self, size: int, events: int, timeout_s: float) -> None:
        """Take room, waiting for it in turn. Raises `TimeoutError`, with nothing taken."""
        if self.try_take(size, events):
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((waiter, size, events))
        try:
            await asyncio.wait_for(waiter, timeout_s)
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self.give(size, events)  # it was handed over in the very moment we gave up
            self._serve()
            raise

    def give(self, size: int, events: int) -> None:
        """Give room back, and hand it to those who wait."""
        self._bytes_used -= size
        self._events_used -= events
        self._serve()

    def _serve(self) -> None:
        while self._waiters:
            waiter, size, events = self._waiters[0]
            if not waiter.done():
                if not self._has_room(size, events, 1.0):
                    return
                self._use(size, events)
                waiter.set_result(None)
            self._waiters.popleft()

    def _has_room(self, size: int, events: int, share: float) -> bool:
        return (
            self._bytes_used + size <= self._bytes_max * share
            and self._events_used + events <= self._events_max * share
        )

    def _use(self, size: int, events: int) -> None:
        self._bytes_used += size
        self._events_used += events
