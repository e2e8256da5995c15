"""Alerts and their deliveries in the store: what is known, what is done, what is left to do."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

import orjson

from consumers.alerts.grouping import Group, GroupKey
from consumers.alerts.planning import Placed
from consumers.alerts.schedule import WINDOW_MS, Attempt, Due, moment_ms, resume
from schemas.alert import SEVERITIES, Alert
from schemas.tables import ALERT_CHANGES, ALERTS, DELIVERIES

PENDING_MAX: Final = 10_000  # loaded at once; the rest when these are done
LOOK_MAX: Final = 1_000
CHANGES_MAX: Final = 10_000
HOUR_MS: Final = 3_600_000  # how far our clock and the broker's may be apart
HELD_MS_MAX: Final = 3 * WINDOW_MS  # a day in a digest, a day of tries, and what clocks differ

ALERT_COLUMNS: Final = (
    *(name for name in Alert.model_fields),
    "partition",
    "offset",
    "lead_id",
    "grouped_by",
)
DELIVERY_COLUMNS: Final = ("alert_id", "target", "attempt", "at", "outcome", "error", "next_at")


class StatusChange(NamedTuple):
    """A status that somebody gave an alert."""

    alert_id: str
    status: str
    stored_ms: int


class Storing(Protocol):
    """The part of the store that alerts need; each call blocks."""

    def query_rows(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, str | int] | None = None,
    ) -> list[tuple[Any, ...]]:
        """Run a SELECT, one tuple a row."""
        ...

    def insert_lines(
        self,
        table: str,
        columns: Sequence[str],
        lines: bytes,
        token: str,
        settings: Mapping[str, str | int] | None = None,
    ) -> None:
        """Write JSON lines as one part, at most once under the token."""
        ...


class Book:
    """Reads and writes alerts. Every method blocks and raises as the store does."""

    def __init__(self, store: Storing) -> None:
        self._store = store

    def handled(self, alert_ids: Sequence[str]) -> frozenset[str]:
        """Say of which alerts any delivery row tells. At most `LOOK_MAX` ids."""
        assert len(alert_ids) <= LOOK_MAX, "look for fewer alerts at once"
        rows = self._store.query_rows(
            f"SELECT DISTINCT alert_id FROM {DELIVERIES} WHERE alert_id IN {{ids:Array(String)}}",
            {"ids": list(alert_ids)},
        )
        return frozenset(row[0] for row in rows)

    def recent(self, since_ms: int, rows_max: int) -> list[tuple[str, int]]:
        """Return the newest handled alerts recorded since then, with when, oldest first."""
        rows = self._store.query_rows(
            f"SELECT alert_id, toUnixTimestamp64Milli(recorded) AS ms FROM {ALERTS} "
            f"WHERE recorded >= {{since:DateTime64(3, 'UTC')}} AND {_HANDLED} "
            "ORDER BY ms DESC LIMIT {rows:UInt32}",
            {**_since(since_ms), "rows": rows_max},
        )
        return [(row[0], int(row[1])) for row in reversed(rows)]

    def groups(self, since_ms: int, rows_max: int) -> list[tuple[GroupKey, Group]]:
        """Return the groups with a handled alert recorded since then, least recent first.

        Those whose status says that the matter is closed are left out.
        """
        ranks = ", ".join(f"'{severity}'" for severity in SEVERITIES)
        rows = self._store.query_rows(
            "SELECT tenant, rule_id, grouped_by, historical, lead_id, uniqExact(alert_id) AS n, "
            f"max(indexOf([{ranks}], severity)) AS worst, "
            "min(toUnixTimestamp64Milli(recorded)) AS first, "
            f"max(toUnixTimestamp64Milli(recorded)) AS last FROM {ALERTS} "
            f"WHERE recorded >= {{since:DateTime64(3, 'UTC')}} AND {_HANDLED} AND lead_id != '' "
            "AND suppressed_by = '' AND canary = 0 AND lead_id NOT IN (SELECT alert_id FROM "
            f"(SELECT alert_id, argMax(value, (at, change_id)) AS status FROM {ALERT_CHANGES} "
            "WHERE kind = 'status' GROUP BY alert_id) WHERE status IN ('resolved', "
            "'false_positive')) "
            "GROUP BY tenant, rule_id, grouped_by, historical, lead_id "
            "ORDER BY last DESC LIMIT {rows:UInt32}",
            {**_since(since_ms), "rows": rows_max},
        )
        return [
            (
                GroupKey(tenant, rule, by, bool(past)),
                Group(lead, int(worst) - 1, int(n), int(began), int(last)),
            )
            for tenant, rule, by, past, lead, n, worst, began, last in reversed(rows)
        ]

    def statuses(self, since_ms: int) -> list[StatusChange]:
        """Return the changes of status stored since then, oldest first."""
        rows = self._store.query_rows(
            "SELECT alert_id, value, toUnixTimestamp64Milli(stored) AS ms "
            f"FROM {ALERT_CHANGES} WHERE stored >= {{since:DateTime64(3, 'UTC')}} "
            "AND kind = 'status' ORDER BY at, change_id LIMIT {rows:UInt32}",
            {"since": _store_time(since_ms), "rows": CHANGES_MAX},
        )
        return [StatusChange(row[0], row[1], int(row[2])) for row in rows]

    def status(self, alert_id: str) -> str:
        """Return the status of one alert."""
        rows = self._store.query_rows(
            f"SELECT value FROM {ALERT_CHANGES} WHERE alert_id = {{id:String}} "
            "AND kind = 'status' ORDER BY at DESC, change_id DESC LIMIT 1",
            {"id": alert_id},
        )
        return str(rows[0][0]) if rows else "open"

    def store(self, placed: Sequence[Placed]) -> None:
        """Write alerts: idempotent, as the token is made of their ids. One part a month."""
        months: dict[str, list[Placed]] = {}
        for one in placed:
            months.setdefault(one.alert.recorded[:7], []).append(one)
        for month, ones in sorted(months.items()):
            lines = b"\n".join(_alert_line(one) for one in ones)
            names = (one.alert.alert_id for one in ones)
            self._store.insert_lines(ALERTS, ALERT_COLUMNS, lines, _token(month, names))

    def record(self, attempts: Sequence[Attempt]) -> None:
        """Write what became of attempts. Idempotent."""
        if not attempts:
            return
        lines = b"\n".join(_attempt_line(attempt) for attempt in attempts)
        names = (f"{one.alert_id}:{one.target}:{one.attempt}:{one.outcome}" for one in attempts)
        self._store.insert_lines(DELIVERIES, DELIVERY_COLUMNS, lines, _token("d", names))

    def pending(self, targets: Sequence[str], now_ms: int) -> list[Due]:
        """Return what is left to deliver to these targets, soonest first, at most `PENDING_MAX`.

        Only what was once meant for a target: one that is new hears nothing of before its time.
        """
        rows = self._store.query_rows(
            "SELECT alert_id, target, max(attempt) AS last, argMax(outcome, attempt) AS ended, "
            "toUnixTimestamp64Milli(argMax(next_at, attempt)) AS next_ms, "
            "argMax(error, attempt) AS why, toUnixTimestamp64Milli(argMin(next_at, attempt)) AS "
            f"first_ms FROM {DELIVERIES} "
            "WHERE target IN {targets:Array(String)} AND at >= {since:DateTime64(3, 'UTC')} "
            "GROUP BY alert_id, target HAVING ended IN ('failed', 'deferred') ORDER BY next_ms "
            "LIMIT {rows:UInt32}",
            {
                "targets": list(targets),
                "since": _store_time(now_ms - HELD_MS_MAX),
                "rows": PENDING_MAX,
            },
        )
        alerts = self._alerts(sorted({row[0] for row in rows}))
        found: list[Due] = []
        for alert_id, target, last, ended, next_ms, why, first_ms in rows:
            if alert_id not in alerts:
                continue
            alert, lead_id = alerts[alert_id]
            tried = Attempt(alert_id, target, last, next_ms, ended, why, next_ms)
            due = resume(alert, target, tried, first_ms=first_ms)
            if due is not None:
                found.append(replace(due, lead_id=lead_id))
        return found

    def _alerts(self, alert_ids: Sequence[str]) -> dict[str, tuple[Alert, str]]:
        found: dict[str, tuple[Alert, str]] = {}
        names = [name for name in ALERT_COLUMNS if name in Alert.model_fields]
        columns = ", ".join(_SELECT.get(name, name) for name in names)
        for start in range(0, len(alert_ids), LOOK_MAX):
            rows = self._store.query_rows(
                f"SELECT {columns}, lead_id FROM {ALERTS} WHERE alert_id IN {{ids:Array(String)}}",
                {"ids": list(alert_ids[start : start + LOOK_MAX])},
            )
            for row in rows:
                alert = Alert.model_validate(dict(zip(names, row[:-1], strict=True)))
                found[alert.alert_id] = (alert, row[-1] or alert.alert_id)
        return found


# What was handled has a row of delivery, which is not older than its alert.
_HANDLED: Final = (
    f"alert_id IN (SELECT alert_id FROM {DELIVERIES} WHERE at >= {{told:DateTime64(3, 'UTC')}})"
)
_SELECT: Final = {
    "occurred": "concat(replaceOne(toString(occurred), ' ', 'T'), 'Z')",
    "recorded": "concat(replaceOne(toString(recorded), ' ', 'T'), 'Z')",
    "group": "`group`",
}


def _alert_line(placed: Placed) -> bytes:
    fields = placed.alert.model_dump()
    fields["occurred"] = _utc(placed.alert.occurred)
    fields["recorded"] = _store_time(moment_ms(placed.alert.recorded))
    return orjson.dumps(
        {
            **fields,
            "partition": placed.partition,
            "offset": placed.offset,
            "lead_id": placed.lead_id,
            "grouped_by": placed.grouped_by,
        }
    )


def _attempt_line(attempt: Attempt) -> bytes:
    return orjson.dumps(
        {
            "alert_id": attempt.alert_id,
            "target": attempt.target,
            "attempt": attempt.attempt,
            "at": _store_time(attempt.at_ms),
            "outcome": attempt.outcome,
            "error": attempt.error,
            "next_at": _store_time(attempt.next_ms),
        }
    )


def _since(since_ms: int) -> dict[str, str]:
    return {"since": _store_time(since_ms), "told": _store_time(since_ms - HOUR_MS)}


def _utc(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"


def _store_time(moment_ms_: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment_ms_)
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"[:-3]


def _token(what: str, names: Iterable[str]) -> str:
    """Name an insert by its content: offsets would name other alerts once a topic is made anew."""
    return hashlib.sha256("\n".join((what, *names)).encode()).hexdigest()
