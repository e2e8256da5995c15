"""The routes of reports: which there are, and the facts of one."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response

from console.reports.making import KINDS, ReportAsked, kinds, make
from console.web.context import Asked, json_answer, needs, saw
from console.web.problems import Refused
from schemas.report import Report, ReportList

routes: Final = APIRouter()


@routes.get("/reports", response_model=ReportList, dependencies=[needs("read_reports")])
async def list_reports(api: Asked) -> Response:
    """List the reports that there are, and what each takes."""
    found = kinds()
    await saw(api, "/v1/reports", {}, len(found))
    return json_answer({"reports": [kind.model_dump() for kind in found]})


@routes.get("/reports/{name}", response_model=Report, dependencies=[needs("read_reports")])
async def show_report(api: Asked, name: str, asked: Annotated[ReportAsked, Query()]) -> Response:
    """Make one report of a period."""
    if name not in KINDS:
        raise Refused("not_found", "there is no such report", cure=f"ask for {', '.join(KINDS)}")
    report = await make(api, name, asked)
    given = asked.model_dump(exclude_defaults=True)
    await saw(api, f"/v1/reports/{name}", given, rows_of(report))
    return json_answer(report.model_dump())


def rows_of(report: Report) -> int:
    """Return how many rows a report shows."""
    return sum(len(table.rows) for section in report.sections for table in section.tables)
