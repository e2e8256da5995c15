"""Export jobs as the console remembers them: one row each, changed in transactions."""

import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from console.access import Permission, Principal, Role
from console.web.problems import Refused
from schemas.export import ExportAsked, ExportState

ID_BYTES: Final = 16  # unguessable, though it holds no right
KEPT_MS: Final = 90 * 86_400_000  # rows of exports whose file is long gone
Database = sqlite3.Connection
OPEN: Final[tuple[ExportState, ...]] = ("queued", "running")


@dataclass(frozen=True, slots=True)
class Job:
    """One export; see console/tables/004_exports.sql."""

    id: str
    state: ExportState
    by: Principal
    asked: ExportAsked
    created_ms: int
    started_ms: int | None
    finished_ms: int | None
    expires_ms: int | None
    snapshot: str | None
    plan: str | None
    rows_total: int | None
    bytes_about: int | None
    pieces: int
    rows: int
    bytes: int
    busy_ms: int
    attempts: int
    is_cancelled: bool
    error: str | None
    file: str | None
    sha256: str | None
    manifest_sha256: str | None


_OWN: Final = (
    "id",
    "state",
    "created_ms",
    "started_ms",
    "finished_ms",
    "expires_ms",
    "snapshot",
    "plan",
    "rows_total",
    "bytes_about",
    "pieces",
    "rows",
    "bytes",
    "busy_ms",
    "attempts",
    "error",
    "file",
    "sha256",
    "manifest_sha256",
)


def _job(row: sqlite3.Row) -> Job:
    roles: list[Role] = orjson.loads(row["roles"])
    scope: list[Permission] | None = None if row["scope"] is None else orjson.loads(row["scope"])
    by = Principal(
        row["name"],
        frozenset(roles),
        row["tenant"],
        kind="token",  # no cookie is needed for what goes on by itself
        key=row["key"],
        client=row["client"],
        scope=None if scope is None else frozenset(scope),
    )
    return Job(
        by=by,
        asked=ExportAsked.model_validate_json(row["asked"]),
        is_cancelled=bool(row["is_cancelled"]),
        **{name: row[name] for name in _OWN},
    )


def add(db: Database, by: Principal, asked: ExportAsked, now_ms: int, open_max: int) -> Job:
    """Queue an export. Raises `Refused` if they have too many that are not over."""
    (count,) = db.execute(
        "SELECT count(*) FROM exports WHERE name = ? AND state IN ('queued', 'running')", (by.name,)
    ).fetchone()
    if count >= open_max:
        raise Refused(
            "too_many",
            f"{count} exports of yours are not over yet",
            cure="wait for one, or cancel it",
        )
    made = secrets.token_hex(ID_BYTES)
    scope = None if by.scope is None else orjson.dumps(sorted(by.scope)).decode()
    db.execute(
        "INSERT INTO exports"
        " (id, state, name, roles, scope, tenant, client, key, asked, created_ms)"
        " VALUES (?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            made,
            by.name,
            orjson.dumps(sorted(by.roles)).decode(),
            scope,
            by.tenant,
            by.client,
            by.key,
            asked.model_dump_json(),
            now_ms,
        ),
    )
    return get(db, made)


def get(db: Database, job_id: str) -> Job:
    """Return one job. Raises `Refused` if there is none."""
    row = db.execute("SELECT * FROM exports WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        raise absent()
    return _job(row)


def absent() -> Refused:
    """Return the problem of an export that is not there, or not theirs: both look alike."""
    return Refused("not_found", "there is no such export", field="id", cure="see /exports")


def listed(db: Database) -> Sequence[Job]:
    """Return the newest jobs of all; who may see which is decided by `may_see`."""
    rows = db.execute("SELECT * FROM exports ORDER BY created_ms DESC, id LIMIT 1000").fetchall()
    return [_job(row) for row in rows]


def may_see(principal: Principal, job: Job) -> bool:
    """Say whether an export is theirs, or they see what all do: within their tenant in any case."""
    if principal.tenant is not None and principal.tenant != job.by.tenant:
        return False
    return principal.name == job.by.name or principal.may("read_reads")


def may_change(principal: Principal, job: Job) -> bool:
    """Say whether they may end or remove it: it is their own, or they are the service."""
    is_theirs = principal.kind == "service" or principal.name == job.by.name
    return is_theirs and may_see(principal, job)


def next_one(db: Database) -> Job | None:
    """Return what to work on: what was begun first, for it holds disk."""
    row = db.execute(
        "SELECT * FROM exports WHERE state IN ('queued', 'running')"
        " ORDER BY state = 'queued', created_ms, id LIMIT 1"
    ).fetchone()
    return None if row is None else _job(row)


def change(db: Database, job_id: str, **values: object) -> Job:
    """Set columns of one job; their names are ours."""
    names = ", ".join(f"{name} = ?" for name in values)
    db.execute(f"UPDATE exports SET {names} WHERE id = ?", (*values.values(), job_id))
    return get(db, job_id)


def used_bytes(db: Database) -> int:
    """Return what the files of finished exports take."""
    (used,) = db.execute(
        "SELECT coalesce(sum(bytes), 0) FROM exports WHERE state = 'done'"
    ).fetchone()
    return int(used)


def due(db: Database, now_ms: int) -> Sequence[Job]:
    """Return the finished ones whose time is over."""
    rows = db.execute("SELECT * FROM exports WHERE state = 'done' AND expires_ms <= ?", (now_ms,))
    return [_job(row) for row in rows.fetchall()]


def forget(db: Database, now_ms: int) -> None:
    """Remove rows of long ago; what was done is in the record itself."""
    db.execute(
        "DELETE FROM exports WHERE state NOT IN ('queued', 'running', 'done') AND created_ms < ?",
        (now_ms - KEPT_MS,),
    )
