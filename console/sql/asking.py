"""One statement asked by page or REST: its period, its answer, and the read that it is."""

from typing import Annotated, Any, Final

import anyio
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from console.record.told import fingerprint
from console.search.moment import parse_moment, store_text
from console.sql.desk import ROWS_MAX, Answer, SqlDesk
from console.sql.guard import STATEMENT_MAX
from console.sql.views import Bound
from console.web.context import Api, Asked, json_answer, needs, saw
from console.web.problems import Refused
from schemas.errors import AuditError
from schemas.sql import SqlFound

DAYS: Final = "30d"
ROWS_DEFAULT: Final = 200
TOLD_S: Final = 5.0  # to tell of the end of a statement whose reader has gone
Moment = Annotated[str, Field(max_length=40, description="RFC 3339, a date, or so long ago: 7d.")]

routes: Final = APIRouter()


class SqlAsked(BaseModel):
    """A statement on the views, and the period of the rows that it may see."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sql: Annotated[str, Field(max_length=STATEMENT_MAX, description="One SELECT on the views.")] = (
        ""
    )
    since: Moment = DAYS
    until: Moment = ""
    limit: Annotated[int, Field(ge=1, le=ROWS_MAX)] = ROWS_DEFAULT


@routes.post("/sql", response_model=SqlFound, dependencies=[needs("run_sql")])
async def query(api: Asked, asked: SqlAsked) -> Response:
    """Run one SELECT on the documented views, within the tenant and the period."""
    found = await answer(api, asked, "/v1/sql")
    return json_answer(told(found))


async def answer(api: Api, asked: SqlAsked, path: str) -> Answer:
    """Run a statement, told of before it runs, and once more how it ended. Raises `Refused`.

    So none runs without an event, whether it fails, is left, or ends with the service.
    """
    question = {**asked.model_dump(exclude_defaults=True), **fingerprint(asked.sql)}
    desk = desk_of(api)
    bound = _bound(asked, api.clock.now_ms() * 1000)
    try:
        statement = await desk.read(asked.sql)
    except AuditError as error:  # it didn't run
        await saw(api, path, {**question, "state": "refused", "refused": _cause(error)}, 0)
        raise
    question["sql"] = statement.text
    await saw(api, path, {**question, "state": "started"}, 0)
    ended: dict[str, Any] = {"state": "left"}
    rows = 0
    try:
        found = await desk.run(statement, api.principal, bound, asked.limit)
        ended, rows = {"state": "done"}, len(found.rows)
    except AuditError as error:
        ended = {"state": "failed", "refused": _cause(error)}
        raise
    finally:
        with anyio.move_on_after(TOLD_S, shield=True):
            await saw(api, path, {**question, **ended}, rows)
    return found


def _cause(error: AuditError) -> str:
    """Return why it was refused, or which part is away."""
    return error.detail if isinstance(error, Refused) else type(error).__name__


def desk_of(api: Api) -> SqlDesk:
    """Return what runs statements. Raises `Refused` where that is off."""
    if api.ports.sql is None:
        raise Refused("unavailable", "this service was started without SQL")
    return api.ports.sql


def told(found: Answer) -> dict[str, Any]:
    """Return a `SqlFound`."""
    return {
        "columns": list(found.columns),
        "types": list(found.types),
        "rows": [list(row) for row in found.rows],
        "more": found.is_cut,
        "seconds": found.seconds,
        "rows_read": found.rows_read,
    }


def _bound(asked: SqlAsked, now_us: int) -> Bound:
    since = parse_moment(asked.since or DAYS, now_us, "since")
    until = parse_moment(asked.until, now_us, "until") if asked.until else now_us + 86_400_000_000
    return Bound(store_text(since), store_text(until))
