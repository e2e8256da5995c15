"""Waits at boot until the broker serves: it answers, our topics exist, groups can be joined.

Kafka's clients can wait too, but fill the log with errors meanwhile, which at boot are none.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from runtime.kafka_client import client_options
from runtime.retry import Backoff, retry_unavailable
from runtime.settings import KafkaSettings
from runtime.topics import check_partitions, ensure_topics, find_coordinator, see_topics
from schemas.errors import BrokerUnavailable
from schemas.topics import EVENTS, RECORDS, TopicSpec

CONNECT_TIMEOUT_S: Final = 2.0
BACKOFF: Final = Backoff(0.1, 2.0)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What must be there: topics, and a group's coordinator; `made` are created where absent.

    `is_records_large` asks that audit.records has each partition of audit.events.
    """

    topics: Sequence[str]
    group: str | None = None
    made: Sequence[TopicSpec] = ()
    is_records_large: bool = False


async def wait_for_broker(
    kafka: KafkaSettings, wanted: Wanted, on_miss: Callable[[str], None]
) -> dict[str, str]:
    """Wait without end until all is there; return the topics' ids.

    `on_miss` hears what is missing after each try. Raises `Misconfigured` where waiting won't help.
    """

    def missed(error: Exception, _wait_s: float) -> None:
        on_miss(str(error))

    found: dict[str, str] = await retry_unavailable(
        lambda: _ask(kafka, wanted), backoff=BACKOFF, deadline_s=None, on_retry=missed
    )
    return found


async def _ask(kafka: KafkaSettings, wanted: Wanted) -> dict[str, str]:
    """Ask once for everything. Raises `BrokerUnavailable` naming what is missing."""
    await _knock(kafka.bootstrap)
    options = client_options(kafka)
    if wanted.made:
        await ensure_topics(kafka.bootstrap, wanted.made, client_options=options)
    found = await see_topics(kafka.bootstrap, wanted.topics, client_options=options)
    missing = sorted(set(wanted.topics) - found.keys())
    if missing:
        raise BrokerUnavailable(f"no topic {', '.join(missing)}: run `audit topics`")
    if wanted.is_records_large:
        check_partitions(found, EVENTS, RECORDS)
    if wanted.group is not None:
        await find_coordinator(kafka.bootstrap, wanted.group, client_options=options)
    return {name: topic.topic_id for name, topic in found.items()}


async def _knock(bootstrap: str) -> None:
    """Connect to any of the addresses, or raise `BrokerUnavailable`."""
    for address in bootstrap.split(","):
        host, _, port = address.rpartition(":")
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.close()
            return
    raise BrokerUnavailable(f"nobody listens at {bootstrap}: start Kafka")
