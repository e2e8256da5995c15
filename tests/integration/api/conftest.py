"""One store for all API tests, and clients of an API on it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from console.health.probes import store_probes
from console.ports import Ports, Read, unwritable
from console.search.reading import Reader
from console.state import State
from console.web.api import Api, build_api
from console.web.auth import ServiceToken
from console.web.service import is_too_broad
from consumers.migrate import migrate
from runtime.clickhouse import Store
from tests.integration.api.stored import (
    SEED,
    TOKEN,
    Clock,
    event,
    ledger,
    line,
    put,
    put_others,
    replay,
    special_events,
)


@pytest.fixture(scope="module")  # what one file puts in is nobody else's
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(f"chdb://{tmp_path_factory.mktemp('store')}") as opened:
        migrate(opened)
        changed = {
            "category": "configuration",
            "changed": [""],
            "before": ['"90 days"'],
            "after": ['"180 days"'],
            "geo_country": "DE",
            "geo_asn": 3320,
            "geo_as_name": "DTAG",
            "retain_until": "2032-10-11",
            "flags": ["late"],
            "rules": ["retention_shortened"],
            "risk_score": 40,
            "severity": "high",
        }
        put(
            opened,
            [line(SEED[0], 0), line(SEED[1], 1), line(SEED[2], 2, **changed)],
            "seed",
        )
        many = [
            event(100 + n, user=f"bulk{n % 7}", details={"n": n}, timestamp="2025-09-01T00:00:00Z")
            for n in range(137)
        ]
        put(opened, many, "many")
        put(opened, list(special_events()), "special")
        put_others(opened)
        yield opened


@pytest.fixture
def seen() -> list[Read]:
    return []


@pytest.fixture
async def ask(store: Store, seen: list[Read], tmp_path: Path) -> AsyncIterator[Any]:
    """A client factory: `ask(tenant=…)` gives a client with the right token."""
    readers: list[Reader] = []
    clients: list[httpx.AsyncClient] = []
    state = State(tmp_path / "console.sqlite3")
    await state.open()

    async def saw(read: Read) -> None:
        seen.append(read)

    def make(
        tenant: str | None = None, *, answers: Any = store, **kwargs: Any
    ) -> httpx.AsyncClient:
        reader = Reader(answers, is_too_broad=is_too_broad, bounds=kwargs.pop("bounds", None))
        readers.append(reader)
        probes = store_probes(store, Clock().now_ms, [1])
        ports = Ports(ledger, replay, probes, saw, change=kwargs.pop("change", unwritable))
        known = kwargs.pop("authenticator", None) or ServiceToken(SecretStr(TOKEN), tenant)
        app = build_api(Api(reader, ports, known, state, clock=Clock(), **kwargs))
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app, raise_app_exceptions=False),
            base_url="http://127.0.0.1:8000",
            headers={"authorization": f"Bearer {TOKEN}"},
        )
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.aclose()
    for reader in readers:
        reader.close()
    await state.close()
