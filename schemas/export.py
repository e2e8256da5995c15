"""Exports as the REST API has them: what to ask, what is told of one, and its manifest."""

from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from schemas.views import View

Format = Literal["jsonl", "csv", "parquet"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
ExportState = Literal["queued", "running", "done", "failed", "cancelled", "expired"]
MANIFEST_VERSION: Final = 1
QUERY_CHARS_MAX: Final = 4_096

MEDIA: Final[dict[Format, str]] = {
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


class ExportAsked(BaseModel):
    """What to export: the events of a search, oldest first.

    An empty `q` is all events that one may see. `columns` names members of an event as
    `/v1/events` answers them; none are all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    q: Annotated[str, Field(max_length=QUERY_CHARS_MAX)] = ""
    since: Annotated[
        str | None, Field(max_length=40, description="RFC 3339, a date, or so long ago: 15m, 7d.")
    ] = None
    until: Annotated[str | None, Field(max_length=40, description="As since; exclusive.")] = None
    format: Format = "jsonl"
    columns: Annotated[tuple[Annotated[str, Field(max_length=32)], ...], Field(max_length=64)] = ()


class ExportOut(View):
    """One export. `rows_total` is exact once it is running; `sha256` is of the finished file."""

    id: str
    state: ExportState
    by: str
    tenant: str | None
    q: str
    since: str | None = None
    until: str | None = None
    format: Format
    columns: tuple[str, ...] = ()
    created: str
    started: str | None = None
    finished: str | None = None
    expires: str | None = None
    rows: int = 0
    rows_total: int | None = None
    bytes: int = 0
    rows_per_second: int | None = None
    seconds_left: int | None = None
    error: str | None = None
    sha256: str | None = None
    manifest_sha256: str | None = None
    file: str | None = None


class ExportList(View):
    """Exports, newest first, and what the files of the finished ones take of what they may."""

    exports: tuple[ExportOut, ...]
    bytes_used: int
    bytes_max: int


class ExportEstimate(View):
    """How much an export would be: exact rows, bytes of text about."""

    rows: int
    bytes: int
    rows_max: int


class PartitionRows(View):
    """One partition of the raw topic: offsets below `next_offset` are in the snapshot.

    For one tenant it is the offset after its own last row, and partitions without one are left out.

    `ledger_rows` is what the ledger has stored of them, `rows` how many of these are exported.
    """

    incarnation: str
    topic: str
    partition: int
    next_offset: int
    ledger_rows: int
    rows: int


class Manifest(View):
    """What a file is and is not: enough to prove it, and to make it again.

    `complete`: nothing was asked for in particular, and rows and those left out (canaries, reads
    of the record itself) make up the ledger's number exactly.
    """

    version: int = MANIFEST_VERSION
    export: str
    software: str
    by: str
    tenant: str | None
    query: str
    description: str
    since: str | None
    until: str | None
    format: Format
    columns: tuple[str, ...]
    requested: str
    started: str
    finished: str
    order: str
    partitions: tuple[PartitionRows, ...]
    rows: int
    ledger_rows: int
    left_out: dict[str, int]
    complete: bool
    file: str
    bytes: int
    sha256: str

    def loose(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return self.model_dump(mode="json")
