"""What the API needs to change alerts: what writes the table of changes."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import orjson

from console.alerts.changes import AlertChange
from console.search.moment import store_text
from runtime.clickhouse import Store
from schemas.tables import ALERT_CHANGES

COLUMNS: Final = ("change_id", "alert_id", "tenant", "at", "who", "kind", "before", "value")


def change_writer(store: Store) -> Callable[[Sequence[AlertChange]], Awaitable[None]]:
    """Return what writes changes; raises as the store does."""

    async def write(changes: Sequence[AlertChange]) -> None:
        names = "\n".join(change.change_id for change in changes)
        token = hashlib.sha256(names.encode()).hexdigest()
        lines = b"\n".join(_line(change) for change in changes)
        await asyncio.to_thread(store.insert_lines, ALERT_CHANGES, COLUMNS, lines, token)

    return write


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
