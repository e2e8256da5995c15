"""Live tail on a real store: what is stored comes, once and in order, and both ends are told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from console.access import Principal
from console.pages import tail
from console.pages.search import SearchAsked
from console.pages.tail import Tail
from console.ports import Ports, Read
from console.query.conditions import Conditions
from console.query.scope import scoped
from console.search.reading import Reader
from console.state import State
from console.web.api import Api
from console.web.auth import ServiceToken
from console.web.service import is_too_broad
from runtime.clickhouse import Store
from runtime.clock import SystemClock
from schemas.errors import StoreUnavailable
from tests.integration.api.stored import TOKEN, event, ledger, put, replay

WHO = Principal("service", frozenset({"analyst"}))
FIRST = 2_000


@pytest.fixture
async def api(
    store: Store, tmp_path: Any, seen: list[Read], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Api]:
    monkeypatch.setattr(tail, "POLL_S", 0.02)
    reader = Reader(store, is_too_broad=is_too_broad)
    state = State(tmp_path / "console.sqlite3")

    async def saw(read: Read) -> None:
        seen.append(read)

    ports = Ports(ledger, replay, saw=saw)
    yield Api(reader, ports, ServiceToken(SecretStr(TOKEN)), state, principal=WHO)
    reader.close()
    store.command("DELETE FROM events WHERE source = 'tail'")


def found() -> Conditions:
    return scoped(WHO).also("source = {s:String}", s="tail")


def stored(store: Store, *offsets: int, user: str = "tailed") -> None:
    recorded = tail._moment(SystemClock().now_ms())
    lines = []
    for offset in offsets:
        row = orjson.loads(event(offset, user=user, source="tail"))
        lines.append(orjson.dumps({**row, "recorded": recorded}))
    put(store, lines, f"tail-{offsets[0]}")


def started() -> Tail:
    now_ms = SystemClock().now_ms()
    return Tail(found(), now_ms, now_ms)


async def parts(api: Api, state: Tail, wanted: int) -> list[tuple[str, Any]]:
    told: list[tuple[str, Any]] = []
    async with asyncio.timeout(20):
        async for part in tail.follow(api, state, ("user", "action")):
            if part.startswith(b"event: "):
                name, body = part.decode().strip().split("\n")
                told.append((name.removeprefix("event: "), orjson.loads(body[6:])))
            if len(told) == wanted:
                break
    return told


async def test_what_is_stored_comes_once_and_the_last_first(api: Api, store: Store) -> None:
    state = started()
    stored(store, FIRST, FIRST + 1)
    (first,) = await parts(api, state, 1)
    stored(store, FIRST + 2)
    (second,) = await parts(api, state, 1)

    assert first[0] == second[0] == "rows"
    assert (first[1]["rows"], second[1]["rows"]) == (2, 1)
    assert state.rows == 3
    assert second[1]["html"].count("<tr data-row") == 1


async def test_what_was_there_before_does_not_come(api: Api, store: Store) -> None:
    stored(store, FIRST + 10)
    await asyncio.sleep(0.01)
    state = started()
    stored(store, FIRST + 11, user="fresh")

    (only,) = await parts(api, state, 1)
    assert "fresh" in only[1]["html"]
    assert "tailed" not in only[1]["html"]


async def test_more_than_eyes_can_follow_is_counted_and_said(api: Api, store: Store) -> None:
    state = started()
    stored(store, *range(FIRST + 20, FIRST + 20 + tail.SHOWN_MAX + 5))

    (only,) = await parts(api, state, 1)
    assert (only[1]["rows"], only[1]["dropped"]) == (tail.SHOWN_MAX, 5)


async def test_hostile_content_is_text(api: Api, store: Store) -> None:
    state = started()
    stored(store, FIRST + 60, user="<script>alert(1)</script>\u202e")

    (only,) = await parts(api, state, 1)
    assert "<script>" not in only[1]["html"]
    assert "\u202e" not in only[1]["html"]


async def test_a_store_that_is_away_is_said_and_waited_for(api: Api, store: Store) -> None:
    class Away:
        def __init__(self) -> None:
            self.left = 2

        def query(self, sql: str, *more: Any) -> Any:
            self.left -= 1
            if self.left >= 0:
                raise StoreUnavailable("away")
            return store.query(sql, *more)

    state = started()
    stored(store, FIRST + 70)
    reader = Reader(Away(), is_too_broad=is_too_broad)
    told = await parts(Api(reader, api.ports, api.authenticator, api.state), state, 3)
    reader.close()

    assert [name for name, _ in told] == ["away", "away", "rows"]


async def test_a_tail_is_told_of_when_it_begins_and_when_it_ends(
    api: Api, store: Store, seen: list[Read]
) -> None:
    asked = SearchAsked(q="source:tail")
    answer = await tail.tail(api, asked)
    stream = answer.body_iterator.__aiter__()  # type: ignore[attr-defined] # it is a stream
    assert b"event: ready" in await anext(stream)
    assert [(read.path, read.asked["state"], read.rows) for read in seen] == [
        (tail.PATH, "started", 0)
    ]

    stored(store, FIRST + 80, FIRST + 81)
    assert b"event: rows" in await anext(stream)
    await stream.aclose()
    assert [(read.asked["state"], read.rows) for read in seen] == [("started", 0), ("ended", 2)]


async def test_a_tail_has_an_end_of_its_own(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "LENGTH_S", 0.1)
    told = [part async for part in tail.follow(api, started(), ("user",))]

    assert told[-1].startswith(b"event: end")


async def test_a_wrong_query_gets_a_problem_instead_of_a_stream(ask: Any) -> None:
    answer = await ask().get("/search/tail", params={"q": "bogus:1"})

    assert answer.status_code == 400
    assert answer.json()["field"] == "q"
