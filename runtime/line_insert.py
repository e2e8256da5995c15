"""Lines into the engine of this process: a file of JSON objects, and the INSERT that reads it."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

Settings = Mapping[str, str | int]

COLUMNS_SQL: Final = (
    "SELECT name, type, default_kind, default_expression FROM system.columns "
    "WHERE database = currentDatabase() AND table = {table:String} "
    "AND name IN {columns:Array(String)} ORDER BY position"
)
# Texts are read as texts and become LowCardinality a column at once.
_DICTIONARY: Final = "LowCardinality(String)"
_OF_TRANSPORT: Final = "wait_end_of_query"  # of HTTP, unknown to the engine
_LINES_AT_ONCE: Final = 64  # joined as a whole they would stand in memory twice


class Stamp(NamedTuple):
    """A DateTime column that has the same value in all rows."""

    column: str
    unix_s: int


class Form(NamedTuple):
    """How lines are read: the columns, and what the engine calls their structure."""

    columns: str
    structure: str


def form_of(rows: Sequence[tuple[Any, ...]]) -> Form:
    """Return the form of the columns that `COLUMNS_SQL` found."""
    names = [f"`{name}`" for name, *_ in rows]
    described = []
    for name, type_, kind, default in rows:
        read_as = str(type_).replace(_DICTIONARY, "String")
        described.append(f"`{name}` {read_as}" + (f" DEFAULT {default}" if kind else ""))
    return Form(", ".join(names), ", ".join(described))


@contextmanager
def text_file(lines: Sequence[bytes]) -> Iterator[str]:
    """Write the lines to a file that is there until the block ends; give its path."""
    with tempfile.NamedTemporaryFile(prefix="audit-", suffix=".lines") as file:
        for start in range(0, len(lines), _LINES_AT_ONCE):
            file.write(b"\n".join(lines[start : start + _LINES_AT_ONCE]))
            file.write(b"\n")
        file.flush()
        yield file.name


def insert_from_file(table: str, form: Form, path: str, stamp: Stamp, settings: Settings) -> str:
    """Return the statement that writes a file's lines, each stamped."""
    into = f"INSERT INTO {table} (`{stamp.column}`, {form.columns})"
    selected = f"SELECT toDateTime({stamp.unix_s}, 'UTC'), {form.columns}"
    read = f"FROM file({_text(path)}, 'JSONEachRow', {_text(form.structure)})"
    asked = ", ".join(
        f"{name} = {_text(value) if isinstance(value, str) else value}"
        for name, value in settings.items()
        if name != _OF_TRANSPORT
    )
    return f"{into} {selected} {read} SETTINGS {asked}"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
