"""The pipeline as a service: stage 1 with its lookups, its worker, its health."""

import asyncio
import logging
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from cli.kafka_access import faust_credentials
from detections.builtin import builtin_rules
from detections.rule import RuleSet
from pipeline.agents import Progress, Routes
from pipeline.app import GroupTimings, WorkerSettings, serve
from pipeline.enrich import Lookups, Terms
from pipeline.lookups import LookupFiles, LookupPaths
from pipeline.metrics import PipelineMetrics
from pipeline.stage import Stage
from runtime.configuration import Given, load
from runtime.health import Readiness, serve_health
from runtime.kafka_client import client_options
from runtime.log import event
from runtime.retry import Backoff, retry_unavailable
from runtime.settings import KafkaSettings, PipelineSettings
from runtime.topics import ensure_topics, topic_ids
from schemas.errors import BrokerUnavailable
from schemas.topics import ALERTS, EVENTS, RECORDS, topic_specs

log: Final = logging.getLogger("audit.pipeline")
RELOAD_PERIOD_S: Final = 1.0
PROGRESS_PERIOD_S: Final = 0.5
BACKOFF: Final = Backoff(0.2, 5.0)
STUCK_S: Final = 60.0
KAFKA, WORKER, LOOKUPS = "kafka", "worker", "lookups"


def build_stage(settings: PipelineSettings, lookups: Lookups, incarnation: str) -> Stage:
    """Return stage 1 as the settings say; `incarnation` is that of audit.events."""

    def told(bug: Exception, where: str) -> None:
        event(log, "an event met a bug and is in quarantine", error=bug, coordinates=where)

    return Stage(
        lookups,
        builtin_rules() if settings.rules else RuleSet(()),
        lambda _topic: incarnation,
        terms_of(settings),
        on_bug=told,
    )


def terms_of(settings: PipelineSettings) -> Terms:
    """Return the terms of judging as the settings say."""
    return Terms(
        is_strict=settings.strict,
        future_ms_max=settings.future_tolerance_s * 1000,
        late_ms_min=settings.accept_window_s * 1000,
    )


def lookup_paths(settings: PipelineSettings) -> LookupPaths:
    """Return where the lookups' files are."""
    return LookupPaths(settings.policy_file, settings.geo_files, settings.directory_file)


async def run_pipeline(given: Given, *, datadir: Path, makes_topics: bool) -> None:
    """Run a worker until cancelled. Raises `Misconfigured`, or `BrokerUnavailable` on a crash."""
    settings, kafka = load(PipelineSettings, given), load(KafkaSettings, given)
    registry = CollectorRegistry()
    readiness = Readiness((KAFKA, WORKER, LOOKUPS))
    async with serve_health(settings.health_host, settings.health_port, readiness, registry):
        files = await asyncio.to_thread(LookupFiles, lookup_paths(settings))
        readiness.meet(LOOKUPS)
        incarnation = await _incarnation(kafka, readiness, makes_topics=makes_topics)
        stage = build_stage(settings, files.lookups, incarnation)
        progress = Progress()
        PipelineMetrics(registry, stage.tally, progress)
        tasks = [
            asyncio.create_task(_watch_worker(progress, readiness)),
            asyncio.create_task(_reload(files, stage, readiness)),
        ]
        try:
            await _work(settings, kafka, stage, progress, datadir)
        finally:
            for task in tasks:
                task.cancel()


async def _work(
    settings: PipelineSettings,
    kafka: KafkaSettings,
    stage: Stage,
    progress: Progress,
    datadir: Path,
) -> None:
    worker = WorkerSettings(
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
    )
    stop = asyncio.Event()
    serving = asyncio.create_task(
        serve(worker, stage, Routes(EVENTS, RECORDS, ALERTS), progress=progress, stop=stop)
    )
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        stop.set()
        await serving
        raise
    if serving.result() != 0:
        raise BrokerUnavailable("the worker crashed: nothing is lost, it begins again")


async def _incarnation(kafka: KafkaSettings, readiness: Readiness, *, makes_topics: bool) -> str:
    """Wait for the broker and the topics; return the incarnation of audit.events."""
    options = client_options(kafka)
    specs = topic_specs(partitions=kafka.partitions, replication=kafka.replication)

    async def ask() -> str:
        if makes_topics:
            await ensure_topics(kafka.bootstrap, specs, client_options=options)
        ids = await topic_ids(kafka.bootstrap, [EVENTS, RECORDS, ALERTS], client_options=options)
        missing = {EVENTS, RECORDS, ALERTS} - ids.keys()
        if missing:
            raise BrokerUnavailable(f"no topic {', '.join(sorted(missing))}: run `audit topics`")
        return ids[EVENTS]

    def missed(error: Exception, _wait_s: float) -> None:
        readiness.miss(KAFKA, str(error), "start Kafka, or correct AUDIT_KAFKA_BOOTSTRAP")

    found: str = await retry_unavailable(ask, backoff=BACKOFF, deadline_s=None, on_retry=missed)
    readiness.meet(KAFKA)
    return found


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
