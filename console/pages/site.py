"""All pages together: their routes, the files they look like, and errors as people see them."""

from typing import Final

from fastapi import APIRouter, Request, Response

from console.pages import (
    access_pages,
    alerts,
    cases,
    complete,
    entities,
    event,
    exports,
    health,
    home,
    identity,
    login,
    me,
    people,
    quarantine,
    reads,
    reports,
    resources,
    rules,
    search,
    searches,
    sql,
    tail,
    timeline,
)
from console.pages.page import Page, respond
from console.pages.rendering import STATIC, TYPES, VERSIONS
from console.web.problems import Refused
from schemas.views import Problem

site: Final = APIRouter(include_in_schema=False)
YEAR: Final = "public, max-age=31536000, immutable"
site.include_router(access_pages.routes)
site.include_router(alerts.routes)
site.include_router(cases.routes)
site.include_router(complete.routes)
site.include_router(entities.routes)
site.include_router(event.routes)
site.include_router(exports.routes)
site.include_router(health.routes)
site.include_router(home.routes)
site.include_router(identity.routes)  # before login: its paths are no one-time links
site.include_router(login.routes)
site.include_router(me.routes)
site.include_router(people.routes)
site.include_router(quarantine.routes)
site.include_router(reads.routes)
site.include_router(reports.routes)
site.include_router(resources.routes)
site.include_router(rules.routes)
site.include_router(search.routes)
site.include_router(searches.routes)
site.include_router(sql.routes)
site.include_router(tail.routes)
site.include_router(timeline.routes)


@site.get("/static/{name}")
async def show_static(name: str, v: str = "") -> Response:
    """Give a file of static/; under its version it never changes."""
    kind = TYPES.get(name[name.rfind(".") :])
    if name not in STATIC or kind is None:
        raise Refused("not_found", "there is no such file")
    cached = YEAR if v == VERSIONS[name] else "no-cache"
    return Response(STATIC[name], headers={"cache-control": cached}, media_type=kind)


def is_page(request: Request) -> bool:
    """Say whether a person looks at the answer."""
    path = request.url.path
    is_program = path.startswith("/v1/") or path.endswith((".json", ".csv"))
    return not is_program and "text/html" in request.headers.get("accept", "")


def problem_page(request: Request, fault: Problem) -> Response:
    """Return an error as a page."""
    shown = Page("problem.html", fault.title, fault.model_dump(), status=fault.status)
    return respond(request, shown, "html")
