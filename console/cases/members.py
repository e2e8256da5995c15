"""Members of cases: found in the store by what people call them, and read again to be shown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from console.alerts import queries as alert_queries
from console.alerts.events import LINE_SELECT, place_of
from console.alerts.work import rendered
from console.cases.book import Member
from console.query.conditions import Conditions
from console.query.scope import scoped
from console.search.asked import Query
from console.search.lookups import NAMED, PLACED
from console.search.reading import BY_KEY
from console.search.rendering import EVENT_SELECT, Row
from console.web.context import Api
from schemas.console_mark import TENANT as CONSOLE_TENANT
from schemas.tables import EVENTS

MINUTE_US: Final = 60_000_000
RAW_SELECT: Final = f"{EVENT_SELECT}, base64Encode(raw) AS raw64, versions, replayed"
_MINUTE: Final = f"intDiv(toUnixTimestamp64Micro(occurred), {MINUTE_US})"
# As `/events/{id}` does: of several with one id that which was recorded first.
_FIRST: Final = "ORDER BY recorded, incarnation, partition, offset LIMIT 1 BY event_id"


async def find_events(api: Api, ids: Sequence[str], tenant: str | None) -> dict[str, Row]:
    """Return the events of these ids or places that the principal may see, by what was asked."""
    api.principal.require("read_events")
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return {}
    rows = await api.reader.rows(_by_id(_scope(api, tenant), wanted))
    found = {row["event_id"]: row for row in rows}
    places = {one: place for one in wanted if one not in found and (place := _place(one))}
    if places:
        offsets = [offset for _, _, offset in places.values()]
        for row in await api.reader.rows(_at(_scope(api, tenant), offsets)):
            here = (row["incarnation"], row["partition"], row["offset"])
            for one, (incarnation, partition, offset) in places.items():
                if here[1:] == (partition, offset) and here[0].startswith(incarnation):
                    found[one] = row
    return found


async def find_alerts(api: Api, ids: Sequence[str], tenant: str | None) -> dict[str, Row]:
    """Return the alerts of these ids that the principal may see."""
    api.principal.require("read_alerts")
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return {}
    within = _within(tenant)
    within = api.tenant if within is None else within
    rows = await api.reader.rows(alert_queries.alerts_by_id(wanted, within))
    return {row["alert_id"]: row for row in rows}


def event_member(row: Row) -> Member:
    """Return the member that an event becomes."""
    return Member(
        "event",
        place_of(row["incarnation"], row["partition"], row["offset"]),
        row["event_id"],
        row["occurred_us"],
        row["user"],
        row["action"],
        row["incarnation"],
        row["partition"],
        row["offset"],
    )


def alert_member(row: Row) -> Member:
    """Return the member that an alert becomes."""
    alert_id = row["alert_id"]
    return Member("alert", alert_id, alert_id, row["occurred_us"], row["user"], row["title"])


async def event_rows(
    api: Api, tenant: str, members: Iterable[Member], columns: str = LINE_SELECT
) -> dict[str, Row]:
    """Return the store's rows of the members that are events, by `ref`, as far as they are there.

    Nothing is found for who may not read events.
    """
    chosen = [member for member in members if member.kind == "event"]
    if not (chosen and api.principal.may("read_events")):
        return {}
    rows = await api.reader.rows(_known(_scope(api, tenant), chosen, columns), BY_KEY)
    return {place_of(row["incarnation"], row["partition"], row["offset"]): row for row in rows}


async def alerts_shown(
    api: Api, tenant: str, members: Iterable[Member]
) -> Mapping[str, dict[str, Any]]:
    """Return the alerts among the members as `AlertOut`s, by id."""
    ids = [member.ref for member in members if member.kind == "alert"]
    if not (ids and api.principal.may("read_alerts")):
        return {}
    rows = await api.reader.rows(alert_queries.alerts_by_id(ids, _within(tenant)))
    return {one["alert_id"]: one for one in await rendered(api, rows)}


def _scope(api: Api, tenant: str | None) -> Conditions:
    may_read_reads = api.principal.may("read_reads")
    found = scoped(api.principal, reads=may_read_reads, canaries=True)
    within = _within(tenant)
    return found if within is None else found.also("tenant = {of_tenant:String}", of_tenant=within)


def _within(tenant: str | None) -> str | None:
    """Return the tenant whose things a case may hold: of any, if it is of those who reach all."""
    return None if tenant == CONSOLE_TENANT else tenant


def _by_id(found: Conditions, ids: Sequence[str]) -> Query:
    found = found.also("event_id IN {ids:Array(String)}", ids=list(ids))
    sql = f"SELECT {LINE_SELECT} FROM {EVENTS} WHERE {found.where()} {_FIRST}"
    return Query(sql, found.parameters)


def _at(found: Conditions, offsets: Sequence[int]) -> Query:
    """Build the query for what lies at these offsets of any partition, newest recorded last."""
    found = found.also("offset IN {offsets:Array(UInt64)}", offsets=list(offsets))
    sql = f"SELECT {LINE_SELECT} FROM {EVENTS} WHERE {found.where()} ORDER BY recorded"
    return Query(sql, found.parameters)


def _known(found: Conditions, members: Sequence[Member], columns: str) -> Query:
    """Build the query for events whose place in the sort key is known: only there it looks."""
    sql = (
        f"SELECT {columns} FROM {EVENTS} "
        f"PREWHERE ({_MINUTE}, user) IN arrayZip({{minutes:Array(Int64)}}, {{who:Array(String)}}) "
        "AND offset IN {offsets:Array(UInt64)} "
        "WHERE (incarnation, partition, offset) IN arrayZip({incarnations:Array(String)}, "
        f"{{partitions:Array(UInt16)}}, {{offsets:Array(UInt64)}}) AND {found.where()}"
    )
    return Query(
        sql,
        {
            **found.parameters,
            "minutes": [member.occurred_us // MINUTE_US for member in members],
            "who": [member.who for member in members],
            "incarnations": [member.incarnation for member in members],
            "partitions": [member.partition for member in members],
            "offsets": [member.offset for member in members],
        },
    )


def _place(text: str) -> tuple[str, int, int] | None:
    named, placed = NAMED.fullmatch(text), PLACED.fullmatch(text)
    if named:
        return named[1], int(named[2]), int(named[3])
    return ("", int(placed[1]), int(placed[2])) if placed else None
