"""Logging in at a provider: a real one as a process, and a hostile one of our own."""

import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey
from pydantic import SecretStr

from console.people.mapping import Worth
from console.people.provider import Provider, ProviderTerms
from console.web.front import Front
from runtime.clock import SystemClock
from runtime.ports import free_port
from tests.integration.api.people import House, cookie_of, house

WORTH = Worth({"soc": frozenset({"analyst"}), "audit": frozenset({"auditor", "viewer"})})
ISSUER = "https://id.example"
CLIENT = "audit-console"
JANE = {"sub": "u-1", "preferred_username": "jane", "name": "Jane Doe", "groups": ["soc", "x"]}


def terms(issuer: str, worth: Worth = WORTH) -> ProviderTerms:
    return ProviderTerms(issuer, CLIENT, worth, SecretStr("a secret & more"), name="Example")


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


class Hostile:
    """A provider of our own that lies in one way."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, parameters={"kid": "k1"})
        self.asked: dict[str, str] = {}
        self.lie: dict[str, Any] = {}
        self.document: dict[str, Any] = {}
        self.sign: Callable[[Mapping[str, Any]], str] = self.signed
        self.userinfo: dict[str, Any] | None = None
        self.keys: Any = None
        self.token_status = 200
        self.counts: dict[str, int] = {}

    def signed(self, claims: Mapping[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": "k1"}, dict(claims), self.key)

    def claims(self) -> dict[str, Any]:
        now = SystemClock().now_ms() // 1000
        made = {"iss": ISSUER, "aud": CLIENT, "iat": now, "exp": now + 300, **JANE}
        made |= {"nonce": self.asked["nonce"]} | self.lie
        return {name: value for name, value in made.items() if value is not None}

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.counts[path] = self.counts.get(path, 0) + 1
        if path.endswith("openid-configuration"):
            known = {
                "issuer": ISSUER,
                "authorization_endpoint": f"{ISSUER}/authorize",
                "token_endpoint": f"{ISSUER}/token",
                "jwks_uri": f"{ISSUER}/keys",
            }
            if self.userinfo is not None:
                known["userinfo_endpoint"] = f"{ISSUER}/userinfo"
            return httpx.Response(200, json=known | self.document)
        if path == "/keys":
            kept = KeySet([self.key]).as_dict(private=False)
            return httpx.Response(200, json=kept if self.keys is None else self.keys)
        if path == "/userinfo":
            return httpx.Response(200, json=self.userinfo)
        body = {"access_token": "a", "id_token": self.sign(self.claims())}
        return httpx.Response(self.token_status, json=body)


@pytest.fixture
def hostile() -> Hostile:
    return Hostile()


@pytest.fixture
async def den(tmp_path: Path, hostile: Hostile) -> AsyncIterator[House]:
    transport = httpx.MockTransport(hostile.answer)
    made = await house(tmp_path, provider=Provider(terms(ISSUER), SystemClock(), transport))
    made.clock.at_ms = SystemClock().now_ms()
    yield made
    await made.close()


async def come(home: House, hostile: Hostile, **changed: str) -> httpx.Response:
    """Go through a login whose provider is the hostile one."""
    browser = home.browser()
    sent = await browser.get("/login/oidc", params={"next": "/me"})
    assert sent.status_code == 303, sent.text
    hostile.asked = dict(parse_qsl(urlsplit(sent.headers["location"]).query))
    returned = {"code": "c", "state": hostile.asked["state"]} | changed
    return await browser.get("/login/oidc/callback", params=returned)


async def test_what_the_provider_is_asked(den: House, hostile: Hostile) -> None:
    assert (await come(den, hostile)).status_code == 303
    assert hostile.asked["code_challenge_method"] == "S256"
    assert hostile.asked["redirect_uri"] == "http://127.0.0.1:8000/login/oidc/callback"
    assert len({hostile.asked[name] for name in ("state", "nonce", "code_challenge")}) == 3
    assert (await come(den, hostile)).status_code == 303
    assert hostile.counts["/.well-known/openid-configuration"] == 1
    assert hostile.counts["/keys"] == 1


NOW = SystemClock().now_ms() // 1000  # when tests are collected: long before this one may run
TOMORROW = NOW + 86_400


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param({"nonce": "x"}, id="another nonce"),
        pytest.param({"nonce": None}, id="no nonce"),
        pytest.param({"aud": "another"}, id="another audience"),
        pytest.param({"aud": [CLIENT, "another"]}, id="several audiences and no party"),
        pytest.param({"aud": ["another"], "azp": CLIENT}, id="our party, another audience"),
        pytest.param({"azp": "another"}, id="another party"),
        pytest.param({"iss": "https://evil.example"}, id="another issuer"),
        pytest.param({"exp": NOW - 61}, id="expired"),
        pytest.param({"exp": None}, id="for ever"),
        pytest.param({"exp": "soon"}, id="malformed end"),
        pytest.param({"iat": TOMORROW}, id="of the future"),
        pytest.param({"nbf": TOMORROW}, id="not yet"),
        pytest.param({"sub": None}, id="nobody"),
        pytest.param({"sub": ""}, id="empty"),
        pytest.param({"sub": 7}, id="a number"),
        pytest.param({"sub": "x" * 256}, id="too long"),
        pytest.param({"at_hash": "x"}, id="another access token"),
    ],
)
async def test_an_identity_that_lies_opens_nothing(
    den: House, hostile: Hostile, lie: dict[str, Any]
) -> None:
    hostile.lie = lie
    answer = await come(den, hostile)
    assert answer.status_code == 401
    assert den.told("authentication.login.failed")[0]["reason"].startswith("identity_")


def _unsigned(claims: Mapping[str, Any]) -> str:
    parts = [json.dumps({"alg": "none"}), json.dumps(dict(claims))]
    return ".".join(base64.urlsafe_b64encode(p.encode()).decode().rstrip("=") for p in parts) + "."


def _by_our_secret(claims: Mapping[str, Any]) -> str:
    return jwt.encode({"alg": "HS256"}, dict(claims), OctKey.import_key("s" * 32))


def _by_another_key(claims: Mapping[str, Any]) -> str:
    key = RSAKey.generate_key(2048)
    return jwt.encode({"alg": "RS256", "kid": "k1"}, dict(claims), key)


@pytest.mark.parametrize(
    "sign",
    [
        pytest.param(_unsigned, id="no signature"),
        pytest.param(_by_our_secret, id="a shared key"),
        pytest.param(_by_another_key, id="another key"),
        pytest.param(lambda _claims: "x.y.z", id="no token"),
        pytest.param(lambda _claims: "", id="nothing"),
    ],
)
async def test_what_the_provider_did_not_sign_opens_nothing(
    den: House, hostile: Hostile, sign: Callable[[Mapping[str, Any]], str]
) -> None:
    hostile.sign = sign
    answer = await come(den, hostile)
    assert answer.status_code == 401
    assert den.told("authentication.login.failed")[0]["reason"] == "identity_not_signed"


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "x"},
        {"state": ""},
        {"iss": "https://evil.example"},
        {"code": ""},
        {"code": "x" * 5_000},
        {"error": "access_denied"},
    ],
)
async def test_a_callback_that_does_not_fit_opens_nothing(
    den: House, hostile: Hostile, changed: dict[str, str]
) -> None:
    answer = await come(den, hostile, **changed)
    assert answer.status_code == 401
    assert "/token" not in hostile.counts


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example"},
        {"authorization_endpoint": None},
        {"authorization_endpoint": "http://id.example/authorize"},
        {"padding": "x" * 300_000},
    ],
)
async def test_a_description_that_does_not_fit_is_said(
    den: House, hostile: Hostile, document: dict[str, Any]
) -> None:
    hostile.document = document
    answer = await den.browser().get("/login/oidc")
    assert (answer.status_code, "not possible now" in answer.text) == (503, True)


async def test_a_provider_that_is_away_is_said(tmp_path: Path) -> None:
    away = Provider(terms(f"http://127.0.0.1:{free_port()}"), SystemClock())
    home = await house(tmp_path, provider=away)
    answer = await home.browser().get("/login/oidc")
    assert (answer.status_code, "the provider is away" in answer.text) == (503, True)
    assert re.search(r'name="password"', answer.text)
    await home.close()


async def test_keys_that_change_are_read_anew(den: House, hostile: Hostile) -> None:
    assert (await come(den, hostile)).status_code == 303
    provider = den.people.provider
    assert provider is not None
    hostile.key = RSAKey.generate_key(2048, parameters={"kid": "k2"})
    hostile.sign = lambda claims: jwt.encode(
        {"alg": "RS256", "kid": "k2"}, dict(claims), hostile.key
    )
    assert (await come(den, hostile)).status_code == 401  # asked a moment ago: not again so soon
    provider._known.keys_s -= 31
    assert (await come(den, hostile)).status_code == 303


async def test_groups_come_from_userinfo_where_the_identity_has_none(
    den: House, hostile: Hostile
) -> None:
    hostile.lie = {"groups": None}
    hostile.userinfo = {"sub": "u-1", "groups": ["soc"], "iss": "x", "preferred_username": "eve"}
    assert (await come(den, hostile)).status_code == 303
    assert den.told("audit.account.created")[0]["resource_id"] == "jane"
    hostile.userinfo = {"sub": "another", "groups": ["soc"]}
    assert (await come(den, hostile)).status_code == 403


async def test_groups_are_looked_at_with_each_login(den: House, hostile: Hostile) -> None:
    assert (await come(den, hostile)).status_code == 303
    hostile.lie = {"groups": ["audit"]}
    assert (await come(den, hostile)).status_code == 303
    changed = den.told("audit.account.updated")[-1]["details"]
    assert (changed["before"], changed["after"]) == (
        {"roles": ["analyst"]},
        {"roles": ["auditor", "viewer"]},
    )


async def test_behind_a_proxy_with_tls_cookies_are_for_tls_alone(
    tmp_path: Path, hostile: Hostile
) -> None:
    transport = httpx.MockTransport(hostile.answer)
    provider = Provider(terms(ISSUER), SystemClock(), transport)
    home = await house(tmp_path, provider=provider, front=Front("https://audit.example"))
    home.clock.at_ms = SystemClock().now_ms()
    browser = home.browser(base_url="https://audit.example")
    sent = await browser.get("/login/oidc")
    hostile.asked = dict(parse_qsl(urlsplit(sent.headers["location"]).query))
    assert hostile.asked["redirect_uri"] == "https://audit.example/login/oidc/callback"
    returned = {"code": "c", "state": hostile.asked["state"]}
    entered = await browser.get("/login/oidc/callback", params=returned)
    cookies = entered.headers.get_list("set-cookie")
    assert any(c.startswith("__Host-audit_session=") and "Secure" in c for c in cookies)
    assert "strict-transport-security" in entered.headers
    assert (await browser.get("/me")).status_code == 200
    planted = home.browser(base_url="https://audit.example")
    planted.cookies.set("audit_session", cookie_of(browser))
    assert (await planted.get("/me")).status_code == 303
    downgraded = {"origin": "http://audit.example"}
    form = {"csrf": await home.csrf(browser)}
    assert (await browser.post("/logout", data=form, headers=downgraded)).status_code == 403
    await home.close()
