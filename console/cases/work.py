"""What is done with cases: checked, told of as an audit event, then kept. Tenants stay apart."""

import secrets
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from console.alerts.changes import who_of
from console.cases import book as case_book
from console.cases.book import Case, Member, Note, case_of
from console.cases.members import alert_member, event_member, find_alerts, find_events
from console.record.recording import event
from console.search.moment import parse_moment
from console.web.context import Api
from console.web.problems import Refused
from schemas.alert import SEVERITIES, Severity
from schemas.case import CaseAsked, CaseChangeAsked, CaseNoteAsked, MemberAsked, MembersAsked
from schemas.console_mark import TENANT as CONSOLE_TENANT
from schemas.event import Result

CREATED: Final = "audit.case.created"
UPDATED: Final = "audit.case.updated"
IDS_TOLD_MAX: Final = 50  # of what was added, in the audit event; the rest is counted

Work = Callable[[sqlite3.Connection], None]


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody does with a case, as its audit event tells it."""

    case: Case
    who: str
    told: Mapping[str, Any]
    action: str = UPDATED


async def read_case(api: Api, case_id: str) -> Case:
    """Return a case that the principal may see. Raises `Refused`."""
    return await api.state.read(lambda db: case_of(db, case_id, api.tenant))


async def create_case(api: Api, asked: CaseAsked) -> Case:
    """Make a case; whoever makes it owns it unless another is named."""
    who = who_of(api.principal, asked.by, api.operator)
    if api.tenant is not None and asked.tenant not in (None, api.tenant):
        raise Refused("forbidden_tenant", "the token does not reach that tenant", field="tenant")
    now_ms = api.clock.now_ms()
    case = Case(
        case_id=f"case-{secrets.token_hex(6)}",
        tenant=api.tenant or asked.tenant or CONSOLE_TENANT,
        title=asked.title,
        status="open",
        severity=asked.severity,
        owner=who if asked.owner is None else asked.owner,
        version=1,
        created_ms=now_ms,
        created_by=who,
        changed_ms=now_ms,
        changed_by=who,
    )
    told = {"title": case.title, "severity": case.severity, "owner": case.owner}
    await _done(api, Deed(case, who, told, CREATED), lambda db: case_book.create(db, case))
    return case


async def change_case(api: Api, case_id: str, asked: CaseChangeAsked) -> Case:
    """Change fields of a case as it was read. Raises `Refused` if it was changed since."""
    who = who_of(api.principal, asked.by, api.operator)
    case = await read_case(api, case_id)
    case_book.require_version(case, asked.version)
    given = asked.model_dump(include=set(case_book.FIELDS), exclude_none=True)
    fields = {name: value for name, value in given.items() if value != getattr(case, name)}
    if not fields:
        return case
    told = {"before": {name: getattr(case, name) for name in fields}, "after": fields}
    now_ms = api.clock.now_ms()
    work = partial(case_book.change, case=case, fields=fields, who=who, now_ms=now_ms)
    await _done(api, Deed(case, who, told), work)
    return await read_case(api, case_id)


async def add_members(api: Api, case_id: str, asked: MembersAsked) -> dict[str, Any]:
    """Add events and alerts of the case's tenant and return a `MembersAdded`."""
    who = who_of(api.principal, asked.by, api.operator)
    case = _open(await read_case(api, case_id))
    found, missing = await found_members(api, asked, case.tenant)
    members = [_added(one, asked.note, who, api.clock.now_ms()) for one in found]
    fresh = await api.state.read(lambda db: case_book.new_among(db, case_id, members))
    if fresh:
        told = {
            "added": [f"{one.kind} {one.name}" for one in fresh[:IDS_TOLD_MAX]],
            "added_count": len(fresh),
        }
        await _done(api, Deed(case, who, told), _adding(case_id, fresh, who))
    after = await read_case(api, case_id)
    return {
        "case": after.rendered(),
        "added": len(fresh),
        "known": len(members) - len(fresh),
        "missing": missing,
    }


async def found_members(
    api: Api, asked: MembersAsked, tenant: str | None
) -> tuple[list[Member], list[str]]:
    """Return what was asked for as members, and the ids that nothing was found of."""
    if not (asked.event_ids or asked.alert_ids):
        raise Refused("bad_parameter", "nothing to add", cure="give event_ids or alert_ids")
    events = await find_events(api, asked.event_ids, tenant) if asked.event_ids else {}
    alerts = await find_alerts(api, asked.alert_ids, tenant) if asked.alert_ids else {}
    missing = [one for one in asked.event_ids if one not in events]
    missing += [one for one in asked.alert_ids if one not in alerts]
    members = [event_member(row) for row in events.values()]
    return members + [alert_member(row) for row in alerts.values()], missing


async def tenant_of_first(api: Api, asked: MembersAsked) -> str | None:
    """Return the tenant of the first thing to be added: that of the case made for it."""
    events = await find_events(api, asked.event_ids[:1], None) if asked.event_ids else {}
    alerts = await find_alerts(api, asked.alert_ids[:1], None) if asked.alert_ids else {}
    first = next(iter([*events.values(), *alerts.values()]), None)
    return None if first is None else str(first["tenant"])


async def gravest(api: Api, asked: MembersAsked) -> Severity | None:
    """Return the worst severity among what is to be added: that of the case made for it."""
    events = await find_events(api, asked.event_ids, None) if asked.event_ids else {}
    alerts = await find_alerts(api, asked.alert_ids, None) if asked.alert_ids else {}
    found = {row["severity"] for row in alerts.values()}
    found |= {row["severity_name"] for row in events.values()}
    return max(found, key=SEVERITIES.index, default=None)


async def remove_member(api: Api, case_id: str, asked: MemberAsked) -> Case:
    """Take an event or alert out of a case; the audit events tell that it was in it."""
    who = who_of(api.principal, asked.by, api.operator)
    case = _open(await read_case(api, case_id))
    held = await api.state.read(lambda db: case_book.members_of(db, case_id))
    member = next((one for one in held if (one.kind, one.ref) == (asked.kind, asked.ref)), None)
    if member is None:
        return case
    told = {"removed": f"{member.kind} {member.name}"}
    now_ms = api.clock.now_ms()

    def work(db: sqlite3.Connection) -> None:
        case_book.remove(db, case_id, asked.kind, asked.ref)
        case_book.touch(db, case_id, who, now_ms)

    await _done(api, Deed(case, who, told), work)
    return await read_case(api, case_id)


async def add_note(api: Api, case_id: str, asked: CaseNoteAsked) -> Case:
    """Write a note into a case, open or closed."""
    who = who_of(api.principal, asked.by, api.operator)
    case = await read_case(api, case_id)
    now_ms = api.clock.now_ms()
    about_us = parse_moment(asked.at, now_ms * 1000, "at") if asked.at else now_ms * 1000
    note = Note(0, about_us, asked.text, now_ms, who)

    def work(db: sqlite3.Connection) -> None:
        case_book.add_note(db, case_id, note)
        case_book.touch(db, case_id, who, now_ms)

    await _done(api, Deed(case, who, {"note": asked.text}), work)
    return await read_case(api, case_id)


async def _done(api: Api, deed: Deed, work: Work) -> None:
    """Record the event, then do the work: nothing is done that left none.

    Whoever was faster in between makes the work fail, which is recorded too.
    """
    await api.ports.record(_told(api, deed, "success"))
    try:
        await api.state.write(work)
    except Refused:
        await api.ports.record(_told(api, deed, "failure"))
        raise


def _told(api: Api, deed: Deed, result: Result) -> Mapping[str, Any]:
    return event(
        api,
        deed.action,
        resource="case",
        resource_id=deed.case.case_id,
        result=result,
        details=deed.told,
        tenant=deed.case.tenant,
        user=deed.who,
    )


def _adding(case_id: str, members: list[Member], who: str) -> Work:
    def work(db: sqlite3.Connection) -> None:
        case_book.add(db, case_id, case_book.new_among(db, case_id, members))
        case_book.touch(db, case_id, who, members[0].added_ms)

    return work


def _added(member: Member, note: str, who: str, now_ms: int) -> Member:
    return replace(member, note=note, added_ms=now_ms, added_by=who)


def _open(case: Case) -> Case:
    if case.status != "open":
        raise Refused("wrong_state", "the case is closed", cure="open it again first")
    return case
