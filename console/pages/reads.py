"""Who read what in this log, by person and over time; looking here is a read too, and one event."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from console.pages.page import Page, Table, page
from console.record import reads
from console.record.reads import ReadsAsked
from console.web.context import Asked, saw

routes: Final = APIRouter()
_COLUMNS: Final = (
    "user",
    "tenant",
    "reads",
    "rows",
    "searches",
    "views",
    "exports",
    "sql",
    "first",
    "last",
)


@page(routes, "/reads", "read_reads")
async def show_reads(api: Asked, asked: Annotated[ReadsAsked, Query()]) -> Page:
    """Show who read what."""
    found = reads.found(asked, api.principal, api.clock.now_ms() * 1000)
    people, days, last = await asyncio.gather(
        api.reader.rows(reads.by_person(found)),
        api.reader.rows(reads.by_day(found)),
        api.reader.rows(reads.last_reads(found)),
    )
    data: dict[str, Any] = {
        "asked": asked.model_dump(),
        "people": [reads.render_person(row, asked) for row in people],
        "days": [reads.render_day(row) for row in days],
        "last": [reads.render_read(row) for row in last],
        "query": reads.query_of(asked),
    }
    most = max((day["reads"] for day in data["days"]), default=0)
    await saw(api, "/reads", asked.model_dump(exclude_defaults=True), len(people) + len(last))
    rows = [[person[name] for name in _COLUMNS] for person in data["people"]]
    return Page("reads.html", "Who read", data, Table(_COLUMNS, rows), {"most": most})
