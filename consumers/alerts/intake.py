"""From a batch of audit.alerts to the store and the couriers; the order of effects is the promise.

look → store → queue → rows → (commit by the caller). Each may be repeated: an alert that is stored
and has rows of delivery is neither stored nor sent again. A kill after the store has an alert and
before its rows are written leaves it without any, which is how the repeat knows to send it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from pydantic import ValidationError

from consumers.alerts.book import EVERYONE, LOOK_MAX, QUEUED, Book, Known, Placed
from consumers.alerts.courier import Courier, Desk
from consumers.alerts.schedule import Attempt, Due, first, is_past, suppressed
from consumers.alerts.tally import Tally
from consumers.alerts.text import line_of
from runtime.log import event
from schemas.alert import Alert

log: Final = logging.getLogger("audit.alerts")


class Record(Protocol):
    """The part of a Kafka record that is needed."""

    partition: int
    offset: int
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What one batch asks for; `past` is stored and never sent."""

    fresh: tuple[Placed, ...]
    due: tuple[Due, ...]
    rows: tuple[Attempt, ...]
    past: int


def read_alerts(records: Sequence[Record], tally: Tally) -> list[Placed]:
    """Return the alerts, each id once. What is no alert is counted, logged by place and skipped.

    Only stage 1 writes to the topic, so that is a bug of ours; its bytes stay there for a week.
    """
    found: dict[str, Placed] = {}
    for record in records:
        try:
            alert = Alert.model_validate_json(record.value or b"")
        except ValidationError:
            tally.unreadable.inc()
            event(
                log,
                "a record on audit.alerts is no alert",
                level=logging.ERROR,
                partition=record.partition,
                offset=record.offset,
            )
            continue
        found.setdefault(alert.alert_id, Placed(alert, record.partition, record.offset))
    return list(found.values())


def plan(placed: Sequence[Placed], known: Known, targets: Sequence[str], now_ms: int) -> Plan:
    """Decide what to store and what to send. Pure; what is done already plans nothing."""
    due: list[Due] = []
    rows: list[Attempt] = []
    past = 0
    for alert in (one.alert for one in placed if one.alert.alert_id not in known.handled):
        if is_past(alert, now_ms):
            past += 1
            rows.append(suppressed(alert, EVERYONE, now_ms))
            continue
        for target in targets:
            due.append(first(alert, target, now_ms))
            rows.append(Attempt(alert.alert_id, target, 0, now_ms, "failed", QUEUED, now_ms))
    fresh = tuple(one for one in placed if one.alert.alert_id not in known.stored)
    return Plan(fresh, tuple(due), tuple(rows), past)


class Intake:
    """Takes batches of records."""

    def __init__(
        self,
        book: Book,
        couriers: Mapping[str, Courier],
        desk: Desk,
        show: Callable[[str], None],
    ) -> None:
        self._book = book
        self._couriers = couriers
        self._desk = desk
        self._tally = desk.tally
        self._show = show

    async def take(self, records: Sequence[Record]) -> int:
        """Store and queue what is new; return which row must be written before a commit.

        Raises as the store does, and may then be repeated whole.
        """
        placed = read_alerts(records, self._tally)
        number = await self._desk.record()
        for start in range(0, len(placed), LOOK_MAX):
            number = await self._take(placed[start : start + LOOK_MAX])
        return number

    async def _take(self, placed: Sequence[Placed]) -> int:
        waiting = self._desk.waiting()  # before the look: what is written meanwhile is in both
        known = await asyncio.to_thread(self._book.look, [one.alert.alert_id for one in placed])
        known = Known(known.stored, known.handled | waiting)
        planned = plan(placed, known, tuple(self._couriers), self._desk.clock.now_ms())
        if planned.fresh:
            await asyncio.to_thread(self._book.store, planned.fresh)
        self._tally.stored.inc(len(planned.fresh))
        self._tally.repeated.inc(len(placed) - len(planned.fresh))
        self._tally.historical.inc(planned.past)
        number = await self._desk.record(*planned.rows)
        for due in planned.due:  # the send is under way while its row waits for company
            self._couriers[due.target].take(due)
        now_ms = self._desk.clock.now_ms()
        for one in planned.fresh:
            if not is_past(one.alert, now_ms):
                self._show(line_of(one.alert))
        return number
