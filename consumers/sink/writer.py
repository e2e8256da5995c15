"""One partition's writer: does what the machine says, and tells it what happened."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeVar

from consumers.sink import recovery
from consumers.sink.batch import Backlog, Batch, Cut, Limits, Run
from consumers.sink.entry import DEADLINE, Place, ledger_line, token_of
from consumers.sink.intent import Position
from consumers.sink.machine import (
    Action,
    Announce,
    Announced,
    Contradicted,
    Drop,
    Enter,
    Entered,
    Event,
    Filled,
    Look,
    Lost,
    Moved,
    Phase,
    Read,
    Reread,
    Resumed,
    Seen,
    State,
    Stop,
    Unsure,
    Write,
    Written,
    step,
)
from consumers.sink.metrics import SinkMetrics
from consumers.sink.turn import Turn
from runtime.clickhouse import Store
from runtime.clock import Clock
from runtime.line_insert import Stamp
from runtime.log import event as log_event
from runtime.retry import Backoff, Uniform
from runtime.store_errors import DeadlinePassed
from schemas.errors import Broken, Fenced, Misconfigured, Unavailable
from schemas.tables import BATCHES, EVENT_COLUMNS, EVENTS, QUARANTINE, QUARANTINE_COLUMNS

T = TypeVar("T")
_LOG: Final = logging.getLogger(__name__)
_AGAIN: Final = (Unavailable, Misconfigured, TimeoutError)  # hold on to the batch and try again


class Fault(Protocol):
    """A seam for tests: called at each named point of the protocol."""

    async def __call__(self, point: str, partition: int) -> None:
        """Do nothing, or break something."""
        ...


async def no_fault(point: str, partition: int) -> None:
    """Break nothing."""


class Commit(Protocol):
    """The group's offset commit, fenced by the generation that gave us the partition."""

    async def __call__(self, position: Position) -> None:
        """Commit. Raises `Fenced` if the partition is another's, `BrokerUnavailable` else."""
        ...


@dataclass(frozen=True, slots=True)
class Timing:
    """The writer's bounds. `deadline_s` must be far below the store's memory of tokens."""

    limits: Limits
    deadline_s: int
    insert_timeout_s: float
    idle_commit_s: float
    backoff: Backoff


class Waiting(NamedTuple):
    """Since when a writer tries in vain, by the clock that never jumps, and for what."""

    since_s: float
    why: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a writer stands on; all writers of a sink share it."""

    store: Store
    executor: Executor
    clock: Clock
    dice: Uniform
    metrics: SinkMetrics
    fault: Fault
    turns: asyncio.Semaphore


class Writer:
    """The only one that writes its partition, for as long as the group lets it."""

    def __init__(
        self, place: Place, timing: Timing, around: Surroundings, commit: Commit, resumed: Position
    ) -> None:
        """Take a partition over at the position that the group or the store has of it."""
        self.place = place
        self.backlog = Backlog()
        self.state = State()
        self.stopped = ""
        self.waits_for: Waiting | None = None
        self._resumed = resumed
        self._committed = resumed
        self._timing = timing
        self._around = around
        self._commit = commit
        self._fed = asyncio.Event()
        self._is_closing = False
        self._turn = Turn(around.turns)
        self._failures = 0  # of the batch in flight, one after the other

    @property
    def is_rereading(self) -> bool:
        """Whether it needs records that it can't do without: never pause it then."""
        return self.state.phase in (Phase.START, Phase.REREADING)

    def close(self) -> None:
        """Ask it to finish the batch in flight, commit and end."""
        self._is_closing = True
        self._fed.set()

    def feed(self, runs: list[Run]) -> None:
        """Take runs in order, as the consumer got them."""
        self.backlog.feed(runs, self._monotonic_ms(), self._now_ms())
        self._fed.set()

    async def run(self, why: str = "") -> None:
        """Write until fenced, closed or stopped; what was proven is then committed, if ours.

        With a `why` the position could not be proven: stop at once.
        """
        event: Event = Contradicted(why) if why else Resumed(self._resumed)
        try:
            while True:
                self.state, action = step(self.state, event, self._timing.deadline_s)
                if isinstance(action, Drop):
                    return
                if isinstance(action, Stop):
                    self._stop(action.why)
                    return
                event = await self._perform(action)
        finally:
            self._turn.end()

    async def _perform(self, action: Action) -> Event:  # noqa: PLR0911 - one a case
        try:
            match action:
                case Read(position):
                    return await self._read(position)
                case Reread(position):
                    return await self._reread(position)
                case Announce(batch, deadline_s):
                    return await self._announce(batch, deadline_s)
                case Look(batch):
                    return await self._look(batch)
                case Write():
                    return await self._write(action)
                case Enter(batch):
                    return await self._enter(batch)
        except Fenced:
            self._around.metrics.fenced.inc()
            return Lost()
        except Broken as error:
            return Contradicted(str(error))
        raise AssertionError(f"{type(action).__name__} is not performed")

    async def _read(self, position: Position) -> Event:
        """Wait for a batch; commit what is proven when there is nothing else to do."""
        self._turn.end()
        while not self._is_closing:
            wait_ms = self.backlog.due_in_ms(self._timing.limits, self._monotonic_ms())
            if wait_ms == 0 and self._turn.is_ours:
                return await self._cut(position)
            if wait_ms == 0:
                await self._turn.begin()
                continue
            self._fed.clear()
            is_behind = self._committed != position
            idle_s = self._timing.idle_commit_s if is_behind else None
            was_fed = await self._wait_fed(wait_ms / 1000 if wait_ms > 0 else idle_s)
            if not was_fed and wait_ms < 0 and is_behind:
                await self._commit_position(position)
        if self._committed != position:
            await self._commit_position(position)
        return Lost()

    async def _cut(self, position: Position) -> Event:
        cut = self.backlog.cut(position, self._timing.limits)
        if cut.batch is not None:
            return Filled(cut.batch, self._now_s())
        if cut.position != position:
            self._around.metrics.repeats.inc(cut.position.offset - position.offset)
            return Moved(cut.position)
        if cut.hole:
            return Contradicted(cut.hole)
        return Moved(await self._switch(cut))

    async def _switch(self, cut: Cut) -> Position:
        """Begin another incarnation: where its ledger ends, else with its first record."""
        log_event(_LOG, "incarnation begins", partition=self.place.partition)
        found = await self._ask(
            lambda store: recovery.extent(store, cut.switch, self.place.topic, self.place.partition)
        )
        expected = found.origin_next if found else self.backlog.first_coverage().from_
        await self._refuse_rows_past(cut.switch, expected)
        return Position(cut.position.offset, cut.switch, expected)

    async def _refuse_rows_past(self, incarnation: str, expected: int) -> None:
        place = self.place
        past = await self._ask(
            lambda store: recovery.rows_from(
                store, incarnation, place.topic, place.partition, expected
            )
        )
        if past:
            raise Broken(f"the store has {past} rows past raw offset {expected}, which is next")

    async def _reread(self, position: Position) -> Event:
        intent = position.intent
        assert intent is not None, "only an intent is read again"
        await self._refuse_rows_past(position.incarnation, intent.origin_next)
        while not self.backlog.has_reached(intent.last):
            if self._is_closing:
                return Lost()
            self._fed.clear()
            await self._wait_fed(None)
        plain = Position(position.offset, position.incarnation, position.expected)
        cut = self.backlog.cut(plain, self._timing.limits, last=intent.last)
        self._around.metrics.replayed.inc()
        return Filled(cut.batch, self._now_s())

    async def _announce(self, batch: Batch, deadline_s: int) -> Event:
        await self._fault("before-intent")
        await self._commit_position(batch.position.announced(batch.intent(deadline_s)))
        await self._fault("after-intent")
        return Announced()

    async def _look(self, batch: Batch) -> Event:
        place = self.place

        def ask(store: Store) -> tuple[int, int]:
            return recovery.look(store, place.topic, place.partition, batch)

        attempt = 0
        while True:
            asked_s = self._now_s()
            try:
                accepted, rejected = await self._in_thread(lambda: ask(self._around.store))
            except _AGAIN as error:
                await self._pause(attempt, error)
                attempt += 1
                continue
            self._around.metrics.looks.inc()
            self.waits_for = None
            return Seen(accepted, rejected, asked_s)

    async def _write(self, write: Write) -> Event:
        """Insert what is missing, table by table; whatever goes wrong, look before another try."""
        started = self._around.clock.monotonic()
        parts = (
            (write.accepted, EVENTS, EVENT_COLUMNS, write.batch.accepted, "e"),
            (write.rejected, QUARANTINE, QUARANTINE_COLUMNS, write.batch.rejected, "q"),
        )
        for is_due, table, columns, lines, suffix in parts:
            if is_due:
                token = f"{token_of(self.place, write.batch)}:{suffix}"
                if not await self._insert(table, columns, lines, token, write.deadline_s):
                    return Unsure()
        self._failures = 0
        self.waits_for = None
        self._around.metrics.wrote(write.batch, self._around.clock.monotonic() - started)
        return Written()

    async def _insert(
        self,
        table: str,
        columns: tuple[str, ...],
        lines: tuple[bytes, ...],
        token: str,
        deadline_s: int,
    ) -> bool:
        """Send one table's rows once; say whether the store confirmed them."""
        await self._fault("before-insert")

        def send() -> None:
            stamp = Stamp(DEADLINE, deadline_s)
            self._around.store.insert_stamped(table, columns, lines, stamp, token)

        try:
            await self._in_thread(send)
        except DeadlinePassed:
            self._around.metrics.late.inc()
            return False
        except _AGAIN as error:
            await self._pause(self._failures, error)
            self._failures += 1
            return False
        await self._fault("after-insert")
        return True

    async def _enter(self, batch: Batch) -> Event:
        told = ledger_line(self.place, batch)
        line, columns = json.dumps(told).encode(), tuple(told)
        token = f"{token_of(self.place, batch)}:b"
        await self._ask(lambda store: store.insert_lines(BATCHES, columns, line, token))
        await self._fault("before-ack")
        return Entered()

    async def _ask(self, call: Callable[[Store], T]) -> T:
        """Ask the store until it answers."""
        attempt = 0
        while True:
            try:
                return await self._in_thread(lambda: call(self._around.store))
            except _AGAIN as error:
                await self._pause(attempt, error)
                attempt += 1

    async def _commit_position(self, position: Position) -> None:
        """Commit until the broker answers: accepted, or `Fenced`."""
        attempt = 0
        while True:
            try:
                await self._commit(position)
            except (Unavailable, TimeoutError) as error:
                await self._pause(attempt, error)
                attempt += 1
                continue
            self._committed = position
            self.waits_for = None
            return

    async def _in_thread(self, call: Callable[[], T]) -> T:
        """Run in the store's threads; a hung call is left behind: its deadline disarms it."""
        running = asyncio.get_running_loop().run_in_executor(self._around.executor, call)
        return await asyncio.wait_for(running, self._timing.insert_timeout_s)

    async def _pause(self, attempt: int, error: Exception) -> None:
        self._turn.end()
        self._around.metrics.retries.labels(type(error).__name__).inc()
        if attempt == 0:
            log_event(
                _LOG,
                "waiting for a dependency",
                level=logging.WARNING,
                error=error,
                partition=self.place.partition,
            )
        self.waits_for = self.waits_for or Waiting(self._around.clock.monotonic(), str(error))
        await asyncio.sleep(self._timing.backoff.wait_s(attempt, self._around.dice))

    async def _wait_fed(self, timeout_s: float | None) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._fed.wait()
        except TimeoutError:
            return False
        return True

    def _fault(self, point: str) -> Awaitable[None]:
        return self._around.fault(point, self.place.partition)

    def _stop(self, why: str) -> None:
        self.stopped = why
        self._around.metrics.stopped.labels(str(self.place.partition)).set(1)
        log_event(
            _LOG,
            "partition stopped: look at it before anything else",
            level=logging.ERROR,
            partition=self.place.partition,
            why=why,
        )

    def _monotonic_ms(self) -> int:
        return int(self._around.clock.monotonic() * 1000)

    def _now_ms(self) -> int:
        return self._around.clock.now_ms()

    def _now_s(self) -> int:
        return self._around.clock.now_ms() // 1000
