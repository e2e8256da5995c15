"""What is told in one message and what in the next: all that is marked delivered was sent."""

import asyncio
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry

from consumers.alerts.courier import Courier, Desk
from consumers.alerts.message import Message, message_of
from consumers.alerts.schedule import THROTTLED, Attempt, Due, held
from consumers.alerts.tally import Tally
from schemas.errors import TargetUnavailable
from tests.unit.consumers.alerts.making import NOW_MS, make

ALERTS = 250
LISTED = 100
STEPS_MAX = 2_000


class Clock:
    def now_ms(self) -> int:
        return NOW_MS

    def monotonic(self) -> float:
        return NOW_MS / 1000


class Target:
    name = "hook"
    pace_s = 0.0
    parallel = 1
    digest_max = LISTED

    def __init__(self, refused: int = 0) -> None:
        self.taken: list[Message] = []
        self.tried = 0
        self.refused = refused

    def send(self, message: Message) -> None:
        self.tried += 1
        if self.tried == self.refused:
            raise TargetUnavailable("hook: answered 500")
        self.taken.append(message)


async def deliver(target: Target, is_over: Callable[[list[Attempt]], bool]) -> list[Attempt]:
    rows: list[Attempt] = []

    async def record(*attempts: Attempt) -> int:
        rows.extend(attempts)
        return len(rows)

    nothing: Any = None
    desk = Desk(Clock(), Tally(CollectorRegistry()), record, nothing, nothing, nothing)
    courier = Courier(target, desk)
    for n in range(ALERTS):
        courier.take(held(make(str(n)), "hook", NOW_MS, THROTTLED))
    running = asyncio.create_task(courier.run())
    for _ in range(STEPS_MAX):
        await asyncio.sleep(0.005)
        if is_over(rows):
            break
    courier.stop()
    await running
    return rows


async def test_a_digest_of_more_than_a_message_holds_goes_in_several() -> None:
    target = Target()
    rows = await deliver(target, lambda rows: len(rows) == ALERTS)
    assert [len(message.alerts) for message in target.taken] == [100, 100, 50]
    sent = [alert.alert_id for message in target.taken for alert in message.alerts]
    assert len(set(sent)) == ALERTS
    assert sorted(sent) == sorted(row.alert_id for row in rows if row.outcome == "delivered")
    assert len({message.key for message in target.taken}) == 3


async def test_what_of_a_digest_was_not_taken_is_not_marked_delivered() -> None:
    target = Target(refused=2)
    rows = await deliver(target, lambda rows: len(rows) == ALERTS)
    sent = {alert.alert_id for message in target.taken for alert in message.alerts}
    assert {row.alert_id for row in rows if row.outcome == "delivered"} == sent
    assert sum(row.outcome == "deferred" for row in rows) == LISTED


def test_messages_with_other_alerts_have_other_keys() -> None:
    def message(*names: str) -> Message:
        return message_of([Due(make(n), "hook", 1, NOW_MS, NOW_MS, THROTTLED) for n in names])

    assert message("a", "b").key == message("b", "a").key
    assert message("a", "b").key != message("a", "c").key
