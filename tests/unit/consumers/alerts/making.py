"""Alerts for tests."""

from datetime import UTC, datetime
from typing import Any

from consumers.alerts.schedule import moment_ms
from schemas.alert import Alert, alert_id

RECORDED = "2025-10-12T10:00:00.250Z"
NOW_MS = moment_ms(RECORDED)


def make(name: str, **fields: Any) -> Alert:
    return Alert.model_validate(
        {
            "alert_id": alert_id("r", 1, name, "e"),
            "rule_id": "r",
            "rule_version": 1,
            "title": "Admin login failed",
            "severity": "high",
            "tenant": "default",
            "group": name,
            "summary": "s",
            "occurred": RECORDED,
            "recorded": RECORDED,
        }
        | fields
    )


def at(now_ms: int) -> str:
    """Return the moment as an alert has it."""
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
