"""The API as a service: its token, its threads and its port, until told to stop."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from console.api import Api, build_api
from console.auth import ServiceToken, load_token
from console.ports import Ports
from console.reading import Asks, Bounds, Reader
from console.state import State
from runtime.clickhouse import TooBroad
from runtime.clock import Clock, SystemClock
from runtime.health import serve_app
from schemas.errors import StoreUnavailable


@dataclass(frozen=True, slots=True)
class ApiService:
    """What the service is made of. `told` hears the base URL once requests are taken."""

    store: Asks
    ports: Ports
    token_file: Path
    state_file: Path
    host: str = "127.0.0.1"
    port: int = 0
    hosts: frozenset[str] = frozenset()
    tenant: str | None = None
    bounds: Bounds = field(default_factory=Bounds)
    clock: Clock = field(default_factory=SystemClock)
    told: Callable[[str], None] = lambda _url: None


async def run_api(service: ApiService, stop: asyncio.Event) -> None:
    """Serve until `stop` is set. Raises `Misconfigured` for a token or a port that won't do."""
    token = load_token(service.token_file)
    reader = Reader(service.store, is_too_broad=is_too_broad, bounds=service.bounds)
    state = State(service.state_file)
    await state.open()
    api = Api(
        reader=reader,
        ports=service.ports,
        authenticator=ServiceToken(token, service.tenant),
        state=state,
        host=service.host,
        hosts=service.hosts,
        clock=service.clock,
    )
    try:
        async with serve_app(build_api(api), service.host, service.port) as url:
            service.told(url)
            await stop.wait()
    finally:
        await asyncio.to_thread(reader.close)
        await state.close()


def is_too_broad(error: StoreUnavailable) -> bool:
    """Say whether the store gave up a query for its bounds, rather than being away."""
    return isinstance(error, TooBroad)
