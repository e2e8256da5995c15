"""The pages of one user, address or session: everything that the log says of it."""

import asyncio
import ipaddress
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from console.entities import everything as entities
from console.entities.everything import DAYS, Entity
from console.pages.page import Page, Table, page
from console.query.conditions import Conditions
from console.query.scope import scoped
from console.query.write import and_, term
from console.search.brief import NEWEST, NEWEST_OF_FEW, Way, brief, brief_rows
from console.search.moment import rfc3339
from console.search.period import CHOICES, Period, PeriodAsked
from console.search.reading import BY_ALL, IN_ORDER
from console.web.context import Api, Asked, saw
from console.web.problems import Refused

routes: Final = APIRouter()
NAME_MAX: Final = 1_024  # as long as the longest of these fields in an event
_LEVELS: Final = 5  # shades of the week's hours
_TITLES: Final = {"user": "User", "address": "Address", "session": "Session"}


@page(routes, "/users/{user:path}", "read_events")
async def show_user(api: Asked, user: str, asked: Annotated[PeriodAsked, Query()]) -> Page:
    """Show everything of one user."""
    return await _show(api, "/users/{user}", Entity("user", bounded(user)), asked)


@page(routes, "/addresses/{ip:path}", "read_events")
async def show_address(api: Asked, ip: str, asked: Annotated[PeriodAsked, Query()]) -> Page:
    """Show everything that came from one address."""
    return await _show(api, "/addresses/{ip}", Entity("address", canonical(ip)), asked)


@page(routes, "/sessions/{session_id:path}", "read_events")
async def show_session(api: Asked, session_id: str, asked: Annotated[PeriodAsked, Query()]) -> Page:
    """Show everything of one session."""
    entity = Entity("session", bounded(session_id))
    return await _show(api, "/sessions/{session_id}", entity, asked, default="all")


async def _show(
    api: Api, path: str, entity: Entity, asked: PeriodAsked, default: str = "30d"
) -> Page:
    period = asked.period(api.clock.now_ms() * 1000, default)
    data = await portrait(api, entity, period, await events_of(api, entity, period))
    await saw(
        api, path, {"name": entity.name, **asked.model_dump(exclude_none=True)}, data["events"]
    )
    title = f"{_TITLES[entity.kind]} {entity.name}"
    about = {"ip" if entity.kind == "address" else entity.kind: entity.name}
    view = {**shapes(data), "about": about, "choices": CHOICES}
    return Page("entity.html", title, data, table_of(data), view)


async def events_of(api: Api, entity: Entity, period: Period) -> int:
    """Return how many events there are, up to `MANY`: it decides how the rest is asked."""
    rows = await api.reader.rows(
        entities.total(period.narrow(scoped(api.principal)), entity), BY_ALL
    )
    return int(rows[0]["events"])


def way_to(events: int) -> Way:
    """Return how the newest are best looked for among so many events of an entity."""
    return NEWEST_OF_FEW if entities.are_few(events) else NEWEST


async def portrait(api: Api, entity: Entity, period: Period, events: int) -> dict[str, Any]:
    """Ask all that a page of an entity with so many events shows, at once."""
    found = scoped(api.principal)
    inside = period.narrow(found)
    step_s = entities.step_of(period)
    newest = brief_rows(api.reader, entity.narrow(inside), entities.NEWEST_MAX)
    counts = entities.counts(inside, entity, step_s, events)
    counted, seen, met, new, alerts = await asyncio.gather(
        api.reader.rows(counts, way_to(events).reading),
        _seen(api, found, entity),
        _sessions(api, inside, entity),
        newest,
        _alerts(api, entity, period),
    )
    return {
        "kind": entity.kind,
        "name": entity.name,
        "part": entity.part or None,
        "period": period.data(),
        "query": and_(entity.query, *_bounds(period)),
        "events": min(events, entities.COUNTED_MAX),
        "events_are_more": not entities.are_few(events),
        **seen,
        **entities.render_counts(counted[0], entity, step_s),
        "sessions": met,
        "alerts": alerts,
        "newest": [brief(row) for row in new],
    }


def bounded(name: str) -> str:
    """Return a name from a path. Raises `Refused` for one that no event can have."""
    if not 0 < len(name) <= NAME_MAX:
        raise Refused("not_found", "no event can have that name")
    return name


def canonical(text: str) -> str:
    """Return an address as events have it. Raises `Refused` for what is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise Refused("not_found", "that is no address", cure="write 203.0.113.42") from error
    mapped = getattr(address, "ipv4_mapped", None)
    if int(address) == 0 or "%" in text:
        raise Refused("not_found", "no event can have that address")
    return str(mapped or address)


def shapes(data: dict[str, Any]) -> dict[str, Any]:
    """Return what the drawings need: shades of the week's hours, bars of risk over time."""
    busiest = max((count for day in data["hours"] for count in day), default=0)
    most = max((bar["events"] for bar in data["risk"]), default=0)
    return {
        "days": DAYS,
        "busiest": busiest,
        "shades": [[_shade(count, busiest) for count in day] for day in data["hours"]],
        "bars": [
            {**bar, "height": max(1, round(60 * bar["events"] / most)), "tone": _tone(bar["risk"])}
            for bar in data["risk"]
        ],
    }


def table_of(data: dict[str, Any]) -> Table:
    """Return the counts as rows."""
    rows = [
        (facet["field"], value["value"], value["part"], value["count"])
        for facet in data["facets"]
        for value in facet["values"]
    ]
    return Table(("field", "value", "part", "events"), rows)


def _bounds(period: Period) -> tuple[str, ...]:
    return tuple(
        term(name, moment)
        for name, moment in (("since", period.since), ("until", period.until))
        if moment
    )


async def _seen(api: Api, found: Conditions, entity: Entity) -> dict[str, str | None]:
    """Return when it was seen first and last, ever."""
    first, last = await asyncio.gather(
        api.reader.rows(entities.edge(found, entity, is_first=True), IN_ORDER),
        api.reader.rows(entities.edge(found, entity, is_first=False), IN_ORDER),
    )
    return {
        "first_seen": rfc3339(first[0]["at_us"]) if first else None,
        "last_seen": rfc3339(last[0]["at_us"]) if last else None,
    }


async def _sessions(api: Api, inside: Conditions, entity: Entity) -> list[dict[str, Any]]:
    if entity.kind in ("session", "resource"):
        return []
    rows = await api.reader.rows(entities.sessions(inside, entity), IN_ORDER)
    return [entities.render_session(row) for row in rows]


async def _alerts(api: Api, entity: Entity, period: Period) -> dict[str, Any] | None:
    """Return the entity's alerts; None for who may not read alerts."""
    if not api.principal.may("read_alerts"):
        return None
    rows = await api.reader.rows(entities.alerts(api.tenant, entity, period))
    return {
        "count": rows[0]["alerts"] if rows else 0,
        "newest": [entities.render_alert(row) for row in rows],
    }


def _shade(count: int, busiest: int) -> int:
    return 0 if not count else max(1, -(-_LEVELS * count // busiest))


def _tone(risk: int) -> str:
    for tone, least in (("high", 60), ("medium", 30)):
        if risk >= least:
            return tone
    return "low"
