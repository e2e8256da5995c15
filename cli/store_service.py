"""Sink, alert delivery and API, alone or together: embedded, one process holds the store."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry

from cli.alert_desk import change_writer
from cli.alert_policy import alert_policy
from cli.canary_key import read_canary_key
from cli.canary_service import run_canaries
from cli.outbox_service import CONDITION as OUTBOX
from cli.outbox_service import recording
from cli.own_loop import run_in_own_loop
from cli.people_service import LISTENS, with_people
from cli.replaying import Replayer, judge_by
from cli.rule_views import RuleShelf
from cli.sql_service import sql_desk
from console.export.desk import ExportLimits
from console.health.canaries import canary_probe
from console.health.doctor import disk_probe, lag_probe, token_probe
from console.health.probes import kafka_probes, store_probes, target_probe
from console.ports import Ports
from console.record.outbox import outbox_probe
from console.search.reading import Bounds
from console.web.service import ApiService, run_api
from consumers.alerts.service import CONDITIONS as ALERT_CONDITIONS
from consumers.alerts.service import AlertService, run_alerts
from consumers.migrate import migrate, migrations
from consumers.sink.batch import Limits
from consumers.sink.consumer import SinkConfig
from consumers.sink.ledger import ledger
from consumers.sink.service import CONDITIONS as SINK_CONDITIONS
from consumers.sink.service import GROUP as SINK_GROUP
from consumers.sink.service import SinkService
from consumers.sink.writer import Timing
from pipeline.emit import BrokerAddress, Emitter
from runtime.broker_wait import Wanted, wait_for_broker
from runtime.clickhouse import Store
from runtime.clock import SystemClock
from runtime.configuration import Given, load
from runtime.health import Readiness, serve_health
from runtime.kafka_client import client_options
from runtime.memory import settle
from runtime.retry import Backoff
from runtime.settings import (
    AlertSettings,
    ApiSettings,
    CanarySettings,
    ExportSettings,
    KafkaSettings,
    PipelineSettings,
    RuleSettings,
    SinkSettings,
    StoreSettings,
)
from runtime.store_owner import wait_for_owner
from schemas.ledger import Ledger
from schemas.topics import ALERTS, EVENTS, RECORDS, topic_specs

PARTS: Final = ("sink", "alerts", "api")
STOP_S: Final = 7.0  # within the supervisor's patience
OWNER_S: Final = 12.0  # what a killed parent left takes at most 8 s to end
ALERT_KAFKA: Final = ALERT_CONDITIONS[0]
TOKEN_FILE: Final = "token"  # noqa: S105 - the name of a file
STATE_FILE: Final = "console.sqlite3"


@dataclass(frozen=True, slots=True)
class Parts:
    """What all parts share."""

    given: Given
    kafka: KafkaSettings
    store: Store
    registry: CollectorRegistry
    readiness: Readiness
    data: Path


Work = Callable[[Parts, asyncio.Event], Coroutine[Any, Any, None]]


async def run_parts(given: Given, names: Sequence[str], *, data: Path) -> None:
    """Run the named parts until cancelled, or until one of them fails, whose error is raised."""
    kafka, stored = load(KafkaSettings, given), load(StoreSettings, given)
    registry = CollectorRegistry()
    conditions = {"sink": SINK_CONDITIONS, "alerts": ALERT_CONDITIONS, "api": (OUTBOX, LISTENS)}
    readiness = Readiness([c for name in names for c in conditions[name]])
    async with AsyncExitStack() as stack:
        host, port = _health(given, names[0])
        await stack.enter_async_context(serve_health(host, port, readiness, registry))
        store = await stack.enter_async_context(_store(stored))
        parts = Parts(given, kafka, store, registry, readiness, data)
        settle()
        stop = asyncio.Event()
        works = {"sink": _sink, "alerts": _alerts, "api": _api}
        running = [works[name](parts, stop) for name in names]
        if "alerts" in names:
            running.append(run_canaries(given, store, registry, data, stop))
        await _run_all(running, stop)


async def _run_all(works: Sequence[Coroutine[Any, Any, None]], stop: asyncio.Event) -> None:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()
        _done, late = await asyncio.wait(tasks, timeout=STOP_S)
        for task in late:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for fault in ended:
        if isinstance(fault, Exception):
            raise fault


@asynccontextmanager
async def _store(settings: StoreSettings) -> Any:  # noqa: ANN401 - an async iterator of Store
    """Open the store; an embedded one is migrated here, since no other process can open it."""
    store = await asyncio.to_thread(
        Store,
        settings.dsn.get_secret_value(),
        database=settings.database,
        timeout_s=float(settings.query_timeout_s),
    )
    try:
        if store.is_embedded:
            folder = Path(store.name.removeprefix("chdb://"))
            await asyncio.to_thread(wait_for_owner, folder, OWNER_S)
            await asyncio.to_thread(migrate, store)
        yield store
    finally:
        await asyncio.to_thread(store.close)


def _health(given: Given, name: str) -> tuple[str, int]:
    settings: SinkSettings | AlertSettings | ApiSettings
    if name == "sink":
        settings = load(SinkSettings, given)
    elif name == "alerts":
        settings = load(AlertSettings, given)
    else:
        settings = load(ApiSettings, given)
    return settings.health_host, settings.health_port


async def _topics_are_there(
    parts: Parts, wanted: Wanted, condition: str, stop: asyncio.Event
) -> bool:
    """Wait for the broker and the topics; False if told to stop before."""

    def missed(what: str) -> None:
        parts.readiness.miss(condition, what, "see 'audit doctor'")

    waiting = asyncio.create_task(wait_for_broker(parts.kafka, wanted, missed))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            waiting.result()
        return not stop.is_set()
    finally:
        for task in (waiting, stopping):
            task.cancel()
        await asyncio.gather(waiting, stopping, return_exceptions=True)


async def _sink(parts: Parts, stop: asyncio.Event) -> None:
    settings = load(SinkSettings, parts.given)
    config = SinkConfig(
        bootstrap=parts.kafka.bootstrap,
        group=settings.group,
        sink=socket.gethostname(),
        records_topic=RECORDS,
        events_topic=EVENTS,
        timing=Timing(
            limits=Limits(settings.rows_max, settings.bytes_max, settings.age_ms_max),
            deadline_s=settings.deadline_s,
            insert_timeout_s=settings.deadline_s / 2,
            idle_commit_s=1.0,
            backoff=Backoff(settings.backoff_initial_ms / 1000, settings.backoff_max_ms / 1000),
        ),
        memory_bytes_max=settings.memory_bytes_max,
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_ms=settings.heartbeat_ms,
        client_options=client_options(parts.kafka),
    )
    service = SinkService(
        config,
        parts.store,
        parts.registry,
        parts.readiness,
        reconcile_every_s=float(settings.reconcile_every_s),
    )
    wanted = Wanted((EVENTS, RECORDS), settings.group)
    if await _topics_are_there(parts, wanted, SINK_GROUP, stop):
        await service.run(stop)


async def _alerts(parts: Parts, stop: asyncio.Event) -> None:
    settings = load(AlertSettings, parts.given)
    targets, policy = alert_policy(settings)
    service = AlertService(
        parts.kafka.bootstrap,
        parts.store,
        targets,
        parts.registry,
        parts.readiness,
        group=settings.group,
        client_options=client_options(parts.kafka),
        policy=policy,
    )
    if await _topics_are_there(parts, Wanted((ALERTS,), settings.group), ALERT_KAFKA, stop):
        # an alert must not wait while the sink packs a batch
        await run_in_own_loop(partial(run_alerts, service), stop)


async def _api(parts: Parts, stop: asyncio.Event) -> None:
    settings, stored = load(ApiSettings, parts.given), load(StoreSettings, parts.given)
    targets, _ = alert_policy(load(AlertSettings, parts.given))
    canaries = load(CanarySettings, parts.given)
    canary_key = read_canary_key(canaries, parts.data)
    clock, options = SystemClock(), client_options(parts.kafka)
    token_file = settings.token_file or parts.data / TOKEN_FILE
    specs = topic_specs(partitions=parts.kafka.partitions, replication=parts.kafka.replication)

    async def ask_ledger() -> Ledger:
        return await ledger(parts.store, parts.kafka.bootstrap, EVENTS, client_options=options)

    async def ask_lag() -> tuple[int, int]:
        found = await ask_ledger()
        return found.lag, found.difference

    versions = [migration.version for migration in migrations()]
    probes = [
        *kafka_probes(parts.kafka.bootstrap, specs, options),
        *store_probes(parts.store, clock.now_ms, versions),
        lag_probe(ask_lag),
        disk_probe(parts.data),
        token_probe(token_file),
        target_probe([target.name for target in targets]),
        canary_probe(parts.store, canaries.period_s, has_key=bool(canary_key)),
    ]
    make_emitter = partial(Emitter, BrokerAddress(parts.kafka.bootstrap, options))
    judged_by = load(PipelineSettings, parts.given)
    rule_dirs = load(RuleSettings, parts.given).dirs
    make_judge = partial(judge_by, judged_by, rule_dirs, canary_key)
    replayer = Replayer(parts.store, make_judge, make_emitter, clock.now_ms)
    state_file = parts.data / STATE_FILE
    async with (
        recording(
            parts.kafka, state_file, parts.registry, parts.readiness, clock, mark_key=canary_key
        ) as records,
        sql_desk(stored, parts.store) as desk,
    ):
        ports = Ports(
            ledger=ask_ledger,
            replay=replayer.replay,
            probes=[*probes, outbox_probe(records.outbox)],
            saw=records.saw,
            can_tell=records.outbox.has_room,
            record=records.record,
            sql=desk,
            change=change_writer(parts.store),
            targets=[target.name for target in targets],
            rules=RuleShelf(rule_dirs, is_on=judged_by.rules),
        )
        service = ApiService(
            parts.store,
            ports,
            token_file,
            state_file,
            bounds=Bounds(seconds_max=stored.query_timeout_s),
            export_limits=export_limits(parts.given),
            clock=clock,
        )
        await run_api(with_people(service, parts.given, parts.registry, parts.readiness), stop)


def export_limits(given: Given) -> ExportLimits:
    """Return what exports may take, as the settings have it."""
    settings = load(ExportSettings, given)
    return ExportLimits(settings.rows_max, settings.bytes_max, settings.open_max, settings.keep_s)
