"""The sink's end of Kafka: one consumer, one writer a partition, memory bounded."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from consumers.sink import group
from consumers.sink.entry import Place
from consumers.sink.intent import Position
from consumers.sink.resume import Ends, resume
from consumers.sink.runs import RunConsumer
from consumers.sink.writer import Surroundings, Timing, Writer
from runtime.log import event as log_event
from runtime.topics import translated
from schemas.errors import Broken, BrokerUnavailable

_LOG: Final = logging.getLogger(__name__)
POLL_MS: Final = 200
FETCH_BYTES_MAX: Final = 2_097_152  # compressed; twenty thousand events of 1 kB, or one record
FETCH_BYTES_MIN: Final = 65_536  # a batch waits for its age anyway: fewer requests meanwhile
FETCH_WAIT_MS: Final = 100
FULL_WAIT_S: Final = 0.02
MAX_POLL_MS: Final = 86_400_000  # a store that is away for an hour must not cost the membership
FENCED_WAIT_S: Final = 10.0  # then a rebalance should have come; without one, begin anew


@dataclass(frozen=True, slots=True)
class SinkConfig:
    """What a sink is told. `events_topic` names the raw topic whose offsets the rows carry."""

    bootstrap: str
    group: str
    sink: str
    records_topic: str
    events_topic: str
    timing: Timing
    memory_bytes_max: int
    session_timeout_ms: int = 6_000
    heartbeat_ms: int = 1_000
    rebalance_timeout_ms: int = 20_000
    drain_s: float = 5.0
    client_options: Mapping[str, Any] | None = None


class SinkConsumer(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Reads audit.records as a member of the sinks' group until told to stop."""

    def __init__(self, config: SinkConfig, around: Surroundings) -> None:
        """Prepare; `run` connects."""
        self._config = config
        self._around = around
        self._writers: dict[int, Writer] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._fatal: BaseException | None = None
        self._fenced_at: float | None = None
        self._consumer: Any = None
        self.stopped: dict[int, str] = {}
        self.is_assigned = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Consume until `stopping`. Raises `Unavailable` to be begun anew from Kafka's state."""
        config = self._config
        self._consumer = RunConsumer(
            bootstrap_servers=config.bootstrap,
            group_id=config.group,
            enable_auto_commit=False,
            # what was lost to retention shows as a hole in the coverage, and stops the partition
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            partition_assignment_strategy=(StickyPartitionAssignor,),
            session_timeout_ms=config.session_timeout_ms,
            heartbeat_interval_ms=config.heartbeat_ms,
            rebalance_timeout_ms=config.rebalance_timeout_ms,
            max_poll_interval_ms=MAX_POLL_MS,
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
            fetch_max_bytes=2 * FETCH_BYTES_MAX,
            fetch_min_bytes=FETCH_BYTES_MIN,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=30_000,
            **(config.client_options or {}),
        )
        self._consumer.subscribe([config.records_topic], listener=self)
        try:
            async with translated(config.bootstrap):
                await self._consumer.start()
                while not stopping.is_set():
                    await self._poll()
        finally:
            # leaving the group calls on_partitions_revoked no more: drain first
            await self._drain(list(self._writers))
            self.is_assigned = False
            with contextlib.suppress(BrokerUnavailable):
                async with translated(config.bootstrap):
                    await self._consumer.stop()

    def waits_for(self, seconds_min: float) -> str:
        """Say what the writers try in vain for longer than that; '' if all get on."""
        now_s = self._around.clock.monotonic()
        found = (writer.waits_for for writer in self._writers.values())
        whys = {w.why for w in found if w is not None and now_s - w.since_s > seconds_min}
        return "; ".join(sorted(whys))

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Finish what is in flight, commit it, and end the writers; never raises."""
        await self._guarded(self._drain([where.partition for where in revoked]))
        self.is_assigned = False

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take the partitions over where the group, or else the store, says; never raises."""
        await self._guarded(self._take([where.partition for where in assigned]))

    async def _guarded(self, work: Awaitable[None]) -> None:
        # aiokafka logs and swallows what a listener raises
        try:
            await work
        except Exception as error:  # noqa: BLE001 - raised again by the next poll
            self._fatal = error

    async def _poll(self) -> None:
        if self._fatal is not None:
            raise self._fatal
        self._refuse_to_hang()
        ready = self._with_room()
        if not ready:
            await asyncio.sleep(FULL_WAIT_S)
            return
        found = await self._consumer.getmany(*ready, timeout_ms=POLL_MS)
        for where, runs in found.items():
            writer = self._writers.get(where.partition)
            if writer is not None and where in ready:
                writer.feed(runs)

    def _with_room(self) -> list[TopicPartition]:
        """Return the partitions to read from: not those that hold their share of the memory.

        A partition that needs records to recover always reads. Left out rather than paused:
        aiokafka throws away what it has fetched of a paused partition, and fetches it again.
        """
        config = self._config
        total = sum(writer.backlog.bytes_ for writer in self._writers.values())
        self._around.metrics.backlog.set(total)
        share = config.memory_bytes_max // max(1, len(self._writers))
        running = [(n, w) for n, w in self._writers.items() if not w.stopped]
        ready = [n for n, w in running if w.is_rereading or w.backlog.bytes_ < share]
        self._around.metrics.held_back.inc(len(running) - len(ready))
        return [TopicPartition(config.records_topic, number) for number in ready]

    def _refuse_to_hang(self) -> None:
        """Raise what a writer died of; begin anew if it was fenced and no rebalance follows."""
        now = self._around.clock.monotonic()
        is_fenced = False
        for partition, task in self._tasks.items():
            if not task.done():
                continue
            error = task.exception()
            if error is not None:
                raise error
            why = self._writers[partition].stopped
            if why:
                self.stopped[partition] = why
            else:
                is_fenced = True
        self._fenced_at = (self._fenced_at or now) if is_fenced else None
        if self._fenced_at is not None and now - self._fenced_at > FENCED_WAIT_S:
            raise BrokerUnavailable("fenced, and no rebalance followed: joining the group anew")

    async def _take(self, partitions: list[int]) -> None:
        config = self._config
        pinned = group.generation_of(self._consumer)
        self._fenced_at = None
        self.stopped.clear()
        self.is_assigned = True
        if not partitions:
            return
        ends = await self._ends(partitions)
        commits = await group.committed(
            config.bootstrap, config.group, config.records_topic, partitions, config.client_options
        )
        for partition in partitions:
            await self._begin(partition, commits.get(partition), ends, pinned)
        log_event(_LOG, "partitions taken", partitions=str(sorted(partitions)))

    async def _begin(
        self,
        partition: int,
        told: tuple[int, str] | None,
        ends: Ends,
        pinned: group.Generation,
    ) -> None:
        config, around = self._config, self._around
        place = Place(config.events_topic, partition, config.sink, pinned.number)

        async def commit(position: Position) -> None:
            await group.commit(self._consumer, config.records_topic, partition, position, pinned)

        position, why = Position(ends.begin[partition]), ""
        try:
            position = await asyncio.get_running_loop().run_in_executor(
                around.executor, resume, around.store, place, told, ends
            )
        except Broken as error:
            why = str(error)
        writer = Writer(place, config.timing, around, commit, position)
        # no wait between these: what is fed is what follows the position
        self._consumer.seek(TopicPartition(config.records_topic, partition), position.offset)
        self._writers[partition] = writer
        self._tasks[partition] = asyncio.create_task(writer.run(why))

    async def _ends(self, partitions: list[int]) -> Ends:
        config = self._config
        where = [TopicPartition(config.records_topic, number) for number in partitions]
        async with translated(config.bootstrap):
            begin = await self._consumer.beginning_offsets(where)
            end = await self._consumer.end_offsets(where)
        return Ends(
            {tp.partition: offset for tp, offset in begin.items()},
            {tp.partition: offset for tp, offset in end.items()},
        )

    async def _drain(self, partitions: list[int]) -> None:
        """End writers: finish and commit within the bound, then cancel. Safe at any point."""
        tasks = [self._tasks.pop(number) for number in partitions if number in self._tasks]
        for number in partitions:
            writer = self._writers.pop(number, None)
            if writer is not None:
                writer.close()
        if not tasks:
            return
        _done, pending = await asyncio.wait(tasks, timeout=self._config.drain_s)
        for task in pending:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
