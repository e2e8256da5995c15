"""The worker of exports: one at a time, from its checkpoint on, behind everything else."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final

from console.export import jobs, manifest
from console.export.desk import Desk, conditions, file_name
from console.export.file import DiskFull, ExportFile, make_folder, remove, write_small
from console.export.jobs import Job
from console.export.making import Making, piece_bytes_of
from console.export.snapshot import Snapshot, count, take_snapshot
from console.export.writing import writer_of
from console.query.conditions import Conditions
from console.record.recording import event
from console.record.told import fingerprint, told_query
from console.web.context import Api
from console.web.problems import Refused
from schemas.errors import AuditError, StoreUnavailable, Unavailable

CHECKPOINT_BYTES: Final = 67_108_864  # what is made anew at most after a crash
CHECKPOINT_MS: Final = 2_000  # and how old the progress shown is
IDLE_S: Final = 30.0  # between two looks at what has expired
RETRY_S: Final = 5.0
RETRIES_MAX: Final = 60  # five minutes of a store that is away
LAG_EVERY_MS: Final = 15_000  # the ledger counts all rows of the store
LAG_MAX: Final = 20_000  # records: a batch of the sink
PARQUET_SHARE: Final = 8  # of the text, at least, is saved
ATTEMPTS_MAX: Final = 5  # ends of the process without a checkpoint between them
PAUSE_S: Final = 2.0
PAUSES_MAX: Final = 30  # then it goes on for a while: an export must end too

log: Final = logging.getLogger("audit.export")


class Cancelled(Exception):
    """Somebody asked for its end."""


@dataclass(slots=True)
class Worker:
    """Works on what is queued until told to stop; a job that was begun is finished first.

    `is_too_broad` tells a query that hit its bounds from a store that is away.
    """

    api: Api
    desk: Desk
    is_too_broad: Callable[[StoreUnavailable], bool]
    piece_bytes: Callable[..., int] = piece_bytes_of
    checkpoint_ms: int = CHECKPOINT_MS
    retry_s: float = RETRY_S
    _asked_lag_ms: int = 0
    _at_work: str = ""

    async def guard(self, stop: asyncio.Event) -> None:
        """Work as `run` does; a bug of ours ends the export, not the service it runs in."""
        while not stop.is_set():
            running = asyncio.create_task(self.run(stop))
            try:
                await asyncio.wait([running])
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
            fault = None if running.cancelled() else running.exception()
            if fault is None:
                return
            log.error("exports failed", exc_info=fault)
            try:
                job = await self.desk.state.read(jobs.next_one)
                if job is not None and job.id == self._at_work:
                    await self._end(job, "failed", "a bug: the service's log says where")
            except AuditError as error:
                log.warning("an export's end waits: %s", error)
            await _wait(stop, self.retry_s)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; a piece under way is waited for."""
        await asyncio.to_thread(make_folder, self.desk.folder)
        while not stop.is_set():
            await self._expire()
            job = await self.desk.state.read(jobs.next_one)
            if job is not None:
                await self.work(job, stop)
                continue
            self.desk.wake.clear()
            waits = [asyncio.create_task(stop.wait()), asyncio.create_task(self.desk.wake.wait())]
            await asyncio.wait(waits, timeout=IDLE_S, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    async def work(self, job: Job, stop: asyncio.Event) -> None:
        """Bring one job to its end, or, when told to stop, to a checkpoint."""
        if job.attempts >= ATTEMPTS_MAX:  # whatever it is that ends the process: not once more
            await self._end(job, "failed", "the service ended each time that it was tried")
            return
        self._at_work = job.id
        job = await self.desk.change(job.id, attempts=job.attempts + 1)
        for _ in range(RETRIES_MAX):
            try:
                await self._attempt(job, stop)
            except Cancelled:
                await self._end(job, "cancelled", "")
            except DiskFull as error:
                await self._end(job, "failed", str(error))
            except Unavailable as error:
                if not (isinstance(error, StoreUnavailable) and self.is_too_broad(error)):
                    log.info("an export waits: %s", error)
                    await _wait(stop, self.retry_s)
                    if stop.is_set():
                        return
                    job = await self._again(job.id)
                    continue
                await self._end(job, "failed", "the query would read too much: narrow it")
            except AuditError as error:
                said = error.detail if isinstance(error, Refused) else str(error)
                await self._end(job, "failed", said)
            return
        await self._end(job, "failed", "the store was away for too long: export again")

    async def _again(self, job_id: str) -> Job:
        return await self.desk.state.read(lambda db: jobs.get(db, job_id))

    async def _attempt(self, job: Job, stop: asyncio.Event) -> None:
        if job.is_cancelled:
            raise Cancelled
        job.by.require("export")
        job, snapshot = await self._begin(job)
        asked = conditions(job.by, job.asked, job.created_ms)
        making = Making(
            self.desk.store,
            self.desk.threads,
            asked.with_all(snapshot.conditions()),
            writer_of(job.asked.format, job.asked.columns),
            self.piece_bytes(job.asked.format),
        )
        file = await asyncio.to_thread(ExportFile, self.desk.folder / f"{job.id}.part")
        try:
            job = await _write(self, job, making, file, stop)
            if not stop.is_set():
                await self._finish(job, making.found, snapshot, file)
        finally:
            await asyncio.to_thread(file.close)

    async def _begin(self, job: Job) -> tuple[Job, Snapshot]:
        """Take the snapshot once; a job that was begun keeps its own."""
        if job.snapshot is not None:
            return job, Snapshot.loads(job.snapshot)
        snapshot = await self.desk.threads.run(take_snapshot, self.desk.store)
        asked = {
            "format": job.asked.format,
            "query": told_query(job.asked.q),
            "since": job.asked.since,
            "until": job.asked.until,
            "columns": list(job.asked.columns),
            **fingerprint(job.asked.q),
        }
        await self.record(job, "audit.export.started", **asked)
        started = {
            "state": "running",
            "started_ms": self.desk.clock.now_ms(),
            "snapshot": snapshot.dumps(),
        }
        return await self.desk.change(job.id, **started), snapshot

    async def _finish(
        self, job: Job, found: Conditions, snapshot: Snapshot, file: ExportFile
    ) -> None:
        """Prove the file, name it, tell of it, in this order: what is done is told of."""
        tenant = job.by.tenant
        counted = await self.desk.threads.run(count, self.desk.store, snapshot, tenant, found)
        left_out = {}
        if manifest.is_whole(job):
            left_out = await self.desk.threads.run(
                manifest.count_left_out, self.desk.store, snapshot, tenant
            )
        now_ms = self.desk.clock.now_ms()
        sha256 = await asyncio.to_thread(file.finish, self.desk.path(job))
        job = replace(job, file=file_name(job), sha256=sha256, bytes=file.bytes)
        made = manifest.make_manifest(job, counted, left_out, now_ms)
        body, manifest_sha256 = manifest.dumps(made)
        await asyncio.to_thread(write_small, self.desk.manifest_path(job), body)
        await self.record(
            job,
            "audit.export.completed",
            format=job.asked.format,
            query=told_query(job.asked.q),
            record_count=job.rows,
            bytes=job.bytes,
            sha256=sha256,
            manifest_sha256=manifest_sha256,
            complete=made.complete,
        )
        await self.desk.change(
            job.id,
            state="done",
            finished_ms=now_ms,
            expires_ms=now_ms + self.desk.limits.keep_s * 1000,
            bytes=job.bytes,
            file=job.file,
            sha256=sha256,
            manifest_sha256=manifest_sha256,
        )

    async def _end(self, job: Job, state: str, said: str) -> None:
        """End without a file: no half of one is left. Who cancelled it has told of it."""
        if state == "failed":
            log.warning("an export failed: %s", said)  # holds nothing of the query
            await self.record(job, "audit.export.failed", format=job.asked.format, cause=said)
        await asyncio.to_thread(remove, self.desk.folder, job.id)
        ended: dict[str, Any] = {"state": state, "finished_ms": self.desk.clock.now_ms()}
        await self.desk.change(job.id, **ended, error=said or None)

    async def record(self, job: Job, action: str, **details: object) -> None:
        """Keep the event of what becomes of a job, by whoever asked for it."""
        api = replace(self.api, principal=job.by)
        failed = action.endswith("failed")
        told = event(
            api,
            action,
            resource="audit_exports",
            resource_id=job.id,
            result="failure" if failed else "success",
            details=details,
        )
        await self.api.ports.record(told)

    async def _expire(self) -> None:
        now_ms = self.desk.clock.now_ms()
        for job in await self.desk.state.read(lambda db: jobs.due(db, now_ms)):
            await self.desk.expire(job)
        await self.desk.state.write(lambda db: jobs.forget(db, now_ms))

    async def give_way(self, stop: asyncio.Event) -> None:
        """Wait while the sink has more to do than a batch; looked at now and then."""
        for _ in range(PAUSES_MAX):
            now_ms = self.desk.clock.now_ms()
            if now_ms - self._asked_lag_ms < LAG_EVERY_MS:
                return
            try:
                lag = (await self.api.ports.ledger()).lag
            except Unavailable:
                lag = 0
            if lag <= LAG_MAX or stop.is_set():
                self._asked_lag_ms = now_ms
                return
            await _wait(stop, PAUSE_S)
        self._asked_lag_ms = self.desk.clock.now_ms()


async def _write(
    worker: Worker, job: Job, making: Making, file: ExportFile, stop: asyncio.Event
) -> Job:
    """Write what is missing of the file; the job returned has its last checkpoint."""
    desk = worker.desk
    began_ms = desk.clock.now_ms()
    plan = await making.plan()
    packed = PARQUET_SHARE if job.asked.format == "parquet" else 1
    _fits(desk, plan.rows, plan.weight // packed, await desk.used_bytes())
    is_same = job.plan == plan.fingerprint
    is_whole = await asyncio.to_thread(file.resume, job.bytes if is_same else 0)
    pieces, rows = (job.pieces, job.rows) if is_same and is_whole else (0, 0)
    if not file.bytes:
        pieces = rows = 0
        await asyncio.to_thread(file.append, making.writer.head)
    job = await desk.change(
        job.id, plan=plan.fingerprint, rows_total=plan.rows, bytes_about=plan.weight
    )
    kept_bytes, kept_ms = file.bytes, desk.clock.now_ms()
    busy_ms = job.busy_ms

    async def keep() -> Job:
        size = await asyncio.to_thread(file.keep)
        busy = busy_ms + desk.clock.now_ms() - began_ms
        kept = {"pieces": pieces, "rows": rows, "bytes": size, "busy_ms": busy, "attempts": 0}
        return await desk.change(job.id, **kept)

    async with aclosing(making.pieces(plan, pieces)) as made:
        async for piece in made:
            await asyncio.to_thread(file.append, piece.body, piece.footer)
            pieces, rows = pieces + 1, rows + piece.rows
            del piece  # megabytes that the next one needs
            now_ms = desk.clock.now_ms()
            is_due = now_ms - kept_ms >= worker.checkpoint_ms
            if is_due or file.bytes - kept_bytes >= CHECKPOINT_BYTES:
                job = await keep()
                kept_bytes, kept_ms = file.bytes, now_ms
                if job.is_cancelled:
                    raise Cancelled
                _fits(desk, plan.rows, file.bytes, await desk.used_bytes())
            await worker.give_way(stop)
            if stop.is_set():
                return await keep()
    job = await keep()
    if job.is_cancelled:
        raise Cancelled
    tail = await making.tail(file.groups)
    await asyncio.to_thread(file.append, tail)
    return replace(job, bytes=file.bytes)


def _fits(desk: Desk, rows: int, size: int, used: int) -> None:
    """Raise `Refused` for what is over a limit."""
    limits = desk.limits
    if rows > limits.rows_max:
        raise Refused(
            "query_too_broad",
            f"it would be {rows:,} rows, an export has at most {limits.rows_max:,}: narrow it",
        )
    if used + size > limits.bytes_max:
        raise Refused(
            "too_many",
            f"finished exports take {used >> 20:,} MiB, with this one they would be over their "
            f"{limits.bytes_max >> 20:,} MiB: remove one first, or narrow it",
        )


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
