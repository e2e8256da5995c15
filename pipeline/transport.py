"""Faust's Kafka transport, handing an agent one message per fetched run of a partition.

Faust costs about 90 µs per message whatever the message does, so for the topics that ask for it
(the app's attribute `run_topics`) a message is a whole `Run`: the records of one partition that
one fetch brought, in order. Other topics, changelogs among them, go through untouched.

Relied on inside Faust 0.15.3 (`tests/unit/pipeline/test_transport_internals.py` pins them):
- `AIOKafkaConsumerThread._fetch_records` is where records leave aiokafka, in the consumer's
  thread; `_create_worker_consumer` builds the aiokafka consumer from `conf`; `seek_to_committed`
  and `_commit` are the only ways to and from the group's offsets.
- `Consumer._to_message` makes what `getmany` yields; `ack` is the one door to `_acked_index` and
  `_acked`; `_new_offset` alone decides what is committed; `_add_gap` is called for offsets that
  Faust did not see as messages.
- `on_buffer_full` takes a partition out of the fetch; with none left `_wait_next_records` sleeps
  a whole second, so runs use the blocking `put` of the agent's bounded queue instead.

A committed offset carries the incarnation of the topic (Kafka's topic id) as its metadata: it
means nothing in a topic that was made anew under the same name.

Relied on inside aiokafka 0.14: `commit_offsets` and `fetch_committed_offsets` of the coordinator
carry metadata; `Fetcher._records` is ordered, and keyed by partition; `fetched_records` with
timeout 0 drains it without a suspension; a partition's `position` just before is then exactly
the offset that the broker was asked for; every rebalance makes a new `Assignment`; a record is
what `PartitionRecords._consumer_record` made of the parser's.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast

import aiokafka
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import ConsumerStoppedError
from aiokafka.record.default_records import DefaultRecord
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from pipeline.reading import Acks, Reading, cut_runs
from pipeline.run import RawRecord, Run

PARTITION_FETCH_BYTES_MAX: Final = 2_097_152  # audit.events takes no larger batch
FETCH_BYTES_MAX: Final = 4_194_304  # compressed; about 32 MiB of records in memory
REASSIGNMENT_POLL_S: Final = 0.05
REVOKE_COMMIT_S: Final = 2.0  # what is not committed by then is repeated by the next owner


@dataclass(slots=True)
class Parcel:
    """A run on its way through Faust; only a delivered one may be acknowledged.

    Faust itself acknowledges messages that its streams skip while partitions move.
    """

    run: Run
    is_delivered: bool = False


class LabellingConsumer(aiokafka.AIOKafkaConsumer):  # type: ignore[misc]  # faust is untyped here
    """aiokafka's consumer, writing beside each committed offset what its topic was then."""

    label_of: Callable[[str], str]

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Commit; each offset under its topic's label."""
        await super().commit(
            {
                tp: OffsetAndMetadata(at.offset, self.label_of(tp.topic))
                for tp, at in offsets.items()
            }
        )


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # faust is untyped here
    """The thread that owns the aiokafka consumer; turns what it fetched into runs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.reading = Reading()

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:  # noqa: ANN401
        # Faust's own has no fetch_max_bytes and waits 1.5 s on the broker
        conf = self.app.conf
        has_tables = bool(self.app.tables.changelog_topics)
        self._assignor = self.app.assignor if has_tables else RoundRobinPartitionAssignor
        consumer = LabellingConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            bootstrap_servers=driver.server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset=conf.consumer_auto_offset_reset,
            max_poll_records=conf.broker_max_poll_records,
            max_poll_interval_ms=int((conf.broker_max_poll_interval or 0) * 1000),
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_bytes=FETCH_BYTES_MAX,
            fetch_max_wait_ms=self.app.fetch_wait_ms,
            fetch_min_bytes=self.app.fetch_bytes_min,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            check_crcs=conf.broker_check_crcs,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            isolation_level="read_committed",  # an aborted event was never published
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
            **driver.credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
        )
        consumer.label_of = self._label_of
        return consumer

    def polled_ms(self, tp: TP) -> int | None:
        """Return when, by our clock, the broker last told the end; from any thread."""
        polled: int | None = self._ensure_consumer().last_poll_timestamp(tp)
        return polled

    def _label_of(self, topic: str) -> str:
        return self.app.incarnation if topic in self.app.run_topics else ""

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's signature
        max_records: int | None = None,
    ) -> Mapping[TP, Sequence[object]]:
        if not self.consumer.flow_active:
            return {}
        fetcher = consumer._fetcher  # noqa: SLF001
        if consumer._closed or fetcher._closed:  # noqa: SLF001
            raise ConsumerStoppedError
        subscriptions = fetcher._subscriptions  # noqa: SLF001
        if subscriptions.reassignment_in_progress:
            # what aiokafka still holds belongs to the assignment that is ending
            await asyncio.sleep(REASSIGNMENT_POLL_S)
            return {}
        with subscriptions.fetch_context():
            drained = await self._drain(fetcher, active_partitions, max_records)
            if not drained and timeout:
                waiter = fetcher._create_fetch_waiter()  # noqa: SLF001
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(waiter, timeout)
        return drained

    async def _drain(
        self,
        fetcher: Any,  # noqa: ANN401 - aiokafka is untyped
        active_partitions: set[TP],
        max_records: int | None,
    ) -> dict[TP, Sequence[object]]:
        """Take what has been fetched; nothing suspends between the look and the take."""
        assignment = fetcher._subscriptions.subscription.assignment  # noqa: SLF001
        reading, run_topics = self.reading, self.app.run_topics
        reading.begin(assignment)
        held = fetcher._records  # noqa: SLF001
        states = {
            tp: state
            for tp in held
            if tp.topic in run_topics
            and (state := assignment.state_value(tp)) is not None
            and state.has_valid_position
        }
        covered: dict[TP, int] = {}
        for tp, state in states.items():
            _leave_bare(held[tp])
            self._tell_jump(tp, state.position)
            covered[tp] = reading.fetch(tp, state.position)
        fetched = await fetcher.fetched_records(
            active_partitions, timeout=0, max_records=max_records
        )
        for tp, state in states.items():
            records = fetched.get(tp)
            if records and tp in held:
                held.move_to_end(tp)  # else all of one partition would come before the next one's
            reading.advance(tp, state.position, records[-1].offset if records else None)
        return {
            tp: cut_runs(tp, covered[tp], records) if tp in covered else records
            for tp, records in fetched.items()
        }

    def _tell_jump(self, tp: TP, position: int) -> None:
        came_from = self.reading.gap(tp, position)
        if came_from is not None:
            self.log.error(
                "%s[%s]: reading jumped from %s to %s: what lay between is gone from the broker",
                tp.topic,
                tp.partition,
                came_from,
                position,
            )

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek to the group's offsets, and without one of this incarnation to the log's start.

        Faust calls it after records were fetched and thrown away; aiokafka's own leaves a
        partition without a commit where it stands, which would skip what was thrown away.
        """
        offsets: Mapping[TP, int] = await self.call_thread(self._seek_to_committed)
        return offsets

    async def _seek_to_committed(self) -> Mapping[TP, int | None]:
        consumer = self._ensure_consumer()
        assigned = list(consumer.assignment())
        commits = await consumer._coordinator.fetch_committed_offsets(assigned)  # noqa: SLF001
        self.reading.begin(consumer._subscription.subscription.assignment)  # noqa: SLF001
        offsets: dict[TP, int | None] = {}
        for tp in assigned:
            offsets[tp] = offset = self._applicable(tp, commits.get(tp))
            if tp not in consumer.assignment():
                continue
            if offset:
                consumer.seek(tp, offset)
                if tp.topic in self.app.run_topics:
                    self.reading.commit(tp, offset)
            elif tp.topic in self.app.run_topics:
                await consumer.seek_to_beginning(tp)
        return offsets

    def _applicable(self, tp: TP, at: OffsetAndMetadata | None) -> int | None:
        """Return the committed offset if it is of this incarnation, or nobody said of which."""
        if at is None or at.offset < 0:
            return None
        if at.metadata in ("", None, self._label_of(tp.topic)):
            return int(at.offset)
        self.log.warning(
            "%s[%s]: the committed offset %s is of %s, the topic before it was made anew:"
            " reading the new one from its start",
            tp.topic,
            tp.partition,
            at.offset,
            at.metadata,
        )
        return None

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        is_committed: bool = await super()._commit(offsets)
        if is_committed:
            for tp, offset in offsets.items():
                if tp.topic in self.app.run_topics:
                    self.reading.commit(tp, offset)
        return is_committed


def _leave_bare(fetched: object) -> None:
    """Let aiokafka hand the records out as its parser made them; they have all that a run needs.

    To copy each into a `ConsumerRecord` of eleven fields takes half of the reading's time.
    """
    if isinstance(fetched, FetchResult):  # else the error that the broker answered with
        fetched._partition_records._consumer_record = _bare  # noqa: SLF001


def _bare(_tp: TopicPartition, record: RawRecord) -> RawRecord:
    return record


class Consumer(driver.Consumer):  # type: ignore[misc]  # faust is untyped here
    """Faust's consumer with whole runs for messages, and its own count of what came back."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Faust's signature
        self.acks = Acks()
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def polled_ms(self, tp: TP) -> int | None:
        """Return when, by our clock, the broker last told where the partition ends."""
        thread: ConsumerThread = self._thread
        return thread.polled_ms(tp)

    def _to_message(self, tp: TP, record: object) -> ConsumerMessage:
        if not isinstance(record, Run):
            return super()._to_message(tp, record)
        self.acks.hand_out(tp, record)
        last = cast(DefaultRecord, record.records[-1])
        return ConsumerMessage(
            record.topic,
            record.partition,
            last.offset,
            last.timestamp / 1000.0,
            last.timestamp_type,
            None,
            None,
            Parcel(record),
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    def ack(self, message: ConsumerMessage) -> bool:
        """Acknowledge a message; for a run only if its output is durable and still ours.

        Faust acknowledges what its streams skip during a rebalance, and what was delivered in
        an earlier generation; both would be committed as if done.
        """
        if message.topic not in self.app.run_topics:
            return bool(super().ack(message))
        message.acked = True
        self._unacked_messages.discard(message)
        is_current = message.generation_id == self.app.consumer_generation_id
        if not (message.value.is_delivered and is_current):
            return False
        self.acks.take_back(message.tp, message.offset)
        self._acked.setdefault(message.tp, [])  # a commit looks at the partitions in here
        self._n_acked += 1
        return True

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic in self.app.run_topics:
            return self.acks.committable(tp)
        return cast("int | None", super()._new_offset(tp))

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        # The offsets inside a run are no gap. Faust would keep each of them in a list, and
        # would count the run's own offset twice: commits then crawl a run at a time.
        if tp.topic not in self.app.run_topics:
            await super()._add_gap(tp, offset_from, offset_to)

    def on_buffer_full(self, tp: TP) -> None:
        """Leave runs' partitions in the fetch: the agent's bounded queue blocks by itself."""
        if tp.topic not in self.app.run_topics:
            super().on_buffer_full(tp)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Commit what came back before Faust forgets it: fewer repeats for the next owner."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.commit(), REVOKE_COMMIT_S)
        self.acks.forget(revoked)
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Begin anew with all partitions: aiokafka revokes all of them at every rebalance."""
        self.acks.forget(assigned)
        await super().on_partitions_assigned(assigned, generation_id)


class Transport(driver.Transport):  # type: ignore[misc]  # faust is untyped here
    """The transport behind `kafka+batch://` URLs."""

    Consumer: ClassVar[type[Consumer]] = Consumer
