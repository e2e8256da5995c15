"""Alerts and what becomes of deliveries, on the way into the store: written together, never lost.

An insert costs some 10 ms however few rows it has, so rows wait a moment for company. Most alerts
are delivered within that moment, and then their queue rows need not be written at all.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from consumers.alerts.book import Book
from consumers.alerts.planning import Placed
from consumers.alerts.schedule import Attempt
from runtime.log import event
from runtime.retry import Backoff, retry_unavailable
from schemas.errors import Unavailable

GATHER_S: Final = 0.25  # nobody waits for it: delivery goes on, and offsets are committed later
ROWS_MAX: Final = 1_000
WAITING_MAX: Final = 20_000  # with the store away and so many waiting, who has more must wait too
BACKOFF: Final = Backoff(initial_s=0.1, max_s=5.0)
log: Final = logging.getLogger("audit.alerts")


class Recorder:
    """Collects rows of intake and couriers, in order; an alert stands before its deliveries.

    `put` numbers them; the rows up to `written` are in the store, and offsets may be committed
    whose rows are. An outcome that dies with the process means one more attempt.
    """

    def __init__(
        self, book: Book, told: Callable[[Unavailable | None], None] = lambda _error: None
    ) -> None:
        """`told` hears of each write: the error that made it wait, or None."""
        self._book = book
        self._told = told
        self._rows: list[Placed | Attempt] = []
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._reached = asyncio.Event()
        self._reached.set()
        self._count = 0
        self._writing = asyncio.Lock()
        self.written = 0

    async def put(self, *rows: Placed | Attempt) -> int:
        """Take rows and return the number of the last; waits while there is no room."""
        await self._room.wait()
        self._rows += rows
        self._count += len(rows)
        if self._rows:
            self._some.set()
        if len(self._rows) >= WAITING_MAX:
            self._room.clear()
        return self._count

    async def reached(self) -> None:
        """Wait while the store is away: what can't be recorded would be sent again."""
        await self._reached.wait()

    def waiting(self) -> frozenset[str]:
        """Return the alerts of whose deliveries not all rows are in the store yet."""
        return frozenset(row.alert_id for row in self._rows if isinstance(row, Attempt))

    async def run(self) -> None:
        """Write until cancelled; then `flush` what is left."""
        while True:
            await self._some.wait()
            await asyncio.sleep(GATHER_S)
            await self._write(deadline_s=None)

    async def flush(self, deadline_s: float) -> None:
        """Write what is left, or give up after the deadline."""
        try:
            async with asyncio.timeout(deadline_s):
                while self._rows:
                    await self._write(deadline_s=deadline_s)
        except (TimeoutError, Unavailable) as error:
            event(
                log,
                "outcomes of deliveries not recorded",
                level=logging.WARNING,
                error=error,
                rows=len(self._rows),
            )

    async def _write(self, deadline_s: float | None) -> None:
        async with self._writing:
            rows = self._rows[:ROWS_MAX]
            await retry_unavailable(
                lambda: asyncio.to_thread(self._store, rows),
                backoff=BACKOFF,
                deadline_s=deadline_s,
                on_retry=self._missed,
                rng=Random(),  # noqa: S311 - scatters waits, guards nothing
            )
            del self._rows[: len(rows)]
            self.written += len(rows)
        self._reached.set()
        self._told(None)
        if not self._rows:
            self._some.clear()
        if len(self._rows) < WAITING_MAX:
            self._room.set()

    def _store(self, rows: Sequence[Placed | Attempt]) -> None:
        """Write alerts first: a row of delivery says that its alert is stored."""
        self._book.store([row for row in rows if isinstance(row, Placed)])
        self._book.record(telling([row for row in rows if isinstance(row, Attempt)]))

    def _missed(self, error: Unavailable, _wait_s: float) -> None:
        self._reached.clear()
        self._told(error)


def telling(rows: Sequence[Attempt]) -> list[Attempt]:
    """Leave out the queue rows of those of which the same rows tell an attempt already."""
    tried = {(row.alert_id, row.target) for row in rows if row.attempt > 0}
    return [row for row in rows if row.attempt > 0 or (row.alert_id, row.target) not in tried]
