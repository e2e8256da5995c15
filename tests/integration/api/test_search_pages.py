"""The pages of search, event and saved searches on a real store: what they show, and to whom."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from console.access import Permission, Principal, Role
from console.ports import Read
from console.web.auth import ServiceToken
from runtime.clickhouse import Store
from schemas.overview import FacetsOut, HistogramOut
from schemas.searches import SavedSearches
from tests.integration.api.stored import INCARNATION, SEED, TOKEN, event, line, put

HOSTILE = "<script>alert(1)</script>\"'\u202egnp.exe\x1b[31m{{7*7}}"
SOURCE = "search-pages"
RETENTION = f"{INCARNATION[:8]}-0-2"
MINE = {"source": SOURCE, "tenant": "pages"}


class Known(ServiceToken):
    """Says that the token is of somebody else than the service."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    async def by_token(self, token: str, client: str) -> Principal | None:
        del client
        return self._principal if token == TOKEN else None


def somebody(
    *roles: Role,
    name: str = "ann",
    tenant: str | None = None,
    scope: frozenset[Permission] | None = None,
) -> Known:
    return Known(Principal(name, frozenset(roles), tenant, kind="token", key="k", scope=scope))


def _read(offset: int, *, event_id: str, flags: list[str]) -> bytes:
    said = {"timestamp": "2025-10-10T00:00:00Z", **MINE, "user": "reader", "event_id": event_id}
    return line(orjson.dumps(said | {"action": "audit.events.searched"}), offset, flags=flags)


@pytest.fixture(scope="module", autouse=True)
def stored(store: Store) -> Iterator[None]:
    large = {f"key_{n}": "v" * 50 for n in range(4_000)}
    fields = ("user", "resource", "resource_id", "session_id", "reason", "role", "user_agent")
    hostile: dict[str, Any] = dict.fromkeys(fields, HOSTILE)
    hostile |= {"details": {HOSTILE: HOSTILE, "list": [{HOSTILE: HOSTILE}]}}
    lines = [
        event(900 + n, **MINE, user=f"walker{n % 3}", timestamp=f"2025-10-08T00:{n:02}:00Z")
        for n in range(60)
    ]
    lines += [
        event(970, **MINE, **{**hostile, "user": HOSTILE}, event_id=HOSTILE[:60]),
        event(971, **MINE, user="big", details=large, event_id="big-one"),
        event(972, **MINE, user="word", resource="w" * 1_000, details={"w": "w" * 10_000}),
        _read(973, event_id="a-read", flags=["read"]),
        event(974, **{**MINE, "tenant": "elsewhere"}, user="stranger", event_id="not-yours"),
        event(975, **MINE, user="json", event_id="ends.json"),
    ]
    said = {**MINE, "timestamp": "2025-10-08T05:00:00Z", "user": "editor"}
    said |= {"action": "settings.greeting.updated", "resource": "greetings"}
    changed = {
        "changed": ["text", "hours"],
        "before": ['"Hello and welcome to us"', '["mon","tue"]'],
        "after": ['"Hello and goodbye to us"', '["mon","wed"]'],
    }
    lines.append(line(orjson.dumps(said), 976, **changed))
    put(store, lines, "pages")
    yield
    store.command("DELETE FROM events WHERE source = 'search-pages'")


async def page(client: httpx.AsyncClient, path: str, *, status: int = 200, **asked: Any) -> str:
    answer = await client.get(path, params=asked or None, headers={"accept": "text/html"})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    return answer.text


async def data(client: httpx.AsyncClient, path: str, **asked: Any) -> Any:
    answer = await client.get(path, params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def offsets(pages: list[Any]) -> list[int]:
    return [event["offset"] for one in pages for event in one["events"]]


def rows(html: str) -> int:
    return html.count("<tr data-row")


async def test_the_page_shows_what_the_query_finds_and_how_to_narrow_it(
    ask: Any, seen: list[Read]
) -> None:
    html = await page(ask(), "/search", q="user:walker1 tenant:pages")

    assert rows(html) == 20
    assert 'value="user:walker1 tenant:pages"' in html
    assert 'aria-label="Remove user:walker1"' in html
    assert [(read.path, read.rows) for read in seen] == [("/search", 20)]
    assert seen[0].asked["q"] == "user:walker1 tenant:pages"


async def test_pages_of_rows_go_on_and_come_back_without_hole_or_repeat(ask: Any) -> None:
    client, asked = ask(), {"q": "tenant:pages user:walker*", "limit": 7}
    pages = [await data(client, "/search.json", **asked)]
    while pages[-1]["next"]:
        pages.append(await data(client, "/search.json", cursor=pages[-1]["next"], **asked))
    assert offsets(pages) == list(range(959, 899, -1))

    back = [pages[-1]]
    while back[-1]["previous"] and back[-1]["events"]:
        back.append(await data(client, "/search.json", newer=back[-1]["previous"], **asked))
    assert offsets(back[::-1]) == list(range(959, 899, -1))


async def test_going_back_beyond_the_first_page_shows_it_full(ask: Any) -> None:
    client, asked = ask(), {"q": "tenant:pages user:walker*", "limit": 50}
    first = await data(client, "/search.json", **asked)
    second = await data(client, "/search.json", cursor=first["next"], **asked)
    back = await data(client, "/search.json", newer=second["previous"], **asked)
    third_row = await data(client, "/search.json", **{**asked, "limit": 3})
    near = await data(client, "/search.json", cursor=third_row["next"], **asked)
    beyond = await data(client, "/search.json", newer=near["previous"], **asked)

    assert back["events"] == first["events"]
    assert beyond["events"] == first["events"]


async def test_a_cursor_of_another_search_is_refused(ask: Any) -> None:
    client = ask()
    cursor = (await data(client, "/search.json", q="tenant:pages", limit=1))["next"]
    answer = await client.get("/search.json", params={"q": "user:x", "cursor": cursor})

    assert answer.status_code == 400
    assert answer.json()["field"] == "cursor"


@pytest.mark.parametrize(
    ("query", "at"),
    [("user:walker1 bogus:1", "bogus"), ("risk>", ">"), ("user:x result:nope", "nope")],
)
async def test_a_wrong_query_shows_where_and_what_would_work(
    ask: Any, seen: list[Read], query: str, at: str
) -> None:
    html = await page(ask(), "/search", status=400, q=query)

    caret = re.search(r'<pre class="caret"><code>(.*?)\n(.*?)</code>', html, re.DOTALL)
    assert caret is not None
    text = re.sub(r"<[^>]*>", "", caret[1]).replace("&gt;", ">")
    assert at in text[caret[2].index("^") - 1 :]
    assert f'value="{query.replace(">", "&gt;")}"' in html
    assert len(seen) == 1
    answer = await ask().get("/search.json", params={"q": query})
    assert answer.status_code == 400
    assert answer.json()["error"]["cure"]


async def test_hostile_content_is_text_everywhere(ask: Any) -> None:
    client = ask()
    found = await data(client, "/search.json", q="tenant:pages partition:0 offset:970")
    assert found["events"][0]["user"] == HOSTILE
    name = f"{INCARNATION[:8]}-0-970"
    columns = "timestamp,user,resource,resource_id,reason,user_agent,details.list,event_id,role"
    for html in (
        await page(client, "/search", q="offset:970", columns=columns, facets=1),
        await page(client, f"/events/{name}"),
        await page(client, f"/events/{name}", all=1, around="user"),
        await page(client, "/search/facets", q="offset:970"),
        await page(client, "/search/histogram", q="offset:970"),
    ):
        assert "<script>alert" not in html
        assert not set(html) & {"\u202e", "\x1b"}
        assert "style=" not in html
        assert "javascript:" not in html
    row = await page(client, "/search", q="offset:970", columns=columns)
    assert f"/events/{name}" in row, "an id that no address can hold is not linked by"
    table = await client.get("/search.csv", params={"q": "offset:970", "columns": columns})
    assert table.text.splitlines()[0] == columns


async def test_columns_are_chosen_by_the_address_and_the_csv_has_them(ask: Any) -> None:
    client = ask()
    asked: dict[str, Any] = {
        "q": "partition:0 offset:1",
        "columns": "user,details.format,details.record_count",
    }
    html = await page(client, "/search", **asked)
    table = (await client.get("/search.csv", params=asked)).text

    assert "csv" in html
    assert table.splitlines() == [
        "user,details.format,details.record_count",
        "admin@company.com,csv,1523",
    ]


async def test_without_javascript_the_counts_are_one_click_away(ask: Any) -> None:
    client = ask()
    html = await page(client, "/search", q="tenant:pages user:walker*")
    assert 'href="/search?q=tenant%3Apages+user%3Awalker%2A&amp;facets=1"' in html

    html = await page(client, "/search", q="tenant:pages user:walker*", facets=1)
    assert '<svg class="chart histogram"' in html
    assert "walker2" in html
    bars = re.findall(r'<a href="([^"]*)" aria-label="[^"]*: (\d+) events', html)
    assert sum(int(count) for _, count in bars) == 60
    first = bars[0][0].replace("&amp;", "&")
    assert rows(await page(client, first)) == int(bars[0][1])


async def test_the_overview_as_rest_and_as_json_say_the_same(ask: Any) -> None:
    client, asked = ask(), {"q": "tenant:pages user:walker*"}
    over_time = await data(client, "/v1/events/histogram", **asked)
    values = await data(client, "/v1/events/facets", **asked)

    assert HistogramOut.model_validate(over_time).rows == 60
    assert sum(bar["rows"] for bar in over_time["bars"]) == 60
    assert FacetsOut.model_validate(values).rows == 60
    users = next(one for one in values["facets"] if one["field"] == "user")
    assert [value["rows"] for value in users["values"]] == [20, 20, 20]
    assert await data(client, "/search/histogram.json", **asked) == over_time
    assert await data(client, "/search/facets.json", **asked) == values


@pytest.mark.parametrize("path", ["/v1/events/histogram", "/v1/events/facets"])
async def test_the_overview_tells_what_is_wrong_with_a_query(ask: Any, path: str) -> None:
    answer = await ask().get(path, params={"q": "bogus:1"})

    assert answer.status_code == 400
    assert answer.json()["field"] == "q"


async def test_a_period_that_is_none_is_told_of_the_address_and_not_of_the_query(ask: Any) -> None:
    client, period = ask(), {"since": "1d", "until": "7d"}
    for path in ("/v1/events/histogram", "/search.json"):
        answer = await client.get(path, params=period)
        assert answer.status_code == 400
        assert answer.json()["field"] == "since"
    wrong = await client.get("/search.json", params={"q": "since:1d until:7d"})
    assert wrong.json()["error"]["length"] > 0


async def test_reads_are_shown_only_to_who_may_and_asks(ask: Any) -> None:
    auditor, analyst = (
        ask(authenticator=somebody("auditor")),
        ask(authenticator=somebody("analyst")),
    )

    assert "Reads of this audit log are hidden" in await page(auditor, "/search", q="tenant:pages")
    assert "Reads of this audit log" not in await page(analyst, "/search", q="tenant:pages")
    assert rows(await page(auditor, "/search", q="tenant:pages is:read")) == 1
    assert (await analyst.get("/search", params={"q": "is:read"})).status_code == 403
    assert (await auditor.get("/events/a-read")).status_code == 200
    assert (await analyst.get("/events/a-read")).status_code == 404
    values = await data(auditor, "/v1/events/facets", q="tenant:pages user:reader")
    assert values["rows"] == 0


@pytest.mark.parametrize(
    "path",
    [
        "/search.json",
        "/search/histogram.json",
        "/search/facets.json",
        "/v1/events/histogram",
        "/v1/events/facets",
    ],
)
async def test_another_tenant_is_not_seen(ask: Any, path: str) -> None:
    client = ask(authenticator=somebody("analyst", tenant="pages"))
    found = await data(client, path, q="user:stranger", since="2025-01-01")

    assert not found.get("events")
    assert found.get("rows", 0) == 0
    assert (await client.get("/events/not-yours")).status_code == 404
    assert (await client.get(f"/events/{RETENTION}")).status_code == 404
    assert (await client.get(path, params={"q": "tenant:elsewhere"})).status_code == 403


async def test_an_administrator_alone_sees_no_events(ask: Any) -> None:
    client = ask(authenticator=somebody("administrator"))
    paths = ("/search", "/search/facets", "/search/histogram", "/search/tail", "/events/own-1")
    for path in (*paths, "/v1/events/facets", "/v1/events/histogram", "/searches", "/v1/searches"):
        answer = await client.get(path, headers={"accept": "text/html"})
        assert answer.status_code == 403, path


async def test_the_event_page_answers_who_where_what_and_where_from(
    ask: Any, seen: list[Read]
) -> None:
    html = await page(ask(), f"/events/{RETENTION}")

    for text in (
        "admin@company.com",
        "203.0.113.42",
        "settings.retention_policy.updated",
        "voice_recordings",
        "90 days",
        "180 days",
        "compliance requirement update",
        "retention_shortened",
        "DTAG",
        "offsets 0 to 2, 3 rows",
        "sess_xyz789",
    ):
        assert text in html, text
    assert SEED[2].decode() in html.replace("&#34;", '"')
    assert [read.path for read in seen] == ["/events/{event_id}"]


async def test_changes_are_shown_word_by_word_and_member_by_member(ask: Any) -> None:
    html = await page(ask(), f"/events/{INCARNATION[:8]}-0-976")

    assert "<mark>welcome</mark>" in html
    assert "<mark>goodbye</mark>" in html
    assert "tue" in html
    assert "wed" in html


async def test_a_viewer_sees_the_event_and_not_its_bytes(ask: Any) -> None:
    client = ask(authenticator=somebody("viewer"))
    html = await page(client, "/events/0:504")
    found = await data(client, "/events/0:504.json")

    assert "As published" not in html
    assert (found["raw"], found["raw_base64"]) == (None, None)
    assert "As published" in await page(ask(), "/events/0:504")


async def test_what_was_masked_is_masked_in_the_details_and_only_in_evidence_in_the_bytes(
    ask: Any,
) -> None:
    viewer = ask(authenticator=somebody("viewer"))

    assert "hunter2" not in await page(viewer, "/events/0:505")
    assert "hunter2" in await page(ask(), "/events/0:505")


@pytest.mark.parametrize("way", ["session", "user", "ip", "resource"])
async def test_what_lies_around_an_event_is_one_click_away(ask: Any, way: str) -> None:
    client = ask()
    html = await page(client, f"/events/{INCARNATION[:8]}-0-1")
    assert f"?around={way}" in html

    found = await data(client, f"/events/{INCARNATION[:8]}-0-1.json", around=way)
    near = [event["offset"] for event in found["around"]["events"]]
    assert 1 in near
    if way in ("session", "user"):
        assert near == [2, 1]


async def test_neighbours_stand_on_both_sides_in_order(ask: Any) -> None:
    found = await data(ask(), f"/events/{INCARNATION[:8]}-0-930.json", around="user")
    near = [event["offset"] for event in found["around"]["events"]]

    assert near == list(range(954, 905, -3))


async def test_an_id_sent_twice_leads_to_the_other_one(ask: Any) -> None:
    html = await page(ask(), "/events/same")

    assert "The same id elsewhere" in html
    assert "/events/0:507" in html


async def test_a_large_event_is_folded_until_all_of_it_is_asked_for(ask: Any) -> None:
    client = ask()
    folded = await page(client, "/events/big-one")
    whole = await page(client, "/events/big-one", all=1)

    assert len(folded) < 200_000 < len(whole)
    assert "Show all of it" in folded
    assert "key_3999" in whole
    assert "key_3999" not in folded


async def test_an_id_that_ends_like_a_form_of_the_page_is_linked_by_its_place(ask: Any) -> None:
    html = await page(ask(), "/search", q="user:json tenant:pages")

    assert f"/events/{INCARNATION[:8]}-0-975" in html
    assert "/events/ends.json" not in html


async def test_an_event_that_is_not_there_is_said(ask: Any) -> None:
    html = await page(ask(), "/events/nothing-like-it", status=404)

    assert "o event that you may see has that id" in html


@pytest.fixture
def pair(ask: Any) -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
    return (
        ask(authenticator=somebody("analyst", name="ann", tenant="pages")),
        ask(authenticator=somebody("viewer", name="bob", tenant="pages")),
    )


async def test_a_search_is_saved_shared_renamed_and_deleted_by_its_owner(pair: Any) -> None:
    ann, bob = pair
    saved = {"name": "Denied <b>", "q": "-result:success risk>50", "shared": "1"}
    answer = await ann.post("/searches", data=saved)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/searches")
    (mine,) = (await data(ann, "/searches.json"))["searches"]
    assert (mine["own"], mine["owner"], mine["shared"]) == (True, "ann", True)
    assert "Denied &lt;b&gt;" in await page(ann, "/searches")
    assert "Denied &lt;b&gt;" in await page(ann, "/search")

    (theirs,) = (await data(bob, "/v1/searches"))["searches"]
    assert (theirs["own"], theirs["q"]) == (False, "-result:success risk>50")
    for path, form in (
        ("/searches/delete", {"search_id": mine["search_id"]}),
        ("/searches/rename", {"search_id": mine["search_id"], "name": "taken"}),
    ):
        assert (await bob.post(path, data=form)).status_code == 404
    assert (await bob.delete(f"/v1/searches/{mine['search_id']}")).status_code == 404

    renamed = {"search_id": mine["search_id"], "name": "Refused"}
    assert (await ann.post("/searches/rename", data=renamed)).status_code == 303
    assert "Refused" in await page(ann, "/searches")
    gone = {"search_id": mine["search_id"]}
    assert (await ann.post("/searches/delete", data=gone)).status_code == 303
    assert (await data(ann, "/searches.json"))["searches"] == []


async def test_what_is_not_shared_is_seen_by_its_owner_alone(ask: Any, pair: Any) -> None:
    ann, bob = pair
    stranger = ask(authenticator=somebody("analyst", name="ann", tenant="elsewhere"))
    answer = await ann.post("/v1/searches", json={"name": "own", "q": "risk>50"})
    assert answer.status_code == 200
    await ann.post("/v1/searches", json={"name": "ours", "q": "risk>1", "shared": True})

    assert [one["name"] for one in (await data(ann, "/v1/searches"))["searches"]] == ["ours", "own"]
    assert [one["name"] for one in (await data(bob, "/v1/searches"))["searches"]] == ["ours"]
    assert (await data(stranger, "/v1/searches"))["searches"] == []


async def test_a_query_that_can_not_be_read_is_not_saved(pair: Any) -> None:
    ann, _ = pair
    answer = await ann.post("/v1/searches", json={"name": "x", "q": "bogus:1"})

    assert answer.status_code == 400
    assert answer.json()["field"] == "q"
    SavedSearches.model_validate(await data(ann, "/v1/searches"))


async def test_a_name_saved_again_is_replaced_and_one_taken_is_not(pair: Any) -> None:
    ann, _ = pair
    for name, query in (("a", "risk>1"), ("b", "risk>2"), ("a", "risk>3")):
        await ann.post("/v1/searches", json={"name": name, "q": query})
    found = (await data(ann, "/v1/searches"))["searches"]
    assert [(one["name"], one["q"]) for one in found] == [("a", "risk>3"), ("b", "risk>2")]

    taken = {"search_id": found[0]["search_id"], "name": "b"}
    assert (await ann.post("/searches/rename", data=taken)).status_code == 409
    assert (await ann.delete(f"/v1/searches/{found[0]['search_id']}")).status_code == 204


async def test_completion_is_there_for_pages(ask: Any, seen: list[Read]) -> None:
    client = ask()
    found = await data(client, "/search/complete.json", q="resul")

    assert found == await data(client, "/v1/complete", q="resul")
    assert found["completions"][0]["text"].startswith("result")
    assert [read.path for read in seen] == ["/search/complete", "/v1/complete"]


def test_what_ships_for_the_pages_is_small_and_loads_nothing_from_elsewhere() -> None:
    folder = Path(__file__).parents[3] / "console/pages/static"
    for name in ("search.js", "search.css"):
        text = (folder / name).read_text()
        assert len(text.splitlines()) < 400
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in text
