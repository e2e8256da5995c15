"""The desk of exports: who asked for which, what they may see of them, where the files are."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from console.access import Principal
from console.export import jobs
from console.export.fields import COLUMNS
from console.export.file import remove
from console.export.jobs import Job, may_change, may_see
from console.export.making import Threads
from console.export.store import Stored
from console.query.conditions import Conditions
from console.query.seen import seen
from console.search.asked import Search, to_node
from console.state import State
from console.web.problems import Refused
from runtime.clock import Clock
from schemas.export import ExportAsked

LISTED_MAX: Final = 100
GIB: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class ExportLimits:
    """What exports may take: rows of one, bytes of all files, open ones a person, time kept."""

    rows_max: int = 100_000_000
    bytes_max: int = 50 * GIB
    open_max: int = 3
    keep_s: int = 7 * 86_400


def conditions(principal: Principal, asked: ExportAsked, now_ms: int) -> Conditions:
    """Return what may be seen of what is asked. Raises `Refused`, as a search does."""
    search = Search(q=asked.q.strip() or None, since=asked.since, until=asked.until)
    return seen(to_node(search), principal, now_ms * 1000)


def check(principal: Principal, asked: ExportAsked, now_ms: int) -> None:
    """Refuse at once what could never run."""
    unknown = [name for name in asked.columns if name not in COLUMNS]
    if unknown or len(set(asked.columns)) < len(asked.columns):
        raise Refused(
            "bad_parameter",
            "columns names what an event has not, or something twice",
            field="columns",
            cure=f"choose of {', '.join(COLUMNS)}",
        )
    conditions(principal, asked, now_ms)


@dataclass(frozen=True, slots=True)
class Desk:
    """Takes orders and answers for them; the work is done elsewhere, woken by `wake`."""

    state: State
    folder: Path
    clock: Clock
    store: Stored
    threads: Threads
    limits: ExportLimits = field(default_factory=ExportLimits)
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def order(self, by: Principal, asked: ExportAsked) -> Job:
        """Queue an export. Raises `Refused` for what can't be, or is one too many."""
        now_ms = self.clock.now_ms()
        check(by, asked, now_ms)
        limits = self.limits
        if await self.used_bytes() >= limits.bytes_max:
            raise Refused(
                "too_many",
                "the files of finished exports take all that they may",
                cure="remove one, or wait until one expires",
            )
        job = await self.state.write(lambda db: jobs.add(db, by, asked, now_ms, limits.open_max))
        self.wake.set()
        return job

    async def listed(self, by: Principal) -> Sequence[Job]:
        """Return the newest that they may see."""
        found = await self.state.read(jobs.listed)
        return [job for job in found if may_see(by, job)][:LISTED_MAX]

    async def show(self, by: Principal, job_id: str) -> Job:
        """Return one. Raises `Refused` if there is none, or not for them."""
        job = await self.state.read(lambda db: jobs.get(db, job_id))
        if not may_see(by, job):
            raise jobs.absent()
        return job

    async def to_change(self, by: Principal, job_id: str) -> Job:
        """Return one that they may end or remove. Raises `Refused`."""
        job = await self.show(by, job_id)
        if not may_change(by, job):
            raise Refused("forbidden", "the export is another's", cure=f"ask {job.by.name}")
        return job

    def cancelling(self, job_id: str) -> Callable[[jobs.Database], Job]:
        """Return the change that ends one that waits; the worker ends one that runs."""
        return partial(_cancel, job_id=job_id, now_ms=self.clock.now_ms())

    async def expire(self, job: Job) -> Job:
        """Remove the file; the row says that there was one."""
        await asyncio.to_thread(remove, self.folder, job.id)
        return await self.change(job.id, state="expired")

    async def change(self, job_id: str, **values: object) -> Job:
        """Set columns of one job."""
        return await self.state.write(lambda db: jobs.change(db, job_id, **values))

    async def used_bytes(self) -> int:
        """Return what the files of finished exports take."""
        return await self.state.read(jobs.used_bytes)

    def path(self, job: Job) -> Path:
        """Return where the finished file is."""
        return self.folder / f"{job.id}.{job.asked.format}"

    def manifest_path(self, job: Job) -> Path:
        """Return where its manifest is."""
        return self.folder / f"{job.id}.manifest.json"


def _cancel(db: jobs.Database, job_id: str, now_ms: int) -> Job:
    job = jobs.get(db, job_id)
    if job.state not in jobs.OPEN:
        raise Refused("wrong_state", f"the export is {job.state}", cure="look at it again")
    if job.state == "running":
        return jobs.change(db, job_id, is_cancelled=1)
    return jobs.change(db, job_id, state="cancelled", finished_ms=now_ms, is_cancelled=1)


def file_name(job: Job) -> str:
    """Return what a download is called."""
    return f"audit-{job.id[:8]}.{job.asked.format}"
