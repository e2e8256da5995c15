"""What reports are made of: questions and the section that their answers become. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from console.entities.diff import changes_of
from console.query.conditions import Conditions, Query
from console.query.write import and_, term
from console.search.moment import rfc3339
from console.search.period import Period
from console.search.rendering import Row, render_address
from schemas.ledger import Ledger
from schemas.report import Cell, Figure, ReportSection, ReportTable
from schemas.tables import EVENTS

ROWS_MAX: Final = 100  # of one table: a report is read by people; the links have the rest
CHANGE_MAX: Final = 300  # characters of a change in a cell
DORMANT_DAYS: Final = 90  # without a deed: what SOC 2 auditors usually ask for
DAY_US: Final = 86_400_000_000
NOT_IN_TIME: Final = "Not found out: there is too much to read in time. Choose a shorter period."

Answers = Mapping[str, "Sequence[Row] | None"]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a report is about. `found` has tenant, period and narrowing; `ever` lacks the period.

    `reads` are the conditions for reads of the log, None for who may not see them. `is_whole`
    says that all tenants are seen.
    """

    found: Conditions
    ever: Conditions
    period: Period
    terms: str
    tenant: str | None
    reads: Conditions | None
    ledger: Ledger | None
    person: str = ""

    def q(self, *terms: str) -> str:
        """Return the query for the events of the scope that also hold these terms."""
        bounds = (("since", self.period.since), ("until", self.until))
        return and_(*terms, self.terms, *(term(name, at) for name, at in bounds if at))

    @property
    def until_us(self) -> int:
        """The end of the period: of one that goes on, the moment of the question."""
        return self.period.now_us if self.period.until_us is None else self.period.until_us

    @property
    def until(self) -> str:
        """The end of the period in RFC 3339."""
        return rfc3339(self.until_us)


class Listing(NamedTuple):
    """The newest events that hold the conditions: found by narrow columns, then read whole.

    Sections that share one listing have it asked once.
    """

    found: Conditions
    columns: str
    rows: int


@dataclass(frozen=True, slots=True)
class Part:
    """One section: its questions by name, and what makes the section of the answers."""

    queries: Mapping[str, Query | Listing]
    section: Callable[[Answers], ReportSection]


def select(columns: str, found: Conditions, tail: str = "", rows: int = ROWS_MAX) -> Query:
    """Build a query on events; `tail` groups and orders."""
    sql = f"SELECT {columns} FROM {EVENTS} WHERE {found.where()} {tail} LIMIT {{rows:UInt32}}"
    return Query(sql, {**found.parameters, "rows": rows})


def newest(found: Conditions, extra: str = "") -> Listing:
    """Ask for the newest events, as `event_table` shows them: one more than it has room for."""
    columns = (
        "event_id, toUnixTimestamp64Micro(occurred) AS occurred_us, user, role, action, "
        "result AS result_name, resource, resource_id, IPv6NumToString(ip_address) AS address, "
        "changed, before, after, reason AS why, incarnation, partition, offset"
    )
    return Listing(found, f"{columns}, {extra}" if extra else columns, ROWS_MAX + 1)


def one(rows: Sequence[Row] | None) -> Row | None:
    """Return the one row of a query that sums up; None if it was not answered."""
    return rows[0] if rows else None


def figure(name: str, row: Row | None, column: str, query: str | None, note: str = "") -> Figure:
    """Return a figure of a row that may be missing."""
    if row is None:
        return Figure(name=name, value=None, note=NOT_IN_TIME)
    return Figure(name=name, value=row[column], query=query, note=note)


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Row] | None,
    cells: Callable[[Row], Sequence[Cell]],
    query: Callable[[Row], str | None],
) -> ReportTable:
    """Return a table of rows; `total` is read from the rows where they tell it, else unknown."""
    if rows is None:
        return ReportTable(title=title, columns=tuple(columns), empty=NOT_IN_TIME)
    is_cut = len(rows) > ROWS_MAX
    total = rows[0].get("total", None if is_cut else len(rows)) if rows else 0
    rows = rows[:ROWS_MAX]
    return ReportTable(
        title=title,
        columns=tuple(columns),
        rows=tuple(tuple(cells(row)) for row in rows),
        queries=tuple(query(row) for row in rows),
        total=total,
    )


EVENT_COLUMNS: Final = ("Time (UTC)", "Who", "Action", "Result", "Resource", "Change", "Reason")


def event_table(title: str, rows: Sequence[Row] | None) -> ReportTable:
    """Return a table of events, each linked to itself."""
    return table(title, EVENT_COLUMNS, rows, event_cells, event_query)


def event_cells(row: Row) -> tuple[Cell, ...]:
    """Return the cells of `EVENT_COLUMNS`."""
    return (
        at(row["occurred_us"]),
        who(row),
        row["action"],
        row["result_name"],
        what(row),
        change(row),
        row["why"],
    )


def event_query(row: Row) -> str:
    """Return the query that finds just this event."""
    return term("event", row["event_id"])


def who(row: Row) -> str:
    """Return user and role."""
    return f"{row['user']} ({row['role']})" if row["role"] else str(row["user"])


def what(row: Row) -> str:
    """Return resource and id."""
    return " ".join(part for part in (row["resource"], row["resource_id"]) if part)


def change(row: Row) -> str:
    """Return what an event changed, in one line."""
    lines = changes_of(row["changed"], row["before"], row["after"], row["action"])
    said = "; ".join(
        f"{line['path'] + ': ' if line['path'] else ''}"
        f"{'not set' if line['before'] is None else line['before']} → "
        f"{'not set' if line['after'] is None else line['after']}"
        for line in lines
    )
    return said if len(said) <= CHANGE_MAX else f"{said[:CHANGE_MAX]} …"


def at(moment_us: int) -> str:
    """Return a moment as a cell, to the second."""
    return rfc3339(moment_us // 1_000_000 * 1_000_000)


def address(text: str) -> str:
    """Return an address as a cell."""
    return render_address(text) or ""
