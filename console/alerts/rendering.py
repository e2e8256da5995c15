"""Rows of alerts, their deliveries and changes as the views show them. Pure."""

from math import isnan
from typing import Any, Final

from console.alerts.changes import AlertChange, State
from console.search.moment import rfc3339
from console.search.rendering import Row

_PLAIN: Final = (
    "alert_id",
    "rule_id",
    "rule_version",
    "title",
    "severity",
    "tenant",
    "group",
    "summary",
    "event_count",
)
_OPTIONAL: Final = (
    "runbook",
    "user",
    "action",
    "resource",
    "ip_address",
    "session_id",
    "why",
    "suppressed_by",
    "rule_set",
)


def render_alert(row: Row, state: State, size: Row | None) -> dict[str, Any]:
    """Return an `AlertOut`; without a size the alert is of before there were groups."""
    return {
        **{name: row[name] for name in _PLAIN},
        **{name: row[name] or None for name in _OPTIONAL},
        "tags": list(row["tags"]),
        "event_ids": list(row["event_ids"]),
        "historical": bool(row["historical"]),
        "canary": bool(row["canary"]),
        "occurred": rfc3339(row["occurred_us"]),
        "recorded": _moment(row["recorded_ms"]),
        "stored": _moment(row["stored_ms"]),
        "lead_id": row["lead"],
        "status": state.status,
        "assignee": state.assignee or None,
        "alerts": size["alerts"] if size else 1,
        "last": _moment(size["last_ms"] if size else row["recorded_ms"]),
    }


def render_delivery(row: Row) -> dict[str, Any]:
    """Return a `DeliveryOut`. The row before the first attempt only says that it was queued."""
    is_queued = row["attempt"] == 0 and row["outcome"] == "failed"
    is_over = row["outcome"] not in ("failed", "deferred") or is_queued
    return {
        "target": row["target"],
        "attempt": row["attempt"],
        "outcome": "queued" if is_queued else row["outcome"],
        "reason": None if is_queued else row["error"] or None,
        "tried": _moment(row["at_ms"]),
        "next": None if is_over else _moment(row["next_ms"]),
    }


def render_change(row: Row) -> dict[str, Any]:
    """Return an `AlertChangeOut` of a stored row."""
    return {
        "change_id": row["change_id"],
        "at": _moment(row["at_ms"]),
        "who": row["who"],
        "kind": row["kind_name"],
        "before": row["before"] or None,
        "value": row["value"],
    }


def render_made(change: AlertChange) -> dict[str, Any]:
    """Return an `AlertChangeOut` of a change that was just made."""
    return {
        "change_id": change.change_id,
        "at": _moment(change.at_ms),
        "who": change.who,
        "kind": change.kind,
        "before": change.before or None,
        "value": change.value,
    }


def render_status_count(row: Row) -> dict[str, Any]:
    """Return a `StatusCount`; a median of nothing is null."""
    return {
        "status": row["status_name"],
        "groups": row["n"],
        "taken_s": _seconds(row["taken_ms"]),
        "closed_s": _seconds(row["closed_ms"]),
    }


def render_target(name: str, row: Row | None, configured: frozenset[str]) -> dict[str, Any]:
    """Return a `TargetOut`; without a row nothing was sent of late."""
    if row is None:
        return {"target": name, "state": "unused"}
    state = row["last"] or "unused"
    return {
        "target": name,
        "state": state if name in configured else "removed",
        "delivered": row["delivered"],
        "failures": row["failures"],
        "given_up": row["given_up"],
        "pending": row["pending"],
        "last_delivered": _moment(row["delivered_ms"]) if row["delivered_ms"] else None,
        "last_failed": _moment(row["failed_ms"]) if row["failed_ms"] else None,
    }


def _moment(at_ms: int) -> str:
    return rfc3339(at_ms * 1000, digits=3)


def _seconds(span_ms: float) -> float | None:
    return None if isnan(span_ms) else round(span_ms / 1000, 1)
