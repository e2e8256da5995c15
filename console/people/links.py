"""One-time login links in the console's state: who opens one in time and confirms is logged in."""

import sqlite3
from dataclasses import dataclass
from typing import Final

from console.people.secret import digest, new_secret

LINK_MS: Final = 15 * 60_000
LINKS_MAX: Final = 1_000  # that wait; the oldest end


@dataclass(frozen=True, slots=True)
class Link:
    """One link: for whom, by whom it was made, and until when it opens."""

    account: str
    created_by: str
    expires_ms: int


def add_link(db: sqlite3.Connection, link: Link, now_ms: int) -> str:
    """Keep a new link; return its secret, which is kept nowhere."""
    db.execute("DELETE FROM login_links WHERE expires_ms <= ?", (now_ms,))
    db.execute(
        "DELETE FROM login_links WHERE rowid NOT IN"
        " (SELECT rowid FROM login_links ORDER BY expires_ms DESC LIMIT ?)",
        (LINKS_MAX - 1,),
    )
    once = new_secret()
    db.execute(
        "INSERT INTO login_links VALUES (?, ?, ?, ?)",
        (digest(once), link.account, link.created_by, link.expires_ms),
    )
    return once


def find_link(db: sqlite3.Connection, once: str, now_ms: int) -> Link | None:
    """Return a link that still opens, without using it."""
    row = db.execute(
        "SELECT account, created_by, expires_ms FROM login_links WHERE hash = ? AND expires_ms > ?",
        (digest(once), now_ms),
    ).fetchone()
    return Link(*row) if row else None


def use_link(db: sqlite3.Connection, once: str, now_ms: int) -> Link | None:
    """Return a link that still opens, and never again."""
    found = find_link(db, once, now_ms)
    if found is not None:
        db.execute("DELETE FROM login_links WHERE hash = ?", (digest(once),))
    return found


def drop_links(db: sqlite3.Connection, account: str) -> None:
    """End the links of an account."""
    db.execute("DELETE FROM login_links WHERE account = ?", (account,))
