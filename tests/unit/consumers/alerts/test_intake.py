"""What a batch asks for, and that asking again asks for nothing."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from consumers.alerts.book import EVERYONE, QUEUED, Known, Placed
from consumers.alerts.intake import plan, read_alerts
from consumers.alerts.schedule import moment_ms
from consumers.alerts.tally import Tally
from schemas.alert import Alert, alert_id

RECORDED = "2025-10-12T10:00:00.250Z"
NOW_MS = moment_ms(RECORDED)
NOTHING = Known(frozenset(), frozenset())


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


def test_a_new_alert_is_stored_and_sent_to_each_target() -> None:
    one = placed("a")
    planned = plan([one], NOTHING, ("x", "y"), NOW_MS)
    assert planned.fresh == (one,)
    assert [due.target for due in planned.due] == ["x", "y"]
    assert [(row.target, row.attempt, row.error) for row in planned.rows] == [
        ("x", 0, QUEUED),
        ("y", 0, QUEUED),
    ]


def test_an_alert_whose_rows_are_there_asks_for_nothing() -> None:
    name = placed("a").alert.alert_id
    planned = plan([placed("a")], Known(frozenset({name}), frozenset({name})), ("x",), NOW_MS)
    assert (planned.fresh, planned.due, planned.rows) == ((), (), ())


def test_an_alert_that_a_kill_left_without_rows_is_sent_and_not_stored_again() -> None:
    name = placed("a").alert.alert_id
    planned = plan([placed("a")], Known(frozenset({name}), frozenset()), ("x",), NOW_MS)
    assert planned.fresh == ()
    assert [due.target for due in planned.due] == ["x"]


def test_the_past_is_stored_with_a_row_that_says_why_it_was_not_sent() -> None:
    planned = plan([placed("a", historical=True)], NOTHING, ("x",), NOW_MS)
    assert len(planned.fresh) == planned.past == 1
    assert planned.due == ()
    assert [(row.target, row.outcome) for row in planned.rows] == [(EVERYONE, "suppressed")]
