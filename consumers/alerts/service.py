"""The alert service: audit.alerts → store → targets, until told to stop."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from prometheus_client import CollectorRegistry

from consumers.alerts.book import PENDING_MAX, Book, Storing
from consumers.alerts.courier import QUEUE_MAX, SOON_MS, Courier, Desk
from consumers.alerts.grouping import AGE_MS_MAX, REPAGE_EVERY, Groups
from consumers.alerts.grouping import WINDOW_MS as GROUP_WINDOW_MS
from consumers.alerts.intake import Intake
from consumers.alerts.planning import Planner
from consumers.alerts.recorder import Recorder
from consumers.alerts.routing import Routing, everyone
from consumers.alerts.tally import Tally
from consumers.alerts.targets import Target
from runtime.clock import Clock, SystemClock
from runtime.health import Readiness
from runtime.log import event
from runtime.retry import Backoff, retry_unavailable
from schemas.errors import BrokerUnavailable, Unavailable
from schemas.topics import ALERTS

GROUP: Final = "audit-alerts"
CONDITIONS: Final = ("alerts: kafka", "alerts: store")
POLL_MS: Final = 200  # how long a stop may wait for the next look at it
# A partition whose records were just taken is asked for again with the next fetch: when this one
# ends, or another partition has something.
FETCH_WAIT_MS: Final = 50
RECORDS_MAX: Final = 500
WATCH_S: Final = 5.0  # how soon a resolved group is closed, so that its next alert pages
WATCH_MS: Final = 60_000  # rows are not seen in the order of their times; again does no harm
CLOSED: Final = frozenset({"resolved", "false_positive"})
SWEEP_S: Final = 30.0  # how soon what found no room in a queue is fetched from the store
STOP_S_MAX: Final = 3.0
SHOWN_A_SECOND_MAX: Final = 10
BACKOFF: Final = Backoff(initial_s=0.1, max_s=5.0)
log: Final = logging.getLogger("audit.alerts")


class Shown:
    """Which lines of a flood are shown: ten a second, then only how many more there were.

    A flood so writes eleven lines a second at most, and does not turn real errors out of a log
    of bounded size. What was held back is told with the next line, or never if none comes: the
    alerts themselves are all in the store.
    """

    def __init__(self) -> None:
        self._second = -1
        self._shown = self._more = 0

    def lines(self, line: str, now_s: float) -> list[str]:
        """Return what to write for one more line, at a time that never goes back."""
        told: list[str] = []
        if int(now_s) != self._second:
            if self._more:
                told.append(f"{self._more} more alerts, see `audit alerts`")
            self._second, self._shown, self._more = int(now_s), 0, 0
        if self._shown < SHOWN_A_SECOND_MAX:
            self._shown += 1
            told.append(line)
        else:
            self._more += 1
        return told


_shown: Final = Shown()


def show_in_log(line: str) -> None:
    """Write an alert's line to the log, at most as many as `Shown` lets through."""
    for told in _shown.lines(line, time.monotonic()):
        event(log, "alert", level=logging.WARNING, alert=told)


@dataclass(frozen=True, slots=True)
class Policy:
    """Who hears what, how often, and what counts as the same. Without routing: all, at once."""

    routing: Routing | None = None
    group_window_ms: int = GROUP_WINDOW_MS
    repage_every: int = REPAGE_EVERY
    group_age_ms_max: int = AGE_MS_MAX
    link: str = ""


@dataclass(frozen=True, slots=True)
class AlertService:
    """What the service is made of; values only, so that the composition root says it all.

    `store` is used from several threads. `readiness` must know `CONDITIONS`.
    """

    bootstrap: str
    store: Storing
    targets: Sequence[Target]
    registry: CollectorRegistry
    readiness: Readiness
    group: str = GROUP
    topic: str = ALERTS
    client_options: Mapping[str, Any] = field(default_factory=dict)
    clock: Clock = field(default_factory=SystemClock)
    show: Callable[[str], None] = show_in_log
    policy: Policy = field(default_factory=Policy)

    def planner(self) -> Planner:
        """Return a new planner of this policy."""
        names = [target.name for target in self.targets]
        policy = self.policy
        groups = Groups(
            policy.group_window_ms, policy.repage_every, age_ms_max=policy.group_age_ms_max
        )
        return Planner(policy.routing or everyone(names), groups)

    def told(self, error: Unavailable | None) -> None:
        """Note whether the store takes what is written."""
        if error is None:
            self.readiness.meet("alerts: store")
        else:
            self.readiness.miss("alerts: store", str(error), "see 'audit doctor'")


class Watch:
    """What people say of alerts: who has acknowledged one needs no escalation, and so on."""

    def __init__(self, book: Book, groups: Groups, clock: Clock) -> None:
        self._book = book
        self._groups = groups
        self._seen_ms = clock.now_ms()

    async def is_open(self, alert_id: str) -> bool:
        """Say whether nobody has taken the alert on. With the store away: not that we know."""
        try:
            return await asyncio.to_thread(self._book.status, alert_id) == "open"
        except Unavailable as error:
            event(log, "status of an alert not read", level=logging.WARNING, error=error)
            return True

    async def run(self) -> None:
        """Close the groups whose matter was closed, until cancelled."""
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                changes = await asyncio.to_thread(self._book.statuses, self._seen_ms - WATCH_MS)
            except Unavailable as error:
                event(log, "statuses of alerts not read", level=logging.WARNING, error=error)
                continue
            for change in changes:
                self._seen_ms = max(self._seen_ms, change.stored_ms)
                if change.status in CLOSED:
                    self._groups.close(change.alert_id)


async def run_alerts(service: AlertService, stop: asyncio.Event) -> None:
    """Run until `stop` is set. Whatever is away is waited for; nothing is lost meanwhile.

    At least once to each target: what was sent, and not yet recorded when the process was killed
    (some 0.1 s of deliveries), is sent again under the same alert_id. An orderly stop repeats
    nothing, unless a target does not answer within `STOP_S_MAX`.
    """
    tally = Tally(service.registry)
    book = Book(service.store)
    recorder = Recorder(book, service.told)
    planner = service.planner()
    watch = Watch(book, planner.groups, service.clock)
    desk = Desk(
        service.clock,
        tally,
        recorder.put,
        recorder.waiting,
        recorder.reached,
        watch.is_open,
        service.policy.link,
    )
    couriers = {target.name: Courier(target, desk) for target in service.targets}
    intake = Intake(book, couriers, desk, planner, service.show)
    await _until(stop, _resume(service, book, desk, couriers))
    recording = asyncio.create_task(recorder.run())
    delivering = [asyncio.create_task(courier.run()) for courier in couriers.values()]
    consuming = asyncio.create_task(_consume(service, intake, recorder, stop))
    stopping = asyncio.create_task(stop.wait())
    sweeping = asyncio.create_task(_sweep(service, book, desk, couriers))
    watching = asyncio.create_task(watch.run())
    tasks = [consuming, *delivering, recording, sweeping, watching, stopping]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        for courier in couriers.values():
            courier.stop()
        await asyncio.wait({consuming, *delivering}, timeout=STOP_S_MAX)
    finally:
        stop.set()
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        await recorder.flush(STOP_S_MAX)
    for fault in ended:
        if isinstance(fault, Exception):
            raise fault


async def _until(stop: asyncio.Event, work: Any) -> None:  # noqa: ANN401 - any coroutine
    """Do the work, or leave it when told to stop."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (working, stopping):
            task.cancel()


async def _resume(
    service: AlertService, book: Book, desk: Desk, couriers: Mapping[str, Courier]
) -> None:
    """Queue what the store says is left, waiting for it as long as it takes.

    What is here already, or has an outcome on its way into the store, is left out: the store's
    answer may be older than that.
    """

    def missed(error: Unavailable, _wait_s: float) -> None:
        service.readiness.miss("alerts: store", str(error), "see 'audit doctor'")

    if couriers:
        busy = desk.waiting().union(*(courier.busy() for courier in couriers.values()))
        due = await retry_unavailable(
            lambda: asyncio.to_thread(book.pending, list(couriers), service.clock.now_ms()),
            backoff=BACKOFF,
            deadline_s=None,
            on_retry=missed,
        )
        for one in due:
            if one.alert.alert_id in busy:
                couriers[one.target].has_spilled = True  # it may be another one's: look again
            else:
                couriers[one.target].take(one)
        if len(due) == PENDING_MAX:
            for courier in couriers.values():
                courier.has_spilled = True
    service.readiness.meet("alerts: store")


async def _sweep(
    service: AlertService, book: Book, desk: Desk, couriers: Mapping[str, Courier]
) -> None:
    """Fetch again, now and then, what found no room, and what was held and is due soon."""
    while True:
        await asyncio.sleep(SWEEP_S)
        soon_ms = service.clock.now_ms() + SOON_MS
        asked = {
            name: courier
            for name, courier in couriers.items()
            if (courier.has_spilled or courier.wakes_ms <= soon_ms)
            and courier.pending < QUEUE_MAX / 2
        }
        for courier in asked.values():
            courier.has_spilled, courier.wakes_ms = False, float("inf")
        if asked:
            await _resume(service, book, desk, asked)


async def _consume(
    service: AlertService, intake: Intake, recorder: Recorder, stop: asyncio.Event
) -> None:
    attempt = 0
    while not stop.is_set():
        try:
            await _consume_once(service, intake, recorder, stop)
        except BrokerUnavailable as error:
            service.readiness.miss("alerts: kafka", str(error), "see 'audit doctor'")
            attempt += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BACKOFF.ceiling_s(attempt)):
                    await stop.wait()


async def _consume_once(
    service: AlertService, intake: Intake, recorder: Recorder, stop: asyncio.Event
) -> None:
    """Join the group and take batches until told to stop. Raises `BrokerUnavailable`."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=service.bootstrap,
        group_id=service.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        fetch_min_bytes=1,
        session_timeout_ms=6_000,
        heartbeat_interval_ms=1_000,
        **service.client_options,
    )
    unsettled: deque[tuple[int, dict[Any, int]]] = deque()
    consumer.subscribe([service.topic], listener=_Assigned(intake.forget))
    try:
        await consumer.start()
        service.readiness.meet("alerts: kafka")
        while not stop.is_set():
            batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_MAX)
            records = [record for batch in batches.values() for record in batch]
            number = await _take(service, intake, records, stop) if records else None
            if number is not None:
                nexts = {tp: batch[-1].offset + 1 for tp, batch in batches.items() if batch}
                unsettled.append((number, nexts))
            await _commit_written(consumer, unsettled, recorder.written)
        await recorder.flush(STOP_S_MAX)
        await _commit_written(consumer, unsettled, recorder.written)
    except (KafkaError, OSError) as error:
        raise BrokerUnavailable(f"alerts can't be read: {type(error).__name__}") from error
    finally:
        with contextlib.suppress(KafkaError):
            await consumer.stop()


class _Assigned(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped here
    """Says that another process may have had what is ours now."""

    def __init__(self, forget: Callable[[], None]) -> None:
        self._forget = forget

    async def on_partitions_revoked(self, revoked: object) -> None:
        """Do nothing: what is under way is ours to end."""

    async def on_partitions_assigned(self, assigned: object) -> None:
        """Read from the store again before the next batch."""
        del assigned
        self._forget()


async def _take(
    service: AlertService, intake: Intake, records: Sequence[Any], stop: asyncio.Event
) -> int | None:
    """Take a batch however long the store is away; None if told to stop before it was taken."""

    def missed(error: Unavailable, _wait_s: float) -> None:
        service.readiness.miss("alerts: store", str(error), "see 'audit doctor'")

    try:
        number = await retry_unavailable(
            lambda: intake.take(records),
            backoff=BACKOFF,
            deadline_s=None,
            is_wanted=lambda: not stop.is_set(),
            on_retry=missed,
        )
    except Unavailable as error:
        event(log, "stopped while the store was away", level=logging.WARNING, error=error)
        return None
    service.readiness.meet("alerts: store")
    return number


async def _commit_written(
    consumer: AIOKafkaConsumer, unsettled: deque[tuple[int, dict[Any, int]]], written: int
) -> None:
    """Commit the batches whose rows are all in the store."""
    nexts: dict[Any, int] = {}
    while unsettled and unsettled[0][0] <= written:
        nexts.update(unsettled.popleft()[1])
    if nexts:
        await _commit(consumer, nexts)


async def _commit(consumer: AIOKafkaConsumer, nexts: Mapping[Any, int]) -> None:
    """Commit; whoever has a lost partition by now looks, and finds the rows stored."""
    try:
        await consumer.commit(dict(nexts))
    except (CommitFailedError, IllegalStateError) as error:
        event(log, "offsets not committed after a rebalance", error=error)
