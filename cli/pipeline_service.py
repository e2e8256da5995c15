"""The pipeline as a service: stage 1 with its lookups, its worker, its health."""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from cli.judging import build_stage, lookup_paths
from cli.kafka_access import faust_credentials
from pipeline.agents import Progress, Routes
from pipeline.app import SWITCH_S, GroupTimings, WorkerSettings, serve
from pipeline.guard import SourceGuard
from pipeline.lookups import LookupFiles
from pipeline.metrics import PipelineMetrics
from pipeline.stage import Stage
from runtime.broker_wait import Wanted, wait_for_broker
from runtime.configuration import Given, load
from runtime.health import Readiness, serve_health
from runtime.kafka_client import client_options
from runtime.lifecycle import EXIT_MISCONFIGURED
from runtime.log import event
from runtime.settings import KafkaSettings, PipelineSettings
from runtime.topic_look import TopicLook
from schemas.errors import BrokerUnavailable, Misconfigured
from schemas.topics import ALERTS, EVENTS, RECORDS, topic_specs

log: Final = logging.getLogger("audit.pipeline")
RELOAD_PERIOD_S: Final = 1.0
PROGRESS_PERIOD_S: Final = 0.5
STUCK_S: Final = 60.0
KAFKA, WORKER, LOOKUPS = "kafka", "worker", "lookups"


async def run_pipeline(given: Given, *, datadir: Path, makes_topics: bool) -> None:
    """Run a worker until cancelled. Raises `Misconfigured`, or `BrokerUnavailable` on a crash."""
    settings, kafka = load(PipelineSettings, given), load(KafkaSettings, given)
    registry = CollectorRegistry()
    readiness = Readiness((KAFKA, WORKER, LOOKUPS))
    sys.setswitchinterval(SWITCH_S)  # its two threads pass every run on to each other
    async with serve_health(settings.health_host, settings.health_port, readiness, registry):
        files = await asyncio.to_thread(LookupFiles, lookup_paths(settings))
        readiness.meet(LOOKUPS)
        incarnation = await _incarnation(settings, kafka, readiness, makes_topics=makes_topics)
        stage = build_stage(settings, files.lookups, incarnation)
        progress = Progress()
        PipelineMetrics(registry, stage.tally, progress)
        tasks = [
            asyncio.create_task(_watch_worker(progress, readiness)),
            asyncio.create_task(_reload(files, stage, readiness)),
        ]
        try:
            await _work(_worker(settings, kafka, datadir, incarnation), kafka, stage, progress)
        finally:
            for task in tasks:
                task.cancel()


def _worker(
    settings: PipelineSettings, kafka: KafkaSettings, datadir: Path, incarnation: str
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
        incarnation=incarnation,
    )


async def _work(
    worker: WorkerSettings, kafka: KafkaSettings, stage: Stage, progress: Progress
) -> None:
    look = TopicLook(kafka.bootstrap, client_options(kafka))
    guard = SourceGuard(EVENTS, RECORDS, worker.incarnation, look)
    stop = asyncio.Event()
    serving = asyncio.create_task(
        serve(
            worker,
            stage,
            Routes(EVENTS, RECORDS, ALERTS),
            progress=progress,
            stop=stop,
            guard=guard,
        )
    )
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        stop.set()
        await serving
        raise
    finally:
        await look.close()
    if serving.result() == EXIT_MISCONFIGURED:
        raise Misconfigured("the worker can't run with these settings: see the line above")
    if serving.result() != 0:
        raise BrokerUnavailable("the worker crashed: nothing is lost, it begins again")


async def _incarnation(
    settings: PipelineSettings, kafka: KafkaSettings, readiness: Readiness, *, makes_topics: bool
) -> str:
    """Wait for the broker and the topics; return the incarnation of audit.events."""
    specs = topic_specs(partitions=kafka.partitions, replication=kafka.replication)
    wanted = Wanted(
        (EVENTS, RECORDS, ALERTS),
        settings.group,
        specs if makes_topics else (),
        is_records_large=True,
    )

    def missed(what: str) -> None:
        readiness.miss(KAFKA, what, "start Kafka, or correct AUDIT_KAFKA_BOOTSTRAP")

    ids = await wait_for_broker(kafka, wanted, missed)
    readiness.meet(KAFKA)
    return ids[EVENTS]


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
