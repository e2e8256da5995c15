"""Logging in at a provider: a real one as a process, or one that is away."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from console.people.provider import Provider
from runtime.clock import SystemClock
from runtime.ports import free_port
from tests.integration.api.people import House, cookie_of, house
from tests.integration.api.providing import JANE, terms


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """A provider from the package registry, as a process."""
    port = free_port()
    people = [
        JANE,
        {"sub": "u-2", "preferred_username": "nobody-here", "groups": ["lunch"]},
        {"sub": "u-3", "preferred_username": "owner", "groups": ["soc"]},
    ]
    claims = [part for person in people for part in ("--user-claims", json.dumps(person))]
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), *claims]
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(
        [*command, "--require-nonce", "true"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=quiet,
    ) as process:
        address = f"http://127.0.0.1:{port}"
        for _ in range(200):
            try:
                httpx.get(address, trust_env=False)
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield address
        process.terminate()


@pytest.fixture
async def home(tmp_path: Path, issuer: str) -> AsyncIterator[House]:
    made = await house(tmp_path, provider=Provider(terms(issuer), SystemClock()))
    made.clock.at_ms = SystemClock().now_ms()
    yield made
    await made.close()


async def go(browser: httpx.AsyncClient, sub: str, wanted: str = "/me") -> str:
    """Log in at the real provider; return the address that it sends the browser to."""
    sent = await browser.get("/login/oidc", params={"next": wanted})
    assert sent.status_code == 303, sent.text
    async with httpx.AsyncClient(trust_env=False) as outside:
        form = {"action": "deny"} if sub == "deny" else {"sub": sub}
        back = await outside.post(sent.headers["location"], data=form)
    assert back.status_code in (302, 303), back.text
    return back.headers["location"]


async def test_somebody_whose_group_has_a_role_comes_in(home: House) -> None:
    browser = home.browser()
    shown = await browser.get("/login")
    assert "Sign in with Example" in shown.text
    back = await go(browser, "u-1", "/people/x?y=1")
    entered = await browser.get(back)
    assert (entered.status_code, entered.headers["location"]) == (303, "/people/x?y=1"), (
        entered.text
    )
    principal = await home.people.by_session(cookie_of(browser), "")
    assert principal is not None
    assert (principal.name, principal.roles) == ("jane", {"analyst"})
    (made,) = home.told("audit.account.created")
    assert (made["user"], made["details"]["roles"]) == ("jane", ["analyst"])
    assert home.told("authentication.login.success")[0]["details"] == {"method": "provider"}
    again = home.browser()
    assert (await again.get(await go(again, "u-1"))).status_code == 303
    assert len(home.told("audit.account.created")) == 1


async def test_a_code_is_good_once_and_in_the_browser_that_began(home: House) -> None:
    browser, thief = home.browser(), home.browser()
    back = await go(browser, "u-1")
    stolen = await thief.get(back)
    assert stolen.status_code == 401  # no login is under way there
    await thief.get("/login/oidc")
    assert (await thief.get(back)).status_code == 401  # another state
    trip = dict(browser.cookies)
    assert (await browser.get(back)).status_code == 303
    assert (await browser.get(back)).status_code == 401  # its cookie is gone
    browser.cookies.update(trip)
    assert (await browser.get(back)).status_code == 401  # and the provider knows the code
    reasons = [event["reason"] for event in home.told("authentication.login.failed")]
    assert reasons == ["no_login_under_way", "wrong_state", "no_login_under_way", "code_refused"]


async def test_no_mapped_group_is_told_with_the_groups_seen(home: House) -> None:
    browser = home.browser()
    shown = await browser.get(await go(browser, "u-2"))
    assert shown.status_code == 403
    assert "lunch" in shown.text
    assert "AUDIT_OIDC_ROLES" in shown.text
    assert cookie_of(browser) == ""


async def test_a_name_that_is_somebody_elses_is_not_taken_over(home: House) -> None:
    await home.owner()
    browser = home.browser()
    shown = await browser.get(await go(browser, "u-3"))
    assert (shown.status_code, "is not yours" in shown.text) == (403, True)


async def test_whoever_refuses_there_may_try_again(home: House) -> None:
    browser = home.browser()
    shown = await browser.get(await go(browser, "deny"))
    assert (shown.status_code, "Try once more" in shown.text) == (401, True)


async def test_a_disabled_account_stays_out_and_its_password_is_not_ours(home: House) -> None:
    browser = home.browser()
    await browser.get(await go(browser, "u-1"))
    await home.person("boss", "administrator")
    program = home.program()
    assert (await program.post("/v1/people/jane/reset")).status_code == 409
    roles = {"roles": ["administrator"]}
    assert (await program.patch("/v1/people/jane", json=roles)).status_code == 409
    assert (await program.patch("/v1/people/jane", json={"disabled": True})).status_code == 200
    shown = await browser.get(await go(browser, "u-1"))
    assert (shown.status_code, "disabled" in shown.text) == (403, True)


async def test_a_provider_that_is_away_is_said(tmp_path: Path) -> None:
    away = Provider(terms(f"http://127.0.0.1:{free_port()}"), SystemClock())
    home = await house(tmp_path, provider=away)
    answer = await home.browser().get("/login/oidc")
    assert (answer.status_code, "the provider is away" in answer.text) == (503, True)
    assert re.search(r'name="password"', answer.text)
    await home.close()
