"""Alerts that have something in common with one: its group, user, address, session or rule."""

from typing import Final, NamedTuple

from console.alerts.queries import ALERT_SELECT, LEAD
from console.search.asked import Conditions, Query
from console.search.rendering import Row
from schemas.tables import ALERTS

MEMBERS_MAX: Final = 50
RELATED_MAX: Final = 5  # of each kind; the queue has them all


class Relation(NamedTuple):
    """What two alerts may share: its name, the filter of the queue for it, and the column."""

    name: str
    filter: str
    column: str


RELATIONS: Final = (
    Relation("user", "user", "user"),
    Relation("address", "ip", "ip_address"),
    Relation("session", "session", "session_id"),
    Relation("rule", "rule", "rule_id"),
)


def members_of(row: Row) -> Query:
    """Build the query for the alerts of the same group, newest first."""
    found = _of_tenant(row).also(f"{LEAD} = {{lead:String}}", lead=row["lead"])
    return _newest(found, MEMBERS_MAX)


def related_by(relation: Relation, row: Row) -> Query:
    """Build the query for the newest alerts of other groups with the same value."""
    found = (
        _of_tenant(row)
        .also(f"{LEAD} != {{lead:String}}", lead=row["lead"])
        .also(f"{relation.column} = {{value:String}}", value=row[relation.column])
        .also("canary = {canary:Bool} AND lead_id IN ('', alert_id)", canary=bool(row["canary"]))
    )
    return _newest(found, RELATED_MAX)


def _of_tenant(row: Row) -> Conditions:
    """Begin with the tenant of an alert that its reader was let see."""
    return Conditions(("tenant = {tenant:String}",), {"tenant": row["tenant"]})


def _newest(found: Conditions, rows: int) -> Query:
    sql = (
        f"SELECT {ALERT_SELECT}, count() OVER () AS total FROM {ALERTS} FINAL "
        f"WHERE {found.where()} ORDER BY alerts.recorded DESC, alert_id DESC LIMIT {{rows:UInt32}}"
    )
    return Query(sql, {**found.parameters, "rows": rows})
