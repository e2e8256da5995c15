"""Real Kafka for the benches: one node with the full compiler, topics, and what lies in them."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from runtime.broker import EmbeddedKafka, ensure_installed
from runtime.topics import ensure_topics
from schemas.topics import RECORDS_MESSAGE_BYTES_MAX, TopicSpec

PARTITIONS: Final = 4


def say(text: str) -> None:
    """Print progress where it does not mix with the tables."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def broker() -> Iterator[EmbeddedKafka]:
    """Run a broker with an empty log in a folder of its own; remove both after."""
    ensure_installed()
    folder = Path(tempfile.mkdtemp(prefix="audit-bench-"))
    kafka = EmbeddedKafka(folder / "kafka", is_quick=False)
    try:
        kafka.start()
        yield kafka
    finally:
        kafka.stop()
        shutil.rmtree(folder, ignore_errors=True)


def plain_topic(name: str, partitions: int = PARTITIONS) -> TopicSpec:
    """Return a topic that takes any time stamp, for outputs that are only counted."""
    settings = {
        "max.message.bytes": str(RECORDS_MESSAGE_BYTES_MAX),
        "message.timestamp.type": "CreateTime",
        "message.timestamp.before.max.ms": "9223372036854775807",
        "message.timestamp.after.max.ms": "9223372036854775807",
    }
    return TopicSpec(name, partitions, 1, settings)


def make_topics(bootstrap: str, *specs: TopicSpec) -> None:
    """Create topics; those that exist stay."""
    asyncio.run(ensure_topics(bootstrap, specs))


class Watch:
    """Counts what has been written to a topic; one connection, asked often."""

    def __init__(self, bootstrap: str, topic: str, partitions: int = PARTITIONS) -> None:
        self._bootstrap = bootstrap
        self._parts = [TopicPartition(topic, number) for number in range(partitions)]
        self._consumer: AIOKafkaConsumer | None = None

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap)
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._consumer is not None
        await self._consumer.stop()

    async def count(self) -> int:
        """Return the sum of the end offsets."""
        assert self._consumer is not None
        ends = await self._consumer.end_offsets(self._parts)
        return sum(ends.values())
