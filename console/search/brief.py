"""Events in brief, as pages list them: what, who, where, why, and what changed; plain JSON."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from console.entities.diff import changes_of
from console.query.conditions import Conditions, Query
from console.search.asked import COORDINATES, ORDER, to_wide
from console.search.moment import rfc3339
from console.search.reading import BY_ALL, BY_KEY, IN_ORDER, Reader, Settings
from console.search.rendering import Row, render_address
from schemas.tables import EVENTS

BRIEF_SELECT: Final = """
    event_id, toUnixTimestamp64Micro(occurred) AS occurred_us, tenant, user, role, on_behalf_of,
    action, result AS result_name, resource, resource_id, IPv6NumToString(ip_address) AS address,
    session_id, source, reason AS why, category, verb, changed, before, after, data_class,
    severity AS severity_name, risk_score, flags, rules, incarnation, partition, offset
"""
FAILED: Final = ("failure", "denied", "error")


class Way(NamedTuple):
    """How rows are looked for: what comes first, and how the store reads towards it."""

    order: str = ORDER
    reading: Settings = IN_ORDER


NEWEST: Final = Way()
OLDEST: Final = Way(ORDER.replace(" DESC", ""))
NEWEST_OF_FEW: Final = Way(reading=BY_ALL)  # few rows among many
_OPTIONAL: Final = (
    "role",
    "on_behalf_of",
    "resource",
    "resource_id",
    "session_id",
    "source",
    "verb",
    "data_class",
)


def brief(row: Row) -> dict[str, Any]:
    """Return one row as pages show it; `changes` are lines of console/entities/diff.py."""
    return {
        "event_id": row["event_id"],
        "timestamp": rfc3339(row["occurred_us"]),
        "tenant": row["tenant"],
        "user": row["user"],
        **{name: row[name] or None for name in _OPTIONAL},
        "action": row["action"],
        "result": row["result_name"],
        "ip_address": render_address(row["address"]),
        "reason": row["why"] or None,
        "category": row["category"],
        "severity": row["severity_name"],
        "risk_score": row["risk_score"],
        "flags": list(row["flags"]),
        "rules": list(row["rules"]),
        "changes": changes_of(row["changed"], row["before"], row["after"], row["action"]),
        "failed": row["result_name"] in FAILED,
    }


async def brief_rows(
    reader: Reader,
    found: Conditions,
    limit: int,
    *,
    way: Way = NEWEST,
    columns: str = BRIEF_SELECT,
) -> list[Row]:
    """Return up to `limit` rows in their order: which ones first, then their columns.

    Other `columns` must have the coordinates incarnation, partition and offset among them.
    """
    chosen = await reader.rows(_coordinates(found, limit, way.order), way.reading)
    if not chosen:
        return []
    wide = await reader.rows(to_wide(chosen, columns), BY_KEY)
    place = {_key(row): row for row in wide}
    return [place[_key(row)] for row in chosen if _key(row) in place]


def _coordinates(found: Conditions, limit: int, order: str) -> Query:
    sql = (
        f"SELECT {COORDINATES} FROM {EVENTS} WHERE {found.where()} "
        f"ORDER BY {order} LIMIT {{rows:UInt32}}"
    )
    return Query(sql, {**found.parameters, "rows": limit})


def _key(row: Row) -> Sequence[Any]:
    return row["incarnation"], row["partition"], row["offset"]
