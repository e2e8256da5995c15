"""The queries for one event and for quarantine. Text is always a parameter."""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from console.access import Principal
from console.query.scope import scoped
from console.search.asked import ROWS_DEFAULT, ROWS_MAX, Conditions, Query, unbounded
from console.search.cursor import EVENT_KEY, decode, fingerprint
from console.search.moment import parse_moment, store_text
from console.search.rendering import EVENT_SELECT
from console.web.problems import Refused
from schemas.tables import BATCHES, EVENTS, QUARANTINE

OTHERS_MAX: Final = 100
NAMED: Final = re.compile(r"([A-Za-z0-9_-]{8})-(\d{1,5})-(\d{1,18})", re.ASCII)
PLACED: Final = re.compile(r"(\d{1,5}):(\d{1,18})", re.ASCII)

Text = Annotated[str, Field(min_length=1, max_length=256)]
Moment = Annotated[str, Field(max_length=40, description="RFC 3339, a date, or so long ago: 7d.")]
Limit = Annotated[int, Field(ge=1, le=ROWS_MAX)]
Token = Annotated[str, Field(max_length=512)]

_REPLAYED: Final = (
    f"(incarnation, topic, partition, offset) IN (SELECT incarnation, topic, partition, offset "
    f"FROM {EVENTS} WHERE replayed = 1)"
)
QUARANTINE_SELECT: Final = f"""
    reason, hint, size, incarnation, topic, partition, offset, versions,
    toUnixTimestamp64Milli(recorded) AS recorded_ms, toUnixTimestamp64Milli(stored) AS stored_ms,
    NOT ({_REPLAYED}) AS is_open
"""


class QuarantineSearch(BaseModel):
    """Which quarantined messages to list; `open` are those that no replay has accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Text | None = None
    since: Moment | None = None
    until: Moment | None = None
    state: Literal["open", "all"] = "open"
    limit: Limit = ROWS_DEFAULT
    cursor: Token | None = None

    def question(self) -> str:
        """Name the question without its page."""
        return fingerprint(self.model_dump(exclude={"limit", "cursor"}, exclude_none=True))


def event_by_id(event_id: str, principal: Principal) -> Query:
    """Build the query for all rows of an id, first recorded first."""
    found = _named_by(principal).also("event_id = {id:String}", id=event_id)
    return _events(found, "recorded, partition, offset")


def event_by_place(event_id: str, principal: Principal) -> Query | None:
    """Build the query for `incarnation8-partition-offset` or `partition:offset`, newest first."""
    named, placed = NAMED.fullmatch(event_id), PLACED.fullmatch(event_id)
    found = _named_by(principal)
    if named:
        found = found.also("startsWith(incarnation, {inc:String})", inc=named[1])
        partition, offset = named[2], named[3]
    elif placed:
        partition, offset = placed[1], placed[2]
    else:
        return None
    return _events(_at(found, int(partition), int(offset)), "recorded DESC")


def batch_of(incarnation: str, topic: str, partition: int, offset: int) -> Query:
    """Build the query for the batch that accounted for a raw offset."""
    sql = (
        "SELECT origin_from, origin_next, rows_stored, "
        f"toUnixTimestamp64Milli(written_at) AS written_ms FROM {BATCHES} FINAL "
        "WHERE incarnation = {inc:String} AND topic = {topic:String} "
        "AND partition = {partition:UInt32} AND origin_from <= {offset:UInt64} "
        "AND origin_next > {offset:UInt64} LIMIT 1"
    )
    return Query(
        sql, {"inc": incarnation, "topic": topic, "partition": partition, "offset": offset}
    )


def quarantine(asked: QuarantineSearch, now_us: int) -> Query:
    """Build the query for a page of quarantined messages and one row more. Raises `Refused`."""
    found = period_of(unbounded(), "recorded", asked.since, asked.until, now_us)
    if asked.reason is not None:
        found = found.also("reason = {reason:String}", reason=asked.reason)
    if asked.state == "open":
        found = found.also(f"NOT ({_REPLAYED})")
    if asked.cursor is not None:
        moment_us, (incarnation, partition, offset) = decode(
            asked.cursor, asked.question(), EVENT_KEY
        )
        found = found.also(
            "(recorded, incarnation, partition, offset) < ({c_at:DateTime64(3, 'UTC')}, "
            "{c_inc:String}, {c_partition:UInt32}, {c_offset:UInt64})",
            c_at=store_text(moment_us)[:-3],
            c_inc=incarnation,
            c_partition=partition,
            c_offset=offset,
        )
    sql = (
        f"SELECT {QUARANTINE_SELECT} FROM {QUARANTINE} WHERE {found.where()} "
        "ORDER BY recorded DESC, incarnation DESC, partition DESC, offset DESC LIMIT {rows:UInt32}"
    )
    return Query(sql, {**found.parameters, "rows": asked.limit + 1})


def quarantined_at(place: str) -> Query:
    """Build the query for one quarantined message, the newest topic's first. Raises `Refused`."""
    placed = PLACED.fullmatch(place)
    if placed is None:
        raise Refused(
            "bad_parameter",
            "a quarantined message is named by its place",
            field="place",
            cure="write partition:offset, such as 0:41",
        )
    found = _at(unbounded(), int(placed[1]), int(placed[2]))
    sql = (
        f"SELECT {QUARANTINE_SELECT}, base64Encode(raw) AS raw64 FROM {QUARANTINE} "
        f"WHERE {found.where()} ORDER BY recorded DESC LIMIT 1"
    )
    return Query(sql, found.parameters)


def _named_by(principal: Principal) -> Conditions:
    """Return what somebody may see who names one event: a canary too, and a read if they may."""
    return scoped(principal, reads=principal.may("read_reads"), canaries=True)


def _events(found: Conditions, order: str) -> Query:
    sql = (
        f"SELECT {EVENT_SELECT}, base64Encode(raw) AS raw64, versions, replayed FROM {EVENTS} "
        f"WHERE {found.where()} ORDER BY {order} LIMIT {{rows:UInt32}}"
    )
    return Query(sql, {**found.parameters, "rows": OTHERS_MAX + 1})


def _at(found: Conditions, partition: int, offset: int) -> Conditions:
    return found.also(
        "partition = {partition:UInt32} AND offset = {offset:UInt64}",
        partition=partition,
        offset=offset,
    )


def period_of(
    found: Conditions, column: str, since: str | None, until: str | None, now_us: int
) -> Conditions:
    """Return the conditions and those of a period of that column. Raises `Refused`."""
    bounds: tuple[tuple[str, str | None, str], ...] = (
        ("since", since, ">="),
        ("until", until, "<"),
    )
    for name, text, side in bounds:
        if text is not None:
            value: Any = store_text(parse_moment(text, now_us, name))
            found = found.also(f"{column} {side} {{{name}:DateTime64(6, 'UTC')}}", **{name: value})
    return found
