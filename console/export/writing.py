"""The three formats: what to ask the store for one piece, and what becomes of its answer. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

import pyarrow as pa

from console.export import parquet
from console.export.fields import COLUMNS, FIELDS, FLAT_GEO, Field
from console.export.plan import ORDER
from console.export.store import writing_settings
from console.query.conditions import Conditions, Query
from console.search.rendering import member_text
from schemas.export import Format
from schemas.tables import EVENTS

_LINE_BREAKS: Final = {ord("\n"): " ", ord("\r"): " "}


class Made(NamedTuple):
    """One piece as it is appended to the file; `footer` is what Parquet must keep of it."""

    body: bytes
    rows: int
    footer: bytes = b""


class Marks(NamedTuple):
    """Two texts that no event holds: one around what is left to us, one before each row."""

    cut: str
    row: str


class Writer(Protocol):
    """One format with its columns."""

    fmt: str
    head: bytes

    def query(self, found: Conditions, marks: Marks) -> Query:
        """Return what to ask for the rows of one piece, in order."""
        ...

    def finish(self, answer: bytes, marks: Marks) -> Made:
        """Return what to append."""
        ...

    def tail(self, groups: Iterable[tuple[int, bytes]], empty: bytes) -> bytes:
        """Return the end of the file, from places and footers, and an answer without rows."""
        ...


def writer_of(form: Format, columns: Sequence[str]) -> Writer:
    """Return the writer; no columns are all of them, in the order of `/v1/events`."""
    chosen = [name for name in COLUMNS if name in columns] if columns else list(COLUMNS)
    if form == "jsonl":
        return Lines(chosen)
    return Cells(chosen) if form == "csv" else Rows(chosen)


def _query(select: str, found: Conditions, marks: Marks) -> Query:
    sql = (
        f"SELECT {select} FROM {EVENTS} WHERE {found.where()} ORDER BY {ORDER} {writing_settings()}"
    )
    return Query(sql, {**found.parameters, "mark": marks.cut, "row": marks.row})


def _details(raw: bytes) -> str:
    """Return the details of a raw message as text in one line."""
    return (member_text(raw.decode(), "details") or "{}").translate(_LINE_BREAKS)


def _cut_details(answer: bytes, marks: Marks, *, as_cell: bool) -> bytes:
    """Put the details in the place of each raw message that the store left to us."""
    parts = answer.split(marks.cut.encode())
    if len(parts) == 1:
        return answer
    for at in range(1, len(parts), 2):
        text = _details(parts[at])
        if as_cell:
            text = f'"{text.replace(chr(34), chr(34) * 2)}"'
        parts[at] = text.encode()
    return b"".join(parts)


class Lines:
    """JSON lines: each is what `/v1/events` answers for the event."""

    fmt = "TSVRaw"
    head = b""

    def __init__(self, columns: Sequence[str]) -> None:
        parts = [
            f"'{',' if at else '{'}\"{name}\":', {FIELDS[name].json}"
            for at, name in enumerate(columns)
        ]
        self._select = f"concat({', '.join(parts)}, '}}')"

    def query(self, found: Conditions, marks: Marks) -> Query:
        """Ask for lines, as `Writer` promises."""
        return _query(self._select, found, marks)

    def finish(self, answer: bytes, marks: Marks) -> Made:
        """Count the lines: none has a line break in it."""
        body = _cut_details(answer, marks, as_cell=False)
        return Made(body, body.count(b"\n"))

    def tail(self, groups: Iterable[tuple[int, bytes]], empty: bytes) -> bytes:
        """Return nothing."""
        del groups, empty
        return b""


def flat(columns: Sequence[str]) -> dict[str, Field]:
    """Return the columns of a table: the members of `geo` one by one."""
    found: dict[str, Field] = {}
    for name in columns:
        found |= FLAT_GEO if name == "geo" else {name: FIELDS[name]}
    return found


class Cells:
    """CSV (RFC 4180) with a heading, in UTF-8; no cell is a formula."""

    fmt = "TSVRaw"

    def __init__(self, columns: Sequence[str]) -> None:
        fields = flat(columns)
        self.head = (",".join(fields) + "\r\n").encode()
        cells = ", ',', ".join(field.cell for field in fields.values())
        # the store ends the row with the line feed of its format
        self._select = f"concat({{row:String}}, {cells}, '\\r')"

    def query(self, found: Conditions, marks: Marks) -> Query:
        """Ask for rows, each after its mark, since a cell may hold line breaks."""
        return _query(self._select, found, marks)

    def finish(self, answer: bytes, marks: Marks) -> Made:
        """Take the marks away; there are as many as rows."""
        mark = marks.row.encode()
        rows = answer.count(mark)
        answer = answer.replace(mark, b"")  # megabytes: one of the two is enough
        return Made(_cut_details(answer, marks, as_cell=True), rows)

    def tail(self, groups: Iterable[tuple[int, bytes]], empty: bytes) -> bytes:
        """Return nothing."""
        del groups, empty
        return b""


class Rows:
    """Parquet: the columns of the CSV, with types; what is absent is null."""

    fmt = "ArrowStream"
    head = parquet.MAGIC

    def __init__(self, columns: Sequence[str]) -> None:
        fields = flat(columns)
        self._select = ", ".join(f"{field.typed} AS `{name}`" for name, field in fields.items())

    def query(self, found: Conditions, marks: Marks) -> Query:
        """Ask for columns."""
        return _query(self._select, found, marks)

    def finish(self, answer: bytes, marks: Marks) -> Made:
        """Return the row group."""
        table = _with_details(_table(answer), marks.cut)
        if not table.num_rows:
            return Made(b"", 0)
        group = parquet.encode(table)
        return Made(group.body, table.num_rows, group.footer)

    def tail(self, groups: Iterable[tuple[int, bytes]], empty: bytes) -> bytes:
        """Return the footer of all row groups."""
        return parquet.join(_table(empty).schema, groups)


def _table(answer: bytes) -> pa.Table:
    with pa.ipc.open_stream(pa.py_buffer(answer)) as stream:  # its columns lie in the answer
        return stream.read_all()


def _with_details(table: pa.Table, mark: str) -> pa.Table:
    if "details" not in table.column_names:
        return table
    texts = table.column("details").to_pylist()
    if not any(text.startswith(mark) for text in texts):
        return table
    cut = [
        _details(text.removeprefix(mark).removesuffix(mark).encode())
        if text.startswith(mark)
        else text
        for text in texts
    ]
    place = table.column_names.index("details")
    field = table.schema.field("details")
    return table.set_column(place, field, pa.chunked_array([pa.array(cut, field.type)]))
