"""Everything of one user, address, session or resource: the questions, and answers as data. Pure.

What is counted is counted over the newest `COUNTED_MAX` events of the period, in one pass; the
page says so where there are more. First and last seen are exact and of all time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from console.query.conditions import Conditions, Query
from console.query.write import and_, term
from console.search.moment import rfc3339
from console.search.period import Period
from console.search.rendering import Row, render_address
from schemas.tables import ALERTS, EVENTS

COUNTED_MAX: Final = 20_000  # spread over 10,000,000 rows they take some 600 ms
MANY: Final = COUNTED_MAX + 1  # as many as are looked for, to know that there are more
TOP_MAX: Final = 10  # values listed of each field
SESSIONS_MAX: Final = 10
ALERTS_MAX: Final = 10
NEWEST_MAX: Final = 25
BUCKETS_MAX: Final = 120  # of risk over time; more are no wider than a hair
_NEWEST: Final = "intDiv(toUnixTimestamp64Micro(occurred), 60000000) DESC, occurred DESC"
_DAY_S: Final = 86_400
_HOUR_S: Final = 3_600

Kind = Literal["user", "address", "session", "resource"]


class Facet(NamedTuple):
    """A field whose values are counted: its name in the query language, its title, its SQL."""

    field: str
    title: str
    sql: str


_FACETS: Final = (
    Facet("result", "Results", "toString(result)"),
    Facet("category", "Categories", "toString(category)"),
    Facet("action", "Actions", "toString(action)"),
    Facet("user", "Users", "user"),
    Facet("resource", "Resources touched most", "concat(resource, char(31), resource_id)"),
    Facet("ip", "Addresses", "IPv6NumToString(ip_address)"),
    Facet("country", "Countries", "trim(TRAILING char(0) FROM toString(geo_country))"),
    Facet("asn", "Networks", "concat(toString(geo_asn), char(31), toString(geo_as_name))"),
    Facet("client", "Clients", "toString(client)"),
    Facet("session", "Sessions", "session_id"),
    Facet("role", "Roles", "toString(role)"),
    Facet("severity", "Severities", "toString(severity)"),
)
# What changes a resource without saying from what to what.
CHANGE_VERBS: Final = (
    "create", "delete", "update", "grant", "revoke", "enable", "disable", "connect", "disconnect",
    "rotate", "deactivate", "reset", "restore", "rename", "move", "archive",
)  # fmt: skip
CHANGING: Final = "(notEmpty(changed) OR verb IN {h_verbs:Array(String)})"
_OWN: Final[Mapping[Kind, frozenset[str]]] = {  # what a page need not count: it is one thing there
    "user": frozenset({"user", "session"}),
    "address": frozenset({"ip", "asn", "country"}),
    "session": frozenset({"session"}),
    "resource": frozenset({"session"}),
}


@dataclass(frozen=True, slots=True)
class Entity:
    """What a page is about. `part` is a resource's id, where one is asked for."""

    kind: Kind
    name: str
    part: str = ""

    def narrow(self, found: Conditions) -> Conditions:
        """Return the conditions behind that an event is of this one, the rarest first."""
        if self.kind == "user":
            return found.behind("user = {e_user:String}", e_user=self.name)
        if self.kind == "session":
            return found.behind("session_id = {e_session:String}", e_session=self.name)
        if self.kind == "address":
            return found.behind("ip_address = toIPv6({e_ip:String})", e_ip=self.name)
        found = found.behind("resource = {e_resource:String}", e_resource=self.name)
        if not self.part:
            return found
        return found.behind("resource_id = {e_part:String}", e_part=self.part)

    @property
    def query(self) -> str:
        """The query that finds its events."""
        field = "ip" if self.kind == "address" else self.kind
        return and_(term(field, self.name), term("resource_id", self.part) if self.part else "")


def total(found: Conditions, entity: Entity) -> Query:
    """Build the query for how many events there are, up to `MANY`."""
    own = entity.narrow(found)
    sql = (
        f"SELECT count() AS events FROM (SELECT user FROM {EVENTS} WHERE {own.where()} "
        "LIMIT {rows:UInt32})"
    )
    return Query(sql, {**own.parameters, "rows": MANY})


def edge(found: Conditions, entity: Entity, *, is_first: bool) -> Query:
    """Build the query for the first or the last moment at which it was seen."""
    own = entity.narrow(found)
    order = _NEWEST.replace("DESC", "ASC") if is_first else _NEWEST
    sql = (
        f"SELECT toUnixTimestamp64Micro(occurred) AS at_us FROM {EVENTS} WHERE {own.where()} "
        f"ORDER BY {order} LIMIT 1"
    )
    return Query(sql, own.parameters)


def are_few(events: int) -> bool:
    """Say whether so many events are so few that all of them are counted."""
    return events < MANY


def counts(found: Conditions, entity: Entity, step_s: int, events: int) -> Query:
    """Build the one query that counts every facet, hour and bucket of the newest events.

    A few `events` are read whole, on all cores, which reading from the newest on can't be.
    """
    own = entity.narrow(found)
    facets = ", ".join(f"{_top(facet.sql)} AS f_{facet.field}" for facet in facets_of(entity.kind))
    bucket = f"intDiv(toUnixTimestamp(occurred), {step_s})"
    sql = (
        f"SELECT count() AS counted, countIf({CHANGING}) AS changes, max(risk_score) AS risk_max, "
        f"toUnixTimestamp64Micro(min(occurred)) AS counted_from_us, {facets}, "
        f"{_top('f', 'flags')} AS f_flag, {_top('f', 'rules')} AS f_rule, "
        f"sumMap(map(toUInt16((toDayOfWeek(occurred) - 1) * 24 + toHour(occurred)), "
        "toUInt64(1))) AS hours, "
        f"maxMap(map(toUInt32({bucket}), risk_score)) AS risks, "
        f"sumMap(map(toUInt32({bucket}), toUInt64(1))) AS buckets "
        "FROM (SELECT occurred, result, category, action, user, resource, resource_id, ip_address, "
        "geo_country, geo_asn, geo_as_name, client, session_id, role, severity, risk_score, flags, "
        f"rules, verb, changed FROM {EVENTS} WHERE {own.where()}"
        f"{'' if are_few(events) else f' ORDER BY {_NEWEST} LIMIT {COUNTED_MAX}'})"
    )
    return Query(sql, {**own.parameters, "h_verbs": list(CHANGE_VERBS)})


def sessions(found: Conditions, entity: Entity) -> Query:
    """Build the query for the sessions among the newest events, the last first."""
    own = entity.narrow(found).also("session_id != ''")
    sql = (
        "SELECT session_id, any(user) AS who, count() AS events, "
        "toUnixTimestamp64Micro(min(occurred)) AS first_us, "
        "toUnixTimestamp64Micro(max(occurred)) AS last_us, "
        "countIf(result IN ('failure', 'denied', 'error')) AS failed, "
        "max(risk_score) AS risk, IPv6NumToString(any(ip_address)) AS address FROM "
        "(SELECT session_id, user, occurred, result, risk_score, ip_address "
        f"FROM {EVENTS} WHERE {own.where()} "
        f"ORDER BY {_NEWEST} "
        "LIMIT {counted:UInt32}) GROUP BY session_id ORDER BY last_us DESC LIMIT {rows:UInt32}"
    )
    return Query(sql, {**own.parameters, "counted": COUNTED_MAX, "rows": SESSIONS_MAX})


def alerts(tenant: str | None, entity: Entity, period: Period) -> Query:
    """Build the query for the newest alerts of an entity, and how many there are."""
    found = Conditions((), {}).also("canary = 0 AND suppressed_by = ''")
    if tenant is not None:
        found = found.also("tenant = {tenant:String}", tenant=tenant)
    column = {"address": "ip_address", "session": "session_id"}.get(entity.kind, entity.kind)
    found = found.also(f"{column} = {{e_name:String}}", e_name=entity.name)
    found = period.narrow(found)
    sql = (
        "SELECT alert_id, rule_id, title, summary, severity, user, "
        "toUnixTimestamp64Micro(occurred) AS occurred_us, count() OVER () AS alerts "
        f"FROM {ALERTS} FINAL WHERE {found.where()} "
        "ORDER BY recorded DESC, alert_id LIMIT {rows:UInt32}"
    )
    return Query(sql, {**found.parameters, "rows": ALERTS_MAX})


def step_of(period: Period) -> int:
    """Return the seconds of a bucket of risk over time: as fine as `BUCKETS_MAX` allow."""
    if period.since_us is None:
        return _DAY_S
    until_us = period.now_us if period.until_us is None else period.until_us
    span_s = (until_us - period.since_us) // 1_000_000
    for step_s in (_HOUR_S, 6 * _HOUR_S, _DAY_S, 7 * _DAY_S):
        if span_s <= step_s * BUCKETS_MAX:
            return step_s
    return 30 * _DAY_S


def facets_of(kind: Kind) -> Sequence[Facet]:
    """Return the fields that a page of this kind counts."""
    return [facet for facet in _FACETS if facet.field not in _OWN[kind]]


def render_counts(row: Row, entity: Entity, step_s: int) -> dict[str, Any]:
    """Return what was counted: facets, the week's hours, risk over time."""
    facets = [
        _facet(entity, facet.field, facet.title, row[f"f_{facet.field}"])
        for facet in (
            *facets_of(entity.kind),
            Facet("flag", "Flags", ""),
            Facet("rule", "Rules that fired", ""),
        )
    ]
    hours = [[0] * 24 for _ in range(7)]
    for place, count in row["hours"].items():
        hours[int(place) // 24][int(place) % 24] = count
    risks = row["risks"]
    risk = [
        {
            "at": rfc3339(int(bucket) * step_s * 1_000_000),
            "events": count,
            "risk": risks.get(bucket, 0),
        }
        for bucket, count in sorted(row["buckets"].items())
    ]
    return {
        "counted": row["counted"],
        "changes": row["changes"],
        "counted_from": rfc3339(row["counted_from_us"]) if row["counted"] else None,
        "risk_max": row["risk_max"],
        "facets": [facet for facet in facets if facet["values"]],
        "hours": hours,
        "usual": usual(hours),
        "risk": risk[-BUCKETS_MAX:],
        "risk_step_s": step_s,
    }


def render_session(row: Row) -> dict[str, Any]:
    """Return one session of a list."""
    return {
        "session_id": row["session_id"],
        "user": row["who"],
        "events": row["events"],
        "first": rfc3339(row["first_us"]),
        "last": rfc3339(row["last_us"]),
        "failed": row["failed"],
        "risk": row["risk"],
        "ip_address": render_address(row["address"]),
    }


def render_alert(row: Row) -> dict[str, Any]:
    """Return one alert of a list."""
    names = ("alert_id", "rule_id", "title", "summary", "severity", "user")
    return {**{name: row[name] for name in names}, "occurred": rfc3339(row["occurred_us"])}


DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
USUAL_SHARE: Final = 0.8  # of all events: the hours that hold so many are the usual ones


def usual(hours: Sequence[Sequence[int]]) -> str:
    """Say in words at which hours of the day most happens, such as "06:00 to 19:00 UTC"."""
    by_hour = [sum(day[hour] for day in hours) for hour in range(24)]
    whole = sum(by_hour)
    if not whole:
        return ""
    first, length = _shortest(by_hour, whole * USUAL_SHARE)
    weekend = sum(sum(day) for day in hours[5:])
    share = f"{weekend / whole:.0%} on weekends" if weekend else "never on weekends"
    if length == len(by_hour):
        return f"at all hours, {share}"
    return f"mostly {first:02}:00 to {(first + length) % 24:02}:00 UTC, {share}"


def _shortest(by_hour: Sequence[int], wanted: float) -> tuple[int, int]:
    """Return the shortest run of hours, around the clock, that holds so many: begin and length."""
    for length in range(1, 25):
        for first in range(24):
            if sum(by_hour[(first + n) % 24] for n in range(length)) >= wanted:
                return first, length
    return 0, 24


def _facet(entity: Entity, field: str, title: str, top: Sequence[Any]) -> dict[str, Any]:
    distinct, pairs = top
    values = []
    for text, count in pairs:
        if field == "resource":
            name, _, part = text.partition("\x1f")
            terms = and_(term("resource", name), term("resource_id", part) if part else "")
            value = {"value": name, "part": part or None}
        elif field == "asn":
            number, _, name = text.partition("\x1f")
            terms = term("asn", number)
            value = {"value": f"AS{number}", "part": name or None}
        else:
            shown = (render_address(text) or "") if field == "ip" else text
            terms = term(field, shown)
            value = {"value": shown, "part": None}
        if value["value"] not in ("", "AS0"):
            values.append({**value, "count": count, "query": and_(entity.query, terms)})
    return {"field": field, "title": title, "distinct": distinct, "values": values}


def _top(sql: str, array: str = "") -> str:
    """Return the SQL of how many values there are, and the most frequent with their counts."""
    if array:
        counted = (
            f"sumMap(arrayMap(f -> toString({sql}), {array}), arrayMap(f -> toUInt64(1), {array}))"
        )
        keys, numbers = f"tupleElement({counted}, 1)", f"tupleElement({counted}, 2)"
    else:
        counted = f"sumMap(map({sql}, toUInt64(1)))"
        keys, numbers = f"mapKeys({counted})", f"mapValues({counted})"
    pairs = f"arrayReverseSort(p -> p.2, arrayZip({keys}, {numbers}))"
    return f"(length({keys}), arraySlice({pairs}, 1, {TOP_MAX}))"
