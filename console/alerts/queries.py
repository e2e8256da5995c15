"""The queries for alerts: lists, one of them, its history, targets. Text is always a parameter."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from console.search.asked import ROWS_DEFAULT, Conditions, Query, tenant_of, unbounded
from console.search.cursor import ALERT_KEY, decode, fingerprint
from console.search.lookups import Limit, Moment, Text, Token, period_of
from console.search.moment import store_text
from console.web.problems import Refused
from schemas.alert import SEVERITIES, Severity, Status
from schemas.tables import ALERT_CHANGES, ALERTS, DELIVERIES

DELIVERIES_MAX: Final = 1_000
CHANGES_MAX: Final = 1_000
RULES_MAX: Final = 50
TARGET_DAYS: Final = 3

# Alerts of before there were groups stand for themselves.
ID_LENGTH: Final = 32  # of the ids that our own rules give
PREFIX_LENGTH_MIN: Final = 6  # one in 16 million is taken for another
LEAD: Final = "if(lead_id = '', alert_id, lead_id)"
ALERT_SELECT: Final = f"""
    alert_id, rule_id, rule_version, title, severity, tenant, `group`, summary, runbook, tags, user,
    action, resource, ip_address, session_id, event_ids, event_count, historical, why,
    suppressed_by, rule_set, canary, {LEAD} AS lead,
    toUnixTimestamp64Micro(occurred) AS occurred_us,
    toUnixTimestamp64Milli(recorded) AS recorded_ms, toUnixTimestamp64Milli(stored) AS stored_ms
"""
RANKS: Final = ", ".join(f"'{severity}'" for severity in SEVERITIES)
_UNTOUCHED: Final = {"open": "'open'", "active": "'open', 'acknowledged'"}
STATES_SELECT: Final = (
    "SELECT alert_id, argMaxIf(value, (at, change_id), kind = 'status') AS named, "
    "if(named = '', 'open', named) AS status, "
    f"argMaxIf(value, (at, change_id), kind = 'assignee') AS assignee FROM {ALERT_CHANGES}"
)

StatusAsked = Status | Literal["active"]


class AlertSearch(BaseModel):
    """Which alerts to list, newest first; or with `after` the ones stored since, oldest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: Moment | None = None
    until: Moment | None = None
    severity: Severity | None = None
    rule: Text | None = None
    user: Text | None = None
    status: Annotated[StatusAsked | None, Field(description="active: open or acknowledged.")] = None
    assignee: Annotated[str, Field(max_length=256)] | None = None
    tag: Text | None = None
    ip: Annotated[Text | None, Field(description="The address, as the alert has it.")] = None
    session: Text | None = None
    grouped: Annotated[bool, Field(description="Only the first of each group.")] = False
    suppressed: Annotated[bool, Field(description="Those that an exception hides.")] = False
    canary: Annotated[bool, Field(description="Those of the canaries.")] = False
    tenant: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    limit: Limit = ROWS_DEFAULT
    cursor: Token | None = None
    after: Token | None = None

    def question(self) -> str:
        """Name the question without its page."""
        return fingerprint(self.model_dump(exclude={"limit", "cursor", "after"}, exclude_none=True))


class StatsSearch(BaseModel):
    """Of which time to count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: Moment = "7d"
    until: Moment | None = None
    tenant: Annotated[str, Field(min_length=1, max_length=64)] | None = None


def alerts(asked: AlertSearch, tenant: str | None, now_us: int) -> Query:
    """Build the query for a page of alerts and one row more. Raises `Refused`."""
    if asked.cursor is not None and asked.after is not None:
        raise Refused("bad_parameter", "cursor and after exclude each other", field="after")
    found = wanted(asked, tenant)
    found = period_of(found, "recorded", asked.since, asked.until, now_us)
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


def newest_alert(asked: AlertSearch, tenant: str | None) -> Query:
    """Build the query for where a follower starts, among what it may see. Raises `Refused`."""
    found = tenant_of(unbounded(), asked.tenant, tenant)
    sql = (
        f"SELECT toUnixTimestamp64Milli(stored) AS stored_ms, alert_id FROM {ALERTS} FINAL "
        f"WHERE {found.where()} ORDER BY stored DESC, alert_id DESC LIMIT 1"
    )
    return Query(sql, found.parameters)


def alert_by_id(alert_id: str, tenant: str | None) -> Query:
    """Build the query for one alert, by its id or by how that begins: two rows are too many."""
    is_part = PREFIX_LENGTH_MIN <= len(alert_id) < ID_LENGTH
    asked = "startsWith(alert_id, {id:String})" if is_part else "alert_id = {id:String}"
    found = tenant_of(unbounded(), None, tenant).also(asked, id=alert_id)
    sql = f"SELECT {ALERT_SELECT} FROM {ALERTS} FINAL WHERE {found.where()} LIMIT 2"
    return Query(sql, found.parameters)


def alerts_by_id(ids: Sequence[str], tenant: str | None) -> Query:
    """Build the query for alerts by their whole ids."""
    found = tenant_of(unbounded(), None, tenant).also(
        "alert_id IN {ids:Array(String)}", ids=list(ids)
    )
    return Query(
        f"SELECT {ALERT_SELECT} FROM {ALERTS} FINAL WHERE {found.where()}", found.parameters
    )


def states(leads: Sequence[str]) -> Query:
    """Build the query for status and assignee of those that ever changed."""
    return Query(
        f"{STATES_SELECT} WHERE alert_id IN {{ids:Array(String)}} GROUP BY alert_id",
        {"ids": list(leads)},
    )


def sizes(leads: Sequence[str]) -> Query:
    """Build the query for how many alerts each group has, and when the last came."""
    sql = (
        "SELECT lead_id AS lead, uniqExact(alert_id) AS alerts, "
        f"max(toUnixTimestamp64Milli(recorded)) AS last_ms FROM {ALERTS} "
        "WHERE lead_id IN {ids:Array(String)} GROUP BY lead_id"
    )
    return Query(sql, {"ids": list(leads)})


def deliveries_of(alert_id: str) -> Query:
    """Build the query for each attempt to deliver an alert, in order."""
    sql = (
        "SELECT target, attempt, toString(outcome) AS outcome, error, "
        "toUnixTimestamp64Milli(at) AS at_ms, toUnixTimestamp64Milli(next_at) AS next_ms "
        f"FROM {DELIVERIES} WHERE alert_id = {{id:String}} "
        "ORDER BY target, attempt LIMIT 1 BY target, attempt LIMIT {rows:UInt32}"
    )
    return Query(sql, {"id": alert_id, "rows": DELIVERIES_MAX})


def changes_of(alert_id: str) -> Query:
    """Build the query for what was done with an alert, oldest first."""
    sql = (
        "SELECT change_id, who, toString(kind) AS kind_name, before, value, "
        f"toUnixTimestamp64Milli(at) AS at_ms FROM {ALERT_CHANGES} WHERE alert_id = {{id:String}} "
        "ORDER BY at, change_id LIMIT 1 BY change_id LIMIT {rows:UInt32}"
    )
    return Query(sql, {"id": alert_id, "rows": CHANGES_MAX})


def stats_by_rule(asked: StatsSearch, tenant: str | None, now_us: int) -> Query:
    """Build the query for counts by rule, the most frequent first. Raises `Refused`."""
    found = tenant_of(unbounded(), asked.tenant, tenant)
    found = period_of(found, "recorded", asked.since, asked.until, now_us).also("canary = 0")
    sql = (
        "SELECT rule_id, argMax(title, recorded) AS title, count() AS alerts, "
        "countIf(suppressed_by != '') AS suppressed, "
        f"countIf(historical) AS historical, uniqExact({LEAD}) AS `groups`, "
        f"arrayElement([{RANKS}], max(indexOf([{RANKS}], severity))) AS worst "
        f"FROM {ALERTS} FINAL WHERE {found.where()} "
        "GROUP BY rule_id ORDER BY alerts DESC, rule_id LIMIT {rows:UInt32}"
    )
    return Query(sql, {**found.parameters, "rows": RULES_MAX})


def stats_by_status(asked: StatsSearch, tenant: str | None, now_us: int) -> Query:
    """Build the query for how many groups have which status, and how long it took. `Refused`."""
    found = tenant_of(unbounded(), asked.tenant, tenant)
    found = period_of(found, "recorded", asked.since, asked.until, now_us)
    found = found.also("canary = 0 AND suppressed_by = '' AND lead_id IN ('', alert_id)")
    sql = (
        "SELECT if(c.status = '', 'open', c.status) AS status_name, count() AS n, "
        "medianIf(c.taken_ms - a.at_ms, c.taken_ms > 0) AS taken_ms, "
        "medianIf(c.closed_ms - a.at_ms, c.closed_ms > 0) AS closed_ms FROM "
        f"(SELECT alert_id, toUnixTimestamp64Milli(recorded) AS at_ms FROM {ALERTS} FINAL "
        f"WHERE {found.where()}) AS a LEFT JOIN (SELECT alert_id, "
        "argMaxIf(value, (at, change_id), kind = 'status') AS status, "
        "toUnixTimestamp64Milli(minIf(at, kind = 'status')) AS taken_ms, "
        "toUnixTimestamp64Milli(minIf(at, kind = 'status' AND value IN "
        f"('resolved', 'false_positive'))) AS closed_ms FROM {ALERT_CHANGES} GROUP BY alert_id) "
        "AS c ON c.alert_id = a.alert_id GROUP BY status_name ORDER BY n DESC"
    )
    return Query(sql, found.parameters)


def target_states(tenant: str | None) -> Query:
    """Build the query for how each target fares: the last attempt, and what waits for it.

    Deliveries name no tenant: what is of one is what its alerts are.
    """
    found = tenant_of(unbounded(), None, tenant)
    only = f" AND alert_id IN (SELECT alert_id FROM {ALERTS} WHERE {found.where()})"
    sql = (
        "SELECT target, argMaxIf(state, (at, attempt), is_try) AS last, "
        "toUnixTimestamp64Milli(maxIf(at, outcome = 'delivered')) AS delivered_ms, "
        "toUnixTimestamp64Milli(maxIf(at, is_try AND outcome != 'delivered')) AS failed_ms, "
        "countIf(outcome = 'delivered') AS delivered, "
        "countIf(is_try AND outcome IN ('failed', 'deferred')) AS failures, "
        "countIf(outcome = 'given_up') AS given_up, "
        "uniqExact(alert_id) - uniqExactIf(alert_id, outcome IN ('delivered', 'given_up', "
        "'suppressed')) AS pending "
        "FROM (SELECT target, alert_id, attempt, at, toString(outcome) AS outcome, error, "
        "attempt > 0 AND outcome != 'suppressed' AS is_try, "
        "if(outcome = 'delivered', 'ok', 'failing') AS state "
        f"FROM {DELIVERIES} WHERE at > now64() - INTERVAL {TARGET_DAYS} DAY AND target != '*'"
        f"{only if tenant is not None else ''}) "
        "GROUP BY target ORDER BY target LIMIT 200"
    )
    return Query(sql, found.parameters)


def wanted(asked: AlertSearch, tenant: str | None) -> Conditions:
    """Return the conditions of a list, without its period and page. Raises `Refused`."""
    found = tenant_of(unbounded(), asked.tenant, tenant)
    for column, value in (
        ("severity", asked.severity),
        ("rule_id", asked.rule),
        ("user", asked.user),
        ("ip_address", asked.ip),
        ("session_id", asked.session),
    ):
        if value is not None:
            found = found.also(f"{column} = {{{column}:String}}", **{column: value})
    if asked.tag is not None:
        found = found.also("has(tags, {tag:String})", tag=asked.tag)
    found = found.also("suppressed_by != ''" if asked.suppressed else "suppressed_by = ''")
    found = found.also("canary = 1" if asked.canary else "canary = 0")
    if asked.grouped:
        found = found.also("lead_id IN ('', alert_id)")
    if asked.status in _UNTOUCHED:  # which is what nobody ever touched, too
        found = found.also(
            f"{LEAD} NOT IN (SELECT alert_id FROM ({STATES_SELECT} GROUP BY alert_id) "
            f"WHERE status NOT IN ({_UNTOUCHED[asked.status]}))"
        )
    elif asked.status is not None:
        found = found.also(
            f"{LEAD} IN (SELECT alert_id FROM ({STATES_SELECT} GROUP BY alert_id) "
            "WHERE status = {status:String})",
            status=asked.status,
        )
    if asked.assignee == "":
        found = found.also(
            f"{LEAD} NOT IN (SELECT alert_id FROM ({STATES_SELECT} GROUP BY alert_id) "
            "WHERE assignee != '')"
        )
    elif asked.assignee is not None:
        found = found.also(
            f"{LEAD} IN (SELECT alert_id FROM ({STATES_SELECT} GROUP BY alert_id) "
            "WHERE assignee = {assignee:String})",
            assignee=asked.assignee,
        )
    return found


def _beyond(found: Conditions, column: str, side: str, moment_us: int, alert_id: str) -> Conditions:
    return found.also(
        f"({column}, alert_id) {side} ({{c_at:DateTime64(3, 'UTC')}}, {{c_id:String}})",
        c_at=store_text(moment_us)[:-3],
        c_id=alert_id,
    )
