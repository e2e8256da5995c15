"""The routes of cases: list, make, show, change, add to, note, export."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict

from console.cases import book as case_book
from console.cases import work as case_work
from console.cases.book import Wanted
from console.cases.export import export_of
from console.cases.view import case_shown
from console.search.lookups import Limit, Text, Token
from console.web.context import Asked, json_answer, needs, saw
from schemas.case import (
    CaseAsked,
    CaseChangeAsked,
    CaseExport,
    CaseFound,
    CaseMade,
    CaseNoteAsked,
    CasePage,
    CaseStatus,
    MemberAsked,
    MembersAdded,
    MembersAsked,
)

routes: Final = APIRouter(prefix="/cases")


class CaseSearch(BaseModel):
    """Which cases to list, changed last first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: CaseStatus | None = None
    owner: Text | None = None
    limit: Limit = 50
    cursor: Token | None = None


@routes.get("", response_model=CasePage, dependencies=[needs("read_cases")])
async def list_cases(api: Asked, asked: Annotated[CaseSearch, Query()]) -> Response:
    """List cases, changed last first."""
    wanted = Wanted(api.tenant, asked.status, asked.owner, asked.cursor, asked.limit)
    cases, more = await api.state.read(lambda db: case_book.list_cases(db, wanted))
    await saw(api, "/v1/cases", asked.model_dump(exclude_none=True), len(cases))
    return json_answer({"cases": [case.rendered() for case in cases], "next": more})


@routes.post("", response_model=CaseMade, dependencies=[needs("work_cases")])
async def create_case(api: Asked, asked: CaseAsked) -> Response:
    """Make a case; whoever makes it owns it unless another is named."""
    return json_answer({"case": (await case_work.create_case(api, asked)).rendered()})


@routes.get("/{case_id}", response_model=CaseFound, dependencies=[needs("read_cases")])
async def show_case(api: Asked, case_id: str) -> Response:
    """Show a case: its timeline, and who takes part."""
    found = await case_shown(api, await case_work.read_case(api, case_id))
    await saw(api, "/v1/cases/{case_id}", {"case_id": case_id}, len(found["timeline"]))
    return json_answer(found)


@routes.get("/{case_id}/export", response_model=CaseExport, dependencies=[needs("export")])
async def export_case(api: Asked, case_id: str) -> Response:
    """Give all of a case in one file, each event with its raw bytes and their SHA-256."""
    api.principal.require("read_cases")
    found = await export_of(api, await case_work.read_case(api, case_id))
    await saw(api, "/v1/cases/{case_id}/export", {"case_id": case_id}, len(found["events"]))
    return json_answer(found)


@routes.post("/{case_id}/changes", response_model=CaseMade, dependencies=[needs("work_cases")])
async def change_case(api: Asked, case_id: str, asked: CaseChangeAsked) -> Response:
    """Change title, status, severity or owner of a case that nobody changed since it was read."""
    return json_answer({"case": (await case_work.change_case(api, case_id, asked)).rendered()})


@routes.post("/{case_id}/members", response_model=MembersAdded, dependencies=[needs("work_cases")])
async def add_members(api: Asked, case_id: str, asked: MembersAsked) -> Response:
    """Add events and alerts of the case's tenant; what is in it already stays as it was."""
    return json_answer(await case_work.add_members(api, case_id, asked))


@routes.post(
    "/{case_id}/members/remove", response_model=CaseMade, dependencies=[needs("work_cases")]
)
async def remove_member(api: Asked, case_id: str, asked: MemberAsked) -> Response:
    """Take an event or alert out of a case."""
    return json_answer({"case": (await case_work.remove_member(api, case_id, asked)).rendered()})


@routes.post("/{case_id}/notes", response_model=CaseMade, dependencies=[needs("work_cases")])
async def add_note(api: Asked, case_id: str, asked: CaseNoteAsked) -> Response:
    """Write a note into a case, about now or another moment."""
    return json_answer({"case": (await case_work.add_note(api, case_id, asked)).rendered()})
