"""What the search box asks while somebody types; always JSON."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response
from fastapi import Query as Parameters
from pydantic import BaseModel, ConfigDict, Field

from console.query.lexer import TEXT_MAX
from console.search.completing import completed
from console.web.context import Asked, each_once, json_answer, needs, saw

routes: Final = APIRouter()


class BoxAsked(BaseModel):
    """What is in the box, and where in it somebody types, in characters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    q: Annotated[str, Field(max_length=TEXT_MAX)] = ""
    position: Annotated[int | None, Field(ge=0, le=TEXT_MAX)] = None


@routes.get("/search/complete", dependencies=[needs("read_events"), Depends(each_once)])
async def complete_box(api: Asked, asked: Annotated[BoxAsked, Parameters()]) -> Response:
    """Say what can come next in the search box."""
    body = await completed(api, asked.q, asked.position)
    told = asked.model_dump(exclude_none=True)
    await saw(api, "/search/complete", told, len(body["completions"]))
    return json_answer(body)
