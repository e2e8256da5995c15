"""From a batch of audit.alerts to the store and the couriers; the order of effects is the promise.

decide → queue → rows → (commit by the caller). Nothing stands before the first send but a look
into memory: the rows of alerts and deliveries are written while it is under way. A kill before
they are written leaves the offsets uncommitted and the alert unhandled, so that it comes again and
is sent again, under the same id; after that it is neither stored nor sent twice.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from pydantic import ValidationError

from consumers.alerts.book import LOOK_MAX, Book
from consumers.alerts.courier import Courier, Desk
from consumers.alerts.memory import IDS_MAX, Memory
from consumers.alerts.planning import HUSHED, Placed, Planner
from consumers.alerts.schedule import WINDOW_MS, moment_ms
from consumers.alerts.tally import Tally
from consumers.alerts.text import line_of
from runtime.log import event
from schemas.alert import Alert

GROUPS_MAX: Final = 50_000
REMEMBERED_MS: Final = 2 * WINDOW_MS  # what is older than one is the past, which pages nobody
log: Final = logging.getLogger("audit.alerts")


class Record(Protocol):
    """The part of a Kafka record that is needed."""

    partition: int
    offset: int
    value: bytes | None


def read_alerts(records: Sequence[Record], tally: Tally) -> list[Placed]:
    """Return the alerts, each id once. What is no alert is counted, logged by place and skipped.

    Only the pipeline writes to the topic, so that is a bug of ours; its bytes stay for a week.
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


class Intake:
    """Takes batches of records."""

    def __init__(
        self,
        book: Book,
        couriers: Mapping[str, Courier],
        desk: Desk,
        planner: Planner,
        show: Callable[[str], None],
    ) -> None:
        self._book = book
        self._couriers = couriers
        self._desk = desk
        self._tally = desk.tally
        self._planner = planner
        self._show = show
        self._memory = Memory()
        self._is_stale = True

    def forget(self) -> None:
        """Read anew from the store before the next batch: another process may have had a part."""
        self._is_stale = True

    async def take(self, records: Sequence[Record]) -> int:
        """Queue what is new; return which row must be written before a commit.

        Raises as the store does, before anything is decided, and may then be repeated whole.
        """
        await self._desk.reached()
        await self.remember()
        placed = read_alerts(records, self._tally)
        new = await self._new(placed)
        self._tally.repeated.inc(len(placed) - len(new))
        return await self._send(new)

    async def remember(self) -> None:
        """Learn from the store what was handled lately and which groups are open."""
        if not self._is_stale:
            return
        since_ms = self._desk.clock.now_ms() - REMEMBERED_MS
        handled = await asyncio.to_thread(self._book.recent, since_ms, IDS_MAX)
        groups = await asyncio.to_thread(self._book.groups, since_ms, GROUPS_MAX)
        self._is_stale = False
        covers_ms = handled[0][1] + 1 if len(handled) == IDS_MAX else since_ms
        self._memory.fill(handled, covers_ms)
        self._planner.groups.fill(groups)

    async def _new(self, placed: Sequence[Placed]) -> list[Placed]:
        """Leave out what was handled; only what is old needs a look into the store."""
        known: dict[str, bool | None] = {
            one.alert.alert_id: self._memory.knows(
                one.alert.alert_id, moment_ms(one.alert.recorded)
            )
            for one in placed
        }
        asked = [alert_id for alert_id, is_known in known.items() if is_known is None]
        waiting = self._desk.waiting()
        for start in range(0, len(asked), LOOK_MAX):
            part = asked[start : start + LOOK_MAX]
            handled = waiting | await asyncio.to_thread(self._book.handled, part)
            known |= {alert_id: alert_id in handled for alert_id in part}
        return [one for one in placed if not known[one.alert.alert_id]]

    async def _send(self, new: Sequence[Placed]) -> int:
        now_ms = self._desk.clock.now_ms()
        plan = self._planner.plan(new, now_ms)
        for one in plan.placed:
            self._memory.add(one.alert.alert_id, moment_ms(one.alert.recorded))
        number = await self._desk.record(*plan.placed, *plan.rows)
        for due in plan.due:  # the send is under way while its row waits for company
            self._couriers[due.target].take(due)
        self._tally.stored.inc(len(new))
        for reason, count in plan.quiet.items():
            self._tally.untold(reason, count)
        hushed = {row.alert_id for row in plan.rows if row.error in HUSHED}
        for one in plan.placed:
            if one.alert.alert_id not in hushed:
                self._show(line_of(one.alert))
        return number
