"""The routes of alerts: list, show, change, count, and how targets fare."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from console import alert_queries, alert_rendering, cursor
from console.alert_changes import AlertChange, State, decide, event_of, fold
from console.alert_queries import AlertSearch, StatsSearch
from console.context import Api, Asked, json_answer, needs, saw, whole
from console.problems import Refused
from console.rendering import Row
from schemas.views import (
    AlertChangeAsked,
    AlertChanged,
    AlertFound,
    AlertPage,
    AlertStats,
    TargetList,
)

routes: Final = APIRouter(prefix="/alerts")


@routes.get("", response_model=AlertPage, dependencies=[needs("read_alerts")])
async def list_alerts(api: Asked, asked: Annotated[AlertSearch, Query()]) -> Response:
    """List alerts, newest first; with `after` those stored since then, oldest first."""
    question = asked.question()
    newest: Sequence[Row] = []
    if asked.after is None:
        newest = await api.reader.rows(alert_queries.newest_alert(asked, api.tenant))
    rows = await api.reader.rows(alert_queries.alerts(asked, api.tenant, _now_us(api)))
    page = rows[: asked.limit]
    following, after = None, asked.after
    if asked.after is None:
        if len(rows) > asked.limit:
            last = cursor.Cursor(page[-1]["recorded_ms"] * 1000, (page[-1]["alert_id"],))
            following = cursor.encode(last, question)
        start = newest[0] if newest else {"stored_ms": 0, "alert_id": ""}
        after = _after(start, question)
    elif page:
        after = _after(page[-1], question)
    await saw(api, "/v1/alerts", asked.model_dump(exclude_none=True), len(page))
    return json_answer({"alerts": await _rendered(api, page), "next": following, "after": after})


@routes.get("/stats", response_model=AlertStats, dependencies=[needs("read_alerts")])
async def show_stats(api: Asked, asked: Annotated[StatsSearch, Query()]) -> Response:
    """Count alerts by rule and status: which are noise, and how long they wait."""
    now_us = _now_us(api)
    rules = await api.reader.rows(alert_queries.stats_by_rule(asked, api.tenant, now_us))
    statuses = await api.reader.rows(alert_queries.stats_by_status(asked, api.tenant, now_us))
    await saw(api, "/v1/alerts/stats", asked.model_dump(exclude_none=True), len(rules))
    return json_answer(
        {
            "rules": [dict(row) for row in rules],
            "statuses": [alert_rendering.render_status_count(row) for row in statuses],
        }
    )


@routes.get("/targets", response_model=TargetList, dependencies=[needs("read_health")])
async def list_targets(api: Asked) -> Response:
    """Say how each target fares: what it took, what failed, what waits for it."""
    whole(api)
    rows = await api.reader.rows(alert_queries.target_states(api.tenant))
    found = {row["target"]: row for row in rows}
    names = [*api.ports.targets, *(name for name in found if name not in api.ports.targets)]
    await saw(api, "/v1/alerts/targets", {}, len(names))
    configured = frozenset(api.ports.targets)
    targets = [alert_rendering.render_target(name, found.get(name), configured) for name in names]
    return json_answer({"targets": targets})


@routes.get("/{alert_id}", response_model=AlertFound, dependencies=[needs("read_alerts")])
async def show_alert(api: Asked, alert_id: str) -> Response:
    """Show one alert with each attempt to deliver it and what was done with it."""
    row = await _one(api, alert_id)
    tried = await api.reader.rows(alert_queries.deliveries_of(row["alert_id"]))
    changes = await api.reader.rows(alert_queries.changes_of(row["lead"]))
    await saw(api, "/v1/alerts/{alert_id}", {"alert_id": alert_id}, 1)
    return json_answer(
        {
            "alert": (await _rendered(api, [row]))[0],
            "deliveries": [alert_rendering.render_delivery(one) for one in tried],
            "history": [alert_rendering.render_change(one) for one in changes],
        }
    )


@routes.post(
    "/{alert_id}/changes", response_model=AlertChanged, dependencies=[needs("work_alerts")]
)
async def change_alert(api: Asked, alert_id: str, asked: AlertChangeAsked) -> Response:
    """Change the status or the assignee of an alert's group, or add a note.

    The audit event is published first: no change is made that left none.
    """
    if asked.status is None and asked.assignee is None and asked.note is None:
        raise Refused("bad_parameter", "nothing to change", cure="give status, assignee or note")
    row = await _one(api, alert_id)
    found = fold(await api.reader.rows(alert_queries.states([row["lead"]])))
    decided = decide(found.get(row["lead"], State()), asked)
    at_ms = api.clock.now_ms()
    changes = [
        AlertChange(
            change_id=f"{at_ms:012x}{place:04x}{secrets.token_hex(8)}",  # in the order made
            alert_id=row["lead"],
            tenant=row["tenant"],
            at_ms=at_ms,
            who=asked.by,
            kind=one.kind,
            before=one.before,
            value=one.value,
        )
        for place, one in enumerate(decided)
    ]
    publish = api.ports.publish
    if publish is not None:
        for change in changes:
            await publish(event_of(change, row["rule_id"]))
    if changes:
        await api.ports.change(changes)
    return json_answer(
        {
            "alert_id": row["lead"],
            "changes": [alert_rendering.render_made(change) for change in changes],
            "audited": publish is not None,
        }
    )


async def _one(api: Api, alert_id: str) -> Row:
    rows = await api.reader.rows(alert_queries.alert_by_id(alert_id, api.tenant))
    if not rows:
        raise Refused("not_found", "no alert has that id", field="alert_id")
    if len(rows) > 1:
        cure = "give more of it, or all"
        raise Refused("bad_parameter", "several ids begin so", field="alert_id", cure=cure)
    return rows[0]


async def _rendered(api: Api, page: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the rows with what their groups have come to."""
    leads = sorted({row["lead"] for row in page})
    if not leads:
        return []
    states = fold(await api.reader.rows(alert_queries.states(leads)))
    sizes = {row["lead"]: row for row in await api.reader.rows(alert_queries.sizes(leads))}
    return [
        alert_rendering.render_alert(row, states.get(row["lead"], State()), sizes.get(row["lead"]))
        for row in page
    ]


def _now_us(api: Api) -> int:
    return api.clock.now_ms() * 1000


def _after(row: Mapping[str, Any], question: str) -> str:
    return cursor.encode(cursor.Cursor(row["stored_ms"] * 1000, (row["alert_id"],)), question)
