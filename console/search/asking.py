"""Questions whose answer a page can do without: asked with a bound of their own, never fatal."""

from collections.abc import Awaitable

from console.query.conditions import Conditions, Query
from console.search.brief import brief_rows
from console.search.reading import Reader
from console.search.rendering import Row
from console.web.context import Api
from console.web.problems import Refused
from schemas.errors import Unavailable
from schemas.ledger import Ledger


async def maybe(reader: Reader, query: Query, seconds_max: int) -> list[Row] | None:
    """Run a query; None if it would take longer than that."""
    return await _unless_too_broad(reader.rows(query, {"max_execution_time": seconds_max}))


async def maybe_brief(
    reader: Reader, found: Conditions, columns: str, limit: int
) -> list[Row] | None:
    """Return the newest events with those columns; None if that would take too long."""
    return await _unless_too_broad(brief_rows(reader, found, limit, columns=columns))


async def _unless_too_broad(asking: Awaitable[list[Row]]) -> list[Row] | None:
    try:
        return await asking
    except Refused as error:
        if error.kind != "query_too_broad":
            raise
        return None


async def ledger_now(api: Api) -> Ledger | None:
    """Return the ledger; None if it can't be asked."""
    try:
        return await api.ports.ledger()
    except Unavailable:
        return None
