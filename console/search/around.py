"""Events on both sides of a moment: the pages before and after, and an event's neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from console.query.conditions import Conditions, Query
from console.search import cursor
from console.search.asked import COORDINATES, ORDER, after, to_wide
from console.search.cursor import Cursor
from console.search.moment import store_text
from console.search.reading import BY_KEY, IN_ORDER, Reader
from console.search.rendering import EVENT_SELECT, Row
from schemas.tables import EVENTS

_ASCENDING: Final = ORDER.replace(" DESC", "")


@dataclass(frozen=True, slots=True)
class Slice:
    """Some events, newest first, and whether there are more on either side."""

    rows: Sequence[Row]
    has_newer: bool
    has_older: bool


def before(found: Conditions, place: Cursor) -> Conditions:
    """Narrow to the rows that come before the cursor in `ORDER`: the newer ones."""
    incarnation, partition, offset = place.key
    return found.also(
        "occurred >= {n_occurred:DateTime64(6, 'UTC')} AND (occurred > "
        "{n_occurred:DateTime64(6, 'UTC')} OR (incarnation, partition, offset) > "
        "({n_incarnation:String}, {n_partition:UInt32}, {n_offset:UInt64}))",
        n_occurred=store_text(place.moment_us),
        n_incarnation=incarnation,
        n_partition=partition,
        n_offset=offset,
    )


def oldest(found: Conditions, rows: int) -> Query:
    """Build the query for the coordinates of the oldest `rows`, oldest first."""
    sql = (
        f"SELECT {COORDINATES} FROM {EVENTS} WHERE {found.where()} "
        f"ORDER BY {_ASCENDING} LIMIT {{rows:UInt32}}"
    )
    return Query(sql, {**found.parameters, "rows": rows})


def place_of(row: Row) -> Cursor:
    """Return where a row stands in `ORDER`."""
    key = tuple(row[name] for name in ("incarnation", "partition", "offset"))
    return Cursor(row["occurred_us"], key)


def token_of(row: Row, question: str) -> str:
    """Return the cursor that a page carries for what follows, or precedes, a row."""
    return cursor.encode(place_of(row), question)


async def older(reader: Reader, found: Conditions, limit: int, place: Cursor | None) -> Slice:
    """Return the newest events, or those that follow a cursor."""
    narrowed = found if place is None else after(found, place)
    rows = await reader.events(narrowed, limit + 1)
    return Slice(rows[:limit], place is not None, len(rows) > limit)


async def newer(reader: Reader, found: Conditions, limit: int, place: Cursor) -> Slice:
    """Return the events right before a cursor, newest first all the same."""
    chosen = await reader.rows(oldest(before(found, place), limit + 1), IN_ORDER)
    if not chosen:
        return Slice([], has_newer=False, has_older=True)
    wide = await reader.rows(to_wide(chosen[:limit], EVENT_SELECT), BY_KEY)
    rows = sorted(wide, key=place_of, reverse=True)
    return Slice(rows, len(chosen) > limit, has_older=True)


async def neighbours(reader: Reader, found: Conditions, row: Row, each: int) -> Sequence[Row]:
    """Return up to `each` events on both sides of one, it among them, newest first."""
    place = place_of(row)
    later = await newer(reader, found, each, place)
    earlier = await older(reader, found, each, place)
    return [*later.rows, row, *earlier.rows]
