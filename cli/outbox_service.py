"""The outbox at work: what is read and done in the console, published to audit.events."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Gauge

from cli.own_events import own_message
from console.ports import Read
from console.record.outbox import Filling, Outbox, Parcel
from console.record.polls import Polls
from console.record.recording import event_of_read, new_id
from console.state import State
from producers.publisher import Publisher
from runtime.clock import Clock
from runtime.health import Readiness
from runtime.kafka_client import client_options
from runtime.settings import KafkaSettings
from schemas.errors import AuditError

CONDITION: Final = "reads can be recorded"
BUFFER_BYTES_MAX: Final = 4 * 1_048_576  # twice what is sent at once
SEND_S_MAX: Final = 60.0  # so long the client itself tries again, without making a second one
DRAIN_S: Final = 3.0  # at the end; with what follows still within the patience of a stop
CLOSE_S: Final = 1.0
LOOK_S: Final = 1.0
log: Final = logging.getLogger("audit.outbox")


@dataclass(frozen=True, slots=True)
class Records:
    """What takes audit events: of reads, and of changes."""

    outbox: Outbox
    polls: Polls
    clock: Clock

    async def saw(self, read: Read) -> None:
        """Keep the event of a read, as `Ports.saw` promises."""
        now_ms = self.clock.now_ms()
        silent = self.polls.silent(read, int(self.clock.monotonic() * 1000))
        if silent is not None:
            await self.outbox.append(event_of_read(read, now_ms, silent))

    async def record(self, event: Mapping[str, Any]) -> None:
        """Keep the event of a change, as `Ports.record` promises."""
        await self.outbox.append(event)


@asynccontextmanager
async def recording(
    kafka: KafkaSettings,
    state_file: Path,
    registry: CollectorRegistry,
    readiness: Readiness,
    clock: Clock,
    *,
    mark_key: bytes,
) -> AsyncIterator[Records]:
    """Give what takes events while the block runs, and publish them in the background.

    It has a connection of its own to the console's state: no other work holds a read up.
    """
    state = State(state_file)
    await state.open()
    publisher = Publisher(
        kafka.bootstrap, client_options=client_options(kafka), buffer_bytes_max=BUFFER_BYTES_MAX
    )

    def prepare(event: Mapping[str, Any]) -> Parcel:
        key, value = own_message(mark_key, event, new_id(clock.now_ms()))
        return Parcel(value, key)

    async def send(parcels: Sequence[Parcel]) -> list[AuditError | None]:
        outcomes = await publisher.publish_many_bytes(parcels, deadline_s=SEND_S_MAX)
        return [one if isinstance(one, AuditError) else None for one in outcomes]

    outbox = Outbox(state, prepare, send, clock.now_ms)
    stop = asyncio.Event()
    try:
        await outbox.open()
        measure_outbox(registry, outbox.filling, outbox.age_s)
        tasks = [
            asyncio.create_task(outbox.run(stop)),
            asyncio.create_task(_watch(outbox, readiness, stop)),
        ]
        try:
            yield Records(outbox, Polls(), clock)
        finally:
            stop.set()
            await _end(tasks)
            if outbox.filling.events:
                log.warning(
                    "%d audit events of the console wait on disk for the next start",
                    outbox.filling.events,
                )
    finally:
        await publisher.close(CLOSE_S)
        await state.close()


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Let the tasks end within the bound; raise what broke one of them."""
    _done, late = await asyncio.wait(tasks, timeout=DRAIN_S)
    for task in late:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended


async def _watch(outbox: Outbox, readiness: Readiness, stop: asyncio.Event) -> None:
    """Keep /ready true to whether anything can be read."""
    while not stop.is_set():
        if outbox.has_room():
            readiness.meet(CONDITION)
        else:
            readiness.miss(
                CONDITION,
                f"{outbox.filling.events} audit events of the console wait for Kafka",
                "start Kafka, or see why it refuses; until then nothing is shown",
            )
        try:
            async with asyncio.timeout(LOOK_S):
                await stop.wait()
        except TimeoutError:
            continue


def measure_outbox(
    registry: CollectorRegistry, filling: Filling, age_s: Callable[[], float]
) -> None:
    """Register the numbers of an outbox."""
    for name, told, look in (
        ("events", "Audit events of the console that wait for Kafka.", lambda: filling.events),
        ("bytes", "Their bytes.", lambda: filling.bytes),
        ("age_seconds", "For how long the oldest of them has waited.", age_s),
        ("published", "Audit events published since the start.", lambda: filling.published),
        ("refused", "Reads and changes refused, for the outbox was full.", lambda: filling.refused),
    ):
        Gauge(f"audit_outbox_{name}", told, registry=registry).set_function(look)
