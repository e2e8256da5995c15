"""Saved searches: kept in the console's state, owned by who saved them, shared within a tenant."""

import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

from console.access import Principal
from console.people.telling import change
from console.record.told import fingerprint, told_query
from console.search.moment import rfc3339
from console.web.context import Api
from console.web.problems import Refused
from schemas.searches import SearchToSave

SEARCHES_MAX: Final = 200  # of one owner; a list that people still read
SHOWN_MAX: Final = 500  # with those of others
RESOURCE: Final = "audit_searches"

Saved = Mapping[str, Any]


async def visible_to(api: Api) -> Sequence[Saved]:
    """Return the principal's own and those shared with them, own ones first, by name."""
    by = api.principal
    rows = await api.state.read(
        lambda db: db.execute(
            "SELECT * FROM searches WHERE (owner = :owner AND tenant = :tenant) "
            "OR (shared AND (tenant = :tenant OR :tenant = '')) "
            "ORDER BY (owner = :owner AND tenant = :tenant) DESC, name COLLATE NOCASE "
            f"LIMIT {SHOWN_MAX}",
            _who(by),
        ).fetchall()
    )
    return [_rendered(row, by) for row in rows]


async def save(api: Api, asked: SearchToSave) -> Saved:
    """Keep a search under its name, over one's own of that name. Raises `Refused`."""
    by = api.principal
    values = {
        **_who(by),
        "id": secrets.token_hex(8),
        "name": asked.name,
        "q": asked.q,
        "columns": asked.columns,
        "shared": asked.shared,
        "now": api.clock.now_ms(),
    }
    kept = await api.state.read(lambda db: _named(db, values))
    row = await change(
        api,
        "audit.search.saved",
        lambda db: _keep(db, values),
        resource=RESOURCE,
        resource_id=kept["search_id"] if kept else values["id"],
        details={"shared": asked.shared, **_told(asked.name, asked.q)},
    )
    return _rendered(row, by)


async def rename(api: Api, search_id: str, name: str) -> Saved:
    """Rename one's own search. Raises `Refused` if it is another's, or the name is taken."""
    by = api.principal
    values = {**_who(by), "id": search_id, "name": name, "now": api.clock.now_ms()}
    was = await api.state.read(lambda db: _own(db, values))
    row = await change(
        api,
        "audit.search.saved",
        lambda db: _rename(db, values),
        resource=RESOURCE,
        resource_id=search_id,
        details={"before": was["name"], "after": name},
    )
    return _rendered(row, by)


async def delete(api: Api, search_id: str) -> None:
    """Remove one's own search. Raises `Refused` if there is none of that id."""
    values = {**_who(api.principal), "id": search_id}
    was = await api.state.read(lambda db: _own(db, values))
    await change(
        api,
        "audit.search.deleted",
        lambda db: _remove(db, values),
        resource=RESOURCE,
        resource_id=search_id,
        details=_told(was["name"], was["q"]),
    )


def _told(name: str, query: str) -> dict[str, Any]:
    """Return what the event of a change says of a search, no secret of its query among it."""
    return {"name": name, "query": told_query(query), **fingerprint(query)}


def _who(by: Principal) -> dict[str, Any]:
    return {"owner": by.name, "tenant": by.tenant or ""}


def _own(db: sqlite3.Connection, values: Mapping[str, Any]) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM searches WHERE search_id = :id AND owner = :owner AND tenant = :tenant",
        values,
    ).fetchone()
    if row is None:
        raise Refused("not_found", "no search of yours has that id", field="search_id")
    return row


def _keep(db: sqlite3.Connection, values: Mapping[str, Any]) -> sqlite3.Row:
    db.execute(
        "INSERT INTO searches VALUES "
        "(:id, :owner, :tenant, :name, :q, :columns, :shared, :now, :now) "
        "ON CONFLICT (owner, tenant, name) DO UPDATE SET q = excluded.q, "
        "columns = excluded.columns, shared = excluded.shared, changed_ms = excluded.changed_ms",
        values,
    )
    count = db.execute(
        "SELECT count(*) FROM searches WHERE owner = :owner AND tenant = :tenant", values
    ).fetchone()[0]
    if count > SEARCHES_MAX:
        raise Refused(
            "wrong_state", f"there are {SEARCHES_MAX} of yours already", cure="delete one first"
        )
    row = _named(db, values)
    assert row is not None, "it was just kept"
    return row


def _named(db: sqlite3.Connection, values: Mapping[str, Any]) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM searches WHERE owner = :owner AND tenant = :tenant AND name = :name", values
    ).fetchone()
    return row


def _rename(db: sqlite3.Connection, values: Mapping[str, Any]) -> sqlite3.Row:
    _own(db, values)
    try:
        db.execute(
            "UPDATE searches SET name = :name, changed_ms = :now WHERE search_id = :id", values
        )
    except sqlite3.IntegrityError as error:
        raise Refused("conflict", "another search has that name", field="name") from error
    return _own(db, values)


def _remove(db: sqlite3.Connection, values: Mapping[str, Any]) -> None:
    _own(db, values)
    db.execute("DELETE FROM searches WHERE search_id = :id", values)


def _rendered(row: sqlite3.Row, by: Principal) -> Saved:
    """Return a `SavedSearch`."""
    is_own = row["owner"] == by.name and row["tenant"] == (by.tenant or "")
    return {
        "search_id": row["search_id"],
        "name": row["name"],
        "q": row["q"],
        "columns": row["columns"],
        "owner": row["owner"],
        "shared": bool(row["shared"]),
        "own": is_own,
        "created": rfc3339(row["created_ms"] * 1000, digits=3),
        "changed": rfc3339(row["changed_ms"] * 1000, digits=3),
    }
