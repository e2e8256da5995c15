"""All pages together: their routes, the files they look like, and errors as people see them."""

from typing import Final

from fastapi import APIRouter, Request, Response

from console.pages.page import Page, respond
from console.pages.rendering import STATIC, TYPES, VERSIONS
from console.problems import Refused
from schemas.views import Problem

site: Final = APIRouter(include_in_schema=False)
YEAR: Final = "public, max-age=31536000, immutable"


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
