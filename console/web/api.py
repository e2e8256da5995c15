"""The REST API: routes as thin as can be; what to ask and how to show it is pure, elsewhere."""

import base64
import difflib
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from console.alerts import routes as alerts
from console.alerts.queries import AlertSearch
from console.cases import routes as cases
from console.export import routes as exports
from console.health import canaries, rules
from console.health import whole as health
from console.health.doctor import examine
from console.pages.site import is_page, problem_page, site
from console.people import routes as people
from console.reports import routes as reports
from console.search import asked as search
from console.search import completing, cursor, lookups, overviews, rendering, scan
from console.search import saved_routes as searches
from console.search.asked import Search
from console.search.lookups import QuarantineSearch
from console.search.provenance import provenance
from console.sql import asking as sql
from console.web.context import Api, Asked, each_once, json_answer, needs, saw, whole
from console.web.described import PROBLEM_JSON, Described, allowed, is_other_method
from console.web.front import host_names
from console.web.gate import Gate, GateTerms
from console.web.leaving import UntilGone
from console.web.problems import Refused, problem, problem_of_error, problem_of_fault
from console.web.refusals import told_of
from schemas.errors import AuditError
from schemas.ledger import Ledger
from schemas.views import (
    Diagnosis,
    EventFound,
    EventPage,
    Problem,
    QuarantineFound,
    QuarantinePage,
    ReplayAsked,
    ReplayDone,
)

__all__ = ["Api", "build_api"]


def build_api(api: Api) -> Gate:
    """Return the ASGI application, gate included."""
    described = Described(
        title="Audit Stream",
        version="1",
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    described.state.api = api
    # before what takes any event's id
    described.include_router(overviews.routes, prefix="/v1", dependencies=[Depends(each_once)])
    described.include_router(routes)
    described.include_router(searches.routes, prefix="/v1", dependencies=[Depends(each_once)])
    described.include_router(alerts.routes, prefix="/v1", dependencies=[Depends(each_once)])
    described.include_router(completing.routes, prefix="/v1", dependencies=[Depends(each_once)])
    described.include_router(scan.routes, prefix="/v1", dependencies=[Depends(each_once)])
    described.include_router(canaries.routes, prefix="/v1", dependencies=[Depends(each_once)])
    described.include_router(exports.routes, prefix="/v1", dependencies=[Depends(each_once)])
    described.include_router(health.routes, prefix="/v1", dependencies=[Depends(each_once)])
    described.include_router(sql.routes, prefix="/v1", dependencies=[Depends(each_once)])
    described.include_router(cases.routes, prefix="/v1", dependencies=[Depends(each_once)])
    described.include_router(reports.routes, prefix="/v1", dependencies=[Depends(each_once)])
    described.include_router(rules.routes, prefix="/v1", dependencies=[Depends(each_once)])
    described.include_router(people.routes, prefix="/v1", dependencies=[Depends(each_once)])
    described.include_router(site)
    _handle_errors(described)
    hosts = host_names(api.host) | frozenset(name.lower() for name in api.hosts)
    terms = GateTerms(hosts, api.front, api.request_s_max, refused=api.refused)
    return Gate(UntilGone(described), api.authenticator, terms)


routes: Final = APIRouter(prefix="/v1", dependencies=[Depends(each_once)])


@routes.get("/events", response_model=EventPage, dependencies=[needs("read_events")])
async def list_events(api: Asked, asked: Annotated[Search, Query()]) -> Response:
    """Search the events, newest first."""
    now_us = api.clock.now_ms() * 1000
    found = search.page(search.conditions(asked, api.principal, now_us), asked)
    with search.narrowing(asked):
        rows = await api.reader.events(found, asked.limit + 1)
    page = rows[: asked.limit]
    following = None
    if len(rows) > asked.limit:
        key = tuple(page[-1][name] for name in ("incarnation", "partition", "offset"))
        following = cursor.encode(cursor.Cursor(page[-1]["occurred_us"], key), asked.question())
    await saw(api, "/v1/events", asked.model_dump(exclude_none=True), len(page))
    return json_answer({"events": [rendering.render_event(row) for row in page], "next": following})


@routes.get(
    "/events/{event_id:path}", response_model=EventFound, dependencies=[needs("read_events")]
)
async def show_event(api: Asked, event_id: str) -> Response:
    """Show one event by its id, or its place as partition:offset, with raw bytes and origin."""
    rows = await api.reader.rows(lookups.event_by_id(event_id, api.principal))
    placed = None if rows else lookups.event_by_place(event_id, api.principal)
    if placed is not None:
        rows = await api.reader.rows(placed)
    if not rows:
        raise Refused("not_found", "no event has that id", field="event_id")
    row, *others = rows
    origin = await provenance(api, row)
    raw, raw_base64 = None, None
    if api.principal.may("read_raw"):
        raw, raw_base64 = rendering.render_raw(base64.b64decode(row["raw64"]))
    await saw(api, "/v1/events/{event_id}", {"event_id": event_id}, len(rows))
    return json_answer(
        {
            "event": rendering.render_event(row),
            "raw": raw,
            "raw_base64": raw_base64,
            "provenance": origin,
            "others": [rendering.render_event(other) for other in others],
        }
    )


@routes.get("/quarantine", response_model=QuarantinePage, dependencies=[needs("read_health")])
async def list_quarantine(api: Asked, asked: Annotated[QuarantineSearch, Query()]) -> Response:
    """List quarantined messages, newest first."""
    whole(api)
    rows = await api.reader.rows(lookups.quarantine(asked, api.clock.now_ms() * 1000))
    page = rows[: asked.limit]
    following = None
    if len(rows) > asked.limit:
        key = tuple(page[-1][name] for name in ("incarnation", "partition", "offset"))
        last = cursor.Cursor(page[-1]["recorded_ms"] * 1000, key)
        following = cursor.encode(last, asked.question())
    await saw(api, "/v1/quarantine", asked.model_dump(exclude_none=True), len(page))
    return json_answer(
        {"messages": [rendering.render_quarantined(row) for row in page], "next": following}
    )


@routes.post("/quarantine/replay", response_model=ReplayDone, dependencies=[needs("replay")])
async def replay_quarantine(api: Asked, asked: ReplayAsked) -> Response:
    """Judge open quarantined messages again; what is accepted now becomes an event, once."""
    whole(api)
    done = await api.ports.replay(asked)
    await saw(api, "/v1/quarantine/replay", asked.model_dump(exclude_none=True), done.replayed)
    return json_answer(done.model_dump())


@routes.get("/quarantine/{place}", response_model=QuarantineFound, dependencies=[needs("read_raw")])
async def show_quarantined(api: Asked, place: str) -> Response:
    """Show one quarantined message, named partition:offset, with its bytes."""
    whole(api)
    rows = await api.reader.rows(lookups.quarantined_at(place))
    if not rows:
        raise Refused("not_found", "no message of that place is in quarantine", field="place")
    raw, raw_base64 = rendering.render_raw(base64.b64decode(rows[0]["raw64"]))
    await saw(api, "/v1/quarantine/{place}", {"place": place}, 1)
    message = rendering.render_quarantined(rows[0])
    return json_answer({"message": message, "raw": raw, "raw_base64": raw_base64})


@routes.get("/ledger", response_model=Ledger, dependencies=[needs("read_health")])
async def show_ledger(api: Asked) -> Response:
    """Show what went in, what is stored, and that nothing is missing."""
    whole(api)
    ledger = await api.ports.ledger()
    await saw(api, "/v1/ledger", {}, len(ledger.partitions))
    return json_answer(ledger.model_dump())


@routes.get("/doctor", response_model=Diagnosis, dependencies=[needs("read_health")])
async def show_diagnosis(api: Asked) -> Response:
    """Say whether each part is there and as it must be, and what to do if not."""
    whole(api)
    diagnosis = await examine(api.ports.probes)
    await saw(api, "/v1/doctor", {}, len(diagnosis.checks))
    return json_answer(diagnosis.model_dump())


def _told(
    request: Request, fault: Problem, headers: Mapping[str, str] = MappingProxyType({})
) -> Response:
    """Answer with a problem: as a page to people, else as JSON."""
    if is_page(request):
        return problem_page(request, fault)
    return Response(
        fault.model_dump_json(exclude_none=True),
        status_code=fault.status,
        media_type=PROBLEM_JSON,
        headers={"cache-control": "no-store", **headers},
    )


def _told_method(request: Request) -> Response:
    """Answer that a path is not there for this method, and for which it is."""
    fault = problem("method_not_allowed", "the path is there, but not with this method")
    return _told(request, fault, {"allow": allowed(request)})


def _handle_errors(app: FastAPI) -> None:
    async def audit(request: Request, error: Exception) -> Response:
        assert isinstance(error, AuditError), "registered for this class"
        return _told(request, problem_of_error(await told_of(request, error)))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError), "registered for this class"
        if is_other_method(request):
            return _told_method(request)
        return _told(request, problem_of_validation(error.errors()[0]))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException), "registered for this class"
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            return _told_method(request)
        kind = "not_found" if error.status_code == HTTPStatus.NOT_FOUND else "bad_parameter"
        return _told(request, problem(kind, str(error.detail)))

    async def bug(request: Request, _error: Exception) -> Response:
        return _told(request, problem("internal", "the service failed; its log says where"))

    app.add_exception_handler(AuditError, audit)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, bug)


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
