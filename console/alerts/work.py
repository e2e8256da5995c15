"""Changing alerts: one or many, each decided, told of and written alone."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from console.alerts import queries as alert_queries
from console.alerts import rendering as alert_rendering
from console.alerts.changes import AlertChange, State, decide, event_of, fold, who_of
from console.search.rendering import Row
from console.web.context import Api
from console.web.problems import Refused, problem_of_error
from schemas.errors import Unavailable
from schemas.views import AlertChangeAsked

UNTRIED: Final = "not tried: the event of the one before could not be recorded"
Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Planned:
    """What one group's alert is about to become."""

    row: Row
    changes: Sequence[AlertChange]


async def one_alert(api: Api, alert_id: str) -> Row:
    """Return an alert by its id or how that begins. Raises `Refused` if that is none or several."""
    rows = await api.reader.rows(alert_queries.alert_by_id(alert_id, api.tenant))
    if not rows:
        raise Refused("not_found", "no alert has that id", field="alert_id")
    if len(rows) > 1:
        cure = "give more of it, or all"
        raise Refused("bad_parameter", "several ids begin so", field="alert_id", cure=cure)
    return rows[0]


async def change_one(api: Api, alert_id: str, asked: AlertChangeAsked) -> Answer:
    """Change an alert's group and return an `AlertChanged`. Raises `Refused` or `Unavailable`.

    The audit event is recorded first: no change is made that left none.
    """
    who = _checked(api, asked)
    row = await one_alert(api, alert_id)
    found = fold(await api.reader.rows(alert_queries.states([row["lead"]])))
    planned = _plan(api, row, decide(found.get(row["lead"], State()), asked, who), who)
    await _tell(api, planned)
    if planned.changes:
        await api.ports.change(planned.changes)
    return _answer(planned)


async def change_many(api: Api, ids: Iterable[str], asked: AlertChangeAsked) -> Mapping[str, Any]:
    """Change many and return an `AlertsChanged`: what fails for one leaves the others.

    Alerts of one group are changed once. Once an event can't be recorded, no more is tried.
    """
    who = _checked(api, asked)
    wanted = list(dict.fromkeys(ids))
    known = await api.reader.rows(alert_queries.alerts_by_id(wanted, api.tenant))
    found_rows = {row["alert_id"]: row for row in known}
    in_order = [found_rows[alert_id] for alert_id in wanted if alert_id in found_rows]
    rows = {row["lead"]: row for row in in_order}
    failed = [
        _failure(alert_id, "no alert has that id", "give the whole id")
        for alert_id in wanted
        if alert_id not in found_rows
    ]
    found = fold(await api.reader.rows(alert_queries.states(sorted(rows)))) if rows else {}
    told: list[Planned] = []
    is_full = False
    for lead, row in rows.items():
        if is_full:
            failed.append(_failure(row["alert_id"], UNTRIED, "try again"))
            continue
        try:
            planned = _plan(api, row, decide(found.get(lead, State()), asked, who), who)
            await _tell(api, planned)
        except (Refused, Unavailable) as error:
            is_full = isinstance(error, Unavailable) or error.kind == "unrecorded"
            fault = problem_of_error(error)
            failed.append(_failure(row["alert_id"], fault.detail, fault.cure))
        else:
            told.append(planned)
    if changes := [change for planned in told for change in planned.changes]:
        await api.ports.change(changes)
    return {"changed": [_answer(planned) for planned in told], "failed": failed}


async def rendered(api: Api, page: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the rows as `AlertOut`s, with what their groups have come to."""
    leads = sorted({row["lead"] for row in page})
    if not leads:
        return []
    states = fold(await api.reader.rows(alert_queries.states(leads)))
    sizes = {row["lead"]: row for row in await api.reader.rows(alert_queries.sizes(leads))}
    return [
        alert_rendering.render_alert(row, states.get(row["lead"], State()), sizes.get(row["lead"]))
        for row in page
    ]


def _checked(api: Api, asked: AlertChangeAsked) -> str:
    """Return who asks for a change. Raises `Refused` if there is nothing to change."""
    if asked.status is None and asked.assignee is None and asked.note is None:
        raise Refused("bad_parameter", "nothing to change", cure="give status, assignee or note")
    return who_of(api.principal, asked.by, api.operator)


def _plan(api: Api, row: Row, decided: Sequence[Any], who: str) -> Planned:
    at_ms = api.clock.now_ms()
    changes = [
        AlertChange(
            change_id=f"{at_ms:012x}{place:04x}{secrets.token_hex(8)}",  # in the order made
            alert_id=row["lead"],
            tenant=row["tenant"],
            at_ms=at_ms,
            who=who,
            kind=one.kind,
            before=one.before,
            value=one.value,
        )
        for place, one in enumerate(decided)
    ]
    return Planned(row, changes)


async def _tell(api: Api, planned: Planned) -> None:
    for change in planned.changes:
        await api.ports.record(event_of(change, planned.row["rule_id"], api.principal))


def _answer(planned: Planned) -> Answer:
    return {
        "alert_id": planned.row["lead"],
        "changes": [alert_rendering.render_made(change) for change in planned.changes],
        "audited": True,
    }


def _failure(alert_id: str, detail: str, cure: str) -> Answer:
    return {"alert_id": alert_id, "detail": detail, "cure": cure}
