"""The journal of one partition of the signals: what stage 2 knows, in a compacted topic (ADR 0008).

Whoever takes the partition over first opens a producer under the partition's transactional id,
which fences every earlier one, then reads the journal whole. After that each run is one
transaction: the states that it changed, and its alerts. So the journal of an owner that was
fenced is worth nothing, and one that was not is true however long it lay about.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced

from pipeline.batch import BATCH_BYTES_MAX, pack
from pipeline.clocks import partition_of
from pipeline.emit import REQUEST_BYTES_MAX, BrokerAddress, translated
from pipeline.run import OutAlert, OutSignal
from schemas.errors import BrokerUnavailable, Fenced
from schemas.topics import ALERTS, SIGNALS, STATE

SLICE_RECORDS: Final = 2_000  # read at once: some 10 ms in which nothing else runs
FETCH_BYTES: Final = 4_194_304
SILENCE_S_MAX: Final = 30.0  # a broker that gives nothing for so long is away
TRANSACTION_MS: Final = 30_000  # what a worker that stands still can hold up readers of alerts
RETRY_MS: Final = 5  # the broker ends a transaction some milliseconds after its answer
STOP_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class JournalPlace:
    """Where journals are kept, and in whose name."""

    address: BrokerAddress
    group: str
    state: str = STATE
    alerts: str = ALERTS
    signals: str = SIGNALS
    compression: str | None = "zstd"


class Journal:
    """One partition's journal; between `open` and `close` its only writer, or fenced."""

    def __init__(self, place: JournalPlace, partition: int) -> None:
        self._place = place
        self._partition = partition
        self._producer: AIOKafkaProducer | None = None

    async def open(self, load: Callable[[bytes, bytes | None], None]) -> int:
        """Fence earlier owners and read everything; return how many records that were.

        Raises `BrokerUnavailable`.
        """
        place = self._place
        producer = AIOKafkaProducer(
            bootstrap_servers=place.address.bootstrap,
            transactional_id=f"{place.group}-{self._partition}",
            transaction_timeout_ms=TRANSACTION_MS,
            compression_type=place.compression,
            max_batch_size=BATCH_BYTES_MAX,
            max_request_size=REQUEST_BYTES_MAX,
            retry_backoff_ms=RETRY_MS,
            **place.address.security,
        )
        try:
            await producer.start()
        except KafkaError as error:
            await producer.stop()
            raise BrokerUnavailable(
                f"{place.state}: no producer: {type(error).__name__}"
            ) from error
        self._producer = producer
        return await self._read(load)

    async def write(
        self,
        states: Mapping[bytes, bytes | None],
        alerts: Sequence[OutAlert],
        signals: Sequence[OutSignal] = (),
    ) -> None:
        """Write what a run changed and said, all or none; return when the broker has it for good.

        Raises `Fenced` when another has opened the journal since; `BrokerUnavailable`.
        """
        assert self._producer is not None, "the journal is not open"
        producer, place = self._producer, self._place
        try:
            await producer.begin_transaction()
            records = [(0, key, state, ()) for key, state in states.items()]
            sent = [
                await producer.send_batch(batch, place.state, partition=self._partition)
                for batch in pack(records, place.compression, is_transactional=True)
            ]
            sent += [
                await producer.send(place.alerts, key=key, value=value) for key, value in alerts
            ]
            sent += await self._send_signals(producer, signals)
            for outcome in await asyncio.gather(*sent, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome
            await producer.commit_transaction()
        except ProducerFenced as error:
            raise Fenced(f"{place.state}[{self._partition}] has another writer") from error
        except KafkaError as error:
            raise translated(error, place.state) from error
        finally:
            _hush(producer)

    async def close(self) -> None:
        """Let go, within `STOP_S`; what was not committed is undone by the next owner."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaError):
                try:
                    await asyncio.wait_for(producer.stop(), STOP_S)
                except TimeoutError:
                    await producer.client.close()

    async def _send_signals(
        self, producer: AIOKafkaProducer, signals: Sequence[OutSignal]
    ) -> list[asyncio.Future[Any]]:
        """Hand signals of our own to their partitions, as stage 1 does with its."""
        if not signals:
            return []
        topic = self._place.signals
        count = len(await producer.partitions_for(topic))
        return [
            await producer.send(topic, value, key, partition_of(key, count))
            for key, value in signals
        ]

    async def _read(self, load: Callable[[bytes, bytes | None], None]) -> int:
        where = TopicPartition(self._place.state, self._partition)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._place.address.bootstrap,
            isolation_level="read_committed",
            max_partition_fetch_bytes=FETCH_BYTES,
            **self._place.address.security,
        )
        count = 0
        try:
            await consumer.start()
            consumer.assign([where])
            await consumer.seek_to_beginning(where)
            end = (await consumer.end_offsets([where]))[where]
            while await consumer.position(where) < end:
                async with asyncio.timeout(SILENCE_S_MAX):
                    records = await _next(consumer, where)
                for record in records:
                    load(record.key, record.value)
                count += len(records)
        except (KafkaError, TimeoutError) as error:
            told = f"{self._place.state} can't be read: {type(error).__name__}"
            raise BrokerUnavailable(told) from error
        finally:
            await consumer.stop()
        return count


async def _next(consumer: AIOKafkaConsumer, where: TopicPartition) -> Sequence[Any]:
    """Return the next records, or none when only markers of transactions were passed."""
    before = await consumer.position(where)
    while await consumer.position(where) == before:
        found = await consumer.getmany(where, timeout_ms=100, max_records=SLICE_RECORDS)
        await asyncio.sleep(0)  # what is there already is given without a pause
        if found:
            records: Sequence[Any] = found[where]
            return records
    return ()


def _hush(producer: AIOKafkaProducer) -> None:
    """Look at the outcome of a transaction that nobody awaits any more: asyncio would log it."""
    outcome = vars(producer)["_txn_manager"].wait_for_transaction_end()
    if outcome is not None and outcome.done() and not outcome.cancelled():
        outcome.exception()
