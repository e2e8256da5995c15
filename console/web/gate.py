"""The gate before every request: host, who asks, size, number, time; pure ASGI, nothing passes by.

Only the login and what it looks like are open; neither the description nor unknown paths are, so
that nothing can be found out without a credential. The REST API takes tokens only, so that no
browser can be made to call it; pages take sessions too. Health and metrics have their own port.
"""

import asyncio
import logging
import re
import urllib.parse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from console.access import Principal
from console.web.auth import Authenticator
from console.web.crowd import (
    LOOKUPS,
    SENDING_S_MAX,
    STRANGERS,
    STRANGERS_AT_WORK_MAX,
    Crowd,
    received,
)
from console.web.front import Front, is_host, read_cookie
from console.web.problems import Refused, problem, problem_of_error
from console.web.shield import (
    App,
    BodyTooLarge,
    Message,
    Receive,
    Scope,
    Send,
    answer,
    bounded,
    redirect,
    shielded,
)
from schemas.errors import AuditError
from schemas.views import Problem

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
BODY_BYTES_MAX: Final = 65_536  # the one body is a filter of a few fields
REQUESTS_MAX: Final = 16  # at work at once
WAITING_MAX: Final = 64  # more than these are refused at once
REQUEST_S_MAX: Final = 30.0
LONG_MAX: Final = 32  # live tails and streamed exports at once; a place of their own each
LONG_EACH_MAX: Final = 8  # of one principal, so that nobody has them all
LONG_S_MAX: Final = 3_600.0
LOOKUP_S_MAX: Final = 5.0  # of who asks
# Answers that go on: the live tail, and exports. Nothing else, whatever it ends with.
_LONG: Final = re.compile(
    r"GET /search/tail|POST /v1/exports/stream|GET (/v1)?/exports/[^/]+/stream"
)
RECHECK_S: Final = 5.0  # so soon a live answer ends when its session or token is revoked
PRINCIPAL: Final = "audit.principal"  # its key in the scope
CLIENT: Final = "audit.client"  # the key of the address that a request came from
_OPEN: Final = ("/login/", "/static/")
_OPEN_EXACT: Final = frozenset({"/login", "/favicon.ico"})
_REST: Final = ("/v1/", "/openapi.json")
_CHANGE: Final = "/me/password"
_LEFT: Final = frozenset({_CHANGE, "/logout"})  # to those who must change their password
_SAFE: Final = frozenset({"GET", "HEAD"})
log: Final = logging.getLogger("audit.api")

Headers = dict[bytes, str]


@dataclass(frozen=True, slots=True)
class GateTerms:
    """What the gate goes by. `refused` hears the kind of each refusal, for a metric."""

    hosts: frozenset[str] = frozenset()
    front: Front = field(default_factory=Front)
    request_s_max: float = REQUEST_S_MAX
    recheck_s: float = RECHECK_S
    refused: Callable[[str], None] = lambda _kind: None
    sending_s_max: float = SENDING_S_MAX


class Gate:
    """Wraps the application; what it refuses never reaches it."""

    def __init__(self, app: App, authenticator: Authenticator, terms: GateTerms) -> None:
        self.app: Final = app
        self._authenticator = authenticator
        self._terms = terms
        self._hosts = terms.hosts | terms.front.hosts | LOOPBACK_NAMES
        self._slots = asyncio.Semaphore(REQUESTS_MAX)
        self._present = 0
        self._lookups = Crowd(LOOKUPS, "too many credentials are being looked up at once")
        self._strangers = Crowd(STRANGERS, "too many requests at once that nobody is known to send")
        self._strangers_at_work = asyncio.Semaphore(STRANGERS_AT_WORK_MAX)
        self._long: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with its problem."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets here
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        covered = shielded(send, is_secure=self._terms.front.is_secure)
        try:
            fault = self._fault(headers) or await self._admit(scope, headers)
        except AuditError as error:
            fault = problem_of_error(error)
        if fault is not None:
            self._terms.refused(fault.type.rpartition(":")[2])
            await _refuse(fault, scope, headers, covered)
        elif scope[PRINCIPAL] is None:
            await self._pass_stranger(scope, receive, covered)
        elif _must_change(scope):
            await redirect(_CHANGE, covered)
        elif is_long(scope["method"], scope["path"]):
            await self._pass_long(scope, headers, receive, covered)
        else:
            self._present += 1
            try:
                await self._pass(scope, receive, covered, self._slots)
            finally:
                self._present -= 1

    def _fault(self, headers: Headers) -> Problem | None:
        if not is_host(headers.get(b"host", ""), self._hosts):
            return problem("wrong_host", "the Host header names no host of this service")
        length = headers.get(b"content-length", "0")
        if not length.isdecimal() or int(length[:12]) > BODY_BYTES_MAX:
            return _too_large()
        return None

    async def _admit(self, scope: Scope, headers: Headers) -> Problem | None:
        """Put the principal into the scope, or say why there is none."""
        peer = scope["client"][0] if scope.get("client") else ""
        forwarded = [v.decode("latin-1") for k, v in scope["headers"] if k == b"x-forwarded-for"]
        scope[CLIENT] = self._terms.front.client(peer, forwarded)
        scope[PRINCIPAL] = found = await self._looked_up(scope, headers)
        if found is None and not _is_open(scope["path"]):
            return problem("unauthorized", "no token, or not one of this service's")
        if found is None:
            self._strangers.require_room(scope[CLIENT])
        if found is not None and self._present >= REQUESTS_MAX + WAITING_MAX:
            return problem("busy", f"{self._present} requests are waiting already")
        has_no_token = found is None or found.kind == "session"
        if has_no_token and scope["method"] not in _SAFE and not self._is_own(headers):
            return problem("cross_site", "the request comes from another site's page")
        return None

    async def _looked_up(self, scope: Scope, headers: Headers) -> Principal | None:
        """Return who asks, so that those who are nobody cost no more than a bound."""
        try:
            with self._lookups.here(scope[CLIENT]):
                async with asyncio.timeout(LOOKUP_S_MAX):
                    return await self._who(scope, headers)
        except TimeoutError as error:
            raise Refused("busy", "who asks can't be told in time") from error

    async def _who(self, scope: Scope, headers: Headers) -> Principal | None:
        given, client = headers.get(b"authorization"), scope[CLIENT]
        if given is not None:
            scheme, _, token = given.partition(" ")
            if scheme.lower() != "bearer":
                return None
            return await self._authenticator.by_token(token.strip(), client)
        if scope["path"].startswith(_REST):
            return None
        name = self._terms.front.cookie(headers.get(b"host", ""))
        cookie = read_cookie(headers.get(b"cookie", ""), name)
        return await self._authenticator.by_session(cookie, client) if cookie else None

    def _is_own(self, headers: Headers) -> bool:
        """Say whether a browser says that our own page sends this."""
        if headers.get(b"sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        origin = headers.get(b"origin")
        if origin is None:
            return True
        parts = urllib.parse.urlsplit(origin)
        is_safe = parts.scheme == "https" or not self._terms.front.is_secure
        return is_safe and bool(parts.netloc) and parts.netloc == headers.get(b"host", "")

    async def _pass_long(
        self, scope: Scope, headers: Headers, receive: Receive, send: Send
    ) -> None:
        principal: Principal | None = scope[PRINCIPAL]
        who = principal.name if principal else ""
        if self._long.total() >= LONG_MAX or self._long[who] >= LONG_EACH_MAX:
            await answer(problem("busy", "as many live answers as can be go on already"), send)
            return
        self._long[who] += 1
        answering = asyncio.ensure_future(self.app(scope, bounded(receive, BODY_BYTES_MAX), send))
        try:
            async with asyncio.timeout(LONG_S_MAX):
                while not answering.done():
                    await asyncio.wait({answering}, timeout=self._terms.recheck_s)
                    if not answering.done() and not await self._is_still(principal, scope, headers):
                        log.info("a live answer was ended: who asked may no longer")
                        break
        except TimeoutError:
            log.info("a live answer was ended after %g s", LONG_S_MAX)
        finally:
            self._long -= Counter({who: 1})  # what is at 0 is forgotten
            await _end(answering)

    async def _is_still(self, was: Principal | None, scope: Scope, headers: Headers) -> bool:
        """Say whether who asked may still ask the same. Where it can't be told it may go on."""
        try:
            now = await self._who(scope, headers)
        except AuditError:
            return True
        if was is None or now is None:
            return was is now
        return (was.permissions, was.tenant) == (now.permissions, now.tenant)

    async def _pass_stranger(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take in the whole request first, in a few seconds: who sends slowly holds no place."""
        seconds = self._terms.sending_s_max
        with self._strangers.here(scope[CLIENT]):
            try:
                whole = await received(bounded(receive, BODY_BYTES_MAX), seconds)
            except TimeoutError:
                self._terms.refused("timeout")
                await answer(problem("timeout", f"it was not sent within {seconds:g} s"), send)
            except BodyTooLarge:
                await answer(_too_large(), send)
            else:
                await self._pass(scope, whole, send, self._strangers_at_work)

    async def _pass(
        self, scope: Scope, receive: Receive, send: Send, slots: asyncio.Semaphore
    ) -> None:
        is_begun = False

        async def track(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        seconds = self._terms.request_s_max
        try:
            async with asyncio.timeout(seconds), slots:
                await self.app(scope, bounded(receive, BODY_BYTES_MAX), track)
        except TimeoutError:
            if is_begun:
                raise
            await answer(problem("timeout", f"stopped after {seconds:g} s"), send)
        except BodyTooLarge:
            if is_begun:
                raise
            await answer(_too_large(), send)


async def _end(answering: "asyncio.Future[None]") -> None:
    """End a live answer, or raise what it ended with."""
    if answering.done():
        answering.result()
        return
    answering.cancel()
    await asyncio.wait({answering})
    if not answering.cancelled():
        answering.result()


def is_long(method: str, path: str) -> bool:
    """Say whether an answer may go on for long; it takes one of the few places for that."""
    return _LONG.fullmatch(f"{method} {path}") is not None


def _too_large() -> Problem:
    return problem("too_large", f"a body has at most {BODY_BYTES_MAX} bytes")


def _is_open(path: str) -> bool:
    return path in _OPEN_EXACT or path.startswith(_OPEN)


def _must_change(scope: Scope) -> bool:
    """Say whether a page is asked for by somebody who must set a password first."""
    principal: Principal | None = scope[PRINCIPAL]
    if principal is None or not principal.must_change:
        return False
    return scope["path"] not in _LEFT and not _is_open(scope["path"])


async def _refuse(fault: Problem, scope: Scope, headers: Headers, send: Send) -> None:
    """Answer with the problem; who wanted to see a page is led to the login instead."""
    is_page = scope["method"] in _SAFE and "text/html" in headers.get(b"accept", "")
    if fault.status != HTTPStatus.UNAUTHORIZED or not is_page:
        await answer(fault, send)
        return
    asked = scope.get("raw_path") or urllib.parse.quote(scope["path"]).encode()
    query = scope.get("query_string", b"")
    wanted = asked + (b"?" + query if query else b"")
    await redirect(f"/login?next={urllib.parse.quote(wanted, safe='')}", send)
