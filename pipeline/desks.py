"""The agent of stage 2: runs of signals through their partition's book, into one transaction each.

A desk is a partition's journal and book. It outlives a rebalance that gives the partition back to
us: if nobody else had it meanwhile it is still true, and if somebody had, the broker fences us at
the first write, and it is read anew.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import faust
from faust.types import EventT, StreamT

from pipeline.agents import DRAIN_S, Progress
from pipeline.journal import Journal
from pipeline.run import Output, Run
from pipeline.stage2 import Book, Changes
from pipeline.transport import Parcel
from schemas.errors import BrokerUnavailable, Fenced

log = logging.getLogger(__name__)

MOVE_S_MAX: Final = 10.0  # a fenced owner hears by then that the partition has moved
MOVE_POLL_S: Final = 0.05


class Desk:
    """One partition that we took over."""

    def __init__(self, journal: Journal, book: Book, generation: int) -> None:
        self.journal = journal
        self.book = book
        self.generation = generation  # in which it was last known to be ours

    async def work(self, run: Run) -> Changes:
        """Apply a run and write what it changed.

        Raises `Fenced` or `BrokerUnavailable`; the desk is of no use then.
        """
        changes = self.book.take(run)
        if any(changes):
            await self.journal.write(changes.states, changes.alerts, changes.signals)
        self.book.settle()
        return changes


class Desks:
    """All partitions of the signals that are ours, or were until just now."""

    def __init__(
        self,
        make_journal: Callable[[int], Journal],
        make_book: Callable[[int], Book],
        generation: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_journal = make_journal
        self._make_book = make_book
        self._generation = generation
        self._monotonic = monotonic
        self._desks: dict[int, asyncio.Task[Desk]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self.load_s: Final[dict[int, float]] = {}
        self.fenced_total = 0

    def books(self) -> dict[int, Book]:
        """Return the books that are open."""
        return {
            partition: opening.result().book
            for partition, opening in self._desks.items()
            if opening.done() and not _has_failed(opening)
        }

    def loading(self) -> list[int]:
        """Return the partitions whose journal is being read."""
        return sorted(number for number, opening in self._desks.items() if not opening.done())

    async def open(self, partition: int) -> Desk:
        """Return a partition's desk; takes the partition over if that is not done or under way.

        Raises `BrokerUnavailable`, or `Fenced` if it is let go of meanwhile.
        """
        opening = self._desks.get(partition)
        if opening is None or _has_failed(opening):
            opening = self._begin(partition)
        await asyncio.wait((opening,))  # its cancellation is not ours: it would end the agent
        if opening.cancelled():
            raise Fenced(f"journal {partition}: let go of while it was read")
        return opening.result()

    def begin(self, partitions: Iterable[int]) -> None:
        """Begin to take over what is ours now; let go of the rest."""
        ours = set(partitions)
        for partition in set(self._desks) - ours:
            leaving = asyncio.create_task(self.leave(partition))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        for partition in ours - set(self._desks):
            self._begin(partition)

    async def leave(self, partition: int) -> None:
        """Forget a partition."""
        opening = self._desks.pop(partition, None)
        self.load_s.pop(partition, None)
        if opening is None:
            return
        if not opening.done():
            opening.cancel()
        (found,) = await asyncio.gather(opening, return_exceptions=True)
        if isinstance(found, Desk):
            await found.journal.close()

    async def close(self) -> None:
        """Forget everything."""
        await asyncio.gather(*(self.leave(partition) for partition in list(self._desks)))

    def _begin(self, partition: int) -> asyncio.Task[Desk]:
        opening = self._desks[partition] = asyncio.create_task(self._take_over(partition))
        opening.add_done_callback(_has_failed)  # a look: asyncio logs what nobody looks at
        return opening

    async def _take_over(self, partition: int) -> Desk:
        began, generation = self._monotonic(), self._generation()
        journal, book = self._make_journal(partition), self._make_book(partition)
        try:
            count = await journal.open(book.groups.load)
            for _ in book.open():
                await asyncio.sleep(0)
        except BaseException:
            await journal.close()
            raise
        self.load_s[partition] = took_s = self._monotonic() - began
        log.info(
            "journal %s: %s groups of %s records in %.1f s",
            partition,
            len(book.groups),
            count,
            took_s,
        )
        return Desk(journal, book, generation)


def _has_failed(opening: asyncio.Task[Desk]) -> bool:
    return opening.done() and (opening.cancelled() or opening.exception() is not None)


class Correlator:
    """The agent's work: apply, write, acknowledge; one run at a time of each partition."""

    def __init__(self, app: faust.App, desks: Desks, progress: Progress) -> None:
        self._app = app
        self._desks = desks
        self._progress = progress
        self._lanes: dict[int, asyncio.Task[None]] = {}
        self._crash: asyncio.Task[None] | None = None

    async def carry(self, stream: StreamT[Any]) -> None:
        """Work through the stream for ever; a failure leaves its run unacknowledged."""
        try:
            async for event in stream.noack().events():
                await self._take(event)
        finally:
            if self._lanes:
                await asyncio.wait(self._lanes.values(), timeout=DRAIN_S)

    async def _take(self, event: EventT[Any]) -> None:
        partition = cast(Parcel, event.value).run.partition
        before = self._lanes.get(partition)
        if before is not None:
            await before  # raises what it raised: nothing may overtake what failed
        if not self._is_current(event.message.generation_id):
            return  # Faust looked before that wait; the run is read again by whose it is now
        lane = asyncio.create_task(self._finish(event))
        lane.add_done_callback(self._look)
        self._lanes[partition] = lane

    async def _finish(self, event: EventT[Any]) -> None:
        parcel = cast(Parcel, event.value)
        try:
            changes = await self._work(event.message.generation_id, parcel.run)
            if changes is None:
                return
        except (Fenced, BrokerUnavailable):
            # what failed because the partition moved is the next owner's work
            if not await self._has_moved(event.message.generation_id):
                raise
            await self._desks.leave(parcel.run.partition)
            return
        parcel.is_delivered = True
        event.ack()
        self._progress.note(parcel.run, Output([], changes.alerts))

    async def _work(self, generation: int, run: Run) -> Changes | None:
        """Do one run at its desk; a desk of an earlier generation may prove to be outdated.

        None if the run is another owner's by now: opening a desk for it would fence that one.
        """
        if not self._is_current(generation):
            return None
        desk = await self._desks.open(run.partition)
        try:
            changes = await desk.work(run)
        except Fenced:
            self._desks.fenced_total += 1
            if desk.generation >= generation:
                raise
            await self._desks.leave(run.partition)
            if not self._is_current(generation):
                return None
            desk = await self._desks.open(run.partition)
            changes = await desk.work(run)
        desk.generation = max(desk.generation, generation)
        return changes

    def _is_current(self, generation: int) -> bool:
        """Tell whether partitions are still handed out as they were in that generation."""
        return bool(self._app.consumer_generation_id == generation)

    async def _has_moved(self, generation: int) -> bool:
        """Tell, within some seconds, whether partitions were handed out anew since."""
        for _ in range(int(MOVE_S_MAX / MOVE_POLL_S)):
            if not self._is_current(generation):
                return True
            await asyncio.sleep(MOVE_POLL_S)
        return False

    def _look(self, lane: asyncio.Task[None]) -> None:
        """Crash at once when a run fails, even if no further one ever comes."""
        if not lane.cancelled() and (error := lane.exception()) is not None:
            self._crash = asyncio.ensure_future(self._app.crash(error))
