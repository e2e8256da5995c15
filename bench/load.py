"""Events for the benches, seeded and repeatable, and the way they get onto a topic in bulk."""

import asyncio
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from aiokafka import AIOKafkaProducer

from bench.broker import PARTITIONS
from producers.bench_events import bench_messages

SEED: Final = 20_251_015
BATCH_BYTES_MAX: Final = 1_000_000  # below a broker's default of 1 MiB
IN_FLIGHT_MAX: Final = 8
_TIMESTAMP: Final = b'"timestamp":"'
_TIMESTAMP_CHARS: Final = len("2025-10-09T08:53:20.000Z")

Message = tuple[bytes, bytes]


def events(count: int, size_bytes: int = 1_000, *, seed: int = SEED) -> Iterator[Message]:
    """Yield pairs of event and key; the same ones for the same seed."""
    return bench_messages(seed, count, size_bytes)


def stamped(raw: bytes, moment_s: float) -> bytes:
    """Return the event as if it happened at this time (Unix)."""
    at = raw.index(_TIMESTAMP) + len(_TIMESTAMP)
    moment = datetime.fromtimestamp(moment_s, UTC)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    return raw[:at] + text.encode() + raw[at + _TIMESTAMP_CHARS :]


def fill(
    bootstrap: str, topic: str, source: Iterator[Message], partitions: int = PARTITIONS
) -> None:
    """Write events to a topic as fast as the broker takes them, in full record batches."""
    asyncio.run(_fill(bootstrap, topic, source, partitions))


async def _fill(bootstrap: str, topic: str, source: Iterator[Message], partitions: int) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,
        compression_type="zstd",
        max_batch_size=BATCH_BYTES_MAX,
    )
    await producer.start()
    sent: list[asyncio.Future[object]] = []
    batches = {number: producer.create_batch() for number in range(partitions)}
    try:
        for value, key in source:
            number = zlib.crc32(key) % partitions
            if batches[number].append(key=key, value=value, timestamp=None) is None:
                sent.append(await producer.send_batch(batches[number], topic, partition=number))
                batches[number] = producer.create_batch()
                batches[number].append(key=key, value=value, timestamp=None)
            while len(sent) > IN_FLIGHT_MAX:
                await sent.pop(0)
        for number, batch in batches.items():
            if batch.record_count():
                sent.append(await producer.send_batch(batch, topic, partition=number))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
