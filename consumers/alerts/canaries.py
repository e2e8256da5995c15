"""Canaries in the store: which alerts they gave, and what became of each."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import orjson

from consumers.alerts.book import Storing
from detections.canary_watch import Row
from schemas.canary import TENANT, run_of, run_tenant
from schemas.tables import ALERTS, CANARY_RUNS

CLOCKS_MS: Final = 600_000  # how far our clock and the broker's may be apart
SEEN_MAX: Final = 10_000
COLUMNS: Final = ("rule_id", "run", "kind", "at")


class Found(NamedTuple):
    """One stored alert of the canaries' tenant; `is_true` if its events bore a valid mark."""

    rule_id: str
    run: str
    is_true: bool
    stored_ms: int


class CanaryBook:
    """Reads and writes what canaries did. Every method blocks and raises as the store does."""

    def __init__(self, store: Storing) -> None:
        self._store = store

    def alerts(self, since_ms: int, runs: Iterable[str]) -> list[Found]:
        """Return the alerts about canaries sent since then, newest first; `runs` are waited for.

        Those of a rule with a memory are told by their group: their events may be other alerts.
        """
        groups = {f"tenant={run_tenant(run)}": run for run in runs}
        rows = self._store.query_rows(
            "SELECT rule_id, arrayElement(event_ids, 1) AS name, `group`, canary, "
            f"toUnixTimestamp64Milli(stored) AS ms FROM {ALERTS} WHERE tenant = {{tenant:String}} "
            "AND recorded >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') "
            "ORDER BY ms DESC LIMIT {rows:UInt32}",
            {"tenant": TENANT, "since": since_ms - CLOCKS_MS, "rows": SEEN_MAX},
        )
        return [
            Found(rule, groups.get(group.partition(" ")[0]) or run_of(name), bool(is_true), int(ms))
            for rule, name, group, is_true, ms in rows
        ]

    def keep(self, rows: Sequence[Row]) -> None:
        """Write what became of canaries; idempotent for the same rows."""
        lines = b"\n".join(orjson.dumps(_stored(row)) for row in rows)
        token = hashlib.sha256(lines).hexdigest()
        self._store.insert_lines(CANARY_RUNS, COLUMNS, lines, token)


def _stored(row: Row) -> dict[str, Any]:
    at = f"{row.at_ms // 1000}.{row.at_ms % 1000:03}"
    return {"rule_id": row.rule_id, "run": row.run, "kind": row.kind, "at": at}
