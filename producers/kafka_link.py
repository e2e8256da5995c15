"""The link to Kafka: one idempotent producer, made again when it is beyond use."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    ProducerClosed,
    RecordListTooLargeError,
)

from runtime.topics import OPERATOR_ERRORS
from schemas.errors import AuditError, BadEvent, BrokerUnavailable, Misconfigured
from schemas.topics import EVENTS_MESSAGE_BYTES_MAX

BATCH_BYTES: Final = 512 * 1024  # larger ones gain nothing and cost latency
COMPRESSION: Final = "zstd"  # a third of the CPU of the client's lz4, and a third smaller
CONNECT_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 5.0
_REQUEST_TIMEOUT_MS: Final = 20_000  # one try; the client itself tries on until it succeeds


class Batch(Protocol):
    """What we use of the client's batch builder."""

    def append(self, *, timestamp: int | None, key: bytes | None, value: bytes) -> object | None:
        """Take a record; None if the batch is full. The first one always fits."""
        ...

    def record_count(self) -> int:
        """How many it has taken."""
        ...


class KafkaLink:
    """Connects when asked, translates the client's errors, replaces a producer that is broken."""

    def __init__(self, bootstrap: str, topic: str, client_options: Mapping[str, Any]) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._options = client_options
        self._producer: AIOKafkaProducer | None = None
        self._is_broken = False

    async def connect(self) -> int:
        """Return the topic's number of partitions, connecting first if need be.

        Raises `BrokerUnavailable`, `Misconfigured`; asked again it tries again.
        """
        if self._is_broken:
            await self.close()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                if self._producer is None:
                    self._producer = await self._started()
                return len(await self._producer.partitions_for(self._topic))
        except (KafkaError, OSError, TimeoutError) as error:
            raise self._translate(error) from error

    async def _started(self) -> AIOKafkaProducer:
        # the operator's options may tune and secure, but not undo what is promised
        options = {"compression_type": COMPRESSION} | dict(self._options)
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            enable_idempotence=True,
            acks="all",
            linger_ms=0,  # the lanes gather while a batch is on its way
            max_batch_size=BATCH_BYTES,
            max_request_size=EVENTS_MESSAGE_BYTES_MAX,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            **options,
        )
        try:
            await producer.start()
        except BaseException:
            await _stop(producer)
            raise
        return producer

    def new_batch(self) -> Batch:
        """Return an empty batch. Only after `connect`."""
        assert self._producer is not None, "new_batch before connect"
        batch: Batch = self._producer.create_batch()
        return batch

    async def send(self, batch: Batch, partition: int) -> tuple[int, int]:
        """Deliver, however long that takes. Returns the first offset and the append time, ms.

        One call a partition at a time. Raises `BadEvent` if the broker finds a lone event too
        large, else as `connect`; the batch may then have been written or not. What passes, such
        as a broker that is away, is no error here: the client tries on, with the same numbers, so
        that nothing is written twice. After an error it can't, and neither may we: of another
        producer the broker takes the same batch again.
        """
        producer = self._producer
        assert producer is not None, "send before connect"
        try:
            future = await producer.send_batch(batch, self._topic, partition=partition)
            metadata = await future
        except (KafkaError, OSError, TimeoutError) as error:
            # the batch's numbers are spent: the broker would refuse the next batch for the gap
            self._is_broken = self._is_broken or producer is self._producer
            if isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
                raise self._too_large(batch) from error
            raise self._translate(error) from error
        return metadata.offset, metadata.timestamp

    async def close(self) -> None:
        """Disconnect. Idempotent."""
        producer, self._producer, self._is_broken = self._producer, None, False
        if producer is not None:
            await _stop(producer)

    def _too_large(self, batch: Batch) -> AuditError:
        if batch.record_count() == 1:
            return BadEvent("message", "too_large", "the broker takes less")
        return Misconfigured(f"{self._topic}: raise max.message.bytes; run `audit topics`")

    def _translate(self, error: BaseException) -> AuditError:
        name = type(error).__name__
        if isinstance(error, OPERATOR_ERRORS):
            return Misconfigured(f"Kafka at {self._bootstrap} refuses us: {name}")
        return BrokerUnavailable(f"Kafka at {self._bootstrap} does not take {self._topic}: {name}")


async def _stop(producer: AIOKafkaProducer) -> None:
    """Stop a producer within a bound: its own stop waits for a broker that may never come."""
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        await asyncio.wait_for(producer.stop(), CLOSE_TIMEOUT_S)
        return
    # the client has no way to stop without flushing, and lets those who wait for a batch wait on
    sender, batches = producer._sender, producer._message_accumulator  # noqa: SLF001
    batches.fail_all(ProducerClosed())
    if sender.sender_task is not None:
        sender.sender_task.cancel()
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        await asyncio.wait_for(producer.client.close(), CLOSE_TIMEOUT_S)
