"""The quarantine: which messages became no event, why, their bytes, and judging them again."""

import base64
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from pydantic import Field

from console.pages.form import Fields
from console.pages.page import Page, Table, action, page, see
from console.pages.rendering import link
from console.record.recording import event
from console.search import cursor, lookups, rendering
from console.search.cursor import fingerprint
from console.search.lookups import QuarantineSearch
from console.web.context import Asked, saw, whole
from console.web.problems import Refused
from schemas.views import ReplayAsked

routes: Final = APIRouter()
_COLUMNS: Final = ("recorded", "partition", "offset", "reason", "hint", "size", "open")
_PLACE_MAX: Final = 32


class ListAsked(QuarantineSearch):
    """The list, and what a replay that led here has done."""

    replayed: Annotated[int | None, Field(ge=0, le=1_000_000)] = None
    rejected: Annotated[int | None, Field(ge=0, le=1_000_000)] = None
    more: Annotated[int, Field(ge=0, le=1)] = 0

    def question(self) -> str:
        """Name the question without its page."""
        return fingerprint(self.model_dump(include={"reason", "since", "until", "state"}))


@page(routes, "/quarantine", "read_health")
async def list_quarantine(api: Asked, asked: Annotated[ListAsked, Query()]) -> Page:
    """List quarantined messages, newest first."""
    whole(api)
    rows = await api.reader.rows(lookups.quarantine(asked, api.clock.now_ms() * 1000))
    shown = [rendering.render_quarantined(row) for row in rows[: asked.limit]]
    following = None
    if len(rows) > asked.limit:
        last = rows[asked.limit - 1]
        key = tuple(last[name] for name in ("incarnation", "partition", "offset"))
        place = cursor.Cursor(last["recorded_ms"] * 1000, key)
        following = cursor.encode(place, asked.question())
    given = asked.model_dump(exclude_defaults=True, exclude={"replayed", "rejected", "more"})
    await saw(api, "/quarantine", given, len(shown))
    older = link("/quarantine", **{**given, "cursor": following}) if following else ""
    table = Table(_COLUMNS, [[one[name] for name in _COLUMNS] for one in shown])
    data: dict[str, Any] = {"messages": shown, "next": following, "asked": asked.model_dump()}
    return Page("quarantine.html", "Quarantine", data, table, {"older": older})


@page(routes, "/quarantine/{place}", "read_health")
async def show_quarantined(api: Asked, place: str) -> Page:
    """Show one quarantined message; its bytes only to those who may read raw events."""
    whole(api)
    rows = await api.reader.rows(lookups.quarantined_at(place))
    if not rows:
        raise Refused("not_found", "no message of that place is in quarantine", field="place")
    raw, raw_base64 = None, None
    if api.principal.may("read_raw"):
        raw, raw_base64 = rendering.render_raw(base64.b64decode(rows[0]["raw64"]))
    await saw(api, "/quarantine/{place}", {"place": place, "raw": raw_base64 is not None}, 1)
    data = {
        "message": rendering.render_quarantined(rows[0]),
        "raw": raw,
        "raw_base64": raw_base64,
    }
    return Page("quarantined.html", f"Quarantined message {place}", data)


@action(routes, "/quarantine/replay", "replay")
async def replay_quarantined(api: Asked, form: Fields) -> Response:
    """Judge open messages again: one, those of one reason, or all."""
    whole(api)
    place, reason = form.text("place", length_max=_PLACE_MAX), form.text("reason", length_max=256)
    partition, offset = _parse(place) if place else (None, None)
    asked = ReplayAsked(reason=reason or None, partition=partition, offset=offset)
    told = asked.model_dump(exclude_none=True)
    made = event(api, "audit.quarantine.replayed", resource="audit_quarantine", details=told)
    await api.ports.record(made)
    done = await api.ports.replay(asked)
    return see(
        link(
            "/quarantine",
            replayed=done.replayed,
            rejected=done.still_rejected,
            more=int(done.next is not None),
            reason=reason,
        )
    )


def _parse(place: str) -> tuple[int, int]:
    found = lookups.PLACED.fullmatch(place)
    if found is None:
        raise Refused("bad_parameter", "a message is named partition:offset", field="place")
    return int(found[1]), int(found[2])
