"""The page of one event: who, where, what, what changed, its bytes, and what lies around it."""

import base64
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from console.alerts import of_event as event_alerts
from console.entities import diff
from console.pages import event_view
from console.pages.event_view import Around
from console.pages.page import Page, page
from console.pages.rendering import link
from console.pages.search import address_of
from console.search import around, lookups
from console.search.provenance import provenance
from console.search.rendering import Row, details_text, render_event, render_raw
from console.web.context import Api, Asked, saw
from console.web.problems import Refused

routes: Final = APIRouter()
AROUND_EACH: Final = 8  # on both sides: what a screen shows
OTHERS_SHOWN: Final = 20

Way = Literal["session", "resource", "user", "ip", "none"]


class EventAsked(BaseModel):
    """How much of the event to show, and what around it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    around: Annotated[Way | None, Field(description="By what to look before and after.")] = None
    all: Annotated[str | None, Field(max_length=1, description="Fold nothing.")] = None


@page(routes, "/events/{event_id:path}", "read_events")
async def show_event(api: Asked, event_id: str, asked: Annotated[EventAsked, Query()]) -> Page:
    """Show one event, named by its id or its place."""
    row, *others = await found_rows(api, event_id)
    ways = event_view.arounds(row, api.principal)
    way = _chosen(ways, asked.around)
    near = [] if way is None else await around.neighbours(api.reader, way.found, row, AROUND_EACH)
    origin = await provenance(api, row)
    alerts: Sequence[Mapping[str, Any]] = []
    if api.principal.may("read_alerts"):
        alerts = await event_alerts.naming(api, row)
    raw, raw_base64 = None, None
    if api.principal.may("read_raw"):
        raw, raw_base64 = render_raw(base64.b64decode(row["raw64"]))
    await saw(api, "/events/{event_id}", {"event_id": event_id, **_said(asked)}, 1 + len(near))
    data: dict[str, Any] = {
        "event": render_event(row),
        "raw": raw,
        "raw_base64": raw_base64,
        "provenance": origin,
        "others": [render_event(other) for other in others[:OTHERS_SHOWN]],
        "alerts": alerts,
        "around": way and {"by": way.key, "events": [render_event(one) for one in near]},
    }
    view = _shown(row, near, asked, ways, way)
    view |= _bytes(raw, raw_base64, whole=bool(asked.all))
    view["others"] = [
        {"address": address_of(other), "event": event}
        for other, event in zip(others[:OTHERS_SHOWN], data["others"], strict=False)
    ]
    title = f"{event_view.in_words(row['action'])} · {row['user']}"
    return Page("event.html", title[:120], data, None, view)


async def found_rows(api: Api, event_id: str) -> Sequence[Row]:
    """Return the event, and others of the same id. Raises `Refused` where none may be seen."""
    rows = await api.reader.rows(lookups.event_by_id(event_id, api.principal))
    placed = None if rows else lookups.event_by_place(event_id, api.principal)
    if placed is not None:
        rows = await api.reader.rows(placed)
    if not rows:
        raise Refused("not_found", "no event that you may see has that id", field="event_id")
    return rows


def _said(asked: EventAsked) -> dict[str, Any]:
    return asked.model_dump(exclude_none=True)


def _chosen(ways: Sequence[Around], asked: Way | None) -> Around | None:
    """Return the way asked for, else the first that the event has."""
    if asked == "none":
        return None
    return next((way for way in ways if way.key == asked), ways[0])


def _shown(
    row: Row, near: Sequence[Row], asked: EventAsked, ways: Sequence[Around], way: Around | None
) -> dict[str, Any]:
    address = address_of(row)
    whole = bool(asked.all)
    base = link_to(address)
    return {
        "address": address,
        "place": f"{row['partition']}:{row['offset']}",
        "words": event_view.in_words(row["action"]),
        "lines": diff.changes_of(row["changed"], row["before"], row["after"], row["action"]),
        "tree": event_view.tree(details_text(row), whole=whole),
        "whole_link": link(base, around=asked.around, all=1),
        "is_whole": whole,
        "ways": [(link(base, around=one.key), one.title, None) for one in ways],
        "way": way,
        "way_link": link(base, around=way.key) if way else "",
        "near": [
            {
                "address": address_of(one),
                "event": render_event(one),
                "is_this": _same(one, row),
                "words": event_view.in_words(one["action"]),
            }
            for one in near
        ],
    }


def link_to(address: str) -> str:
    """Return the path of an event's page; its address is safe as it is."""
    return f"/events/{address}"


def _same(one: Row, other: Row) -> bool:
    names = ("incarnation", "partition", "offset")
    return all(one[name] == other[name] for name in names)


def _bytes(raw: str | None, raw_base64: str | None, *, whole: bool) -> dict[str, Any]:
    pretty = None if raw is None else event_view.prettied(raw)
    return {
        "verbatim": None if raw is None else event_view.fold(raw, whole=whole),
        "pretty": None if pretty is None else event_view.fold(pretty, whole=whole),
        "encoded": None if raw_base64 is None else event_view.fold(raw_base64, whole=whole),
    }
