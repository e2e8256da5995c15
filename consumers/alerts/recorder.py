"""What becomes of deliveries, on its way into the store: gathered, written together, never lost.

An insert costs some 10 ms however few rows it has, so rows wait a moment for company. Most alerts
are delivered within that moment, and then their queue rows need not be written at all.
"""

import asyncio
import logging
from collections.abc import Sequence
from random import Random
from typing import Final

from consumers.alerts.book import Book
from consumers.alerts.schedule import Attempt
from runtime.log import event
from runtime.retry import Backoff, retry_unavailable
from schemas.errors import Unavailable

GATHER_S: Final = 0.05
ROWS_MAX: Final = 1_000
WAITING_MAX: Final = 20_000  # with the store away and so many waiting, who has more must wait too
BACKOFF: Final = Backoff(initial_s=0.1, max_s=5.0)
log: Final = logging.getLogger("audit.alerts")


class Recorder:
    """Collects rows of intake and couriers, in order.

    `put` numbers them; the rows up to `written` are in the store, and offsets may be committed
    whose rows are. An outcome that dies with the process means one more attempt.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._rows: list[Attempt] = []
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._count = 0
        self._writing = asyncio.Lock()
        self.written = 0

    async def put(self, *attempts: Attempt) -> int:
        """Take rows and return the number of the last; waits while there is no room."""
        await self._room.wait()
        self._rows += attempts
        self._count += len(attempts)
        if self._rows:
            self._some.set()
        if len(self._rows) >= WAITING_MAX:
            self._room.clear()
        return self._count

    def waiting(self) -> frozenset[str]:
        """Return the alerts whose rows are not all in the store yet."""
        return frozenset(row.alert_id for row in self._rows)

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
                lambda: asyncio.to_thread(self._book.record, telling(rows)),
                backoff=BACKOFF,
                deadline_s=deadline_s,
                rng=Random(),  # noqa: S311 - scatters waits, guards nothing
            )
            del self._rows[: len(rows)]
            self.written += len(rows)
        if not self._rows:
            self._some.clear()
        if len(self._rows) < WAITING_MAX:
            self._room.set()


def telling(rows: Sequence[Attempt]) -> list[Attempt]:
    """Leave out the queue rows of those of which the same rows tell an attempt already."""
    tried = {(row.alert_id, row.target) for row in rows if row.attempt > 0}
    return [row for row in rows if row.attempt > 0 or (row.alert_id, row.target) not in tried]
