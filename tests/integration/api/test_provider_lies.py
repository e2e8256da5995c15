"""Logging in at a provider of our own, which lies in one way or changes its mind."""

import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

from console.people.provider import Provider
from console.web.front import Front
from runtime.clock import SystemClock
from tests.integration.api.people import House, cookie_of, house
from tests.integration.api.providing import CLIENT, ISSUER, JANE, terms


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
