"""The queries for all but search: one event, alerts, quarantine. Text is always a parameter."""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from console.cursor import ALERT_KEY, EVENT_KEY, decode, fingerprint
from console.moment import parse_moment, store_text
from console.problems import Refused
from console.rendering import EVENT_SELECT
from console.search import ROWS_DEFAULT, ROWS_MAX, Conditions, Query, tenant_of, unbounded
from schemas.alert import Severity
from schemas.tables import ALERTS, BATCHES, DELIVERIES, EVENTS, QUARANTINE

OTHERS_MAX: Final = 100
DELIVERIES_MAX: Final = 1_000
NAMED: Final = re.compile(r"([A-Za-z0-9_-]{8})-(\d{1,5})-(\d{1,18})", re.ASCII)
PLACED: Final = re.compile(r"(\d{1,5}):(\d{1,18})", re.ASCII)

Text = Annotated[str, Field(min_length=1, max_length=256)]
Moment = Annotated[str, Field(max_length=40, description="RFC 3339, a date, or so long ago: 7d.")]
Limit = Annotated[int, Field(ge=1, le=ROWS_MAX)]
Token = Annotated[str, Field(max_length=512)]

ALERT_SELECT: Final = """
    alert_id, rule_id, rule_version, title, severity, tenant, `group`, summary, runbook, tags, user,
    action, resource, ip_address, session_id, event_ids, event_count, historical,
    toUnixTimestamp64Micro(occurred) AS occurred_us,
    toUnixTimestamp64Milli(recorded) AS recorded_ms, toUnixTimestamp64Milli(stored) AS stored_ms
"""
_REPLAYED: Final = (
    f"(incarnation, topic, partition, offset) IN (SELECT incarnation, topic, partition, offset "
    f"FROM {EVENTS} WHERE replayed = 1)"
)
QUARANTINE_SELECT: Final = f"""
    reason, hint, size, incarnation, topic, partition, offset, versions,
    toUnixTimestamp64Milli(recorded) AS recorded_ms, toUnixTimestamp64Milli(stored) AS stored_ms,
    NOT ({_REPLAYED}) AS is_open
"""


class AlertSearch(BaseModel):
    """Which alerts to list, newest first; or with `after` the ones stored since, oldest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: Moment | None = None
    until: Moment | None = None
    severity: Severity | None = None
    rule: Text | None = None
    user: Text | None = None
    tenant: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    limit: Limit = ROWS_DEFAULT
    cursor: Token | None = None
    after: Token | None = None

    def question(self) -> str:
        """Name the question without its page."""
        return fingerprint(self.model_dump(exclude={"limit", "cursor", "after"}, exclude_none=True))


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


def event_by_id(event_id: str, tenant: str | None) -> Query:
    """Build the query for all rows of an id, first recorded first."""
    found = tenant_of(unbounded(), None, tenant).also("event_id = {id:String}", id=event_id)
    return _events(found, "recorded, partition, offset")


def event_by_place(event_id: str, tenant: str | None) -> Query | None:
    """Build the query for `incarnation8-partition-offset` or `partition:offset`, newest first."""
    named, placed = NAMED.fullmatch(event_id), PLACED.fullmatch(event_id)
    found = tenant_of(unbounded(), None, tenant)
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


def alerts(asked: AlertSearch, tenant: str | None, now_us: int) -> Query:
    """Build the query for a page of alerts and one row more. Raises `Refused`."""
    if asked.cursor is not None and asked.after is not None:
        raise Refused("bad_parameter", "cursor and after exclude each other", field="after")
    found = tenant_of(unbounded(), asked.tenant, tenant)
    for column, value in (
        ("severity", asked.severity),
        ("rule_id", asked.rule),
        ("user", asked.user),
    ):
        if value is not None:
            found = found.also(f"{column} = {{{column}:String}}", **{column: value})
    found = _period(found, "recorded", asked.since, asked.until, now_us)
    order = "recorded DESC, alert_id DESC"
    if asked.cursor is not None:
        at = decode(asked.cursor, asked.question(), ALERT_KEY)
        found = _beyond(found, "recorded", "<", at.moment_us, str(at.key[0]))
    if asked.after is not None:
        at = decode(asked.after, asked.question(), ALERT_KEY)
        found = _beyond(found, "stored", ">", at.moment_us, str(at.key[0]))
        order = "stored, alert_id"
    sql = (
        f"SELECT {ALERT_SELECT} FROM {ALERTS} FINAL WHERE {found.where()} "
        f"ORDER BY {order} LIMIT {{rows:UInt32}}"
    )
    return Query(sql, {**found.parameters, "rows": asked.limit + 1})


def newest_alert() -> Query:
    """Build the query for where a follower starts."""
    sql = (
        "SELECT toUnixTimestamp64Milli(stored) AS stored_ms, alert_id "
        f"FROM {ALERTS} FINAL ORDER BY stored DESC, alert_id DESC LIMIT 1"
    )
    return Query(sql, {})


def alert_by_id(alert_id: str, tenant: str | None) -> Query:
    """Build the query for one alert."""
    found = tenant_of(unbounded(), None, tenant).also("alert_id = {id:String}", id=alert_id)
    sql = f"SELECT {ALERT_SELECT} FROM {ALERTS} FINAL WHERE {found.where()} LIMIT 1"
    return Query(sql, found.parameters)


def deliveries_of(alert_id: str) -> Query:
    """Build the query for each attempt to deliver an alert, in order."""
    sql = (
        "SELECT target, attempt, toString(outcome) AS outcome, error, "
        f"toUnixTimestamp64Milli(at) AS at_ms FROM {DELIVERIES} WHERE alert_id = {{id:String}} "
        "ORDER BY target, attempt LIMIT 1 BY target, attempt LIMIT {rows:UInt32}"
    )
    return Query(sql, {"id": alert_id, "rows": DELIVERIES_MAX})


def quarantine(asked: QuarantineSearch, now_us: int) -> Query:
    """Build the query for a page of quarantined messages and one row more. Raises `Refused`."""
    found = _period(unbounded(), "recorded", asked.since, asked.until, now_us)
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


def _beyond(found: Conditions, column: str, side: str, moment_us: int, alert_id: str) -> Conditions:
    return found.also(
        f"({column}, alert_id) {side} ({{c_at:DateTime64(3, 'UTC')}}, {{c_id:String}})",
        c_at=store_text(moment_us)[:-3],
        c_id=alert_id,
    )


def _period(
    found: Conditions, column: str, since: str | None, until: str | None, now_us: int
) -> Conditions:
    bounds: tuple[tuple[str, str | None, str], ...] = (
        ("since", since, ">="),
        ("until", until, "<"),
    )
    for name, text, side in bounds:
        if text is not None:
            value: Any = store_text(parse_moment(text, now_us, name))
            found = found.also(f"{column} {side} {{{name}:DateTime64(6, 'UTC')}}", **{name: value})
    return found
