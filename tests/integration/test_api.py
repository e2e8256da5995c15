"""The API over HTTP semantics on a real store: what it answers, refuses and never tells."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from pydantic import SecretStr

from console.api import Api, build_api
from console.doctor import Finding, Probe
from console.ports import Ports, Read
from console.probes import store_probes
from console.reading import Bounds, Reader
from console.service import ApiService, is_too_broad, run_api
from consumers.alerts.book import Book, Placed
from consumers.alerts.schedule import Attempt
from consumers.migrate import migrate
from runtime.clickhouse import Store
from schemas.alert import Alert, alert_id
from schemas.errors import BrokerUnavailable, Misconfigured, StoreUnavailable
from schemas.ledger import Ledger, PartitionLedger, total
from schemas.tables import BATCHES, EVENT_COLUMNS, EVENTS, QUARANTINE, QUARANTINE_COLUMNS
from schemas.views import EventOut, EventPage, ReplayAsked, ReplayDone

TOKEN = "t" * 43
INCARNATION = "HHiSBQq0QzCA_2kkOfqu3A"
NOW_MS = 1_760_300_000_000  # 2025-10-12T20:13:20Z
SEED = (
    (
        b'{"timestamp":"2025-10-11T14:23:15Z","user":"jane.doe@company.com",'
        b'"action":"authentication.login.success","ip_address":"203.0.113.42",'
        b'"session_id":"sess_abc123","details":{"method":"sso","provider":"okta"}}'
    ),
    (
        b'{"timestamp":"2025-10-11T14:30:00Z","user":"admin@company.com",'
        b'"action":"data.export.completed","resource":"voice_call_records",'
        b'"ip_address":"203.0.113.42","session_id":"sess_xyz789",'
        b'"details":{"date_range":"2025-09-01 to 2025-09-30","format":"csv",'
        b'"record_count":1523,"file_size_mb":12.4}}'
    ),
    (
        b'{"timestamp":"2025-10-11T15:45:30Z","user":"admin@company.com",'
        b'"action":"settings.retention_policy.updated","resource":"voice_recordings",'
        b'"ip_address":"203.0.113.42","session_id":"sess_xyz789",'
        b'"details":{"before":"90 days","after":"180 days",'
        b'"reason":"compliance requirement update"}}'
    ),
)


class Clock:
    def now_ms(self) -> int:
        return NOW_MS

    def monotonic(self) -> float:
        return 0.0


def line(raw: bytes, offset: int, **extra: Any) -> bytes:
    """What stage 1 would write of a raw message, as far as the API shows it."""
    said = json.loads(raw)
    names = set(EVENT_COLUMNS) & set(said) - {"details"}
    row = {name: said[name] for name in names if said[name] is not None}
    row |= {
        "tenant": said.get("tenant", "default"),
        "occurred": said["timestamp"].replace("T", " ").rstrip("Z"),
        "event_id": said.get("event_id", f"{INCARNATION[:8]}-0-{offset}"),
        "ip_address": said.get("ip_address", "::"),
        "category": "api",
        "verb": "do",
        "severity": "info",
        "versions": "pipeline=1",
        "incarnation": INCARNATION,
        "topic": "audit.events",
        "partition": 0,
        "offset": offset,
        "recorded": "2025-10-12 00:00:00.123",
        "raw": raw.decode(),
        "batch_deadline": 4_000_000_000,
    }
    return orjson.dumps(row | extra)


def put(store: Store, lines: list[bytes], token: str) -> None:
    store.insert_lines(
        EVENTS, [*EVENT_COLUMNS, "batch_deadline", "replayed"], b"\n".join(lines), token
    )


def event(offset: int, **fields: Any) -> bytes:
    said = {"timestamp": "2025-10-10T00:00:00Z", "user": "u", "action": "api.call.completed"}
    return line(orjson.dumps(said | fields), offset)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(f"chdb://{tmp_path_factory.mktemp('store')}") as opened:
        migrate(opened)
        changed = {
            "category": "configuration",
            "changed": [""],
            "before": ['"90 days"'],
            "after": ['"180 days"'],
            "geo_country": "DE",
            "geo_asn": 3320,
            "geo_as_name": "DTAG",
            "retain_until": "2032-10-11",
            "flags": ["late"],
            "rules": ["retention_shortened"],
            "risk_score": 40,
            "severity": "high",
        }
        put(
            opened,
            [line(SEED[0], 0), line(SEED[1], 1), line(SEED[2], 2, **changed)],
            "seed",
        )
        many = [
            event(100 + n, user=f"bulk{n % 7}", details={"n": n}, timestamp="2025-09-01T00:00:00Z")
            for n in range(137)
        ]
        put(opened, many, "many")
        put(opened, list(_special()), "special")
        _put_others(opened)
        yield opened


def _special() -> Iterator[bytes]:
    yield event(500, user="a_b", resource="100%", resource_id="x\\y", event_id="own-1")
    yield event(501, user="axb", resource="100x", details={"note": 'Größe "XL" a\\b'})
    yield event(502, user="six", ip_address="2001:db8::7", session_id="s-6")
    yield event(503, user="four", ip_address="10.1.2.3", tenant="acme")
    raw = b'{"timestamp":"2025-10-10T00:00:00Z","user":"num","action":"a.b","details":'
    yield line(raw + b'{"big":123456789012345678901234567890,"f":12.40,"t":"gr\\u00fcn"}}', 504)
    yield line(raw + b'{"password":"hunter2"}}', 505, details_masked='{"password":"***"}')
    yield event(506, user="twice", event_id="same")
    yield event(507, user="twice", event_id="same")
    yield event(508, user="'; DROP TABLE events; --", reason="\x1b[31m<script>")


def _put_others(store: Store) -> None:
    rejected = {
        "reason": "timestamp:missing",
        "hint": "add the field",
        "size": 3,
        "versions": "pipeline=1",
        "incarnation": INCARNATION,
        "topic": "audit.events",
        "partition": 0,
        "recorded": "2025-10-12 00:00:00.123",
        "batch_deadline": 4_000_000_000,
    }
    rows = [
        rejected | {"offset": 600, "raw_base64": "/wAB"},
        rejected | {"offset": 601, "raw_base64": "e30="},
    ]
    lines = b"\n".join(map(orjson.dumps, rows))
    store.insert_lines(QUARANTINE, [*QUARANTINE_COLUMNS, "batch_deadline"], lines, "q")
    put(store, [line(SEED[0], 601, replayed=1, event_id="moved")], "moved")
    batch = {
        "incarnation": INCARNATION,
        "topic": "audit.events",
        "partition": 0,
        "origin_from": 0,
        "origin_next": 3,
        "record_first": 0,
        "record_last": 2,
        "rows_stored": 3,
    }
    store.insert_lines(BATCHES, list(batch), orjson.dumps(batch), "b")
    book = Book(store)
    book.store([Placed(alert(n), 0, n) for n in range(5)])
    book.record(
        [
            Attempt(alert(0).alert_id, "hook", 0, NOW_MS, "failed", "queued", NOW_MS),
            Attempt(alert(0).alert_id, "hook", 1, NOW_MS, "failed", "refused", NOW_MS + 1000),
            Attempt(alert(0).alert_id, "hook", 2, NOW_MS + 1000, "delivered", "", NOW_MS + 1000),
        ]
    )


def alert(number: int) -> Alert:
    return Alert(
        alert_id=alert_id("rule", 1, str(number), "x"),
        rule_id="rule" if number else "first",
        rule_version=1,
        title=f"Alert {number}",
        severity="high",
        tenant="acme" if number == 4 else "default",
        group=str(number),
        summary="what happened",
        user="jane",
        event_ids=("e1",),
        occurred=f"2025-10-12T10:00:0{number}.5Z",
        recorded=f"2025-10-12T10:00:0{number}.750Z",
    )


async def ledger() -> Ledger:
    return total(
        [
            PartitionLedger(
                incarnation=INCARNATION,
                topic="audit.events",
                partition=0,
                received=3,
                stored=3,
                quarantined=0,
                difference=0,
                lag=0,
            )
        ]
    )


async def replay(asked: ReplayAsked) -> ReplayDone:
    if asked.partition == 9:
        raise BrokerUnavailable("Kafka is away")
    return ReplayDone(replayed=asked.limit, still_rejected=0)


@pytest.fixture
def seen() -> list[Read]:
    return []


@pytest.fixture
async def ask(store: Store, seen: list[Read]) -> AsyncIterator[Any]:
    """A client factory: `ask(tenant=…)` gives a client with the right token."""
    readers: list[Reader] = []
    clients: list[httpx.AsyncClient] = []

    async def saw(read: Read) -> None:
        seen.append(read)

    async def hang() -> Finding:
        await asyncio.sleep(60)
        return Finding(is_ok=True, found="never")

    def make(
        tenant: str | None = None, *, answers: Any = store, **kwargs: Any
    ) -> httpx.AsyncClient:
        reader = Reader(answers, is_too_broad=is_too_broad, bounds=kwargs.pop("bounds", None))
        readers.append(reader)
        probes = store_probes(store, Clock().now_ms, [1])
        ports = Ports(ledger, replay, probes, saw)
        app = build_api(Api(reader, ports, SecretStr(TOKEN), tenant, clock=Clock(), **kwargs))
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app, raise_app_exceptions=False),
            base_url="http://127.0.0.1:8000",
            headers={"authorization": f"Bearer {TOKEN}"},
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.aclose()
    for reader in readers:
        reader.close()


async def search(client: httpx.AsyncClient, **asked: Any) -> list[dict[str, Any]]:
    answer = await client.get("/v1/events", params={"limit": 500, **asked})
    assert answer.status_code == 200, answer.text
    page = answer.json()
    EventPage.model_validate(page)
    found: list[dict[str, Any]] = page["events"]
    return found


def offsets(found: list[dict[str, Any]]) -> list[int]:
    return [row["offset"] for row in found]


async def test_the_seeds_examples_come_out_complete(ask: Any) -> None:
    found = {row["offset"]: row for row in await search(ask(), since="2025-10-11T14:00:00Z")}
    for offset, raw in enumerate(SEED):
        said = json.loads(raw)
        shown = found[offset]
        for name, value in said.items():
            assert shown[name] == value, name
        for name in set(EventOut.model_fields) & {"role", "resource_id", "reason", "request_id"}:
            assert shown[name] is None


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
        "reason": None,
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


@pytest.mark.parametrize("name", [f"{INCARNATION[:8]}-0-1", "0:1"])
async def test_an_event_is_shown_with_its_evidence(ask: Any, name: str) -> None:
    shown = (await ask().get(f"/v1/events/{name}")).json()
    assert shown["raw"].encode() == SEED[1]
    assert shown["raw_base64"] is None
    assert shown["event"]["details"] == json.loads(SEED[1])["details"]
    assert shown["provenance"]["versions"] == "pipeline=1"
    assert shown["provenance"]["incarnation"] == INCARNATION
    assert shown["provenance"]["batch"]["last_offset"] == 2
    assert shown["provenance"]["replayed"] is False
    assert shown["others"] == []


async def test_events_that_share_an_id_are_all_shown(ask: Any) -> None:
    shown = (await ask().get("/v1/events/same")).json()
    assert shown["event"]["offset"] == 506
    assert offsets(shown["others"]) == [507]


async def test_quarantine_shows_what_is_open_and_its_bytes(ask: Any) -> None:
    client = ask()
    page = (await client.get("/v1/quarantine")).json()
    assert [(m["offset"], m["open"]) for m in page["messages"]] == [(600, True)]
    every = (await client.get("/v1/quarantine", params={"state": "all", "limit": 1})).json()
    rest = (
        await client.get(
            "/v1/quarantine", params={"state": "all", "limit": 1, "cursor": every["next"]}
        )
    ).json()
    assert [m["offset"] for m in every["messages"] + rest["messages"]] == [601, 600]
    shown = (await client.get("/v1/quarantine/0:600")).json()
    assert (shown["raw"], shown["raw_base64"]) == (None, "/wAB")
    assert (await client.get("/v1/quarantine/0:601")).json()["raw"] == "{}"
    assert (await client.get("/v1/quarantine/0:1")).status_code == 404


async def test_replay_is_handed_on(ask: Any) -> None:
    done = await ask().post("/v1/quarantine/replay", json={"reason": "ip_address:invalid"})
    assert done.json() == {"replayed": 1000, "still_rejected": 0, "next": None}
    away = await ask().post("/v1/quarantine/replay", json={"partition": 9})
    assert (away.status_code, away.json()["detail"]) == (503, "Kafka is away")
    wrong = await ask().post("/v1/quarantine/replay", json={"reson": "x"})
    assert wrong.json()["cure"] == "did you mean reason?"


async def test_alerts_are_listed_followed_and_shown_with_deliveries(ask: Any, store: Store) -> None:
    client = ask()
    first = (await client.get("/v1/alerts", params={"limit": 2})).json()
    assert [a["title"] for a in first["alerts"]] == ["Alert 4", "Alert 3"]
    second = (await client.get("/v1/alerts", params={"limit": 9, "cursor": first["next"]})).json()
    assert [a["title"] for a in second["alerts"]] == ["Alert 2", "Alert 1", "Alert 0"]
    none = (await client.get("/v1/alerts", params={"after": first["after"]})).json()
    assert (none["alerts"], none["after"]) == ([], first["after"])
    Book(store).store([Placed(alert(7), 0, 7)])
    new = (await client.get("/v1/alerts", params={"after": first["after"]})).json()
    assert [a["title"] for a in new["alerts"]] == ["Alert 7"]
    assert new["alerts"][0]["recorded"] == "2025-10-12T10:00:07.750Z"
    shown = (await client.get(f"/v1/alerts/{alert(0).alert_id}")).json()
    assert [(d["attempt"], d["outcome"]) for d in shown["deliveries"]] == [
        (0, "queued"),
        (1, "failed"),
        (2, "delivered"),
    ]
    ruled = (await client.get("/v1/alerts", params={"rule": "first"})).json()
    assert [a["title"] for a in ruled["alerts"]] == ["Alert 0"]


async def test_ledger_and_doctor_are_shown(ask: Any) -> None:
    assert (await ask().get("/v1/ledger")).json()["received"] == 3
    diagnosis = (await ask().get("/v1/doctor")).json()
    checks = {check["name"]: check for check in diagnosis["checks"]}
    assert checks["ClickHouse"]["ok"]
    assert checks["tables"]["ok"]
    assert not checks["clock of the store"]["ok"]  # the test's clock stands still in 2025
    assert checks["clock of the store"]["cure"]
    assert diagnosis["ok"] is False


async def test_a_token_for_one_tenant_reaches_no_other(ask: Any) -> None:
    client = ask("acme")
    assert {row["tenant"] for row in await search(client)} == {"acme"}
    refused = await client.get("/v1/events", params={"tenant": "default"})
    assert (refused.status_code, refused.json()["field"]) == (403, "tenant")
    for path in ("/v1/events/0:1", "/v1/events/same", f"/v1/alerts/{alert(0).alert_id}"):
        assert (await client.get(path)).status_code == 404
    for path in ("/v1/quarantine", "/v1/ledger", "/v1/quarantine/0:600", "/v1/doctor"):
        assert (await client.get(path)).status_code == 403
    listed = (await client.get("/v1/alerts")).json()["alerts"]
    assert {a["tenant"] for a in listed} == {"acme"}


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


@pytest.mark.parametrize("path", ["/v1/events", "/openapi.json", "/docs", "/", "/metrics"])
@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer x", f"Basic {TOKEN}", "Bearer ü"])
async def test_nothing_is_told_without_the_token(ask: Any, path: str, header: str | None) -> None:
    client = ask()
    client.headers.pop("authorization")
    given = {} if header is None else {"authorization": header.encode("latin-1")}
    answer = await client.get(path, headers=given)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("evil.example:8000", 421),
        ("", 421),
        ("localhost.evil.example", 421),
        ("localhost:1", 200),
        ("[::1]:8000", 200),
    ],
)
async def test_another_host_name_is_refused(ask: Any, host: str, status: int) -> None:
    answer = await ask().get("/v1/ledger", headers={"host": host})
    assert answer.status_code == status


async def test_no_page_of_another_origin_is_invited(ask: Any) -> None:
    answer = await ask().options("/v1/events", headers={"origin": "http://evil.example"})
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_body_over_its_bound_is_refused(ask: Any) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 10_000

    declared = await ask().post("/v1/quarantine/replay", content=b" " * 100_000)
    assert declared.status_code == 413
    streamed = await ask().post("/v1/quarantine/replay", content=endless())
    assert streamed.status_code == 413


async def test_a_query_over_its_bounds_says_how_to_narrow_it(ask: Any) -> None:
    client = ask(bounds=Bounds(memory_bytes_max=1000))
    answer = await client.get("/v1/events")
    assert answer.json()["type"].endswith("query_too_broad")
    assert "since" in answer.json()["cure"]


async def test_a_store_that_is_away_is_said_and_nothing_more(ask: Any) -> None:
    class Away:
        def query(self, *_: Any) -> Any:
            raise StoreUnavailable("query: 210")

    answer = await ask(answers=Away()).get("/v1/events")
    assert (answer.status_code, answer.json()["detail"]) == (503, "query: 210")


async def test_a_request_that_takes_too_long_is_ended(ask: Any) -> None:
    class Slow:
        def query(self, *_: Any) -> Any:
            import time  # noqa: PLC0415

            time.sleep(0.3)
            return []

    answer = await ask(answers=Slow(), request_s_max=0.05).get("/v1/events")
    assert answer.json()["type"].endswith("timeout")


async def test_a_bug_tells_nothing_of_itself(ask: Any) -> None:
    class Buggy:
        def query(self, *_: Any) -> Any:
            raise ZeroDivisionError("secret")

    answer = await ask(answers=Buggy()).get("/v1/events")
    assert answer.status_code == 500
    assert b"secret" not in answer.content


async def test_every_read_is_seen(ask: Any, seen: list[Read]) -> None:
    await search(ask("acme"), user="four")
    assert seen[-1].path == "/v1/events"
    assert seen[-1].asked["user"] == "four"
    assert (seen[-1].tenant, seen[-1].rows) == ("acme", 1)


async def test_the_description_names_every_route_and_parameter(ask: Any) -> None:
    described = (await ask().get("/openapi.json")).json()
    assert described["openapi"].startswith("3.1")
    parameters = {p["name"] for p in described["paths"]["/v1/events"]["get"]["parameters"]}
    assert {"user", "ip", "since", "cursor", "text", "limit"} <= parameters
    assert "EventOut" in described["components"]["schemas"]


async def test_unknown_paths_and_methods_are_problems(ask: Any) -> None:
    missing = await ask().get("/v1/nothing")
    assert (missing.status_code, missing.json()["status"]) == (404, 404)
    wrong = await ask().delete("/v1/events")
    assert wrong.json()["type"].endswith("method_not_allowed")


async def test_the_service_serves_and_stops(store: Store, tmp_path: Path) -> None:
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    token_file = tmp_path / "token"
    service = ApiService(
        store=store, ports=Ports(ledger, replay), token_file=token_file, told=told.set_result
    )
    serving = asyncio.create_task(run_api(service, stop))
    url = await asyncio.wait_for(told, 10)
    assert token_file.stat().st_mode & 0o777 == 0o600
    async with httpx.AsyncClient(base_url=url) as client:
        token = token_file.read_text().strip()
        answer = await client.get("/v1/ledger", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 200
        assert (await client.get("/v1/ledger")).status_code == 401
    stop.set()
    await asyncio.wait_for(serving, 10)


async def test_the_service_refuses_a_token_that_others_can_read(
    store: Store, tmp_path: Path
) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    token_file.chmod(0o644)
    service = ApiService(store=store, ports=Ports(ledger, replay), token_file=token_file)
    with pytest.raises(Misconfigured, match="chmod 600"):
        await run_api(service, asyncio.Event())


async def test_a_probe_that_hangs_or_fails_is_a_failed_check() -> None:
    from console.doctor import examine  # noqa: PLC0415

    async def hang() -> Finding:
        await asyncio.sleep(60)
        return Finding(is_ok=True, found="")

    async def fail() -> Finding:
        raise BrokerUnavailable("Kafka did not answer")

    probes = [Probe("a", "w", "c", hang), Probe("b", "w", "c", fail)]
    diagnosis = await examine(probes, seconds_max=0.05)
    assert [check.ok for check in diagnosis.checks] == [False, False]
    assert diagnosis.checks[1].found == "Kafka did not answer"
