"""The route that completes a query while it is typed: fields, known values, and the store's own."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Response
from fastapi import Query as Parameters
from pydantic import BaseModel, ConfigDict, Field

from console.access import Principal
from console.query.completion import Completion, complete, store_candidates
from console.query.conditions import Query
from console.query.fields import FIELDS
from console.query.lexer import TEXT_MAX
from console.query.scope import scoped
from console.search.moment import store_text
from console.search.reading import Settings
from console.web.context import Api, Asked, json_answer, needs, saw
from schemas.tables import EVENTS
from schemas.views import CompletionList

US_BACK: Final = 7 * 86_400_000_000  # what somebody types about has mostly happened lately
SAMPLE_ROWS: Final = 20_000  # the newest that fit; enough to tell what is frequent
VALUES_MAX: Final = 20
# A suggestion that comes late is none: what was found in that time is shown.
HURRIED: Final[Settings] = {
    "max_execution_time": 1,
    "timeout_overflow_mode": "break",
    "max_rows_to_read": 2_000_000,
    "read_overflow_mode": "break",
    "read_in_order_use_buffering": 0,
}
_ADDRESS: Final = "replaceRegexpOne(IPv6NumToString(ip_address), '^::ffff:(.*[.])', '\\\\1')"
_MINUTE: Final = "intDiv(toUnixTimestamp64Micro(occurred), 60000000)"
routes: Final = APIRouter(prefix="/complete")


class CompleteAsked(BaseModel):
    """A query as far as it is typed; `at` is where, in characters, its end if it isn't given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    q: Annotated[str, Field(max_length=TEXT_MAX)] = ""
    at: Annotated[int | None, Field(ge=0, le=TEXT_MAX)] = None


@routes.get("", response_model=CompletionList, dependencies=[needs("read_events")])
async def complete_query(api: Asked, asked: Annotated[CompleteAsked, Parameters()]) -> Response:
    """Say what can come next in a query: fields, and values that events of late have."""
    body = await completed(api, asked.q, asked.at)
    await saw(api, "/v1/complete", asked.model_dump(exclude_none=True), len(body["completions"]))
    return json_answer(body)


async def completed(api: Api, text: str, at: int | None) -> dict[str, Any]:
    """Return a `CompletionList`."""
    found = complete(text, len(text) if at is None else at)
    if found.wanted:
        query = values_of(found, api.principal, api.clock.now_ms() * 1000)
        rows = await api.reader.rows(query, HURRIED)
        found = store_candidates(found, [(row["value"], int(row["n"])) for row in rows])
    return {
        "position": found.start,
        "length": found.end - found.start,
        "completions": [
            {"text": one.text, "label": one.text, "kind": one.kind, "about": one.about}
            for one in found.candidates
        ],
    }


def values_of(found: Completion, principal: Principal, now_us: int) -> Query:
    """Build the query for the most frequent values of a field that hold what was typed."""
    field = FIELDS[found.wanted]
    text = {"address": _ADDRESS, "number": "toString(geo_asn)"}.get(
        field.kind, f"toString({field.column})"
    )
    if field.kind == "list":
        text = f"arrayJoin({field.column})"
    where = scoped(principal).also(
        "occurred >= {since:DateTime64(6, 'UTC')}", since=store_text(now_us - US_BACK)
    )
    sql = (
        f"SELECT value, count() AS n FROM (SELECT {text} AS value FROM {EVENTS} "
        f"WHERE {where.also(field.given).where()} "
        "AND positionCaseInsensitiveUTF8(value, {typed:String}) > 0 "
        f"ORDER BY {_MINUTE} DESC LIMIT {{sample:UInt32}}) GROUP BY value "
        "ORDER BY startsWith(lowerUTF8(value), lowerUTF8({typed:String})) DESC, n DESC, value "
        "LIMIT {rows:UInt32}"
    )
    parameters = {
        **where.parameters,
        "typed": found.prefix,
        "sample": SAMPLE_ROWS,
        "rows": VALUES_MAX,
    }
    return Query(sql, parameters)
