"""The gate before every request: host, token, size, number and time; pure ASGI, nothing passes by.

No path is open, neither the description nor unknown ones, so that nothing can be found out
without the token. Health and metrics have a port of their own.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final

from console.auth import Credential
from console.problems import problem
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
        credential: Credential,
        hosts: frozenset[str],
        *,
        request_s_max: float = REQUEST_S_MAX,
    ) -> None:
        self._app = app
        self._credential = credential
        self._hosts = hosts | LOOPBACK_NAMES
        self._request_s_max = request_s_max
        self._slots = asyncio.Semaphore(REQUESTS_MAX)
        self._present = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with its problem."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets here
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        fault = self._fault(headers)
        if fault is not None:
            await answer(fault, send)
            return
        self._present += 1
        try:
            await self._pass(scope, receive, send)
        finally:
            self._present -= 1

    def _fault(self, headers: dict[bytes, str]) -> Problem | None:
        if not is_host(headers.get(b"host", ""), self._hosts):
            return problem("wrong_host", "the Host header names no host of this service")
        if not self._credential.admits(headers.get(b"authorization")):
            return problem("unauthorized", "no token, or not this service's")
        length = headers.get(b"content-length", "0")
        if not length.isdecimal() or int(length[:12]) > BODY_BYTES_MAX:
            return problem("too_large", f"a body has at most {BODY_BYTES_MAX} bytes")
        if self._present >= REQUESTS_MAX + WAITING_MAX:
            return problem("busy", f"{self._present} requests are waiting already")
        return None

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_begun = False

        async def track(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

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
