"""The queue of alerts: what is to be worked on first, narrowed, and how many there are."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from console.alerts.queries import (
    LEAD,
    RANKS,
    STATES_SELECT,
    AlertSearch,
    wanted,
)
from console.search.asked import Conditions, Query
from console.search.cursor import Cursor, Part, decode, encode, fingerprint
from console.search.lookups import Moment, Text, Token, period_of
from console.search.rendering import Row
from schemas.alert import SEVERITIES, STATUSES, Severity, Status
from schemas.tables import ALERT_CHANGES, ALERTS

ROWS_DEFAULT: Final = 50
ROWS_MAX: Final = 200  # as many as one bulk action takes
NOBODY: Final = "-"  # as assignee: whose nobody is
ASSIGNEES_MAX: Final = 100
QUEUE_KEY: Final[tuple[type[Part], ...]] = (str, int, int)
# Where an alert stands in the queue. Of those that nobody has touched, the ones whose events were
# old when they came in stand apart: nobody was told of them, and they would hide what happens now.
View = Status | Literal["past", "closed", "active", "any"]
PLACES: Final = ("open", "acknowledged", "past", "resolved", "false_positive")
PLACES_OF: Final[Mapping[View, Sequence[str]]] = {
    **{place: (place,) for place in PLACES},
    "closed": ("resolved", "false_positive"),
    "active": ("open", "acknowledged", "past"),
    "any": PLACES,
}
_STAGES: Final = ", ".join(f"'{status}'" for status in STATUSES)
# The worst first; among them whoever has waited longest.
_ORDERS: Final = {
    "severity": ("stage", "-rank", "recorded_ms"),
    "newest": ("toInt64(0)", "toInt64(0)", "-recorded_ms"),
    "oldest": ("toInt64(0)", "toInt64(0)", "recorded_ms"),
}


class QueueSearch(BaseModel):
    """Which alerts to work on. A field that a form sends empty narrows nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: View = "open"
    severity: Severity | None = None
    rule: Text | None = None
    user: Text | None = None
    ip: Text | None = None
    session: Text | None = None
    tag: Text | None = None
    assignee: Text | None = None
    since: Moment | None = None
    until: Moment | None = None
    shown: Literal["findings", "suppressed", "canaries"] = "findings"
    grouped: bool = True
    order: Literal["severity", "newest", "oldest"] = "severity"
    limit: Annotated[int, Field(ge=1, le=ROWS_MAX)] = ROWS_DEFAULT
    cursor: Token | None = None
    changed: Annotated[int, Field(ge=0, le=ROWS_MAX)] | None = None

    @model_validator(mode="before")
    @classmethod
    def leave_out_what_is_empty(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Drop what a form sends of fields that were not filled in."""
        return {name: value for name, value in given.items() if value != ""}

    def question(self) -> str:
        """Name the question without its page."""
        hidden = {"limit", "cursor", "changed"}
        return fingerprint(self.model_dump(exclude=hidden, exclude_none=True))

    def filters(self) -> AlertSearch:
        """Return the same as the REST API takes it."""
        return AlertSearch(
            severity=self.severity,
            rule=self.rule,
            user=self.user,
            ip=self.ip,
            session=self.session,
            tag=self.tag,
            assignee="" if self.assignee == NOBODY else self.assignee,
            since=self.since,
            until=self.until,
            suppressed=self.shown == "suppressed",
            canary=self.shown == "canaries",
            grouped=self.grouped,
        )

    def without_page(self) -> dict[str, Any]:
        """Return what was chosen, as parameters of a link."""
        hidden = {"cursor", "changed"}
        chosen = self.model_dump(mode="json", exclude=hidden, exclude_defaults=True)
        return {
            name: str(value).lower() if isinstance(value, bool) else value
            for name, value in chosen.items()
        }


def queue(asked: QueueSearch, tenant: str | None, now_us: int) -> Query:
    """Build the query for which alerts a page holds, in order, and one more. Raises `Refused`."""
    first, second, third = _ORDERS[asked.order]
    beyond = Conditions((), {})
    if asked.cursor is not None:
        at = decode(asked.cursor, asked.question(), QUEUE_KEY)
        beyond = beyond.also(
            "(k1, k2, k3, alert_id) > ({c1:Int64}, {c2:Int64}, {c3:Int64}, {c_id:String})",
            c1=at.key[1],
            c2=at.key[2],
            c3=at.moment_us,
            c_id=at.key[0],
        )
    beyond = beyond.also("place IN {places:Array(String)}", places=list(PLACES_OF[asked.status]))
    found = _narrowed(asked.filters(), tenant, now_us)
    sql = (
        f"SELECT alert_id, toInt64({first}) AS k1, toInt64({second}) AS k2, "
        f"toInt64({third}) AS k3 FROM ({_staged(found)}) WHERE {beyond.where()} "
        "ORDER BY k1, k2, k3, alert_id LIMIT {rows:UInt32}"
    )
    return Query(sql, {**found.parameters, **beyond.parameters, "rows": asked.limit + 1})


def counts(asked: QueueSearch, tenant: str | None, now_us: int) -> Query:
    """Build the query for how many there are of each place and severity. Raises `Refused`."""
    filters = asked.filters().model_copy(update={"severity": None})
    found = _narrowed(filters, tenant, now_us)
    sql = f"SELECT place, severity, count() AS n FROM ({_staged(found)}) GROUP BY place, severity"
    return Query(sql, found.parameters)


def assignees(tenant: str | None) -> Query:
    """Build the query for whom alerts were given to of late, to choose from."""
    only = "" if tenant is None else " AND tenant = {tenant:String}"
    sql = (
        f"SELECT value FROM {ALERT_CHANGES} WHERE kind = 'assignee' AND value != ''{only} "
        "GROUP BY value ORDER BY max(at) DESC LIMIT {rows:UInt32}"
    )
    parameters = {"rows": ASSIGNEES_MAX}
    return Query(sql, parameters if tenant is None else {**parameters, "tenant": tenant})


def following(last: Row, question: str) -> str:
    """Return the cursor after a row of `queue`."""
    return encode(Cursor(int(last["k3"]), (last["alert_id"], last["k1"], last["k2"])), question)


def tally(rows: Iterable[Row], asked: QueueSearch) -> dict[str, Any]:
    """Return the counts by status among the severities chosen, and the other way around."""
    found = list(rows)
    by_place = dict.fromkeys(PLACES, 0)
    by_severity = dict.fromkeys(reversed(SEVERITIES), 0)
    for row in found:
        if asked.severity in (None, row["severity"]):
            by_place[row["place"]] += row["n"]
        if row["place"] in PLACES_OF[asked.status]:
            by_severity[row["severity"]] += row["n"]
    return {
        "status": {
            view: sum(by_place[place] for place in places) for view, places in PLACES_OF.items()
        },
        "severity": by_severity,
        "total": sum(row["n"] for row in found),
    }


def _narrowed(filters: AlertSearch, tenant: str | None, now_us: int) -> Conditions:
    found = wanted(filters, tenant)
    return period_of(found, "recorded", filters.since, filters.until, now_us)


def _staged(found: Conditions) -> str:
    """Return the SELECT of narrow columns: each alert with where its group stands."""
    return (
        "SELECT alert_id, severity, recorded_ms, if(state = '', 'open', state) AS status_name, "
        "if(status_name = 'open' AND historical, 'past', status_name) AS place, "
        f"toInt64(indexOf([{_STAGES}], status_name)) AS stage, "
        f"toInt64(indexOf([{RANKS}], severity)) AS rank "
        f"FROM (SELECT alert_id, severity, historical, {LEAD} AS lead, "
        f"toUnixTimestamp64Milli(recorded) AS recorded_ms FROM {ALERTS} FINAL "
        f"WHERE {found.where()}) AS a LEFT JOIN (SELECT alert_id AS touched, status AS state "
        f"FROM ({STATES_SELECT} GROUP BY alert_id)) AS c ON c.touched = a.lead"
    )
