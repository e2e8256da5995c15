"""Health, quarantine, who read, and SQL as pages: what they show, and to whom not."""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from console.access import Principal, Role
from console.health.doctor import Finding, Probe
from console.health.whole import judge
from console.ports import Ports, Read
from console.search.reading import Reader
from console.sql.desk import SqlDesk
from console.state import State
from console.web.api import Api, build_api
from console.web.service import is_too_broad
from runtime.clickhouse import Store
from schemas.errors import BrokerUnavailable
from schemas.health import HealthOut
from schemas.ledger import Ledger, PartitionLedger, total
from schemas.sql import SqlFound
from schemas.views import Check, Diagnosis, ReplayAsked, ReplayDone
from tests.integration.api.stored import Clock, ledger, line, put

Client = Callable[..., httpx.AsyncClient]


class Known:
    """Lets one principal in."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    async def by_token(self, _token: str, _client: str) -> Principal | None:
        return self._principal

    async def by_session(self, _cookie: str, _client: str) -> Principal | None:
        return self._principal


@pytest.fixture
def recorded() -> list[Mapping[str, Any]]:
    return []


@pytest.fixture
def replayed() -> list[ReplayAsked]:
    return []


@pytest.fixture
async def visit(
    store: Store,
    tmp_path: Path,
    seen: list[Read],
    recorded: list[Mapping[str, Any]],
    replayed: list[ReplayAsked],
) -> AsyncIterator[Client]:
    """A client factory: `visit("analyst", tenant=…)` gives a browser of somebody."""
    state = State(tmp_path / "console.sqlite3")
    await state.open()
    reader = Reader(store, is_too_broad=is_too_broad)
    nowhere = Store(store.name, database="default")
    clients: list[httpx.AsyncClient] = []

    async def saw(read: Read) -> None:
        seen.append(read)

    async def record(event: Mapping[str, Any]) -> None:
        recorded.append(event)

    async def replay(asked: ReplayAsked) -> ReplayDone:
        replayed.append(asked)
        return ReplayDone(replayed=1, still_rejected=2)

    def make(*roles: Role, tenant: str | None = None, **ports: Any) -> httpx.AsyncClient:
        who = Principal("jane", frozenset(roles), tenant, kind="session", key="k", csrf="secret")
        given = {"ledger": ledger, "replay": replay, "saw": saw, "record": record} | ports
        made = Ports(sql=SqlDesk(nowhere, store.database), **given)
        app = build_api(Api(reader, made, Known(who), state, clock=Clock()))
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app, raise_app_exceptions=False),
            base_url="http://127.0.0.1:8000",
            headers={"authorization": "Bearer x", "accept": "text/html"},
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.aclose()
    nowhere.close()
    reader.close()
    await state.close()


def check(name: str, *, ok: bool = True) -> Check:
    return Check(name=name, ok=ok, found="this", want="that", cure=None if ok else "do so")


def partition(**numbers: int) -> PartitionLedger:
    zero = {"received": 0, "stored": 0, "quarantined": 0, "difference": 0, "lag": 0}
    return PartitionLedger(incarnation="i", topic="t", partition=3, **{**zero, **numbers})


@pytest.mark.parametrize(
    ("found", "checks", "broken"),
    [
        pytest.param(total([partition()]), [check("disk")], [], id="all well"),
        pytest.param(None, [], [2, 5], id="no ledger"),
        pytest.param(total([partition(difference=1)]), [], [5], id="a loss"),
        pytest.param(
            total([partition(difference=1), partition(difference=-1)]),
            [],
            [5],
            id="two that cancel",
        ),
        pytest.param(total([partition(lag=10**6)]), [], [2], id="far behind"),
        pytest.param(total([partition()]), [check("canaries", ok=False)], [7], id="a silent rule"),
        pytest.param(total([partition()]), [check("disk", ok=False)], [8], id="no room"),
        pytest.param(total([partition()]), [check("audit of reads", ok=False)], [9], id="reads"),
        pytest.param(total([partition()]), [check("topics", ok=False)], [10], id="another check"),
    ],
)
def test_health_is_green_only_if_every_promise_holds(
    found: Ledger | None, checks: list[Check], broken: list[int]
) -> None:
    promises = judge(found, Diagnosis(ok=all(one.ok for one in checks), checks=tuple(checks)))

    assert [one.number for one in promises if one.state != "ok"] == broken
    assert all((one.cure is None) == (one.state == "ok") for one in promises)


async def test_health_shows_ledger_batches_quarantine_and_checks(visit: Client) -> None:
    async def look() -> Finding:
        return Finding(is_ok=False, found="<b>bad</b>")

    client = visit("viewer", probes=[Probe("thing", "good", "mend it", look)])
    page = (await client.get("/health")).text
    said = (await client.get("/health.json")).json()

    assert HealthOut.model_validate(said).ok is False
    assert "timestamp:missing" in page
    assert "&lt;b&gt;bad&lt;/b&gt;" in page
    assert "mend it" in page
    assert 'data-refresh-s="15"' in page
    assert (await client.get("/health.csv")).text.splitlines()[0].startswith("partition,received")


async def test_health_is_shown_when_kafka_is_away_and_is_not_green(visit: Client) -> None:
    async def away() -> Ledger:
        raise BrokerUnavailable("Kafka is away")

    answer = await visit("viewer", ledger=away).get("/health")

    assert answer.status_code == 200
    assert "Could not be asked: ledger: Kafka is away" in answer.text
    assert "Not all invariants hold" in answer.text


async def test_what_belongs_to_no_tenant_is_not_for_those_of_one(visit: Client) -> None:
    client = visit("viewer", "auditor", tenant="acme")

    for path in ("/health", "/quarantine", "/quarantine/0:600"):
        assert (await client.get(path)).status_code == 403


async def test_quarantine_lists_shows_and_leads_on(visit: Client, seen: list[Read]) -> None:
    client = visit("auditor")
    page = (await client.get("/quarantine?state=all")).text
    message = (await client.get("/quarantine/0:600")).text

    assert 'href="/quarantine/0:600"' in page
    assert "/wAB" in message
    assert "Judge it again" not in message
    assert [(read.path, read.rows) for read in seen] == [
        ("/quarantine", 2),
        ("/quarantine/{place}", 1),
    ]
    assert (await client.get("/quarantine/9:9")).status_code == 404


async def test_bytes_are_only_for_those_who_may_read_raw_events(
    visit: Client, seen: list[Read]
) -> None:
    answer = await visit("administrator").get("/quarantine/0:600")

    assert "/wAB" not in answer.text
    assert "The bytes are not for you" in answer.text
    assert seen[-1].asked["raw"] is False


async def test_replay_is_recorded_before_it_is_done(
    visit: Client, recorded: list[Mapping[str, Any]], replayed: list[ReplayAsked]
) -> None:
    client = visit("administrator")
    form = {"csrf": "secret", "place": "0:600"}
    answer = await client.post("/quarantine/replay", data=form)

    assert answer.status_code == 303
    assert replayed == [ReplayAsked(partition=0, offset=600)]
    assert recorded[0]["action"] == "audit.quarantine.replayed"
    assert recorded[0]["details"] == {"partition": 0, "offset": 600, "limit": 1000}
    assert (
        "1 became events, 2 are still rejected"
        in (await client.get(answer.headers["location"])).text
    )


async def test_replay_needs_the_right_and_the_form_of_the_session(
    visit: Client, replayed: list[ReplayAsked]
) -> None:
    form = {"csrf": "secret", "place": "0:600"}

    assert (await visit("auditor").post("/quarantine/replay", data=form)).status_code == 403
    for wrong in ({"place": "0:600"}, {**form, "csrf": "other"}):
        answer = await visit("administrator").post("/quarantine/replay", data=wrong)
        assert answer.status_code == 403
    assert replayed == []


async def test_who_read_is_told_by_person_and_is_a_read_itself(
    visit: Client, store: Store, seen: list[Read]
) -> None:
    def read(user: str, offset: int) -> bytes:
        details = {"rows": 7, "kind": "search", "query": {"q": "<script>"}}
        said = {"timestamp": "2025-10-12T00:00:00Z", "user": user, "details": details}
        raw = orjson.dumps(said | {"action": "audit.events.searched"})
        return line(raw, offset, tenant="acme" if user == "amy" else "default", flags=["read"])

    put(store, [read("ann", 9_101), read("ann", 9_102), read("amy", 9_103)], "who-read")

    page = (await visit("auditor").get("/reads?since=30d&user=ann")).text
    people = (await visit("auditor", tenant="acme").get("/reads.json?since=30d")).json()["people"]

    assert "&lt;script&gt;" in page
    assert "is%3Aread" in page
    assert [(one["user"], one["reads"], one["rows"]) for one in people] == [("amy", 1, 7)]
    assert [read.path for read in seen] == ["/reads", "/reads"]
    assert (await visit("analyst").get("/reads")).status_code == 403


async def test_sql_runs_shows_and_says_what_is_wrong(visit: Client, seen: list[Read]) -> None:
    client, ever = visit("analyst"), {"since": "2000-01-01"}
    sql = "SELECT user, '<i>' AS x FROM events_v1 WHERE user = 'twice' ORDER BY user"
    page = await client.get("/sql", params={"sql": sql, **ever})
    table = await client.get("/sql.csv", params={"sql": sql, **ever})
    wrong = await client.get("/sql", params={"sql": "SELECT * FROM file('/etc/passwd')"})
    empty = await client.get("/sql")

    assert "&lt;i&gt;" in page.text
    assert table.text.splitlines() == ["user,x", "twice,<i>", "twice,<i>"]
    assert wrong.status_code == 400
    assert "the table function &#39;file&#39; is not for this page" in wrong.text
    assert "events_v1" in empty.text
    assert "reads_v1" not in empty.text
    assert [(read.path, read.rows, read.asked.get("state")) for read in seen] == [
        ("/sql", 0, "started"),
        ("/sql", 2, "done"),
        ("/sql", 0, "started"),
        ("/sql", 2, "done"),
        ("/sql", 0, "refused"),
        ("/sql", 0, None),
    ]
    assert "FROM events_v1" in seen[0].asked["sql"]
    assert (await visit("viewer").get("/sql")).status_code == 403


async def test_sql_by_rest_is_the_same(visit: Client) -> None:
    client = visit("analyst", tenant="acme")
    headers = {"authorization": "Bearer x"}
    body = {"sql": "SELECT DISTINCT tenant FROM events_v1", "since": "2000-01-01"}
    answer = await client.post("/v1/sql", json=body, headers=headers)
    wrong = await client.post("/v1/sql", json={"sql": "DROP TABLE events"}, headers=headers)

    assert SqlFound.model_validate(answer.json()).rows == (("acme",),)
    assert wrong.status_code == 400
    assert wrong.json()["type"].endswith(":sql_refused")
    assert wrong.json()["field"] == "sql"
