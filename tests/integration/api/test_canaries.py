"""Canaries through the API: kept out of what people read, and shown to who asks for them."""

from collections.abc import Iterator
from typing import Any

import pytest

from consumers.alerts.canaries import CanaryBook
from detections.canary_watch import Row
from runtime.clickhouse import Store
from runtime.clock import SystemClock
from schemas.canary import CANARY, FORGED, TENANT
from tests.integration.api.stored import line, put

TRUE, FORGERY = 900, 901


def event_of(offset: int, flag: str) -> bytes:
    raw = (
        b'{"timestamp":"2025-08-10T00:00:00Z","user":"caged","action":"api.call.completed",'
        b'"tenant":"audit-canary"}'
    )
    return line(raw, offset, flags=[flag])


@pytest.fixture(scope="module", autouse=True)
def caged(store: Store) -> Iterator[None]:
    put(store, [event_of(TRUE, CANARY), event_of(FORGERY, FORGED)], "canaries")
    yield
    store.command("DELETE FROM events WHERE user = 'caged'")  # others count what is there


async def found(client: Any, **asked: str) -> list[int]:
    answer = await client.get("/v1/events", params={"user": "caged", **asked})
    assert answer.status_code == 200, answer.text
    return [event["offset"] for event in answer.json()["events"]]


async def test_true_canary_is_found_only_by_its_tenant_and_a_forged_one_always(ask: Any) -> None:
    assert await found(ask()) == [FORGERY]
    assert await found(ask(), tenant=TENANT) == [FORGERY, TRUE]
    assert (await ask().get(f"/v1/events/0:{TRUE}")).status_code == 200


async def test_history_for_backtests_has_no_true_canaries(ask: Any) -> None:
    body = {"from_ms": 0, "to_ms": 4_000_000_000_000, "tenant": TENANT}
    page = (await ask().post("/v1/scan", json=body)).json()
    offsets = [row[page["members"].index("offset")] for row in page["rows"]]
    assert offsets == [FORGERY]


async def test_each_rule_is_shown_with_its_state(ask: Any, store: Store) -> None:
    now_ms = SystemClock().now_ms()
    CanaryBook(store).keep(
        [
            Row("well", "r1", "sent", now_ms - 9_000),
            Row("well", "r1", "fired", now_ms - 8_000),
            Row("gone", "r0", "fired", now_ms - 99_000),
            Row("gone", "r2", "sent", now_ms - 9_000),
            Row("gone", "r2", "silent", now_ms - 5_000),
            Row("new", "r3", "sent", now_ms - 1_000),
            Row("removed", "r4", "sent", now_ms - 9 * 86_400_000),
        ]
    )
    shown = (await ask().get("/v1/canaries")).json()["canaries"]
    states = {row["rule_id"]: row["state"] for row in shown}
    assert states == {"well": "ok", "gone": "silent", "new": "waiting"}
    (new,) = (row for row in shown if row["rule_id"] == "new")
    assert new["sent"] is not None
    assert new["fired"] is None
    assert (await ask(tenant="acme").get("/v1/canaries")).status_code == 403
