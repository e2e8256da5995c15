"""Canaries at work: sent on the real path on a schedule, and looked for among the stored alerts.

They are looked for in the store, not on their way into it: so it does not matter how many
processes share the alerts, and a canary that came back was stored, too.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cli.canary_key import read_canary_key
from cli.rules_shared import load as load_folders
from consumers.alerts.book import Storing
from consumers.alerts.canaries import CanaryBook
from detections.canary import Canary, events_of, plan_canaries
from detections.canary_watch import (
    STATES,
    Kind,
    Pace,
    Row,
    Seen,
    Watch,
    run_name,
    unknown_alert,
)
from pipeline.emit import BrokerAddress, Emitter
from pipeline.run import OutAlert
from producers.publisher import Publisher
from runtime.clock import Clock, SystemClock
from runtime.configuration import Given, load
from runtime.kafka_client import client_options
from runtime.log import event
from runtime.settings import CanarySettings, KafkaSettings, PipelineSettings, RuleSettings
from schemas.alert import Alert
from schemas.errors import AuditError
from schemas.topics import ALERTS

TICK_S: Final = 1.0
BACKOFF_S: Final = 10.0  # after Kafka or the store was away
PUBLISH_S_MAX: Final = 10.0
BUFFER_BYTES_MAX: Final = 4 * 1_048_576
# Where our mark is not known each canary looks like the real thing to people: few are tried then.
DOUBT_MS: Final = 3_600_000
DOUBT_MS_MAX: Final = 86_400_000
ROWS_MAX: Final = 10_000  # that wait for the store; the oldest go first
log: Final = logging.getLogger("audit.canaries")

Messages = Sequence[tuple[bytes, bytes | None]]


@dataclass(frozen=True, slots=True)
class CanaryPorts:
    """What the runner needs of other parts. Each call raises `Unavailable` where that is away."""

    store: Storing
    publish: Callable[[Messages], Awaitable[None]]
    alert: Callable[[Alert], Awaitable[None]]
    plan: Callable[[], Sequence[Canary]]
    clock: Clock = field(default_factory=SystemClock)


class CanaryRunner:
    """Sends, looks and says what is silent. One at a time; call `run` once."""

    def __init__(self, ports: CanaryPorts, key: bytes, pace: Pace) -> None:
        self._ports = ports
        self._book = CanaryBook(ports.store)
        self._key = key
        self._pace = pace
        self._rows: list[Row] = []
        self._unsaid: list[Alert] = []
        self._planned_ms = 0
        self.watch: Final = Watch(pace)
        self.counts: Final[dict[Kind, int]] = {"sent": 0, "fired": 0, "silent": 0}
        self.is_known = True  # the pipeline has our key, as far as was seen
        self._doubts = 0  # canaries since then that came without our mark, or were forged
        self._doubted: frozenset[str] = frozenset()  # their runs
        self._again_ms = 0  # when one more is tried

    async def run(self, stop: asyncio.Event) -> None:
        """Run until told to stop; while the pipeline seems not to know our mark, send few."""
        while not stop.is_set():
            wait_s = TICK_S
            try:
                await self.tick()
            except AuditError as error:  # whatever it is, sink and alerts must go on beside it
                event(log, "canaries wait", level=logging.WARNING, error=error)
                wait_s = BACKOFF_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await stop.wait()

    async def tick(self) -> None:
        """Do what is to be done now. May be repeated after an error; nothing is then said twice."""
        now_ms = self._ports.clock.now_ms()
        if now_ms - self._planned_ms >= self._pace.period_ms:
            await self._plan(now_ms)
        await self._look()
        if self.watch.has_overdue(now_ms):
            await self._plan(now_ms)  # a rule that was removed meanwhile is not silent
            verdict = self.watch.judge(now_ms)
            self._note(verdict.rows)
            self._unsaid += verdict.alerts
        while self._unsaid:
            await self._ports.alert(self._unsaid[0])
            event(log, "alert", level=logging.WARNING, alert=self._unsaid[0].summary)
            del self._unsaid[0]
        for canary in self._due(self._ports.clock.now_ms()):
            await self._send(canary)
        await self._keep()

    def _due(self, now_ms: int) -> list[Canary]:
        due = self.watch.due(now_ms)
        if self.is_known:
            return due
        if now_ms < self._again_ms:
            return []
        self._again_ms = now_ms + DOUBT_MS
        return due[:1]

    async def _plan(self, now_ms: int) -> None:
        self.watch.use(await asyncio.to_thread(self._ports.plan), now_ms)
        self._planned_ms = now_ms

    async def _look(self) -> None:
        """Learn which came back, if any is waited for."""
        oldest_ms = self.watch.oldest_ms
        if oldest_ms is None:
            return
        waited = self.watch.runs
        found = await asyncio.to_thread(self._book.alerts, oldest_ms, waited)
        seen = [Seen(one.rule_id, one.run, one.stored_ms) for one in found if one.is_true]
        fired = self.watch.fired(seen)
        self._note(fired)
        if fired and not self.is_known:
            self.is_known, self._doubts = True, 0
            event(log, "the pipeline knows the mark of canaries: what came without was forged")
        if self.counts["fired"]:
            return  # then it is somebody else who uses our run's name
        strange = {one.run for one in found if not one.is_true and one.run in waited}
        if fresh := strange - self._doubted:
            self._doubt(frozenset(fresh))

    def _doubt(self, runs: frozenset[str]) -> None:
        """Say once a run that our mark is not known, or that somebody forges; try again later.

        One who reads our events can forge their names: that must not switch canaries off.
        """
        now_ms = self._ports.clock.now_ms()
        self._again_ms = now_ms + min(DOUBT_MS << self._doubts, DOUBT_MS_MAX)
        self._doubts = min(self._doubts + 1, DOUBT_MS_MAX // DOUBT_MS)
        self._doubted = (self._doubted & self.watch.runs) | runs
        self.is_known = False
        self._unsaid.append(unknown_alert(min(runs), now_ms))
        event(
            log,
            "the pipeline does not know the mark of canaries, or somebody forges them",
            level=logging.ERROR,
            cure="give AUDIT_CANARY_KEY_FILE the same key in both, and start both again",
        )

    async def _send(self, canary: Canary) -> None:
        now_ms = self._ports.clock.now_ms()
        run = run_name(canary.rule_id, now_ms)
        events = events_of(canary, now_ms, run, self._key)
        await self._ports.publish([(orjson.dumps(one), run.encode()) for one in events])
        self._note([self.watch.sent(canary.rule_id, run, now_ms)])

    def _note(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self.counts[row.kind] += 1
        self._rows = [*self._rows, *rows][-ROWS_MAX:]

    async def _keep(self) -> None:
        if not self._rows:
            return
        rows = self._rows
        await asyncio.to_thread(self._book.keep, rows)
        self._rows = self._rows[len(rows) :]


def canaries_of(dirs: Sequence[Path], grace_ms: int) -> list[Canary]:
    """Return the canaries of the rules as they are now; what would come too late has none.

    Blocks. Raises `Misconfigured` for a folder that can't be read.
    """
    loaded = load_folders(tuple(dirs))
    found = plan_canaries(loaded.ruleset, loaded.tests).canaries
    return [canary for canary in found if canary.span_ms < grace_ms or not canary.span_ms]


async def run_canaries(
    given: Given, store: Storing, registry: CollectorRegistry, data: Path, stop: asyncio.Event
) -> None:
    """Run canaries as the settings say until told to stop."""
    settings, kafka = load(CanarySettings, given), load(KafkaSettings, given)
    key = read_canary_key(settings, data)
    if not key or not settings.period_s:
        event(log, "no canaries are sent", reason="off" if key else "no key")
        await stop.wait()
        return
    dirs, judged_by = load(RuleSettings, given).dirs, load(PipelineSettings, given)
    options = client_options(kafka)
    async with Publisher(
        kafka.bootstrap, client_options=options, buffer_bytes_max=BUFFER_BYTES_MAX
    ) as publisher:

        async def publish(messages: Messages) -> None:
            raise_first(await publisher.publish_many_bytes(messages, deadline_s=PUBLISH_S_MAX))

        ports = CanaryPorts(
            store,
            publish,
            partial(send_alert, BrokerAddress(kafka.bootstrap, options)),
            partial(canaries_of, dirs, judged_by.grace_s * 1000),
        )
        closing_ms = (judged_by.grace_s + judged_by.source_idle_s) * 1000
        pace = Pace(settings.period_s * 1000, settings.deadline_s * 1000, closing_ms)
        runner = CanaryRunner(ports, key, pace)
        CanaryMetrics(registry, runner)
        await runner.run(stop)


async def send_alert(address: BrokerAddress, alert: Alert, topic: str = ALERTS) -> None:
    """Put an alert where those of the rules go. Raises `BrokerUnavailable`."""
    emitter = Emitter(address)
    try:
        await emitter.start()
        said = OutAlert(alert.alert_id.encode(), alert.model_dump_json().encode())
        await emitter.send_keyed(topic, [said])
    finally:
        await emitter.stop()


class CanaryMetrics(Collector):
    """What is known of the canaries, for Prometheus."""

    def __init__(self, registry: CollectorRegistry, runner: CanaryRunner) -> None:
        self._runner = runner
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        states = list(self._runner.watch.states.values())
        rules = GaugeMetricFamily(
            "audit_canary_rules", "Rules that have a canary, by state.", labels=["state"]
        )
        for state in STATES:
            rules.add_metric([state], states.count(state))
        yield rules
        runs = CounterMetricFamily(
            "audit_canary_runs", "Canaries, by what became of them.", labels=["outcome"]
        )
        for outcome, count in self._runner.counts.items():
            runs.add_metric([outcome], count)
        yield runs
        yield GaugeMetricFamily(
            "audit_canary_known",
            "Whether the pipeline knows the mark of our canaries: 0 if few are sent for that.",
            value=int(self._runner.is_known),
        )


def raise_first(outcomes: Sequence[object]) -> None:
    """Raise the first error among what became of messages."""
    for outcome in outcomes:
        if isinstance(outcome, AuditError):
            raise outcome
