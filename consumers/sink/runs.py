"""Runs: record batches as Kafka holds them, kept compressed until the sink cuts its own batch.

aiokafka makes a record of each message as it hands it out; at twenty thousand events a second
that was a third of the sink's work, and most of its memory. Here it hands out whole record
batches instead: a twelfth of the bytes to hold, and opened once.

Relied on inside aiokafka 0.14 (tests/unit/consumers/test_runs.py fails where one changes):
`Fetcher._records` holds what was fetched and not yet handed out; in it `FetchResult` iterates its
`_partition_records`, which advances `next_fetch_offset` before it yields, and begins lazily.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException, KafkaError

from consumers.sink.batch import Record
from schemas.errors import Broken

RUN_OVERHEAD_BYTES: Final = 400  # of one waiting run in memory, beside its bytes
_FETCHED: Final = "_records"
_UNREAD: Final = "_partition_records"


class _RecordBatch(Protocol):
    """What we need of aiokafka's record batch; it can be iterated once."""

    base_offset: int
    next_offset: int
    first_timestamp: int
    producer_id: int | None
    is_transactional: bool
    is_control_batch: bool

    def __iter__(self) -> Iterator[Record]: ...


class KafkaRun:
    """One record batch of a partition, from offset `first` on."""

    __slots__ = ("_batch", "bytes_", "count", "first", "last", "timestamp")

    def __init__(self, batch: _RecordBatch, first: int, bytes_: int) -> None:
        """Take a batch that nobody has iterated; `bytes_` is what it holds in memory."""
        self._batch = batch
        self.first = max(first, batch.base_offset)
        self.last = batch.next_offset - 1
        self.count = batch.next_offset - self.first  # at most
        self.timestamp = batch.first_timestamp
        self.bytes_ = bytes_

    def open(self) -> Sequence[Record]:
        """Return its records, once. Raises `Broken` if it is none that a producer of ours wrote."""
        try:
            return [record for record in self._batch if record.offset >= self.first]
        except (KafkaError, ValueError, RuntimeError) as error:
            raise Broken(f"the record batch at {self.first} can't be read") from error


class PartitionRuns(PartitionRecords):  # type: ignore[misc]  # aiokafka is untyped
    """What was fetched of one partition, handed out run by run."""

    next_fetch_offset: int

    def __init__(self, fetched: PartitionRecords) -> None:
        """Take the place of what aiokafka made of a response, before any of it was read."""
        self.__dict__.update(fetched.__dict__)
        self._records_iterator = self._unpack_records()

    def _unpack_records(self) -> Iterator[KafkaRun]:
        batches, size = [], self._records.size_in_bytes()
        while self._records.has_next():
            batches.append(self._records.next_batch())
        spans = sum(batch.next_offset - batch.base_offset for batch in batches)
        for batch in batches:
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            first = self.next_fetch_offset
            self.next_fetch_offset = max(first, batch.next_offset)
            if not self._is_skipped(batch) and batch.next_offset > first:
                held = size * (batch.next_offset - batch.base_offset) // spans
                yield KafkaRun(batch, first, held + RUN_OVERHEAD_BYTES)

    def _is_skipped(self, batch: _RecordBatch) -> bool:
        if self._isolation_level == READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)


class _Fetched(OrderedDict[TopicPartition, object]):
    """aiokafka's shelf of what was fetched: whatever is laid here hands out runs."""

    def __setitem__(self, where: TopicPartition, found: object) -> None:
        fetched = found.__dict__
        if _UNREAD in fetched:  # else it is an error to raise
            fetched[_UNREAD] = PartitionRuns(fetched[_UNREAD])
        super().__setitem__(where, found)


class RunConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka is untyped
    """A consumer whose `getmany` returns `KafkaRun`s, and counts them in `max_records`."""

    async def start(self) -> None:
        """Connect and join."""
        await super().start()
        # what came while joining was not read yet, so it becomes runs as well
        shelf = _Fetched()
        for where, found in self._fetcher.__dict__[_FETCHED].items():
            shelf[where] = found
        self._fetcher.__dict__[_FETCHED] = shelf
