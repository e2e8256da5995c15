"""The query language over HTTP: what it finds, what it hides, what it refuses, how it completes."""

from typing import Any

import orjson
import pytest

from console.access import Principal, Role
from console.ports import Read
from console.search.reading import Bounds
from runtime.clickhouse import Store
from tests.integration.api.stored import line, offsets, put, search


class Knows:
    """Takes every token for the same principal."""

    def __init__(self, *roles: Role, tenant: str | None = None) -> None:
        self.principal = Principal("someone", frozenset(roles), tenant, kind="token", key="k")

    async def by_token(self, _token: str, _client: str) -> Principal | None:
        return self.principal

    async def by_session(self, _cookie: str, _client: str) -> Principal | None:
        return None


@pytest.fixture(scope="module", autouse=True)
def _reads(store: Store) -> None:
    said = {"timestamp": "2025-10-12T10:00:00Z", "user": "auditor", "source": "audit-console"}
    read = said | {"action": "audit.events.searched", "details": {"query": "user:jane"}}
    canary = said | {"action": "a.b", "user": "canary", "tenant": "audit-canary"}
    put(
        store,
        [
            line(orjson.dumps(read), 900, flags=["read"]),
            line(orjson.dumps(canary), 901, flags=["canary"]),
        ],
        "reads",
    )


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        pytest.param("user:jane* action:authentication.* ip:203.0.113.0/24", {0, 601}, id="seed"),
        pytest.param(
            "resource:voice_call_records details.format:csv -result:success since:30d",
            {1},
            id="who",
        ),
        pytest.param("details.record_count>1000", {1}, id="number in the details"),
        pytest.param("risk>=40 severity:high is:changed", {2}, id="derived"),
        pytest.param('"compliance requirement"', {2}, id="phrase"),
        pytest.param("session:sess_xyz789 -action:data.*", {2}, id="not"),
        pytest.param('before:"90 days" after:180*', {2}, id="before and after"),
        pytest.param("rule:retention* flag:late country:de asn:AS3320", {2}, id="enriched"),
        pytest.param("user:(a_b OR axb)", {500, 501}, id="one of"),
        pytest.param("details:grün", {504}, id="text that the producer escaped"),
        pytest.param("hunter2", set(), id="a masked secret can't be searched by a word"),
        pytest.param("details.password:hunter2", set(), id="nor by its key"),
        pytest.param('details.password:"***"', {505}, id="its mask can"),
        pytest.param('user:"\'; DROP TABLE events; --"', {508}, id="sql is text"),
        pytest.param("is:replayed", {601}, id="replayed"),
        pytest.param("10.1.2.3", {503}, id="an address as a word"),
        pytest.param("own-1", {500}, id="an id as a word"),
        pytest.param("2001:db8::7", None, id="an address with colons"),
    ],
)
async def test_query_finds_exactly(ask: Any, q: str, expected: set[int] | None) -> None:
    if expected is None:
        answer = await ask().get("/v1/events", params={"q": q})
        assert "ip:2001:db8::7" in answer.json()["cure"]
        return
    assert set(offsets(await search(ask(), q=q))) == expected


async def test_query_and_parameters_narrow_each_other(ask: Any) -> None:
    assert offsets(await search(ask(), q="is:changed OR user:jane*", user="admin*")) == [2]
    assert await search(ask(), q="user:jane*", user="admin*") == []


async def test_parameter_is_the_field_of_the_same_name(ask: Any) -> None:
    client = ask()
    for name, value in (("user", "a*b"), ("ip", "203.0.113.0/24"), ("session", "sess_xyz789")):
        by_query = await search(client, q=f"{name}:{value}")
        assert by_query == await search(client, **{name: value})


@pytest.mark.parametrize(
    ("q", "place", "detail", "cure"),
    [
        pytest.param("a usr:x", (2, 3), "unknown field 'usr'", "did you mean user?", id="field"),
        pytest.param("ip:1.2.3", (3, 5), "neither an address", "203.0.113.42", id="ip"),
        pytest.param("user:(a", (5, 1), "not closed", ")", id="bracket"),
        pytest.param("since:1h until:2h", (0, 8), "not before until", "exchange", id="period"),
        pytest.param("x " * 65, (128, 1), "over 64 conditions", "less", id="too many"),
    ],
)
async def test_wrong_query_is_told_at_its_character(
    ask: Any, q: str, place: tuple[int, int], detail: str, cure: str
) -> None:
    answer = await ask().get("/v1/events", params={"q": q})
    fault = answer.json()
    assert (answer.status_code, fault["type"]) == (400, "urn:audit-stream:problem:bad_query")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (fault["field"], fault["position"], fault["length"]) == ("q", *place)
    assert detail in fault["detail"]
    assert cure in fault["cure"]


async def test_parameter_at_fault_has_no_position(ask: Any) -> None:
    fault = (await ask().get("/v1/events", params={"q": "a", "ip": "1.2.3"})).json()
    assert fault["field"] == "ip"
    assert "position" not in fault


async def test_query_that_is_too_long_names_itself(ask: Any) -> None:
    fault = (await ask().get("/v1/events", params={"q": "x" * 5_000})).json()
    assert fault["field"] == "q"


async def test_query_that_reads_too_much_says_how_to_narrow_this_one(ask: Any) -> None:
    client = ask(bounds=Bounds(memory_bytes_max=1000))
    fault = (await client.get("/v1/events", params={"q": "okta since:7d"})).json()
    assert fault["type"].endswith("query_too_broad")
    assert fault["field"] == "q"
    assert "bring since closer" in fault["cure"]


async def test_reads_are_hidden_until_asked_for(ask: Any) -> None:
    client = ask(authenticator=Knows("auditor"))
    assert 900 not in offsets(await search(client))
    assert await search(client, q="user:auditor") == []
    assert await search(client, action="audit.*") == []
    assert offsets(await search(client, q="is:read")) == [900]
    assert offsets(await search(client, q="user:auditor (is:read OR is:changed)")) == [900]
    assert await search(client, q="user:auditor -is:read") == []
    assert (await client.get("/v1/events/0:900")).status_code == 200


@pytest.mark.parametrize("role", ["viewer", "analyst"])
async def test_reads_are_for_those_only_who_may_read_them(ask: Any, role: Role) -> None:
    client = ask(authenticator=Knows(role))
    answer = await client.get("/v1/events", params={"q": "is:read"})
    assert (answer.status_code, answer.json()["type"]) == (
        403,
        "urn:audit-stream:problem:forbidden",
    )
    assert "auditor" in answer.json()["cure"]
    assert 900 not in offsets(await search(client, q="-is:read"))
    assert (await client.get("/v1/events/0:900")).status_code == 404
    assert (await client.get("/v1/events/HHiSBQq0-0-900")).status_code == 404


async def test_canaries_are_hidden_until_asked_for(ask: Any) -> None:
    client = ask()
    assert await search(client, q="user:canary") == []
    for q in ("is:canary", "flag:canary", "tenant:audit-canary"):
        assert offsets(await search(client, q=q)) == [901]
    assert offsets(await search(client, tenant="audit-canary")) == [901]
    assert await search(client, q="user:canary -is:canary") == []


async def test_tenant_is_the_credentials(ask: Any) -> None:
    client = ask(tenant="acme")
    assert offsets(await search(client, q="user:*")) == [503]
    assert offsets(await search(client, q="user:nobody OR user:*")) == [503]
    assert offsets(await search(client, q="-tenant:other")) == [503]
    assert offsets(await search(client, q="tenant:acme")) == [503]
    for q in ("tenant:default", "tenant:default OR user:*", "user:x OR tenant:(acme OR other)"):
        answer = await client.get("/v1/events", params={"q": q})
        assert (answer.status_code, answer.json()["field"]) == (403, "q")
    assert await search(client, q="tenant:def*") == []


async def test_page_after_page_of_a_query_joins(ask: Any) -> None:
    client = ask()
    asked: dict[str, Any] = {"q": "user:bulk* -user:bulk0", "limit": 7}
    seen: list[int] = []
    while True:
        page = (await client.get("/v1/events", params=asked)).json()
        seen += offsets(page["events"])
        if page["next"] is None:
            break
        asked["cursor"] = page["next"]
    assert seen == offsets(await search(client, q="user:bulk* -user:bulk0"))
    other = await client.get("/v1/events", params=asked | {"q": "user:bulk*"})
    assert other.json()["field"] == "cursor"


async def test_read_of_a_query_is_told_with_its_text(ask: Any, seen: list[Read]) -> None:
    await search(ask(), q="user:jane*")
    assert [(read.path, read.asked["q"], read.rows) for read in seen] == [
        ("/v1/events", "user:jane*", 2)
    ]


async def complete(client: Any, q: str, **asked: Any) -> dict[str, Any]:
    answer = await client.get("/v1/complete", params={"q": q, **asked})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_completion_knows_fields_vocabularies_and_what_the_store_has(ask: Any) -> None:
    client = ask()

    async def texts(q: str, **asked: Any) -> list[str]:
        return [one["text"] for one in (await complete(client, q, **asked))["completions"]]

    assert (await texts("us"))[0] == "user:"
    assert await texts("result:fa") == ["failure"]
    assert "admin@company.com" in await texts("user:adm")
    assert "jane.doe@company.com" in await texts("user:doe")
    assert await texts("ip:203") == ["203.0.113.42"]
    assert await texts("rule:ret") == ["retention_shortened"]
    assert "3320" in await texts("asn:33")
    assert await texts("user:\"'; DROP") == ['"\'; DROP TABLE events; --"']
    assert "user:" in await texts("us x", at=2)
    assert await texts("user:{p0:String}") == []


async def test_completion_says_where_its_text_goes(ask: Any) -> None:
    found = await complete(ask(), "risk>50 user:adm is:changed", at=16)
    assert (found["position"], found["length"]) == (13, 3)


async def test_completion_shows_nothing_that_a_search_would_hide(
    ask: Any, seen: list[Read]
) -> None:
    auditor = await complete(ask(authenticator=Knows("auditor")), "user:aud")
    assert auditor["completions"] == []
    assert (await complete(ask(), "user:cana"))["completions"] == []
    mine = await complete(ask(tenant="acme"), "user:")
    assert [one["text"] for one in mine["completions"]] == ["four"]
    assert {read.path for read in seen} == {"/v1/complete"}


async def test_completion_is_for_those_who_may_search(ask: Any) -> None:
    answer = await ask(authenticator=Knows("administrator")).get("/v1/complete", params={"q": ""})
    assert answer.status_code == 403


async def test_scan_of_history_leaves_reads_to_those_who_may_read_them(ask: Any) -> None:
    asked = {"from_ms": 0, "to_ms": 4_000_000_000_000}
    roles: tuple[tuple[Role, int], ...] = (("auditor", 1), ("analyst", 0))
    for role, count in roles:
        client = ask(authenticator=Knows(role))
        page = (await client.post("/v1/scan", json=asked)).json()
        assert [row[2] for row in page["rows"]].count(900) == count
