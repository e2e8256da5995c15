"""The process dies between any two steps: nothing is lost, nobody paged again for what is done.

Steps are every write of rows, before and after it; every send, before and after the target took
it; and every commit. The parts are the real ones; the store, the target and Kafka are as small as
can be, and outlive the kill.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from consumers.alerts.book import StatusChange
from consumers.alerts.courier import Courier, Desk
from consumers.alerts.grouping import Group, GroupKey, key_of
from consumers.alerts.intake import Intake
from consumers.alerts.message import Message
from consumers.alerts.planning import Placed, Planner
from consumers.alerts.recorder import Recorder
from consumers.alerts.routing import Route, Routing
from consumers.alerts.schedule import Attempt, Due, moment_ms, resume
from consumers.alerts.tally import Tally
from consumers.alerts.throttle import Rate
from schemas.alert import SEVERITIES, Alert
from schemas.errors import TargetUnavailable
from tests.unit.consumers.alerts.making import NOW_MS, make

ROUNDS_MAX = 4_000


class Killed(BaseException):
    """The process is gone."""


@dataclass
class World:
    """What outlives the process, and the step at which it dies."""

    alerts: list[Alert]
    kill_at: int
    now_ms: int = NOW_MS
    steps: int = 0
    offset: int = 0
    placed: list[Placed] = field(default_factory=list)
    rows: list[Attempt] = field(default_factory=list)
    taken: list[tuple[int, str, tuple[str, ...]]] = field(default_factory=list)
    recorded_when_sent: list[set[tuple[str, str]]] = field(default_factory=list)
    refuses: int = 0
    is_dead: bool = False

    def step(self) -> None:
        if self.is_dead:
            raise Killed
        self.steps += 1
        if self.steps == self.kill_at:
            self.is_dead = True
            raise Killed

    def delivered(self) -> set[tuple[str, str]]:
        return {(row.alert_id, row.target) for row in self.rows if row.outcome == "delivered"}


class Book:
    """The store's part, by the same meaning: what is written twice is there once."""

    def __init__(self, world: World) -> None:
        self.world = world

    def store(self, placed: Sequence[Placed]) -> None:
        self.world.step()
        self.world.placed += [one for one in placed if one not in self.world.placed]
        self.world.step()

    def record(self, attempts: Sequence[Attempt]) -> None:
        self.world.step()
        self.world.rows += [row for row in attempts if row not in self.world.rows]
        self.world.step()

    def handled(self, alert_ids: Sequence[str]) -> frozenset[str]:
        return frozenset(row.alert_id for row in self.world.rows) & frozenset(alert_ids)

    def recent(self, _since_ms: int, rows_max: int) -> list[tuple[str, int]]:
        handled = {row.alert_id for row in self.world.rows}
        found = {one.alert.alert_id: one.alert for one in self.world.placed}
        return [(i, moment_ms(a.recorded)) for i, a in found.items() if i in handled][:rows_max]

    def groups(self, _since_ms: int, _rows_max: int) -> list[tuple[GroupKey, Group]]:
        handled = {row.alert_id for row in self.world.rows}
        found: dict[str, tuple[GroupKey, Group]] = {}
        for one in self.world.placed:
            if one.alert.alert_id not in handled:
                continue
            rank = SEVERITIES.index(one.alert.severity)
            fresh = Group(one.lead_id, -1, 0, NOW_MS, 0)
            _, group = found.setdefault(one.lead_id, (key_of(one.alert), fresh))
            group.count += 1
            group.severity = max(group.severity, rank)
            group.last_ms = max(group.last_ms, moment_ms(one.alert.recorded))
        return list(found.values())

    def statuses(self, _since_ms: int) -> list[StatusChange]:
        return []

    def pending(self) -> list[Due]:
        alerts = {one.alert.alert_id: one for one in self.world.placed}
        last: dict[tuple[str, str], Attempt] = {}
        for row in sorted(self.world.rows, key=lambda row: row.attempt):
            last[row.alert_id, row.target] = row
        due = [
            resume(alerts[alert_id].alert, target, row)
            for (alert_id, target), row in last.items()
            if target != "*" and row.outcome in ("failed", "deferred")
        ]
        return [one for one in due if one is not None]


class Target:
    name = "x"
    pace_s = 0.0
    parallel = 2
    digest_max = 1_000

    def __init__(self, world: World) -> None:
        self.world = world

    def send(self, message: Message) -> None:
        self.world.step()
        if self.world.refuses > 0:
            self.world.refuses -= 1
            raise TargetUnavailable("x: answered 500")
        ids = tuple(alert.alert_id for alert in message.alerts)
        self.world.taken.append((self.world.steps, message.kind, ids))
        self.world.recorded_when_sent.append(self.world.delivered())
        self.world.step()


@dataclass
class Record:
    value: bytes
    offset: int
    partition: int = 0


class Clock:
    def __init__(self, world: World) -> None:
        self.world = world

    def now_ms(self) -> int:
        return self.world.now_ms

    def monotonic(self) -> float:
        return self.world.now_ms / 1000


async def live(world: World) -> None:
    """Run one process until all is done, or until it dies."""
    routing = Routing((Route("all", ("x",)),), rule_rate=Rate(60, 3))
    book: Any = Book(world)
    recorder = Recorder(book)
    tally = Tally(CollectorRegistry())

    async def is_open(_alert_id: str) -> bool:
        return True

    desk = Desk(Clock(world), tally, recorder.put, recorder.waiting, recorder.reached, is_open)
    courier = Courier(Target(world), desk)
    intake = Intake(book, {"x": courier}, desk, Planner(routing), lambda _line: None)
    for due in book.pending():
        courier.take(due)
    running = [asyncio.create_task(courier.run()), asyncio.create_task(recorder.run())]
    try:
        for _ in range(ROUNDS_MAX):
            batch = world.alerts[world.offset : world.offset + 3]
            records = [
                Record(alert.model_dump_json().encode(), world.offset + n)
                for n, alert in enumerate(batch)
            ]
            number = await intake.take(records)
            while recorder.written < number:
                await asyncio.sleep(0.001)
                if world.is_dead:
                    raise Killed
            if batch:
                world.step()
                world.offset += len(batch)
            world.now_ms += 500
            if not batch and not courier.pending and not recorder.waiting():
                return
            await asyncio.sleep(0.001)
            if world.is_dead:
                raise Killed
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def some_alerts() -> list[Alert]:
    """Seven matters of one rule, over its burst; two repeats, one of them more severe."""
    alerts = [make(str(n), group=f"user={n}") for n in range(7)]
    alerts.insert(3, make("again", group="user=0"))
    alerts.insert(6, make("risen", group="user=1", severity="critical"))
    return alerts


def run(kill_at: int, *, refuses: int = 0) -> World:
    world = World(some_alerts(), kill_at, refuses=refuses)
    for _ in range(2):
        try:
            asyncio.run(live(world))
        except Killed:
            pass
        else:
            return world
        world.is_dead, world.kill_at = False, 0
    raise AssertionError("the second process did not end well")


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.alerts.recorder.GATHER_S", 0.001)
    monkeypatch.setattr("consumers.alerts.courier.WAIT_S_MAX", 0.001)


@pytest.mark.parametrize("refuses", [0, 2])
def test_a_kill_between_any_two_steps_loses_nothing_and_pages_nobody_again(refuses: int) -> None:
    whole = run(0, refuses=refuses)
    wanted = {alert.alert_id for alert in whole.alerts}
    silent = make("again", group="user=0").alert_id
    for kill_at in range(1, whole.steps + 1):
        world = run(kill_at, refuses=refuses)
        assert {one.alert.alert_id for one in world.placed} == wanted, kill_at
        told = [alert_id for _, _, ids in world.taken for alert_id in ids]
        assert set(told) == wanted - {silent}, kill_at
        assert {alert_id for alert_id, _ in world.delivered()} == set(told), kill_at
        for (_, _, ids), done in zip(world.taken, world.recorded_when_sent, strict=True):
            again = {alert_id for alert_id, target in done if target == "x"} & set(ids)
            assert not again, f"killed at {kill_at}: sent again after it was recorded"


def test_without_a_kill_each_is_told_once_and_the_flood_in_one_message() -> None:
    world = run(0)
    told = [alert_id for _, _, ids in world.taken for alert_id in ids]
    assert len(told) == len(set(told)) == 8
    assert any(kind == "digest" for _, kind, _ in world.taken)
