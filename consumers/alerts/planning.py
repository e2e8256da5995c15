"""What a batch of alerts asks for: what to store, whom to tell now, whom later, whom not. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from consumers.alerts.grouping import Groups, Joined, key_of
from consumers.alerts.routing import Routing, errands, everyone
from consumers.alerts.schedule import Attempt, Due, first, held, is_past, suppressed
from consumers.alerts.throttle import Throttle
from schemas.alert import Alert

EVERYONE: Final = "*"  # the target of a row that holds for all of them
QUEUED: Final = "queued"  # the error of the row before the first attempt
REPEAT: Final = "repeat"  # in a group that has paged
EXCEPTION: Final = "exception"
CANARY: Final = "canary"
HISTORICAL: Final = "historical"
HUSHED: Final = frozenset({HISTORICAL, REPEAT, EXCEPTION, CANARY})  # not in the log either
UNROUTED: Final = "unrouted"  # no route fits, or there is no target at all


@dataclass(frozen=True, slots=True)
class Placed:
    """An alert, where it lies on its topic, and which alert opened the group that it is in."""

    alert: Alert
    partition: int
    offset: int
    lead_id: str = ""
    grouped_by: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one batch asks for. `quiet` tells for each reason how many nobody hears of."""

    placed: tuple[Placed, ...]
    due: tuple[Due, ...]
    rows: tuple[Attempt, ...]
    quiet: dict[str, int] = field(default_factory=dict)


class Planner:
    """Decides, and remembers which groups are open and how much was sent. Deciding can't fail."""

    def __init__(self, routing: Routing | None = None, groups: Groups | None = None) -> None:
        self.groups: Final = groups or Groups()
        self._routing = routing or everyone(())
        self._throttle = Throttle()

    def plan(self, placed: Sequence[Placed], now_ms: int) -> Plan:
        """Decide on alerts that were not handled yet, in order."""
        done: list[Placed] = []
        due: list[Due] = []
        rows: list[Attempt] = []
        quiet: dict[str, int] = {}
        for one in placed:
            alert = one.alert
            why, joined = self._standing(alert, now_ms)
            grouped_by = key_of(alert).grouped_by
            done.append(replace(one, lead_id=joined.lead_id, grouped_by=grouped_by))
            told = [] if why else self._told(alert, joined, now_ms)
            if not told:
                why = why or UNROUTED
                quiet[why] = quiet.get(why, 0) + 1
                rows.append(suppressed(alert, EVERYONE, now_ms, why))
            due += told
            rows += [_row(one_due, now_ms) for one_due in told]
        return Plan(tuple(done), tuple(due), tuple(rows), quiet)

    def _standing(self, alert: Alert, now_ms: int) -> tuple[str, Joined]:
        """Return why nobody is told ("" if somebody is), and where the alert belongs."""
        alone = Joined(alert.alert_id, "first", 1)
        if alert.canary:
            return CANARY, alone
        if alert.suppressed_by:
            return EXCEPTION, alone
        joined = self.groups.join(alert)
        if is_past(alert, now_ms):
            return HISTORICAL, joined
        return (REPEAT if joined.standing == "repeat" else ""), joined

    def _told(self, alert: Alert, joined: Joined, now_ms: int) -> list[Due]:
        note = _note(joined)
        due: list[Due] = []
        for target, at_ms, reason in errands(alert, self._routing, self._throttle, now_ms):
            one = held(alert, target, at_ms, reason) if reason else first(alert, target, now_ms)
            due.append(replace(one, note=note, lead_id=joined.lead_id))
        return due


def _row(due: Due, now_ms: int) -> Attempt:
    if due.reason:
        until_ms = due.not_before_ms
        return Attempt(due.alert.alert_id, due.target, 0, now_ms, "deferred", due.reason, until_ms)
    return Attempt(due.alert.alert_id, due.target, 0, now_ms, "failed", QUEUED, now_ms)


def _note(joined: Joined) -> str:
    if joined.standing == "risen":
        return f"More severe than before: alert {joined.number} of group {joined.lead_id}"
    if joined.standing == "again":
        return f"Still going on: alert {joined.number} of group {joined.lead_id}"
    return ""
