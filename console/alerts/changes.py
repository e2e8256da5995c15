"""What may be done with an alert, and what is kept of it: rows of history, and an event. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from console.access import Principal
from console.search.moment import rfc3339
from console.web.problems import Refused
from schemas.alert import Status
from schemas.views import AlertChangeAsked

CLOSED: Final = frozenset({"resolved", "false_positive"})
SOURCE: Final = "audit-console"
_ACTIONS: Final[dict[str, str]] = {
    "open": "security.alert.reopened",
    "acknowledged": "security.alert.acknowledged",
    "resolved": "security.alert.resolved",
    "false_positive": "security.alert.dismissed",
}


@dataclass(frozen=True, slots=True)
class State:
    """Where an alert stands."""

    status: Status = "open"
    assignee: str = ""


@dataclass(frozen=True, slots=True)
class AlertChange:
    """One row of history; `before` is "" for a note."""

    change_id: str
    alert_id: str
    tenant: str
    at_ms: int
    who: str
    kind: str
    before: str
    value: str


@dataclass(frozen=True, slots=True)
class Change:
    """What changes, before it has an id and a time."""

    kind: str
    before: str
    value: str


def who_of(principal: Principal, by: str | None, operator: str = "") -> str:
    """Return who does it. Raises `Refused` if somebody names another.

    The service's token stands for whoever can read its file, so only it says who that is: by
    `by`, or by what its caller claims to be, the `operator`.
    """
    if principal.kind == "service":
        return by or operator or principal.name
    if by not in (None, principal.name):
        raise Refused(
            "forbidden",
            "a token or session stands for one person, and names nobody else",
            field="by",
            cure="leave by out",
        )
    return principal.name


def decide(state: State, asked: AlertChangeAsked, who: str) -> list[Change]:
    """Return what changes when `who` asks; nothing if it is so already. Raises `Refused`.

    Who acknowledges an alert that is nobody's takes it.
    """
    changes: list[Change] = []
    assignee = asked.assignee
    if asked.status is not None and asked.status != state.status:
        if asked.status == "acknowledged" and state.status in CLOSED:
            raise Refused(
                "wrong_state",
                f"the alert is closed ({state.status})",
                field="status",
                cure="reopen it first",
            )
        changes.append(Change("status", state.status, asked.status))
        if asked.status == "acknowledged" and assignee is None and not state.assignee:
            assignee = who
    if assignee is not None and assignee != state.assignee:
        changes.append(Change("assignee", state.assignee, assignee))
    if asked.note is not None:
        changes.append(Change("note", "", asked.note))
    return changes


def event_of(change: AlertChange, rule_id: str, principal: Principal) -> Mapping[str, Any]:
    """Return the audit event of a change, as any producer would publish it."""
    action = {
        "status": _ACTIONS.get(change.value, "security.alert.changed"),
        "assignee": "security.alert.assigned",
        "note": "security.alert.noted",
    }[change.kind]
    details: dict[str, Any] = {"rule": rule_id}
    if change.kind == "note":
        details["note"] = change.value
    else:
        details["before"] = {change.kind: change.before}
        details["after"] = {change.kind: change.value}
    where = {"ip_address": principal.client, "session_id": principal.key}
    return {
        **{name: value for name, value in where.items() if value},
        "timestamp": rfc3339(change.at_ms * 1000, digits=3),
        "event_id": change.change_id,
        "tenant": change.tenant,
        "user": change.who,
        "action": action,
        "result": "success",
        "resource": "alert",
        "resource_id": change.alert_id,
        "source": SOURCE,
        "details": details,
    }


def fold(rows: Sequence[Mapping[str, Any]]) -> dict[str, State]:
    """Return where each alert stands by its id; one without a row is open and nobody's."""
    return {row["alert_id"]: State(row["status"], row["assignee"]) for row in rows}
