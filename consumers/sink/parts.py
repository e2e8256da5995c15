"""How many parts the events are in: the store slows inserts down when it merges too late."""

import asyncio
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from runtime.clickhouse import Store
from runtime.health import Readiness
from schemas.errors import Misconfigured, Unavailable
from schemas.tables import EVENTS

CONDITION: Final = "parts"
SHARE_MAX: Final = 0.8  # of the parts at which the store begins to slow inserts down
_COUNT: Final = (
    "SELECT count() AS parts FROM system.parts WHERE active "
    "AND database = currentDatabase() AND table = {table:String} GROUP BY partition_id"
)
_LIMIT: Final = "SELECT value FROM system.merge_tree_settings WHERE name = 'parts_to_delay_insert'"


class PartsWatch:
    """Counts again and again; merges are lazy here, so that they cost little (001_tables.sql)."""

    def __init__(
        self, store: Store, registry: CollectorRegistry, readiness: Readiness, period_s: float
    ) -> None:
        """`readiness` must know the condition "parts"."""
        self._store = store
        self._readiness = readiness
        self._period_s = period_s
        self._gauge = Gauge(
            "audit_store_event_parts",
            "Active parts of events in the month that has most.",
            registry=registry,
        )

    async def run(self) -> None:
        """Count for ever; cancel it to end."""
        while True:
            await self.round()
            await asyncio.sleep(self._period_s)

    async def round(self) -> None:
        """Count once; a store that does not answer is another condition's."""
        try:
            most, limit = await asyncio.to_thread(self._ask)
        except (Unavailable, Misconfigured):
            return
        self._gauge.set(most)
        if most < SHARE_MAX * limit:
            self._readiness.meet(CONDITION)
            return
        self._readiness.miss(
            CONDITION,
            f"events are in {most} parts in one month, from {limit} on inserts are slowed down",
            "merges fall behind: give the store more CPU, or raise AUDIT_SINK_AGE_MS_MAX",
        )

    def _ask(self) -> tuple[int, int]:
        counts = self._store.query_rows(_COUNT, {"table": EVENTS})
        limit = int(self._store.query_rows(_LIMIT)[0][0])
        return max((int(row[0]) for row in counts), default=0), limit
