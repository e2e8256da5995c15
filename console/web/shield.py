"""What every answer tells browsers that they may do with it, and refusals as whole answers."""

from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final

from schemas.views import Problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# No script or style but our own files, nothing framed, nothing sent elsewhere.
_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_SHIELD: Final = (
    (b"content-security-policy", _POLICY),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
)
_BY_TLS: Final = ((b"strict-transport-security", b"max-age=31536000"),)
_HEADERS: Final = (
    (b"content-type", b"application/problem+json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


def shielded(send: Send, *, is_secure: bool = False) -> Send:
    """Return a `send` that adds what a browser must be told, where the answer doesn't."""
    added = _SHIELD + (_BY_TLS if is_secure else ())

    async def cover(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            given = {name.lower() for name, _ in headers}
            headers += [pair for pair in added if pair[0] not in given]
            message = {**message, "headers": headers}
        await send(message)

    return cover


class BodyTooLarge(BaseException):
    """Ends a request whose body grew over its bound; no handler may take it for a bug."""


def bounded(receive: Receive, bytes_max: int) -> Receive:
    """Return a `receive` that stops a body sent without its length."""
    seen = 0

    async def count() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > bytes_max:
            raise BodyTooLarge
        return message

    return count


async def answer(fault: Problem, send: Send) -> None:
    """Send a problem as the whole response."""
    body = fault.model_dump_json(exclude_none=True).encode()
    headers = [*_HEADERS, (b"content-length", str(len(body)).encode())]
    if fault.status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": fault.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def redirect(location: str, send: Send) -> None:
    """Send elsewhere, by a GET."""
    headers = [(b"location", location.encode("ascii")), (b"content-length", b"0")]
    start = {"type": "http.response.start", "status": HTTPStatus.SEE_OTHER, "headers": headers}
    await shielded(send)(start)
    await send({"type": "http.response.body", "body": b""})
