"""The sink that one writes first: getmany, parse, `client.insert`, commit; at least once."""

import asyncio
import ipaddress
from datetime import UTC, date, datetime
from typing import Any, Final

import clickhouse_connect
import orjson
from aiokafka import AIOKafkaConsumer

from bench.contenders.job import Job, job
from consumers.migrate import migrate
from runtime.clickhouse import Store
from runtime.clock import SystemClock
from schemas.tables import EVENT_COLUMNS
from schemas.tables import EVENTS as TABLE

ROWS_MAX: Final = 10_000
DEADLINE_S: Final = 60
NOWHERE: Final = ipaddress.IPv6Address("::")
COLUMNS: Final = (*EVENT_COLUMNS, "batch_deadline")
TIMES: Final = ("occurred", "recorded")
LISTS: Final = ("changed", "before", "after", "flags", "rules")
NUMBERS: Final = ("geo_asn", "risk_score", "unknown_fields", "partition", "offset")


def row_of(line: bytes, deadline: datetime) -> list[Any]:
    """Return a line as the driver wants it: one Python object a column."""
    fields = orjson.loads(line)
    for name in TIMES:
        fields[name] = datetime.fromisoformat(fields[name]).replace(tzinfo=UTC)
    ip = fields.get("ip_address")
    fields["ip_address"] = ipaddress.ip_address(ip) if ip else NOWHERE
    until = fields.get("retain_until")
    fields["retain_until"] = date.fromisoformat(until) if until else date(1970, 1, 1)
    fields["batch_deadline"] = deadline
    for name in LISTS:
        fields.setdefault(name, [])
    for name in NUMBERS:
        fields.setdefault(name, 0)
    return [fields.get(name, "") for name in COLUMNS]


async def run(told: Job) -> None:
    """Store until killed."""
    store = Store(told.target)
    migrate(store)
    client = clickhouse_connect.get_client(dsn=told.target, database=store.database)
    consumer = AIOKafkaConsumer(
        told.source,
        bootstrap_servers=told.bootstrap,
        group_id=told.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    clock = SystemClock()
    while True:
        fetched = await consumer.getmany(timeout_ms=1_000, max_records=ROWS_MAX)
        deadline = datetime.fromtimestamp(clock.now_ms() / 1000 + DEADLINE_S, UTC)
        rows = [row_of(r.value, deadline) for records in fetched.values() for r in records]
        if rows:
            await asyncio.to_thread(client.insert, TABLE, rows, column_names=COLUMNS)
            await consumer.commit()


if __name__ == "__main__":
    asyncio.run(run(job()))
