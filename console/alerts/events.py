"""The events behind an alert, in order, as the lines that pages show; the raw bytes stay away."""

import re
from collections.abc import Sequence
from typing import Any, Final

from console.access import Principal
from console.query.scope import scoped
from console.query.write import and_, between, term
from console.search.asked import Query
from console.search.moment import rfc3339
from console.search.rendering import Row, render_address
from schemas.tables import EVENTS

EVENTS_MAX: Final = 200  # an alert names 100; a producer may have sent some of them twice
FINDING: Final = re.compile(r"[0-9a-f]{32}")  # among the events of a rule made of correlations
_WHO: Final = (
    ("user", "user"),
    ("session", "session_id"),
    ("ip", "ip_address"),
    ("resource", "resource"),
)
HOUR_US: Final = 3_600_000_000

# Narrow columns only: an event may have 256 KiB of details.
LINE_SELECT: Final = """
    event_id, toUnixTimestamp64Micro(occurred) AS occurred_us, tenant, user, action,
    result AS result_name, resource, resource_id, IPv6NumToString(ip_address) AS address,
    session_id, reason, severity AS severity_name, risk_score, length(changed) AS changes,
    incarnation, partition, offset
"""


def events_behind(row: Row, principal: Principal) -> Query:
    """Build the query for the events that an alert names, as far as the principal may see them."""
    found = scoped(principal, reads=principal.may("read_reads"), canaries=True)
    found = found.also(
        "tenant = {of_tenant:String} AND event_id IN {ids:Array(String)}",
        of_tenant=row["tenant"],
        ids=list(row["event_ids"]),
    )
    sql = (
        f"SELECT {LINE_SELECT} FROM {EVENTS} WHERE {found.where()} "
        f"ORDER BY occurred, incarnation, partition, offset LIMIT {{rows:UInt32}}"
    )
    return Query(sql, {**found.parameters, "rows": EVENTS_MAX})


def render_line(row: Row) -> dict[str, Any]:
    """Return an event as one line: who did what to what, when, from where."""
    return {
        "event_id": row["event_id"],
        "place": place_of(row["incarnation"], row["partition"], row["offset"]),
        "timestamp": rfc3339(row["occurred_us"]),
        "tenant": row["tenant"],
        "user": row["user"],
        "action": row["action"],
        "result": row["result_name"],
        "resource": row["resource"] or None,
        "resource_id": row["resource_id"] or None,
        "ip_address": render_address(row["address"]),
        "session_id": row["session_id"] or None,
        "reason": row["reason"] or None,
        "severity": row["severity_name"],
        "risk_score": row["risk_score"],
        "changes": row["changes"],
    }


def place_of(incarnation: str, partition: int, offset: int) -> str:
    """Return the name of exactly this stored event, as `/events/…` takes it."""
    return f"{incarnation[:8]}-{partition}-{offset}"


def findings_among(event_ids: Sequence[str]) -> list[str]:
    """Return what among the events of an alert are alerts themselves."""
    return [one for one in event_ids if FINDING.fullmatch(one)]


def search_around(row: Row, lines: Sequence[Row]) -> str:
    """Return the query that finds what the alert counted, and what stands between it."""
    known = [one for one in _WHO if row[one[1]]]
    # what the rule groups by is what its events have in common
    grouped = [one for one in known if f"{one[1]}=" in row["group"]]
    who = next((term(field, row[column]) for field, column in grouped or known), "")
    first_us = lines[0]["occurred_us"] if lines else row["occurred_us"] - HOUR_US
    last_us = max(lines[-1]["occurred_us"] if lines else 0, row["occurred_us"])
    # the end is exclusive, and moments have microseconds
    return and_(who, between(rfc3339(first_us), rfc3339(last_us + 1)))
