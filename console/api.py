"""The REST API: routes as thin as can be; what to ask and how to show it is pure, elsewhere."""

import base64
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import SecretStr
from starlette.exceptions import HTTPException

from console import cursor, lookups, rendering, search
from console.auth import Credential
from console.doctor import examine
from console.gate import REQUEST_S_MAX, App, Gate, host_names
from console.lookups import AlertSearch, QuarantineSearch
from console.ports import Ports, Read
from console.problems import Refused, problem, problem_of, problem_of_fault
from console.reading import Reader
from console.search import Search
from runtime.clock import Clock, SystemClock
from schemas.errors import AuditError, Misconfigured, StoreUnavailable, Unavailable
from schemas.ledger import Ledger
from schemas.views import (
    AlertFound,
    AlertPage,
    Diagnosis,
    EventFound,
    EventPage,
    Problem,
    QuarantineFound,
    QuarantinePage,
    ReplayAsked,
    ReplayDone,
)

PROBLEM_JSON: Final = "application/problem+json"
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": Problem, "description": text}
    for status, text in (
        (400, "A parameter is wrong, or the query too broad."),
        (401, "No token."),
        (404, "Not there."),
        (503, "A part is away: try again."),
    )
}


@dataclass(frozen=True, slots=True)
class Api:
    """What the API is made of. `tenant` bounds the token to one tenant; without it, all.

    `host` is the address listened on: besides loopback the only name that is answered to, with
    `hosts`.
    """

    reader: Reader
    ports: Ports
    token: SecretStr
    tenant: str | None = None
    host: str = "127.0.0.1"
    hosts: frozenset[str] = frozenset()
    request_s_max: float = REQUEST_S_MAX
    clock: Clock = field(default_factory=SystemClock)


def build_api(api: Api) -> App:
    """Return the ASGI application, gate included."""
    described = FastAPI(
        title="Audit Stream",
        version="1",
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        openapi_url="/openapi.json",
        responses=_PROBLEMS,
    )
    described.state.api = api
    described.include_router(routes)
    _handle_errors(described)
    return Gate(
        described,
        Credential(api.token, api.tenant),
        host_names(api.host) | frozenset(name.lower() for name in api.hosts),
        request_s_max=api.request_s_max,
    )


PARAMETERS_MAX: Final = 32  # there are about half as many


def each_once(request: Request) -> None:
    """Refuse a parameter that is given twice: which one counts is anybody's guess."""
    names = [name for name, _ in request.query_params.multi_items()]
    if len(names) > PARAMETERS_MAX:
        raise Refused(
            "bad_parameter", f"over {PARAMETERS_MAX} parameters", cure="leave some of them out"
        )
    seen: set[str] = set()
    for name in names:
        if name in seen:
            shown = name if name.isidentifier() else "a parameter"
            raise Refused(
                "bad_parameter", f"{shown} is given twice", field=shown, cure="give it once"
            )
        seen.add(name)


def api_of(request: Request) -> Api:
    """Return what the application was built from."""
    api: Api = request.app.state.api
    return api


Asked = Annotated[Api, Depends(api_of)]
routes: Final = APIRouter(prefix="/v1", dependencies=[Depends(each_once)])


@routes.get("/events", response_model=EventPage)
async def list_events(api: Asked, asked: Annotated[Search, Query()]) -> Response:
    """Search the events, newest first."""
    now_us = api.clock.now_ms() * 1000
    found = search.page(search.conditions(asked, api.tenant, now_us), asked)
    rows = await api.reader.events(found, asked.limit + 1)
    page = rows[: asked.limit]
    following = None
    if len(rows) > asked.limit:
        key = tuple(page[-1][name] for name in ("incarnation", "partition", "offset"))
        following = cursor.encode(cursor.Cursor(page[-1]["occurred_us"], key), asked.question())
    await _saw(api, "/v1/events", asked.model_dump(exclude_none=True), len(page))
    return _json({"events": [rendering.render_event(row) for row in page], "next": following})


@routes.get("/events/{event_id:path}", response_model=EventFound)
async def show_event(api: Asked, event_id: str) -> Response:
    """Show one event by its id, or its place as partition:offset, with raw bytes and origin."""
    rows = await api.reader.rows(lookups.event_by_id(event_id, api.tenant))
    placed = None if rows else lookups.event_by_place(event_id, api.tenant)
    if placed is not None:
        rows = await api.reader.rows(placed)
    if not rows:
        raise Refused("not_found", "no event has that id", field="event_id")
    row, *others = rows
    place = (row["incarnation"], row["topic"], row["partition"], row["offset"])
    batches = await api.reader.rows(lookups.batch_of(*place))
    raw, raw_base64 = rendering.render_raw(base64.b64decode(row["raw64"]))
    await _saw(api, "/v1/events/{event_id}", {"event_id": event_id}, len(rows))
    return _json(
        {
            "event": rendering.render_event(row),
            "raw": raw,
            "raw_base64": raw_base64,
            "provenance": rendering.render_provenance(row, batches[0] if batches else None),
            "others": [rendering.render_event(other) for other in others],
        }
    )


@routes.get("/alerts", response_model=AlertPage)
async def list_alerts(api: Asked, asked: Annotated[AlertSearch, Query()]) -> Response:
    """List alerts, newest first; with `after` those stored since then, oldest first."""
    question = asked.question()
    newest = await api.reader.rows(lookups.newest_alert()) if asked.after is None else []
    rows = await api.reader.rows(lookups.alerts(asked, api.tenant, api.clock.now_ms() * 1000))
    page = rows[: asked.limit]
    following, after = None, asked.after
    if asked.after is None:
        if len(rows) > asked.limit:
            last = cursor.Cursor(page[-1]["recorded_ms"] * 1000, (page[-1]["alert_id"],))
            following = cursor.encode(last, question)
        start = newest[0] if newest else {"stored_ms": 0, "alert_id": ""}
        after = _after(start, question)
    elif page:
        after = _after(page[-1], question)
    await _saw(api, "/v1/alerts", asked.model_dump(exclude_none=True), len(page))
    alerts = [rendering.render_alert(row) for row in page]
    return _json({"alerts": alerts, "next": following, "after": after})


@routes.get("/alerts/{alert_id}", response_model=AlertFound)
async def show_alert(api: Asked, alert_id: str) -> Response:
    """Show one alert with each attempt to deliver it."""
    rows = await api.reader.rows(lookups.alert_by_id(alert_id, api.tenant))
    if not rows:
        raise Refused("not_found", "no alert has that id", field="alert_id")
    tried = await api.reader.rows(lookups.deliveries_of(alert_id))
    await _saw(api, "/v1/alerts/{alert_id}", {"alert_id": alert_id}, 1)
    deliveries = [rendering.render_delivery(row) for row in tried]
    return _json({"alert": rendering.render_alert(rows[0]), "deliveries": deliveries})


@routes.get("/quarantine", response_model=QuarantinePage)
async def list_quarantine(api: Asked, asked: Annotated[QuarantineSearch, Query()]) -> Response:
    """List quarantined messages, newest first."""
    _whole(api)
    rows = await api.reader.rows(lookups.quarantine(asked, api.clock.now_ms() * 1000))
    page = rows[: asked.limit]
    following = None
    if len(rows) > asked.limit:
        key = tuple(page[-1][name] for name in ("incarnation", "partition", "offset"))
        last = cursor.Cursor(page[-1]["recorded_ms"] * 1000, key)
        following = cursor.encode(last, asked.question())
    await _saw(api, "/v1/quarantine", asked.model_dump(exclude_none=True), len(page))
    return _json(
        {"messages": [rendering.render_quarantined(row) for row in page], "next": following}
    )


@routes.post("/quarantine/replay", response_model=ReplayDone)
async def replay_quarantine(api: Asked, asked: ReplayAsked) -> Response:
    """Judge open quarantined messages again; what is accepted now becomes an event, once."""
    _whole(api)
    done = await api.ports.replay(asked)
    await _saw(api, "/v1/quarantine/replay", asked.model_dump(exclude_none=True), done.replayed)
    return _json(done.model_dump())


@routes.get("/quarantine/{place}", response_model=QuarantineFound)
async def show_quarantined(api: Asked, place: str) -> Response:
    """Show one quarantined message, named partition:offset, with its bytes."""
    _whole(api)
    rows = await api.reader.rows(lookups.quarantined_at(place))
    if not rows:
        raise Refused("not_found", "no message of that place is in quarantine", field="place")
    raw, raw_base64 = rendering.render_raw(base64.b64decode(rows[0]["raw64"]))
    await _saw(api, "/v1/quarantine/{place}", {"place": place}, 1)
    message = rendering.render_quarantined(rows[0])
    return _json({"message": message, "raw": raw, "raw_base64": raw_base64})


@routes.get("/ledger", response_model=Ledger)
async def show_ledger(api: Asked) -> Response:
    """Show what went in, what is stored, and that nothing is missing."""
    _whole(api)
    ledger = await api.ports.ledger()
    await _saw(api, "/v1/ledger", {}, len(ledger.partitions))
    return _json(ledger.model_dump())


@routes.get("/doctor", response_model=Diagnosis)
async def show_diagnosis(api: Asked) -> Response:
    """Say whether each part is there and as it must be, and what to do if not."""
    _whole(api)
    diagnosis = await examine(api.ports.probes)
    return _json(diagnosis.model_dump())


async def _saw(api: Api, path: str, asked: Mapping[str, Any], rows: int) -> None:
    await api.ports.saw(Read(path, asked, api.tenant, rows))


def _whole(api: Api) -> None:
    """Refuse what belongs to no tenant to a token that is for one."""
    if api.tenant is not None:
        raise Refused("forbidden_tenant", "this is for tokens that reach all tenants")


def _after(row: Mapping[str, Any], question: str) -> str:
    return cursor.encode(cursor.Cursor(row["stored_ms"] * 1000, (row["alert_id"],)), question)


def _json(body: Mapping[str, Any]) -> Response:
    return Response(
        orjson.dumps(body),
        media_type="application/json",
        headers={"cache-control": "no-store", "x-content-type-options": "nosniff"},
    )


def _problem_json(fault: Problem) -> Response:
    return Response(
        fault.model_dump_json(exclude_none=True),
        status_code=fault.status,
        media_type=PROBLEM_JSON,
        headers={"cache-control": "no-store", "x-content-type-options": "nosniff"},
    )


def _handle_errors(app: FastAPI) -> None:
    async def audit(_request: Request, error: Exception) -> Response:
        assert isinstance(error, AuditError), "registered for this class"
        return _problem_json(problem_of_error(error))

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError), "registered for this class"
        return _problem_json(problem_of_validation(error.errors()[0]))

    async def http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException), "registered for this class"
        kind = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "bad_parameter")
        return _problem_json(problem(kind, str(error.detail)))

    async def bug(_request: Request, _error: Exception) -> Response:
        return _problem_json(problem("internal", "the service failed; its log says where"))

    app.add_exception_handler(AuditError, audit)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, bug)


def problem_of_error(error: AuditError) -> Problem:
    """Return what to answer to an error, by who must act."""
    if isinstance(error, Refused):
        return problem_of(error)
    if isinstance(error, StoreUnavailable):
        return problem("store_unavailable", str(error))
    if isinstance(error, Unavailable | Misconfigured):
        return problem("unavailable", str(error))
    return problem("internal", str(error))


KNOWN: Final = tuple(
    sorted({*Search.model_fields, *AlertSearch.model_fields, *QuarantineSearch.model_fields})
)


def problem_of_validation(fault: Mapping[str, Any]) -> Problem:
    """Return what to answer to the first wrong parameter; its value is not repeated."""
    name = str(fault["loc"][-1])[:64]
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, KNOWN, n=1)
        cure = f"did you mean {near[0]}?" if near else "see /openapi.json for those there are"
        return problem(
            "unknown_parameter", f"there is no parameter {name!a}", field=name, cure=cure
        )
    return problem_of_fault(name, fault)
