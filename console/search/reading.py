"""Questions to the store, bounded in rows, time and memory, on threads of their own.

Who stops waiting stops the engine as well: a query that nobody awaits any more is killed.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeVar

from console.search.asked import Conditions, Query, to_coordinates, to_wide
from console.search.rendering import EVENT_SELECT, Row
from console.web.problems import Refused
from schemas.errors import AuditError, StoreUnavailable

T = TypeVar("T")

THREADS: Final = 4  # each has a client of its own; two cores answer no more than these at once
QUERY_S_MAX: Final = 8  # under the request's own bound, so that the answer names the cure
QUERY_BYTES_MAX: Final = 201_326_592  # 192 MiB of memory for one query
# A query may be told to stop before the engine knows of it, so it is told again until it has.
KILL_TRIES_MAX: Final = 40
KILL_WAIT_S: Final = 0.1
TAG: Final = "log_comment"  # the one setting that any query may have, and that names it
_KILL: Final = f"KILL QUERY WHERE Settings['{TAG}'] = {{tag:String}} ASYNC"
log: Final = logging.getLogger("audit.api")

Settings = Mapping[str, str | int]
NO_SETTINGS: Final[Settings] = MappingProxyType({})
# The rows wanted are the newest: what the store would read ahead of them it reads for nothing, be
# it rows or indexes.
IN_ORDER: Final[Settings] = MappingProxyType(
    {"read_in_order_use_buffering": 0, "use_skip_indexes_on_data_read": 1}
)
# The rows wanted are few among many: all cores look for them, and conditions are asked in the order
# in which they are written; ClickHouse by itself begins with the smallest column.
BY_ALL: Final[Settings] = MappingProxyType(
    {"optimize_read_in_order": 0, "allow_reorder_prewhere_conditions": 0}
)
# The sort key finds every row, so other indexes only cost; and the few granules that they lie in
# are shared between threads, which ClickHouse by itself does for many only.
BY_KEY: Final[Settings] = MappingProxyType(
    {
        "use_skip_indexes": 0,
        "merge_tree_min_rows_for_concurrent_read": 1024,
        "merge_tree_min_bytes_for_concurrent_read": 1,
    }
)


class Asks(Protocol):
    """The part of the store that reading needs; safe from several threads."""

    def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, str | int] | None = None,
    ) -> list[dict[str, Any]]:
        """Run a SELECT, one dict a row."""
        ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one query may use."""

    seconds_max: int = QUERY_S_MAX
    memory_bytes_max: int = QUERY_BYTES_MAX

    def settings(self) -> dict[str, str | int]:
        """Return ClickHouse's names of them."""
        return {
            "max_execution_time": self.seconds_max,
            "timeout_overflow_mode": "throw",
            "max_memory_usage": self.memory_bytes_max,
            "max_bytes_before_external_sort": self.memory_bytes_max // 2,
            "optimize_read_in_order": 1,
            # Only with indexes read beforehand the engine remembers where a condition held, which
            # the next question of the same page asks for again.
            "use_skip_indexes_on_data_read": 0,
        }


class Reader:
    """Runs queries on its own threads; close it when the service ends."""

    def __init__(
        self,
        store: Asks,
        *,
        is_too_broad: Callable[[StoreUnavailable], bool],
        bounds: Bounds | None = None,
    ) -> None:
        """Take the store; `is_too_broad` tells a query that hit its bounds from a store away."""
        self._store = store
        self._is_too_broad = is_too_broad
        self._settings = (bounds or Bounds()).settings()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="audit-read")
        self._killer = ThreadPoolExecutor(1, thread_name_prefix="audit-kill")

    async def rows(self, query: Query, settings: Settings = NO_SETTINGS) -> list[Row]:
        """Run one query. Raises `Refused` if it would read too much, else as the store does.

        Cancelled, it ends the query in the engine too.
        """
        tag = f"audit-read-{secrets.token_hex(8)}"
        asked = {**self._settings, **settings, TAG: tag}
        running: Future[Iterable[Row]] = self._threads.submit(
            self._store.query, query.sql, query.parameters, asked
        )
        try:
            return list(await asyncio.wrap_future(running))
        except asyncio.CancelledError:
            if not running.cancelled():  # it had begun
                self._killer.submit(self._kill, running, tag)
            raise
        except StoreUnavailable as error:
            if self._is_too_broad(error):
                raise Refused(
                    "query_too_broad", "the query hit its bound of time or memory"
                ) from error
            raise

    async def events(self, found: Conditions, limit: int) -> list[Row]:
        """Return up to `limit` event rows, newest first.

        Two steps: which rows, from narrow columns; then all columns of those.
        """
        chosen = await self.rows(to_coordinates(found, limit), IN_ORDER)
        if not chosen:
            return []
        wide = await self.rows(to_wide(chosen, EVENT_SELECT), BY_KEY)
        place = {_key(row): row for row in wide}
        return [place[_key(row)] for row in chosen if _key(row) in place]

    def _kill(self, running: Future[Any], tag: str) -> None:
        """Tell the engine to stop a query, until it has ended."""
        for _ in range(KILL_TRIES_MAX):
            if running.done():
                return
            try:
                self._store.query(_KILL, {"tag": tag})
            except AuditError as error:
                log.warning("a query that nobody waits for can't be stopped: %s", error)
                return  # it has its own bound of time
            wait_for([running], timeout=KILL_WAIT_S)

    def close(self) -> None:
        """Wait for running queries and end the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._killer.shutdown(wait=True, cancel_futures=True)


def _key(row: Row) -> tuple[str, int, int]:
    return row["incarnation"], row["partition"], row["offset"]
