"""What a batch asks for, and that asking again asks for nothing."""

from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry

from consumers.alerts.intake import read_alerts
from consumers.alerts.planning import EVERYONE, QUEUED, Placed, Planner
from consumers.alerts.routing import everyone
from consumers.alerts.schedule import moment_ms
from consumers.alerts.tally import Tally
from schemas.alert import Alert, alert_id

RECORDED = "2025-10-12T10:00:00.250Z"
NOW_MS = moment_ms(RECORDED)


@dataclass
class Record:
    value: bytes | None
    partition: int = 0
    offset: int = 0


def placed(name: str, **fields: object) -> Placed:
    alert = Alert.model_validate(
        {
            "alert_id": alert_id("r", 1, name, "e"),
            "rule_id": "r",
            "rule_version": 1,
            "title": "t",
            "severity": "high",
            "tenant": "default",
            "group": "g",
            "summary": "s",
            "occurred": RECORDED,
            "recorded": RECORDED,
        }
        | fields
    )
    return Placed(alert, 0, 0)


def test_a_batch_names_each_alert_once_and_skips_what_is_none() -> None:
    tally = Tally(CollectorRegistry())
    value = placed("a").alert.model_dump_json().encode()
    found = read_alerts([Record(value), Record(b"{}"), Record(None), Record(value)], tally)
    assert [one.alert for one in found] == [placed("a").alert]
    assert tally.unreadable._value.get() == 2


def planner(*targets: str) -> Planner:
    return Planner(everyone(targets))


def test_a_new_alert_is_stored_and_sent_to_each_target() -> None:
    one = placed("a")
    planned = planner("x", "y").plan([one], NOW_MS)
    assert [done.alert for done in planned.placed] == [one.alert]
    assert [due.target for due in planned.due] == ["x", "y"]
    assert [(row.target, row.attempt, row.error) for row in planned.rows] == [
        ("x", 0, QUEUED),
        ("y", 0, QUEUED),
    ]


@pytest.mark.parametrize(
    ("fields", "targets", "why"),
    [
        ({"historical": True}, ("x",), "historical"),
        ({"suppressed_by": "exception-7"}, ("x",), "exception"),
        ({"canary": True}, ("x",), "canary"),
        ({}, (), "unrouted"),
    ],
)
def test_who_is_not_told_is_said_in_a_row(
    fields: dict[str, object], targets: tuple[str, ...], why: str
) -> None:
    planned = planner(*targets).plan([placed("a", **fields)], NOW_MS)
    assert len(planned.placed) == 1
    assert planned.due == ()
    assert planned.quiet == {why: 1}
    assert [(row.target, row.outcome, row.error) for row in planned.rows] == [
        (EVERYONE, "suppressed", why)
    ]
