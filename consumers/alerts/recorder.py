"""Outcomes on their way into the store: gathered for a moment, written together, never dropped."""

import asyncio
import logging
from random import Random
from typing import Final

from consumers.alerts.book import Book
from consumers.alerts.schedule import Attempt
from runtime.log import event
from runtime.retry import Backoff, retry_unavailable
from schemas.errors import Unavailable

GATHER_S: Final = 0.05  # an outcome may wait so long for company: an insert costs some 10 ms
ROWS_MAX: Final = 1_000
WAITING_MAX: Final = 50_000  # with the store away so long, the oldest are what restarts forget
BACKOFF: Final = Backoff(initial_s=0.1, max_s=5.0)
log: Final = logging.getLogger("audit.alerts")


class Recorder:
    """Collects attempts of all couriers. What dies with the process is attempted once more."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._rows: list[Attempt] = []
        self._some = asyncio.Event()

    def put(self, attempt: Attempt) -> None:
        """Take one outcome. Over `WAITING_MAX` the oldest goes: its alert may be sent again."""
        if len(self._rows) >= WAITING_MAX:
            del self._rows[0]
        self._rows.append(attempt)
        self._some.set()

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
        rows = self._rows[:ROWS_MAX]
        await retry_unavailable(
            lambda: asyncio.to_thread(self._book.record, rows),
            backoff=BACKOFF,
            deadline_s=deadline_s,
            rng=Random(),  # noqa: S311 - scatters waits, guards nothing
        )
        written = set(rows)
        self._rows = [row for row in self._rows if row not in written]
        if not self._rows:
            self._some.clear()
