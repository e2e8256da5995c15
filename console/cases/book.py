"""Cases as they are kept: rows of the console's state, each change in one transaction."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from console.search.cursor import Cursor, decode, encode, fingerprint
from console.search.moment import rfc3339
from console.state import State
from console.web.problems import Refused

MEMBERS_MAX: Final = 1_000  # an incident that a person can read
NOTES_MAX: Final = 1_000
CASES_MAX: Final = 100_000  # of all tenants
NAMED_MAX: Final = 20  # cases of one event that are shown with it
CASE_KEY: Final = (str,)
FIELDS: Final = ("title", "status", "severity", "owner")


@dataclass(frozen=True, slots=True)
class Case:
    """One case, and how much it holds."""

    case_id: str
    tenant: str
    title: str
    status: str
    severity: str
    owner: str
    version: int
    created_ms: int
    created_by: str
    changed_ms: int
    changed_by: str
    events: int = 0
    alerts: int = 0
    notes: int = 0

    def rendered(self) -> dict[str, Any]:
        """Return a `CaseOut`."""
        shown = asdict(self)
        for name in ("created", "changed"):
            shown[name] = rfc3339(shown.pop(f"{name}_ms") * 1000, digits=3)
        return {**shown, "owner": self.owner or None}


@dataclass(frozen=True, slots=True)
class Member:
    """An event or alert in a case; `ref` tells it from all others, `name` is its id."""

    kind: str
    ref: str
    name: str
    occurred_us: int
    who: str
    what: str
    incarnation: str = ""
    partition: int = 0
    offset: int = 0
    note: str = ""
    added_ms: int = 0
    added_by: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody wrote into a case, about a moment."""

    number: int
    about_us: int
    text: str
    written_ms: int
    written_by: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which cases to list."""

    tenant: str | None
    status: str | None = None
    owner: str | None = None
    cursor: str | None = None
    limit: int = 50

    def question(self) -> str:
        """Name the question without its page."""
        return fingerprint({"status": self.status, "owner": self.owner, "tenant": self.tenant})


_COUNTED: Final = (
    "SELECT c.*, (SELECT count(*) FROM case_members AS m WHERE m.case_id = c.case_id "
    "AND m.kind = 'event') AS events, (SELECT count(*) FROM case_members AS m "
    "WHERE m.case_id = c.case_id AND m.kind = 'alert') AS alerts, "
    "(SELECT count(*) FROM case_notes AS n WHERE n.case_id = c.case_id) AS notes FROM cases AS c"
)
_WITHIN: Final = "(:tenant IS NULL OR tenant = :tenant)"


def case_of(db: sqlite3.Connection, case_id: str, tenant: str | None) -> Case:
    """Return a case of the tenant; None is all tenants. Raises `Refused`."""
    row = db.execute(
        f"{_COUNTED} WHERE case_id = :case_id AND {_WITHIN}", {"case_id": case_id, "tenant": tenant}
    ).fetchone()
    if row is None:
        raise Refused("not_found", "no case has that id", field="case_id")
    return Case(**dict(row))


def list_cases(db: sqlite3.Connection, wanted: Wanted) -> tuple[list[Case], str | None]:
    """Return a page of cases, changed last first, and the cursor of the next. Raises `Refused`."""
    before_ms, before_id = 2**62, ""
    if wanted.cursor is not None:
        at = decode(wanted.cursor, wanted.question(), CASE_KEY)
        before_ms, before_id = at.moment_us, str(at.key[0])
    rows = db.execute(
        f"{_COUNTED} WHERE {_WITHIN} AND (:status IS NULL OR status = :status) "
        "AND (:owner IS NULL OR owner = :owner) AND (changed_ms, case_id) < (:before, :before_id) "
        "ORDER BY changed_ms DESC, case_id DESC LIMIT :rows",
        {
            "tenant": wanted.tenant,
            "status": wanted.status,
            "owner": wanted.owner,
            "before": before_ms,
            "before_id": before_id,
            "rows": wanted.limit + 1,
        },
    ).fetchall()
    cases = [Case(**dict(row)) for row in rows[: wanted.limit]]
    if len(rows) <= wanted.limit:
        return cases, None
    last = cases[-1]
    return cases, encode(Cursor(last.changed_ms, (last.case_id,)), wanted.question())


def count_by_status(db: sqlite3.Connection, tenant: str | None) -> dict[str, int]:
    """Return how many cases are open and closed."""
    rows = db.execute(
        f"SELECT status, count(*) AS n FROM cases WHERE {_WITHIN} GROUP BY status",
        {"tenant": tenant},
    )
    return {"open": 0, "closed": 0} | {row["status"]: row["n"] for row in rows}


def create(db: sqlite3.Connection, case: Case) -> None:
    """Keep a new case. Raises `Refused` if there are too many."""
    if db.execute("SELECT count(*) FROM cases").fetchone()[0] >= CASES_MAX:
        raise Refused("too_large", f"there are {CASES_MAX} cases already")
    db.execute(
        "INSERT INTO cases VALUES (:case_id, :tenant, :title, :status, :severity, :owner, "
        ":version, :created_ms, :created_by, :changed_ms, :changed_by)",
        asdict(case),
    )


def require_version(case: Case, version: int) -> None:
    """Raise `Refused` if a case was changed since it was read."""
    if case.version != version:
        raise Refused(
            "changed_meanwhile",
            f"the case was changed since you read it, last by {case.changed_by}",
            field="version",
            cure="look at it again, and change it then",
        )


def change(
    db: sqlite3.Connection, case: Case, fields: Mapping[str, str], who: str, now_ms: int
) -> None:
    """Change fields of a case as it was read. Raises `Refused` if it is another by now."""
    after = {name: getattr(case, name) for name in FIELDS} | dict(fields)
    done = db.execute(
        "UPDATE cases SET title = :title, status = :status, severity = :severity, owner = :owner, "
        "version = version + 1, changed_ms = :now, changed_by = :who "
        "WHERE case_id = :case_id AND version = :version",
        {**after, "now": now_ms, "who": who, "case_id": case.case_id, "version": case.version},
    )
    if not done.rowcount:
        now = case_of(db, case.case_id, case.tenant)
        require_version(now, case.version)


def touch(db: sqlite3.Connection, case_id: str, who: str, now_ms: int) -> None:
    """Note that something was added or taken out; that is no new version."""
    db.execute(
        "UPDATE cases SET changed_ms = ?, changed_by = ? WHERE case_id = ?", (now_ms, who, case_id)
    )


def members_of(db: sqlite3.Connection, case_id: str) -> list[Member]:
    """Return the members by time."""
    rows = db.execute(
        "SELECT * FROM case_members WHERE case_id = ? ORDER BY occurred_us, kind, ref", (case_id,)
    )
    return [Member(**{k: v for k, v in dict(row).items() if k != "case_id"}) for row in rows]


def notes_of(db: sqlite3.Connection, case_id: str) -> list[Note]:
    """Return the notes by the moment that they are about."""
    rows = db.execute(
        "SELECT number, about_us, text, written_ms, written_by FROM case_notes "
        "WHERE case_id = ? ORDER BY about_us, number",
        (case_id,),
    )
    return [Note(**dict(row)) for row in rows]


def new_among(db: sqlite3.Connection, case_id: str, members: Iterable[Member]) -> list[Member]:
    """Return those that are no members yet. Raises `Refused` if they are too many."""
    rows = db.execute("SELECT kind, ref FROM case_members WHERE case_id = ?", (case_id,)).fetchall()
    known = {(row["kind"], row["ref"]) for row in rows}
    found = {(m.kind, m.ref): m for m in members if (m.kind, m.ref) not in known}
    if len(known) + len(found) > MEMBERS_MAX:
        raise Refused(
            "too_large",
            f"a case has at most {MEMBERS_MAX} members, and this one has {len(known)}",
            cure="make a second case, or save the search instead",
        )
    return list(found.values())


def add(db: sqlite3.Connection, case_id: str, members: Sequence[Member]) -> None:
    """Add members; one that is there already stays as it was."""
    db.executemany(
        "INSERT OR IGNORE INTO case_members VALUES (:case_id, :kind, :ref, :name, :occurred_us, "
        ":who, :what, :incarnation, :partition, :offset, :note, :added_ms, :added_by)",
        [{**asdict(member), "case_id": case_id} for member in members],
    )


def remove(db: sqlite3.Connection, case_id: str, kind: str, ref: str) -> None:
    """Take a member out. Idempotent."""
    db.execute(
        "DELETE FROM case_members WHERE case_id = ? AND kind = ? AND ref = ?", (case_id, kind, ref)
    )


def add_note(db: sqlite3.Connection, case_id: str, note: Note) -> None:
    """Add a note. Raises `Refused` if there are too many."""
    held = db.execute("SELECT count(*) FROM case_notes WHERE case_id = ?", (case_id,)).fetchone()[0]
    if held >= NOTES_MAX:
        raise Refused("too_large", f"a case has at most {NOTES_MAX} notes")
    db.execute(
        "INSERT INTO case_notes (case_id, about_us, text, written_ms, written_by) "
        "VALUES (?, ?, ?, ?, ?)",
        (case_id, note.about_us, note.text, note.written_ms, note.written_by),
    )


async def cases_with(state: State, kind: str, ref: str, tenant: str | None) -> list[dict[str, str]]:
    """Return the cases that an event (by its place) or an alert is in, changed last first."""

    def read(db: sqlite3.Connection) -> list[dict[str, str]]:
        rows = db.execute(
            "SELECT case_id, title, status FROM cases WHERE case_id IN "
            "(SELECT case_id FROM case_members WHERE kind = :kind AND ref = :ref) "
            f"AND {_WITHIN} ORDER BY changed_ms DESC LIMIT :rows",
            {"kind": kind, "ref": ref, "tenant": tenant, "rows": NAMED_MAX},
        )
        return [dict(row) for row in rows]

    return await state.read(read)
