"""Exports as the API and the pages show them. Pure."""

from console.export.jobs import Job
from console.export.manifest import moment
from schemas.export import ExportOut


def show(job: Job) -> ExportOut:
    """Return what is told of an export; how fast it goes only while it does."""
    is_running = job.state == "running"
    rate = job.rows * 1000 // job.busy_ms if is_running and job.busy_ms and job.rows else None
    left = None
    if rate and job.rows_total is not None:
        left = (job.rows_total - job.rows) // rate
    return ExportOut(
        id=job.id,
        state=job.state,
        by=job.by.name,
        tenant=job.by.tenant,
        q=job.asked.q,
        since=job.asked.since,
        until=job.asked.until,
        format=job.asked.format,
        columns=job.asked.columns,
        created=moment(job.created_ms),
        started=moment(job.started_ms) or None,
        finished=moment(job.finished_ms) or None,
        expires=moment(job.expires_ms) or None,
        rows=job.rows,
        rows_total=job.rows_total,
        bytes=job.bytes,
        rows_per_second=rate,
        seconds_left=left,
        error=job.error,
        sha256=job.sha256,
        manifest_sha256=job.manifest_sha256,
        file=job.file,
    )
