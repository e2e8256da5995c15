"""The scan: history in order, page by page, narrowed to what could matter."""

from typing import Any

import pytest

EVER: dict[str, Any] = {"from_ms": 0, "to_ms": 4_000_000_000_000}


async def scan(client: Any, **asked: Any) -> Any:
    answer = await client.post("/v1/scan", json={**EVER, **asked})
    assert answer.status_code == 200, answer.text
    return answer.json()


def keyed(page: Any) -> list[dict[str, Any]]:
    return [dict(zip(page["members"], row, strict=True)) for row in page["rows"]]


async def read_all(client: Any, limit: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after = None
    while True:
        page = await scan(client, limit=limit, **({"after": after} if after else {}))
        rows += keyed(page)
        if not page["has_more"]:
            return rows
        names = ("recorded_ms", "incarnation", "partition", "offset")
        after = {name: rows[-1][name] for name in names}


async def test_pages_hold_every_event_once_in_order(ask: Any) -> None:
    client = ask()
    whole = await read_all(client, 5_000)
    parts = await read_all(client, 10)
    assert len(whole) > 140
    assert parts == whole
    places = [(r["recorded_ms"], r["incarnation"], r["partition"], r["offset"]) for r in whole]
    assert places == sorted(set(places))


async def test_row_has_raw_bytes_and_what_was_derived(ask: Any) -> None:
    page = await scan(ask(), needs=[{"values": {"action": ["settings.retention_policy.updated"]}}])
    (row,) = keyed(page)
    assert row["category"] == "configuration"
    assert row["country"].strip("\0") == "DE"
    assert row["flags"] == ["late"]
    assert row["raw"].startswith('{"timestamp":"2025-10-11T15:45:30Z"')


@pytest.mark.parametrize(
    ("needs", "count"),
    [
        pytest.param([{"prefix": "settings."}], 1, id="prefix"),
        pytest.param([{"parts": ["retention", "export"]}], 2, id="parts"),
        pytest.param([{"values": {"has_changes": ["true"]}}], 1, id="changes"),
        pytest.param([{"values": {"off_hours": ["true"]}}], 0, id="flag"),
        pytest.param([{"prefix": "settings.", "parts": ["export"]}], 0, id="both must hold"),
        pytest.param([{"prefix": "settings."}, {"parts": ["export"]}], 2, id="one must hold"),
        pytest.param([{"values": {"action": ["'; DROP TABLE events; --"]}}], 0, id="hostile"),
    ],
)
async def test_needs_narrow(ask: Any, needs: Any, count: int) -> None:
    assert len((await scan(ask(), needs=needs))["rows"]) == count


async def test_empty_need_is_every_event(ask: Any) -> None:
    client = ask()
    assert (await scan(client, needs=[{}, {"prefix": "x"}])) == (await scan(client))


async def test_tenant_sees_its_own_events_only(ask: Any) -> None:
    rows = keyed(await scan(ask(tenant="acme")))
    assert {row["tenant"] for row in rows} == {"acme"}
    refused = await ask(tenant="acme").post("/v1/scan", json={**EVER, "tenant": "default"})
    assert refused.status_code == 403


async def test_scan_is_seen(ask: Any, seen: list[Any]) -> None:
    await scan(ask(), limit=3)
    assert [read.path for read in seen] == ["/v1/scan"]
    assert seen[0].rows == 3


@pytest.mark.parametrize(
    "asked", [{"limit": 0}, {"needs": [{"values": {"raw": ["x"]}}]}, {"from_ms": -1}, {"x": 1}]
)
async def test_wrong_question_is_refused(ask: Any, asked: dict[str, Any]) -> None:
    answer = await ask().post("/v1/scan", json={**EVER, **asked})
    assert answer.status_code == 400
