"""The first page: where each role begins."""

from typing import Final

from fastapi import APIRouter, Depends, Response

from console.access import Permission
from console.pages.page import see
from console.web.context import Asked, each_once, needs

routes: Final = APIRouter(dependencies=[Depends(each_once)])
_BEGINNINGS: Final[tuple[tuple[Permission, str], ...]] = (
    ("read_events", "/search"),
    ("read_health", "/health"),
)


@routes.get("/", dependencies=[needs("own_account")])
async def show_home(api: Asked) -> Response:
    """Lead to the search, or to the health where no events may be read."""
    found = (path for permission, path in _BEGINNINGS if api.principal.may(permission))
    return see(next(found, "/me"))
