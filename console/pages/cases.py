"""The pages of cases: the list, one case with its timeline, adding to it, and taking it along."""

from functools import partial
from typing import Annotated, Any, Final, Literal, TypeVar

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from console.cases import book as case_book
from console.cases import work as case_work
from console.cases.book import Case, Wanted
from console.cases.export import export_of, hashes_of
from console.cases.view import CSV_COLUMNS, case_shown, rows_of
from console.pages.form import Fields, Form
from console.pages.page import Page, Table, action, page, see
from console.pages.rendering import link
from console.query.write import and_, term
from console.search.lookups import Text, Token
from console.web.context import Api, Asked, saw
from console.web.problems import Refused
from schemas.alert import SEVERITIES, Severity
from schemas.case import CaseAsked, CaseChangeAsked, CaseNoteAsked, MemberAsked, MembersAsked
from schemas.console_mark import TENANT as CONSOLE_TENANT

Model = TypeVar("Model", bound=BaseModel)

routes: Final = APIRouter()
ROWS: Final = 50
IDS_MAX: Final = 500  # of each kind at once, as the REST API takes them
NAME_MAX: Final = 256
NOTE_MAX: Final = 4_096
USUAL: Final[Severity] = "medium"  # of a case that nothing is in yet
COLUMNS: Final = (
    "case_id",
    "status",
    "severity",
    "title",
    "owner",
    "tenant",
    "events",
    "alerts",
    "notes",
    "created",
    "created_by",
    "changed",
    "changed_by",
)


class CasesAsked(BaseModel):
    """Which cases to list. A field that a form sends empty narrows nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Literal["open", "closed", "any"] = "open"
    owner: Text | None = None
    cursor: Token | None = None

    @model_validator(mode="before")
    @classmethod
    def leave_out_what_is_empty(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Drop what a form sends of fields that were not filled in."""
        return {name: value for name, value in given.items() if value != ""}


class CaseAskedFor(BaseModel):
    """What was just done with the case that is shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    added: Annotated[int, Field(ge=0)] | None = None
    known: Annotated[int, Field(ge=0)] = 0
    missing: Annotated[int, Field(ge=0)] = 0


@page(routes, "/cases", "read_cases")
async def show_cases(api: Asked, asked: Annotated[CasesAsked, Query()]) -> Page:
    """Show the cases, changed last first."""
    status = None if asked.status == "any" else asked.status
    wanted = Wanted(api.tenant, status, asked.owner, asked.cursor, ROWS)
    cases, more = await api.state.read(lambda db: case_book.list_cases(db, wanted))
    counts = await api.state.read(lambda db: case_book.count_by_status(db, api.tenant))
    await saw(api, "/cases", asked.model_dump(exclude_none=True), len(cases))
    shown = [case.rendered() for case in cases]
    chosen = {"status": asked.status, "owner": asked.owner}
    return Page(
        "cases.html",
        "Cases",
        {"cases": shown, "next": more, "counts": {**counts, "any": sum(counts.values())}},
        Table(COLUMNS, ([case[name] for name in COLUMNS] for case in shown)),
        {
            "asked": asked,
            "older": link("/cases", **chosen, cursor=more) if more else "",
            "severities": list(reversed(SEVERITIES)),
        },
    )


@action(routes, "/cases", "work_cases")
async def make_case(api: Asked, form: Fields) -> Response:
    """Make a case."""
    case = await case_work.create_case(api, _case(form, None))
    return see(f"/cases/{case.case_id}")


@action(routes, "/cases/add", "work_cases")
async def add_to_case(api: Asked, form: Fields) -> Page | Response:
    """Add events and alerts to a case, or to a new one; without either, ask which."""
    asked = _members(form)
    case_id, title = form.text("case_id", length_max=64), form.text("title", length_max=NAME_MAX)
    if not (case_id or title):
        return await _choose(api, asked)
    if not case_id:
        tenant = await case_work.tenant_of_first(api, asked)
        if tenant is None:
            raise Refused("not_found", "nothing of that is stored", field="event_id")
        severity = await case_work.gravest(api, asked)
        case_id = (await case_work.create_case(api, _case(form, tenant, severity))).case_id
    done = await case_work.add_members(api, case_id, asked)
    told = {"added": done["added"], "known": done["known"], "missing": len(done["missing"])}
    return see(link(f"/cases/{case_id}", **told))


@page(routes, "/cases/{case_id}", "read_cases")
async def show_case(
    api: Asked, request: Request, case_id: str, asked: Annotated[CaseAskedFor, Query()]
) -> Page:
    """Show one case: its timeline, who takes part, and what may be done with it."""
    case = await case_work.read_case(api, case_id)
    data = await case_shown(api, case)
    is_csv = request.url.path.endswith(".csv")  # a hash costs reading all of the event
    hashes = await hashes_of(api, case) if is_csv else {}
    await saw(api, "/cases/{case_id}", {"case_id": case_id}, len(data["timeline"]))
    return Page(
        "case.html",
        case.title,
        data,
        Table(CSV_COLUMNS, rows_of(data["timeline"], hashes)),
        {
            "done": asked,
            "severities": list(reversed(SEVERITIES)),
            "changes": _changes(case_id),
        },
    )


@page(routes, "/cases/{case_id}/export", "export")
async def export_case(api: Asked, request: Request, case_id: str) -> Page | Response:
    """Give a case to take along: a page to print, one JSON file, or the timeline as CSV."""
    api.principal.require("read_cases")
    case = await case_work.read_case(api, case_id)
    if request.url.path.endswith(".json"):
        data = await export_of(api, case)
        await saw(api, "/cases/{case_id}/export", {"case_id": case_id}, len(data["events"]))
        name = {"content-disposition": f'attachment; filename="{case.case_id}.json"'}
        return Response(orjson.dumps(data), headers=name, media_type="application/json")
    data = await case_shown(api, case)
    hashes = await hashes_of(api, case)
    await saw(api, "/cases/{case_id}/export", {"case_id": case_id}, len(data["timeline"]))
    return Page(
        "case_print.html",
        case.title,
        data,
        Table(CSV_COLUMNS, rows_of(data["timeline"], hashes)),
        {
            "hashes": {ref: row["sha256"] for ref, row in hashes.items()},
            "now_ms": api.clock.now_ms(),
        },
    )


@action(routes, "/cases/{case_id}/change", "work_cases")
async def change_case(api: Asked, case_id: str, form: Fields) -> Page | Response:
    """Change fields of a case; what somebody else changed meanwhile is shown, not overwritten."""
    given = {name: form.text(name, length_max=NAME_MAX) for name in case_book.FIELDS}
    version = form.text("version", length_max=9)
    wanted = {name: value for name, value in given.items() if value or name == "owner"}
    asked = _read(CaseChangeAsked, {**wanted, "version": version})
    try:
        await case_work.change_case(api, case_id, asked)
    except Refused as error:
        if error.kind != "changed_meanwhile":
            raise
        case = await case_work.read_case(api, case_id)
        data = {"case": case.rendered(), "wanted": wanted, "detail": error.detail}
        return Page("case_conflict.html", "Somebody else was faster", data, status=409)
    return see(f"/cases/{case_id}")


@action(routes, "/cases/{case_id}/notes", "work_cases")
async def write_note(api: Asked, case_id: str, form: Fields) -> Response:
    """Write a note into a case."""
    text, at = form.required("text", length_max=NOTE_MAX), form.text("at", length_max=40)
    await case_work.add_note(api, case_id, CaseNoteAsked(text=text, at=at or None))
    return see(f"/cases/{case_id}")


@action(routes, "/cases/{case_id}/remove", "work_cases")
async def remove_member(api: Asked, case_id: str, form: Fields) -> Response:
    """Take an event or alert out of a case."""
    kind, ref = form.text("kind", length_max=8), form.text("ref", length_max=128)
    asked = _read(MemberAsked, {"kind": kind, "ref": ref})
    await case_work.remove_member(api, case_id, asked)
    return see(f"/cases/{case_id}")


async def _choose(api: Api, asked: MembersAsked) -> Page:
    """Ask for the case: the open ones of the tenant, changed last first, or a new one."""
    tenant = await case_work.tenant_of_first(api, asked)
    within = {api.tenant if tenant is None else tenant}
    if api.tenant is None and tenant is not None:
        within.add(CONSOLE_TENANT)  # a case of no tenant holds what is of any
    cases: list[Case] = []
    for one in within:
        wanted = Wanted(one, "open", None, None, ROWS)
        cases += (await api.state.read(partial(case_book.list_cases, wanted=wanted)))[0]
    cases = sorted(cases, key=lambda case: case.changed_ms, reverse=True)[:ROWS]
    data = {
        "cases": [case.rendered() for case in cases],
        "event_ids": list(asked.event_ids),
        "alert_ids": list(asked.alert_ids),
        "note": asked.note,
    }
    severity = await case_work.gravest(api, asked) or USUAL
    view = {"severities": list(reversed(SEVERITIES)), "severity": severity}
    return Page("case_choose.html", "Add to a case", data, view=view)


def _changes(case_id: str) -> str:
    """Return the search for what was done with a case."""
    return link("/search", q=and_(term("resource", "case"), term("resource_id", case_id)))


def _members(form: Form) -> MembersAsked:
    event_ids = [one.strip() for one in form.many("event_id") if one.strip()]
    alert_ids = [one.strip() for one in form.many("alert_id") if one.strip()]
    if not (event_ids or alert_ids):
        raise Refused(
            "bad_parameter", "nothing was chosen", field="event_id", cure="check some rows first"
        )
    if max(len(event_ids), len(alert_ids)) > IDS_MAX:
        cure = f"choose at most {IDS_MAX} at once"
        raise Refused("bad_parameter", "too many were chosen", field="event_id", cure=cure)
    note = form.text("note", length_max=NOTE_MAX)
    return _read(
        MembersAsked, {"event_ids": tuple(event_ids), "alert_ids": tuple(alert_ids), "note": note}
    )


def _case(form: Form, tenant: str | None, gravest: Severity | None = None) -> CaseAsked:
    title = form.required("title", length_max=NAME_MAX)
    severity = form.text("severity", length_max=8) or gravest or USUAL
    return _read(CaseAsked, {"title": title, "severity": severity, "tenant": tenant})


def _read(model: type[Model], given: dict[str, Any]) -> Model:
    """Return what a form says, as the REST API would take it. Raises `Refused` naming the field."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        field = str(error.errors()[0]["loc"][0])
        raise Refused(
            "bad_parameter", f"{field} is wrong", field=field, cure="correct it"
        ) from None
