"""Accounts in the console's state: who there is, with which roles, for which tenant."""

import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from console.access import ROLES, Role
from console.web.auth import SERVICE
from console.web.problems import Refused
from schemas.console_mark import TENANT as CONSOLE_TENANT

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+\-]{0,127}")
_TENANT: Final = re.compile(r"\S{1,64}")  # as in schemas/event.py
DISPLAY_MAX: Final = 128
ACCOUNTS_MAX: Final = 10_000  # far more than people look at audit logs
UNKNOWN: Final = "unknown"  # whoever failed to log in: a name may be a password typed amiss
OWNER: Final = "owner"  # who came with the first one-time link, or with the token file
RESERVED: Final = frozenset({SERVICE, OWNER, "nobody", UNKNOWN, "system"})


@dataclass(frozen=True, slots=True)
class Account:
    """One account. `tenant` None reaches all; `subject` is who it is at the provider, if there."""

    name: str
    display: str
    roles: frozenset[Role]
    tenant: str | None
    created_ms: int
    created_by: str
    subject: str | None = None
    password: str | None = None
    must_change: bool = False
    disabled: bool = False
    last_login_ms: int | None = None


def account_of(row: sqlite3.Row) -> Account:
    """Return the account of a row."""
    return Account(
        name=row["name"],
        display=row["display"],
        roles=read_roles(row["roles"]),
        tenant=row["tenant"],
        created_ms=row["created_ms"],
        created_by=row["created_by"],
        subject=row["subject"],
        password=row["password"],
        must_change=bool(row["must_change"]),
        disabled=bool(row["disabled"]),
        last_login_ms=row["last_login_ms"],
    )


def read_roles(text: str) -> frozenset[Role]:
    """Return the roles of a kept text; what is no role any more grants nothing."""
    given = set(text.split(","))
    return frozenset(role for role in ROLES if role in given)


def write_roles(roles: Iterable[Role]) -> str:
    """Return roles as they are kept: in one order."""
    given = frozenset(roles)
    return ",".join(role for role in ROLES if role in given)


def find(db: sqlite3.Connection, name: str) -> Account | None:
    """Return an account by its name, in capitals or not; None if there is none."""
    row = db.execute("SELECT * FROM accounts WHERE name = ?", (name,)).fetchone()
    return account_of(row) if row else None


def get(db: sqlite3.Connection, name: str, tenant: str | None = None) -> Account:
    """Return an account. Raises `Refused` if there is none that `tenant` (None: all) covers."""
    found = find(db, name)
    if found is None or (tenant is not None and found.tenant != tenant):
        raise Refused("not_found", "there is no such account", field="name")
    return found


def find_subject(db: sqlite3.Connection, subject: str) -> Account | None:
    """Return the account of somebody at the provider."""
    row = db.execute("SELECT * FROM accounts WHERE subject = ?", (subject,)).fetchone()
    return account_of(row) if row else None


def everyone(db: sqlite3.Connection, tenant: str | None = None) -> list[Account]:
    """Return all accounts by name, or those of one tenant."""
    rows = db.execute(
        "SELECT * FROM accounts WHERE ?1 IS NULL OR tenant = ?1 ORDER BY name LIMIT ?2",
        (tenant, ACCOUNTS_MAX),
    )
    return [account_of(row) for row in rows]


def add(db: sqlite3.Connection, account: Account) -> None:
    """Keep a new account. Raises `Refused` if its name is taken."""
    (count,) = db.execute("SELECT count(*) FROM accounts").fetchone()
    if count >= ACCOUNTS_MAX:
        raise Refused("conflict", f"there are {ACCOUNTS_MAX:,} accounts already")
    if find(db, account.name):
        raise Refused("conflict", "that name is taken", field="name", cure="choose another name")
    db.execute(
        "INSERT INTO accounts (name, display, roles, tenant, subject, password, must_change,"
        " disabled, created_ms, created_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            account.name,
            account.display,
            write_roles(account.roles),
            account.tenant,
            account.subject,
            account.password,
            account.must_change,
            account.disabled,
            account.created_ms,
            account.created_by,
        ),
    )


def put(db: sqlite3.Connection, account: Account, *, may_be_last: bool = False) -> None:
    """Keep what changed of an account. Raises `Refused` if no administrator would be left.

    `may_be_last`: unless the provider takes the role.
    """
    before = find(db, account.name)
    is_less = not _manages(account) or account.tenant not in (None, before and before.tenant)
    if before is not None and _manages(before) and is_less and not may_be_last:
        require_other_manager(db, before)
    db.execute(
        "UPDATE accounts SET display = ?, roles = ?, tenant = ?, password = ?, must_change = ?,"
        " disabled = ? WHERE name = ?",
        (
            account.display,
            write_roles(account.roles),
            account.tenant,
            account.password,
            account.must_change,
            account.disabled,
            account.name,
        ),
    )


def require_other_manager(db: sqlite3.Connection, account: Account) -> None:
    """Raise `Refused` if nobody is left who may do what this administrator may."""
    others = (one for one in everyone(db) if one.name != account.name)
    if not any(_manages(one) and one.tenant in (None, account.tenant) for one in others):
        raise Refused(
            "conflict",
            "this is the last administrator",
            cure="make another account administrator first",
        )


def _manages(account: Account) -> bool:
    return "administrator" in account.roles and not account.disabled


def require_name(name: str) -> str:
    """Return a name that an account may have. Raises `Refused`."""
    if not NAME.fullmatch(name) or name.casefold() in RESERVED:
        raise Refused(
            "bad_parameter",
            "that is no name of an account",
            field="name",
            cure="letters, digits and . _ @ + -, at most 128, beginning with a letter or digit",
        )
    return name


def require_roles(given: Iterable[str]) -> frozenset[Role]:
    """Return what are roles. Raises `Refused` for none at all, and for what is none."""
    asked = frozenset(given)
    found = frozenset(role for role in ROLES if role in asked)
    if not asked or len(found) != len(asked):
        raise Refused(
            "bad_parameter",
            "those are no roles" if asked else "an account has at least one role",
            field="roles",
            cure=f"give some of {', '.join(ROLES)}",
        )
    return found


def require_tenant(tenant: str | None) -> str | None:
    """Return what may be a tenant; "" and None are all of them. Raises `Refused`."""
    if not tenant:
        return None
    if not is_tenant(tenant):
        raise Refused(
            "bad_parameter",
            "that is no tenant",
            field="tenant",
            cure=f"1 to 64 characters without spaces, and not {CONSOLE_TENANT}",
        )
    return tenant


def is_tenant(text: str) -> bool:
    """Say whether somebody can be of that tenant; nobody is of the console's own."""
    return bool(_TENANT.fullmatch(text)) and text != CONSOLE_TENANT


def changed(before: Account, after: Account) -> dict[str, Any]:
    """Return what differs as an audit event tells it: before and after, never a secret."""
    pairs: dict[str, tuple[Any, Any]] = {
        "display": (before.display, after.display),
        "roles": (sorted(before.roles), sorted(after.roles)),
        "tenant": (before.tenant, after.tenant),
        "disabled": (before.disabled, after.disabled),
        "must_change_password": (before.must_change, after.must_change),
    }
    differing = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    return {
        "before": {name: pair[0] for name, pair in differing.items()},
        "after": {name: pair[1] for name, pair in differing.items()},
    }
