"""A console with people, without an engine: what its tests share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from argon2 import PasswordHasher
from pydantic import SecretStr

from console.people.book import People
from console.people.passwords import Passwords
from console.people.provider import Provider
from console.ports import Ports, Read
from console.search.reading import Reader
from console.state import State
from console.web.api import Api, build_api
from console.web.auth import ServiceToken
from console.web.front import Front
from console.web.gate import Gate
from console.web.service import is_too_broad
from tests.integration.api.stored import NOW_MS, TOKEN, ledger, replay

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "correct horse battery"
HOST = "http://127.0.0.1:8000"


class Hands:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.at_ms = NOW_MS

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic(self) -> float:
        return self.at_ms / 1000

    def pass_s(self, seconds: float) -> None:
        self.at_ms += int(seconds * 1000)


class Nothing:
    """A store that has nothing."""

    def query(self, *_: Any) -> list[dict[str, Any]]:
        return []


@dataclass
class House:
    """A console, and who comes to it."""

    state: State
    clock: Hands
    people: People
    gate: Gate
    events: list[Mapping[str, Any]]
    reads: list[Read]
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    def browser(self, **headers: str) -> httpx.AsyncClient:
        """Somebody's browser, not logged in."""
        made = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.gate, client=("203.0.113.9", 50_000)),  # type: ignore[arg-type]
            base_url=headers.pop("base_url", HOST),
            headers={"accept": "text/html", "user-agent": "Browser/1", **headers},
        )
        self.clients.append(made)
        return made

    def program(self, token: str = TOKEN) -> httpx.AsyncClient:
        """A program with a token."""
        return self.browser(accept="application/json", authorization=f"Bearer {token}")

    async def owner(self) -> httpx.AsyncClient:
        """A browser in which the owner is logged in."""
        made = await self.program().post("/v1/people/login-links", json={})
        browser = self.browser()
        assert (await browser.post(made.json()["link"])).status_code == 303
        return browser

    async def person(
        self, name: str, *roles: str, tenant: str | None = None, password: str = PASSWORD
    ) -> httpx.AsyncClient:
        """A browser in which a new account is logged in."""
        body = {"name": name, "roles": roles, "tenant": tenant}
        made = await self.program().post("/v1/people", json=body)
        assert made.status_code == 201, made.text
        browser = self.browser()
        assert (await browser.post(made.json()["login"]["link"])).status_code == 303
        form = {"wanted": password, "again": password}
        assert (await self.post(browser, "/me/password", form)).status_code == 303
        return browser

    async def post(
        self, browser: httpx.AsyncClient, path: str, form: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        """Post a form as a page of the same session would."""
        return await browser.post(path, data={"csrf": await self.csrf(browser), **(form or {})})

    async def csrf(self, browser: httpx.AsyncClient) -> str:
        principal = await self.people.by_session(cookie_of(browser), "")
        return principal.csrf if principal else ""

    def told(self, action: str) -> list[Mapping[str, Any]]:
        """The audit events of an action."""
        return [event for event in self.events if event["action"] == action]

    async def close(self) -> None:
        for client in self.clients:
            await client.aclose()
        await self.people.close()
        await self.state.close()


def cookie_of(browser: httpx.AsyncClient) -> str:
    """The session's cookie."""
    found = [value for name, value in browser.cookies.items() if "audit_session" in name]
    return found[0] if found else ""


async def house(
    folder: Path,
    *,
    clock: Hands | None = None,
    front: Front | None = None,
    provider: Provider | None = None,
    tenant: str | None = None,
    answers: Any = None,
) -> House:
    """Open a console on a folder."""
    state = State(folder / "console.sqlite3")
    await state.open()
    hands = clock or Hands()
    events: list[Mapping[str, Any]] = []
    reads: list[Read] = []

    async def record(event: Mapping[str, Any]) -> None:
        events.append(event)

    async def saw(read: Read) -> None:
        reads.append(read)

    known = ServiceToken(SecretStr(TOKEN), tenant)
    people = People(known, state, hands, provider=provider, passwords=Passwords(CHEAP))
    ports = Ports(ledger, replay, saw=saw, record=record)
    reader = Reader(answers or Nothing(), is_too_broad=is_too_broad)
    api = Api(reader, ports, people, state, front=front or Front(), clock=hands)
    return House(state, hands, people, build_api(api), events, reads)
