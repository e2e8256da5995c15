"""The dispatcher: takes parcels out of the buffer, batch by batch and lane by lane, to Kafka."""

import asyncio
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from aiokafka.partitioner import murmur2

from producers.kafka_link import KafkaLink
from producers.lane import Budget, Entry, Lane, Parcel, Receipt, Stale, cost
from producers.message import Message
from schemas.errors import AuditError, BrokerUnavailable, Misconfigured, Unavailable

_RECONNECT_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)  # then every 2 s
_KEYS_REMEMBERED_MAX: Final = 65_536


@dataclass(slots=True)
class Counters:
    """What became of events, since the publisher was made."""

    published: int = 0  # the broker has it
    refused: int = 0  # not a valid event
    failed: int = 0  # must-log, and not known to be delivered: the caller got an error
    dropped: int = 0  # best-effort, and not known to be delivered


class Dispatcher:
    """One task, one batch a partition on its way; while it is, the next one gathers.

    Gives room back to `budget` for every event that was delivered or given up.
    """

    def __init__(
        self, link: KafkaLink, topic: str, budget: Budget, on_drop: Callable[[int], None]
    ) -> None:
        self._link = link
        self._topic = topic
        self._budget = budget
        self._on_drop = on_drop
        self._lanes: list[Lane] = []
        self._unplaced = Lane(-1)  # until the number of partitions is known
        self._stale = Stale()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._fault: AuditError | None = None  # why nothing goes out at the moment
        self.counters = Counters()

    def put(self, parcel: Parcel) -> None:
        """Take a parcel for which room in the budget has been taken."""
        if not self._lanes:
            self._unplaced.waiting.extend((parcel, index) for index in range(parcel.left))
        else:
            self._place((parcel, index) for index in range(parcel.left))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="audit-publisher")
        self._wake.set()

    def _place(self, entries: Iterable[Entry]) -> None:
        lanes = self._lanes
        count = len(lanes)
        for entry in entries:
            message = entry[0].messages[entry[1]]
            if message is not None:
                lanes[_partition_of(message, count)].waiting.append(entry)

    async def close(self, timeout_s: float) -> None:
        """Wait until all is delivered, at most that long; fail the rest and disconnect."""
        if self._task is not None:
            self._wake.set()
            try:
                async with asyncio.timeout(timeout_s):
                    while self._budget.events_used:
                        self._idle.clear()
                        await self._idle.wait()
            except TimeoutError:
                self._fail_waiting(BrokerUnavailable("closed before the broker had the event"))
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._link.close()

    def give_up(self, parcel: Parcel) -> None:
        """Settle what has no outcome yet, and take back what was not sent. Idempotent."""
        if not parcel.left:
            return
        unsent = sent = 0
        for index, outcome in enumerate(parcel.outcomes):
            if outcome is not None:
                continue
            message = parcel.messages[index]
            if message is None:
                sent += 1
                why = "sent, not acknowledged in time: it may still arrive"
            else:
                unsent += 1
                parcel.messages[index] = None
                self._budget.give(cost(message), 1)
                why = "not sent in time"
            parcel.settle(index, self.unavailable(why))
        self.counters.failed += unsent + sent
        self._stale.add(unsent, [*self._lanes, self._unplaced])

    def unavailable(self, what: str) -> AuditError:
        """Return the error for a caller, with the cause as far as it is known."""
        if isinstance(self._fault, Misconfigured):
            return self._fault
        cause = f" ({self._fault})" if self._fault else ""
        return BrokerUnavailable(f"{self._topic}: {what}{cause}")

    async def _run(self) -> None:
        failures = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                partitions = await self._link.connect()
                self._grow(partitions)
                for lane in self._lanes:
                    if lane.waiting and not lane.is_sending:
                        await self._send(lane)
                failures, self._fault = 0, None
            except Misconfigured as error:
                self._fault = error
                self._fail_waiting(error)
            except Unavailable as error:
                self._fault = error
                await asyncio.sleep(_RECONNECT_S[min(failures, len(_RECONNECT_S) - 1)])
                failures += 1
                self._wake.set()

    def _grow(self, partitions: int) -> None:
        """Make a lane for each partition; a topic's partitions only ever become more."""
        self._lanes.extend(Lane(number) for number in range(len(self._lanes), partitions))
        if self._unplaced.waiting:
            self._place(self._unplaced.waiting)
            self._unplaced.waiting.clear()

    async def _send(self, lane: Lane) -> None:
        batch = self._link.new_batch()
        entries: list[Entry] = []
        sizes = 0
        while lane.waiting:
            parcel, index = lane.waiting[0]
            message = parcel.messages[index]
            if message is not None:
                if not batch.append(timestamp=None, key=message.key, value=message.value):
                    break
                entries.append((parcel, index))
                sizes += cost(message)
                parcel.messages[index] = None
            lane.waiting.popleft()
        if not entries:
            return
        lane.is_sending = True
        sent = asyncio.ensure_future(self._link.send(batch, lane.partition))
        sent.add_done_callback(lambda done: self._settle(lane, entries, sizes, done))

    def _settle(
        self, lane: Lane, entries: list[Entry], sizes: int, sent: asyncio.Future[tuple[int, int]]
    ) -> None:
        lane.is_sending = False
        error = BrokerUnavailable("closed") if sent.cancelled() else sent.exception()
        if error is None:
            self._settle_delivered(lane.partition, entries, *sent.result())
        elif isinstance(error, AuditError):
            self._fault = error
            self._settle_failed(entries, error)
        else:
            raise error  # a bug; asyncio reports it
        self._budget.give(sizes, len(entries))
        self._wake.set()
        self._idle.set()

    def _settle_delivered(
        self, partition: int, entries: list[Entry], base: int, timestamp: int
    ) -> None:
        topic = self._topic
        for number, (parcel, index) in enumerate(entries):
            if parcel.outcomes[index] is None:  # else its deadline has passed
                offset = base + number if base >= 0 else -1
                parcel.settle(index, Receipt(topic, partition, offset, timestamp))
        self.counters.published += len(entries)

    def _settle_failed(self, entries: list[Entry], error: AuditError) -> None:
        dropped = 0
        for parcel, index in entries:
            if parcel.done is None:
                dropped += 1
            elif parcel.outcomes[index] is None:
                self.counters.failed += 1
                parcel.settle(index, error)
        self.count_dropped(dropped)

    def _fail_waiting(self, error: AuditError) -> None:
        for lane in (*self._lanes, self._unplaced):
            entries = [e for e in lane.waiting if e[0].messages[e[1]] is not None]
            lane.waiting.clear()
            for parcel, index in entries:
                message = parcel.messages[index]
                assert message is not None, "filtered above"
                parcel.messages[index] = None
                self._budget.give(cost(message), 1)
            self._settle_failed(entries, error)
        self._idle.set()

    def count_dropped(self, count: int) -> None:
        """Count best-effort events that did not get through, and tell."""
        if count:
            self.counters.dropped += count
            self._on_drop(count)


@lru_cache(maxsize=_KEYS_REMEMBERED_MAX)
def _partition_of_key(key: bytes, count: int) -> int:
    return int((murmur2(key) & 0x7FFFFFFF) % count)  # as every Kafka client does


def _partition_of(message: Message, count: int) -> int:
    if message.key is not None:
        return _partition_of_key(message.key, count)
    return zlib.crc32(message.value) % count  # spreads, and repeats itself
