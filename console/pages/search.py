"""The search page: what was asked, the events found, how many there are when, and of what."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from console.pages import search_view
from console.pages.page import Page, Table, page
from console.pages.search_view import Here
from console.query.fault import QueryError
from console.query.write import and_
from console.search import around, cursor, saved
from console.search.asked import ROWS_MAX
from console.search.completing import CompleteAsked, completed
from console.search.cursor import EVENT_KEY, fingerprint
from console.search.facets import FIELDS, Facets, facets, render_facets
from console.search.histogram import Histogram, histogram, render_histogram
from console.search.question import QUERY_MAX, Asking, Question, as_text, question
from console.search.rendering import Row, details_text, render_event
from console.web.context import Api, Asked, each_once, json_answer, needs, saw

routes: Final = APIRouter()

ROWS_DEFAULT: Final = 50
ROWS_SHOWN_MAX: Final = 500  # of HTML; more stall a browser, and the next page is one click away
CELL_MAX: Final = 400  # characters of a cell; the row opens to all of it
REFRESH_S: Final = 10
CARET_BEFORE: Final = 60  # characters shown before and after what is wrong
# An address that any id can be part of would be taken for another form of the page.
SAFE_ID: Final = re.compile(r"(?!.*\.(?:json|csv)$)[A-Za-z0-9_][A-Za-z0-9_.:@=+-]*", re.ASCII)

Token = Annotated[str, Field(max_length=512)]


class SearchAsked(Asking):
    """A search and how to show it. `cursor` goes on to older events, `newer` back."""

    columns: Annotated[str | None, Field(max_length=1_024)] = None
    limit: Annotated[int, Field(ge=1, le=ROWS_MAX)] = ROWS_DEFAULT
    cursor: Token | None = None
    newer: Token | None = None
    facets: Annotated[str | None, Field(max_length=1)] = None
    refresh: Annotated[str | None, Field(max_length=1)] = None

    def question(self) -> str:
        """Name the question without its page."""
        return fingerprint(self.model_dump(include={"q", "since", "until"}, exclude_none=True))

    def here(self) -> Here:
        """Return where the page is."""
        limit = None if self.limit == ROWS_DEFAULT else self.limit
        return Here(self.q, self.since, self.until, self.columns, limit)


@page(routes, "/search", "read_events")
async def show_search(api: Asked, request: Request, asked: Annotated[SearchAsked, Query()]) -> Page:
    """Show the events that a query finds, newest first."""
    try:
        found = question(api.principal, asked, api.clock.now_ms() * 1000)
    except QueryError as error:
        return await _wrong(api, asked, error)
    is_html = not request.url.path.endswith((".json", ".csv"))
    limit = min(asked.limit, ROWS_SHOWN_MAX) if is_html else asked.limit
    slice_ = await _slice(api, found, asked, limit)
    events = [render_event(row) for row in slice_.rows]
    columns = search_view.columns_of(asked.columns)
    here, name = asked.here(), asked.question()
    older = around.token_of(slice_.rows[-1], name) if slice_.has_older and events else None
    newer = around.token_of(slice_.rows[0], name) if slice_.has_newer and events else None
    view = await _view(api, asked, found)
    view |= {
        "columns": columns,
        "rows": shown_rows(slice_.rows, columns) if is_html else [],
        "older": here.to(cursor=older) if older else "",
        "newer": here.to(newer=newer) if newer else "",
        "is_first": asked.cursor is None and asked.newer is None,
    }
    if asked.facets:
        view |= await _overview(api, found, here)
    await saw(api, "/search", asked.model_dump(exclude_none=True), len(events))
    data = {"q": asked.q, "since": asked.since, "until": asked.until, "events": events}
    data |= {"next": older, "previous": newer}
    return Page("search.html", _title(asked), data, _table(slice_.rows, events, columns), view)


@page(routes, "/search/histogram", "read_events")
async def show_histogram(api: Asked, asked: Annotated[SearchAsked, Query()]) -> Page:
    """Show the events of a search over time: a part of its page."""
    found = question(api.principal, asked, api.clock.now_ms() * 1000)
    made = await histogram(api.reader, found.found, found.period, "result")
    await saw(api, "/search/histogram", asked.model_dump(exclude_none=True), len(made.bars))
    data = render_histogram(made)
    table = Table(("start", "rows"), [(bar["start"], bar["rows"]) for bar in data["bars"]])
    view = {**_drawn(made, asked.here()), "part": "search_histogram.html"}
    return Page("search_part.html", "Events over time", data, table, view)


@page(routes, "/search/facets", "read_events")
async def show_facets(api: Asked, asked: Annotated[SearchAsked, Query()]) -> Page:
    """Show the values that the events of a search have most: a part of its page."""
    found = question(api.principal, asked, api.clock.now_ms() * 1000)
    made = await facets(api.reader, found.found)
    await saw(api, "/search/facets", asked.model_dump(exclude_none=True), len(made.fields))
    view = {**_counted(made, found, asked.here()), "part": "search_facets.html"}
    table = Table(
        ("field", "value", "rows"),
        [(field, *value) for field in FIELDS for value in made.fields[field]],
    )
    return Page("search_part.html", "Values", render_facets(made), table, view)


@routes.get(
    "/search/complete.json",
    response_model=None,
    dependencies=[needs("read_events"), Depends(each_once)],
)
async def complete(api: Asked, asked: Annotated[CompleteAsked, Query()]) -> Response:
    """Say what can come next in a query, as /v1/complete does, which takes no cookie."""
    body = await completed(api, asked.q, asked.at)
    count = len(body["completions"])
    await saw(api, "/search/complete", asked.model_dump(exclude_none=True), count)
    return json_answer(body)


async def _slice(api: Api, found: Question, asked: SearchAsked, limit: int) -> around.Slice:
    if asked.newer is not None:
        place = cursor.decode(asked.newer, asked.question(), EVENT_KEY)
        newer = await around.newer(api.reader, found.found, limit, place)
        if newer.has_newer or len(newer.rows) == limit:
            return newer  # else the first page is reached, and is shown full
    after = None
    if asked.cursor is not None and asked.newer is None:
        after = cursor.decode(asked.cursor, asked.question(), EVENT_KEY)
    return await around.older(api.reader, found.found, limit, after)


async def _view(api: Api, asked: SearchAsked, found: Question | None) -> dict[str, Any]:
    """Return what the page shows around the events, whether the query can be read or not."""
    here, may = asked.here(), api.principal.may
    return {
        "here": here,
        "asked": asked,
        "fault": None,
        "chips": search_view.chips(found, here) if found else [],
        "periods": search_view.PERIODS,
        "all_columns": search_view.COLUMNS,
        "query_max": QUERY_MAX,
        "whole_query": as_text(asked),
        "refresh_s": REFRESH_S if asked.refresh else 0,
        "saved": await saved.visible_to(api) if may("save_searches") else [],
        "hides_reads": found is not None and may("read_reads") and not found.has_reads,
        "reads_link": here.with_query(and_(asked.q, "is:read")),
        "chart": None,
        "facets": None,
        "has_overview": False,
    }


async def _overview(api: Api, found: Question, here: Here) -> dict[str, Any]:
    over_time = await histogram(api.reader, found.found, found.period, "result")
    values = await facets(api.reader, found.found)
    return {**_drawn(over_time, here), **_counted(values, found, here), "has_overview": True}


def _drawn(made: Histogram, here: Here) -> dict[str, Any]:
    return {
        "chart": search_view.chart(made, here),
        "over_time": made,
        "wider": search_view.wider(made, here) if made.span else "",
        "here": here,
    }


def _counted(made: Facets, found: Question, here: Here) -> dict[str, Any]:
    return {"facets": search_view.choices(made, found, here), "counted": made, "here": here}


async def _wrong(api: Api, asked: SearchAsked, error: QueryError) -> Page:
    """Return the page with the query as it was typed, and what is wrong with it."""
    await saw(api, "/search", asked.model_dump(exclude_none=True), 0)
    view = await _view(api, asked, None)
    view["fault"] = _fault(asked.q, error, error.position or 0, error.length or 0)
    data = {
        "q": asked.q,
        "error": {
            "position": error.position,
            "length": error.length,
            "detail": error.said,
            "cure": error.cure,
        },
    }
    view |= {"columns": (), "rows": [], "older": "", "newer": "", "is_first": True}
    return Page("search.html", _title(asked), data, None, view, status=400)


def _fault(query: str, error: QueryError, position: int, length: int) -> dict[str, Any]:
    """Return what is wrong with a query, and the text around it with a caret beneath."""
    first = max(0, position - CARET_BEFORE)
    end = position + max(1, length)
    text = query.replace("\t", " ").replace("\n", " ").replace("\r", " ")
    return {
        "before": text[first:position],
        "at": text[position:end] or " ",
        "after": text[end : end + CARET_BEFORE],
        "caret": " " * (position - first) + "^" * min(max(1, length), 2 * CARET_BEFORE),
        "said": error.said,
        "cure": error.cure,
    }


def address_of(row: Row) -> str:
    """Return the name of an event in addresses: its id, or its place where that would not do."""
    if SAFE_ID.fullmatch(row["event_id"]):
        return str(row["event_id"])
    return f"{row['incarnation'][:8]}-{row['partition']}-{row['offset']}"


def _details(row: Row, columns: Sequence[str]) -> object:
    if not any(column.startswith("details.") for column in columns):
        return None
    return orjson.loads(details_text(row))


def shown_rows(rows: Sequence[Row], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return rows as search_rows.html takes them."""
    return [_shown(row, columns) for row in rows]


def _shown(row: Row, columns: Sequence[str]) -> dict[str, Any]:
    event = render_event(row)
    details = _details(row, columns)
    cells = [_cut(search_view.value_of(event, column, details)) for column in columns]
    return {
        "address": address_of(row),
        "event": event,
        "cells": cells,
        "severity": event["severity"],
    }


def _cut(value: object) -> object:
    if isinstance(value, str) and len(value) > CELL_MAX:
        return f"{value[:CELL_MAX]}…"
    return value


def _table(
    rows: Sequence[Row], events: Sequence[Mapping[str, Any]], columns: Sequence[str]
) -> Table:
    return Table(
        columns,
        (
            [
                _plain(search_view.value_of(event, column, _details(row, columns)))
                for column in columns
            ]
            for row, event in zip(rows, events, strict=True)
        ),
    )


def _plain(value: object) -> object:
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    return value


def _title(asked: SearchAsked) -> str:
    return f"{asked.q[:60]} · Search" if asked.q else "Search"
