"""The publisher of audit events: returns when the broker has them, or says that it has not."""

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from producers.dispatcher import Counters, Dispatcher
from producers.event_id import time_ordered_id
from producers.kafka_link import KafkaLink
from producers.lane import Budget, Outcome, Parcel, Receipt, cost
from producers.message import Message, raw_message, to_message
from runtime.clock import Clock, SystemClock
from schemas.errors import AuditError, BadEvent, Misconfigured
from schemas.event import Event
from schemas.topics import EVENTS, EVENTS_MESSAGE_BYTES_MAX

DEADLINE_S: Final = 30.0
BUFFER_BYTES_MAX: Final = 64 * 1024 * 1024
BUFFER_EVENTS_MAX: Final = 100_000
_PARCEL_EVENTS_MAX: Final = 1_000  # taken from a long list at a time, so that others get a turn
_BEST_EFFORT_SHARE: Final = 0.5  # the other half of the buffer is for events that must be logged


class Publisher:
    """Publishes to one topic, idempotently and with acks=all; one per process and event loop.

    Memory is bounded: a must-log event waits for room until its deadline, a best-effort one is
    dropped and counted. Connects when first needed and again whenever it must; a broker that is
    away costs callers their deadlines and nothing else. `on_drop` gets each number of events
    dropped, on the loop.
    """

    def __init__(  # noqa: PLR0913 - each is a bound or a seam for tests
        self,
        bootstrap: str,
        *,
        topic: str = EVENTS,
        deadline_s: float = DEADLINE_S,
        buffer_bytes_max: int = BUFFER_BYTES_MAX,
        buffer_events_max: int = BUFFER_EVENTS_MAX,
        client_options: Mapping[str, Any] | None = None,
        on_drop: Callable[[int], None] = lambda _count: None,
        clock: Clock | None = None,
    ) -> None:
        if buffer_bytes_max < 2 * EVENTS_MESSAGE_BYTES_MAX or buffer_events_max < 1:
            raise Misconfigured("the publisher's buffer must hold two of the largest events: 4 MiB")
        link = KafkaLink(bootstrap, topic, client_options or {})
        self._deadline_s = deadline_s
        self._budget = Budget(buffer_bytes_max, buffer_events_max)
        self._parcel_bytes_max = buffer_bytes_max // 4
        self._parcel_events_max = max(1, min(_PARCEL_EVENTS_MAX, buffer_events_max // 4))
        self._dispatcher = Dispatcher(link, topic, self._budget, on_drop)
        self._clock = clock or SystemClock()
        self._pid = os.getpid()
        self._is_closed = False

    @property
    def counters(self) -> Counters:
        """What became of events so far."""
        return self._dispatcher.counters

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def publish(
        self,
        event: Event | Mapping[str, Any],
        *,
        must_log: bool = True,
        deadline_s: float | None = None,
    ) -> Receipt | None:
        """Publish one event, secrets masked. Returns when the broker has it.

        Raises `BadEvent`; `BrokerUnavailable` when the deadline passes, or at once when the broker
        gives an error that says no more than that (such as UnknownError, of a disk that fails);
        `Misconfigured`. After the last two the event was not written, or it was or still will be:
        publish it again with the same event_id, by which two rows of it are known as one. We
        don't do so ourselves, for who was told of no error would find it twice. Cancelling means
        the same: what was not sent yet is taken back, what was may still arrive.

        With `must_log=False` returns None at once, never waits and never raises but `BadEvent`.
        """
        message = self._prepare(event)
        return await self._publish(message, must_log=must_log, deadline_s=deadline_s)

    async def publish_bytes(
        self,
        raw: bytes,
        key: bytes | None = None,
        *,
        must_log: bool = True,
        deadline_s: float | None = None,
    ) -> Receipt | None:
        """Publish bytes as they are: not validated, not masked. Else as `publish` promises."""
        return await self._publish(raw_message(raw, key), must_log=must_log, deadline_s=deadline_s)

    async def publish_many(
        self, events: Iterable[Event | Mapping[str, Any]], *, deadline_s: float | None = None
    ) -> list[Outcome]:
        """Publish in order; returns for each event its receipt, or the error instead of raising.

        Each parcel of up to 1,000 events has the whole deadline, from when it is its turn.
        """
        return await self._publish_many((self._outcome_of(e) for e in events), deadline_s)

    async def publish_many_bytes(
        self, messages: Iterable[tuple[bytes, bytes | None]], *, deadline_s: float | None = None
    ) -> list[Outcome]:
        """Publish pairs of value and key as they are. Else as `publish_many` promises."""
        return await self._publish_many((_raw_outcome(*m) for m in messages), deadline_s)

    async def close(self, timeout_s: float = 10.0) -> None:
        """Send what is buffered, wait for the broker at most that long, and disconnect.

        Idempotent. What is still undelivered then fails with `BrokerUnavailable`.
        """
        if self._is_closed or os.getpid() != self._pid:
            return
        self._is_closed = True
        await self._dispatcher.close(timeout_s)

    def _prepare(self, event: Event | Mapping[str, Any]) -> Message:
        try:
            message = to_message(event, time_ordered_id(self._clock.now_ms()))
            return raw_message(message.value, message.key)
        except BadEvent:
            self.counters.refused += 1
            raise

    def _outcome_of(self, event: Event | Mapping[str, Any]) -> Message | BadEvent:
        try:
            return self._prepare(event)
        except BadEvent as error:
            return error

    async def _publish(
        self, message: Message, *, must_log: bool, deadline_s: float | None
    ) -> Receipt | None:
        self._check_open()
        if not must_log:
            if self._budget.try_take(cost(message), 1, share=_BEST_EFFORT_SHARE):
                self._dispatcher.put(Parcel([message], None))
            else:
                self._dispatcher.count_dropped(1)
            return None
        [outcome] = await self._deliver([message], deadline_s)
        if isinstance(outcome, AuditError):
            raise outcome
        return outcome

    async def _publish_many(
        self, prepared: Iterable[Message | BadEvent], deadline_s: float | None
    ) -> list[Outcome]:
        """Hand over parcel by parcel, each once the one before has found room: order is kept."""
        self._check_open()
        outcomes: list[Outcome | None] = []
        async with asyncio.TaskGroup() as deliveries:
            for places, messages in self._parcels(prepared, outcomes):
                is_taken = asyncio.Event()
                deliveries.create_task(
                    self._deliver_to(outcomes, places, messages, deadline_s, is_taken)
                )
                await is_taken.wait()
        return [outcome for outcome in outcomes if outcome is not None]

    def _parcels(
        self, prepared: Iterable[Message | BadEvent], outcomes: list[Outcome | None]
    ) -> Iterator[tuple[list[int], list[Message]]]:
        """Cut into parcels; bad events get their outcome at once, the others a place for it."""
        places: list[int] = []
        parcel: list[Message] = []
        size = 0
        for message in prepared:
            if isinstance(message, BadEvent):
                outcomes.append(message)
                continue
            places.append(len(outcomes))
            outcomes.append(None)
            parcel.append(message)
            size += cost(message)
            if len(parcel) >= self._parcel_events_max or size >= self._parcel_bytes_max:
                yield places, parcel
                places, parcel, size = [], [], 0
        if parcel:
            yield places, parcel

    async def _deliver_to(
        self,
        outcomes: list[Outcome | None],
        places: list[int],
        messages: list[Message],
        deadline_s: float | None,
        is_taken: asyncio.Event,
    ) -> None:
        found = await self._deliver(messages, deadline_s, is_taken)
        for place, outcome in zip(places, found, strict=True):
            outcomes[place] = outcome

    async def _deliver(
        self,
        messages: list[Message],
        deadline_s: float | None,
        is_taken: asyncio.Event | None = None,
    ) -> Sequence[Outcome]:
        """Buffer, wait for the broker, and return every outcome by the deadline."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + (self._deadline_s if deadline_s is None else deadline_s)
        size = sum(map(cost, messages))
        try:
            await self._budget.take(size, len(messages), max(0.0, ends - loop.time()))
        except TimeoutError:
            self.counters.failed += len(messages)
            return [self._dispatcher.unavailable("not sent: the buffer stayed full")] * len(
                messages
            )
        finally:
            if is_taken is not None:
                is_taken.set()
        parcel = Parcel(list(messages), loop.create_future())
        self._dispatcher.put(parcel)
        assert parcel.done is not None, "it was made two lines above"
        try:
            await asyncio.wait_for(parcel.done, max(0.0, ends - loop.time()))
        except TimeoutError:
            pass
        finally:
            self._dispatcher.give_up(parcel)
        return [outcome for outcome in parcel.outcomes if outcome is not None]

    def _check_open(self) -> None:
        if os.getpid() != self._pid:
            raise Misconfigured("the publisher was made before a fork: make one in each process")
        if self._is_closed:
            raise Misconfigured("the publisher is closed")


def _raw_outcome(raw: bytes, key: bytes | None) -> Message | BadEvent:
    try:
        return raw_message(raw, key)
    except BadEvent as error:
        return error
