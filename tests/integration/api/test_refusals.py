"""Who tries what isn't there or isn't theirs, and who asks with SQL, leaves an event of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.access import Principal
from console.pages import tail
from console.ports import Ports, Read
from console.query.conditions import Conditions
from console.record.told import fingerprint
from console.sql.asking import SqlAsked, answer
from console.sql.desk import SqlDesk
from console.state import State
from console.web.api import Api, build_api
from console.web.problems import Refused
from runtime.clickhouse import Store
from schemas.errors import StoreUnavailable
from tests.integration.api.office import Known, Office
from tests.integration.api.stored import TOKEN, Clock, ledger, replay

ANN = Principal("ann", frozenset({"analyst"}), "office", "token", "k", client="203.0.113.9")
ENDLESS = """
SELECT count() FROM numbers(499000000) WHERE sipHash64(sipHash64(toString(number))) = 1
"""


@pytest.fixture
async def office(store: Store, tmp_path: Path) -> AsyncIterator[Office]:
    state = State(tmp_path / "console.sqlite3")
    await state.open()
    made = Office(store, state)
    yield made
    made.reader.close()
    await state.close()


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/v1/events/no-such", "/v1/events/{event_id}"),
        ("/events/no-such", "/events/{event_id}"),
        ("/v1/alerts/aaaaaaaaaaaa", "/v1/alerts/{alert_id}"),
        ("/alerts/aaaaaaaaaaaa", "/alerts/{alert_id}"),
        ("/v1/cases/no-such", "/v1/cases/{case_id}"),
        ("/cases/no-such", "/cases/{case_id}"),
    ],
)
async def test_an_id_that_is_not_there_leaves_the_event_of_a_read(
    office: Office, path: str, template: str
) -> None:
    async with office.client() as client:
        assert (await client.get(path)).status_code == 404

    [read] = office.seen
    assert (read.path, read.rows) == (template, 0)
    assert path.rpartition("/")[2] in read.asked.values()


async def test_a_place_of_no_quarantined_message_leaves_an_event_too(office: Office) -> None:
    async with office.client("root", "administrator", "auditor", tenant=None) as client:
        assert (await client.get("/v1/quarantine/0:999999")).status_code == 404

    assert [read.asked for read in office.seen] == [{"place": "0:999999"}]


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/v1/people", "people"),
        ("GET", "/quarantine", "quarantine"),
        ("GET", "/v1/events?q=is:read", "search"),
        ("GET", "/v1/events?tenant=acme", "search"),
        ("POST", "/v1/quarantine/replay", "replay"),
    ],
)
async def test_what_the_role_or_tenant_forbids_leaves_an_event(
    office: Office, method: str, path: str, kind: str
) -> None:
    async with office.client() as client:
        assert (await client.request(method, path, json={})).status_code == 403

    [told] = office.denied
    assert (told["action"], told["result"], told["user"]) == (
        "audit.access.denied",
        "denied",
        "ann",
    )
    assert told["details"]["kind"] == kind
    assert told["details"]["method"] == method


async def test_a_refusal_that_can_not_be_recorded_says_only_that(office: Office) -> None:
    office.away_after = 0
    async with office.client() as client:
        assert (await client.get("/v1/people")).status_code == 503


@pytest.fixture
async def api(store: Store, seen: list[Read], tmp_path: Path) -> AsyncIterator[Api]:
    state = State(tmp_path / "console.sqlite3")
    await state.open()
    office = Office(store, state)

    async def saw(read: Read) -> None:
        seen.append(read)

    with Store(store.name, database="default") as opened:
        desk = SqlDesk(opened, store.database)
        ports = Ports(ledger, replay, saw=saw, sql=desk)
        yield Api(office.reader, ports, Known(ANN), state, ANN, clock=Clock())
        desk.close()
    office.reader.close()
    await state.close()


def states(seen: list[Read]) -> list[tuple[str, int]]:
    return [(read.asked["state"], read.rows) for read in seen]


async def test_a_statement_is_told_of_before_it_runs_and_once_it_is_done(
    api: Api, seen: list[Read]
) -> None:
    sql = " " * 8_200 + "SELECT /* -----BEGIN PRIVATE KEY----- */ user FROM events_v1 LIMIT 2"

    await answer(api, SqlAsked(sql=sql), "/v1/sql")

    assert [state for state, _rows in states(seen)] == ["started", "done"]
    for read in seen:
        assert read.asked["sql"] == "SELECT user FROM events_v1 LIMIT 2"
        assert fingerprint(sql).items() <= read.asked.items()


async def test_a_statement_that_is_left_has_its_event(api: Api, seen: list[Read]) -> None:
    for number in range(3):
        asked = asyncio.create_task(answer(api, SqlAsked(sql=ENDLESS), "/sql"))
        for _ in range(400):  # the ones before hold the threads until they ended
            if len(seen) <= 2 * number:
                await asyncio.sleep(0.05)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)

    assert states(seen) == [("started", 0), ("left", 0)] * 3


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT raw FROM audit.events", ["refused"]),
        ("SELECT intDiv(1, number) FROM numbers(2)", ["started", "failed"]),
        ("SELECT no_such FROM events_v1", ["started", "failed"]),
    ],
)
async def test_a_statement_that_fails_has_its_event(
    api: Api, seen: list[Read], sql: str, told: list[str]
) -> None:
    with pytest.raises(Refused):
        await answer(api, SqlAsked(sql=sql), "/sql")

    assert [state for state, _rows in states(seen)] == told
    assert seen[-1].asked["refused"]


async def test_a_statement_has_its_event_when_the_store_goes_away(
    api: Api, seen: list[Read], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_args: Any, **_kwargs: Any) -> bytes:
        raise StoreUnavailable("query: away")

    assert api.ports.sql is not None
    monkeypatch.setattr(api.ports.sql._store, "raw", away)
    with pytest.raises(StoreUnavailable):
        await answer(api, SqlAsked(sql="SELECT 1"), "/sql")

    assert states(seen) == [("started", 0), ("failed", 0)]


async def test_a_statement_that_can_not_be_told_of_does_not_run(
    monkeypatch: pytest.MonkeyPatch, api: Api
) -> None:
    async def full(_read: Read) -> None:
        raise Refused("unrecorded", "the outbox is full")

    ports = Ports(ledger, replay, saw=full, sql=api.ports.sql)
    ran: list[str] = []
    monkeypatch.setattr(ports.sql, "_run", lambda *_args: ran.append("it"))
    app = build_api(Api(api.reader, ports, Known(ANN), api.state, clock=Clock()))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url="http://127.0.0.1:8000",
        headers={"authorization": f"Bearer {TOKEN}"},
    ) as client:
        found = await client.post("/v1/sql", json={"sql": "SELECT 1"})

    assert found.status_code == 503
    assert not ran


async def test_a_tail_shows_nothing_more_once_it_can_not_be_recorded(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "POLL_S", 0.01)
    full = Api(
        api.reader, Ports(ledger, replay, can_tell=lambda: False), Known(ANN), api.state, ANN
    )
    state = tail.Tail(Conditions(("1",), {}), 0, 0)

    parts = [part async for part in tail.follow(full, state, ("user",))]

    assert len(parts) == 1
    assert b"can't be recorded" in parts[0]
