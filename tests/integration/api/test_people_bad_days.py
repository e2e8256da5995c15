"""People on bad days: races, records that fail, proxies, live answers of those who must go."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.people.book import People
from console.web.front import Front
from console.web.gate import LONG_EACH_MAX, Gate, GateTerms
from console.web.problems import Refused
from console.web.shield import Receive, Scope, Send
from schemas.errors import StoreUnavailable
from tests.integration.api.people import PASSWORD, House, cookie_of, house
from tests.integration.api.stored import TOKEN


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    made = await house(tmp_path)
    yield made
    await made.close()


async def test_of_many_who_use_a_link_at_once_one_gets_in(home: House) -> None:
    link = (await home.program().post("/v1/people/login-links", json={})).json()["link"]
    browsers = [home.browser() for _ in range(12)]
    answers = await asyncio.gather(*(browser.post(link) for browser in browsers))
    assert sorted(answer.status_code for answer in answers)[:2] == [303, 410]
    assert sum(answer.status_code == 303 for answer in answers) == 1


async def test_of_two_administrators_who_disable_each_other_at_once_one_is_left(
    home: House,
) -> None:
    one = await home.person("one", "administrator")
    two = await home.person("two", "administrator")
    await asyncio.gather(
        home.post(one, "/people/two/disable"), home.post(two, "/people/one/disable")
    )
    listed = (await home.program().get("/v1/people")).json()["accounts"]
    assert sum(not account["disabled"] for account in listed) == 1


async def test_what_can_not_be_recorded_is_not_done(home: House) -> None:
    owner = await home.owner()
    jane = await home.person("jane", "viewer")
    app: Any = home.gate.app
    while not hasattr(app, "state"):
        app = app._app
    api = app.state.api

    async def away(_event: Mapping[str, Any]) -> None:
        raise StoreUnavailable("the disk is full")

    app.state.api = replace(api, ports=replace(api.ports, record=away))
    form = {"name": "new", "roles": ["viewer"]}
    assert (await home.post(owner, "/people", form)).status_code == 503
    assert (await home.post(owner, "/people/jane/disable")).status_code == 503
    made = await home.post(jane, "/me/tokens", {"name": "t", "days": "1"})
    assert (made.status_code, "ast_" in made.text) == (503, False)
    browser = home.browser()
    right = {"name": "jane", "password": PASSWORD}
    assert (await browser.post("/login", data=right)).status_code == 503
    assert cookie_of(browser) == ""
    app.state.api = api
    assert (await home.program().get("/v1/people/new")).status_code == 404
    assert not (await home.program().get("/v1/people/jane")).json()["disabled"]
    assert (await home.program().get("/v1/tokens")).json()["tokens"] == []
    assert (await jane.get("/me")).status_code == 200


async def test_a_link_is_not_used_up_by_a_login_that_can_not_be_recorded(home: House) -> None:
    link = (await home.program().post("/v1/people/login-links", json={})).json()["link"]
    told = list(home.events)
    app: Any = home.gate.app
    while not hasattr(app, "state"):
        app = app._app
    api = app.state.api

    async def full(_event: Mapping[str, Any]) -> None:
        raise Refused("unrecorded", "100000 audit events wait for Kafka")

    app.state.api = replace(api, ports=replace(api.ports, record=full))
    browser = home.browser()
    assert (await browser.post(link)).status_code == 503
    assert cookie_of(browser) == ""
    app.state.api = api
    assert (await home.program().get("/v1/people")).json()["accounts"] == []
    assert home.events == told
    assert (await browser.post(link)).status_code == 303
    made, entered = home.events[len(told) :]
    assert (made["action"], entered["action"]) == (
        "audit.account.created",
        "authentication.login.success",
    )
    (session,) = (await home.program().get("/v1/sessions")).json()["sessions"]
    assert session["key"] == entered["session_id"]


async def test_of_many_who_use_a_link_at_once_one_is_told_as_logged_in(home: House) -> None:
    link = (await home.program().post("/v1/people/login-links", json={})).json()["link"]
    browsers = [home.browser() for _ in range(8)]
    await asyncio.gather(*(browser.post(link) for browser in browsers))
    assert len(home.told("authentication.login.success")) == 1
    assert len(home.told("audit.account.created")) == 1
    assert len(home.told("authentication.login.failed")) == 7


async def test_a_proxy_of_ours_says_who_its_client_is(tmp_path: Path) -> None:
    home = await house(tmp_path, front=Front(proxies=[ip_network("203.0.113.9")]))
    jane = await home.person("jane", "viewer")
    await home.browser(**{"x-forwarded-for": "6.6.6.6, 198.51.100.7"}).post(
        "/login", data={"name": "jane", "password": PASSWORD}
    )
    assert home.told("authentication.login.success")[-1]["ip_address"] == "198.51.100.7"
    guesses = [
        await home.browser(**{"x-forwarded-for": f"{n}.1.1.1, 198.51.100.8"}).post(
            "/login", data={"name": f"user{n}", "password": "x"}
        )
        for n in range(1, 24)
    ]
    assert [answer.status_code for answer in guesses][19:] == [401, 429, 429, 429]
    assert (await jane.get("/me")).status_code == 200
    await home.close()


async def _endless(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b".", "more_body": True})
        await asyncio.sleep(0.01)


def _live(people: People, cookie: str) -> tuple[Gate, Scope]:
    gate = Gate(_endless, people, GateTerms(recheck_s=0.02))
    scope: Scope = {
        "type": "http",
        "method": "GET",
        "path": "/search/tail",
        "query_string": b"",
        "client": ("203.0.113.9", 1),
        "headers": [
            (b"host", b"127.0.0.1:8000"),
            (b"cookie", f"audit_session_8000={cookie}".encode()),
        ],
    }
    return gate, scope


async def test_a_live_answer_ends_when_its_session_is_revoked_or_its_roles_change(
    home: House,
) -> None:
    for change in (
        lambda: home.program().patch("/v1/people/jane", json={"roles": ["auditor"]}),
        lambda: home.program().patch("/v1/people/jane", json={"disabled": True}),
    ):
        if home.events and home.told("audit.account.created"):
            jane = home.browser()
            await jane.post("/login", data={"name": "jane", "password": PASSWORD})
        else:
            jane = await home.person("jane", "viewer")
        gate, scope = _live(home.people, cookie_of(jane))
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(3600)
            return {}

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        live = asyncio.create_task(gate(scope, receive, send))
        await asyncio.sleep(0.1)
        assert not live.done()
        assert sent[0]["status"] == 200
        await change()
        await asyncio.wait_for(live, 2)


async def test_nobody_has_all_places_for_live_answers(home: House) -> None:
    jane, joan = await home.person("jane", "viewer"), await home.person("joan", "viewer")
    gate, scope = _live(home.people, cookie_of(jane))
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(3600)
        return {}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    lives = [asyncio.create_task(gate({**scope}, receive, send)) for _ in range(LONG_EACH_MAX + 1)]
    _, other = _live(home.people, cookie_of(joan))
    lives.append(asyncio.create_task(gate(other, receive, send)))
    await asyncio.sleep(0.2)
    assert sorted(statuses) == [200] * (LONG_EACH_MAX + 1) + [503]
    for live in lives:
        live.cancel()
    await asyncio.gather(*lives, return_exceptions=True)
    again = asyncio.create_task(gate({**scope}, receive, send))
    await asyncio.sleep(0.1)
    assert statuses[-1] == 200
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)


async def test_tokens_of_a_service_of_one_tenant_stay_within_it(tmp_path: Path) -> None:
    home = await house(tmp_path, tenant="acme")
    program = home.program()
    made = await program.post("/v1/tokens", json={"name": "t", "tenant": "umbrella"})
    assert made.status_code == 403
    made = await program.post("/v1/tokens", json={"name": "t"})
    assert made.json()["token"]["tenant"] == "acme"
    await home.owner()
    owner = (await program.get("/v1/people/owner")).json()
    assert owner["tenant"] == "acme"
    await home.close()


async def test_a_token_is_narrowed_by_a_tenant_given_to_its_owner_later(home: House) -> None:
    jane = await home.person("jane", "viewer")
    made = await home.post(jane, "/me/tokens", {"name": "t", "days": "1", "tenant": "acme"})
    token = "ast_" + made.text.split("ast_")[1][:43]
    found = await home.people.by_token(token, "")
    assert found is not None
    assert found.tenant == "acme"
    await home.program().patch("/v1/people/jane", json={"tenant": "umbrella"})
    assert await home.people.by_token(token, "") is None


@pytest.mark.parametrize(
    "token", ["", "ast_", "ast_" + "x" * 43, "x" * 47, "ast_" + "\udcff" * 43, TOKEN + "x"]
)
async def test_what_is_no_token_is_nobody(home: House, token: str) -> None:
    assert await home.people.by_token(token, "") is None
    assert await home.people.by_session(token, "") is None


async def test_a_state_that_is_away_is_said_and_lets_nobody_in(home: House) -> None:
    class Closed:
        async def read(self, _work: Any) -> Any:
            raise StoreUnavailable("the console's state is not open")

    gate = Gate(_endless, replace(home.people, state=Closed()), GateTerms())  # type: ignore[arg-type]
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=gate),  # type: ignore[arg-type]
        base_url="http://127.0.0.1:8000",
    ) as client:
        answer = await client.get("/me", headers={"authorization": "Bearer ast_" + "x" * 43})
        assert answer.status_code == 503
