"""The pages of reports: what there is, and each as a page that prints well."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from console.access import GRANTS, ROLES
from console.pages.page import Page, Table, page
from console.reports.making import KINDS, PERIOD_DEFAULT, ReportAsked, kinds, make
from console.reports.routes import rows_of
from console.search.period import CHOICES
from console.web.context import Api, Asked, saw
from schemas.report import LINE_COLUMNS, lines_of

routes: Final = APIRouter()


@page(routes, "/reports", "read_reports")
async def show_reports(api: Asked) -> Page:
    """Show which reports there are, and who may make them."""
    found = [kind.model_dump() for kind in kinds()]
    await saw(api, "/reports", {}, len(found))
    readers = [role for role in ROLES if "read_reports" in GRANTS[role]]
    data = {"reports": found, "readers": readers, "default": PERIOD_DEFAULT}
    table = Table(("name", "title", "about"), [[k["name"], k["title"], k["about"]] for k in found])
    return Page("reports.html", "Reports", data, table, {"choices": CHOICES})


@page(routes, "/reports/access-control", "read_reports")
async def show_access_control(api: Asked, asked: Annotated[ReportAsked, Query()]) -> Page:
    """Show the report for SOC 2 and ISO 27001."""
    return await _show(api, "access-control", asked)


@page(routes, "/reports/protected-records", "read_reports")
async def show_protected_records(api: Asked, asked: Annotated[ReportAsked, Query()]) -> Page:
    """Show the report for HIPAA."""
    return await _show(api, "protected-records", asked)


@page(routes, "/reports/data-subject", "read_reports")
async def show_data_subject(api: Asked, asked: Annotated[ReportAsked, Query()]) -> Page:
    """Show the report for a request of a data subject, or ask who it is about."""
    if not asked.person:
        await saw(api, "/reports/data-subject", {}, 0)
        return Page("report.html", "Data subject", {"report": None}, None, _view(api, asked, ""))
    return await _show(api, "data-subject", asked)


async def _show(api: Api, name: str, asked: ReportAsked) -> Page:
    given = {key: value for key, value in asked.model_dump().items() if value not in (None, "")}
    report = await make(api, name, ReportAsked(**given))
    await saw(api, f"/reports/{name}", given, rows_of(report))
    title = f"Report: {report.title}"
    data = {"report": report.model_dump()}
    return Page(
        "report.html",
        title,
        data,
        Table(LINE_COLUMNS, lines_of(data["report"])),
        _view(api, asked, name),
    )


def _view(api: Api, asked: ReportAsked, name: str) -> dict[str, Any]:
    kind = KINDS[name or "data-subject"]
    return {
        "name": name or "data-subject",
        "asked": asked.model_dump(),
        "takes": kind.parameters,
        "about": kind.about,
        "choices": CHOICES,
        "default": PERIOD_DEFAULT,
        "is_all": api.tenant is None,
    }
