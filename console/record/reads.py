"""Who read what: the events that this console leaves of each look at the log, counted. Pure."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from console.access import Principal
from console.query.conditions import Conditions, Query
from console.query.scope import IS_READ, scoped
from console.query.write import and_, term
from console.search.moment import parse_moment, rfc3339, store_text
from console.search.rendering import Row
from schemas.tables import EVENTS

DEFAULT: Final = "7d"
PEOPLE_MAX: Final = 200
DAYS_MAX: Final = 400
LAST_MAX: Final = 100

Text = Annotated[str, Field(max_length=256)]


class ReadsAsked(BaseModel):
    """Whose reads, of when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: Text = ""
    since: Annotated[str, Field(max_length=40, description="RFC 3339, a date, or 7d.")] = DEFAULT
    until: Annotated[str, Field(max_length=40)] = ""


def found(asked: ReadsAsked, principal: Principal, now_us: int) -> Conditions:
    """Return the conditions of the reads asked for. Raises `Refused`."""
    chosen = scoped(principal, reads=True).also(IS_READ)
    since = store_text(parse_moment(asked.since or DEFAULT, now_us, "since"))
    chosen = chosen.also("occurred >= {since:DateTime64(6, 'UTC')}", since=since)
    if asked.until:
        until = store_text(parse_moment(asked.until, now_us, "until"))
        chosen = chosen.also("occurred < {until:DateTime64(6, 'UTC')}", until=until)
    if asked.user:
        chosen = chosen.also("user = {who:String}", who=asked.user)
    return chosen


_ROWS: Final = "JSONExtractUInt(details, 'rows')"


def by_person(chosen: Conditions) -> Query:
    """Build the query for what each person read, who read most first."""
    sql = (
        f"SELECT user, tenant, count() AS reads, sum({_ROWS}) AS shown, "
        "countIf(action = 'audit.events.searched') AS searches, "
        "countIf(action = 'audit.events.viewed') AS views, "
        "countIf(action = 'audit.events.exported') AS exports, "
        "countIf(action = 'audit.sql.queried') AS sqls, "
        "arraySort(groupUniqArray(5)(JSONExtractString(details, 'operator_claimed'))) AS claimed, "
        "arraySort(groupUniqArray(5)(IPv6NumToString(ip_address))) AS addresses, "
        "toUnixTimestamp64Micro(min(occurred)) AS first_us, "
        f"toUnixTimestamp64Micro(max(occurred)) AS last_us FROM {EVENTS} "
        f"WHERE {chosen.where()} GROUP BY user, tenant ORDER BY reads DESC, user "
        "LIMIT {rows:UInt32}"
    )
    return Query(sql, {**chosen.parameters, "rows": PEOPLE_MAX})


def by_day(chosen: Conditions) -> Query:
    """Build the query for how much was read each day."""
    sql = (
        f"SELECT toString(toDate(occurred)) AS day, count() AS reads, uniqExact(user) AS people, "
        f"sum({_ROWS}) AS shown FROM {EVENTS} WHERE {chosen.where()} "
        "GROUP BY day ORDER BY day DESC LIMIT {rows:UInt32}"
    )
    return Query(sql, {**chosen.parameters, "rows": DAYS_MAX})


def last_reads(chosen: Conditions) -> Query:
    """Build the query for the newest reads, each with its question."""
    sql = (
        "SELECT event_id, toUnixTimestamp64Micro(occurred) AS occurred_us, user, action, "
        f"{_ROWS} AS shown, JSONExtractString(details, 'kind') AS kind, "
        "substringUTF8(JSONExtractRaw(details, 'query'), 1, 300) AS question, "
        "JSONExtractString(details, 'operator_claimed') AS claimed, "
        f"IPv6NumToString(ip_address) AS address FROM {EVENTS} WHERE {chosen.where()} "
        "ORDER BY intDiv(toUnixTimestamp64Micro(occurred), 60000000) DESC, occurred DESC "
        "LIMIT {rows:UInt32}"
    )
    return Query(sql, {**chosen.parameters, "rows": LAST_MAX})


def query_of(asked: ReadsAsked, user: str = "") -> str:
    """Return the search that shows these reads."""
    who = user or asked.user
    return and_(
        "is:read",
        *([term("user", who)] if who else []),
        term("since", asked.since or DEFAULT),
        *([term("until", asked.until)] if asked.until else []),
    )


def render_person(row: Row, asked: ReadsAsked) -> dict[str, Any]:
    """Return what one person read."""
    return {
        "user": row["user"],
        "tenant": row["tenant"],
        "reads": row["reads"],
        "rows": row["shown"],
        "searches": row["searches"],
        "views": row["views"],
        "exports": row["exports"],
        "sql": row["sqls"],
        "claimed": [name for name in row["claimed"] if name],
        "addresses": [_address(text) for text in row["addresses"] if text != "::"],
        "first": rfc3339(row["first_us"], digits=3),
        "last": rfc3339(row["last_us"], digits=3),
        "query": query_of(asked, row["user"]),
    }


def render_read(row: Row) -> dict[str, Any]:
    """Return one read."""
    return {
        "event_id": row["event_id"],
        "at": rfc3339(row["occurred_us"], digits=3),
        "user": row["user"],
        "action": row["action"],
        "kind": row["kind"],
        "rows": row["shown"],
        "query": row["question"],
        "claimed": row["claimed"] or None,
        "ip_address": _address(row["address"]) if row["address"] != "::" else None,
    }


def render_day(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return one day."""
    return {
        "day": row["day"],
        "reads": row["reads"],
        "people": row["people"],
        "rows": row["shown"],
    }


def _address(text: str) -> str:
    return text.removeprefix("::ffff:")
