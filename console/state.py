"""What the console itself must remember: one SQLite file, changed in transactions, one at a time.

Accounts, sessions, tokens, saved searches, cases, export jobs and reads not yet published. The
record is not here: what people do leaves an audit event in the stream (docs/adr/0009).
"""

import asyncio
import hashlib
import os
import re
import sqlite3
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Final, TypeVar

from console.hold import Hold
from schemas.errors import Broken, Misconfigured, StoreUnavailable

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

BUSY_S: Final = 5.0  # how long another process may hold the file, such as a backup
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_NAME: Final = re.compile(r"(\d{3})_[a-z_]+\.sql")


@dataclass(frozen=True, slots=True)
class Step:
    """One numbered file of console/tables/: statements that make or change tables."""

    number: int
    sql: str

    @property
    def checksum(self) -> str:
        """What tells that a file was changed after it was applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def steps() -> Sequence[Step]:
    """Return the steps that ship, in order."""
    found = []
    for file in resources.files("console").joinpath("tables").iterdir():
        name = _NAME.fullmatch(file.name)
        if name:
            found.append(Step(int(name[1]), file.read_text(encoding="utf-8")))
    return sorted(found, key=lambda step: step.number)


class State:
    """The file, opened on a thread of its own; safe to use from one event loop.

    What `write` has returned from is on disk. Raises `Misconfigured` where the file can't be had,
    `StoreUnavailable` where the disk refuses, `Broken` where the file is damaged. One process a
    file: another one is refused as long as it is open here.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="audit-state")
        self._connection: sqlite3.Connection | None = None
        self._hold: Hold | None = None

    async def open(self) -> None:
        """Open or make the file, and bring its tables up to date."""
        await self._run(self._open)

    async def read(self, work: Work[T]) -> T:
        """Return what `work` reads; it must change nothing."""
        return await self._run(lambda: self._guarded(work))

    async def write(self, work: Work[T]) -> T:
        """Run `work` in one transaction: all of it is kept, or, if it raises, nothing."""
        return await self._run(lambda: self._guarded(lambda found: _whole(found, work)))

    async def close(self) -> None:
        """Close the file. Idempotent."""
        await self._run(self._close)
        self._thread.shutdown(wait=True)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _open(self) -> None:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            mode = os.fstat(descriptor).st_mode
            os.close(descriptor)
        except OSError as error:
            raise Misconfigured(f"{self._path}: can't be opened ({error.strerror})") from error
        if mode & OTHERS:
            raise Misconfigured(f"{self._path} can be read by others: chmod 600 {self._path}")
        self._hold = self._hold or Hold(self._path)
        found = sqlite3.connect(
            self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        found.row_factory = sqlite3.Row
        self._connection = found
        try:
            self._guarded(_prepare)
        except BaseException:
            self._close()  # with its hold
            raise

    def _guarded(self, work: Work[T]) -> T:
        if self._connection is None:
            raise StoreUnavailable("the console's state is not open")
        try:
            return work(self._connection)
        except sqlite3.OperationalError as error:
            raise StoreUnavailable(f"{self._path.name}: {error}") from error
        except sqlite3.IntegrityError:
            raise  # the caller knows which rule of its table that is
        except sqlite3.DatabaseError as error:
            raise Broken(f"{self._path.name} is damaged: {error}") from error

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._hold is not None:
            self._hold.release()
            self._hold = None


def _whole(found: sqlite3.Connection, work: Work[T]) -> T:
    found.execute("BEGIN IMMEDIATE")
    try:
        done = work(found)
    except BaseException:
        found.execute("ROLLBACK")
        raise
    found.execute("COMMIT")
    return done


def _prepare(found: sqlite3.Connection) -> None:
    found.execute("PRAGMA journal_mode = WAL")
    found.execute("PRAGMA synchronous = FULL")  # kept is kept, also when the power fails
    found.execute("PRAGMA foreign_keys = ON")
    found.execute(
        "CREATE TABLE IF NOT EXISTS steps (number INTEGER PRIMARY KEY, checksum TEXT NOT NULL)"
    )
    done = {row["number"]: row["checksum"] for row in found.execute("SELECT * FROM steps")}
    known = {step.number for step in steps()}
    if set(done) - known:
        raise Misconfigured("the console's state is of a newer version: update Audit Stream")
    for step in steps():
        if step.number in done:
            if done[step.number] != step.checksum:
                raise Misconfigured(f"step {step.number:03} of the console's state was changed")
            continue
        _whole(found, partial(_apply, step=step))


def _apply(found: sqlite3.Connection, step: Step) -> None:
    for statement in step.sql.split(";\n"):
        if statement.strip():
            found.execute(statement)
    found.execute("INSERT INTO steps VALUES (?, ?)", (step.number, step.checksum))
