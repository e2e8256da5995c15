"""Alerts and their deliveries in the store: what is known, what is done, what is left to do."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

import orjson

from consumers.alerts.schedule import WINDOW_MS, Attempt, Due, moment_ms, resume
from schemas.alert import Alert
from schemas.tables import ALERTS, DELIVERIES

EVERYONE: Final = "*"  # the target of a row that holds for all of them
QUEUED: Final = "queued"  # the error of the row before the first attempt
PENDING_MAX: Final = 10_000  # loaded at once; the rest when these are done
LOOK_MAX: Final = 1_000

ALERT_COLUMNS: Final = (
    *(name for name in Alert.model_fields),
    "partition",
    "offset",
)
DELIVERY_COLUMNS: Final = ("alert_id", "target", "attempt", "at", "outcome", "error", "next_at")


class Placed(NamedTuple):
    """An alert and where it lies on its topic."""

    alert: Alert
    partition: int
    offset: int


class Known(NamedTuple):
    """Which of the alerts asked for are stored, and which of these any delivery row names."""

    stored: frozenset[str]
    handled: frozenset[str]


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

    def look(self, alert_ids: Sequence[str]) -> Known:
        """Say which alerts are there already. At most `LOOK_MAX` ids."""
        assert len(alert_ids) <= LOOK_MAX, "look for fewer alerts at once"
        ids = {"ids": list(alert_ids)}
        stored = self._store.query_rows(
            f"SELECT DISTINCT alert_id FROM {ALERTS} WHERE alert_id IN {{ids:Array(String)}}",
            ids,
        )
        if not stored:
            return Known(frozenset(), frozenset())
        handled = self._store.query_rows(
            f"SELECT DISTINCT alert_id FROM {DELIVERIES} WHERE alert_id IN {{ids:Array(String)}}",
            ids,
        )
        return Known(frozenset(row[0] for row in stored), frozenset(row[0] for row in handled))

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
            f"toUnixTimestamp64Milli(argMax(next_at, attempt)) AS next_ms FROM {DELIVERIES} "
            "WHERE target IN {targets:Array(String)} AND at >= {since:DateTime64(3, 'UTC')} "
            "GROUP BY alert_id, target HAVING ended = 'failed' ORDER BY next_ms "
            "LIMIT {rows:UInt32}",
            {
                "targets": list(targets),
                "since": _store_time(now_ms - 2 * WINDOW_MS),
                "rows": PENDING_MAX,
            },
        )
        alerts = self._alerts(sorted({row[0] for row in rows}))
        found: list[Due] = []
        for alert_id, target, last, _, next_ms in rows:
            tried = Attempt(alert_id, target, last, next_ms, "failed", "", next_ms)
            due = resume(alerts[alert_id], target, tried) if alert_id in alerts else None
            if due is not None:
                found.append(due)
        return found

    def _alerts(self, alert_ids: Sequence[str]) -> dict[str, Alert]:
        found: dict[str, Alert] = {}
        names = [name for name in ALERT_COLUMNS if name in Alert.model_fields]
        columns = ", ".join(_SELECT.get(name, name) for name in names)
        for start in range(0, len(alert_ids), LOOK_MAX):
            rows = self._store.query_rows(
                f"SELECT {columns} FROM {ALERTS} WHERE alert_id IN {{ids:Array(String)}}",
                {"ids": list(alert_ids[start : start + LOOK_MAX])},
            )
            for row in rows:
                alert = Alert.model_validate(dict(zip(names, row, strict=True)))
                found[alert.alert_id] = alert
        return found


_SELECT: Final = {
    "occurred": "concat(replaceOne(toString(occurred), ' ', 'T'), 'Z')",
    "recorded": "concat(replaceOne(toString(recorded), ' ', 'T'), 'Z')",
    "group": "`group`",
}


def _alert_line(placed: Placed) -> bytes:
    fields = placed.alert.model_dump()
    fields["occurred"] = _utc(placed.alert.occurred)
    fields["recorded"] = _store_time(moment_ms(placed.alert.recorded))
    return orjson.dumps({**fields, "partition": placed.partition, "offset": placed.offset})


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


def _utc(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"


def _store_time(moment_ms_: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment_ms_)
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"[:-3]


def _token(what: str, names: Iterable[str]) -> str:
    """Name an insert by its content: offsets would name other alerts once a topic is made anew."""
    return hashlib.sha256("\n".join((what, *names)).encode()).hexdigest()
