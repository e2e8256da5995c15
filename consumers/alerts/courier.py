"""One target's deliveries: a bounded queue in order of time, and the workers that empty it."""

import asyncio
import contextlib
import heapq
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from consumers.alerts.message import Message, message_of
from consumers.alerts.schedule import ESCALATION, GATHERED, Due, judge, moment_ms, settled
from consumers.alerts.tally import Tally
from consumers.alerts.targets import Target
from runtime.clock import Clock
from runtime.log import event
from schemas.errors import TargetUnavailable

WAIT_S_MAX: Final = 1.0  # a clock that jumps delays a delivery by no more than this
SOON_MS: Final = 120_000  # far more than the time between two looks into the store
QUEUE_MAX: Final = 10_000  # further ones stay in the store until these are done
SEND_S_MAX: Final = 30.0  # a plugin may make several requests, each with its own timeout
REFUSED: Final = "refused"
TIMED_OUT: Final = "timeout"
log: Final = logging.getLogger("audit.alerts")


@dataclass(frozen=True, slots=True)
class Desk:
    """What all couriers share: the clock, the counts, and where outcomes are recorded."""

    clock: Clock
    tally: Tally
    record: Callable[..., Awaitable[int]]  # takes attempts, gives the number of the last
    waiting: Callable[[], frozenset[str]]  # the alerts whose rows are on their way
    reached: Callable[[], Awaitable[None]]  # waits while nothing can be recorded
    is_open: Callable[[str], Awaitable[bool]]  # whether nobody has acknowledged that alert
    link: str = ""  # address of an alert's page, with {id}


class Courier:
    """Delivers to one target, so that a target that is slow or away holds up no other.

    At least once: a process that dies after the target took an alert and before that is recorded
    sends it again. The alert's id is the same each time.
    """

    def __init__(self, target: Target, desk: Desk) -> None:
        self.name: Final = target.name
        self._target = target
        self._desk = desk
        self._heap: list[tuple[int, int, Due]] = []
        self._queued: set[str] = set()
        self._count = 0
        self._changed = asyncio.Event()
        self._is_stopping = False
        self._threads = ThreadPoolExecutor(target.parallel, thread_name_prefix="audit-send")
        self.has_spilled = False
        self.wakes_ms = float("inf")

    def busy(self) -> frozenset[str]:
        """Return the alerts that wait here or are under way."""
        return frozenset(self._queued)

    @property
    def pending(self) -> int:
        """How many alerts wait here or are under way."""
        return len(self._queued)

    def take(self, due: Due) -> None:
        """Queue a delivery; one that is here already, or finds no room, is left to the store.

        So is one that is held for long: thousands that wait for tomorrow's digest must not fill
        the queue that today's pages go through. `wakes_ms` is when the first of them is due.
        """
        if due.alert.alert_id in self._queued:
            return
        if due.not_before_ms > self._desk.clock.now_ms() + SOON_MS:
            self.wakes_ms = min(self.wakes_ms, due.not_before_ms)
            return
        if len(self._queued) >= QUEUE_MAX:
            self.has_spilled = True
            return
        self._queued.add(due.alert.alert_id)
        self._push(due)

    async def run(self) -> None:
        """Deliver until told to stop, or cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._target.parallel):
                    group.create_task(self._work())
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        """Begin nothing more; `run` returns once what is under way has ended and is recorded."""
        self._is_stopping = True
        self._changed.set()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._is_stopping:
            due = self._next()
            if due is None:
                await self._change()
                continue
            began = loop.time()
            await self._deliver(self._with(due))
            if self._target.pace_s and not self._is_stopping:
                await asyncio.sleep(max(0.0, began + self._target.pace_s - loop.time()))

    def _with(self, due: Due) -> list[Due]:
        """Return what goes in one message: all that was held and is due by now, or the one."""
        dues = [due]
        if due.reason not in GATHERED:
            return dues
        now_ms, others = self._desk.clock.now_ms(), list[tuple[int, int, Due]]()
        while self._heap and self._heap[0][0] <= now_ms:
            entry = heapq.heappop(self._heap)
            if entry[2].reason in GATHERED and len(dues) < self._target.digest_max:
                dues.append(entry[2])
            else:
                others.append(entry)
        for entry in others:
            heapq.heappush(self._heap, entry)
        return dues

    async def _deliver(self, dues: Sequence[Due]) -> None:
        due = dues[0]
        if due.reason == ESCALATION and not await self._desk.is_open(due.lead_id):
            await self._desk.record(settled(due, self._desk.clock.now_ms()))
            self._done(due)
            return
        error = await self._send(message_of(dues, self._desk.link))
        now_ms = self._desk.clock.now_ms()
        judged = [(one, *judge(one, error, now_ms)) for one in dues]
        for one, attempt, _ in judged:
            self._desk.tally.count(attempt, (now_ms - moment_ms(one.alert.recorded)) / 1000)
        await self._desk.record(*(attempt for _, attempt, _ in judged))
        if error is not None:
            _, attempt, _ = judged[0]
            event(
                log,
                "alert not delivered",
                level=logging.WARNING,
                target=self.name,
                alert_id=attempt.alert_id,
                alerts=len(dues),
                attempt=attempt.attempt,
                reason=error,
                outcome=attempt.outcome,
            )
        for one, _, again in judged:
            if again is None:
                self._done(one)
            else:
                self._push(again)

    def _done(self, due: Due) -> None:
        self._queued.discard(due.alert.alert_id)
        self._desk.tally.pending(self.name, self.pending)

    async def _send(self, message: Message) -> str | None:
        """Return None if the target took it, else the kind of its refusal. Total: plugins vary."""
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._threads, self._target.send, message)
        done, _ = await asyncio.wait({future}, timeout=SEND_S_MAX)
        if not done:  # the thread ends by its own timeouts; it may still succeed
            future.add_done_callback(_forget)
            return TIMED_OUT
        failure = future.exception()
        if failure is None:
            return None
        return REFUSED if isinstance(failure, TargetUnavailable) else type(failure).__name__

    def _push(self, due: Due) -> None:
        self._count += 1
        heapq.heappush(self._heap, (due.not_before_ms, self._count, due))
        self._changed.set()
        self._desk.tally.pending(self.name, self.pending)

    def _next(self) -> Due | None:
        """Return the next delivery if its time has come."""
        if self._heap and self._heap[0][0] <= self._desk.clock.now_ms():
            return heapq.heappop(self._heap)[2]
        return None

    async def _change(self) -> None:
        """Wait until the queue changes or its first delivery is due.

        An event, not a condition: in Python 3.11 a condition that is waited for with a timeout
        can lose its lock when it is cancelled. Between the look and `clear` nobody else runs.
        """
        wait_s = WAIT_S_MAX
        if self._heap:
            wait_s = min(wait_s, (self._heap[0][0] - self._desk.clock.now_ms()) / 1000)
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, wait_s)):
                await self._changed.wait()


def _forget(future: asyncio.Future[None]) -> None:
    """Take the outcome of a send that nobody waits for, so that asyncio does not complain."""
    if not future.cancelled():
        future.exception()
