"""The pipeline as a service: both stages with rules and lookups, their workers, their health."""

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry

from cli.canary_key import read_canary_key
from cli.detecting import Detecting, RuleWatch
from cli.judging import build_stage, lookup_paths
from cli.kafka_access import faust_credentials
from cli.rule_reload import RULES, RuleMetrics, reload_rules
from cli.stage2_service import STAGE_2, build_stage2, measure_stage2, watch_stage2
from pipeline.agents import Progress, Routes
from pipeline.app import SWITCH_S, GroupTimings, WorkerSettings, serve
from pipeline.emit import BrokerAddress, Emitter
from pipeline.guard import SourceGuard
from pipeline.lookups import LookupFiles
from pipeline.metrics import PipelineMetrics
from pipeline.stage import Stage
from pipeline.stage2 import Rules
from runtime.broker_wait import Wanted, wait_for_broker
from runtime.configuration import Given, load
from runtime.health import Readiness, serve_health
from runtime.kafka_client import client_options
from runtime.lifecycle import EXIT_MISCONFIGURED
from runtime.log import event
from runtime.memory import settle
from runtime.settings import CanarySettings, KafkaSettings, PipelineSettings, RuleSettings
from runtime.topic_look import TopicLook
from runtime.topics import TopicSeen, see_topics
from schemas.errors import BrokerUnavailable, Misconfigured
from schemas.topics import ALERTS, EVENTS, RECORDS, SIGNALS, STATE, topic_specs

log: Final = logging.getLogger("audit.pipeline")
RELOAD_PERIOD_S: Final = 1.0
PROGRESS_PERIOD_S: Final = 0.5
STUCK_S: Final = 60.0
KAFKA, WORKER, LOOKUPS = "kafka", "worker", "lookups"


@dataclass(frozen=True, slots=True)
class Parts:
    """What both stages are made of."""

    settings: PipelineSettings
    address: BrokerAddress
    worker: WorkerSettings
    topics: Mapping[str, TopicSeen]
    watch: RuleWatch
    registry: CollectorRegistry
    readiness: Readiness
    stop: asyncio.Event
    make_look: Callable[[], TopicLook]
    canary_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Duty:
    """What goes on beside a stage for ever, and which condition it tells of."""

    condition: str
    run: Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Work:
    """One stage at work: what runs, what goes on beside it, and how it takes new rules over."""

    serve: Callable[[], Coroutine[Any, Any, int]]
    duties: tuple[Duty, ...]
    use: Callable[[Detecting], None]


async def run_pipeline(given: Given, *, datadir: Path, makes_topics: bool, stage: str) -> None:
    """Run a worker of stage 1, 2 or both until cancelled.

    Raises `Misconfigured`, or `BrokerUnavailable` on a crash.
    """
    settings, kafka = load(PipelineSettings, given), load(KafkaSettings, given)
    canary_key = read_canary_key(load(CanarySettings, given), datadir.parent)
    registry = CollectorRegistry()
    conditions = {"1": (WORKER, LOOKUPS), "2": (STAGE_2,), "both": (WORKER, LOOKUPS, STAGE_2)}
    readiness = Readiness((KAFKA, RULES, *conditions[stage]))
    sys.setswitchinterval(SWITCH_S)  # its threads pass every run on to each other
    async with AsyncExitStack() as closing:
        health = serve_health(settings.health_host, settings.health_port, readiness, registry)
        await closing.enter_async_context(health)
        files = await _lookups(settings, readiness) if stage != "2" else None
        watch = await asyncio.to_thread(RuleWatch, load(RuleSettings, given).dirs, settings)
        RuleMetrics(registry, watch)
        topics = await _topics(settings, kafka, readiness, makes_topics=makes_topics)
        worker = _worker(settings, kafka, datadir, topics[EVENTS])

        def make_look() -> TopicLook:
            look = TopicLook(kafka.bootstrap, client_options(kafka))
            closing.push_async_callback(look.close)
            return look

        stop = asyncio.Event()
        address = BrokerAddress(kafka.bootstrap, client_options(kafka))
        parts = Parts(
            settings,
            address,
            worker,
            topics,
            watch,
            registry,
            readiness,
            stop,
            make_look,
            canary_key,
        )
        works = [] if files is None else [_stage_1(parts, files)]
        works += [_stage_2(parts)] if stage != "1" else []
        settle()
        await _work(parts, works)


async def _lookups(settings: PipelineSettings, readiness: Readiness) -> LookupFiles:
    files = await asyncio.to_thread(LookupFiles, lookup_paths(settings))
    readiness.meet(LOOKUPS)
    return files


def _stage_1(parts: Parts, files: LookupFiles) -> Work:
    settings, worker, now = parts.settings, parts.worker, parts.watch.current
    stage = build_stage(settings, files.lookups, now.detector, worker.incarnation, parts.canary_key)
    stage.use_detector(now.detector, now.extractor)
    progress = Progress()
    PipelineMetrics(parts.registry, stage.tally, progress)
    guard = SourceGuard(EVENTS, RECORDS, worker.incarnation, parts.make_look())
    routes = Routes(EVENTS, RECORDS, ALERTS, SIGNALS)
    return Work(
        lambda: serve(worker, stage, routes, progress=progress, stop=parts.stop, guard=guard),
        (
            Duty(WORKER, lambda: _watch_worker(progress, parts.readiness)),
            Duty(LOOKUPS, lambda: _reload(files, stage, parts.readiness)),
        ),
        lambda fresh: stage.use_detector(fresh.detector, fresh.extractor),
    )


def _stage_2(parts: Parts) -> Work:
    rules = Rules(parts.watch.current.keeper, parts.watch.current.version)
    looks = parts.make_look(), parts.make_look()
    worker = build_stage2(parts.settings, parts.worker, rules, parts.topics, looks)
    measure_stage2(parts.registry, rules, worker)
    return Work(
        lambda: worker.serve(parts.stop),
        (Duty(STAGE_2, lambda: watch_stage2(worker, parts.readiness)),),
        lambda fresh: rules.use(fresh.keeper, fresh.version),
    )


async def _work(parts: Parts, works: Sequence[Work]) -> None:
    """Run the stages until cancelled or one of them ends: then both do, in good order."""
    users = [work.use for work in works]

    async def rules() -> None:
        await reload_rules(parts.watch, users, parts.readiness, lambda: Emitter(parts.address))

    duties = [duty for work in works for duty in work.duties] + [Duty(RULES, rules)]
    tasks = [asyncio.create_task(_attend(duty, parts.readiness)) for duty in duties]
    serving = [asyncio.create_task(work.serve()) for work in works]
    try:
        await asyncio.wait(serving, return_when=asyncio.FIRST_COMPLETED)
    finally:
        parts.stop.set()
        for task in tasks:
            task.cancel()
        codes = await asyncio.gather(*serving)
    if EXIT_MISCONFIGURED in codes:
        raise Misconfigured("the worker can't run with these settings: see the line above")
    if any(codes):
        raise BrokerUnavailable("the worker crashed: nothing is lost, it begins again")


async def _attend(duty: Duty, readiness: Readiness) -> None:
    """Do a duty; if it dies the stages go on without it, but the service is not ready any more.

    They are not ended: what a duty dies of, a file of rules, say, would meet them again at the
    start, and then nothing would be judged at all.
    """
    task = asyncio.create_task(duty.run())
    try:
        await asyncio.wait((task,))
    finally:
        task.cancel()
    error = None if task.cancelled() else task.exception()
    event(log, "a duty died", level=logging.CRITICAL, error=error, condition=duty.condition)
    readiness.miss(duty.condition, "what sees to it died", "see the log; restart the worker")


async def _topics(
    settings: PipelineSettings, kafka: KafkaSettings, readiness: Readiness, *, makes_topics: bool
) -> dict[str, TopicSeen]:
    """Wait for the broker and the topics; return the topics as they are."""
    specs = topic_specs(partitions=kafka.partitions, replication=kafka.replication)
    names = (EVENTS, RECORDS, ALERTS, SIGNALS, STATE)
    wanted = Wanted(names, settings.group, specs if makes_topics else (), is_records_large=True)

    def missed(what: str) -> None:
        readiness.miss(KAFKA, what, "start Kafka, or correct AUDIT_KAFKA_BOOTSTRAP")

    await wait_for_broker(kafka, wanted, missed)
    topics = await see_topics(kafka.bootstrap, names, client_options=client_options(kafka))
    readiness.meet(KAFKA)
    return topics


def _worker(
    settings: PipelineSettings, kafka: KafkaSettings, datadir: Path, events: TopicSeen
) -> WorkerSettings:
    return WorkerSettings(
        group=settings.group,
        bootstrap=kafka.bootstrap,
        datadir=datadir,
        timings=GroupTimings(
            settings.rebalance_timeout_ms / 1000,
            settings.session_timeout_ms / 1000,
            settings.heartbeat_ms / 1000,
        ),
        credentials=faust_credentials(kafka),
        ssl_context=client_options(kafka).get("ssl_context"),
        incarnation=events.topic_id,
        sources=events.partitions,
    )


async def _watch_worker(progress: Progress, readiness: Readiness) -> None:
    """Tell what the worker does; one that has work and delivers none for long is not ready."""
    while True:
        if not progress.is_joined:
            readiness.miss(WORKER, "no partition is assigned", "wait for the rebalance to end")
        elif progress.is_stuck(STUCK_S):
            readiness.miss(WORKER, "there is work and none is delivered", "restart the worker")
        else:
            readiness.meet(WORKER)
        await asyncio.sleep(PROGRESS_PERIOD_S)


async def _reload(files: LookupFiles, stage: Stage, readiness: Readiness) -> None:
    """Take a changed directory over between two runs; a broken one is refused, the old goes on."""
    refused = 0
    while True:
        await asyncio.sleep(RELOAD_PERIOD_S)
        fresh = await asyncio.to_thread(files.refresh)
        if fresh is not None:
            stage.use(fresh)
            readiness.meet(LOOKUPS)
            event(log, "directory taken over", version=fresh.directory.version)
        elif files.refused > refused:
            refused = files.refused
            readiness.miss(LOOKUPS, "a new directory was refused", "see the log; mend the file")
