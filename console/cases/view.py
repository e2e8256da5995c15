"""A case as it is read: one timeline of its events, alerts and notes, and who takes part."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from console.alerts.events import render_line
from console.cases import book as case_book
from console.cases.book import Case, Member, Note
from console.cases.members import alerts_shown, event_rows
from console.search.moment import rfc3339
from console.search.rendering import Row
from console.web.context import Api

PARTICIPANTS_MAX: Final = 50  # of each kind
Shown = dict[str, Any]


async def case_shown(api: Api, case: Case) -> Shown:
    """Return a `CaseFound`; only what the principal may see of its members."""
    members, notes = await held_by(api, case)
    events, alerts = await asyncio.gather(
        event_rows(api, case.tenant, members), alerts_shown(api, case.tenant, members)
    )
    lines = {ref: render_line(row) for ref, row in events.items()}
    return {
        "case": case.rendered(),
        "timeline": timeline(members, notes, lines, alerts),
        "participants": participants([*lines.values(), *alerts.values()]),
    }


async def held_by(api: Api, case: Case) -> tuple[list[Member], list[Note]]:
    """Return the members and notes of a case."""
    return await api.state.read(
        lambda db: (case_book.members_of(db, case.case_id), case_book.notes_of(db, case.case_id))
    )


def timeline(
    members: Sequence[Member],
    notes: Sequence[Note],
    events: Mapping[str, Shown],
    alerts: Mapping[str, Shown],
) -> list[Shown]:
    """Return all of a case by time, as `TimelineEntry`s: at equal moments events come first."""
    entries = [
        (member.occurred_us, member.kind == "alert", _entry(member, events, alerts))
        for member in members
    ]
    told = [(note.about_us, True, _note(note)) for note in notes]
    return [entry for _, _, entry in sorted([*entries, *told], key=lambda one: one[:2])]


def participants(shown: Iterable[Mapping[str, Any]]) -> Shown:
    """Return who and what these events and alerts name, the most named first."""
    users, addresses, sessions = Counter[str](), Counter[str](), Counter[str]()
    resources = Counter[tuple[str, str]]()
    for one in shown:
        for counter, name in (
            (users, "user"),
            (addresses, "ip_address"),
            (sessions, "session_id"),
        ):
            if one[name]:
                counter[one[name]] += 1
        if one["resource"]:
            resources[(one["resource"], one.get("resource_id") or "")] += 1
    return {
        "users": _most(users),
        "addresses": _most(addresses),
        "sessions": _most(sessions),
        "resources": [
            {"value": resource, "resource_id": resource_id or None, "count": count}
            for (resource, resource_id), count in resources.most_common(PARTICIPANTS_MAX)
        ],
    }


def _entry(member: Member, events: Mapping[str, Shown], alerts: Mapping[str, Shown]) -> Shown:
    event = events.get(member.ref) if member.kind == "event" else None
    alert = alerts.get(member.ref) if member.kind == "alert" else None
    is_gone = event is None and alert is None
    return {
        "at": rfc3339(member.occurred_us),
        "kind": member.kind,
        "ref": member.ref,
        "name": member.name,
        "what": member.what,
        "who": member.who or None,
        "note": member.note or None,
        "added": rfc3339(member.added_ms * 1000, digits=3),
        "added_by": member.added_by,
        "gone": is_gone,
        "event": event,
        "alert": alert,
    }


def _note(note: Note) -> Shown:
    return {
        "at": rfc3339(note.about_us),
        "kind": "note",
        "ref": str(note.number),
        "name": "",
        "what": note.text,
        "who": note.written_by,
        "note": None,
        "added": rfc3339(note.written_ms * 1000, digits=3),
        "added_by": note.written_by,
        "gone": False,
        "event": None,
        "alert": None,
    }


def _most(counter: Counter[str]) -> list[Shown]:
    return [
        {"value": value, "count": count} for value, count in counter.most_common(PARTICIPANTS_MAX)
    ]


def rows_of(found: Sequence[Shown], hashes: Mapping[str, Row]) -> Iterable[Sequence[object]]:
    """Yield the rows of a case's CSV; `hashes` are those of raw bytes, by `ref`."""
    for place, one in enumerate(found, 1):
        line = one["event"] or one["alert"] or {}
        yield (
            place,
            one["at"],
            one["kind"],
            one["name"],
            one["what"],
            line.get("user") or one["who"],
            line.get("ip_address"),
            line.get("session_id"),
            line.get("resource"),
            line.get("resource_id"),
            line.get("result"),
            line.get("severity"),
            one["note"],
            one["added_by"],
            one["added"],
            "yes" if one["gone"] else "",
            one["ref"] if one["kind"] == "event" else "",
            hashes.get(one["ref"], {}).get("sha256", ""),
        )


CSV_COLUMNS: Final = (
    "place",
    "at",
    "kind",
    "id",
    "what",
    "user",
    "ip_address",
    "session_id",
    "resource",
    "resource_id",
    "result",
    "severity",
    "note",
    "added_by",
    "added",
    "gone",
    "stored_at",
    "raw_sha256",
)
