"""Sessions in the console's state: who is logged in where, since when, and until when."""

import sqlite3
from dataclasses import dataclass, field
from typing import Final

from console.people.accounts import Account, account_of
from console.people.secret import digest, new_key, new_secret

DAY_MS: Final = 86_400_000
IDLE_MS: Final = 8 * 3_600_000
SESSIONS_MAX: Final = 20  # of one account; the oldest ends
SHOWN_MAX: Final = 1_000
SEEN_EVERY_MS: Final = 60_000  # so that a page costs no write
AGENT_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Session:
    """One login. `key` names it; `how` is password, link or provider."""

    key: str
    account: str
    how: str
    created_ms: int
    seen_ms: int
    client: str
    agent: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """A login as it is made: from where, with what, how, when, and what its session is called."""

    client: str
    agent: str
    how: str
    now_ms: int
    key: str = field(default_factory=lambda: new_key("ses"))


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a session lasts: without a request, and at all."""

    idle_ms: int = IDLE_MS
    absolute_ms: int = DAY_MS


def open_session(db: sqlite3.Connection, account: str, arrival: Arrival) -> str:
    """Keep a new session; return its cookie, which is kept nowhere."""
    cookie = new_secret()
    db.execute(
        "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            digest(cookie),
            arrival.key,
            account,
            arrival.how,
            arrival.now_ms,
            arrival.now_ms,
            arrival.client,
            arrival.agent[:AGENT_MAX],
        ),
    )
    db.execute(
        "DELETE FROM sessions WHERE account = ?1 AND key NOT IN (SELECT key FROM sessions"
        " WHERE account = ?1 ORDER BY created_ms DESC, rowid DESC LIMIT ?2)",
        (account, SESSIONS_MAX),
    )
    db.execute("UPDATE accounts SET last_login_ms = ? WHERE name = ?", (arrival.now_ms, account))
    return cookie


def find_session(
    db: sqlite3.Connection, cookie: str, now_ms: int, lives: Lifetimes
) -> tuple[Session, Account] | None:
    """Return the session of a cookie and whose it is; None if it has ended or may not go on."""
    row = db.execute(
        "SELECT accounts.*, key, account, how, seen_ms, client, agent,"
        " sessions.created_ms AS began_ms FROM sessions"
        " JOIN accounts ON accounts.name = sessions.account WHERE hash = ? AND disabled = 0",
        (digest(cookie),),
    ).fetchone()
    if row is None:
        return None
    is_over = now_ms - row["began_ms"] >= lives.absolute_ms
    if is_over or now_ms - row["seen_ms"] >= lives.idle_ms:
        return None
    found = Session(
        key=row["key"],
        account=row["account"],
        how=row["how"],
        created_ms=row["began_ms"],
        seen_ms=row["seen_ms"],
        client=row["client"],
        agent=row["agent"],
    )
    return found, account_of(row)


def note_seen(db: sqlite3.Connection, key: str, client: str, now_ms: int) -> None:
    """Note that a session is used."""
    db.execute(
        "UPDATE sessions SET seen_ms = max(seen_ms, ?), client = ? WHERE key = ?",
        (now_ms, client, key),
    )


def list_sessions(
    db: sqlite3.Connection, now_ms: int, lives: Lifetimes, account: str | None = None
) -> list[Session]:
    """Return the sessions that go on, latest first; of all accounts or of one."""
    rows = db.execute(
        "SELECT key, account, how, created_ms, seen_ms, client, agent FROM sessions"
        " WHERE (?1 IS NULL OR account = ?1) AND created_ms > ?2 AND seen_ms > ?3"
        " ORDER BY seen_ms DESC LIMIT ?4",
        (account, now_ms - lives.absolute_ms, now_ms - lives.idle_ms, SHOWN_MAX),
    )
    return [Session(**dict(row)) for row in rows]


def end_session(db: sqlite3.Connection, key: str) -> str | None:
    """End a session; return whose it was, None if there is none."""
    row = db.execute("DELETE FROM sessions WHERE key = ? RETURNING account", (key,)).fetchone()
    return row["account"] if row else None


def end_all(db: sqlite3.Connection, account: str, *, but: str = "") -> int:
    """End all sessions of an account, but for one; return how many that were."""
    return db.execute(
        "DELETE FROM sessions WHERE account = ? AND key <> ?", (account, but)
    ).rowcount


def sweep(db: sqlite3.Connection, now_ms: int, lives: Lifetimes) -> None:
    """Forget sessions that have ended."""
    db.execute(
        "DELETE FROM sessions WHERE created_ms <= ? OR seen_ms <= ?",
        (now_ms - lives.absolute_ms, now_ms - lives.idle_ms),
    )
