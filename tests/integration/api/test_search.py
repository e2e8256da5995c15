"""Search over HTTP semantics on a real store: what it finds, in what order, and what it refuses."""

import json
from typing import Any

import pytest

from schemas.views import EventOut
from tests.integration.api.stored import INCARNATION, SEED, offsets, search


async def test_the_seeds_examples_come_out_complete(ask: Any) -> None:
    found = {row["offset"]: row for row in await search(ask(), since="2025-10-11T14:00:00Z")}
    for offset, raw in enumerate(SEED):
        said = json.loads(raw)
        shown = found[offset]
        for name, value in said.items():
            assert shown[name] == value, name
        for name in set(EventOut.model_fields) & {"role", "resource_id", "request_id"}:
            assert shown[name] is None
        assert shown["reason"] == said.get("details", {}).get("reason")


async def test_every_field_of_an_event_is_shown_as_documented(ask: Any) -> None:
    (shown,) = await search(ask(), resource="voice_recordings")
    stored = shown.pop("stored")
    assert stored.endswith("Z")
    assert shown == {
        "event_id": f"{INCARNATION[:8]}-0-2",
        "timestamp": "2025-10-11T15:45:30Z",
        "tenant": "default",
        "user": "admin@company.com",
        "role": None,
        "on_behalf_of": None,
        "action": "settings.retention_policy.updated",
        "result": "unknown",
        "resource": "voice_recordings",
        "resource_id": None,
        "ip_address": "203.0.113.42",
        "user_agent": None,
        "session_id": "sess_xyz789",
        "request_id": None,
        "source": None,
        "reason": "compliance requirement update",
        "details": {
            "before": "90 days",
            "after": "180 days",
            "reason": "compliance requirement update",
        },
        "category": "configuration",
        "verb": "do",
        "changes": [{"path": "", "before": "90 days", "after": "180 days"}],
        "geo": {"country": "DE", "asn": 3320, "as_name": "DTAG"},
        "client": None,
        "department": None,
        "user_status": None,
        "data_class": None,
        "retention_class": None,
        "retain_until": "2032-10-11",
        "severity": "high",
        "risk_score": 40,
        "flags": ["late"],
        "rules": ["retention_shortened"],
        "recorded": "2025-10-12T00:00:00.123Z",
        "topic": "audit.events",
        "partition": 0,
        "offset": 2,
    }


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param({"user": "jane.doe@company.com"}, {0, 601}, id="user"),
        pytest.param({"user": "a_b"}, {500}, id="an underscore is itself"),
        pytest.param({"user": "a*b"}, {500, 501}, id="star in the middle"),
        pytest.param({"resource": "100%"}, {500}, id="a percent sign is itself"),
        pytest.param({"resource": "*0%*"}, {500}, id="a percent sign between stars"),
        pytest.param({"resource_id": "*\\*"}, {500}, id="a backslash is itself"),
        pytest.param({"action": "settings.*"}, {2}, id="prefix"),
        pytest.param({"resource": "*"}, {1, 2, 500, 501}, id="anything, but something"),
        pytest.param({"ip": "203.0.113.42"}, {0, 1, 2, 601}, id="v4"),
        pytest.param({"ip": "203.0.113.0/24", "user": "admin*"}, {1, 2}, id="v4 range"),
        pytest.param({"ip": "0.0.0.0/0", "tenant": "acme"}, {503}, id="any v4"),
        pytest.param({"ip": "2001:db8::/32"}, {502}, id="v6 range"),
        pytest.param({"ip": "2001:DB8:0::7"}, {502}, id="v6 in other words"),
        pytest.param({"ip": "::/0", "session": "s-6"}, {502}, id="any address"),
        pytest.param({"session": "sess_xyz789"}, {1, 2}, id="session"),
        pytest.param({"category": "configuration"}, {2}, id="category"),
        pytest.param({"severity": "high"}, {2}, id="severity"),
        pytest.param({"text": "OKTA"}, {0, 601}, id="text in any case"),
        pytest.param({"text": 'größe "xl" A\\'}, {501}, id="text with quotes and umlauts"),
        pytest.param({"text": "grün"}, {504}, id="text that the producer escaped"),
        pytest.param({"text": "hunter2"}, set(), id="a masked secret can't be searched"),
        pytest.param({"text": "jane"}, set(), id="text looks into the details only"),
        pytest.param(
            {"since": "2025-10-11", "until": "2025-10-11T14:30:00Z"}, {0, 601}, id="until"
        ),
        pytest.param({"since": "30h", "user": "admin*"}, {1, 2}, id="so long ago"),
        pytest.param({"user": "'; DROP TABLE events; --"}, {508}, id="sql is text"),
        pytest.param({"user": "nobody"}, set(), id="nothing"),
    ],
)
async def test_search_finds_exactly(ask: Any, asked: dict[str, str], expected: set[int]) -> None:
    assert set(offsets(await search(ask(), **asked))) == expected


async def test_an_absent_address_is_in_no_range(ask: Any) -> None:
    found = await search(ask(), ip="::/0")
    assert all(row["ip_address"] for row in found)


async def test_pages_join_without_gap_or_repeat_newest_first(ask: Any) -> None:
    client = ask()
    whole = offsets(await search(client))
    seen: list[int] = []
    asked: dict[str, Any] = {"limit": 10}
    while True:
        page = (await client.get("/v1/events", params=asked)).json()
        seen += offsets(page["events"])
        if page["next"] is None:
            break
        asked["cursor"] = page["next"]
    assert seen == whole
    assert len(seen) == len(set(seen)) == 150
    assert seen[0] == 2


async def test_a_page_that_ends_at_the_last_row_has_no_next(ask: Any) -> None:
    answer = await ask().get("/v1/events", params={"limit": 2, "session": "sess_xyz789"})
    assert answer.json()["next"] is None


async def test_numbers_pass_through_as_written(ask: Any) -> None:
    answer = await ask().get("/v1/events", params={"user": "num", "text": "grün"})
    assert b'{"big":123456789012345678901234567890,"f":12.40,"t":"gr\\u00fcn"}' in answer.content


async def test_masked_details_are_shown_masked(ask: Any) -> None:
    found = await search(ask(), user="num")
    assert {"password": "***"} in [row["details"] for row in found]


@pytest.mark.parametrize(
    ("asked", "kind", "field", "cure"),
    [
        pytest.param({"usr": "x"}, "unknown_parameter", "usr", "did you mean user?", id="unknown"),
        pytest.param({"limit": "0"}, "bad_parameter", "limit", "", id="limit"),
        pytest.param({"limit": "10001"}, "bad_parameter", "limit", "", id="limit too high"),
        pytest.param({"since": "yesterday"}, "bad_parameter", "since", "7d", id="since"),
        pytest.param({"since": "2025-02-30"}, "bad_parameter", "since", "7d", id="no such day"),
        pytest.param({"since": "1h", "until": "2h"}, "bad_parameter", "since", "", id="turned"),
        pytest.param({"ip": "1.2.3"}, "bad_parameter", "ip", "203.0", id="ip"),
        pytest.param({"ip": "fe80::1%eth0"}, "bad_parameter", "ip", "203.0", id="ip with zone"),
        pytest.param({"cursor": "e30"}, "bad_cursor", "cursor", "", id="cursor"),
        pytest.param({"result": "maybe"}, "bad_parameter", "result", "", id="result"),
        pytest.param({"user": "*" * 20}, "bad_parameter", "user", "", id="too many stars"),
        pytest.param([("user", "a"), ("user", "b")], "bad_parameter", "user", "once", id="twice"),
    ],
)
async def test_a_wrong_parameter_is_named_with_its_cure(
    ask: Any, asked: Any, kind: str, field: str, cure: str
) -> None:
    answer = await ask().get("/v1/events", params=asked)
    assert answer.headers["content-type"] == "application/problem+json"
    fault = answer.json()
    assert (answer.status_code, fault["status"]) == (400, 400)
    assert fault["type"].endswith(kind)
    assert fault["field"] == field
    assert cure in fault["cure"]


async def test_a_cursor_of_another_search_is_refused(ask: Any) -> None:
    client = ask()
    page = (await client.get("/v1/events", params={"limit": 1})).json()
    answer = await client.get("/v1/events", params={"user": "x", "cursor": page["next"]})
    assert (answer.status_code, answer.json()["field"]) == (400, "cursor")
