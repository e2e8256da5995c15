"""The routes of saved searches: list, save, delete."""

from typing import Final

from fastapi import APIRouter, Response

from console.search import saved
from console.search.question import Asking, question
from console.web.context import Asked, json_answer, needs, saw
from schemas.searches import SavedSearch, SavedSearches, SearchToSave

routes: Final = APIRouter(prefix="/searches")


@routes.get("", response_model=SavedSearches, dependencies=[needs("save_searches")])
async def list_searches(api: Asked) -> Response:
    """List one's own saved searches, and those shared within the tenant."""
    found = await saved.visible_to(api)
    await saw(api, "/v1/searches", {}, len(found))
    return json_answer({"searches": found})


@routes.post("", response_model=SavedSearch, dependencies=[needs("save_searches")])
async def save_search(api: Asked, asked: SearchToSave) -> Response:
    """Save a query under a name; one's own of that name is replaced."""
    question(api.principal, Asking(q=asked.q), api.clock.now_ms() * 1000)
    return json_answer(await saved.save(api, asked))


@routes.delete("/{search_id}", status_code=204, dependencies=[needs("save_searches")])
async def delete_search(api: Asked, search_id: str) -> Response:
    """Delete one of one's own."""
    await saved.delete(api, search_id)
    return Response(status_code=204)
