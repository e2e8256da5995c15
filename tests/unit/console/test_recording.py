"""Every read and change becomes an event that the pipeline takes, whatever was asked."""

import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.access import Principal
from console.ports import Read
from console.record.polls import EVERY_MS, KNOWN_MAX, Polls, Silent
from console.record.recording import DETAILS_BYTES_MAX, event_of_read
from console.web.problems import Refused
from producers.message import to_message
from schemas.actions import ACTIONS
from schemas.reads import READ_ACTIONS, READ_PATHS, read_kind
from schemas.topics import EVENT_BYTES_MAX

NOW_MS = 1_760_300_000_123
JANE = Principal(
    "jane@company.com",
    frozenset({"analyst", "auditor"}),
    "acme",
    kind="session",
    key="s-1",
    client="203.0.113.42",
)


def read(path: str = "/search", rows: int = 3, by: Principal = JANE, **asked: Any) -> Read:
    return Read(path, asked, by, rows)


def test_a_read_tells_who_asked_what_from_where_and_how_many_rows() -> None:
    event = event_of_read(
        Read("/search", {"q": "user:joe"}, JANE, 3, "root", "audit/1"), NOW_MS, Silent(2, "a")
    )

    assert event.pop("event_id").startswith(f"{NOW_MS:012x}")
    assert event == {
        "timestamp": "2025-10-12T20:13:20.123Z",
        "tenant": "acme",
        "user": "jane@company.com",
        "role": "analyst auditor",
        "action": "audit.events.searched",
        "resource": "audit_events",
        "result": "success",
        "ip_address": "203.0.113.42",
        "user_agent": "audit/1",
        "session_id": "s-1",
        "source": "audit-console",
        "details": {
            "path": "/search",
            "query": {
                "q": "user:joe",
                "asked_sha256": "9346d302801702061cbc2d1ccaa5894e7609608f59b2a637e51b41de2a15133f",
                "asked_length": 8,
            },
            "rows": 3,
            "kind": "search",
            "operator_claimed": "root",
            "polls": 2,
            "polled_after": "a",
        },
    }


def test_secrets_in_a_query_are_masked_before_the_event_is_kept() -> None:
    event = event_of_read(read(q="text:AKIAABCDEFGHIJKLMNOP", password="hunter2"), NOW_MS)

    kept = to_message(event, "").value

    assert b"AKIAABCDEFGHIJKLMNOP" not in kept
    assert b"hunter2" not in kept


@pytest.mark.parametrize("path", sorted(READ_PATHS))
def test_each_read_is_in_the_catalogue(path: str) -> None:
    assert ACTIONS[read_kind(path).action].category in {"data_access", "export", "configuration"}
    assert read_kind(f"/v1{path}") == read_kind(path)


def test_what_changes_something_is_no_read() -> None:
    assert "audit.quarantine.replayed" not in READ_ACTIONS
    assert "audit.events.searched" in READ_ACTIONS


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/events/{event_id:path}", "event"),
        ("/reports/new-one", "reports"),
        ("/alerts/{alert_id}/related", "alert"),
        ("/nobody-knows", "other"),
        ("", "other"),
    ],
)
def test_an_address_not_listed_leaves_its_parents_action(path: str, kind: str) -> None:
    assert read_kind(path).kind == kind


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(asked=st.dictionaries(st.text(), values), name=st.text(), client=st.text())
def test_whatever_is_asked_by_whomever_leaves_an_event_the_pipeline_takes(
    asked: dict[str, Any], name: str, client: str
) -> None:
    by = Principal(name, frozenset(), name, key=name, client=client)

    raw = to_message(event_of_read(read(by=by, asked=asked), NOW_MS), "").value

    assert len(raw) < EVENT_BYTES_MAX


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({"q": "\ud800\udfff"}, id="half characters"),
        pytest.param({"n": 10**5000}, id="a huge number"),
        pytest.param({"n": math.nan}, id="no number"),
    ],
)
def test_what_json_can_not_hold_is_mended(asked: dict[str, Any]) -> None:
    event = event_of_read(read(**asked), NOW_MS)

    assert to_message(event, "").value
    assert len(orjson.dumps(event)) < 2 * DETAILS_BYTES_MAX


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({str(n): "x" * 9_000 for n in range(100)}, id="much"),
        pytest.param({"q": "\U0001d54f" * 100_000}, id="long"),
    ],
)
def test_what_can_not_be_told_in_whole_is_refused_for_a_part_could_hide_the_rest(
    asked: dict[str, Any],
) -> None:
    with pytest.raises(Refused, match="too long"):
        event_of_read(read(**asked), NOW_MS)


def test_control_characters_in_one_parameter_push_no_other_out() -> None:
    asked: dict[str, Any] = {"q": f'-"{chr(1) * 4_000}"', "user": "ceo", "resource": "\x01" * 1_000}

    raw = to_message(event_of_read(read(**asked), NOW_MS), "").value

    assert orjson.loads(raw)["details"]["query"]["user"] == "ceo"


def poll(after: str = "a", rows: int = 0, **fields: Any) -> Read:
    return read("/v1/alerts", rows, after=after, **fields)


def test_empty_polls_leave_one_event_a_minute_which_tells_how_many_they_were() -> None:
    polls = Polls()

    told = [polls.silent(poll(str(n)), NOW_MS + n * 2_000) for n in range(61)]

    assert told == [
        Silent(),
        *[None] * 29,
        Silent(29, "1"),
        *[None] * 29,
        Silent(29, "31"),
    ]


def test_a_poll_that_shows_something_leaves_its_event_at_once() -> None:
    polls = Polls()
    polls.silent(poll(), NOW_MS)

    assert polls.silent(poll(), NOW_MS + 1_000) is None
    assert polls.silent(poll(rows=1), NOW_MS + 2_000) == Silent(1, "a")
    assert polls.silent(poll(rows=1), NOW_MS + 3_000) == Silent()


def test_another_question_or_person_is_another_poll() -> None:
    polls = Polls()
    polls.silent(poll(), NOW_MS)
    other = Principal("joe", frozenset(), "acme")

    assert polls.silent(poll(severity="high"), NOW_MS) == Silent()
    assert polls.silent(poll(by=other), NOW_MS) == Silent()


def test_a_page_that_shows_the_service_leaves_one_event_a_minute_however_often_it_refreshes() -> (
    None
):
    polls = Polls()

    told = [polls.silent(read("/health", 9), NOW_MS + n * 15_000) for n in range(9)]

    assert told == [Silent(), *[None] * 3, Silent(3), *[None] * 3, Silent(3)]


def test_a_read_that_is_no_poll_always_leaves_its_event() -> None:
    polls = Polls()

    assert [polls.silent(read(rows=0), NOW_MS) for _ in range(3)] == [Silent()] * 3
    assert [polls.silent(read("/v1/alerts", 0), NOW_MS) for _ in range(3)] == [Silent()] * 3


def test_more_polls_than_can_be_known_leave_more_events_never_fewer() -> None:
    polls = Polls()
    for n in range(KNOWN_MAX + 1):
        assert polls.silent(poll(rule=str(n)), NOW_MS) == Silent()

    assert polls.silent(poll(rule="0"), NOW_MS + EVERY_MS // 2) == Silent()
