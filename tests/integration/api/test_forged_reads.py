"""A producer can't hide an event by giving it the action of a read: all the way to the searches."""

from typing import Any

import orjson
import pytest

from cli.own_events import own_message
from console.access import Principal
from console.ports import Read
from console.record.recording import event_of_read
from detections.sigma.detector import SigmaDetector
from pipeline.enrich import Terms
from pipeline.run import Run
from pipeline.stage import Stage
from runtime.clickhouse import Store
from tests.integration.api.stored import put
from tests.integration.api.test_search_pages import somebody
from tests.unit.pipeline.judging import INCARNATION, LOOKUPS, RECORDED_MS, Raw
from tests.unit.pipeline.test_stage2 import ruleset

KEY = b"key of this test"
OPERATOR = Principal("service-token", frozenset({"auditor"}), None)
ACME = Principal("amy", frozenset({"auditor"}), "acme")


def read(by: Principal, query: str) -> bytes:
    event = event_of_read(Read("/search", {"q": query}, by, 3), RECORDED_MS)
    return own_message(KEY, event, "").value


@pytest.fixture(scope="module", autouse=True)
def _stored(store: Store) -> None:
    posing = {
        "timestamp": "2025-10-11T14:23:15Z",
        "user": "mallory",
        "action": "audit.events.viewed",
        "event_id": "posing",
        "resource": "patient_charts",
    }
    true = read(ACME, "user:joe")
    replayed = orjson.dumps({**orjson.loads(true), "event_id": "replayed"})
    values = [orjson.dumps(posing), true, replayed, read(OPERATOR, "tenant:acme user:bob")]
    detector = SigmaDetector(ruleset())
    stage = Stage(LOOKUPS, detector, lambda _topic: INCARNATION, Terms(canary_key=KEY))
    raws = [Raw(7_000 + at, RECORDED_MS, None, value) for at, value in enumerate(values)]
    records = stage(Run("audit.events", 0, 7_000, raws)).records
    rows = [orjson.loads(one.value) | {"batch_deadline": 4_000_000_000} for one in records]
    put(store, [orjson.dumps(row) for row in rows], "forged-reads")


async def found(ask: Any, by: Any, q: str) -> list[dict[str, Any]]:
    answer = await ask(authenticator=by).get("/search.json", params={"q": q})
    assert answer.status_code == 200, answer.text
    events: list[dict[str, Any]] = answer.json()["events"]
    return events


async def test_a_producers_event_with_a_reads_action_is_found_by_who_may_not_see_reads(
    ask: Any,
) -> None:
    viewer = somebody("viewer")
    assert [one["event_id"] for one in await found(ask, viewer, "user:mallory")] == ["posing"]
    assert {one["event_id"] for one in await found(ask, viewer, "flag:forged_read")} == {
        "posing",
        "replayed",
    }
    assert (await ask(authenticator=viewer).get("/events/posing")).status_code == 200
    assert await found(ask, viewer, "user:service-token") == []


async def test_only_true_reads_are_reads(ask: Any) -> None:
    reads = await found(ask, somebody("auditor"), "is:read")
    assert {one["user"] for one in reads} == {"amy", "service-token"}
    assert not {"posing", "replayed"} & {one["event_id"] for one in reads}
    people = (
        await ask(authenticator=somebody("auditor")).get("/reads.json?since=2025-10-01")
    ).json()
    assert {(one["user"], one["reads"]) for one in people["people"]} == {
        ("amy", 1),
        ("service-token", 1),
    }


@pytest.mark.parametrize("tenant", ["default", "acme"])
async def test_what_operators_read_is_not_in_any_tenant_of_people(ask: Any, tenant: str) -> None:
    reads = await found(ask, somebody("auditor", tenant=tenant), "is:read")
    assert "service-token" not in {one["user"] for one in reads}
    assert "bob" not in orjson.dumps(reads).decode()
