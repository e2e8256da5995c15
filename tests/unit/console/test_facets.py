"""How much is counted of many events, and how values of the store become those of the language."""

from collections.abc import Mapping
from typing import Any

import pytest

from console.query.conditions import Query, unbounded
from console.search import facets
from console.search.facets import PLAIN, PROBE, ROWS_EXACT_MAX, ROWS_SAMPLED
from console.web.problems import Refused


@pytest.mark.parametrize(
    ("rows", "sample"),
    [(0, 1), (ROWS_EXACT_MAX, 1), (ROWS_EXACT_MAX + 1, 2), (10_000_000, 64)],
)
def test_more_events_are_counted_more_sparsely(rows: int, sample: int) -> None:
    assert facets.sample_of(rows) == sample
    assert rows // sample <= max(ROWS_EXACT_MAX, ROWS_SAMPLED)


class Answers:
    def __init__(self, rows: int, *, slow: bool = False) -> None:
        self.count = rows
        self.slow = slow
        self.asked: list[str] = []

    async def rows(self, query: Query, settings: Mapping[str, Any] | None = None) -> Any:
        self.asked.append(query.sql)
        if query.sql.startswith("SELECT count()"):
            return [{"rows": self.count // PROBE}]
        if self.slow and settings:
            raise Refused("query_too_broad", "slow")
        if "arrayJoin" in query.sql:
            return [{"field": "flag", "value": "late", "rows": 3}]
        return [
            self._row("ip_address", "::ffff:203.0.113.42", 2),
            self._row("ip_address", "::", 9),
            self._row("geo_country", "DE\0", 5),
            self._row("result", "success", 7),
        ]

    def _row(self, column: str, value: str, rows: int) -> dict[str, Any]:
        grouped = [0 if name == column else 1 for name in PLAIN.values()]
        row: dict[str, Any] = dict.fromkeys(PLAIN.values(), "")
        return {**row, "grouped": grouped, column: value, "rows": rows}


async def test_values_are_written_as_the_query_language_writes_them() -> None:
    found = await facets.facets(Answers(10), unbounded())  # type: ignore[arg-type] # stands in

    assert found.fields["ip"] == [("", 9), ("203.0.113.42", 2)]
    assert found.fields["country"] == [("DE", 5)]
    assert found.fields["flag"] == [("late", 3)]
    assert (found.rows, found.sampled) == (7, 1)


async def test_counts_of_a_sample_are_estimates_of_all() -> None:
    reader = Answers(10_000_000)
    found = await facets.facets(reader, unbounded())  # type: ignore[arg-type] # stands in

    assert found.sampled == 64
    assert found.fields["flag"] == [("late", 3 * 64)]
    assert all("_part_offset" in sql for sql in reader.asked)


async def test_what_takes_too_long_is_answered_from_a_sample() -> None:
    found = await facets.facets(Answers(1_000, slow=True), unbounded())  # type: ignore[arg-type] # stands in

    assert found.sampled == facets.HURRIED


def test_a_field_that_no_event_says_is_left_out() -> None:
    shown = facets.render_facets(facets.Facets(1, 1, {"user": [facets.Value("", 1)], "rule": []}))

    assert shown["facets"] == []
