"""The routes of a search's overview: its events over time, and the values they have most."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from pydantic import Field

from console.search.facets import facets, render_facets
from console.search.histogram import By, histogram, render_histogram
from console.search.question import Asking, question
from console.web.context import Asked, json_answer, needs, saw
from schemas.overview import FacetsOut, HistogramOut

routes: Final = APIRouter(prefix="/events")


class HistogramAsked(Asking):
    """Of which events, and what each bar is split by."""

    by: Annotated[By, Field(description="What each bar is split by.")] = "result"


@routes.get("/histogram", response_model=HistogramOut, dependencies=[needs("read_events")])
async def show_histogram(api: Asked, asked: Annotated[HistogramAsked, Query()]) -> Response:
    """Count events over time, in up to 120 bars; an estimate where there are too many."""
    found = question(api.principal, asked, api.clock.now_ms() * 1000)
    made = await histogram(api.reader, found.found, found.period, asked.by)
    await saw(api, "/v1/events/histogram", asked.model_dump(exclude_none=True), len(made.bars))
    return json_answer(render_histogram(made))


@routes.get("/facets", response_model=FacetsOut, dependencies=[needs("read_events")])
async def show_facets(api: Asked, asked: Annotated[Asking, Query()]) -> Response:
    """Count the values that the events have most; estimates where there are too many."""
    found = question(api.principal, asked, api.clock.now_ms() * 1000)
    made = await facets(api.reader, found.found)
    await saw(api, "/v1/events/facets", asked.model_dump(exclude_none=True), len(made.fields))
    return json_answer(render_facets(made))
