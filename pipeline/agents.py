"""The agent that carries runs through a pure stage to their output, and acknowledges them after.

Deliveries of different partitions run side by side, so that one request carries several; those of
one partition go one after the other, so that order holds and nothing later is written when one
fails. The stage goes on with the next run while they are under way.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import faust
from faust.types import EventT, StreamT

from pipeline.emit import Emitter
from pipeline.guard import SourceGuard
from pipeline.run import Output, Run
from pipeline.signals import SignalSender
from pipeline.transport import Parcel

Stage = Callable[[Run], Output]


RUNS_UNDER_WAY_MAX: Final = 6  # staged and not yet delivered: about 13 MiB each at the most
DRAIN_S: Final = 2.0  # a stop waits this long for what is under way; the rest is done again


@dataclass(frozen=True, slots=True)
class Routes:
    """The topics that an agent reads and writes."""

    source: str
    records: str
    alerts: str
    signals: str = ""  # "": none are sent


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker is in the group: for each of its partitions the committed and the end offset.

    The end is what the broker said with the last fetch, at most a quarter of a second old;
    `polled_ms` has when that was, for each partition that was asked for.
    """

    is_joined: bool = False
    offsets: Mapping[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    polled_ms: Mapping[tuple[str, int], int] = field(default_factory=dict)


class Progress:
    """What the worker has brought to its end: for `/ready`, the liveness probe and metrics.

    Whether a worker lives is judged by what it delivers, not by its process being there: Faust's
    agents and consumers are known to stop one by one while the process goes on.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._moved_at = monotonic()
        self._positions: dict[tuple[str, int], int] = {}
        self._ask_place: Callable[[], Place] = Place
        self.events_total = 0
        self.runs_total = 0
        self.records_total = 0
        self.alerts_total = 0

    def watch(self, ask_place: Callable[[], Place]) -> None:
        """Learn from now on by `ask_place` where the worker is."""
        self._ask_place = ask_place

    def note(self, run: Run, output: Output) -> None:
        """Note that `run` was delivered and acknowledged."""
        self._positions[run.topic, run.partition] = run.records[-1].offset + 1
        self.events_total += len(run.records)
        self.runs_total += 1
        self.records_total += len(output.records)
        self.alerts_total += len(output.alerts)
        self._moved_at = self._monotonic()

    @property
    def is_joined(self) -> bool:
        """Whether the worker is a member of its group and no rebalance is under way."""
        return self._ask_place().is_joined

    def lags(self) -> dict[tuple[str, int], int]:
        """Return for each partition that is ours how many offsets are not yet delivered."""
        return self._lags(self._ask_place())

    def idle(self) -> dict[int, int]:
        """Return the partitions with nothing to read, each with when the broker said so last."""
        place = self._ask_place()
        lags = self._lags(place)
        return {tp[1]: polled for tp, polled in place.polled_ms.items() if lags.get(tp) == 0}

    def _lags(self, place: Place) -> dict[tuple[str, int], int]:
        return {
            tp: max(0, end - max(committed, self._positions.get(tp, 0)))
            for tp, (committed, end) in place.offsets.items()
        }

    def is_stuck(self, silence_s_max: float) -> bool:
        """Tell whether there is work and none of it was delivered for longer than that."""
        is_silent = self._monotonic() - self._moved_at > silence_s_max
        return is_silent and any(self.lags().values())


class RunSchema(faust.Schema):  # type: ignore[misc]  # faust is untyped here
    """Leaves a run as it is: its bytes are the stage's business."""

    def loads_key(self, *_: object, **__: object) -> None:
        """Give no key: a run has many."""

    def loads_value(self, _app: object, message: Any, **_: object) -> Parcel:  # noqa: ANN401
        """Give the parcel that the transport put in."""
        return cast(Parcel, message.value)


class Carrier:
    """One agent's work: stage, deliver, acknowledge."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts that it joins
        self,
        app: faust.App,
        stage: Stage,
        emitter: Emitter,
        routes: Routes,
        progress: Progress,
        guard: SourceGuard | None = None,
        signals: SignalSender | None = None,
    ) -> None:
        self._app = app
        self._guard = guard
        self._signals = signals
        self._lanes: dict[int, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(RUNS_UNDER_WAY_MAX)
        self._crash: asyncio.Task[None] | None = None
        self._stage = stage
        self._emitter = emitter
        self._routes = routes
        self._progress = progress

    async def carry(self, stream: StreamT[Any]) -> None:
        """Work through the stream for ever; a failure leaves its run unacknowledged."""
        try:
            async for event in stream.noack().events():
                await self._take(event)
        finally:
            if self._lanes:
                await asyncio.wait(self._lanes.values(), timeout=DRAIN_S)

    async def _take(self, event: EventT[Any]) -> None:
        parcel = cast(Parcel, event.value)
        await self._room.acquire()
        before = self._lanes.get(parcel.run.partition)
        if before is not None and before.done():
            before.result()
        output = self._stage(parcel.run)
        lane = asyncio.create_task(self._finish(event, parcel, output, before))
        lane.add_done_callback(self._look)
        self._lanes[parcel.run.partition] = lane
        await asyncio.sleep(0)  # the deliveries' turn: a stream that has more never waits

    async def _finish(
        self,
        event: EventT[Any],
        parcel: Parcel,
        output: Output,
        before: asyncio.Task[None] | None,
    ) -> None:
        run = parcel.run
        if before is not None:
            await asyncio.wait((before,))
            before.result()  # raises what it raised: nothing may overtake what failed
        if self._guard is not None:
            await self._guard.confirm()
        sends: list[Coroutine[Any, Any, None]] = []
        if output.alerts:
            sends.append(self._emitter.send_keyed(self._routes.alerts, output.alerts))
        if output.records:
            sends.append(self._emitter.send(self._routes.records, run.partition, output.records))
        if self._signals is not None:
            sends.append(self._signals.send(run, output.signals))
        await asyncio.gather(*sends)
        parcel.is_delivered = True
        event.ack()
        self._progress.note(run, output)

    def _look(self, lane: asyncio.Task[None]) -> None:
        """Crash at once when a delivery fails, even if no further run ever comes."""
        self._room.release()
        if lane.cancelled() or (error := lane.exception()) is None:
            return
        if self._crash is None:  # those behind it fail of the same
            self._crash = asyncio.ensure_future(self._app.crash(error))


def attach(  # noqa: PLR0913 - the parts that it joins
    app: faust.App,
    stage: Stage,
    *,
    emitter: Emitter,
    routes: Routes,
    progress: Progress,
    guard: SourceGuard | None = None,
    signals: SignalSender | None = None,
) -> None:
    """Give `app` the agent that reads `routes.source` in runs; before the app is started."""
    app.run_topics.add(routes.source)
    carrier = Carrier(app, stage, emitter, routes, progress, guard, signals)
    topic = app.topic(routes.source, schema=RunSchema())
    app.agent(topic, name=f"carry-{routes.source}", concurrency=1)(carrier.carry)
