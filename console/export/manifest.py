"""What a finished file is: its manifest, whose own hash goes into the record as the proof."""

import hashlib
from collections.abc import Sequence
from typing import Final

import orjson

from console.export.fields import COLUMNS
from console.export.jobs import Job
from console.export.snapshot import Counted, Snapshot
from console.export.store import BOUNDS, Stored
from console.query.parse import parse
from console.query.scope import IS_READ, NO_CANARIES
from console.query.text import text_of
from console.search.moment import rfc3339
from console.software import DISTRIBUTION, software
from schemas.errors import Broken
from schemas.export import Manifest, PartitionRows
from schemas.tables import EVENTS

ORDER: Final = "minute of timestamp, tenant, user, timestamp, partition, offset; ascending"


def moment(ms: int | None) -> str:
    """Return milliseconds since 1970 in RFC 3339; "" for none."""
    return "" if ms is None else rfc3339(ms * 1000, digits=3)


def is_whole(job: Job) -> bool:
    """Say whether nothing in particular was asked for."""
    asked = job.asked
    return not (asked.q.strip() or asked.since or asked.until)


def count_left_out(store: Stored, snapshot: Snapshot, tenant: str | None) -> dict[str, int]:
    """Count what is in the snapshot and in no export that doesn't ask for it."""
    found = snapshot.conditions()
    if tenant is not None:
        found = found.also("tenant = {of_tenant:String}", of_tenant=tenant)
    sql = (
        f"SELECT countIf(NOT ({NO_CANARIES})) AS canaries, "
        f"countIf(({NO_CANARIES}) AND {IS_READ}) AS reads FROM {EVENTS} WHERE {found.where()}"
    )
    (row,) = store.query(sql, found.parameters, BOUNDS)
    return {"canaries": int(row["canaries"]), "reads": int(row["reads"])}


def make_manifest(
    job: Job, counted: Sequence[Counted], left_out: dict[str, int], finished_ms: int
) -> Manifest:
    """Return the manifest. Raises `Broken` if the file has not the rows that the store counts."""
    rows = sum(one.rows for one in counted)
    if rows != job.rows:
        raise Broken(f"the file has {job.rows} rows, the store {rows}")
    ledger_rows = sum(one.ledger_rows for one in counted)
    asked = job.asked
    canonical = text_of(parse(asked.q)) if asked.q.strip() else ""
    return Manifest(
        export=job.id,
        software=f"{DISTRIBUTION} {software()}",
        by=job.by.name,
        tenant=job.by.tenant,
        query=canonical,
        description=described(job, canonical),
        since=asked.since,
        until=asked.until,
        format=asked.format,
        columns=asked.columns or COLUMNS,
        requested=moment(job.created_ms),
        started=moment(job.started_ms),
        finished=moment(finished_ms),
        order=ORDER,
        partitions=tuple(
            PartitionRows(
                incarnation=one.incarnation,
                topic=one.topic,
                partition=one.partition,
                next_offset=one.next_offset,
                ledger_rows=one.ledger_rows,
                rows=one.rows,
            )
            for one in counted
        ),
        rows=rows,
        ledger_rows=ledger_rows,
        left_out=left_out,
        complete=is_whole(job) and rows + sum(left_out.values()) == ledger_rows,
        file=job.file or "",
        bytes=job.bytes,
        sha256=job.sha256 or "",
    )


def described(job: Job, canonical: str) -> str:
    """Say in words what was exported."""
    whose = "all tenants" if job.by.tenant is None else f"tenant {job.by.tenant}"
    asked = job.asked
    what = f"events that match {canonical}" if canonical else "all events"
    since = f", from {asked.since}" if asked.since else ""
    until = f", before {asked.until}" if asked.until else ""
    said = f"relative to {moment(job.created_ms)}, " if since or until or canonical else ""
    return f"{what} of {whose}{since}{until}; {said}as the ledger had them when it started"


def dumps(manifest: Manifest) -> tuple[bytes, str]:
    """Return the manifest as the bytes of its file, and their SHA-256."""
    body = orjson.dumps(manifest.loose(), option=orjson.OPT_INDENT_2) + b"\n"
    return body, hashlib.sha256(body).hexdigest()
