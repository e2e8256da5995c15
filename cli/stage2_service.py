"""Stage 2 as a part of the pipeline's service: its worker, its readiness, its metrics."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from pipeline.app import WorkerSettings
from pipeline.enrich import Terms
from pipeline.guard import Look, SourceGuard
from pipeline.stage2 import Book, BookTerms, Rules
from pipeline.stage2_app import Stage2Worker
from pipeline.stage2_metrics import Stage2Metrics
from runtime.clock import SystemClock
from runtime.health import Readiness
from runtime.log import event
from runtime.settings import PipelineSettings
from runtime.topics import TopicSeen, check_partitions
from schemas.topics import SIGNALS, STATE

log: Final = logging.getLogger("audit.pipeline")
STAGE_2: Final = "stage-2"
PERIOD_S: Final = 0.5
STUCK_S: Final = 90.0  # a journal of a million groups is read within a minute
GROUPS_MIN: Final = 1_000  # of a partition, however many there are


def build_stage2(
    settings: PipelineSettings,
    worker: WorkerSettings,
    rules: Rules,
    seen: Mapping[str, TopicSeen],
    looks: tuple[Look, Look],
) -> Stage2Worker:
    """Return the worker of stage 2 as the settings say; `seen` has the topics as they are.

    Raises `Misconfigured` when audit.state lacks a partition of audit.signals.
    """
    check_partitions(seen, SIGNALS, STATE)
    clock = SystemClock()

    def told(bug: Exception) -> None:
        event(log, "a signal met a bug and was left out", level=logging.ERROR, error=bug)

    terms = BookTerms(
        groups_max=max(GROUPS_MIN, settings.groups_max // seen[SIGNALS].partitions),
        historical_ms_min=Terms().historical_ms_min,
        idle_s=float(settings.source_idle_s),
        on_bug=told,
    )
    # offsets mean something only with the state that they led to: both topics are the label
    label = f"{seen[SIGNALS].topic_id}/{seen[STATE].topic_id}"
    own = replace(
        worker,
        group=settings.signals_group,
        datadir=Path(f"{worker.datadir}-2"),
        incarnation=label,
    )
    guards = (
        SourceGuard(SIGNALS, STATE, seen[SIGNALS].topic_id, looks[0]),
        SourceGuard(STATE, STATE, seen[STATE].topic_id, looks[1]),
    )
    return Stage2Worker(own, lambda _partition: Book(rules, terms, clock.monotonic), guards=guards)


def measure_stage2(registry: CollectorRegistry, rules: Rules, worker: Stage2Worker) -> None:
    """Register what stage 2 counts."""
    Stage2Metrics(registry, rules, worker.progress, worker.desks, SystemClock().now_ms)


async def watch_stage2(worker: Stage2Worker, readiness: Readiness) -> None:
    """Tell what stage 2 does; one that reads a journal is not ready."""
    while True:
        loading = ", ".join(map(str, worker.desks.loading()))
        if not worker.progress.is_joined:
            readiness.miss(STAGE_2, "no partition is assigned", "wait for the rebalance to end")
        elif loading:
            readiness.miss(STAGE_2, f"the journal is being read: {STATE} {loading}", "wait")
        elif worker.progress.is_stuck(STUCK_S):
            readiness.miss(STAGE_2, "there are signals and none is applied", "restart the worker")
        else:
            readiness.meet(STAGE_2)
        await asyncio.sleep(PERIOD_S)
