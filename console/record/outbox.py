"""The outbox: this console's own audit events, kept on disk until the broker has them.

Whoever appends waits for the disk, not for Kafka: an answer is given once its event can't be
lost any more. Appends that come together share one commit. Over its bound the outbox refuses,
and with it every read: what can't be recorded is not shown.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from console.health.doctor import Finding, Probe
from console.state import State
from console.web.problems import Refused
from schemas.errors import AuditError, BadEvent

EVENTS_MAX: Final = 100_000  # at 100 reads/s a quarter of an hour without Kafka, at 1/s a day
BYTES_MAX: Final = 64 * 1_048_576
COMMIT_MAX: Final = 1_000  # events in one transaction
SEND_EVENTS_MAX: Final = 500
SEND_BYTES_MAX: Final = 1_048_576
GATHER_S: Final = 0.05  # so that a burst is sent as one
AGAIN_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0)  # after failures in a row
LATE_S: Final = 60.0  # a healthy broker takes an event within the second
log: Final = logging.getLogger("audit.outbox")


class Parcel(NamedTuple):
    """One event as it is published."""

    value: bytes
    key: bytes | None


Prepare = Callable[[Mapping[str, Any]], Parcel]  # raises `BadEvent`
Send = Callable[[Sequence[Parcel]], Awaitable[Sequence[AuditError | None]]]  # in their order


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait for the broker."""

    events_max: int = EVENTS_MAX
    bytes_max: int = BYTES_MAX


@dataclass(slots=True)
class Filling:
    """What waits for the broker, and what became of the rest since the start."""

    events: int = 0
    bytes: int = 0
    oldest_ms: int = 0  # 0 if nothing waits
    published: int = 0
    refused: int = 0
    fault: str = ""  # why the last sending failed; "" if it didn't


class _Waiting(NamedTuple):
    parcel: Parcel
    done: asyncio.Future[None]


class Outbox:
    """Appends to, and empties, the table `outbox` of an open state. For one event loop."""

    def __init__(
        self,
        state: State,
        prepare: Prepare,
        send: Send,
        now_ms: Callable[[], int],
        bounds: Bounds | None = None,
    ) -> None:
        self._state = state
        self._prepare = prepare
        self._send = send
        self._now_ms = now_ms
        self._bounds = bounds or Bounds()
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None
        self._new = asyncio.Event()
        self.filling = Filling()

    async def open(self) -> None:
        """Look at what an earlier run left."""
        self.filling = Filling(*await self._state.read(_filling))
        if self.filling.events:
            log.info("%d audit events of an earlier run wait to be published", self.filling.events)
            self._new.set()

    async def append(self, event: Mapping[str, Any]) -> None:
        """Keep an event; it is on disk when this returns.

        Raises `Refused` if the outbox is full or the event is none, `StoreUnavailable` if the
        disk refuses.
        """
        try:
            parcel = self._prepare(event)
        except BadEvent as error:
            raise Refused(
                "bad_parameter", f"no audit event can be made of that: {error.field}"
            ) from error
        size = len(parcel.value)
        if not self.has_room(size):
            self.filling.refused += 1
            raise Refused("unrecorded", f"{self.filling.events} audit events wait for Kafka")
        waiting = _Waiting(parcel, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self.filling.events += 1
        self.filling.bytes += size
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        await waiting.done

    def has_room(self, size: int = 1) -> bool:
        """Say whether an event of that size can be kept."""
        return (
            self.filling.events < self._bounds.events_max
            and self.filling.bytes + size <= self._bounds.bytes_max
        )

    def age_s(self) -> float:
        """Return how long the oldest event has been waiting."""
        oldest_ms = self.filling.oldest_ms
        return max(0.0, (self._now_ms() - oldest_ms) / 1000) if oldest_ms else 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Publish what is appended, in its order, until `stop` is set; then once more, and end.

        Cancel it where that takes too long: what is left is published at the next start.
        """
        failures = 0
        while not stop.is_set():
            await _first(self._new.wait(), stop.wait())
            await _first(stop.wait(), asyncio.sleep(GATHER_S))
            self._new.clear()
            if await self._empty():
                failures = 0
                continue
            self._new.set()
            await _first(stop.wait(), asyncio.sleep(AGAIN_S[min(failures, len(AGAIN_S) - 1)]))
            failures += 1
        await self._empty()

    async def _write(self) -> None:
        """Write all that waits; what comes meanwhile shares the next transaction."""
        while self._waiting:
            group, self._waiting = self._waiting[:COMMIT_MAX], self._waiting[COMMIT_MAX:]
            parcels = [waiting.parcel for waiting in group]
            now_ms = self._now_ms()
            fault: BaseException | None = None
            try:
                await self._state.write(partial(_insert, parcels, now_ms))
            except (AuditError, sqlite3.Error) as error:
                fault = error
                self.filling.events -= len(parcels)
                self.filling.bytes -= sum(len(parcel.value) for parcel in parcels)
            else:
                self.filling.oldest_ms = self.filling.oldest_ms or now_ms
                self._new.set()
            for waiting in group:
                if waiting.done.done():
                    continue  # whoever waited has gone; the event stays
                if fault is None:
                    waiting.done.set_result(None)
                else:
                    waiting.done.set_exception(fault)

    async def _empty(self) -> bool:
        """Send until nothing waits; False once something could not be sent."""
        while True:
            try:
                rows = await self._state.read(_oldest)
                if not rows:
                    return True
                fault = await self._pass_on(rows)
            except AuditError as error:
                fault = error
            self.filling.fault = str(fault) if fault else ""
            if fault:
                log.warning("audit events of the console can't be published yet: %s", fault)
                return False

    async def _pass_on(self, rows: Sequence[tuple[int, Parcel]]) -> AuditError | None:
        """Send rows and forget those that the broker has; return why others were not taken."""
        outcomes = await self._send([parcel for _number, parcel in rows])
        sent = [row for row, error in zip(rows, outcomes, strict=True) if error is None]
        if sent:
            await self._forget(sent)
        return next((error for error in outcomes if error is not None), None)

    async def _forget(self, sent: Sequence[tuple[int, Parcel]]) -> None:
        numbers = [number for number, _parcel in sent]
        self.filling.oldest_ms = await self._state.write(partial(_delete, numbers))
        self.filling.events -= len(sent)
        self.filling.bytes -= sum(len(parcel.value) for _number, parcel in sent)
        self.filling.published += len(sent)


def outbox_probe(outbox: Outbox) -> Probe:
    """Return a probe of whether what is read here reaches the stream."""

    async def look() -> Finding:
        filling, age_s = outbox.filling, outbox.age_s()
        told = f"{filling.events} events wait, the oldest for {age_s:.0f} s"
        if filling.fault:
            told += f": {filling.fault}"
        return Finding(outbox.has_room() and age_s <= LATE_S, told)

    return Probe(
        "audit of reads",
        f"each read is in the stream within {LATE_S:g} s",
        "start Kafka, or see why it refuses; until then reads are kept on disk, and over "
        f"{EVENTS_MAX} of them nothing is shown any more",
        look,
    )


def _insert(parcels: Sequence[Parcel], now_ms: int, db: sqlite3.Connection) -> None:
    db.executemany(
        "INSERT INTO outbox (key, value, kept_ms) VALUES (?, ?, ?)",
        [(parcel.key, parcel.value, now_ms) for parcel in parcels],
    )


def _oldest(db: sqlite3.Connection) -> list[tuple[int, Parcel]]:
    """Return the oldest rows, at least one if there is any, within the bound of one sending."""
    found: list[tuple[int, Parcel]] = []
    size = 0
    for row in db.execute(
        "SELECT number, key, value FROM outbox ORDER BY number LIMIT ?", (SEND_EVENTS_MAX,)
    ):
        size += len(row["value"])
        if found and size > SEND_BYTES_MAX:
            break
        found.append((row["number"], Parcel(row["value"], row["key"])))
    return found


def _delete(numbers: Sequence[int], db: sqlite3.Connection) -> int:
    """Delete rows; return when the oldest of the others was kept, 0 if there is none."""
    db.executemany("DELETE FROM outbox WHERE number = ?", [(number,) for number in numbers])
    return _oldest_ms(db)


def _filling(db: sqlite3.Connection) -> tuple[int, int, int]:
    """Return how many rows there are, their bytes, and when the oldest was kept."""
    sums = db.execute(
        "SELECT count(*) AS events, coalesce(sum(length(value)), 0) AS bytes FROM outbox"
    ).fetchone()
    return sums["events"], sums["bytes"], _oldest_ms(db)


def _oldest_ms(db: sqlite3.Connection) -> int:
    row = db.execute("SELECT kept_ms FROM outbox ORDER BY number LIMIT 1").fetchone()
    return row["kept_ms"] if row else 0


async def _first(*waits: Awaitable[object]) -> None:
    """Wait until one of them is done, and end the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
