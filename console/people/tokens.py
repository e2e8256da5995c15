"""API tokens in the console's state: for programs; narrower than their owner, and they end."""

import sqlite3
from dataclasses import dataclass
from typing import Final

from console.access import PERMISSIONS, Permission, Role
from console.people.accounts import Account, find, read_roles, write_roles
from console.people.secret import PREFIX, SECRET_CHARS, digest, new_key, new_secret
from console.web.problems import Refused

DAY_MS: Final = 86_400_000
DAYS_MAX: Final = 365
DAYS: Final = 90  # unless asked otherwise
TOKENS_MAX: Final = 100  # of one owner that are neither revoked nor expired
SHOWN_MAX: Final = 1_000
KEPT_MS: Final = 90 * DAY_MS  # of ended ones, for people who ask what that was
USED_EVERY_MS: Final = 60_000  # so that a call costs no write
NAME_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `owner` is an account, or the service token itself; `scope` None: all."""

    key: str
    name: str
    owner: str
    roles: frozenset[Role]
    scope: frozenset[Permission] | None
    tenant: str | None
    created_ms: int
    expires_ms: int
    used_ms: int | None = None
    used_client: str = ""
    revoked_ms: int | None = None

    def is_good(self, now_ms: int) -> bool:
        """Say whether it opens anything still."""
        return self.revoked_ms is None and now_ms < self.expires_ms


def token_of(row: sqlite3.Row) -> Token:
    """Return the token of a row; a permission that is none any more grants nothing."""
    given = None if row["scope"] is None else set(row["scope"].split(","))
    return Token(
        key=row["key"],
        name=row["name"],
        owner=row["owner"],
        roles=read_roles(row["roles"]),
        scope=None if given is None else frozenset(p for p in PERMISSIONS if p in given),
        tenant=row["tenant"],
        created_ms=row["created_ms"],
        expires_ms=row["expires_ms"],
        used_ms=row["used_ms"],
        used_client=row["used_client"],
        revoked_ms=row["revoked_ms"],
    )


def looks_like_token(text: str) -> bool:
    """Say whether it is worth looking up."""
    return text.startswith(PREFIX) and len(text) == len(PREFIX) + SECRET_CHARS


def new_token_key() -> str:
    """Return the public name of a token to be made."""
    return new_key("tok")


def add_token(db: sqlite3.Connection, token: Token) -> str:
    """Keep a new token; return its secret, which is kept nowhere. Raises `Refused`."""
    (count,) = db.execute(
        "SELECT count(*) FROM tokens WHERE owner = ? AND revoked_ms IS NULL AND expires_ms > ?",
        (token.owner, token.created_ms),
    ).fetchone()
    if count >= TOKENS_MAX:
        raise Refused(
            "conflict", f"{token.owner} has {TOKENS_MAX} tokens", cure="revoke one of them"
        )
    db.execute(
        "DELETE FROM tokens WHERE coalesce(revoked_ms, expires_ms) < ?",
        (token.created_ms - KEPT_MS,),
    )
    secret = PREFIX + new_secret()
    scope = None if token.scope is None else ",".join(p for p in PERMISSIONS if p in token.scope)
    db.execute(
        "INSERT INTO tokens (hash, key, name, owner, roles, scope, tenant, created_ms, expires_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            digest(secret),
            token.key,
            token.name,
            token.owner,
            write_roles(token.roles),
            scope,
            token.tenant,
            token.created_ms,
            token.expires_ms,
        ),
    )
    return secret


def find_token(
    db: sqlite3.Connection, secret: str, now_ms: int
) -> tuple[Token, Account | None] | None:
    """Return a token that opens something, and whose it is; None if it doesn't."""
    row = db.execute("SELECT * FROM tokens WHERE hash = ?", (digest(secret),)).fetchone()
    if row is None:
        return None
    token = token_of(row)
    return (token, find(db, token.owner)) if token.is_good(now_ms) else None


def get_token(db: sqlite3.Connection, key: str) -> Token:
    """Return a token by its public name. Raises `Refused` if there is none."""
    row = db.execute("SELECT * FROM tokens WHERE key = ?", (key,)).fetchone()
    if row is None:
        raise Refused("not_found", "there is no such token", field="key")
    return token_of(row)


def note_used(db: sqlite3.Connection, key: str, client: str, now_ms: int) -> None:
    """Note that a token is used, and from where."""
    db.execute(
        "UPDATE tokens SET used_ms = max(coalesce(used_ms, 0), ?), used_client = ? WHERE key = ?",
        (now_ms, client, key),
    )


def list_tokens(db: sqlite3.Connection, owner: str | None = None) -> list[Token]:
    """Return tokens, newest first, with those that have ended lately; of all owners or of one."""
    rows = db.execute(
        "SELECT * FROM tokens WHERE ?1 IS NULL OR owner = ?1"
        " ORDER BY created_ms DESC, key LIMIT ?2",
        (owner, SHOWN_MAX),
    )
    return [token_of(row) for row in rows]


def good_tokens(db: sqlite3.Connection, owner: str, now_ms: int) -> list[Token]:
    """Return all of an owner's tokens that open something; there are at most `TOKENS_MAX`."""
    rows = db.execute(
        "SELECT * FROM tokens WHERE owner = ? AND revoked_ms IS NULL AND expires_ms > ?",
        (owner, now_ms),
    )
    return [token_of(row) for row in rows]


def revoke_token(db: sqlite3.Connection, key: str, now_ms: int) -> None:
    """Let a token open nothing any more. Idempotent."""
    db.execute(
        "UPDATE tokens SET revoked_ms = ? WHERE key = ? AND revoked_ms IS NULL", (now_ms, key)
    )
