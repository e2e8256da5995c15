"""The API as a service: its token, its threads and its port, until told to stop."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from console.export.desk import Desk, ExportLimits
from console.export.making import Threads
from console.export.store import Stored
from console.export.worker import Worker
from console.people.book import People
from console.people.provider import Provider
from console.people.sessions import Lifetimes
from console.ports import Ports
from console.search.reading import Bounds, Reader
from console.state import State
from console.web.api import Api, build_api
from console.web.auth import ServiceToken, load_token
from console.web.front import Front
from console.web.metrics import ConsoleMetrics
from runtime.clock import Clock, SystemClock
from runtime.health import serve_app
from runtime.store_errors import TooBroad
from schemas.errors import StoreUnavailable

# A browser opens six, keeps them a while, and holds one for each live tail.
CONNECTIONS_MAX: Final = 256
EXPORTS: Final = "exports"  # their folder, beside the state


@dataclass(frozen=True, slots=True)
class ApiService:
    """What the service is made of. `told` hears the base URL once requests are taken."""

    store: Stored
    ports: Ports
    token_file: Path
    state_file: Path
    host: str = "127.0.0.1"
    port: int = 0
    hosts: frozenset[str] = frozenset()
    front: Front = field(default_factory=Front)
    lives: Lifetimes = field(default_factory=Lifetimes)
    provider: Provider | None = None
    metrics: ConsoleMetrics = field(default_factory=ConsoleMetrics)
    tenant: str | None = None
    bounds: Bounds = field(default_factory=Bounds)
    export_limits: ExportLimits = field(default_factory=ExportLimits)
    clock: Clock = field(default_factory=SystemClock)
    told: Callable[[str], None] = lambda _url: None


async def run_api(service: ApiService, stop: asyncio.Event) -> None:
    """Serve until `stop` is set. Raises `Misconfigured` for a token or a port that won't do."""
    token = load_token(service.token_file)
    reader = Reader(service.store, is_too_broad=is_too_broad, bounds=service.bounds)
    state = State(service.state_file)
    await state.open()
    known = ServiceToken(token, service.tenant)
    people = People(known, state, service.clock, service.lives, service.provider, service.metrics)
    folder = service.state_file.parent / EXPORTS
    desk = Desk(state, folder, service.clock, service.store, Threads(), service.export_limits)
    api = Api(
        reader=reader,
        ports=service.ports,
        authenticator=people,
        state=state,
        host=service.host,
        hosts=service.hosts,
        front=service.front,
        refused=service.metrics.refused,
        desk=desk,
        clock=service.clock,
    )
    working = asyncio.create_task(Worker(api, desk, is_too_broad).guard(stop))
    try:
        async with serve_app(
            build_api(api), service.host, service.port, connections_max=CONNECTIONS_MAX
        ) as url:
            service.told(url)
            await asyncio.wait(
                [working, stopping := asyncio.create_task(stop.wait())],
                return_when=asyncio.FIRST_COMPLETED,
            )
            stopping.cancel()
            if working.done():
                working.result()
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await asyncio.to_thread(desk.threads.close)
        await people.close()
        await asyncio.to_thread(reader.close)
        await state.close()


def is_too_broad(error: StoreUnavailable) -> bool:
    """Say whether the store gave up a query for its bounds, rather than being away."""
    return isinstance(error, TooBroad)
