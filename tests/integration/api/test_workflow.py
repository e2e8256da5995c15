"""Working on alerts through the API: taken, given, closed; each on record. After test_views.py."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from cli.alert_desk import change_writer
from console.alerts.work import UNTRIED
from console.ports import Ports
from console.search.reading import Reader
from console.state import State
from console.web.api import Api, build_api
from console.web.auth import ServiceToken
from console.web.problems import Refused
from console.web.service import is_too_broad
from consumers.alerts.book import Book
from consumers.alerts.planning import Placed
from consumers.alerts.schedule import Attempt
from runtime.clickhouse import Store
from schemas.views import AlertChanged, AlertFound, AlertPage, AlertStats, TargetList
from tests.integration.api.stored import NOW_MS, TOKEN, alert, ledger, replay

TENANT = "workflow"


class Clock:
    def __init__(self) -> None:
        self.ms = NOW_MS

    def now_ms(self) -> int:
        self.ms += 1_000
        return self.ms

    def monotonic(self) -> float:
        return 0.0


class Desk:
    """The API as its tenant sees it, and the events of alerts that it recorded."""

    def __init__(self, store: Store, state: State) -> None:
        self.state = state
        self.recorded: list[Mapping[str, Any]] = []
        self.is_full = False
        self.reader = Reader(store, is_too_broad=is_too_broad)
        self.ports = Ports(
            ledger,
            replay,
            record=self.record,
            change=change_writer(store),
            targets=("hook", "unheard"),
        )
        self.clock = Clock()

    async def record(self, event: Mapping[str, Any]) -> None:
        if self.is_full:
            raise Refused("unrecorded", "100000 audit events wait for Kafka")
        if event.get("resource") == "alert":  # not that somebody was refused something
            self.recorded.append(event)

    def client(self, tenant: str | None = TENANT, **kwargs: Any) -> httpx.AsyncClient:
        ports = kwargs.get("ports", self.ports)
        known = ServiceToken(SecretStr(TOKEN), tenant)
        app = build_api(Api(self.reader, ports, known, self.state, clock=self.clock))
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app, raise_app_exceptions=False),
            base_url="http://127.0.0.1:8000",
            headers={"authorization": f"Bearer {TOKEN}"},
        )


NUMBERS = iter(range(100, 1_000))


@pytest.fixture
def desk(store: Store, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(store, State(tmp_path / "console.sqlite3"))
    yield made
    made.reader.close()


def put(store: Store, *, lead: str = "", **fields: Any) -> str:
    """Store one alert of our tenant and return its id."""
    number = next(NUMBERS)
    one = alert(number % 10).model_copy(
        update={"alert_id": f"{number:032x}", "tenant": TENANT, "title": f"N{number}"} | fields
    )
    Book(store).store([Placed(one, 0, number, lead or one.alert_id, "user=jane")])
    return one.alert_id


async def change(client: httpx.AsyncClient, alert_id: str, **asked: Any) -> dict[str, Any]:
    answer = await client.post(f"/v1/alerts/{alert_id}/changes", json={"by": "ann", **asked})
    assert answer.status_code == 200, answer.text
    AlertChanged.model_validate(answer.json())
    body: dict[str, Any] = answer.json()
    return body


async def listed(client: httpx.AsyncClient, **asked: Any) -> list[str]:
    answer = await client.get("/v1/alerts", params={"limit": 1_000, **asked})
    assert answer.status_code == 200, answer.text
    AlertPage.model_validate(answer.json())
    return [one["alert_id"] for one in answer.json()["alerts"]]


async def test_every_change_is_in_the_history_and_left_an_audit_event(
    desk: Desk, store: Store
) -> None:
    one = put(store)
    async with desk.client() as client:
        done = await change(client, one, status="acknowledged", note="looking")
        assert done["audited"]
        await change(client, one, assignee="bob")
        await change(client, one, status="resolved")
        await change(client, one, status="open")
        shown = (await client.get(f"/v1/alerts/{one}")).json()
    AlertFound.model_validate(shown)
    history = [(c["who"], c["kind"], c["before"], c["value"]) for c in shown["history"]]
    assert history[:3] == [
        ("ann", "status", "open", "acknowledged"),
        ("ann", "assignee", None, "ann"),  # who takes what is nobody's has it
        ("ann", "note", None, "looking"),
    ]
    assert history[3:] == [
        ("ann", "assignee", "ann", "bob"),
        ("ann", "status", "acknowledged", "resolved"),
        ("ann", "status", "resolved", "open"),
    ]
    assert (shown["alert"]["status"], shown["alert"]["assignee"]) == ("open", "bob")
    assert [event["action"].rpartition(".")[2] for event in desk.recorded] == [
        "acknowledged",
        "assigned",
        "noted",
        "assigned",
        "resolved",
        "reopened",
    ]
    ids = {event["event_id"] for event in desk.recorded}
    assert ids == {c["change_id"] for c in shown["history"]}
    assert {event["resource_id"] for event in desk.recorded} == {one}


async def test_what_is_so_already_changes_nothing_and_what_is_closed_must_be_reopened(
    desk: Desk, store: Store
) -> None:
    one = put(store)
    async with desk.client() as client:
        await change(client, one, status="false_positive")
        assert (await change(client, one, status="false_positive"))["changes"] == []
        answer = await client.post(
            f"/v1/alerts/{one}/changes", json={"by": "ann", "status": "acknowledged"}
        )
        assert (answer.status_code, answer.json()["cure"]) == (409, "reopen it first")
        empty = await client.post(f"/v1/alerts/{one}/changes", json={"by": "ann"})
        assert empty.status_code == 400
        unknown = await client.post(f"/v1/alerts/{'0' * 32}/changes", json={"by": "a", "note": "x"})
        assert unknown.status_code == 404
    assert len(desk.recorded) == 1


async def test_no_change_is_made_whose_audit_event_could_not_be_recorded(
    desk: Desk, store: Store
) -> None:
    one = put(store)
    desk.is_full = True
    async with desk.client() as client:
        answer = await client.post(
            f"/v1/alerts/{one}/changes", json={"by": "ann", "status": "resolved"}
        )
        assert answer.status_code == 503
        many = {"ids": [one, put(store)], "by": "ann", "status": "resolved"}
        answer = await client.post("/v1/alerts/changes", json=many)
        assert answer.json()["changed"] == []
        assert UNTRIED in [failed["detail"] for failed in answer.json()["failed"]]
        assert (await client.get(f"/v1/alerts/{one}")).json()["history"] == []


async def test_a_service_that_may_only_read_changes_no_alert(desk: Desk, store: Store) -> None:
    one = put(store)
    async with desk.client(ports=Ports(ledger, replay)) as client:
        answer = await client.post(f"/v1/alerts/{one}/changes", json={"by": "a", "note": "x"})
        assert answer.status_code == 503


async def test_a_group_shares_status_and_is_listed_once_with_its_number(
    desk: Desk, store: Store
) -> None:
    lead = put(store)
    repeats = [put(store, lead=lead) for _ in range(2)]
    async with desk.client() as client:
        await change(client, repeats[1], status="acknowledged")
        shown = (await client.get(f"/v1/alerts/{repeats[0]}")).json()["alert"]
        assert (shown["status"], shown["lead_id"], shown["alerts"]) == ("acknowledged", lead, 3)
        grouped = await listed(client, grouped=True)
        assert lead in grouped
        assert not set(repeats) & set(grouped)
        assert {lead, *repeats} <= set(await listed(client, status="acknowledged"))
        assert lead in await listed(client, status="active")
        assert lead not in await listed(client, status="open")
        assert lead in await listed(client, assignee="ann")
        assert lead not in await listed(client, assignee="")
        await change(client, lead, status="resolved")
        assert lead not in await listed(client, status="active")


async def test_what_is_suppressed_or_a_canary_is_found_only_when_asked_for(
    desk: Desk, store: Store
) -> None:
    hidden, canary = put(store, suppressed_by="exception-7"), put(store, canary=True)
    async with desk.client() as client:
        usual = await listed(client)
        assert not {hidden, canary} & set(usual)
        assert await listed(client, suppressed=True) == [hidden]
        assert await listed(client, canary=True) == [canary]
        found = (await client.get(f"/v1/alerts/{hidden}")).json()["alert"]
        assert found["suppressed_by"] == "exception-7"


async def test_another_tenant_neither_sees_nor_changes(desk: Desk, store: Store) -> None:
    one = put(store)
    async with desk.client("another") as client:
        assert await listed(client) == []
        answer = await client.post(f"/v1/alerts/{one}/changes", json={"by": "x", "note": "y"})
        assert answer.status_code == 404
        assert (await client.get("/v1/alerts/targets")).status_code == 403
    assert desk.recorded == []


async def test_alert_is_found_by_how_its_id_begins_if_that_is_enough(
    desk: Desk, store: Store
) -> None:
    one = put(store, tenant="begun", alert_id="abcdef01" + "0" * 24)
    put(store, tenant="begun", alert_id="abcdef02" + "0" * 24)
    async with desk.client("begun") as client:
        found = (await client.get("/v1/alerts/abcdef01")).json()
        assert found["alert"]["alert_id"] == one
        changed = await client.post("/v1/alerts/abcdef01/changes", json={"by": "x", "note": "y"})
        assert changed.json()["alert_id"] == one
        several = await client.get("/v1/alerts/abcdef")
        assert several.status_code == 400
        assert "several" in several.text
        assert (await client.get("/v1/alerts/abcde")).status_code == 404


async def test_stats_count_rules_and_tell_how_long_people_took(desk: Desk, store: Store) -> None:
    put(store, tenant="counted", rule_id="noisy", recorded="2025-10-12T20:13:00.000Z")
    two = put(store, tenant="counted", rule_id="noisy", recorded="2025-10-12T20:13:20.000Z")
    put(store, tenant="counted", rule_id="noisy", suppressed_by="e", severity="critical")
    async with desk.client("counted") as client:
        await change(client, two, status="resolved")
        stats = (await client.get("/v1/alerts/stats", params={"since": "1d"})).json()
    AlertStats.model_validate(stats)
    (rule,) = stats["rules"]
    assert (rule["rule_id"], rule["alerts"], rule["suppressed"]) == ("noisy", 3, 1)
    assert rule["worst"] == "critical"
    assert rule["title"]
    by_status = {row["status"]: row for row in stats["statuses"]}
    assert (by_status["open"]["groups"], by_status["open"]["closed_s"]) == (1, None)
    assert by_status["resolved"]["groups"] == 1
    assert 0 < by_status["resolved"]["closed_s"] < 60


async def test_targets_show_who_fails_and_what_waits(desk: Desk, store: Store) -> None:
    now_ms = store.query("SELECT toUnixTimestamp64Milli(now64(3)) AS ms")[0]["ms"]
    one, two, three = (f"{n:032x}" for n in (5_001, 5_002, 5_003))
    rows: Sequence[Attempt] = [
        Attempt(one, "hook", 1, now_ms - 9_000, "delivered", "", now_ms),
        Attempt(two, "hook", 1, now_ms - 5_000, "failed", "refused", now_ms + 60_000),
        Attempt(three, "gone", 0, now_ms - 5_000, "deferred", "quiet", now_ms + 60_000),
    ]
    Book(store).record(rows)
    async with desk.client(None) as client:
        answer = (await client.get("/v1/alerts/targets")).json()
    TargetList.model_validate(answer)
    found = {row["target"]: row for row in answer["targets"]}
    assert found["unheard"]["state"] == "unused"
    assert (found["hook"]["state"], found["hook"]["pending"]) == ("failing", 1)
    assert (found["gone"]["state"], found["gone"]["pending"]) == ("removed", 1)
