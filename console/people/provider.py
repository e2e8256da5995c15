"""The provider of identities: OpenID Connect, code flow with PKCE, state and nonce.

All that is sent to the browser and expected back is derived of one secret, which the browser keeps
in a cookie for the time of the login: so nothing is remembered here, and a callback counts only in
the browser that began.
"""

import asyncio
import base64
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

import httpx
import orjson
from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import SecretStr

from console.people.mapping import Worth, groups_of
from console.people.secret import SECRET_CHARS, derived, new_secret, same
from console.people.way import safe_next
from runtime.clock import Clock
from schemas.errors import Unavailable

ANSWER_BYTES_MAX: Final = 262_144  # documents and tokens have a few kilobytes
TIMEOUT_S: Final = 8.0  # of one request; a login makes up to four, within a request's 30 s
KNOWN_S: Final = 3_600.0  # how long what the provider says of itself is taken as known
KEYS_EVERY_S: Final = 30.0  # how soon its keys are asked for again when one is not known
TRIP_S: Final = 600  # how long somebody may take to log in there
CODE_MAX: Final = 4_096
SUBJECT_MAX: Final = 255  # as the standard has it
# Signatures by the provider's private key; none whose key we share, and none without a signature.
ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    "Ed25519",
)  # fmt: skip
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class ProviderAway(Unavailable):
    """The provider doesn't answer, or not as one does: try again."""


class NotProven(Exception):
    """The callback doesn't prove who somebody is; `reason` is a word for the event."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ProviderTerms:
    """What we are at the provider, and what it is to us."""

    issuer: str
    client_id: str
    worth: Worth
    client_secret: SecretStr = field(default_factory=lambda: SecretStr(""))
    name: str = "your organisation"
    scopes: str = "openid profile email"
    skew_s: int = 60


@dataclass(slots=True)
class _Known:
    """What the provider says of itself, and when it said so."""

    document: Mapping[str, Any] = field(default_factory=dict)
    read_s: float = 0.0
    keys: KeySet | None = None
    keys_s: float = 0.0


class Provider:
    """One provider. Raises `ProviderAway` and `NotProven`, and nothing of what it was sent."""

    def __init__(
        self, terms: ProviderTerms, clock: Clock, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.terms: Final = terms
        self._clock = clock
        self._known = _Known()
        self._reading = asyncio.Lock()
        is_here = urlsplit(terms.issuer).hostname in LOOPBACK
        self._http = httpx.AsyncClient(
            timeout=TIMEOUT_S,
            follow_redirects=False,
            transport=transport,
            trust_env=not is_here,  # a company's way out may be a proxy
            headers={"accept": "application/json"},
        )

    @property
    def name(self) -> str:
        """What people call it."""
        return self.terms.name

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def begin(self, seed: str, redirect: str) -> str:
        """Return the address at the provider to which the browser goes."""
        document = await self._document()
        address = prepare_grant_uri(
            _endpoint(document, "authorization_endpoint", self.terms.issuer),
            self.terms.client_id,
            "code",
            redirect_uri=redirect,
            scope=self.terms.scopes,
            state=derived(seed, "state"),
            nonce=derived(seed, "nonce"),
            code_challenge=create_s256_code_challenge(derived(seed, "verifier")),
            code_challenge_method="S256",
        )
        return str(address)

    async def finish(
        self, seed: str, redirect: str, returned: Mapping[str, str]
    ) -> Mapping[str, Any]:
        """Return the claims of whoever came back. `returned` are the callback's parameters."""
        if not same(returned.get("state", ""), derived(seed, "state")):
            raise NotProven("wrong_state")
        issuer = returned.get("iss")
        if issuer is not None and issuer != self.terms.issuer:
            raise NotProven("wrong_issuer")  # RFC 9207: another provider's answer mixed in
        if "error" in returned:
            raise NotProven("refused_by_provider")
        code = returned.get("code", "")
        if not 0 < len(code) <= CODE_MAX:
            raise NotProven("no_code")
        document = await self._document()
        tokens = await self._redeem(document, seed, redirect, code)
        claims = await self._claims(document, seed, tokens)
        return await self._with_groups(document, claims, tokens)

    async def _redeem(
        self, document: Mapping[str, Any], seed: str, redirect: str, code: str
    ) -> Mapping[str, Any]:
        secret = self.terms.client_secret.get_secret_value()
        given = {"code": code, "code_verifier": derived(seed, "verifier")}
        headers = {"content-type": "application/x-www-form-urlencoded"}
        methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if secret and "client_secret_basic" in methods:
            pair = f"{quote_plus(self.terms.client_id)}:{quote_plus(secret)}".encode()
            headers["authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        else:
            given |= {"client_id": self.terms.client_id, "client_secret": secret}
        body = prepare_token_request("authorization_code", "", redirect, **given)
        address = _endpoint(document, "token_endpoint", self.terms.issuer)
        status, answer = await self._ask("POST", address, headers, body)
        if status in (400, 401):  # the code is spent, or not ours
            raise NotProven("code_refused")
        if status != httpx.codes.OK or not isinstance(answer.get("id_token"), str):
            raise ProviderAway(f"the provider gave no identity (status {status})")
        return answer

    async def _claims(
        self, document: Mapping[str, Any], seed: str, tokens: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        decoded = await self._decode(document, tokens["id_token"])
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            options={
                "iss": {"essential": True, "value": self.terms.issuer},
                "aud": {"essential": True, "value": self.terms.client_id},
                "sub": {"essential": True},
                "exp": {"essential": True},
                "iat": {"essential": True},
            },
            params={
                "nonce": derived(seed, "nonce"),
                "client_id": self.terms.client_id,
                "access_token": tokens.get("access_token"),
            },
        )
        try:
            claims.validate(now=self._clock.now_ms() // 1000, leeway=self.terms.skew_s)
        except (JoseError, AuthlibBaseError, TypeError, ValueError) as error:
            raise NotProven(f"identity_{getattr(error, 'error', 'malformed')}") from error
        if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= SUBJECT_MAX:
            raise NotProven("identity_without_subject")
        return dict(claims)

    async def _decode(self, document: Mapping[str, Any], token: str) -> jwt.Token:
        """Verify the signature; where no known key fits, the provider may have new ones."""
        keys = await self._keys(document, KNOWN_S)
        try:
            return jwt.decode(token, keys, algorithms=ALGORITHMS)
        except (JoseError, ValueError):
            keys = await self._keys(document, KEYS_EVERY_S)
        try:
            return jwt.decode(token, keys, algorithms=ALGORITHMS)
        except (JoseError, ValueError) as error:
            raise NotProven("identity_not_signed") from error

    async def _with_groups(
        self, document: Mapping[str, Any], claims: Mapping[str, Any], tokens: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Ask for what the identity left out; the identity's own claims go first."""
        access, worth = tokens.get("access_token"), self.terms.worth
        if groups_of(claims, worth.groups_claim) or "userinfo_endpoint" not in document:
            return claims
        if not isinstance(access, str):
            return claims
        address = _endpoint(document, "userinfo_endpoint", self.terms.issuer)
        status, told = await self._ask("GET", address, {"authorization": f"Bearer {access}"})
        if status != httpx.codes.OK or told.get("sub") != claims["sub"]:
            return claims
        return {**told, **claims}

    async def _document(self) -> Mapping[str, Any]:
        """Return what the provider says of itself, anew once an hour."""
        async with self._reading:
            now_s = self._clock.monotonic()
            if self._known.document and now_s - self._known.read_s < KNOWN_S:
                return self._known.document
            address = self.terms.issuer.rstrip("/") + "/.well-known/openid-configuration"
            status, found = await self._ask("GET", address)
            if status != httpx.codes.OK or found.get("issuer") != self.terms.issuer:
                raise ProviderAway(
                    f"what stands at {address} is not the description of AUDIT_OIDC_ISSUER"
                )
            self._known.document, self._known.read_s = found, now_s
            return found

    async def _keys(self, document: Mapping[str, Any], known_s: float) -> KeySet:
        """Return the keys, if they were read within `known_s`, else anew."""
        async with self._reading:
            now_s = self._clock.monotonic()
            if self._known.keys is not None and now_s - self._known.keys_s < known_s:
                return self._known.keys
            address = _endpoint(document, "jwks_uri", self.terms.issuer)
            status, found = await self._ask("GET", address)
            try:
                keys = KeySet.import_key_set({"keys": found["keys"]})
            except (JoseError, KeyError, TypeError, ValueError) as error:
                raise ProviderAway(f"the provider's keys can't be read ({status})") from error
            self._known.keys, self._known.keys_s = keys, now_s
            return keys

    async def _ask(
        self, method: str, address: str, headers: Mapping[str, str] | None = None, body: str = ""
    ) -> tuple[int, Mapping[str, Any]]:
        """Return status and JSON of an answer, bounded."""
        found = bytearray()
        told: object = None
        try:
            async with self._http.stream(
                method, address, headers=headers, content=body or None
            ) as answer:
                status = answer.status_code
                async for part in answer.aiter_bytes():
                    found += part
                    if len(found) > ANSWER_BYTES_MAX:
                        raise ProviderAway("the provider answers with too much")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProviderAway(f"the provider is away ({type(error).__name__})") from error
        with contextlib.suppress(orjson.JSONDecodeError):
            told = orjson.loads(found)
        return status, told if isinstance(told, dict) else {}


def new_trip(wanted: str) -> tuple[str, str]:
    """Return the secret of a login that begins, and the cookie that keeps it with its goal."""
    seed = new_secret()
    goal = base64.urlsafe_b64encode(safe_next(wanted).encode()).decode().rstrip("=")
    return seed, f"{seed}.{goal}"


def read_trip(cookie: str) -> tuple[str, str] | None:
    """Return secret and goal of a login that is under way; None if none is."""
    seed, dot, goal = cookie.partition(".")
    if not dot or len(seed) != SECRET_CHARS:
        return None
    try:
        wanted = base64.urlsafe_b64decode(goal + "=" * (-len(goal) % 4)).decode()
    except ValueError:
        wanted = ""
    return seed, safe_next(wanted)


def _endpoint(document: Mapping[str, Any], name: str, issuer: str) -> str:
    """Return an address that the provider names: by TLS, unless the provider is on this machine."""
    address = document.get(name)
    if not isinstance(address, str):
        raise ProviderAway(f"the provider names no {name}")
    parts = urlsplit(address)
    is_here = parts.hostname in LOOPBACK and urlsplit(issuer).hostname in LOOPBACK
    if parts.scheme != "https" and not is_here:
        raise ProviderAway(f"the provider's {name} is not by TLS")
    return address
