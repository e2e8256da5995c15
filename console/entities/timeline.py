"""What happened around a moment: events and alerts in order, by the minute. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from console.query.conditions import Conditions, Query
from console.search.brief import FAILED
from console.search.moment import rfc3339, store_text
from console.search.rendering import Row
from schemas.alert import SEVERITIES
from schemas.tables import ALERTS, EVENTS

SIDE_MAX: Final = 250  # events shown before the moment, and as many after it
ALERTS_MAX: Final = 100
MINUTES_DEFAULT: Final = 15
MINUTES_MAX: Final = 24 * 60
_MINUTE_US: Final = 60_000_000
# What a timeline can be narrowed to, and the field of an event that says it.
NARROWERS: Final[Mapping[str, str]] = {
    "user": "user",
    "session": "session_id",
    "resource": "resource",
    "ip": "ip_address",
}
LOUD: Final = ("high", "critical")
# What may be why a system misbehaves: changes, failures, and what was grave.
NOTABLE: Final = (
    "(notEmpty(changed) OR result IN ('failure', 'denied', 'error') "
    "OR severity IN ('medium', 'high', 'critical') OR category IN ('configuration', 'permission'))"
)


def between(found: Conditions, since_us: int, until_us: int) -> Conditions:
    """Narrow to a span of time, its end exclusive."""
    return found.also(
        "occurred >= {t_since:DateTime64(6, 'UTC')} AND occurred < {t_until:DateTime64(6, 'UTC')}",
        t_since=store_text(since_us),
        t_until=store_text(until_us),
    )


def counts(found: Conditions, at_us: int) -> Query:
    """Build the query for how much there is in a span, before and after the moment."""
    sql = (
        "SELECT count() AS events, countIf(occurred < {t_at:DateTime64(6, 'UTC')}) AS before, "
        "countIf(notEmpty(changed)) AS changes, "
        "countIf(result IN ('failure', 'denied', 'error')) AS failed, "
        "countIf(severity IN ('high', 'critical')) AS loud "
        f"FROM {EVENTS} WHERE {found.where()}"
    )
    return Query(sql, {**found.parameters, "t_at": store_text(at_us)})


def alerts(tenant: str | None, given: Mapping[str, str], since_us: int, until_us: int) -> Query:
    """Build the query for the alerts in a span; `given` are columns that must be equal."""
    found = Conditions((), {}).also("canary = 0 AND suppressed_by = ''")
    if tenant is not None:
        found = found.also("tenant = {tenant:String}", tenant=tenant)
    for column, value in given.items():
        found = found.also(f"{column} = {{t_{column}:String}}", **{f"t_{column}": value})
    found = between(found, since_us, until_us)
    sql = (
        "SELECT alert_id, title, summary, severity, user, "
        f"toUnixTimestamp64Micro(occurred) AS occurred_us FROM {ALERTS} FINAL "
        f"WHERE {found.where()} ORDER BY occurred, alert_id LIMIT {{rows:UInt32}}"
    )
    return Query(sql, {**found.parameters, "rows": ALERTS_MAX})


def render_alert(row: Row) -> dict[str, Any]:
    """Return one alert as an entry of the timeline."""
    names = ("alert_id", "title", "summary", "severity", "user")
    return {
        "kind": "alert",
        "timestamp": rfc3339(row["occurred_us"]),
        "at_us": row["occurred_us"],
        **{name: row[name] for name in names},
        "tone": "bad",
    }


def entry(event: dict[str, Any], at_us: int) -> dict[str, Any]:
    """Return one event in brief as an entry of the timeline."""
    return {"kind": "event", **event, "at_us": at_us, "tone": tone(event)}


def tone(event: Mapping[str, Any]) -> str:
    """Say how much an event stands out: bad, loud or not at all."""
    if event["result"] in FAILED or event["severity"] in LOUD:
        return "bad"
    is_grave = SEVERITIES.index(event["severity"]) >= SEVERITIES.index("medium")
    return "loud" if event["changes"] or is_grave else ""


def minutes(entries: Iterable[dict[str, Any]], at_us: int) -> list[dict[str, Any]]:
    """Group entries by the minute, in order, with the moment itself among them."""
    here = {"kind": "moment", "timestamp": rfc3339(at_us), "at_us": at_us, "tone": "here"}
    # an event of just that moment comes after its mark
    ordered = sorted([*entries, here], key=lambda one: (one["at_us"], one["kind"] != "moment"))
    groups: list[dict[str, Any]] = []
    for one in ordered:
        minute = rfc3339(one["at_us"] // _MINUTE_US * _MINUTE_US)
        if not groups or groups[-1]["minute"] != minute:
            groups.append({"minute": minute, "entries": []})
        groups[-1]["entries"].append(one)
    return groups


def things(entries: Iterable[Mapping[str, Any]], at_us: int) -> list[tuple[str, str]]:
    """Return what the event of just that moment names, as the parameters that narrow to it."""
    event = next((e for e in entries if e["kind"] == "event" and e["at_us"] == at_us), None)
    if event is None:
        return []
    return [(name, event[column]) for name, column in NARROWERS.items() if event[column]]


def rows_of(groups: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Return the entries as rows of a table."""
    names = ("user", "action", "result", "severity", "resource", "resource_id", "ip_address")
    rows = []
    for group in groups:
        for one in group["entries"]:
            said = one.get("title") or one.get("reason")
            rows.append([one["timestamp"], one["kind"], *(one.get(name) for name in names), said])
    return rows


COLUMNS: Final = (
    "timestamp", "kind", "user", "action", "result", "severity", "resource", "resource_id",
    "ip_address", "said",
)  # fmt: skip
