"""The routes of alerts: list, show, change, count, and how targets fare."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from console.alerts import queries as alert_queries
from console.alerts import rendering as alert_rendering
from console.alerts.queries import AlertSearch, StatsSearch
from console.alerts.work import change_many, change_one, one_alert, rendered
from console.search import cursor
from console.search.rendering import Row
from console.web.context import Api, Asked, json_answer, needs, saw, whole
from schemas.alert_changes import AlertChangesAsked, AlertsChanged
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
    return json_answer({"alerts": await rendered(api, page), "next": following, "after": after})


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
    row = await one_alert(api, alert_id)
    tried = await api.reader.rows(alert_queries.deliveries_of(row["alert_id"]))
    changes = await api.reader.rows(alert_queries.changes_of(row["lead"]))
    await saw(api, "/v1/alerts/{alert_id}", {"alert_id": alert_id}, 1)
    return json_answer(
        {
            "alert": (await rendered(api, [row]))[0],
            "deliveries": [alert_rendering.render_delivery(one) for one in tried],
            "history": [alert_rendering.render_change(one) for one in changes],
        }
    )


@routes.post(
    "/{alert_id}/changes", response_model=AlertChanged, dependencies=[needs("work_alerts")]
)
async def change_alert(api: Asked, alert_id: str, asked: AlertChangeAsked) -> Response:
    """Change the status or the assignee of an alert's group, or add a note.

    The audit event is recorded first: no change is made that left none.
    """
    return json_answer(await change_one(api, alert_id, asked))


@routes.post("/changes", response_model=AlertsChanged, dependencies=[needs("work_alerts")])
async def change_alerts(api: Asked, asked: AlertChangesAsked) -> Response:
    """Change many alerts alike; what fails for one leaves the others."""
    return json_answer(await change_many(api, asked.ids, asked))


def _now_us(api: Api) -> int:
    return api.clock.now_ms() * 1000


def _after(row: Mapping[str, Any], question: str) -> str:
    return cursor.encode(cursor.Cursor(row["stored_ms"] * 1000, (row["alert_id"],)), question)
