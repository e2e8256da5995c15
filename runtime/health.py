"""What a service tells its surroundings: /live, /ready and /metrics on loopback."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from runtime.metrics import ProcessMetrics
from runtime.ports import require_free
from schemas.errors import Misconfigured

START_TIMEOUT_S: Final = 10.0
STOP_TIMEOUT_S: Final = 2.0
POLL_S: Final = 0.01
CONNECTIONS_MAX: Final = 32
REQUEST_TIMEOUT_S: Final = 5.0  # uvicorn has none: half a request would hold its place for ever
KEEP_ALIVE_S: Final = 5


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that must be so before work is taken: what is missing, and the cure."""

    name: str
    is_met: bool
    missing: str = ""
    cure: str = ""


class Readiness:
    """The named conditions of a service; ready when all are met. Unknown names are refused.

    For any thread: a note replaces one whole `Condition`, and the names never change, so whoever
    looks meanwhile sees each as it was before or after.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._conditions = {
            name: Condition(name, is_met=False, missing="not checked yet") for name in names
        }

    def meet(self, name: str) -> None:
        """Note that the condition holds."""
        assert name in self._conditions, f"no condition {name}"
        self._conditions[name] = Condition(name, is_met=True)

    def miss(self, name: str, missing: str, cure: str = "") -> None:
        """Note that it does not: what is missing, and what the operator can do."""
        assert name in self._conditions, f"no condition {name}"
        self._conditions[name] = Condition(name, is_met=False, missing=missing, cure=cure)

    @property
    def is_ready(self) -> bool:
        """Whether every condition is met."""
        return not self.unmet

    @property
    def unmet(self) -> tuple[Condition, ...]:
        """What is missing, in the order the names were given."""
        return tuple(c for c in self._conditions.values() if not c.is_met)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All conditions."""
        return tuple(self._conditions.values())


def health_routes(readiness: Readiness, registry: CollectorRegistry) -> list[Route]:
    """Return the three routes, for an application that serves them beside its own."""

    async def live(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(_request: Request) -> Response:
        missing = [
            {"condition": c.name, "missing": c.missing} | ({"do": c.cure} if c.cure else {})
            for c in readiness.unmet
        ]
        met = [c.name for c in readiness.conditions if c.is_met]
        body = {"ready": not missing, "missing": missing, "met": met}
        return JSONResponse(body, status_code=503 if missing else 200)

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return [Route("/live", live), Route("/ready", ready), Route("/metrics", metrics)]


@asynccontextmanager
async def serve_health(
    host: str, port: int, readiness: Readiness, registry: CollectorRegistry
) -> AsyncIterator[str]:
    """Serve the routes while the block runs; gives the base URL.

    Raises `Misconfigured` naming the port when it is taken.
    """
    process = ProcessMetrics(registry)
    process.unmet.set_function(lambda: len(readiness.unmet))
    app = Starlette(routes=health_routes(readiness, registry))
    async with serve_app(app, host, port) as url:
        watcher = asyncio.create_task(process.watch_loop())
        try:
            yield url
        finally:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher


@asynccontextmanager
async def serve_app(
    app: ASGIApp, host: str, port: int, *, connections_max: int = CONNECTIONS_MAX
) -> AsyncIterator[str]:
    """Serve an ASGI application on this event loop while the block runs; signals stay ours.

    Raises `Misconfigured` naming the port when it is taken or the address is not ours.
    """
    listener = _listen(host, port)
    config = uvicorn.Config(
        app,
        http=_Impatient,
        timeout_keep_alive=KEEP_ALIVE_S,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        limit_concurrency=connections_max,
        proxy_headers=False,  # whom a proxy may speak for is the application's to say
        timeout_graceful_shutdown=int(STOP_TIMEOUT_S),
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not server.started and not task.done():  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(POLL_S)
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


class _Impatient(H11Protocol):
    """Closes a connection whose request is not here, header and body, in `REQUEST_TIMEOUT_S`.

    Bytes that trickle in win no time. For requests that fit into a few packets.
    """

    _overdue: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Stop waiting once the request is whole, and begin when the next one does."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        super().connection_lost(exc)
        self._relax()

    def _watch(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle  # none before the first request
        is_whole = cycle is not None and not cycle.response_complete and not cycle.more_body
        if is_whole or self.transport.is_closing():
            self._relax()
        elif self._overdue is None:
            self._overdue = self.loop.call_later(REQUEST_TIMEOUT_S, self.transport.abort)

    def _relax(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: `runtime.lifecycle` has them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def _listen(host: str, port: int) -> socket.socket:
    """Bind here rather than in uvicorn, which exits the process when it can't."""
    if port:
        require_free(port, "HTTP", host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Misconfigured(f"can't listen on {host} port {port}: {reason}") from error
