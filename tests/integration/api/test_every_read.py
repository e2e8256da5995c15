"""Every route that shows something tells of it: whatever route is added, it is walked here.

A new route that needs parameters gets them in `PARAMETERS` or `NAMES`; one that shows nothing of
the log, such as the login, is named in `OPEN` with its reason.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from pydantic import SecretStr

from console.export.desk import Desk, ExportLimits
from console.export.making import Threads
from console.health.probes import store_probes
from console.people.book import People
from console.people.sessions import Lifetimes
from console.ports import Ports, Read
from console.search.reading import Reader
from console.sql.desk import SqlDesk
from console.state import State
from console.web.api import Api, build_api
from console.web.auth import ServiceToken
from console.web.gate import is_long
from console.web.metrics import ConsoleMetrics
from console.web.service import is_too_broad
from runtime.clickhouse import Store
from schemas.actions import ACTIONS
from schemas.reads import READ_ACTIONS, read_kind
from tests.integration.api.stored import TOKEN, Clock, alert, ledger, replay

# What shows nothing of the log: no read.
OPEN = {
    "/": "leads to the first page",
    "/favicon.ico": "a picture",
    "/static/{name}": "files that ship",
    "/openapi.json": "the description, the same for all",
    "/login": "before anybody is known",
    "/login/{once}": "the same, by a link",
    "/login/oidc": "the same, elsewhere",
    "/login/oidc/callback": "the way back from there",
    "/logout": "after it",
}
# What stands for a name in a path, and a query where the page needs one.
NAMES = {
    "event_id": "own-1",
    "alert_id": alert(0).alert_id,
    "place": "0:600",
    "user": "jane.doe@company.com",
    "ip": "203.0.113.42",
    "session_id": "sess_xyz789",
    "id": "sess_xyz789",
    "export_id": "0" * 32,
}
PARAMETERS = {
    "/resources": {"resource": "voice_recordings"},
    "/access": {"resource": "voice_recordings"},
    "/timeline": {"at": "2025-10-11T14:30:00Z"},
    "/reports/data-subject": {"user": "jane.doe@company.com"},
    "/search/complete": {"q": "user:"},
}


def own_path(path: str) -> str:
    """Return the path of the page or route whose other forms end in .json and .csv."""
    return path.removesuffix(".json").removesuffix(".csv").removesuffix("index") or "/"


def app_of(api: Api) -> FastAPI:
    """Return what the gate and other layers stand before."""
    app: Any = build_api(api)
    while not isinstance(app, FastAPI):
        app = getattr(app, "app", None) or app._app
    return app


def reads(app: FastAPI) -> list[str]:
    """Return the path of each route that shows something."""
    found = {
        route.path_format or ""
        for route in iter_route_contexts(app.routes)
        if "GET" in (route.methods or set())
    }
    return sorted(path for path in found if not {path, own_path(path)} & OPEN.keys())


@pytest.fixture
async def api(store: Store, tmp_path: Path, seen: list[Read]) -> AsyncIterator[Api]:
    reader = Reader(store, is_too_broad=is_too_broad)
    state = State(tmp_path / "console.sqlite3")
    await state.open()

    async def saw(read: Read) -> None:
        seen.append(read)

    nowhere = Store(store.name, database="default")
    desk = SqlDesk(nowhere, store.database)
    ports = Ports(ledger, replay, store_probes(store, Clock().now_ms, [1]), saw, sql=desk)
    people = People(
        ServiceToken(SecretStr(TOKEN)), state, Clock(), Lifetimes(), None, ConsoleMetrics()
    )
    exports = Desk(state, tmp_path / "exports", Clock(), store, Threads(), ExportLimits())
    yield Api(reader, ports, people, state, desk=exports, clock=Clock())
    reader.close()
    nowhere.close()
    await state.close()


async def test_each_route_that_shows_something_tells_of_it_exactly_once(
    api: Api, seen: list[Read]
) -> None:
    app, faults, told = app_of(api), [], 0
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=build_api(api), raise_app_exceptions=False),
        base_url="http://127.0.0.1:8000",
        headers={"authorization": f"Bearer {TOKEN}"},
    ) as client:
        for path in reads(app):
            if is_long("GET", path):
                continue  # it does not end; see the tests of its own
            seen.clear()
            asked = PARAMETERS.get(own_path(path).removeprefix("/v1"), {})
            answer = await client.get(path.format_map(Names()), params=asked)
            fault = judge(path, answer, seen)
            told += fault is None
            faults += [fault] if fault else []
    assert not faults, "\n".join(faults)
    assert told >= 10


def judge(path: str, answer: httpx.Response, seen: list[Read]) -> str | None:
    """Say what is wrong; None if nothing is."""
    paths = [read.path for read in seen]
    if answer.status_code == 404 and paths:
        return None  # there is nothing by that name, or it is no table: nothing was shown, but told
    if answer.status_code != 200:
        return f"{path}: {answer.status_code} {answer.text[:200]}: give it parameters here"
    if len(paths) != 1:
        return f"{path}: {len(paths)} reads {paths}, not one"
    if paths[0].rstrip("/") != own_path(path).rstrip("/"):
        return f"{path}: it tells of {paths[0]}"
    return None


class Names(dict[str, str]):
    """A name for whatever a path calls for."""

    def __missing__(self, name: str) -> str:
        return NAMES.get(name, "1")


async def test_each_route_that_shows_something_leaves_an_action_of_its_own_kind(api: Api) -> None:
    unknown = [
        path
        for path in reads(app_of(api))
        if read_kind(own_path(path)).kind == "other"
        or read_kind(own_path(path)).action not in READ_ACTIONS & ACTIONS.keys()
    ]

    assert not unknown, "add them to schemas/reads.py"


async def test_what_the_caller_claims_is_told_as_a_claim(ask: Any, seen: list[Read]) -> None:
    headers = {"x-audit-operator": "root", "user-agent": "audit/1"}

    assert (await ask().get("/v1/ledger", headers=headers)).status_code == 200

    [read] = seen
    assert (read.by.name, read.operator, read.agent) == ("service-token", "root", "audit/1")


async def test_a_read_that_can_not_be_told_of_is_not_answered(api: Api) -> None:
    async def refuse(_read: Read) -> None:
        raise OSError

    ports = Ports(ledger, replay, (), refuse)
    broken = Api(api.reader, ports, api.authenticator, api.state, clock=Clock())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=build_api(broken), raise_app_exceptions=False),
        base_url="http://127.0.0.1:8000",
        headers={"authorization": f"Bearer {TOKEN}"},
    ) as client:
        answer = await client.get("/v1/events")

    assert answer.status_code == 500
    assert "jane" not in answer.text
