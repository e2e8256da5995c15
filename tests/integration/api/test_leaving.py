"""A reader who leaves: the engine stops, seen in the engine's own list of what it runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from pydantic import SecretStr

from console.ports import Ports, Read
from console.query.conditions import Query
from console.search.reading import Reader
from console.state import State
from console.web.api import Api, build_api
from console.web.auth import ServiceToken
from console.web.leaving import UntilGone
from console.web.service import is_too_broad
from runtime.clickhouse import Store
from tests.integration.api.stored import TOKEN, Clock, ledger, replay

# Would take minutes, reads nothing, and can be told from all else.
SLOW = "SELECT count() AS n FROM numbers(100000000000) WHERE sipHash64(number) = {leaving:UInt64}"
RUNNING = (
    "SELECT count() AS n FROM system.processes "
    "WHERE query LIKE '%sipHash64(number)%' AND query NOT LIKE '%processes%'"
)


class Slow:
    """A store whose every search is slow; what it runs it runs on the real engine."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, str | int] | None = None,
    ) -> list[dict[str, Any]]:
        if sql.startswith("KILL"):
            return self.store.query(sql, parameters)
        return self.store.query(SLOW, {"leaving": 1}, settings)


def running(store: Store) -> int:
    return int(store.query(RUNNING)[0]["n"])


async def until(store: Store, wanted: int) -> None:
    """Wait until so many of them run; 5 s at most."""
    for _ in range(250):
        if await asyncio.to_thread(running, store) == wanted:
            return
        await asyncio.sleep(0.02)
    raise TimeoutError(f"never {wanted}")


@pytest.fixture
async def reader(store: Store) -> AsyncIterator[Reader]:
    made = Reader(store, is_too_broad=is_too_broad)
    yield made
    await asyncio.to_thread(made.close)


async def test_query_that_nobody_awaits_any_more_ends_in_the_engine(
    store: Store, reader: Reader
) -> None:
    asked = asyncio.create_task(reader.rows(Query(SLOW, {"leaving": 1})))
    await until(store, 1)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await until(store, 0)


async def test_query_cancelled_before_the_engine_knows_of_it_ends_too(
    store: Store, reader: Reader
) -> None:
    asked = [asyncio.create_task(reader.rows(Query(SLOW, {"leaving": 2}))) for _ in range(9)]
    await asyncio.sleep(0)
    for one in asked:
        one.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    await until(store, 0)
    assert await reader.rows(Query("SELECT 1 AS one", {})) == [{"one": 1}]


async def test_one_who_leaves_takes_no_other_query_along(store: Store, reader: Reader) -> None:
    first, second = (
        asyncio.create_task(reader.rows(Query(SLOW, {"leaving": n}))) for n in range(2)
    )
    await until(store, 2)
    first.cancel()
    await until(store, 1)
    assert not second.done()
    second.cancel()
    await until(store, 0)


async def test_client_that_goes_away_frees_the_engine_and_leaves_no_read(
    store: Store, tmp_path: Any
) -> None:
    seen: list[Read] = []

    async def saw(read: Read) -> None:
        seen.append(read)

    state = State(tmp_path / "console.sqlite3")
    await state.open()
    reader = Reader(Slow(store), is_too_broad=is_too_broad)
    known = ServiceToken(_secret())
    app = build_api(Api(reader, Ports(ledger, replay, saw=saw), known, state, clock=Clock()))
    gone = asyncio.Event()
    asked = asyncio.create_task(app(_scope("/v1/events"), _receive(gone), _send))
    await until(store, 1)
    gone.set()
    await asyncio.wait_for(asked, 5)
    await until(store, 0)
    assert seen == []
    await asyncio.to_thread(reader.close)
    await state.close()


async def test_change_goes_on_although_its_client_went_away() -> None:
    done = asyncio.Event()

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.disconnect"
        await asyncio.sleep(0.05)
        done.set()
        await send({"type": "http.response.start"})

    gone = asyncio.Event()
    gone.set()
    scope = {"type": "http", "method": "POST", "path": "/"}
    receive = _receive(gone)
    await receive()  # the body
    await UntilGone(app)(scope, receive, _send)
    assert done.is_set()


async def test_fault_of_the_application_is_not_swallowed() -> None:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await UntilGone(app)(
            {"type": "http", "method": "GET", "path": "/"}, _receive(asyncio.Event()), _send
        )


async def test_time_that_is_over_ends_the_application_too() -> None:
    ended = asyncio.Event()

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await UntilGone(app)(
                {"type": "http", "method": "GET", "path": "/"}, _receive(asyncio.Event()), _send
            )
    assert ended.is_set()


def _secret() -> Any:

    return SecretStr(TOKEN)


def _scope(path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "headers": [(b"host", b"127.0.0.1:8000"), (b"authorization", f"Bearer {TOKEN}".encode())],
    }


def _receive(gone: asyncio.Event) -> Any:
    told = False

    async def receive() -> dict[str, Any]:
        nonlocal told
        if not told:
            told = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    return receive


async def _send(_message: Any) -> None:
    pass
