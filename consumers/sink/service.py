"""The sink as a service: tested at boot, begun anew when a dependency fails, honest on /ready."""

import asyncio
import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Final

from prometheus_client import CollectorRegistry

from consumers.migrate import require_migrated
from consumers.sink.check import check
from consumers.sink.consumer import SinkConfig, SinkConsumer
from consumers.sink.metrics import SinkMetrics
from consumers.sink.parts import CONDITION as PARTS
from consumers.sink.parts import PartsWatch
from consumers.sink.reconcile import CONDITION as LEDGER
from consumers.sink.reconcile import Reconciler
from consumers.sink.writer import Fault, Surroundings, no_fault
from runtime.clickhouse import Store
from runtime.clock import Clock, SystemClock
from runtime.health import Readiness
from runtime.log import event as log_event
from schemas.errors import Unavailable

_LOG: Final = logging.getLogger(__name__)
GROUP: Final = "group"
STORE: Final = "store"
PARTITIONS: Final = "partitions"
WRITES: Final = "writes"
CONDITIONS: Final = (STORE, GROUP, PARTITIONS, WRITES, LEDGER, PARTS)
WAIT_S_MAX: Final = 5.0  # a passing refusal is no news
STATUS_EVERY_S: Final = 0.5
# A store in this process does the work itself: a second insert at once takes no less CPU and a
# hundred MiB more. With a server one waits while the other is on its way.
EMBEDDED_THREADS: Final = 1
SERVER_THREADS: Final = 2
TURNS_AHEAD: Final = 1  # a batch is cut and announced while another is written


class SinkService:
    """One sink. `run` ends when `stopping` is set, after what is in flight is committed."""

    def __init__(  # noqa: PLR0913 - its neighbours, each once
        self,
        config: SinkConfig,
        store: Store,
        registry: CollectorRegistry,
        readiness: Readiness,
        *,
        reconcile_every_s: float = 15.0,
        clock: Clock | None = None,
        fault: Fault = no_fault,
    ) -> None:
        """`readiness` must know `CONDITIONS`; the store stays the caller's to close."""
        self._config = config
        self._store = store
        self._readiness = readiness
        self._clock = clock or SystemClock()
        self._dice = Random()  # noqa: S311 - scatters waits, guards nothing
        threads = EMBEDDED_THREADS if store.is_embedded else SERVER_THREADS
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="sink-store")
        self._around = Surroundings(
            store,
            self._executor,
            self._clock,
            self._dice,
            SinkMetrics(registry),
            fault,
            asyncio.Semaphore(threads + TURNS_AHEAD),
        )
        self._consumer = SinkConsumer(config, self._around)
        self._reconciler = Reconciler(
            store,
            config.bootstrap,
            config.events_topic,
            registry=registry,
            readiness=readiness,
            period_s=reconcile_every_s,
            client_options=config.client_options,
        )

        self._parts = PartsWatch(store, registry, readiness, reconcile_every_s)

    async def prepare(self) -> None:
        """Test the store and its tables. Raises `Misconfigured`, or `Unavailable` if it is away."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, require_migrated, self._store)
        await loop.run_in_executor(self._executor, self._check)
        self._readiness.meet(STORE)

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until `stopping`. Raises `Misconfigured` if the store's guards don't stand."""
        helpers = [
            asyncio.create_task(self._reconciler.run()),
            asyncio.create_task(self._parts.run()),
            asyncio.create_task(self._tell_status()),
        ]
        attempt = 0
        try:
            while not stopping.is_set():
                started = self._clock.monotonic()
                try:
                    await self.prepare()
                    await self._consumer.run(stopping)
                except Unavailable as error:
                    attempt = self._failed(error, attempt, started)
                    await self._wait(stopping, attempt)
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            self._executor.shutdown(wait=False, cancel_futures=True)

    def _failed(self, error: Unavailable, attempt: int, started: float) -> int:
        """Tell it; the waits begin small again after a good while."""
        self._readiness.miss(STORE, str(error), "see the dependency that it names")
        log_event(_LOG, "the sink begins anew", level=logging.WARNING, error=error)
        is_new = self._clock.monotonic() - started > self._config.timing.backoff.max_s
        return 1 if is_new else attempt + 1

    async def _wait(self, stopping: asyncio.Event, attempt: int) -> None:
        wait_s = self._config.timing.backoff.wait_s(attempt, self._dice)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await stopping.wait()

    def _check(self) -> None:
        check(
            self._store,
            now_s=self._clock.now_ms() // 1000,
            deadline_s=self._config.timing.deadline_s,
        )

    async def _tell_status(self) -> None:
        while True:
            if self._consumer.is_assigned:
                self._readiness.meet(GROUP)
            else:
                self._readiness.miss(GROUP, "the group has not assigned partitions yet")
            waits_for = self._consumer.waits_for(WAIT_S_MAX)
            if waits_for:
                self._readiness.miss(WRITES, waits_for, "nothing is lost: mend what it names")
            else:
                self._readiness.meet(WRITES)
            stopped = self._consumer.stopped
            if stopped:
                told = "; ".join(f"partition {number}: {why}" for number, why in stopped.items())
                self._readiness.miss(PARTITIONS, told, "docs/operations.md, a stopped partition")
            else:
                self._readiness.meet(PARTITIONS)
            await asyncio.sleep(STATUS_EVERY_S)
