"""The views that people with SQL read: what each is, and how it is narrowed for whoever asks.

Pure. schemas/migrations/004_views.sql makes them, docs/sql.md tells of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from console.access import Permission, Principal


@dataclass(frozen=True, slots=True)
class View:
    """One view. `tenanted` has a tenant in each row; others only those see who reach all."""

    name: str
    about: str
    tenanted: bool = True
    needs: Permission = "read_events"


VIEWS: Final = (
    View("events_v1", "one row an event, with what was derived of it"),
    View("changes_v1", "one row a changed value, before and after"),
    View("alerts_v1", "one row an alert", needs="read_alerts"),
    View("alert_changes_v1", "what was done with alerts", needs="read_alerts"),
    View("reads_v1", "who read what of this log", needs="read_reads"),
    View("quarantine_v1", "messages that became no event", tenanted=False, needs="read_health"),
    View("batches_v1", "the batches of the ledger", tenanted=False, needs="read_health"),
)


class Bound(NamedTuple):
    """From when to when, as the store takes it."""

    since: str
    until: str


class Narrowed(NamedTuple):
    """The beginning of a statement, in which each view is narrowed, and its parameters."""

    sql: str
    parameters: Mapping[str, Any]


def views_of(principal: Principal) -> list[View]:
    """Return the views that somebody may read."""
    return [
        view
        for view in VIEWS
        if principal.may(view.needs) and (view.tenanted or principal.tenant is None)
    ]


def narrowed(principal: Principal, database: str, bound: Bound) -> Narrowed:
    """Return `WITH name AS (…), …` for all views of somebody.

    They hide the views themselves: the statement runs where no table is, so that a name means
    either one of these or nothing.
    """
    parameters: dict[str, Any] = {"since": bound.since, "until": bound.until}
    where = "timestamp >= {since:DateTime64(6, 'UTC')} AND timestamp < {until:DateTime64(6, 'UTC')}"
    if principal.tenant is not None:
        parameters["tenant"] = principal.tenant
        where += " AND tenant = {tenant:String}"
    parts = ", ".join(
        f"{view.name} AS (SELECT * FROM `{database}`.{view.name} WHERE {where})"
        for view in views_of(principal)
    )
    return Narrowed(f"WITH {parts}", MappingProxyType(parameters))
