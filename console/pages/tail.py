"""Live tail: what is stored from now on, as server-sent events, at a rate that eyes can follow."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import anyio
import orjson
from fastapi import APIRouter, Depends, Query, Response
from starlette.responses import StreamingResponse

from console.pages import search_view
from console.pages.rendering import render
from console.pages.search import SearchAsked, shown_rows
from console.query.conditions import Conditions
from console.query.conditions import Query as Sql
from console.search.asked import COORDINATES, to_wide
from console.search.moment import store_text
from console.search.question import Question, question
from console.search.reading import BY_KEY, Reader
from console.search.rendering import EVENT_SELECT, Row
from console.web.context import Api, Asked, each_once, needs, saw
from console.web.problems import Refused
from schemas.errors import AuditError, Unavailable
from schemas.tables import EVENTS

routes: Final = APIRouter()

PATH: Final = "/search/tail"
POLL_S: Final = 1.0  # the sink writes at least once a second
SHOWN_MAX: Final = 20  # rows a poll: more can't be followed by eyes; the others are counted
FETCHED_MAX: Final = 1_000  # counted up to here
OVERLAP_MS: Final = 5_000  # a batch is stamped when it begins, and seen when it is written
DELAY_MS: Final = 3_600_000  # between the broker's time and the store's; narrows what is read
SEEN_MAX: Final = 20_000  # places of the last polls, so that no row comes twice
LENGTH_S: Final = 3_300.0  # under the gate's hour; the page then says so
AWAY_MAX: Final = 30  # polls in a row that find the store away
QUIET_POLLS: Final = 15  # then a comment keeps the connection from being taken for dead
SAW_S: Final = 5.0  # to tell of the end, when the reader has gone
log: Final = logging.getLogger("audit.api")
HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}


@dataclass
class Tail:
    """What was found so far: the store's time reached, and which rows came already."""

    found: Conditions
    start_ms: int
    reached_ms: int
    rows: int = 0
    seen: set[tuple[str, int, int]] = field(default_factory=set)
    order: deque[tuple[str, int, int]] = field(default_factory=deque)

    def query(self) -> Sql:
        """Build the query for what was stored since, the last first; a few are there again."""
        found = self.found.also(
            "stored >= {t_stored:DateTime64(3, 'UTC')} "
            "AND recorded >= {t_recorded:DateTime64(3, 'UTC')}",
            t_stored=_moment(max(self.start_ms, self.reached_ms - OVERLAP_MS)),
            t_recorded=_moment(self.start_ms - DELAY_MS),
        )
        sql = (
            f"SELECT {COORDINATES}, toUnixTimestamp64Milli(stored) AS stored_ms FROM {EVENTS} "
            f"WHERE {found.where()} ORDER BY stored DESC, partition DESC, offset DESC "
            "LIMIT {rows:UInt32}"
        )
        return Sql(sql, {**found.parameters, "rows": FETCHED_MAX})

    def take(self, rows: Sequence[Row]) -> list[Row]:
        """Return those that are new, in the order of storing, and remember them."""
        fresh = [row for row in reversed(rows) if _key(row) not in self.seen]
        for row in fresh:
            self.seen.add(_key(row))
            self.order.append(_key(row))
            self.reached_ms = max(self.reached_ms, row["stored_ms"])
        while len(self.order) > SEEN_MAX:
            self.seen.discard(self.order.popleft())
        return fresh


@routes.get(PATH, response_model=None, dependencies=[needs("read_events"), Depends(each_once)])
async def tail(api: Asked, asked: Annotated[SearchAsked, Query()]) -> Response:
    """Send what a query finds as it is stored. Told of at its beginning and at its end."""
    now_ms = api.clock.now_ms()
    found = question(api.principal, asked, now_ms * 1000)
    await saw(api, PATH, {**asked.model_dump(exclude_none=True), "state": "started"}, 0)
    answer = _answer(api, asked, found, Tail(found.found, now_ms, now_ms))
    return StreamingResponse(answer, media_type="text/event-stream", headers=HEADERS)


async def _answer(
    api: Api, asked: SearchAsked, found: Question, state: Tail
) -> AsyncIterator[bytes]:
    try:
        yield b"retry: 5000\n\n" + event_of("ready", {"q": found.text})
        async for part in follow(api, state, search_view.columns_of(asked.columns)):
            yield part
    finally:
        ended = {**asked.model_dump(exclude_none=True), "state": "ended"}
        with anyio.move_on_after(SAW_S, shield=True):
            await _tell_end(api, ended, state.rows)


async def _tell_end(api: Api, ended: Mapping[str, Any], rows: int) -> None:
    """Tell of the end; a log line where that can't be, for nothing more is shown anyway."""
    try:
        await saw(api, PATH, ended, rows)
    except AuditError as error:
        log.warning("the end of a live tail after %d rows can't be recorded: %s", rows, error)


async def follow(api: Api, state: Tail, columns: Sequence[str]) -> AsyncIterator[bytes]:
    """Yield new rows and what must be said, until the length of a tail is over."""
    away = quiet = 0
    for _ in range(int(LENGTH_S / POLL_S)):
        await asyncio.sleep(POLL_S)
        try:
            rows, dropped = await _poll(api.reader, state)
            away = 0
        except (Refused, Unavailable) as error:
            away += 1
            said = "the query is too slow to follow" if isinstance(error, Refused) else "the store"
            yield event_of("away", {"said": said})
            if away >= AWAY_MAX or isinstance(error, Refused):
                return
            continue
        if not api.ports.can_tell():  # what can't be recorded is not shown
            yield event_of("away", {"said": "what is read can't be recorded"})
            return
        if rows:
            state.rows += len(rows)
            quiet = 0
            shown = {"rows": shown_rows(rows, columns), "columns": columns}
            html = render("search_tail.html", shown | {"boxes": api.principal.may("work_cases")})
            yield event_of("rows", {"html": html, "rows": len(rows), "dropped": dropped})
        else:
            quiet += 1
            if quiet % QUIET_POLLS == 0:
                yield b": still there\n\n"
    yield event_of("end", {"said": "an hour is over"})


async def _poll(reader: Reader, state: Tail) -> tuple[list[Row], int]:
    """Return the new rows to show, the newest first, and how many were left out."""
    fresh = state.take(await reader.rows(state.query()))
    chosen = fresh[-SHOWN_MAX:]
    if not chosen:
        return [], 0
    wide = {_key(row): row for row in await reader.rows(to_wide(chosen, EVENT_SELECT), BY_KEY)}
    rows = [wide[_key(row)] for row in reversed(chosen) if _key(row) in wide]
    return rows, len(fresh) - len(chosen)


def event_of(name: str, data: Mapping[str, Any]) -> bytes:
    """Return one server-sent event; JSON has no line breaks of its own."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))


def _key(row: Row) -> tuple[str, int, int]:
    return row["incarnation"], row["partition"], row["offset"]


def _moment(moment_ms: int) -> str:
    return store_text(moment_ms * 1000)[:-3]
