"""Reports: facts for auditors, each a figure or a table with a link to the events it stands for."""

from typing import Literal

from pydantic import Field

from schemas.views import View

Cell = str | int | float | None


class Figure(View):
    """One number; `query` finds the events it counts, null where they can't be told in a query.

    A `value` that is null was not found out; `note` says why.
    """

    name: str
    value: int | float | None
    query: str | None = None
    note: str = ""
    tone: Literal["", "good", "warn", "bad"] = ""


class ReportTable(View):
    """Rows of facts. `queries` has one for each row, null where there is none.

    `total` is how many rows there are in all; null if there are more, and nobody counted them.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...] = ()
    queries: tuple[str | None, ...] = ()
    total: int | None = 0
    empty: str = "None in this period."


class ReportSection(View):
    """One question of a report: the controls it is evidence for, what was found, in words too."""

    name: str
    title: str
    controls: tuple[str, ...] = ()
    says: str = ""
    figures: tuple[Figure, ...] = ()
    tables: tuple[ReportTable, ...] = ()


class ReportProof(View):
    """What the ledger says now of all events, and the batches that were written in the period.

    A null `difference` could not be found out. The counts are null for those bound to a tenant.
    """

    sentence: str
    is_whole: bool
    difference: int | None = None
    received: int | None = None
    stored: int | None = None
    quarantined: int | None = None
    lag: int | None = None
    batches: int | None = None
    batch_rows: int | None = None


class Report(View):
    """A report with all that says how it was made."""

    name: str
    title: str
    about: str
    since: str | None
    until: str
    scope: dict[str, str] = Field(default_factory=dict)
    tenant: str | None
    query: str
    generated_at: str
    generated_by: str
    software: str
    rule_sets: tuple[str, ...] = ()
    proof: ReportProof
    sections: tuple[ReportSection, ...]


class ReportKind(View):
    """One report that there is."""

    name: str
    title: str
    about: str
    parameters: tuple[str, ...]


class ReportList(View):
    """The reports that there are."""

    reports: tuple[ReportKind, ...]
