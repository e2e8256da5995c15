"""The routes of exports: small ones streamed at once, large ones as jobs with a file."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request, Response
from starlette.responses import StreamingResponse

from console.export import sending
from console.export.desk import Desk, check, conditions
from console.export.jobs import Job
from console.export.making import Making, piece_bytes_of
from console.export.plan import Plan
from console.export.showing import show
from console.export.snapshot import take_snapshot
from console.export.writing import writer_of
from console.people.telling import change, tell
from console.query.conditions import Query
from console.web.context import Api, Asked, json_answer, needs, saw
from console.web.problems import Refused
from schemas.errors import StoreUnavailable
from schemas.export import MEDIA, ExportAsked, ExportEstimate, ExportList, ExportOut, Manifest
from schemas.tables import EVENTS

STREAM_ROWS_MAX: Final = 100_000  # seconds of work; what is more is a job
ESTIMATE_S_MAX: Final = 5

Id = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]

routes: Final = APIRouter(prefix="/exports")


def desk_of(api: Api) -> Desk:
    """Return the desk. Raises `StoreUnavailable` in a service without one."""
    if api.desk is None:
        raise StoreUnavailable("this service makes no exports")
    return api.desk


@routes.post("", status_code=201, response_model=ExportOut, dependencies=[needs("export")])
async def create_export(api: Asked, asked: ExportAsked) -> Response:
    """Start an export in the background; its file can be had once its state is `done`."""
    job = await desk_of(api).order(api.principal, asked)
    answer = json_answer(show(job).model_dump(mode="json"))
    answer.status_code = 201
    answer.headers["location"] = f"/v1/exports/{job.id}"
    return answer


@routes.get("", response_model=ExportList, dependencies=[needs("export")])
async def list_exports(api: Asked) -> Response:
    """List one's own exports, newest first; those of all for who may see who read what."""
    desk = desk_of(api)
    found = await desk.listed(api.principal)
    await saw(api, "/v1/exports", {}, len(found))
    return json_answer(
        {
            "exports": [show(job).model_dump(mode="json") for job in found],
            "bytes_used": await desk.used_bytes(),
            "bytes_max": desk.limits.bytes_max,
        }
    )


@routes.post("/estimate", response_model=ExportEstimate, dependencies=[needs("export")])
async def estimate_export(api: Asked, asked: ExportAsked) -> Response:
    """Count the rows of an export, and guess its size."""
    rows = await count_rows(api, asked)
    await saw(
        api, "/v1/events/histogram", asked.model_dump(mode="json", exclude_defaults=True), rows
    )
    size = rows * (200 if asked.format == "parquet" else 1_500)
    found = ExportEstimate(rows=rows, bytes=size, rows_max=desk_of(api).limits.rows_max)
    return json_answer(found.model_dump())


async def count_rows(api: Api, asked: ExportAsked) -> int:
    """Return how many rows match now. Raises `Refused` where that takes too long."""
    check(api.principal, asked, api.clock.now_ms())
    found = conditions(api.principal, asked, api.clock.now_ms())
    sql = f"SELECT count() AS rows FROM {EVENTS} WHERE {found.where()}"
    (row,) = await api.reader.rows(
        Query(sql, found.parameters), {"max_execution_time": ESTIMATE_S_MAX}
    )
    return int(row["rows"])


@routes.post("/stream", dependencies=[needs("export")], response_class=Response)
async def stream_export(api: Asked, asked: ExportAsked) -> Response:
    """Stream a small export at once; one of over 100,000 rows must be a job."""
    desk = desk_of(api)
    now_ms = api.clock.now_ms()
    check(api.principal, asked, now_ms)
    snapshot = await desk.threads.run(take_snapshot, desk.store)
    making = Making(
        desk.store,
        desk.threads,
        conditions(api.principal, asked, now_ms).with_all(snapshot.conditions()),
        writer_of(asked.format, asked.columns),
        piece_bytes_of(asked.format),
    )
    plan = await making.plan()
    if plan.rows > STREAM_ROWS_MAX:
        raise Refused(
            "query_too_broad",
            f"it would be {plan.rows:,} rows, at most {STREAM_ROWS_MAX:,} are streamed",
            cure="POST it to /v1/exports: a job makes the file",
        )
    told = asked.model_dump(mode="json", exclude_defaults=True)
    await saw(api, "/v1/events/stream", told, plan.rows)
    headers = {
        "content-disposition": f'attachment; filename="audit.{asked.format}"',
        "x-audit-rows": str(plan.rows),
    }
    return StreamingResponse(_parts(making, plan), 200, headers, media_type=MEDIA[asked.format])


async def _parts(making: Making, plan: Plan) -> AsyncIterator[bytes]:
    size = len(making.writer.head)
    groups: list[tuple[int, bytes]] = []
    yield making.writer.head
    async with aclosing(making.pieces(plan)) as made:
        async for piece in made:
            if piece.footer:
                groups.append((size, piece.footer))
            size += len(piece.body)
            yield piece.body
    yield await making.tail(lambda: iter(groups))


@routes.get("/{export_id}", response_model=ExportOut, dependencies=[needs("export")])
async def show_export(api: Asked, export_id: Id) -> Response:
    """Show one export: its state and progress."""
    job = await desk_of(api).show(api.principal, export_id)
    await saw(api, "/v1/exports/{export_id}", {"id": export_id}, 1)
    return json_answer(show(job).model_dump(mode="json"))


@routes.post("/{export_id}/cancel", response_model=ExportOut, dependencies=[needs("export")])
async def cancel_export(api: Asked, export_id: Id) -> Response:
    """End an export that waits or runs; nothing of it is kept."""
    return json_answer(show(await cancel(api, export_id)).model_dump(mode="json"))


async def cancel(api: Api, job_id: str) -> Job:
    """End an export, and tell of it before."""
    desk = desk_of(api)
    job = await desk.to_change(api.principal, job_id)
    if job.state == "running" and job.is_cancelled:
        return job  # that was told already
    ended = await change(
        api,
        "audit.export.cancelled",
        desk.cancelling(job.id),
        resource="audit_exports",
        resource_id=job.id,
        details={"format": job.asked.format, "record_count": job.rows},
    )
    desk.wake.set()
    return ended


@routes.post("/{export_id}/delete", response_model=ExportOut, dependencies=[needs("export")])
async def delete_export(api: Asked, export_id: Id) -> Response:
    """Remove a finished file before it expires."""
    return json_answer(show(await delete(api, export_id)).model_dump(mode="json"))


async def delete(api: Api, job_id: str) -> Job:
    """Remove a finished file before its time, and tell of it before."""
    desk = desk_of(api)
    job = await desk.to_change(api.principal, job_id)
    if job.state != "done":
        raise Refused("wrong_state", f"the export is {job.state}", cure="cancel it instead")
    await tell(
        api,
        "audit.export.deleted",
        resource="audit_exports",
        resource_id=job.id,
        details={"format": job.asked.format, "record_count": job.rows},
    )
    return await desk.expire(job)


@routes.get("/{export_id}/manifest", response_model=Manifest, dependencies=[needs("export")])
async def show_manifest(api: Asked, export_id: Id) -> Response:
    """Give the manifest as the bytes whose hash is in the record."""
    job = await finished(api, export_id)
    body = await read_manifest(desk_of(api), job)
    await saw(api, "/v1/exports/{export_id}", {"id": export_id, "of": "manifest"}, 1)
    return Response(
        body,
        media_type="application/json",
        headers={"etag": f'"{job.manifest_sha256}"', "cache-control": "private, no-cache"},
    )


async def read_manifest(desk: Desk, job: Job) -> bytes:
    """Return the bytes of a finished export's manifest. Raises `Refused` if they are gone."""
    try:
        return await desk.threads.run(desk.manifest_path(job).read_bytes)
    except FileNotFoundError as error:
        raise Refused("not_found", "the manifest is gone", cure="export again") from error


@routes.get("/{export_id}/stream", dependencies=[needs("export")], response_class=Response)
async def send_export(api: Asked, export_id: Id, request: Request) -> Response:
    """Give the file; `Range` and `If-Range` go on where a download broke off. ETag: its SHA-256."""
    return await send(api, export_id, request)


async def send(api: Api, job_id: str, request: Request) -> Response:
    """Give the file to who may have it, and tell of it."""
    job = await finished(api, job_id)
    wanted: dict[str, Any] = {"id": job.id, "q": job.asked.q, "format": job.asked.format}
    ranged = request.headers.get("range")
    if ranged is not None:
        wanted["range"] = ranged[:64]
    await saw(api, "/v1/exports/{export_id}/stream", wanted, job.rows)
    asked = sending.Asked(
        ranged, request.headers.get("if-range"), request.headers.get("if-none-match")
    )
    try:
        return sending.send(
            desk_of(api).path(job),
            job.sha256 or "",
            MEDIA[job.asked.format],
            job.file or "",
            asked,
        )
    except FileNotFoundError as error:
        raise Refused("not_found", "the file is gone", cure="export again") from error


async def finished(api: Api, job_id: str) -> Job:
    """Return a job whose file is there; what it holds must still be allowed to who asks."""
    job = await desk_of(api).show(api.principal, job_id)
    if job.state != "done":
        raise Refused("wrong_state", f"the export is {job.state}", cure="see its state")
    conditions(api.principal, job.asked, job.created_ms)
    return job
