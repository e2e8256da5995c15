"""The alerts that name an event."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from console.query.conditions import Query
from console.search.moment import rfc3339
from console.search.rendering import Row
from console.web.context import Api
from schemas.tables import ALERTS

ALERTS_MAX: Final = 20  # on one page; an event that more rules tell of is not told better by them


def query(event_id: str, tenant: str) -> Query:
    """Build the query for the alerts of a tenant that name the event, newest first."""
    sql = (
        "SELECT alert_id, rule_id, title, severity, "
        f"toUnixTimestamp64Milli(recorded) AS recorded_ms FROM {ALERTS} FINAL "
        "WHERE tenant = {tenant:String} AND has(event_ids, {event_id:String}) AND NOT canary "
        f"ORDER BY recorded DESC LIMIT {ALERTS_MAX}"
    )
    return Query(sql, {"tenant": tenant, "event_id": event_id})


async def naming(api: Api, row: Row) -> Sequence[Mapping[str, Any]]:
    """Return the alerts that name an event."""
    rows = await api.reader.rows(query(row["event_id"], row["tenant"]))
    return [
        {
            "alert_id": alert["alert_id"],
            "rule_id": alert["rule_id"],
            "title": alert["title"],
            "severity": alert["severity"],
            "recorded": rfc3339(alert["recorded_ms"] * 1000, digits=3),
        }
        for alert in rows
    ]
