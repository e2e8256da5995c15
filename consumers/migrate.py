"""Make and change the tables: numbered files, forward only, each recorded with its checksum."""

import hashlib
import json
import re
from importlib import resources
from typing import Final, NamedTuple

from runtime.clickhouse import Store
from schemas.errors import Misconfigured
from schemas.tables import MIGRATIONS

_FILE: Final = re.compile(r"^(\d{3})_([a-z0-9_]+)\.sql$")
_TABLE: Final = f"""CREATE TABLE IF NOT EXISTS {MIGRATIONS} (
  version UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = ReplacingMergeTree ORDER BY version
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1"""


class Migration(NamedTuple):
    """One file: its statements may each run twice, because two may migrate at once."""

    version: int
    name: str
    checksum: str
    statements: tuple[str, ...]


class Applied(NamedTuple):
    """One migration that is in the store; `is_new` if this call brought it there."""

    version: int
    name: str
    checksum: str
    is_new: bool


def migrate(store: Store) -> list[Applied]:
    """Bring the store up to date and return every migration that it then has, in order.

    Idempotent, and any number may do it at once. Raises `Misconfigured` and changes nothing if a
    migration that was applied differs from ours, or is newer than we know.
    """
    store.create_database()
    store.command(_TABLE)
    known = migrations()
    found = recorded(store)
    _refuse_drift(known, found)
    for migration in known:
        if migration.version not in found:
            for statement in migration.statements:
                store.command(statement)
            _record(store, migration)
    return [Applied(m.version, m.name, m.checksum, m.version not in found) for m in known]


def require_migrated(store: Store) -> None:
    """Raise `Misconfigured` unless the store has every migration that this code knows.

    Services that only write need no right to change tables.
    """
    missing = [m.name for m in migrations() if m.version not in recorded(store)]
    if missing:
        raise Misconfigured(f"migrations are missing: {', '.join(missing)}: run `audit migrate`")


def migrations() -> list[Migration]:
    """Read the files, in order."""
    folder = resources.files("schemas") / "migrations"
    named = [(file, _FILE.match(file.name)) for file in folder.iterdir()]
    found = [
        parse(int(name[1]), name[2], file.read_text(encoding="utf-8"))
        for file, name in named
        if name
    ]
    return sorted(found)


def parse(version: int, name: str, text: str) -> Migration:
    """Split a file into statements: each ends with a semicolon at the end of a line."""
    code = re.sub(r"^\s*--.*$", "", text, flags=re.MULTILINE)
    statements = tuple(s.strip() for s in re.split(r";\s*$", code, flags=re.MULTILINE) if s.strip())
    return Migration(version, name, hashlib.sha256(text.encode()).hexdigest(), statements)


def recorded(store: Store) -> dict[int, str]:
    """Return the checksum of each migration that the store says it has."""
    rows = store.query_rows(f"SELECT version, any(checksum) FROM {MIGRATIONS} GROUP BY version")
    return {int(version): str(checksum) for version, checksum in rows}


def _refuse_drift(known: list[Migration], found: dict[int, str]) -> None:
    ours = {migration.version: migration.checksum for migration in known}
    for version, checksum in sorted(found.items()):
        if version not in ours:
            raise Misconfigured(
                f"the store has migration {version:03}, which this version doesn't know: upgrade"
            )
        if ours[version] != checksum:
            raise Misconfigured(
                f"migration {version:03} in the store differs from ours: restore the file; "
                "changes go into a new one"
            )


def _record(store: Store, migration: Migration) -> None:
    row = {"version": migration.version, "name": migration.name, "checksum": migration.checksum}
    store.insert_lines(
        MIGRATIONS,
        ("version", "name", "checksum"),
        json.dumps(row).encode(),
        token=f"migration:{migration.version}:{migration.checksum[:16]}",
    )
