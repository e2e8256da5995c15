"""The queue's queries reach no further than the credential, and its counts add up."""

import pytest

from console.alerts.queue import QueueSearch, assignees, counts, following, queue, tally
from console.web.problems import Refused

ONLY = "tenant = {tenant:String}"
NOW_US = 1_760_300_000_000_000


def test_every_query_of_the_queue_is_bound_to_the_tenant() -> None:
    for made in (queue(QueueSearch(), "acme", NOW_US), counts(QueueSearch(), "acme", NOW_US)):
        assert ONLY in made.sql
        assert made.parameters["tenant"] == "acme"
    assert ONLY in assignees("acme").sql
    assert ONLY not in queue(QueueSearch(), None, NOW_US).sql


def test_text_of_a_filter_is_a_parameter_and_never_sql() -> None:
    evil = "x' OR 1=1 --"
    asked = QueueSearch(user=evil, rule=evil, ip=evil, session=evil, tag=evil, assignee=evil)
    for made in (queue(asked, "acme", NOW_US), counts(asked, "acme", NOW_US)):
        assert evil not in made.sql
        assert evil in made.parameters.values()


def test_a_cursor_goes_on_behind_its_row_and_is_refused_by_another_question() -> None:
    row = {"alert_id": "a" * 32, "k1": 1, "k2": -4, "k3": 1_760_000_000_000}
    cursor = following(row, QueueSearch().question())
    made = queue(QueueSearch(cursor=cursor), None, NOW_US)
    named = {name: made.parameters[name] for name in ("c1", "c2", "c3", "c_id")}
    assert named == {"c1": 1, "c2": -4, "c3": 1_760_000_000_000, "c_id": "a" * 32}
    with pytest.raises(Refused):
        queue(QueueSearch(cursor=cursor, order="newest"), None, NOW_US)


def test_counts_by_status_are_of_the_severity_chosen_and_the_other_way_around() -> None:
    rows = [
        {"place": "open", "severity": "high", "n": 2},
        {"place": "past", "severity": "high", "n": 1},
        {"place": "acknowledged", "severity": "low", "n": 3},
        {"place": "resolved", "severity": "high", "n": 5},
    ]
    found = tally(rows, QueueSearch(severity="high", status="active"))
    assert found["status"]["active"] == 3
    assert found["status"]["closed"] == 5
    assert found["status"]["any"] == 8
    assert found["severity"] == {"critical": 0, "high": 3, "medium": 0, "low": 3, "info": 0}
    assert found["total"] == 11


def test_what_was_chosen_comes_back_as_a_link_without_its_page() -> None:
    asked = QueueSearch(severity="high", grouped=False, changed=3)
    assert asked.without_page() == {"severity": "high", "grouped": "false"}
