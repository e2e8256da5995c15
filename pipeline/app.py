"""The Faust app and its worker process: builds, runs, drains, and dies rather than skips."""

import asyncio
import logging
import signal
import ssl
import sys
import traceback
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import faust
from faust.exceptions import ConsumerNotStarted
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from faust.types.auth import CredentialsT
from mode import CrashingSupervisor

from pipeline.agents import Place, Progress, Routes, Stage, attach
from pipeline.emit import BrokerAddress, Emitter
from pipeline.guard import SourceGuard
from pipeline.reading import RUN_RECORDS_MAX
from pipeline.signals import CLOCK_PERIOD_S, Origin, SignalSender
from pipeline.transport import PARTITION_FETCH_BYTES_MAX
from runtime.memory import settle
from schemas.errors import AuditError, Misconfigured

log = logging.getLogger(__name__)

STOP_S: Final = 3.0  # with the start's grace and the producer's bound a stop stays within 5 s
START_GRACE_S: Final = 1.0  # a start takes 0.2 s; longer, the broker is away
SWITCH_S: Final = 0.0005  # two threads pass every run on; 5 ms of waiting for the lock adds up
METADATA_AGE_MS_MAX: Final = 10_000  # a topic made anew or grown is known after that
RUNS_QUEUED_MAX: Final = 2  # one ready while one is worked on: a run is up to 4 MiB


@dataclass(frozen=True, slots=True)
class GroupTimings:
    """How fast a silent worker loses its partitions; the defaults are for one machine."""

    rebalance_timeout_s: float = 4.0
    session_timeout_s: float = 6.0
    heartbeat_interval_s: float = 1.0


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """All that a worker needs to know; nothing is read from the environment."""

    group: str
    bootstrap: str  # host:port[,host:port…]
    datadir: Path
    timings: GroupTimings = field(default_factory=GroupTimings)
    commit_interval_s: float = 0.5
    compression: str | None = "zstd"
    # a run costs as much as some ten events: a fetch gathers so much, for so long at most
    fetch_bytes_min: int = 32_768
    fetch_wait_ms: int = 25
    credentials: CredentialsT | None = None  # faust.SASLCredentials, SSLCredentials, …
    ssl_context: ssl.SSLContext | None = None
    incarnation: str = ""  # stands beside each committed offset; "" applies to any topic
    sources: int = 1  # partitions of the topic that signals are about


def build_app(settings: WorkerSettings) -> faust.App:
    """Return an app without agents; call it inside the running event loop."""
    hosts = settings.bootstrap.split(",")
    timings = settings.timings
    app = faust.App(
        settings.group,
        broker=[f"kafka+batch://{host}" for host in hosts],
        broker_credentials=settings.credentials,
        ssl_context=settings.ssl_context,
        datadir=settings.datadir,
        store="memory://",
        processing_guarantee="at_least_once",
        agent_supervisor=CrashingSupervisor,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=METADATA_AGE_MS_MAX,
        consumer_max_fetch_size=PARTITION_FETCH_BYTES_MAX,
        broker_max_poll_records=RUN_RECORDS_MAX,
        broker_commit_interval=settings.commit_interval_s,
        broker_rebalance_timeout=timings.rebalance_timeout_s,
        broker_session_timeout=timings.session_timeout_s,
        broker_heartbeat_interval=timings.heartbeat_interval_s,
        broker_request_timeout=max(30.0, timings.session_timeout_s),
        stream_buffer_maxsize=RUNS_QUEUED_MAX,
        stream_recovery_delay=0.0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        reply_create_topic=False,
        web_enabled=False,
        worker_redirect_stdouts=False,
    )
    app.run_topics = set()
    app.incarnation = settings.incarnation
    app.fetch_bytes_min, app.fetch_wait_ms = settings.fetch_bytes_min, settings.fetch_wait_ms
    return app


async def serve(  # noqa: PLR0913 - the parts that it joins
    settings: WorkerSettings,
    stage: Stage,
    routes: Routes,
    *,
    progress: Progress,
    stop: asyncio.Event,
    guard: SourceGuard | None = None,
) -> int:
    """Run a worker until `stop` is set or something crashes; return the exit code.

    With a `guard` nothing is delivered before it confirmed what the run was read from.
    """
    security = credentials_to_aiokafka_auth(settings.credentials, settings.ssl_context)
    address = BrokerAddress(settings.bootstrap, dict(security))
    emitter = Emitter(address, compression=settings.compression)
    await emitter.start()
    app = build_app(settings)
    progress.watch(partial(place_of, app))
    signals = None
    if routes.signals:
        origin = Origin(settings.incarnation, settings.sources)
        signals = SignalSender(emitter, origin, topic=routes.signals)
    attach(
        app,
        stage,
        emitter=emitter,
        routes=routes,
        progress=progress,
        guard=guard,
        signals=signals,
    )
    duties = [] if guard is None else [guard.watch()]
    if signals is not None:
        duties.append(_tell_time(progress, signals))
    try:
        await run_app(app, stop, duties)
    finally:
        await emitter.stop()
    return exit_code(app)


async def run_app(
    app: faust.App, stop: asyncio.Event, duties: Sequence[Coroutine[Any, Any, None]] = ()
) -> None:
    """Run an app and, beside it, its duties, until `stop` is set or something crashes."""
    tasks = [asyncio.create_task(_attend(app, duty)) for duty in duties]
    try:
        await _run(app, stop)
    finally:
        for task in tasks:
            task.cancel()
        await _close(app)


def exit_code(app: faust.App) -> int:
    """Return the exit code of a worker whose app has ended; logs why it did."""
    return _told(app.crash_reason) if app.crashed else 0


def _told(reason: BaseException) -> int:
    """Log why the worker ends; return its exit code."""
    if isinstance(reason, AuditError):
        log.error("the worker ends: %s: %s", type(reason).__name__, reason)
    else:  # a bug: its place, without its message, which may hold a value from an event
        place = "".join(traceback.format_tb(reason.__traceback__))
        log.error("the worker ends: %s\n%s", type(reason).__name__, place)
    return 2 if isinstance(reason, Misconfigured) else 1


def place_of(app: faust.App) -> Place:
    """Look where the worker is; safe at any moment, before the start as well."""
    if not app.started or app.rebalancing or app.should_stop:
        return Place()
    consumer = app.consumer
    try:
        tps = [tp for tp in consumer.assignment() if tp.topic in app.run_topics]
        # asked before the ends: whatever came after it shows in them
        polled_ms = {tp: polled for tp in tps if (polled := consumer.polled_ms(tp)) is not None}
        offsets = {
            (tp.topic, tp.partition): (consumer._committed_offset[tp] or 0, end)  # noqa: SLF001
            for tp in tps
            if (end := consumer.highwater(tp)) is not None
        }
    except (ConsumerNotStarted, AssertionError):
        # aiokafka asserts that a partition is still ours, in another thread's time
        return Place()
    return Place(app.consumer_generation_id > 0, offsets, polled_ms)


async def _attend(app: faust.App, duty: Coroutine[Any, Any, None]) -> None:
    """Crash the worker when a duty fails, even if no run ever comes."""
    try:
        await duty
    except AuditError as error:
        await app.crash(error)


async def _tell_time(progress: Progress, signals: SignalSender) -> None:
    """Tell stage 2 again and again how far each of our partitions is."""
    while True:
        await asyncio.sleep(CLOCK_PERIOD_S)
        await signals.tell(progress.idle())


async def _run(app: faust.App, stop: asyncio.Event) -> None:
    """Return when told to stop, even while starting, or when something crashed."""
    starting = asyncio.ensure_future(app.start())
    stopping = asyncio.ensure_future(stop.wait())
    crashing = asyncio.ensure_future(app._crashed.wait())  # noqa: SLF001 - mode has no public one
    ends = {stopping, crashing}
    try:
        await asyncio.wait({starting, *ends}, return_when=asyncio.FIRST_COMPLETED)
        # half a start can't be stopped in good order: Faust leaves threads and sockets open
        await asyncio.wait({starting}, timeout=START_GRACE_S)
        if starting.done():
            await starting  # raises what kept it from starting
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (starting, stopping, crashing):
            task.cancel()


async def _close(app: faust.App) -> None:
    try:
        await asyncio.wait_for(app.stop(), STOP_S)
    except TimeoutError:
        log.warning("the worker did not stop within %s s; what was under way is repeated", STOP_S)


def worker(
    settings: WorkerSettings,
    stage: Stage,
    routes: Routes,
    *,
    progress: Progress | None = None,
) -> int:
    """Run a worker as this process's main work until SIGTERM or SIGINT; return its exit code.

    0: stopped in good order. 1: crashed, to be restarted. 2: a restart would not help.
    """

    async def main() -> int:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        return await serve(settings, stage, routes, progress=progress or Progress(), stop=stop)

    sys.setswitchinterval(SWITCH_S)
    settle()
    try:
        return asyncio.run(main())
    except AuditError as error:
        return _told(error)
