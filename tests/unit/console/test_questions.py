"""The pure parts of entity pages, access lists, histories, timelines, periods and reports."""

from typing import Any

import pytest

from cli.report import report
from console.entities.access_list import Asked, proof_of, summary, verdict
from console.entities.everything import Entity, usual
from console.entities.resources import SHORT_MAX, runs, values_at
from console.entities.timeline import minutes, tone
from console.query.conditions import unbounded
from console.query.parse import parse
from console.reports.making import PERIOD_DEFAULT, proof
from console.reports.part import change
from console.search.period import ALL, DEFAULT, period_of
from console.web.problems import Refused
from schemas.ledger import Ledger

NOW_US = 1_760_300_000_000_000  # 2025-10-12T20:13:20Z
CHART = Asked("charts 9", "between then and now", ", and the ledger has no gap in that time")
JANE = {
    "events": 4,
    "done": 3,
    "denied": 1,
    "failed": 0,
    "last_done": "2025-10-11T10:02:00Z",
}


def ledger(difference: int = 0, lag: int = 0) -> Ledger:
    return Ledger(
        received=9, stored=9, quarantined=0, difference=difference, lag=lag, partitions=()
    )


@pytest.mark.parametrize(
    ("person", "others", "said"),
    [
        pytest.param(
            JANE,
            2,
            "Yes: jane accessed charts 9 3 times between then and now, last at 2025-10-11 "
            "10:02:00 UTC. 1 attempt was denied. 2 people else did.",
            id="she did, and was denied once",
        ),
        pytest.param(
            {**JANE, "done": 0, "denied": 2},
            0,
            "No: jane tried, and never succeeded, to access charts 9 between then and now. "
            "2 attempts were denied. Nobody else did.",
            id="she only tried",
        ),
        pytest.param(
            None,
            1,
            "No event says that jane accessed charts 9 between then and now, and the ledger has "
            "no gap in that time. 1 person else did.",
            id="she did not",
        ),
    ],
)
def test_answer_in_words(person: dict[str, object] | None, others: int, said: str) -> None:
    assert verdict("jane", CHART, person, others) == said


def test_summary_counts_people_and_those_who_never_succeeded() -> None:
    found = [{"events": 3, "done": 3}, {"events": 1, "done": 0}]
    assert summary(CHART, found, 2) == (
        "2 people accessed charts 9, or tried to, 4 times between then and now. "
        "1 person of them never succeeded."
    )
    assert summary(CHART, found, 500).startswith("500 people accessed charts 9")
    assert summary(CHART, [], 0).startswith("No event says that anybody accessed charts 9")


def test_ledgers_word_is_only_as_good_as_the_ledger() -> None:
    assert proof_of(ledger()) == ", and the ledger has no gap in that time"
    assert "not stored yet" in proof_of(ledger(lag=7))
    assert "may be missing" in proof_of(ledger(difference=1))
    assert "can't be asked" in proof_of(None)
    period = period_of("7d", None, NOW_US)
    assert proof(ledger(difference=2), None, period, is_all=True).is_whole is False
    assert proof(None, None, period, is_all=True).is_whole is False
    assert proof(ledger(), None, period, is_all=False).received is None


def change_row(old: str, new: str, at_us: int) -> dict[str, object]:
    return {
        "changed": ["days"],
        "action": "settings.retention_policy.updated",
        "before": [old],
        "after": [new],
        "resource_id": "",
        "event_id": f"e{at_us}",
        "user": "u",
        "occurred_us": at_us,
    }


def test_value_is_what_the_last_change_set_or_what_the_next_one_found() -> None:
    first, second = change_row("30", "90", 1), change_row("90", "180", 2)
    (between,) = values_at([first], [second])
    assert (between["value"], between["said"], between["event_id"]) == ("90", "set", "e1")
    (before,) = values_at([], [first, second])
    assert (before["value"], before["said"], before["event_id"]) == ("30", "as found", "e1")
    (after,) = values_at([second, first], [])
    assert after["value"] == "180"
    assert values_at([], []) == []


def test_a_value_right_in_the_details_is_named_by_its_action() -> None:
    row = {**change_row('"90 days"', '"180 days"', 1), "changed": ["details"]}
    (value,) = values_at([row], [])
    assert (value["path"], value["value"]) == ("retention_policy", "180 days")


def brief_change(user: str, old: str, new: str, **given: object) -> dict[str, Any]:
    line = {"path": "days", "before": old, "after": new}
    plain = {"action": "a.b.c", "result": "success", "resource_id": None, "reason": None}
    found = {"user": user, "severity": "low", "rules": [], "changes": [line]}
    return {**plain, **found, **given}


def test_a_grave_change_is_not_lost_among_many_of_the_same_user() -> None:
    changes = [
        brief_change("jo", "3", "4"),
        brief_change("jo", "2", "3"),
        brief_change("jo", "9", "2", rules=["retention-shortened"]),
        brief_change("jo", "8", "9", severity="critical"),
        brief_change("jo", "7", "8"),
        brief_change("al", "6", "7"),
    ]
    found = runs(changes)
    assert [len(run["changes"]) for run in found] == [2, 1, 1, 1, 1]
    assert [run["marked"] for run in found] == [False, True, True, False, False]
    assert found[0]["short"] == [{"path": "days", "before": "2", "after": "4"}]


def test_a_line_of_a_long_change_is_short() -> None:
    (run,) = runs([brief_change("jo", "x" * 5_000, "y")])
    assert len(run["short"][0]["before"]) == SHORT_MAX + 1


def test_reports_look_at_the_same_period_as_pages() -> None:
    assert PERIOD_DEFAULT == DEFAULT
    assert {option.name: option.default for option in report.params}["since"] == DEFAULT


def test_usual_hours_are_the_shortest_run_that_holds_most() -> None:
    week = [[0] * 24 for _ in range(7)]
    assert usual(week) == ""
    for day in range(5):
        week[day][22] = week[day][23] = week[day][0] = 10
    assert usual(week) == "mostly 22:00 to 01:00 UTC, never on weekends"
    week[6][12] = 10
    assert usual(week) == "mostly 22:00 to 01:00 UTC, 6% on weekends"
    assert usual([[1] * 24] * 7).startswith("mostly 00:00 to 20:00")


def test_minutes_mark_the_moment_before_what_happened_in_it() -> None:
    entries = [
        {"kind": "event", "at_us": 120_000_000, "user": "late"},
        {"kind": "event", "at_us": 60_000_000, "user": "now"},
    ]
    groups = minutes(entries, 60_000_000)
    assert [group["minute"] for group in groups] == ["1970-01-01T00:01:00Z", "1970-01-01T00:02:00Z"]
    assert [entry["kind"] for entry in groups[0]["entries"]] == ["moment", "event"]


@pytest.mark.parametrize(
    ("severity", "result", "changes", "expected"),
    [
        ("info", "success", [], ""),
        ("info", "success", [1], "loud"),
        ("medium", "success", [], "loud"),
        ("info", "denied", [], "bad"),
        ("critical", "success", [], "bad"),
    ],
)
def test_what_stands_out(severity: str, result: str, changes: list[int], expected: str) -> None:
    assert tone({"severity": severity, "result": result, "changes": changes}) == expected


def test_periods_are_read_said_and_handed_on() -> None:
    period = period_of(None, None, NOW_US)
    assert period.since == "2025-09-12T20:13:20Z"
    assert period.until is None
    assert period_of(ALL, None, NOW_US).words == "between the beginning and now"
    assert period_of("7d", "2025-10-08", NOW_US).since == "2025-10-01T00:00:00Z"
    with pytest.raises(Refused, match="since is not before until"):
        period_of("2025-10-12", "2025-10-11", NOW_US)
    narrowed = period.narrow(unbounded())
    assert narrowed.parameters == {"p_since": "2025-09-12 20:13:20.000000"}


@pytest.mark.parametrize("name", ["jane", 'a "b" OR c', "x*y", "-z", "sélène\u202e", "a:b"])
def test_queries_of_entities_can_be_asked(name: str) -> None:
    for entity in (Entity("user", name), Entity("session", name), Entity("resource", name, name)):
        parse(entity.query)


def test_a_change_in_one_line_is_bounded() -> None:
    sides = {"before": ['"x"', ""], "after": ['"y"', "1"]}
    row = {"changed": ["", "a"], **sides, "action": ""}
    assert change(row) == "x → y; a: not set → 1"
    long = {"changed": [""], "before": [f'"{"x" * 9_000}"'], "after": ['""'], "action": ""}
    assert len(change(long)) < 400
