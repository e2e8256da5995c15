"""The pages of exports: the list with progress, a new one, and one with its manifest."""

from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from console.export import routes as exports
from console.export.fields import COLUMNS
from console.export.jobs import Job, may_change
from console.export.showing import show
from console.pages.form import Fields, Form
from console.pages.page import Page, Table, action, page, see
from console.web.context import Api, Asked, needs, saw
from console.web.problems import Refused, problem_of_fault
from schemas.export import FORMATS, QUERY_CHARS_MAX, ExportAsked

routes: Final = APIRouter()

Id = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
LISTED: Final = ("id", "state", "by", "q", "format", "created", "rows", "bytes", "sha256", "error")
FORMAT_NAMES: Final = (
    ("csv", "CSV, for spreadsheets"),
    ("jsonl", "JSON lines, every detail as it came"),
    ("parquet", "Parquet, for analysis"),
)
MOMENT_MAX: Final = 40


class NewAsked(BaseModel):
    """What the form of a new export begins with; the search page fills in its query."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    q: Annotated[str, Field(max_length=QUERY_CHARS_MAX)] = ""
    since: Annotated[str, Field(max_length=MOMENT_MAX)] = ""
    until: Annotated[str, Field(max_length=MOMENT_MAX)] = ""
    format: Annotated[str, Field(max_length=16)] = "csv"


@page(routes, "/exports", "export")
async def show_exports(api: Asked) -> Page:
    """List one's own exports, newest first."""
    desk = exports.desk_of(api)
    found = await desk.listed(api.principal)
    await saw(api, "/exports", {}, len(found))
    shown = [shown_of(job) for job in found]
    data = {
        "exports": shown,
        "bytes_used": await desk.used_bytes(),
        "bytes_max": desk.limits.bytes_max,
        "keep_days": desk.limits.keep_s // 86_400,
    }
    table = Table(LISTED, [[one[name] for name in LISTED] for one in shown])
    return Page("exports.html", "Exports", data, table)


@page(routes, "/exports/new", "export")
async def show_new(api: Asked, asked: Annotated[NewAsked, Query()]) -> Page:
    """Show the form of a new export, with how much it would be."""
    wanted = {
        "q": asked.q,
        "since": asked.since,
        "until": asked.until,
        "format": asked.format if asked.format in FORMATS else "csv",
    }
    rows, fault = await _counted(api, wanted)
    await saw(api, "/exports/new", asked.model_dump(exclude_defaults=True), rows or 0)
    data = {"asked": wanted, "rows": rows, "fault": fault}
    view = {"columns": COLUMNS, "formats": FORMAT_NAMES}
    return Page("export_new.html", "New export", data, view=view)


async def _counted(api: Api, wanted: dict[str, str]) -> tuple[int | None, dict[str, str] | None]:
    """Return the rows, or why they can't be told."""
    try:
        return await exports.count_rows(api, to_asked(wanted, [])), None
    except Refused as error:
        if error.kind == "query_too_broad":  # it can be exported all the same
            return None, None
        return None, {"detail": error.detail, "cure": error.cure}


@action(routes, "/exports", "export")
async def create(api: Asked, form: Fields) -> Response:
    """Start an export."""
    job = await exports.desk_of(api).order(api.principal, _from_form(form))
    return see(f"/exports/{job.id}")


@page(routes, "/exports/{export_id}", "export")
async def show_one(api: Asked, export_id: Id) -> Page:
    """Show one export: progress while it runs, then file, manifest and proof."""
    desk = exports.desk_of(api)
    job = await desk.show(api.principal, export_id)
    manifest: Any = None
    if job.state == "done":
        manifest = orjson.loads(await exports.read_manifest(desk, job))
    await saw(api, "/exports/{export_id}", {"id": export_id}, 1)
    data = {"export": shown_of(job), "manifest": manifest}
    view = {"bytes_about": job.bytes_about, "may_change": may_change(api.principal, job)}
    return Page("export.html", "Export", data, view=view)


@action(routes, "/exports/{export_id}/cancel", "export")
async def cancel(api: Asked, export_id: Id, form: Fields) -> Response:
    """End an export."""
    del form
    await exports.cancel(api, export_id)
    return see(f"/exports/{export_id}")


@action(routes, "/exports/{export_id}/delete", "export")
async def delete(api: Asked, export_id: Id, form: Fields) -> Response:
    """Remove a finished file."""
    del form
    await exports.delete(api, export_id)
    return see(f"/exports/{export_id}")


@routes.get("/exports/{export_id}/stream", dependencies=[needs("export")])
async def download(api: Asked, export_id: Id, request: Request) -> Response:
    """Give the file; a browser resumes it by `Range`."""
    return await exports.send(api, export_id, request)


@routes.get("/exports/{export_id}/manifest", dependencies=[needs("export")])
async def download_manifest(api: Asked, export_id: Id) -> Response:
    """Give the manifest as a file."""
    answer = await exports.show_manifest(api, export_id)
    name = f'attachment; filename="audit-{export_id[:8]}.manifest.json"'
    answer.headers["content-disposition"] = name
    return answer


def shown_of(job: Job) -> dict[str, Any]:
    """Return what the pages show of an export; `share` is in percent."""
    shown = show(job).model_dump(mode="json")
    total = job.rows_total or 0
    shown["share"] = min(100, job.rows * 100 // total) if total else 0
    shown["is_open"] = job.state in ("queued", "running")
    return shown


def _from_form(form: Form) -> ExportAsked:
    wanted = {name: form.text(name, length_max=QUERY_CHARS_MAX) for name in NewAsked.model_fields}
    columns = form.many("columns")
    return to_asked(wanted, [] if len(columns) == len(COLUMNS) else columns)


def to_asked(wanted: dict[str, str], columns: list[str]) -> ExportAsked:
    """Return what a form asks for. Raises `Refused` naming the field."""
    try:
        return ExportAsked.model_validate(
            {
                "q": wanted["q"],
                "since": wanted["since"] or None,
                "until": wanted["until"] or None,
                "format": wanted["format"] or "csv",
                "columns": columns,
            }
        )
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        told = problem_of_fault(str(fault["loc"][0]), fault)
        raise Refused("bad_parameter", told.detail, field=told.field, cure=told.cure) from error
