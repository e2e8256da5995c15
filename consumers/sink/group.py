"""The group: commits that carry the generation that gave us the partition, or are not sent."""

import asyncio
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.structs import OffsetAndMetadata

from consumers.sink.intent import Position, encode
from runtime.topics import ClientOptions, translated
from schemas.errors import BrokerUnavailable, Fenced

COMMIT_TIMEOUT_S: Final = 15.0
_LOST: Final = (
    CommitFailedError,
    IllegalGenerationError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)


class Generation(NamedTuple):
    """One membership of the group: whatever was assigned in it ends with it."""

    number: int
    member: str


def generation_of(consumer: AIOKafkaConsumer) -> Generation:
    """Return the membership that holds now."""
    coordinator = consumer._coordinator  # noqa: SLF001 - see `commit`
    return Generation(coordinator.generation, coordinator.member_id)


async def commit(
    consumer: AIOKafkaConsumer, topic: str, partition: int, position: Position, pinned: Generation
) -> None:
    """Commit a position under the pinned generation.

    Raises `Fenced` if that generation is over and `BrokerUnavailable` if the outcome is unknown.

    aiokafka's own `commit` stamps a request with whatever generation holds when it is sent, also
    when it sends it again after an error: a late commit could then be accepted from a partition's
    former owner. Here the comparison and the building of the request happen without a wait
    between them (tests/contract/test_aiokafka.py holds aiokafka to that).
    """
    coordinator: Any = consumer._coordinator  # noqa: SLF001 - there is no public way to pin
    told = OffsetAndMetadata(position.offset, encode(position))
    try:
        async with asyncio.timeout(COMMIT_TIMEOUT_S):
            await coordinator.ensure_coordinator_known()
            async with coordinator._commit_lock:  # noqa: SLF001
                if generation_of(consumer) != pinned:
                    raise Fenced(f"partition {partition} was assigned in a generation that is over")
                # built before its first wait, so it carries the pinned generation
                await asyncio.shield(
                    coordinator._do_commit_offsets(  # noqa: SLF001
                        None, {TopicPartition(topic, partition): told}
                    )
                )
    except _LOST as error:
        raise Fenced(f"partition {partition} was given to another sink") from error
    except (KafkaError, OSError, TimeoutError) as error:
        raise BrokerUnavailable(
            f"commit of partition {partition}: {type(error).__name__}"
        ) from error


async def committed(
    bootstrap: str,
    group: str,
    topic: str,
    partitions: list[int],
    client_options: ClientOptions | None = None,
) -> dict[int, tuple[int, str]]:
    """Return offset and metadata of each partition that the group has a commit for.

    The consumer's own `committed` drops the metadata.
    """
    async with translated(bootstrap):
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, **(client_options or {}))
        try:
            await admin.start()
            found = await admin.list_consumer_group_offsets(
                group, partitions=[TopicPartition(topic, number) for number in partitions]
            )
        finally:
            await admin.close()
    return {
        where.partition: (told.offset, told.metadata)
        for where, told in found.items()
        if told.offset >= 0
    }
