"""Strangers who send slowly, or much, or guess: they hold up nobody but themselves."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.web.crowd import LOOKUPS, STRANGERS
from console.web.gate import REQUESTS_MAX, WAITING_MAX, Gate, GateTerms
from tests.integration.api.people import PASSWORD, House, house

MANY = REQUESTS_MAX + WAITING_MAX


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    made = await house(tmp_path)
    yield made
    await made.close()


class Slow:
    """Strangers who begin to send a login and never end."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.statuses: list[int] = []
        self.tasks: list[asyncio.Task[None]] = []

    def come(self, address: str, path: str = "/login", cookie: bytes = b"") -> None:
        self.tasks.append(asyncio.create_task(self._one(address, path, cookie)))

    async def _one(self, address: str, path: str, cookie: bytes) -> None:
        headers = [
            (b"host", b"127.0.0.1:8000"),
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"content-length", b"100"),
            (b"cookie", cookie),
        ]
        scope = {
            "type": "http",
            "method": "POST",
            "scheme": "http",
            "http_version": "1.1",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": headers,
            "client": (address, 1),
        }

        async def never() -> dict[str, Any]:
            await asyncio.sleep(3600)
            return {}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.statuses.append(message["status"])

        await self.gate(scope, never, send)

    async def go(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_strangers_who_send_slowly_hold_up_nobody_who_is_known(home: House) -> None:
    jane = await home.person("jane", "viewer")
    slow = Slow(home.gate)
    for n in range(MANY):
        slow.come(f"198.51.100.{n}")
    await asyncio.sleep(0.1)
    assert (await home.program().get("/v1/me")).status_code == 200
    assert (await jane.get("/me")).status_code == 200
    assert slow.statuses == [503] * (MANY - STRANGERS.total)
    await slow.go()


async def test_strangers_of_one_address_leave_places_to_others(home: House) -> None:
    await home.person("jane", "viewer")
    slow = Slow(home.gate)
    for _ in range(MANY):
        slow.come("198.51.100.7")
    await asyncio.sleep(0.1)
    assert len(slow.statuses) == MANY - STRANGERS.each
    right = {"name": "jane", "password": PASSWORD}
    assert (await home.browser().post("/login", data=right)).status_code == 303
    await slow.go()


async def test_who_sends_slowly_is_ended_after_seconds_and_leaves_no_trace(home: House) -> None:
    gate = Gate(home.gate.app, home.people, GateTerms(sending_s_max=0.05))
    slow = Slow(gate)
    for n in range(STRANGERS.total):
        slow.come(f"198.51.100.{n}")
    await asyncio.wait_for(asyncio.gather(*slow.tasks), 5)
    assert slow.statuses == [504] * STRANGERS.total
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=gate),  # type: ignore[arg-type]
        base_url="http://127.0.0.1:8000",
    ) as client:
        assert (await client.get("/login")).status_code == 200


async def test_a_path_of_strangers_that_ends_like_a_live_answer_takes_no_place_of_those(
    home: House,
) -> None:
    slow = Slow(home.gate)
    for _ in range(8):
        slow.come("127.0.0.1", "/login/tail")
    await asyncio.sleep(0.05)
    assert home.gate._long.total() == 0
    await slow.go()


async def test_a_browser_gets_a_login_with_all_its_files_at_once(home: House) -> None:
    browser = home.browser()
    paths = ["/login", *["/static/console.css", "/static/console.js", "/static/icon.svg"] * 3]
    answers = await asyncio.gather(*(browser.get(path) for path in paths))
    assert {answer.status_code for answer in answers} == {200}


async def test_guessed_cookies_of_one_address_are_looked_up_by_a_bound(home: House) -> None:
    started, go_on = [0], asyncio.Event()

    class Stuck:
        async def by_session(self, _cookie: str, _client: str) -> None:
            started[0] += 1
            await go_on.wait()

        async def by_token(self, _token: str, _client: str) -> None:
            return None

    slow = Slow(Gate(home.gate.app, Stuck(), GateTerms()))
    for _ in range(LOOKUPS.each + 5):
        slow.come("198.51.100.7", cookie=b"audit_session_8000=" + b"x" * 43)
    slow.come("198.51.100.8", cookie=b"audit_session_8000=" + b"x" * 43)
    await asyncio.sleep(0.05)
    assert started[0] == LOOKUPS.each + 1
    assert slow.statuses == [503] * 5
    go_on.set()
    await slow.go()
