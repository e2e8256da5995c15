"""Signals to Kafka: each to the partition of its key, and to all of them how far each source is.

Stage 2 learns from the clocks up to which broker time it has seen everything of a partition of
audit.events. A clock is sent once the broker has whatever the events before it signalled; so it
is true where it is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.clocks import CLOCK_KEY, Clocks, encode_clocks, partition_of
from pipeline.emit import Emitter
from pipeline.run import OutRecord, OutSignal, Run
from runtime.clock import Clock, SystemClock
from schemas.topics import SIGNALS

CLOCK_PERIOD_S: Final = 0.2  # what waits for the time waits so long at most
IDLE_PERIOD_S: Final = 1.0  # while nothing happens
CLOCK_MARGIN_MS: Final = 1_000  # by this much our clock and the brokers' may differ


@dataclass(frozen=True, slots=True)
class Origin:
    """What the signals are about: a topic by its id, and its number of partitions.

    Stage 2 must hear of so many partitions before it can tell the time.
    """

    incarnation: str
    partitions: int


class SignalSender:
    """Brings a run's signals to audit.signals, and the clocks of the partitions that it is of."""

    def __init__(
        self,
        emitter: Emitter,
        origin: Origin,
        *,
        topic: str = SIGNALS,
        clock: Clock | None = None,
    ) -> None:
        self._emitter = emitter
        self._origin = origin
        self._topic = topic
        self._clock = clock or SystemClock()
        self._partitions = 0
        self._reached_ms: dict[int, int] = {}
        self._told_ms: dict[int, int] = {}
        self._told_at = float("-inf")

    async def send(self, run: Run, signals: Sequence[OutSignal]) -> None:
        """Write the signals of one run; return when the broker has them.

        One call at a time for a partition of the source, in the order of its runs.
        """
        recorded_ms = run.records[-1].timestamp
        if signals:
            parcels: dict[int, list[OutRecord]] = {}
            count = await self._count()
            for key, value in signals:
                record = OutRecord(recorded_ms, key, value, ())
                parcels.setdefault(partition_of(key, count), []).append(record)
            await self._emitter.send_many(self._topic, parcels)
        self._reached_ms[run.partition] = recorded_ms

    async def tell(self, polled_ms: Mapping[int, int]) -> None:
        """Write the clocks that moved; call it every `CLOCK_PERIOD_S`.

        `polled_ms` has, for each partition with nothing to read, when the broker last said so,
        by our clock.
        """
        is_idle = not any(ms > self._told_ms.get(p, 0) for p, ms in self._reached_ms.items())
        if is_idle and self._clock.monotonic() - self._told_at < IDLE_PERIOD_S:
            return
        reached = dict(self._reached_ms)
        for partition, polled in polled_ms.items():
            idle_ms = polled - CLOCK_MARGIN_MS
            reached[partition] = max(idle_ms, reached.get(partition, 0))
        latest_ms = self._clock.now_ms() + CLOCK_MARGIN_MS  # a lying broker moves nobody on
        clocks = {
            partition: clock_ms
            for partition, reached_ms in reached.items()
            if (clock_ms := min(reached_ms, latest_ms)) > self._told_ms.get(partition, 0)
        }
        if not clocks:
            return
        self._told_ms |= clocks
        self._told_at = self._clock.monotonic()
        told = Clocks(
            self._origin.incarnation,
            self._origin.partitions,
            {str(partition): clock_ms for partition, clock_ms in clocks.items()},
        )
        record = OutRecord(max(clocks.values()), CLOCK_KEY, encode_clocks(told), ())
        parcels = {number: [record] for number in range(await self._count())}
        await self._emitter.send_many(self._topic, parcels)

    async def _count(self) -> int:
        """Return how many partitions the signals have: asked once, for keys must not move."""
        if not self._partitions:
            self._partitions = await self._emitter.count_partitions(self._topic)
        return self._partitions
