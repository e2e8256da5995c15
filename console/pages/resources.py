"""The page of a resource: who changed this setting and when, and what it was at any moment."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import Field

from console.entities import resources
from console.entities.everything import Entity, are_few
from console.pages.entities import events_of, portrait, shapes
from console.pages.page import Page, Table, page
from console.query.conditions import Conditions
from console.query.scope import scoped
from console.search.brief import NEWEST, NEWEST_OF_FEW, brief, brief_rows
from console.search.moment import parse_moment, rfc3339
from console.search.period import CHOICES, Period, PeriodAsked
from console.search.reading import IN_ORDER
from console.web.context import Api, Asked, saw

routes: Final = APIRouter()
_COLUMNS: Final = (
    "timestamp", "user", "role", "action", "result", "resource", "resource_id", "path", "before",
    "after", "reason", "ip_address", "session_id", "event_id",
)  # fmt: skip


class ResourceAsked(PeriodAsked):
    """Which resource, of which time; `at` asks for its value then, `marked` for what stands out."""

    resource: Annotated[str, Field(max_length=1024)] = ""
    resource_id: Annotated[str, Field(max_length=1024)] = ""
    at: Annotated[str, Field(max_length=40)] = ""
    marked: bool = False


@page(routes, "/resources", "read_events")
async def show_resource(api: Asked, asked: Annotated[ResourceAsked, Query()]) -> Page:
    """Show the history of one resource, or which ones there are."""
    now_us = api.clock.now_ms() * 1000
    if not asked.resource:
        return await _list(api, asked, asked.period(now_us))
    period = asked.period(now_us)
    entity = Entity("resource", asked.resource, asked.resource_id)
    own = entity.narrow(scoped(api.principal))
    (data, history), value = await asyncio.gather(
        _portrait(api, entity, period, is_marked=asked.marked), _value(api, own, asked.at, now_us)
    )
    data |= {"history": history, "value": value, "at": asked.at or None}
    await saw(api, "/resources", asked.model_dump(exclude_defaults=True), data["events"])
    title = " ".join(part for part in ("Resource", asked.resource, asked.resource_id) if part)
    extra = {"resource": asked.resource, "resource_id": asked.resource_id}
    since = {"since": asked.since, "until": asked.until}
    view = {**shapes(data), "choices": CHOICES, "extra": extra, "given": {**extra, **since}}
    view["runs"] = resources.runs(history["changes"])
    return Page("resource.html", title, data, _table(history["changes"]), view)


async def _list(api: Api, asked: ResourceAsked, period: Period) -> Page:
    rows = await api.reader.rows(resources.listed(period.narrow(scoped(api.principal))))
    found = [resources.render_listed(row) for row in rows]
    await saw(api, "/resources", asked.model_dump(exclude_defaults=True), len(found))
    data = {"resources": found, "period": period.data(), "limit": resources.LISTED_MAX}
    names = ("resource", "events", "parts", "people", "changes", "last")
    table = Table(names, [[row[name] for name in names] for row in found])
    return Page("resources.html", "Resources", data, table, {"choices": CHOICES})


async def _portrait(
    api: Api, entity: Entity, period: Period, *, is_marked: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return all of a resource, and its history."""
    events = await events_of(api, entity, period)
    data = await portrait(api, entity, period, events)
    found = resources.changing(period.narrow(entity.narrow(scoped(api.principal))))
    if is_marked:
        found = resources.marked(found)
    if data["changes"] or not are_few(events):  # else all were counted, and none is a change
        wanted = resources.HISTORY_MAX + 1
        way = NEWEST if data["changes"] >= wanted and not is_marked else NEWEST_OF_FEW
        rows = await brief_rows(api.reader, found, wanted, way=way)
    else:
        rows = []
    changes = [brief(row) for row in rows[: resources.HISTORY_MAX]]
    changes = [change | {"marked": resources.is_marked(change)} for change in changes]
    is_cut = len(rows) > resources.HISTORY_MAX
    return data, {"only_marked": is_marked, "changes": changes, "is_cut": is_cut}


async def _value(api: Api, own: Conditions, at: str, now_us: int) -> dict[str, Any] | None:
    if not at:
        return None
    at_us = parse_moment(at, now_us, "at")
    before, after = await asyncio.gather(
        api.reader.rows(resources.steps(own, at_us, is_before=True), IN_ORDER),
        api.reader.rows(resources.steps(own, at_us, is_before=False), IN_ORDER),
    )
    is_cut = resources.STEPS_MAX in (len(before), len(after))
    values = resources.values_at(before, after)
    return {"at": rfc3339(at_us), "values": values, "is_cut": is_cut}


def _table(changes: list[dict[str, Any]]) -> Table:
    """Return one row a changed path; a change that names none is one row, too."""
    rows = []
    for change in changes:
        for line in change["changes"] or [{"path": "", "before": None, "after": None}]:
            whole = {**change, **{name: line[name] for name in ("path", "before", "after")}}
            rows.append([whole[name] for name in _COLUMNS])
    return Table(_COLUMNS, rows)
