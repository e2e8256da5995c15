"""A case as one file: its timeline, alerts with their history, and events with raw bytes."""

import base64
import hashlib
from collections.abc import Sequence
from typing import Any, Final

from console.alerts import queries as alert_queries
from console.alerts import rendering as alert_rendering
from console.cases.book import Case, Member
from console.cases.members import RAW_SELECT, alerts_shown, event_rows
from console.cases.view import case_shown, held_by
from console.search.moment import rfc3339
from console.search.rendering import Row, render_event, render_raw
from console.web.context import Api
from console.web.problems import Refused

BYTES_MAX: Final = 33_554_432  # of raw bytes: the file is made in memory, and is three times that
TOGETHER: Final = 100  # events read at once: of 256 KiB each, 25 MiB
Shown = dict[str, Any]


async def export_of(api: Api, case: Case) -> Shown:
    """Return a `CaseExport`. Raises `Refused` if its events are too large for one file."""
    found = await case_shown(api, case)
    members, _notes = await held_by(api, case)
    may_read_raw = api.principal.may("read_raw")
    events: list[Shown] = []
    left = BYTES_MAX
    for member, row in await _whole(api, case, members):
        raw = base64.b64decode(row["raw64"])
        left -= len(raw)
        if left < 0:
            raise Refused(
                "too_large",
                "the events of this case have over 32 MiB",
                cure="take some out, or export them from a search",
            )
        events.append(_event(member, row, raw, may_read_raw=may_read_raw))
    return {
        "format": "audit-stream-case",
        "version": 1,
        "exported": rfc3339(api.clock.now_ms() * 1000, digits=3),
        "exported_by": api.principal.name,
        **found,
        "events": events,
        "alerts": await _alerts(api, case, members),
    }


async def hashes_of(api: Api, case: Case) -> dict[str, Row]:
    """Return the SHA-256 of each event's raw bytes, worked out by the store."""
    members, _notes = await held_by(api, case)
    columns = "incarnation, partition, offset, lower(hex(SHA256(raw))) AS sha256"
    return await event_rows(api, case.tenant, members, columns)


async def _whole(api: Api, case: Case, members: Sequence[Member]) -> list[tuple[Member, Row]]:
    """Return the events with all of their columns, by time; those that are gone are left out."""
    chosen = [member for member in members if member.kind == "event"]
    found: list[tuple[Member, Row]] = []
    size = 0
    for start in range(0, len(chosen), TOGETHER):
        part = chosen[start : start + TOGETHER]
        rows = await event_rows(api, case.tenant, part, RAW_SELECT)
        found += [(member, rows[member.ref]) for member in part if member.ref in rows]
        size += sum(len(row["raw64"]) for row in rows.values())
        if size > 2 * BYTES_MAX:  # told by the caller; no need to read on
            return found
    return found


def _event(member: Member, row: Row, raw: bytes, *, may_read_raw: bool) -> Shown:
    text, encoded = render_raw(raw) if may_read_raw else (None, None)
    return {
        "ref": member.ref,
        "event": render_event(row),
        "raw": text,
        "raw_base64": encoded,
        "raw_sha256": hashlib.sha256(raw).hexdigest(),
        "incarnation": row["incarnation"],
        "versions": row["versions"],
    }


async def _alerts(api: Api, case: Case, members: Sequence[Member]) -> list[Shown]:
    shown = await alerts_shown(api, case.tenant, members)
    found = []
    for alert in shown.values():
        changes = await api.reader.rows(alert_queries.changes_of(alert["lead_id"]))
        history = [alert_rendering.render_change(one) for one in changes]
        found.append({"alert": alert, "history": history})
    return found
