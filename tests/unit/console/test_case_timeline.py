"""The timeline of a case, and who takes part: pure."""

from typing import Any

from console.cases.book import Member, Note
from console.cases.view import PARTICIPANTS_MAX, participants, timeline


def member(ref: str, at_us: int, kind: str = "event") -> Member:
    return Member(kind, ref, ref, at_us, "jane", f"did {ref}", note="", added_by="ann")


def line(**fields: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("user", "ip_address", "session_id", "resource", "resource_id"))
    return {**empty, **fields}


def test_events_alerts_and_notes_stand_by_time_and_at_one_moment_events_come_first() -> None:
    members = [member("alert", 2, "alert"), member("late", 3), member("event", 2)]
    notes = [Note(1, 1, "before", 9, "bob"), Note(2, 3, "after", 9, "bob")]
    found = timeline(members, notes, {"event": line()}, {"alert": line()})
    assert [one["what"] for one in found] == [
        "before",
        "did event",
        "did alert",
        "did late",
        "after",
    ]
    assert [one["gone"] for one in found] == [False, False, False, True, False]


def test_an_alert_is_not_taken_for_an_event_of_the_same_name() -> None:
    (one,) = timeline([member("x", 1, "alert")], [], {"x": line()}, {})
    assert one["gone"]
    assert one["event"] is None


def test_participants_are_counted_the_most_named_first_and_bounded() -> None:
    shown = [line(user="a", resource="r", resource_id="1"), line(user="b"), line(user="b")]
    shown += [line(session_id=f"s{n}") for n in range(PARTICIPANTS_MAX + 5)]
    found = participants(shown)
    assert found["users"] == [{"value": "b", "count": 2}, {"value": "a", "count": 1}]
    assert found["resources"] == [{"value": "r", "resource_id": "1", "count": 1}]
    assert len(found["sessions"]) == PARTICIPANTS_MAX
    assert found["addresses"] == []
