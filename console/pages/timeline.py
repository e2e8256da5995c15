"""The timeline: what happened before the system misbehaved, in order, around a moment."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from console.entities import timeline
from console.entities.everything import Entity
from console.entities.timeline import MINUTES_DEFAULT, MINUTES_MAX
from console.pages.entities import canonical
from console.pages.page import Page, Table, page
from console.pages.rendering import link
from console.query.conditions import Conditions
from console.query.scope import scoped
from console.query.write import and_, between, term
from console.search.brief import OLDEST, brief, brief_rows
from console.search.moment import parse_moment, rfc3339
from console.web.context import Api, Asked, saw

routes: Final = APIRouter()
_MINUTE_US: Final = 60_000_000
_NAMES: Final = {"user": "User", "session": "Session", "resource": "Resource", "ip": "Address"}
SPANS: Final = (5, 15, 60, 240, 1440)


class TimelineAsked(BaseModel):
    """Around which moment, how far, and of what; `notable` leaves out what is everyday."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: Annotated[str, Field(max_length=40)] = ""
    minutes: Annotated[int, Field(ge=1, le=MINUTES_MAX)] = MINUTES_DEFAULT
    user: Annotated[str, Field(max_length=256)] = ""
    resource: Annotated[str, Field(max_length=1024)] = ""
    session: Annotated[str, Field(max_length=128)] = ""
    ip: Annotated[str, Field(max_length=64)] = ""
    notable: bool = False

    def columns(self) -> dict[str, str]:
        """Return the columns of alerts that must be equal to what is asked for."""
        given = {
            "user": self.user,
            "resource": self.resource,
            "session_id": self.session,
            "ip_address": canonical(self.ip) if self.ip else "",
        }
        return {column: value for column, value in given.items() if value}

    def narrow(self, found: Conditions) -> Conditions:
        """Narrow events to what is asked for."""
        for kind, name in (("user", self.user), ("resource", self.resource)):
            if name:
                found = Entity("user" if kind == "user" else "resource", name).narrow(found)
        if self.session:
            found = Entity("session", self.session).narrow(found)
        if self.ip:
            found = Entity("address", canonical(self.ip)).narrow(found)
        return found.also(timeline.NOTABLE) if self.notable else found

    def query(self, since: str, until: str) -> str:
        """Return the query that finds the same events, but for `notable`."""
        given = (
            ("user", self.user),
            ("resource", self.resource),
            ("session", self.session),
            ("ip", self.ip),
        )
        return and_(*(term(name, value) for name, value in given if value), between(since, until))


@page(routes, "/timeline", "read_events")
async def show_timeline(api: Asked, asked: Annotated[TimelineAsked, Query()]) -> Page:
    """Show what happened around a moment."""
    now_us = api.clock.now_ms() * 1000
    at_us = parse_moment(asked.at, now_us, "at") if asked.at else now_us
    since_us, until_us = at_us - asked.minutes * _MINUTE_US, at_us + asked.minutes * _MINUTE_US
    found = asked.narrow(scoped(api.principal))
    inside = timeline.between(found, since_us, until_us)
    counted, before, after, alerts = await asyncio.gather(
        api.reader.rows(timeline.counts(inside, at_us)),
        brief_rows(api.reader, timeline.between(found, since_us, at_us), timeline.SIDE_MAX),
        brief_rows(
            api.reader,
            timeline.between(found, at_us, until_us),
            timeline.SIDE_MAX,
            way=OLDEST,
        ),
        _alerts(api, asked, since_us, until_us),
    )
    entries = [timeline.entry(brief(row), row["occurred_us"]) for row in (*before, *after)]
    groups = timeline.minutes([*entries, *alerts], at_us)
    data = {
        "at": rfc3339(at_us),
        "since": rfc3339(since_us),
        "until": rfc3339(until_us),
        "minutes": asked.minutes,
        **{name: counted[0][name] for name in ("events", "changes", "failed", "loud")},
        "alerts": len(alerts),
        "earlier": counted[0]["before"] - len(before),
        "later": counted[0]["events"] - counted[0]["before"] - len(after),
        "groups": groups,
        "query": asked.query(rfc3339(since_us), rfc3339(until_us)),
        "asked": asked.model_dump(exclude={"at", "minutes"}),
    }
    await saw(api, "/timeline", asked.model_dump(exclude_defaults=True), len(entries))
    view = {
        "moves": _moves(asked, at_us),
        "chips": _chips(asked, at_us),
        "offers": _offers(asked, at_us, timeline.things(entries, at_us)),
        "spans": SPANS,
        "is_given": bool(asked.at),
    }
    title = f"Timeline around {rfc3339(at_us)[:19].replace('T', ' ')} UTC"
    return Page(
        "timeline.html", title, data, Table(timeline.COLUMNS, timeline.rows_of(groups)), view
    )


async def _alerts(
    api: Api, asked: TimelineAsked, since_us: int, until_us: int
) -> list[dict[str, Any]]:
    if not api.principal.may("read_alerts"):
        return []
    rows = await api.reader.rows(timeline.alerts(api.tenant, asked.columns(), since_us, until_us))
    return [timeline.render_alert(row) for row in rows]


def _given(asked: TimelineAsked, at_us: int) -> dict[str, Any]:
    given = asked.model_dump(exclude={"notable"}) | {"at": rfc3339(at_us)}
    return given | ({"notable": "true"} if asked.notable else {})


def _chips(asked: TimelineAsked, at_us: int) -> list[tuple[str, str]]:
    """Return what it is narrowed to, and the address without each."""
    given = _given(asked, at_us)
    return [
        (f"{_NAMES[name]} {given[name]}", link("/timeline", **{**given, name: ""}))
        for name in timeline.NARROWERS
        if given[name]
    ]


def _offers(
    asked: TimelineAsked, at_us: int, things: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Return what it could be narrowed to, and the address of each."""
    given = _given(asked, at_us)
    return [
        (f"{_NAMES[name]} {value}", link("/timeline", **{**given, name: value}))
        for name, value in things
        if not given[name]
    ]


def _moves(asked: TimelineAsked, at_us: int) -> dict[str, dict[str, Any]]:
    """Return the parameters of the timelines before and after this one."""
    given = asked.model_dump(exclude={"at", "notable"})
    given |= {"notable": "true"} if asked.notable else {}
    step_us = asked.minutes * _MINUTE_US
    return {
        "earlier": {**given, "at": rfc3339(at_us - step_us)},
        "later": {**given, "at": rfc3339(at_us + step_us)},
    }
