"""The pages of search on a real store: what they show, and to whom."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.access import Permission, Principal, Role
from console.ports import Read
from console.web.auth import ServiceToken
from runtime.clickhouse import Store
from schemas.overview import FacetsOut, HistogramOut
from tests.integration.api.searching import (
    HOSTILE,
    RETENTION,
    data,
    page,
    put_pages,
    remove_pages,
    rows,
)
from tests.integration.api.stored import INCARNATION, TOKEN


@pytest.fixture(scope="module", autouse=True)
def stored(store: Store) -> Iterator[None]:
    put_pages(store)
    yield
    remove_pages(store)


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


def offsets(pages: list[Any]) -> list[int]:
    return [event["offset"] for one in pages for event in one["events"]]


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


async def test_an_id_that_ends_like_a_form_of_the_page_is_linked_by_its_place(ask: Any) -> None:
    html = await page(ask(), "/search", q="user:json tenant:pages")

    assert f"/events/{INCARNATION[:8]}-0-975" in html
    assert "/events/ends.json" not in html


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
