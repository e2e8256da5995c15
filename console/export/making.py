"""The pieces of one export, made two at a time on threads of their own, given in order."""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from console.export.plan import PIECE_BYTES, Piece, Plan, cut_rows, is_light, make_plan
from console.export.store import Stored
from console.export.writing import Made, Marks, Writer
from console.query.conditions import Conditions
from schemas.export import Format

T = TypeVar("T")

WORKERS: Final = 2  # each fills a core; the searches' threads are others
# A row group wants to be larger than a piece of text, and takes less memory.
PIECES_A_GROUP: Final = 2
MARK_BYTES: Final = 16


class Threads:
    """The threads of all exports; close it when the service ends."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="audit-export")

    async def run(self, work: Callable[..., T], *given: object) -> T:
        """Run `work` on one of them."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *given)

    def close(self) -> None:
        """Wait for what runs."""
        self._pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class Making:
    """Which rows become which format; `piece_bytes` is about how much text a piece is."""

    store: Stored
    threads: Threads
    found: Conditions
    writer: Writer
    piece_bytes: int

    async def plan(self) -> Plan:
        """Count and cut, as `make_plan` does."""
        return await self.threads.run(make_plan, self.store, self.found, self.piece_bytes)

    async def pieces(self, plan: Plan, skipped: int = 0) -> AsyncGenerator[Made]:
        """Yield what is to be appended, from piece `skipped` on; closing it ends the work."""
        waiting: deque[asyncio.Task[Made]] = deque()
        try:
            async for piece in self._cut(plan):
                if skipped:
                    skipped -= 1
                    continue
                waiting.append(asyncio.create_task(self.threads.run(self._make, piece)))
                if len(waiting) > WORKERS:  # one more than is worked on: nobody waits for us
                    yield await waiting.popleft()
            while waiting:
                yield await waiting.popleft()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _cut(self, plan: Plan) -> AsyncIterator[Piece]:
        for piece in plan.pieces:
            if is_light(piece, self.piece_bytes):
                yield piece
                continue
            source = cut_rows(self.store, self.found, piece, self.piece_bytes)
            while (part := await self.threads.run(next, source, None)) is not None:
                yield part

    async def tail(self, groups: Callable[[], Iterator[tuple[int, bytes]]]) -> bytes:
        """Return the end of the file."""
        return await self.threads.run(self._tail, groups)

    def _make(self, piece: Piece) -> Made:
        return self._ask(piece.conditions(self.found))

    def _ask(self, found: Conditions) -> Made:
        marks = new_marks()
        asked = self.writer.query(found, marks)
        # the answer has no name here, so that it is gone once `finish` needs it no more
        return self.writer.finish(
            self.store.raw(asked.sql, asked.parameters, fmt=self.writer.fmt), marks
        )

    def _tail(self, groups: Callable[[], Iterator[tuple[int, bytes]]]) -> bytes:
        asked = self.writer.query(self.found.also("0"), new_marks())
        empty = self.store.raw(asked.sql, asked.parameters, fmt=self.writer.fmt)
        return self.writer.tail(groups(), empty)


def new_marks() -> Marks:
    """Return marks that nobody can have put into an event."""
    token = secrets.token_hex(MARK_BYTES)
    return Marks(f"\x01{token}\x01", f"\x02{token}\x02")


def piece_bytes_of(form: Format) -> int:
    """Return how large a piece of a format is."""
    return PIECE_BYTES * (PIECES_A_GROUP if form == "parquet" else 1)
