"""What the API refuses and never tells: tokens, hosts, bounds, faults; and its service."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.ports import Ports
from console.search.reading import Bounds
from console.web.service import ApiService, run_api
from runtime.clickhouse import Store
from schemas.errors import Misconfigured, StoreUnavailable
from tests.integration.api.stored import (
    TOKEN,
    ledger,
    replay,
)


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
        store=store,
        ports=Ports(ledger, replay),
        token_file=token_file,
        state_file=tmp_path / "console.sqlite3",
        told=told.set_result,
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
    service = ApiService(
        store=store,
        ports=Ports(ledger, replay),
        token_file=token_file,
        state_file=tmp_path / "console.sqlite3",
    )
    with pytest.raises(Misconfigured, match="chmod 600"):
        await run_api(service, asyncio.Event())
