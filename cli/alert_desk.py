"""What the API needs to change alerts: the table of changes, and an audit event of each."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson

from console.alert_changes import AlertChange
from console.moment import store_text
from console.problems import Refused
from producers.publisher import Publisher
from runtime.clickhouse import Store
from runtime.kafka_client import client_options
from runtime.settings import KafkaSettings
from schemas.errors import BadEvent
from schemas.tables import ALERT_CHANGES

PUBLISH_S_MAX: Final = 5.0  # within the bound of a request
BUFFER_BYTES_MAX: Final = 4 * 1_048_576  # people's clicks, not traffic
COLUMNS: Final = ("change_id", "alert_id", "tenant", "at", "who", "kind", "before", "value")

Publish = Callable[[Mapping[str, Any]], Awaitable[None]]


def change_writer(store: Store) -> Callable[[Sequence[AlertChange]], Awaitable[None]]:
    """Return what writes changes; raises as the store does."""

    async def write(changes: Sequence[AlertChange]) -> None:
        names = "\n".join(change.change_id for change in changes)
        token = hashlib.sha256(names.encode()).hexdigest()
        lines = b"\n".join(_line(change) for change in changes)
        await asyncio.to_thread(store.insert_lines, ALERT_CHANGES, COLUMNS, lines, token)

    return write


@asynccontextmanager
async def publishing(kafka: KafkaSettings, mark_key: bytes = b"") -> AsyncIterator[Publish]:
    """Give what publishes one audit event and returns when the broker has it."""
    async with Publisher(
        kafka.bootstrap, client_options=client_options(kafka), buffer_bytes_max=BUFFER_BYTES_MAX
    ) as publisher:

        async def publish(event: Mapping[str, Any]) -> None:
            try:
                await publisher.publish(event, deadline_s=PUBLISH_S_MAX)
            except BadEvent as error:
                raise Refused(
                    "bad_parameter", f"no audit event can be made of that: {error.field}"
                ) from error

        yield publish


def _line(change: AlertChange) -> bytes:
    return orjson.dumps(
        {
            "change_id": change.change_id,
            "alert_id": change.alert_id,
            "tenant": change.tenant,
            "at": store_text(change.at_ms * 1000)[:-3],
            "who": change.who,
            "kind": change.kind,
            "before": change.before,
            "value": change.value,
        }
    )
