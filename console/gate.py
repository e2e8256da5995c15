"""The gate before every request: host, who asks, size, number, time; pure ASGI, nothing passes by.

Only the login and what it looks like are open; neither the description nor unknown paths are, so
that nothing can be found out without a credential. The REST API takes tokens only, so that no
browser can be made to call it; pages take sessions too. Health and metrics have their own port.
"""

import asyncio
import ipaddress
import logging
import urllib.parse
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final

from console.access import Principal
from console.auth import Authenticator
from console.problems import problem, problem_of_error
from schemas.errors import AuditError
from schemas.views import Problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
BODY_BYTES_MAX: Final = 65_536  # the one body is a filter of a few fields
REQUESTS_MAX: Final = 16  # at work at once
WAITING_MAX: Final = 64  # more than these are refused at once
REQUEST_S_MAX: Final = 30.0
LONG_MAX: Final = 8  # live tails and streamed exports at once; a place of their own each
LONG_S_MAX: Final = 3_600.0
LONG_ENDS: Final = ("/tail", "/stream")  # paths of answers that go on
COOKIES: Final = ("__Host-audit_session", "audit_session")  # with TLS, and on plain loopback
PRINCIPAL: Final = "audit.principal"  # its key in the scope
_OPEN: Final = ("/login", "/login/", "/static/", "/favicon.ico")
_REST: Final = ("/v1/", "/openapi.json")
_SAFE: Final = frozenset({"GET", "HEAD"})
# No script or style but our own files, nothing framed, nothing sent elsewhere.
_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_SHIELD: Final = [
    (b"content-security-policy", _POLICY),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
]
_HEADERS: Final = [
    (b"content-type", b"application/problem+json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]
log: Final = logging.getLogger("audit.api")


class Gate:
    """Wraps the application; what it refuses never reaches it."""

    def __init__(
        self,
        app: App,
        authenticator: Authenticator,
        hosts: frozenset[str],
        *,
        request_s_max: float = REQUEST_S_MAX,
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._hosts = hosts | LOOPBACK_NAMES
        self._request_s_max = request_s_max
        self._slots = asyncio.Semaphore(REQUESTS_MAX)
        self._present = 0
        self._long = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with its problem."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets here
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        try:
            fault = self._fault(headers) or await self._admit(scope, headers)
        except AuditError as error:
            fault = problem_of_error(error)
        if fault is not None:
            await _refuse(fault, scope, headers, send)
        elif scope["path"].endswith(LONG_ENDS):
            await self._pass_long(scope, receive, send)
        else:
            self._present += 1
            try:
                await self._pass(scope, receive, send)
            finally:
                self._present -= 1

    def _fault(self, headers: dict[bytes, str]) -> Problem | None:
        if not is_host(headers.get(b"host", ""), self._hosts):
            return problem("wrong_host", "the Host header names no host of this service")
        length = headers.get(b"content-length", "0")
        if not length.isdecimal() or int(length[:12]) > BODY_BYTES_MAX:
            return problem("too_large", f"a body has at most {BODY_BYTES_MAX} bytes")
        if self._present >= REQUESTS_MAX + WAITING_MAX:
            return problem("busy", f"{self._present} requests are waiting already")
        return None

    async def _admit(self, scope: Scope, headers: dict[bytes, str]) -> Problem | None:
        """Put the principal into the scope, or say why there is none."""
        client = scope["client"][0] if scope.get("client") else ""
        scope[PRINCIPAL] = found = await self._who(scope["path"], headers, client)
        if found is None:
            if scope["path"].startswith(_OPEN):
                return None
            return problem("unauthorized", "no token, or not one of this service's")
        if found.kind == "session" and scope["method"] not in _SAFE and not _is_own(headers):
            return problem("cross_site", "the request comes from another site's page")
        return None

    async def _who(self, path: str, headers: dict[bytes, str], client: str) -> Principal | None:
        given = headers.get(b"authorization")
        if given is not None:
            scheme, _, token = given.partition(" ")
            if scheme.lower() != "bearer":
                return None
            return await self._authenticator.by_token(token.strip(), client)
        if path.startswith(_REST):
            return None
        cookie = session_cookie(headers.get(b"cookie", ""))
        return await self._authenticator.by_session(cookie, client) if cookie else None

    async def _pass_long(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._long >= LONG_MAX:
            await answer(problem("busy", f"{self._long} live answers are going on already"), send)
            return
        self._long += 1
        try:
            async with asyncio.timeout(LONG_S_MAX):
                await self._app(scope, bounded(receive), shielded(send))
        except TimeoutError:
            log.info("a live answer was ended after %g s", LONG_S_MAX)
        finally:
            self._long -= 1

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_begun = False
        covered = shielded(send)

        async def track(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await covered(message)

        try:
            async with asyncio.timeout(self._request_s_max), self._slots:
                await self._app(scope, bounded(receive), track)
        except TimeoutError:
            if is_begun:
                raise
            await answer(problem("timeout", f"stopped after {self._request_s_max:g} s"), send)
        except BodyTooLarge:
            if is_begun:
                raise
            await answer(problem("too_large", f"a body has at most {BODY_BYTES_MAX} bytes"), send)


async def _refuse(fault: Problem, scope: Scope, headers: dict[bytes, str], send: Send) -> None:
    """Answer with the problem; who wanted to see a page is led to the login instead."""
    is_page = scope["method"] in _SAFE and "text/html" in headers.get(b"accept", "")
    if fault.status != HTTPStatus.UNAUTHORIZED or not is_page:
        await answer(fault, send)
        return
    query = scope.get("query_string", b"").decode("latin-1")
    wanted = urllib.parse.quote(scope["path"] + (f"?{query}" if query else ""), safe="")
    location = f"/login?next={wanted}".encode()
    await shielded(send)(
        {
            "type": "http.response.start",
            "status": HTTPStatus.SEE_OTHER,
            "headers": [(b"location", location), (b"content-length", b"0")],
        }
    )
    await send({"type": "http.response.body", "body": b""})


def shielded(send: Send) -> Send:
    """Return a `send` that adds what a browser must be told, where the answer doesn't."""

    async def cover(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            given = {name.lower() for name, _ in headers}
            headers += [pair for pair in _SHIELD if pair[0] not in given]
            message = {**message, "headers": headers}
        await send(message)

    return cover


def session_cookie(header: str) -> str:
    """Return the session's cookie of a Cookie header, or nothing."""
    pairs = dict(part.strip().partition("=")[::2] for part in header.split(";"))
    return next((pairs[name] for name in COOKIES if pairs.get(name)), "")


def _is_own(headers: dict[bytes, str]) -> bool:
    """Say whether a browser says that our own page sends this."""
    if headers.get(b"sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get(b"origin")
    return origin is None or urllib.parse.urlsplit(origin).netloc == headers.get(b"host", "")


class BodyTooLarge(BaseException):
    """Ends a request whose body grew over its bound; no handler may take it for a bug."""


def bounded(receive: Receive) -> Receive:
    """Return a `receive` that stops a body sent without its length."""
    seen = 0

    async def count() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > BODY_BYTES_MAX:
            raise BodyTooLarge
        return message

    return count


def is_host(header: str, hosts: frozenset[str]) -> bool:
    """Say whether a Host header names this service, with or without a port.

    Without this a web page could have its own name point to loopback and read on.
    """
    name, colon, port = header.rpartition(":")
    if colon and port.isdecimal():
        return name.lower() in hosts
    return header.lower() in hosts


def host_names(host: str) -> frozenset[str]:
    """Return what clients may call a listening address, besides loopback."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return frozenset({host.lower()})
    return frozenset({f"[{address}]" if address.version == 6 else str(address)})  # noqa: PLR2004


async def answer(fault: Problem, send: Send) -> None:
    """Send a problem as the whole response."""
    body = fault.model_dump_json(exclude_none=True).encode()
    headers = [*_HEADERS, (b"content-length", str(len(body)).encode())]
    if fault.status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": fault.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
